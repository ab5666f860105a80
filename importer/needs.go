package importer

import (
	"cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// IsImportable reports whether tag comes from a registry by import: its source is a DockerImage, and it is no reference.
func IsImportable(tag imagestream.TagReference) bool {
	return tag.From != nil && tag.From.Kind == imagestream.KindDockerImage && !tag.Reference
}

// NeedsImport returns the import that stream waits for, and whether there is one: all of its importable tags if it was never imported, else
// those whose generation is ahead of what their history accounts for. Tags without a generation come along. Source: semantics of import,
// section 8.
func NeedsImport(stream *imagestream.ImageStream) (*imagestream.ImageStreamImport, bool) {
	everything := stream.Metadata.Annotations[CheckAnnotation] == ""
	needed := everything && stream.Spec.DockerImageRepository != ""
	for _, tag := range stream.Spec.Tags {
		if IsImportable(tag) && (everything || isBehind(stream, tag)) {
			needed = true
		}
	}
	if !needed {
		return nil, false
	}
	whole := everything && stream.Spec.DockerImageRepository != ""
	imp := newImport(stream)
	for _, tag := range stream.Spec.Tags {
		if IsImportable(tag) && (whole || tag.Generation == nil || isBehind(stream, tag)) {
			imp.Spec.Images = append(imp.Spec.Images, imageOf(tag))
		}
	}
	if whole {
		imp.Spec.Repository = &imagestream.RepositoryImportSpec{
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: stream.Spec.DockerImageRepository},
			ImportPolicy: imagestream.TagImportPolicy{
				Insecure: stream.Metadata.Annotations[imagestream.InsecureRepositoryAnnotation] == "true",
			},
		}
	}
	return imp, len(imp.Spec.Images) > 0 || imp.Spec.Repository != nil
}

// isBehind reports whether the history of tag does not account for its generation.
func isBehind(stream *imagestream.ImageStream, tag imagestream.TagReference) bool {
	history, _ := stream.History(tag.Name)
	return tag.Generation != nil && *tag.Generation > history.ObservedGeneration()
}

func newImport(stream *imagestream.ImageStream) *imagestream.ImageStreamImport {
	m := &stream.Metadata
	return &imagestream.ImageStreamImport{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamImport", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID, ResourceVersion: m.ResourceVersion},
		Spec:     imagestream.ImageStreamImportSpec{Import: true},
	}
}

func imageOf(tag imagestream.TagReference) imagestream.ImageImportSpec {
	return imagestream.ImageImportSpec{
		From: *tag.From, To: &imagestream.LocalObjectReference{Name: tag.Name},
		ImportPolicy: tag.ImportPolicy, ReferencePolicy: tag.ReferencePolicy,
	}
}

// IsScheduled reports whether tag of stream is to be imported again and again: it is importable and scheduled, its source is a pull spec, and not
// a digest that was imported, which can never change. Source: semantics of import, section 9.
func IsScheduled(stream *imagestream.ImageStream, tag imagestream.TagReference) bool {
	if !IsImportable(tag) || !tag.ImportPolicy.Scheduled {
		return false
	}
	r, err := pullspec.Parse(tag.From.Name)
	if err != nil {
		return tag.From.Name == ""
	}
	latest, ok := stream.LatestEvent(cmp.Or(tag.Name, pullspec.DefaultTag))
	return r.ID == "" || !ok || tag.Generation == nil || latest.Generation != *tag.Generation
}

// ScheduledImport returns what is imported when a stream's turn has come, and whether it has scheduled tags at all: these, and
// whatever else [NeedsImport] would import.
func ScheduledImport(stream *imagestream.ImageStream) (*imagestream.ImageStreamImport, bool) {
	due := *stream
	due.Spec.Tags = append([]imagestream.TagReference(nil), stream.Spec.Tags...)
	next := stream.Metadata.Generation + 1
	scheduled := false
	for i := range due.Spec.Tags {
		if IsScheduled(stream, due.Spec.Tags[i]) {
			due.Spec.Tags[i].Generation = &next
			scheduled = true
		}
	}
	if !scheduled {
		return nil, false
	}
	imp, _ := NeedsImport(&due)
	return imp, true
}
