package manifest_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func digestOf(n int) string { return fmt.Sprintf("sha256:%064d", n) }

func ExamplePrepareImageCreate() {
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: digestOf(1)}, DockerImageReference: "quay.io/org/app:v1"}
	created, errs := manifest.PrepareImageCreate(image, imagestream.Env{Now: now})
	fmt.Println(created.Metadata.CreationTimestamp, len(errs))
	image.DockerImageReference = ""
	_, errs = manifest.PrepareImageCreate(image, imagestream.Env{Now: now})
	fmt.Println(errs[0].Type, errs[0].Field)
	// Output:
	// 2026-01-02T03:04:05Z 0
	// FieldValueRequired dockerImageReference
}

// TestNewLayersCanBePrinted: names and sizes of layers are shown on terminals. What is stored already can still be updated.
func TestNewLayersCanBePrinted(t *testing.T) {
	for _, tc := range []struct {
		layer imagestream.ImageLayer
		want  string
	}{
		{imagestream.ImageLayer{Name: "l1", LayerSize: 0}, ""},
		{imagestream.ImageLayer{Name: "sha256:\x1b[2J", LayerSize: 1}, "dockerImageLayers[1].name"},
		{imagestream.ImageLayer{Name: "a\nb", LayerSize: 1}, "dockerImageLayers[1].name"},
		{imagestream.ImageLayer{Name: "a\u0085", LayerSize: 1}, "dockerImageLayers[1].name"},
		{imagestream.ImageLayer{Name: "l2", LayerSize: -1}, "dockerImageLayers[1].size"},
	} {
		image := &imagestream.Image{
			Metadata: imagestream.ObjectMeta{Name: digestOf(1), ResourceVersion: "3"}, DockerImageReference: "quay.io/org/app:v1",
			DockerImageLayers: []imagestream.ImageLayer{{Name: "l0"}, tc.layer},
		}
		_, errs := manifest.PrepareImageCreate(image, imagestream.Env{Now: now})
		got := ""
		for _, e := range errs {
			got += e.Field
		}
		if got != tc.want {
			t.Errorf("%+v: wrong is %q, want %q", tc.layer, got, tc.want)
		}
		if _, errs := manifest.PrepareImageUpdate(image, image, imagestream.Env{Now: now}); len(errs) > 0 {
			t.Errorf("%+v: an update is refused: %v", tc.layer, errs)
		}
	}
}

func ExamplePrepareImageUpdate() {
	old := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: digestOf(1), ResourceVersion: "3"}, DockerImageReference: "quay.io/org/app:v1"}
	next := old.Clone()
	next.DockerImageReference = "mirror.io/org/app:v1"
	next.DockerImageManifest = `{"another":"manifest"}`
	updated, errs := manifest.PrepareImageUpdate(old, next, imagestream.Env{Now: now})
	fmt.Println(updated.DockerImageReference, updated.DockerImageManifest == "", len(errs), old.CheckUpdate(next))
	// Output: mirror.io/org/app:v1 true 0 <nil>
}
