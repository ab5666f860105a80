// Package client does what people do with image streams: one method for each thing, on any [rest.API].
//
//	streams := client.New(store, registry)
//	app := imagestream.Key{Namespace: "shop", Name: "app"}
//	_, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
//	_, err = streams.Import(ctx, app)
//	_, err = streams.Rollback(ctx, app, "v1", edit.Target{})
//
// Every method is one or two verbs of the API and adds no rule to them. If somebody else writes meanwhile, a
// method begins again until its context ends, with pauses of up to a second: conflicts do not reach the caller,
// unless the API gives up after a number of attempts. [Client.Alias], [Client.Import], [Client.Push],
// [Client.Rollback] and [Client.Resume] begin again even then. What a method returns is the caller's. A stream that
// a method returns is the stream as it is after the change, and may hold what others wrote since.
//
// # Errors
//
// All methods give the errors of the API and of the context. What does not exist is of class
// [imagestream.ErrNotFound]. Wrong input is of class [imagestream.ErrInvalid] and names the field, and so is a tag
// that may not come from where it should. A Client without an API gives [ErrNoAPI].
//
// # Differences from OpenShift
//
// OpenShift has no such client; "oc" and a typed clientset do these things in several requests each. The words of
// oc are in package oc, and do the same to a stream.
package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Client does things with image streams through an API. Only API must be set. It is safe for concurrent use, and
// its fields must not change while it is used.
type Client struct {
	API rest.API
	// Now is the clock that pins are checked by; nil is time.Now.
	Now func() time.Time
}

// ErrNoAPI means that a client without an API was asked for something.
var ErrNoAPI = errors.New("this client has no API: make it with client.New, or set Client.API")

// streams returns the verbs of image streams.
func (c *Client) streams() (rest.ImageStreams, error) {
	if c.API == nil {
		return nil, ErrNoAPI
	}
	return c.API.ImageStreams(), nil
}

func (c *Client) now() time.Time {
	if c.Now != nil {
		return c.Now()
	}
	return time.Now()
}

// Create stores a new stream and returns it as stored. One that exists is an error of class
// [imagestream.ErrAlreadyExists].
func (c *Client) Create(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	streams, err := c.streams()
	if err != nil {
		return nil, err
	}
	return streams.Create(ctx, stream.Metadata.Namespace, stream, rest.CreateOptions{})
}

// Get returns a stream.
func (c *Client) Get(ctx context.Context, stream imagestream.Key) (*imagestream.ImageStream, error) {
	streams, err := c.streams()
	if err != nil {
		return nil, err
	}
	return streams.Get(ctx, stream)
}

// List yields streams by namespace and name, page by page, and ends with the first error.
func (c *Client) List(ctx context.Context, opts rest.ListOptions) iter.Seq2[*imagestream.ImageStream, error] {
	return func(yield func(*imagestream.ImageStream, error) bool) {
		streams, err := c.streams()
		for err == nil {
			var page *imagestream.ImageStreamList
			if page, err = streams.List(ctx, opts); err != nil {
				break
			}
			for i := range page.Items {
				if !yield(&page.Items[i], nil) {
					return
				}
			}
			if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
				return
			}
		}
		yield(nil, err)
	}
}

// Watch yields what happens to streams until the caller stops or an error ends it. An error of class
// [imagestream.ErrGone] means that the watch was too slow, or began too far back: list, and watch from there.
func (c *Client) Watch(
	ctx context.Context,
	opts rest.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	streams, err := c.streams()
	if err != nil {
		return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
			yield(imagestream.Change[imagestream.ImageStream]{}, err)
		}
	}
	return streams.Watch(ctx, opts)
}

// Update stores what change makes of a stream, by the rules of [imagestream.PrepareUpdate], and returns it as
// stored. Change is called again, with the fresh stream, if somebody else wrote meanwhile; its argument is
// frozen. An error of change ends it.
func (c *Client) Update(
	ctx context.Context,
	stream imagestream.Key,
	change rest.Change[imagestream.ImageStream],
) (*imagestream.ImageStream, error) {
	streams, err := c.streams()
	if err != nil {
		return nil, err
	}
	stored, _, err := streams.Update(ctx, stream, change, rest.UpdateOptions{})
	return stored, err
}

// Delete removes a stream with its histories. The images stay.
func (c *Client) Delete(ctx context.Context, stream imagestream.Key) error {
	streams, err := c.streams()
	if err != nil {
		return err
	}
	return streams.Delete(ctx, stream, rest.DeleteOptions{})
}

