package imagestreams_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/lookup"
)

// A tag is imported, goes back when the next image is bad, and a short name means its exact image.
func Example() {
	ctx, store, registry := context.Background(), &fakes.Store{}, &fakes.Registry{}
	push := func(layer string) {
		registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/nodejs", fakes.Image{Layer: layer}, "20") })
	}
	streams := client.New(store, registry)
	nodejs := imagestream.Key{Namespace: "shop", Name: "nodejs"}

	push("node 20.1")
	streams.Tag(ctx, nodejs, "20", "quay.io/org/nodejs:20", client.TagOptions{Scheduled: true})
	streams.SetLookup(ctx, nodejs, true)
	streams.Import(ctx, nodejs)
	push("node 20.2, broken")
	streams.Import(ctx, nodejs)
	streams.Rollback(ctx, nodejs, "20", edit.Target{})

	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": []any{map[string]any{"image": "nodejs:20"}}}}
	changes, err := (&lookup.Resolver{Source: store}).Changes(ctx, pod, "shop")
	fmt.Println(changes[0].From, "->", changes[0].To, err)
	// Output: nodejs:20 -> quay.io/org/nodejs@sha256:cb2b3c174566fc42d2433cf67aa7b334c761e323e08fdc417332b574775bfd80 <nil>
}

// The README's lines about short names: in a webhook, and in a test.
func Example_shortNames() {
	ctx, store := context.Background(), &fakes.Store{}
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/nodejs", fakes.Image{Layer: "node 20.1"}, "20") })
	streams := client.New(store, registry)
	nodejs := imagestream.Key{Namespace: "shop", Name: "nodejs"}
	streams.Tag(ctx, nodejs, "20", "quay.io/org/nodejs:20", client.TagOptions{})
	streams.SetLookup(ctx, nodejs, true)
	streams.Import(ctx, nodejs)
	deployment := []byte(`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"image":"nodejs:20"}]}}}}`)

	resolver := &lookup.Resolver{Source: store}
	changes, err := resolver.ChangesJSON(ctx, deployment, "shop")
	patch := lookup.PatchOf(changes)                      // what an admission webhook answers
	created, err := lookup.ApplyJSON(deployment, changes) // what a cluster would run

	fmt.Println(patch[0].Op, patch[0].Path)
	fmt.Println(string(created[:99]), err)
	// Output:
	// replace /spec/template/spec/containers/0/image
	// {"apiVersion":"apps/v1","kind":"Deployment","spec":{"template":{"spec":{"containers":[{"image":"qua <nil>
}
