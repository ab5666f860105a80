package view

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// target is the stream and tag that an update is for.
type target struct {
	key  imagestream.Key
	tag  string
	name string // <stream>:<tag>
	// stored is the stream as it is, nil if it does not exist; spec its tag, nil if it has none.
	stored *imagestream.ImageStream
	spec   *imagestream.TagReference
}

func (w *Writer) target(ctx context.Context, namespace, name string) (*target, error) {
	stream, tag, err := pullspec.ParseTag(name)
	if err == nil && !pullspec.IsPathSegment(stream) {
		err = fmt.Errorf("%q cannot be the name of an image stream", stream)
	}
	if err != nil {
		return nil, imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, err.Error())
	}
	t := &target{key: imagestream.Key{Namespace: namespace, Name: stream}, tag: tag, name: name}
	stored, err := w.Streams.Store.GetImageStream(ctx, t.key)
	switch {
	case errors.Is(err, imagestream.ErrNotFound):
		return t, nil
	case err != nil:
		return nil, err
	}
	t.stored = imagestream.WithDefaults(stored)
	if spec, ok := t.stored.SpecTag(tag); ok {
		t.spec = &spec
	}
	return t, nil
}

// version checks the resource version that a client sent: none is the stored one.
func (t *target) version(m *imagestream.ObjectMeta) error {
	fail := func(reason imagestream.StatusReason, message string) error {
		return imagestream.NewError(reason, resourceTags, t.nameKey(), message)
	}
	switch {
	case m.ResourceVersion == "":
	case t.stored == nil:
		return fail(imagestream.ReasonNotFound, "")
	case m.ResourceVersion != t.stored.Metadata.ResourceVersion:
		return fail(imagestream.ReasonConflict, "")
	}
	return nil
}

// meet fills the metadata of an object that is to replace a view: what a client cannot change is the view's. Its name is
// compared by the validation.
func (t *target) meet(m, old *imagestream.ObjectMeta) error {
	if m.Namespace != "" && m.Namespace != t.key.Namespace {
		return imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, t.nameKey(),
			fmt.Sprintf("the request is for the namespace %q", t.key.Namespace))
	}
	*m = imagestream.CarryMetadata(old, m)
	m.ResourceVersion, m.SelfLink = old.ResourceVersion, old.SelfLink
	return nil
}

// write stores the stream with what change makes of it, once.
func (w *Writer) write(ctx context.Context, t *target, opts WriteOptions, change func(*imagestream.ImageStream) *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	streams := w.once(opts)
	if t.stored == nil {
		return streams.Create(ctx, change(newStream(t.key)))
	}
	return streams.UpdateInternal(ctx, t.key, func(now *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		if now.Metadata.ResourceVersion != t.stored.Metadata.ResourceVersion {
			return nil, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, t.key, "")
		}
		return change(now), nil
	})
}

// UpdateImageStreamTag replaces the spec tag that name says, <stream>:<tag>, and its annotations by those of
// t's metadata. It reports whether the spec tag did not exist before. Without a resource version the last
// writer wins; with one, a stream that was changed is an error of class [imagestream.ErrConflict]. Source: op
// istag.update.
func (w *Writer) UpdateImageStreamTag(ctx context.Context, namespace, name string, t *imagestream.ImageStreamTag, opts WriteOptions) (_ *imagestream.ImageStreamTag, created bool, err error) {
	var s *imagestream.ImageStream
	tag := ""
	limit := w.Attempts.Update
	if t.Metadata.ResourceVersion != "" {
		limit = 1
	}
	err = retry(ctx, limit, nil, func() (raced bool, err error) {
		at, err := w.target(ctx, namespace, name)
		if err != nil {
			return false, err
		}
		next, err := w.prepareUpdate(at, t)
		if err != nil {
			return false, err
		}
		tag, created = at.tag, at.spec == nil
		s, err = w.write(ctx, at, opts, func(s *imagestream.ImageStream) *imagestream.ImageStream { return edit.WithTag(s, *next) })
		return at.stored != nil && errors.Is(err, imagestream.ErrConflict), err
	})
	if err != nil {
		return nil, false, err
	}
	v, err := w.answerTag(ctx, s, tag)
	return v, created, err
}

// prepareUpdate returns the spec tag that an update of an image stream tag makes.
func (w *Writer) prepareUpdate(at *target, t *imagestream.ImageStreamTag) (*imagestream.TagReference, error) {
	m := t.Metadata.Clone()
	if err := at.version(&m); err != nil {
		return nil, err
	}
	spec := withTagDefaults(t.Tag)
	var errs imagestream.ErrorList
	if at.stored == nil {
		if err := accept(&m, resourceTags, at.key.Namespace, 0); err != nil {
			return nil, err
		}
		errs = w.validateNewTag(&m, spec)
	} else {
		old, err := NewImageStreamTag(at.stored, at.tag, nil, w.reader().env())
		if err != nil {
			return nil, err
		}
		if err := at.meet(&m, &old.Metadata); err != nil {
			return nil, err
		}
		if len(m.Labels) == 0 {
			m.Labels = old.Metadata.Labels
		}
		errs = imagestream.ValidateMetadata(&m, true)
		if spec != nil {
			spec.Annotations = m.Annotations
			errs = append(errs, imagestream.ValidateTag(*spec, "tag", isInsecure(&m), w.exempting(at.spec))...)
		}
		errs = append(errs, sameMetadata(&m, &old.Metadata, false)...)
	}
	if len(errs) > 0 {
		return nil, imagestream.NewInvalid(resourceTags, at.nameKey(), errs)
	}
	if spec == nil {
		if at.spec == nil {
			return nil, imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, at.nameKey(), "the tag does not exist: say in tag where it comes from")
		}
		c := *at.spec
		spec = &c
	}
	spec.Name, spec.Annotations = at.tag, m.Annotations
	return spec, nil
}

