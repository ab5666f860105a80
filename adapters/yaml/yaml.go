// Package yaml rewrites the image references in files of YAML and JSON: what package lookup does with objects, for
// the texts that people keep them in. Only the bytes of image values change; comments, quotes, indentation, anchors,
// line endings, a byte order mark and everything else stay as they are.
//
// # What is read
//
// A file is a stream of documents, YAML or JSON. In each are looked at:
//
//   - Kubernetes and OpenShift objects, by the rules of package lookup, and the items of Lists;
//   - the images of a Kustomization (or Component), if they say newName and newTag: newName becomes the repository,
//     and newTag becomes digest, key and value, as kustomize wants it;
//   - in documents without a kind, such as Helm's values, what [Options.Values] names: a text "nodejs:20", or a mapping
//     with repository and tag, and maybe registry, as most charts have it. An exact image is written to its digest
//     member, which must be there, if empty.
//
// Everything else, and what names no image stream, stays.
//
// # What is reported
//
// Where a reference would change but not by its bytes alone, nothing changes and the result has a [Report]: a text in a
// block (| or >) or over several lines; a text with an anchor, or merged from a mapping that has one, unless all that
// share it are references that become the same; a document in which a key stands twice, or which is no YAML, such as a
// Helm template. Nothing is left out without a change, a report or a [Decision]; but for documents in which no key of an
// image can stand, which are not even parsed.
//
// YAML is what go.yaml.in/yaml/v3 reads: version 1.2 with the merge keys of 1.1, in UTF-8.
package yaml

import (
	"cmp"
	"context"
	"iter"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// Options are what a [Rewriter] cannot read in the files.
type Options struct {
	// Namespace is that of objects that do not say.
	Namespace string
	// Values are where documents without a kind name images: "web.image", "sidecars[*].image".
	Values []string
}

// Rewriter rewrites files. It reads each stream and image once in its life, so that all files see the same state. It is
// safe for concurrent use.
type Rewriter struct {
	resolver *lookup.Resolver
	opts     Options
	words    []string // a document without any of them has nothing to change
	names    map[string]bool
	seen     *recorder
}

// New returns a Rewriter that asks resolver's source, by its policy and options. Keep and Now of resolver play no part.
func New(resolver *lookup.Resolver, opts Options) *Rewriter {
	w := &Rewriter{opts: opts, seen: &recorder{Source: resolver.Source, local: map[imagestream.Key]bool{}, locked: map[lockKey]Locked{}}}
	w.resolver = &lookup.Resolver{
		Source: w.seen, InternalRegistry: resolver.InternalRegistry, Policy: resolver.Policy, Options: resolver.Options,
		Keep: time.Hour, Now: func() time.Time { return time.Time{} },
	}
	w.words = []string{"image", "Strategy"}
	for _, path := range opts.Values {
		w.words = append(w.words, longestMember(path))
	}
	w.names = maps.Clone(names)
	for _, path := range resolver.Options.Paths {
		w.words = append(w.words, longestMember(path.Path))
		for _, step := range steps(path.Path) {
			w.names[step] = true
		}
	}
	return w
}

// longestMember returns the longest name in a path; "" is in every document.
func longestMember(path string) string {
	longest := ""
	for _, step := range steps(path) {
		if !strings.HasPrefix(step, "[") && len(step) > len(longest) {
			longest = step
		}
	}
	return longest
}

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
}

// Decision is what was done with a reference, for [lookup.Options.Explain].
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
	text := string(r.Problem)
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	switch {
	case r.To != "":
		return r.From + " stays, it should become " + r.To + ": " + text
	case r.From != "":
		return r.From + " stays: " + text
	}
	return text
}

// Problem is why something stays.
type Problem string

// The problems.
const (
	ProblemSyntax    Problem = "the document is not YAML"
	ProblemEncoding  Problem = "the file is not UTF-8"
	ProblemDuplicate Problem = "a key stands twice in a mapping"
	ProblemAliases   Problem = "the aliases of the document are endless, or too many"
	ProblemShared    Problem = "an anchor shares the text with others that do not become the same"
	ProblemBlock     Problem = "the text is a block, or goes over several lines: write it on one line"
	ProblemTag       Problem = "the text has a tag that is not !!str"
	ProblemMember    Problem = "a member of the reference would have to be added or removed"
	ProblemRefused   Problem = "the image policy refuses the object"
	ProblemObject    Problem = "the object cannot be read"
	ProblemNoName    Problem = "the image has no newName to write the repository to"
	ProblemNoTag     Problem = "the tag is not said here, as a text"
	ProblemNoDigest  Problem = "there is no member digest to write the exact image to: add digest: \"\""
)

