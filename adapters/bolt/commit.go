package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"go.etcd.io/bbolt"
)

// change is one record that was written: new is nil if it was deleted, old if it was not there. One without a
// key wrote nothing.
type change struct {
	version  uint64
	bucket   []byte
	key      []byte
	old, new []byte
	owned    bool // old is memory that no other change has
}

// commits are the writes that wait. The writer in the leader's place commits all of them, in one transaction: those
// that came while the one before was being synced.
type commits struct {
	leader  chan struct{} // has room for one
	mu      sync.Mutex
	waiting []*write
	broken  error // why nothing is written any more; the leader's
}

// write is one write. It changes nothing in the transaction if it returns an error.
type write struct {
	do     func(b *batch) (change, error)
	change change
	err    error
	done   chan struct{}
}

// batch is a transaction of writes.
type batch struct {
	tx    *bbolt.Tx
	state state
	log   *changeLog
}

// errNothing ends a transaction in which nothing was written.
var errNothing = errors.New("nothing to commit")

// commit writes, and returns the version of the record. A write whose context ends while it waits for its turn
// is not carried out.
func (s *Store) commit(ctx context.Context, do func(b *batch) (change, error)) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.readOnly {
		return 0, ErrReadOnly
	}
	w := &write{do: do, done: make(chan struct{})}
	s.commits.mu.Lock()
	s.commits.waiting = append(s.commits.waiting, w)
	s.commits.mu.Unlock()

	select {
	case s.commits.leader <- struct{}{}:
		go s.lead()
	case <-w.done:
	case <-ctx.Done():
		return 0, s.giveUp(w, ctx.Err())
	}
	select {
	case <-w.done:
		return w.change.version, w.err
	case <-ctx.Done():
		return 0, s.giveUp(w, ctx.Err())
	}
}

// giveUp takes a write out of those that wait. One that is being committed goes on without its caller.
func (s *Store) giveUp(w *write, err error) error {
	s.commits.mu.Lock()
	defer s.commits.mu.Unlock()
	s.commits.waiting = slices.DeleteFunc(s.commits.waiting, func(other *write) bool { return other == w })
	return err
}

// lead commits what waits, and gives the leader's place back.
func (s *Store) lead() {
	defer func() { <-s.commits.leader }()
	s.commits.mu.Lock()
	writes := s.commits.waiting
	s.commits.waiting = nil
	s.commits.mu.Unlock()
	if len(writes) == 0 {
		return
	}
	changes, err := s.commitAll(writes)
	for _, w := range writes {
		if err != nil {
			w.err = err
		}
	}
	s.log.add(changes)
	for _, w := range writes {
		close(w.done)
	}
}

// commitAll carries writes out in one transaction, in the order in which they came. If it fails, none of them is
// known to be on the disk.
func (s *Store) commitAll(writes []*write) (changes []change, err error) {
	if s.commits.broken != nil {
		return nil, s.commits.broken
	}
	h, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.release(h)
	var before uint64
	err = h.update(func(tx *bbolt.Tx) error {
		now, err := readState(tx)
		if err != nil {
			return err
		}
		b := &batch{tx: tx, state: now, log: &s.log}
		before = b.state.version
		for _, w := range writes {
			if w.change, w.err = w.do(b); w.err == nil && w.change.key != nil {
				changes = append(changes, w.change)
			}
		}
		if changes == nil {
			return errNothing
		}
		return b.state.write(tx)
	})
	switch {
	case errors.Is(err, errNothing):
		return nil, nil
	case err != nil:
		return nil, s.failedCommit(h, before, err)
	case !isAt(h.file, s.path):
		s.fail(fmt.Errorf("%s was moved, removed or replaced while it was open: what was written is not in it", s.name))
		return nil, s.failed
	}
	return changes, nil
}

// failedCommit says what a commit that failed means. If the old state is what the file has, it can be read, and
// unless a page is damaged writing goes on too, as when a disk has room again.
func (s *Store) failedCommit(h *handle, before uint64, err error) error {
	err = s.named(err)
	if errors.Is(err, ErrFormat) || h.stuck {
		s.commits.broken = fmt.Errorf("%w; nothing is written to it any more", err)
	}
	var now state
	readErr := h.view(func(tx *bbolt.Tx) (err error) {
		now, err = readState(tx)
		return err
	})
	if readErr == nil && now.version != before {
		s.fail(fmt.Errorf("%s: a write failed, and nobody knows whether it is on the disk: close and open it again: %w",
			s.name, err))
		return s.failed
	}
	return err
}

// isAt reports whether a path is still that of an open file.
func isAt(file *os.File, path string) bool {
	open, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(open, there)
}

// put writes a record, or removes it if it is nil, under the next version. Every version has its change.
func (b *batch) put(bucket, key, old, record []byte) (change, error) {
	c := change{version: b.state.version + 1, bucket: bucket, key: key, new: record}
	c.old, c.owned = b.log.shared(bucket, key, old)
	var err error
	if record == nil {
		err = b.tx.Bucket(bucket).Delete(key)
	} else {
		binary.BigEndian.PutUint64(record, c.version)
		seal(bucket, key, record)
		err = b.tx.Bucket(bucket).Put(key, record)
	}
	if err != nil {
		return change{}, err
	}
	b.state.version = c.version
	b.state.sum += weigh(bucket, key, record) - weigh(bucket, key, c.old)
	b.log.note(c)
	return c, nil
}

// get returns a record whose head is sound; nil if there is none.
func (b *batch) get(bucket, key []byte) ([]byte, error) {
	record := b.tx.Bucket(bucket).Get(key)
	if record != nil && !headSound(bucket, key, record) {
		return nil, damaged(bucket, key, "its head does not match its checksum")
	}
	return record, nil
}
