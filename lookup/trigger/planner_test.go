package trigger_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExamplePlanner() {
	p := trigger.NewPlanner(trigger.Options{AtOnce: 1})
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for _, s := range env([3]string{"web", "prod", "sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"}).Streams {
		p.SetStream(s)
	}
	for _, name := range []string{"green", "blue"} {
		if err := p.SetObject(deployment(name, "web:prod", "old")); err != nil {
			fmt.Println(err)
		}
	}
	for range 3 {
		round := p.Plan(now)
		for _, u := range round.Updates {
			fmt.Println(u.ID, u.Changes[0].To)
			p.Done(u.ID, nil, nil)
		}
		for _, w := range round.Waiting {
			fmt.Println(w.ID, w.Why.Message())
		}
	}
	// Output:
	// Deployment shop/blue quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a
	// Deployment shop/green as many objects as may are on their way
	// Deployment shop/green quay.io/shop/web@sha256:1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a
}

// TestTagsOfADeletedStreamMoveNothing: a stream is deleted before its tag was planned for, and comes again.
func TestTagsOfADeletedStreamMoveNothing(t *testing.T) {
	p := trigger.NewPlanner(trigger.Options{})
	now := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	streams := env([3]string{"web", "prod", "sha256:1a"}).Streams
	if err := p.SetObject(deployment("web", "web:prod", "old")); err != nil {
		t.Fatal(err)
	}
	for key, s := range streams {
		p.SetStream(s)
		p.DeleteStream(key)
	}
	if round := p.Plan(now); len(round.Updates) != 0 {
		t.Errorf("planned %+v for a stream that is gone", round.Updates)
	}
	for _, s := range streams {
		p.SetStream(s)
	}
	if round := p.Plan(now); len(round.Updates) != 1 {
		t.Errorf("planned %+v for a stream that is there again", round.Updates)
	}
}

func ExampleIndex() {
	var index trigger.Index
	fmt.Println(index.Set(webDeployment), index.Set(webBuild))
	shop := func(name string) imagestream.Key { return imagestream.Key{Namespace: "shop", Name: name} }
	fmt.Println(index.Followers(shop("web"), "prod"), index.Followers(shop("nodejs"), "20"), index.Tags(shop("nodejs")))
	index.Delete(trigger.IDOf(webBuild))
	fmt.Println(index.Followers(shop("nodejs"), "20"))
	// Output:
	// <nil> <nil>
	// [Deployment shop/web] [BuildConfig shop/web] [20]
	// []
}