// Result is what became of a file.
type Result struct {
	// Bytes is the file as it is now; without changes it is what was given.
	Bytes     []byte
	Changes   []Change
	Reports   []Report
	Decisions []Decision
}

// Rewrite rewrites a file. Src is not changed. Errors are those of the source of streams, and that of ctx; what is wrong
// with the file is in the reports.
func (w *Rewriter) Rewrite(ctx context.Context, src []byte) (*Result, error) {
	res := &Result{Bytes: src}
	if isUTF16(src) {
		res.Reports = append(res.Reports, Report{Place: Place{Line: 1, Column: 1}, Problem: ProblemEncoding})
		return res, nil
	}
	var edits []edit
	for c := range parsed(w.candidates(src)) {
		if c.err != nil {
			res.Reports = append(res.Reports, c.syntax())
			continue
		}
		for _, root := range c.roots {
			d := &document{Rewriter: w, chunk: c, root: root, out: res, tree: tree{names: w.names}}
			if err := d.rewrite(ctx); err != nil {
				return nil, err
			}
			edits = append(edits, d.edits...)
		}
	}
	res.Bytes = apply(src, edits)
	return res, nil
}

// candidates are the parts of a file in which something may change.
func (w *Rewriter) candidates(src []byte) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		for c := range split(src) {
			if c.mayHave(w.words) && !yield(c) {
				return
			}
		}
	}
}

// document is one that is being rewritten.
type document struct {
	*Rewriter
	*chunk
	root  *goyaml.Node
	out   *Result
	tree  tree
	wants []want
	edits []edit
}

// want is a change that is to be made, at one text or at several that change together.
type want struct {
	change Change
	at     *goyaml.Node
	texts  []newText
}

// newText is a text in the document, nil if it is not there, and what it becomes; "" if it must go.
type newText struct {
	node *goyaml.Node
	text string
}

