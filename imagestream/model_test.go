package imagestream_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/fill"
	"github.com/imagestreams/imagestreams/tagevent"
)

// objects are the types of the object model, with their Clone.
var objects = map[string]struct{ make, clone func(any) any }{
	"ImageStream":        object((*imagestream.ImageStream).Clone),
	"ImageStreamList":    object((*imagestream.ImageStreamList).Clone),
	"ImageStreamTag":     object((*imagestream.ImageStreamTag).Clone),
	"ImageStreamTagList": object((*imagestream.ImageStreamTagList).Clone),
	"ImageTag":           object((*imagestream.ImageTag).Clone),
	"ImageTagList":       object((*imagestream.ImageTagList).Clone),
	"ImageStreamImage":   object((*imagestream.ImageStreamImage).Clone),
	"ImageStreamMapping": object((*imagestream.ImageStreamMapping).Clone),
	"ImageStreamImport":  object((*imagestream.ImageStreamImport).Clone),
	"ImageStreamLayers":  object((*imagestream.ImageStreamLayers).Clone),
	"Image":              object((*imagestream.Image).Clone),
	"ImageList":          object((*imagestream.ImageList).Clone),
	"ImageSignature":     object((*imagestream.ImageSignature).Clone),
	"TagReference":       value(imagestream.TagReference.Clone),
	"ObjectMeta":         value(imagestream.ObjectMeta.Clone),
	"ListMeta":           value(imagestream.ListMeta.Clone),
	"Status":             value(imagestream.Status.Clone),
	"History":            value(tagevent.History.Clone),
}

func object[T any](clone func(*T) *T) struct{ make, clone func(any) any } {
	return struct{ make, clone func(any) any }{
		func(any) any { return new(T) },
		func(v any) any { return clone(v.(*T)) },
	}
}

func value[T any](clone func(T) T) struct{ make, clone func(any) any } {
	return object(func(v *T) *T { c := clone(*v); return &c })
}

func TestCloneSharesNothing(t *testing.T) {
	for name, o := range objects {
		t.Run(name, func(t *testing.T) {
			original, want := o.make(nil), o.make(nil)
			fill.Value(original)
			fill.Value(want)
			clone := o.clone(original)
			if diff := cmp.Diff(want, clone); diff != "" {
				t.Fatalf("the clone differs (-original +clone):\n%s", diff)
			}
			fill.Overwrite(clone)
			if diff := cmp.Diff(want, original); diff != "" {
				t.Errorf("writing to the clone changed the original (-before +after):\n%s", diff)
			}
			empty := o.make(nil)
			if diff := cmp.Diff(empty, o.clone(empty)); diff != "" {
				t.Errorf("nil did not stay nil:\n%s", diff)
			}
		})
	}
}

func TestJSONRoundTrip(t *testing.T) {
	for name, o := range objects {
		t.Run(name, func(t *testing.T) {
			original, again := o.make(nil), o.make(nil)
			fill.Value(original)
			text, err := json.Marshal(original)
			if err != nil {
				t.Fatal(err)
			}
			d := json.NewDecoder(bytes.NewReader(text))
			d.DisallowUnknownFields()
			if err := d.Decode(again); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(original, again); diff != "" {
				t.Errorf("decoded differs (-original +decoded):\n%s", diff)
			}
		})
	}
}

// TestEmptyObjectsJSON pins what the API writes for empty objects: which members are there, and which are null.
func TestEmptyObjectsJSON(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want string
	}{
		{imagestream.ImageStream{}, `{"metadata":{},"spec":{"lookupPolicy":{"local":false}},"status":{"dockerImageRepository":""}}`},
		{imagestream.TagReference{}, `{"name":"","annotations":null,"generation":null,"importPolicy":{},"referencePolicy":{"type":""}}`},
		{tagevent.History{}, `{"tag":"","items":null}`},
		{tagevent.Event{}, `{"created":null,"dockerImageReference":"","image":"","generation":0}`},
		{tagevent.Condition{}, `{"type":"","status":"","lastTransitionTime":null,"generation":0}`},
		{imagestream.Image{}, `{"metadata":{},"dockerImageMetadata":null}`},
		{imagestream.ImageSignature{}, `{"metadata":{},"type":"","content":null}`},
		{imagestream.ImageStreamTag{}, `{"metadata":{},"tag":null,"generation":0,"lookupPolicy":{"local":false},"image":{"metadata":{},"dockerImageMetadata":null}}`},
		{imagestream.ImageTag{}, `{"metadata":{},"spec":null,"status":null,"image":null}`},
		{imagestream.ImageStreamLayers{}, `{"metadata":{},"blobs":null,"images":null}`},
		{imagestream.ImageBlobReferences{}, `{"imageMissing":false,"layers":null,"config":null}`},
		{imagestream.ImageStreamImport{}, `{"metadata":{},"spec":{"import":false},"status":{}}`},
		{imagestream.ImageImportStatus{}, `{"status":{"metadata":{}}}`},
		{imagestream.ImageStreamList{}, `{"metadata":{},"items":null}`},
	} {
		got, err := json.Marshal(tc.v)
		if err != nil || string(got) != tc.want {
			t.Errorf("%T: %s, %v\nwant %s", tc.v, got, err, tc.want)
		}
	}
}

