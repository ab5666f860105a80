package oci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

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

type authorizedKey struct{}

// whenAuthorized calls authorized when a question is asked with a token.
func whenAuthorized(ctx context.Context, authorized func()) context.Context {
	return context.WithValue(ctx, authorizedKey{}, authorized)
}

// tokenRecorder keeps what token servers refuse with. Everything that is not below /v2/ and is asked without
// being redirected there is one.
type tokenRecorder struct{ next http.RoundTripper }

func (t tokenRecorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if authorized, ok := req.Context().Value(authorizedKey{}).(func()); ok && strings.HasPrefix(req.Header.Get("Authorization"), "Bearer ") {
		authorized()
	}
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
		f.Answered(token.status, token.header, token.body, time.Now())
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
	f.Answered(answer.StatusCode, answer.Header, body, time.Now())
	return f
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
