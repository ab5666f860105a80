package oci

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// client sends requests, follows redirects by the rules in the package comment, and reads no more than there may be.
type client struct {
	transport http.RoundTripper
	userAgent string
}

// request is one to send.
type request struct {
	method, accept string
	authorization  string // goes to the first server alone
	form           string // of a POST, which is not redirected
	visit          visit
}

// redirectStatuses are those that lead elsewhere. Only GET and HEAD follow them.
var redirectStatuses = map[int]bool{
	http.StatusMovedPermanently: true, http.StatusFound: true, http.StatusSeeOther: true,
	http.StatusTemporaryRedirect: true, http.StatusPermanentRedirect: true,
}

// send asks u, and whatever that leads to. The answer's Request has where it came from.
func (c *client) send(ctx context.Context, u *url.URL, r request) (*http.Response, error) {
	for redirects := 0; ; redirects++ {
		guarded, err := r.visit.check(u)
		if err != nil {
			return nil, redirected(u, redirects, r.visit.explain(err))
		}
		answer, err := c.once(ctx, u, r, guarded)
		if err != nil {
			return nil, redirected(u, redirects, r.visit.explain(err))
		}
		location := answer.Header.Get("Location")
		if !redirectStatuses[answer.StatusCode] || location == "" || r.form != "" {
			return answer, nil
		}
		drain(answer.Body)
		if redirects == maxRedirects {
			return nil, fmt.Errorf("%w: more than %d redirects", errMisled, maxRedirects)
		}
		next, err := u.Parse(location)
		if err != nil {
			return nil, fmt.Errorf("%w: redirect to something that is not a URL", errMisled)
		}
		if u.Scheme == "https" && next.Scheme != "https" {
			return nil, redirected(next, redirects+1, refuse("it leads from https to %s", next.Scheme))
		}
		if !sameOrigin(u, next) {
			r.authorization = "" // for good: what another server names is not asked with it either
		}
		next.User, next.Fragment = nil, ""
		u = next
	}
}

// errMisled is what a server did that leads nowhere, however often it is asked.
var errMisled = errors.New("the answer leads nowhere")

// redirected says where a request was led when err happened.
func redirected(u *url.URL, redirects int, err error) error {
	if redirects == 0 {
		return err
	}
	return fmt.Errorf("redirect to %s://%s: %w", u.Scheme, u.Host, err)
}

// once sends one request.
func (c *client) once(ctx context.Context, u *url.URL, r request, guarded bool) (*http.Response, error) {
	if guarded {
		ctx = withGuard(ctx)
	}
	var body io.Reader
	if r.form != "" {
		body = strings.NewReader(r.form)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMisled, err)
	}
	req.Header.Set("User-Agent", c.userAgent)
	for name, value := range map[string]string{"Accept": r.accept, "Authorization": r.authorization} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if r.form != "" {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	answer, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u.Host, err)
	}
	answer.Request = req
	size := 0
	for name, values := range answer.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxHeader {
		answer.Body.Close()
		return nil, fmt.Errorf("%w: its header has more than %d bytes", errMisled, maxHeader)
	}
	return answer, nil
}

// drain reads what is left of a body, so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxFailure)
	body.Close()
}