func TestMetadataSurvivesWhole(t *testing.T) {
	const text = `{"name":"app","clusterName":"east","x":{"b":[1,2.50,null]},"annotations":{"a":"1"},"ownerReferences":[{"apiVersion":"v1","kind":"K","name":"n","uid":"u"}]}`
	var m imagestream.ObjectMeta
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	if m.Name != "app" || len(m.Unknown) != 2 {
		t.Errorf("decoded %+v", m)
	}
	got, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plain(t, []byte(text)), plain(t, got)); diff != "" {
		t.Errorf("encoded differs (-in +out):\n%s", diff)
	}
}

func TestMetaMembersAreComplete(t *testing.T) {
	typ := reflect.TypeFor[imagestream.ObjectMeta]()
	for i := range typ.NumField() {
		name, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
		if name == "-" {
			continue
		}
		var m imagestream.ObjectMeta
		if err := json.Unmarshal(fmt.Appendf(nil, `{"unheardOf":1,%q:null}`, name), &m); err != nil {
			t.Fatal(err)
		}
		if len(m.Unknown) != 1 {
			t.Errorf("%s is a member and was kept as unknown: %s", name, m.Unknown)
		}
	}
}

func TestStrictDecodingReportsUnknownMembers(t *testing.T) {
	d := json.NewDecoder(strings.NewReader(`{"spec":{"tagz":[]}}`))
	d.DisallowUnknownFields()
	if err := d.Decode(new(imagestream.ImageStream)); err == nil || !strings.Contains(err.Error(), "tagz") {
		t.Errorf("error %v, want one that names tagz", err)
	}
}

// sharedData is the folder of real image streams beside the checkout; a stranger's clone does not have it.
const sharedData = "../../shared/data/imagestreams"

func TestRealImageStreams(t *testing.T) {
	files, err := filepath.Glob(sharedData + "/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("the folder of real image streams is not there")
	}
	tags := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var s imagestream.ImageStream
		if err := json.Unmarshal(text, &s); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		tags += len(s.Spec.Tags)
		got, err := json.Marshal(&s)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		want, have := plain(t, text), plain(t, got)
		for _, member := range []string{"spec", "status"} { // always written
			if want, ok := want.(map[string]any); ok && want[member] == nil {
				delete(have.(map[string]any), member)
			}
		}
		if diff := cmp.Diff(want, withoutZeros(want, have)); diff != "" {
			t.Errorf("%s differs (-in +out):\n%s", file, diff)
		}
	}
	if len(files) != 112 || tags != 698 {
		t.Errorf("%d files with %d tags, want 112 with 698", len(files), tags)
	}
}

// plain decodes JSON and leaves out nulls and empty maps.
func plain(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return withoutNulls(v)
}

func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if member = withoutNulls(member); member == nil {
				delete(v, key)
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = withoutNulls(v[i])
		}
	}
	return v
}

// withoutZeros leaves out of got the members that the API always writes, where want does not have them and they
// say nothing: lookupPolicy.local false, an empty repository, a reference policy without type.
func withoutZeros(want, got any) any {
	have, ok := got.(map[string]any)
	if !ok {
		if list, ok := got.([]any); ok {
			wantList, _ := want.([]any)
			for i := range list {
				if i < len(wantList) {
					list[i] = withoutZeros(wantList[i], list[i])
				}
			}
		}
		return got
	}
	wanted, _ := want.(map[string]any)
	for _, key := range slices.Collect(mapKeys(have)) {
		member := withoutZeros(wanted[key], have[key])
		if _, ok := wanted[key]; !ok && (member == nil || member == false || member == "") {
			delete(have, key)
		}
	}
	if len(have) == 0 {
		return nil
	}
	return have
}

func mapKeys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for key := range m {
			if !yield(key) {
				return
			}
		}
	}
}

func TestEqualSeesEveryField(t *testing.T) {
	var a, b imagestream.ImageStream
	fill.Value(&a)
	fill.Value(&b)
	if !a.Same(&b) {
		t.Fatal("two streams filled alike are not equal")
	}
	fill.Each(&b, func(path string) {
		if a.Same(&b) {
			t.Errorf("%s does not count", path)
		}
	})
	c := a.Clone()
	c.Spec.Tags[0].Annotations, c.Metadata.Finalizers = nil, nil
	d := c.Clone()
	d.Spec.Tags[0].Annotations, d.Metadata.Finalizers = map[string]string{}, []string{}
	if !c.Same(d) {
		t.Error("nil and empty are not equal")
	}
}
