package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
)

func open(t testing.TB, path string, opts bolt.Options) *bolt.Store {
	t.Helper()
	s, err := bolt.Open(context.Background(), path, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func temporary(t testing.TB) string { return filepath.Join(t.TempDir(), "streams.db") }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store { return open(t, temporary(t), bolt.Options{NoSync: true}) })
}

func newStream(name string) *imagestream.ImageStream {
	return &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name, Annotations: map[string]string{"n": "0"}}}
}

func mustCreate(t testing.TB, s imagestream.Store, name string) *imagestream.ImageStream {
	t.Helper()
	created, err := s.CreateImageStream(context.Background(), newStream(name))
	if err != nil {
		t.Fatal(err)
	}
	return created
}

// bump updates a stream's annotation n.
func bump(s imagestream.Store, old *imagestream.ImageStream, n int) (*imagestream.ImageStream, error) {
	next := old.Clone()
	next.Metadata.Annotations["n"] = strconv.Itoa(n)
	return s.UpdateImageStream(context.Background(), next)
}

// TestReopen finds everything again, under the versions that it had, which then go on.
func TestReopen(t *testing.T) {
	path := temporary(t)
	s := open(t, path, bolt.Options{})
	a := mustCreate(t, s, "a")
	image, err := s.CreateImage(t.Context(), &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1", Namespace: "ignored"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"get":    second(s.GetImageStream(t.Context(), a.Key())),
		"create": second(s.CreateImageStream(t.Context(), newStream("b"))),
		"list":   second(s.ListImageStreams(t.Context(), imagestream.ListOptions{})),
		"backup": second(s.Backup(t.Context(), io.Discard)),
	} {
		if !errors.Is(err, bolt.ErrClosed) {
			t.Errorf("%s of a closed store: %v", name, err)
		}
	}

	s = open(t, path, bolt.Options{})
	got, err := s.GetImageStream(t.Context(), a.Key())
	if err != nil || !got.Same(a) {
		t.Errorf("found %+v, %v\nwant %+v", got, err, a)
	}
	if found, err := s.GetImage(t.Context(), "sha256:1"); err != nil || found.Metadata.UID != image.Metadata.UID {
		t.Errorf("found the image %+v, %v", found, err)
	}
	b := mustCreate(t, s, "b")
	if b.Metadata.ResourceVersion != "3" {
		t.Errorf("the third write has the version %s", b.Metadata.ResourceVersion)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	// A watch can go on from what was the newest version when the file was opened, and from no older one.
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: image.Metadata.ResourceVersion}) {
		if err != nil || change.Object.Metadata.Name != "b" {
			t.Errorf("watched %+v, %v", change, err)
		}
		break
	}
	for _, version := range []string{a.Metadata.ResourceVersion, "99"} {
		for _, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: version}) {
			if !errors.Is(err, imagestream.ErrGone) {
				t.Errorf("a watch from version %s: %v", version, err)
			}
		}
	}
}

func second[T any](_ T, err error) error { return err }

// TestUnchanged writes nothing where nothing changes.
func TestUnchanged(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{})
	a := mustCreate(t, s, "a")
	same, err := s.UpdateImageStream(t.Context(), a)
	if err != nil || same.Metadata.ResourceVersion != a.Metadata.ResourceVersion {
		t.Errorf("an update of nothing: version %s, %v", same.Metadata.ResourceVersion, err)
	}
	if b := mustCreate(t, s, "b"); b.Metadata.ResourceVersion != "2" {
		t.Errorf("the second write has the version %s", b.Metadata.ResourceVersion)
	}
}

func TestBadKeys(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	long := newStream(strings.Repeat("a", bbolt.MaxKeySize))
	if _, err := s.CreateImageStream(t.Context(), long); !errors.Is(err, imagestream.ErrTooLarge) {
		t.Errorf("a name of %d bytes: %v", len(long.Metadata.Name), err)
	}
	zero := newStream("a\x00b")
	if _, err := s.CreateImageStream(t.Context(), zero); err == nil {
		t.Error("a name with a zero byte was taken")
	}
	if _, err := s.GetImageStream(t.Context(), zero.Key()); err == nil {
		t.Error("a name with a zero byte was found")
	}
	if err := s.DeleteImageStream(t.Context(), zero.Key(), imagestream.Preconditions{}); err == nil {
		t.Error("a name with a zero byte was deleted")
	}
	zero.Metadata.ResourceVersion = "1"
	if _, err := s.UpdateImageStream(t.Context(), zero); err == nil {
		t.Error("a name with a zero byte was updated")
	}
	for _, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: "x"}) {
		if err == nil {
			t.Error("a watch from version x began")
		}
	}
}

