package edit_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/tagevent"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func event(n int) tagevent.Event {
	return tagevent.Event{
		Created: tagevent.TimeOf(now.Add(time.Duration(n) * time.Hour)), Image: fmt.Sprintf("sha256:%064d", n), Generation: 1,
		DockerImageReference: fmt.Sprintf("quay.io/org/app@sha256:%064d", n),
	}
}

// stream has the tag v1 with three events, and imports due for it.
func stream() *imagestream.ImageStream {
	s := &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			{Name: "v1", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"},
				ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource}},
		}},
	}
	for n := range 3 {
		s, _ = s.Push("v1", event(n))
	}
	return s
}

func tracker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from}}
}

// store is what comes of a changed stream when a tag is written.
func store(t testing.TB, old, next *imagestream.ImageStream) *imagestream.ImageStream {
	t.Helper()
	stored, errs := imagestream.PrepareUpdateInternal(old, next, imagestream.Env{Now: now.Add(24 * time.Hour)})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return stored
}

func ExampleRollback() {
	s, _ := imagestream.PrepareCreateInternal(stream(), imagestream.Env{Now: now})
	back, err := edit.Rollback(s, "v1", edit.Target{}, tagevent.TimeOf(now))
	fmt.Println(err)
	stored := store(&testing.T{}, s, back)
	h, _ := stored.History("v1")
	fmt.Println(len(h.Items), h.Items[0].Image == event(1).Image, stored.Spec.Tags[0].From.Kind)

	further, _ := edit.Rollback(stored, "v1", edit.Target{}, tagevent.TimeOf(now))
	h, _ = store(&testing.T{}, stored, further).History("v1")
	fmt.Println(h.Items[0].Image == event(0).Image)

	_, err = edit.Rollback(s, "v1", edit.Target{Events: 3}, tagevent.TimeOf(now))
	fmt.Println(err)
	// Output:
	// <nil>
	// 4 true ImageStreamImage
	// true
	// ImageStreamTag.image.openshift.io "app:v1" is invalid in namespace "shop": tag.from: it cannot go back 3 events: its history has 3
}

func ExampleRemembered() {
	back, err := edit.Rollback(stream(), "v1", edit.Target{At: event(0).Created}, tagevent.TimeOf(now))
	m := edit.Remembered(back)["v1"]
	fmt.Println(m.Source.From.Name, m.To == "app@"+event(0).Image, len(m.Left), err)
	// Output: quay.io/org/app:v1 true 1 <nil>
}

func ExampleResume() {
	s, _ := imagestream.PrepareCreateInternal(stream(), imagestream.Env{Now: now})
	back, _ := edit.Rollback(s, "v1", edit.Target{Image: event(0).Image}, tagevent.TimeOf(now))
	resumed, err := edit.Resume(back, "v1")
	fmt.Println(resumed.Spec.Tags[0].From.Name, *resumed.Spec.Tags[0].Generation, err)
	_, err = edit.Resume(s, "v1")
	fmt.Println(err)
	// Output:
	// quay.io/org/app:v1 0 <nil>
	// ImageStreamTag.image.openshift.io "app:v1" is invalid in namespace "shop": tag.from: it was not rolled back, or has had another source since: there is nothing to resume
}

func TestRollbackRefuses(t *testing.T) {
	s := stream()
	s, _ = s.Push("ref", tagevent.Event{DockerImageReference: "quay.io/a"})
	s, _ = s.Push("ref", event(1))
	s, _ = s.Push("once", event(1))
	for name, tc := range map[string]struct {
		tag   string
		to    edit.Target
		class error
	}{
		"no tag":             {"none", edit.Target{}, imagestream.ErrNotFound},
		"less than 1":        {"v1", edit.Target{Events: -1}, imagestream.ErrInvalid},
		"too far":            {"v1", edit.Target{Events: 3}, imagestream.ErrInvalid},
		"no image":           {"ref", edit.Target{Events: 1}, imagestream.ErrInvalid},
		"nothing else":       {"once", edit.Target{}, imagestream.ErrInvalid},
		"ambiguous":          {"v1", edit.Target{Image: "sha256:0"}, imagestream.ErrInvalid},
		"never held":         {"v1", edit.Target{Image: "sha256:f"}, imagestream.ErrInvalid},
		"before its history": {"v1", edit.Target{At: 1}, imagestream.ErrInvalid},
		"two targets":        {"v1", edit.Target{Events: 1, Image: "sha256:0"}, imagestream.ErrInvalid},
	} {
		if got, err := edit.Rollback(s, tc.tag, tc.to, tagevent.TimeOf(now)); !errors.Is(err, tc.class) {
			t.Errorf("%s: rolled back to %+v, %v; want %v", name, got, err, tc.class)
		}
	}
}

