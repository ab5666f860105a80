package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// kind is what a feed has to know of a type.
type kind[T any] struct {
	resource string
	key      func(*T) imagestream.Key
	meta     func(*T) *imagestream.ObjectMeta
	clone    func(*T) *T
	get      func(ctx context.Context, key imagestream.Key) (*T, error)
	page     func(ctx context.Context, opts imagestream.ListOptions) ([]T, imagestream.ListMeta, error)
	watch    func(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[T], error]
}

func streamKind(store imagestream.Store) kind[imagestream.ImageStream] {
	return kind[imagestream.ImageStream]{
		resource: imagestream.ResourceImageStreams,
		key:      (*imagestream.ImageStream).Key,
		meta:     func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata },
		clone:    (*imagestream.ImageStream).Clone,
		get:      store.GetImageStream,
		page: func(ctx context.Context, opts imagestream.ListOptions) ([]imagestream.ImageStream, imagestream.ListMeta, error) {
			list, err := store.ListImageStreams(ctx, opts)
			if err != nil {
				return nil, imagestream.ListMeta{}, err
			}
			return list.Items, list.Metadata, nil
		},
		watch: store.WatchImageStreams,
	}
}

func imageKey(o *imagestream.Image) imagestream.Key { return imagestream.Key{Name: o.Metadata.Name} }

func imageKind(store imagestream.Store) kind[imagestream.Image] {
	return kind[imagestream.Image]{
		resource: imagestream.ResourceImages,
		key:      imageKey,
		meta:     func(o *imagestream.Image) *imagestream.ObjectMeta { return &o.Metadata },
		clone:    (*imagestream.Image).Clone,
		get: func(ctx context.Context, key imagestream.Key) (*imagestream.Image, error) {
			return store.GetImage(ctx, key.Name)
		},
		page: func(ctx context.Context, opts imagestream.ListOptions) ([]imagestream.Image, imagestream.ListMeta, error) {
			list, err := store.ListImages(ctx, opts)
			if err != nil {
				return nil, imagestream.ListMeta{}, err
			}
			return list.Items, list.Metadata, nil
		},
		watch: store.WatchImages,
	}
}

// feed keeps the objects of one kind as the store has them. Objects in it are never written to again.
type feed[T any] struct {
	kind[T]
	now func() time.Time

	mu      sync.RWMutex
	objects map[imagestream.Key]*T
	sorted  []*T // all of them in order; nil if that must be found out again
	indexes map[string]*entries
	version string
	heard   time.Time
	err     error         // why there is no feed; nil if there is one
	fed     chan struct{} // closed when there is one
	filling bool          // a list is under way
	stop    context.CancelCauseFunc
	awaits  map[imagestream.Key][]await
	clock   uint64 // counts what awaits are ordered by
	pages   pages[T]
	tokens  string // what the tokens of this feed begin with
}

// await is something that the feed must have delivered before it may answer for an object.
type await struct {
	since   uint64
	version string // of a write, or of an answer; "" if nobody knows which
	uid     string // of the object that had the version
	deleted string // the uid of an object that was deleted
	missing bool   // a get found nothing
	pending bool   // its delete has not returned
	begun   uint64 // when its own write began; 0 if it awaits nothing of the kind
}

// before reports whether what is awaited had happened at a time.
func (a await) before(time uint64) bool { return !a.pending && a.since <= time }

func newFeed[T any](k kind[T], indexes map[string]Index, now func() time.Time) *feed[T] {
	f := &feed[T]{
		kind:    k,
		now:     now,
		err:     ErrNotFed,
		fed:     make(chan struct{}),
		awaits:  map[imagestream.Key][]await{},
		indexes: map[string]*entries{},
	}
	f.tokens = fmt.Sprintf("cache-%x.", rand.Uint64())
	for name, index := range indexes {
		f.indexes[name] = newEntries(index)
	}
	return f
}

// The pauses after a feed was lost: up to the first, twice as long each time, up to the longest. They begin again with
// the first when a watch has delivered something: a list alone does not show that watches work.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 10 * time.Second
	pageSize   = 500
)

