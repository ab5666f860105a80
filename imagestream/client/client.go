// Package client does what people do with image streams: one method for each thing, on any Store.
//
//	streams := &client.Client{Writer: imagestream.Writer{Store: store}, Registry: registry}
//	app := imagestream.Key{Namespace: "shop", Name: "app"}
//	_, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
//	_, err = streams.Import(ctx, app)
//	_, err = streams.Rollback(ctx, app, "v1", 1)
//
// Every method reads, computes with the pure functions of the packages below, and writes; if somebody else
// wrote meanwhile, it begins again, until its context ends. Conflicts never reach the caller, unless
// Writer.Attempts bounds the tries. What a method returns is the caller's.
//
// # Errors
//
// All methods give the errors of the Store and the context's. What does not exist is of class
// [imagestream.ErrNotFound], wrong input of class [imagestream.ErrInvalid] with the fields, a tag that may not
// come from there of class [imagestream.ErrInvalid] or [imagestream.ErrForbidden]. What else there is stands at
// the method.
//
// # Differences from OpenShift
//
// There is no such client; "oc" and a typed clientset do these things in several requests each, and leave
// conflicts to the caller. The words of oc are in package oc.
package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/view"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Interface is what a client does; [Client] does it on a Store, another one may on a cluster.
type Interface interface {
	Create(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error)
	Get(ctx context.Context, stream imagestream.Key) (*imagestream.ImageStream, error)
	List(ctx context.Context, opts imagestream.ListOptions) iter.Seq2[*imagestream.ImageStream, error]
	Watch(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.ImageStream], error]
	Update(ctx context.Context, stream imagestream.Key, change func(*imagestream.ImageStream) (*imagestream.ImageStream, error)) (*imagestream.ImageStream, error)
	Delete(ctx context.Context, stream imagestream.Key) error

	Tag(ctx context.Context, stream imagestream.Key, tag, pullSpec string, opts TagOptions) (*imagestream.ImageStream, error)
	Copy(ctx context.Context, stream imagestream.Key, tag string, from imagestream.Key, fromTag string) (*imagestream.ImageStream, error)
	Alias(ctx context.Context, stream imagestream.Key, tag, target string) (*imagestream.ImageStream, error)
	Track(ctx context.Context, stream imagestream.Key, tag string, from imagestream.Key, fromTag string) (*imagestream.ImageStream, error)
	Untag(ctx context.Context, stream imagestream.Key, tag string) error
	Push(ctx context.Context, stream imagestream.Key, tag string, image *imagestream.Image) (*imagestream.ImageStream, error)
	Import(ctx context.Context, stream imagestream.Key, tags ...string) (*imagestream.ImageStreamImport, error)
	Rollback(ctx context.Context, stream imagestream.Key, tag string, events int) (*imagestream.ImageStream, error)
	Pin(ctx context.Context, stream imagestream.Key, tag, image string, opts PinOptions) (*imagestream.ImageStream, error)
	Unpin(ctx context.Context, stream imagestream.Key, tag string) (*imagestream.ImageStream, error)
	SetLookup(ctx context.Context, stream imagestream.Key, local bool) (*imagestream.ImageStream, error)

	History(ctx context.Context, stream imagestream.Key, tag string) (tagevent.History, error)
	Wait(ctx context.Context, stream imagestream.Key, tag string) (tagevent.Event, error)
}

var _ Interface = (*Client)(nil)

// Client is an [Interface] on a Store. Only Writer.Store must be set. It is safe for concurrent use, must not
// be copied, and its fields are not to be changed once it is used.
type Client struct {
	// Writer has the store, the authorizer, the registries' hosts, the limits and the clock.
	Writer imagestream.Writer
	// Registry is where images are imported from; nil imports nothing.
	Registry importer.Registry
	// Trace is told how imports go on. It may be nil.
	Trace *importer.Trace

	once     sync.Once
	importer *importer.Importer
}

// ErrNoRegistry means that a client that has no Registry was asked to import.
var ErrNoRegistry = errors.New("this client has no Registry to import from: set Client.Registry")

// Create stores a new stream and returns it as stored. One that exists is an error of class
// [imagestream.ErrAlreadyExists].
func (c *Client) Create(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return c.Writer.Create(ctx, stream)
}

