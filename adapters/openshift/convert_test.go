package openshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	runtimepkg "runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/fill"
)

func ExampleFromAPI() {
	theirs := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app", Namespace: "shop"}}
	theirs.Status.Tags = []imagev1.NamedTagEventList{{Tag: "v1", Items: []imagev1.TagEvent{{Image: "sha256:1"}}}}
	s, err := FromAPI[imagestream.ImageStream](theirs)
	latest, _ := s.LatestEvent("v1")
	fmt.Println(s.Key(), latest.Image, err)
	fmt.Println(ToAPI[imagev1.ImageStream](s).Status.Tags[0].Tag)
	// Output:
	// shop/app sha256:1 <nil>
	// v1
}

func ExampleToAPI() {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: "app", Namespace: "shop"}}
	theirs := ToAPI[imagev1.ImageStream](s)
	fmt.Println(theirs.Namespace, theirs.Name)
	// Output: shop app
}

// pairs are the types that correspond.
var pairs = map[string]struct {
	ours, theirs func() any
	from, to     func(any) any
}{
	"ImageStream":        pair[imagestream.ImageStream, imagev1.ImageStream](),
	"ImageStreamList":    pair[imagestream.ImageStreamList, imagev1.ImageStreamList](),
	"ImageStreamTag":     pair[imagestream.ImageStreamTag, imagev1.ImageStreamTag](),
	"ImageStreamTagList": pair[imagestream.ImageStreamTagList, imagev1.ImageStreamTagList](),
	"ImageTag":           pair[imagestream.ImageTag, imagev1.ImageTag](),
	"ImageTagList":       pair[imagestream.ImageTagList, imagev1.ImageTagList](),
	"ImageStreamImage":   pair[imagestream.ImageStreamImage, imagev1.ImageStreamImage](),
	"ImageStreamMapping": pair[imagestream.ImageStreamMapping, imagev1.ImageStreamMapping](),
	"ImageStreamImport":  pair[imagestream.ImageStreamImport, imagev1.ImageStreamImport](),
	"ImageStreamLayers":  pair[imagestream.ImageStreamLayers, imagev1.ImageStreamLayers](),
	"Image":              pair[imagestream.Image, imagev1.Image](),
	"ImageList":          pair[imagestream.ImageList, imagev1.ImageList](),
	"ImageSignature":     pair[imagestream.ImageSignature, imagev1.ImageSignature](),
}

func pair[O Ours, T Theirs]() struct {
	ours, theirs func() any
	from, to     func(any) any
} {
	return struct {
		ours, theirs func() any
		from, to     func(any) any
	}{
		func() any { return new(O) }, func() any { return new(T) },
		func(v any) any {
			o, err := FromAPI[O](v.(*T))
			if err != nil {
				panic(err)
			}
			return o
		},
		func(v any) any { return ToAPI[T](v.(*O)) },
	}
}

// emptied makes every slice and map that can be reached from v empty, if it is nil.
func emptied(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "Unknown" && f.Type != reflect.TypeFor[runtime.Object]() {
				emptied(v.Field(i))
			}
		}
	case reflect.Slice:
		if v.IsNil() && v.Type() != reflect.TypeFor[imagestream.Raw]() { // an empty text is no JSON
			v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		}
	case reflect.Map:
		if v.IsNil() {
			v.Set(reflect.MakeMap(v.Type()))
		}
	}
}

// withoutUnknown drops the members of metadata that only the library keeps.
func withoutUnknown(v reflect.Value) {
	switch v.Kind() {
	case reflect.Struct:
		if f := v.FieldByName("Unknown"); f.IsValid() {
			f.SetZero()
		}
		for i := range v.NumField() {
			withoutUnknown(v.Field(i))
		}
	case reflect.Slice:
		for i := range v.Len() {
			withoutUnknown(v.Index(i))
		}
	case reflect.Pointer:
		if !v.IsNil() {
			withoutUnknown(v.Elem())
		}
	}
}

