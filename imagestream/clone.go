package imagestream

import (
	"encoding/json"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/tagevent"
)

// Each Clone is a deep copy. Nil stays nil and empty stays empty: both are visible in JSON.

func clonePtr[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// cloneEach copies a slice and every element of it.
func cloneEach[T any](s []T, clone func(T) T) []T {
	s = slices.Clone(s)
	for i := range s {
		s[i] = clone(s[i])
	}
	return s
}

// Clone returns a deep copy of m.
func (m ListMeta) Clone() ListMeta {
	m.RemainingItemCount = clonePtr(m.RemainingItemCount)
	return m
}

// Clone returns a deep copy of m.
func (m ObjectMeta) Clone() ObjectMeta {
	m.DeletionTimestamp = clonePtr(m.DeletionTimestamp)
	m.DeletionGracePeriodSeconds = clonePtr(m.DeletionGracePeriodSeconds)
	m.Labels = maps.Clone(m.Labels)
	m.Annotations = maps.Clone(m.Annotations)
	m.OwnerReferences = cloneEach(m.OwnerReferences, func(r OwnerReference) OwnerReference {
		r.Controller = clonePtr(r.Controller)
		r.BlockOwnerDeletion = clonePtr(r.BlockOwnerDeletion)
		return r
	})
	m.Finalizers = slices.Clone(m.Finalizers)
	m.ManagedFields = cloneEach(m.ManagedFields, func(f ManagedFieldsEntry) ManagedFieldsEntry {
		f.Time = clonePtr(f.Time)
		f.FieldsV1 = slices.Clone(f.FieldsV1)
		return f
	})
	m.Unknown = maps.Clone(m.Unknown)
	for name, raw := range m.Unknown {
		m.Unknown[name] = json.RawMessage(slices.Clone(raw))
	}
	return m
}

// Clone returns a deep copy of s.
func (s *ImageStream) Clone() *ImageStream {
	c := s.clone()
	return &c
}

func (s ImageStream) clone() ImageStream {
	s.Metadata = s.Metadata.Clone()
	s.Spec.Tags = cloneTags(s.Spec.Tags)
	s.Status.Tags = cloneEach(s.Status.Tags, tagevent.History.Clone)
	return s
}

// cloneTags copies tags, and all that they point at in one piece of memory each.
func cloneTags(tags []TagReference) []TagReference {
	tags = slices.Clone(tags)
	sources, generations := 0, 0
	for i := range tags {
		if tags[i].From != nil {
			sources++
		}
		if tags[i].Generation != nil {
			generations++
		}
	}
	from, numbers := make([]ObjectReference, 0, sources), make([]int64, 0, generations)
	for i := range tags {
		t := &tags[i]
		t.Annotations = maps.Clone(t.Annotations)
		if t.From != nil {
			from = append(from, *t.From)
			t.From = &from[len(from)-1]
		}
		if t.Generation != nil {
			numbers = append(numbers, *t.Generation)
			t.Generation = &numbers[len(numbers)-1]
		}
	}
	return tags
}

// Clone returns a deep copy of t.
func (t TagReference) Clone() TagReference {
	t.Annotations = maps.Clone(t.Annotations)
	t.From = clonePtr(t.From)
	t.Generation = clonePtr(t.Generation)
	return t
}

func (t *TagReference) clonePtr() *TagReference {
	if t == nil {
		return nil
	}
	c := t.Clone()
	return &c
}

// Clone returns a deep copy of l.
func (l *ImageStreamList) Clone() *ImageStreamList {
	c := *l
	c.Metadata = l.Metadata.Clone()
	c.Items = cloneEach(l.Items, ImageStream.clone)
	return &c
}

// Clone returns a deep copy of t.
func (t *ImageStreamTag) Clone() *ImageStreamTag {
	c := t.clone()
	return &c
}

func (t ImageStreamTag) clone() ImageStreamTag {
	t.Metadata = t.Metadata.Clone()
	t.Tag = t.Tag.clonePtr()
	t.Conditions = slices.Clone(t.Conditions)
	t.Image = t.Image.clone()
	return t
}

// Clone returns a deep copy of l.
func (l *ImageStreamTagList) Clone() *ImageStreamTagList {
	c := *l
	c.Metadata = l.Metadata.Clone()
	c.Items = cloneEach(l.Items, ImageStreamTag.clone)
	return &c
}

// Clone returns a deep copy of t.
func (t *ImageTag) Clone() *ImageTag {
	c := t.clone()
	return &c
}

func (t ImageTag) clone() ImageTag {
	t.Metadata = t.Metadata.Clone()
	t.Spec = t.Spec.clonePtr()
	if t.Status != nil {
		status := t.Status.Clone()
		t.Status = &status
	}
	if t.Image != nil {
		t.Image = t.Image.Clone()
	}
	return t
}

// Clone returns a deep copy of l.
func (l *ImageTagList) Clone() *ImageTagList {
	c := *l
	c.Metadata = l.Metadata.Clone()
	c.Items = cloneEach(l.Items, ImageTag.clone)
	return &c
}

// Clone returns a deep copy of i.
func (i *ImageStreamImage) Clone() *ImageStreamImage {
	c := *i
	c.Metadata = i.Metadata.Clone()
	c.Image = i.Image.clone()
	return &c
}

// Clone returns a deep copy of m.
func (m *ImageStreamMapping) Clone() *ImageStreamMapping {
	c := *m
	c.Metadata = m.Metadata.Clone()
	c.Image = m.Image.clone()
	return &c
}

// Clone returns a deep copy of l.
func (l *ImageStreamLayers) Clone() *ImageStreamLayers {
	c := *l
	c.Metadata = l.Metadata.Clone()
	c.Blobs = maps.Clone(l.Blobs)
	for name, blob := range c.Blobs {
		blob.LayerSize = clonePtr(blob.LayerSize)
		c.Blobs[name] = blob
	}
	c.Images = maps.Clone(l.Images)
	for name, image := range c.Images {
		image.Layers = slices.Clone(image.Layers)
		image.Config = clonePtr(image.Config)
		image.Manifests = slices.Clone(image.Manifests)
		c.Images[name] = image
	}
	return &c
}

// Clone returns a deep copy of i.
func (i *Image) Clone() *Image {
	c := i.clone()
	return &c
}

func (i Image) clone() Image {
	i.Metadata = i.Metadata.Clone()
	i.DockerImageMetadata = slices.Clone(i.DockerImageMetadata)
	i.DockerImageLayers = slices.Clone(i.DockerImageLayers)
	i.Signatures = cloneEach(i.Signatures, ImageSignature.clone)
	i.DockerImageSignatures = cloneEach(i.DockerImageSignatures, slices.Clone[[]byte])
	i.DockerImageManifests = slices.Clone(i.DockerImageManifests)
	return i
}

// Clone returns a deep copy of l.
func (l *ImageList) Clone() *ImageList {
	c := *l
	c.Metadata = l.Metadata.Clone()
	c.Items = cloneEach(l.Items, Image.clone)
	return &c
}

// Clone returns a deep copy of s.
func (s *ImageSignature) Clone() *ImageSignature {
	c := s.clone()
	return &c
}

func (s ImageSignature) clone() ImageSignature {
	s.Metadata = s.Metadata.Clone()
	s.Content = slices.Clone(s.Content)
	s.Conditions = slices.Clone(s.Conditions)
	s.SignedClaims = maps.Clone(s.SignedClaims)
	s.Created = clonePtr(s.Created)
	s.IssuedBy = clonePtr(s.IssuedBy)
	s.IssuedTo = clonePtr(s.IssuedTo)
	return s
}

// Clone returns a deep copy of i.
func (i *ImageStreamImport) Clone() *ImageStreamImport {
	c := *i
	c.Metadata = i.Metadata.Clone()
	c.Spec.Repository = clonePtr(i.Spec.Repository)
	c.Spec.Images = cloneEach(i.Spec.Images, func(s ImageImportSpec) ImageImportSpec {
		s.To = clonePtr(s.To)
		return s
	})
	if i.Status.Import != nil {
		c.Status.Import = i.Status.Import.Clone()
	}
	if i.Status.Repository != nil {
		r := *i.Status.Repository
		r.Status = r.Status.Clone()
		r.Images = cloneEach(r.Images, ImageImportStatus.clone)
		r.AdditionalTags = slices.Clone(r.AdditionalTags)
		c.Status.Repository = &r
	}
	c.Status.Images = cloneEach(i.Status.Images, ImageImportStatus.clone)
	return &c
}

func (s ImageImportStatus) clone() ImageImportStatus {
	s.Status = s.Status.Clone()
	if s.Image != nil {
		s.Image = s.Image.Clone()
	}
	s.Manifests = cloneEach(s.Manifests, Image.clone)
	return s
}

// Clone returns a deep copy of s.
func (s Status) Clone() Status {
	s.Metadata = s.Metadata.Clone()
	if s.Details != nil {
		d := *s.Details
		d.Causes = slices.Clone(d.Causes)
		s.Details = &d
	}
	return s
}
