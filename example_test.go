package imagestreams_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/lookup"
)

// The README's ten lines: import a tag, and let a short name mean its exact image.
func Example() {
	ctx, store, registry := context.Background(), &fakes.Store{}, &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/nodejs", fakes.Image{Layer: "node 20"}, "20") })
	writer := &imagestream.Writer{Store: store}

	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "nodejs"}}
	stream.Spec.LookupPolicy.Local = true
	stream.Spec.Tags = []imagestream.TagReference{{Name: "20", From: &imagestream.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/nodejs:20"}}}
	stream, _ = writer.Create(ctx, stream)
	wanted, _ := importer.NeedsImport(stream)
	(&importer.Importer{Registry: registry, Writer: writer}).Import(ctx, wanted)

	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": []any{map[string]any{"image": "nodejs:20"}}}}
	changes, err := (&lookup.Resolver{Source: store}).Changes(ctx, pod, "shop")
	fmt.Println(changes[0].From, "->", changes[0].To, err)
	// Output: nodejs:20 -> quay.io/org/nodejs@sha256:2457b4f8ebfdb07a11660e186c7b6060844c5e53fc75551224f0cffef8fa936b <nil>
}
