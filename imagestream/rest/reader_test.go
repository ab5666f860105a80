package rest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func ExampleReader() {
	ctx := context.Background()
	api := rest.New(&fakes.Store{}, nil)
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: "app"}}
	if _, err := api.ImageStreams().Create(ctx, "shop", stream, rest.CreateOptions{}); err != nil {
		fmt.Println(err)
	}
	list, err := rest.Reader(api).ListImageStreams(ctx, imagestream.ListOptions{Namespace: "shop"})
	fmt.Println(len(list.Items), list.Items[0].Key(), err)
	// Output: 1 shop/app <nil>
}

// TestReader reads a store through the verbs, and beside them.
func TestReader(t *testing.T) {
	ctx := t.Context()
	store := &fakes.Store{}
	through := rest.Reader(rest.New(store, nil))
	for _, name := range []string{"a", "b", "c"} {
		labels := map[string]string{"name": name}
		for _, namespace := range []string{"shop", "tools"} {
			m := imagestream.ObjectMeta{Namespace: namespace, Name: name, Labels: labels}
			s := &imagestream.ImageStream{Metadata: m}
			if _, err := store.CreateImageStream(ctx, s); err != nil {
				t.Fatal(err)
			}
		}
		i := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:" + name, Labels: labels}}
		if _, err := store.CreateImage(ctx, i); err != nil {
			t.Fatal(err)
		}
	}
	some, err := imagestream.ParseSelector("name!=a")
	if err != nil {
		t.Fatal(err)
	}
	type answers struct {
		Streams *imagestream.ImageStreamList
		Images  *imagestream.ImageList
		Stream  *imagestream.ImageStream
		Image   *imagestream.Image
		Watched []string
	}
	ask := func(r imagestream.Reader) (a answers) {
		t.Helper()
		var errs [4]error
		a.Streams, errs[0] = r.ListImageStreams(ctx, imagestream.ListOptions{Namespace: "shop", Labels: some})
		a.Images, errs[1] = r.ListImages(ctx, imagestream.ListOptions{Namespace: "shop", Labels: some})
		a.Stream, errs[2] = r.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: "b"})
		a.Image, errs[3] = r.GetImage(ctx, "sha256:b")
		if err := errors.Join(errs[:]...); err != nil {
			t.Fatal(err)
		}
		page, err := r.ListImageStreams(ctx, imagestream.ListOptions{Limit: 4})
		if err != nil || len(page.Items) != 4 || page.Metadata.Continue == "" {
			t.Fatalf("a page: %+v, %v", page, err)
		}
		page, err = r.ListImageStreams(ctx, imagestream.ListOptions{Limit: 4, Continue: page.Metadata.Continue})
		if err != nil || len(page.Items) != 2 {
			t.Fatalf("the second page: %+v, %v", page, err)
		}
		for change, err := range r.WatchImageStreams(ctx, imagestream.WatchOptions{Name: "c", Labels: some}) {
			if err != nil {
				t.Fatal(err)
			}
			if a.Watched = append(a.Watched, change.Object.Key().String()); len(a.Watched) == 2 {
				break
			}
		}
		for change, err := range r.WatchImages(ctx, imagestream.WatchOptions{Namespace: "shop", Name: "sha256:c"}) {
			if err != nil {
				t.Fatal(err)
			}
			a.Watched = append(a.Watched, change.Object.Metadata.Name)
			break
		}
		return a
	}
	if diff := cmp.Diff(ask(store), ask(through)); diff != "" {
		t.Errorf("through the verbs (-store +reader):\n%s", diff)
	}
	if _, err := through.GetImage(ctx, "none"); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}