// Get returns a stream.
func (c *Client) Get(ctx context.Context, stream imagestream.Key) (*imagestream.ImageStream, error) {
	return c.Writer.Store.GetImageStream(ctx, stream)
}

// List yields streams by namespace and name, page by page, and ends with the first error.
func (c *Client) List(ctx context.Context, opts imagestream.ListOptions) iter.Seq2[*imagestream.ImageStream, error] {
	return imagestream.AllImageStreams(ctx, c.Writer.Store, opts)
}

// Watch yields what happens to streams until the caller stops or an error ends it; one of class
// [imagestream.ErrGone] means that the watch was too slow, or began too far back: list, and watch from there.
func (c *Client) Watch(ctx context.Context, opts imagestream.WatchOptions) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return c.Writer.Store.WatchImageStreams(ctx, opts)
}

// Update stores what change makes of a stream, by the rules of [imagestream.PrepareUpdate], and returns it as
// stored. Change is called again, with the fresh stream, if somebody else wrote meanwhile; its argument is
// frozen. An error of change ends it.
func (c *Client) Update(ctx context.Context, stream imagestream.Key, change func(*imagestream.ImageStream) (*imagestream.ImageStream, error)) (*imagestream.ImageStream, error) {
	return c.Writer.Update(ctx, stream, change)
}

// Delete removes a stream with its history. The images stay.
func (c *Client) Delete(ctx context.Context, stream imagestream.Key) error {
	return c.Writer.Store.DeleteImageStream(ctx, stream, imagestream.Preconditions{})
}

// TagOptions are how a tag that comes from a registry is imported and referred to. The zero value is what the
// API takes: imported once, mode Legacy, referred to by its source.
type TagOptions struct {
	// Scheduled imports it again and again, if something does that.
	Scheduled bool
	// Insecure allows plain HTTP and TLS without a valid certificate.
	Insecure bool
	// Reference never imports it: the pull spec stands for itself.
	Reference       bool
	ImportMode      imagestream.ImportModeType
	ReferencePolicy imagestream.TagReferencePolicyType
	Annotations     map[string]string
}

// Tag lets a tag come from an image of a registry. A stream that does not exist is created. Nothing is
// imported yet: [Client.Import] does it.
func (c *Client) Tag(ctx context.Context, stream imagestream.Key, tag, pullSpec string, opts TagOptions) (*imagestream.ImageStream, error) {
	if _, err := pullspec.Parse(pullSpec); err != nil {
		return nil, invalidTag(stream, tag, "from.name", pullSpec, pullspec.Reason(err))
	}
	asksForImport := int64(0)
	return c.setTag(ctx, stream, imagestream.TagReference{
		Name: tag, Annotations: opts.Annotations, Reference: opts.Reference, Generation: &asksForImport,
		From:            &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: pullSpec},
		ImportPolicy:    imagestream.TagImportPolicy{Insecure: opts.Insecure, Scheduled: opts.Scheduled, ImportMode: opts.ImportMode},
		ReferencePolicy: imagestream.TagReferencePolicy{Type: opts.ReferencePolicy},
	})
}

// Copy lets a tag be the image that a tag, of this or another stream, has now; it stays there when that one
// moves. A stream that does not exist is created. A tag without an image to copy is an error of class
// [imagestream.ErrNotFound].
func (c *Client) Copy(ctx context.Context, stream imagestream.Key, tag string, from imagestream.Key, fromTag string) (*imagestream.ImageStream, error) {
	source, err := c.Get(ctx, from)
	if err != nil {
		return nil, err
	}
	event, ok := source.LatestEvent(fromTag)
	if !ok {
		return nil, tagNotFound(from, fromTag, "it has no image yet: import it, or push to it")
	}
	ref := &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: pullspec.JoinImage(from.Name, event.Image)}
	if event.Image == "" {
		ref = &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: event.DockerImageReference}
	} else if from.Namespace != stream.Namespace {
		ref.Namespace = from.Namespace
	}
	return c.setTag(ctx, stream, imagestream.TagReference{Name: tag, From: ref})
}

