// Package bolt is an imagestream.Store in one file, on go.etcd.io/bbolt.
//
//	store, err := bolt.Open(ctx, "streams.db", bolt.Options{})
//	defer store.Close()
//
// # What it promises
//
// A write that returned is on the disk: it is one transaction, with fsync. One that did not return, because the
// process or the machine died, is there whole or not at all. Writers that wait at the same time are committed
// together, in one transaction; a single writer never waits for others. Compare-and-swap is by resourceVersion,
// which stands beside the JSON, so that a lost race decodes nothing.
//
// Versions are one sequence for the whole file, and go on when it is opened again. Watches see the writes of this
// process since it opened the file, which are all there are: a file that is open for writing has one owner.
//
// # The file
//
// It has three buckets. "meta" has the format's number, and its sequence is the newest version. "streams" and
// "images" have a record for each object: the key is namespace, a zero byte and name; the value is the version
// (8 bytes, the highest first), the uid (16 bytes), and the object's JSON without these two.
//
// Format 1 is the first. A file of an older format is brought to the newest one when it is opened for writing,
// in one transaction, so that it is of one format or of the other, whatever happens; make a backup before, since
// older programs refuse it then. A file of a newer format than the program knows is refused, and so is one that
// is not a store at all.
//
// # The lock
//
// Open takes the file's lock, exclusive for writing, shared for reading. Who holds it writes its name into a
// small file beside it, FILE.owner, so that a [LockedError] can tell.
//
// # Limits
//
// A key has at most 32,768 bytes, an object 2 GiB; more is of class imagestream.ErrTooLarge. Watches are kept
// [Options.History] changes long, in memory, and so is what the pages of a list need to show one state.
package bolt

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Options say how a file is opened. The zero value opens it for writing, and creates it.
type Options struct {
	// ReadOnly opens a file that exists, beside others that read it. Writes are an [ErrReadOnly].
	ReadOnly bool
	// Wait is how long Open waits for the lock; 0 gives up at once. The context ends it too.
	Wait time.Duration
	// History is how many changes are kept for watches and for lists of several pages; 0 is 1,000.
	History int
	// NoSync leaves out fsync: writes are fast, and a machine that fails may lose the file. For tests.
	NoSync bool
}

var (
	// ErrReadOnly is the error of a write to a store that was opened for reading.
	ErrReadOnly = errors.New("the store was opened for reading only")
	// ErrClosed is the error of whatever is done with a store after Close.
	ErrClosed = errors.New("the store is closed")
	// ErrFormat is the class of errors about a file that this program cannot use.
	ErrFormat = errors.New("not a store that this program can use")
)

// Owner is who opened a file for writing.
type Owner struct {
	PID     int       `json:"pid"`
	Host    string    `json:"host"`
	Program string    `json:"program"`
	Since   time.Time `json:"since"`
}

// LockedError means that another process has the file open.
type LockedError struct {
	Path string
	// Owner is the writer that holds it; nil if it is held by readers, or if nobody knows.
	Owner *Owner
}

func (e *LockedError) Error() string {
	if e.Owner == nil {
		return fmt.Sprintf("%s is open in another process", e.Path)
	}
	return fmt.Sprintf("%s is open in %s, process %d on %s, since %s", e.Path, e.Owner.Program, e.Owner.PID, e.Owner.Host, e.Owner.Since.Format(time.RFC3339))
}

// Store is an [imagestream.Store] in a file. It is safe for concurrent use.
type Store struct {
	path     string
	readOnly bool
	options  bbolt.Options

	// mu guards db: whoever uses it holds it for reading, whoever replaces it for writing.
	mu sync.RWMutex
	db *bbolt.DB

	commits commits
	log     changeLog
}

var _ imagestream.Store = (*Store)(nil)

// lockPoll is how often a lock is tried while Open waits.
const lockPoll = 10 * time.Millisecond

// mapped is how much address space is set aside: a file that grows beyond it makes a writer wait for readers.
const mapped = 256 << 20

