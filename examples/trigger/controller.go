package main

import (
	"context"
	"errors"
	"iter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// Object is an object of any kind, as encoding/json makes it.
type Object = map[string]any

// Objects are the objects that follow tags, wherever they are kept. Errors are of the classes that a
// [imagestream.Store] gives.
type Objects interface {
	// Watch yields every object that is there, and then whatever happens to one, until ctx ends.
	Watch(ctx context.Context) iter.Seq2[imagestream.Change[Object], error]
	// Get returns an object as it is now.
	Get(ctx context.Context, id trigger.ID) (Object, error)
	// Update replaces an object, if it is still the one that it was made of, and returns it as it is now.
	Update(ctx context.Context, object Object) (Object, error)
	// Instantiate asks for a build.
	Instantiate(ctx context.Context, request *trigger.BuildRequest) error
}

// Controller keeps objects at what their tags say.
type Controller struct {
	Streams imagestream.Reader
	Objects Objects
	Options trigger.Options
	// Wrote, if it is not nil, is told of each update, and Planned of each round once it is written.
	Wrote   func(trigger.Update, error)
	Planned func(trigger.Round)
}

// pause is how long a controller waits before it begins again.
const pause = 5 * time.Second

// Run works until ctx ends. If a watch was too slow, it begins again, and forgets all that it knew: what was removed
// meanwhile is told by no watch.
func (c *Controller) Run(ctx context.Context) error {
	for {
		err := c.run(ctx)
		if !errors.Is(err, imagestream.ErrGone) {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// run works until ctx or a watch ends: two watches fill one queue, and one worker empties it, plans, and writes.
func (c *Controller) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan func())
	w := &worker{c, trigger.NewPlanner(c.Options)}
	g.Go(func() error {
		return feed(ctx, queue, c.Streams.WatchImageStreams(ctx, imagestream.WatchOptions{}), w.stream)
	})
	g.Go(func() error { return feed(ctx, queue, c.Objects.Watch(ctx), w.object) })
	g.Go(func() error { return w.work(ctx, queue) })
	return g.Wait()
}

// feed puts what a watch yields into the queue.
func feed[T any](
	ctx context.Context,
	queue chan<- func(),
	watch iter.Seq2[imagestream.Change[T], error],
	do func(imagestream.Change[T]),
) error {
	for change, err := range watch {
		if err != nil {
			return err
		}
		select {
		case queue <- func() { do(change) }:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return errors.New("a watch ended without an error")
}

// worker is a controller from one beginning to the next.
type worker struct {
	*Controller
	planner *trigger.Planner
}

func (w *worker) stream(change imagestream.Change[imagestream.ImageStream]) {
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		w.planner.SetStream(change.Object)
	case imagestream.Deleted:
		w.planner.DeleteStream(change.Object.Key())
	}
}

func (w *worker) object(change imagestream.Change[Object]) {
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		_ = w.planner.SetObject(*change.Object) // what is wrong with it is in the next round
	case imagestream.Deleted:
		w.planner.DeleteObject(trigger.IDOf(*change.Object))
	}
}

// work takes what happened, as much as there is, and plans once for all of it.
func (w *worker) work(ctx context.Context, queue <-chan func()) error {
	next := time.NewTimer(time.Hour)
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next.C:
		case do := <-queue:
			do()
		}
		for more := true; more; {
			select {
			case do := <-queue:
				do()
			default:
				more = false
			}
		}
		round := w.planner.Plan(time.Now())
		for _, u := range round.Updates {
			w.write(ctx, u)
		}
		switch {
		case len(round.Updates) > 0:
			next.Reset(0) // who waited for them may go on
		case !round.Next.IsZero():
			next.Reset(time.Until(round.Next))
		}
		if w.Planned != nil {
			w.Planned(round)
		}
	}
}

// write makes an update. One that comes too late is planned again for the object as it is now.
func (w *worker) write(ctx context.Context, u trigger.Update) {
	var written Object
	var err error
	if u.Build != nil {
		err = w.Objects.Instantiate(ctx, u.Build)
	} else {
		written, err = w.Objects.Update(ctx, lookup.Apply(u.Object, u.Changes))
	}
	w.planner.Done(u.ID, written, err)
	if w.Wrote != nil {
		w.Wrote(u, err)
	}
	if !errors.Is(err, imagestream.ErrConflict) && !errors.Is(err, imagestream.ErrNotFound) {
		return
	}
	switch now, err := w.Objects.Get(ctx, u.ID); {
	case err == nil:
		_ = w.planner.SetObject(now)
	case errors.Is(err, imagestream.ErrNotFound):
		w.planner.DeleteObject(u.ID)
	}
}
