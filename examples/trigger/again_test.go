package main

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// newShop returns a store whose tag web:latest has an image, and deployments that follow it.
func newShop(t *testing.T, names ...string) (*fakes.Store, *Memory) {
	t.Helper()
	store := &fakes.Store{}
	if err := push(t.Context(), store, "web", "latest", "sha256:a1"); err != nil {
		t.Fatal(err)
	}
	memory := &Memory{Streams: store}
	for _, name := range names {
		o, err := parse(deployment, name)
		if err != nil {
			t.Fatal(err)
		}
		memory.Put(o)
	}
	return store, memory
}

// conflicting are objects of which none can be written or read.
type conflicting struct {
	*Memory
	updates int
	enough  context.CancelFunc
}

func (c *conflicting) Update(context.Context, Object) (Object, error) {
	if c.updates++; c.updates == 100 {
		c.enough()
	}
	return nil, imagestream.ErrConflict
}

func (c *conflicting) Get(context.Context, trigger.ID) (Object, error) {
	return nil, errors.New("the server does not answer")
}

// TestConflictsOfAServerThatDoesNotAnswer: they wait, each longer than the one before.
func TestConflictsOfAServerThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := newShop(t, "web")
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		objects := &conflicting{Memory: memory, enough: cancel}
		c := &Controller{Streams: store, Objects: objects}
		if err := c.Run(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the controller ended with %v", err)
		}
		if objects.updates != 6 { // after 0, 1, 3, 7, 15 and 31 seconds
			t.Errorf("%d updates in a minute, want 6", objects.updates)
		}
	})
}

// slow are objects whose first watch is too slow to tell that one is removed.
type slow struct {
	*Memory
	watches atomic.Int32
	removed trigger.ID
}

func (s *slow) Watch(ctx context.Context) iter.Seq2[imagestream.Change[Object], error] {
	first, told := s.watches.Add(1) == 1, 0
	return func(yield func(imagestream.Change[Object], error) bool) {
		for change, err := range s.Memory.Watch(ctx) {
			if !first && err == nil && trigger.IDOf(*change.Object) == s.removed {
				continue // a watch that begins does not tell of what is gone
			}
			if !yield(change, err) {
				return
			}
			if told++; first && told == 2 {
				s.Remove(s.removed)
				yield(imagestream.Change[Object]{}, fmt.Errorf("watch: %w", imagestream.ErrGone))
				return
			}
		}
	}
}

// TestWatchThatWasTooSlow: the controller begins again, after a pause, and forgets what was removed meanwhile.
func TestWatchThatWasTooSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, memory := newShop(t, "web", "admin")
		web := trigger.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}
		admin := trigger.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "admin"}
		objects := &slow{Memory: memory, removed: admin}
		ctx, cancel := context.WithCancel(t.Context())
		updated := map[trigger.ID]int{}
		c := &Controller{Streams: store, Objects: objects, Wrote: func(u trigger.Update, _ error) { updated[u.ID]++ }}
		ended := make(chan error, 1)
		go func() { ended <- c.Run(ctx) }()
		synctest.Wait()
		if n := objects.watches.Load(); n != 1 {
			t.Errorf("%d watches without a pause", n)
		}
		time.Sleep(time.Minute) // of the bubble's clock
		synctest.Wait()
		clear(updated)
		if err := push(ctx, store, "web", "latest", "sha256:a2"); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if n := objects.watches.Load(); n != 2 || updated[web] != 1 || updated[admin] != 0 {
			t.Errorf("%d watches; updates %v", n, updated)
		}
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the controller ended with %v", err)
		}
	})
}
