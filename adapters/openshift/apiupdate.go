package openshift

import (
	"context"
	"errors"
	"fmt"

	imagev1 "github.com/openshift/api/image/v1"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/view"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// updater updates the objects of a resource by functions.
type updater[T Theirs, O Ours] struct {
	resource string
	meta     func(*O) *imagestream.ObjectMeta
	// get returns the old object, and whether the update will not create it; nil if it creates one from nothing.
	get func(ctx context.Context, key imagestream.Key, opts rest.UpdateOptions) (old *O, exists bool, err error)
	put func(namespace string) updates[T]
	// post creates what has no old object: what posted makes of the next one. If that is nil, the next one is put.
	post   func(namespace string) creates[T]
	posted func(next *O) *O
	// blind lets an object without a version replace whatever there is.
	blind bool
	// check refuses what a cluster cannot keep.
	check func(key imagestream.Key, old, next *O) error
}

func (u updater[T, O]) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[O], opts rest.UpdateOptions,
) (stored *O, created bool, err error) {
	version := "" // of the old object that was overtaken before
	err = (&write.Engine{}).Retry(ctx, key, 0, func() (overtaken bool, err error) {
		old, exists, err := u.get(ctx, key, opts)
		if err != nil {
			return false, err
		}
		next, err := u.next(key, old, change)
		if err != nil {
			return false, err
		}
		created = !exists
		switch {
		case old == nil:
			stored, err = u.create(ctx, key, next, opts)
			return errors.Is(err, imagestream.ErrAlreadyExists), err
		case next == old && !u.blind:
			stored = old
			return false, nil
		}
		had, has := u.meta(old).ResourceVersion, u.meta(next).ResourceVersion
		if u.blind && has == "" {
			versioned := *next
			u.meta(&versioned).ResourceVersion = had
			next, has = &versioned, had
		}
		stored, err = u.replace(ctx, key, next, opts)
		// What overtakes a write changes the version; a conflict about anything else would come again.
		overtaken = errors.Is(err, imagestream.ErrConflict) && has == had && had != version
		version = had
		return overtaken, err
	})
	if err != nil {
		return nil, false, err
	}
	return stored, created, nil
}

// next returns what change makes of old.
func (u updater[T, O]) next(key imagestream.Key, old *O, change rest.Change[O]) (*O, error) {
	next, err := change(old)
	if err != nil {
		return nil, err
	}
	if next == nil {
		return nil, badRequest(u.resource, key, "the change returned no object: return the old one if nothing changes")
	}
	if name := u.meta(next).Name; name != key.Name {
		return nil, badRequest(u.resource, key,
			fmt.Sprintf("the object's name is %q: it must be the request's, %q", name, key.Name))
	}
	return next, u.check(key, old, next)
}

func noObject(resource, namespace string) error {
	return badRequest(resource, imagestream.Key{Namespace: namespace}, "there is no object to create")
}

func badRequest(resource string, key imagestream.Key, message string) error {
	return Error(imagestream.NewError(imagestream.ReasonBadRequest, resource, key, message))
}

func (u updater[T, O]) create(ctx context.Context, key imagestream.Key, next *O, opts rest.UpdateOptions) (*O, error) {
	sent := u.posted(next)
	if sent == nil {
		return u.replace(ctx, key, next, opts)
	}
	stored, err := u.post(key.Namespace).Create(ctx, ToAPI[T](sent), metav1.CreateOptions{DryRun: dry(opts.DryRun)})
	return answered[O](ctx, kindOf(u.resource), u.resource, key, stored, err)
}

func (u updater[T, O]) replace(ctx context.Context, key imagestream.Key, next *O, opts rest.UpdateOptions) (*O, error) {
	stored, err := u.put(key.Namespace).Update(ctx, ToAPI[T](next), metav1.UpdateOptions{DryRun: dry(opts.DryRun)})
	return answered[O](ctx, kindOf(u.resource), u.resource, key, stored, err)
}

// objectUpdater returns the updater of objects that verbs get and create.
func objectUpdater[T Theirs, O Ours](
	g getter[T, O], put func(string) updates[T], post func(string) creates[T], meta func(*O) *imagestream.ObjectMeta,
) updater[T, O] {
	return updater[T, O]{
		resource: g.resource, meta: meta, put: put, post: post,
		get: func(ctx context.Context, key imagestream.Key, opts rest.UpdateOptions) (*O, bool, error) {
			old, err := g.Get(ctx, key)
			if opts.OrCreate && errors.Is(err, imagestream.ErrNotFound) {
				return nil, false, nil
			}
			return old, err == nil, err
		},
		posted: func(next *O) *O { return next },
		check:  func(imagestream.Key, *O, *O) error { return nil },
	}
}

