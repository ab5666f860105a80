package openshift

import (
	"context"
	"errors"
	"iter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	listers "github.com/openshift/client-go/image/listers/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Reader reads a cluster's image streams and images. It is safe for concurrent use.
type Reader struct {
	Client versioned.Interface
	// Streams and Images, if they are not nil, are where single objects are got from: an informer's copies, which may be
	// behind. Lists and watches always ask the cluster, whose versions they need.
	Streams listers.ImageStreamLister
	Images  listers.ImageLister
}

var _ imagestream.Reader = (*Reader)(nil)

// requests reads by requests to the cluster.
func (r *Reader) requests() imagestream.Reader { return rest.Reader(API(r.Client)) }

// GetImageStream implements [imagestream.Reader].
func (r *Reader) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	var s *imagev1.ImageStream
	err := ctx.Err()
	switch {
	case err != nil:
	case r.Streams != nil:
		s, err = r.Streams.ImageStreams(key.Namespace).Get(key.Name)
	default:
		s, err = r.Client.ImageV1().ImageStreams(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, failure(ctx, err, imagestream.ResourceImageStreams, key)
	}
	return FromAPI[imagestream.ImageStream](s)
}

// GetImage implements [imagestream.Reader].
func (r *Reader) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	var i *imagev1.Image
	err := ctx.Err()
	switch {
	case err != nil:
	case r.Images != nil:
		i, err = r.Images.Get(name)
	default:
		i, err = r.Client.ImageV1().Images().Get(ctx, name, metav1.GetOptions{})
	}
	if err != nil {
		return nil, failure(ctx, err, imagestream.ResourceImages, imagestream.Key{Name: name})
	}
	return FromAPI[imagestream.Image](i)
}

// ListImageStreams implements [imagestream.Reader].
func (r *Reader) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	return r.requests().ListImageStreams(ctx, opts)
}

// ListImages implements [imagestream.Reader].
func (r *Reader) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	return r.requests().ListImages(ctx, opts)
}

// WatchImageStreams implements [imagestream.Reader]. The cluster ends its watches now and then; this one goes on.
func (r *Reader) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return r.requests().WatchImageStreams(ctx, opts)
}

// WatchImages implements [imagestream.Reader]. The cluster ends its watches now and then; this one goes on.
func (r *Reader) WatchImages(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return r.requests().WatchImages(ctx, opts)
}

// watcher watches objects of one type.
type watcher[T any] struct {
	resource string
	open     func(context.Context, metav1.ListOptions) (watch.Interface, error)
	list     func() (items []T, version string, err error)
	read     func(runtime.Object) (o *T, version string, err error)
}

var errOtherType = errors.New("the watch sent an object of another type")

func (w watcher[T]) watch(ctx context.Context, opts rest.WatchOptions) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		version := opts.ResourceVersion
		var first []T
		var err error
		if version == "" {
			first, version, err = w.list()
		}
		for err == nil {
			var events watch.Interface
			events, err = w.open(ctx, metav1.ListOptions{
				LabelSelector: opts.Labels.String(), FieldSelector: opts.Fields, ResourceVersion: version,
				AllowWatchBookmarks: true,
			})
			if err != nil {
				break
			}
			for i := range first {
				if !yield(imagestream.Change[T]{Type: imagestream.Added, Object: &first[i]}, nil) {
					events.Stop()
					return
				}
			}
			first = nil
			before := version
			var stopped bool
			version, stopped, err = w.follow(ctx, events, version, yield)
			events.Stop()
			if stopped {
				return
			}
			if err == nil && version == before {
				err = pause(ctx)
			}
		}
		yield(imagestream.Change[T]{}, failure(ctx, err, w.resource, imagestream.Key{Namespace: opts.Namespace}))
	}
}

// pause waits before a watch that ended without an event is opened again.
func pause(ctx context.Context) error {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// follow yields events until they end, and returns the version reached and whether the caller has had enough.
func (w watcher[T]) follow(
	ctx context.Context, events watch.Interface, version string, yield func(imagestream.Change[T], error) bool,
) (reached string, stopped bool, err error) {
	for {
		select {
		case <-ctx.Done():
			return version, false, ctx.Err()
		case event, open := <-events.ResultChan():
			if !open {
				return version, false, ctx.Err()
			}
			if event.Type == watch.Error {
				return version, false, apierrors.FromObject(event.Object)
			}
			o, at, err := w.read(event.Object)
			if err != nil {
				return version, false, err
			}
			version = at
			if !yield(imagestream.Change[T]{Type: imagestream.ChangeType(event.Type), Object: o}, nil) {
				return version, true, nil
			}
		}
	}
}

// failure returns an error of the cluster's client as one of both sides, and that of ctx if it has ended.
func failure(ctx context.Context, err error, resource string, key imagestream.Key) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errorAbout(err, resource, key)
}
