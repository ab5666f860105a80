package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
)

// startFilling has a cache whose first list was read and is on its way until arrive is called, which waits for the feed.
func startFilling(t *testing.T, store *gated) (c *cache.Store, arrive func()) {
	t.Helper()
	listed, goOn := make(chan struct{}), make(chan struct{})
	store.after = func() { close(listed); <-goOn }
	c = cache.New(store, cache.Options{Indexes: cache.Indexes()})
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); synctest.Wait() })
	go c.Run(ctx)
	<-listed
	store.after = nil
	return c, func() {
		close(goOn)
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// TestGetsWhileFilling are not followed by older ones, when the list that was under way has arrived.
func TestGetsWhileFilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), newGated()
		a := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("a")))
		b := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("b")))
		c, arrive := startFilling(t, store)
		a.Metadata.Generation = 2
		must[*imagestream.ImageStream](t)(store.UpdateImageStream(ctx, a))
		if err := store.DeleteImageStream(ctx, b.Key(), imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		for _, when := range []string{"before the list arrives", "after it", "after the watch"} {
			if got := must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key())); got.Metadata.Generation != 2 {
				t.Errorf("%s, a get finds generation %d", when, got.Metadata.Generation)
			}
			if _, err := c.GetImageStream(ctx, b.Key()); !errors.Is(err, imagestream.ErrNotFound) {
				t.Errorf("%s, a get of what was deleted: %v", when, err)
			}
			switch when {
			case "before the list arrives":
				arrive()
			case "after it":
				store.deliver(2)
			}
		}
		store.counts()
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		if _, err := c.GetImageStream(ctx, b.Key()); !errors.Is(err, imagestream.ErrNotFound) {
			t.Errorf("at the end, a get of what was deleted: %v", err)
		}
		if got := store.counts(); got != "0 gets, 0 lists" {
			t.Errorf("then gets take %s", got)
		}
	})
}

// TestGoneStaysGone has streams that the cache has seen, and a get has said to be gone, before the feed has told anything.
func TestGoneStaysGone(t *testing.T) {
	for name, writes := range map[string]int{"created": 0, "updated": 1, "updated often": 20} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, store := t.Context(), newGated()
				c := start(t, store, cache.Options{})
				a := must[*imagestream.ImageStream](t)(c.CreateImageStream(ctx, newStream("a")))
				for range writes {
					a.Metadata.Generation++
					a = must[*imagestream.ImageStream](t)(c.UpdateImageStream(ctx, a))
				}
				if err := store.DeleteImageStream(ctx, a.Key(), imagestream.Preconditions{}); err != nil {
					t.Fatal(err)
				}
				for delivered := range writes + 3 {
					if got, err := c.GetImageStream(ctx, a.Key()); !errors.Is(err, imagestream.ErrNotFound) {
						t.Errorf("after %d changes, a get finds %+v, %v", delivered, got, err)
					}
					if delivered < writes+2 {
						store.deliver(1)
					}
				}
				store.counts()
				if _, err := c.GetImageStream(ctx, a.Key()); !errors.Is(err, imagestream.ErrNotFound) || store.gets.Load() > 0 {
					t.Errorf("when the feed has said that it is gone, a get takes %s: %v", store.counts(), err)
				}
			})
		})
	}
}
