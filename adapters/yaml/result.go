package yaml

import (
	"cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// Place is where something stands in a file.
type Place struct {
	// Line and Column count from 1, columns in characters.
	Line, Column int
	// Path is a JSON pointer into the document that is there; "" is all of it.
	Path string
}

// Change is a reference that became another one.
type Change struct {
	Place
	From, To string
	Why      lookup.Why
	// Stream, Tag and Image are what decided, where a stream did. Image is "" if the tag has none yet.
	Stream imagestream.Key
	Tag    string
	Image  string
	// Assumed tells that whether the image still exists is not known; see [lookup.ErrNoImages].
	Assumed bool
}

// Decision is what was done with a reference, for [lookup.Options.Explain]. One about a whole object or document
// that was not looked at has no name; its kind is that of the object.
type Decision struct {
	Place
	lookup.Decision
}

// Report is about something that stays though it might have to change.
type Report struct {
	Place
	// From is the reference and To what it should become, where that is known.
	From, To string
	Problem  Problem
	// Detail says more, if there is more.
	Detail string
}

// String writes a report as a sentence, without its place.
func (r Report) String() string {
	text := r.Problem.Message()
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	switch {
	case r.Problem.Skips():
		return "skipped: " + text
	case r.To != "":
		return cmp.Or(r.From, "the image that is not set") + " stays, it should become " + r.To + ": " + text
	case r.From != "":
		return r.From + " stays: " + text
	}
	return text
}

// Problem is why something stays: a short code that does not change. [Problem.Message] is its sentence.
type Problem string

// The problems of documents and files that cannot be read.
const (
	ProblemSyntax    Problem = "Syntax"
	ProblemEncoding  Problem = "Encoding"
	ProblemDuplicate Problem = "Duplicate"
	ProblemAliases   Problem = "Aliases"
	ProblemDepth     Problem = "Depth"
	ProblemSize      Problem = "Size"
	ProblemObject    Problem = "Object"
)

// The problems of references.
const (
	ProblemShared   Problem = "Shared"
	ProblemBlock    Problem = "Block"
	ProblemTag      Problem = "Tag"
	ProblemMember   Problem = "Member"
	ProblemRefused  Problem = "Refused"
	ProblemNoName   Problem = "NoName"
	ProblemNoTag    Problem = "NoTag"
	ProblemNoDigest Problem = "NoDigest"
	ProblemNotText  Problem = "NotText"
	ProblemSuffix   Problem = "Suffix"
	ProblemShape    Problem = "Shape"
	ProblemStays    Problem = "Stays"
	ProblemTriggers Problem = "Triggers"
)

var unread = map[Problem]string{
	ProblemSyntax:    "the document is not YAML",
	ProblemEncoding:  "the file is not UTF-8",
	ProblemDuplicate: "a key stands twice in a mapping",
	ProblemAliases:   "the aliases of the document are endless, or too many",
	ProblemDepth:     "the document is nested more than 10,000 deep",
	ProblemSize:      "there is more than is read",
	ProblemObject:    "the object cannot be read",
}

var messages = map[Problem]string{
	ProblemShared:   "an anchor shares the text with others that do not become the same",
	ProblemBlock:    "the text is a block, or goes over several lines: write it on one line",
	ProblemTag:      "the text has a tag that is not !!str",
	ProblemMember:   "a member of the reference would have to be added or removed",
	ProblemRefused:  "the image policy refuses the object",
	ProblemNoName:   "the image has no newName to write the repository to",
	ProblemNoTag:    "the tag is not said here, as a text",
	ProblemNoDigest: `there is no member digest to write the exact image to: add digest: ""`,
	ProblemNotText:  "the value is not a text to those who read it: put it in quotes",
	ProblemSuffix:   "a tagSuffix cannot be added to a digest",
	ProblemShape:    "it is neither a text nor a mapping with repository and tag",
	ProblemStays:    "it is not resolved",
	ProblemTriggers: "the triggers of the object cannot be followed",
}

// Message returns the sentence for people, without a full stop; for a code that this package does not have, the code.
func (p Problem) Message() string {
	if message, ok := unread[p]; ok {
		return message
	}
	if message, ok := messages[p]; ok {
		return message
	}
	return string(p)
}

// Skips reports whether the problem is that a document or a file could not be read: whether something in it should
// change is not known.
func (p Problem) Skips() bool { return unread[p] != "" }

// Result is what became of a file.
type Result struct {
	// Bytes is the file as it is now; without changes it is what was given.
	Bytes     []byte
	Changes   []Change
	Reports   []Report
	Decisions []Decision
}
