package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/imagestream"
)

// readFiles reads the files: workloads into the program, and, where no store was named, streams and images into the
// one in memory.
func (a *app) readFiles(ctx context.Context) error {
	for _, file := range a.files {
		if err := streamfiles.Each(file, func(object map[string]any) error { return a.add(ctx, object) }); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) add(ctx context.Context, object map[string]any) error {
	isImage := object["apiVersion"] == imagestream.APIVersion
	switch {
	case isImage && a.db != "":
		return nil
	case isImage && object["kind"] == "ImageStream":
		var s imagestream.ImageStream
		err := decode(object, &s)
		if s.Metadata.UID, s.Metadata.ResourceVersion = "", ""; err == nil {
			_, err = a.store.CreateImageStream(ctx, &s)
		}
		return told(object, err)
	case isImage && object["kind"] == "Image":
		var i imagestream.Image
		err := decode(object, &i)
		if i.Metadata.UID, i.Metadata.ResourceVersion = "", ""; err == nil {
			_, err = a.store.CreateImage(ctx, &i)
		}
		return told(object, err)
	}
	var tree map[string]any // as JSON has it: YAML's times are none of it
	err := decode(object, &tree)
	a.workloads = append(a.workloads, tree)
	return told(object, err)
}

// told adds to an error which object it is about.
func told(object map[string]any, err error) error {
	metadata, _ := object["metadata"].(map[string]any)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, imagestream.ErrAlreadyExists):
		return fmt.Errorf("%v %v stands in the files more than once", object["kind"], metadata["name"])
	}
	return fmt.Errorf("%v %v: %w", object["kind"], metadata["name"], err)
}

func decode(object map[string]any, into any) error {
	text, err := json.Marshal(object)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}
