// Package polite has wrappers of registries that spare them, and bear with them: each is small, and can be used alone.
package polite

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/importer"
)

// Retry asks again where that is worth it. The zero values of its fields do what the real importer does: manifests and tags are
// asked for up to three times, two seconds apart, if the registry says, not in its own JSON, that there were too many requests.
type Retry struct {
	Registry importer.Registry
	// Again says how long to wait before asking again after a failure, the attempt'th, which counts from 1, and whether to. Nil
	// is [AsReal].
	Again func(attempt int, failure *importer.RegistryError) (time.Duration, bool)
	// Wait waits; nil is by the clock, until the context ends.
	Wait func(ctx context.Context, d time.Duration) error
}

// AsReal asks again as the real importer does. Source: op import.run.
func AsReal(attempt int, failure *importer.RegistryError) (time.Duration, bool) {
	retries := failure.Operation == importer.OperationManifest || failure.Operation == importer.OperationTags || failure.Operation == importer.OperationHead
	return 2 * time.Second, retries && failure.StatusCode == 429 && len(failure.Codes) == 0 && attempt <= 2
}

// Repository implements [importer.Registry].
func (r Retry) Repository(ctx context.Context, name reference.Named, access importer.Access) (importer.Repository, error) {
	repository, err := r.Registry.Repository(ctx, name, access)
	return &retrying{repository, r}, err
}

type retrying struct {
	importer.Repository
	retry Retry
}

// do asks until it is answered, or not worth it any more.
func (r *retrying) do(ctx context.Context, ask func() error) error {
	again := r.retry.Again
	if again == nil {
		again = AsReal
	}
	wait := r.retry.Wait
	if wait == nil {
		wait = sleep
	}
	for attempt := 1; ; attempt++ {
		err := ask()
		var failure *importer.RegistryError
		if !errors.As(err, &failure) {
			return err
		}
		pause, worth := again(attempt, failure)
		if !worth {
			return err
		}
		if waitErr := wait(ctx, pause); waitErr != nil {
			return waitErr
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *retrying) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		sent := 0 // a list that is begun again goes on where it was
		err := r.do(ctx, func() error {
			n := 0
			for tag, err := range r.Repository.Tags(ctx) {
				if err != nil {
					return err
				}
				if n++; n <= sent {
					continue
				}
				sent++
				if !yield(tag, nil) {
					return errStopped
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStopped) {
			yield("", err)
		}
	}
}

var errStopped = errors.New("stopped")

func (r *retrying) Head(ctx context.Context, ref importer.Ref) (d importer.Descriptor, err error) {
	err = r.do(ctx, func() (err error) {
		d, err = r.Repository.Head(ctx, ref)
		return err
	})
	return d, err
}

func (r *retrying) Manifest(ctx context.Context, ref importer.Ref) (m importer.Manifest, err error) {
	err = r.do(ctx, func() (err error) {
		m, err = r.Repository.Manifest(ctx, ref)
		return err
	})
	return m, err
}

func (r *retrying) Blob(ctx context.Context, d digest.Digest, limit int64) (blob []byte, err error) {
	err = r.do(ctx, func() (err error) {
		blob, err = r.Repository.Blob(ctx, d, limit)
		return err
	})
	return blob, err
}

func (r *retrying) BlobSize(ctx context.Context, d digest.Digest) (size int64, err error) {
	err = r.do(ctx, func() (err error) {
		size, err = r.Repository.BlobSize(ctx, d)
		return err
	})
	return size, err
}