func (d *document) rewrite(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	value := d.tree.read(d.root, true)
	if d.tree.problem != "" {
		d.report(Report{Problem: d.tree.problem, Detail: d.tree.detail}, d.tree.at)
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		return nil
	}
	kind, _ := object["kind"].(string)
	apiVersion, _ := object["apiVersion"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	var err error
	switch {
	case group == kustomizeGroup && (kind == "Kustomization" || kind == "Component") || kind == "" && isKustomization(object):
		err = d.kustomization(ctx, object)
	case kind == "":
		err = d.helmValues(ctx)
	default:
		err = d.object(ctx, object, "")
	}
	d.settle()
	return err
}

// object rewrites an object, or the items of a list, at path.
func (d *document) object(ctx context.Context, object map[string]any, path string) error {
	kind, _ := object["kind"].(string)
	if one, isList := strings.CutSuffix(kind, "List"); isList {
		if items, ok := object["items"].([]any); ok {
			return d.items(ctx, items, object["apiVersion"], one, path+"/items/")
		}
	}
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	if namespace == "" {
		namespace = d.opts.Namespace
	}
	review, err := d.resolver.Review(ctx, &lookup.Request{Namespace: namespace, Object: object, Options: d.resolver.Options})
	if err != nil {
		return err
	}
	for _, decision := range review.Decisions {
		decision.Path = path + decision.Path
		d.explain(decision, d.find(decision.Path))
	}
	if review.Refused != nil {
		problem := ProblemRefused
		if len(review.Refused.Errors) == 0 {
			problem = ProblemObject
		}
		d.report(Report{Place: Place{Path: path}, Problem: problem, Detail: review.Refused.Error()}, d.find(path))
		return nil
	}
	for changes := review.Changes; len(changes) > 0; {
		n := together(changes)
		d.wantObject(path, changes[:n])
		changes = changes[n:]
	}
	return nil
}

// items rewrites the objects of a list. Those of a list of one kind need not say their own.
func (d *document) items(ctx context.Context, items []any, apiVersion any, kind, path string) error {
	for i, item := range items {
		object, ok := item.(map[string]any)
		if !ok {
			continue
		}
		if _, has := object["kind"]; !has && kind != "" {
			object = maps.Clone(object)
			object["apiVersion"], object["kind"] = apiVersion, kind
		}
		if err := d.object(ctx, object, path+strconv.Itoa(i)); err != nil {
			return err
		}
	}
	return nil
}

// together returns how many changes from the first on are about one reference: that of a build has several members.
func together(changes []lookup.Change) int {
	parent := path.Dir(changes[0].Path)
	n := 1
	for n < len(changes) && strings.HasSuffix(parent, "/from") && path.Dir(changes[n].Path) == parent {
		n++
	}
	return n
}

// wantObject wants the changes of one reference of the object at a path.
func (d *document) wantObject(prefix string, changes []lookup.Change) {
	main := 0
	texts := make([]newText, len(changes))
	for i, c := range changes {
		texts[i] = newText{d.find(prefix + c.Path), c.To}
		if path.Base(c.Path) == "name" {
			main = i
		}
	}
	c := changes[main]
	c.Path = prefix + c.Path
	d.want(c, texts[main].node, texts)
}

// want wants a reference at a node changed.
func (d *document) want(c lookup.Change, at *goyaml.Node, texts []newText) {
	d.seen.note(c)
	change := Change{Place: Place{Path: c.Path}, From: c.From, To: c.To, Why: c.Why, Stream: c.Stream, Tag: c.Tag, Image: c.Event.Image}
	d.wants = append(d.wants, want{change, at, texts})
}

// find returns what is at a path of the document.
func (d *document) find(path string) *goyaml.Node { return find(d.root, path) }

// settle makes the changes that can be made by the bytes of texts alone, and reports the others.
func (d *document) settle() {
	problems := d.problems()
	done := len(d.out.Changes)
	for i, w := range d.wants {
		if problems[i] != "" {
			d.report(Report{Place: w.change.Place, From: w.change.From, To: w.change.To, Problem: problems[i]}, w.at)
			continue
		}
		w.change.Line, w.change.Column = d.position(w.at)
		d.out.Changes = append(d.out.Changes, w.change)
		for _, t := range w.texts {
			if t.node.Value != t.text {
				from, to, _ := d.span(t.node)
				d.edits = append(d.edits, edit{d.start + from, d.start + to, quote(d.text[from:to], t.text)})
			}
		}
	}
	slices.SortStableFunc(d.out.Changes[done:], func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// problems returns for each change that is wanted why it cannot be made, "" if it can. A text that is shared changes only
// if all who share it want the same, and none of them has a problem with another text.
func (d *document) problems() []Problem {
	problems := make([]Problem, len(d.wants))
	var shares map[*goyaml.Node][]int
	if len(d.tree.extra) > 0 {
		shares = map[*goyaml.Node][]int{}
		for i, w := range d.wants {
			for _, t := range w.texts {
				shares[t.node] = append(shares[t.node], i)
			}
		}
	}
	var stay func(i int, problem Problem)
	stay = func(i int, problem Problem) {
		if problems[i] != "" {
			return
		}
		problems[i] = problem
		for _, t := range d.wants[i].texts {
			others := shares[t.node]
			delete(shares, t.node)
			for _, other := range others {
				stay(other, ProblemShared)
			}
		}
	}
	for i, w := range d.wants {
		for _, t := range w.texts {
			if problem := d.problem(t); problem != "" {
				stay(i, problem)
			}
		}
	}
	for i, w := range d.wants {
		for _, t := range w.texts {
			sharing := shares[t.node]
			if uses := d.tree.uses(t.node); uses > 1 && (len(sharing) != uses || !d.same(t, sharing)) {
				stay(i, ProblemShared)
			}
		}
	}
	return problems
}

// same reports whether all changes want the same for a text.
func (d *document) same(t newText, changes []int) bool {
	return !slices.ContainsFunc(changes, func(i int) bool {
		return slices.ContainsFunc(d.wants[i].texts, func(other newText) bool { return other.node == t.node && other.text != t.text })
	})
}

// problem returns why a text cannot be changed, whatever else shares it.
func (d *document) problem(t newText) Problem {
	if t.node == nil || t.node.Value != t.text && t.text == "" {
		return ProblemMember
	}
	_, _, problem := d.span(t.node)
	return problem
}

// report adds a report about a node.
func (d *document) report(r Report, at *goyaml.Node) {
	r.Line, r.Column = d.position(at)
	d.out.Reports = append(d.out.Reports, r)
}

func (d *document) explain(decision lookup.Decision, at *goyaml.Node) {
	place := Place{Path: decision.Path}
	place.Line, place.Column = d.position(at)
	d.out.Decisions = append(d.out.Decisions, Decision{place, decision})
}

// Lock returns what decided the changes so far.
func (w *Rewriter) Lock() *Lock { return w.seen.lock() }
