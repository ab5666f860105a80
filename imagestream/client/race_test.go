package client_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
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
		if _, err := streams.Push(ctx, app, "prod", image(n)); err != nil {
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

// TestRollbackDisturbedTwiceForgetsNothing: two roll-backs end between their two writes, and so does one that others
// overtake twice.
func TestRollbackDisturbedTwiceForgetsNothing(t *testing.T) {
	for name, disturb := range map[string]func(streams *client.Client){
		"interrupted": func(streams *client.Client) {
			for _, to := range []edit.Target{{}, {Image: image(0).Metadata.Name}} {
				ctx, cancel := context.WithCancel(ctx)
				beforeWrite(storeOf(streams), 2, cancel)
				if _, err := streams.Rollback(ctx, app, "prod", to); !errors.Is(err, context.Canceled) {
					t.Fatalf("not interrupted: %v", err)
				}
			}
			storeOf(streams).Fail = nil
		},
		"overtaken": func(streams *client.Client) {
			writes := 0
			storeOf(streams).Fail = func(op string, key imagestream.Key) error {
				if op == "UpdateImageStream" {
					if writes++; writes == 2 || writes == 4 {
						return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
					}
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			streams := imported()
			for n := range 4 {
				if _, err := streams.Push(ctx, app, "prod", image(n)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := streams.Rollback(ctx, app, "prod", edit.Target{}); err != nil {
				t.Fatal(err)
			}
			disturb(streams)
			s, err := streams.Rollback(ctx, app, "prod", edit.Target{})
			if err != nil {
				t.Fatal(err)
			}
			if latest, _ := s.LatestEvent("prod"); latest.Image != image(1).Metadata.Name {
				t.Errorf("rolled back to %s", latest.Image)
			}
			if s, err = streams.Resume(ctx, app, "prod"); err != nil || s.Spec.Tags[0].From.Name != "quay.io/org/app:v2" {
				t.Errorf("resumed %+v, %v", s, err)
			}
		})
	}
}

func image(n int) *imagestream.Image {
	return &imagestream.Image{
		Metadata:             imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%064d", n)},
		DockerImageReference: fmt.Sprintf("quay.io/org/app@sha256:%064d", n),
	}
}

// TestPauseWhileOthersWriteFirst: a store that answers every write with a conflict is not stormed.
func TestPauseWhileOthersWriteFirst(t *testing.T) {
	for name, act := range map[string]func(context.Context, *client.Client) error{
		"alias": func(ctx context.Context, streams *client.Client) error {
			_, err := streams.Alias(ctx, app, "latest", "prod")
			return err
		},
		"rollback": func(ctx context.Context, streams *client.Client) error {
			_, err := streams.Rollback(ctx, app, "prod", edit.Target{})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			streams := imported()
			streams.API.(*rest.Server).Engine.Attempts = 1
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
				defer cancel()
				writes := 0
				storeOf(streams).Fail = func(op string, key imagestream.Key) error {
					if op != "UpdateImageStream" {
						return nil
					}
					writes++
					return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
				}
				err := act(ctx, streams)
				if !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, imagestream.ErrConflict) {
					t.Errorf("%v; want the end of the context and the conflict", err)
				}
				if writes > 20 {
					t.Errorf("%d writes in 10 seconds", writes)
				}
			})
		})
	}
}

// TestResumeClosesNoCircle: a tag that was rolled back is followed by the one that it followed.
func TestResumeClosesNoCircle(t *testing.T) {
	streams := imported()
	for _, step := range []func() (*imagestream.ImageStream, error){
		func() (*imagestream.ImageStream, error) { return streams.Alias(ctx, app, "latest", "prod") },
		func() (*imagestream.ImageStream, error) { return streams.Push(ctx, app, "prod", image(1)) },
		func() (*imagestream.ImageStream, error) { return streams.Rollback(ctx, app, "latest", edit.Target{}) },
		func() (*imagestream.ImageStream, error) { return streams.Alias(ctx, app, "prod", "latest") },
	} {
		if _, err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := streams.Resume(ctx, app, "latest"); !errors.Is(err, imagestream.ErrInvalid) || !strings.Contains(err.Error(), "latest, prod") {
		t.Errorf("%v; want the circle", err)
	}
}

// TestPushedTagsHaveNoSourceToResume: two roll-backs do not take the first one's image for the source.
func TestPushedTagsHaveNoSourceToResume(t *testing.T) {
	streams, _ := open()
	for n := range 3 {
		if _, err := streams.Push(ctx, app, "v1", image(n)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if _, err := streams.Rollback(ctx, app, "v1", edit.Target{}); err != nil {
			t.Fatal(err)
		}
		_, err := streams.Resume(ctx, app, "v1")
		if !errors.Is(err, imagestream.ErrInvalid) || !strings.Contains(err.Error(), "it had no source") {
			t.Fatalf("%v; want that there is no source", err)
		}
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
		if _, err := streams.Push(ctx, app, "prod", image(7)); err != nil {
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

// TestWaitForAnAliasOfNoTag names the tag that is not there.
func TestWaitForAnAliasOfNoTag(t *testing.T) {
	streams := imported()
	if _, err := streams.Alias(ctx, app, "latest", "none"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if _, err := streams.Wait(ctx, app, client.WaitOptions{}, "latest"); !errors.Is(err, imagestream.ErrNotFound) ||
		!strings.Contains(err.Error(), "app:none") {
		t.Errorf("%v; want that app:none is not there", err)
	}
	if _, err := streams.Push(ctx, app, "none", image(1)); err != nil {
		t.Fatal(err)
	}
	if events, err := streams.Wait(ctx, app, client.WaitOptions{}, "latest"); err != nil || events["latest"].Image != image(1).Metadata.Name {
		t.Errorf("%+v, %v; want what was pushed", events, err)
	}
}

// TestImportBesideAnEdit: somebody gives the tag another source between fetch and write. That source is imported.
func TestImportBesideAnEdit(t *testing.T) {
	streams := imported()
	if _, err := streams.Tag(ctx, app, "prod", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
		t.Fatal(err)
	}
	beforeWrite(storeOf(streams), 1, func() { streams.Tag(ctx, app, "prod", "quay.io/org/theirs:v1", client.TagOptions{}) })
	done, err := streams.Import(ctx, app, "prod")
	var failed *importer.TagError
	if !errors.As(err, &failed) || failed.From != "quay.io/org/theirs:v1" { // which is not there
		t.Errorf("imported %+v, %v", done, err)
	}
	s, _ := streams.Get(ctx, app)
	if s.Spec.Tags[0].From.Name != "quay.io/org/theirs:v1" {
		t.Errorf("the source of somebody else became %s", s.Spec.Tags[0].From.Name)
	}
}
