package kube_test

import (
	"context"
	"errors"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store { return open(t) })
}

func TestServer(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		return resttest.Subject{API: rest.New(open(t), registry), Registry: registry}
	})
}

// TestCachedStore has a cache over the store.
func TestCachedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store {
		c := cache.New(open(t), cache.Options{Images: true})
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
	})
}