// run feeds until ctx ends.
func (f *feed[T]) run(ctx context.Context) {
	bound := firstPause
	for {
		delivered, err := f.follow(ctx)
		f.lose(err)
		if ctx.Err() != nil {
			return
		}
		if delivered {
			bound = firstPause
		}
		timer := time.NewTimer(rand.N(bound))
		bound = min(2*bound, maxPause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// follow lists the store, and takes in what its watch reports until that ends, or stop is called. Delivered is whether
// the watch reported anything.
func (f *feed[T]) follow(ctx context.Context) (delivered bool, err error) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	version, err := f.fill(ctx, stop)
	if err != nil {
		return false, cmp.Or(context.Cause(ctx), err)
	}
	for change, err := range f.watch(ctx, imagestream.WatchOptions{ResourceVersion: version}) {
		if err != nil {
			return delivered, cmp.Or(context.Cause(ctx), err)
		}
		f.take(change)
		delivered = true
	}
	return delivered, errors.New("the watch ended")
}

// fill replaces all objects by those of a new list. Stop ends that, and what follows.
func (f *feed[T]) fill(ctx context.Context, stop context.CancelCauseFunc) (version string, err error) {
	f.mu.Lock()
	begun := f.clock
	f.filling, f.stop = true, stop
	f.mu.Unlock()
	objects := map[imagestream.Key]*T{}
	opts := imagestream.ListOptions{Limit: pageSize}
	for {
		items, meta, err := f.page(ctx, opts)
		if err != nil {
			return "", err
		}
		for i := range items {
			o := f.clone(&items[i]) // so that one of them does not keep the others' memory
			objects[f.key(o)] = o
		}
		version = meta.ResourceVersion
		if opts.Continue = meta.Continue; opts.Continue == "" {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if ctx.Err() != nil {
		return "", ctx.Err()
	}
	f.objects, f.sorted, f.version, f.heard = objects, nil, version, f.now()
	f.err, f.filling = nil, false
	for name, e := range f.indexes {
		f.indexes[name] = newEntries(e.index)
	}
	for key, o := range objects {
		f.reindex(key, nil, o)
	}
	for key := range f.awaits {
		o := objects[key]
		f.settle(key, func(a await) bool {
			return a.before(begun) || o == nil && a.missing || o != nil && a.version == f.meta(o).ResourceVersion
		})
	}
	close(f.fed)
	return version, nil
}

// lose notes that there is no feed any more.
func (f *feed[T]) lose(cause error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.end(cause)
}

func (f *feed[T]) end(cause error) {
	if f.err == nil {
		f.fed = make(chan struct{})
	}
	f.err, f.filling = notFed(cause), false
}

// take takes a change in.
func (f *feed[T]) take(change imagestream.Change[T]) {
	f.mu.Lock()
	defer f.mu.Unlock()
	m := *f.meta(change.Object)
	f.version, f.heard = m.ResourceVersion, f.now()
	key := f.key(change.Object)
	old := f.objects[key]
	switch change.Type {
	case imagestream.Added, imagestream.Modified:
		f.objects[key] = change.Object
		f.reindex(key, old, change.Object)
		f.delivered(key, func(a await) bool { return a.version != "" && a.version == m.ResourceVersion })
	case imagestream.Deleted:
		delete(f.objects, key)
		f.reindex(key, old, nil)
		f.delivered(key, func(a await) bool { return m.UID != "" && (a.deleted == m.UID || a.uid == m.UID) })
	default:
		return
	}
	f.sorted = nil
}

// reindex brings the indexes from the old object of a key to the new one.
func (f *feed[T]) reindex(key imagestream.Key, old, next *T) {
	for _, e := range f.indexes {
		e.replace(key, any(old).(*imagestream.ImageStream), any(next).(*imagestream.ImageStream))
	}
}

// settle forgets what is no longer awaited for an object.
func (f *feed[T]) settle(key imagestream.Key, done func(await) bool) {
	kept := f.awaits[key][:0]
	for _, a := range f.awaits[key] {
		if !done(a) {
			kept = append(kept, a)
		}
	}
	if len(kept) == 0 {
		delete(f.awaits, key)
		return
	}
	f.awaits[key] = kept
}

// delivered forgets what the feed has delivered now. Changes come in the order of the writes: after a write through the
// cache the feed has passed all that had happened when it began, to whatever object.
func (f *feed[T]) delivered(key imagestream.Key, now func(await) bool) {
	var begun uint64
	for _, a := range f.awaits[key] {
		if now(a) {
			begun = max(begun, a.begun)
		}
	}
	f.settle(key, now)
	if begun == 0 {
		return
	}
	for other := range f.awaits {
		f.settle(other, func(a await) bool { return a.before(begun) })
	}
}

// time returns the time that awaits are ordered by.
func (f *feed[T]) time() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.clock
}

const (
	// maxAwaits is how many things are awaited for one object, beside deletes that have not returned.
	maxAwaits = 8
	// maxAwaited is for how many objects something is awaited. If there are more, the feed begins again.
	maxAwaited = 1 << 14
)

var errCrowded = fmt.Errorf("changes of more than %d objects are awaited", maxAwaited)

// expect notes that the feed is not to answer for an object before it has delivered something, and returns when. While
// no list is under way the next one will be newer than anything that has happened.
func (f *feed[T]) expect(key imagestream.Key, a await) (since uint64) {
	if f.err != nil && !f.filling && !a.pending {
		return f.clock
	}
	if len(f.awaits[key]) >= maxAwaits {
		f.settle(key, func(a await) bool { return !a.pending })
		f.awaits[key] = append(f.awaits[key], await{since: f.clock}) // it stands for all of them
	}
	f.clock++
	a.since = f.clock
	f.awaits[key] = append(f.awaits[key], a)
	if len(f.awaits) > maxAwaited && f.stop != nil {
		f.stop(errCrowded)
		f.end(errCrowded)
		for key := range f.awaits {
			f.settle(key, func(a await) bool { return !a.pending })
		}
	}
	return a.since
}

func (f *feed[T]) state() State {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return State{Version: f.version, Heard: f.heard, Err: f.err}
}

func (f *feed[T]) wait(ctx context.Context) error {
	f.mu.RLock()
	fed := f.fed
	f.mu.RUnlock()
	select {
	case <-fed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
