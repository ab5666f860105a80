package bolt_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
)

// smallDisk returns a directory on a disk of its own. It needs the right to mount one.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func bulky(name string) *imagestream.ImageStream {
	stream := newStream(name)
	stream.Metadata.Annotations["text"] = strings.Repeat("x", 20_000)
	return stream
}

// fill creates streams until that fails, and returns those that were created.
func fill(t *testing.T, s *bolt.Store) (created []*imagestream.ImageStream, err error) {
	t.Helper()
	for n := range 1000 {
		stream, err := s.CreateImageStream(t.Context(), bulky(fmt.Sprintf("s%03d", n)))
		if err != nil {
			return created, err
		}
		created = append(created, stream)
	}
	t.Fatal("the disk does not get full")
	return nil, nil
}

func mustHold(t *testing.T, s *bolt.Store, want []*imagestream.ImageStream) {
	t.Helper()
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != len(want) {
		t.Fatalf("%d of %d streams, %v", len(list.Items), len(want), err)
	}
	for i := range want {
		if !list.Items[i].Same(want[i]) {
			t.Errorf("%s is %+v", want[i].Key(), list.Items[i].Metadata)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestDiskFull fills a disk: the error says so, what was acknowledged can be read, nothing stays behind, and writes go on
// once there is room.
func TestDiskFull(t *testing.T) {
	dir := smallDisk(t, "2m")
	filler := filepath.Join(dir, "filler")
	if err := os.WriteFile(filler, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "streams.db")
	s := open(t, path, bolt.Options{})
	created, err := fill(t, s)
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), path) {
		t.Errorf("a write to a full disk: %v", err)
	}
	mustHold(t, s, created)
	if _, _, err := s.Compact(t.Context(), nil); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a compaction on a full disk: %v", err)
	}
	if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file of the compaction is left: %v", err)
	}
	mustHold(t, s, created)
	if err := os.WriteFile(filepath.Join(dir, "rest"), make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	if _, err := bolt.Open(t.Context(), filepath.Join(dir, "new.db"), bolt.Options{}); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a file created on a full disk: %v", err)
	}

	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, bolt.Options{}) // on a full disk
	mustHold(t, s, created)
	for _, name := range []string{"filler", "rest"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	another, err := s.CreateImageStream(t.Context(), bulky("t"))
	if err != nil {
		t.Fatalf("a write to a disk that has room again: %v", err)
	}
	created = append(created, another)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	mustHold(t, open(t, path, bolt.Options{}), created)
	mustCreate(t, open(t, filepath.Join(dir, "new.db"), bolt.Options{}), "a")
}

// TestFullWhileOpen has a store go on that met a full disk.
func TestFullWhileOpen(t *testing.T) {
	dir := smallDisk(t, "2m")
	s := open(t, filepath.Join(dir, "streams.db"), bolt.Options{})
	created, err := fill(t, s)
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	var another *imagestream.ImageStream
	for range 10 { // what is deleted makes room, since a deletion needs a few pages only; how many make enough is up to bbolt
		last := created[len(created)-1]
		if err := s.DeleteImageStream(t.Context(), last.Key(), imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		created = created[:len(created)-1]
		if another, err = s.CreateImageStream(t.Context(), bulky("t")); !errors.Is(err, syscall.ENOSPC) {
			break
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	mustHold(t, s, append(created, another))
}

// TestFileLimit meets the limit of a file's size, which needs no rights: a process of its own is given one.
func TestFileLimit(t *testing.T) {
	if path := os.Getenv("BOLT_LIMITED"); path != "" {
		signal.Ignore(syscall.SIGXFSZ)
		limit := syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
			t.Fatal(err)
		}
		s := open(t, path, bolt.Options{})
		created, err := fill(t, s)
		if err == nil || !strings.Contains(err.Error(), path+": file too large") { // bbolt keeps only the text
			t.Errorf("a write beyond the limit: %v", err)
		}
		mustHold(t, s, created)
		return
	}
	path := temporary(t)
	cmd := exec.Command(os.Args[0], "-test.run", "^TestFileLimit$")
	cmd.Env = append(os.Environ(), "BOLT_LIMITED="+path)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := open(t, path, bolt.Options{})
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	mustCreate(t, s, "t")
}

// TestReadOnlyDisk has a file on a disk that nothing can be written to.
func TestReadOnlyDisk(t *testing.T) {
	dir := smallDisk(t, "2m")
	path := filepath.Join(dir, "streams.db")
	s, err := bolt.Open(t.Context(), path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := mustCreate(t, s, "a")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("", dir, "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Skip(err)
	}
	if _, err := bolt.Open(t.Context(), path, bolt.Options{}); !errors.Is(err, syscall.EROFS) || !strings.Contains(err.Error(), path) {
		t.Errorf("opened for writing: %v", err)
	}
	if _, err := bolt.Open(t.Context(), filepath.Join(dir, "new.db"), bolt.Options{}); !errors.Is(err, syscall.EROFS) {
		t.Errorf("created: %v", err)
	}
	s = open(t, path, bolt.Options{ReadOnly: true})
	mustHold(t, s, []*imagestream.ImageStream{a})
	if _, err := s.Backup(t.Context(), io.Discard); err != nil {
		t.Error(err)
	}
}
