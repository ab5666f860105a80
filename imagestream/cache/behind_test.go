package cache_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
)

// startFilling has a cache whose first list was read, and is on its way until arrive is called, which waits for it.
func startFilling(t *testing.T, store *gated) (c *cache.Store, arrive func()) {
	t.Helper()
	listed, goOn := make(chan struct{}), make(chan struct{})
	store.after.set(func() { close(listed); <-goOn })
	c = cache.New(store, cache.Options{Indexes: cache.Indexes()})
	ctx, stop := context.WithCancel(context.Background())
	t.Cleanup(func() { stop(); synctest.Wait() })
	go c.Run(ctx)
	<-listed
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

// TestGoneStaysGone has streams that were written through the cache, and that a get has said to be gone.
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

// wantWarm wants that a list and an index are answered without the store.
func wantWarm(t *testing.T, c *cache.Store, store *gated) {
	t.Helper()
	store.counts()
	must[*imagestream.ImageStreamList](t)(c.ListImageStreams(t.Context(), imagestream.ListOptions{}))
	must[[]imagestream.Key](t)(c.Find(t.Context(), cache.ByImage, "sha256:1"))
	if got := store.counts(); got != "0 gets, 0 lists" {
		t.Errorf("a list and an index take %s", got)
	}
}

// TestReadsWhileFilling cost nothing any more when the list has arrived, whether they found something or not.
func TestReadsWhileFilling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), newGated()
		for i := range 20 {
			must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream(fmt.Sprint("s", i))))
		}
		c, arrive := startFilling(t, store)
		for i := range 40 {
			_, err := c.GetImageStream(ctx, newStream(fmt.Sprint("s", i)).Key())
			if found := err == nil; found != (i < 20) {
				t.Error(err)
			}
		}
		arrive()
		wantWarm(t, c, store)
	})
}

// TestWritesAheadOfTheList are in the list already, so that the watch never tells of them. The next write through the
// cache that it does tell of ends the waiting for all of them.
func TestWritesAheadOfTheList(t *testing.T) {
	for name, write := range map[string]func(ctx context.Context, c *cache.Store, old *imagestream.ImageStream) error{
		"create": func(ctx context.Context, c *cache.Store, _ *imagestream.ImageStream) error {
			_, err := c.CreateImageStream(ctx, newStream("new"))
			return err
		},
		"update": func(ctx context.Context, c *cache.Store, old *imagestream.ImageStream) error {
			old.Metadata.Generation++
			_, err := c.UpdateImageStream(ctx, old)
			return err
		},
		"delete": func(ctx context.Context, c *cache.Store, old *imagestream.ImageStream) error {
			return c.DeleteImageStream(ctx, old.Key(), imagestream.Preconditions{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, store := t.Context(), newGated()
				old := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("old")))
				var c *cache.Store
				store.before.set(func() {
					for i := range 20 {
						s := must[*imagestream.ImageStream](t)(c.CreateImageStream(ctx, newStream(fmt.Sprint("build", i))))
						if err := c.DeleteImageStream(ctx, s.Key(), imagestream.Preconditions{}); err != nil {
							t.Error(err)
						}
					}
				})
				c = cache.New(store, cache.Options{Indexes: cache.Indexes()})
				run, stop := context.WithCancel(ctx)
				defer synctest.Wait()
				defer stop()
				go c.Run(run)
				if err := c.Wait(ctx); err != nil {
					t.Fatal(err)
				}
				if err := write(ctx, c, old); err != nil {
					t.Fatal(err)
				}
				store.deliver(1)
				wantWarm(t, c, store)
			})
		})
	}
}

// TestDeleteUnderWay is not forgotten by what is read and delivered before it is done.
func TestDeleteUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), newGated()
		a := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("a")))
		c := start(t, store, cache.Options{Indexes: cache.Indexes()})
		goOn, done := make(chan struct{}), make(chan error)
		store.deleting.set(func() { <-goOn })
		go func() { done <- c.DeleteImageStream(ctx, a.Key(), imagestream.Preconditions{}) }()
		synctest.Wait()
		must[*imagestream.ImageStream](t)(c.CreateImageStream(ctx, newStream("b")))
		store.deliver(1)
		must[*imagestream.ImageStream](t)(c.GetImageStream(ctx, a.Key()))
		close(goOn)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if _, err := c.GetImageStream(ctx, a.Key()); !errors.Is(err, imagestream.ErrNotFound) {
			t.Errorf("a get of what was deleted: %v", err)
		}
		store.deliver(1)
		wantWarm(t, c, store)
	})
}

// TestDeleteUnreadable deletes a stream that the store cannot read any more.
func TestDeleteUnreadable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, store := t.Context(), newGated()
		var unreadable atomic.Bool
		store.Fail = func(op string, _ imagestream.Key) error {
			if op == "GetImageStream" && unreadable.Load() {
				return errBroken
			}
			return nil
		}
		c := start(t, store, cache.Options{Indexes: cache.Indexes()})
		a := must[*imagestream.ImageStream](t)(store.CreateImageStream(ctx, newStream("a"))) // the feed does not know it yet
		unreadable.Store(true)
		if err := c.DeleteImageStream(ctx, a.Key(), imagestream.Preconditions{}); err != nil {
			t.Fatalf("delete: %v", err)
		}
		unreadable.Store(false)
		for delivered := range 3 {
			if _, err := c.GetImageStream(ctx, a.Key()); !errors.Is(err, imagestream.ErrNotFound) {
				t.Errorf("a get of what was deleted: %v", err)
			}
			if delivered < 2 {
				store.deliver(1)
			}
		}
		must[*imagestream.ImageStream](t)(c.CreateImageStream(ctx, newStream("b")))
		store.deliver(1)
		wantWarm(t, c, store)

		ended, stop := context.WithCancel(ctx)
		stop()
		if err := c.DeleteImageStream(ended, newStream("b").Key(), imagestream.Preconditions{}); !errors.Is(err, context.Canceled) {
			t.Errorf("delete under a context that ended: %v", err)
		}
	})
}

// TestCrowded awaits something of more streams than the cache remembers, of which none is there: it begins again.
func TestCrowded(t *testing.T) {
	for name, filling := range map[string]bool{"fed": false, "while filling": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, store := t.Context(), newGated()
				store.Fail = func(op string, _ imagestream.Key) error {
					if op == "CreateImageStream" {
						return errBroken
					}
					return nil
				}
				c, arrive := startFilling(t, store)
				if !filling {
					arrive()
				}
				for i := range 20_000 {
					if _, err := c.CreateImageStream(ctx, newStream(fmt.Sprint("s", i))); !errors.Is(err, errBroken) {
						t.Fatal(err)
					}
				}
				if err := c.State().Err; !errors.Is(err, cache.ErrNotFed) || !filling && !strings.Contains(err.Error(), "16384") {
					t.Errorf("the state is %v", err)
				}
				if filling {
					arrive()
				} else if err := c.Wait(ctx); err != nil {
					t.Fatal(err)
				}
				wantWarm(t, c, store)
			})
		})
	}
}
