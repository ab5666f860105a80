package bolt

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"sort"
	"strconv"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

const defaultHistory = 1000

// changeLog are the newest changes, for watches and for lists of several pages.
type changeLog struct {
	mu      sync.Mutex
	history int
	changes []change
	dropped uint64 // the version of the newest change that is not kept
	changed chan struct{}
	closed  bool
}

func (l *changeLog) begin(version uint64, history int) {
	if history <= 0 {
		history = defaultHistory
	}
	l.dropped, l.history, l.changed = version, history, make(chan struct{})
}

func (l *changeLog) add(changes []change) {
	if len(changes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.changes = append(l.changes, changes...)
	if n := len(l.changes) - l.history; n >= l.history {
		l.dropped = l.changes[n-1].version
		l.changes = slices.Clone(l.changes[n:])
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *changeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.closed = true
		close(l.changed)
	}
}

// since returns the changes after a version, and a channel that is closed with the next one. It reports whether
// they are all kept.
func (l *changeLog) since(version uint64) (changes []change, changed <-chan struct{}, kept bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, false, ErrClosed
	}
	if version < l.dropped {
		return nil, nil, false, nil
	}
	i := sort.Search(len(l.changes), func(i int) bool { return l.changes[i].version > version })
	return l.changes[i:len(l.changes):len(l.changes)], l.changed, true, nil
}

// between returns the changes after one version, up to another one that was read from the file. It waits for
// those that are committed and not noted down yet.
func (l *changeLog) between(ctx context.Context, version, until uint64) (changes []change, kept bool, err error) {
	for {
		changes, changed, kept, err := l.since(version)
		if err != nil || !kept {
			return nil, false, err
		}
		if n := len(changes); n > 0 && changes[n-1].version >= until {
			end := sort.Search(n, func(i int) bool { return changes[i].version > until })
			return changes[:end], true, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, false, ctx.Err()
		}
	}
}

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return watch(ctx, s, streamKind, opts)
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	opts.Namespace = ""
	return watch(ctx, s, imageKind, opts)
}

func watch[T any](ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		err := runWatch(ctx, s, k, opts, func(c imagestream.Change[T]) bool { return yield(c, nil) })
		if err != nil {
			yield(imagestream.Change[T]{}, err)
		}
	}
}

// runWatch yields changes until yield says no, which is no error.
func runWatch[T any](ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions, yield func(imagestream.Change[T]) bool) error {
	at, first, err := startWatch(ctx, s, k, opts)
	if err != nil {
		return err
	}
	for _, r := range first {
		o, err := k.decode(r.key, r.value)
		if err != nil {
			return err
		}
		if !yield(imagestream.Change[T]{Type: imagestream.Added, Object: o}) {
			return nil
		}
	}
	for {
		changes, changed, kept, err := s.log.since(at)
		if err == nil && !kept {
			err = k.fail(imagestream.ReasonExpired, imagestream.Key{}, "the watch is too far behind: list again and watch from there")
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		for _, c := range changes {
			at = c.version
			seen, ok, err := k.change(c, opts)
			if err != nil {
				return err
			}
			if ok && !yield(seen) {
				return nil
			}
		}
		if len(changes) > 0 {
			continue
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// startWatch returns the version to go on from, and what is there now if the watch begins with that.
func startWatch[T any](ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions) (at uint64, first []record, err error) {
	if opts.ResourceVersion != "" {
		at, err = strconv.ParseUint(opts.ResourceVersion, 10, 64)
		if err != nil {
			return 0, nil, k.fail(imagestream.ReasonBadRequest, imagestream.Key{}, "resourceVersion "+strconv.Quote(opts.ResourceVersion)+" is none of this store")
		}
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		newest := tx.Bucket(metaBucket).Sequence()
		if at > newest {
			return k.fail(imagestream.ReasonExpired, imagestream.Key{}, "resourceVersion "+opts.ResourceVersion+" is ahead of this file, which may be an older copy: list again and watch from there")
		}
		if opts.ResourceVersion == "" {
			at = newest
			first, _ = collect(tx.Bucket(k.bucket).Cursor(), nil, page{namespace: opts.Namespace, labels: opts.Labels})
			first = slices.DeleteFunc(first, func(r record) bool { return !isNamed(r.key, opts.Name) })
		}
		return nil
	})
	return at, first, err
}

// isNamed reports whether a record's key ends with that name; every key does if it is empty.
func isNamed(key []byte, name string) bool {
	return name == "" || string(key[bytes.IndexByte(key, 0)+1:]) == name
}

// change returns what a change is to a watch, and whether it is anything.
func (k kind[T]) change(c change, opts imagestream.WatchOptions) (seen imagestream.Change[T], ok bool, err error) {
	if !bytes.Equal(c.bucket, k.bucket) || !bytes.HasPrefix(c.key, namespacePrefix(opts.Namespace)) ||
		!isNamed(c.key, opts.Name) {
		return seen, false, nil
	}
	before := c.old != nil && matches(c.old, opts.Labels)
	after := c.new != nil && matches(c.new, opts.Labels)
	value := c.new
	switch {
	case before && after:
		seen.Type = imagestream.Modified
	case after:
		seen.Type = imagestream.Added
	case before:
		seen.Type, value = imagestream.Deleted, c.old
	default:
		return seen, false, nil
	}
	if seen.Object, err = k.decode(c.key, value); err != nil {
		return seen, false, err
	}
	k.meta(seen.Object).ResourceVersion = formatVersion(c.version)
	return seen, true, nil
}
