package prune_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/prune"
)

func drawOptions(t *rapid.T) prune.Options {
	o := prune.Options{
		Safe: true, KeepTagRevisions: rapid.IntRange(0, 3).Draw(t, "revisions"), ManagedOnly: chance(t, 20, "managed only"),
		OverSizeLimit: chance(t, 10, "over size limit"), KeepRegistry: chance(t, 5, "keep registry"),
	}
	if chance(t, 95, "threshold") {
		d := 100 * time.Hour
		o.KeepYoungerThan = &d
	}
	if chance(t, 5, "namespace") {
		o.Namespace = "x"
	}
	return o
}

func decide(t *rapid.T, w *world, opts prune.Options, room int) *prune.Plan {
	in := w.input()
	plan, err := prune.Decide(in, opts)
	if err != nil {
		t.Fatal(err)
	}
	return plan.SetMaxPending(room)
}

// keepAll are options by which nothing goes.
var keepAll = prune.Options{Safe: true, KeepTagRevisions: 100}

func TestSafeLaw(t *testing.T) { rapid.Check(t, safeLaw) }

func FuzzSafeLaw(f *testing.F) { f.Fuzz(rapid.MakeFuzz(safeLaw)) }

// safeLaw runs a plan on a cluster, whole and with a failure at each of its steps, and checks what is left, and
// what the next run makes of it.
func safeLaw(t *rapid.T) {
	w, opts, room := drawWorld(t), drawOptions(t), rapid.IntRange(1, 3).Draw(t, "room")
	if opts.OverSizeLimit {
		w.workloads = append(w.workloads, limitRange("2"))
	}
	kind := rapid.IntRange(0, 3).Draw(t, "first kind of failure")

	whole := w.clone()
	var steps []prune.Step
	trace := &prune.Trace{Step: func(s prune.Step, _ error) { steps = append(steps, s) }}
	plan := decide(t, whole, opts, room)
	result := plan.Run(t.Context(), whole, whole, trace)
	if err := result.Err(); err != nil {
		t.Fatalf("nothing fails, and the run does: %v", err)
	}
	if diff := cmp.Diff(slices.Collect(plan.Steps()), steps); diff != "" {
		t.Fatalf("the dry run is not the run (-dry +real):\n%s", diff)
	}
	holds(t, "whole", w, whole)
	clean(t, "whole", w, whole, opts)
	if again := slices.Collect(decide(t, whole, opts, room).Steps()); len(again) > 0 {
		t.Fatalf("the next run has something to do: %v", again)
	}

	for step := range whole.steps {
		broken := w.clone()
		kind := (kind + step) % 4
		ctx, cancel := context.WithCancel(t.Context())
		broken.fault = func(at int, done bool) error {
			if crashed := kind >= 2 && at > step; crashed || at == step && done == (kind%2 == 1) {
				if kind >= 2 {
					cancel()
				}
				return errInjected
			}
			return nil
		}
		decide(t, broken, opts, room).Run(ctx, broken, broken, nil)
		cancel()
		what := fmt.Sprintf("failure of kind %d at step %d", kind, step)
		holds(t, what, w, broken)

		broken.fault = nil
		next := keepAll
		if step%2 == 0 {
			next = opts
		}
		next.KeepRegistry, next.Namespace = opts.KeepRegistry, opts.Namespace
		if err := decide(t, broken, next, room).Run(t.Context(), broken, broken, nil).Err(); err != nil {
			t.Fatalf("%s: the next run fails: %v", what, err)
		}
		what += ", and the next run"
		holds(t, what, w, broken)
		clean(t, what, w, broken, next)
	}
}

