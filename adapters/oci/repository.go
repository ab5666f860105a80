package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/foreign"
)

type repository struct {
	opts     *Options
	client   *client
	tokens   *authorizations
	given    *importer.Credentials // of the access; nil leaves it to the options
	name     string                // as errors show it
	host     string
	path     string
	insecure bool

	gate    *gate
	turn    chan struct{}          // has a member while somebody gets an authorization, or finds out the scheme
	scheme  atomic.Pointer[string] // of an insecure registry, once it is known
	secrets secrets
}

// question is one thing to ask.
type question struct {
	op       importer.Operation
	ref      string
	method   string
	path     string   // below the repository
	url      *url.URL // path and query, if it is not there
	base     *url.URL // scheme and host, when it is asked
	accept   string
	maxBytes int64
}

// ask sends q and returns the answer, if it is a good one, with its body read. The errors are ctx's, or whole
// RegistryErrors. Waiting for the first question does not count as the time of this one.
func (r *repository) ask(ctx context.Context, q question) (*http.Response, []byte, error) {
	leave, err := r.gate.enter(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer leave()
	within, cancel := context.WithTimeout(ctx, r.opts.Timeout)
	defer cancel()
	answer, body, err := r.read(within, q)
	if err != nil {
		return nil, nil, r.whole(ctx, within, q, err)
	}
	return answer, body, nil
}

// read asks q and reads the answer.
func (r *repository) read(ctx context.Context, q question) (*http.Response, []byte, error) {
	scheme, err := r.schemeOf(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	q.base = &url.URL{Scheme: scheme, Host: r.host}
	u := &url.URL{Path: "/v2/" + r.path + "/" + q.path}
	if q.url != nil {
		u = q.url
	}
	u = &url.URL{Scheme: scheme, Host: r.host, Path: u.Path, RawPath: u.RawPath, RawQuery: u.RawQuery}
	answer, wanted, err := r.asked(ctx, q, u)
	if err != nil {
		var f *importer.RegistryError
		if errors.As(err, &f) && f.StatusCode != 0 {
			r.gate.open()
		}
		return nil, nil, err
	}
	r.gate.open()
	defer drain(answer.Body)
	if answer.StatusCode != http.StatusOK {
		return nil, nil, r.answerFailure(q, answer, wanted)
	}
	if q.method == http.MethodHead {
		return answer, nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(answer.Body, q.maxBytes+1))
	switch {
	case err != nil:
		err = fmt.Errorf("the answer broke off after %d bytes: %w", len(body), err)
		return nil, nil, r.fail(q, importer.ClassUnavailable, err)
	case int64(len(body)) > q.maxBytes:
		return nil, nil, r.fail(q, importer.ClassInvalid, fmt.Errorf("the answer has more than %d bytes", q.maxBytes))
	}
	return answer, body, nil
}

// send asks u once, with an authorization if there is one.
func (r *repository) send(ctx context.Context, q question, u *url.URL, with *authorization) (*http.Response, error) {
	ask := request{method: q.method, accept: q.accept, visit: visit{q.base, r.opts.RedirectHosts, "Options.RedirectHosts"}}
	if with != nil {
		ask.authorization = with.header
		r.secrets.add(with.secrets...)
		r.gate.open()
	}
	return r.client.send(ctx, u, ask)
}

// schemeOf returns what the registry speaks; for insecure access the first question finds out.
func (r *repository) schemeOf(ctx context.Context, q question) (string, error) {
	if !r.insecure {
		return "https", nil
	}
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return "", ctx.Err()
	}
	defer func() { <-r.turn }()
	if known := r.scheme.Load(); known != nil {
		return *known, nil
	}
	scheme, err := r.ping(ctx, q)
	if err == nil {
		r.scheme.Store(&scheme)
	}
	return scheme, err
}

// ping finds out whether an insecure registry speaks TLS at all. Any answer tells.
func (r *repository) ping(ctx context.Context, q question) (scheme string, err error) {
	q.op, q.ref = importer.OperationPing, ""
	for _, scheme = range []string{"https", "http"} {
		var answer *http.Response
		u := &url.URL{Scheme: scheme, Host: r.host, Path: "/v2/"}
		if answer, err = r.client.once(ctx, u, request{method: http.MethodGet}, false); err == nil {
			drain(answer.Body)
			return scheme, nil
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
	}
	return "", r.sendFailure(q, err)
}

var acceptManifests = strings.Join(manifest.MediaTypes(), ", ")

func (r *repository) Head(ctx context.Context, ref importer.Ref) (importer.ManifestHead, error) {
	answer, _, err := r.ask(ctx, question{
		op: importer.OperationHead, ref: ref.String(), method: http.MethodHead, path: "manifests/" + ref.String(),
		accept: acceptManifests,
	})
	if err != nil {
		return importer.ManifestHead{}, err
	}
	d := importer.ManifestHead{MediaType: r.mediaType(answer), Size: max(answer.ContentLength, 0)}
	if said, err := digest.Parse(answer.Header.Get("Docker-Content-Digest")); err == nil {
		d.Digest = said
	}
	return d, nil
}

func (r *repository) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	q := question{
		op: importer.OperationManifest, ref: ref.String(), method: http.MethodGet, path: "manifests/" + ref.String(),
		accept: acceptManifests, maxBytes: maxManifest,
	}
	answer, body, err := r.ask(ctx, q)
	if err != nil {
		return importer.SentManifest{}, err
	}
	m := importer.SentManifest{
		MediaType: ownMediaType(r.mediaType(answer), body),
		Digest:    digest.FromBytes(body),
		Bytes:     body,
	}
	if ref.Digest != "" {
		if err := manifest.Verify(m.MediaType, body, ref.Digest); err != nil {
			return importer.SentManifest{}, r.untrue(q, answer, body, err)
		}
		m.Digest = ref.Digest
	} else if saysErrors(body) && !strings.Contains(string(body), `"schemaVersion"`) {
		return importer.SentManifest{}, r.refused(q, answer, "", body)
	}
	return m, nil
}

// mediaType returns the Content-Type of an answer, fit to be shown.
func (r *repository) mediaType(answer *http.Response) string {
	return foreign.Text(answer.Header.Get("Content-Type"), maxMediaType, r.secrets.all()...)
}

// untrue is the failure of an answer that is not what was asked for; it may be a refusal with a good status.
func (r *repository) untrue(q question, answer *http.Response, body []byte, err error) error {
	if saysErrors(body) {
		return r.refused(q, answer, "", body)
	}
	return r.fail(q, importer.ClassInvalid, err)
}

// ownMediaType returns the media type of a manifest: that which it came with, or its own if that tells nothing.
func ownMediaType(contentType string, body []byte) string {
	sent, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		sent = contentType
	}
	if !tellsNothing[sent] {
		return contentType
	}
	var own struct {
		MediaType     string          `json:"mediaType"`
		SchemaVersion int             `json:"schemaVersion"`
		Config        json.RawMessage `json:"config"`
		Manifests     json.RawMessage `json:"manifests"`
	}
	if json.Unmarshal(body, &own) != nil || own.SchemaVersion != 2 {
		return contentType
	}
	switch {
	case slices.Contains(manifest.MediaTypes(), own.MediaType):
		return own.MediaType
	case own.MediaType == "" && own.Config != nil && own.Manifests == nil:
		return manifest.MediaTypeOCIManifest
	case own.MediaType == "" && own.Manifests != nil && own.Config == nil:
		return manifest.MediaTypeOCIIndex
	}
	return contentType
}

// tellsNothing are the media types of whatever there is, as file servers send them.
var tellsNothing = map[string]bool{
	"": true, "application/json": true, "application/octet-stream": true, "binary/octet-stream": true, "text/plain": true,
}

func (r *repository) verify(q question, answer *http.Response, want digest.Digest, body []byte) error {
	if err := want.Validate(); err != nil {
		return r.fail(q, importer.ClassInvalid, err)
	}
	if got := want.Algorithm().FromBytes(body); got != want {
		return r.untrue(q, answer, body, fmt.Errorf("the registry sent %s", got))
	}
	return nil
}

func (r *repository) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	q := question{
		op: importer.OperationBlob, ref: d.String(), method: http.MethodGet, path: "blobs/" + d.String(), maxBytes: limit,
	}
	answer, body, err := r.ask(ctx, q)
	if err != nil {
		return nil, err
	}
	if err := r.verify(q, answer, d, body); err != nil {
		return nil, err
	}
	return body, nil
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
