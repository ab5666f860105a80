package importer

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// Answered fills e from an HTTP answer that is a refusal: its status, codes, details and text, what it challenges with, when
// it wants to be asked again, and the class. Body is its beginning; now is the time at which a date in Retry-After counts.
func (e *RegistryError) Answered(status int, header http.Header, body []byte, now time.Time) {
	e.StatusCode = status
	e.RetryAfter = retryAfter(header.Get("Retry-After"), now)
	if status == http.StatusUnauthorized && e.Operation != OperationToken {
		scheme, _, _ := strings.Cut(strings.TrimSpace(header.Get("WWW-Authenticate")), " ")
		e.Challenge = strings.ToLower(scheme)
	}
	var answer struct {
		Errors []struct {
			Code, Message string
		} `json:"errors"`
		Details string `json:"details"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err == nil && len(answer.Errors) > 0:
		var texts []string
		for _, a := range answer.Errors {
			e.Codes = append(e.Codes, a.Code)
			if a.Message != "" {
				texts = append(texts, a.Message)
			}
		}
		e.Text = oneLine(strings.Join(texts, "; "))
	case err == nil && answer.Details != "":
		e.Details = oneLine(answer.Details)
	default:
		e.Text = oneLine(string(body))
	}
	e.Class = classOf(e)
}

// classes of the codes that registries give, and of HTTP statuses.
var (
	codeClasses = map[string]Class{
		"MANIFEST_UNKNOWN": ClassNotFound, "NAME_UNKNOWN": ClassNotFound, "BLOB_UNKNOWN": ClassNotFound,
		"UNAUTHORIZED": ClassUnauthorized, "DENIED": ClassForbidden, "TOOMANYREQUESTS": ClassTooManyRequests,
		"UNAVAILABLE": ClassUnavailable, "UNSUPPORTED": ClassUnsupported,
	}
	statusClasses = map[int]Class{
		http.StatusUnauthorized: ClassUnauthorized, http.StatusForbidden: ClassForbidden,
		http.StatusNotFound: ClassNotFound, http.StatusTooManyRequests: ClassTooManyRequests,
		http.StatusMethodNotAllowed: ClassUnsupported, http.StatusNotImplemented: ClassUnsupported,
		http.StatusRequestTimeout: ClassUnavailable,
	}
)

func classOf(e *RegistryError) Class {
	if class, ok := statusClasses[e.StatusCode]; ok {
		return class
	}
	if e.StatusCode >= 500 {
		return ClassUnavailable
	}
	if i := slices.IndexFunc(e.Codes, func(code string) bool { return codeClasses[code] != "" }); i >= 0 {
		return codeClasses[e.Codes[i]]
	}
	return ClassInvalid
}

// retryAfter reads a Retry-After header: seconds, or a date.
func retryAfter(value string, now time.Time) time.Duration {
	const longest = 24 * time.Hour
	if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds > 0 {
		return time.Duration(min(seconds, int64(longest/time.Second))) * time.Second
	}
	if date, err := http.ParseTime(value); err == nil && date.After(now) {
		return min(date.Sub(now), longest)
	}
	return 0
}

// maxText is how much of a text from a registry an error shows, in bytes.
const maxText = 256

// oneLine makes a text from the network fit for an error: one line, printable, short.
func oneLine(s string) string {
	s = strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }), " ")
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "") + "..."
	}
	return s
}
