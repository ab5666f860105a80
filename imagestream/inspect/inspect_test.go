package inspect_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
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
		s, _ = imagestream.Push(s, "v1", event(n))
	}
	return s
}

func ExamplePullSpec() {
	s := stream()
	got, err := inspect.PullSpec(s, "v1", inspect.PullSpecOptions{})
	fmt.Println(got.PullSpec[:24], got.HasStatus, err)

	behind := int64(7)
	s.Spec.Tags[0].Generation = &behind
	got, _ = inspect.PullSpec(s, "v1", inspect.PullSpecOptions{})
	fmt.Println(got.PullSpec, got.HasStatus)
	got, _ = inspect.PullSpec(s, "v1", inspect.PullSpecOptions{Rule: inspect.Recent})
	fmt.Println(got.PullSpec[:24], got.HasNewer)

	_, err = inspect.PullSpec(s, "v2", inspect.PullSpecOptions{})
	fmt.Println(err)
	// Output:
	// quay.io/org/app@sha256:0 true <nil>
	// quay.io/org/app:v1 false
	// quay.io/org/app@sha256:0 true
	// the tag points at nothing, and the image stream has no repository: import or push an image first
}

func ExampleImage() {
	s := stream()
	s, _ = imagestream.Push(s, "v1", tagevent.Event{DockerImageReference: "quay.io/org/app:unknown", Generation: 2})
	newest, _ := inspect.Image(s, "v1", inspect.NewestEvent)
	good, _ := inspect.Image(s, "v1", inspect.LastGood)
	fmt.Println(newest.DockerImageReference, good.Image == event(2).Image)
	behind := int64(9)
	s.Spec.Tags[0].Generation = &behind
	_, current := inspect.Image(s, "v1", inspect.OnlyCurrent)
	fmt.Println(current)
	// Output:
	// quay.io/org/app:unknown true
	// false
}

func ExampleTagState() {
	s := stream()
	fmt.Println(inspect.TagState(s, "v1").Phase, inspect.TagState(s, "v2").Phase)
	asked := int64(2)
	s.Spec.Tags[0].Generation = &asked
	fmt.Println(inspect.TagState(s, "v1").Phase)
	s.Status.Tags[0].Conditions = []tagevent.Condition{{
		Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Reason: "Unauthorized", Message: "the registry wants a user name", Generation: 2,
	}}
	state := inspect.TagState(s, "v1")
	fmt.Println(state.Phase, state.Reason, state.Generation, state.Observed)
	// Output:
	// Done Missing
	// Pending
	// Failed Unauthorized 2 2
}

func ExampleHolding() {
	s := stream()
	s, _ = imagestream.Push(s, "prod", event(1))
	for _, place := range inspect.Holding(s, event(1).Image) {
		fmt.Println(place.Tag, place.Index)
	}
	// Output:
	// prod 0
	// v1 1
}

func ExampleAt() {
	s := stream()
	then, ok := inspect.At(s, "v1", tagevent.TimeOf(now.Add(90*time.Minute)))
	fmt.Println(then.Image == event(1).Image, ok)
	_, ok = inspect.At(s, "v1", tagevent.TimeOf(now.Add(-time.Minute)))
	fmt.Println(ok)
	// Output:
	// true true
	// false
}

func ExampleReference() {
	s := stream()
	s.Status.DockerImageRepository, s.Status.PublicDockerImageRepository = "registry.local:5000/shop/app", "apps.example.com/shop/app"
	for _, from := range []inspect.Source{inspect.ByPolicy, inspect.FromSource, inspect.FromLocal, inspect.FromPublic} {
		spec, ok := inspect.Reference(s, "v1", from)
		repository, _, _ := strings.Cut(spec, "@")
		fmt.Println(repository, ok)
	}
	// Output:
	// quay.io/org/app true
	// quay.io/org/app true
	// registry.local:5000/shop/app true
	// apps.example.com/shop/app true
}

func tracker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from}}
}

func ExampleFollower() {
	s := stream()
	s.Spec.Tags = append(s.Spec.Tags, tracker("latest", "stable"), tracker("stable", "app:v1"))
	f := inspect.NewFollower(s)
	fmt.Println(f.Follow("latest").Path, f.Follow("stable").Last())
	// Output: [latest stable v1] v1
}

func ExampleFollow() {
	s := stream()
	s.Spec.Tags = append(s.Spec.Tags, tracker("latest", "stable"), tracker("stable", "app:v1"), tracker("a", "b"), tracker("b", "a"), tracker("x", "gone"), tracker("y", "other:z"))
	for _, tag := range []string{"latest", "a", "x", "y", "none"} {
		c := inspect.Follow(s, tag)
		fmt.Println(tag, c.Path, c.End, c.Last())
	}
	// Output:
	// latest [latest stable v1] here v1
	// a [a b] circle b
	// x [x] nowhere x
	// y [y] elsewhere y
	// none [] nowhere
}

