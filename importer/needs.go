package importer

import (
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// IsImportable reports whether tag is imported from a registry: its source is a DockerImage, and its reference flag
// is not set.
func IsImportable(tag imagestream.TagReference) bool {
	return tag.From != nil && tag.From.Kind == imagestream.KindDockerImage && !tag.Reference
}

// Need is what a stream waits for.
type Need struct {
	// Needed reports whether the stream waits for an import, and Partial whether for some of its tags only.
	Needed, Partial bool
	// Import is the import to make. It is nil if nothing is needed, and for a stream that was never imported though all
	// its tags are up to date.
	Import *imagestream.ImageStreamImport
}

// NeedsImport returns what stream waits for. A stream that was never imported and follows a repository needs all of
// it; any other one needs the importable tags whose generation is ahead of their history. Tags without a generation
// are imported with them. See conformance case needsimport-1.
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
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: stream.Spec.DockerImageRepository},
			ImportPolicy: imagestream.TagImportPolicy{Insecure: isInsecure(stream)},
		}
	}
	if len(imp.Spec.Images) > 0 || imp.Spec.Repository != nil {
		need.Import = imp
	}
	return need
}

// index returns the histories of a stream by tag.
func index(stream *imagestream.ImageStream) map[string]tagevent.History {
	histories := make(map[string]tagevent.History, len(stream.Status.Tags))
	for _, h := range stream.Status.Tags {
		histories[h.Tag] = h
	}
	return histories
}

// isBehind reports whether the generation of tag is ahead of its history.
func isBehind(histories map[string]tagevent.History, tag imagestream.TagReference) bool {
	return tag.Generation != nil && *tag.Generation > histories[tag.Name].ObservedGeneration()
}

func newImport(stream *imagestream.ImageStream) *imagestream.ImageStreamImport {
	m := &stream.Metadata
	return &imagestream.ImageStreamImport{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamImport", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: m.Namespace, Name: m.Name, UID: m.UID,
			ResourceVersion: m.ResourceVersion},
		Spec: imagestream.ImageStreamImportSpec{Import: true},
	}
}

func imageOf(tag imagestream.TagReference) imagestream.ImageImportSpec {
	return imagestream.ImageImportSpec{
		From: *tag.From, To: &imagestream.LocalObjectReference{Name: tag.Name},
		ImportPolicy: tag.ImportPolicy, ReferencePolicy: tag.ReferencePolicy,
	}
}

// IsScheduled reports whether tag must be imported again from time to time: it is importable and scheduled, and its
// source is a pull spec, but not a digest that was imported already. Latest is the newest event of the tag, or the
// zero event.
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

// ScheduledImport returns the import of a stream whose turn has come, and whether the stream has scheduled tags. It
// imports these and whatever [NeedsImport] returns, but not a scheduled tag whose history is ahead of the stream's
// next generation.
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

// ImportOf returns the import of the importable ones of the named tags, in the order of the spec, or nil if there is
// none. It holds for any resource version of the stream. If the stream has the annotation
// openshift.io/image.insecureRepository: "true", the import is insecure, as that of "oc import-image".
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