// sameMetadata reports what an update of a view may not change: everything, but for annotations where these
// are the tag's.
func sameMetadata(m, old *imagestream.ObjectMeta, annotations bool) imagestream.ErrorList {
	errs := imagestream.ValidateMetadataUpdate(old, m)
	a, b := *m, *old
	a.Unknown, b.Unknown = nil, nil
	if !annotations {
		a.Annotations, b.Annotations = nil, nil
	}
	if !imagestream.Equal(&imagestream.ImageStream{Metadata: a}, &imagestream.ImageStream{Metadata: b}) {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldInvalid, Field: "metadata", Detail: "only annotations can be changed here; labels and the like are the image stream's",
		})
	}
	return errs
}

// UpdateImageTag replaces the spec of the tag that name says, or removes it where t has none; the status
// stays. It reports whether the spec tag did not exist before. Metadata and status of t must be those that
// the tag has. Source: op imagetag.update.
func (w *Writer) UpdateImageTag(ctx context.Context, namespace, name string, t *imagestream.ImageTag, opts WriteOptions) (_ *imagestream.ImageTag, created bool, err error) {
	var s *imagestream.ImageStream
	tag := ""
	limit := w.Attempts.UpdateImageTag
	if t.Metadata.ResourceVersion != "" {
		limit = 1
	}
	err = retry(ctx, limit, nil, func() (raced bool, err error) {
		at, err := w.target(ctx, namespace, name)
		if err != nil {
			return false, err
		}
		spec, err := w.prepareImageTagUpdate(at, t)
		if err != nil {
			return false, err
		}
		tag, created = at.tag, at.spec == nil
		s, err = w.write(ctx, at, opts, func(s *imagestream.ImageStream) *imagestream.ImageStream {
			if spec != nil {
				return edit.WithTag(s, *spec)
			}
			c := *s
			c.Spec.Tags = slices.DeleteFunc(slices.Clone(s.Spec.Tags), func(have imagestream.TagReference) bool { return have.Name == at.tag })
			return &c
		})
		return at.stored != nil && errors.Is(err, imagestream.ErrConflict), err
	})
	if err != nil {
		return nil, false, err
	}
	v, err := w.answerImageTag(ctx, s, tag)
	return v, created, err
}

func (w *Writer) prepareImageTagUpdate(at *target, t *imagestream.ImageTag) (*imagestream.TagReference, error) {
	m := t.Metadata.Clone()
	if err := at.version(&m); err != nil {
		return nil, err
	}
	invalid := func(errs imagestream.ErrorList) error {
		return imagestream.NewInvalid(resourceTags, at.nameKey(), errs)
	}
	if at.stored == nil {
		if err := accept(&m, resourceTags, at.key.Namespace, 0); err != nil {
			return nil, err
		}
		spec, errs := w.validateNewImageTag(&m, t.Spec)
		if len(errs) > 0 {
			return nil, invalid(errs)
		}
		spec.Name = at.tag
		return spec, nil
	}
	old, _, err := NewImageTag(at.stored, at.tag, nil, w.reader().env())
	if err != nil {
		return nil, err
	}
	if err := at.meet(&m, &old.Metadata); err != nil {
		return nil, err
	}
	errs := imagestream.ValidateMetadata(&m, true)
	spec := withTagDefaults(t.Spec)
	if spec != nil {
		if _, tag, ok := pullspec.SplitTag(m.Name); !ok || spec.Name != tag {
			errs = append(errs, wrongTagName(spec.Name))
		}
		errs = append(errs, imagestream.ValidateTag(*spec, "spec", isInsecure(&m), w.exempting(at.spec))...)
	}
	errs = append(errs, sameMetadata(&m, &old.Metadata, true)...)
	if !sameHistory(t.Status, old.Status) {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldInvalid, Field: "status", Detail: "this is what the tag has: only imports and pushes change it",
		})
	}
	if len(errs) > 0 {
		return nil, invalid(errs)
	}
	if spec != nil {
		spec.Name = at.tag
	}
	return spec, nil
}

func sameHistory(a, b *tagevent.History) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Tag == b.Tag && slices.Equal(a.Items, b.Items) && slices.Equal(a.Conditions, b.Conditions)
}

// nameKey is the key of the tag itself, for errors.
func (t *target) nameKey() imagestream.Key {
	return imagestream.Key{Namespace: t.key.Namespace, Name: t.name}
}