func ExampleHold() {
	held := trigger.Hold(webDeployment, "1b loses orders")
	fmt.Println(held["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.HoldAnnotation])
	fmt.Println(cmp.Equal(trigger.Release(held), webDeployment))
	// Output:
	// 1b loses orders
	// true
}

func ExampleIsHeld() {
	fmt.Println(trigger.IsHeld(trigger.Hold(webDeployment, "")), trigger.IsHeld(webDeployment))
	// Output:
	// true false
}

func TestOneUpdateForManyMovedTags(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	o := workload(false, map[string]string{"a": "old", "b": "old", "c": "old"}, []tie{{"x:1", "a", false}, {"x:2", "b", false}, {"y:1", "c", false}})
	w.set(o)
	for range 3 {
		w.push("x:1", "sha256:0a")
		w.push("x:2", "sha256:0b")
		w.push("y:1", "sha256:0c")
	}
	w.settle()
	w.expect("w")
	w.push("x:3", "sha256:0d") // a tag that nothing follows
	if round := w.round(); len(round.Updates)+len(round.Waiting) > 0 {
		t.Errorf("a tag that nothing follows: %+v", round)
	}
}

func TestBuildWhoseOutputStreamIsItsInputStream(t *testing.T) {
	for _, tc := range []struct {
		name, from, to string
		tracks         bool
		builds         int
		path           []string
	}{
		{"another tag", "app:base", "app:latest", false, 1, nil},
		{"the same tag", "app:latest", "app:latest", false, 0, []string{"BuildConfig shop/b", "shop/app:latest", "BuildConfig shop/b"}},
		{"a tag that follows the output", "app:base", "app:latest", true, 0, []string{"BuildConfig shop/b", "shop/app:latest", "shop/app:base", "BuildConfig shop/b"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, trigger.Options{})
			s := w.stream("app")
			if tc.tracks {
				s.Spec.Tags = []imagestream.TagReference{{Name: "base", From: &imagestream.ObjectReference{Kind: "ImageStreamTag", Name: "latest"}}}
			}
			w.put(s)
			id := w.set(buildConfig("b", tc.from, tc.to))
			w.pushOutputs(map[string]string{"b": tc.to})
			w.push(tc.from, "sha256:0a")
			round := w.settle()
			if len(w.log) != tc.builds {
				t.Errorf("%d builds, want %d", len(w.log), tc.builds)
			}
			if tc.path == nil {
				return
			}
			if why(round, id) != lookup.WhyLoop || !slices.Equal(round.Waiting[0].Path, tc.path) {
				t.Errorf("waiting %+v, want a loop of %v", round.Waiting, tc.path)
			}
		})
	}
}

func TestTwoObjectsThatEachPushWhatTheOtherFollows(t *testing.T) {
	pushing := func(o map[string]any, tags string) map[string]any {
		o["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.PushesAnnotation] = tags
		return o
	}
	for _, tc := range []struct {
		name string
		a, b map[string]any
	}{
		{"builds", buildConfig("a", "x:1", "y:1"), buildConfig("b", "y:1", "x:1")},
		{"deployments", pushing(deployment("a", "x:1", "old"), "z:1, y:1"), pushing(deployment("b", "y:1", "old"), "shop/x:1")},
		{"a build and a deployment", buildConfig("a", "x:1", "y:1"), pushing(deployment("b", "y:1", "old"), "x:1")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, trigger.Options{})
			a := w.set(tc.a)
			w.pushOutputs(map[string]string{"a": "y:1", "b": "x:1"})
			w.push("x:1", "sha256:0a")
			w.settle()
			w.expect("a") // alone it is no loop
			b := w.set(tc.b)
			w.push("x:1", "sha256:0b")
			round := w.settle()
			w.expect()
			if why(round, a) != lookup.WhyLoop || why(round, b) != lookup.WhyLoop {
				t.Errorf("waiting %+v", round.Waiting)
			}
			w.planner.DeleteObject(b)
			delete(w.objects, b)
			w.settle()
			w.expect("a")
		})
	}
}

func TestTagThatMovesABAB(t *testing.T) {
	w := newWorld(t, trigger.Options{Settle: 10 * time.Minute})
	w.push("x:1", "sha256:aa")
	id := w.set(deployment("d", "x:1", ref("x", "sha256:aa")))
	w.settle()
	var round trigger.Round
	for _, image := range []string{"bb", "aa", "bb", "aa", "bb"} {
		w.now = w.now.Add(time.Minute)
		w.push("x:1", "sha256:"+image)
		round = w.settle()
	}
	w.expect("d", "d")
	if why(round, id) != lookup.WhyFlapping || w.image(id) != ref("x", "sha256:aa") {
		t.Errorf("waiting %+v at %s", round.Waiting, w.image(id))
	}
	if want := w.now.Add(-4 * time.Minute).Add(10 * time.Minute); !round.Next.Equal(want) {
		t.Errorf("next round at %v, want %v", round.Next, want)
	}
	w.now = round.Next
	w.settle()
	w.expect("d") // it has come to rest
	if w.image(id) != ref("x", "sha256:bb") {
		t.Errorf("after all it runs %s", w.image(id))
	}
	w.push("x:1", "sha256:cc") // what is new is not held back
	w.settle()
	w.expect("d")
}

func TestRollbackOfTheTagIsNotHeldBack(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	id := w.set(deployment("d", "x:1", "old"))
	for _, image := range []string{"aa", "bb", "aa"} {
		w.push("x:1", "sha256:"+image)
		w.settle()
	}
	w.expect("d", "d", "d")
	if w.image(id) != ref("x", "sha256:aa") {
		t.Errorf("it runs %s", w.image(id))
	}
}

