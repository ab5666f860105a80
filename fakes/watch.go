package fakes

import (
	"context"
	"iter"
	"slices"
	"sort"
	"strconv"

	"github.com/imagestreams/imagestreams/imagestream"
)

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return watch(ctx, s, s.streamKind(), "WatchImageStreams", opts)
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	opts.Namespace = ""
	return watch(ctx, s, s.imageKind(), "WatchImages", opts)
}

func watch[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	op string,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		if err := s.begin(ctx, op, imagestream.Key{Namespace: opts.Namespace}); err != nil {
			yield(imagestream.Change[T]{}, err)
			return
		}
		at, first, err := startWatch(s, k, opts)
		if err != nil {
			yield(imagestream.Change[T]{}, err)
			return
		}
		for _, o := range first {
			if !yield(imagestream.Change[T]{Type: imagestream.Added, Object: k.clone(o)}, nil) {
				return
			}
		}
		for {
			changes, changed, err := since(s, k, at)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(imagestream.Change[T]{}, err)
				return
			}
			for _, l := range changes {
				at = l.version
				if c, ok := k.change(l, opts); ok && !yield(c, nil) {
					return
				}
			}
			if len(changes) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(imagestream.Change[T]{}, ctx.Err())
				return
			}
		}
	}
}

// startWatch returns the version to go on from, and what is there now if the watch begins with that.
func startWatch[T any](s *Store, k kind[T], opts imagestream.WatchOptions) (at uint64, first []*T, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if opts.ResourceVersion == "" {
		snap, err := takeSnapshot(s, k, imagestream.ListOptions{Namespace: opts.Namespace, Labels: opts.Labels})
		return s.version, named(k, snap.rest, opts.Name), err
	}
	at, err = strconv.ParseUint(opts.ResourceVersion, 10, 64)
	if err != nil || at > s.version {
		return 0, nil, k.fail(
			imagestream.ReasonBadRequest,
			imagestream.Key{},
			"resourceVersion "+opts.ResourceVersion+" is none of this store",
		)
	}
	return at, nil, nil
}

// named returns the objects of that name; all if it is empty.
func named[T any](k kind[T], objects []*T, name string) []*T {
	if name == "" {
		return objects
	}
	return slices.DeleteFunc(slices.Clone(objects), func(o *T) bool { return k.meta(o).Name != name })
}

// since returns the changes after version, or a channel that is closed with the next one.
func since[T any](s *Store, k kind[T], version uint64) ([]logged[T], <-chan struct{}, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := k.table
	if version < t.dropped {
		return nil, nil, k.fail(
			imagestream.ReasonExpired,
			imagestream.Key{},
			"the watch is too far behind: list again and watch from there",
		)
	}
	i := sort.Search(len(t.log), func(i int) bool { return t.log[i].version > version })
	if i < len(t.log) {
		return slices.Clone(t.log[i:]), nil, nil
	}
	if t.changed == nil {
		t.changed = make(chan struct{})
	}
	return nil, t.changed, nil
}

// change returns what a logged change is to a watch, and whether it is anything.
func (k kind[T]) change(l logged[T], opts imagestream.WatchOptions) (imagestream.Change[T], bool) {
	sees := func(o *T) bool {
		return o != nil && (opts.Namespace == "" || k.meta(o).Namespace == opts.Namespace) &&
			(opts.Name == "" || k.meta(o).Name == opts.Name) && opts.Labels.Matches(k.meta(o).Labels)
	}
	before, after := sees(l.old), sees(l.new)
	switch {
	case before && after:
		return imagestream.Change[T]{Type: imagestream.Modified, Object: k.clone(l.new)}, true
	case after:
		return imagestream.Change[T]{Type: imagestream.Added, Object: k.clone(l.new)}, true
	case before:
		gone := k.clone(l.old)
		k.meta(gone).ResourceVersion = strconv.FormatUint(l.version, 10)
		return imagestream.Change[T]{Type: imagestream.Deleted, Object: gone}, true
	}
	return imagestream.Change[T]{}, false
}
