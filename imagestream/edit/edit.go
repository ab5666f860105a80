// Package edit changes image streams, with small pure functions. They change no argument; a stream that they
// return shares with the argument what did not change, and is meant to be stored by a transition of package
// imagestream, as package write does.
//
// [WithTag], [WithoutTag] and [WithoutSource] change one tag, [Merge] brings a desired stream into a stored one,
// [Rollback] moves a tag back and [Resume] lets it go on, [Snapshot] ties every tag to a digest,
// [Trim] shortens histories.
//
// # Differences from OpenShift
//
// The API has none of these changes; each client makes them for itself. [Rollback] does what "oc tag" does.
package edit

import (
	"cmp"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// WithTag returns s with t in the place of the spec tag of its name, or behind the others. No other tag is
// touched; further spec tags of that name are dropped.
func WithTag(s *imagestream.ImageStream, t imagestream.TagReference) *imagestream.ImageStream {
	return withTags(s, func(have imagestream.TagReference) bool { return have.Name == t.Name }, &t)
}

// WithoutTag returns s without a tag: its source and its history are gone. It is s itself if there is no such
// tag.
func WithoutTag(s *imagestream.ImageStream, tag string) *imagestream.ImageStream {
	_, inSpec := s.SpecTag(tag)
	_, inStatus := s.History(tag)
	if !inSpec && !inStatus {
		return s
	}
	c := withTags(s, func(have imagestream.TagReference) bool { return have.Name == tag }, nil)
	c.Status.Tags = slices.DeleteFunc(slices.Clone(s.Status.Tags), func(h tagevent.History) bool { return h.Tag == tag })
	return c
}

// WithoutSource returns s without the spec tag of a name: the tag asks for nothing more, and keeps its history. It
// is s itself if the spec has no such tag.
func WithoutSource(s *imagestream.ImageStream, tag string) *imagestream.ImageStream {
	if _, ok := s.SpecTag(tag); !ok {
		return s
	}
	return withTags(s, func(have imagestream.TagReference) bool { return have.Name == tag }, nil)
}

// withTags returns s with t, if there is one, in the place of the first tag that is dropped.
func withTags(
	s *imagestream.ImageStream,
	drop func(imagestream.TagReference) bool,
	t *imagestream.TagReference,
) *imagestream.ImageStream {
	c := *s
	c.Spec.Tags = make([]imagestream.TagReference, 0, len(s.Spec.Tags)+1)
	for _, have := range s.Spec.Tags {
		switch {
		case !drop(have):
			c.Spec.Tags = append(c.Spec.Tags, have)
		case t != nil:
			c.Spec.Tags = append(c.Spec.Tags, *t)
			t = nil
		}
	}
	if t != nil {
		c.Spec.Tags = append(c.Spec.Tags, *t)
	}
	return &c
}

// Circle returns the tags that would be followed in a circle if tag followed target, beginning with tag; nil if
// there would be an end. S may be nil.
func Circle(s *imagestream.ImageStream, tag, target string) []string {
	if s == nil {
		s = &imagestream.ImageStream{}
	}
	chain := inspect.Follow(WithTag(s, imagestream.TagReference{
		Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: target},
	}), tag)
	if chain.End != inspect.EndsInCircle {
		return nil
	}
	return chain.Path
}

// Merge returns stored with what desired asks for: its labels and annotations over those that are there, its
// lookup policy, its repository if it names one, and its spec tags in the place of those of their names.
// Whatever desired does not speak of stays, the status too. A desired tag without a generation keeps the
// stored one, and so do unset policies. Merging the same again changes nothing.
func Merge(stored, desired *imagestream.ImageStream) *imagestream.ImageStream {
	c := *stored
	c.Metadata.Labels = merged(stored.Metadata.Labels, desired.Metadata.Labels)
	c.Metadata.Annotations = merged(stored.Metadata.Annotations, desired.Metadata.Annotations)
	c.Spec.LookupPolicy = desired.Spec.LookupPolicy
	c.Spec.DockerImageRepository = cmp.Or(desired.Spec.DockerImageRepository, stored.Spec.DockerImageRepository)

	c.Spec.Tags = slices.Clone(stored.Spec.Tags)
	at := make(map[string]int, len(c.Spec.Tags))
	for i, t := range c.Spec.Tags {
		at[t.Name] = i
	}
	for _, t := range desired.Spec.Tags {
		i, ok := at[t.Name]
		if !ok {
			at[t.Name] = len(c.Spec.Tags)
			c.Spec.Tags = append(c.Spec.Tags, t)
			continue
		}
		have := c.Spec.Tags[i]
		if t.Generation == nil {
			t.Generation = have.Generation
		}
		t.ImportPolicy.ImportMode = cmp.Or(t.ImportPolicy.ImportMode, have.ImportPolicy.ImportMode)
		t.ReferencePolicy.Type = cmp.Or(t.ReferencePolicy.Type, have.ReferencePolicy.Type)
		c.Spec.Tags[i] = t
	}
	return &c
}

