package fakes_test

import (
	"context"
	"iter"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
)

// broken has stores that each break one promise, and the part of the suite that must find it.
var broken = map[string]struct {
	part string
	open func() imagestream.Store
}{
	"lost update":     {"Update", func() imagestream.Store { return &lostUpdates{} }},
	"stale read":      {"Update", func() imagestream.Store { return &staleReads{seen: map[imagestream.Key]*imagestream.ImageStream{}} }},
	"reordered watch": {"ConcurrentWriters", func() imagestream.Store { return &reorderedWatches{} }},
	"shared memory":   {"Ownership", func() imagestream.Store { return &sharedMemory{} }},
}

// TestSuiteFindsBrokenStores runs a part of the suite on each of them in a process of its own, which must fail in that part.
func TestSuiteFindsBrokenStores(t *testing.T) {
	const variable = "STORETEST_BROKEN"
	if b, ok := broken[os.Getenv(variable)]; ok {
		storetest.Run(t, func(*testing.T) imagestream.Store { return b.open() })
		return
	}
	for name, b := range broken {
		cmd := exec.Command(os.Args[0], "-test.run", "^TestSuiteFindsBrokenStores$/^"+b.part+"$", "-test.timeout", "60s")
		cmd.Env = append(os.Environ(), variable+"="+name)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "--- FAIL: TestSuiteFindsBrokenStores/"+b.part) || strings.Contains(string(out), "DATA RACE") {
			t.Errorf("%s: the suite says %v:\n%s", name, err, out)
		}
	}
}

// lostUpdates takes any version for the newest.
type lostUpdates struct{ fakes.Store }

func (s *lostUpdates) UpdateImageStream(ctx context.Context, o *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	old, err := s.GetImageStream(ctx, o.Key())
	if err != nil {
		return nil, err
	}
	o = o.Clone()
	o.Metadata.ResourceVersion = old.Metadata.ResourceVersion
	return s.Store.UpdateImageStream(ctx, o)
}

// staleReads gives every second reader what the one before saw.
type staleReads struct {
	fakes.Store
	seen map[imagestream.Key]*imagestream.ImageStream
}

func (s *staleReads) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if old := s.seen[key]; old != nil {
		delete(s.seen, key)
		return old.Clone(), nil
	}
	got, err := s.Store.GetImageStream(ctx, key)
	if err == nil {
		s.seen[key] = got.Clone()
	}
	return got, err
}

// reorderedWatches swaps the second and the third change.
type reorderedWatches struct{ fakes.Store }

func (s *reorderedWatches) WatchImageStreams(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
		n := 0
		var held imagestream.Change[imagestream.ImageStream]
		for change, err := range s.Store.WatchImageStreams(ctx, opts) {
			if n++; n == 2 && err == nil {
				held = change
				continue
			}
			if !yield(change, err) {
				return
			}
			if n == 3 && !yield(held, nil) {
				return
			}
		}
	}
}

// sharedMemory hands the same object to every reader.
type sharedMemory struct {
	fakes.Store
	last *imagestream.ImageStream
}

func (s *sharedMemory) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	got, err := s.Store.GetImageStream(ctx, key)
	if err != nil {
		return nil, err
	}
	if s.last == nil || s.last.Metadata.ResourceVersion != got.Metadata.ResourceVersion {
		s.last = got
	}
	return s.last, nil
}
