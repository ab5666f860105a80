package bolt

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return watch(ctx, s, streamKind, opts)
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	opts.Namespace = ""
	return watch(ctx, s, imageKind, opts)
}

func watch[T any](
	ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		err := runWatch(ctx, s, k, opts, func(c imagestream.Change[T]) bool { return yield(c, nil) })
		if err != nil {
			yield(imagestream.Change[T]{}, err)
		}
	}
}

// runWatch yields changes until yield says no, which is not an error.
func runWatch[T any](
	ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions, yield func(imagestream.Change[T]) bool,
) error {
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
		changes, changed, kept, err := s.log.some(at)
		if err == nil && !kept {
			err = k.fail(imagestream.ReasonExpired, imagestream.Key{},
				"the watch is too far behind: list again and watch from there")
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
func startWatch[T any](
	ctx context.Context, s *Store, k kind[T], opts imagestream.WatchOptions,
) (at uint64, first []record, err error) {
	if opts.ResourceVersion != "" {
		at, err = strconv.ParseUint(opts.ResourceVersion, 10, 64)
		if err != nil {
			return 0, nil, k.fail(imagestream.ReasonBadRequest, imagestream.Key{},
				"resourceVersion "+strconv.Quote(opts.ResourceVersion)+" is none of this store")
		}
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		now, err := readState(tx)
		if err != nil {
			return err
		}
		if at > now.version {
			return k.fail(imagestream.ReasonExpired, imagestream.Key{}, "resourceVersion "+opts.ResourceVersion+
				" is ahead of this file, which may be an older copy: list again and watch from there")
		}
		if opts.ResourceVersion == "" {
			at = now.version
			first, _, err = k.collect(ctx, tx, nil, page{namespace: opts.Namespace, labels: opts.Labels})
			first = slices.DeleteFunc(first, func(r record) bool { return !isNamed(r.key, opts.Name) })
		}
		return err
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
	before := c.old != nil && k.matches(c.key, c.old, opts.Labels)
	after := c.new != nil && k.matches(c.key, c.new, opts.Labels)
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
	if seen.Object, err = k.decode(c.key, value); err != nil && c.new == nil {
		seen.Object, err = k.gone(c), nil
	}
	if err != nil {
		return seen, false, err
	}
	k.meta(seen.Object).ResourceVersion = formatVersion(c.version)
	return seen, true, nil
}

// gone returns what is known of a deleted object whose record was damaged.
func (k kind[T]) gone(c change) *T {
	o := new(T)
	m := k.meta(o)
	m.Namespace, m.Name, _ = strings.Cut(string(c.key), "\x00")
	m.UID = recordUID(c.old).String()
	return o
}
