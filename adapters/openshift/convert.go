// Package openshift lets programs that are written for a cluster use this library with what they have: the types of
// openshift/api, and openshift/client-go's clientset, informers and listers.
//
// [FromAPI] and [ToAPI] convert every type of image.openshift.io/v1 without loss: nil stays nil, empty stays empty, and
// an object in a RawExtension becomes its JSON. What the library keeps of metadata that the API's types do not know is
// lost on the way there, as those types lose it; so is what newer versions of these types than the ones in go.mod may
// have, and which shard of a collection a list is (shardInfo, alpha). Times have seconds, as in JSON.
//
// [Clientset] is that clientset without a cluster, on the verbs of package rest. [API] is these verbs on any clientset,
// a cluster's too. [Reader] is an [imagestream.Reader] on any clientset; with listers it reads their copies. [Listers]
// is what lookups and triggers read from informers at no cost. [TreeOf] and [SetTree] make of typed objects the trees
// that lookups and triggers take, and write back what changed. [Error] makes errors of either side errors of both.
package openshift

import (
	"fmt"
	"reflect"

	imagev1 "github.com/openshift/api/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Ours is a type of this library that the API has too.
type Ours interface {
	imagestream.ImageStream | imagestream.ImageStreamList | imagestream.ImageStreamTag | imagestream.ImageStreamTagList |
		imagestream.ImageTag | imagestream.ImageTagList | imagestream.ImageStreamImage | imagestream.ImageStreamMapping |
		imagestream.ImageStreamImport | imagestream.ImageStreamLayers | imagestream.Image | imagestream.ImageList |
		imagestream.ImageSignature
}

// Theirs is the same of openshift/api.
type Theirs interface {
	imagev1.ImageStream | imagev1.ImageStreamList | imagev1.ImageStreamTag | imagev1.ImageStreamTagList |
		imagev1.ImageTag | imagev1.ImageTagList | imagev1.ImageStreamImage | imagev1.ImageStreamMapping |
		imagev1.ImageStreamImport | imagev1.ImageStreamLayers | imagev1.Image | imagev1.ImageList |
		imagev1.ImageSignature
}

// FromAPI returns from, a To of the API, as the library's type. They share no memory. Nil gives nil. An error says
// which RawExtension holds an object that has no JSON.
func FromAPI[To Ours, From Theirs](from *From) (*To, error) { return converted[To](copying, from) }

// ToAPI returns from, a To of the library, as the API's type. They share no memory. Nil gives nil.
func ToAPI[To Theirs, From Ours](from *From) *To {
	to, err := converted[To](copying, from)
	if err != nil {
		panic(err) // the library's types hold no objects
	}
	return to
}

func converted[To, From any](how mode, from *From) (*To, error) {
	if from == nil {
		return nil, nil
	}
	to := new(To)
	convert, err := planOf(reflect.TypeFor[To](), reflect.TypeFor[From]())
	if err == nil {
		err = convert(how, reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	}
	if err != nil {
		return nil, fmt.Errorf("convert %T: %w", from, err)
	}
	return to, nil
}
