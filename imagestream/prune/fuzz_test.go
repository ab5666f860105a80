package prune_test

import (
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/internal/vectors"
)

// FuzzDecide decides about any JSON, twice: the steps are the same, an image that stays goes in no step, and under
// Safe no tag moves.
func FuzzDecide(f *testing.F) {
	cases := 0
	for c, err := range vectors.All(os.DirFS("../../internal/vectors/check/testdata")) {
		if err != nil {
			f.Fatal(err)
		}
		if c.Op == "prune" && cases < 60 {
			cases++
			f.Add([]byte(c.In), 1, cases%2 == 0, cases%3 == 0)
		}
	}
	f.Fuzz(func(t *testing.T, text []byte, revisions int, safe, overSize bool) {
		var in struct {
			Streams    []imagestream.ImageStream
			Images     []imagestream.Image
			Pods       []map[string]any
			Builds     []map[string]any
			LimitRange []map[string]any `json:"limitRanges"`
		}
		if json.Unmarshal(text, &in) != nil {
			return
		}
		input := prune.Input{Now: now, Streams: in.Streams, Images: in.Images}
		for kind, objects := range map[string][]map[string]any{
			"Pod": in.Pods, "Build": in.Builds, "LimitRange": in.LimitRange,
		} {
			for _, o := range objects {
				if o != nil {
					o["apiVersion"], o["kind"] = "v1", kind
				}
				input.Workloads = append(input.Workloads, o)
			}
		}
		opts := prune.Options{
			KeepYoungerThan: &hour, KeepTagRevisions: revisions, Safe: safe, OverSizeLimit: overSize,
			IgnoreInvalidReferences: true,
		}
		plan, err := prune.Decide(input, opts)
		if err != nil {
			return
		}
		again, err := prune.Decide(input, opts)
		if err != nil {
			t.Fatalf("the second time: %v", err)
		}
		steps := slices.Collect(plan.Steps())
		if diff := cmp.Diff(steps, slices.Collect(again.Steps())); diff != "" {
			t.Fatalf("other steps the second time (-first +second):\n%s", diff)
		}
		stays := map[string]bool{}
		for _, i := range plan.Images {
			stays[i.Name] = !i.Remove
		}
		for _, s := range steps {
			if (s.Op == prune.DeleteImage || s.Op == prune.MarkImage) && stays[s.Digest] {
				t.Errorf("%s, which stays", s)
			}
		}
		for _, s := range plan.Streams {
			for at, e := range s.Events {
				if safe && at > 0 && e.Index > 0 && !e.Remove && s.Events[at-e.Index].Remove {
					t.Errorf("tag %s of %s moves", e.Tag, s.Stream)
				}
			}
		}
	})
}
