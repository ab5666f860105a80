package fakes

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/importer"
)

// Registry is an [importer.Registry] in memory: every host that it has contents for. Its zero value has none.
// It is safe for concurrent use; Fail is not to be changed once it is used.
type Registry struct {
	// Fail is called before every question. An error it returns, a *[importer.RegistryError] as a rule, is
	// the answer. It may wait, to delay an answer.
	Fail func(op importer.Operation, repository string, ref importer.Ref) error

	mu       sync.Mutex
	hosts    map[string]Contents
	requests []Request
}

// Request is a question that a [Registry] was asked.
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

// Edit calls edit with the contents of a host, which it may change. Nobody reads them meanwhile.
func (r *Registry) Edit(host string, edit func(Contents)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hosts == nil {
		r.hosts = map[string]Contents{}
	}
	if r.hosts[host] == nil {
		r.hosts[host] = Contents{}
	}
	edit(r.hosts[host])
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
func (r *Registry) Repository(ctx context.Context, name reference.Named, _ importer.Access) (importer.Repository, error) {
	return &repository{registry: r, name: name}, ctx.Err()
}

type repository struct {
	registry *Registry
	name     reference.Named
}

// ask calls answer with the contents of the repository, nil if there is none, unless the question fails.
func (r *repository) ask(ctx context.Context, op importer.Operation, ref importer.Ref, answer func(*Repository) error) error {
	if r.registry.Fail != nil {
		if err := r.registry.Fail(op, r.name.Name(), ref); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	r.registry.mu.Lock()
	defer r.registry.mu.Unlock()
	r.registry.requests = append(r.registry.requests, Request{op, r.name.Name(), ref.String()})
	contents, ok := r.registry.hosts[reference.Domain(r.name)]
	if !ok {
		return &importer.RegistryError{
			Operation: importer.OperationPing, Class: importer.ClassUnavailable, Repository: r.name.Name(),
			Err: fmt.Errorf("there is no host %s", reference.Domain(r.name)),
		}
	}
	return answer(contents[reference.Path(r.name)])
}

func (r *repository) notFound(op importer.Operation, ref importer.Ref, code string) error {
	return &importer.RegistryError{
		Operation: op, Class: importer.ClassNotFound, Repository: r.name.Name(), Reference: ref.String(), StatusCode: 404, Codes: []string{code},
	}
}

func (r *repository) invalid(op importer.Operation, ref importer.Ref, err error) error {
	return &importer.RegistryError{Operation: op, Class: importer.ClassInvalid, Repository: r.name.Name(), Reference: ref.String(), Err: err}
}

func (r *repository) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var tags []string
		err := r.ask(ctx, importer.OperationTags, importer.Ref{}, func(c *Repository) error {
			if c == nil {
				return r.notFound(importer.OperationTags, importer.Ref{}, "NAME_UNKNOWN")
			}
			tags = slices.Sorted(maps.Keys(c.Tags))
			return nil
		})
		if err != nil {
			yield("", err)
			return
		}
		for _, tag := range tags {
			if !yield(tag, nil) {
				return
			}
		}
	}
}

func (r *repository) Head(ctx context.Context, ref importer.Ref) (importer.Descriptor, error) {
	m, filed, err := r.find(ctx, importer.OperationHead, ref)
	return importer.Descriptor{MediaType: m.MediaType, Digest: filed, Size: int64(len(m.Raw))}, err
}

func (r *repository) Manifest(ctx context.Context, ref importer.Ref) (importer.Manifest, error) {
	m, _, err := r.find(ctx, importer.OperationManifest, ref)
	if err != nil {
		return importer.Manifest{}, err
	}
	if ref.Digest != "" && ref.Digest.Algorithm().FromString(m.Raw) != ref.Digest {
		return importer.Manifest{}, r.invalid(importer.OperationManifest, ref, fmt.Errorf("the registry sent %s", digest.FromString(m.Raw)))
	}
	return importer.Manifest{MediaType: m.MediaType, Digest: digest.FromString(m.Raw), Bytes: []byte(m.Raw)}, nil
}

// find returns a manifest and the digest that it is filed under.
func (r *repository) find(ctx context.Context, op importer.Operation, ref importer.Ref) (m StoredManifest, filed digest.Digest, err error) {
	err = r.ask(ctx, op, ref, func(c *Repository) error {
		filed = ref.Digest
		ok := c != nil
		if ok && filed == "" {
			filed, ok = c.Tags[ref.Tag]
		}
		if ok {
			m, ok = c.Manifests[filed]
		}
		if !ok {
			return r.notFound(op, ref, "MANIFEST_UNKNOWN")
		}
		return nil
	})
	return m, filed, err
}

func (r *repository) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	text, err := r.blob(ctx, importer.OperationBlob, d)
	if err != nil {
		return nil, err
	}
	ref := importer.Ref{Digest: d}
	switch {
	case int64(len(text)) > limit:
		return nil, r.invalid(importer.OperationBlob, ref, fmt.Errorf("it has more than %d bytes", limit))
	case d.Algorithm().FromString(text) != d:
		return nil, r.invalid(importer.OperationBlob, ref, fmt.Errorf("the registry sent %s", digest.FromString(text)))
	}
	return []byte(text), nil
}

func (r *repository) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	text, err := r.blob(ctx, importer.OperationBlobSize, d)
	return int64(len(text)), err
}

func (r *repository) blob(ctx context.Context, op importer.Operation, d digest.Digest) (text string, err error) {
	ref := importer.Ref{Digest: d}
	err = r.ask(ctx, op, ref, func(c *Repository) error {
		ok := c != nil
		if ok {
			text, ok = c.Blobs[d]
		}
		if !ok {
			return r.notFound(op, ref, "BLOB_UNKNOWN")
		}
		return nil
	})
	return text, err
}