// merged returns the members of both, those of over where both have one.
func merged(under, over map[string]string) map[string]string {
	if len(over) == 0 {
		return under
	}
	m := maps.Clone(over)
	for key, value := range under {
		if _, ok := m[key]; !ok {
			m[key] = value
		}
	}
	return m
}

// SnapshotOptions say what [Snapshot] does with a tag that asks for something newer than it points at.
type SnapshotOptions struct {
	// Old takes the image that the tag points at. Without it such a tag is an error.
	Old bool
}

// Snapshot returns a new stream of s's name that has every tag of s that points at an image, coming from
// exactly that image: a DockerImage by digest, imported once. Stored, it becomes what s is now, whatever
// happens to tags in registries. Tags that point at no image with a pull spec of its own are left out.
// Labels, annotations of tags, lookup and reference policies are kept; history and annotations of the stream
// are not. Tags that ask for something newer, which is pending or failed, are an error of class
// [imagestream.ErrInvalid] that names them.
func Snapshot(s *imagestream.ImageStream, opts SnapshotOptions) (*imagestream.ImageStream, error) {
	s = s.WithDefaults()
	c := &imagestream.ImageStream{
		TypeMeta: s.TypeMeta,
		Metadata: imagestream.ObjectMeta{Namespace: s.Metadata.Namespace, Name: s.Metadata.Name, Labels: s.Metadata.Labels},
		Spec:     imagestream.ImageStreamSpec{LookupPolicy: s.Spec.LookupPolicy},
	}
	var pending imagestream.ErrorList
	for _, h := range s.Status.Tags {
		latest, ok := h.Latest()
		r, err := pullspec.Parse(latest.DockerImageReference)
		image := cmp.Or(latest.Image, r.ID)
		if !ok || err != nil || r.Name == "" || !pullspec.IsDigest(image) {
			continue
		}
		r.Tag, r.ID = "", image
		t, _ := s.SpecTag(h.Tag)
		if problem := notTheNewest(inspect.TagState(s, h.Tag), latest); problem != "" {
			pending = append(pending, &imagestream.FieldError{
				Type: imagestream.FieldInvalid, Field: "spec.tags[" + h.Tag + "]", Detail: problem,
			})
		}
		c.Spec.Tags = append(c.Spec.Tags, imagestream.TagReference{
			Name:        h.Tag,
			Annotations: t.Annotations,
			Reference:   t.Reference,
			From:        &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: r.Exact()},
			ImportPolicy: imagestream.TagImportPolicy{
				Insecure:   t.ImportPolicy.Insecure,
				ImportMode: t.ImportPolicy.ImportMode,
			},
			ReferencePolicy: t.ReferencePolicy,
		})
	}
	if len(pending) > 0 && !opts.Old {
		return nil, pending.Of(imagestream.ResourceImageStreams, s.Key())
	}
	return c.WithDefaults(), nil
}

// notTheNewest says why a tag does not point at what it asks for; "" if it does.
func notTheNewest(state inspect.State, latest tagevent.Event) string {
	switch {
	case state.Phase == inspect.Pending:
		return "the tag asks for something newer than the image that it points at: wait for the import, or take the old image"
	case state.Phase == inspect.Failed && state.Generation > latest.Generation:
		return "the import of what the tag asks for failed: mend what is wrong and import it, or take the old image"
	}
	return ""
}
