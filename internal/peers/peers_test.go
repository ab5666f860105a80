package peers

import (
	"encoding/json"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/fill"
	"github.com/imagestreams/imagestreams/tagevent"
)

// TestSameJSON fills each of our types, decodes its JSON into the real one and encodes that: both texts hold the same, empty and filled.
func TestSameJSON(t *testing.T) {
	for _, pair := range [][2]any{
		{new(imagestream.ImageStream), new(imagev1.ImageStream)}, {new(imagestream.ImageStreamList), new(imagev1.ImageStreamList)},
		{new(imagestream.ImageStreamTag), new(imagev1.ImageStreamTag)}, {new(imagestream.ImageStreamTagList), new(imagev1.ImageStreamTagList)},
		{new(imagestream.ImageTag), new(imagev1.ImageTag)}, {new(imagestream.ImageTagList), new(imagev1.ImageTagList)},
		{new(imagestream.ImageStreamImage), new(imagev1.ImageStreamImage)}, {new(imagestream.ImageStreamMapping), new(imagev1.ImageStreamMapping)},
		{new(imagestream.ImageStreamImport), new(imagev1.ImageStreamImport)}, {new(imagestream.ImageStreamLayers), new(imagev1.ImageStreamLayers)},
		{new(imagestream.Image), new(imagev1.Image)}, {new(imagestream.ImageList), new(imagev1.ImageList)},
		{new(imagestream.ImageSignature), new(imagev1.ImageSignature)},
	} {
		ours, theirs := pair[0], pair[1]
		for _, filled := range []bool{false, true} {
			if filled {
				fill.Value(ours)
			}
			text := encode(t, ours)
			if err := json.Unmarshal(text, theirs); err != nil {
				t.Fatalf("%T: %v", ours, err)
			}
			if diff := cmp.Diff(plain(t, text, true), plain(t, encode(t, theirs), false)); diff != "" {
				t.Errorf("%T, filled %v (-ours +theirs):\n%s", ours, filled, diff)
			}
		}
	}
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// plain decodes JSON; of ours it leaves out the members of metadata that were filled in as unknown.
func plain(t testing.TB, text []byte, ours bool) any {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if ours {
		dropUnknown(v)
	}
	return v
}

func dropUnknown(v any) {
	switch v := v.(type) {
	case map[string]any:
		metadata, _ := v["metadata"].(map[string]any)
		for key := range metadata {
			if rest, ok := strings.CutPrefix(key, "s"); ok && strings.Trim(rest, "0123456789") == "" {
				delete(metadata, key)
			}
		}
		for _, member := range v {
			dropUnknown(member)
		}
	case []any:
		for _, member := range v {
			dropUnknown(member)
		}
	}
}

// large is a stream of n tags with ten events each.
func large(n int) *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app", UID: "u", ResourceVersion: "1", Generation: 5}}
	for i := range n {
		name := fmt.Sprintf("v%05d", i)
		generation := int64(3)
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: name, Generation: &generation, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "registry.example.com/org/app:" + name},
			ImportPolicy:    imagestream.TagImportPolicy{ImportMode: imagestream.ImportModeLegacy},
			ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource},
		})
		h := tagevent.History{Tag: name}
		for e := range 10 {
			image := fmt.Sprintf("sha256:%064x", i*10+e)
			h.Items = append(h.Items, tagevent.Event{
				Created: tagevent.Time(63900000000 - e), DockerImageReference: "registry.example.com/org/app@" + image, Image: image, Generation: 3,
			})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

// cost returns the allocations and bytes of a call, whatever the garbage collector does to encoding/json's pool of buffers.
func cost(t *testing.T, f func() error) (allocations, bytes float64) {
	t.Helper()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // a pool has parts for each processor
	const runs = 10
	var before, after runtime.MemStats
	for n := range 2 + runs {
		if n == 2 { // after runs that fill the pool
			runtime.ReadMemStats(&before)
		}
		if err := f(); err != nil {
			t.Fatal(err)
		}
	}
	runtime.ReadMemStats(&after)
	return float64(after.Mallocs-before.Mallocs) / runs, float64(after.TotalAlloc-before.TotalAlloc) / runs
}

// TestCostBesideTheirs compares what a stream with the metadata of a real one costs with what openshift/api's types do.
func TestCostBesideTheirs(t *testing.T) {
	for _, n := range []int{100, 1000} {
		ours := large(n)
		m := &ours.Metadata
		m.CreationTimestamp = 63900000000
		m.Labels = map[string]string{"app": "shop", "tier": "web"}
		m.Annotations = map[string]string{
			"openshift.io/image.dockerRepositoryCheck":         "2026-01-02T03:04:05Z",
			"kubectl.kubernetes.io/last-applied-configuration": strings.Repeat(`{"metadata":{"name":"app"}}`, 20),
		}
		m.ManagedFields = []imagestream.ManagedFieldsEntry{{
			Manager: "oc", Operation: "Update", APIVersion: imagestream.APIVersion, FieldsType: "FieldsV1",
			FieldsV1: imagestream.Raw(`{"f:spec":{"f:tags":{}}}`),
		}}
		text := encode(t, ours)
		theirs := new(imagev1.ImageStream)
		if err := json.Unmarshal(text, theirs); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			name         string
			ours, theirs func() error
		}{
			{
				"encode", func() error { _, err := json.Marshal(ours); return err },
				func() error { _, err := json.Marshal(theirs); return err },
			},
			{
				"decode", func() error { return json.Unmarshal(text, new(imagestream.ImageStream)) },
				func() error { return json.Unmarshal(text, new(imagev1.ImageStream)) },
			},
			{"copy", func() error { ours.Clone(); return nil }, func() error { theirs.DeepCopy(); return nil }},
		} {
			a, b := cost(t, tc.ours)
			theirA, theirB := cost(t, tc.theirs)
			if a > theirA*slack || b > theirB*slack {
				t.Errorf("%s %d tags: %.0f allocations of %.0f bytes, theirs %.0f of %.0f", tc.name, n, a, b, theirA, theirB)
			}
		}
	}
}

func BenchmarkTypes(b *testing.B) {
	for _, n := range []int{100, 1000} {
		ours := large(n)
		text := encode(b, ours)
		theirs := new(imagev1.ImageStream)
		if err := json.Unmarshal(text, theirs); err != nil {
			b.Fatal(err)
		}
		for _, bench := range []struct {
			name string
			f    func() error
		}{
			{"decode/imagestreams", func() error { return json.Unmarshal(text, new(imagestream.ImageStream)) }},
			{"decode/openshift-api", func() error { return json.Unmarshal(text, new(imagev1.ImageStream)) }},
			{"encode/imagestreams", func() error { _, err := json.Marshal(ours); return err }},
			{"encode/openshift-api", func() error { _, err := json.Marshal(theirs); return err }},
			{"copy/imagestreams", func() error { ours.Clone(); return nil }},
			{"copy/openshift-api", func() error { theirs.DeepCopy(); return nil }},
		} {
			b.Run(fmt.Sprintf("%s/tags=%d", bench.name, n), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if err := bench.f(); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
