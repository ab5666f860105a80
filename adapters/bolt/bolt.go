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
// A write that fails changes nothing that can be read, and the store goes on: a full disk is an error, and once it
// has room again writes succeed. If it is not known whether a write is on the disk, because the last fsync failed or
// another file has the name, every call fails until the file is opened again.
//
// Every call ends with its context, also one that waits for its turn to write; a write that is being committed may
// be on the disk even so. Only [Store.Backup] waits for its writer, and [Store.Close] for what is being read. Reads
// never wait: not for a commit, a compaction or a backup, however slow its writer is.
//
// Versions are one sequence for the whole file, and go on when it is opened again. Watches see the writes of this
// process since it opened the file, which are all there are: a file that is open for writing has one owner.
//
// # Damaged files
//
// What was not written is never read. Open reads the structure of the whole file, every page of the tree and of
// the list of free pages, without the records' JSON (35 ms for 10,000 streams of 18 KB), and refuses a file that is
// cut off or damaged there with an error of class [ErrFormat] that says where. A record whose JSON is damaged is
// an error of that class that names the object, from Get, Watch, and List, whose result has the other objects
// even so; they stay readable and writable. DeleteImageStream removes the damaged one, and an update that has its
// resourceVersion replaces it. [Store.Check] reads everything and names all that is damaged.
//
// If the name or the head of a record is damaged, nobody knows which object it was. The file can then be opened for
// reading only, to copy the others; a Get of an object that is not there is an error of class ErrFormat, not
// ErrNotFound.
//
// A record with a member that this program does not know was written by a newer one. It is refused in the same way, by
// reads and by updates, which would drop the member. Metadata is an exception: its unknown members are kept.
//
// The checksums find accidents, not forgery: whoever can write the file can write anything into it.
//
// What cannot be helped, since bbolt maps the file: damage that comes about while the file is open. A page that
// bbolt does not understand, or the missing end of a file that was cut off, is an error of class ErrFormat where Go
// can catch the panic or the fault, and after such a failure of a write nothing more is written; but pages that
// form a loop can end the process. And if a disk forgets its very last transaction as a whole, what is left
// is the file of a moment before, which is sound.
//
// # The file
//
// It has three buckets. "streams" and "images" have a record for each object: the key is namespace, a zero byte
// and name. The value is a head of 40 bytes and the object's JSON without version and uid. The head is the version
// (8 bytes, the highest first), the uid (16), a number for the members of the type that was written (8), the CRC-32C
// of the JSON (4), and that of bucket, key and the head so far (4). "meta" has the format's number, and "state":
// the newest version (8), the sum of all records' weights (8), the CRC-32C of both (4). A weight is the
// FNV-1a hash of bucket, key and head, so that no record can be missing, or be an older one.
//
// Format 2 is the newest; format 1 had no checksums, and a record's head was version and uid. A file of an older
// format is brought to the newest one when it is opened for writing, in one transaction, so that it is of one format or
// of the other, whatever happens; the transaction has all records in memory. Make a backup before, since older programs
// refuse it then. Records of format 1 that cannot be decoded stay, and are refused as damaged. A file of a
// newer format than the program knows is refused, and so is one that is not a store at all.
//
// The file grows by an eighth of its size, and by 32 KB at least: one with one stream has 60 KB. Space that is free
// in it is used again, and [Store.Compact] gives it back.
//
// # The lock
//
// Open takes the file's lock, exclusive for writing, shared for reading, and then sees whether the file still has its
// name: a compaction gives it to another one. Who holds it writes its name into a small file beside it,
// FILE.owner, so that a [LockedError] can tell. On systems without flock (Windows, Solaris, AIX) bbolt locks the file
// and reads the list of free pages before its structure is read here.
//
// # Limits
//
// A key has at most 32,768 bytes, an object 2 GiB; more is of class imagestream.ErrTooLarge. Names and texts must be
// valid UTF-8. Watches are kept [Options.History] changes long and [Options.HistoryBytes] large, in memory, and so is
// what the pages of a list need to show one state. A file beyond 64 GB (256 MB on systems of 32 bits, or where a
// process cannot map more) makes a writer wait for readers when it grows, and the readers after it.
package bolt

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"go.etcd.io/bbolt"

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
	// HistoryBytes is how many bytes they have at most; 0 is 64 MB. The newest change is kept, whatever its size.
	HistoryBytes int
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
	return fmt.Sprintf("%s is open in %s, process %d on %s, since %s",
		e.Path, e.Owner.Program, e.Owner.PID, e.Owner.Host, e.Owner.Since.Format(time.RFC3339))
}

// Store is an [imagestream.Store] in a file. It is safe for concurrent use.
type Store struct {
	name     string // of the file, as it was given to Open
	path     string // of the file, without links
	readOnly bool
	options  bbolt.Options

	mu     sync.Mutex
	handle *handle // nil once the store is closed
	failed error   // why nothing is done any more

	retired sync.WaitGroup // the files that were compacted, and are read still

	// incomplete is why nobody can say that an object is not there: the name of another one is damaged.
	incomplete string

	commits commits
	log     changeLog
}

var _ imagestream.Store = (*Store)(nil)

// Close ends all watches, waits for what is being read and written, and gives the file back.
func (s *Store) Close() error {
	s.log.end(ErrClosed)
	s.commits.leader <- struct{}{}
	defer func() { <-s.commits.leader }()
	h := s.replace(nil)
	if h == nil {
		return nil
	}
	<-h.left
	s.retired.Wait()
	if !s.readOnly {
		os.Remove(ownerPath(s.path))
	}
	return h.close()
}
