package fakes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
)

// Registry is an [importer.Registry] in memory: every host that it has contents for. Its zero value has none. It pings,
// wants credentials and hands out tokens as registries do, and its hosts can be served over HTTP; see
// [Registry.Handler]. It is safe for concurrent use; Fail is not to be changed once it is used.
type Registry struct {
	// Fail is called before every question. An error it returns, a *[importer.RegistryError] as a rule, is
	// the answer. It may wait, to delay an answer.
	Fail func(op importer.Operation, repository string, ref importer.Ref) error

	mu       sync.Mutex
	hosts    map[string]*Host
	faults   []usedFault
	requests []Request
}

type usedFault struct {
	Fault
	used int
}

// Request is a question that a [Registry] was asked. Pings and tokens are of a repository in memory, and of none over
// HTTP.
type Request struct {
	Operation  importer.Operation
	Repository string
	Reference  string
}

// String returns operation, repository and reference.
func (r Request) String() string {
	if r.Reference == "" {
		return fmt.Sprintf("%s %s", r.Operation, r.Repository)
	}
	return fmt.Sprintf("%s %s %s", r.Operation, r.Repository, r.Reference)
}

// dockerHub is what docker.io is called in names, and where it is.
const dockerHub, dockerHubHost = "docker.io", "registry-1.docker.io"

// EditHost calls edit with a host, which it may change. Nobody reads it meanwhile. A host that is not there yet
// speaks TLS and holds nothing. Docker Hub is registry-1.docker.io.
func (r *Registry) EditHost(host string, edit func(*Host)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if host == dockerHub {
		host = dockerHubHost
	}
	if r.hosts == nil {
		r.hosts = map[string]*Host{}
	}
	if r.hosts[host] == nil {
		r.hosts[host] = &Host{}
	}
	if r.hosts[host].Repositories == nil {
		r.hosts[host].Repositories = Contents{}
	}
	edit(r.hosts[host])
}

// Edit calls edit with the contents of a host, which it may change. Nobody reads them meanwhile.
func (r *Registry) Edit(host string, edit func(Contents)) {
	r.EditHost(host, func(h *Host) { edit(h.Repositories) })
}

// SetFaults puts faults in the place of those there were. They are tried in order.
func (r *Registry) SetFaults(faults ...Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = nil
	for _, f := range faults {
		r.faults = append(r.faults, usedFault{Fault: f})
	}
}

// Requests returns what was asked since the last call.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	requests := r.requests
	r.requests = nil
	return requests
}

// Repository implements [importer.Registry]. It asks nothing.
func (r *Registry) Repository(
	ctx context.Context,
	name reference.Named,
	access importer.Access,
) (importer.Repository, error) {
	host := reference.Domain(name)
	if host == dockerHub {
		host = dockerHubHost
	}
	repo := &repository{
		registry: r,
		name:     name.Name(),
		host:     host,
		path:     reference.Path(name),
		insecure: access.Insecure,
		turn:     make(chan struct{}, 1),
	}
	if access.Credentials != nil {
		repo.credentials = *access.Credentials
	}
	return repo, ctx.Err()
}

// repository asks its host as a client of registries does: a ping first, then with a user or a token if that wants one.
type repository struct {
	registry         *Registry
	name, host, path string
	insecure         bool
	credentials      importer.Credentials

	turn      chan struct{} // has a member while what follows is being found out
	pinged    bool
	pingError *importer.RegistryError
	scheme    string
	challenge string
	token     string
}

// question is what is asked of a repository.
type question struct {
	op  importer.Operation
	ref importer.Ref
	ask ask
}

func (r *repository) fail(q question, class importer.Class, err error) *importer.RegistryError {
	return &importer.RegistryError{Operation: q.op, Class: class, Repository: r.name, Reference: q.ref.String(), Err: err}
}

// exchange asks the host once.
func (r *repository) exchange(ctx context.Context, op importer.Operation, a ask, ref string) (reply, error) {
	if err := r.registry.delay(ctx, r.host); err != nil {
		return reply{}, err
	}
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	r.registry.requests = append(r.registry.requests, Request{op, r.name, ref})
	host, ok := r.registry.hosts[r.host]
	if !ok {
		return reply{}, fmt.Errorf("there is no host %s", r.host)
	}
	scheme := cmp.Or(host.Scheme, "https")
	switch {
	case r.scheme == "https" && scheme == "http":
		return reply{}, errors.New("the host does not speak TLS")
	case r.scheme == "https" && host.SelfSigned && !r.insecure:
		return reply{}, errors.New("nobody trusts the host's certificate")
	case r.scheme == "http" && scheme == "https":
		return reply{status: http.StatusBadRequest, body: "Client sent an HTTP request to an HTTPS server.\n"}, nil
	}
	a.base = scheme + "://" + r.host
	if answer, refuse, ok := r.registry.fault(r.host, a); refuse {
		return reply{}, errors.New("connection refused")
	} else if ok {
		return answer, nil
	}
	return host.answer(a), nil
}

