package trigger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// TestPlannerWithoutTheRealControllersAccidents compares what the real controller wants with what a planner does.
func TestPlannerWithoutTheRealControllersAccidents(t *testing.T) {
	annotated := func(from string) map[string]any {
		o := deployment("d", "x:1", "old")
		o["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.Annotation] = fmt.Sprintf(
			`[{"from":{%s"name":"x:1"},"fieldPath":"spec.template.spec.containers[0].image"}]`, from)
		return o
	}
	build := func(change, from, status string) map[string]any {
		return object(fmt.Sprintf(`{"apiVersion":"build.openshift.io/v1","kind":"BuildConfig","metadata":{"namespace":"shop","name":"b"},
			"spec":{"triggers":[{"type":"ImageChange","imageChange":{%s}}],"strategy":{"dockerStrategy":{%s}}},"status":{%s}}`, change, from, status))
	}
	for _, tc := range []struct {
		name           string
		object         map[string]any
		real           bool // whether the real controller wants something, once it looks at the object
		woken, planned bool // whether a planner does when the tag moves
	}{
		{"as it should be", annotated(`"kind":"ImageStreamTag",`), true, true, true},
		{"an apiVersion", annotated(`"kind":"ImageStreamTag","apiVersion":"image.openshift.io/v1",`), true, true, true},
		{"no kind", annotated(``), true, true, true},
		{"another kind", annotated(`"kind":"DockerImage",`), true, false, false},
		{"a build from a tag", build("", `"from":{"kind":"ImageStreamTag","name":"x:1"}`, ""), true, true, true},
		{"a build from an image", build("", `"from":{"kind":"DockerImage","name":"x:1"}`, ""), true, false, false},
		{"a paused build", build(`"paused":true`, `"from":{"kind":"ImageStreamTag","name":"x:1"}`, ""), false, false, false},
		{"a recorded build, with the own namespace", build("", `"from":{"kind":"ImageStreamTag","name":"x:1"}`,
			`"imageChangeTriggers":[{"from":{"name":"x:1","namespace":"shop"},"lastTriggeredImageID":"quay.io/shop/x@sha256:aa"}]`), true, true, false},
		{"a deployment config whose containers are not there", object(`{"apiVersion":"apps.openshift.io/v1","kind":"DeploymentConfig","metadata":{"namespace":"shop","name":"d"},
			"spec":{"template":{},"triggers":[{"imageChangeParams":{"automatic":true,"from":{"kind":"ImageStreamTag","name":"x:1"}}}]}}`), true, true, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, trigger.Options{})
			s := w.stream("x")
			s.Metadata.ResourceVersion = "1"
			w.put(s)
			id := w.set(tc.object)
			w.settle()
			w.push("x:1", "sha256:aa")
			plan, err := trigger.For(tc.object, imagestream.Env{Streams: w.streams})
			if err != nil || plan.IsEmpty() == tc.real {
				t.Errorf("the real controller: %+v, %v", plan, err)
			}
			round := w.settle()
			if len(w.log) == 0 {
				w.set(tc.object)
				round = w.settle()
			}
			if planned := len(w.log) > 0; planned != tc.planned {
				t.Errorf("planned: %v, want %v: %+v", planned, tc.planned, round)
			}
			var index trigger.Index
			_ = index.Set(tc.object)
			if followers := index.Followers(s.Key(), "1"); (len(followers) == 1) != tc.woken {
				t.Errorf("followers %v of %v", followers, id)
			}
		})
	}
	t.Run("a tag without a pull spec", func(t *testing.T) {
		w := newWorld(t, trigger.Options{})
		id := w.set(deployment("d", "x:1", "old"))
		s, _ := w.stream("x").Push("1", tagevent.Event{Image: "sha256:aa"})
		w.put(s)
		round := w.settle()
		w.expect()
		if why(round, id) != lookup.WhyEmpty {
			t.Errorf("waiting %+v", round.Waiting)
		}
	})
}

