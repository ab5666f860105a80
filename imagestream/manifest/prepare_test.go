package manifest_test

import (
	"fmt"
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

func ExamplePrepareImageUpdate() {
	old := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: digestOf(1), ResourceVersion: "3"}, DockerImageReference: "quay.io/org/app:v1"}
	next := old.Clone()
	next.DockerImageReference = "mirror.io/org/app:v1"
	next.DockerImageManifest = `{"another":"manifest"}`
	updated, errs := manifest.PrepareImageUpdate(old, next, imagestream.Env{Now: now})
	fmt.Println(updated.DockerImageReference, updated.DockerImageManifest == "", len(errs), imagestream.CheckImageUpdate(old, next))
	// Output: mirror.io/org/app:v1 true 0 <nil>
}
