package cache

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
)

// read answers a get.
func (f *feed[T]) read(ctx context.Context, key imagestream.Key) (*T, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.RLock()
	o, direct := f.objects[key], f.err != nil || len(f.awaits[key]) > 0
	f.mu.RUnlock()
	if direct || isFresh(ctx) {
		return f.ask(ctx, key)
	}
	if o == nil {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, f.resource, key, "")
	}
	return f.clone(o), nil
}

// ask answers a get from the store. It learns by the way how far the feed is.
func (f *feed[T]) ask(ctx context.Context, key imagestream.Key) (*T, error) {
	begun := f.time()
	o, err := f.get(ctx, key)
	f.mu.Lock()
	defer f.mu.Unlock()
	cached := f.objects[key]
	switch {
	case f.err == nil && err == nil && cached != nil && f.meta(cached).ResourceVersion == f.meta(o).ResourceVersion:
		f.settle(key, func(a await) bool { return a.before(begun) })
	case err == nil: // the feed, or the list that is under way, may be older
		m := f.meta(o)
		if !slices.ContainsFunc(f.awaits[key], func(a await) bool { return a.version == m.ResourceVersion }) {
			f.expect(key, await{version: m.ResourceVersion, uid: m.UID})
		}
	case !errors.Is(err, imagestream.ErrNotFound):
	case f.err != nil:
		f.expect(key, await{missing: true})
	default:
		f.expectEnd(key, cached, begun)
	}
	return o, err
}

// expectEnd notes that the store no longer has an object. The feed must deliver the end of what it has, and of all that
// it was to deliver.
func (f *feed[T]) expectEnd(key imagestream.Key, cached *T, begun uint64) {
	for i, a := range f.awaits[key] {
		if a.before(begun) && a.uid != "" {
			f.clock++
			f.awaits[key][i] = await{since: f.clock, deleted: a.uid, begun: a.begun}
		}
	}
	if cached == nil {
		f.settle(key, func(a await) bool { return a.before(begun) && a.deleted == "" })
		return
	}
	uid := f.meta(cached).UID
	if !slices.ContainsFunc(f.awaits[key], func(a await) bool { return a.deleted == uid }) {
		f.expect(key, await{deleted: uid})
	}
}

// write writes, and lets the feed answer for the object no earlier than it has seen that. Old is the version that is
// replaced.
func (f *feed[T]) write(key imagestream.Key, old string, write func() (*T, error)) (*T, error) {
	begun := f.time()
	o, err := write()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil { // what was read is old, perhaps
		f.expect(key, await{})
		return o, err
	}
	m := f.meta(o)
	if m.ResourceVersion == old { // nothing was written
		begun = 0
	}
	if cached := f.objects[key]; cached == nil || f.meta(cached).ResourceVersion != m.ResourceVersion {
		f.expect(key, await{version: m.ResourceVersion, uid: m.UID, begun: begun})
	}
	return o, nil
}

// noUID is the uid of a deleted object that could not be read. No object has it.
const noUID = "unknown"

// remove deletes the object that is there now.
func (f *feed[T]) remove(
	ctx context.Context,
	key imagestream.Key,
	only imagestream.Preconditions,
	remove func(imagestream.Preconditions) error,
) error {
	for {
		exact := only
		if exact.UID == "" {
			switch o, err := f.get(ctx, key); {
			case err == nil:
				exact.UID = f.meta(o).UID
			case ctx.Err() != nil || errors.Is(err, imagestream.ErrNotFound):
				return err
			} // one that cannot be read can be deleted even so
		}
		f.mu.Lock()
		begun := f.expect(key, await{deleted: cmp.Or(exact.UID, noUID), pending: true})
		f.mu.Unlock()
		err := remove(exact)
		f.removed(key, begun, err)
		if err == nil {
			return nil
		}
		if !errors.Is(err, imagestream.ErrConflict) || only != (imagestream.Preconditions{}) {
			return err
		}
	}
}

// removed notes how a delete ended that began at a time.
func (f *feed[T]) removed(key imagestream.Key, begun uint64, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.settle(key, func(a await) bool { return a.since == begun && a.pending })
		f.expect(key, await{})
		return
	}
	for i, a := range f.awaits[key] {
		if a.since == begun && a.pending { // otherwise the feed has delivered it
			f.clock++
			f.awaits[key][i] = await{since: f.clock, deleted: a.deleted, begun: begun}
		}
	}
}

// maxAsked is how many objects a list asks the store for, to see whether the feed has caught up.
const maxAsked = 16

