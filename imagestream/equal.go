package imagestream

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/tagevent"
)

// Same reports whether s and o hold the same, nil and empty alike. Two streams that are equal need not be
// written again.
func (s *ImageStream) Same(o *ImageStream) bool {
	return s.TypeMeta == o.TypeMeta && equalMeta(&s.Metadata, &o.Metadata) && equalSpec(&s.Spec, &o.Spec) &&
		s.Status.DockerImageRepository == o.Status.DockerImageRepository &&
		s.Status.PublicDockerImageRepository == o.Status.PublicDockerImageRepository &&
		equalHistories(s.Status.Tags, o.Status.Tags)
}

func equalPtr[T comparable](a, b *T) bool {
	return a == b || a != nil && b != nil && *a == *b
}

func equalMeta(a, b *ObjectMeta) bool {
	return a.Name == b.Name && a.GenerateName == b.GenerateName && a.Namespace == b.Namespace && a.SelfLink == b.SelfLink &&
		a.UID == b.UID && a.ResourceVersion == b.ResourceVersion && a.Generation == b.Generation &&
		a.CreationTimestamp == b.CreationTimestamp && equalPtr(a.DeletionTimestamp, b.DeletionTimestamp) &&
		equalPtr(a.DeletionGracePeriodSeconds, b.DeletionGracePeriodSeconds) &&
		maps.Equal(a.Labels, b.Labels) &&
		maps.Equal(a.Annotations, b.Annotations) &&
		slices.EqualFunc(a.OwnerReferences, b.OwnerReferences, equalOwner) &&
		slices.Equal(a.Finalizers, b.Finalizers) &&
		slices.EqualFunc(a.ManagedFields, b.ManagedFields, equalManaged) &&
		maps.EqualFunc(a.Unknown, b.Unknown, func(x, y json.RawMessage) bool { return bytes.Equal(x, y) })
}

func equalOwner(a, b OwnerReference) bool {
	return a.APIVersion == b.APIVersion && a.Kind == b.Kind && a.Name == b.Name && a.UID == b.UID &&
		equalPtr(a.Controller, b.Controller) && equalPtr(a.BlockOwnerDeletion, b.BlockOwnerDeletion)
}

func equalManaged(a, b ManagedFieldsEntry) bool {
	return a.Manager == b.Manager && a.Operation == b.Operation && a.APIVersion == b.APIVersion && equalPtr(a.Time, b.Time) &&
		a.FieldsType == b.FieldsType && bytes.Equal(a.FieldsV1, b.FieldsV1) &&
		a.Subresource == b.Subresource
}

func equalSpec(a, b *ImageStreamSpec) bool {
	return a.LookupPolicy == b.LookupPolicy && a.DockerImageRepository == b.DockerImageRepository &&
		len(
			a.Tags,
		) == len(
			b.Tags,
		) && (len(a.Tags) == 0 || &a.Tags[0] == &b.Tags[0] || slices.EqualFunc(a.Tags, b.Tags, equalTag))
}

func equalTag(a, b TagReference) bool {
	return a.Name == b.Name && maps.Equal(a.Annotations, b.Annotations) && equalPtr(a.From, b.From) && a.Reference == b.Reference &&
		equalPtr(a.Generation, b.Generation) && a.ImportPolicy == b.ImportPolicy &&
		a.ReferencePolicy == b.ReferencePolicy
}

func equalHistories(a, b []tagevent.History) bool {
	return slices.EqualFunc(a, b, func(x, y tagevent.History) bool {
		return x.Tag == y.Tag && slices.Equal(x.Items, y.Items) && slices.Equal(x.Conditions, y.Conditions)
	})
}
