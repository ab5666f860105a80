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
	Planner *trigger.Planner
	// Wrote, if it is not nil, is told of each update, and Planned of each round once it is written.
	Wrote   func(trigger.Update, error)
	Planned func(trigger.Round)
}

// Run works until ctx ends: two watches fill one queue, and one worker empties it, plans, and writes.
func (c *Controller) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	queue := make(chan func())
	g.Go(func() error {
		return feed(ctx, queue, func() iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
			return c.Streams.WatchImageStreams(ctx, imagestream.WatchOptions{})
		}, c.stream)
	})
	g.Go(func() error {
		return feed(ctx, queue, func() iter.Seq2[imagestream.Change[Object], error] { return c.Objects.Watch(ctx) }, c.object)
	})
	g.Go(func() error { return c.work(ctx, queue) })
	return g.Wait()
}

// feed puts what a watch yields into the queue, and watches again if the watch was too slow.
func feed[T any](
	ctx context.Context,
	queue chan<- func(),
	watch func() iter.Seq2[imagestream.Change[T], error],
	do func(imagestream.Change[T]),
) error {
	for {
		for change, err := range watch() {
			if errors.Is(err, imagestream.ErrGone) {
				break
			} else if err != nil {
				return err
			}
			select {
			case queue <- func() { do(change) }:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

func (c *Controller) stream(change imagestream.Change[imagestream.ImageStream]) {
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		c.Planner.SetStream(change.Object)
	case imagestream.Deleted:
		c.Planner.DeleteStream(change.Object.Key())
	}
}

func (c *Controller) object(change imagestream.Change[Object]) {
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		_ = c.Planner.SetObject(*change.Object) // what is wrong with it is in the next round
	case imagestream.Deleted:
		c.Planner.DeleteObject(trigger.IDOf(*change.Object))
	}
}

// work takes what happened, as much as there is, and plans once for all of it.
func (c *Controller) work(ctx context.Context, queue <-chan func()) error {
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
		round := c.Planner.Plan(time.Now())
		for _, u := range round.Updates {
			c.write(ctx, u)
		}
		switch {
		case len(round.Updates) > 0:
			next.Reset(0) // who waited for them may go on
		case !round.Next.IsZero():
			next.Reset(time.Until(round.Next))
		}
		if c.Planned != nil {
			c.Planned(round)
		}
	}
}

// write makes an update. One that comes too late is planned again for the object as it is now.
func (c *Controller) write(ctx context.Context, u trigger.Update) {
	var written Object
	var err error
	if u.Build != nil {
		err = c.Objects.Instantiate(ctx, u.Build)
	} else {
		written, err = c.Objects.Update(ctx, lookup.Apply(u.Object, u.Changes))
	}
	c.Planner.Done(u.ID, written, err)
	if c.Wrote != nil {
		c.Wrote(u, err)
	}
	if !errors.Is(err, imagestream.ErrConflict) && !errors.Is(err, imagestream.ErrNotFound) {
		return
	}
	switch now, err := c.Objects.Get(ctx, u.ID); {
	case err == nil:
		_ = c.Planner.SetObject(now)
	case errors.Is(err, imagestream.ErrNotFound):
		c.Planner.DeleteObject(u.ID)
	}
}
