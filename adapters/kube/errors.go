package kube

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/imagestream"
)

// reasonTimeout is a reason that only clusters give.
const reasonTimeout = imagestream.StatusReason(metav1.StatusReasonTimeout)

func (k kind[T]) fail(reason imagestream.StatusReason, key imagestream.Key, message string) error {
	return imagestream.NewError(reason, k.resource, key, message)
}

// badName says why an object cannot be stored under its name.
func (k kind[T]) badName(key imagestream.Key) error {
	e := &imagestream.FieldError{Type: imagestream.FieldInvalid, Field: "metadata.name", Value: key.Name}
	switch _, ok := toKube(key.Name, k.separators); {
	case ok:
		return k.badNamespace(key)
	case k.spaced:
		e.Detail = "a Kubernetes cluster holds names of lower-case letters and digits, joined by single dots, dashes or " +
			"underscores, at most 253, where an underscore counts twice"
	default:
		e.Detail = "a Kubernetes cluster holds names of lower-case letters and digits, joined by single dots, colons, " +
			"dashes, underscores or pluses, at most 253, where a dash counts twice, an underscore three times, a plus four times"
	}
	return imagestream.ErrorList{e}.Of(k.resource, key)
}

// badNamespace says why nothing can be stored in a namespace.
func (k kind[T]) badNamespace(key imagestream.Key) error {
	return imagestream.ErrorList{{
		Type: imagestream.FieldInvalid, Field: "metadata.namespace", Value: key.Namespace,
		Detail: "a namespace of Kubernetes is lower-case letters, digits and inner dashes, at most 63",
	}}.Of(k.resource, key)
}

// failure returns the error of a request that concerned an object, or all of them.
func (k kind[T]) failure(ctx context.Context, key imagestream.Key, err error) error {
	if ended := ctx.Err(); ended != nil {
		return ended
	}
	about := k.resource
	if key != (imagestream.Key{}) {
		about = fmt.Sprintf("%s %q", about, strings.TrimPrefix(key.String(), "/"))
	}
	var api apierrors.APIStatus
	if !errors.As(err, &api) {
		return fmt.Errorf("%s: %w", about, err)
	}
	s := api.Status()
	reason := reasonOf(s)
	var details metav1.StatusDetails
	if s.Details != nil {
		details = *s.Details
	}
	switch {
	case reason == imagestream.ReasonNotFound && details.Kind == "namespaces":
		return imagestream.NewError(reason, "namespaces", imagestream.Key{Name: key.Namespace},
			"create the namespace before its first image stream")
	case reason == imagestream.ReasonNotFound && (details.Name == "" || len(details.Causes) > 0):
		return fmt.Errorf("%s: %w", about, ErrDefinitions)
	case reason == imagestream.ReasonBadRequest && strings.Contains(s.Message, "strict decoding error"):
		return fmt.Errorf("%s: %w: those that it has are older than this program: %s", about, ErrDefinitions, s.Message)
	case reason == imagestream.ReasonTooLarge || isTooLarge(s.Message):
		return k.fail(imagestream.ReasonTooLarge, key,
			"etcd takes 1.5 MiB for an object and the API server 3 MiB for a request, by default: "+s.Message)
	}
	own := imagestream.NewError(reason, k.resource, key, "")
	own.RetryAfter = time.Duration(details.RetryAfterSeconds) * time.Second
	for _, c := range details.Causes {
		if reason == imagestream.ReasonInvalid {
			own.Errors = append(own.Errors, &imagestream.FieldError{
				Type: imagestream.FieldErrorType(c.Type), Field: c.Field, Detail: c.Message,
			})
		}
	}
	if len(own.Errors) == 0 && reason != imagestream.ReasonNotFound && reason != imagestream.ReasonAlreadyExists {
		own.Message = s.Message
		if _, after, ok := strings.Cut(s.Message, `": `); ok && reason == imagestream.ReasonConflict {
			own.Message = after
		}
		if _, after, ok := strings.Cut(s.Message, "is forbidden: "); ok && reason == imagestream.ReasonForbidden {
			own.Message = after
		}
	}
	return own
}

// isTooLarge reports whether a message says that etcd refuses the size of an object, which the API server passes on
// as an internal error.
func isTooLarge(message string) bool {
	return strings.Contains(message, "etcdserver: request is too large") ||
		strings.Contains(message, "trying to send message larger than max")
}

// reasonOf returns the reason of a status; that of its code if it has none.
func reasonOf(s metav1.Status) imagestream.StatusReason {
	if s.Reason != "" && s.Reason != metav1.StatusReasonUnknown {
		return imagestream.StatusReason(s.Reason)
	}
	switch s.Code {
	case http.StatusUnauthorized:
		return imagestream.ReasonUnauthorized
	case http.StatusForbidden:
		return imagestream.ReasonForbidden
	case http.StatusNotFound:
		return imagestream.ReasonNotFound
	case http.StatusConflict:
		return imagestream.ReasonConflict
	case http.StatusGone:
		return imagestream.ReasonGone
	case http.StatusRequestEntityTooLarge:
		return imagestream.ReasonTooLarge
	case http.StatusUnprocessableEntity:
		return imagestream.ReasonInvalid
	case http.StatusTooManyRequests:
		return imagestream.ReasonTooManyRequests
	case http.StatusServiceUnavailable:
		return imagestream.ReasonUnavailable
	}
	return imagestream.ReasonInternalError
}
