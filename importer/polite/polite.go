// Package polite has wrappers of registries. Each wraps any [importer.Registry] and can be used alone.
//
//	Limit     bounds the requests to a host, at a time and a second, and obeys Retry-After
//	Retry     repeats requests that may succeed later
//	Cache     keeps what has a digest, up to a number of bytes
//	Meter     counts requests and enforces a budget
//	Recorder  records a session, which Replay repeats in tests
//
// In the order Cache around Retry around Meter around Limit, a cached answer costs nothing and every retry waits its
// turn. A list of tags with all its pages counts as one request.
package polite

import (
	"context"
	"iter"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/importer"
)

// Request is one request to a repository.
type Request struct {
	Host, Repository string
	Operation        importer.Operation
	// Reference is a tag or a digest, or "" for a list of tags.
	Reference string
}

// around wraps a repository: do calls ask once, several times or not at all.
type around struct {
	importer.Repository
	name reference.Named
	do   func(ctx context.Context, r Request, ask func() error) error
}

func (a *around) request(op importer.Operation, ref string) Request {
	return Request{reference.Domain(a.name), a.name.Name(), op, ref}
}

// Tags skips what was yielded already when do asks again.
func (a *around) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		var sent []string
		stopped := false
		err := a.do(ctx, a.request(importer.OperationTags, ""), func() error {
			before := make(map[string]bool, len(sent))
			for _, tag := range sent {
				before[tag] = true
			}
			for tag, err := range a.Repository.Tags(ctx) {
				if err != nil {
					return err
				}
				if before[tag] {
					continue
				}
				sent = append(sent, tag)
				if stopped = !yield(tag, nil); stopped {
					return nil
				}
			}
			return nil
		})
		if err != nil && !stopped {
			yield("", err)
		}
	}
}

func (a *around) Head(ctx context.Context, ref importer.Ref) (importer.ManifestHead, error) {
	return asked(ctx, a, importer.OperationHead, ref.String(),
		func() (importer.ManifestHead, error) { return a.Repository.Head(ctx, ref) })
}

func (a *around) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	return asked(ctx, a, importer.OperationManifest, ref.String(),
		func() (importer.SentManifest, error) { return a.Repository.Manifest(ctx, ref) })
}

func (a *around) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	return asked(ctx, a, importer.OperationBlob, d.String(),
		func() ([]byte, error) { return a.Repository.Blob(ctx, d, limit) })
}

func (a *around) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	return asked(ctx, a, importer.OperationBlobSize, d.String(),
		func() (int64, error) { return a.Repository.BlobSize(ctx, d) })
}

func asked[T any](
	ctx context.Context, a *around, op importer.Operation, ref string, ask func() (T, error),
) (value T, err error) {
	err = a.do(ctx, a.request(op, ref), func() (err error) {
		value, err = ask()
		return err
	})
	return value, err
}

// wait waits until d has passed or ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
