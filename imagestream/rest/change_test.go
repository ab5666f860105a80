package rest_test

import (
	"errors"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestChangesThatReturnNothing: a function that returns its argument where nothing exists, or nil where something does.
func TestChangesThatReturnNothing(t *testing.T) {
	ctx, create := t.Context(), rest.UpdateOptions{OrCreate: true}
	for _, api := range []*rest.Server{server(&fakes.Store{}), filled()} {
		for what, update := range map[string]func() error{
			"stream": func() error {
				_, _, err := api.ImageStreams().Update(ctx, shop("app"), nothing[imagestream.ImageStream], create)
				return err
			},
			"image stream tag": func() error {
				_, _, err := api.ImageStreamTags().Update(ctx, shop("app:v1"), nothing[imagestream.ImageStreamTag], create)
				return err
			},
			"image tag": func() error {
				_, _, err := api.ImageTags().Update(ctx, shop("app:v1"), nothing[imagestream.ImageTag], create)
				return err
			},
			"image": func() error {
				_, _, err := api.Images().Update(ctx, imagestream.Key{Name: digestOf(1)}, nothing[imagestream.Image], create)
				return err
			},
		} {
			var status *imagestream.StatusError
			if err := update(); !errors.As(err, &status) || status.Reason != imagestream.ReasonBadRequest {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

func nothing[T any](*T) (*T, error) { return nil, nil }

// TestImageIsCreatedUnderItsOwnName: an update that may create, with another image.
func TestImageIsCreatedUnderItsOwnName(t *testing.T) {
	other := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: digestOf(2)}, DockerImageReference: "quay.io/a"}
	_, created, err := server(&fakes.Store{}).Images().Update(t.Context(), imagestream.Key{Name: digestOf(1)}, rest.Replace(other),
		rest.UpdateOptions{OrCreate: true})
	if err == nil || created {
		t.Errorf("created %t, %v", created, err)
	}
}

// TestCreatedIsOfTheLastAttempt: somebody else creates the stream first.
func TestCreatedIsOfTheLastAttempt(t *testing.T) {
	store := &fakes.Store{}
	raced := false
	store.Fail = func(op string, _ imagestream.Key) error {
		if op == "CreateImageStream" && !raced {
			raced = true
			_, err := store.CreateImageStream(t.Context(), stream())
			return err
		}
		return nil
	}
	_, created, err := server(store).ImageStreams().Update(t.Context(), shop("app"),
		func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if old == nil {
				return stream(), nil
			}
			return old, nil
		}, rest.UpdateOptions{OrCreate: true})
	if err != nil || created || !raced {
		t.Errorf("created %t, %v, raced %t", created, err, raced)
	}
}

// TestListedTagsShareNothing: changing one tag of a list changes no other.
func TestListedTagsShareNothing(t *testing.T) {
	list, err := filled().ImageTags().List(t.Context(), rest.ListOptions{})
	if err != nil || len(list.Items) < 2 {
		t.Fatal(list, err)
	}
	list.Items[0].Metadata.Labels["team"] = "changed"
	if list.Items[1].Metadata.Labels["team"] != "web" {
		t.Error("the labels of two tags are one map")
	}
}
