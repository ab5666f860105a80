package cache_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
	"github.com/imagestreams/imagestreams/tagevent"
)

// start feeds a cache until the test ends.
func start(t *testing.T, store imagestream.Store, opts cache.Options) *cache.Store {
	t.Helper()
	c := cache.New(store, opts)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run ended with %v", err)
		}
	})
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}

func TestStore(t *testing.T) {
	t.Run("fed", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) imagestream.Store {
			return start(t, &fakes.Store{}, cache.Options{Images: true, Indexes: cache.Indexes()})
		})
	})
	t.Run("without images", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) imagestream.Store { return start(t, &fakes.Store{}, cache.Options{}) })
	})
	t.Run("cold", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) imagestream.Store { return cache.New(&fakes.Store{}, cache.Options{Images: true}) })
	})
	t.Run("over a cache", func(t *testing.T) {
		storetest.Run(t, func(t *testing.T) imagestream.Store {
			return start(t, start(t, &fakes.Store{}, cache.Options{Images: true}), cache.Options{Images: true})
		})
	})
}

// gated is a store whose watches deliver only what they are let, and fail when they are told to. It counts reads.
type gated struct {
	*fakes.Store
	gate        chan struct{}
	fail        chan error
	gets, lists atomic.Int64
	broken      atomic.Bool // lists are errBroken
	before      hook        // ahead of a list
	after       hook        // when a list was read and is on its way
	deleting    hook        // ahead of a delete
}

// hook is called once, if it is set.
type hook struct{ f atomic.Pointer[func()] }

func (h *hook) set(f func()) { h.f.Store(&f) }

func (h *hook) call() {
	if f := h.f.Swap(nil); f != nil {
		(*f)()
	}
}

var errBroken = errors.New("broken")

func newGated() *gated {
	return &gated{Store: &fakes.Store{}, gate: make(chan struct{}), fail: make(chan error)}
}

func (g *gated) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	g.gets.Add(1)
	return g.Store.GetImageStream(ctx, key)
}

func (g *gated) ListImageStreams(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageStreamList, error) {
	g.lists.Add(1)
	if g.broken.Load() {
		return nil, errBroken
	}
	g.before.call()
	list, err := g.Store.ListImageStreams(ctx, opts)
	g.after.call()
	return list, err
}

func (g *gated) WatchImageStreams(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		changes := make(chan imagestream.Change[imagestream.ImageStream])
		go func() {
			for change, err := range g.Store.WatchImageStreams(ctx, opts) {
				if err != nil {
					return
				}
				select {
				case changes <- change:
				case <-ctx.Done():
					return
				}
			}
		}()
		for {
			select {
			case <-g.gate:
			case err := <-g.fail:
				yield(imagestream.Change[imagestream.ImageStream]{}, err)
				return
			case <-ctx.Done():
				yield(imagestream.Change[imagestream.ImageStream]{}, ctx.Err())
				return
			}
			if !yield(<-changes, nil) {
				return
			}
		}
	}
}

func (g *gated) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	g.deleting.call()
	return g.Store.DeleteImageStream(ctx, key, only)
}

// deliver lets n changes through.
func (g *gated) deliver(n int) {
	for range n {
		g.gate <- struct{}{}
	}
	synctest.Wait()
}

// counts returns how many reads there were since it was called last.
func (g *gated) counts() string {
	return fmt.Sprintf("%d gets, %d lists", g.gets.Swap(0), g.lists.Swap(0))
}

