package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/tagevent"
)

var imageOps = map[string]runner{
	"image.metadata": func(c *call) (any, error) {
		var e struct{ Now time.Time }
		var in struct{ Image *imagestream.Image }
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		image, err := manifest.Complete(in.Image, tagevent.TimeOf(e.Now))
		return object{"image": image, "error": orNothing(err != nil)}, nil
	},
	"image.create": imageRunner(func(s *caseStore, in imageInput) (*imagestream.Image, error) {
		image, errs := manifest.PrepareImageCreate(in.Object, s.env())
		if len(errs) > 0 {
			return nil, errs.Of(imagestream.ResourceImages, imagestream.Key{Name: in.Object.Metadata.Name})
		}
		return s.CreateImage(context.Background(), image)
	}),
	"image.update": imageRunner(func(s *caseStore, in imageInput) (*imagestream.Image, error) {
		old, err := s.GetImage(context.Background(), in.Name)
		if err != nil {
			return nil, err
		}
		if err := old.CheckUpdate(in.Object); err != nil {
			return nil, err
		}
		image, errs := manifest.PrepareImageUpdate(old, in.Object, s.env())
		if len(errs) > 0 {
			return nil, errs.Of(imagestream.ResourceImages, imagestream.Key{Name: in.Name})
		}
		// Metadata is compared in the form in which it is written.
		blank := *old
		blank.DockerImageManifest = ""
		before, err := manifest.Complete(&blank, 0)
		if err != nil {
			return nil, err
		}
		before.DockerImageManifest = old.DockerImageManifest
		if !equalJSON(image, before) {
			s.stamp(&image.Metadata)
		}
		return image, nil
	}),
}

type imageInput struct {
	Name   string
	Object *imagestream.Image
}

// imageRunner runs a write of an image.
func imageRunner(write func(s *caseStore, in imageInput) (*imagestream.Image, error)) runner {
	return func(c *call) (any, error) {
		var args struct {
			stored
			UID, RV string
		}
		var in imageInput
		if err := errors.Join(c.env(&args), c.in(&in)); err != nil {
			return nil, err
		}
		s := &caseStore{stored: args.stored, UID: args.UID, RV: args.RV}
		image, err := write(s, in)
		if err != nil {
			return failure(err)
		}
		s.version(&image.Metadata)
		return object{"image": image}, nil
	}
}

// equalJSON reports whether two values have the same JSON.
func equalJSON(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// orNothing is true, or null.
func orNothing(b bool) any {
	if b {
		return true
	}
	return nil
}
