package rest

import (
	"context"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/view"
	"github.com/imagestreams/imagestreams/tagevent"
)

// imageTags is the resource imagetags.
type imageTags struct{ tags }

func (r imageTags) Get(ctx context.Context, key imagestream.Key) (*imagestream.ImageTag, error) {
	stream, tag, err := split(key)
	if err != nil {
		return nil, err
	}
	s, err := r.store().GetImageStream(ctx, stream)
	if err != nil {
		return nil, err
	}
	image, err := r.latestImage(ctx, s, tag)
	if err != nil {
		return nil, err
	}
	v, ok, err := view.NewImageTag(s, tag, image, r.engine().Env())
	if err == nil && !ok {
		err = imagestream.NewError(imagestream.ReasonNotFound, errorResource, key, "the image stream has no such tag")
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

func (r imageTags) List(ctx context.Context, opts ListOptions) (*imagestream.ImageTagList, error) {
	list := &imagestream.ImageTagList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageTagList", APIVersion: imagestream.APIVersion},
	}
	err := r.eachStream(ctx, opts, func(s *imagestream.ImageStream, fields fieldSelector) error {
		for _, tag := range tagNames(s) {
			v, _, err := view.NewImageTag(s, tag, nil, r.engine().Env())
			if err != nil {
				return err
			}
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

// tagNames returns the tags of spec and status, in order.
func tagNames(s *imagestream.ImageStream) []string {
	var names []string
	for _, t := range s.Spec.Tags {
		names = append(names, t.Name)
	}
	for _, h := range s.Status.Tags {
		names = append(names, h.Tag)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (r imageTags) Create(
	ctx context.Context,
	namespace string,
	t *imagestream.ImageTag,
	opts CreateOptions,
) (*imagestream.ImageTag, error) {
	if t == nil {
		return nil, noObject(imagestream.ResourceImageTags, namespace)
	}
	m := t.Metadata.Clone()
	if err := accept(&m, errorResource, namespace); err != nil {
		return nil, err
	}
	spec, errs := r.validateNew(&m, t.Spec)
	if len(errs) > 0 {
		return nil, errs.Of(errorResource, imagestream.Key{Namespace: namespace, Name: m.Name})
	}
	stream, tag, err := splitNew(errorResource, &m)
	if err != nil {
		return nil, err
	}
	s, err := r.create(ctx, stream, tag, spec, opts.DryRun)
	if err != nil {
		return nil, err
	}
	return r.answer(ctx, s, tag)
}

func (r imageTags) validateNew(
	m *imagestream.ObjectMeta,
	spec *imagestream.TagReference,
) (*imagestream.TagReference, imagestream.ErrorList) {
	errs := m.Validate(true)
	if spec == nil {
		return nil, append(
			errs,
			&imagestream.FieldError{Type: imagestream.FieldRequired, Field: "spec", Detail: "say where the tag comes from"},
		)
	}
	spec = withDefaults(spec)
	_, tag, ok := pullspec.SplitTag(m.Name)
	if ok && spec.Name == "" {
		spec.Name = tag
	}
	if !ok || spec.Name != tag {
		errs = append(errs, wrongTagName(spec.Name))
	}
	return spec, append(errs, spec.Validate("spec", isInsecure(m), r.allowlist())...)
}

func wrongTagName(name string) *imagestream.FieldError {
	return &imagestream.FieldError{
		Type:   imagestream.FieldInvalid,
		Field:  "spec.name",
		Value:  name,
		Detail: "must be the tag in metadata.name, <image stream>:<tag>",
	}
}

func (r imageTags) answer(ctx context.Context, s *imagestream.ImageStream, tag string) (*imagestream.ImageTag, error) {
	image, err := r.latestImage(ctx, s, tag)
	if err != nil {
		return nil, err
	}
	v, _, err := view.NewImageTag(s, tag, image, r.engine().Env())
	return v, err
}

func (r imageTags) Update(
	ctx context.Context,
	key imagestream.Key,
	change Change[imagestream.ImageTag],
	opts UpdateOptions,
) (*imagestream.ImageTag, bool, error) {
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

// prepare returns the spec tag that an update makes; nil removes it.
func (r imageTags) prepare(at *target, change Change[imagestream.ImageTag]) (*imagestream.TagReference, error) {
	var old *imagestream.ImageTag
	if at.stream != nil {
		var err error
		if old, _, err = view.NewImageTag(at.stream, at.tag, nil, r.engine().Env()); err != nil {
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
	var spec *imagestream.TagReference
	var errs imagestream.ErrorList
	if old == nil {
		if err := accept(&m, errorResource, at.key.Namespace); err != nil {
			return nil, err
		}
		spec, errs = r.validateNew(&m, next.Spec)
	} else {
		if err := at.meet(&m, &old.Metadata); err != nil {
			return nil, err
		}
		spec, errs = r.validateUpdate(at, &m, old, next)
	}
	if len(errs) > 0 {
		return nil, errs.Of(errorResource, at.key)
	}
	if spec != nil {
		spec.Name = at.tag
	}
	return spec, nil
}

// validateUpdate returns the spec tag of next, which is to replace old and has the metadata m.
func (r imageTags) validateUpdate(
	at *target,
	m *imagestream.ObjectMeta,
	old, next *imagestream.ImageTag,
) (*imagestream.TagReference, imagestream.ErrorList) {
	errs := m.Validate(true)
	spec := withDefaults(next.Spec)
	if spec != nil {
		if _, tag, ok := pullspec.SplitTag(m.Name); !ok || spec.Name != tag {
			errs = append(errs, wrongTagName(spec.Name))
		}
		errs = append(errs, spec.Validate("spec", isInsecure(m), r.exempting(at.spec))...)
	}
	errs = append(errs, sameMetadata(m, &old.Metadata, true)...)
	if !sameHistory(next.Status, old.Status) {
		errs = append(errs, &imagestream.FieldError{
			Type:   imagestream.FieldInvalid,
			Field:  "status",
			Detail: "must be the tag's own status: only imports and pushes change it",
		})
	}
	return spec, errs
}

func sameHistory(a, b *tagevent.History) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Tag == b.Tag && slices.Equal(a.Items, b.Items) && slices.Equal(a.Conditions, b.Conditions)
}
