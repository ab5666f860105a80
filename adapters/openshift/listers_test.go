package openshift

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	listers "github.com/openshift/client-go/image/listers/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// informed returns listers on an index, as an informer fills it.
func informed(objects ...any) (*Listers, cache.Indexer) {
	index := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{
		cache.NamespaceIndex: cache.MetaNamespaceIndexFunc,
	})
	for _, o := range objects {
		if err := index.Add(o); err != nil {
			panic(err)
		}
	}
	return &Listers{Streams: listers.NewImageStreamLister(index)}, index
}

func ExampleListers() {
	image := "sha256:" + strings.Repeat("1", 64)
	informer, _ := informed(&imagev1.ImageStream{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec:       imagev1.ImageStreamSpec{LookupPolicy: imagev1.ImageLookupPolicy{Local: true}},
		Status: imagev1.ImageStreamStatus{Tags: []imagev1.NamedTagEventList{{Tag: "v1", Items: []imagev1.TagEvent{{
			Image: image, DockerImageReference: "quay.io/org/app@" + image,
		}}}}},
	})
	source := &Listers{Streams: informer.Streams} // factory.Image().V1().ImageStreams().Lister()

	pod := []byte(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"app","image":"app:v1"}]}}`)
	changes, err := (&lookup.Resolver{Source: source}).ChangesJSON(context.Background(), pod, "shop")
	fmt.Println(changes[0].To[:25], err)
	// Output:
	// quay.io/org/app@sha256:11 <nil>
}

func TestListersConvertAnObjectOnce(t *testing.T) {
	l, index := informed(large())
	key := imagestream.Key{Namespace: "shop", Name: "app"}
	first, err := l.GetImageStream(t.Context(), key)
	if err != nil || len(first.Status.Tags) != 200 {
		t.Fatalf("got %+v, %v", first, err)
	}
	if again, err := l.GetImageStream(t.Context(), key); again != first || err != nil {
		t.Errorf("the same object was converted again, %v", err)
	}
	moved := large()
	moved.Generation = 7
	if err := index.Update(moved); err != nil {
		t.Fatal(err)
	}
	if next, err := l.GetImageStream(t.Context(), key); err != nil || next == first || next.Metadata.Generation != 7 {
		t.Errorf("after an update: generation %d, %v", next.Metadata.Generation, err)
	}
	if err := index.Delete(moved); err != nil {
		t.Fatal(err)
	}
	if _, err := l.GetImageStream(t.Context(), key); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("after a deletion: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.GetImageStream(ended, key); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that is over: %v", err)
	}
	kept := func() (n int) {
		l.streams.converted.Range(func(any, any) bool { n++; return true })
		return n
	}
	for n := kept(); n > 0; n = kept() { // until the collector has told
		runtime.GC()
		runtime.Gosched()
	}
}

func TestListersImages(t *testing.T) {
	l, index := informed(&imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: "sha256:1"}})
	if _, err := l.GetImage(t.Context(), "sha256:1"); !errors.Is(err, lookup.ErrNoImages) {
		t.Errorf("without a lister of images: %v", err)
	}
	l.Images = listers.NewImageLister(index)
	if image, err := l.GetImage(t.Context(), "sha256:1"); err != nil || image.Metadata.Name != "sha256:1" {
		t.Errorf("got %+v, %v", image, err)
	}
	if _, err := l.GetImage(t.Context(), "none"); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}

// TestListersCosts resolves a tag of a stream that has 200: a lookup by listers costs what one from memory does.
func TestListersCosts(t *testing.T) {
	theirs := large()
	theirs.Spec.LookupPolicy.Local = true
	l, _ := informed(theirs)
	key := imagestream.Key{Namespace: "shop", Name: "app"}
	ours, err := FromAPI[imagestream.ImageStream](theirs)
	if err != nil {
		t.Fatal(err)
	}
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{
		"containers": []any{map[string]any{"image": "app:v7"}},
	}}
	resolve := func(source lookup.Source) float64 {
		return testing.AllocsPerRun(50, func() {
			changes, err := (&lookup.Resolver{Source: source}).Changes(t.Context(), pod, "shop")
			if err != nil || len(changes) != 1 {
				t.Fatalf("resolved to %v, %v", changes, err)
			}
		})
	}
	fromMemory, fromLister := resolve(lookup.Streams{key: ours}), resolve(l)
	if fromLister > fromMemory+10 {
		t.Errorf("a lookup makes %.0f allocations, from memory %.0f", fromLister, fromMemory)
	}
	first := testing.AllocsPerRun(50, func() {
		if _, err := (&Listers{Streams: l.Streams}).GetImageStream(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	})
	if first > 20 {
		t.Errorf("the first get makes %.0f allocations", first)
	}
}
