package trigger_test

import (
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

func TestBudget(t *testing.T) {
	w := newWorld(t, trigger.Options{AtOnce: 3, AtOncePerNamespace: 2})
	var ids []trigger.ID
	for i, namespace := range []string{"p", "p", "p", "q", "q"} {
		o := deployment(fmt.Sprint("d", i), "shop/x:1", "old")
		o["metadata"].(map[string]any)["namespace"] = namespace
		o["metadata"].(map[string]any)["generation"] = 1.0
		set, err := trigger.Set(o, trigger.Setting{RemoveAll: true})
		if err == nil {
			set, err = trigger.Set(set, trigger.Setting{FromImage: "shop/x:1", Containers: []string{"a"}})
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, w.set(set))
	}
	w.wrote = func(u trigger.Update) {
		o := w.objects[u.ID]
		metadata := maps.Clone(o["metadata"].(map[string]any))
		metadata["generation"] = 2.0
		o["metadata"] = metadata
		w.set(o)
	}
	w.push("x:1", "sha256:aa")
	round := w.settle()
	w.expect("d0", "d1", "d3")
	if why(round, ids[2]) != lookup.WhyBudget || why(round, ids[4]) != lookup.WhyBudget {
		t.Errorf("waiting %+v", round.Waiting)
	}
	running := func(id trigger.ID) {
		o := maps.Clone(w.objects[id])
		o["status"] = map[string]any{"observedGeneration": 2.0, "replicas": 1.0, "updatedReplicas": 1.0, "availableReplicas": 1.0}
		w.set(o)
	}
	running(ids[3])
	w.settle()
	w.expect("d4") // d2 is longer in the queue, but its namespace is full
	running(ids[0])
	w.settle()
	w.expect("d2")

	w.push("x:1", "sha256:bb")
	w.settle()
	w.expect("d1", "d2", "d4") // what is on its way keeps its place, and takes the next image in it
}

func TestFailuresWait(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	id := w.set(deployment("d", "x:1", "old"))
	w.push("x:1", "sha256:aa")
	broken := errors.New("broken")
	for _, wait := range []time.Duration{1, 2, 4} {
		round := w.planner.Plan(w.now)
		if len(round.Updates) != 1 {
			t.Fatalf("round %+v", round)
		}
		w.planner.Done(id, nil, broken)
		round = w.planner.Plan(w.now)
		if len(round.Waiting) != 1 || round.Waiting[0].Err != broken {
			t.Errorf("waiting %+v, want why it failed", round.Waiting)
		}
		if len(round.Updates) > 0 || why(round, id) != lookup.WhyFailed || round.Next.Sub(w.now) != wait*time.Second {
			t.Fatalf("after a failure: %+v", round)
		}
		w.now = round.Next
	}
	round := w.planner.Plan(w.now)
	if len(round.Updates) != 1 {
		t.Fatalf("round %+v", round)
	}
	if round := w.planner.Plan(w.now); why(round, id) != lookup.WhyBusy {
		t.Fatalf("while it is being written: %+v", round)
	}
	w.planner.Done(id, nil, nil)
	w.push("x:1", "sha256:bb")
	w.planner.Plan(w.now)
	w.planner.Done(id, nil, errors.New("broken"))
	if round := w.planner.Plan(w.now); round.Next.Sub(w.now) != time.Second {
		t.Errorf("the first failure after a success: %+v", round)
	}
}

// TestPlaceUntilTheObjectIsSeen: who tells only that an update was written has not seen yet how it rolls out.
func TestPlaceUntilTheObjectIsSeen(t *testing.T) {
	w := newWorld(t, trigger.Options{AtOnce: 1})
	at := func(name string, generation, observed float64, image string) map[string]any {
		o := deployment(name, "x:1", image)
		o["metadata"].(map[string]any)["generation"] = generation
		o["status"] = map[string]any{
			"observedGeneration": observed, "replicas": 1.0, "updatedReplicas": 1.0, "availableReplicas": 1.0,
		}
		return o
	}
	first, second := w.set(at("d1", 1, 1, "old")), w.set(at("d2", 1, 1, "old"))
	w.push("x:1", "sha256:aa")
	if round := w.planner.Plan(w.now); len(round.Updates) != 1 || round.Updates[0].ID != first {
		t.Fatalf("round %+v", round)
	}
	w.planner.Done(first, nil, nil)
	if round := w.planner.Plan(w.now); why(round, second) != lookup.WhyBudget {
		t.Errorf("before it is seen: %+v", round)
	}
	w.set(at("d1", 2, 1, ref("x", "sha256:aa")))
	if round := w.planner.Plan(w.now); len(round.Updates) > 0 {
		t.Errorf("while it rolls out: %+v", round)
	}
	w.set(at("d1", 2, 2, ref("x", "sha256:aa")))
	if round := w.planner.Plan(w.now); len(round.Updates) != 1 || round.Updates[0].ID != second {
		t.Errorf("when it has rolled out: %+v", round)
	}
}

// TestConflictWaitsForTheObject: until the object is set as it is now, the same update would conflict again.
func TestConflictWaitsForTheObject(t *testing.T) {
	w := newWorld(t, trigger.Options{})
	id := w.set(deployment("d", "x:1", "old"))
	w.push("x:1", "sha256:aa")
	for _, wait := range []time.Duration{1, 2} {
		if round := w.planner.Plan(w.now); len(round.Updates) != 1 {
			t.Fatalf("round %+v", round)
		}
		w.planner.Done(id, nil, fmt.Errorf("update: %w", imagestream.ErrConflict))
		round := w.planner.Plan(w.now)
		if len(round.Updates) > 0 || why(round, id) != lookup.WhyFailed || round.Next.Sub(w.now) != wait*time.Second {
			t.Fatalf("after a conflict: %+v", round)
		}
		w.now = round.Next // nobody could read the object
	}
	if round := w.planner.Plan(w.now); len(round.Updates) != 1 {
		t.Fatalf("round %+v", round)
	}
	w.planner.Done(id, nil, imagestream.ErrConflict)
	w.set(deployment("d", "x:1", "older"))
	w.settle()
	w.expect("d") // at once
}
