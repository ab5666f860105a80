package rest

import (
	"context"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/tagevent"
)

type mappings struct{ *Server }

func (r mappings) Create(
	ctx context.Context,
	namespace string,
	mapping *imagestream.ImageStreamMapping,
	_ CreateOptions,
) error {
	p, err := newPush(namespace, mapping, r.engine().Env())
	if err != nil {
		return err
	}
	imageStored := false
	_, err = r.engine().Write(ctx, write.Request{
		Key: p.key, Rules: write.AsStatus, Attempts: r.attempts(imagestream.ResourceImageStreamMappings, "create"),
		Change: func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if !imageStored {
				if err := r.createImage(ctx, p); err != nil {
					return nil, err
				}
				imageStored = true
			}
			return p.change(s)
		},
	})
	return gaveUp(
		err,
		imagestream.NewError(imagestream.StatusReason(""), imagestream.ResourceImageStreamMappings, p.key, "push again"),
	)
}

// createImage stores the image of a push to a stream that exists, unless it is there already.
func (r mappings) createImage(ctx context.Context, p *push) error {
	_, err := images(r).create(ctx, &p.image, false)
	if errors.Is(err, imagestream.ErrAlreadyExists) {
		p.ownReference = p.image.Metadata.Annotations[manifest.ManagedAnnotation] == "true"
		return nil
	}
	return err
}

// push is a push on its way.
type push struct {
	key   imagestream.Key
	tag   string
	image imagestream.Image
	env   imagestream.Env
	// ownReference tells that the event refers to the image in the stream's repository.
	ownReference bool
	// before is what the tag's newest event was in the attempt before, as the push left it; nil if there was
	// none, or no attempt.
	before *tagevent.Event
}

// newPush checks a mapping.
func newPush(namespace string, mapping *imagestream.ImageStreamMapping, env imagestream.Env) (*push, error) {
	if mapping == nil {
		return nil, noObject(imagestream.ResourceImageStreamMappings, namespace)
	}
	m := mapping.Metadata.Clone()
	if err := accept(&m, imagestream.ResourceImageStreamMappings, namespace); err != nil {
		return nil, err
	}
	p := &push{key: imagestream.Key{Namespace: namespace, Name: m.Name}, tag: mapping.Tag, image: mapping.Image, env: env}
	p.image.Signatures = nil
	if p.image.DockerImageReference == "" && env.InternalRegistry != "" {
		r := pullspec.Reference{Registry: env.InternalRegistry, Namespace: namespace, Name: m.Name, ID: p.image.Metadata.Name}
		p.image.DockerImageReference = r.Exact()
	}
	errs := m.Validate(true)
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
			Type: imagestream.FieldForbidden, Field: "image.metadata.namespace", Value: p.image.Metadata.Namespace,
			Detail: "an image belongs to no namespace: leave it out",
		})
	}
	if len(errs) > 0 {
		return nil, errs.Of(imagestream.ResourceImageStreamMappings, p.key)
	}
	return p, nil
}

// change returns s with the event pushed on the tag and on those that follow it; s itself if that is nothing
// new. After an attempt it refuses a tag that somebody else has moved since.
func (p *push) change(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	before, had := s.LatestEvent(p.tag)
	if p.before != nil && (!had || !samePlace(before, *p.before)) {
		return nil, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreamMappings, p.key,
			"the tag "+p.tag+" was moved meanwhile: push again")
	}
	event := tagevent.Event{
		Created: tagevent.TimeOf(
			p.env.Now,
		),
		DockerImageReference: p.reference(s),
		Image:                p.image.Metadata.Name,
		Generation:           s.Metadata.Generation,
	}
	next, changed := s.Push(p.tag, event)
	if !changed {
		return s, nil
	}
	p.before = nil
	if had {
		// Upstream quirk: an event that was changed in place is compared as it is afterwards.
		if h, _ := next.History(p.tag); len(h.Items) > 1 && h.Items[1] == before {
			p.before = &before
		} else {
			p.before = &h.Items[0]
		}
	}
	next, _ = next.PushToTrackers(p.tag, event)
	return next, nil
}

func samePlace(a, b tagevent.Event) bool {
	return a.Image == b.Image && a.DockerImageReference == b.DockerImageReference
}

// reference returns the pull spec of the event.
func (p *push) reference(s *imagestream.ImageStream) string {
	if !p.ownReference {
		return p.image.DockerImageReference
	}
	repository, _ := s.Repositories(p.env)
	r, err := pullspec.Parse(repository)
	if err != nil {
		return p.image.DockerImageReference
	}
	r.Tag, r.ID = "", p.image.Metadata.Name
	return r.Exact()
}
