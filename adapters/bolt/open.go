package bolt

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unicode"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// lockPoll is how often a lock is tried while Open waits.
const lockPoll = 10 * time.Millisecond

// How much address space is set aside: a file that grows beyond it makes a writer wait for readers, and readers
// for that writer. The smaller one is for systems of 32 bits, and for processes that are not given more.
const (
	mapped      = 64 << 30
	mappedSmall = 256 << 20
)

// How an attempt to open a file ends if there is to be another one.
var (
	errBusy  = errors.New("the file is locked")
	errMoved = errors.New("another file has its name by now")
)

// Open opens a file, and creates it unless it is opened for reading. A file that another process has open is a
// [*LockedError]; one that is none of ours, or is damaged, is of class [ErrFormat]. The caller closes the store.
func Open(ctx context.Context, path string, opts Options) (*Store, error) {
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	s := &Store{name: path, readOnly: opts.ReadOnly, commits: commits{leader: make(chan struct{}, 1)}}
	s.options = bbolt.Options{
		ReadOnly: opts.ReadOnly, NoSync: opts.NoSync, FreelistType: bbolt.FreelistMapType, Timeout: time.Nanosecond,
	}
	if runtime.GOOS != "windows" { // where a mapping makes the file as large
		s.options.InitialMmapSize = int(min(int64(mapped), maxMapped))
	}
	deadline := time.Now().Add(opts.Wait)
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err := s.open(ctx, absolute)
		switch {
		case err == nil:
			version, err := s.prepare()
			if err != nil {
				s.handle.close()
				return nil, s.named(err)
			}
			s.log.begin(version, opts)
			return s, nil
		case errors.Is(err, errMoved):
		case errors.Is(err, syscall.ENOMEM) && s.options.InitialMmapSize > 0:
			s.options.InitialMmapSize = nextMapped(s.options.InitialMmapSize)
		case !errors.Is(err, errBusy):
			return nil, s.named(err)
		case !time.Now().Before(deadline):
			return nil, &LockedError{Path: path, Owner: readOwner(absolute)}
		default:
			if err := pause(ctx, lockPoll); err != nil {
				return nil, err
			}
		}
	}
}

// maxMapped is the largest mapping where numbers have 32 bits.
var maxMapped = func() int64 {
	if int64(^uint(0)>>1) < mapped {
		return mappedSmall
	}
	return mapped
}()

func nextMapped(size int) int {
	if size > mappedSmall {
		return mappedSmall
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// open makes one attempt.
func (s *Store) open(ctx context.Context, path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%w: it is not a regular file", ErrFormat)
	} else if err != nil && s.readOnly {
		return err
	}
	how := os.O_RDWR | os.O_CREATE
	if s.readOnly {
		how = os.O_RDONLY
	}
	file, err := os.OpenFile(path, how, 0o600)
	if err != nil {
		return err
	}
	fresh, err := s.lookAt(ctx, file, path)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if s.path, err = filepath.EvalSymlinks(path); err != nil {
		return errors.Join(err, file.Close())
	}
	h, err := openHandle(file, s.options)
	if err != nil {
		return err
	}
	if !lockBefore {
		if _, err = s.lookAt(ctx, file, path); err != nil {
			return errors.Join(err, h.close())
		}
	}
	if fresh && !s.options.NoSync {
		if err := syncDir(s.path); err != nil {
			return errors.Join(err, h.close())
		}
	}
	s.handle = h
	return nil
}

// lookAt locks a file, sees whether it is still the one that has the path, and reads its structure. It reports whether
// the file is new.
func (s *Store) lookAt(ctx context.Context, file *os.File, path string) (fresh bool, err error) {
	free, err := lockFile(file, !s.readOnly)
	switch {
	case err != nil:
		return false, fmt.Errorf("lock %s: %w", s.name, err)
	case !free:
		return false, errBusy
	case !isAt(file, path):
		return false, errMoved
	}
	bad, fresh, err := auditFile(ctx, file)
	switch {
	case err != nil:
		return false, err
	case fresh && s.readOnly:
		return false, fmt.Errorf("%w: it is empty, or its creation never came to an end: open it for writing once",
			ErrFormat)
	case fresh:
		return true, file.Truncate(0)
	case len(bad) > 0 && s.readOnly:
		s.incomplete = fmt.Sprintf("it is not there, but may have been: %v", bad[0])
	case len(bad) > 0:
		return false, fmt.Errorf("%s: %w: it is damaged: open it for reading, to copy what is sound into a new one: %w",
			s.name, ErrFormat, someOf(bad))
	}
	return false, nil
}

// openHandle has bbolt open a file that is open, and closes it if that fails.
func openHandle(file *os.File, options bbolt.Options) (h *handle, err error) {
	defer func() {
		if h == nil {
			file.Close()
		}
	}()
	defer guard(&err)()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	options.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return file, nil }
	db, err := bbolt.Open(file.Name(), 0o600, &options)
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		return nil, errBusy
	case errors.Is(err, bbolterrors.ErrInvalid), errors.Is(err, bbolterrors.ErrVersionMismatch),
		errors.Is(err, bbolterrors.ErrChecksum):
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	case err != nil:
		return nil, err
	}
	return &handle{db: db, file: file, size: info.Size(), left: make(chan struct{})}, nil
}

