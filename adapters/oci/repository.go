package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/opencontainers/go-digest"
	"oras.land/oras-go/v2/registry/remote/auth"

	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
)

type repository struct {
	opts     *Options
	name     string // as errors show it
	host     string
	path     string
	insecure bool
	client   *auth.Client

	gate   chan struct{} // has a member while the first question is asked
	ready  atomic.Bool   // it was answered; scheme stays as it is
	scheme string
}

// question is one thing to ask.
type question struct {
	op       importer.Operation
	ref      string
	method   string
	path     string // below the repository
	url      *url.URL
	accept   string
	maxBytes int64
}

func (r *repository) fail(q question, class importer.Class, err error) *importer.RegistryError {
	return &importer.RegistryError{Operation: q.op, Class: class, Repository: r.name, Reference: q.ref, Err: err}
}

// ask sends q and returns the answer, if it is a good one, with its body read. The errors are ctx's, or whole
// RegistryErrors.
func (r *repository) ask(ctx context.Context, q question) (*http.Response, []byte, error) {
	within, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	unlock, err := r.first(within, q)
	if err == nil {
		var answer *http.Response
		var body []byte
		answer, body, err = r.send(whenAuthorized(within, func() { unlock(true) }), q)
		unlock(err == nil)
		if err == nil {
			return answer, body, nil
		}
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	var failure *importer.RegistryError
	if !errors.As(err, &failure) {
		failure = r.fail(q, importer.ClassUnavailable, withoutURL(err))
	}
	if within.Err() != nil {
		failure.Class, failure.Err = importer.ClassUnavailable, fmt.Errorf("no whole answer within %v", r.opts.Timeout)
	}
	return nil, nil, failure
}

// first lets the questions wait until one has been answered, or is asked with the token that all others use; for insecure access
// it brings the scheme, too.
func (r *repository) first(ctx context.Context, q question) (unlock func(ok bool), err error) {
	if r.ready.Load() {
		return func(bool) {}, nil
	}
	select {
	case r.gate <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if r.ready.Load() {
		<-r.gate
		return func(bool) {}, nil
	}
	if r.scheme == "" {
		r.scheme = "https"
		if r.insecure {
			if r.scheme, err = r.ping(ctx, q); err != nil {
				<-r.gate
				return nil, err
			}
		}
	}
	var once sync.Once
	return func(ok bool) {
		once.Do(func() {
			r.ready.Store(ok)
			<-r.gate
		})
	}, nil
}

// ping finds out whether an insecure registry speaks TLS at all.
func (r *repository) ping(ctx context.Context, q question) (scheme string, err error) {
	for _, scheme = range []string{"https", "http"} {
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+r.host+"/v2/", nil); err != nil {
			return "", r.fail(q, importer.ClassInvalid, err)
		}
		req.Header.Set("User-Agent", r.opts.UserAgent)
		var answer *http.Response
		if answer, err = r.client.Client.Do(req); err == nil {
			drain(answer.Body)
			return scheme, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	q.op, q.ref = importer.OperationPing, ""
	return "", r.fail(q, importer.ClassUnavailable, withoutURL(err))
}

// drain reads what is left of a body, so that its connection can be used again.
func drain(body io.ReadCloser) {
	_, _ = io.CopyN(io.Discard, body, maxFailure)
	body.Close()
}

func (r *repository) send(ctx context.Context, q question) (*http.Response, []byte, error) {
	u := q.url
	if u == nil {
		u = &url.URL{Scheme: r.scheme, Host: r.host, Path: "/v2/" + r.path + "/" + q.path}
	}
	ctx, token := withTokenAnswer(ctx)
	ctx = auth.AppendRepositoryScope(ctx, registryReference(r.host, r.path), auth.ActionPull)
	req, err := http.NewRequestWithContext(ctx, q.method, u.String(), nil)
	if err != nil {
		return nil, nil, r.fail(q, importer.ClassInvalid, err)
	}
	if q.accept != "" {
		req.Header.Set("Accept", q.accept)
	}
	answer, err := r.client.Do(req)
	if err != nil {
		return nil, nil, r.sendFailure(q, err, token)
	}
	defer drain(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return nil, nil, r.answerFailure(q, answer)
	}
	if q.method == http.MethodHead {
		return answer, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, q.maxBytes+1))
	switch {
	case err != nil:
		return nil, nil, r.fail(q, importer.ClassUnavailable, fmt.Errorf("the answer broke off after %d bytes: %w", len(body), withoutURL(err)))
	case int64(len(body)) > q.maxBytes:
		return nil, nil, r.fail(q, importer.ClassInvalid, fmt.Errorf("the answer has more than %d bytes", q.maxBytes))
	}
	return answer, body, nil
}

var acceptManifests = strings.Join(manifest.MediaTypes(), ", ")

func (r *repository) Head(ctx context.Context, ref importer.Ref) (importer.Descriptor, error) {
	answer, _, err := r.ask(ctx, question{
		op: importer.OperationHead, ref: ref.String(), method: http.MethodHead, path: "manifests/" + ref.String(), accept: acceptManifests,
	})
	if err != nil {
		return importer.Descriptor{}, err
	}
	d := importer.Descriptor{MediaType: answer.Header.Get("Content-Type"), Size: max(answer.ContentLength, 0)}
	if said, err := digest.Parse(answer.Header.Get("Docker-Content-Digest")); err == nil {
		d.Digest = said
	}
	return d, nil
}

func (r *repository) Manifest(ctx context.Context, ref importer.Ref) (importer.Manifest, error) {
	q := question{
		op: importer.OperationManifest, ref: ref.String(), method: http.MethodGet, path: "manifests/" + ref.String(), accept: acceptManifests,
		maxBytes: maxManifest,
	}
	answer, body, err := r.ask(ctx, q)
	if err != nil {
		return importer.Manifest{}, err
	}
	m := importer.Manifest{MediaType: answer.Header.Get("Content-Type"), Digest: digest.FromBytes(body), Bytes: body}
	if ref.Digest != "" {
		if err := manifest.Verify(m.MediaType, body, ref.Digest); err != nil {
			return importer.Manifest{}, r.fail(q, importer.ClassInvalid, err)
		}
		m.Digest = ref.Digest
	}
	return m, nil
}

func (r *repository) verify(q question, want digest.Digest, body []byte) error {
	if err := want.Validate(); err != nil {
		return r.fail(q, importer.ClassInvalid, err)
	}
	if got := want.Algorithm().FromBytes(body); got != want {
		return r.fail(q, importer.ClassInvalid, fmt.Errorf("the registry sent %s", got))
	}
	return nil
}

func (r *repository) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	q := question{op: importer.OperationBlob, ref: d.String(), method: http.MethodGet, path: "blobs/" + d.String(), maxBytes: limit}
	_, body, err := r.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	return body, r.verify(q, d, body)
}

func (r *repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	q := question{op: importer.OperationBlobSize, ref: d.String(), method: http.MethodHead, path: "blobs/" + d.String()}
	answer, _, err := r.ask(ctx, q)
	if err != nil {
		return 0, err
	}
	if answer.ContentLength < 0 {
		return 0, r.fail(q, importer.ClassInvalid, errors.New("the answer has no Content-Length"))
	}
	return answer.ContentLength, nil
}

func (r *repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		q := question{op: importer.OperationTags, method: http.MethodGet, path: "tags/list", maxBytes: maxManifest}
		seen := map[string]bool{}
		for n := 0; ; {
			answer, body, err := r.ask(ctx, q)
			var page struct{ Tags []string }
			if err == nil {
				if jsonErr := json.Unmarshal(body, &page); jsonErr != nil {
					err = r.fail(q, importer.ClassInvalid, fmt.Errorf("the list of tags is no JSON: %w", jsonErr))
				} else if n += len(page.Tags); n > r.opts.MaxTags {
					err = r.fail(q, importer.ClassInvalid, fmt.Errorf("it has more than %d tags", r.opts.MaxTags))
				}
			}
			if err != nil {
				yield("", err)
				return
			}
			for _, tag := range page.Tags {
				if !yield(tag, nil) {
					return
				}
			}
			next, err := nextPage(answer)
			if err == nil && next == nil {
				return
			}
			if err == nil && seen[next.String()] {
				err = errors.New("the pages of tags go round in circles")
			}
			if err != nil {
				yield("", r.fail(q, importer.ClassInvalid, err))
				return
			}
			seen[next.String()] = true
			q.url = next
		}
	}
}

// nextPage returns where an answer says that the next page is, nil if it says nothing. It must be on the same
// host.
func nextPage(answer *http.Response) (*url.URL, error) {
	link, _, ok := strings.Cut(strings.TrimPrefix(answer.Header.Get("Link"), "<"), ">")
	if !ok {
		return nil, nil
	}
	base := answer.Request.URL
	next, err := base.Parse(link)
	if err != nil {
		return nil, errors.New("the link to the next page is no URL")
	}
	if next.Scheme != base.Scheme || next.Host != base.Host {
		return nil, fmt.Errorf("the link to the next page leads to another host, %s", next.Host)
	}
	return next, nil
}
