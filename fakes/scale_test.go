package fakes_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// large is a stream of 20 tags with ten events each.
func large(namespace, name string) *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: namespace, Name: name}}
	for i := range 20 {
		tag := fmt.Sprint("v", i)
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: tag, Generation: new(int64), From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/" + name + ":" + tag},
		})
		h := tagevent.History{Tag: tag}
		for e := range 10 {
			image := fmt.Sprintf("sha256:%064d", e)
			h.Items = append(h.Items, tagevent.Event{Created: 1, DockerImageReference: "quay.io/org/" + name + "@" + image, Image: image})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestStoreSize compares what 10,000 streams take in a store with what they take by themselves.
func TestStoreSize(t *testing.T) {
	const n = 10_000
	before := heap()
	values := make([]*imagestream.ImageStream, n)
	for i := range values {
		values[i] = large(fmt.Sprint("ns", i%100), fmt.Sprint("s", i))
	}
	decoded := heap() - before
	store := &fakes.Store{}
	for _, s := range values {
		if _, err := store.CreateImageStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	values = nil
	after := heap()
	if stored := after - before; stored > decoded*11/10 {
		t.Errorf("%d bytes stored, %d by themselves", stored, decoded)
	}
	runtime.KeepAlive(store)
}

func measure(f func()) (allocs, bytes float64) {
	const runs = 20
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// TestStoreCosts pins what operations allocate, in deep copies: a get takes one, an update at most three, whoever watches.
func TestStoreCosts(t *testing.T) {
	store := &fakes.Store{}
	s, err := store.CreateImageStream(t.Context(), large("ns", "app"))
	if err != nil {
		t.Fatal(err)
	}
	cloneAllocs, cloneBytes := measure(func() { s.Clone() })
	allocs, bytes := measure(func() {
		if _, err := store.GetImageStream(t.Context(), s.Key()); err != nil {
			t.Fatal(err)
		}
	})
	if allocs > cloneAllocs+4 || bytes > cloneBytes+1024 {
		t.Errorf("a get takes %.0f allocations and %.0f bytes, a copy %.0f and %.0f", allocs, bytes, cloneAllocs, cloneBytes)
	}
	for range 100 { // watchers that are slow to read what comes
		next, stop := iter.Pull2(store.WatchImageStreams(t.Context(), imagestream.WatchOptions{Namespace: "ns"}))
		defer stop()
		if e, err, ok := next(); !ok || err != nil {
			t.Fatal(e, err)
		}
	}
	_, bytes = measure(func() {
		s.Metadata.Generation++
		if s, err = store.UpdateImageStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	})
	if bytes > 3*cloneBytes {
		t.Errorf("an update takes %.0f bytes, a copy %.0f", bytes, cloneBytes)
	}
}

// TestListOfANamespaceWalksNoOther compares the cost of a list among few and among many streams elsewhere.
func TestListOfANamespaceWalksNoOther(t *testing.T) {
	cost := func(others int) float64 {
		store := &fakes.Store{}
		for i := range others {
			if _, err := store.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "other", Name: fmt.Sprint("s", i)}}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := store.CreateImageStream(t.Context(), large("ns", "app")); err != nil {
			t.Fatal(err)
		}
		_, bytes := measure(func() {
			if l, err := store.ListImageStreams(t.Context(), imagestream.ListOptions{Namespace: "ns"}); err != nil || len(l.Items) != 1 {
				t.Fatal(l, err)
			}
		})
		return bytes
	}
	if few, many := cost(10), cost(10_000); many > 1.1*few {
		t.Errorf("a list of one stream takes %.0f bytes beside 10 others, %.0f beside 10,000", few, many)
	}
}

func TestSnapshots(t *testing.T) {
	store := &fakes.Store{}
	s, err := store.CreateImageStream(t.Context(), large("ns", "app"))
	if err != nil {
		t.Fatal(err)
	}
	snap := store.Snapshot()
	if err := store.DeleteImageStream(t.Context(), s.Key(), imagestream.Preconditions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateImageStream(t.Context(), large("ns", "other")); err != nil {
		t.Fatal(err)
	}
	store.Restore(snap)
	list, err := store.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != 1 || !list.Items[0].Same(s) {
		t.Errorf("restored %v, %v, want %v alone", list.Items, err, s.Key())
	}
	for _, err = range store.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: s.Metadata.ResourceVersion}) {
	}
	if !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from before: %v", err)
	}
	s.Metadata.Generation++
	if _, err := store.UpdateImageStream(t.Context(), s); err != nil {
		t.Errorf("what came back cannot be updated: %v", err)
	}
}

func TestDelaysGoByTheTestsClock(t *testing.T) {
	clock, asked := make(chan time.Time), make(chan time.Duration, 1)
	store := &fakes.Store{
		Delay: func(op string, _ imagestream.Key) time.Duration {
			if op == "GetImageStream" {
				return time.Hour
			}
			return 0
		},
		After: func(d time.Duration) <-chan time.Time { asked <- d; return clock },
	}
	s, err := store.CreateImageStream(t.Context(), large("ns", "app"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { _, err := store.GetImageStream(t.Context(), s.Key()); done <- err }()
	if d := <-asked; d != time.Hour {
		t.Errorf("the delay is %v", d)
	}
	clock <- time.Time{}
	if err := <-done; err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.GetImageStream(ctx, s.Key()); !errors.Is(err, context.Canceled) {
		t.Errorf("a delayed get under a context that is over: %v", err)
	}
}

func BenchmarkStore(b *testing.B) {
	for _, n := range []int{100, 10_000} {
		store := &fakes.Store{}
		for i := range n {
			if _, err := store.CreateImageStream(b.Context(), large(fmt.Sprint("ns", i%100), fmt.Sprint("s", i))); err != nil {
				b.Fatal(err)
			}
		}
		key := imagestream.Key{Namespace: "ns7", Name: "s7"}
		s, err := store.GetImageStream(b.Context(), key)
		if err != nil {
			b.Fatal(err)
		}
		for name, f := range map[string]func() error{
			"clone": func() error { s.Clone(); return nil },
			"get":   func() error { _, err := store.GetImageStream(b.Context(), key); return err },
			"update": func() (err error) {
				s.Metadata.Generation++
				s, err = store.UpdateImageStream(b.Context(), s)
				return err
			},
		} {
			b.Run(fmt.Sprintf("%s/streams=%d", name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
