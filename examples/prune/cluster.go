package main

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// read returns what the files have, and of a store the streams and then the images.
func (a *app) read(ctx context.Context, namespace string) (prune.Input, error) {
	in := prune.Input{Now: time.Now()}
	if a.store != nil {
		if err := a.readStore(ctx, namespace, &in); err != nil {
			return in, err
		}
	}
	for _, file := range a.files {
		err := streamfiles.Each(file, func(object map[string]any) error { return a.add(&in, namespace, object) })
		if err != nil {
			return in, err
		}
	}
	return in, nil
}

func (a *app) readStore(ctx context.Context, namespace string, in *prune.Input) error {
	for s, err := range imagestream.AllImageStreams(ctx, a.store, imagestream.ListOptions{Namespace: namespace}) {
		if err != nil {
			return err
		}
		in.Streams = append(in.Streams, *s)
	}
	for i, err := range imagestream.AllImages(ctx, a.store, imagestream.ListOptions{}) {
		if err != nil {
			return err
		}
		in.Images = append(in.Images, *i)
	}
	return nil
}

// add adds an object of a file. Streams and images of files do not count where there is a store.
func (a *app) add(in *prune.Input, namespace string, object map[string]any) error {
	isImage := object["apiVersion"] == imagestream.APIVersion
	switch {
	case isImage && a.store != nil:
		return nil
	case isImage && object["kind"] == "ImageStream":
		var s imagestream.ImageStream
		if err := decode(object, &s); err != nil {
			return fmt.Errorf("image stream %v: %w", object["metadata"], err)
		}
		if namespace == "" || s.Metadata.Namespace == namespace {
			in.Streams = append(in.Streams, s)
		}
	case isImage && object["kind"] == "Image":
		var i imagestream.Image
		if err := decode(object, &i); err != nil {
			return fmt.Errorf("image %v: %w", object["metadata"], err)
		}
		in.Images = append(in.Images, i)
	default:
		var tree map[string]any // as JSON has it: YAML's times are none of it
		if err := decode(object, &tree); err != nil {
			return fmt.Errorf("%v %v: %w", object["kind"], object["metadata"], err)
		}
		in.Workloads = append(in.Workloads, tree)
	}
	return nil
}

func decode(object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

// objects are what a run changes.
type objects struct{ *bolt.Store }

// UpdateStatus implements prune.Objects.
func (o objects) UpdateStatus(ctx context.Context, key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (*imagestream.ImageStream, error) {
	engine := &write.Engine{Store: o.Store}
	return engine.Write(ctx, write.Request{Key: key, Rules: write.AsStatus, Change: change})
}
