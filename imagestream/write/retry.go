package write

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// ConflictError is how a write ends that others kept overtaking.
type ConflictError struct {
	Key imagestream.Key
	// Attempts is how often the write was tried.
	Attempts int
	// Err is the Store's answer to the last attempt.
	Err error
	// Cause is the context's error if that ended the write, and nil if it was the last attempt that was
	// allowed.
	Cause error
}

func (e *ConflictError) Error() string {
	text := fmt.Sprintf("write %s: others wrote first, %d times in a row: %v", e.Key, e.Attempts, e.Err)
	if e.Attempts == 1 {
		text = fmt.Sprintf("write %s: somebody else wrote first: %v", e.Key, e.Err)
	}
	if e.Cause != nil {
		text += fmt.Sprintf("; the write was given up: %v", e.Cause)
	}
	return text
}

// Unwrap returns the last conflict, and the context's error if there is one.
func (e *ConflictError) Unwrap() []error {
	if e.Cause == nil {
		return []error{e.Err}
	}
	return []error{e.Err, e.Cause}
}

// Retry calls once until it is not overtaken by somebody else's write, pausing in between: the loop of
// [Engine.Write], for writes that it does not cover. Attempts overrides [Engine.Attempts] if it is not 0. The
// error is the last one of once, a [*ConflictError] with it if others wrote first each time.
func (e *Engine) Retry(
	ctx context.Context,
	key imagestream.Key,
	attempts int,
	once func() (overtaken bool, err error),
) error {
	if attempts == 0 {
		attempts = e.Attempts
	}
	for attempt := 1; ; attempt++ {
		overtaken, err := once()
		if err == nil || !overtaken {
			return err
		}
		if attempt == attempts {
			return &ConflictError{Key: key, Attempts: attempt, Err: err}
		}
		if cause := e.pause(ctx, key, attempt); cause != nil {
			return &ConflictError{Key: key, Attempts: attempt, Err: err, Cause: cause}
		}
	}
}

// The bounds of pauses: the first is short, each may be twice as long as the one before.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

func randomPause(attempt int) time.Duration {
	return rand.N(min(firstPause<<min(attempt-1, 10), maxPause)) + 1
}

// pause waits before the next attempt; its error is that of ctx.
func (e *Engine) pause(ctx context.Context, key imagestream.Key, attempt int) error {
	pause := randomPause
	if e.Pause != nil {
		pause = e.Pause
	}
	wait := pause(attempt)
	if e.Trace != nil && e.Trace.Conflict != nil {
		e.Trace.Conflict(key, attempt, wait)
	}
	if wait <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
