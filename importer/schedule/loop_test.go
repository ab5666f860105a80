package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

func ExampleLoop() {
	registry, store := &fakes.Registry{}, &fakes.Store{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	writer := &write.Engine{Store: store}
	if _, err := writer.Create(context.Background(),
		streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"})); err != nil {
		fmt.Println(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	loop := schedule.Loop{Importer: &importer.Importer{Registry: registry, Engine: writer},
		Imported: func(stream imagestream.Key, _ *imagestream.ImageStreamImport, err error) {
			fmt.Println(stream, err)
			stop() // a program would let it run
		}}
	fmt.Println(loop.Run(ctx))
	// Output:
	// shop/app <nil>
	// context canceled
}

// loopWorld is a store, a registry, and a loop that runs by the clock of the test.
type loopWorld struct {
	t        *testing.T
	registry *fakes.Registry
	writer   *write.Engine
	imports  atomic.Int64
	failures atomic.Int64
	stop     context.CancelFunc
	ended    chan error
}

func newLoopWorld(t *testing.T, interval time.Duration) *loopWorld {
	w := &loopWorld{t: t, registry: &fakes.Registry{}, writer: &write.Engine{Store: &fakes.Store{}},
		ended: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	w.stop = stop
	loop := &schedule.Loop{
		Importer: &importer.Importer{Registry: w.registry,
			Engine: w.writer}, Options: schedule.Options{Interval: interval}, Namespace: "shop",
		Imported: func(_ imagestream.Key, _ *imagestream.ImageStreamImport, err error) {
			w.imports.Add(1)
			if err != nil {
				w.failures.Add(1)
			}
		},
	}
	go func() { w.ended <- loop.Run(ctx) }()
	return w
}

func (w *loopWorld) push(layer string, tags ...string) string {
	digest := ""
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		digest = c.Push("org/app", fakes.Image{Layer: layer},
			tags...).String()
	})
	return digest
}

// images are those of a tag's history, newest first.
func (w *loopWorld) images(name, tag string) (images []string, condition string) {
	w.t.Helper()
	stream, err := w.writer.Store.GetImageStream(w.t.Context(), imagestream.Key{Namespace: "shop", Name: name})
	if err != nil {
		w.t.Fatal(err)
	}
	h, _ := stream.History(tag)
	for _, e := range h.Items {
		images = append(images, e.Image)
	}
	for _, c := range h.Conditions {
		condition = c.Reason
	}
	return images, condition
}

func (w *loopWorld) create(name string, tags map[string]string) {
	w.t.Helper()
	if _, err := w.writer.Create(w.t.Context(), streamOf(name, tags)); err != nil {
		w.t.Fatal(err)
	}
	synctest.Wait()
}

func (w *loopWorld) end() {
	w.t.Helper()
	w.stop()
	if err := <-w.ended; !errors.Is(err, context.Canceled) {
		w.t.Errorf("it ended with %v", err)
	}
	if n := w.failures.Load(); n > 0 {
		w.t.Errorf("%d imports ended with an error", n)
	}
}

// TestLoopKeepsStreamsImported creates, moves, breaks, changes and deletes, and looks at what the loop makes of it.
// When it ends, synctest finds what it left.
func TestLoopKeepsStreamsImported(t *testing.T) {
	const interval = 10 * time.Minute
	synctest.Test(t, func(t *testing.T) {
		w := newLoopWorld(t, interval)
		defer w.end()
		check := func(when, name, tag, condition string, want ...string) {
			t.Helper()
			synctest.Wait()
			if got, reason := w.images(name, tag); !slices.Equal(got, want) || reason != condition {
				t.Errorf("%s: %s:%s has %v and %q, want %v and %q", when, name, tag, got, reason, want, condition)
			}
		}
		one := w.push("one", "v1")
		w.create("app", map[string]string{"v1": "quay.io/org/app:v1"})
		check("created", "app", "v1", "", one)

		two := w.push("two", "v1", "v2")
		check("moved, not due", "app", "v1", "", one)
		time.Sleep(interval * 11 / 10)
		check("moved, and due", "app", "v1", "", two, one)

		if _, err := w.writer.Update(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"},
			func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
				next := old.Clone()
				next.Spec.Tags = append(next.Spec.Tags,
					streamOf("app", map[string]string{"v2": "quay.io/org/app:v2"}).Spec.Tags...)
				return next, nil
			}); err != nil {
			t.Fatal(err)
		}
		check("a tag more", "app", "v2", "", two)

		w.registry.SetFaults(fakes.Fault{Kind: "manifest", Status: 503, Code: "UNAVAILABLE"})
		time.Sleep(interval * 11 / 10)
		check("out of order", "app", "v1", "InternalError", two, one)
		w.registry.SetFaults()
		three := w.push("three", "v1")
		time.Sleep(interval / 2) // a registry that does not answer is asked again after some minutes
		check("in order again", "app", "v1", "", three, two, one)

		before := w.imports.Load()
		if err := w.writer.Store.DeleteImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"},
			imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * interval)
		synctest.Wait()
		if n := w.imports.Load() - before; n > 0 {
			t.Errorf("a stream that is gone was imported %d times", n)
		}
	})
}

