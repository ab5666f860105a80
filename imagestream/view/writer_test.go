package view_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/view"
)

func writer(store imagestream.Store) *view.Writer {
	return &view.Writer{Streams: imagestream.Writer{Store: store, Now: func() time.Time { return now }}}
}

func newTag(name, from string) *imagestream.ImageStreamTag {
	return &imagestream.ImageStreamTag{
		Metadata: imagestream.ObjectMeta{Name: name},
		Tag:      &imagestream.TagReference{From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}},
	}
}

func ExampleWriter_CreateImageStreamTag() {
	ctx, w := context.Background(), writer(&fakes.Store{})
	tag, err := w.CreateImageStreamTag(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), view.WriteOptions{})
	fmt.Println(tag.Metadata.Name, tag.Tag.Name, *tag.Tag.Generation, err)
	_, err = w.CreateImageStreamTag(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), view.WriteOptions{})
	fmt.Println(err)
	_, err = w.CreateImageStreamTag(ctx, "shop", newTag("app:v2", "quay.io/org/App"), view.WriteOptions{})
	fmt.Println(errors.Is(err, imagestream.ErrInvalid))
	// Output:
	// app:v1 v1 1 <nil>
	// imagestreamtags.image.openshift.io "app:v1" already exists in namespace "shop"
	// true
}

func ExampleWriter_UpdateImageStreamTag() {
	ctx, w := context.Background(), writer(&fakes.Store{})
	_, created, err := w.UpdateImageStreamTag(ctx, "shop", "app:v1", newTag("app:v1", "quay.io/org/app:v1"), view.WriteOptions{})
	fmt.Println(created, err)
	tag, created, err := w.UpdateImageStreamTag(ctx, "shop", "app:v1", newTag("app:v1", "quay.io/org/app:v1.1"), view.WriteOptions{})
	fmt.Println(tag.Tag.From.Name, *tag.Tag.Generation, created, err)
	// Output:
	// true <nil>
	// quay.io/org/app:v1.1 2 false <nil>
}

func ExampleWriter_CreateImageTag() {
	ctx, w := context.Background(), writer(&fakes.Store{})
	t := &imagestream.ImageTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &imagestream.TagReference{}}
	created, err := w.CreateImageTag(ctx, "shop", t, view.WriteOptions{})
	fmt.Println(created.Spec.Name, created.Status == nil, err)

	created.Spec = nil
	_, isNew, err := w.UpdateImageTag(ctx, "shop", "app:v1", created, view.WriteOptions{})
	fmt.Println(isNew, err)
	// Output:
	// v1 true <nil>
	// false <nil>
}

func ExampleWriter_UpdateImageTag() {
	ctx, w := context.Background(), writer(&fakes.Store{})
	t := &imagestream.ImageTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &imagestream.TagReference{Name: "v1"}}
	tag, created, err := w.UpdateImageTag(ctx, "shop", "app:v1", t, view.WriteOptions{})
	fmt.Println(tag.Spec.Name, created, err)
	// Output: v1 true <nil>
}

func ExampleWriter_DeleteTag() {
	ctx, w := context.Background(), writer(&fakes.Store{})
	_, _ = w.CreateImageStreamTag(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), view.WriteOptions{})
	fmt.Println(w.DeleteTag(ctx, "shop", "app:v1", view.WriteOptions{DryRun: true}))
	fmt.Println(w.DeleteTag(ctx, "shop", "app:v1", view.WriteOptions{}))
	fmt.Println(w.DeleteTag(ctx, "shop", "app:v1", view.WriteOptions{}))
	// Output:
	// <nil>
	// <nil>
	// imagestreamtags.image.openshift.io "app:v1" not found in namespace "shop"
}

func pushed(n int, tag string) *imagestream.ImageStreamMapping {
	return &imagestream.ImageStreamMapping{
		Metadata: imagestream.ObjectMeta{Name: "app"}, Tag: tag,
		Image: imagestream.Image{
			Metadata: imagestream.ObjectMeta{Name: digestOf(n)}, DockerImageReference: "registry.local:5000/shop/app@" + digestOf(n),
		},
	}
}

func ExampleWriter_Push() {
	ctx, store := context.Background(), &fakes.Store{}
	w := writer(store)
	fmt.Println(w.Push(ctx, "shop", pushed(1, "v1")))
	_, _ = w.CreateImageStreamTag(ctx, "shop", &imagestream.ImageStreamTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}}, view.WriteOptions{})
	fmt.Println(w.Push(ctx, "shop", pushed(1, "v1")))
	s, _ := store.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: "app"})
	latest, _ := s.LatestEvent("v1")
	fmt.Println(latest.Image == digestOf(1), latest.Generation)
	// Output:
	// imagestreams.image.openshift.io "app" not found in namespace "shop"
	// <nil>
	// true 1
}

// TestWritersLoseNoTag lets 32 writers add a tag each to one stream that nobody has created, over a store that waits in every call.
func TestWritersLoseNoTag(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakes.Store{Fail: func(string, imagestream.Key) error { time.Sleep(time.Millisecond); return nil }}
		w := writer(store)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				name := fmt.Sprintf("app:v%02d", i)
				if _, err := w.CreateImageStreamTag(t.Context(), "shop", newTag(name, "quay.io/org/"+name), view.WriteOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
		if err != nil || len(s.Spec.Tags) != 32 {
			t.Errorf("%d of 32 tags, %v", len(s.Spec.Tags), err)
		}
	})
}

func TestDryRunStoresNothing(t *testing.T) {
	store := &fakes.Store{}
	w := writer(store)
	dry := view.WriteOptions{DryRun: true}
	if _, err := w.CreateImageStreamTag(t.Context(), "shop", newTag("app:v1", "quay.io/org/app:v1"), dry); err != nil {
		t.Fatal(err)
	}
	if _, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"}); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a dry run created the stream: %v", err)
	}
	if _, err := w.CreateImageStreamTag(t.Context(), "shop", newTag("app:v1", "quay.io/org/app:v1"), view.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := w.UpdateImageStreamTag(t.Context(), "shop", "app:v1", newTag("app:v1", "quay.io/org/app:v2"), dry); err != nil || v.Tag.From.Name != "quay.io/org/app:v2" {
		t.Errorf("the dry run of an update answers %+v, %v", v, err)
	}
	after, err := store.GetImageStream(t.Context(), before.Key())
	if err != nil || !imagestream.Equal(before, after) {
		t.Errorf("a dry run changed the stream: %+v, %v", after, err)
	}
}
