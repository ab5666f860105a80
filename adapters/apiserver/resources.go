package apiserver

import (
	"context"

	imagev1 "github.com/openshift/api/image/v1"
	registry "k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// storages returns the storages of image.openshift.io/v1 on the verbs. Watches end with the context.
func storages(api rest.API, ended context.Context) map[string]registry.Storage {
	streams := newStreams(api.ImageStreams(), ended)
	return map[string]registry.Storage{
		imagestream.ResourceImageStreams:              streams,
		imagestream.ResourceImageStreams + "/status":  newStatus(streams, api.ImageStreams()),
		imagestream.ResourceImageStreams + "/layers":  newLayers(api.ImageStreams()),
		imagestream.ResourceImageStreams + "/secrets": streamSecrets{api.ImageStreams()},
		imagestream.ResourceImageStreamTags: newTags[
			imagev1.ImageStreamTag, imagev1.ImageStreamTagList, imagestream.ImageStreamTag, imagestream.ImageStreamTagList,
		](
			resourceOf[imagev1.ImageStreamTag]("ImageStreamTag", "imagestreamtag", "istag"),
			api.ImageStreamTags(), streamTagTables,
			func(t *imagestream.ImageStreamTag) bool { return t.Tag != nil },
		),
		imagestream.ResourceImageTags: newTags[
			imagev1.ImageTag, imagev1.ImageTagList, imagestream.ImageTag, imagestream.ImageTagList,
		](
			resourceOf[imagev1.ImageTag]("ImageTag", "imagetag", "itag"),
			api.ImageTags(), tagTables,
			func(t *imagestream.ImageTag) bool { return t.Spec != nil },
		),
		imagestream.ResourceImageStreamImages:   newStreamImages(api.ImageStreamImages()),
		imagestream.ResourceImageStreamMappings: newMappings(api.ImageStreamMappings()),
		imagestream.ResourceImageStreamImports:  newImports(api.ImageStreamImports()),
		imagestream.ResourceImages:              newImages(api.Images(), ended),
		imagestream.ResourceImageSignatures:     newSignatures(api.ImageSignatures()),
	}
}

// resourceOf returns what is said of a resource in namespaces. Short is empty for none.
func resourceOf[T openshift.Theirs](kind, singular, short string) resource[T] {
	r := resource[T]{kind: imagev1.GroupVersion.WithKind(kind), singular: singular, namespaced: true}
	if short != "" {
		r.short = []string{short}
	}
	return r
}

// without returns the fields that a storage leaves as they are.
func without(field string) map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(imagev1.GroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie(field)),
	}
}

// objects has the verbs of what a Store keeps.
type objects[T, L openshift.Theirs, O, OL openshift.Ours] struct {
	resource[T]
	getting[T, O]
	creating[T, O]
	updating[T, O]
	deleting[T]
	collecting[T, L, O, OL]
	watching[T, L, O, OL]
	tables[T, O]
}

func newObjects[T, L openshift.Theirs, O, OL openshift.Ours](
	r resource[T],
	verbs interface {
		rest.Getter[O]
		rest.Creator[O]
		rest.Updater[O]
		rest.Deleter
		rest.Lister[OL]
		rest.Watcher[O]
	},
	shown tables[T, O],
	items func(*OL) ([]O, string),
	ended context.Context,
) objects[T, L, O, OL] {
	return objects[T, L, O, OL]{
		resource: r,
		getting:  getting[T, O]{r, verbs},
		creating: creating[T, O]{r, verbs, true},
		updating: updating[T, O]{r, verbs, true, func(*O) bool { return true }},
		deleting: deleting[T]{r, verbs},
		collecting: collecting[T, L, O, OL]{
			listing[T, L, OL]{r, verbs}, verbs, func(l *OL) []O { all, _ := items(l); return all },
		},
		watching: watching[T, L, O, OL]{r, verbs, verbs, items, &shared[T, O]{}, ended},
		tables:   shown,
	}
}

// streams is the resource imagestreams.
type streams struct {
	objects[imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList]
}

func newStreams(verbs rest.ImageStreams, ended context.Context) streams {
	r := resourceOf[imagev1.ImageStream]("ImageStream", "imagestream", "is")
	r.categories = []string{"all"}
	return streams{newObjects[
		imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
	](
		r, verbs, streamTables,
		func(l *imagestream.ImageStreamList) ([]imagestream.ImageStream, string) {
			return l.Items, l.Metadata.ResourceVersion
		},
		ended,
	)}
}

// GetResetFields returns what an update of a stream leaves as it is.
func (streams) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return without("status") }

// images is the resource images.
type images = objects[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList]

func newImages(verbs rest.Images, ended context.Context) images {
	r := resourceOf[imagev1.Image]("Image", "image", "")
	r.namespaced = false
	return newObjects[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList](
		r, verbs, imageTables,
		func(l *imagestream.ImageList) ([]imagestream.Image, string) {
			return l.Items, l.Metadata.ResourceVersion
		},
		ended,
	)
}

// tags has the verbs of parts of streams. They keep nothing of who owns their fields.
type tags[T, L openshift.Theirs, O, OL openshift.Ours] struct {
	resource[T]
	getting[T, O]
	creating[T, O]
	updating[T, O]
	deleting[T]
	listing[T, L, OL]
	tables[T, O]
}

func newTags[T, L openshift.Theirs, O, OL openshift.Ours](
	r resource[T],
	verbs interface {
		rest.Getter[O]
		rest.Creator[O]
		rest.Updater[O]
		rest.Deleter
		rest.Lister[OL]
	},
	shown tables[T, O],
	exists func(*O) bool,
) tags[T, L, O, OL] {
	return tags[T, L, O, OL]{
		resource: r,
		getting:  getting[T, O]{r, verbs},
		creating: creating[T, O]{r, verbs, false},
		updating: updating[T, O]{r, verbs, false, exists},
		deleting: deleting[T]{r, verbs},
		listing:  listing[T, L, OL]{r, verbs},
		tables:   shown,
	}
}

// streamImages is the resource imagestreamimages.
type streamImages struct {
	getting[imagev1.ImageStreamImage, imagestream.ImageStreamImage]
	tables[imagev1.ImageStreamImage, imagestream.ImageStreamImage]
}

func newStreamImages(verbs rest.ImageStreamImages) streamImages {
	r := resourceOf[imagev1.ImageStreamImage]("ImageStreamImage", "imagestreamimage", "isimage")
	return streamImages{getting[imagev1.ImageStreamImage, imagestream.ImageStreamImage]{r, verbs}, streamImageTables}
}

func newImports(verbs rest.ImageStreamImports) registry.Storage {
	r := resourceOf[imagev1.ImageStreamImport]("ImageStreamImport", "imagestreamimport", "")
	return creating[imagev1.ImageStreamImport, imagestream.ImageStreamImport]{r, verbs, false}
}

// signatures is the resource imagesignatures.
type signatures struct {
	resource[imagev1.ImageSignature]
	creating[imagev1.ImageSignature, imagestream.ImageSignature]
	deleting[imagev1.ImageSignature]
}

func newSignatures(verbs rest.ImageSignatures) signatures {
	r := resourceOf[imagev1.ImageSignature]("ImageSignature", "imagesignature", "")
	r.namespaced = false
	return signatures{
		r, creating[imagev1.ImageSignature, imagestream.ImageSignature]{r, verbs, true},
		deleting[imagev1.ImageSignature]{r, verbs},
	}
}
