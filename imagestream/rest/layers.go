package rest

import (
	"context"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/view"
)

func (r streams) Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	s, err := r.store().GetImageStream(ctx, key)
	if err != nil {
		return nil, err
	}
	l, _, err := r.layers(ctx, s)
	return l, err
}

// layers returns the layers of a stream, and its images by name.
func (s *Server) layers(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStreamLayers, map[string]*imagestream.Image, error) {
	images := map[string]*imagestream.Image{}
	asked := map[string]bool{}
	for queue := view.LayersNeeds(stream); len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if name == "" || asked[name] {
			continue
		}
		asked[name] = true
		image, err := s.store().GetImage(ctx, name)
		if errors.Is(err, imagestream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("get the layers of %s: %w", stream.Key(), err)
		}
		images[name] = image
		queue = append(queue, view.ChildNames(image)...)
	}
	l, errs := view.Layers(stream, images)
	if len(errs) > 0 {
		return nil, nil, errs.Of(imagestream.ResourceImageStreams+"/layers", stream.Key())
	}
	return l, images, nil
}

type streamImages struct{ *Server }

func (r streamImages) Get(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamImage, error) {
	stream, id, err := pullspec.ParseImage(key.Name)
	if err == nil && !pullspec.IsPathSegment(stream) {
		err = fmt.Errorf("%q cannot be the name of an image stream", stream)
	}
	if err != nil {
		return nil, badRequest(imagestream.ResourceImageStreamImages, key, err.Error())
	}
	s, err := r.store().GetImageStream(ctx, imagestream.Key{Namespace: key.Namespace, Name: stream})
	if err != nil {
		return nil, err
	}
	l, images, err := r.layers(ctx, s)
	if err != nil {
		return nil, err
	}
	found, ok := view.FindImage(l, id)
	if !ok || images[found] == nil {
		return nil, imagestream.NewError(
			imagestream.ReasonNotFound,
			imagestream.ResourceImageStreamImages,
			key,
			"the image stream holds no such image",
		)
	}
	return view.NewImageStreamImage(s, id, images[found], r.engine().Env())
}