func ExampleNewFollower() {
	s := stream()
	s.Spec.Tags = append(s.Spec.Tags, tracker("latest", "v1"))
	f := inspect.NewFollower(s)
	fmt.Println(f.Follow("latest").Path, f.Follow("v1").Path)
	// Output: [latest v1] [v1]
}

func ExampleDiff() {
	before := stream()
	after, _ := imagestream.Push(before, "v1", event(7))
	after, _ = imagestream.Push(after, "v2", event(8))
	after = after.Clone()
	after.Status.Tags[0].Conditions = []tagevent.Condition{{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Reason: "NotFound"}}
	for _, d := range inspect.Diff(before, after) {
		fmt.Println(strings.TrimSpace(fmt.Sprint(d.Tag, " ", d.Type, " ", d.Condition.Reason)))
	}
	fmt.Println(len(inspect.Diff(after, after)), inspect.Diff(after, before)[2].Type)
	// Output:
	// v1 moved
	// v1 failed NotFound
	// v2 added
	// 0 removed
}

// drawStream is a small stream with tags that follow each other anyhow.
func drawStream(t *rapid.T, label string) *imagestream.ImageStream {
	names := []string{"a", "b", "c", "latest"}
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	for _, name := range names {
		switch rapid.IntRange(0, 3).Draw(t, label+" "+name) {
		case 0:
			s.Spec.Tags = append(s.Spec.Tags, tracker(name, rapid.SampledFrom(append(names, "app:", "other:a", "")).Draw(t, label+" source")))
		case 1:
			s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
				Name: name, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + name},
			})
		}
		for range rapid.IntRange(0, 2).Draw(t, label+" events") {
			s, _ = imagestream.Push(s, name, event(rapid.IntRange(0, 4).Draw(t, label+" event")))
		}
	}
	return s
}

// TestLaws checks what holds for all streams: no argument is changed, merging twice is merging once, a difference is there if and only if
// something points elsewhere, a snapshot points where the stream does.
func TestLaws(t *testing.T) { rapid.Check(t, laws) }

func FuzzLaws(f *testing.F) { f.Fuzz(rapid.MakeFuzz(laws)) }

func laws(t *rapid.T) {
	s, other := drawStream(t, "stored"), drawStream(t, "desired")
	before, otherBefore := s.Clone(), other.Clone()

	merged := edit.Merge(s, other)
	if !imagestream.Equal(merged, edit.Merge(merged, other)) {
		t.Fatal("merging the same again changes something")
	}
	for _, tag := range other.Spec.Tags {
		if got, ok := merged.SpecTag(tag.Name); !ok || got.From.Name != tag.From.Name {
			t.Fatalf("the desired tag %s became %+v", tag.Name, got)
		}
	}
	moved := map[string]bool{}
	for _, d := range inspect.Diff(s, other) {
		moved[d.Tag] = true
	}
	for _, tag := range []string{"a", "b", "c", "latest"} {
		was, _ := s.LatestEvent(tag)
		is, _ := other.LatestEvent(tag)
		if (was.Image != is.Image) != moved[tag] {
			t.Fatalf("%s goes from %q to %q, reported: %v", tag, was.Image, is.Image, moved[tag])
		}
		c := inspect.Follow(s, tag)
		if len(c.Path) > len(s.Spec.Tags) || c.End == inspect.EndsHere && c.Path[0] != tag {
			t.Fatalf("%s leads along %+v", tag, c)
		}
	}
	if len(inspect.Diff(s, s)) > 0 {
		t.Fatal("a stream differs from itself")
	}
	for _, tag := range edit.Snapshot(s).Spec.Tags {
		if latest, _ := s.LatestEvent(tag.Name); !strings.HasSuffix(tag.From.Name, "@"+latest.Image) {
			t.Fatalf("the snapshot of %s comes from %s", tag.Name, tag.From.Name)
		}
	}
	if h, ok := s.History("a"); ok && len(h.Items) > 1 {
		n := rapid.IntRange(1, len(h.Items)-1).Draw(t, "back")
		back, err := edit.Rollback(s, "a", edit.Target{Events: n})
		if err != nil {
			t.Fatal(err)
		}
		back, errs := imagestream.PrepareUpdate(imagestream.WithDefaults(s), back, imagestream.Env{Now: now})
		if len(errs) > 0 {
			return // some other tag of the stream is wrong
		}
		if latest, _ := back.LatestEvent("a"); latest.Image != h.Items[n].Image {
			t.Fatalf("rolled back to %v, want %v", latest, h.Items[n])
		}
	}
	if !imagestream.Equal(s, before) || !imagestream.Equal(other, otherBefore) {
		t.Fatal("an argument was changed")
	}
}
