package rest

import (
	"context"
	"maps"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/view"
)

// streamTags is the resource imagestreamtags.
type streamTags struct{ tags }

func (r streamTags) Get(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamTag, error) {
	stream, tag, err := split(key)
	if err != nil {
		return nil, err
	}
	s, err := r.store().GetImageStream(ctx, stream)
	if err != nil {
		return nil, err
	}
	latest, ok := s.LatestEvent(tag)
	if !ok || latest.Image == "" {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, errorResource, key, "the tag points at no image")
	}
	image, err := r.store().GetImage(ctx, latest.Image)
	if err != nil {
		return nil, err
	}
	return view.NewImageStreamTag(s, tag, image, r.engine().Env())
}

func (r streamTags) List(ctx context.Context, opts ListOptions) (*imagestream.ImageStreamTagList, error) {
	list := &imagestream.ImageStreamTagList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamTagList", APIVersion: imagestream.APIVersion},
	}
	err := r.eachStream(ctx, opts, func(s *imagestream.ImageStream, fields fieldSelector) error {
		for _, h := range s.Status.Tags {
			latest, ok := h.Latest()
			if !ok || latest.Image == "" {
				continue
			}
			v, err := view.NewImageStreamTag(s, h.Tag, nil, r.engine().Env())
			if err != nil {
				return err
			}
			v.Image.Metadata.Annotations = nil
			if fields.matches(&v.Metadata) {
				v.TypeMeta, v.Metadata = imagestream.TypeMeta{}, v.Metadata.Clone()
				list.Items = append(list.Items, *v)
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (r streamTags) Create(
	ctx context.Context,
	namespace string,
	t *imagestream.ImageStreamTag,
	opts CreateOptions,
) (*imagestream.ImageStreamTag, error) {
	if t == nil {
		return nil, noObject(r.resource, namespace)
	}
	m := t.Metadata.Clone()
	if err := accept(&m, errorResource, namespace); err != nil {
		return nil, err
	}
	spec := withDefaults(t.Tag)
	if errs := r.validateNew(&m, spec); len(errs) > 0 {
		return nil, errs.Of(r.resource, imagestream.Key{Namespace: namespace, Name: m.Name})
	}
	stream, tag, err := splitNew(r.resource, &m)
	if err != nil {
		return nil, err
	}
	s, err := r.create(ctx, stream, tag, spec, opts.DryRun)
	if err != nil {
		return nil, err
	}
	return r.answer(ctx, s, tag)
}

func (r streamTags) validateNew(m *imagestream.ObjectMeta, spec *imagestream.TagReference) imagestream.ErrorList {
	errs := m.Validate(true)
	if spec == nil {
		return errs
	}
	errs = append(errs, spec.Validate("tag", isInsecure(m), r.allowlist())...)
	if spec.Annotations != nil && !maps.Equal(spec.Annotations, m.Annotations) {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldInvalid, Field: "tag.annotations", Detail: "must be the annotations in metadata, or left out",
		})
	}
	return errs
}

// answer returns the tag as it is after a write: an image that does not exist is not an error.
func (r streamTags) answer(
	ctx context.Context,
	s *imagestream.ImageStream,
	tag string,
) (*imagestream.ImageStreamTag, error) {
	image, err := r.latestImage(ctx, s, tag)
	if err != nil {
		return nil, err
	}
	return view.NewImageStreamTag(s, tag, image, r.engine().Env())
}

func (r streamTags) Update(
	ctx context.Context,
	key imagestream.Key,
	change Change[imagestream.ImageStreamTag],
	opts UpdateOptions,
) (*imagestream.ImageStreamTag, bool, error) {
	s, tag, created, err := r.update(
		ctx,
		key,
		opts,
		func(at *target) (*imagestream.TagReference, error) { return r.prepare(at, change) },
	)
	if err != nil {
		return nil, false, err
	}
	v, err := r.answer(ctx, s, tag)
	return v, created, err
}

// prepare returns the spec tag that an update makes.
func (r streamTags) prepare(at *target, change Change[imagestream.ImageStreamTag]) (*imagestream.TagReference, error) {
	var old *imagestream.ImageStreamTag
	if at.stream != nil {
		var err error
		if old, err = view.NewImageStreamTag(at.stream, at.tag, nil, r.engine().Env()); err != nil {
			return nil, err
		}
	}
	next, err := change.apply(errorResource, at.key, old)
	if err != nil {
		return nil, err
	}
	m := next.Metadata.Clone()
	if err := at.version(&m); err != nil {
		return nil, err
	}
	spec := withDefaults(next.Tag)
	var errs imagestream.ErrorList
	if old == nil {
		if err := accept(&m, errorResource, at.key.Namespace); err != nil {
			return nil, err
		}
		errs = r.validateNew(&m, spec)
	} else {
		if err := at.meet(&m, &old.Metadata); err != nil {
			return nil, err
		}
		if len(m.Labels) == 0 {
			m.Labels = old.Metadata.Labels
		}
		errs = m.Validate(true)
		if spec != nil {
			spec.Annotations = m.Annotations
			errs = append(errs, spec.Validate("tag", isInsecure(&m), r.exempting(at.spec))...)
		}
		errs = append(errs, sameMetadata(&m, &old.Metadata, false)...)
	}
	if len(errs) > 0 {
		return nil, errs.Of(errorResource, at.key)
	}
	if spec == nil {
		if at.spec == nil {
			return nil, at.fail(imagestream.ReasonBadRequest, "the tag does not exist: set tag.from to say where it comes from")
		}
		c := *at.spec
		spec = &c
	}
	spec.Name, spec.Annotations = at.tag, m.Annotations
	return spec, nil
}
