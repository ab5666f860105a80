package schedule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// change is a changed stream, or the list of all streams.
type change struct {
	key    imagestream.Key
	stream *imagestream.ImageStream // nil if it is gone
	all    map[imagestream.Key]*imagestream.ImageStream
}

// betweenLists is the shortest time between two lists.
const betweenLists = time.Second

// follow sends all changes: a list first, then those of a watch, and another list if the watch ends with ErrGone.
// After another failure the watch goes on from the version that it reached, after a pause.
func (r *running) follow(ctx context.Context) error {
	version, err := r.list(ctx)
	if err != nil {
		return err
	}
	listed := time.Now()
	var failures backoff
	for {
		reached, err := r.watch(ctx, version)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if reached != version {
			version, failures = reached, 0
		}
		isGone := errors.Is(err, imagestream.ErrGone)
		if err != nil && !isGone {
			r.tellFailure(ctx, fmt.Errorf("watch image streams: %w", err))
		}
		wait := betweenLists - time.Since(listed)
		if !isGone || failures > 0 {
			wait = max(wait, failures.next())
		} else {
			failures++ // only the first one in a row is listed at once
		}
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if !isGone {
			continue
		}
		listed = time.Now()
		if version, err = r.listAgain(ctx); err != nil {
			return err
		}
	}
}

// listAgain lists until that succeeds. Its error is that of ctx.
func (r *running) listAgain(ctx context.Context) (version string, err error) {
	var failures backoff
	for {
		version, err := r.list(ctx)
		if err == nil || ctx.Err() != nil {
			return version, ctx.Err()
		}
		r.tellFailure(ctx, err)
		if err := sleep(ctx, failures.next()); err != nil {
			return "", err
		}
	}
}

// watch sends the changes after a version until the watch ends, and returns the version that it reached.
func (r *running) watch(ctx context.Context, version string) (reached string, err error) {
	opts := imagestream.WatchOptions{Namespace: r.Namespace, ResourceVersion: version}
	for c, err := range r.Importer.Engine.Store.WatchImageStreams(ctx, opts) {
		if err != nil {
			return version, err
		}
		told := change{key: c.Object.Key(), stream: c.Object}
		switch c.Type {
		case imagestream.Deleted:
			told.stream = nil
		case imagestream.Bookmark:
			version = c.Object.Metadata.ResourceVersion
			continue
		}
		if !r.tell(ctx, told) {
			return version, ctx.Err()
		}
		version = c.Object.Metadata.ResourceVersion
	}
	return version, nil
}

func (r *running) list(ctx context.Context) (version string, err error) {
	all := map[imagestream.Key]*imagestream.ImageStream{}
	opts := imagestream.ListOptions{Namespace: r.Namespace}
	for {
		page, err := r.Importer.Engine.Store.ListImageStreams(ctx, opts)
		if err != nil {
			return "", fmt.Errorf("list image streams: %w", err)
		}
		for i := range page.Items {
			all[page.Items[i].Key()] = &page.Items[i]
		}
		if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
			r.tell(ctx, change{all: all})
			return page.Metadata.ResourceVersion, nil
		}
	}
}

func (r *running) tell(ctx context.Context, c change) bool {
	select {
	case r.changes <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *running) tellFailure(ctx context.Context, err error) {
	select {
	case r.reports <- err:
	case <-ctx.Done():
	}
}

// sleep waits until ctx ends, whose error it returns.
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