// Alias lets a tag follow another tag of the same stream: whatever that one points at, it points at.
func (c *Client) Alias(ctx context.Context, stream imagestream.Key, tag, target string) (*imagestream.ImageStream, error) {
	if tag == target {
		return nil, invalidTag(stream, tag, "from.name", target, "a tag cannot follow itself")
	}
	return c.setTag(ctx, stream, imagestream.TagReference{
		Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: target},
	})
}

// Track lets a tag follow a tag of another stream. One of another namespace takes leave to get that stream's
// layers, which Writer.Authorizer knows of. A stream that does not exist is created.
func (c *Client) Track(ctx context.Context, stream imagestream.Key, tag string, from imagestream.Key, fromTag string) (*imagestream.ImageStream, error) {
	ref := &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: pullspec.JoinTag(from.Name, fromTag)}
	if from.Namespace != stream.Namespace {
		ref.Namespace = from.Namespace
	}
	return c.setTag(ctx, stream, imagestream.TagReference{Name: tag, From: ref})
}

// setTag stores a spec tag.
func (c *Client) setTag(ctx context.Context, stream imagestream.Key, t imagestream.TagReference) (*imagestream.ImageStream, error) {
	return c.Writer.UpsertInternal(ctx, stream, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		if old == nil {
			old = newStream(stream)
		}
		return edit.WithTag(old, t), nil
	}, imagestream.PrepareCreate)
}

func newStream(key imagestream.Key) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}
}

// Untag removes a tag, with what it asks for and its history.
func (c *Client) Untag(ctx context.Context, stream imagestream.Key, tag string) error {
	return c.views().DeleteTag(ctx, stream.Namespace, pullspec.JoinTag(stream.Name, tag), view.WriteOptions{})
}

func (c *Client) views() *view.Writer { return &view.Writer{Streams: c.Writer} }

// Push records that an image was pushed to a tag, as a registry does: the tag points at it now, and so does
// what follows the tag. A stream that does not exist is created. The image is named by its digest and has a
// pull spec, or gets one in the internal registry.
func (c *Client) Push(ctx context.Context, stream imagestream.Key, tag string, image *imagestream.Image) (*imagestream.ImageStream, error) {
	mapping := &imagestream.ImageStreamMapping{
		Metadata: imagestream.ObjectMeta{Namespace: stream.Namespace, Name: stream.Name}, Image: *image, Tag: tag,
	}
	for attempt := 1; ; attempt++ {
		err := c.views().Push(ctx, stream.Namespace, mapping)
		switch {
		case err == nil:
			return c.Get(ctx, stream)
		case errors.Is(err, imagestream.ErrNotFound):
			if _, err := c.Create(ctx, newStream(stream)); err != nil && !errors.Is(err, imagestream.ErrAlreadyExists) {
				return nil, err
			}
		case !errors.Is(err, imagestream.ErrConflict) || attempt == c.Writer.Attempts:
			return nil, err
		default: // the tag was moved meanwhile, and is pushed over
			if err := imagestream.Pause(ctx, attempt, nil); err != nil {
				return nil, err
			}
		}
	}
}

// Import imports tags now, whatever is known of them, and returns the answer; without tags, every one that
// comes from a registry. A tag that follows others of the stream stands for the last of them.
//
// What could not be imported is an error of class [importer.ErrFailed], and stands in the answer and in the
// tag's conditions; the rest is imported. A tag that does not come from a registry is of class
// [imagestream.ErrInvalid], and a client without a Registry is an [ErrNoRegistry]; nothing is imported then.
func (c *Client) Import(ctx context.Context, stream imagestream.Key, tags ...string) (*imagestream.ImageStreamImport, error) {
	images, err := c.Importer()
	if err != nil {
		return nil, err
	}
	s, err := c.Get(ctx, stream)
	if err != nil {
		return nil, err
	}
	imp, err := importOf(s, tags)
	if err != nil {
		return nil, err
	}
	done, err := images.Import(ctx, imp)
	if err != nil {
		return nil, err
	}
	return done, importer.Failure(done)
}

