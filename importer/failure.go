package importer

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// ErrFailed is the class of error of an import that was answered but did not import everything.
var ErrFailed = errors.New("not imported")

// TagError says why a tag could not be imported.
type TagError struct {
	// Tag is the tag of the stream, or "" for an image without one. From is the pull spec, or the repository.
	Tag, From string
	// Class is the class of the registry's failure. It is "" if the registry did not fail, and if the answer comes
	// from a real cluster, which does not tell.
	Class Class
	// RetryAfter is how long the registry asks to wait, or 0.
	RetryAfter time.Duration
	// Message is the sentence that the tag's condition shows.
	Message string
	// Err is the cause: a *[RegistryError], or nil if Class is "".
	Err error
}

// Error returns the tag, or else the pull spec, and the message.
func (e *TagError) Error() string {
	if e.Tag != "" {
		return "tag " + e.Tag + ": " + e.Message
	}
	return e.From + ": " + e.Message
}

// Unwrap returns the cause.
func (e *TagError) Unwrap() error { return e.Err }

// failure is the error of an import.
type failure []*TagError

func (f failure) Error() string {
	texts := make([]string, len(f))
	for i, e := range f {
		texts[i] = e.Error()
	}
	return ErrFailed.Error() + ": " + strings.Join(texts, "; ")
}

func (f failure) Unwrap() []error {
	all := []error{ErrFailed}
	for _, e := range f {
		all = append(all, e)
	}
	return all
}

// Failure returns the [Failures] of an answered import as one error of class [ErrFailed], or nil if everything was
// imported. errors.As finds the first [TagError] and [RegistryError] in it.
func Failure(done *imagestream.ImageStreamImport) error {
	if failed := Failures(done); failed != nil {
		return failure(failed)
	}
	return nil
}

// Failures returns an error for each image of an answered import that could not be imported, then for each tag of
// the repository, or for the repository.
func Failures(done *imagestream.ImageStreamImport) []*TagError {
	var failed []*TagError
	for i, image := range done.Status.Images {
		from, tag := "", ""
		if i < len(done.Spec.Images) {
			spec := done.Spec.Images[i]
			from = spec.From.Name
			if spec.To != nil {
				tag = spec.To.Name
			}
		}
		e := tagErrorOf(image.Status)
		if e == nil && image.Image == nil && isRefused(done.Status.Import, tag) {
			e = &TagError{Class: ClassUnauthorized,
				Message: "it can only be read with credentials that the registry refuses for another image"}
		}
		if e != nil {
			e.Tag, e.From = tag, from
			failed = append(failed, e)
		}
	}
	if r := done.Status.Repository; r != nil && done.Spec.Repository != nil {
		from := done.Spec.Repository.From.Name
		before := len(failed)
		for _, image := range r.Images {
			if e := tagErrorOf(image.Status); e != nil {
				e.Tag, e.From = image.Tag, from+":"+image.Tag
				failed = append(failed, e)
			}
		}
		if e := tagErrorOf(r.Status); e != nil && len(failed) == before {
			e.From = from
			failed = append(failed, e)
		}
	}
	return failed
}

// tagErrorOf returns the error that a status stands for, or nil.
func tagErrorOf(s imagestream.Status) *TagError {
	if s.Status != imagestream.StatusFailure {
		return nil
	}
	e := &TagError{Message: s.Message, Class: classOfReason[s.Reason]}
	if cause := registryErrorOf(s.Details); cause != nil {
		e.Class, e.RetryAfter, e.Err = cause.Class, cause.RetryAfter, cause
	}
	return e
}

// isRefused reports whether a stream has a condition for a tag though its import is called a success. See conformance
// case import-115: the image needed credentials, which were then left out for another image.
func isRefused(stream *imagestream.ImageStream, tag string) bool {
	if stream == nil {
		return false
	}
	h, _ := stream.History(tag)
	return slices.ContainsFunc(h.Conditions, func(c tagevent.Condition) bool {
		return c.Type == tagevent.ImportSuccess && c.Status == tagevent.ConditionFalse && c.Reason == ""
	})
}

var classOfReason = map[imagestream.StatusReason]Class{
	imagestream.ReasonNotFound: ClassNotFound, imagestream.ReasonUnauthorized: ClassUnauthorized,
	imagestream.ReasonForbidden: ClassForbidden,
	imagestream.ReasonInvalid:   ClassInvalid, imagestream.ReasonTooManyRequests: ClassTooManyRequests,
}

// registryKind marks the details of a status that come from a registry's failure.
const registryKind = "RegistryError"

// detailsOf returns the details of a status that say what the failure says, so that a client finds it again, also over
// HTTP.
func detailsOf(e *RegistryError) *imagestream.StatusDetails {
	d := &imagestream.StatusDetails{Kind: registryKind, Name: e.Repository,
		RetryAfterSeconds: int32((e.RetryAfter + time.Second - 1) / time.Second)}
	add := func(field, value string) {
		if value != "" {
			d.Causes = append(d.Causes, imagestream.StatusCause{Field: field, Message: value})
		}
	}
	add("class", string(e.Class))
	add("operation", string(e.Operation))
	add("reference", e.Reference)
	if e.StatusCode != 0 {
		add("statusCode", strconv.Itoa(e.StatusCode))
	}
	for _, code := range e.Codes {
		add("code", code)
	}
	add("details", e.Details)
	add("text", e.Text)
	add("challenge", e.Challenge)
	if e.WrongPassword {
		add("wrongPassword", "true")
	}
	if e.Err != nil {
		add("cause", e.Err.Error())
	}
	return d
}

// registryErrorOf reads what detailsOf wrote. Only the text of the cause is left.
func registryErrorOf(d *imagestream.StatusDetails) *RegistryError {
	if d == nil || d.Kind != registryKind {
		return nil
	}
	e := &RegistryError{Repository: d.Name, RetryAfter: time.Duration(d.RetryAfterSeconds) * time.Second}
	for _, c := range d.Causes {
		switch c.Field {
		case "class":
			e.Class = Class(c.Message)
		case "operation":
			e.Operation = Operation(c.Message)
		case "reference":
			e.Reference = c.Message
		case "statusCode":
			e.StatusCode, _ = strconv.Atoi(c.Message) // one that is not a number is none
		case "code":
			e.Codes = append(e.Codes, c.Message)
		case "details":
			e.Details = c.Message
		case "text":
			e.Text = c.Message
		case "challenge":
			e.Challenge = c.Message
		case "wrongPassword":
			e.WrongPassword = true
		case "cause":
			e.Err = errors.New(c.Message)
		}
	}
	return e
}