// list answers a list if the feed can.
func (f *feed[T]) list(
	ctx context.Context,
	opts imagestream.ListOptions,
) (items []T, meta imagestream.ListMeta, ok bool, err error) {
	if err := ctx.Err(); err != nil {
		return nil, meta, false, err
	}
	if opts.Continue != "" {
		number, ours := strings.CutPrefix(opts.Continue, f.tokens)
		if !ours {
			return nil, meta, false, nil
		}
		f.mu.Lock()
		rest, kept := f.pages.take(number)
		f.mu.Unlock()
		if !kept {
			return nil, meta, false, imagestream.NewError(
				imagestream.ReasonExpired,
				f.resource,
				imagestream.Key{},
				"the list cannot be continued any more: begin it again",
			)
		}
		items, meta = f.cut(rest, opts.Limit)
		return items, meta, true, nil
	}
	if isFresh(ctx) || !f.caughtUp(ctx, opts.Namespace) {
		return nil, meta, false, nil
	}
	f.mu.Lock()
	if f.err != nil || f.waits(opts.Namespace) != nil {
		f.mu.Unlock()
		return nil, meta, false, nil
	}
	all, version := f.inOrder(), f.version
	f.mu.Unlock()
	rest := remainder[T]{version: version}
	for _, o := range all {
		if m := f.meta(o); (opts.Namespace == "" || m.Namespace == opts.Namespace) && opts.Labels.Matches(m.Labels) {
			rest.objects = append(rest.objects, o)
		}
	}
	items, meta = f.cut(rest, opts.Limit)
	return items, meta, true, nil
}

// caughtUp reports whether the feed may answer for a namespace. It asks for a few objects that it does not answer for
// yet.
func (f *feed[T]) caughtUp(ctx context.Context, namespace string) bool {
	f.mu.RLock()
	waits := f.waits(namespace)
	fed := f.err == nil
	f.mu.RUnlock()
	if !fed || len(waits) > maxAsked {
		return false
	}
	for _, key := range waits {
		f.ask(ctx, key)
	}
	return true
}

// waits returns the objects of a namespace, "" for all, that the feed does not answer for yet.
func (f *feed[T]) waits(namespace string) []imagestream.Key {
	var keys []imagestream.Key
	for key := range f.awaits {
		if namespace == "" || key.Namespace == namespace {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, imagestream.Key.Compare)
	return keys
}

// inOrder returns all objects in the order of lists.
func (f *feed[T]) inOrder() []*T {
	if f.sorted == nil {
		f.sorted = make([]*T, 0, len(f.objects))
		for _, o := range f.objects {
			f.sorted = append(f.sorted, o)
		}
		slices.SortFunc(f.sorted, func(a, b *T) int { return f.key(a).Compare(f.key(b)) })
	}
	return f.sorted
}

// cut returns the first page of what is left of a list, and keeps the rest.
func (f *feed[T]) cut(rest remainder[T], limit int) ([]T, imagestream.ListMeta) {
	meta := imagestream.ListMeta{ResourceVersion: rest.version}
	page := rest.objects
	if limit > 0 && len(page) > limit {
		page, rest.objects = page[:limit], page[limit:]
		left := int64(len(rest.objects))
		meta.RemainingItemCount = &left
		f.mu.Lock()
		meta.Continue = f.tokens + f.pages.keep(rest)
		f.mu.Unlock()
	}
	items := make([]T, len(page))
	for i, o := range page {
		items[i] = *f.clone(o)
	}
	return items, meta
}

// remainder is what is left of a list.
type remainder[T any] struct {
	version string
	objects []*T
}

// pages are what is left of lists after the newest pages.
type pages[T any] struct {
	last uint64
	kept map[uint64]remainder[T]
}

const maxKept = 64

// keep holds what is left of a list after a page, and returns its number. The oldest is given up.
func (p *pages[T]) keep(rest remainder[T]) string {
	if p.kept == nil {
		p.kept = map[uint64]remainder[T]{}
	}
	p.last++
	p.kept[p.last] = rest
	delete(p.kept, p.last-maxKept)
	return strconv.FormatUint(p.last, 10)
}

// take returns what is left by its number, which stays good: a page may be asked for twice.
func (p *pages[T]) take(number string) (remainder[T], bool) {
	id, err := strconv.ParseUint(number, 10, 64)
	rest, ok := p.kept[id]
	return rest, err == nil && ok
}

// find answers from an index.
func (f *feed[T]) find(ctx context.Context, index, value string) ([]imagestream.Key, error) {
	f.mu.RLock()
	e, err, waits := f.indexes[index], f.err, f.waits("")
	var keys []imagestream.Key
	if e != nil && err == nil {
		for key := range e.byValue[value] {
			if len(f.awaits[key]) == 0 {
				keys = append(keys, key)
			}
		}
	}
	f.mu.RUnlock()
	switch {
	case e == nil:
		return nil, fmt.Errorf("the cache has no index %q", index)
	case err != nil:
		return nil, err
	}
	for _, key := range waits {
		o, err := f.ask(ctx, key)
		if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
			return nil, err
		}
		if err == nil && slices.Contains(e.index(any(o).(*imagestream.ImageStream)), value) {
			keys = append(keys, key)
		}
	}
	slices.SortFunc(keys, imagestream.Key.Compare)
	return keys, nil
}

// values returns what an index has something under.
func (f *feed[T]) values(index string) ([]string, error) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	e := f.indexes[index]
	switch {
	case e == nil:
		return nil, fmt.Errorf("the cache has no index %q", index)
	case f.err != nil:
		return nil, f.err
	}
	return e.values(), nil
}