// TestRollbackDoesNotToggle: a second rollback goes further back, not to the image that was bad.
func TestRollbackDoesNotToggle(t *testing.T) {
	s, _ := imagestream.PrepareCreateInternal(stream(), imagestream.Env{Now: now})
	want := []int{1, 0}
	for _, n := range want {
		back, err := edit.Rollback(s, "v1", edit.Target{}, tagevent.TimeOf(now))
		if err != nil {
			t.Fatal(err)
		}
		s = store(t, s, back)
		if latest, _ := s.LatestEvent("v1"); latest.Image != event(n).Image {
			t.Fatalf("rolled back to %s, want image %d", latest.Image, n)
		}
	}
	if _, err := edit.Rollback(s, "v1", edit.Target{}, tagevent.TimeOf(now)); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("there is nothing left to go back to: %v", err)
	}
	resumed, err := edit.Resume(s, "v1")
	if err != nil || resumed.Spec.Tags[0].From.Name != "quay.io/org/app:v1" {
		t.Errorf("resumed %+v, %v: want the source before the first rollback", resumed.Spec.Tags, err)
	}
}

func ExampleWithTag() {
	s := edit.WithTag(stream(), tracker("latest", "v1"))
	s = edit.WithTag(s, imagestream.TagReference{Name: "v1"})
	for _, t := range s.Spec.Tags {
		fmt.Println(t.Name, t.From != nil)
	}
	// Output:
	// v1 false
	// latest true
}

func ExampleWithoutTag() {
	s := edit.WithoutTag(stream(), "v1")
	fmt.Println(len(s.Spec.Tags), len(s.Status.Tags))
	// Output: 0 0
}

func ExampleMerge() {
	desired := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Labels: map[string]string{"team": "web"}}}
	desired.Spec.LookupPolicy.Local = true
	desired.Spec.Tags = []imagestream.TagReference{tracker("latest", "v1")}
	merged := edit.Merge(stream(), desired)
	fmt.Println(len(merged.Spec.Tags), merged.Metadata.Labels, merged.Spec.LookupPolicy.Local, len(merged.Status.Tags))
	fmt.Println(merged.Same(edit.Merge(merged, desired)))
	// Output:
	// 2 map[team:web] true 1
	// true
}

func ExampleSnapshot() {
	s := stream()
	s.Spec.Tags[0].ImportPolicy.Scheduled = true
	frozen, err := edit.Snapshot(s, edit.SnapshotOptions{})
	t := frozen.Spec.Tags[0]
	fmt.Println(t.Name, strings.HasPrefix(t.From.Name, "quay.io/org/app@sha256:0"), t.ImportPolicy.Scheduled, err)

	asked := int64(9)
	s.Spec.Tags[0].Generation = &asked
	_, err = edit.Snapshot(s, edit.SnapshotOptions{})
	fmt.Println(errors.Is(err, imagestream.ErrInvalid))
	// Output:
	// v1 true false <nil>
	// true
}

// TestSnapshotOfWhatCouldNotBeImported refuses the old image of a tag that asks for another one.
func TestSnapshotOfWhatCouldNotBeImported(t *testing.T) {
	s := stream()
	asked := int64(9)
	s.Spec.Tags[0].Generation = &asked
	s.Status.Tags[0].Conditions = []tagevent.Condition{
		{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Reason: "NotFound", Message: "no such tag", Generation: asked},
	}
	if c, err := edit.Snapshot(s, edit.SnapshotOptions{}); !errors.Is(err, imagestream.ErrInvalid) ||
		!strings.Contains(err.Error(), "spec.tags[v1]") {
		t.Errorf("%+v, %v; want that v1 failed", c, err)
	}
	asked = 1
	s.Status.Tags[0].Conditions[0].Generation = asked
	if _, err := edit.Snapshot(s, edit.SnapshotOptions{}); err != nil {
		t.Errorf("a later import of the same source failed: %v", err)
	}
}

// TestRollbackMovesATagThatWasPushedAway: a tag was rolled back, somebody pushed to it, and it is rolled back to the same
// image again.
func TestRollbackMovesATagThatWasPushedAway(t *testing.T) {
	s, _ := imagestream.PrepareCreateInternal(stream(), imagestream.Env{Now: now})
	for n := range 2 {
		back, err := edit.Rollback(s, "v1", edit.Target{Image: event(1).Image}, tagevent.TimeOf(now))
		if err != nil {
			t.Fatal(err)
		}
		s = store(t, s, back)
		if latest, _ := s.LatestEvent("v1"); latest.Image != event(1).Image {
			t.Fatalf("roll-back %d: the tag points at %s", n+1, latest.Image)
		}
		pushed, _ := s.Push("v1", event(5+n))
		s = store(t, s, pushed)
	}
}
