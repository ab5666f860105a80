package openshift

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	imagev1 "github.com/openshift/api/image/v1"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Error returns err as an error of both sides: errors.As finds an [*imagestream.StatusError] in it and an
// [apierrors.APIStatus], so that errors.Is with the classes of package imagestream and apimachinery's IsNotFound and
// the like agree. Its text is that of err, and it wraps err.
//
// Err may come from this library or from a cluster, and may be wrapped: the outermost failure of the API in it counts,
// with its fields or causes and its time to wait. An error that is of a class of package imagestream without being a
// StatusError, as a Store's may be, gets the reason of that class. A status without a known reason has the one of its
// code. Any other error, nil, and a result of Error are returned as they are.
func Error(err error) error { return errorAbout(err, "", imagestream.Key{}) }

// errorAbout is Error for the failure of a request that concerned that resource; it fills in what a status leaves out.
func errorAbout(err error, resource string, key imagestream.Key) error {
	if err == nil {
		return nil
	}
	switch own, status := outermost(err); {
	case own != nil:
		return &bothError{err: err, own: own, status: statusOf(own)}
	case status == nil:
		if own = ofClass(err, resource, key); own == nil {
			return err
		}
		wire := statusOf(own)
		wire.Message = err.Error()
		return &bothError{err: err, own: own, status: wire}
	default:
		if _, done := status.(*bothError); done {
			return err
		}
		return &bothError{err: err, own: ownOf(status.Status(), resource, key), status: status.Status()}
	}
}

// bothError is a failure as the library and as apimachinery have it.
type bothError struct {
	err    error
	own    *imagestream.StatusError
	status metav1.Status
}

func (e *bothError) Error() string         { return e.err.Error() }
func (e *bothError) Status() metav1.Status { return *e.status.DeepCopy() }
func (e *bothError) Unwrap() []error       { return []error{e.own, e.err} }

// outermost returns the first failure of the API in the tree of err, in the order of errors.As. One result is nil.
func outermost(err error) (*imagestream.StatusError, apierrors.APIStatus) {
	switch e := err.(type) {
	case *imagestream.StatusError:
		return e, nil
	case apierrors.APIStatus:
		return nil, e
	case interface{ Unwrap() error }:
		return outermost(e.Unwrap())
	case interface{ Unwrap() []error }:
		for _, err := range e.Unwrap() {
			if own, status := outermost(err); own != nil || status != nil {
				return own, status
			}
		}
	}
	return nil, nil
}

// statusOf returns e as the API sends it.
func statusOf(e *imagestream.StatusError) metav1.Status {
	from := e.Status()
	to := metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: from.Kind, APIVersion: from.APIVersion},
		Status:   from.Status, Message: from.Message, Reason: metav1.StatusReason(from.Reason), Code: codeOf(from),
	}
	if d := from.Details; d != nil {
		to.Details = &metav1.StatusDetails{
			Name: d.Name, Group: d.Group, Kind: d.Kind, UID: types.UID(d.UID), RetryAfterSeconds: d.RetryAfterSeconds,
		}
		for _, c := range d.Causes {
			cause := metav1.StatusCause{Type: metav1.CauseType(c.Type), Message: c.Message, Field: c.Field}
			to.Details.Causes = append(to.Details.Causes, cause)
		}
	}
	return to
}

// codeOf returns the code of a status, also of a reason that only clusters give.
func codeOf(s imagestream.Status) int32 {
	switch metav1.StatusReason(s.Reason) {
	case metav1.StatusReasonTimeout:
		return http.StatusGatewayTimeout
	case metav1.StatusReasonNotAcceptable:
		return http.StatusNotAcceptable
	case metav1.StatusReasonUnsupportedMediaType:
		return http.StatusUnsupportedMediaType
	}
	return s.Code
}

// reasonsOfClasses are those that an error has which is of a class and not a StatusError.
var reasonsOfClasses = []struct {
	class  error
	reason imagestream.StatusReason
}{
	{imagestream.ErrNotFound, imagestream.ReasonNotFound},
	{imagestream.ErrAlreadyExists, imagestream.ReasonAlreadyExists},
	{imagestream.ErrConflict, imagestream.ReasonConflict},
	{imagestream.ErrGone, imagestream.ReasonExpired},
	{imagestream.ErrInvalid, imagestream.ReasonInvalid},
	{imagestream.ErrForbidden, imagestream.ReasonForbidden},
	{imagestream.ErrTooLarge, imagestream.ReasonTooLarge},
	{imagestream.ErrUnsupported, imagestream.ReasonMethodNotAllowed},
}

// ofClass returns the failure that an error of one of the library's classes is; nil if it is of none.
func ofClass(err error, resource string, key imagestream.Key) *imagestream.StatusError {
	for _, r := range reasonsOfClasses {
		if errors.Is(err, r.class) {
			own := imagestream.NewError(r.reason, resource, key, "")
			own.Err = err
			return own
		}
	}
	return nil
}