// SetLookup sets whether short names in workloads of the namespace mean this stream. A stream whose name has a
// dot cannot be a short name, whatever is set.
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

// PinOptions say why a tag is pinned, and how long: for ever if Until is zero.
type PinOptions struct {
	Reason string
	Until  time.Time
}

// Pin keeps a tag at an image that the stream holds, by its name or a prefix of that; empty is the image that
// the tag has now. No import, push or update moves it until it is unpinned; tags that follow it go with it. A tag
// or an image that is not there is of class [imagestream.ErrNotFound], a time that has passed of class
// [imagestream.ErrInvalid].
func (c *Client) Pin(
	ctx context.Context,
	stream imagestream.Key,
	tag, image string,
	opts PinOptions,
) (*imagestream.ImageStream, error) {
	if !pullspec.IsTag(tag) {
		return nil, invalidTag(stream, tag, "name", tag, wantTag)
	}
	now := c.now()
	if !opts.Until.IsZero() && !opts.Until.After(now) {
		return nil, invalidTag(stream, tag, "until", opts.Until.UTC().Format(time.RFC3339),
			"the pin would have ended already: it is "+now.UTC().Format(time.RFC3339)+"; leave the time out to pin for ever")
	}
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		event, ok := s.LatestEvent(tag)
		if image != "" {
			if _, inSpec := s.SpecTag(tag); !ok && !inSpec {
				return nil, tagNotFound(stream, tag, "")
			}
			var err error
			if event, err = s.FindImage(image, tagevent.TimeOf(now)); err != nil {
				return nil, ambiguous(stream, tag, image, err)
			}
		} else if !ok {
			return nil, tagNotFound(stream, tag, "it has no image to be pinned to")
		}
		next, err := s.Pin(tag, event, opts.Reason, opts.Until)
		if err != nil {
			return nil, invalidTag(stream, tag, "", "", err.Error())
		}
		return next, nil
	})
}

// ambiguous makes of a prefix that names several images, which is a conflict to the API, wrong input: nobody
// else wrote.
func ambiguous(stream imagestream.Key, tag, image string, err error) error {
	if errors.Is(err, imagestream.ErrConflict) {
		return invalidTag(stream, tag, "image", image, "it names several images: give more of the digest")
	}
	return err
}

// Unpin lets a pinned tag go to where it would be without the pin, and the tags that follow it. A tag that is not
// pinned is of class [imagestream.ErrInvalid].
func (c *Client) Unpin(ctx context.Context, stream imagestream.Key, tag string) (*imagestream.ImageStream, error) {
	return c.Update(ctx, stream, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next, err := s.Unpin(tag)
		if err != nil {
			return nil, invalidTag(stream, tag, "", "", err.Error())
		}
		return next, nil
	})
}

// Untag removes a tag, with what it asks for and its history. It removes also what cannot be set: a tag whose name
// the API would refuse.
func (c *Client) Untag(ctx context.Context, stream imagestream.Key, tag string) error {
	if c.API == nil {
		return ErrNoAPI
	}
	key := tagKey(stream, tag)
	if _, _, err := pullspec.ParseTag(key.Name); tag != "" && err == nil {
		return c.API.ImageStreamTags().Delete(ctx, key, rest.DeleteOptions{})
	}
	found := false
	remove := func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := edit.WithoutTag(s, tag)
		found = found || next != s
		return next, nil
	}
	if _, err := c.Update(ctx, stream, remove); err != nil {
		return err
	}
	if _, err := c.API.ImageStreams().UpdateStatus(ctx, stream, remove, rest.UpdateOptions{}); err != nil {
		return err
	}
	if !found {
		return tagNotFound(stream, tag, "")
	}
	return nil
}

func tagKey(stream imagestream.Key, tag string) imagestream.Key {
	return imagestream.Key{Namespace: stream.Namespace, Name: pullspec.JoinTag(stream.Name, tag)}
}

func tagNotFound(stream imagestream.Key, tag, message string) error {
	return imagestream.NewError(
		imagestream.ReasonNotFound,
		imagestream.ResourceImageStreamTags,
		tagKey(stream, tag),
		message,
	)
}

// invalidTag is the error of wrong input about a tag; field is a path below it.
func invalidTag(stream imagestream.Key, tag, field, value, detail string) error {
	path := fmt.Sprintf("spec.tags[%s]", tag)
	if field != "" {
		path += "." + field
	}
	return imagestream.ErrorList{
		{Type: imagestream.FieldInvalid, Field: path, Value: value, Detail: detail},
	}.Of(imagestream.ResourceImageStreams, stream)

}