// Importer returns what [Client.Import] imports with, for whole ImageStreamImports. A client without a Registry
// has none, which is an [ErrNoRegistry].
func (c *Client) Importer() (*importer.Importer, error) {
	if c.Registry == nil {
		return nil, ErrNoRegistry
	}
	c.once.Do(func() {
		c.importer = &importer.Importer{Registry: c.Registry, Engine: &write.Engine{
			Store: c.Writer.Store, Authorizer: c.Writer.Authorizer, Settings: c.Writer.Settings, Now: c.Writer.Now, Attempts: c.Writer.Attempts,
		}, Trace: c.Trace}
	})
	return c.importer, nil
}

// importOf returns the import of tags of a stream; without tags, of all that are importable.
func importOf(s *imagestream.ImageStream, tags []string) (*imagestream.ImageStreamImport, error) {
	key := s.Key()
	imp := &imagestream.ImageStreamImport{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamImport", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name, UID: s.Metadata.UID},
		Spec:     imagestream.ImageStreamImportSpec{Import: true},
	}
	add := func(t imagestream.TagReference) {
		imp.Spec.Images = append(imp.Spec.Images, imagestream.ImageImportSpec{
			From: *t.From, To: &imagestream.LocalObjectReference{Name: t.Name}, ImportPolicy: t.ImportPolicy, ReferencePolicy: t.ReferencePolicy,
		})
	}
	if len(tags) == 0 {
		for _, t := range s.Spec.Tags {
			if importer.IsImportable(t) {
				add(t)
			}
		}
		if len(imp.Spec.Images) == 0 {
			return nil, invalidTag(key, "", "from", "", "no tag comes from a registry: there is nothing to import")
		}
		return imp, nil
	}
	seen := map[string]bool{}
	for _, tag := range tags {
		last := inspect.Follow(s, tag).Last()
		t, ok := s.SpecTag(last)
		switch {
		case !ok:
			return nil, tagNotFound(key, tag, "the spec has no such tag")
		case !importer.IsImportable(t):
			return nil, invalidTag(key, tag, "from", "", "it does not come from a registry: there is nothing to import")
		case !seen[last]:
			seen[last] = true
			add(t)
		}
	}
	return imp, nil
}

// Rollback lets a tag ask for what it pointed at so many events ago; 1 is the event before the newest. It does
// not follow its source any more. A tag without such an event is of class [imagestream.ErrInvalid].
func (c *Client) Rollback(ctx context.Context, stream imagestream.Key, tag string, events int) (*imagestream.ImageStream, error) {
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next, err := edit.Rollback(s, tag, events)
		if err != nil {
			return nil, invalidTag(stream, tag, "", "", err.Error())
		}
		return next, nil
	})
}

// PinOptions say why a tag is pinned, and how long: for ever if Until is zero.
type PinOptions struct {
	Reason string
	Until  time.Time
}

// Pin keeps a tag at an image that the stream holds, by its name or a prefix of that; empty is the image that
// the tag has now. No import, push or update moves it until it is unpinned. An image that is not there is of
// class [imagestream.ErrNotFound].
func (c *Client) Pin(ctx context.Context, stream imagestream.Key, tag, image string, opts PinOptions) (*imagestream.ImageStream, error) {
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		event, ok := s.LatestEvent(tag)
		if image != "" {
			var err error
			if event, err = s.FindImage(image, tagevent.TimeOf(c.now())); err != nil {
				return nil, ambiguous(stream, tag, image, err)
			}
		} else if !ok {
			return nil, tagNotFound(stream, tag, "it has no image to be pinned to")
		}
		next, err := imagestream.Pin(s, tag, event, opts.Reason, opts.Until)
		if err != nil {
			return nil, invalidTag(stream, tag, "", "", err.Error())
		}
		return next, nil
	})
}

func (c *Client) now() time.Time {
	if c.Writer.Now != nil {
		return c.Writer.Now()
	}
	return time.Now()
}

// ambiguous makes of a prefix that names several images, which is a conflict to the API, wrong input: nobody
// else wrote.
func ambiguous(stream imagestream.Key, tag, image string, err error) error {
	if errors.Is(err, imagestream.ErrConflict) {
		return invalidTag(stream, tag, "image", image, "it names several images: give more of the digest")
	}
	return err
}

// Unpin lets a pinned tag go to where it would be without the pin. A tag that is not pinned is of class
// [imagestream.ErrInvalid].
func (c *Client) Unpin(ctx context.Context, stream imagestream.Key, tag string) (*imagestream.ImageStream, error) {
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next, err := imagestream.Unpin(s, tag)
		if err != nil {
			return nil, invalidTag(stream, tag, "", "", err.Error())
		}
		return next, nil
	})
}

