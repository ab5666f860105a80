package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"go.etcd.io/bbolt"
)

// handle is an open file. A compaction puts another one in its place; it is closed when its last user leaves it.
type handle struct {
	db   *bbolt.DB
	file *os.File // that of db
	size int64    // how large the file was when somebody looked last

	// users and retired are guarded by the store's mu.
	users   int
	retired bool
	left    chan struct{} // closed once it is retired and has no users

	stuck bool // a write ended in the middle, and bbolt keeps its lock
}

// guard turns a panic of bbolt, and a fault of the memory that the file is mapped to, into an error: a page was
// damaged after the file was opened.
//
//	defer guard(&err)()
func guard(err *error) func() {
	before := debug.SetPanicOnFault(true)
	return func() {
		debug.SetPanicOnFault(before)
		if r := recover(); r != nil {
			*err = fmt.Errorf("%w: it was damaged while it was open: %v", ErrFormat, r)
		}
	}
}

// view reads in one transaction.
func (h *handle) view(read func(tx *bbolt.Tx) error) (err error) {
	defer guard(&err)()
	tx, err := h.db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	return read(tx)
}

const (
	minGrow = 32 << 10
	maxGrow = 16 << 20
)

// update writes in one transaction, unless do returns an error.
func (h *handle) update(do func(tx *bbolt.Tx) error) (err error) {
	defer guard(&err)()
	h.db.AllocSize = int(min(max(h.size/8, minGrow), maxGrow))
	h.stuck = true
	tx, err := h.db.Begin(true)
	if err != nil {
		h.stuck = false
		return err
	}
	defer func() {
		if tx.DB() != nil {
			tx.Rollback()
		}
		h.stuck = false
	}()
	if err := do(tx); err != nil {
		return err
	}
	h.size = tx.Size()
	return tx.Commit()
}

// close gives the file back.
func (h *handle) close() error {
	if h.stuck { // Close would wait for the lock that is never given back, and the mapping stays
		return h.file.Close()
	}
	return h.db.Close()
}

// acquire returns the file that is open now, which release takes back.
func (s *Store) acquire() (*handle, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.handle == nil:
		return nil, ErrClosed
	case s.failed != nil:
		return nil, s.failed
	}
	s.handle.users++
	return s.handle, nil
}

func (s *Store) release(h *handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.users--; h.users == 0 && h.retired {
		close(h.left)
	}
}

// replace puts another file, or nil, in the place of the one that is open, and returns that one. Its left channel
// is closed when its last user has left it.
func (s *Store) replace(next *handle) *handle {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.handle
	s.handle = next
	if old != nil {
		old.retired = true
		if old.users == 0 {
			close(old.left)
		}
	}
	return old
}

// retire closes a file that has no name any more, once its last user has left it.
func (s *Store) retire(old *handle) {
	select {
	case <-old.left:
		old.close()
	default:
		s.retired.Go(func() {
			<-old.left
			old.close()
		})
	}
}

// view reads in one transaction.
func (s *Store) view(ctx context.Context, read func(tx *bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	h, err := s.acquire()
	if err != nil {
		return err
	}
	defer s.release(h)
	return s.named(h.view(read))
}

// named adds the file to an error about it; those about an object name that.
func (s *Store) named(err error) error {
	var object *objectError
	if errors.Is(err, ErrFormat) && !errors.As(err, &object) {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return err
}

// fail ends what the store does: err says why. Nobody knows any more whether the last write is on the disk.
func (s *Store) fail(err error) {
	s.mu.Lock()
	s.failed = err
	s.mu.Unlock()
	s.log.end(err)
}
