package inspect_test

import (
	"errors"
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
		s, _ = s.Push("v1", event(n))
	}
	return s
}

func ExamplePullSpec() {
	s := stream()
	got, err := inspect.PullSpec(s, "v1", inspect.PullSpecOptions{})
	fmt.Println(got.PullSpec[:24], got.HasStatus, err)

	behind := int64(7)
	s.Spec.Tags[0].Generation = &behind
	_, err = inspect.PullSpec(s, "v1", inspect.PullSpecOptions{})
	fmt.Println(err)
	got, _ = inspect.PullSpec(s, "v1", inspect.PullSpecOptions{StandIn: inspect.FromLocal})
	fmt.Println(got.PullSpec, got.HasStatus)
	got, _ = inspect.PullSpec(s, "v1", inspect.PullSpecOptions{Want: inspect.Recent})
	fmt.Println(got.PullSpec[:24], got.HasNewer)
	// Output:
	// quay.io/org/app@sha256:0 true <nil>
	// what the tag asks for is not imported yet: wait for it, or take the most recent image
	// quay.io/org/app:v1 false
	// quay.io/org/app@sha256:0 true
}

// Places in order of preference: the public repository, then the local one, then the source.
func ExamplePullSpec_places() {
	s := stream()
	places := []inspect.From{inspect.FromPublic, inspect.FromLocal, inspect.FromSource}
	for _, repository := range []string{"", "apps.example.com/shop/app"} {
		s.Status.PublicDockerImageRepository = repository
		got, err := inspect.PullSpec(s, "v1", inspect.PullSpecOptions{From: places})
		from, _, _ := strings.Cut(got.PullSpec, "@")
		fmt.Println(from, err)
	}
	// Output:
	// quay.io/org/app <nil>
	// apps.example.com/shop/app <nil>
}

// TestWants has a tag whose newest event names no image, and whose last import failed.
func TestWants(t *testing.T) {
	s := stream()
	s, _ = s.Push("v1", tagevent.Event{DockerImageReference: "quay.io/org/app:unknown", Generation: 2})
	behind := int64(9)
	s.Spec.Tags[0].Generation = &behind
	for want, image := range map[inspect.Want]string{inspect.Recent: "", inspect.LastGood: event(2).Image} {
		if got, err := inspect.PullSpec(s, "v1", inspect.PullSpecOptions{Want: want}); err != nil || got.Event.Image != image || !got.HasNewer {
			t.Errorf("%q: %+v, %v", want, got, err)
		}
	}
	for _, want := range []inspect.Want{inspect.Asked, inspect.Current} {
		if got, err := inspect.PullSpec(s, "v1", inspect.PullSpecOptions{Want: want}); !errors.Is(err, inspect.ErrNotImported) {
			t.Errorf("%q: %+v, %v", want, got, err)
		}
	}
	if got, err := inspect.PullSpec(s, "none", inspect.PullSpecOptions{Want: inspect.Recent}); !errors.Is(err, inspect.ErrNoRepository) {
		t.Errorf("no tag: %+v, %v", got, err)
	}
}

// TestReferenceTagsByDigestAreSeen: the image of a reference tag stands in its pull spec alone.
func TestReferenceTagsByDigestAreSeen(t *testing.T) {
	digest := event(1).Image
	s := &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
		Status:   imagestream.ImageStreamStatus{PublicDockerImageRepository: "apps.example.com/shop/app"},
	}
	s, _ = s.Push("ref", tagevent.Event{DockerImageReference: "quay.io/org/app@" + digest})
	if places := inspect.Holding(s, digest[:20]); len(places) != 1 {
		t.Errorf("held at %+v", places)
	}
	good, err := inspect.PullSpec(s, "ref", inspect.PullSpecOptions{Want: inspect.LastGood})
	if err != nil || good.PullSpec != "quay.io/org/app@"+digest {
		t.Errorf("last good: %+v, %v", good, err)
	}
	public, err := inspect.PullSpec(s, "ref", inspect.PullSpecOptions{From: []inspect.From{inspect.FromPublic}})
	if err != nil || public.PullSpec != "apps.example.com/shop/app@"+digest {
		t.Errorf("public: %+v, %v", public, err)
	}
	if frozen, err := edit.Snapshot(s, edit.SnapshotOptions{}); err != nil || len(frozen.Spec.Tags) != 1 ||
		frozen.Spec.Tags[0].From.Name != "quay.io/org/app@"+digest {
		t.Errorf("snapshot: %+v, %v", frozen, err)
	}
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
	s, _ = s.Push("prod", event(1))
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
	after, _ := before.Push("v1", event(7))
	after, _ = after.Push("v2", event(8))
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
			s, _ = s.Push(name, event(rapid.IntRange(0, 4).Draw(t, label+" event")))
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
	if !merged.Same(edit.Merge(merged, other)) {
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
	frozen, err := edit.Snapshot(s, edit.SnapshotOptions{Old: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range frozen.Spec.Tags {
		if latest, _ := s.LatestEvent(tag.Name); !strings.HasSuffix(tag.From.Name, "@"+latest.Image) {
			t.Fatalf("the snapshot of %s comes from %s", tag.Name, tag.From.Name)
		}
	}
	if h, ok := s.History("a"); ok && len(h.Items) > 1 {
		n := rapid.IntRange(1, len(h.Items)-1).Draw(t, "back")
		back, err := edit.Rollback(s, "a", edit.Target{Events: n}, tagevent.TimeOf(now))
		if err != nil {
			t.Fatal(err)
		}
		back, errs := imagestream.PrepareUpdate(s.WithDefaults(), back, imagestream.Env{Now: now})
		if len(errs) > 0 {
			return // some other tag of the stream is wrong
		}
		if latest, _ := back.LatestEvent("a"); latest.Image != h.Items[n].Image {
			t.Fatalf("rolled back to %v, want %v", latest, h.Items[n])
		}
	}
	if !s.Same(before) || !other.Same(otherBefore) {
		t.Fatal("an argument was changed")
	}
}