func TestNothingIsLost(t *testing.T) {
	for name, p := range pairs {
		for _, state := range []string{"nil", "empty", "filled"} {
			t.Run(name+"/"+state, func(t *testing.T) {
				ours := p.ours()
				switch state {
				case "empty":
					emptied(reflect.ValueOf(ours).Elem())
				case "filled":
					fill.Value(ours)
					withoutUnknown(reflect.ValueOf(ours).Elem())
				}
				theirs := p.to(ours)
				if diff := cmp.Diff(ours, p.from(theirs)); diff != "" {
					t.Errorf("there and back (-before +after):\n%s", diff)
				}
				if diff := cmp.Diff(theirs, p.to(p.from(theirs))); diff != "" {
					t.Errorf("back and there (-before +after):\n%s", diff)
				}
				a, errA := json.Marshal(ours)
				b, errB := json.Marshal(theirs)
				var x, y any
				if errA != nil || errB != nil || json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil || !cmp.Equal(x, y) {
					t.Errorf("the JSON differs, %v, %v:\n%s\n%s", errA, errB, a, b)
				}
			})
		}
	}
}

// TestEveryMemberIsThere compares the members of corresponding types, all the way down. Only a list that is one shard of
// a collection has shardInfo, and this library asks for none.
func TestEveryMemberIsThere(t *testing.T) {
	var compare func(a, b reflect.Type, path string)
	seen := map[[2]reflect.Type]bool{}
	compare = func(a, b reflect.Type, path string) {
		for (a.Kind() == reflect.Pointer || a.Kind() == reflect.Slice || a.Kind() == reflect.Map) && a.Kind() == b.Kind() {
			a, b = a.Elem(), b.Elem()
		}
		if a.Kind() != reflect.Struct || b.Kind() != reflect.Struct || seen[[2]reflect.Type{a, b}] {
			return
		}
		seen[[2]reflect.Type{a, b}] = true
		left, right := members(a), members(b)
		for name, index := range left {
			other, ok := right[name]
			if !ok {
				t.Errorf("%s.%s is not in %s", path, name, b)
				continue
			}
			compare(a.FieldByIndex(index).Type, b.FieldByIndex(other).Type, path+"."+name)
		}
		for name := range right {
			if _, ok := left[name]; !ok && !(name == "shardInfo" && b == reflect.TypeFor[metav1.ListMeta]()) {
				t.Errorf("%s.%s is not in %s", path, name, a)
			}
		}
	}
	for name, p := range pairs {
		compare(reflect.TypeOf(p.ours()).Elem(), reflect.TypeOf(p.theirs()).Elem(), name)
	}
}

func TestConversionsShareNothing(t *testing.T) {
	for name, p := range pairs {
		ours, want := p.ours(), p.ours()
		fill.Value(ours)
		fill.Value(want)
		theirs := p.to(ours)
		back := p.from(theirs)
		fill.Overwrite(ours)
		withoutUnknown(reflect.ValueOf(want).Elem())
		if diff := cmp.Diff(want, p.from(theirs)); diff != "" {
			t.Errorf("%s: writing to the argument changed the result:\n%s", name, diff)
		}
		fill.Overwrite(back)
		if diff := cmp.Diff(want, p.from(theirs)); diff != "" {
			t.Errorf("%s: writing to the result changed the argument:\n%s", name, diff)
		}
	}
}

// TestObjectsOfImages: openshift's own helpers put an object, not its JSON, into an image's metadata.
func TestObjectsOfImages(t *testing.T) {
	object := &metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Message: "anything"}
	const text = `{"kind":"Status","apiVersion":"v1","metadata":{},"message":"anything"}`
	for _, tc := range []struct {
		name string
		from runtime.RawExtension
		want string
	}{
		{"object", runtime.RawExtension{Object: object}, text},
		{"object and empty text", runtime.RawExtension{Raw: []byte{}, Object: object}, text},
		{"object and text", runtime.RawExtension{Raw: []byte(`{"a":1}`), Object: object}, `{"a":1}`},
		{"text", runtime.RawExtension{Raw: []byte(`{"a":1}`)}, `{"a":1}`},
		{"nothing", runtime.RawExtension{}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			image, err := FromAPI[imagestream.Image](&imagev1.Image{DockerImageMetadata: tc.from})
			if err != nil || string(image.DockerImageMetadata) != tc.want {
				t.Errorf("metadata %s, %v, want %s", image.DockerImageMetadata, err, tc.want)
			}
			list, err := FromAPI[imagestream.ImageList](&imagev1.ImageList{Items: []imagev1.Image{{DockerImageMetadata: tc.from}}})
			if err != nil || string(list.Items[0].DockerImageMetadata) != tc.want {
				t.Errorf("metadata in a list %s, %v, want %s", list.Items[0].DockerImageMetadata, err, tc.want)
			}
		})
	}
}

