package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	orasregistry "oras.land/oras-go/v2/registry"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/imagestreams/imagestreams/importer"
)

func registryReference(host, path string) orasregistry.Reference {
	return orasregistry.Reference{Registry: host, Repository: path}
}

// tokenAnswer is a token server's refusal, which oras-go turns into an error without its details.
type tokenAnswer struct {
	status int
	header http.Header
	body   []byte
}

type tokenKey struct{}

func withTokenAnswer(ctx context.Context) (context.Context, *tokenAnswer) {
	a := &tokenAnswer{}
	return context.WithValue(ctx, tokenKey{}, a), a
}

// tokenRecorder keeps what token servers refuse with. Everything that is not below /v2/ and is asked without
// being redirected there is one.
type tokenRecorder struct{ next http.RoundTripper }

func (t tokenRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(req)
	record, ok := req.Context().Value(tokenKey{}).(*tokenAnswer)
	if err != nil || !ok || answer.StatusCode < 400 || strings.HasPrefix(req.URL.Path, "/v2/") || req.Response != nil {
		return answer, err
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	answer.Body.Close()
	if err != nil {
		return nil, err
	}
	*record = tokenAnswer{answer.StatusCode, answer.Header, body}
	answer.Body = io.NopCloser(bytes.NewReader(body))
	return answer, nil
}

// sendFailure is what it means that a question got no answer of its own.
func (r *repository) sendFailure(q question, err error, token *tokenAnswer) *importer.RegistryError {
	f := r.fail(q, importer.ClassUnavailable, withoutURL(err))
	var noAnswer *url.Error
	switch {
	case errors.Is(err, auth.ErrBasicCredentialNotFound):
		f.Class, f.StatusCode, f.Challenge = importer.ClassUnauthorized, http.StatusUnauthorized, "basic"
		f.Err = errors.New("the registry wants a user name and a password")
	case token.status != 0:
		f.Operation, f.Challenge, f.Err = importer.OperationToken, "bearer", nil
		describe(f, token.status, token.header, token.body)
	case errors.As(err, &noAnswer) && noAnswer.Timeout():
	case !errors.As(err, &noAnswer):
		// No request failed: the challenge, or the token, is not to be used.
		f.Operation, f.Class, f.Err = importer.OperationToken, importer.ClassInvalid, err
	}
	return f
}

// answerFailure is what an answer other than 200 means.
func (r *repository) answerFailure(q question, answer *http.Response) *importer.RegistryError {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	if err != nil {
		body = nil
	}
	f := r.fail(q, "", nil)
	scheme, _, _ := strings.Cut(strings.TrimSpace(answer.Header.Get("WWW-Authenticate")), " ")
	if answer.StatusCode == http.StatusUnauthorized {
		f.Challenge = strings.ToLower(scheme)
	}
	describe(f, answer.StatusCode, answer.Header, body)
	return f
}

// describe fills f from an answer.
func describe(f *importer.RegistryError, status int, header http.Header, body []byte) {
	f.StatusCode = status
	f.RetryAfter = retryAfter(header.Get("Retry-After"), time.Now())
	var answer struct {
		Errors []struct {
			Code, Message string
		} `json:"errors"`
		Details string `json:"details"`
	}
	switch err := json.Unmarshal(body, &answer); {
	case err == nil && len(answer.Errors) > 0:
		var texts []string
		for _, e := range answer.Errors {
			f.Codes = append(f.Codes, e.Code)
			texts = append(texts, e.Message)
		}
		f.Text = oneLine(strings.Join(texts, "; "))
	case err == nil && answer.Details != "":
		f.Details = oneLine(answer.Details)
	default:
		f.Text = oneLine(string(body))
	}
	f.Class = classOf(f)
}

// classes of the codes that registries give, and of HTTP statuses.
var (
	codeClasses = map[string]importer.Class{
		"MANIFEST_UNKNOWN": importer.ClassNotFound, "NAME_UNKNOWN": importer.ClassNotFound, "BLOB_UNKNOWN": importer.ClassNotFound,
		"UNAUTHORIZED": importer.ClassUnauthorized, "DENIED": importer.ClassForbidden, "TOOMANYREQUESTS": importer.ClassTooManyRequests,
		"UNAVAILABLE": importer.ClassUnavailable, "UNSUPPORTED": importer.ClassUnsupported,
	}
	statusClasses = map[int]importer.Class{
		http.StatusUnauthorized: importer.ClassUnauthorized, http.StatusForbidden: importer.ClassForbidden,
		http.StatusNotFound: importer.ClassNotFound, http.StatusTooManyRequests: importer.ClassTooManyRequests,
		http.StatusMethodNotAllowed: importer.ClassUnsupported, http.StatusNotImplemented: importer.ClassUnsupported,
		http.StatusRequestTimeout: importer.ClassUnavailable,
	}
)

func classOf(f *importer.RegistryError) importer.Class {
	if class, ok := statusClasses[f.StatusCode]; ok {
		return class
	}
	if f.StatusCode >= 500 {
		return importer.ClassUnavailable
	}
	if i := slices.IndexFunc(f.Codes, func(code string) bool { return codeClasses[code] != "" }); i >= 0 {
		return codeClasses[f.Codes[i]]
	}
	return importer.ClassInvalid
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

// withoutURL returns err without the URL that it happened at, whose query may be signed.
func withoutURL(err error) error {
	var at *url.Error
	if !errors.As(err, &at) {
		return err
	}
	if u, parseErr := url.Parse(at.URL); parseErr == nil {
		return fmt.Errorf("%s %s: %w", strings.ToUpper(at.Op), u.Host, at.Err)
	}
	return at.Err
}