// TestHistoryEnds has watches and lists that are further behind than the history is long.
func TestHistoryEnds(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true, History: 2})
	for i := range 3 {
		mustCreate(t, s, fmt.Sprint("s", i))
	}
	first, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		mustCreate(t, s, fmt.Sprint("t", i))
	}
	if _, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1, Continue: first.Metadata.Continue}); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a list that is too old goes on: %v", err)
	}
	for _, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: "1"}) {
		if !errors.Is(err, imagestream.ErrGone) {
			t.Errorf("a watch that is too old: %v", err)
		}
	}
}

// TestPagesShowOneState compares the pages of a list with what there was when it began, whatever is written
// between them.
func TestPagesShowOneState(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	var before []string
	for i := range 10 {
		before = append(before, mustCreate(t, s, fmt.Sprint("s", i)).Metadata.ResourceVersion)
	}
	opts := imagestream.ListOptions{Limit: 3, Namespace: "shop"}
	var got []string
	for step := 0; ; step++ {
		page, err := s.ListImageStreams(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for _, item := range page.Items {
			got = append(got, item.Metadata.ResourceVersion)
		}
		if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
			break
		}
		for i := range 10 {
			key := imagestream.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}
			switch old, err := s.GetImageStream(t.Context(), key); {
			case err == nil && (i+step)%3 == 0:
				err = s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{})
				if err != nil {
					t.Fatal(err)
				}
			case err == nil:
				if _, err := bump(s, old, step+1); err != nil {
					t.Fatal(err)
				}
			default:
				mustCreate(t, s, key.Name)
			}
			if _, err := s.CreateImageStream(t.Context(), newStream(fmt.Sprintf("s%d-%d", i, step))); err != nil {
				t.Fatal(err)
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(before) {
		t.Errorf("the pages have the versions %v, there were %v", got, before)
	}
}

// TestWatchersSeeEveryWrite has writers that are committed together, and a watcher that must see each write once
// and in order.
func TestWatchersSeeEveryWrite(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true, History: 10000})
	const writers, each = 16, 20
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			stream := mustCreate(t, s, fmt.Sprint("w", w))
			for n := 1; n < each; n++ {
				var err error
				if stream, err = bump(s, stream, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	next := map[string]int{}
	last, seen := uint64(0), 0
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: "0"}) {
		if err != nil {
			t.Fatal(err)
		}
		m := change.Object.Metadata
		version, _ := strconv.ParseUint(m.ResourceVersion, 10, 64)
		if m.Annotations["n"] != strconv.Itoa(next[m.Name]) || version != last+1 {
			t.Fatalf("%s at version %d after %d: n is %s, want %d", m.Name, version, last, m.Annotations["n"], next[m.Name])
		}
		last = version
		next[m.Name]++
		if seen++; seen == writers*each {
			break
		}
	}
	wg.Wait()
}

func TestCloseEndsWatches(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	mustCreate(t, s, "a")
	began, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		for _, err := range s.WatchImageStreams(context.Background(), imagestream.WatchOptions{}) {
			if err != nil {
				ended <- err
				return
			}
			close(began)
		}
	}()
	<-began
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, bolt.ErrClosed) {
		t.Errorf("the watch ended with %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	path := temporary(t)
	if _, err := bolt.Open(t.Context(), path, bolt.Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there was opened for reading: %v", err)
	}
	w, err := bolt.Open(t.Context(), path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := mustCreate(t, w, "a")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	one, two := open(t, path, bolt.Options{ReadOnly: true}), open(t, path, bolt.Options{ReadOnly: true})
	for _, s := range []*bolt.Store{one, two} {
		if got, err := s.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
			t.Errorf("read %+v, %v", got, err)
		}
		_, _, compact := s.Compact(t.Context(), nil)
		for _, err := range []error{second(s.UpdateImageStream(t.Context(), a)), s.DeleteImageStream(t.Context(), a.Key(), imagestream.Preconditions{}), compact} {
			if !errors.Is(err, bolt.ErrReadOnly) {
				t.Errorf("a write gives %v", err)
			}
		}
	}
	var locked *bolt.LockedError
	if _, err := bolt.Open(t.Context(), path, bolt.Options{}); !errors.As(err, &locked) || locked.Owner != nil {
		t.Errorf("a file that others read was opened for writing: %v", err)
	}
}

// TestLocked asks for a file that this process has open already, and waits for it.
func TestLocked(t *testing.T) {
	path := temporary(t)
	s := open(t, path, bolt.Options{})
	var locked *bolt.LockedError
	_, err := bolt.Open(t.Context(), path, bolt.Options{})
	if !errors.As(err, &locked) || locked.Owner == nil || locked.Owner.PID != os.Getpid() || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("the error does not say that this process has it open: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bolt.Open(ctx, path, bolt.Options{Wait: time.Hour}); !errors.Is(err, context.Canceled) {
		t.Errorf("waiting under a cancelled context: %v", err)
	}
	opened := make(chan error)
	go func() {
		other, err := bolt.Open(context.Background(), path, bolt.Options{Wait: time.Hour})
		if err == nil {
			err = other.Close()
		}
		opened <- err
	}()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Errorf("waiting for a file that is given back: %v", err)
	}
	if _, err := os.Stat(path + ".owner"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the owner's name is left: %v", err)
	}
}