// ping makes the first contact. What comes of it holds for the repository.
func (r *repository) ping(ctx context.Context) *importer.RegistryError {
	if r.pinged {
		return r.pingError
	}
	r.pinged, r.pingError = true, nil
	failure := &importer.RegistryError{
		Operation:  importer.OperationPing,
		Class:      importer.ClassUnavailable,
		Repository: r.name,
	}
	r.scheme = "https"
	answer, err := r.exchange(ctx, importer.OperationPing, ask{kind: kindPing}, "")
	if err != nil && r.insecure {
		r.scheme = "http"
		answer, err = r.exchange(ctx, importer.OperationPing, ask{kind: kindPing}, "")
	}
	switch {
	case err != nil:
		failure.Err = err
		r.pingError = failure
	case answer.header.Get("Docker-Distribution-API-Version") != "" || answer.status == http.StatusOK || answer.status == http.StatusUnauthorized ||
		answer.status == http.StatusForbidden:
		if answer.status == http.StatusUnauthorized {
			scheme, _, _ := strings.Cut(answer.header.Get("WWW-Authenticate"), " ")
			r.challenge = strings.ToLower(scheme)
		}
	default:
		failure.Answered(answer.status, answer.header, []byte(answer.body), time.Time{})
		r.pingError = failure
	}
	return r.pingError
}

// authorize puts into a request what the host wants to know of who asks.
func (r *repository) authorize(ctx context.Context, q question, a *ask) *importer.RegistryError {
	named := r.credentials.Username != ""
	switch {
	case r.challenge == "basic" && !named:
		failure := r.fail(q, importer.ClassUnauthorized, errors.New("the registry wants a user name and a password"))
		failure.StatusCode, failure.Challenge = http.StatusUnauthorized, "basic"
		return failure
	case r.challenge == "basic":
		a.basic, a.user, a.password = true, r.credentials.Username, r.credentials.Password
	case r.challenge == "bearer":
		if r.credentials.RegistryToken != "" {
			a.token = r.credentials.RegistryToken
			return nil
		}
		if r.token == "" {
			wants := ask{kind: kindToken, basic: named, user: r.credentials.Username, password: r.credentials.Password}
			failure := &importer.RegistryError{
				Operation:  importer.OperationToken,
				Class:      importer.ClassUnavailable,
				Repository: r.name,
				Challenge:  "bearer",
			}
			answer, err := r.exchange(ctx, importer.OperationToken, wants, "")
			if err != nil {
				failure.Err = err
				return failure
			}
			if answer.status != http.StatusOK {
				failure.Answered(answer.status, answer.header, []byte(answer.body), time.Time{})
				return failure
			}
			r.token = strings.TrimSuffix(strings.TrimPrefix(answer.body, `{"token":"`), `"}`)
		}
		a.token = r.token
	}
	return nil
}

// do asks a question.
func (r *repository) do(ctx context.Context, q question) (reply, error) {
	if r.registry.Fail != nil {
		if err := r.registry.Fail(q.op, r.name, q.ref); err != nil {
			return reply{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return reply{}, err
	}
	a := q.ask
	a.repo = r.path
	if err := r.begin(ctx, q, &a); err != nil {
		return reply{}, err
	}
	answer, err := r.exchange(ctx, q.op, a, q.ref.String())
	if ctx.Err() != nil {
		return reply{}, ctx.Err()
	}
	if err != nil {
		return reply{}, r.fail(q, importer.ClassUnavailable, err)
	}
	if answer.status != http.StatusOK {
		failure := r.fail(q, "", nil)
		failure.Answered(answer.status, answer.header, []byte(answer.body), time.Time{})
		return reply{}, failure
	}
	return answer, nil
}

// begin makes the first contact and gets a token, one question at a time.
func (r *repository) begin(ctx context.Context, q question, a *ask) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.turn }()
	failure := r.ping(ctx)
	if failure == nil {
		failure = r.authorize(ctx, q, a)
	}
	if ctx.Err() != nil {
		r.pinged = r.pinged && r.pingError == nil // what a context ended is asked again
		return ctx.Err()
	}
	if failure != nil {
		return failure
	}
	return nil
}

