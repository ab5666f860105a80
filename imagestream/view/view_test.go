package view_test

import (
	"fmt"
	"testing"
	"time"

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
	s, _ = s.Push("v1", tagevent.Event{Created: tagevent.TimeOf(now), DockerImageReference: "quay.io/org/app@" + digestOf(1), Image: digestOf(1), Generation: 2})
	return s
}

func image() *imagestream.Image {
	return &imagestream.Image{
		Metadata:          imagestream.ObjectMeta{Name: digestOf(1), Annotations: map[string]string{"from": "image", "supports": "c"}},
		DockerImageLayers: []imagestream.ImageLayer{{Name: "sha256:layer", LayerSize: 7, MediaType: "l"}},
	}
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