// TestLoopIsPolite has 100 streams of 5 tags for some hours in which nothing changes: a HEAD for each tag and interval.
func TestLoopIsPolite(t *testing.T) {
	const interval, streams, tags = 30 * time.Minute, 100, 5
	synctest.Test(t, func(t *testing.T) {
		w := newLoopWorld(t, interval)
		defer w.end()
		names := map[string]string{}
		for i := range tags {
			names[fmt.Sprint("v", i)] = fmt.Sprint("quay.io/org/app:v", i)
			w.push("one", fmt.Sprint("v", i))
		}
		for i := range streams {
			w.create(fmt.Sprint("app-", i), names)
		}
		time.Sleep(interval)
		w.registry.Requests()
		time.Sleep(10 * interval)
		synctest.Wait()
		counts := map[importer.Operation]int{}
		for _, r := range w.registry.Requests() {
			counts[r.Operation]++
		}
		// The fake pings once for each import.
		if n := counts[importer.OperationHead]; n < 9*streams*tags || n > 11*streams*tags ||
			counts[importer.OperationManifest]+counts[importer.OperationBlob] > 0 {
			t.Errorf("%v, want about %d HEAD", counts, 10*streams*tags)
		}
	})
}

// brokenStore cannot list, or cannot watch for long.
type brokenStore struct {
	imagestream.Store
	list  error
	watch int // how many changes a watch has before it is too slow
}

func (s *brokenStore) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	if s.list != nil {
		return nil, s.list
	}
	return s.Store.ListImageStreams(ctx, opts)
}

func (s *brokenStore) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
		n := 0
		for c, err := range s.Store.WatchImageStreams(ctx, opts) {
			if n++; n > s.watch {
				yield(imagestream.Change[imagestream.ImageStream]{}, imagestream.ErrGone)
				return
			}
			if !yield(c, err) {
				return
			}
		}
	}
}

func TestLoopEndsWithItsStore(t *testing.T) {
	broken := errors.New("broken")
	loop := schedule.Loop{Importer: &importer.Importer{Registry: &fakes.Registry{},
		Engine: &write.Engine{Store: &brokenStore{Store: &fakes.Store{}, list: broken}}}}
	if err := loop.Run(t.Context()); !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// TestLoopKeepsEdits has a tag that gets another source while its import is under way, and one beside it: both are
// imported from where they should be, at once.
func TestLoopKeepsEdits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLoopWorld(t, time.Hour)
		defer w.end()
		w.push("old", "v1")
		beside, theirs := w.push("beside", "v2"), w.push("theirs", "theirs")
		key := imagestream.Key{Namespace: "shop", Name: "app"}
		var edit sync.Once
		w.registry.Fail = func(op importer.Operation, _ string, _ importer.Ref) error {
			if op == importer.OperationBlob {
				edit.Do(func() {
					_, err := w.writer.Update(t.Context(), key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
						next := old.Clone()
						at := slices.IndexFunc(next.Spec.Tags, func(tag imagestream.TagReference) bool { return tag.Name == "v1" })
						next.Spec.Tags[at].From.Name = "quay.io/org/app:theirs"
						return next, nil
					})
					if err != nil {
						t.Error(err)
					}
				})
			}
			return nil
		}
		w.create("app", map[string]string{"v1": "quay.io/org/app:v1", "v2": "quay.io/org/app:v2"})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		for tag, want := range map[string]string{"v1": theirs, "v2": beside} {
			if got, condition := w.images("app", tag); !slices.Equal(got, []string{want}) || condition != "" {
				t.Errorf("%s has %v and %q, want %s", tag, got, condition, want)
			}
		}
	})
}

// TestLoopListsAgain has a watch that is too slow all the time: what came and went meanwhile is found by listing.
func TestLoopListsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newLoopWorld(t, time.Hour)
		w.end()
		store := &brokenStore{Store: w.writer.Store, watch: 1}
		ctx, stop := context.WithCancel(t.Context())
		var mu sync.Mutex
		imported := map[string]int{}
		seen := func() map[string]int {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			return maps.Clone(imported)
		}
		loop := schedule.Loop{
			Importer: &importer.Importer{Registry: w.registry, Engine: &write.Engine{Store: store}},
			Imported: func(stream imagestream.Key, _ *imagestream.ImageStreamImport, _ error) {
				mu.Lock()
				defer mu.Unlock()
				imported[stream.Name]++
			},
		}
		ended := make(chan error)
		go func() { ended <- loop.Run(ctx) }()
		w.push("one", "v1")
		for i := range 5 {
			w.create(fmt.Sprint("app-", i), map[string]string{"v1": "quay.io/org/app:v1"})
		}
		time.Sleep(time.Minute)
		if first := seen(); len(first) != 5 {
			t.Errorf("imported were %v", first)
		}
		if err := w.writer.Store.DeleteImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app-0"},
			imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		before := seen()
		time.Sleep(3 * time.Hour)
		if after := seen(); after["app-0"] != before["app-0"] || after["app-1"] < 3 {
			t.Errorf("imported were %v, before %v", after, before)
		}
		stop()
		<-ended
	})
}
