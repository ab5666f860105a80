package cache_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleStore() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	streams := cache.New(&fakes.Store{}, cache.Options{Indexes: cache.Indexes()})
	go streams.Run(ctx)
	fmt.Println(streams.Wait(ctx), streams.State().Err)

	app := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	app.Status.Tags = []tagevent.History{{Tag: "v1", Items: []tagevent.Event{{Image: "sha256:1"}}}}
	created, err := streams.CreateImageStream(ctx, app)
	fmt.Println(created.Metadata.ResourceVersion, err)
	fmt.Println(streams.Find(ctx, cache.ByImage, "sha256:1"))
	// Output:
	// <nil> <nil>
	// 1 <nil>
	// [shop/app] <nil>
}

func ExampleFresh() {
	ctx := context.Background()
	store := &fakes.Store{}
	streams := cache.New(store, cache.Options{}) // nobody runs it, so that all reads go to the store anyway
	_, err := streams.GetImageStream(cache.Fresh(ctx), imagestream.Key{Namespace: "shop", Name: "app"})
	fmt.Println(err)
	// Output: imagestreams.image.openshift.io "app" not found in namespace "shop"
}

func ExampleStore_Values() {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store := &fakes.Store{}
	app := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	app.Spec.DockerImageRepository = "quay.io/org/app"
	if _, err := store.CreateImageStream(ctx, app); err != nil {
		fmt.Println(err)
	}
	streams := cache.New(store, cache.Options{Indexes: cache.Indexes()})
	go streams.Run(ctx)
	fmt.Println(streams.Wait(ctx))
	fmt.Println(streams.Values(cache.BySource))
	// Output:
	// <nil>
	// [quay.io] <nil>
}
