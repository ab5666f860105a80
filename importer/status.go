package importer

import (
	"errors"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
)

// StatusOf returns what the API reports for an image that could not be imported because of err: NotFound,
// Unauthorized, Forbidden or InternalError, with the error's own words. It depends on err alone. Source: op
// import.run.
func StatusOf(err error) imagestream.Status {
	reason := imagestream.ReasonInternalError
	var failure *RegistryError
	if errors.As(err, &failure) {
		reason = reasonOf(failure)
	}
	return imagestream.Status{Status: imagestream.StatusFailure, Reason: reason, Code: reason.Code(), Message: err.Error()}
}

func reasonOf(e *RegistryError) imagestream.StatusReason {
	refused := e.StatusCode >= 400 && e.StatusCode < 500
	hasCode := func(code string) bool { return refused && slices.Contains(e.Codes, code) }
	switch e.Operation {
	case OperationToken:
		if strings.Contains(e.Details+e.Text, "incorrect username or password") {
			return imagestream.ReasonUnauthorized
		}
		return imagestream.ReasonInternalError
	case OperationPing:
		return imagestream.ReasonInternalError
	case OperationTags:
		if hasCode("NAME_UNKNOWN") {
			return imagestream.ReasonNotFound
		}
	default:
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
