package bolt_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// largeStream is a stream of about 20 KB of JSON.
func largeStream(name string) *imagestream.ImageStream {
	s := newStream(name)
	for i := range 20 {
		tag := fmt.Sprint("v", i)
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag}})
		h := tagevent.History{Tag: tag}
		for n := range 3 {
			digest := fmt.Sprintf("sha256:%s%04d%04d", strings.Repeat("0a", 28), i, n)
			h.Items = append(h.Items, tagevent.Event{Created: 1, DockerImageReference: "quay.io/org/app@" + digest, Image: digest, Generation: 2})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

// BenchmarkUpdate compares an update, with fsync, with a raw bbolt update of the same bytes.
func BenchmarkUpdate(b *testing.B) {
	for _, writers := range []int{1, 16} {
		b.Run(fmt.Sprintf("raw/writers=%d", writers), func(b *testing.B) { benchmarkRaw(b, writers) })
		b.Run(fmt.Sprintf("store/writers=%d", writers), func(b *testing.B) { benchmarkStore(b, writers) })
	}
}

// share calls work b.N times, from several goroutines, each with a number of its own.
func share(b *testing.B, writers int, work func(writer, n int) error) {
	var wg sync.WaitGroup
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	for w := range writers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				if err := work(w, int(n)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func benchmarkRaw(b *testing.B, writers int) {
	db, err := bbolt.Open(temporary(b), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: 256 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	bucket := []byte("streams")
	value, err := json.Marshal(largeStream("app"))
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(value)))
	if err := db.Update(func(tx *bbolt.Tx) error { return second(tx.CreateBucket(bucket)) }); err != nil {
		b.Fatal(err)
	}
	write := db.Update
	if writers > 1 {
		write = db.Batch
	}
	share(b, writers, func(w, n int) error {
		return write(func(tx *bbolt.Tx) error {
			fresh := append([]byte(nil), value...)
			copy(fresh, fmt.Sprintf("%08d", n))
			return tx.Bucket(bucket).Put(fmt.Append(nil, "shop\x00app", w), fresh)
		})
	})
}

func benchmarkStore(b *testing.B, writers int) {
	s := open(b, temporary(b), bolt.Options{})
	streams := make([]*imagestream.ImageStream, writers)
	for w := range streams {
		var err error
		if streams[w], err = s.CreateImageStream(context.Background(), largeStream(fmt.Sprint("app", w))); err != nil {
			b.Fatal(err)
		}
	}
	value, err := json.Marshal(streams[0])
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(value)))
	share(b, writers, func(w, n int) (err error) {
		streams[w], err = bump(s, streams[w], n)
		return err
	})
}

func BenchmarkGet(b *testing.B) {
	s := open(b, temporary(b), bolt.Options{})
	created, err := s.CreateImageStream(context.Background(), largeStream("app"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.GetImageStream(context.Background(), created.Key()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList(b *testing.B) {
	for _, n := range []int{10, 1000} {
		b.Run(fmt.Sprintf("streams=%d", n), func(b *testing.B) {
			s := open(b, temporary(b), bolt.Options{NoSync: true})
			for i := range n {
				mustCreate(b, s, fmt.Sprint("s", i))
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.ListImageStreams(context.Background(), imagestream.ListOptions{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestConflictDecodesNothing asserts that a lost race costs the encoding of the new object, and no decoding of the
// stored one: its allocations do not grow with what is stored.
func TestConflictDecodesNothing(t *testing.T) {
	conflict := func(stored *imagestream.ImageStream) float64 {
		s := open(t, temporary(t), bolt.Options{NoSync: true})
		if _, err := s.CreateImageStream(t.Context(), stored); err != nil {
			t.Fatal(err)
		}
		stale := newStream("app")
		stale.Metadata.ResourceVersion = "99"
		return testing.AllocsPerRun(100, func() {
			if _, err := s.UpdateImageStream(context.Background(), stale); !errors.Is(err, imagestream.ErrConflict) {
				t.Fatal(err)
			}
		})
	}
	small, large := conflict(newStream("app")), conflict(largeStream("app"))
	if large > small+2 {
		t.Errorf("a conflict takes %.0f allocations with a small stream stored, %.0f with a large one", small, large)
	}
}
