package view

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Source is what a [Reader] reads from. An [imagestream.Reader] is one.
type Source interface {
	GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error)
	ListImageStreams(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageStreamList, error)
	GetImage(ctx context.Context, name string) (*imagestream.Image, error)
}

// Reader gets views. It keeps nothing between calls.
type Reader struct {
	Source Source
	// InternalRegistry and ExternalRegistry are those of [imagestream.Env].
	InternalRegistry, ExternalRegistry string
	// Now is the clock; nil is time.Now.
	Now func() time.Time
}

// The resources that errors speak of.
const (
	resourceTags   = "imagestreamtags"
	resourceImages = "imagestreamimages"
)

func (r *Reader) env() imagestream.Env {
	now := time.Now
	if r.Now != nil {
		now = r.Now
	}
	return imagestream.Env{Now: now(), Settings: imagestream.Settings{InternalRegistry: r.InternalRegistry, ExternalRegistry: r.ExternalRegistry}}
}

// tag reads the name <stream>:<tag> and gets the stream.
func (r *Reader) tag(ctx context.Context, namespace, name string) (s *imagestream.ImageStream, tag string, err error) {
	stream, tag, err := pullspec.ParseTag(name)
	if err == nil && !pullspec.IsPathSegment(stream) {
		err = fmt.Errorf("%q cannot be the name of an image stream", stream)
	}
	if err != nil {
		return nil, "", imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, err.Error())
	}
	s, err = r.Source.GetImageStream(ctx, imagestream.Key{Namespace: namespace, Name: stream})
	return s, tag, err
}

// ImageStreamTag returns the tag of that name, <stream>:<tag>. Errors are of class [imagestream.ErrNotFound]
// if stream, tag or image do not exist, or have the reason BadRequest for a name of another form.
func (r *Reader) ImageStreamTag(ctx context.Context, namespace, name string) (*imagestream.ImageStreamTag, error) {
	s, tag, err := r.tag(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	h, _ := s.History(tag)
	latest, ok := h.Latest()
	if !ok || latest.Image == "" {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, "the tag points at no image")
	}
	image, err := r.Source.GetImage(ctx, latest.Image)
	if err != nil {
		return nil, err
	}
	return NewImageStreamTag(s, tag, image, r.env())
}

// ImageTag returns the tag of that name, <stream>:<tag>. Errors are of class [imagestream.ErrNotFound] if
// stream or tag do not exist, or have the reason BadRequest for a name of another form.
func (r *Reader) ImageTag(ctx context.Context, namespace, name string) (*imagestream.ImageTag, error) {
	s, tag, err := r.tag(ctx, namespace, name)
	if err != nil {
		return nil, err
	}
	var image *imagestream.Image
	h, _ := s.History(tag)
	if latest, ok := h.Latest(); ok && latest.Image != "" {
		image, err = r.Source.GetImage(ctx, latest.Image)
		if errors.Is(err, imagestream.ErrNotFound) {
			image = nil
		} else if err != nil {
			return nil, err
		}
	}
	v, ok, err := NewImageTag(s, tag, image, r.env())
	if err == nil && !ok {
		err = imagestream.NewError(imagestream.ReasonNotFound, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, "the image stream has no such tag")
	}
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Layers returns the layers of the stream of that name. Wrong images are an error of class
// [imagestream.ErrInvalid].
func (r *Reader) Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	s, err := r.Source.GetImageStream(ctx, key)
	if err != nil {
		return nil, err
	}
	l, _, err := r.layers(ctx, s)
	return l, err
}

func (r *Reader) layers(ctx context.Context, s *imagestream.ImageStream) (*imagestream.ImageStreamLayers, map[string]*imagestream.Image, error) {
	images := map[string]*imagestream.Image{}
	asked := map[string]bool{}
	for queue := LayersNeeds(s); len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if name == "" || asked[name] {
			continue
		}
		asked[name] = true
		image, err := r.Source.GetImage(ctx, name)
		if errors.Is(err, imagestream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, nil, fmt.Errorf("layers of %s: %w", s.Key(), err)
		}
		images[name] = image
		queue = append(queue, ChildNames(image)...)
	}
	l, errs := Layers(s, images)
	if len(errs) > 0 {
		return nil, nil, imagestream.NewInvalid("imagestreams/layers", s.Key(), errs)
	}
	return l, images, nil
}

