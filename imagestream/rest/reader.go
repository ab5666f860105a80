package rest

import (
	"context"
	"iter"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Reader returns the image streams and images of api as an [imagestream.Reader], for what reads a Store: lookup,
// triggers, a cache, package follow. It keeps the contract of a Reader as far as api does.
func Reader(api API) imagestream.Reader { return reader{api.ImageStreams(), api.Images()} }

type reader struct {
	streams ImageStreams
	images  Images
}

func (r reader) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return r.streams.Get(ctx, key)
}

func (r reader) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	return r.streams.List(ctx, listOptions(opts, opts.Namespace))
}

func (r reader) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return r.streams.Watch(ctx, watchOptions(opts, opts.Namespace))
}

func (r reader) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return r.images.Get(ctx, imagestream.Key{Name: name})
}

func (r reader) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	return r.images.List(ctx, listOptions(opts, ""))
}

func (r reader) WatchImages(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return r.images.Watch(ctx, watchOptions(opts, ""))
}

func listOptions(opts imagestream.ListOptions, namespace string) ListOptions {
	return ListOptions{Namespace: namespace, Labels: opts.Labels, Limit: opts.Limit, Continue: opts.Continue}
}

func watchOptions(opts imagestream.WatchOptions, namespace string) WatchOptions {
	w := WatchOptions{Namespace: namespace, Labels: opts.Labels, ResourceVersion: opts.ResourceVersion}
	if opts.Name != "" {
		w.Fields = "metadata.name=" + opts.Name
	}
	return w
}
