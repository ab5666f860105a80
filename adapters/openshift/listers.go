package openshift

import (
	"context"
	"runtime"
	"sync"
	"weak"

	imagev1 "github.com/openshift/api/image/v1"
	listers "github.com/openshift/client-go/image/listers/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// Listers is a [lookup.Source] on informers' copies, for lookups and triggers: an object is converted once, however
// often it is asked for, until the informer has another one in its place. Results are frozen: they share memory with
// the informer's objects and are everybody's, so that nobody may change them. [Reader] returns copies.
//
// Without Images, lookups resolve from streams alone, as [lookup.ErrNoImages] says. It is safe for concurrent use.
type Listers struct {
	Streams listers.ImageStreamLister
	Images  listers.ImageLister

	streams memo[imagev1.ImageStream, imagestream.ImageStream]
	images  memo[imagev1.Image, imagestream.Image]
}

var _ lookup.Source = (*Listers)(nil)

// GetImageStream implements [lookup.Source].
func (l *Listers) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	err := ctx.Err()
	var s *imagev1.ImageStream
	if err == nil {
		s, err = l.Streams.ImageStreams(key.Namespace).Get(key.Name)
	}
	if err != nil {
		return nil, failure(ctx, err, imagestream.ResourceImageStreams, key)
	}
	return l.streams.of(s)
}

// GetImage implements [lookup.Source].
func (l *Listers) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	if l.Images == nil {
		return nil, lookup.ErrNoImages
	}
	err := ctx.Err()
	var i *imagev1.Image
	if err == nil {
		i, err = l.Images.Get(name)
	}
	if err != nil {
		return nil, failure(ctx, err, imagestream.ResourceImages, imagestream.Key{Name: name})
	}
	return l.images.of(i)
}

// memo keeps what objects were converted to, as long as somebody else keeps the objects.
type memo[T, O any] struct {
	converted sync.Map // weak.Pointer[T] to *O
}

func (m *memo[T, O]) of(object *T) (*O, error) {
	key := weak.Make(object)
	if known, ok := m.converted.Load(key); ok {
		return known.(*O), nil
	}
	ours, err := converted[O](sharing, object)
	if err != nil {
		return nil, err
	}
	known, found := m.converted.LoadOrStore(key, ours)
	if !found {
		runtime.AddCleanup(object, func(key weak.Pointer[T]) { m.converted.Delete(key) }, key)
	}
	return known.(*O), nil
}
