package bolt

import (
	"context"
	"errors"
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
}

// commits are the writes that wait. Who has the leader's lock commits all of them, in one transaction: those
// that came while the one before was being synced.
type commits struct {
	leader  sync.Mutex
	mu      sync.Mutex
	waiting []*write
}

// write is one write. It changes nothing in the transaction if it returns an error.
type write struct {
	do     func(tx *bbolt.Tx) (change, error)
	change change
	err    error
	done   bool // guarded by the leader's lock
}

// errNothing ends a transaction in which nothing was written.
var errNothing = errors.New("nothing to commit")

// commit writes, and returns the version of the record.
func (s *Store) commit(ctx context.Context, do func(tx *bbolt.Tx) (change, error)) (uint64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	if s.readOnly {
		return 0, ErrReadOnly
	}
	w := &write{do: do}
	s.commits.mu.Lock()
	s.commits.waiting = append(s.commits.waiting, w)
	s.commits.mu.Unlock()

	s.commits.leader.Lock()
	defer s.commits.leader.Unlock()
	if !w.done {
		s.commits.mu.Lock()
		batch := s.commits.waiting
		s.commits.waiting = nil
		s.commits.mu.Unlock()
		s.commitAll(batch)
	}
	return w.change.version, w.err
}

// commitAll carries writes out in one transaction, in the order in which they came.
func (s *Store) commitAll(batch []*write) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	err := ErrClosed
	if s.db != nil {
		err = s.db.Update(func(tx *bbolt.Tx) error {
			wrote := false
			for _, w := range batch {
				w.change, w.err = w.do(tx)
				wrote = wrote || w.change.key != nil
			}
			if !wrote {
				return errNothing
			}
			return nil
		})
	}
	var changes []change
	for _, w := range batch {
		w.done = true
		switch {
		case err != nil && !errors.Is(err, errNothing):
			w.err = err
		case w.err == nil && w.change.key != nil:
			changes = append(changes, w.change)
		}
	}
	s.log.add(changes)
}