func newStream(name string, images ...string) *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}}
	for _, image := range images {
		s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: "v1", Items: []tagevent.Event{{Image: image}}})
	}
	return s
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// TestOwnWrites are seen at once, by gets, lists and indexes, however late the feed is; and then at no cost.
func TestOwnWrites(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		c := start(t, store, cache.Options{Indexes: cache.Indexes()})
		ctx := t.Context()
		store.counts()
		want := func(what, holders, reads string) {
			t.Helper()
			keys, err := c.Find(ctx, cache.ByImage, "sha256:1")
			if fmt.Sprint(keys) != holders || err != nil {
				t.Errorf("%s: the image is held by %v, %v, want %s", what, keys, err, holders)
			}
			if got := store.counts(); got != reads {
				t.Errorf("%s: it took %s, want %s", what, got, reads)
			}
		}
		a := must[*imagestream.ImageStream](t)(c.CreateImageStream(ctx, newStream("a", "sha256:1")))
		want("created, not fed", "[shop/a]", "1 gets, 0 lists")
		store.deliver(1)
		want("created, and fed", "[shop/a]", "0 gets, 0 lists")

		a.Status.Tags = nil
		a = must[*imagestream.ImageStream](t)(c.UpdateImageStream(ctx, a))
		want("updated, not fed", "[]", "1 gets, 0 lists")
		if got := must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key())); !got.Same(a) {
			t.Errorf("got %+v, want %+v", got, a)
		}
		store.deliver(1)
		store.counts()
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		must[*imagestream.ImageStreamList](t)(c.ListImageStreams(ctx, imagestream.ListOptions{}))
		want("updated, and fed", "[]", "0 gets, 0 lists")

		if err := c.DeleteImageStream(ctx, a.Key(), imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		store.counts()
		list := must[*imagestream.ImageStreamList](t)(c.ListImageStreams(ctx, imagestream.ListOptions{}))
		if len(list.Items) > 0 {
			t.Errorf("a list has what was deleted: %+v", list.Items)
		}
		if _, err := c.GetImageStream(ctx, a.Key()); !errors.Is(err, imagestream.ErrNotFound) {
			t.Errorf("a get of what was deleted: %v", err)
		}
		want("deleted, not fed", "[]", "3 gets, 1 lists")
		store.deliver(1)
		want("deleted, and fed", "[]", "0 gets, 0 lists")
	})
}

// TestConflict reads again what somebody else wrote, though the feed does not know it yet.
func TestConflict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		ctx := t.Context()
		a := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("a")))
		c := start(t, store, cache.Options{})
		cached := must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		a.Metadata.Generation = 2
		a = must[*imagestream.ImageStream](t)(store.UpdateImageStream(ctx, a))
		if old := must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key())); old.Metadata.Generation != 0 {
			t.Errorf("the cache knows generation %d, and nobody told it", old.Metadata.Generation)
		}
		if fresh := must[*imagestream.ImageStream](t)(c.GetImageStream(cache.Fresh(ctx), a.Key())); fresh.Metadata.Generation != 2 {
			t.Errorf("a fresh get has the generation %d", fresh.Metadata.Generation)
		}
		if _, err := c.UpdateImageStream(ctx, cached); !errors.Is(err, imagestream.ErrConflict) {
			t.Errorf("update of an old version: %v", err)
		}
		if got := must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key())); got.Metadata.Generation != 2 {
			t.Errorf("after a conflict, generation %d is read again", got.Metadata.Generation)
		}
		store.deliver(1)
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key())) // it sees that the feed is there
		store.counts()
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		if got := store.counts(); got != "0 gets, 0 lists" {
			t.Errorf("a get takes %s", got)
		}
	})
}

// TestLostFeed says so, asks the store meanwhile, and comes back by itself.
func TestLostFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		ctx := t.Context()
		cold := cache.New(store, cache.Options{Indexes: cache.Indexes()})
		if _, err := cold.Find(ctx, cache.ByImage, "x"); !errors.Is(err, cache.ErrNotFed) || !errors.Is(cold.State().Err, cache.ErrNotFed) {
			t.Errorf("a cold cache finds: %v", err)
		}
		c := start(t, store, cache.Options{Indexes: cache.Indexes()})
		if state := c.State(); state.Err != nil || state.Heard.IsZero() || state.Version == "" {
			t.Errorf("fed: %+v", state)
		}
		store.broken.Store(true)
		store.fail <- imagestream.NewError(imagestream.ReasonExpired, imagestream.ResourceImageStreams, imagestream.Key{}, "too slow")
		synctest.Wait()
		if err := c.State().Err; !errors.Is(err, cache.ErrNotFed) {
			t.Errorf("the feed is lost, and the state is %v", err)
		}
		a := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("a", "sha256:1")))
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		if _, err := c.ListImageStreams(ctx, imagestream.ListOptions{}); !errors.Is(err, errBroken) {
			t.Errorf("a list without feed or store: %v", err)
		}
		if _, err := c.Find(ctx, cache.ByImage, "sha256:1"); !errors.Is(err, cache.ErrNotFed) {
			t.Errorf("an index without feed: %v", err)
		}
		if _, err := c.Values(cache.ByImage); !errors.Is(err, cache.ErrNotFed) {
			t.Errorf("the values of an index without feed: %v", err)
		}
		store.broken.Store(false)
		if err := c.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		keys, err := c.Find(ctx, cache.ByImage, "sha256:1")
		if fmt.Sprint(keys) != "[shop/a]" || err != nil {
			t.Errorf("fed again: %v, %v", keys, err)
		}
		if _, err := c.Find(ctx, "colour", "red"); err == nil || errors.Is(err, cache.ErrNotFed) {
			t.Errorf("an index that is not there: %v", err)
		}
		ended, stop := context.WithCancel(ctx)
		stop()
		if err := cold.Wait(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("waiting for a cold cache: %v", err)
		}
	})
}

