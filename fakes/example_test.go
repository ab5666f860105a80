package fakes_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
)

// reconcile imports what streams wait for, as their watch tells of it, until the stream named until is done. It is a controller in
// twenty lines: it lists, watches from there, and begins again when the watch is too old.
func reconcile(ctx context.Context, store imagestream.Store, i *importer.Importer, until imagestream.Key) error {
	for change, err := range store.WatchImageStreams(ctx, imagestream.WatchOptions{}) {
		if err != nil {
			return err
		}
		s := change.Object
		if change.Type == imagestream.Deleted {
			continue
		}
		if wanted := importer.NeedsImport(s).Import; wanted != nil {
			if _, err := i.Import(ctx, wanted); err != nil {
				return err
			}
			continue // what the import writes comes through the watch
		}
		for _, t := range s.Spec.Tags {
			fmt.Println(s.Key(), t.Name, inspect.TagState(s, t.Name).Phase)
		}
		if s.Key() == until {
			return nil
		}
	}
	return nil
}

// A controller's loop, on a store and a registry that work.
func Example_reconcile() {
	ctx, store, registry := context.Background(), &fakes.Store{}, &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	writer := &write.Engine{Store: store}
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	for _, tag := range []string{"v1", "v2"} {
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag},
		})
	}
	if _, err := writer.Create(ctx, s); err != nil {
		fmt.Println(err)
	}
	fmt.Println(reconcile(ctx, store, &importer.Importer{Registry: registry, Engine: writer}, s.Key()))
	// Output:
	// shop/app v1 Done
	// shop/app v2 Failed
	// <nil>
}

// promote lets the tag prod of a stream point where candidate does: the function under test in the next example.
func promote(ctx context.Context, w *write.Engine, key imagestream.Key) error {
	_, err := w.Update(ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		latest, ok := old.LatestEvent("candidate")
		if !ok {
			return nil, fmt.Errorf("%s: there is no candidate", old.Key())
		}
		return edit.WithTag(old, imagestream.TagReference{
			Name: "prod", From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: old.Metadata.Name + "@" + latest.Image},
		}), nil
	})
	return err
}

// A test that used to need a scripted clientset: get answers this, update answers conflict, get answers that. Here somebody else
// really writes in between, and what counts is what is stored in the end.
func Example_test() {
	ctx, store := context.Background(), &fakes.Store{}
	key := imagestream.Key{Namespace: "shop", Name: "app"}
	fmt.Println(promote(ctx, &write.Engine{Store: store}, key))

	s := large("shop", "app")
	s.Status.Tags[0].Tag = "candidate"
	if _, err := store.CreateImageStream(ctx, s); err != nil {
		fmt.Println(err)
	}
	interfered := false
	store.Fail = func(op string, key imagestream.Key) error {
		if op != "UpdateImageStream" || interfered {
			return nil
		}
		interfered = true
		other, err := store.GetImageStream(ctx, key)
		if err != nil {
			return err
		}
		other.Metadata.Labels = map[string]string{"team": "web"}
		_, err = store.UpdateImageStream(ctx, other)
		return err
	}
	fmt.Println(promote(ctx, &write.Engine{Store: store}, key))
	got, _ := store.GetImageStream(ctx, key)
	prod, _ := got.LatestEvent("prod")
	candidate, _ := got.LatestEvent("candidate")
	fmt.Println(prod.Image == candidate.Image, got.Metadata.Labels)
	// Output:
	// imagestreams.image.openshift.io "app" not found in namespace "shop"
	// <nil>
	// true map[team:web]
}