func (r *repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for last := ""; ; {
			answer, err := r.do(ctx, question{op: importer.OperationTags, ask: ask{kind: kindTags, last: last}})
			var page tagPage
			if err == nil {
				if err = page.read(answer.body); err != nil {
					err = r.fail(question{op: importer.OperationTags}, importer.ClassInvalid, err)
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
			if answer.header.Get("Link") == "" || len(page.Tags) == 0 {
				return
			}
			last = page.Tags[len(page.Tags)-1]
		}
	}
}

func (r *repository) Head(ctx context.Context, ref importer.Ref) (importer.ManifestHead, error) {
	answer, err := r.do(
		ctx,
		question{op: importer.OperationHead, ref: ref, ask: ask{kind: kindManifest, ref: ref.String(), head: true}},
	)
	if err != nil {
		return importer.ManifestHead{}, err
	}
	return importer.ManifestHead{
		MediaType: answer.header.Get("Content-Type"),
		Digest:    digest.Digest(answer.header.Get("Docker-Content-Digest")),
		Size:      answer.size,
	}, nil
}

func (r *repository) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	q := question{op: importer.OperationManifest, ref: ref, ask: ask{kind: kindManifest, ref: ref.String()}}
	answer, err := r.do(ctx, q)
	if err != nil {
		return importer.SentManifest{}, err
	}
	m := importer.SentManifest{
		MediaType: answer.header.Get("Content-Type"),
		Digest:    digest.FromString(answer.body),
		Bytes:     []byte(answer.body),
	}
	if ref.Digest != "" {
		if err := manifest.Verify(m.MediaType, m.Bytes, ref.Digest); err != nil {
			return importer.SentManifest{}, r.fail(q, importer.ClassInvalid, err)
		}
	}
	return m, nil
}

func (r *repository) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	q := question{op: importer.OperationBlob, ref: importer.Ref{Digest: d}, ask: ask{kind: kindBlob, ref: d.String()}}
	answer, err := r.do(ctx, q)
	switch {
	case err != nil:
		return nil, err
	case int64(len(answer.body)) > limit:
		return nil, r.fail(q, importer.ClassInvalid, fmt.Errorf("it has more than %d bytes", limit))
	case d.Algorithm().FromString(answer.body) != d:
		return nil, r.fail(q, importer.ClassInvalid, fmt.Errorf("the registry sent %s", digest.FromString(answer.body)))
	}
	return []byte(answer.body), nil
}

func (r *repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	answer, err := r.do(
		ctx,
		question{
			op:  importer.OperationBlobSize,
			ref: importer.Ref{Digest: d},
			ask: ask{kind: kindHeadBlob, ref: d.String(), head: true},
		},
	)
	return answer.size, err
}

// Handler serves a host over HTTP: what it holds, its authentication, its pages, and the faults. A fault that refuses
// cuts the connection. Scheme and certificate are those of the server that it is given to.
func (r *Registry) Handler(host string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		a, op, ok := readAsk(req)
		if !ok {
			http.NotFound(w, req)
			return
		}
		if r.delay(req.Context(), host) != nil {
			return
		}
		answer, refuse := r.serve(host, a, op)
		if refuse {
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.status)
		if !a.head {
			_, _ = w.Write([]byte(answer.body)) // who is gone wants no answer
		}
	})
}

func (r *Registry) serve(name string, a ask, op importer.Operation) (answer reply, refuse bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	repository := ""
	if a.repo != "" {
		repository = name + "/" + a.repo
	}
	r.requests = append(r.requests, Request{op, repository, a.ref})
	if answer, refuse, ok := r.fault(name, a); ok {
		return answer, refuse
	}
	host, ok := r.hosts[name]
	if !ok {
		return errorReply(http.StatusNotFound, "NAME_UNKNOWN"), false
	}
	return host.answer(a), false
}

// readAsk reads an HTTP request.
func readAsk(req *http.Request) (a ask, op importer.Operation, ok bool) {
	a.head = req.Method == http.MethodHead
	a.user, a.password, a.basic = req.BasicAuth()
	a.token, _ = strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if a.basic {
		a.token = ""
	}
	a.base = "http://" + req.Host
	if req.TLS != nil {
		a.base = "https://" + req.Host
	}
	path, isV2 := strings.CutPrefix(req.URL.Path, "/v2/")
	if !a.head && req.Method != http.MethodGet {
		return a, "", false
	}
	switch {
	case req.URL.Path == "/token":
		a.kind = kindToken
		return a, importer.OperationToken, true
	case !isV2:
		return a, "", false
	case path == "":
		a.kind = kindPing
		return a, importer.OperationPing, true
	}
	if repo, found := strings.CutSuffix(path, "/tags/list"); found {
		a.kind, a.repo, a.last = kindTags, repo, req.URL.Query().Get("last")
		return a, importer.OperationTags, true
	}
	if i := strings.LastIndex(path, "/manifests/"); i > 0 {
		a.kind, a.repo, a.ref = kindManifest, path[:i], path[i+len("/manifests/"):]
		if a.head {
			return a, importer.OperationHead, true
		}
		return a, importer.OperationManifest, true
	}
	if i := strings.LastIndex(path, "/blobs/"); i > 0 {
		a.kind, a.repo, a.ref = kindBlob, path[:i], path[i+len("/blobs/"):]
		if a.head {
			a.kind = kindHeadBlob
			return a, importer.OperationBlobSize, true
		}
		return a, importer.OperationBlob, true
	}
	return a, "", false
}
