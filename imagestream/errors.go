package imagestream

import (
	"errors"
	"fmt"
	"strings"
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
	ReasonUnknown         StatusReason = ""                      // 500
	ReasonBadRequest      StatusReason = "BadRequest"            // 400
	ReasonUnauthorized    StatusReason = "Unauthorized"          // 401
	ReasonForbidden       StatusReason = "Forbidden"             // 403
	ReasonNotFound        StatusReason = "NotFound"              // 404
	ReasonAlreadyExists   StatusReason = "AlreadyExists"         // 409
	ReasonConflict        StatusReason = "Conflict"              // 409
	ReasonGone            StatusReason = "Gone"                  // 410
	ReasonExpired         StatusReason = "Expired"               // 410
	ReasonTooLarge        StatusReason = "RequestEntityTooLarge" // 413
	ReasonInvalid         StatusReason = "Invalid"               // 422
	ReasonTooManyRequests StatusReason = "TooManyRequests"       // 429
	ReasonInternalError   StatusReason = "InternalError"         // 500
	ReasonServerTimeout   StatusReason = "ServerTimeout"         // 500
	ReasonUnavailable     StatusReason = "ServiceUnavailable"    // 503
)

var codes = map[StatusReason]int32{
	ReasonBadRequest: 400, ReasonUnauthorized: 401, ReasonForbidden: 403, ReasonNotFound: 404, ReasonAlreadyExists: 409,
	ReasonConflict: 409, ReasonGone: 410, ReasonExpired: 410, ReasonTooLarge: 413, ReasonInvalid: 422,
	ReasonTooManyRequests: 429, ReasonUnavailable: 503,
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
// has.
var (
	ErrNotFound      = errors.New("not found")
	ErrAlreadyExists = errors.New("already exists")
	ErrConflict      = errors.New("changed by somebody else meanwhile")
	ErrGone          = errors.New("no longer available")
	ErrInvalid       = errors.New("invalid")
	ErrForbidden     = errors.New("forbidden")
	ErrTooLarge      = errors.New("too large")
)

var classes = map[StatusReason]error{
	ReasonNotFound: ErrNotFound, ReasonAlreadyExists: ErrAlreadyExists, ReasonConflict: ErrConflict, ReasonGone: ErrGone,
	ReasonExpired: ErrGone, ReasonInvalid: ErrInvalid, ReasonForbidden: ErrForbidden, ReasonTooLarge: ErrTooLarge,
}

// The kinds of resource that errors speak of.
const (
	ResourceImageStreams = "imagestreams"
	ResourceImages       = "images"
)

// StatusError is a failure of the API: the one error type of stores, views and the client.
type StatusError struct {
	Reason StatusReason
	// Resource and Name say what the request was about: "imagestreams", "ns/app". Both may be empty.
	Resource, Name string
	// Message is a sentence of what is wrong and what would be right.
	Message string
	// Errors are the wrong fields, with ReasonInvalid.
	Errors ErrorList
	// Err is the cause, if there is one.
	Err error
}

// NewError returns a failure of class reason that concerns the named resource.
func NewError(reason StatusReason, resource, name, message string) *StatusError {
	return &StatusError{Reason: reason, Resource: resource, Name: name, Message: message}
}

// NewInvalid returns the failure of a request with wrong fields.
func NewInvalid(resource, name string, errs ErrorList) *StatusError {
	return &StatusError{Reason: ReasonInvalid, Resource: resource, Name: name, Errors: errs}
}

func (e *StatusError) Error() string {
	var b strings.Builder
	if e.Resource != "" {
		fmt.Fprintf(&b, "%s %q: ", e.Resource, e.Name)
	}
	switch class := classes[e.Reason]; {
	case class != nil:
		b.WriteString(class.Error())
	case e.Reason != "":
		b.WriteString(string(e.Reason))
	default:
		b.WriteString("failed")
	}
	if e.Message != "" {
		b.WriteString(": " + e.Message)
	}
	if len(e.Errors) > 0 {
		b.WriteString(": " + e.Errors.Error())
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Is reports whether target is the class of e.
func (e *StatusError) Is(target error) bool {
	class := classes[e.Reason]
	return class != nil && class == target
}

// Unwrap returns the cause of e.
func (e *StatusError) Unwrap() error { return e.Err }

// Status returns e as the API sends it.
func (e *StatusError) Status() Status {
	s := Status{Status: StatusFailure, Message: e.Error(), Reason: e.Reason, Code: e.Reason.Code()}
	if e.Resource == "" && len(e.Errors) == 0 {
		return s
	}
	s.Details = &StatusDetails{Name: e.Name, Group: "image.openshift.io", Kind: e.Resource}
	for _, f := range e.Errors {
		s.Details.Causes = append(s.Details.Causes, StatusCause{Type: f.Type, Message: f.Detail, Field: f.Field})
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
	FieldTooLong   FieldErrorType = "FieldValueTooLong"
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
}

func (e *FieldError) Error() string {
	switch {
	case e.Value == nil || e.Value == "":
		return fmt.Sprintf("%s: %s", e.Field, e.Detail)
	default:
		return fmt.Sprintf("%s: %q: %s", e.Field, fmt.Sprint(e.Value), e.Detail)
	}
}

// ErrorList is every wrong field of an object. Empty means that the object is right.
type ErrorList []*FieldError

func (l ErrorList) Error() string {
	texts := make([]string, len(l))
	for i, e := range l {
		texts[i] = e.Error()
	}
	return strings.Join(texts, "; ")
}
