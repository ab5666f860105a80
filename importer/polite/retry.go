package polite

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

// Retry asks again where that is worth it.
type Retry struct {
	Registry importer.Registry
	// Again says how long to wait before asking again after a failure, the attempt'th, which counts from 1, and whether to. Nil
	// is [Patient].
	Again func(attempt int, failure *importer.RegistryError) (time.Duration, bool)
	// Wait waits; nil is by the clock, until the context ends.
	Wait func(ctx context.Context, d time.Duration) error
}

// Limits of [Patient].
const (
	patientAttempts = 4
	patientFirst    = 500 * time.Millisecond
	// maxRetryAfter is the longest that a registry is waited for. One that asks for more is given up.
	maxRetryAfter = time.Minute
)

// Patient asks up to four times what failed because the registry had too many requests or did not answer: after half a second,
// then twice as long each time, and up to half as long again by chance; or when the registry says. If it asks for more than a
// minute, it is not asked again.
func Patient(attempt int, failure *importer.RegistryError) (time.Duration, bool) {
	if !failure.IsTemporary() || attempt >= patientAttempts || failure.RetryAfter > maxRetryAfter {
		return 0, false
	}
	pause := patientFirst << (attempt - 1)
	return max(pause+rand.N(pause/2), failure.RetryAfter), true
}

// Repository implements [importer.Registry].
func (r Retry) Repository(ctx context.Context, name reference.Named, access importer.Access) (importer.Repository, error) {
	repository, err := r.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	return &around{repository, name, r.do}, nil
}

// do asks until it is answered, or not worth it any more.
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
