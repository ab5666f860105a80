package bolt_test

import (
	"context"
	"errors"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
)

// TestCachedStore has a cache over the store.
func TestCachedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store {
		return cached(t, open(t, temporary(t), bolt.Options{NoSync: true}))
	})
}

// cached returns a cache that is fed until the test ends.
func cached(t *testing.T, store imagestream.Store) imagestream.Store {
	t.Helper()
	c := cache.New(store, cache.Options{Images: true})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- c.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the feed ended with %v", err)
		}
	})
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c
}
