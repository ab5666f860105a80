package main

import (
	"errors"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
)

var describeOps = map[string]runner{
	"describe.imagestream": func(c *call) (any, error) {
		var e environment
		var in struct{ Object *imagestream.ImageStream }
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		var text strings.Builder
		if err := describe.ImageStream(&text, in.Object, e.Now); err != nil {
			return nil, err
		}
		return object{"text": text.String()}, nil
	},
}
