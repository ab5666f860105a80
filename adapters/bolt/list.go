package bolt

import (
	"bytes"
	"context"
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// ListImageStreams implements [imagestream.Reader]. Damaged streams are an error of class [ErrFormat] that names
// them; the list beside it has the others.
func (s *Store) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	items, meta, err := list(ctx, s, streamKind, opts)
	if items == nil {
		return nil, err
	}
	return &imagestream.ImageStreamList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamList", APIVersion: imagestream.APIVersion},
		Metadata: meta, Items: items,
	}, err
}

// ListImages implements [imagestream.Reader]. Damaged images are an error of class [ErrFormat] that names them; the
// list beside it has the others.
func (s *Store) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	opts.Namespace = ""
	items, meta, err := list(ctx, s, imageKind, opts)
	if items == nil {
		return nil, err
	}
	return &imagestream.ImageList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageList", APIVersion: imagestream.APIVersion},
		Metadata: meta, Items: items,
	}, err
}

// record is a record that was read. It belongs to no transaction.
type record struct{ key, value []byte }

// page says which records are read.
type page struct {
	namespace string
	labels    imagestream.Selector
	after     []byte // the last key of the page before; nil for the first page
	limit     int    // 0 is all
}

// list returns the objects of a page; nil if there is none. An error beside them names those that are damaged.
func list[T any](
	ctx context.Context, s *Store, k kind[T], opts imagestream.ListOptions,
) ([]T, imagestream.ListMeta, error) {
	p := page{namespace: opts.Namespace, labels: opts.Labels, limit: opts.Limit}
	var meta imagestream.ListMeta
	version, err := k.readToken(opts.Continue, &p)
	if err != nil {
		return nil, meta, err
	}
	var records []record
	var more bool
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		now, err := readState(tx)
		if err != nil {
			return err
		}
		if opts.Continue == "" {
			version = now.version
		}
		undo, err := k.undo(ctx, s, version, now.version)
		if err == nil {
			records, more, err = k.collect(ctx, tx, undo, p)
		}
		return err
	})
	if err != nil {
		return nil, meta, err
	}
	items := make([]T, 0, len(records))
	var bad []error
	for _, r := range records {
		if err := ctx.Err(); err != nil {
			return nil, meta, err
		}
		o, err := k.decode(r.key, r.value)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		items = append(items, *o)
	}
	meta.ResourceVersion = formatVersion(version)
	if more {
		meta.Continue = meta.ResourceVersion + "." + base64.RawURLEncoding.EncodeToString(records[len(records)-1].key)
	}
	return items, meta, someOf(bad)
}

// readToken reads where a list goes on, and at which version.
func (k kind[T]) readToken(token string, p *page) (version uint64, err error) {
	if token == "" {
		return 0, nil
	}
	number, last, _ := strings.Cut(token, ".")
	version, err = strconv.ParseUint(number, 10, 64)
	if err == nil {
		p.after, err = base64.RawURLEncoding.DecodeString(last)
	}
	if err != nil || len(p.after) == 0 || !bytes.HasPrefix(p.after, namespacePrefix(p.namespace)) {
		return 0, k.expired()
	}
	return version, nil
}

func (k kind[T]) expired() error {
	return k.fail(imagestream.ReasonExpired, imagestream.Key{}, "the list cannot be continued any more: begin it again")
}

// undo returns the records that were others at a version than they are now: what they were, nil for nothing.
func (k kind[T]) undo(ctx context.Context, s *Store, version, newest uint64) (map[string][]byte, error) {
	if version == newest {
		return nil, nil
	}
	if version > newest {
		return nil, k.expired()
	}
	changes, kept, err := s.log.between(ctx, version, newest)
	if err != nil {
		return nil, err
	}
	if !kept {
		return nil, k.expired()
	}
	undo := map[string][]byte{}
	for _, c := range changes {
		if _, seen := undo[string(c.key)]; !seen && bytes.Equal(c.bucket, k.bucket) {
			undo[string(c.key)] = c.old
		}
	}
	return undo, nil
}

func namespacePrefix(namespace string) []byte {
	if namespace == "" {
		return nil
	}
	return []byte(namespace + "\x00")
}

// collect reads a page in key order, with what undo has in the place of what is there, and reports whether there
// is more.
func (k kind[T]) collect(
	ctx context.Context, tx *bbolt.Tx, undo map[string][]byte, p page,
) (records []record, more bool, err error) {
	cursor := tx.Bucket(k.bucket).Cursor()
	prefix := namespacePrefix(p.namespace)
	start := prefix
	if p.after != nil {
		start = append(slices.Clone(p.after), 0)
	}
	undone := slices.Sorted(maps.Keys(undo))
	at, _ := slices.BinarySearch(undone, string(start))
	undone = undone[at:]

	key, value := cursor.Seek(start)
	for key != nil || len(undone) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		name, v := key, value
		if len(undone) > 0 && (key == nil || undone[0] <= string(key)) {
			name, v = []byte(undone[0]), undo[undone[0]]
			undone = undone[1:]
		}
		if bytes.Equal(name, key) {
			key, value = cursor.Next()
		}
		if !bytes.HasPrefix(name, prefix) {
			break
		}
		if v == nil || !k.matches(name, v, p.labels) {
			continue
		}
		if p.limit > 0 && len(records) == p.limit {
			return records, true, nil
		}
		records = append(records, record{bytes.Clone(name), bytes.Clone(v)})
	}
	return records, false, nil
}
