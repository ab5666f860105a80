package rest_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// outcome is an error as the vectors show it: its wrong fields, or its reason.
func outcome(err error) string {
	var status *imagestream.StatusError
	switch {
	case err == nil:
		return "ok"
	case !errors.As(err, &status):
		return err.Error()
	case status.Reason != imagestream.ReasonInvalid:
		return string(status.Reason)
	}
	var fields []string
	for _, e := range status.Errors {
		fields = append(fields, strings.TrimPrefix(string(e.Type), "FieldValue")+" "+e.Field)
	}
	slices.Sort(fields)
	return strings.Join(slices.Compact(fields), ", ")
}

// TestUpdateUnderAnotherName: an object whose name is not that of the request. The request handler of an API server refuses it before
// anything else; below that, a new tag is validated by the object's name and written under the request's, and an old one
// cannot change its name. What is missing is found by the validation that finds a wrong name, not before it and not after it.
func TestUpdateUnderAnotherName(t *testing.T) {
	ctx := context.Background()
	const name = "Invalid metadata, Invalid metadata.name"
	source := func(tag string) *imagestream.TagReference {
		return &imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:1"}}
	}
	for _, tc := range []struct {
		name, url, object string
		spec              *imagestream.TagReference
		imageTag, tag     string
	}{
		{"new stream, no spec", "other:v1", "app:v1", nil, "Required spec", "BadRequest"},
		{"new stream, no tag in the name", "other:v1", "app", source("v1"), "Invalid spec.name", "ok"},
		{"new stream, spec of the other name", "other:v1", "app:v2", source("v2"), "ok", "ok"},
		{"new stream, spec of the request's name", "other:v1", "app:v2", source("v1"), "Invalid spec.name", "ok"},
		{"old stream, no spec", "app:new", "app:other", nil, name, name},
		{"old stream, spec of the other name", "app:new", "app:other", source("other"), name, name},
		{"old stream, spec of the request's name", "app:new", "app:other", source("new"), name + ", Invalid spec.name", name},
		{"old stream, no name", "app:new", "", nil, name + ", Required metadata.name", name + ", Required metadata.name"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			store := &fakes.Store{}
			stored, err := store.CreateImageStream(ctx, stream())
			if err != nil {
				t.Fatal(err)
			}
			m := stored.Metadata.Clone()
			if strings.HasPrefix(tc.url, "other:") {
				m = imagestream.ObjectMeta{}
			}
			m.Name = tc.object
			_, _, err = server(store).ImageTags().Update(ctx, shop(tc.url), rest.Replace(&imagestream.ImageTag{Metadata: m, Spec: tc.spec}), rest.UpdateOptions{})
			if got := outcome(err); got != tc.imageTag {
				t.Errorf("image tag: %s, want %s", got, tc.imageTag)
			}
			if tc.imageTag == "ok" {
				written, err := store.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: "other"})
				if err != nil || len(written.Spec.Tags) != 1 || written.Spec.Tags[0].Name != "v1" {
					t.Errorf("the stream of the request has the tags %v, %v", written, err)
				}
			}
			store = &fakes.Store{}
			if _, err := store.CreateImageStream(ctx, stream()); err != nil {
				t.Fatal(err)
			}
			_, _, err = server(store).ImageStreamTags().Update(ctx, shop(tc.url), rest.Replace(&imagestream.ImageStreamTag{
				Metadata: imagestream.ObjectMeta{Name: tc.object}, Tag: tc.spec,
			}), rest.UpdateOptions{})
			if got := outcome(err); got != tc.tag {
				t.Errorf("image stream tag: %s, want %s", got, tc.tag)
			}
		})
	}
}