// tagUpdater returns the updater of tags, which show makes of their streams.
func tagUpdater[T Theirs, O Ours](
	c cluster, resource string, put func(string) updates[T], post func(string) creates[T],
	meta func(*O) *imagestream.ObjectMeta, posted func(*O) *O,
	show func(stream *imagestream.ImageStream, tag string) (*O, error),
) updater[T, O] {
	return updater[T, O]{
		resource: resource, meta: meta, put: put, post: post, blind: true,
		get: func(ctx context.Context, key imagestream.Key, _ rest.UpdateOptions) (*O, bool, error) {
			name, tag, err := pullspec.ParseTag(key.Name)
			if err != nil {
				return nil, false, badRequest(resource, key, err.Error())
			}
			stream, err := c.ImageStreams().Get(ctx, imagestream.Key{Namespace: key.Namespace, Name: name})
			if errors.Is(err, imagestream.ErrNotFound) {
				return nil, false, nil
			}
			if err != nil {
				return nil, false, err
			}
			_, exists := stream.SpecTag(tag)
			old, err := show(stream, tag)
			return old, exists, err
		},
		posted: func(next *O) *O {
			if meta(next).ResourceVersion != "" {
				return nil
			}
			return posted(next)
		},
		check: func(imagestream.Key, *O, *O) error { return nil },
	}
}

// statusUpdates is the update of a status.
type statusUpdates struct{ typedv1.ImageStreamInterface }

func (s statusUpdates) Update(
	ctx context.Context, o *imagev1.ImageStream, opts metav1.UpdateOptions,
) (*imagev1.ImageStream, error) {
	return s.UpdateStatus(ctx, o, opts)
}

func streamMeta(s *imagestream.ImageStream) *imagestream.ObjectMeta { return &s.Metadata }

func (c clusterStreams) Create(
	ctx context.Context, namespace string, stream *imagestream.ImageStream, opts rest.CreateOptions,
) (*imagestream.ImageStream, error) {
	if stream == nil {
		return nil, noObject(imagestream.ResourceImageStreams, namespace)
	}
	key := imagestream.Key{Namespace: namespace, Name: stream.Metadata.Name}
	if err := keepsPins(key, nil, stream); err != nil {
		return nil, err
	}
	return c.creator.Create(ctx, namespace, stream, opts)
}

func (c clusterStreams) updater(
	put func(namespace string) updates[imagev1.ImageStream],
) updater[imagev1.ImageStream, imagestream.ImageStream] {
	return objectUpdater(c.getter, put, c.creator.in, streamMeta)
}

func (c clusterStreams) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, bool, error) {
	u := c.updater(func(ns string) updates[imagev1.ImageStream] { return c.client.ImageStreams(ns) })
	u.check = keepsPins
	return u.Update(ctx, key, change, opts)
}

func (c clusterStreams) UpdateStatus(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, error) {
	opts.OrCreate = false
	u := c.updater(func(ns string) updates[imagev1.ImageStream] { return statusUpdates{c.client.ImageStreams(ns)} })
	stored, _, err := u.Update(ctx, key, change, opts)
	return stored, err
}

func (c clusterImages) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.Image], opts rest.UpdateOptions,
) (*imagestream.Image, bool, error) {
	put := func(string) updates[imagev1.Image] { return c.client.Images() }
	return objectUpdater(c.getter, put, c.creator.in, func(i *imagestream.Image) *imagestream.ObjectMeta {
		return &i.Metadata
	}).Update(ctx, key, change, opts)
}

// clusterTags are the verbs of a resource of tags.
type clusterTags[T, L Theirs, O, OL Ours] struct {
	basics[T, L, O, OL]
	updater[T, O]
}

func (c cluster) ImageStreamTags() rest.ImageStreamTags {
	type tag = imagestream.ImageStreamTag
	const resource = imagestream.ResourceImageStreamTags
	all := basicsOf[imagev1.ImageStreamTag, imagev1.ImageStreamTagList, tag, imagestream.ImageStreamTagList](
		resource, c.client.ImageStreamTags)
	return clusterTags[imagev1.ImageStreamTag, imagev1.ImageStreamTagList, tag, imagestream.ImageStreamTagList]{
		all,
		tagUpdater(c, resource,
			func(ns string) updates[imagev1.ImageStreamTag] { return c.client.ImageStreamTags(ns) }, all.creator.in,
			func(t *tag) *imagestream.ObjectMeta { return &t.Metadata },
			func(t *tag) *tag {
				if t.Tag == nil {
					return nil
				}
				// A PUT takes the annotations of the metadata, a POST those of the tag.
				sent, source := *t, *t.Tag
				if source.Annotations == nil {
					source.Annotations = t.Metadata.Annotations
				}
				sent.Tag = &source
				return &sent
			},
			func(s *imagestream.ImageStream, name string) (*tag, error) {
				return view.NewImageStreamTag(s, name, nil, imagestream.Env{})
			}),
	}
}

func (c cluster) ImageTags() rest.ImageTags {
	type tag = imagestream.ImageTag
	const resource = imagestream.ResourceImageTags
	all := basicsOf[imagev1.ImageTag, imagev1.ImageTagList, tag, imagestream.ImageTagList](resource, c.client.ImageTags)
	return clusterTags[imagev1.ImageTag, imagev1.ImageTagList, tag, imagestream.ImageTagList]{
		all,
		tagUpdater(c, resource,
			func(ns string) updates[imagev1.ImageTag] { return c.client.ImageTags(ns) }, all.creator.in,
			func(t *tag) *imagestream.ObjectMeta { return &t.Metadata },
			func(t *tag) *tag {
				if t.Spec == nil {
					return nil
				}
				return t
			},
			func(s *imagestream.ImageStream, name string) (*tag, error) {
				old, _, err := view.NewImageTag(s, name, nil, imagestream.Env{})
				return old, err
			}),
	}
}