// ownOf returns a cluster's status as a failure of the library. What details leave out is that of the request.
func ownOf(s metav1.Status, resource string, key imagestream.Key) *imagestream.StatusError {
	own := imagestream.NewError(reasonOf(s), resource, key, "")
	if d := s.Details; d != nil {
		own.Resource = cmp.Or(resourceOf(d.Kind, d.Group), resource)
		own.Key.Name = cmp.Or(d.Name, key.Name)
		own.RetryAfter = time.Duration(d.RetryAfterSeconds) * time.Second
		if own.Reason == imagestream.ReasonInvalid {
			own.Errors = fieldErrors(d.Causes)
		}
	}
	if len(own.Errors) == 0 {
		own.Message = s.Message
		begin := strings.TrimSuffix(own.Status().Message, s.Message) // what the library begins every text with
		own.Message = strings.TrimPrefix(s.Message, begin)
		if s.Message == strings.TrimSuffix(begin, ": ") {
			own.Message = ""
		}
	}
	return own
}

// worded are the classes of field errors whose texts begin with the name of the class.
var worded = []field.ErrorType{
	field.ErrorTypeNotFound, field.ErrorTypeRequired, field.ErrorTypeDuplicate, field.ErrorTypeInvalid,
	field.ErrorTypeForbidden, field.ErrorTypeTooLong, field.ErrorTypeInternal,
}

func fieldErrors(causes []metav1.StatusCause) imagestream.ErrorList {
	var errs imagestream.ErrorList
	for _, c := range causes {
		detail := c.Message
		if class := field.ErrorType(c.Type); slices.Contains(worded, class) {
			detail = strings.TrimPrefix(detail, class.String()+": ")
		}
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldErrorType(c.Type), Field: c.Field, Detail: detail,
		})
	}
	return errs
}

// kindOf returns the kind of the objects of a resource, or of the resource of a subresource.
func kindOf(resource string) string {
	resource, _, _ = strings.Cut(resource, "/")
	for kind, of := range resourcesOfKinds {
		if of == resource {
			return kind
		}
	}
	return ""
}

// resourceOf returns the resource that the details of a status name, by its kind too, as those of wrong fields do.
func resourceOf(kind, group string) string {
	if resource, ok := resourcesOfKinds[kind]; ok && (group == imagev1.GroupName || group == "") {
		return resource
	}
	if kind == "" || group == "" || group == imagev1.GroupName {
		return kind
	}
	return kind + "." + group
}

var resourcesOfKinds = map[string]string{
	"ImageStream":        imagestream.ResourceImageStreams,
	"ImageStreamTag":     imagestream.ResourceImageStreamTags,
	"ImageTag":           imagestream.ResourceImageTags,
	"ImageStreamImage":   imagestream.ResourceImageStreamImages,
	"ImageStreamMapping": imagestream.ResourceImageStreamMappings,
	"ImageStreamImport":  imagestream.ResourceImageStreamImports,
	"Image":              imagestream.ResourceImages,
	"ImageSignature":     imagestream.ResourceImageSignatures,
}

// reasonsOfCodes are those that apimachinery's functions take a status to have that gives no reason they know.
var reasonsOfCodes = map[int32]imagestream.StatusReason{
	http.StatusBadRequest:            imagestream.ReasonBadRequest,
	http.StatusUnauthorized:          imagestream.ReasonUnauthorized,
	http.StatusForbidden:             imagestream.ReasonForbidden,
	http.StatusNotFound:              imagestream.ReasonNotFound,
	http.StatusMethodNotAllowed:      imagestream.ReasonMethodNotAllowed,
	http.StatusConflict:              imagestream.ReasonConflict,
	http.StatusGone:                  imagestream.ReasonGone,
	http.StatusRequestEntityTooLarge: imagestream.ReasonTooLarge,
	http.StatusUnprocessableEntity:   imagestream.ReasonInvalid,
	http.StatusTooManyRequests:       imagestream.ReasonTooManyRequests,
	http.StatusInternalServerError:   imagestream.ReasonInternalError,
	http.StatusServiceUnavailable:    imagestream.ReasonUnavailable,
}

// reasonOf returns the reason of a status; if apimachinery does not know it, that of its code.
func reasonOf(s metav1.Status) imagestream.StatusReason {
	probe := metav1.Status{Reason: s.Reason, Code: http.StatusNotFound} // a code counts only beside an unknown reason
	unknown := s.Reason != metav1.StatusReasonNotFound && apierrors.IsNotFound(&apierrors.StatusError{ErrStatus: probe})
	if reason, ok := reasonsOfCodes[s.Code]; ok && unknown {
		return reason
	}
	return imagestream.StatusReason(s.Reason)
}
