package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

func openTest(t *testing.T, opts Options) (s *Store, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "streams.db")
	s, err := Open(t.Context(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func createTest(t *testing.T, s *Store, name string) *imagestream.ImageStream {
	t.Helper()
	created, err := s.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}})
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// TestMovedFile has a file compacted, and closed, between another one's open and its lock: that one has the lock of a
// file without a name, and sees it.
func TestMovedFile(t *testing.T) {
	s, path := openTest(t, Options{})
	waiting, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	other := &Store{name: path}
	if _, err := other.lookAt(t.Context(), waiting, path); !errors.Is(err, errBusy) {
		t.Fatalf("while it is locked: %v", err)
	}
	if _, _, err := s.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := other.lookAt(t.Context(), waiting, path); !errors.Is(err, errMoved) {
		t.Errorf("once it was compacted: %v", err)
	}
}

// TestReplacedFile puts another file in the place of one that is open: no write is acknowledged that is not in the file.
func TestReplacedFile(t *testing.T) {
	s, path := openTest(t, Options{})
	created := createTest(t, s, "a")
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Compact(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("a compaction says %v", err)
	}
	if err := s.DeleteImageStream(t.Context(), created.Key(), imagestream.Preconditions{}); err == nil || !strings.Contains(err.Error(), "moved") {
		t.Errorf("a write says %v", err)
	}
}

// TestUnknownCommit has a write fail that may be on the disk: nobody is told anything until the file is opened again.
func TestUnknownCommit(t *testing.T) {
	s, path := openTest(t, Options{})
	created := createTest(t, s, "a")
	createTest(t, s, "b")
	first, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the disk is broken")
	if err := s.failedCommit(s.handle, 1, broken); !errors.Is(err, broken) || !strings.Contains(err.Error(), path) {
		t.Errorf("the write says %v", err)
	}
	_, get := s.GetImageStream(t.Context(), created.Key())
	_, list := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1, Continue: first.Metadata.Continue})
	_, create := s.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "b"}})
	errs := []error{get, list, create}
	for _, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: "1"}) {
		errs = append(errs, err)
	}
	for _, err := range errs {
		if !errors.Is(err, broken) {
			t.Errorf("after that: %v", err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFailedCommit has a write fail before anything is on the disk: what was there can be read, and the store goes on.
func TestFailedCommit(t *testing.T) {
	s, _ := openTest(t, Options{})
	created := createTest(t, s, "a")
	broken := errors.New("no room")
	if err := s.failedCommit(s.handle, 1, broken); !errors.Is(err, broken) {
		t.Errorf("the write says %v", err)
	}
	if _, err := s.GetImageStream(t.Context(), created.Key()); err != nil {
		t.Error(err)
	}
	createTest(t, s, "b")
}

// TestLogKeepsRecordsOnce bounds the bytes of a history, in which each record is once.
func TestLogKeepsRecordsOnce(t *testing.T) {
	const size, limit = 10_000, 200_000
	s, _ := openTest(t, Options{NoSync: true, HistoryBytes: limit})
	stream := createTest(t, s, "a")
	for n := range 200 {
		stream.Metadata.Annotations = map[string]string{"n": fmt.Sprint(n), "text": strings.Repeat("x", size)}
		var err error
		if stream, err = s.UpdateImageStream(context.Background(), stream); err != nil {
			t.Fatal(err)
		}
		held := map[*byte]int{}
		for _, c := range s.log.changes {
			for _, record := range [][]byte{c.old, c.new} {
				if len(record) > 0 {
					held[&record[0]] = cap(record)
				}
			}
		}
		bytes := 0
		for _, n := range held {
			bytes += n
		}
		if len(held) > len(s.log.changes)+1 || bytes > 2*limit || n > 10 && len(s.log.changes) < 5 || len(s.log.newest) > 1 {
			t.Fatalf("%d changes hold %d records of %d bytes, after %d updates", len(s.log.changes), len(held), bytes, n)
		}
	}
}

// TestCheckWaits for the writer before it, and no longer than its context lasts.
func TestCheckWaits(t *testing.T) {
	s, _ := openTest(t, Options{})
	s.commits.leader <- struct{}{}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Check(ctx) }()
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("while somebody writes: %v", err)
	}
	<-s.commits.leader
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	createTest(t, s, "a") // Check has given the writers' place back
}