// TestNoWatch has a store that lists, and whose watches all fail: it is listed less and less often.
func TestNoWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		start(t, store, cache.Options{})
		stop := time.After(time.Minute)
		for {
			select {
			case store.fail <- errBroken:
				continue
			case <-stop:
			}
			break
		}
		if lists := store.lists.Load(); lists > 60 {
			t.Errorf("%d lists in a minute", lists)
		}
	})
}

// TestListsOfPages show one state, and go on while the feed is lost.
func TestListsOfPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newGated()
		ctx := t.Context()
		for i := range 5 {
			must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream(fmt.Sprint("s", i))))
		}
		c := start(t, store, cache.Options{})
		first := must[*imagestream.ImageStreamList](t)(c.ListImageStreams(ctx, imagestream.ListOptions{Limit: 3}))
		must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("s9")))
		store.deliver(1)
		store.fail <- errors.New("lost")
		synctest.Wait()
		last := must[*imagestream.ImageStreamList](t)(c.ListImageStreams(ctx, imagestream.ListOptions{Limit: 3, Continue: first.Metadata.Continue}))
		if len(last.Items) != 2 || last.Metadata.Continue != "" || last.Metadata.ResourceVersion != first.Metadata.ResourceVersion {
			t.Errorf("the second page is %+v", last)
		}
		if err := c.Wait(ctx); err != nil {
			t.Fatal(err)
		}
		for range 64 {
			must[*imagestream.ImageStreamList](t)(c.ListImageStreams(ctx, imagestream.ListOptions{Limit: 3}))
		}
		if _, err := c.ListImageStreams(ctx, imagestream.ListOptions{Limit: 3, Continue: first.Metadata.Continue}); !errors.Is(err, imagestream.ErrGone) {
			t.Errorf("a list that was given up goes on: %v", err)
		}
	})
}

// TestGetCostsAClone holds the allocations of a get, and that it asks nobody.
func TestGetCostsAClone(t *testing.T) {
	store := newGated()
	stream := newStream("a")
	for i := range 20 {
		stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{Name: fmt.Sprint("v", i), Annotations: map[string]string{"a": "b"}})
	}
	created := must[*imagestream.ImageStream](t)(store.CreateImageStream(t.Context(), stream))
	c := start(t, store, cache.Options{})
	store.counts()
	ctx := context.Background()
	var kept *imagestream.ImageStream
	clone := testing.AllocsPerRun(100, func() { kept = created.Clone() })
	get := testing.AllocsPerRun(100, func() {
		var err error
		if kept, err = c.GetImageStream(ctx, created.Key()); err != nil {
			t.Fatal(err)
		}
	})
	if !kept.Same(created) {
		t.Errorf("got %+v, want %+v", kept, created)
	}
	if get > clone || store.counts() != "0 gets, 0 lists" {
		t.Errorf("a get takes %.0f allocations, a clone %.0f", get, clone)
	}
}

func TestIndexes(t *testing.T) {
	s := newStream("app", "sha256:1", "sha256:2")
	s.Spec.DockerImageRepository = "registry.example.com:5000/org/app"
	s.Spec.Tags = []imagestream.TagReference{
		{Name: "hub", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "nginx:1"}, ImportPolicy: imagestream.TagImportPolicy{Scheduled: true}},
		{Name: "quay", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app"}},
		{Name: "bad", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "::"}},
		{Name: "same", From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "hub"}},
		{Name: "other", From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "base:9", Namespace: "os"}},
		{Name: "pushed"},
	}
	for name, want := range map[string]string{
		cache.ByImage:     "sha256:1 sha256:2",
		cache.BySource:    "registry.example.com:5000 docker.io quay.io",
		cache.ByScheduled: "docker.io",
		cache.ByTracked:   "shop/app:hub os/base:9",
	} {
		if got := strings.Join(cache.Indexes()[name](s), " "); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
