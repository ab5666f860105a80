package importer

import (
	"errors"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
)

// StatusOf returns the status of an image that could not be imported because of err: its reason is NotFound,
// Unauthorized, Forbidden, InternalError, or that of an [imagestream.StatusError]; its message is that of err. See
// conformance case import-106.
func StatusOf(err error) imagestream.Status {
	reason := imagestream.ReasonInternalError
	var failure *RegistryError
	var sources *sourcesError
	var blocked *blockedError
	var refused *imagestream.StatusError
	switch {
	case err == nil:
		return imagestream.Status{Status: imagestream.StatusSuccess}
	case errors.As(err, &blocked):
		reason = imagestream.ReasonForbidden
	case errors.As(err, &sources): // See conformance case import-106.
		errors.As(sources.failures[len(sources.failures)-1], &failure)
	case errors.As(err, &failure):
		reason = reasonOf(failure)
	case errors.As(err, &refused):
		reason = refused.Reason
	}
	s := imagestream.Status{Status: imagestream.StatusFailure, Reason: reason, Code: reason.Code(),
		Message: err.Error()}
	if failure != nil {
		s.Details = detailsOf(failure)
	}
	return s
}

// statusOfList is StatusOf for a list of tags, for which a refused token is an internal error.
func statusOfList(err error) imagestream.Status {
	s := StatusOf(err)
	var failure *RegistryError
	if errors.As(err, &failure) && failure.Operation == OperationToken {
		s.Reason, s.Code = imagestream.ReasonInternalError, imagestream.ReasonInternalError.Code()
	}
	return s
}

func reasonOf(e *RegistryError) imagestream.StatusReason {
	refused := e.StatusCode >= 400 && e.StatusCode < 500
	hasCode := func(code string) bool { return refused && slices.Contains(e.Codes, code) }
	switch e.Operation {
	case OperationToken:
		if e.WrongPassword {
			return imagestream.ReasonUnauthorized
		}
		return imagestream.ReasonInternalError
	case OperationPing, OperationBlobSize:
		return imagestream.ReasonInternalError
	case OperationTags:
		if hasCode("NAME_UNKNOWN") {
			return imagestream.ReasonNotFound
		}
		if e.Challenge == "basic" && len(e.Codes) == 0 {
			return imagestream.ReasonInternalError // no credentials were sent
		}
	default:
		if e.Operation == OperationBlob && e.StatusCode == 404 {
			return imagestream.ReasonInternalError
		}
		if hasCode("MANIFEST_UNKNOWN") {
			return imagestream.ReasonNotFound
		}
		if e.StatusCode == 401 && e.Challenge == "basic" {
			return imagestream.ReasonUnauthorized
		}
	}
	if hasCode("UNAUTHORIZED") || e.StatusCode == 401 && len(e.Codes) == 0 {
		return imagestream.ReasonUnauthorized
	}
	return imagestream.ReasonInternalError
}