// prepare makes the file one of the newest format and returns its version.
func (s *Store) prepare() (version uint64, err error) {
	err = s.handle.view(func(tx *bbolt.Tx) error {
		format, err := formatOf(tx)
		switch {
		case err != nil:
			return err
		case format == newestFormat():
			now, err := readState(tx)
			version = now.version
			return err
		case s.readOnly:
			return fmt.Errorf("%w: it has format %d; open it for writing once, to bring it to format %d",
				ErrFormat, format, newestFormat())
		}
		return errMigrate
	})
	if s.readOnly || err != nil && !errors.Is(err, errMigrate) {
		return version, err
	}
	if err != nil {
		err = s.handle.update(func(tx *bbolt.Tx) error {
			if err := migrate(tx); err != nil {
				return err
			}
			now, err := readState(tx)
			version = now.version
			return err
		})
	}
	if err == nil {
		os.Remove(s.path + compactSuffix) // of a compaction that was killed
		writeOwner(s.path)
	}
	return version, err
}

func ownerPath(path string) string { return path + ".owner" }

// maxOwner is how much is read of what anybody may have written.
const maxOwner = 4 << 10

// writeOwner notes down who holds the lock, for those who do not get it. If that fails, they are not told.
func writeOwner(path string) {
	host, err := os.Hostname()
	if err != nil {
		host = "this machine"
	}
	text, err := json.Marshal(Owner{
		PID: os.Getpid(), Host: host, Program: filepath.Base(os.Args[0]), Since: time.Now().UTC().Truncate(time.Second),
	})
	if err != nil {
		return
	}
	os.Remove(ownerPath(path))
	file, err := os.OpenFile(ownerPath(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // not through somebody's link
	if err != nil {
		return
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Close()); err != nil {
		os.Remove(ownerPath(path))
	}
}

// readOwner returns who holds the file; nil if nobody wrote that down, or if that process has ended.
func readOwner(path string) *Owner {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		path = real
	}
	if info, err := os.Lstat(ownerPath(path)); err != nil || !info.Mode().IsRegular() {
		return nil
	}
	file, err := os.Open(ownerPath(path))
	if err != nil {
		return nil
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxOwner))
	owner := new(Owner)
	if err != nil || json.Unmarshal(text, owner) != nil || ended(owner) {
		return nil
	}
	owner.Program, owner.Host = printable(owner.Program), printable(owner.Host)
	return owner
}

// ended reports whether an owner is known to run no more: it was killed, and others read the file since.
func ended(owner *Owner) bool {
	if host, err := os.Hostname(); err != nil || host != owner.Host {
		return false
	}
	process, err := os.FindProcess(owner.PID)
	return err != nil || errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// printable returns what a person can be shown of a text.
func printable(text string) string {
	const most = 64
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, text)
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return text
}
