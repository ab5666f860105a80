package polite

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

// Retry repeats requests that fail.
type Retry struct {
	Registry importer.Registry
	// Again returns how long to wait after a failed attempt, counted from 1, and whether to ask again at all. Nil is
	// [Patient].
	Again func(attempt int, failure *importer.RegistryError) (time.Duration, bool)
	// Wait waits for a time or until the context ends; nil waits by time.Now.
	Wait func(ctx context.Context, d time.Duration) error
}

// Limits of [Patient].
const (
	patientAttempts = 4
	patientFirst    = 500 * time.Millisecond
	// maxRetryAfter is the longest Retry-After that is obeyed; a longer one ends the attempts.
	maxRetryAfter = time.Minute
)

// Patient makes up to four attempts if a failure is temporary. It waits half a second, then twice as long each time,
// and by chance up to half of that more; or for Retry-After if that is longer. If Retry-After is more than a minute,
// it gives up.
func Patient(attempt int, failure *importer.RegistryError) (time.Duration, bool) {
	if !failure.IsTemporary() || attempt >= patientAttempts || failure.RetryAfter > maxRetryAfter {
		return 0, false
	}
	pause := patientFirst << (attempt - 1)
	return max(pause+rand.N(pause/2), failure.RetryAfter), true
}

// Repository implements [importer.Registry].
func (r Retry) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	repository, err := r.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	return &around{repository, name, r.do}, nil
}

// do asks until a request succeeds, or Again gives up.
func (r Retry) do(ctx context.Context, _ Request, ask func() error) error {
	again, pause := r.Again, r.Wait
	if again == nil {
		again = Patient
	}
	if pause == nil {
		pause = wait
	}
	for attempt := 1; ; attempt++ {
		err := ask()
		var failure *importer.RegistryError
		if !errors.As(err, &failure) {
			return err
		}
		d, worth := again(attempt, failure)
		if !worth {
			return err
		}
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
}
