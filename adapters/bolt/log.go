package bolt

import (
	"bytes"
	"context"
	"maps"
	"slices"
	"sort"
	"sync"
)

const (
	defaultHistory      = 1000
	defaultHistoryBytes = 64 << 20
	// A watch is given so much at once: what it is busy with cannot be forgotten.
	watchChanges = 64
	watchBytes   = 1 << 20
)

// changeLog are the newest changes, for watches and for lists of several pages. They are bounded in number and in
// bytes, and each record is there once: what one change replaced is what the one before wrote.
type changeLog struct {
	mu       sync.Mutex
	history  int
	maxBytes int
	changes  []change
	bytes    int
	dropped  uint64 // the version of the newest change that is not kept
	changed  chan struct{}
	ended    error // why there are no more

	newest map[string][]byte // the newest record of each key that the log has; the leader's
}

func (l *changeLog) begin(version uint64, opts Options) {
	l.dropped, l.history, l.maxBytes, l.changed = version, opts.History, opts.HistoryBytes, make(chan struct{})
	if l.history <= 0 {
		l.history = defaultHistory
	}
	if l.maxBytes <= 0 {
		l.maxBytes = defaultHistoryBytes
	}
	l.newest = map[string][]byte{}
}

func logKey(bucket, key []byte) string { return string(bucket) + "\x00" + string(key) }

// shared returns a record that a transaction reads, in memory that lasts: that of the log if it has the record,
// and otherwise its own.
func (l *changeLog) shared(bucket, key, record []byte) (lasting []byte, owned bool) {
	if record == nil {
		return nil, false
	}
	if kept := l.newest[logKey(bucket, key)]; bytes.Equal(kept, record) {
		return kept, false
	}
	return bytes.Clone(record), true
}

// note remembers what a change wrote.
func (l *changeLog) note(c change) {
	if c.new == nil {
		delete(l.newest, logKey(c.bucket, c.key))
	} else {
		l.newest[logKey(c.bucket, c.key)] = c.new
	}
}

// add keeps changes; the leader calls it.
func (l *changeLog) add(changes []change) {
	if len(changes) == 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return
	}
	l.changes = append(l.changes, changes...)
	for _, c := range changes {
		l.bytes += len(c.key) + len(c.new)
		if c.owned {
			l.bytes += len(c.old)
		}
	}
	if len(l.changes) >= 2*l.history || l.bytes > l.maxBytes {
		l.trim()
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// trim forgets the oldest changes, until half of the bytes are free. The newest one stays, whatever its size.
func (l *changeLog) trim() {
	first, size := len(l.changes), 0
	held := map[*byte]bool{}
	for first > 0 && len(l.changes)-first < l.history {
		c := l.changes[first-1]
		more := len(c.key)
		for _, record := range [][]byte{c.new, c.old} {
			if len(record) > 0 && !held[&record[0]] {
				held[&record[0]] = true
				more += len(record)
			}
		}
		if first < len(l.changes) && size+more > l.maxBytes/2 {
			break
		}
		first, size = first-1, size+more
	}
	if first > 0 {
		l.dropped = l.changes[first-1].version
	}
	l.changes, l.bytes = slices.Clone(l.changes[first:]), size
	maps.DeleteFunc(l.newest, func(_ string, record []byte) bool { return recordVersion(record) <= l.dropped })
}

// end tells watches and lists that there are no more changes, and why.
func (l *changeLog) end(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended == nil {
		l.ended = why
		close(l.changed)
	}
}

// since returns the changes after a version, and a channel that is closed with the next one. It reports whether
// they are all kept.
func (l *changeLog) since(version uint64) (changes []change, changed <-chan struct{}, kept bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended != nil {
		return nil, nil, false, l.ended
	}
	if version < l.dropped {
		return nil, nil, false, nil
	}
	i := sort.Search(len(l.changes), func(i int) bool { return l.changes[i].version > version })
	return l.changes[i:len(l.changes):len(l.changes)], l.changed, true, nil
}

// some returns the first of the changes that since returns, in memory that pins no others.
func (l *changeLog) some(version uint64) (changes []change, changed <-chan struct{}, kept bool, err error) {
	changes, changed, kept, err = l.since(version)
	n := 0
	for size := 0; n < min(len(changes), watchChanges) && size < watchBytes; n++ {
		size += len(changes[n].old) + len(changes[n].new)
	}
	return slices.Clone(changes[:n]), changed, kept, err
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
