package client_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// beforeWrite lets somebody else act right before the n-th write of a stream.
func beforeWrite(store *fakes.Store, n int, act func()) {
	writes := 0
	store.Fail = func(op string, _ imagestream.Key) error {
		if op == "UpdateImageStream" {
			if writes++; writes == n {
				act()
			}
		}
		return nil
	}
}

// TestResumeDoesNotOverwriteAnotherSource: somebody gives the tag another source between read and write.
func TestResumeDoesNotOverwriteAnotherSource(t *testing.T) {
	streams := imported()
	if _, err := streams.Rollback(ctx, app, "prod", edit.Target{}); err != nil {
		t.Fatal(err)
	}
	beforeWrite(storeOf(streams), 1, func() { streams.Tag(ctx, app, "prod", "quay.io/org/theirs:v1", client.TagOptions{}) })
	if _, err := streams.Resume(ctx, app, "prod"); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("resumed over another source: %v", err)
	}
	s, _ := streams.Get(ctx, app)
	if s.Spec.Tags[0].From.Name != "quay.io/org/theirs:v1" {
		t.Errorf("the source of somebody else became %s", s.Spec.Tags[0].From.Name)
	}
}

// TestConcurrentAliasesCloseNoCircle: a follows b while somebody lets b follow a.
func TestConcurrentAliasesCloseNoCircle(t *testing.T) {
	streams := imported()
	beforeWrite(storeOf(streams), 1, func() { streams.Alias(ctx, app, "b", "a") })
	if _, err := streams.Alias(ctx, app, "a", "b"); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("a and b follow each other: %v", err)
	}
}

// TestRollbackThatFailsHalfWayForgetsNothing: the second write of a second rollback fails.
func TestRollbackThatFailsHalfWayForgetsNothing(t *testing.T) {
	streams := imported()
	for n := range 3 {
		image := &imagestream.Image{
			Metadata:             imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%064d", n)},
			DockerImageReference: fmt.Sprintf("quay.io/org/app@sha256:%064d", n),
		}
		if _, err := streams.Push(ctx, app, "prod", image); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := streams.Rollback(ctx, app, "prod", edit.Target{}); err != nil {
		t.Fatal(err)
	}
	full := errors.New("disk full")
	writes := 0
	storeOf(streams).Fail = func(op string, _ imagestream.Key) error {
		if op == "UpdateImageStream" {
			if writes++; writes == 2 {
				return full
			}
		}
		return nil
	}
	if _, err := streams.Rollback(ctx, app, "prod", edit.Target{}); !errors.Is(err, full) {
		t.Fatalf("the second write did not fail: %v", err)
	}
	s, err := streams.Resume(ctx, app, "prod")
	if err != nil || s.Spec.Tags[0].From.Name != "quay.io/org/app:v2" {
		t.Errorf("resumed %+v, %v", s, err)
	}
}

// TestRollbackToTheSameSourceMoves: the tag comes from that image already, named with and without the namespace, and was
// pushed away from it.
func TestRollbackToTheSameSourceMoves(t *testing.T) {
	for _, namespace := range []string{"", "shop"} {
		streams := imported()
		if _, err := streams.Alias(ctx, app, "latest", "prod"); err != nil {
			t.Fatal(err)
		}
		s, _ := streams.Get(ctx, app)
		h, _ := s.History("prod")
		good := h.Items[1].Image
		source := imagestream.TagReference{Name: "prod", From: &imagestream.ObjectReference{
			Kind: imagestream.KindImageStreamImage, Namespace: namespace, Name: "app@" + good,
		}}
		object := &imagestream.ImageStreamTag{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app:prod"}, Tag: &source}
		key := imagestream.Key{Namespace: "shop", Name: "app:prod"}
		if _, _, err := streams.API.ImageStreamTags().Update(ctx, key, rest.Replace(object), rest.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		pushed := &imagestream.Image{
			Metadata:             imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%064d", 7)},
			DockerImageReference: fmt.Sprintf("quay.io/org/app@sha256:%064d", 7),
		}
		if _, err := streams.Push(ctx, app, "prod", pushed); err != nil {
			t.Fatal(err)
		}
		s, err := streams.Rollback(ctx, app, "prod", edit.Target{Image: good})
		if err != nil {
			t.Fatal(err)
		}
		for _, tag := range []string{"prod", "latest"} {
			if e, _ := s.LatestEvent(tag); e.Image != good {
				t.Errorf("namespace %q: %s points at %s", namespace, tag, e.Image)
			}
		}
	}
}

// TestPinnedTagsAreNotRolledBack: they would not move.
func TestPinnedTagsAreNotRolledBack(t *testing.T) {
	streams := imported()
	if _, err := streams.Pin(ctx, app, "prod", "", client.PinOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := streams.Rollback(ctx, app, "prod", edit.Target{}); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("rolled back: %v", err)
	}
}

// TestNotFoundOfSomethingElseEnds: a namespace that is not there is not a stream that was deleted.
func TestNotFoundOfSomethingElseEnds(t *testing.T) {
	streams, _ := open()
	calls := 0
	storeOf(streams).Fail = func(op string, _ imagestream.Key) error {
		if op == "CreateImageStream" || op == "CreateImage" {
			calls++
			return imagestream.NewError(imagestream.ReasonNotFound, "namespaces", imagestream.Key{Name: "shop"}, "")
		}
		return nil
	}
	if _, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{}); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("tag: %v", err)
	}
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1"}, DockerImageReference: "quay.io/org/app:1"}
	if _, err := streams.Push(ctx, app, "v1", image); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("push: %v", err)
	}
	if calls > 4 {
		t.Errorf("tried %d times", calls)
	}
}

// TestWaitForATagNamedTwice ends.
func TestWaitForATagNamedTwice(t *testing.T) {
	streams := imported()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if events, err := streams.Wait(ctx, app, client.WaitOptions{}, "prod", "prod"); err != nil || len(events) != 1 {
		t.Errorf("%+v, %v", events, err)
	}
}