func TestRollbackOfTheWorkloadAlone(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	old := ref("x", "sha256:aa")
	id := w.set(deployment("d", "x:1", old))
	w.push("x:1", "sha256:bb")
	w.settle()
	w.expect("d")

	w.set(trigger.Hold(deployment("d", "x:1", old), "bb is broken"))
	round := w.settle()
	w.expect()
	if why(round, id) != lookup.WhyHeld || w.image(id) != old {
		t.Errorf("waiting %+v at %s", round.Waiting, w.image(id))
	}
	w.push("x:1", "sha256:cc")
	w.settle()
	w.expect() // held is held, whatever the tag does
	w.set(trigger.Release(w.objects[id]))
	w.settle()
	w.expect("d")
	if w.image(id) != ref("x", "sha256:cc") {
		t.Errorf("it runs %s", w.image(id))
	}
}

// TestMutationThatAnotherWriterUndoes: two writers that never agree, as in k8s-digester#25.
func TestMutationThatAnotherWriterUndoes(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	id := w.set(deployment("d", "x:1", "placeholder"))
	w.wrote = func(trigger.Update) { w.set(deployment("d", "x:1", "placeholder")) }
	w.push("x:1", "sha256:aa")
	round := w.settle()
	w.expect("d", "d") // once more, in case it was one apply
	if why(round, id) != lookup.WhyUndone {
		t.Errorf("waiting %+v", round.Waiting)
	}
	for _, wait := range []time.Duration{10, 20, 40} { // minutes
		if got := round.Next.Sub(w.now); got != wait*time.Minute {
			t.Errorf("next round in %v, want %d minutes", got, wait)
		}
		w.now = round.Next
		round = w.settle()
		w.expect("d")
	}
	w.push("x:1", "sha256:bb") // another image is another step
	w.settle()
	w.expect("d", "d")
}

func TestPinHoldsAndEnds(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	good, bad := digest("aa"), digest("bb")
	id := w.set(deployment("d", "x:1", ref("x", good)))
	w.push("x:1", good)
	w.push("x:1", bad)
	event := tagevent.Event{Image: good, DockerImageReference: ref("x", good)}
	end := w.now.Add(time.Hour)
	pinned, err := w.stream("x").Pin("1", event, "bb is broken", end)
	if err != nil {
		t.Fatal(err)
	}
	w.put(pinned)
	round := w.settle()
	w.expect()
	if !round.Next.Equal(end) {
		t.Errorf("next round at %v, want the end of the pin", round.Next)
	}
	w.now = end
	w.settle()
	w.expect("d")
	if w.image(id) != ref("x", bad) {
		t.Errorf("after the pin it runs %s", w.image(id))
	}
}

func TestOlderObjectsAreIgnored(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	at := func(generation float64, uid, image string) map[string]any {
		o := deployment("d", "x:1", image)
		o["metadata"].(map[string]any)["generation"], o["metadata"].(map[string]any)["uid"] = generation, uid
		return o
	}
	w.push("x:1", "sha256:aa")
	w.set(at(2, "u1", ref("x", "sha256:aa")))
	w.settle()
	if err := w.planner.SetObject(at(1, "u1", "old")); err != nil {
		t.Fatal(err)
	}
	if round := w.planner.Plan(w.now); len(round.Updates) > 0 {
		t.Errorf("an event that came late: %+v", round)
	}
	w.set(at(1, "u2", "old"))
	w.settle()
	w.expect("d") // it was made anew
}

func TestBrokenAndUnresolvedAreSaid(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	broken := deployment("broken", "x:1", "old")
	broken["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.Annotation] = "["
	b, u := w.set(broken), w.set(deployment("unresolved", "x:none", "old"))
	w.push("x:1", "sha256:aa")
	round := w.settle()
	if why(round, b) != lookup.WhyBroken || !errors.Is(round.Waiting[0].Err, trigger.ErrSyntax) {
		t.Errorf("broken: %+v", round.Waiting)
	}
	if why(round, u) != lookup.WhyNoEvent || round.Waiting[1].Tag != "shop/x:none" {
		t.Errorf("unresolved: %+v", round.Waiting)
	}
	both := workload(false, map[string]string{"a": ref("x", "sha256:aa")}, []tie{{"x:1", "a", false}, {"x:none", "b", false}})
	w.set(both)
	w.settle()
	w.planner.SetStream(w.stream("x"))
	if round := w.settle(); len(round.Waiting) > 0 {
		t.Errorf("nothing moved, and objects were looked at: %+v", round.Waiting)
	}
	w.push("x:none", "sha256:aa")
	w.set(deployment("broken", "x:1", "old"))
	w.settle()
	w.expect("broken", "unresolved", "w")
}
