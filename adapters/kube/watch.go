package kube

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	kubewatch "k8s.io/apimachinery/pkg/watch"

	"github.com/imagestreams/imagestreams/imagestream"
)

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return s.streams.watch(ctx, query{opts.Namespace, opts.Name, opts.Labels}, opts.ResourceVersion)
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return s.images.watch(ctx, query{"", opts.Name, opts.Labels}, opts.ResourceVersion)
}

func (k kind[T]) watch(ctx context.Context, q query, version string) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		report := func(c imagestream.Change[T]) bool { return yield(c, nil) }
		w := &watcher[T]{kind: k, query: q, at: version, yield: report}
		if err := w.run(ctx); !errors.Is(err, errStopped) {
			yield(imagestream.Change[T]{}, err)
		}
	}
}

// watcher is a watch that runs.
type watcher[T any] struct {
	kind  kind[T]
	query query
	yield func(imagestream.Change[T]) bool
	at    string    // the version up to which everything was reported
	since time.Time // when the watch could not go on for the first time, one time after the other
	doubt bool      // whether the cluster may be older than that version
	began bool      // whether the cluster has taken the watch once
}

// errStopped means that the reader wants no more.
var errStopped = errors.New("the reader stopped")

const (
	// patience is for how long a watch that was interrupted tries to go on, and maxPause the longest pause before that.
	patience = 30 * time.Second
	maxPause = time.Second
)

func (w *watcher[T]) run(ctx context.Context) error {
	if err := w.begin(ctx); err != nil {
		return err
	}
	for {
		before := w.at
		err := w.follow(ctx)
		switch {
		case ctx.Err() != nil && !errors.Is(err, errStopped):
			return ctx.Err()
		case err == nil && w.at != before: // the cluster has ended the watch, as it does from time to time
			continue
		case err == nil: // or it could not be reached: client-go does not tell
		case !w.isInterruption(err):
			return err
		case w.since.IsZero():
			w.since = time.Now()
		case time.Since(w.since) > w.kind.patience:
			return err
		}
		w.doubt = true
		timer := time.NewTimer(rand.N(w.kind.maxPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// isInterruption reports whether the watch goes on after an error.
func (w *watcher[T]) isInterruption(err error) bool {
	if errors.Is(err, ErrDefinitions) { // a server that was restarted reads them a moment after it begins to answer
		return w.began
	}
	var status *imagestream.StatusError
	if errors.As(err, &status) {
		switch status.Reason {
		case imagestream.ReasonTooManyRequests, imagestream.ReasonInternalError, imagestream.ReasonServerTimeout,
			imagestream.ReasonUnavailable, reasonTimeout:
			return true
		}
		return false
	}
	return !errors.Is(err, ErrFormat) && !errors.Is(err, errStopped)
}

// begin finds out where the watch starts, and reports all that is there if it starts with that.
func (w *watcher[T]) begin(ctx context.Context) error {
	if w.at != "" {
		if n, err := strconv.ParseUint(w.at, 10, 64); err != nil {
			return w.kind.fail(imagestream.ReasonBadRequest, imagestream.Key{},
				"resourceVersion "+strconv.Quote(w.at)+" is not one of a cluster")
		} else if n == 0 { // to a cluster, 0 is any version
			return w.gone("resourceVersion 0 is older than everything")
		}
		w.doubt = !w.kind.newest.reaches(w.at)
		return nil
	}
	for token := ""; ; {
		items, meta, err := w.kind.page(ctx, w.query, portion, token)
		if err != nil {
			return err
		}
		for i := range items {
			if !w.yield(imagestream.Change[T]{Type: imagestream.Added, Object: &items[i]}) {
				return errStopped
			}
		}
		w.at = meta.ResourceVersion
		if token = meta.Continue; token == "" {
			return nil
		}
	}
}

func (w *watcher[T]) gone(why string) error {
	return w.kind.fail(imagestream.ReasonExpired, imagestream.Key{}, why+": list again and watch from there")
}

// checkAhead ends a watch from a version that the cluster has not reached: it would wait in silence for changes that
// are others than those it has seen.
func (w *watcher[T]) checkAhead(ctx context.Context) error {
	_, meta, err := w.kind.page(ctx, w.query, 1, "")
	if err != nil {
		return err
	}
	if isOlder(meta.ResourceVersion, w.at) {
		return w.gone("resourceVersion " + w.at + " is ahead of the cluster, which was restored from a backup, perhaps")
	}
	w.doubt = false
	return nil
}

// follow reports changes until the cluster ends the watch.
func (w *watcher[T]) follow(ctx context.Context) error {
	if w.doubt {
		if err := w.checkAhead(ctx); err != nil {
			return err
		}
	}
	opts, err := w.kind.options(w.query)
	if err != nil {
		return err
	}
	opts.ResourceVersion, opts.AllowWatchBookmarks = w.at, true
	stream, err := w.kind.in(w.query.namespace).Watch(ctx, opts)
	if err != nil {
		return w.kind.failure(ctx, imagestream.Key{}, err)
	}
	w.since, w.began = time.Time{}, true
	defer func() {
		stream.Stop()
		for range stream.ResultChan() { // until its goroutine has ended
		}
	}()
	for {
		select {
		case event, ok := <-stream.ResultChan():
			if ended := ctx.Err(); ended != nil || !ok {
				return ended
			}
			if err := w.handle(ctx, event); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var changeTypes = map[kubewatch.EventType]imagestream.ChangeType{
	kubewatch.Added: imagestream.Added, kubewatch.Modified: imagestream.Modified, kubewatch.Deleted: imagestream.Deleted,
	kubewatch.Bookmark: imagestream.Bookmark,
}

// handle reports an event.
func (w *watcher[T]) handle(ctx context.Context, event kubewatch.Event) error {
	if event.Type == kubewatch.Error {
		return w.kind.failure(ctx, imagestream.Key{}, apierrors.FromObject(event.Object))
	}
	u, ok := event.Object.(*unstructured.Unstructured)
	if !ok || changeTypes[event.Type] == "" {
		return fmt.Errorf("%w: the cluster sends a %T as %s to a watch", ErrFormat, event.Object, event.Type)
	}
	version := u.GetResourceVersion()
	change := imagestream.Change[T]{Type: changeTypes[event.Type]}
	if change.Type == imagestream.Bookmark {
		if version == w.at {
			return nil
		}
		change.Object = new(T)
		w.kind.meta(change.Object).ResourceVersion = version
	} else {
		var err error
		if change.Object, err = w.kind.decode(u); err != nil {
			return err
		}
	}
	w.kind.newest.see(version)
	w.at = version
	if !w.yield(change) {
		return errStopped
	}
	return nil
}
