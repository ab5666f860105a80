// Package view makes what is derived from an image stream: image stream tags, image tags, image stream images
// and layers. Nothing of it is stored; it comes and goes with the stream.
//
// The functions are pure: they take a stream and its images. Package rest gets these from a Store, and writes
// streams through their tags. A stream is seen as the API shows it: with the repositories of its status computed
// anew.
//
// # Image stream tags
//
// [NewImageStreamTag] has the tag's newest event: its image, with the pull spec that the tag's reference
// policy wants, its creation time, its generation. A spec tag's annotations stand over those of the image.
// The texts of manifest and configuration are left out; an image that still has them is completed from them
// first. See conformance case istag.get-v1.
//
// # Image tags
//
// [NewImageTag] has spec and status of a tag side by side, with the image of the newest event, if it exists.
// See conformance case imagetag.get-v1.
//
// # Layers
//
// [Layers] has every image that the stream's histories name, and the images of manifest lists, with their
// blobs. Of a blob that is described twice, the first description counts. See conformance case layers.get-v1.
//
// # Differences from OpenShift
//
// An image that several images of a stream could be meant by, by a prefix of their names, is the first in
// name order; the real system answers with any of them.
package view

import (
	"maps"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// shown returns s as the API shows it under env.
func shown(s *imagestream.ImageStream, env imagestream.Env) *imagestream.ImageStream {
	c := *s.WithDefaults()
	c.Status.DockerImageRepository, c.Status.PublicDockerImageRepository = c.Repositories(env)
	return &c
}

// NewImageStreamTag returns the view of a tag of s with its image, nil if that does not exist or is not
// looked up. The tag may have no event, as one that was just created: the view then has the stream's creation
// time and an empty image. An image whose texts cannot be read is an error.
func NewImageStreamTag(
	s *imagestream.ImageStream,
	tag string,
	image *imagestream.Image,
	env imagestream.Env,
) (*imagestream.ImageStreamTag, error) {
	s = shown(s, env)
	history, _ := s.History(tag)
	event, _ := history.Latest()
	if event.Image == "" {
		event = tagevent.Event{Created: s.Metadata.CreationTimestamp}
	}
	v := &imagestream.ImageStreamTag{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamTag", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{
			Namespace: s.Metadata.Namespace, Name: pullspec.JoinTag(s.Metadata.Name, tag), CreationTimestamp: event.Created,
			Labels: s.Metadata.Labels, ResourceVersion: s.Metadata.ResourceVersion, UID: s.Metadata.UID,
		},
		Generation: event.Generation, LookupPolicy: s.Spec.LookupPolicy, Conditions: history.Conditions,
	}
	spec, inSpec := s.SpecTag(tag)
	if inSpec {
		v.Tag = &spec
		v.Metadata.Annotations = spec.Annotations
	}
	if image == nil {
		v.Image = imagestream.Image{Metadata: imagestream.ObjectMeta{Name: event.Image}}
		image = &v.Image
	} else if inSpec {
		image = withAnnotations(image, spec.Annotations)
	}
	complete, err := readable(image, env)
	if err != nil {
		return nil, err
	}
	v.Image = *complete
	v.Image.DockerImageReference = pullSpecOf(s, tag, event)
	return v, nil
}

// pullSpecOf returns the pull spec of an event of a tag, by the tag's reference policy.
func pullSpecOf(s *imagestream.ImageStream, tag string, event tagevent.Event) string {
	p, _ := inspect.PullSpec(s, tag, inspect.PullSpecOptions{Event: &event}) // an event has a pull spec, or ""
	return p.PullSpec
}

// withAnnotations returns image with annotations over its own.
func withAnnotations(image *imagestream.Image, annotations map[string]string) *imagestream.Image {
	if len(annotations) == 0 {
		return image
	}
	c := *image
	c.Metadata.Annotations = maps.Clone(annotations)
	for key, value := range image.Metadata.Annotations {
		if _, ok := annotations[key]; !ok {
			c.Metadata.Annotations[key] = value
		}
	}
	return &c
}

// readable returns image completed from its texts, and without them. An image inside another object has no
// kind of its own.
func readable(image *imagestream.Image, env imagestream.Env) (*imagestream.Image, error) {
	c, err := manifest.Complete(image, tagevent.TimeOf(env.Now))
	if err != nil {
		return nil, imagestream.NewError(
			imagestream.StatusReason(""),
			imagestream.ResourceImages,
			imagestream.Key{Name: image.Metadata.Name},
			err.Error(),
		)
	}
	c.TypeMeta = imagestream.TypeMeta{}
	c.DockerImageManifest, c.DockerImageConfig = "", ""
	return c, nil
}

// NewImageTag returns the view of a tag of s with its image, nil if that does not exist, and whether the
// stream has the tag in spec or status. An image whose texts cannot be read is an error.
func NewImageTag(
	s *imagestream.ImageStream,
	tag string,
	image *imagestream.Image,
	env imagestream.Env,
) (*imagestream.ImageTag, bool, error) {
	s = shown(s, env)
	v := &imagestream.ImageTag{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageTag", APIVersion: imagestream.APIVersion},
		Metadata: s.Metadata,
	}
	v.Metadata.Name = pullspec.JoinTag(s.Metadata.Name, tag)
	spec, inSpec := s.SpecTag(tag)
	if inSpec {
		v.Spec = &spec
	}
	history, inStatus := s.History(tag)
	if inStatus {
		v.Status = &history
	}
	if image != nil {
		complete, err := readable(image, env)
		if err != nil {
			return nil, false, err
		}
		v.Image = complete
		if latest, ok := history.Latest(); ok {
			v.Image.DockerImageReference = pullSpecOf(s, tag, latest)
		}
	}
	return v, inSpec || inStatus, nil
}
