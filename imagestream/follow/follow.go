// Package follow tells a controller which image streams or images have changed, for as long as it runs, whatever
// happens to the watch.
//
//	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[imagestream.Key]())
//	enqueue := func(key imagestream.Key, _ *imagestream.ImageStream) { queue.Add(key) }
//	go follow.ImageStreams(ctx, store, enqueue, follow.Options{})
//
// # What is told
//
// A list comes first: every object in it is told. Then a watch goes on from the version of that list, and tells what
// is written and what is deleted. A watch that ends, or fails, is begun again at the version that it reached. If that
// version is gone, another list is taken and compared with what was told before: what is new, what has another
// version, and what is no longer there is told. So each object is told at least in its last state, and no version of
// an object is told twice in a row. An object that is deleted and created again between two lists is told once, as it
// is now.
//
// # When the source fails
//
// A failure is followed by a pause: at random between half of a bound and the bound, which begins with 100
// milliseconds, doubles with each failure in a row up to 30 seconds, and begins again once the version moves. A
// failure that says when to try again, as [imagestream.StatusError] does, is followed by a pause of that time, up to
// 30 seconds, if that is longer. A watch that ends without a failure counts as one that failed, and so does a version
// that is gone again right after a list. So a source that fails at once is asked two to four times a minute in the
// end, and never in a hot loop.
//
// # Limits
//
// The names and versions of everything that is followed are kept in memory, not the objects. Changed is called by one
// goroutine, and the watch waits for it: a source ends watches that are too slow.
package follow

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Options say what is followed. The zero value is everything.
type Options struct {
	// Namespace restricts what is followed to one namespace; empty is all. Images have none and ignore it.
	Namespace string
	// Labels choose by labels. An object that ceases to match is gone.
	Labels imagestream.Selector
	// Listed, if it is not nil, is called after each list, once what is in it has been told.
	Listed func()
	// Failed, if it is not nil, is told each failure of the source, before the pause that follows it. That a watch's
	// version is gone is none.
	Failed func(error)
}

// ImageStreams tells changed of every image stream that changes, with the stream as it is, which is the receiver's
// own, or nil if it is gone. It returns when ctx ends, with the error of ctx.
func ImageStreams(
	ctx context.Context, reader imagestream.Reader, changed func(imagestream.Key, *imagestream.ImageStream),
	opts Options,
) error {
	f := follower[imagestream.ImageStream]{
		Options: opts, what: "image streams", changed: changed, watch: reader.WatchImageStreams,
		meta: func(s *imagestream.ImageStream) *imagestream.ObjectMeta { return &s.Metadata },
		page: func(ctx context.Context, o imagestream.ListOptions) ([]imagestream.ImageStream, imagestream.ListMeta, error) {
			list, err := reader.ListImageStreams(ctx, o)
			if err != nil {
				return nil, imagestream.ListMeta{}, err
			}
			return list.Items, list.Metadata, nil
		},
	}
	return f.run(ctx)
}

// Images is [ImageStreams] for images.
func Images(
	ctx context.Context, reader imagestream.Reader, changed func(imagestream.Key, *imagestream.Image), opts Options,
) error {
	opts.Namespace = ""
	f := follower[imagestream.Image]{
		Options: opts, what: "images", changed: changed, watch: reader.WatchImages,
		meta: func(i *imagestream.Image) *imagestream.ObjectMeta { return &i.Metadata },
		page: func(ctx context.Context, o imagestream.ListOptions) ([]imagestream.Image, imagestream.ListMeta, error) {
			list, err := reader.ListImages(ctx, o)
			if err != nil {
				return nil, imagestream.ListMeta{}, err
			}
			return list.Items, list.Metadata, nil
		},
	}
	return f.run(ctx)
}

// The bounds of pauses, and how many objects a page of a list has.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 30 * time.Second
	pageSize   = 500
)

type follower[T any] struct {
	Options
	what    string
	changed func(imagestream.Key, *T)
	meta    func(*T) *imagestream.ObjectMeta
	page    func(context.Context, imagestream.ListOptions) ([]T, imagestream.ListMeta, error)
	watch   func(context.Context, imagestream.WatchOptions) iter.Seq2[imagestream.Change[T], error]

	told    map[imagestream.Key]string // the versions that were told of what is there
	version string                     // what was reached; empty before the first list and after it is gone
}

var errEnded = errors.New("the watch ended")

func (f *follower[T]) run(ctx context.Context) error {
	f.told = map[imagestream.Key]string{}
	bound := firstPause
	for {
		moved, err := f.step(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if moved {
			bound = firstPause
		}
		if f.version != "" && errors.Is(err, imagestream.ErrGone) {
			f.version = ""
		} else if f.Failed != nil && err != errEnded {
			f.Failed(err)
		}
		pause := bound/2 + rand.N(bound/2)
		var status *imagestream.StatusError
		if errors.As(err, &status) {
			pause = max(pause, min(status.RetryAfter, maxPause))
		}
		bound = min(2*bound, maxPause)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// step lists if no version is known, and watches until that ends. It reports whether the watch brought anything.
func (f *follower[T]) step(ctx context.Context) (moved bool, err error) {
	if f.version == "" {
		if err := f.list(ctx); err != nil {
			return false, fmt.Errorf("list %s: %w", f.what, err)
		}
	}
	opts := imagestream.WatchOptions{Namespace: f.Namespace, Labels: f.Labels, ResourceVersion: f.version}
	for change, err := range f.watch(ctx, opts) {
		if err != nil {
			return moved, fmt.Errorf("watch %s: %w", f.what, err)
		}
		f.take(change)
		moved = true
	}
	return moved, errEnded
}

// list tells what differs from what was told.
func (f *follower[T]) list(ctx context.Context) error {
	there := map[imagestream.Key]string{}
	opts := imagestream.ListOptions{Namespace: f.Namespace, Labels: f.Labels, Limit: pageSize}
	for {
		items, meta, err := f.page(ctx, opts)
		if err != nil {
			return err
		}
		for i := range items {
			m := f.meta(&items[i])
			key := imagestream.Key{Namespace: m.Namespace, Name: m.Name}
			there[key] = m.ResourceVersion
			f.tell(key, m.ResourceVersion, &items[i])
		}
		if opts.Continue = meta.Continue; opts.Continue == "" {
			f.version = meta.ResourceVersion
			break
		}
	}
	for key := range f.told {
		if _, ok := there[key]; !ok {
			f.forget(key)
		}
	}
	if f.Listed != nil {
		f.Listed()
	}
	return nil
}

func (f *follower[T]) take(change imagestream.Change[T]) {
	m := f.meta(change.Object)
	f.version = m.ResourceVersion
	key := imagestream.Key{Namespace: m.Namespace, Name: m.Name}
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		f.tell(key, m.ResourceVersion, change.Object)
	case imagestream.Deleted:
		f.forget(key)
	}
}

func (f *follower[T]) tell(key imagestream.Key, version string, object *T) {
	if f.told[key] != version {
		f.told[key] = version
		f.changed(key, object)
	}
}

func (f *follower[T]) forget(key imagestream.Key) {
	if _, ok := f.told[key]; ok {
		delete(f.told, key)
		f.changed(key, nil)
	}
}