func TestBackup(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{})
	a := mustCreate(t, s, "a")
	var file bytes.Buffer
	n, err := s.Backup(t.Context(), &file)
	if err != nil || n != int64(file.Len()) {
		t.Fatalf("%d bytes of %d, %v", file.Len(), n, err)
	}
	mustCreate(t, s, "later")
	path := temporary(t)
	if err := os.WriteFile(path, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	b := open(t, path, bolt.Options{})
	if got, err := b.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
		t.Errorf("the backup has %+v, %v", got, err)
	}
	if list, err := b.ListImageStreams(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("the backup has %+v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := s.Backup(ctx, writerFunc(func(p []byte) (int, error) { cancel(); return len(p), nil })); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled backup: %v", err)
	}
}

// TestCheckBesideWriters calls a file sound that changes while it is read.
func TestCheckBesideWriters(t *testing.T) {
	s := open(t, temporary(t), bolt.Options{NoSync: true})
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for name := range 4 {
		stream := mustCreate(t, s, fmt.Sprint("s", name))
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				var err error
				if stream, err = bump(s, stream, n); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for n := range 3000 {
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("check %d: %v", n, err)
			break
		}
	}
	stop()
	wg.Wait()
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// TestCompact makes a file small again under the hands of writers and readers, who lose nothing.
func TestCompact(t *testing.T) {
	path := temporary(t)
	s := open(t, path, bolt.Options{NoSync: true})
	kept := mustCreate(t, s, "kept")
	for i := range 200 {
		o := newStream(fmt.Sprint("s", i))
		o.Metadata.Annotations["text"] = strings.Repeat("x", 20_000)
		if _, err := s.CreateImageStream(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		if err := s.DeleteImageStream(t.Context(), o.Key(), imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 {
			continue
		}
		if _, err := s.CreateImageStream(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 200 {
		if i%4 != 0 {
			s.DeleteImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: fmt.Sprint("s", i)}, imagestream.Preconditions{})
		}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		stream := kept
		for n := 1; n <= 50; n++ {
			var err error
			if stream, err = bump(s, stream, n); err != nil {
				t.Error(err)
				return
			}
			if got, err := s.GetImageStream(context.Background(), kept.Key()); err != nil || got.Metadata.Annotations["n"] != strconv.Itoa(n) {
				t.Errorf("wrote %d, read %+v, %v", n, got, err)
			}
		}
	})
	records := 0
	before, after, err := s.Compact(t.Context(), func(n int) { records = n })
	if err != nil || after >= before || records == 0 {
		t.Errorf("%d bytes before, %d after, %d records: %v", before, after, records, err)
	}
	wg.Wait()
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	var locked *bolt.LockedError
	if _, err := bolt.Open(t.Context(), path, bolt.Options{}); !errors.As(err, &locked) {
		t.Errorf("the compacted file is not locked: %v", err)
	}
	last, err := s.GetImageStream(t.Context(), kept.Key())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Compact(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled compaction: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, path, bolt.Options{})
	if got, err := s.GetImageStream(t.Context(), kept.Key()); err != nil || !got.Same(last) {
		t.Errorf("after all: %+v, %v", got, err)
	}
	if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary file is left: %v", err)
	}
}
