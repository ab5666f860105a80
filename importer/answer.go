package importer

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/internal/foreign"
)

// maxCodes is how many codes and messages of one answer are kept.
const maxCodes = 16

// Answered fills e from an HTTP answer that is a refusal: its status, codes, details and text, the scheme of its
// challenge, when it wants to be asked again, and the class. Body is its beginning; now is the time at which a date in
// Retry-After counts.
//
// The texts are made fit to be shown: at most 16 codes of 64 bytes, messages of 1 KB, each on one printable line, URLs
// without their query. The secrets, which the request was sent with, are struck out.
func (e *RegistryError) Answered(status int, header http.Header, body []byte, now time.Time, secrets ...string) {
	e.StatusCode = status
	e.RetryAfter = retryAfter(header.Get("Retry-After"), now)
	if status == http.StatusUnauthorized && e.Operation != OperationToken {
		scheme, _, _ := strings.Cut(strings.TrimSpace(header.Get("WWW-Authenticate")), " ")
		if scheme = strings.ToLower(strings.TrimSuffix(scheme, ",")); slices.Contains(schemes, scheme) {
			e.Challenge = scheme
		}
	}
	var answer struct {
		Errors []struct {
			Code, Message string
		} `json:"errors"`
		Details string `json:"details"`
	}
	message := ""
	switch err := json.Unmarshal(body, &answer); {
	case err == nil && len(answer.Errors) > 0:
		var texts []string
		for _, a := range answer.Errors[:min(len(answer.Errors), maxCodes)] {
			e.Codes = append(e.Codes, codeOf(a.Code, secrets))
			if a.Message != "" {
				texts = append(texts, a.Message)
			}
		}
		message = strings.Join(texts, "; ")
		e.Text = foreign.Text(message, foreign.MaxText, secrets...)
	case err == nil && answer.Details != "":
		message = answer.Details
		e.Details = foreign.Text(message, foreign.MaxText, secrets...)
	default:
		message = string(body)
		e.Text = foreign.Text(message, foreign.MaxText, secrets...)
	}
	e.WrongPassword = saysWrongPassword(e.Operation, message)
	e.Class = classOf(e)
}

// schemes are those of the registry that RFC 9110 has made for them, and what servers use besides.
var schemes = []string{
	"basic",
	"bearer",
	"concealed",
	"digest",
	"dpop",
	"gnap",
	"hoba",
	"mutual",
	"negotiate",
	"ntlm",
	"oauth",
	"privatetoken",
	"scram-sha-1",
	"scram-sha-256",
	"vapid",
}

// codeOf returns a code as it is kept. One that is known tells no secret, even if it is also somebody's password.
func codeOf(code string, secrets []string) string {
	if codeClasses[code] != "" {
		return code
	}
	return foreign.Text(code, foreign.MaxCode, secrets...)
}

// saysWrongPassword reports whether a message means the credentials, in the words that the real system looks for.
// See conformance case import-151.
func saysWrongPassword(op Operation, message string) bool {
	if op == OperationToken {
		return strings.Contains(message, "incorrect username or password")
	}
	return strings.Contains(message, "username or password")
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
		http.StatusRequestTimeout: ClassUnavailable, http.StatusTooEarly: ClassUnavailable,
		// Harbor says 412 of an image that a policy keeps back.
		http.StatusPreconditionFailed: ClassForbidden, http.StatusUnavailableForLegalReasons: ClassForbidden,
		http.StatusPaymentRequired: ClassForbidden, http.StatusGone: ClassNotFound,
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