// holds checks that nothing is gone that can be reached, and that nothing refers to what is gone.
func holds(t *rapid.T, what string, before, w *world) {
	wrong := func(format string, args ...any) { t.Helper(); t.Fatalf(what+": "+format, args...) }
	roots := w.used(imagestream.Key{})
	for key, s := range w.streams {
		names := w.inStream(key)
		roots = append(roots, names...)
		for name := range w.closure(names) {
			for _, b := range before.contents[name].blobs {
				if before.images[name] != nil && before.links[key][b] && !w.links[key][b] {
					wrong("repository %s has no link to %s of %s", key, b, name)
				}
			}
		}
		was := before.streams[key]
		for _, h := range was.Status.Tags {
			newest, _ := h.Latest()
			if now, ok := s.LatestEvent(h.Tag); ok && now != newest {
				wrong("tag %s of %s moved to %v", h.Tag, key, now)
			}
		}
	}
	for name := range w.closure(roots) {
		if before.images[name] != nil && w.images[name] == nil {
			wrong("image %s is gone, and in use", name)
		}
	}
	for name, i := range w.images {
		if i.Metadata.Annotations[prune.PruningAnnotation] != "" {
			continue
		}
		for _, b := range w.contents[name].blobs {
			if !w.blobs[b] {
				wrong("blob %s is gone, and image %s has it", b, name)
			}
		}
		for _, part := range w.contents[name].parts {
			if before.images[part] != nil && w.images[part] == nil {
				wrong("image %s is gone, and list %s has it", part, name)
			}
		}
	}
}

// clean checks that a run that ended well has left nothing that no run would remove.
func clean(t *rapid.T, what string, before, w *world, opts prune.Options) {
	wrong := func(format string, args ...any) { t.Helper(); t.Fatalf(what+": "+format, args...) }
	if opts.KeepRegistry {
		return
	}
	for key, links := range w.links {
		needed := map[string]bool{}
		for name := range w.closure(w.inStream(key)) {
			for _, b := range w.contents[name].blobs {
				needed[b] = true
			}
		}
		for b := range links {
			if !needed[b] {
				wrong("repository %s still has a link to %s", key, b)
			}
		}
		if list := w.streams[key].Metadata.Annotations[prune.PruningAnnotation]; list != "" {
			wrong("stream %s still waits for %s", key, list)
		}
	}
	needed := map[string]bool{}
	for name, i := range w.images {
		if i.Metadata.Annotations[prune.PruningAnnotation] != "" && opts.Namespace == "" {
			wrong("image %s is still marked", name)
		}
		for _, b := range w.contents[name].blobs {
			needed[b] = true
		}
	}
	for b := range w.blobs {
		if !needed[b] {
			wrong("blob %s is left behind", b)
		}
	}
}

// TestDryRunIsTheRun checks the same for the real system's rules.
func TestDryRunIsTheRun(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, opts := drawWorld(t), drawOptions(t)
		opts.Safe = false
		plan, err := prune.Decide(w.input(), opts)
		if err != nil {
			if !strings.Contains(err.Error(), "dockerImageMetadata of image") {
				t.Fatal(err)
			}
			return
		}
		var steps []prune.Step
		plan.Run(t.Context(), w, w, &prune.Trace{Step: func(s prune.Step, _ error) { steps = append(steps, s) }})
		if diff := cmp.Diff(slices.Collect(plan.Steps()), steps); diff != "" {
			t.Fatalf("the dry run is not the run (-dry +real):\n%s", diff)
		}
	})
}

// TestInputStays checks that a decision is the same twice, and that neither it nor a run changes the input.
func TestInputStays(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, opts := drawWorld(t), drawOptions(t)
		in, copied := w.input(), prune.Input{Now: now, Workloads: w.workloads}
		for i := range in.Streams {
			copied.Streams = append(copied.Streams, *in.Streams[i].Clone())
		}
		for i := range in.Images {
			copied.Images = append(copied.Images, *in.Images[i].Clone())
		}
		plan, err := prune.Decide(in, opts)
		if err != nil {
			t.Fatal(err)
		}
		first := fmt.Sprint(plan.Streams, slices.Collect(plan.Steps()))
		plan.Run(t.Context(), w, w, nil)
		if diff := cmp.Diff(copied, in); diff != "" {
			t.Fatalf("the input changed (-before +after):\n%s", diff)
		}
		again, err := prune.Decide(in, opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range plan.Images {
			a, b := plan.Images[i], again.Images[i]
			if a.Name != b.Name || a.Verdict != b.Verdict || !slices.Equal(a.Blobs, b.Blobs) {
				t.Fatalf("another verdict on %s: %v, %v", a.Name, a.Verdict, b.Verdict)
			}
		}
		if len(slices.Collect(again.Steps())) != len(slices.Collect(plan.Steps())) || !strings.HasPrefix(first, "[") {
			t.Fatal("other steps the second time")
		}
	})
}
