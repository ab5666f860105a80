package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"
)

// Backup writes a copy of the whole file as it is now, which Open reads. The store goes on meanwhile. It returns
// how many bytes it wrote; the error is that of w, or of ctx.
func (s *Store) Backup(ctx context.Context, w io.Writer) (n int64, err error) {
	out := &contextWriter{ctx: ctx, w: w}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(out)
		return err
	})
	return n, cmp.Or(out.err, err)
}

// contextWriter stops when its context ends, and remembers why it failed: bbolt keeps only the text.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
	err error
}

func (c *contextWriter) Write(p []byte) (n int, err error) {
	if err = c.ctx.Err(); err == nil {
		n, err = c.w.Write(p)
	}
	if c.err == nil {
		c.err = err
	}
	return n, err
}

// compactBatch is how many bytes Compact writes in one transaction.
const compactBatch = 4 << 20

// Compact writes the file anew without the space that deleted and replaced records left, and returns its size
// before and after. Reads go on meanwhile, writes wait. Progress, which may be nil, is called with the records
// copied so far. If it fails, or ctx ends, the file is as it was.
func (s *Store) Compact(ctx context.Context, progress func(records int)) (before, after int64, err error) {
	if s.readOnly {
		return 0, 0, ErrReadOnly
	}
	s.commits.leader.Lock()
	defer s.commits.leader.Unlock()
	temporary := s.path + ".compact"
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, 0, err
	}
	options := s.options
	fresh, err := bbolt.Open(temporary, 0o600, &options)
	if err != nil {
		return 0, 0, err
	}
	err = s.view(ctx, func(tx *bbolt.Tx) error {
		before = tx.Size()
		return copyAll(ctx, fresh, tx, progress)
	})
	if err == nil {
		err = fresh.Sync()
	}
	if err == nil {
		err = os.Rename(temporary, s.path)
	}
	if err != nil {
		fresh.Close()
		os.Remove(temporary)
		return 0, 0, err
	}
	s.mu.Lock()
	old := s.db
	s.db = fresh // it holds the lock of the file that has the name now
	s.mu.Unlock()
	err = errors.Join(syncDir(s.path), old.Close(), fresh.View(func(tx *bbolt.Tx) error {
		after = tx.Size()
		return nil
	}))
	return before, after, err
}

// copyAll copies every bucket, with its sequence.
func copyAll(ctx context.Context, into *bbolt.DB, from *bbolt.Tx, progress func(records int)) error {
	records := 0
	return from.ForEach(func(name []byte, bucket *bbolt.Bucket) error {
		cursor := bucket.Cursor()
		key, value := cursor.First()
		for first := true; first || key != nil; first = false {
			if err := ctx.Err(); err != nil {
				return err
			}
			err := into.Update(func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucketIfNotExists(name)
				if err != nil {
					return err
				}
				b.FillPercent = 0.9 // keys come in order
				for size := 0; key != nil && size < compactBatch; key, value = cursor.Next() {
					if err := b.Put(key, value); err != nil {
						return err
					}
					size += len(key) + len(value)
					records++
				}
				return b.SetSequence(bucket.Sequence())
			})
			if err != nil {
				return err
			}
			if progress != nil {
				progress(records)
			}
		}
		return nil
	})
}

// syncDir makes a renamed file's name durable, where directories can be synced.
func syncDir(path string) error {
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, os.ErrInvalid) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// Check reads the whole file and returns the first thing that is wrong with it: pages that hang together wrongly,
// a record that cannot be decoded. Nil means that it is sound.
func (s *Store) Check(ctx context.Context) error {
	return s.view(ctx, func(tx *bbolt.Tx) error {
		var first error
		for err := range tx.Check() { // must be drained
			first = errors.Join(first, err)
		}
		if first != nil {
			return fmt.Errorf("%w: %w", ErrFormat, first)
		}
		return errors.Join(checkRecords(ctx, tx, streamKind), checkRecords(ctx, tx, imageKind))
	})
}

func checkRecords[T any](ctx context.Context, tx *bbolt.Tx, k kind[T]) error {
	newest := tx.Bucket(metaBucket).Sequence()
	return tx.Bucket(k.bucket).ForEach(func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := k.decode(key, value)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrFormat, err)
		}
		if name, err := k.recordKey(k.key(o)); err != nil || string(name) != string(key) || recordVersion(value) > newest {
			return fmt.Errorf("%w: %s: the record %q is that of %s, version %d of %d", ErrFormat, k.resource, key, k.key(o), recordVersion(value), newest)
		}
		return nil
	})
}