// Open opens a file, and creates it unless it is opened for reading. A file that another process has open is a
// [*LockedError]; one that is none of ours is of class [ErrFormat]. The caller closes the store.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	s := &Store{path: path, readOnly: opts.ReadOnly}
	s.options = bbolt.Options{
		ReadOnly: opts.ReadOnly, NoSync: opts.NoSync, FreelistType: bbolt.FreelistMapType, Timeout: time.Nanosecond,
	}
	if runtime.GOOS != "windows" { // where a mapping makes the file as large
		s.options.InitialMmapSize = mapped
	}
	if opts.ReadOnly {
		if _, err := os.Stat(path); err != nil {
			return nil, err
		}
	}
	deadline := time.Now().Add(opts.Wait)
	for {
		err := ctx.Err()
		if err != nil {
			return nil, err
		}
		if s.db, err = bbolt.Open(path, 0o600, &s.options); err == nil {
			break
		}
		if !errors.Is(err, bbolterrors.ErrTimeout) {
			return nil, openError(path, err)
		}
		if !time.Now().Before(deadline) {
			return nil, &LockedError{Path: path, Owner: readOwner(path)}
		}
		timer := time.NewTimer(lockPoll)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
	version, err := s.prepare()
	if err != nil {
		s.db.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s.log.begin(version, opts.History)
	return s, nil
}

// openError tells files that bbolt cannot read from failures of the system.
func openError(path string, err error) error {
	for _, class := range []error{bbolterrors.ErrInvalid, bbolterrors.ErrVersionMismatch, bbolterrors.ErrChecksum} {
		if errors.Is(err, class) {
			return fmt.Errorf("%s: %w: %w", path, ErrFormat, err)
		}
	}
	return err
}

// prepare makes the file one of the newest format and returns its version.
func (s *Store) prepare() (version uint64, err error) {
	if s.readOnly {
		err = s.db.View(func(tx *bbolt.Tx) error {
			format, err := formatOf(tx)
			if err == nil && format != newestFormat() {
				err = fmt.Errorf("%w: it has format %d; open it for writing once, to bring it to format %d", ErrFormat, format, newestFormat())
			}
			if err == nil {
				version = tx.Bucket(metaBucket).Sequence()
			}
			return err
		})
		return version, err
	}
	if err := writeOwner(s.path); err != nil {
		return 0, err
	}
	err = s.db.View(func(tx *bbolt.Tx) error {
		format, err := formatOf(tx)
		if err == nil && format == newestFormat() {
			version = tx.Bucket(metaBucket).Sequence()
		} else if err == nil {
			err = errMigrate
		}
		return err
	})
	if errors.Is(err, errMigrate) {
		err = s.db.Update(func(tx *bbolt.Tx) error {
			if err := migrate(tx); err != nil {
				return err
			}
			version = tx.Bucket(metaBucket).Sequence()
			return nil
		})
	}
	if err != nil {
		os.Remove(ownerPath(s.path))
	}
	return version, err
}

// Close ends all watches, waits for what is being read and written, and gives the file back.
func (s *Store) Close() error {
	s.log.close()
	s.commits.leader.Lock()
	defer s.commits.leader.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	if !s.readOnly {
		os.Remove(ownerPath(s.path))
	}
	err := s.db.Close()
	s.db = nil
	return err
}

// view reads in one transaction.
func (s *Store) view(ctx context.Context, read func(tx *bbolt.Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return ErrClosed
	}
	return s.db.View(read)
}

func ownerPath(path string) string { return path + ".owner" }

func writeOwner(path string) error {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	text, err := json.Marshal(Owner{PID: os.Getpid(), Host: host, Program: filepath.Base(os.Args[0]), Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	return os.WriteFile(ownerPath(path), text, 0o600)
}

// readOwner returns who holds the file; nil if nobody wrote that down.
func readOwner(path string) *Owner {
	text, err := os.ReadFile(ownerPath(path))
	if err != nil {
		return nil
	}
	owner := new(Owner)
	if json.Unmarshal(text, owner) != nil {
		return nil
	}
	return owner
}

// The buckets of the file, and the key of its format in meta.
var (
	metaBucket   = []byte("meta")
	streamBucket = []byte("streams")
	imageBucket  = []byte("images")

	formatKey = []byte("format")
)

// migrations bring a file from a format to the next one: the first from 0, which is an empty file, to 1.
var migrations = []func(tx *bbolt.Tx) error{
	func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, streamBucket, imageBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	},
}

var errMigrate = errors.New("an older format")

func newestFormat() uint64 { return uint64(len(migrations)) }

// formatOf returns the format of a file; 0 if it is empty.
func formatOf(tx *bbolt.Tx) (uint64, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return 0, fmt.Errorf("%w: it is a bbolt file of some other program", ErrFormat)
		}
		return 0, nil
	}
	number := meta.Get(formatKey)
	if len(number) != 8 {
		return 0, fmt.Errorf("%w: it has no format", ErrFormat)
	}
	format := binary.BigEndian.Uint64(number)
	if format > newestFormat() {
		return 0, fmt.Errorf("%w: it has format %d, this program knows %d: use a newer program", ErrFormat, format, newestFormat())
	}
	return format, nil
}

// migrate brings a file to the newest format.
func migrate(tx *bbolt.Tx) error {
	format, err := formatOf(tx)
	if err != nil {
		return err
	}
	for ; format < newestFormat(); format++ {
		if err := migrations[format](tx); err != nil {
			return fmt.Errorf("from format %d to %d: %w", format, format+1, err)
		}
	}
	return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint64(nil, format))
}
