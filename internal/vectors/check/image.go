package main

import (
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
}

// orNothing is true, or null.
func orNothing(b bool) any {
	if b {
		return true
	}
	return nil
}
