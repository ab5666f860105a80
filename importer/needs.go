package importer

import (
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// IsImportable reports whether tag comes from a registry by import: its source is a DockerImage, and it is no
// reference.
func IsImportable(tag imagestream.TagReference) bool {
	return tag.From != nil && tag.From.Kind == imagestream.KindDockerImage && !tag.Reference
}

// Need is what a stream waits for.
type Need struct {
	// Needed tells that it waits, Partial that it does so for some of its tags, and not for all that it has a source for.
	Needed, Partial bool
	// Import is what to ask for. It is nil if nothing is needed, and for a stream that was never imported though each of
	// its tags is up to date.
	Import *imagestream.ImageStreamImport
}

// NeedsImport returns what stream waits for: all that it has if it was never imported and follows a repository, else the
// importable tags whose generation is ahead of what their history accounts for. Tags without a generation come along.
// Source: op needsimport.
func NeedsImport(stream *imagestream.ImageStream) Need {
	return needsImport(stream, index(stream))
}

func needsImport(stream *imagestream.ImageStream, histories map[string]tagevent.History) Need {
	never := stream.Metadata.Annotations[CheckAnnotation] == ""
	whole := never && stream.Spec.DockerImageRepository != ""
	need := Need{Needed: whole}
	for _, tag := range stream.Spec.Tags {
		if IsImportable(tag) && (never || isBehind(histories, tag)) {
			need.Needed = true
		}
	}
	if !need.Needed {
		return need
	}
	need.Partial = !whole
	imp := newImport(stream)
	for _, tag := range stream.Spec.Tags {
		if IsImportable(tag) && (whole || tag.Generation == nil || isBehind(histories, tag)) {
			imp.Spec.Images = append(imp.Spec.Images, imageOf(tag))
		}
	}
	if whole {
		imp.Spec.Repository = &imagestream.RepositoryImportSpec{
			From:         imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: stream.Spec.DockerImageRepository},
			ImportPolicy: imagestream.TagImportPolicy{Insecure: isInsecure(stream)},
		}
	}
	if len(imp.Spec.Images) > 0 || imp.Spec.Repository != nil {
		need.Import = imp
	}
	return need
}

// index has the histories of a stream by tag.
func index(stream *imagestream.ImageStream) map[string]tagevent.History {
	histories := make(map[string]tagevent.History, len(stream.Status.Tags))
	for _, h := range stream.Status.Tags {
		histories[h.Tag] = h
	}
	return histories
}

// isBehind reports whether the history of tag does not account for its generation.
func isBehind(histories map[string]tagevent.History, tag imagestream.TagReference) bool {
	return tag.Generation != nil && *tag.Generation > histories[tag.Name].ObservedGeneration()
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

// IsScheduled reports whether tag is to be imported again and again: it is importable and scheduled, its
// source is a pull spec, and not a digest that was imported, which can never change. Latest is the newest
// event of the tag, the zero event if it has none. Source: op needsimport.scheduled.
func IsScheduled(tag imagestream.TagReference, latest tagevent.Event) bool {
	if !IsImportable(tag) || !tag.ImportPolicy.Scheduled {
		return false
	}
	r, err := pullspec.Parse(tag.From.Name)
	if err != nil {
		return tag.From.Name == ""
	}
	imported := latest != (tagevent.Event{}) && tag.Generation != nil && latest.Generation == *tag.Generation
	return r.ID == "" || !imported
}

// ScheduledImport returns what is imported when a stream's turn has come, and whether it has scheduled tags at all: these,
// and with them whatever else [NeedsImport] would import. A scheduled tag whose history accounts for more than the stream's
// next generation waits. Source: op needsimport.scheduled.
func ScheduledImport(stream *imagestream.ImageStream) (need Need, scheduled bool) {
	histories := index(stream)
	due := *stream
	due.Spec.Tags = slices.Clone(stream.Spec.Tags)
	next := stream.Metadata.Generation + 1
	for i := range due.Spec.Tags {
		latest, _ := histories[due.Spec.Tags[i].Name].Latest()
		if IsScheduled(due.Spec.Tags[i], latest) {
			due.Spec.Tags[i].Generation = &next
			scheduled = true
		}
	}
	if !scheduled {
		return Need{}, false
	}
	return needsImport(&due, histories), true
}

// ImportOf returns the import of those of a stream's tags that are importable and named, in the order of the spec; nil if
// there is none. It is for any version of the stream, so that a change meanwhile is not a conflict. A stream with the
// annotation openshift.io/image.insecureRepository: "true" is imported insecurely, as "oc import-image" does it.
func ImportOf(stream *imagestream.ImageStream, tags ...string) *imagestream.ImageStreamImport {
	imp := newImport(stream)
	imp.Metadata.ResourceVersion = ""
	insecure := isInsecure(stream)
	for _, tag := range stream.Spec.Tags {
		if IsImportable(tag) && slices.Contains(tags, tag.Name) {
			image := imageOf(tag)
			image.ImportPolicy.Insecure = image.ImportPolicy.Insecure || insecure
			imp.Spec.Images = append(imp.Spec.Images, image)
		}
	}
	if len(imp.Spec.Images) == 0 {
		return nil
	}
	return imp
}

func isInsecure(stream *imagestream.ImageStream) bool {
	return stream.Metadata.Annotations[imagestream.InsecureRepositoryAnnotation] == "true"
}
