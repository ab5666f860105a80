package rest_test

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
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/tagevent"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func digestOf(n int) string { return fmt.Sprintf("sha256:%064d", n) }

// stream has the tags v1, at an image, and new, at nothing.
func stream() *imagestream.ImageStream {
	s := &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app", Labels: map[string]string{"team": "web"}},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			{Name: "new"}, {Name: "v1", Annotations: map[string]string{"supports": "go"}},
		}},
	}
	s, _ = s.Push("v1", tagevent.Event{Created: tagevent.TimeOf(now), DockerImageReference: "quay.io/org/app@" + digestOf(1), Image: digestOf(1), Generation: 2})
	return s
}

func image() *imagestream.Image {
	return &imagestream.Image{
		Metadata:          imagestream.ObjectMeta{Name: digestOf(1), Annotations: map[string]string{"from": "image", "supports": "c"}},
		DockerImageLayers: []imagestream.ImageLayer{{Name: "sha256:layer", LayerSize: 7, MediaType: "l"}},
	}
}

func server(store imagestream.Store) *rest.Server {
	return &rest.Server{Engine: &write.Engine{Store: store, Now: func() time.Time { return now }}}
}

// filled is a server that has stream and image.
func filled() *rest.Server {
	store := &fakes.Store{}
	if _, err := store.CreateImageStream(context.Background(), stream()); err != nil {
		panic(err)
	}
	if _, err := store.CreateImage(context.Background(), image()); err != nil {
		panic(err)
	}
	return server(store)
}

func shop(name string) imagestream.Key { return imagestream.Key{Namespace: "shop", Name: name} }

func ExampleServer_ImageStreamTags() {
	tag, err := filled().ImageStreamTags().Get(context.Background(), shop("app:v1"))
	fmt.Println(tag.Metadata.Name, tag.Generation, tag.Image.Metadata.Annotations, err)
	_, err = filled().ImageStreamTags().Get(context.Background(), shop("app:new"))
	fmt.Println(err)
	_, err = filled().ImageStreamTags().Get(context.Background(), shop("app"))
	fmt.Println(err)
	// Output:
	// app:v1 2 map[from:image supports:go] <nil>
	// imagestreamtags.image.openshift.io "app:new" not found in namespace "shop": the tag points at no image
	// imagestreamtags.image.openshift.io "app" in namespace "shop": "app": the name of an image stream tag is <image stream>:<tag>, with one colon and no @
}

func ExampleServer_ImageTags() {
	tag, err := filled().ImageTags().Get(context.Background(), shop("app:new"))
	fmt.Println(tag.Spec.Name, tag.Status == nil, tag.Image == nil, err)
	// Output: new true true <nil>
}

func ExampleServer_ImageStreamTags_list() {
	team, _ := imagestream.ParseSelector("team=web")
	list, err := filled().ImageStreamTags().List(context.Background(), rest.ListOptions{Namespace: "shop", Labels: team})
	for _, tag := range list.Items {
		fmt.Println(tag.Metadata.Name, tag.Image.DockerImageReference[:16], err)
	}
	_, err = filled().ImageStreamTags().List(context.Background(), rest.ListOptions{Fields: "spec.x=1"})
	fmt.Println(err)
	// Output:
	// app:v1 quay.io/org/app@ <nil>
	// imagestreamtags.image.openshift.io: field selector "spec.x=1": field "spec.x" is not supported: use metadata.name or metadata.namespace
}

func ExampleServer_ImageTags_list() {
	list, err := filled().ImageTags().List(context.Background(), rest.ListOptions{})
	for _, tag := range list.Items {
		fmt.Println(tag.Metadata.Name, err)
	}
	// Output:
	// app:new <nil>
	// app:v1 <nil>
}

func ExampleServer_ImageStreamImages() {
	image, err := filled().ImageStreamImages().Get(context.Background(), shop("app@sha256:0000"))
	fmt.Println(image.Metadata.Name, image.Image.Metadata.Name == digestOf(1), err)
	// Output: app@sha256:0000 true <nil>
}

func ExampleServer_ImageStreams_layers() {
	l, err := filled().ImageStreams().Layers(context.Background(), shop("app"))
	fmt.Println(l.Images[digestOf(1)].Layers, *l.Blobs["sha256:layer"].LayerSize, err)
	// Output: [sha256:layer] 7 <nil>
}

func newTag(name, from string) *imagestream.ImageStreamTag {
	return &imagestream.ImageStreamTag{
		Metadata: imagestream.ObjectMeta{Name: name},
		Tag:      &imagestream.TagReference{From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}},
	}
}

func ExampleServer_ImageStreamTags_create() {
	ctx, api := context.Background(), server(&fakes.Store{})
	tag, err := api.ImageStreamTags().Create(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{})
	fmt.Println(tag.Metadata.Name, tag.Tag.Name, *tag.Tag.Generation, err)
	_, err = api.ImageStreamTags().Create(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{})
	fmt.Println(err)
	_, err = api.ImageStreamTags().Create(ctx, "shop", newTag("app:v2", "quay.io/org/App"), rest.CreateOptions{})
	fmt.Println(errors.Is(err, imagestream.ErrInvalid))
	// Output:
	// app:v1 v1 1 <nil>
	// imagestreamtags.image.openshift.io "app:v1" already exists in namespace "shop"
	// true
}

