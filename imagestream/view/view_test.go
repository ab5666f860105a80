package view_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/view"
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
	s, _ = imagestream.Push(s, "v1", tagevent.Event{Created: tagevent.TimeOf(now), DockerImageReference: "quay.io/org/app@" + digestOf(1), Image: digestOf(1), Generation: 2})
	return s
}

func image() *imagestream.Image {
	return &imagestream.Image{
		Metadata:          imagestream.ObjectMeta{Name: digestOf(1), Annotations: map[string]string{"from": "image", "supports": "c"}},
		DockerImageLayers: []imagestream.ImageLayer{{Name: "sha256:layer", LayerSize: 7, MediaType: "l"}},
	}
}

func reader(t testing.TB) *view.Reader {
	t.Helper()
	store := &fakes.Store{}
	if _, err := store.CreateImageStream(context.Background(), stream()); err != nil {
		t.Fatal(err)
	}
	if _, err := store.CreateImage(context.Background(), image()); err != nil {
		t.Fatal(err)
	}
	return &view.Reader{Source: store, Now: func() time.Time { return now }}
}

func ExampleReader_ImageStreamTag() {
	tag, err := reader(&testing.T{}).ImageStreamTag(context.Background(), "shop", "app:v1")
	fmt.Println(tag.Metadata.Name, tag.Generation, tag.Image.Metadata.Annotations, err)
	_, err = reader(&testing.T{}).ImageStreamTag(context.Background(), "shop", "app:new")
	fmt.Println(err)
	_, err = reader(&testing.T{}).ImageStreamTag(context.Background(), "shop", "app")
	fmt.Println(err)
	// Output:
	// app:v1 2 map[from:image supports:go] <nil>
	// imagestreamtags.image.openshift.io "app:new" not found in namespace "shop": the tag points at no image
	// imagestreamtags.image.openshift.io "app" in namespace "shop": "app": the name of an image stream tag is <image stream>:<tag>, with one colon and no @
}

func ExampleReader_ImageTag() {
	tag, err := reader(&testing.T{}).ImageTag(context.Background(), "shop", "app:new")
	fmt.Println(tag.Spec.Name, tag.Status == nil, tag.Image == nil, err)
	// Output: new true true <nil>
}

func ExampleReader_ImageStreamTags() {
	team, _ := imagestream.ParseSelector("team=web")
	list, err := reader(&testing.T{}).ImageStreamTags(context.Background(), view.ListOptions{Namespace: "shop", Labels: team})
	for _, tag := range list.Items {
		fmt.Println(tag.Metadata.Name, tag.Image.DockerImageReference[:16], err)
	}
	_, err = reader(&testing.T{}).ImageStreamTags(context.Background(), view.ListOptions{Fields: "spec.x=1"})
	fmt.Println(err)
	// Output:
	// app:v1 quay.io/org/app@ <nil>
	// imagestreamtags.image.openshift.io "": field selector "spec.x=1": there is no field "spec.x": choose by metadata.name and metadata.namespace
}

func ExampleReader_ImageTags() {
	list, err := reader(&testing.T{}).ImageTags(context.Background(), view.ListOptions{})
	for _, tag := range list.Items {
		fmt.Println(tag.Metadata.Name, err)
	}
	// Output:
	// app:new <nil>
	// app:v1 <nil>
}

func ExampleReader_ImageStreamImage() {
	image, err := reader(&testing.T{}).ImageStreamImage(context.Background(), "shop", "app@sha256:0000")
	fmt.Println(image.Metadata.Name, image.Image.Metadata.Name == digestOf(1), err)
	// Output: app@sha256:0000 true <nil>
}

func ExampleReader_Layers() {
	l, err := reader(&testing.T{}).Layers(context.Background(), imagestream.Key{Namespace: "shop", Name: "app"})
	fmt.Println(l.Images[digestOf(1)].Layers, *l.Blobs["sha256:layer"].LayerSize, err)
	// Output: [sha256:layer] 7 <nil>
}

func ExampleLayers() {
	s := stream()
	fmt.Println(len(view.LayersNeeds(s)))
	l, errs := view.Layers(s, nil)
	fmt.Println(l.Images[digestOf(1)].ImageMissing, len(errs))
	broken := image()
	broken.DockerImageLayers[0].Name = ""
	_, errs = view.Layers(s, map[string]*imagestream.Image{digestOf(1): broken})
	fmt.Println(errs[0].Field[len(errs[0].Field)-9:])
	// Output:
	// 1
	// true 0
	// layers[0]
}

func ExampleNewImageStreamTag() {
	tag, err := view.NewImageStreamTag(stream(), "new", nil, imagestream.Env{Now: now})
	fmt.Println(tag.Metadata.Name, tag.Tag.Name, tag.Image.Metadata.Name == "", err)
	// Output: app:new new true <nil>
}

func ExampleNewImageTag() {
	_, ok, err := view.NewImageTag(stream(), "none", nil, imagestream.Env{Now: now})
	fmt.Println(ok, err)
	// Output: false <nil>
}

func ExampleNewImageStreamImage() {
	v, err := view.NewImageStreamImage(stream(), "1f", image(), imagestream.Env{Now: now})
	fmt.Println(v.Metadata.Name, v.Image.Metadata.Name == digestOf(1), err)
	// Output: app@1f true <nil>
}

func ExampleFindImage() {
	l, _ := view.Layers(stream(), nil)
	name, ok := view.FindImage(l, "0000")
	fmt.Println(name == digestOf(1), ok)
	// Output: true true
}

func ExampleChildNames() {
	fmt.Println(view.ChildNames(&imagestream.Image{DockerImageManifests: []imagestream.ImageManifest{{Digest: "sha256:a"}}}))
	// Output: [sha256:a]
}

// TestLayersAreLinear compares the bytes of a stream's layers with those of one ten times as long.
func TestLayersAreLinear(t *testing.T) {
	bytes := func(n int) float64 {
		s := &imagestream.ImageStream{}
		images := map[string]*imagestream.Image{}
		h := tagevent.History{Tag: "v1"}
		for i := range n {
			h.Items = append(h.Items, tagevent.Event{Image: digestOf(i)})
			images[digestOf(i)] = &imagestream.Image{
				Metadata:          imagestream.ObjectMeta{Name: digestOf(i)},
				DockerImageLayers: []imagestream.ImageLayer{{Name: "base"}, {Name: digestOf(-i)}},
			}
		}
		s.Status.Tags = []tagevent.History{h}
		return testing.AllocsPerRun(3, func() {
			if _, errs := view.Layers(s, images); len(errs) > 0 {
				t.Fatal(errs)
			}
		})
	}
	if small, large := bytes(1000), bytes(10000); large > 11*small {
		t.Errorf("%.0f allocations for 1,000 events, %.0f for 10,000", small, large)
	}
}
