// Package openshift lets programs on a real cluster use this library with what they have: the types of openshift/api, and
// openshift/client-go's clientset and listers.
//
// [FromAPI] and [ToAPI] convert every type of image.openshift.io/v1 without loss: nil stays nil, empty stays empty. What the
// library keeps of metadata that the API's types do not know is lost on the way there, as those types lose it; so is what
// newer versions of these types than the ones in go.mod may have.
//
// [Reader] is an [imagestream.Reader] on a clientset; with listers it reads their copies.
package openshift

import (
	"reflect"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	imagev1 "github.com/openshift/api/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
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

// FromAPI returns from, a To of the API, as the library's type. They share no memory.
func FromAPI[To Ours, From Theirs](from *From) *To {
	to := new(To)
	convert(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	return to
}

// ToAPI returns from, a To of the library, as the API's type. They share no memory.
func ToAPI[To Theirs, From Ours](from *From) *To {
	to := new(To)
	convert(reflect.ValueOf(to).Elem(), reflect.ValueOf(from).Elem())
	return to
}

var (
	ourTime    = reflect.TypeFor[imagestream.Time]()
	theirTime  = reflect.TypeFor[metav1.Time]()
	ourRaw     = reflect.TypeFor[imagestream.Raw]()
	theirRaw   = reflect.TypeFor[runtime.RawExtension]()
	theirField = reflect.TypeFor[*metav1.FieldsV1]()
)

// convert copies from to to, whose types have the same JSON.
func convert(to, from reflect.Value) {
	switch {
	case from.Type() == ourTime && to.Type() == theirTime:
		if t := imagestream.Time(from.Int()); !t.IsZero() {
			to.Set(reflect.ValueOf(metav1.NewTime(t.Time())))
		}
		return
	case from.Type() == theirTime && to.Type() == ourTime:
		if t := from.Interface().(metav1.Time); !t.IsZero() {
			to.SetInt(int64(tagevent.TimeOf(t.Time)))
		}
		return
	case from.Type() == ourRaw && to.Type() == theirRaw:
		to.FieldByName("Raw").SetBytes(cloneBytes(from.Bytes()))
		return
	case from.Type() == theirRaw && to.Type() == ourRaw:
		to.SetBytes(cloneBytes(from.FieldByName("Raw").Bytes()))
		return
	case from.Type() == ourRaw && to.Type() == theirField:
		if !from.IsNil() {
			to.Set(reflect.ValueOf(&metav1.FieldsV1{Raw: cloneBytes(from.Bytes())}))
		}
		return
	case from.Type() == theirField && to.Type() == ourRaw:
		if !from.IsNil() {
			to.SetBytes(cloneBytes(from.Elem().FieldByName("Raw").Bytes()))
		}
		return
	}
	switch from.Kind() {
	case reflect.Struct:
		convertStruct(to, from)
	case reflect.Pointer:
		if !from.IsNil() {
			to.Set(reflect.New(to.Type().Elem()))
			convert(to.Elem(), from.Elem())
		}
	case reflect.Slice:
		if !from.IsNil() {
			to.Set(reflect.MakeSlice(to.Type(), from.Len(), from.Len()))
			for i := range from.Len() {
				convert(to.Index(i), from.Index(i))
			}
		}
	case reflect.Map:
		if !from.IsNil() {
			to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
			for entries := from.MapRange(); entries.Next(); {
				value := reflect.New(to.Type().Elem()).Elem()
				convert(value, entries.Value())
				to.SetMapIndex(entries.Key().Convert(to.Type().Key()), value)
			}
		}
	default:
		to.Set(from.Convert(to.Type()))
	}
}

func convertStruct(to, from reflect.Value) {
	fields := members(to.Type())
	for name, index := range members(from.Type()) {
		if target, ok := fields[name]; ok {
			convert(to.FieldByIndex(target), from.FieldByIndex(index))
		}
	}
}

var known sync.Map // reflect.Type to map[string][]int

// members returns the fields of a struct by the names of their JSON, those of embedded structs among them.
func members(t reflect.Type) map[string][]int {
	if m, ok := known.Load(t); ok {
		return m.(map[string][]int)
	}
	m := map[string][]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			for inner, index := range members(f.Type) {
				m[inner] = append([]int{i}, index...)
			}
		default:
			m[name] = []int{i}
		}
	}
	known.Store(t, m)
	return m
}

func cloneBytes(b []byte) []byte {
	if b == nil {
		return nil
	}
	return append([]byte{}, b...)
}
