package imagestream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// Writer carries transitions out on a Store: it reads what a transition needs, computes, writes, and begins
// again if somebody else wrote meanwhile. Its zero fields mean what they say; only Store must be set. It is
// safe for concurrent use.
type Writer struct {
	Store Store
	// Authorizer knows the streams of other namespaces that tags may come from. Nil allows none.
	Authorizer Authorizer
	Settings   Settings
	// Now is the clock; nil is time.Now. It is read once for each attempt.
	Now func() time.Time
	// Attempts is how often a write is tried when others write too; 0 is until the context ends.
	Attempts int
	// WriteUnchanged hands a stream that does not change to the store all the same, which then sees whether
	// somebody else changed it.
	WriteUnchanged bool
	Trace          *Trace
}

// Trace is told what a [Writer] does. It may be nil, and so may each of its functions. They are called from
// the goroutine that writes.
type Trace struct {
	// Conflict is called when somebody else wrote first: attempt counts from 1, wait is how long the writer
	// pauses before the next one.
	Conflict func(key Key, attempt int, wait time.Duration)
}

// Create stores a new stream, by the rules of [PrepareCreate]. Errors are of class [ErrInvalid] with the
// wrong fields, [ErrAlreadyExists], or the store's.
func (w *Writer) Create(ctx context.Context, stream *ImageStream) (*ImageStream, error) {
	return w.create(ctx, stream, PrepareCreate)
}

func (w *Writer) create(ctx context.Context, stream *ImageStream, prepare func(*ImageStream, Env) (*ImageStream, ErrorList)) (*ImageStream, error) {
	env, err := w.read(ctx, CreateNeeds(stream))
	if err != nil {
		return nil, err
	}
	prepared, errs := prepare(stream, env)
	if len(errs) > 0 {
		return nil, NewInvalid(ResourceImageStreams, stream.Key(), errs)
	}
	return w.Store.CreateImageStream(ctx, prepared)
}

// Update replaces the stream of that key by what change makes of it, by the rules of [PrepareUpdate]. Change
// must not modify its argument, but return a changed copy; it is called again on a fresh stream after a
// conflict. Errors are change's own, or of class [ErrNotFound], [ErrInvalid] with the wrong fields,
// [ErrConflict] after the last attempt, or the store's.
//
// If nothing changes, nothing is written.
func (w *Writer) Update(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error)) (*ImageStream, error) {
	return w.update(ctx, key, change, nil, PrepareUpdate)
}

// UpdateStatus is Update for the status, by the rules of [PrepareStatusUpdate].
func (w *Writer) UpdateStatus(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error)) (*ImageStream, error) {
	return w.update(ctx, key, change, nil, PrepareStatusUpdate)
}

// UpdateInternal is Update for importers and for writes to single tags, by the rules of
// [PrepareUpdateInternal].
func (w *Writer) UpdateInternal(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error)) (*ImageStream, error) {
	return w.update(ctx, key, change, nil, PrepareUpdateInternal)
}

// UpsertInternal is UpdateInternal for a stream that need not be there: change is then called with nil, and
// what it returns is created by the rules of create, [PrepareCreate] or [PrepareCreateInternal].
func (w *Writer) UpsertInternal(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error),
	create func(*ImageStream, Env) (*ImageStream, ErrorList),
) (*ImageStream, error) {
	return w.update(ctx, key, change, create, PrepareUpdateInternal)
}

func (w *Writer) update(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error),
	create func(*ImageStream, Env) (*ImageStream, ErrorList),
	prepare func(old, next *ImageStream, env Env) (*ImageStream, ErrorList),
) (*ImageStream, error) {
	for attempt := 1; ; attempt++ {
		stream, err := w.attempt(ctx, key, change, create, prepare)
		if err == nil || !errors.Is(err, ErrConflict) && !(create != nil && errors.Is(err, ErrAlreadyExists)) || attempt == w.Attempts {
			return stream, err
		}
		if err := w.pause(ctx, key, attempt); err != nil {
			return nil, err
		}
	}
}

