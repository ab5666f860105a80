package client

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/tagevent"
)

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
func (c *Client) Tag(
	ctx context.Context,
	stream imagestream.Key,
	tag, pullSpec string,
	opts TagOptions,
) (*imagestream.ImageStream, error) {
	if _, err := pullspec.Parse(pullSpec); err != nil {
		return nil, invalidTag(stream, tag, "from.name", pullSpec, pullspec.Reason(err))
	}
	asksForImport := int64(0)
	return c.setTag(ctx, stream, imagestream.TagReference{
		Name:        tag,
		Annotations: opts.Annotations,
		Reference:   opts.Reference,
		Generation:  &asksForImport,
		From:        &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: pullSpec},
		ImportPolicy: imagestream.TagImportPolicy{
			Insecure:   opts.Insecure,
			Scheduled:  opts.Scheduled,
			ImportMode: opts.ImportMode,
		},
		ReferencePolicy: imagestream.TagReferencePolicy{Type: opts.ReferencePolicy},
	})
}

// Copy lets a tag be the image that a tag, of this or another stream, has now; it stays there when that one
// moves. A stream that does not exist is created. A tag without an image to copy is an error of class
// [imagestream.ErrNotFound].
func (c *Client) Copy(
	ctx context.Context,
	stream imagestream.Key,
	tag string,
	from imagestream.Key,
	fromTag string,
) (*imagestream.ImageStream, error) {
	source, err := c.Get(ctx, from)
	if err != nil {
		return nil, err
	}
	event, ok := source.LatestEvent(fromTag)
	if !ok {
		return nil, tagNotFound(from, fromTag, "it has no image yet: import it, or push to it")
	}
	ref := &imagestream.ObjectReference{
		Kind: imagestream.KindImageStreamImage,
		Name: pullspec.JoinImage(from.Name, event.Image),
	}
	var generation *int64
	if event.Image == "" {
		ref, generation = &imagestream.ObjectReference{
			Kind: imagestream.KindDockerImage,
			Name: event.DockerImageReference,
		}, new(int64)
	} else if from.Namespace != stream.Namespace {
		ref.Namespace = from.Namespace
	}
	return c.setTag(ctx, stream, imagestream.TagReference{Name: tag, From: ref, Generation: generation})
}

// Alias lets a tag follow another tag of the same stream: whatever that one points at, it points at. A tag that
// would follow itself, by way of others or not, is of class [imagestream.ErrInvalid].
func (c *Client) Alias(
	ctx context.Context,
	stream imagestream.Key,
	tag, target string,
) (*imagestream.ImageStream, error) {
	if !pullspec.IsTag(target) {
		return nil, invalidTag(stream, tag, "from.name", target, wantTag)
	}
	return retry(ctx, stream, func() (*imagestream.ImageStream, error) {
		s, err := c.Get(ctx, stream)
		if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
			return nil, err
		}
		if path := edit.Circle(s, tag, target); path != nil {
			return nil, invalidTag(stream, tag, "from.name", target,
				"these tags would follow each other in a circle: "+strings.Join(path, ", "))
		}
		t := imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{
			Kind: imagestream.KindImageStreamTag, Name: pullspec.JoinTag(stream.Name, target),
		}}
		return c.setTagOf(ctx, stream, s, t)
	})
}

// Track lets a tag follow a tag of another stream. Permission to get imagestreams/layers of that stream is
// required if it is in another namespace. A stream that does not exist is created.
func (c *Client) Track(
	ctx context.Context,
	stream imagestream.Key,
	tag string,
	from imagestream.Key,
	fromTag string,
) (*imagestream.ImageStream, error) {
	if !pullspec.IsTag(fromTag) {
		return nil, invalidTag(stream, tag, "from.name", pullspec.JoinTag(from.Name, fromTag), wantTag)
	}
	ref := &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: pullspec.JoinTag(from.Name, fromTag)}
	if from.Namespace != stream.Namespace {
		ref.Namespace = from.Namespace
	}
	return c.setTag(ctx, stream, imagestream.TagReference{Name: tag, From: ref})
}

// Rollback lets a tag ask for what it pointed at before; see [edit.Target] for what that is. It does not follow
// its source any more until [Client.Resume]. Tags that follow it go with it. A tag that is not there is of class
// [imagestream.ErrNotFound], a target that its history does not have of class [imagestream.ErrInvalid].
//
// The stream remembers the source first, and then the tag is written, if nobody else has changed the stream in
// between; otherwise everything begins again.
func (c *Client) Rollback(
	ctx context.Context,
	stream imagestream.Key,
	tag string,
	to edit.Target,
) (*imagestream.ImageStream, error) {
	return retry(ctx, stream, func() (*imagestream.ImageStream, error) { return c.rollback(ctx, stream, tag, to) })
}

// rollback rolls a tag back once. An error of class ErrConflict means that somebody else wrote meanwhile.
func (c *Client) rollback(
	ctx context.Context,
	stream imagestream.Key,
	tag string,
	to edit.Target,
) (*imagestream.ImageStream, error) {
	s, err := c.Get(ctx, stream)
	if err != nil {
		return nil, err
	}
	back, err := edit.Rollback(s, tag, to, tagevent.TimeOf(c.now()))
	if err != nil {
		return nil, err
	}
	before, _ := s.LatestEvent(tag)
	if after, _ := back.LatestEvent(tag); after != before {
		// The tag has that source already, and was pushed away from it: its history alone moves.
		back, _ = back.PushToTrackers(tag, after)
		return c.API.ImageStreams().UpdateStatus(ctx, stream, rest.Replace(back), rest.UpdateOptions{})
	}
	remembers := *s
	remembers.Metadata.Annotations = back.Metadata.Annotations
	stored, err := c.Update(ctx, stream, rest.Replace(&remembers))
	if err != nil {
		return nil, err
	}
	t, _ := back.SpecTag(tag)
	return c.setTagOf(ctx, stream, stored, t)
}

