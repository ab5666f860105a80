package trigger_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// fleet makes n deployments, ten for each stream, and the streams.
func fleet(n int) (objects []map[string]any, streams []*imagestream.ImageStream) {
	for i := range n {
		o := deployment(fmt.Sprintf("d%05d", i), fmt.Sprintf("app-%04d:prod", i/10), "old")
		objects = append(objects, o)
	}
	for i := range n / 10 {
		s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: fmt.Sprintf("app-%04d", i)}}
		streams = append(streams, moved(s, "prod", 1))
	}
	return objects, streams
}

// moved returns a stream whose tag points at its nth image.
func moved(s *imagestream.ImageStream, tag string, n int) *imagestream.ImageStream {
	image := fmt.Sprintf("sha256:%064x", n)
	s, _ = s.Push(tag, tagevent.Event{Image: image, DockerImageReference: "quay.io/shop/" + s.Metadata.Name + "@" + image})
	return s
}

// settled returns a planner that knows a fleet and has nothing left to do.
func settled(objects []map[string]any, streams []*imagestream.ImageStream) *trigger.Planner {
	p := trigger.NewPlanner(trigger.Options{})
	for _, s := range streams {
		p.SetStream(s)
	}
	for _, o := range objects {
		_ = p.SetObject(o)
	}
	for {
		round := p.Plan(time.Unix(0, 0))
		if len(round.Updates) == 0 {
			return p
		}
		for _, u := range round.Updates {
			p.Done(u.ID, nil, nil)
		}
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1000, 10000} {
		objects, _ := fleet(n)
		b.Run(fmt.Sprintf("objects=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var index trigger.Index
				for _, o := range objects {
					_ = index.Set(o)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/object")
		})
	}
}

// BenchmarkPlan moves a hundred tags of a thousand streams, which ten objects each follow of ten thousand.
func BenchmarkPlan(b *testing.B) {
	objects, streams := fleet(10000)
	p := settled(objects, streams)
	b.ReportAllocs()
	for n := 2; b.Loop(); n++ {
		for i := range 100 {
			streams[i] = moved(streams[i], "prod", n)
			streams[i].Status.Tags[0].Items = streams[i].Status.Tags[0].Items[:1]
			p.SetStream(streams[i])
		}
		round := p.Plan(time.Unix(0, 0))
		if len(round.Updates) != 1000 {
			b.Fatalf("%d updates", len(round.Updates))
		}
		for _, u := range round.Updates {
			p.Done(u.ID, nil, nil)
		}
	}
}

// TestPlanningCostsOnlyFollowers: what a round allocates does not hang on how many objects follow other tags, and nothing is
// allocated for a tag that nothing follows.
func TestPlanningCostsOnlyFollowers(t *testing.T) {
	perRound := func(objects int) (followed, other float64) {
		fleet, streams := fleet(objects)
		p := settled(fleet, streams)
		n := 1
		followed = testing.AllocsPerRun(5, func() {
			n++
			p.SetStream(moved(streams[0], "prod", n))
			if round := p.Plan(time.Unix(0, 0)); len(round.Updates) != 10 {
				t.Fatalf("%d updates, want 10", len(round.Updates))
			} else {
				for _, u := range round.Updates {
					p.Done(u.ID, nil, nil)
				}
			}
		})
		s := moved(streams[1], "test", 1)
		p.SetStream(s)
		p.Plan(time.Unix(0, 0))
		other = testing.AllocsPerRun(5, func() {
			p.SetStream(s)
			if round := p.Plan(time.Unix(0, 0)); len(round.Updates)+len(round.Waiting) > 0 {
				t.Fatalf("a tag that nothing follows: %+v", round)
			}
		})
		return followed, other
	}
	few, none := perRound(100)
	many, noneOfMany := perRound(5000)
	if many > few*1.02 { // maps that grow now and then make one more
		t.Errorf("%v allocations among 5000 objects, %v among 100", many, few)
	}
	if none > 0 || noneOfMany > none {
		t.Errorf("a tag that nothing follows costs %v and %v allocations", none, noneOfMany)
	}
}

// TestIndexAllocations: an object costs its entry, its triggers and their texts.
func TestIndexAllocations(t *testing.T) {
	for _, n := range []int{1000, 4000} {
		objects, _ := fleet(n)
		allocs := testing.AllocsPerRun(3, func() {
			var index trigger.Index
			for _, o := range objects {
				_ = index.Set(o)
			}
		})
		if perObject := allocs / float64(n); perObject > 4 {
			t.Errorf("%d objects: %.1f allocations each", n, perObject)
		}
	}
}

// TestPlannerBuildsFromAllItKnows: streams that come before objects are looked at once.
func TestSecondRoundIsFree(t *testing.T) {
	objects, streams := fleet(1000)
	p := settled(objects, streams)
	if allocs := testing.AllocsPerRun(3, func() { p.Plan(time.Unix(0, 0)) }); allocs > 0 {
		t.Errorf("a round with nothing to do costs %v allocations", allocs)
	}
}
