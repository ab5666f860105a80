package view

import (
	"context"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

const resourceMappings = "imagestreammappings"

// Push records what a registry says was pushed: the image, and that the tag points at it now, with the tags
// that follow it directly. The stream must exist; its spec and generation do not change.
//
// The image is stored first, and stays whatever comes of the tag; one that exists is not touched. If others
// write meanwhile, the push goes on as long as the tag still points where it did; otherwise it is an error of
// class [imagestream.ErrConflict]. Wrong fields are of class [imagestream.ErrInvalid]. A dry run is not
// honoured, as in the real system. Source: op mapping.create.
func (w *Writer) Push(ctx context.Context, namespace string, mapping *imagestream.ImageStreamMapping) error {
	p, err := w.newPush(namespace, mapping)
	if err != nil {
		return err
	}
	s, err := w.Streams.Store.GetImageStream(ctx, p.key)
	if err != nil {
		return err
	}
	existed, err := w.createImage(ctx, &p.image)
	if err != nil {
		return err
	}
	p.ownReference = existed && p.image.Metadata.Annotations[manifest.ManagedAnnotation] == "true"
	for attempt := 1; ; attempt++ {
		err := w.pushOnce(ctx, p, s)
		if !errors.Is(err, imagestream.ErrConflict) {
			return err
		}
		if s, err = w.Streams.Store.GetImageStream(ctx, p.key); err != nil {
			return err
		}
		if latest, ok := latestOf(s, p.tag); p.before != nil && (!ok || !samePlace(latest, *p.before)) {
			return imagestream.NewError(imagestream.ReasonConflict, resourceMappings, p.key, "the tag "+p.tag+" was moved meanwhile: push again")
		}
		if attempt == w.Attempts.Push {
			return imagestream.NewError(imagestream.ReasonUnknown, resourceMappings, p.key, "others kept changing the image stream: push again")
		}
		if err := pause(ctx, w.Attempts.Push, attempt); err != nil {
			return err
		}
	}
}

// pushOnce writes the status of s with the event pushed.
func (w *Writer) pushOnce(ctx context.Context, p *push, s *imagestream.ImageStream) error {
	next, changed := p.change(s)
	if !changed {
		return nil
	}
	env := p.env
	env.AllowedRegistries, env.Limits, env.FollowChains = w.Streams.Settings.AllowedRegistries, w.Streams.Settings.Limits, w.Streams.Settings.FollowChains
	prepared, errs := imagestream.PrepareStatusUpdate(s, next, env)
	if len(errs) == 0 {
		_, err := w.Streams.Store.UpdateImageStream(ctx, prepared)
		return err
	}
	// What is wrong with a stream that is no longer there, nobody needs to know.
	stored, err := w.Streams.Store.GetImageStream(ctx, p.key)
	switch {
	case err != nil:
		return err
	case stored.Metadata.ResourceVersion != s.Metadata.ResourceVersion:
		return imagestream.ErrConflict
	}
	return imagestream.NewInvalid(imagestream.ResourceImageStreams, p.key, errs)
}

func samePlace(a, b tagevent.Event) bool {
	return a.Image == b.Image && a.DockerImageReference == b.DockerImageReference
}

// push is a push on its way.
type push struct {
	key   imagestream.Key
	tag   string
	image imagestream.Image
	now   imagestream.Time
	env   imagestream.Env
	// ownReference tells that the event refers to the image in the stream's repository.
	ownReference bool
	// before is what the tag's newest event was in the attempt before, as the push left it; nil if there was
	// none, or no attempt.
	before *tagevent.Event
}

// newPush checks a mapping.
func (w *Writer) newPush(namespace string, mapping *imagestream.ImageStreamMapping) (*push, error) {
	m := mapping.Metadata.Clone()
	if err := accept(&m, resourceMappings, namespace, 0); err != nil {
		return nil, err
	}
	env := w.reader().env()
	p := &push{
		key: imagestream.Key{Namespace: namespace, Name: m.Name}, tag: mapping.Tag, image: mapping.Image,
		env: env, now: tagevent.TimeOf(env.Now),
	}
	p.image.Signatures = nil
	if p.image.DockerImageReference == "" && env.InternalRegistry != "" {
		r := pullspec.Reference{Registry: env.InternalRegistry, Namespace: namespace, Name: m.Name, ID: p.image.Metadata.Name}
		p.image.DockerImageReference = r.Exact()
	}
	errs := imagestream.ValidateMetadata(&m, true)
	required := func(field, detail string) {
		errs = append(errs, &imagestream.FieldError{Type: imagestream.FieldRequired, Field: field, Detail: detail})
	}
	if m.Name == "" {
		required("name", "name the image stream")
		required("dockerImageRepository", "name the image stream")
	}
	if mapping.Tag == "" {
		required("tag", "name the tag that was pushed to")
	}
	errs = append(errs, manifest.ValidateImage(&p.image, "image.")...)
	if p.image.Metadata.Namespace != "" {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldForbidden, Field: "image.metadata.namespace", Value: p.image.Metadata.Namespace, Detail: "images belong to no namespace",
		})
	}
	if len(errs) > 0 {
		return nil, imagestream.NewInvalid(resourceMappings, p.key, errs)
	}
	return p, nil
}

// createImage stores image, and reports whether it was there.
func (w *Writer) createImage(ctx context.Context, image *imagestream.Image) (existed bool, err error) {
	prepared, errs := manifest.PrepareImageCreate(image, w.reader().env())
	if len(errs) > 0 {
		return false, imagestream.NewInvalid(imagestream.ResourceImages, imagestream.Key{Name: image.Metadata.Name}, errs)
	}
	_, err = w.Streams.Store.CreateImage(ctx, prepared)
	if errors.Is(err, imagestream.ErrAlreadyExists) {
		return true, nil
	}
	return false, err
}

// change returns s with the event pushed on the tag and on those that follow it, and whether that is anything
// new.
func (p *push) change(s *imagestream.ImageStream) (*imagestream.ImageStream, bool) {
	event := tagevent.Event{
		Created: p.now, DockerImageReference: p.reference(s), Image: p.image.Metadata.Name, Generation: s.Metadata.Generation,
	}
	before, had := latestOf(s, p.tag)
	next, changed := imagestream.Push(s, p.tag, event)
	if !changed {
		return nil, false
	}
	p.before = nil
	if had {
		// Upstream quirk (op mapping.create): an event that was changed in place is compared as it is
		// afterwards.
		if h, _ := next.History(p.tag); len(h.Items) > 1 && h.Items[1] == before {
			p.before = &before
		} else {
			p.before = &h.Items[0]
		}
	}
	next, _ = imagestream.PushToTrackers(next, p.tag, event)
	return next, true
}

func latestOf(s *imagestream.ImageStream, tag string) (tagevent.Event, bool) {
	h, _ := s.History(tag)
	return h.Latest()
}

// reference returns the pull spec of the event.
func (p *push) reference(s *imagestream.ImageStream) string {
	if !p.ownReference {
		return p.image.DockerImageReference
	}
	repository, _ := imagestream.Repositories(s, p.env)
	r, err := pullspec.Parse(repository)
	if err != nil {
		return p.image.DockerImageReference
	}
	r.Tag, r.ID = "", p.image.Metadata.Name
	return r.Exact()
}
