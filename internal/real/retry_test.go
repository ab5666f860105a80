package real_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/internal/real"
)

func ExampleRetryRegistry() {
	fmt.Println(real.RetryRegistry(1, &importer.RegistryError{Operation: importer.OperationManifest, StatusCode: 429}))
	fmt.Println(real.RetryRegistry(1, &importer.RegistryError{Operation: importer.OperationBlob, StatusCode: 429}))
	// Output:
	// 2s true
	// 0s false
}

func ExampleIsNotImportable() {
	fmt.Println(real.IsNotImportable(imagestream.Status{Code: http.StatusNotFound}))
	// Output: false
}

func TestWithoutTags(t *testing.T) {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	name, err := reference.ParseNamed("quay.io/org/app")
	if err != nil {
		t.Fatal(err)
	}
	r, err := real.WithoutTags{Registry: registry}.Repository(t.Context(), name, importer.Access{})
	if err != nil {
		t.Fatal(err)
	}
	var tags []string
	for tag := range r.Tags(t.Context()) {
		tags = append(tags, tag)
	}
	if _, err := r.Manifest(t.Context(), importer.Ref{Tag: "v1"}); err != nil || len(tags) > 0 {
		t.Errorf("%q, %v", tags, err)
	}
}