func ExampleServer_ImageStreamTags_update() {
	ctx, api := context.Background(), server(&fakes.Store{})
	_, created, err := api.ImageStreamTags().Update(ctx, shop("app:v1"), rest.Replace(newTag("app:v1", "quay.io/org/app:v1")), rest.UpdateOptions{})
	fmt.Println(created, err)
	tag, created, err := api.ImageStreamTags().Update(ctx, shop("app:v1"), rest.Replace(newTag("app:v1", "quay.io/org/app:v1.1")), rest.UpdateOptions{})
	fmt.Println(tag.Tag.From.Name, *tag.Tag.Generation, created, err)
	// Output:
	// true <nil>
	// quay.io/org/app:v1.1 2 false <nil>
}

func ExampleServer_ImageTags_create() {
	ctx, api := context.Background(), server(&fakes.Store{})
	t := &imagestream.ImageTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &imagestream.TagReference{}}
	created, err := api.ImageTags().Create(ctx, "shop", t, rest.CreateOptions{})
	fmt.Println(created.Spec.Name, created.Status == nil, err)

	created.Spec = nil
	_, isNew, err := api.ImageTags().Update(ctx, shop("app:v1"), rest.Replace(created), rest.UpdateOptions{})
	fmt.Println(isNew, err)
	// Output:
	// v1 true <nil>
	// false <nil>
}

func ExampleServer_ImageTags_update() {
	ctx, api := context.Background(), server(&fakes.Store{})
	t := &imagestream.ImageTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &imagestream.TagReference{Name: "v1"}}
	tag, created, err := api.ImageTags().Update(ctx, shop("app:v1"), rest.Replace(t), rest.UpdateOptions{})
	fmt.Println(tag.Spec.Name, created, err)
	// Output: v1 true <nil>
}

func ExampleServer_ImageStreamTags_delete() {
	ctx, api := context.Background(), server(&fakes.Store{})
	_, _ = api.ImageStreamTags().Create(ctx, "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{})
	fmt.Println(api.ImageStreamTags().Delete(ctx, shop("app:v1"), rest.DeleteOptions{DryRun: true}))
	fmt.Println(api.ImageStreamTags().Delete(ctx, shop("app:v1"), rest.DeleteOptions{}))
	fmt.Println(api.ImageStreamTags().Delete(ctx, shop("app:v1"), rest.DeleteOptions{}))
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

func ExampleServer_ImageStreamMappings() {
	ctx, store := context.Background(), &fakes.Store{}
	api := server(store)
	fmt.Println(api.ImageStreamMappings().Create(ctx, "shop", pushed(1, "v1"), rest.CreateOptions{}))
	_, _ = api.ImageStreamTags().Create(ctx, "shop", &imagestream.ImageStreamTag{Metadata: imagestream.ObjectMeta{Name: "app:v1"}}, rest.CreateOptions{})
	fmt.Println(api.ImageStreamMappings().Create(ctx, "shop", pushed(1, "v1"), rest.CreateOptions{}))
	s, _ := store.GetImageStream(ctx, shop("app"))
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
		api := server(store)
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				name := fmt.Sprintf("app:v%02d", i)
				if _, err := api.ImageStreamTags().Create(t.Context(), "shop", newTag(name, "quay.io/org/"+name), rest.CreateOptions{}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s, err := store.GetImageStream(t.Context(), shop("app"))
		if err != nil || len(s.Spec.Tags) != 32 {
			t.Errorf("%d of 32 tags, %v", len(s.Spec.Tags), err)
		}
	})
}

func TestDryRunStoresNothing(t *testing.T) {
	store := &fakes.Store{}
	api := server(store)
	if _, err := api.ImageStreamTags().Create(t.Context(), "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{DryRun: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.GetImageStream(t.Context(), shop("app")); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a dry run created the stream: %v", err)
	}
	if _, err := api.ImageStreamTags().Create(t.Context(), "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	before, err := store.GetImageStream(t.Context(), shop("app"))
	if err != nil {
		t.Fatal(err)
	}
	if v, _, err := api.ImageStreamTags().Update(t.Context(), shop("app:v1"), rest.Replace(newTag("app:v1", "quay.io/org/app:v2")), rest.UpdateOptions{DryRun: true}); err != nil || v.Tag.From.Name != "quay.io/org/app:v2" {
		t.Errorf("the dry run of an update answers %+v, %v", v, err)
	}
	after, err := store.GetImageStream(t.Context(), before.Key())
	if err != nil || !before.Same(after) {
		t.Errorf("a dry run changed the stream: %+v, %v", after, err)
	}
}
