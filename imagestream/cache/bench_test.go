package cache_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
)

// BenchmarkStore compares a cache of 10,000 streams with a clone, and with a search through them all.
func BenchmarkStore(b *testing.B) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	store := &fakes.Store{}
	for i := range 10_000 {
		stream := newStream(fmt.Sprint("s", i), fmt.Sprint("sha256:", i))
		for tag := range 20 {
			stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{Name: fmt.Sprint("v", tag), Annotations: map[string]string{"a": "b"}})
		}
		if _, err := store.CreateImageStream(ctx, stream); err != nil {
			b.Fatal(err)
		}
	}
	c := cache.New(store, cache.Options{Indexes: cache.Indexes()})
	go c.Run(ctx)
	if err := c.Wait(ctx); err != nil {
		b.Fatal(err)
	}
	key := imagestream.Key{Namespace: "shop", Name: "s77"}
	stream, err := c.GetImageStream(ctx, key)
	if err != nil {
		b.Fatal(err)
	}
	run := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("clone", func() error { stream = stream.Clone(); return nil })
	run("get", func() (err error) { stream, err = c.GetImageStream(ctx, key); return err })
	run("find", func() error { _, err := c.Find(ctx, cache.ByImage, "sha256:77"); return err })
	run("search", func() error {
		for s, err := range imagestream.All(ctx, store.ListImageStreams, imagestream.ListOptions{Limit: 500}) {
			if err != nil || s.Status.Tags[0].Items[0].Image == "sha256:77" {
				return err
			}
		}
		return nil
	})
}
