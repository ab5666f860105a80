package main

import (
	"context"
	"errors"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// stored is what the store of a case holds, as it is: a fake would give it other versions.
type stored struct {
	environment
	Images []*imagestream.Image
}

func (s *stored) GetImageStream(_ context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	for _, stream := range s.Streams {
		if stream.Key() == key {
			return stream, nil
		}
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "")
}

func (s *stored) GetImage(_ context.Context, name string) (*imagestream.Image, error) {
	for _, image := range s.Images {
		if image.Metadata.Name == name {
			return image, nil
		}
	}
	return nil, imagestream.NewError(
		imagestream.ReasonNotFound,
		imagestream.ResourceImages,
		imagestream.Key{Name: name},
		"",
	)
}

func (s *stored) ListImageStreams(
	_ context.Context,
	opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	list := &imagestream.ImageStreamList{}
	for _, stream := range s.Streams {
		if (opts.Namespace == "" || stream.Metadata.Namespace == opts.Namespace) &&
			opts.Labels.Matches(stream.Metadata.Labels) {
			list.Items = append(list.Items, *stream)
		}
	}
	slices.SortFunc(list.Items, func(a, b imagestream.ImageStream) int { return a.Key().Compare(b.Key()) })
	return list, nil
}

type viewInput struct {
	Namespace, Name              string
	LabelSelector, FieldSelector string
}

func (in viewInput) key() imagestream.Key {
	return imagestream.Key{Namespace: in.Namespace, Name: in.Name}
}

// viewRunner runs a verb that reads.
func viewRunner[T any](get func(ctx context.Context, api rest.API, in viewInput) (T, error)) runner {
	return func(c *call) (any, error) {
		var e stored
		var in viewInput
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		v, err := get(context.Background(), (&caseStore{stored: e}).server(), in)
		if err != nil {
			return failure(err)
		}
		return object{"object": v}, nil
	}
}

// listRunner runs a method that lists.
func listRunner[T any](list func(ctx context.Context, api rest.API, opts rest.ListOptions) (T, error)) runner {
	return viewRunner(func(ctx context.Context, api rest.API, in viewInput) (v T, err error) {
		opts := rest.ListOptions{Namespace: in.Namespace, Fields: in.FieldSelector}
		if opts.Labels, err = imagestream.ParseSelector(in.LabelSelector); err != nil {
			return v, imagestream.NewError(imagestream.ReasonBadRequest, "", imagestream.Key{}, err.Error())
		}
		return list(ctx, api, opts)
	})
}

var viewOps = map[string]runner{
	"istag.get": viewRunner(func(ctx context.Context, api rest.API, in viewInput) (*imagestream.ImageStreamTag, error) {
		return api.ImageStreamTags().Get(ctx, in.key())
	}),
	"imagetag.get": viewRunner(func(ctx context.Context, api rest.API, in viewInput) (*imagestream.ImageTag, error) {
		return api.ImageTags().Get(ctx, in.key())
	}),
	"isimage.get": viewRunner(
		func(ctx context.Context, api rest.API, in viewInput) (*imagestream.ImageStreamImage, error) {
			return api.ImageStreamImages().Get(ctx, in.key())
		},
	),
	"layers.get": viewRunner(
		func(ctx context.Context, api rest.API, in viewInput) (*imagestream.ImageStreamLayers, error) {
			return api.ImageStreams().Layers(ctx, in.key())
		},
	),
	"istag.list": listRunner(
		func(ctx context.Context, api rest.API, opts rest.ListOptions) (*imagestream.ImageStreamTagList, error) {
			return api.ImageStreamTags().List(ctx, opts)
		},
	),
	"imagetag.list": listRunner(
		func(ctx context.Context, api rest.API, opts rest.ListOptions) (*imagestream.ImageTagList, error) {
			return api.ImageTags().List(ctx, opts)
		},
	),
}
