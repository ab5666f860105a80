package prune_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/tagevent"
)

// cluster is a stream with four events, and their images.
func cluster() prune.Input {
	old := tagevent.TimeOf(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	in := prune.Input{Now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	stream := imagestream.ImageStream{}
	stream.Metadata = imagestream.ObjectMeta{Namespace: "shop", Name: "web", CreationTimestamp: old}
	history := tagevent.History{Tag: "v1"}
	for n := range 4 {
		image := imagestream.Image{
			DockerImageManifestMediaType: manifest.MediaTypeOCIManifest, DockerImageMetadata: imagestream.Raw(`{}`),
		}
		image.Metadata = imagestream.ObjectMeta{Name: "sha256:" + strings.Repeat(fmt.Sprint(n), 64), CreationTimestamp: old}
		image.DockerImageLayers = []imagestream.ImageLayer{
			{Name: "base", LayerSize: 50e6}, {Name: fmt.Sprint("app", n), LayerSize: int64(n) * 1e6},
		}
		in.Images = append(in.Images, image)
		history.Items = append(history.Items, tagevent.Event{
			Created: old, Image: image.Metadata.Name, DockerImageReference: "reg.io/shop/web@" + image.Metadata.Name,
		})
	}
	stream.Status.Tags = []tagevent.History{history}
	in.Streams = []imagestream.ImageStream{stream}
	in.Workloads = []map[string]any{{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "shop", "name": "web-1"},
		"spec": map[string]any{"containers": []any{
			map[string]any{"image": "reg.io/shop/web@" + in.Images[2].Metadata.Name},
		}},
		"status": map[string]any{"phase": "Running"},
	}}
	return in
}

func ExampleDecide() {
	hour := time.Hour
	plan, err := prune.Decide(cluster(), prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 1, Safe: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, e := range plan.Streams[0].Events {
		fmt.Printf("%s, event %d: %s\n", e.Tag, e.Index, e.Verdict)
	}
	for _, i := range plan.Images {
		fmt.Printf("%.10s %s, frees %d bytes\n", i.Name, i.Verdict, i.Freed)
	}
	for step := range plan.Steps() {
		fmt.Printf("%.40s\n", step)
	}
	// Output:
	// v1, event 0: stays: is among the newest of its tag
	// v1, event 1: goes: is old, and nobody uses it
	// v1, event 2: stays: is in use (Pod shop/web-1)
	// v1, event 3: goes: is old, and nobody uses it
	// sha256:000 stays: is in a history (shop/web:v1), frees 0 bytes
	// sha256:111 goes: is in no history, frees 1000000 bytes
	// sha256:222 stays: is in a history (shop/web:v1), frees 0 bytes
	// sha256:333 goes: is in no history, frees 3000000 bytes
	// update stream shop/web
	// delete manifest link shop/web sha256:111
	// delete manifest link shop/web sha256:333
	// delete layer link shop/web app1
	// delete layer link shop/web app3
	// finish stream shop/web
	// mark image sha256:1111111111111111111111
	// delete blob app1
	// delete blob sha256:111111111111111111111
	// delete image sha256:11111111111111111111
	// mark image sha256:3333333333333333333333
	// delete blob app3
	// delete blob sha256:333333333333333333333
	// delete image sha256:33333333333333333333
}

// The dry run as a table.
func ExamplePlan_Table() {
	hour := time.Hour
	plan, err := prune.Decide(cluster(), prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	err = plan.Table(false).Print(os.Stdout, describe.PrintOptions{})
	sum := plan.Summary()
	fmt.Println(sum.Events, "events,", sum.Images, "images,", sum.Blobs, "blobs,", describe.Size(sum.Freed), err)
	// Output:
	// WHAT    WHERE            IMAGE          FREES   WHY
	// event   shop/web:v1 #1   111111111111           goes: is old, and nobody uses it
	// event   shop/web:v1 #3   333333333333           goes: is old, and nobody uses it
	// image                    111111111111   1MB     goes: is in no history
	// image                    333333333333   3MB     goes: is in no history
	// 2 events, 2 images, 4 blobs, 4MB <nil>
}

// objects are what a run changes: a Store, whose streams are written by an engine.
type objects struct{ imagestream.Store }

func (o objects) UpdateStatus(ctx context.Context, key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (*imagestream.ImageStream, error) {
	engine := &write.Engine{Store: o.Store}
	return engine.Write(ctx, write.Request{Key: key, Rules: write.AsStatus, Change: change})
}

// noRegistry has nothing to delete.
type noRegistry struct{}

func (noRegistry) DeleteLayerLink(context.Context, imagestream.Key, string) error    { return nil }
func (noRegistry) DeleteManifestLink(context.Context, imagestream.Key, string) error { return nil }
func (noRegistry) DeleteBlob(context.Context, string) error                          { return nil }

func ExamplePlan_Run() {
	ctx, store, in := context.Background(), &fakes.Store{}, cluster()
	stream, _ := store.CreateImageStream(ctx, &in.Streams[0])
	in.Streams[0] = *stream
	for n := range in.Images {
		image, _ := store.CreateImage(ctx, &in.Images[n])
		in.Images[n] = *image
	}
	hour := time.Hour
	plan, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 1, Safe: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	result := plan.Run(ctx, objects{store}, noRegistry{}, nil)
	fmt.Println(result.Done[prune.DeleteImage], "images,", result.Events, "events,", result.Freed, "bytes", result.Err())

	stream, _ = store.GetImageStream(ctx, stream.Key())
	for _, e := range stream.Status.Tags[0].Items {
		fmt.Printf("%.10s\n", e.Image)
	}
	// Output:
	// 2 images, 2 events, 4000000 bytes <nil>
	// sha256:000
	// sha256:222
}
