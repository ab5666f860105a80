// Package cache is an imagestream.Store over another one whose reads are served from memory, which a watch keeps warm.
//
//	streams := cache.New(store, cache.Options{Indexes: cache.Indexes()})
//	go streams.Run(ctx)
//	keys, err := streams.Find(cache.ByImage, "sha256:…") // who holds this image?
//
// # How old an answer is
//
// A get or a list answers with what the watch of the store last delivered: it is as old as the watch is late, as a
// rule milliseconds. [Store.State] tells when the feed was heard from last, and what it failed with. A get, a list and
// [Store.Find] are never older than a write through the same [Store] that had returned, or than what a get of the same
// object answered before: where the feed is not there yet, the read goes to the store. A read under a context of
// [Fresh] always goes to the store. [Store.Values] is what the feed has, however late.
//
// One get can be followed by an older answer: one that the store answered with not found, of an object that others had
// created and deleted again before the cache knew of it. The feed has yet to tell of that object, and for as long as it
// does, gets find it. Versions are opaque, so nothing says how far a feed must come to be past that.
//
// Before the feed has begun, and after it was lost, all reads go to the store, and [Store.Find] is an [ErrNotFed].
// The feed begins again by itself, with a new list, after pauses that grow up to ten seconds while watches deliver
// nothing. So nobody is answered from a state that nothing keeps up to date.
// It also begins again when it is to deliver changes of more than 16,384 objects that were written or read past it.
//
// Lists of several pages show one state. What is left of a list is kept with each page that has a continue token, for
// the newest 64 such pages of all lists together; older tokens end with an error of class imagestream.ErrGone. The
// resource version of a list is one of the store, and watches go on from there. Watches and writes go to the store.
// Images are cached if [Options].Images says so.
//
// A delete takes one get more than that of the store, since the cache must know which object was deleted. An object
// that cannot be read is deleted all the same; what the preconditions leave open is left to the store then.
package cache

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Options say what a Store keeps. The zero value is all image streams, without indexes.
type Options struct {
	// Images keeps the images of the store, too.
	Images bool
	// Indexes are what [Store.Find] can look streams up by.
	Indexes map[string]Index
	// Now is the clock of State; nil is time.Now.
	Now func() time.Time
}

// ErrNotFed is the error of what only a feed can answer, while there is none.
var ErrNotFed = errors.New("the cache is not fed")

// Store is an [imagestream.Store] over another one. It is safe for concurrent use.
type Store struct {
	store   imagestream.Store
	streams *feed[imagestream.ImageStream]
	images  *feed[imagestream.Image] // nil if they are not cached
}

var _ imagestream.Store = (*Store)(nil)

// New returns a cache of a store. It is cold, and passes all reads on, until [Store.Run] has listed the store.
func New(store imagestream.Store, opts Options) *Store {
	now := opts.Now
	if now == nil {
		now = time.Now
	}
	s := &Store{store: store, streams: newFeed(streamKind(store), opts.Indexes, now)}
	if opts.Images {
		s.images = newFeed(imageKind(store), nil, now)
	}
	return s
}

// Run feeds the cache until ctx ends, whose error it returns. It must be called once.
func (s *Store) Run(ctx context.Context) error {
	var all sync.WaitGroup
	all.Go(func() { s.streams.run(ctx) })
	if s.images != nil {
		all.Go(func() { s.images.run(ctx) })
	}
	all.Wait()
	return ctx.Err()
}

// Wait waits until the cache is fed, or ctx ends.
func (s *Store) Wait(ctx context.Context) error {
	err := s.streams.wait(ctx)
	if err == nil && s.images != nil {
		err = s.images.wait(ctx)
	}
	return err
}

// State says what a cache stands on.
type State struct {
	// Version is the resource version that the feed of image streams has reached.
	Version string
	// Heard is when the feed delivered something last: a list, a change or a bookmark.
	Heard time.Time
	// Err is why the cache is not fed now; nil while it is. It is of class ErrNotFed.
	Err error
}

// State returns on what the image streams of the cache stand.
func (s *Store) State() State { return s.streams.state() }

type freshKey struct{}