// SetLookup sets whether short names in workloads of the namespace mean this stream.
func (c *Client) SetLookup(ctx context.Context, stream imagestream.Key, local bool) (*imagestream.ImageStream, error) {
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := *s
		next.Spec.LookupPolicy.Local = local
		return &next, nil
	})
}

// History returns what a tag pointed at, newest first, with its conditions. A tag that only the spec has is
// one without events.
func (c *Client) History(ctx context.Context, stream imagestream.Key, tag string) (tagevent.History, error) {
	s, err := c.Get(ctx, stream)
	if err != nil {
		return tagevent.History{}, err
	}
	h, ok := s.History(tag)
	if _, inSpec := s.SpecTag(tag); !ok && !inSpec {
		return tagevent.History{}, tagNotFound(stream, tag, "")
	}
	h.Tag = tag
	return h, nil
}

// Wait waits until a tag points at what its spec asks for, and returns the event. A tag whose import failed is
// an error of class [importer.ErrFailed], one that the stream does not have, or ceases to have, of class
// [imagestream.ErrNotFound]. It follows the Store's watch, and asks for nothing twice.
func (c *Client) Wait(ctx context.Context, stream imagestream.Key, tag string) (tagevent.Event, error) {
	for {
		s, err := c.Get(ctx, stream)
		if err != nil {
			return tagevent.Event{}, err
		}
		if event, done, err := outcome(s, tag); done {
			return event, err
		}
		event, done, err := c.watchTag(ctx, s, tag)
		if done || !errors.Is(err, imagestream.ErrGone) {
			return event, err
		}
	}
}

// watchTag watches from s on until the tag is done. An error of class ErrGone means that it must be read again.
func (c *Client) watchTag(ctx context.Context, s *imagestream.ImageStream, tag string) (_ tagevent.Event, done bool, err error) {
	key := s.Key()
	for change, err := range c.Watch(ctx, imagestream.WatchOptions{Namespace: key.Namespace, ResourceVersion: s.Metadata.ResourceVersion}) {
		switch {
		case err != nil:
			return tagevent.Event{}, false, err
		case change.Type == imagestream.Bookmark || change.Object.Key() != key:
		case change.Type == imagestream.Deleted:
			return tagevent.Event{}, true, tagNotFound(key, tag, "the stream was deleted while its tag was waited for")
		default:
			if event, done, err := outcome(change.Object, tag); done {
				return event, true, err
			}
		}
	}
	return tagevent.Event{}, false, fmt.Errorf("wait for %s of %s: the watch ended", tag, key)
}

// outcome tells what came of a tag, if it is not pending.
func outcome(s *imagestream.ImageStream, tag string) (_ tagevent.Event, done bool, err error) {
	switch state := inspect.TagState(s, tag); state.Phase {
	case inspect.Missing:
		return tagevent.Event{}, true, tagNotFound(s.Key(), tag, "")
	case inspect.Failed:
		return tagevent.Event{}, true, fmt.Errorf("tag %s of %s: %w: %s: %s", tag, s.Key(), importer.ErrFailed, state.Reason, state.Message)
	case inspect.Done:
		event, _ := s.LatestEvent(tag)
		return event, true, nil
	}
	return tagevent.Event{}, false, nil
}

func tagNotFound(stream imagestream.Key, tag, message string) error {
	return imagestream.NewError(imagestream.ReasonNotFound, "imagestreamtags", imagestream.Key{Namespace: stream.Namespace, Name: pullspec.JoinTag(stream.Name, tag)}, message)
}

// invalidTag is the error of wrong input about a tag; field is a path below it.
func invalidTag(stream imagestream.Key, tag, field, value, detail string) error {
	path := "spec.tags"
	if tag != "" {
		path += "[" + tag + "]"
	}
	if field != "" {
		path += "." + field
	}
	return imagestream.NewInvalid(imagestream.ResourceImageStreams, stream, imagestream.ErrorList{
		{Type: imagestream.FieldInvalid, Field: path, Value: value, Detail: detail},
	})
}