func (w *Writer) attempt(ctx context.Context, key Key, change func(old *ImageStream) (*ImageStream, error),
	create func(*ImageStream, Env) (*ImageStream, ErrorList),
	prepare func(old, next *ImageStream, env Env) (*ImageStream, ErrorList),
) (*ImageStream, error) {
	old, err := w.Store.GetImageStream(ctx, key)
	if create != nil && errors.Is(err, ErrNotFound) {
		next, err := change(nil)
		if err != nil {
			return nil, err
		}
		return w.create(ctx, next, create)
	}
	if err != nil {
		return nil, err
	}
	next, err := change(old)
	if err != nil {
		return nil, err
	}
	if next == old && !w.WriteUnchanged {
		return old, nil
	}
	if err := CheckUpdate(old, next); err != nil {
		return nil, err
	}
	env, err := w.read(ctx, UpdateNeeds(old, next))
	if err != nil {
		return nil, err
	}
	prepared, errs := prepare(old, next, env)
	if len(errs) > 0 {
		if err := w.checkCurrent(ctx, old); err != nil {
			return nil, err
		}
		return nil, NewInvalid(ResourceImageStreams, key, errs)
	}
	if !w.WriteUnchanged && Equal(old, prepared) {
		return old, nil
	}
	return w.Store.UpdateImageStream(ctx, prepared)
}

// checkCurrent reports whether s is still what is stored. What is wrong with a stream that is not, nobody
// needs to know.
func (w *Writer) checkCurrent(ctx context.Context, s *ImageStream) error {
	stored, err := w.Store.GetImageStream(ctx, s.Key())
	if err == nil && stored.Metadata.ResourceVersion != s.Metadata.ResourceVersion {
		return NewError(ReasonConflict, ResourceImageStreams, s.Key(), "")
	}
	return err
}

// Pauses between attempts: the first is short, each may be twice as long as the one before, none is longer
// than a second.
const (
	firstPause = 5 * time.Millisecond
	maxPause   = time.Second
)

func (w *Writer) pause(ctx context.Context, key Key, attempt int) error {
	return Pause(ctx, attempt, func(wait time.Duration) {
		if w.Trace != nil && w.Trace.Conflict != nil {
			w.Trace.Conflict(key, attempt, wait)
		}
	})
}

// Pause waits between an attempt, counted from 1, and the next one, for a random time that may be longer
// after each attempt, up to a second. It calls before, if that is not nil, with the time; the error is that
// of ctx.
func Pause(ctx context.Context, attempt int, before func(wait time.Duration)) error {
	bound := min(firstPause<<min(attempt-1, 10), maxPause)
	wait := rand.N(bound) + 1
	if before != nil {
		before(wait)
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

// maxReads is how many streams are read at a time.
const maxReads = 8

// read fetches what a transition needs.
func (w *Writer) read(ctx context.Context, needs Needs) (Env, error) {
	now := time.Now
	if w.Now != nil {
		now = w.Now
	}
	env := Env{Now: now(), Settings: w.Settings}
	streams := make([]*ImageStream, len(needs.Streams))
	err := each(ctx, needs.Streams, func(ctx context.Context, i int, key Key) error {
		stream, err := w.Store.GetImageStream(ctx, key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("get image stream %s: %w", key, err)
		}
		streams[i] = stream
		return nil
	})
	if err != nil {
		return Env{}, err
	}
	readable := make([]bool, len(needs.Layers))
	if w.Authorizer != nil {
		err := each(ctx, needs.Layers, func(ctx context.Context, i int, key Key) error {
			ok, err := w.Authorizer.MayGetLayers(ctx, key)
			if err != nil {
				return fmt.Errorf("may the caller get the layers of %s: %w", key, err)
			}
			readable[i] = ok
			return nil
		})
		if err != nil {
			return Env{}, err
		}
	}
	env.Streams = make(map[Key]*ImageStream, len(streams))
	for i, key := range needs.Streams {
		if streams[i] != nil {
			env.Streams[key] = streams[i]
		}
	}
	env.Readable = make(map[Key]bool, len(readable))
	for i, key := range needs.Layers {
		env.Readable[key] = readable[i]
	}
	return env, nil
}

// each calls f for every key, maxReads at a time, and returns the error of the first key in order that
// failed.
func each(ctx context.Context, keys []Key, f func(ctx context.Context, i int, key Key) error) error {
	errs := make([]error, len(keys))
	slots := make(chan struct{}, maxReads)
	var wg sync.WaitGroup
	for i, key := range keys {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = f(ctx, i, key)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