// TestOnTheirWay: how long an updated object keeps its place.
func TestOnTheirWay(t *testing.T) {
	for _, tc := range []struct {
		kind, object string
		busy, done   any
	}{
		{"Deployment", `"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":2,"availableReplicas":%v}`, 1, 2},
		{"Deployment", `"spec":{"replicas":2},"status":{"observedGeneration":2,"replicas":2,"updatedReplicas":%v,"availableReplicas":2}`, 1, 2},
		{"Deployment", `"spec":{},"status":{"observedGeneration":2,"updatedReplicas":1,"availableReplicas":%v}`, 0, 1},
		{"Deployment", `"spec":{"replicas":0},"status":{"observedGeneration":%v}`, 1, 2},
		{"Deployment", `"spec":{"replicas":1},"status":{"observedGeneration":2,"updatedReplicas":1,"availableReplicas":1,"replicas":%v}`, 2, 1},
		{"Deployment", `"spec":{"paused":%v}`, false, true},
		{"StatefulSet", `"spec":{"replicas":3,"updateStrategy":{"rollingUpdate":{"partition":2}}},"status":{"observedGeneration":2,"updatedReplicas":%v,"availableReplicas":3}`, 0, 1},
		{"StatefulSet", `"spec":{"updateStrategy":{"type":"%v"}}`, "RollingUpdate", "OnDelete"},
		{"DaemonSet", `"spec":{},"status":{"observedGeneration":2,"desiredNumberScheduled":1,"updatedNumberScheduled":1,"numberAvailable":%v}`, 0, 1},
		{"DaemonSet", `"spec":{},"status":{"observedGeneration":2,"desiredNumberScheduled":1,"updatedNumberScheduled":%v,"numberAvailable":1}`, 0, 1},
	} {
		for value, done := range map[any]bool{tc.busy: false, tc.done: true} {
			text := fmt.Sprintf("{"+tc.object+"}", value)
			t.Run(tc.kind+" "+text, func(t *testing.T) {
				w := newWorld(t, trigger.Options{AtOnce: 1})
				first := deployment("a", "x:1", "old")
				first["kind"] = tc.kind
				first["metadata"].(map[string]any)["generation"] = 1.0
				w.set(first)
				second := deployment("z", "x:1", "old")
				second["kind"] = "StatefulSet"
				w.set(second)
				w.push("x:1", "sha256:aa")
				update := w.planner.Plan(w.now).Updates[0]
				written := lookup.Apply(first, update.Changes)
				for member, value := range object(text) {
					if spec, ok := value.(map[string]any); ok && member == "spec" {
						spec["template"] = written["spec"].(map[string]any)["template"]
					}
					written[member] = value
				}
				written["metadata"].(map[string]any)["generation"] = 2.0
				w.planner.Done(update.ID, written, nil)
				if updates := w.planner.Plan(w.now).Updates; (len(updates) == 1) != done {
					t.Errorf("the next updates: %v", updates)
				}
			})
		}
	}
}

// TestPlacesInTheQueue: whoever waits longest is first, and one that wanted nothing in between waits anew.
func TestPlacesInTheQueue(t *testing.T) {
	w := newWorld(t, trigger.Options{AtOnce: 1})
	w.set(deployment("busy", "x:0", "old"))
	w.set(deployment("a", "x:1", "old"))
	w.set(deployment("z", "x:2", "old"))
	w.push("x:0", "sha256:aa")
	busy := w.planner.Plan(w.now).Updates[0]
	for _, tag := range []string{"x:1", "x:2"} {
		w.now = w.now.Add(time.Second)
		w.push(tag, "sha256:aa")
		w.planner.Plan(w.now)
	}
	w.now = w.now.Add(time.Second)
	w.set(deployment("a", "x:1", ref("x", "sha256:aa"))) // somebody else did it
	w.planner.Plan(w.now)
	w.now = w.now.Add(time.Second)
	w.push("x:1", "sha256:bb")
	w.write(busy)
	w.settle()
	w.expect("busy", "z", "a")
}

// TestOldStepsAreForgotten: what comes again after a day is new.
func TestOldStepsAreForgotten(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	w.wrote = func(trigger.Update) { w.set(deployment("d", "x:1", "placeholder")) }
	w.set(deployment("d", "x:1", "placeholder"))
	w.push("x:1", "sha256:aa")
	round := w.settle()
	w.expect("d", "d")
	w.now = w.now.Add(25 * time.Hour)
	round = w.settle()
	w.expect("d", "d")
	if wait := round.Next.Sub(w.now); wait != 10*time.Minute {
		t.Errorf("next round in %v", wait)
	}
	for i := range 5 { // so many other steps make the first one new
		w.push("x:1", fmt.Sprintf("sha256:%02d", i))
		w.settle()
	}
	w.log = nil
	w.push("x:1", "sha256:aa")
	w.settle()
	w.expect("d", "d")
}
