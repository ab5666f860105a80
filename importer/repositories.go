package importer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"
)

// repositories opens each repository of a fetch once. The outcome of the first contact holds for all questions, unless
// the end of a context was the outcome.
type repositories struct {
	registry Registry
	opts     *FetchOptions

	mu     sync.Mutex
	opened map[string]*opened
	hosts  map[string]*host
}

// host is a registry host of a fetch.
type host struct {
	slots chan struct{}

	mu sync.Mutex
	// failures counts the requests in a row that it did not answer; last is the last of them.
	failures int
	last     *RegistryError
}

// opened is a repository with what it sent by digest.
type opened struct {
	name       string
	host       *host
	turn       chan struct{} // has a member while somebody makes the first contact
	contacted  bool
	repository Repository
	err        error
	// noHead reports that it does not answer HEAD with a digest, and is not asked that way again.
	noHead atomic.Bool

	mu   sync.Mutex
	sent map[cacheKey]*sent
}

// cacheKey names what a repository sent by digest.
type cacheKey struct {
	op     Operation
	digest digest.Digest
}

// sent is what was sent, or is being read by the holder of turn.
type sent struct {
	turn  chan struct{}
	value any
}

func newRepositories(registry Registry, opts *FetchOptions) *repositories {
	return &repositories{registry: registry, opts: opts, opened: map[string]*opened{}, hosts: map[string]*host{}}
}

// named returns the repository of a name with a host.
func (r *repositories) named(ctx context.Context, name string, insecure bool) (*opened, error) {
	n, err := reference.ParseNamed(name)
	if err != nil {
		return nil, err
	}
	return r.open(ctx, n, insecure)
}

func (r *repositories) open(ctx context.Context, name reference.Named, insecure bool) (*opened, error) {
	r.mu.Lock()
	o := r.opened[name.Name()]
	if o == nil {
		domain := reference.Domain(name)
		if r.hosts[domain] == nil {
			r.hosts[domain] = &host{slots: make(chan struct{}, r.opts.Concurrency)}
		}
		o = &opened{
			name: name.Name(), host: r.hosts[domain], turn: make(chan struct{}, 1), sent: map[cacheKey]*sent{},
		}
		r.opened[name.Name()] = o
	}
	r.mu.Unlock()
	select {
	case o.turn <- struct{}{}:
	case <-ctx.Done():
		return o, ctx.Err()
	}
	defer func() { <-o.turn }()
	if !o.contacted {
		o.repository, o.err = r.registry.Repository(ctx, name, r.access(name.Name(), insecure))
		o.contacted = o.err == nil || ctx.Err() == nil
	}
	return o, o.err
}

// access is how a repository is spoken to.
func (r *repositories) access(name string, insecure bool) Access {
	access := Access{Insecure: insecure}
	if r.opts.Anonymous {
		access.Credentials = &Credentials{}
	} else if r.opts.Keyring != nil {
		if c, ok := r.opts.Keyring.Credentials(name); ok {
			access.Credentials = &c
		}
	}
	return access
}

// limited calls ask when its host has a free slot. A host that did not answer too often in a row is not asked any
// more; its last failure stands for the answer.
func (r *repositories) limited(ctx context.Context, o *opened, op Operation, ref string, ask func() error) error {
	h := o.host
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.slots }()
	if last := h.given(r.opts.Bounds.Failures); last != nil {
		assumed := *last
		assumed.Operation, assumed.Repository, assumed.Reference = op, o.name, ref
		return &assumed
	}
	err := ask()
	h.count(ctx, err)
	return err
}

// given returns the failure for which the host is given up, or nil.
func (h *host) given(limit int) *RegistryError {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.failures < limit {
		return nil
	}
	return h.last
}

func (h *host) count(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return // the caller is gone
	}
	var failure *RegistryError
	h.mu.Lock()
	defer h.mu.Unlock()
	if errors.As(err, &failure) && failure.IsTemporary() {
		h.failures++
		h.last = failure
	} else {
		h.failures = 0
	}
}

func (o *opened) invalid(op Operation, ref string, err error) *RegistryError {
	return &RegistryError{Operation: op, Class: ClassInvalid, Repository: o.name, Reference: ref, Err: err}
}

// once reads what has a digest once from a repository. A failure is not kept, nor is anything without a digest.
func once[T any](ctx context.Context, o *opened, key cacheKey, ask func() (T, error)) (none T, err error) {
	if key.digest == "" {
		return ask()
	}
	o.mu.Lock()
	s := o.sent[key]
	if s == nil {
		s = &sent{turn: make(chan struct{}, 1)}
		o.sent[key] = s
	}
	o.mu.Unlock()
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return none, ctx.Err()
	}
	defer func() { <-s.turn }()
	if have, ok := s.value.(T); ok {
		return have, nil
	}
	value, err := ask()
	if err == nil {
		s.value = value
	}
	return value, err
}

// maxSizes is how many sizes are kept.
const maxSizes = 2048

// LayerSizes remembers sizes of layers of schema 1, which manifests do not have. A size is what a repository says and
// is not verified, so that it holds for that repository only. The zero value is empty, and safe for concurrent use.
type LayerSizes struct {
	mu    sync.Mutex
	sizes map[layer]int64
	order []layer
}

type layer struct {
	repository string
	digest     digest.Digest
}

func (l *LayerSizes) get(repository string, d digest.Digest) (int64, bool) {
	if l == nil {
		return 0, false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	size, ok := l.sizes[layer{repository, d}]
	return size, ok
}

func (l *LayerSizes) set(repository string, d digest.Digest, size int64) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sizes == nil {
		l.sizes = map[layer]int64{}
	}
	key := layer{repository, d}
	if _, ok := l.sizes[key]; !ok {
		l.order = append(l.order, key)
	}
	l.sizes[key] = size
	if len(l.order) > maxSizes {
		delete(l.sizes, l.order[0])
		l.order = l.order[1:]
	}
}
