package fakes_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/registrytest"
	"github.com/imagestreams/imagestreams/importer"
)

func ExampleRegistry() {
	var registry fakes.Registry
	registry.Edit("quay.io", func(c fakes.Contents) {
		c.Push("org/app", fakes.Image{Layer: "hello"}, "v1", "latest")
	})
	ctx := context.Background()
	name, _ := reference.ParseNormalizedNamed("quay.io/org/app")
	repository, _ := registry.Repository(ctx, name, importer.Access{})
	for tag, err := range repository.Tags(ctx) {
		fmt.Println(tag, err)
	}
	_, err := repository.Manifest(ctx, importer.Ref{Tag: "v2"})
	fmt.Println(err)
	fmt.Println(registry.Requests())
	// Output:
	// latest <nil>
	// v1 <nil>
	// manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// [ping quay.io/org/app tags quay.io/org/app manifest quay.io/org/app v2]
}

func TestRegistry(t *testing.T) {
	registrytest.Run(t, func(_ *testing.T, contents fakes.Contents) registrytest.Subject {
		registry := &fakes.Registry{}
		registry.Edit("registry.example.com", func(c fakes.Contents) {
			for path, repository := range contents {
				c[path] = repository
			}
		})
		return registrytest.Subject{Registry: registry, Host: "registry.example.com"}
	})
}
