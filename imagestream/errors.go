package imagestream

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Status is an answer of the API that is no object: as a rule, that something failed.
type Status struct {
	TypeMeta
	Metadata ListMeta       `json:"metadata"`
	Status   string         `json:"status,omitempty"`
	Message  string         `json:"message,omitempty"`
	Reason   StatusReason   `json:"reason,omitempty"`
	Details  *StatusDetails `json:"details,omitempty"`
	Code     int32          `json:"code,omitempty"`
}

// The values of Status.Status.
const (
	StatusSuccess = "Success"
	StatusFailure = "Failure"
)

// StatusDetails tells more about a failure.
type StatusDetails struct {
	Name              string        `json:"name,omitempty"`
	Group             string        `json:"group,omitempty"`
	Kind              string        `json:"kind,omitempty"`
	UID               string        `json:"uid,omitempty"`
	Causes            []StatusCause `json:"causes,omitempty"`
	RetryAfterSeconds int32         `json:"retryAfterSeconds,omitempty"`
}

// StatusCause is one wrong field of a request.
type StatusCause struct {
	Type    FieldErrorType `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"`
	Field   string         `json:"field,omitempty"`
}

// StatusReason is the class of a failure.
type StatusReason string

// The reasons that this library gives, with their HTTP codes.
const (
	ReasonBadRequest       StatusReason = "BadRequest"            // 400
	ReasonUnauthorized     StatusReason = "Unauthorized"          // 401
	ReasonForbidden        StatusReason = "Forbidden"             // 403
	ReasonNotFound         StatusReason = "NotFound"              // 404
	ReasonMethodNotAllowed StatusReason = "MethodNotAllowed"      // 405
	ReasonAlreadyExists    StatusReason = "AlreadyExists"         // 409
	ReasonConflict         StatusReason = "Conflict"              // 409
	ReasonGone             StatusReason = "Gone"                  // 410
	ReasonExpired          StatusReason = "Expired"               // 410
	ReasonTooLarge         StatusReason = "RequestEntityTooLarge" // 413
	ReasonInvalid          StatusReason = "Invalid"               // 422
	ReasonTooManyRequests  StatusReason = "TooManyRequests"       // 429
	ReasonInternalError    StatusReason = "InternalError"         // 500
	ReasonServerTimeout    StatusReason = "ServerTimeout"         // 500
	ReasonUnavailable      StatusReason = "ServiceUnavailable"    // 503
)

var codes = map[StatusReason]int32{
	ReasonBadRequest:       400,
	ReasonUnauthorized:     401,
	ReasonForbidden:        403,
	ReasonNotFound:         404,
	ReasonMethodNotAllowed: 405,
	ReasonAlreadyExists:    409,
	ReasonConflict:         409,
	ReasonGone:             410,
	ReasonExpired:          410,
	ReasonTooLarge:         413,
	ReasonInvalid:          422,
	ReasonTooManyRequests:  429,
	ReasonUnavailable:      503,
}

// Code returns the HTTP code that goes with r; 500 where there is none of its own.
func (r StatusReason) Code() int32 {
	if code, ok := codes[r]; ok {
		return code
	}
	return 500
}

// The classes of failure that callers tell apart, with errors.Is. A [StatusError] is of the class that its
// reason says. ErrGone stands for Gone and Expired: a resource version or a page that the store no longer
// has; ErrUnsupported for what an implementation of the API cannot do.
var (
	ErrNotFound      = errors.New("not found")
	ErrAlreadyExists = errors.New("already exists")
	ErrConflict      = errors.New("changed by somebody else meanwhile")
	ErrGone          = errors.New("no longer available")
	ErrInvalid       = errors.New("invalid")
	ErrForbidden     = errors.New("forbidden")
	ErrTooLarge      = errors.New("too large")
	ErrUnsupported   = errors.New("not supported")
)

var classes = map[StatusReason]error{
	ReasonNotFound: ErrNotFound, ReasonAlreadyExists: ErrAlreadyExists, ReasonConflict: ErrConflict, ReasonGone: ErrGone,
	ReasonExpired: ErrGone, ReasonInvalid: ErrInvalid, ReasonForbidden: ErrForbidden, ReasonTooLarge: ErrTooLarge,
	ReasonMethodNotAllowed: ErrUnsupported,
}

