package inspect

import (
	"cmp"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
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

// withTags returns s with t, if there is one, in the place of the first tag that is dropped.
func withTags(s *imagestream.ImageStream, drop func(imagestream.TagReference) bool, t *imagestream.TagReference) *imagestream.ImageStream {
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

// Snapshot returns a new stream of s's name that has every tag of s that points at an image, coming from
// exactly that image: a DockerImage by digest, imported once. Stored, it becomes what s is now, whatever
// happens to tags in registries. Tags that point at no image with a pull spec of its own are left out.
// Labels, annotations of tags, lookup and reference policies are kept; history and annotations of the stream
// are not.
func Snapshot(s *imagestream.ImageStream) *imagestream.ImageStream {
	s = imagestream.WithDefaults(s)
	c := &imagestream.ImageStream{
		TypeMeta: s.TypeMeta,
		Metadata: imagestream.ObjectMeta{Namespace: s.Metadata.Namespace, Name: s.Metadata.Name, Labels: s.Metadata.Labels},
		Spec:     imagestream.ImageStreamSpec{LookupPolicy: s.Spec.LookupPolicy},
	}
	for _, h := range s.Status.Tags {
		latest, ok := h.Latest()
		r, err := pullspec.Parse(latest.DockerImageReference)
		if !ok || err != nil || r.Name == "" || !pullspec.IsDigest(latest.Image) {
			continue
		}
		r.Tag, r.ID = "", latest.Image
		t, _ := s.SpecTag(h.Tag)
		c.Spec.Tags = append(c.Spec.Tags, imagestream.TagReference{
			Name: h.Tag, Annotations: t.Annotations,
			From:            &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: r.Exact()},
			ImportPolicy:    imagestream.TagImportPolicy{Insecure: t.ImportPolicy.Insecure, ImportMode: t.ImportPolicy.ImportMode},
			ReferencePolicy: t.ReferencePolicy,
		})
	}
	return imagestream.WithDefaults(c)
}

// DifferenceType is what happened to a tag between two streams.
type DifferenceType string

// The differences: a tag that began to point at something, points at something else, no longer does; an
// import that began to fail, or fails otherwise; another condition.
const (
	TagAdded         DifferenceType = "added"
	TagMoved         DifferenceType = "moved"
	TagRemoved       DifferenceType = "removed"
	TagFailed        DifferenceType = "failed"
	ConditionChanged DifferenceType = "condition"
)

// Difference is one thing that happened to a tag.
type Difference struct {
	Type DifferenceType
	Tag  string
	// From and To are what the tag points at: none where it was added or removed.
	From, To tagevent.Event
	// Condition is the new one, with TagFailed and ConditionChanged; empty if it went away.
	Condition tagevent.Condition
}

// Diff lists what happened to the tags' images and conditions from one stream to a newer one, in name order;
// of one tag, the move comes before the condition. A tag moves when its image or pull spec changes; another
// generation alone is no difference.
func Diff(from, to *imagestream.ImageStream) []Difference {
	before, after := histories(from), histories(to)
	names := slices.Collect(maps.Keys(before))
	for tag := range after {
		if _, ok := before[tag]; !ok {
			names = append(names, tag)
		}
	}
	slices.Sort(names)
	var diffs []Difference
	for _, tag := range names {
		diffs = append(diffs, diffTag(tag, before[tag], after[tag])...)
	}
	return diffs
}

func histories(s *imagestream.ImageStream) map[string]tagevent.History {
	m := make(map[string]tagevent.History, len(s.Status.Tags))
	for _, h := range s.Status.Tags {
		m[h.Tag] = h
	}
	return m
}

func diffTag(tag string, before, after tagevent.History) (diffs []Difference) {
	was, had := before.Latest()
	is, has := after.Latest()
	d := Difference{Tag: tag, From: was, To: is}
	switch {
	case !had && has:
		d.Type = TagAdded
	case had && !has:
		d.Type = TagRemoved
	case was.Image != is.Image || was.DockerImageReference != is.DockerImageReference:
		d.Type = TagMoved
	}
	if d.Type != "" {
		diffs = append(diffs, d)
	}
	oldCondition, _ := before.Condition(tagevent.ImportSuccess)
	c, _ := after.Condition(tagevent.ImportSuccess)
	if c != oldCondition {
		d.Type, d.Condition = ConditionChanged, c
		if c.Status == tagevent.ConditionFalse {
			d.Type = TagFailed
		}
		diffs = append(diffs, d)
	}
	return diffs
}
