package oci

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/foreign"
)

// secrets are the last that a repository was asked with: no text that comes back shows them. They are bounded.
type secrets struct {
	mu   sync.Mutex
	list []string
}

const maxSecrets = 16

func (s *secrets) add(list ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, secret := range list {
		if secret == "" || slices.Contains(s.list, secret) {
			continue
		}
		if len(s.list) == maxSecrets {
			s.list = slices.Delete(s.list, 0, 1)
		}
		s.list = append(s.list, secret)
	}
}

func (s *secrets) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.list)
}

// cut returns a body without its end, if that was cut off by the limit: it may be the beginning of a secret.
func cut(body []byte) []byte {
	if len(body) < maxFailure {
		return body
	}
	return body[:len(body)-maxToken*2]
}

// textError is an error whose text is fit to be shown. It does not give out its cause, whose text may not be.
type textError struct {
	text  string
	cause error
}

func (e *textError) Error() string { return e.text }

// Is reports whether the cause is target.
func (e *textError) Is(target error) bool { return errors.Is(e.cause, target) }

// Timeout reports whether the cause is one.
func (e *textError) Timeout() bool {
	var timeout interface{ Timeout() bool }
	return errors.As(e.cause, &timeout) && timeout.Timeout()
}

// ownAddress is this machine's end of a connection, as package net shows it. Its port is another one each time, and the
// same failure must have the same text.
var ownAddress = regexp.MustCompile(`[\w.:%\[\]]+:\d+->`)

// fail returns a failure whose cause is err, if there is one.
func (r *repository) fail(q question, class importer.Class, err error) *importer.RegistryError {
	f := &importer.RegistryError{Operation: q.op, Class: class, Repository: r.name, Reference: q.ref}
	if err != nil {
		text := ownAddress.ReplaceAllString(err.Error(), "")
		f.Err = &textError{foreign.Text(text, foreign.MaxText, r.secrets.all()...), err}
	}
	return f
}

// failToken is fail for a token that could not be had.
func (r *repository) failToken(q question, class importer.Class, err error) *importer.RegistryError {
	f := r.fail(q, class, err)
	f.Operation, f.Challenge = importer.OperationToken, schemeBearer
	return f
}

// classOf is what it means that a request got no answer that can be used.
func classOf(err error) importer.Class {
	var refused *refusedError
	switch {
	case errors.As(err, &refused):
		return importer.ClassForbidden
	case errors.Is(err, errMisled):
		return importer.ClassInvalid
	}
	return importer.ClassUnavailable
}

// sendFailure is the failure of a request that got no answer.
func (r *repository) sendFailure(q question, err error) *importer.RegistryError {
	var record tls.RecordHeaderError
	if errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/" {
		err = errors.New("the server gave an HTTP response to an HTTPS client: only insecure access allows plain HTTP")
	}
	return r.fail(q, classOf(err), err)
}

// answerFailure is what an answer means that is not a good one. Scheme is that of the challenge, if one was read.
func (r *repository) answerFailure(q question, answer *http.Response, scheme string) *importer.RegistryError {
	body, err := io.ReadAll(io.LimitReader(answer.Body, maxFailure))
	if err != nil {
		body = nil
	}
	return r.refused(q, answer, scheme, body)
}

func (r *repository) refused(q question, answer *http.Response, scheme string, body []byte) *importer.RegistryError {
	f := r.fail(q, "", nil)
	f.Answered(answer.StatusCode, answer.Header, cut(body), time.Now(), r.secrets.all()...)
	if scheme != "" {
		f.Challenge = scheme
	}
	return f
}

// saysErrors reports whether a body is a registry's list of errors, whatever the status of its answer is.
func saysErrors(body []byte) bool {
	var said struct {
		Errors []json.RawMessage `json:"errors"`
	}
	return json.Unmarshal(body, &said) == nil && len(said.Errors) > 0
}

// whole turns the error of a question into ctx's, or a RegistryError.
func (r *repository) whole(ctx, within context.Context, q question, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var f *importer.RegistryError
	if !errors.As(err, &f) {
		f = r.sendFailure(q, err)
	}
	if within.Err() != nil {
		f.Class, f.Err = importer.ClassUnavailable, fmt.Errorf("no whole answer within %v", r.opts.Timeout)
	}
	return f
}