// StatusError is a failure of the API: the one error type of stores, views and the client.
//
// Its text begins as the real API words a failure of its reason, since programs look for that, and our own
// words follow: `imagestreams.image.openshift.io "app" not found in namespace "shop"`.
type StatusError struct {
	Reason StatusReason
	// Resource and Key say what the request was about: "imagestreams", shop/app. Both may be empty; the
	// namespace is, for what belongs to none. A resource of another API has its group behind it, "deployments.apps".
	Resource string
	Key      Key
	// Message is a sentence of what is wrong and what would be right.
	Message string
	// Errors are the wrong fields, with ReasonInvalid.
	Errors ErrorList
	// RetryAfter is how long to wait before trying again, where that is known; the wire has whole seconds.
	RetryAfter time.Duration
	// Err is the cause, if there is one.
	Err error
}

// NewError returns a failure of class reason that concerns the resource of that key.
func NewError(reason StatusReason, resource string, key Key, message string) *StatusError {
	return &StatusError{Reason: reason, Resource: resource, Key: key, Message: message}
}

func (e *StatusError) Error() string { return e.text(true) }

// text words e. The API's own texts leave out the namespace.
func (e *StatusError) text(namespace bool) string {
	begin := e.beginning()
	if namespace && e.Key.Namespace != "" && begin != "" {
		begin += fmt.Sprintf(" in namespace %q", e.Key.Namespace)
	}
	message := e.Message
	if message == "" && e.Err == nil && len(e.Errors) == 0 {
		message = defaultMessages[e.Reason]
	}
	var parts []string
	fields := e.Errors.String()
	if !namespace {
		fields = e.Errors.wire()
	}
	for _, part := range [...]string{begin, message, fields} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Err != nil {
		parts = append(parts, e.Err.Error())
	}
	return strings.Join(parts, ": ")
}

// defaultMessages end the texts of failures that say nothing else, and whose beginning does not stand alone.
var defaultMessages = map[StatusReason]string{
	ReasonConflict:         "the object has been modified; please apply your changes to the latest version and try again",
	"":                     "failed",
	ReasonGone:             "no longer available",
	ReasonExpired:          "no longer available: list again",
	ReasonTooLarge:         "the object is too large",
	ReasonUnauthorized:     "credentials are missing or wrong",
	ReasonBadRequest:       "the request is wrong",
	ReasonTooManyRequests:  "too many requests: try again later",
	ReasonServerTimeout:    "try again",
	ReasonMethodNotAllowed: "this is not supported",
	ReasonUnavailable:      "the service is unavailable",
}

// beginning is how the real API begins its message about a failure of that reason; empty where it leaves the
// whole message to what failed.
func (e *StatusError) beginning() string {
	if e.Resource == "" {
		switch e.Reason {
		case ReasonInternalError:
			return "Internal error occurred"
		case ReasonNotFound, ReasonAlreadyExists, ReasonInvalid, ReasonForbidden:
			return classes[e.Reason].Error()
		}
		return ""
	}
	name := fmt.Sprintf("%s %q", qualified(e.Resource, e.Resource), e.Key.Name)
	switch e.Reason {
	case ReasonNotFound:
		return name + " not found"
	case ReasonAlreadyExists:
		return name + " already exists"
	case ReasonForbidden:
		return name + " is forbidden"
	case ReasonInvalid:
		return fmt.Sprintf("%s %q is invalid", qualified(kindOf(e.Resource), e.Resource), e.Key.Name)
	case ReasonConflict:
		return "Operation cannot be fulfilled on " + name
	case ReasonInternalError:
		return "Internal error occurred"
	case ReasonServerTimeout:
		return fmt.Sprintf(
			"The operation on %s could not be completed at this time, please try again",
			qualified(e.Resource, e.Resource),
		)
	}
	if e.Key.Name == "" {
		return qualified(e.Resource, e.Resource)
	}
	return name
}

// qualified returns a resource of the API, or its kind, with the API's group; another name as it is. A
// subresource is its resource's.
func qualified(name, resource string) string {
	if groupOf(resource) == "" {
		return name
	}
	name, _, _ = strings.Cut(name, "/")
	return name + "." + apiGroup
}

// Is reports whether target is the class of e.
func (e *StatusError) Is(target error) bool {
	class := classes[e.Reason]
	return class != nil && class == target
}

// Unwrap returns the cause of e.
func (e *StatusError) Unwrap() error { return e.Err }

