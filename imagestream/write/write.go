package write

import (
	"context"
	"errors"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Engine writes image streams to a Store. Only Store must be set. It is safe for concurrent use, and its
// fields must not change while it is used.
type Engine struct {
	Store imagestream.Store
	// Authorizer knows the streams of other namespaces that tags may come from. Nil allows none.
	Authorizer imagestream.Authorizer
	Settings   imagestream.Settings
	// Now is the clock; nil is time.Now. It is read once for each attempt.
	Now func() time.Time
	// Attempts is how often a write is tried when others write too; 0 is until the context ends.
	Attempts int
	// Pause returns how long to wait after an attempt, counted from 1, that somebody else overtook. Nil waits a
	// random time, which may double after each attempt, from 5 milliseconds up to a second.
	Pause func(attempt int) time.Duration
	Trace *Trace
}

// Trace is told what an [Engine] does. It may be nil, and so may each of its functions. They are called from
// the goroutine that writes.
type Trace struct {
	// Conflict is called when somebody else wrote first: attempt counts from 1, wait is how long the engine
	// pauses before the next one.
	Conflict func(key imagestream.Key, attempt int, wait time.Duration)
}

// Rules say which transitions of package imagestream a write goes through.
type Rules string

const (
	// AsUser is [imagestream.PrepareCreate] and [imagestream.PrepareUpdate]: the status is not the caller's.
	AsUser Rules = ""
	// AsStatus is [imagestream.PrepareStatusUpdate]. It creates nothing.
	AsStatus Rules = "status"
	// AsTag is [imagestream.PrepareCreate] and [imagestream.PrepareUpdateInternal], for writes through a tag.
	// A stream that does not change is handed to the Store all the same, as in the real system.
	AsTag Rules = "tag"
	// AsImport is [imagestream.PrepareCreateInternal] and [imagestream.PrepareUpdateInternal].
	AsImport Rules = "import"
)

func (r Rules) create(
	stream *imagestream.ImageStream,
	env imagestream.Env,
) (*imagestream.ImageStream, imagestream.ErrorList) {
	if r == AsImport {
		return imagestream.PrepareCreateInternal(stream, env)
	}
	return imagestream.PrepareCreate(stream, env)
}

func (r Rules) update(
	old, next *imagestream.ImageStream,
	env imagestream.Env,
) (*imagestream.ImageStream, imagestream.ErrorList) {
	switch r {
	case AsStatus:
		return imagestream.PrepareStatusUpdate(old, next, env)
	case AsTag, AsImport:
		return imagestream.PrepareUpdateInternal(old, next, env)
	}
	return imagestream.PrepareUpdate(old, next, env)
}

// Change makes a stream of the one that is stored. It must not modify its argument, but return a changed copy;
// the argument itself means that nothing changes.
type Change func(old *imagestream.ImageStream) (*imagestream.ImageStream, error)

// Request is one write of one stream.
type Request struct {
	Key    imagestream.Key
	Rules  Rules
	Change Change
	// OrCreate calls Change with nil if the stream does not exist, and creates what it returns. A stream that is
	// deleted between reading and writing is of class [imagestream.ErrNotFound] all the same.
	OrCreate bool
	// DryRun computes the answer and stores nothing. What would be created has the uid [DryRunUID].
	DryRun bool
	// Attempts overrides [Engine.Attempts] if it is not 0.
	Attempts int
}

// Create stores a new stream, by the rules of [AsUser]. Errors are of class [imagestream.ErrInvalid] with the
// wrong fields, [imagestream.ErrAlreadyExists], or the Store's.
func (e *Engine) Create(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return e.CreateBy(ctx, AsUser, stream, false)
}

// CreateBy is [Engine.Create] by other rules, or as a dry run.
func (e *Engine) CreateBy(
	ctx context.Context,
	rules Rules,
	stream *imagestream.ImageStream,
	dryRun bool,
) (*imagestream.ImageStream, error) {
	env, err := e.read(ctx, stream.CreateNeeds())
	if err != nil {
		return nil, err
	}
	prepared, errs := rules.create(stream, env)
	if len(errs) > 0 {
		return nil, errs.Of(imagestream.ResourceImageStreams, stream.Key())
	}
	return e.store(dryRun).CreateImageStream(ctx, prepared)
}

// Update is [Engine.Write] by the rules of [AsUser], for a stream that exists.
func (e *Engine) Update(ctx context.Context, key imagestream.Key, change Change) (*imagestream.ImageStream, error) {
	return e.Write(ctx, Request{Key: key, Change: change})
}

// Write carries a request out and returns the stream as stored. If nothing changes, nothing is written.
//
// Errors are those of r.Change, which end the write at once; of class [imagestream.ErrNotFound] for a stream
// that does not exist; of class [imagestream.ErrInvalid] with the wrong fields; of class
// [imagestream.ErrConflict] if the changed stream carries an old resource version or another uid; a
// [*ConflictError]; or the Store's.
func (e *Engine) Write(ctx context.Context, r Request) (*imagestream.ImageStream, error) {
	var stored *imagestream.ImageStream
	err := e.Retry(ctx, r.Key, r.Attempts, func() (overtaken bool, err error) {
		stored, overtaken, err = e.attempt(ctx, r)
		return overtaken, err
	})
	if err != nil {
		return nil, err
	}
	return stored, nil
}

// attempt writes once, and reports whether somebody else wrote first.
func (e *Engine) attempt(ctx context.Context, r Request) (_ *imagestream.ImageStream, overtaken bool, err error) {
	old, err := e.Store.GetImageStream(ctx, r.Key)
	if r.OrCreate && errors.Is(err, imagestream.ErrNotFound) {
		return e.create(ctx, r)
	}
	if err != nil {
		return nil, false, err
	}
	next, err := r.Change(old)
	if err != nil {
		return nil, false, err
	}
	if next == nil {
		return nil, false, errNothing(r.Key)
	}
	if next == old && r.Rules != AsTag {
		return old, false, nil
	}
	if err := old.CheckUpdate(next); err != nil {
		return nil, false, err
	}
	env, err := e.read(ctx, old.UpdateNeeds(next))
	if err != nil {
		return nil, false, err
	}
	prepared, errs := r.Rules.update(old, next, env)
	if len(errs) > 0 {
		overtaken, err := e.isStale(ctx, old)
		if err == nil {
			err = errs.Of(imagestream.ResourceImageStreams, r.Key)
		}
		return nil, overtaken, err
	}
	if r.Rules != AsTag && old.Same(prepared) {
		return old, false, nil
	}
	stored, err := e.store(r.DryRun).UpdateImageStream(ctx, prepared)
	return stored, errors.Is(err, imagestream.ErrConflict), err
}

// errNothing is the error of a change that returned neither a stream nor an error.
func errNothing(key imagestream.Key) error {
	return imagestream.NewError(imagestream.ReasonBadRequest, imagestream.ResourceImageStreams, key,
		"the change returned no image stream: return the old one if nothing changes")
}

func (e *Engine) create(ctx context.Context, r Request) (_ *imagestream.ImageStream, overtaken bool, err error) {
	next, err := r.Change(nil)
	if err != nil {
		return nil, false, err
	}
	if next == nil {
		return nil, false, errNothing(r.Key)
	}
	stored, err := e.CreateBy(ctx, r.Rules, next, r.DryRun)
	if errors.Is(err, imagestream.ErrAlreadyExists) {
		return nil, true, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, r.Key,
			"somebody else has created it meanwhile")
	}
	return stored, false, err
}

// isStale reports whether s is no longer what is stored, with the conflict as its error. What is wrong with a stream
// that is not stored any more does not matter.
func (e *Engine) isStale(ctx context.Context, s *imagestream.ImageStream) (bool, error) {
	stored, err := e.Store.GetImageStream(ctx, s.Key())
	if err == nil && stored.Metadata.ResourceVersion != s.Metadata.ResourceVersion {
		return true, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, s.Key(), "")
	}
	return false, err
}
