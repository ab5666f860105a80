package bolt

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"go.etcd.io/bbolt"
)

// Backup writes a copy of the whole file as it is now, which Open reads. Everything else goes on meanwhile, however
// slow w is; the file grows by what is written until then. It returns how many bytes it wrote; the error is that
// of w, or of ctx, which Backup looks at between two writes to w.
func (s *Store) Backup(ctx context.Context, w io.Writer) (n int64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	h, err := s.acquire()
	if err != nil {
		return 0, err
	}
	defer s.release(h)
	tx, err := h.db.Begin(false)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	out := &contextWriter{ctx: ctx, w: w}
	n, err = tx.WriteTo(out)
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

const (
	compactBatch  = 4 << 20 // how many bytes Compact writes in one transaction
	compactSuffix = ".compact"
)

// Compact writes the file anew without the space that deleted and replaced records left, and returns its size
// before and after. Reads go on meanwhile, writes wait. Progress, which may be nil, is called with the records
// copied so far. If it fails, or ctx ends, the file is as it was. The new file has the mode and the owner of the old
// one; a file with several names (hard links) is refused.
func (s *Store) Compact(ctx context.Context, progress func(records int)) (before, after int64, err error) {
	if s.readOnly {
		return 0, 0, ErrReadOnly
	}
	if err := ctx.Err(); err != nil {
		return 0, 0, err
	}
	select {
	case s.commits.leader <- struct{}{}:
	case <-ctx.Done():
		return 0, 0, ctx.Err()
	}
	defer func() { <-s.commits.leader }()
	if s.commits.broken != nil {
		return 0, 0, s.commits.broken
	}
	h, err := s.acquire()
	if err != nil {
		return 0, 0, err
	}
	temporary := s.path + compactSuffix
	fresh, err := s.compacted(ctx, h, temporary, progress)
	s.release(h)
	if err != nil {
		os.Remove(temporary)
		return 0, 0, s.named(err)
	}
	before, after = fileSize(h.file), fileSize(fresh.file)
	if err := os.Rename(temporary, s.path); err != nil {
		os.Remove(temporary)
		return 0, 0, errors.Join(err, fresh.close())
	}
	s.retire(s.replace(fresh)) // fresh has the lock of the file that has the name now
	if s.options.NoSync {
		return before, after, nil
	}
	if err := syncDir(s.path); err != nil {
		s.fail(fmt.Errorf("%s: it was compacted, and nobody knows whether that is on the disk: close and open it again: %w",
			s.name, err))
		return before, after, err
	}
	return before, after, nil
}

func fileSize(file *os.File) int64 {
	info, err := file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

// compacted returns a new file with everything that is in h, on the disk, and sound.
func (s *Store) compacted(
	ctx context.Context, h *handle, temporary string, progress func(records int),
) (fresh *handle, err error) {
	if !isAt(h.file, s.path) {
		return nil, fmt.Errorf("%s was moved, removed or replaced while it was open", s.name)
	}
	like, err := h.file.Stat()
	if err != nil {
		return nil, err
	}
	if err := os.Remove(temporary); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(temporary, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err := likeFile(file, like); err != nil {
		return nil, errors.Join(fmt.Errorf("compact %s: %w", s.name, err), file.Close())
	}
	if fresh, err = openHandle(file, s.options); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			fresh.close()
			fresh = nil
		}
	}()
	fresh.db.NoSync = true // until it is complete
	if err := copyAll(ctx, fresh, h, progress); err != nil {
		return fresh, err
	}
	if fresh.db.NoSync = s.options.NoSync; !s.options.NoSync {
		if err := fresh.db.Sync(); err != nil {
			return fresh, err
		}
	}
	if _, _, err := auditFile(ctx, file); err != nil {
		return fresh, fmt.Errorf("the compacted file: %w", err)
	}
	return fresh, nil
}

// copyAll copies every bucket, some records at a time.
func copyAll(ctx context.Context, into, from *handle, progress func(records int)) error {
	records := 0
	for _, name := range [][]byte{metaBucket, streamBucket, imageBucket} {
		for after, more := []byte(nil), true; more; {
			if err := ctx.Err(); err != nil {
				return err
			}
			var n int
			err := from.view(func(tx *bbolt.Tx) error {
				return into.update(func(to *bbolt.Tx) (err error) {
					after, n, more, err = copySome(to, tx, name, after)
					return err
				})
			})
			if err != nil {
				return err
			}
			if records += n; progress != nil {
				progress(records)
			}
		}
	}
	return nil
}

// copySome copies records of a bucket, those after a key, and returns the last key.
func copySome(to, from *bbolt.Tx, name, after []byte) (last []byte, n int, more bool, err error) {
	target, err := to.CreateBucketIfNotExists(name)
	if err != nil {
		return nil, 0, false, err
	}
	target.FillPercent = 0.9 // keys come in order
	cursor := from.Bucket(name).Cursor()
	key, value := cursor.Seek(after)
	if after != nil && string(key) == string(after) {
		key, value = cursor.Next()
	}
	for size := 0; key != nil && size < compactBatch; key, value = cursor.Next() {
		if err := target.Put(key, value); err != nil {
			return nil, 0, false, err
		}
		size += len(key) + len(value)
		n++
		after = append(after[:0:0], key...)
	}
	return after, n, key != nil, nil
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

// Check reads the whole file and returns what is wrong with it: pages that hang together wrongly, the names of
// records that are damaged or cannot be decoded. Nil means that it is sound. Everything else goes on meanwhile; writes
// wait until Check has begun.
func (s *Store) Check(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.release(h)
	select {
	case s.commits.leader <- struct{}{}: // two commits would overwrite the head that the transaction has
	case <-ctx.Done():
		return ctx.Err()
	}
	begun := sync.OnceFunc(func() { <-s.commits.leader })
	defer begun()
	err = h.view(func(tx *bbolt.Tx) error {
		current, err := headOf(h.file, uint64(tx.ID()))
		if err != nil {
			return err
		}
		begun()
		bad, err := auditHead(ctx, h.file, fileSize(h.file), current)
		if err != nil {
			return err
		}
		if len(bad) == 0 {
			bad = append(checkRecords(ctx, tx, streamKind), checkRecords(ctx, tx, imageKind)...)
		}
		return someOf(bad)
	})
	return s.named(err)
}

// headOf returns the head of a transaction, one of the newest two.
func headOf(file io.ReaderAt, transaction uint64) (head, error) {
	first, err := readHead(file, 0, 0)
	if err != nil || first.transaction == transaction {
		return first, inFormat(err)
	}
	second, err := readHead(file, 1, first.pageSize)
	if err == nil && second.transaction != transaction {
		err = damage("its heads are those of other transactions")
	}
	return second, inFormat(err)
}

func inFormat(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// maxNamed is how many objects an error names.
const maxNamed = 20

// someOf joins errors, as many as somebody reads.
func someOf(errs []error) error {
	if rest := len(errs) - maxNamed; rest > 0 {
		errs = append(errs[:maxNamed:maxNamed], fmt.Errorf("and %d more", rest))
	}
	return errors.Join(errs...)
}

// checkRecords returns what is wrong with the records of a kind.
func checkRecords[T any](ctx context.Context, tx *bbolt.Tx, k kind[T]) (bad []error) {
	newest := binary.BigEndian.Uint64(tx.Bucket(metaBucket).Get(stateKey))
	err := tx.Bucket(k.bucket).ForEach(func(key, value []byte) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := k.decode(key, value)
		switch {
		case err != nil:
			bad = append(bad, err)
		case !k.isAt(key, o):
			bad = append(bad, damaged(k.bucket, key, "it is that of "+k.key(o).String()))
		case recordVersion(value) > newest:
			bad = append(bad, damaged(k.bucket, key, fmt.Sprintf("it has version %d of %d", recordVersion(value), newest)))
		}
		return nil
	})
	if err != nil {
		return []error{err}
	}
	return bad
}