// Fresh returns a context under which reads go to the store.
func Fresh(ctx context.Context) context.Context { return context.WithValue(ctx, freshKey{}, true) }

func isFresh(ctx context.Context) bool { return ctx.Value(freshKey{}) != nil }

// Find returns the keys of the streams that an index has under a value, in order. An index that Options do not name
// is an error.
func (s *Store) Find(ctx context.Context, index, value string) ([]imagestream.Key, error) {
	return s.streams.find(ctx, index, value)
}

// Values returns what an index has streams under, in order, as far as the feed is: unlike Find, it asks the store for
// nothing.
func (s *Store) Values(index string) ([]string, error) { return s.streams.values(index) }

// GetImageStream implements [imagestream.Reader].
func (s *Store) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return s.streams.read(ctx, key)
}

// ListImageStreams implements [imagestream.Reader].
func (s *Store) ListImageStreams(
	ctx context.Context,
	opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	items, meta, ok, err := s.streams.list(ctx, opts)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.store.ListImageStreams(ctx, opts)
	}
	return &imagestream.ImageStreamList{
		TypeMeta: imagestream.TypeMeta{
			Kind:       "ImageStreamList",
			APIVersion: imagestream.APIVersion,
		},
		Metadata: meta,
		Items:    items,
	}, nil
}

// WatchImageStreams implements [imagestream.Reader].
func (s *Store) WatchImageStreams(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return s.store.WatchImageStreams(ctx, opts)
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return s.streams.write(
		stream.Key(),
		"",
		func() (*imagestream.ImageStream, error) { return s.store.CreateImageStream(ctx, stream) },
	)
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return s.streams.write(
		stream.Key(),
		stream.Metadata.ResourceVersion,
		func() (*imagestream.ImageStream, error) { return s.store.UpdateImageStream(ctx, stream) },
	)
}

// DeleteImageStream implements [imagestream.Store].
func (s *Store) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	return s.streams.remove(
		ctx,
		key,
		only,
		func(only imagestream.Preconditions) error { return s.store.DeleteImageStream(ctx, key, only) },
	)
}

// GetImage implements [imagestream.Reader].
func (s *Store) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	if s.images == nil {
		return s.store.GetImage(ctx, name)
	}
	return s.images.read(ctx, imagestream.Key{Name: name})
}

// ListImages implements [imagestream.Reader].
func (s *Store) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	if s.images == nil {
		return s.store.ListImages(ctx, opts)
	}
	opts.Namespace = ""
	items, meta, ok, err := s.images.list(ctx, opts)
	if err != nil {
		return nil, err
	}
	if !ok {
		return s.store.ListImages(ctx, opts)
	}
	return &imagestream.ImageList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageList", APIVersion: imagestream.APIVersion}, Metadata: meta, Items: items,
	}, nil
}

// WatchImages implements [imagestream.Reader].
func (s *Store) WatchImages(
	ctx context.Context,
	opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return s.store.WatchImages(ctx, opts)
}

// CreateImage implements [imagestream.Store].
func (s *Store) CreateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	if s.images == nil {
		return s.store.CreateImage(ctx, image)
	}
	return s.images.write(
		imageKey(image),
		"",
		func() (*imagestream.Image, error) { return s.store.CreateImage(ctx, image) },
	)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	if s.images == nil {
		return s.store.UpdateImage(ctx, image)
	}
	return s.images.write(
		imageKey(image),
		image.Metadata.ResourceVersion,
		func() (*imagestream.Image, error) { return s.store.UpdateImage(ctx, image) },
	)
}

// DeleteImage implements [imagestream.Store].
func (s *Store) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	if s.images == nil {
		return s.store.DeleteImage(ctx, name, only)
	}
	key := imagestream.Key{Name: name}
	return s.images.remove(
		ctx,
		key,
		only,
		func(only imagestream.Preconditions) error { return s.store.DeleteImage(ctx, name, only) },
	)
}

// notFed returns the error of what needs a feed.
func notFed(cause error) error {
	if cause == nil {
		return ErrNotFed
	}
	return fmt.Errorf("%w: %w", ErrNotFed, cause)
}
