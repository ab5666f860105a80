package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
)

// within fails the test if something does not come to an end; how long it takes is not asserted.
func within(t *testing.T, what string, do func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("%s does not come to an end", what)
	}
}

// TestOpenBesideCompact has owners compact the file while others wait in Open: the writes of all of them are there.
func TestOpenBesideCompact(t *testing.T) {
	const waiting, each = 12, 12
	path := temporary(t)
	var wg sync.WaitGroup
	for w := range waiting {
		wg.Go(func() {
			for n := range each {
				s, err := bolt.Open(context.Background(), path, bolt.Options{Wait: time.Hour, NoSync: true})
				if err != nil {
					t.Error(err)
					return
				}
				_, err = s.CreateImageStream(context.Background(), newStream(fmt.Sprintf("s%d-%d", w, n)))
				_, _, compact := s.Compact(context.Background(), nil)
				if err = errors.Join(err, compact, s.Close()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	s := open(t, path, bolt.Options{})
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != waiting*each {
		t.Errorf("%d of %d acknowledged writes are there, %v", len(list.Items), waiting*each, err)
	}
}

// TestDamagedUnderWriters damages the file under the hands of writers: none of them is told that it wrote.
func TestDamagedUnderWriters(t *testing.T) {
	path := temporary(t)
	s, err := bolt.Open(t.Context(), path, bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	streams := make([]*imagestream.ImageStream, 40)
	for i := range streams {
		streams[i] = mustCreate(t, s, fmt.Sprint("s", i))
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for page := int64(2); page < 12; page++ {
		if _, err := file.WriteAt([]byte{0, 0}, page*pageSize+8); err != nil {
			t.Fatal(err)
		}
	}
	errs := make([]error, len(streams))
	within(t, "a write", func() {
		var wg sync.WaitGroup
		for i, stream := range streams {
			wg.Go(func() {
				defer func() {
					if r := recover(); r != nil {
						errs[i] = fmt.Errorf("panic: %v", r)
					}
				}()
				_, errs[i] = bump(s, stream, 1)
			})
		}
		wg.Wait()
	})
	for i, err := range errs {
		if err == nil || strings.HasPrefix(err.Error(), "panic") || !errors.Is(err, bolt.ErrFormat) {
			t.Errorf("writer %d is told %v", i, err)
		}
	}
	within(t, "close", func() { s.Close() })
}

// TestStalledBackup stalls a backup: compaction, reads and writes go on meanwhile.
func TestStalledBackup(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	a := mustCreate(t, s, "a")
	stalled, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	var file bytes.Buffer
	done := make(chan error)
	go func() {
		_, err := s.Backup(context.Background(), writerFunc(func(p []byte) (int, error) {
			once.Do(func() { close(stalled); <-goOn })
			return file.Write(p)
		}))
		done <- err
	}()
	<-stalled
	within(t, "a compaction beside a stalled backup", func() {
		if _, _, err := s.Compact(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
	within(t, "work beside a stalled backup", func() {
		if _, err := s.GetImageStream(t.Context(), a.Key()); err != nil {
			t.Error(err)
		}
		mustCreate(t, s, "b")
		if list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) != 2 {
			t.Errorf("list: %v, %v", list, err)
		}
		if _, _, err := s.Compact(t.Context(), nil); err != nil {
			t.Error(err)
		}
	})
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	path := temporary(t)
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, path, bolt.Options{})
	if err := b.Check(t.Context()); err != nil {
		t.Error(err)
	}
	if list, err := b.ListImageStreams(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("the backup has %v, %v", list, err)
	}
}

// TestWaitingWrite ends with its context, while a compaction stands still.
func TestWaitingWrite(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	a := mustCreate(t, s, "a")
	standing, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	done := make(chan error)
	go func() {
		_, _, err := s.Compact(context.Background(), func(int) { once.Do(func() { close(standing); <-goOn }) })
		done <- err
	}()
	<-standing
	ctx, cancel := context.WithCancel(t.Context())
	cancelled := make(chan error)
	for _, call := range []func() error{
		func() error { return second(s.CreateImageStream(ctx, newStream("never"))) },
		func() error { return second(s.UpdateImageStream(ctx, a)) },
		func() error { _, _, err := s.Compact(ctx, nil); return err },
	} {
		go func() { cancelled <- call() }()
	}
	cancel()
	for range 3 {
		within(t, "a call whose context ended", func() {
			if err := <-cancelled; !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
		})
	}
	close(goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	mustCreate(t, s, "b")
	if _, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "never"}); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a write that was given up while it waited: %v", err)
	}
}

// TestHistoryBytes keeps the history of large streams small.
func TestHistoryBytes(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	stream := newStream("a")
	stream.Metadata.Annotations["text"] = strings.Repeat("x", 400<<10)
	stream, err := s.CreateImageStream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 300 {
		if stream, err = bump(s, stream, n+1); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	if m.HeapAlloc > 100<<20 {
		t.Errorf("%d MB are kept after 300 updates of 400 KB", m.HeapAlloc>>20)
	}
}

// TestBadText refuses names and texts that JSON cannot hold, instead of storing something else.
func TestBadText(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	name, annotation := newStream("a\xff"), newStream("a")
	annotation.Metadata.Annotations["text"] = "\xff"
	for what, stream := range map[string]*imagestream.ImageStream{"name": name, "annotation": annotation} {
		if created, err := s.CreateImageStream(t.Context(), stream); err == nil {
			got, err := s.GetImageStream(t.Context(), stream.Key())
			t.Errorf("a bad %s was taken: %+v, and is %+v, %v", what, created.Metadata, got, err)
		} else if !strings.Contains(err.Error(), "UTF-8") {
			t.Errorf("a bad %s: %v", what, err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	good := newStream("a")
	good.Metadata.Annotations["text"] = "\ufffd \\ufffd"
	created, err := s.CreateImageStream(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetImageStream(t.Context(), good.Key()); err != nil || !got.Same(created) {
		t.Errorf("stored as %+v, %v", got, err)
	}
}

// TestFileSize has a file with one stream look like one to ls.
func TestFileSize(t *testing.T) {
	path := temporary(t)
	s := open(t, path, bolt.Options{})
	mustCreate(t, s, "a")
	info, err := os.Stat(path)
	if err != nil || info.Size() > 128<<10 {
		t.Errorf("%d bytes for one stream, %v", info.Size(), err)
	}
}