// ImageStreamImage returns the image of that name, <stream>@<id>, where id is the name of an image that the
// stream holds, or once held, or a prefix of it. Errors are those of Layers, of class
// [imagestream.ErrNotFound], or have the reason BadRequest for a name of another form.
func (r *Reader) ImageStreamImage(ctx context.Context, namespace, name string) (*imagestream.ImageStreamImage, error) {
	stream, id, err := pullspec.ParseImage(name)
	if err == nil && !pullspec.IsPathSegment(stream) {
		err = fmt.Errorf("%q cannot be the name of an image stream", stream)
	}
	if err != nil {
		return nil, imagestream.NewError(imagestream.ReasonBadRequest, resourceImages, imagestream.Key{Namespace: namespace, Name: name}, err.Error())
	}
	s, err := r.Source.GetImageStream(ctx, imagestream.Key{Namespace: namespace, Name: stream})
	if err != nil {
		return nil, err
	}
	l, images, err := r.layers(ctx, s)
	if err != nil {
		return nil, err
	}
	found, ok := FindImage(l, id)
	if !ok || images[found] == nil {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, resourceImages, imagestream.Key{Namespace: namespace, Name: name}, "the image stream holds no such image")
	}
	return NewImageStreamImage(s, id, images[found], r.env())
}

// ListOptions say which tags a list has.
type ListOptions struct {
	// Namespace restricts the list to one namespace.
	Namespace string
	// Labels choose by the labels of the stream.
	Labels imagestream.Selector
	// Fields chooses by metadata.name and metadata.namespace, with =, == and !=, joined by commas.
	//
	// Upstream quirk (op istag.list): it is applied to the stream first and then to the tag, so
	// metadata.name=<anything> chooses nothing: no stream and tag have the same name.
	Fields string
}

// ImageStreamTags lists the tags that point at an image, ordered by namespace, stream and tag. Images are not
// looked up: they have a name and a pull spec alone. Fields that there are none of have the reason
// BadRequest.
func (r *Reader) ImageStreamTags(ctx context.Context, opts ListOptions) (*imagestream.ImageStreamTagList, error) {
	list := &imagestream.ImageStreamTagList{TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamTagList", APIVersion: imagestream.APIVersion}}
	err := r.each(ctx, opts, func(s *imagestream.ImageStream, fields fieldSelector) error {
		for _, h := range s.Status.Tags {
			latest, ok := h.Latest()
			if !ok || latest.Image == "" {
				continue
			}
			v, err := NewImageStreamTag(s, h.Tag, nil, r.env())
			if err != nil {
				return err
			}
			v.Image.Metadata.Annotations = nil
			if fields.matches(v.Metadata) {
				v.TypeMeta = imagestream.TypeMeta{}
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

// ImageTags lists the tags of spec and status, ordered by namespace, stream and tag, without their images.
// The selectors are those of [Reader.ImageStreamTags].
func (r *Reader) ImageTags(ctx context.Context, opts ListOptions) (*imagestream.ImageTagList, error) {
	list := &imagestream.ImageTagList{TypeMeta: imagestream.TypeMeta{Kind: "ImageTagList", APIVersion: imagestream.APIVersion}}
	err := r.each(ctx, opts, func(s *imagestream.ImageStream, fields fieldSelector) error {
		for _, tag := range tagNames(s) {
			v, _, err := NewImageTag(s, tag, nil, r.env())
			if err != nil {
				return err
			}
			if fields.matches(v.Metadata) {
				v.TypeMeta = imagestream.TypeMeta{}
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

// each calls visit for every stream that opts choose.
func (r *Reader) each(ctx context.Context, opts ListOptions, visit func(*imagestream.ImageStream, fieldSelector) error) error {
	fields, err := parseFields(opts.Fields)
	if err != nil {
		return imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, imagestream.Key{}, err.Error())
	}
	page := imagestream.ListOptions{Namespace: opts.Namespace, Labels: opts.Labels}
	for {
		streams, err := r.Source.ListImageStreams(ctx, page)
		if err != nil {
			return err
		}
		for i := range streams.Items {
			s := imagestream.WithDefaults(&streams.Items[i])
			if !fields.matches(s.Metadata) {
				continue
			}
			if err := visit(s, fields); err != nil {
				return err
			}
		}
		if page.Continue = streams.Metadata.Continue; page.Continue == "" {
			return nil
		}
	}
}

// fieldSelector is a list of requirements on name and namespace.
type fieldSelector []fieldRequirement

type fieldRequirement struct {
	namespace, not bool
	value          string
}

func parseFields(s string) (fieldSelector, error) {
	var selector fieldSelector
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		r := fieldRequirement{}
		field, value, ok := strings.Cut(part, "=")
		field, r.not = strings.CutSuffix(field, "!")
		r.value = strings.TrimPrefix(value, "=")
		switch {
		case !ok:
			return nil, fmt.Errorf("field selector %q: %q has no =, == or !=", s, part)
		case field == "metadata.namespace":
			r.namespace = true
		case field != "metadata.name":
			return nil, fmt.Errorf("field selector %q: there is no field %q: choose by metadata.name and metadata.namespace", s, field)
		}
		selector = append(selector, r)
	}
	return selector, nil
}

func (s fieldSelector) matches(m imagestream.ObjectMeta) bool {
	for _, r := range s {
		have := m.Name
		if r.namespace {
			have = m.Namespace
		}
		if (have == r.value) == r.not {
			return false
		}
	}
	return true
}
