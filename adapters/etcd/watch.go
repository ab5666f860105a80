package etcd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"

	"github.com/imagestreams/imagestreams/imagestream"
)

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return watch(ctx, s, s.streams, query{opts.Namespace, opts.Name, opts.Labels}, opts.ResourceVersion)
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return watch(ctx, s, s.images, query{"", opts.Name, opts.Labels}, opts.ResourceVersion)
}

func watch[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	q query,
	version string,
) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		w := &watcher[T]{store: s, kind: k, query: q, yield: func(c imagestream.Change[T]) bool { return yield(c, nil) }}
		if err := w.run(ctx, version); !errors.Is(err, errStopped) {
			yield(imagestream.Change[T]{}, err)
		}
	}
}

// watcher is a watch that runs.
type watcher[T any] struct {
	store *Store
	kind  kind[T]
	query query
	yield func(imagestream.Change[T]) bool
	at    int64 // the revision up to which everything was reported
}

// errStopped means that the reader wants no more.
var errStopped = errors.New("the reader stopped")

// maxPause is the longest pause before a watch that was interrupted goes on.
const maxPause = time.Second

func (w *watcher[T]) run(ctx context.Context, version string) error {
	if err := w.begin(ctx, version); err != nil {
		return err
	}
	for {
		err := w.follow(ctx)
		if !interrupted(err) {
			return err
		}
		timer := time.NewTimer(rand.N(maxPause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

// interrupted reports whether a watch goes on after an error.
func interrupted(err error) bool { return codeOf(err) == codes.Unavailable }

// begin finds out where the watch starts, and reports all that is there if it starts with that.
func (w *watcher[T]) begin(ctx context.Context, version string) error {
	if version != "" {
		var ok bool
		if w.at, ok = parseVersion(version); !ok {
			return w.kind.fail(
				imagestream.ReasonBadRequest,
				imagestream.Key{},
				"resourceVersion "+strconv.Quote(version)+" is not one of this store",
			)
		}
		return nil
	}
	opts := imagestream.ListOptions{Limit: firstPortion}
	for {
		items, meta, err := list(ctx, w.store, w.kind, w.query, opts)
		if err != nil {
			return err
		}
		for i := range items {
			if !w.yield(imagestream.Change[T]{Type: imagestream.Added, Object: &items[i]}) {
				return errStopped
			}
		}
		w.at, _ = parseVersion(meta.ResourceVersion)
		if opts.Continue = meta.Continue; opts.Continue == "" {
			return nil
		}
	}
}

// follow reports changes until the server ends the watch.
func (w *watcher[T]) follow(ctx context.Context) error {
	outer := ctx
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()
	begin, end := w.kind.keyRange(w.query)
	responses := w.store.client.Watch(ctx, begin, clientv3.WithRange(end), clientv3.WithRev(w.at+1), clientv3.WithPrevKV(),
		clientv3.WithCreatedNotify(), clientv3.WithProgressNotify(), clientv3.WithFragment())
	q := newQueue(w.store.backlog)
	var pump sync.WaitGroup
	pump.Go(func() { q.fill(responses, cancel) })
	defer pump.Wait()
	defer cancel()
	for {
		resp, err := q.take()
		if ended := outer.Err(); ended != nil {
			return ended
		}
		if errors.Is(err, errTooSlow) {
			return w.kind.fail(imagestream.ReasonExpired, imagestream.Key{}, err.Error())
		}
		if err != nil {
			return err
		}
		if err := w.handle(outer, resp); err != nil {
			return err
		}
	}
}

// handle reports what a response of the server has.
func (w *watcher[T]) handle(ctx context.Context, resp clientv3.WatchResponse) error {
	switch err := resp.Err(); {
	case interrupted(err):
		return err
	case resp.CompactRevision != 0:
		return w.kind.fail(
			imagestream.ReasonExpired,
			imagestream.Key{},
			"etcd has compacted changes that the watch has not reported: list again and watch from there",
		)
	case err != nil:
		return w.kind.failure(ctx, imagestream.Key{}, 0, err)
	case resp.Created:
		return w.checkAhead(ctx, resp.Header.Revision)
	case resp.IsProgressNotify():
		return w.bookmark(resp.Header.Revision)
	}
	for _, event := range resp.Events {
		w.at = event.Kv.ModRevision
		change, ok, err := w.kind.change(event, w.query)
		if err != nil {
			return err
		}
		if ok && !w.yield(change) {
			return errStopped
		}
	}
	return nil
}

// checkAhead ends a watch that begins after the newest revision there is: it would wait for changes that are others
// than those it has seen. The member that serves the watch may be behind, so the cluster is asked.
func (w *watcher[T]) checkAhead(ctx context.Context, revision int64) error {
	if w.at <= revision {
		return nil
	}
	begin, _ := w.kind.keyRange(w.query)
	resp, err := w.store.client.Get(ctx, begin, clientv3.WithCountOnly())
	switch {
	case interrupted(err):
		return err
	case err != nil:
		return w.kind.failure(ctx, imagestream.Key{}, 0, err)
	case w.at > resp.Header.Revision:
		return w.kind.fail(imagestream.ReasonExpired, imagestream.Key{}, fmt.Sprintf(
			"resourceVersion %d is ahead of etcd, which was restored from a backup, perhaps: list again and watch from there",
			w.at,
		))
	}
	return nil
}

func (w *watcher[T]) bookmark(revision int64) error {
	if revision <= w.at {
		return nil
	}
	w.at = revision
	o := new(T)
	w.kind.meta(o).ResourceVersion = formatVersion(revision)
	if !w.yield(imagestream.Change[T]{Type: imagestream.Bookmark, Object: o}) {
		return errStopped
	}
	return nil
}

// change returns what an event is to a watch, and whether it is anything.
func (k kind[T]) change(event *clientv3.Event, q query) (seen imagestream.Change[T], ok bool, err error) {
	put := event.Type == clientv3.EventTypePut
	created := put && event.Kv.CreateRevision == event.Kv.ModRevision
	if event.PrevKv == nil && !created && (!put || !q.labels.IsEmpty()) {
		return seen, false, k.fail(imagestream.ReasonExpired, imagestream.Key{},
			fmt.Sprintf("etcd has compacted what %q was before a change: list again and watch from there", event.Kv.Key))
	}
	var before, after *T
	if put {
		after, err = k.decode(event.Kv)
	}
	if err == nil && event.PrevKv != nil && (!put || !q.labels.IsEmpty()) {
		before, err = k.decode(event.PrevKv)
	}
	if err != nil {
		return seen, false, err
	}
	was := !created && (before == nil && k.matches(after, q) || before != nil && k.matches(before, q))
	switch is := put && k.matches(after, q); {
	case was && is:
		return imagestream.Change[T]{Type: imagestream.Modified, Object: after}, true, nil
	case is:
		return imagestream.Change[T]{Type: imagestream.Added, Object: after}, true, nil
	case was:
		k.meta(before).ResourceVersion = formatVersion(event.Kv.ModRevision)
		return imagestream.Change[T]{Type: imagestream.Deleted, Object: before}, true, nil
	}
	return seen, false, nil
}

// queue holds what the server has sent and the reader has not taken, up to a number of bytes: the client itself would
// hold it without a bound.
type queue struct {
	bound int

	mu        sync.Mutex
	filled    *sync.Cond
	responses []clientv3.WatchResponse
	bytes     int
	err       error // after the responses
}

var (
	errTooSlow = errors.New("the watch is too far behind: list again and watch from there")
	errClosed  = errors.New("the client was closed")
)

func newQueue(bound int) *queue {
	q := &queue{bound: bound}
	q.filled = sync.NewCond(&q.mu)
	return q
}

// fill takes what the server sends until it ends; stop ends it.
func (q *queue) fill(responses clientv3.WatchChan, stop context.CancelFunc) {
	for resp := range responses {
		if !q.put(resp) {
			stop()
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.err = cmp.Or(q.err, errClosed)
	q.filled.Signal()
}

// put adds a response, and reports whether there was room for it.
func (q *queue) put(resp clientv3.WatchResponse) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return false
	}
	if q.bytes += sizeOf(resp); q.bytes > q.bound && len(q.responses) > 0 {
		q.err, q.responses = errTooSlow, nil
		q.filled.Signal()
		return false
	}
	q.responses = append(q.responses, resp)
	q.filled.Signal()
	return true
}

// take waits for the next response, or the end.
func (q *queue) take() (clientv3.WatchResponse, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.responses) == 0 && q.err == nil {
		q.filled.Wait()
	}
	if len(q.responses) == 0 {
		return clientv3.WatchResponse{}, q.err
	}
	resp := q.responses[0]
	q.responses[0] = clientv3.WatchResponse{}
	q.responses = q.responses[1:]
	q.bytes -= sizeOf(resp)
	return resp, nil
}

func sizeOf(resp clientv3.WatchResponse) int {
	size := 0
	for _, event := range resp.Events {
		size += len(event.Kv.Key) + len(event.Kv.Value) + len(event.PrevKv.GetValue())
	}
	return size
}