// Resume lets a tag that was rolled back come from its source again. [Client.Import] fetches it. A tag that was
// not rolled back, has another source since, had none before or would follow itself is of class
// [imagestream.ErrInvalid].
func (c *Client) Resume(ctx context.Context, stream imagestream.Key, tag string) (*imagestream.ImageStream, error) {
	_, err := retry(ctx, stream, func() (*imagestream.ImageStream, error) {
		s, err := c.Get(ctx, stream)
		if err != nil {
			return nil, err
		}
		resumed, err := edit.Resume(s, tag)
		if err != nil {
			return nil, err
		}
		source, _ := resumed.SpecTag(tag)
		return c.setTagOf(ctx, stream, s, source)
	})
	if err != nil {
		return nil, err
	}
	return c.Update(ctx, stream, edit.Forget)
}

// retry calls once until nobody else writes to stream meanwhile, or ctx ends. Each pause is twice as long as the one
// before, from 5 milliseconds to a second.
func retry[T any](ctx context.Context, stream imagestream.Key, once func() (*T, error)) (done *T, err error) {
	engine := write.Engine{Pause: func(attempt int) time.Duration {
		return min(5*time.Millisecond<<min(attempt-1, 8), time.Second)
	}}
	err = engine.Retry(ctx, stream, 0, func() (overtaken bool, err error) {
		done, err = once()
		return isConflict(err), err
	})
	return done, err
}

// isConflict reports whether err says that somebody else wrote meanwhile.
func isConflict(err error) bool {
	var status *imagestream.StatusError
	return errors.As(err, &status) && status.Reason == imagestream.ReasonConflict
}

const wantTag = "a tag has letters, digits, \"_\", \".\" and \"-\", 128 at most, and neither \".\" nor \"-\" first"

// deletions is how often a write begins again because the stream was deleted meanwhile.
const deletions = 8

// setTag stores a spec tag, whatever the stream is. If the stream is deleted meanwhile, it is created anew.
func (c *Client) setTag(
	ctx context.Context,
	stream imagestream.Key,
	t imagestream.TagReference,
) (*imagestream.ImageStream, error) {
	for attempt := 1; ; attempt++ {
		s, err := c.setTagOf(ctx, stream, nil, t)
		if !isGone(err, stream) || attempt == deletions || ctx.Err() != nil {
			return s, err
		}
	}
}

// isGone reports whether err says that the stream itself does not exist.
func isGone(err error, stream imagestream.Key) bool {
	var status *imagestream.StatusError
	return errors.As(err, &status) && status.Reason == imagestream.ReasonNotFound &&
		status.Resource == imagestream.ResourceImageStreams && status.Key == stream
}

// setTagOf stores a spec tag once. If s is not nil, an error of class ErrConflict means that it is not what is
// stored.
func (c *Client) setTagOf(
	ctx context.Context,
	stream imagestream.Key,
	s *imagestream.ImageStream,
	t imagestream.TagReference,
) (*imagestream.ImageStream, error) {
	if c.API == nil {
		return nil, ErrNoAPI
	}
	if !pullspec.IsTag(t.Name) {
		return nil, invalidTag(stream, t.Name, "name", t.Name, wantTag)
	}
	key := tagKey(stream, t.Name)
	object := &imagestream.ImageStreamTag{
		TypeMeta: imagestream.TypeMeta{Kind: imagestream.KindImageStreamTag, APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name, Annotations: maps.Clone(t.Annotations)},
		Tag:      &t,
	}
	if s != nil {
		object.Metadata.ResourceVersion = s.Metadata.ResourceVersion
	}
	if _, _, err := c.API.ImageStreamTags().Update(ctx, key, rest.Replace(object), rest.UpdateOptions{}); err != nil {
		return nil, err
	}
	return c.Get(ctx, stream)
}

// Push records that an image was pushed to a tag, as a registry does: the tag points at it now, and so does
// what follows the tag. A stream that does not exist is created. The image is named by its digest and has a
// pull spec, or gets one in the internal registry.
func (c *Client) Push(
	ctx context.Context,
	stream imagestream.Key,
	tag string,
	image *imagestream.Image,
) (*imagestream.ImageStream, error) {
	if c.API == nil {
		return nil, ErrNoAPI
	}
	if !pullspec.IsTag(tag) {
		return nil, invalidTag(stream, tag, "name", tag, wantTag)
	}
	mapping := &imagestream.ImageStreamMapping{
		Metadata: imagestream.ObjectMeta{Namespace: stream.Namespace, Name: stream.Name}, Image: *image, Tag: tag,
	}
	return retry(ctx, stream, func() (*imagestream.ImageStream, error) {
		for attempt := 1; ; attempt++ {
			err := c.API.ImageStreamMappings().Create(ctx, stream.Namespace, mapping, rest.CreateOptions{})
			switch {
			case err == nil:
				return c.Get(ctx, stream)
			case !isGone(err, stream) || attempt > deletions: // a tag that was moved meanwhile is pushed over
				return nil, err
			}
			if _, err := c.Create(ctx, newStream(stream)); err != nil && !errors.Is(err, imagestream.ErrAlreadyExists) {
				return nil, err
			}
		}
	})
}

func newStream(key imagestream.Key) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}
}