// Status returns e as the API sends it. Details name the object without its namespace.
func (e *StatusError) Status() Status {
	s := Status{
		TypeMeta: TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   StatusFailure, Message: e.text(false), Reason: e.Reason, Code: e.Reason.Code(),
	}
	if e.Resource == "" && len(e.Errors) == 0 && e.RetryAfter <= 0 {
		return s
	}
	s.Details = &StatusDetails{Name: e.Key.Name, Group: groupOf(e.Resource), Kind: resourceOf(e.Resource)}
	if e.RetryAfter > 0 {
		s.Details.RetryAfterSeconds = int32(min((e.RetryAfter+time.Second-1)/time.Second, math.MaxInt32))
	}
	if e.Reason == ReasonInvalid {
		s.Details.Kind = kindOf(e.Resource)
	}
	for _, f := range e.Errors {
		s.Details.Causes = append(s.Details.Causes, StatusCause{Type: f.Type, Message: f.wire(), Field: f.Field})
	}
	return s
}

// FieldErrorType is the class of a [FieldError].
type FieldErrorType string

// The classes of field errors, by the names that the API gives them.
const (
	FieldRequired  FieldErrorType = "FieldValueRequired"
	FieldInvalid   FieldErrorType = "FieldValueInvalid"
	FieldForbidden FieldErrorType = "FieldValueForbidden"
	FieldNotFound  FieldErrorType = "FieldValueNotFound"
	FieldDuplicate FieldErrorType = "FieldValueDuplicate"
	fieldTooLong   FieldErrorType = "FieldValueTooLong"
	FieldInternal  FieldErrorType = "InternalError"
)

// FieldError says what is wrong with one field of an object.
type FieldError struct {
	Type FieldErrorType
	// Field is the path of the field, "spec.tags[latest].from.name". Tag names stand in it as they are.
	Field string
	// Value is the wrong value; nil if there is none to show.
	Value any
	// Detail is a sentence of what is wrong and what would be right.
	Detail string

	step step // that found it
}

// step is the part of a transition that found an error, where that matters.
type step string

const (
	stepSources step = "sources" // verifying and resolving what tags come from
	stepLimits  step = "limits"
)

func (e *FieldError) Error() string { return e.Field + ": " + e.message() }

// message is the text of e without its field.
func (e *FieldError) message() string {
	if e.Value == nil || e.Value == "" {
		return e.Detail
	}
	return fmt.Sprintf("%q: %s", fmt.Sprint(e.Value), e.Detail)
}

// fieldWords are the words that the API begins its texts about a field with, by class.
var fieldWords = map[FieldErrorType]string{
	FieldRequired: "Required value", FieldInvalid: "Invalid value", FieldForbidden: "Forbidden", FieldNotFound: "Not found",
	FieldDuplicate: "Duplicate value", fieldTooLong: "Too long", FieldInternal: "Internal error",
}

// wire is message as the API sends it, which programs look for and oc prints.
func (e *FieldError) wire() string {
	if words := fieldWords[e.Type]; words != "" {
		return words + ": " + e.message()
	}
	return e.message()
}

// ErrorList is every wrong field of an object: data, and no error. Empty means that the object is right.
type ErrorList []*FieldError

// Err returns an error of class [ErrInvalid] with the fields of l; nil if l is empty.
func (l ErrorList) Err() error {
	if len(l) == 0 {
		return nil
	}
	return &StatusError{Reason: ReasonInvalid, Errors: l}
}

// Wrapped returns l as the API answers an import: the errors of verifying and resolving what tags come from are
// one error, of class [FieldInternal], with the odd field "[]" and all their texts. The rest of l stays as it is.
// See conformance case import-132, where the error is one of limits.
func (l ErrorList) Wrapped() ErrorList {
	var sources, rest ErrorList
	for _, e := range l {
		if e.step == stepSources {
			sources = append(sources, e)
		} else {
			rest = append(rest, e)
		}
	}
	if len(sources) == 0 {
		return l
	}
	return append(ErrorList{{Type: FieldInternal, Field: wrappedField, Detail: sources.String()}}, rest...)
}

// wrappedField is where the API reports errors that it has wrapped: limits on a create or an update, sources on an
// import.
const wrappedField = "[]"

// Of returns the failure of a request with these wrong fields, which concerns the resource of that key.
func (l ErrorList) Of(resource string, key Key) *StatusError {
	return &StatusError{Reason: ReasonInvalid, Resource: resource, Key: key, Errors: l}
}

// String lists the fields with what is wrong with them, separated by semicolons.
func (l ErrorList) String() string { return l.text((*FieldError).message) }

// wire is String as the API sends it.
func (l ErrorList) wire() string { return l.text((*FieldError).wire) }

func (l ErrorList) text(message func(*FieldError) string) string {
	texts := make([]string, len(l))
	for i, e := range l {
		texts[i] = e.Field + ": " + message(e)
	}
	return strings.Join(texts, "; ")
}
