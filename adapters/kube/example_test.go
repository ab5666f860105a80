package kube_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
)

// config is what rest.InClusterConfig or a controller's manager gives.
var config *rest.Config

// A controller keeps a stream in its cluster: it asks for a tag and imports it. Another process sees what it points
// at.
func Example() {
	store, err := kube.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	registry := &fakes.Registry{} // oci.New of adapters/oci, as a rule
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	streams := client.New(store, registry)

	ctx := context.Background()
	app := imagestream.Key{Namespace: "shop", Name: "example"}
	if _, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
		fmt.Println(err)
		return
	}
	if _, err := streams.Import(ctx, app); err != nil {
		fmt.Println(err)
		return
	}
	for change, err := range store.WatchImageStreams(ctx, imagestream.WatchOptions{Namespace: "shop", Name: "example"}) {
		if err != nil {
			fmt.Println(err)
			return
		}
		pull, err := inspect.PullSpec(change.Object, "v1", inspect.PullSpecOptions{})
		fmt.Println(change.Type, change.Object.Key(), strings.HasPrefix(pull.PullSpec, "quay.io/org/app@sha256:"), err)
		break
	}
	// Output:
	// ADDED shop/example true <nil>
}

func ExampleNew() {
	store, err := kube.New(config)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = store.CreateImageStream(context.Background(), &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "App"},
	})
	var status *imagestream.StatusError
	if errors.As(err, &status) {
		fmt.Println(status.Reason, status.Errors[0].Field, status.Errors[0].Value)
	}
	// Output:
	// Invalid metadata.name App
}

func ExampleDefinitions() {
	for line := range strings.Lines(string(kube.Definitions())) {
		if strings.HasPrefix(line, "  name: ") {
			fmt.Print(line)
		}
	}
	// Output:
	//   name: imagestreams.imagestreams.github.io
	//   name: images.imagestreams.github.io
}

func ExampleRoles() {
	for line := range strings.Lines(string(kube.Roles())) {
		if strings.HasPrefix(line, "  name: ") {
			fmt.Print(line)
		}
	}
	// Output:
	//   name: imagestreams-keeper
	//   name: imagestreams-images
	//   name: imagestreams-reader
}