// silent is an object without JSON.
type silent struct{ metav1.Status }

func (*silent) MarshalJSON() ([]byte, error) { return nil, errors.New("no JSON today") }

func TestObjectsThatCannotBeEncoded(t *testing.T) {
	image, err := FromAPI[imagestream.Image](&imagev1.Image{DockerImageMetadata: runtime.RawExtension{Object: &silent{}}})
	if err == nil || image != nil || !strings.Contains(err.Error(), "convert *v1.Image: ") || !strings.Contains(err.Error(), "no JSON today") {
		t.Errorf("image %v, error %v", image, err)
	}
}

func TestNilIsNil(t *testing.T) {
	ours, err := FromAPI[imagestream.ImageStream]((*imagev1.ImageStream)(nil))
	if ours != nil || err != nil {
		t.Errorf("%v, %v", ours, err)
	}
	if theirs := ToAPI[imagev1.ImageStream]((*imagestream.ImageStream)(nil)); theirs != nil {
		t.Errorf("%v", theirs)
	}
}

// large is a stream of 200 tags with five events each.
func large() *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", CreationTimestamp: metav1.Now()}}
	for i := range 200 {
		name, generation := fmt.Sprint("v", i), int64(3)
		s.Spec.Tags = append(s.Spec.Tags, imagev1.TagReference{
			Name: name, Generation: &generation, Annotations: map[string]string{"description": "a tag"},
			From:            &corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/app:" + name},
			ReferencePolicy: imagev1.TagReferencePolicy{Type: imagev1.SourceTagReferencePolicy},
		})
		list := imagev1.NamedTagEventList{Tag: name}
		for e := range 5 {
			image := fmt.Sprintf("sha256:%064x", i*10+e)
			list.Items = append(list.Items, imagev1.TagEvent{
				Created: metav1.Now(), DockerImageReference: "quay.io/org/app@" + image, Image: image, Generation: 3,
			})
		}
		s.Status.Tags = append(s.Status.Tags, list)
	}
	return s
}

// cost returns the allocations and bytes of a call.
func cost(f func()) (allocations, bytes float64) {
	const runs = 20
	f()
	var before, after runtimepkg.MemStats
	runtimepkg.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtimepkg.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// TestConversionsCostNoMoreThanCopies compares with a deep copy of the API's types, in allocations and bytes.
func TestConversionsCostNoMoreThanCopies(t *testing.T) {
	theirs := large()
	ours, err := FromAPI[imagestream.ImageStream](theirs)
	if err != nil {
		t.Fatal(err)
	}
	allocations, bytes := cost(func() { theirs.DeepCopy() })
	for name, f := range map[string]func(){
		"FromAPI": func() { _, _ = FromAPI[imagestream.ImageStream](theirs) },
		"ToAPI":   func() { ToAPI[imagev1.ImageStream](ours) },
	} {
		if a, b := cost(f); a > 1.1*allocations || b > 1.1*bytes {
			t.Errorf("%s makes %.0f allocations of %.0f bytes, a deep copy %.0f of %.0f", name, a, b, allocations, bytes)
		}
	}
}

func BenchmarkConvert(b *testing.B) {
	theirs := large()
	ours, err := FromAPI[imagestream.ImageStream](theirs)
	if err != nil {
		b.Fatal(err)
	}
	for name, f := range map[string]func(){
		"DeepCopy": func() { theirs.DeepCopy() },
		"FromAPI":  func() { _, _ = FromAPI[imagestream.ImageStream](theirs) },
		"ToAPI":    func() { ToAPI[imagev1.ImageStream](ours) },
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
	}
}
