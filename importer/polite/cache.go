package polite

import (
	"bytes"
	"container/list"
	"context"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/importer"
)

// Cache keeps manifests and blobs that are read by digest, the most recently used ones up to MaxBytes. What was read
// with some credentials is not returned for others. It is safe for concurrent use, and its fields must not change
// while it is used.
type Cache struct {
	Registry importer.Registry
	// MaxBytes is how many bytes are kept; 0 is 64 MiB.
	MaxBytes int64

	mu    sync.Mutex
	items map[cacheKey]*list.Element
	order list.List // the most recently used first
	size  int64
}

const defaultCacheBytes = 64 << 20

type cacheKey struct {
	repository  string
	insecure    bool
	named       bool // with credentials of its own
	credentials importer.Credentials
	operation   importer.Operation
	digest      digest.Digest
}

type cacheItem struct {
	key      cacheKey
	manifest importer.SentManifest // a blob has only the bytes
}

// Repository implements [importer.Registry].
func (c *Cache) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	repository, err := c.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	key := cacheKey{repository: name.Name(), insecure: access.Insecure}
	if access.Credentials != nil {
		key.named, key.credentials = true, *access.Credentials
	}
	return &cached{repository, c, key}, nil
}

type cached struct {
	importer.Repository
	cache *Cache
	key   cacheKey
}

func (r *cached) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	if ref.Digest == "" {
		return r.Repository.Manifest(ctx, ref)
	}
	return r.through(importer.OperationManifest, ref.Digest,
		func() (importer.SentManifest, error) { return r.Repository.Manifest(ctx, ref) })
}

func (r *cached) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	m, err := r.through(importer.OperationBlob, d, func() (importer.SentManifest, error) {
		blob, err := r.Repository.Blob(ctx, d, limit)
		return importer.SentManifest{Bytes: blob}, err
	})
	if err == nil && int64(len(m.Bytes)) > limit {
		return r.Repository.Blob(ctx, d, limit) // it returns the right error
	}
	return m.Bytes, err
}

// through returns what is kept, or reads and keeps it.
func (r *cached) through(
	op importer.Operation, d digest.Digest, ask func() (importer.SentManifest, error),
) (importer.SentManifest, error) {
	key := r.key
	key.operation, key.digest = op, d
	if m, ok := r.cache.get(key); ok {
		return m, nil
	}
	m, err := ask()
	if err == nil {
		r.cache.put(key, m)
	}
	return m, err
}

func (c *Cache) get(key cacheKey) (importer.SentManifest, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.items[key]
	if !ok {
		return importer.SentManifest{}, false
	}
	c.order.MoveToFront(element)
	m := element.Value.(*cacheItem).manifest
	m.Bytes = bytes.Clone(m.Bytes) // bytes belong to the caller
	return m, true
}

func (c *Cache) put(key cacheKey, m importer.SentManifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	limit := c.MaxBytes
	if limit == 0 {
		limit = defaultCacheBytes
	}
	if _, have := c.items[key]; have || int64(len(m.Bytes)) > limit {
		return
	}
	if c.items == nil {
		c.items = map[cacheKey]*list.Element{}
	}
	m.Bytes = bytes.Clone(m.Bytes)
	c.items[key] = c.order.PushFront(&cacheItem{key, m})
	c.size += int64(len(m.Bytes))
	for c.size > limit {
		last := c.order.Back()
		item := c.order.Remove(last).(*cacheItem)
		delete(c.items, item.key)
		c.size -= int64(len(item.manifest.Bytes))
	}
}

// Size returns how many bytes are kept.
func (c *Cache) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size
}
