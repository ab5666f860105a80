package trigger_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// TestPlannerModel: whatever is missed, repeated, lost, refused or undone on the way, and whoever is restarted, every
// object ends at what its tags say, and no update changes nothing.
func TestPlannerModel(t *testing.T) { rapid.Check(t, plannerModel) }

func FuzzPlannerModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(plannerModel)) }

// model is a cluster, what a planner knows of it, and what each object should run in the end.
type model struct {
	*world
	t       *rapid.T
	opts    trigger.Options
	ties    map[trigger.ID][]tie
	config  map[trigger.ID]bool
	tags    map[string]string // to pull specs
	version int
	changes int
}

var modelNames = []string{"p", "q", "r"}

func plannerModel(t *rapid.T) {
	opts := trigger.Options{AtOnce: rapid.IntRange(0, 2).Draw(t, "at once"), Settle: time.Minute}
	m := &model{t: t, opts: opts, ties: map[trigger.ID][]tie{}, config: map[trigger.ID]bool{}, tags: map[string]string{}}
	m.world = newWorld(nil, opts)
	t.Repeat(map[string]func(*rapid.T){
		"move a tag": func(t *rapid.T) {
			tag := rapid.SampledFrom([]string{"x:1", "x:2", "y:1"}).Draw(t, "tag")
			image := rapid.SampledFrom([]string{"sha256:aa", "sha256:bb"}).Draw(t, "image")
			planner := m.planner
			if rapid.Bool().Draw(t, "missed") {
				m.planner = trigger.NewPlanner(opts)
			}
			m.push(tag, image)
			m.planner = planner
			m.tags[tag] = ref(tag[:1], image)
		},
		"change an object": func(t *rapid.T) {
			name := rapid.SampledFrom(modelNames).Draw(t, "name")
			ties, config := drawTies(t), rapid.Bool().Draw(t, "config")
			images := map[string]string{}
			for _, c := range []string{"a", "b", "c"} {
				images[c] = rapid.SampledFrom([]string{"old", ref("x", "sha256:aa")}).Draw(t, "image of "+c)
			}
			o := workload(config, images, ties)
			o["metadata"].(map[string]any)["name"] = name
			id := trigger.IDOf(o)
			m.ties[id], m.config[id] = ties, config
			m.store(o, rapid.Bool().Draw(t, "missed"))
		},
		"delete an object": func(t *rapid.T) {
			if id, ok := m.draw(t); ok {
				delete(m.objects, id)
				if !rapid.Bool().Draw(t, "missed") {
					m.planner.DeleteObject(id)
				}
			}
		},
		"see again": func(t *rapid.T) {
			if id, ok := m.draw(t); ok {
				_ = m.planner.SetObject(m.objects[id])
			}
			for _, s := range m.streams {
				m.planner.SetStream(s)
			}
		},
		"restart": func(t *rapid.T) { m.restart() },
		"plan": func(t *rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
			round := m.planner.Plan(m.now)
			if opts.AtOnce > 0 && len(round.Updates) > opts.AtOnce {
				t.Fatalf("%d updates at once, of %d", len(round.Updates), opts.AtOnce)
			}
			for _, u := range round.Updates {
				m.update(u, rapid.SampledFrom([]string{"", "", "failed", "lost"}).Draw(t, "outcome"))
			}
		},
	})
	m.finish()
}

func (m *model) draw(t *rapid.T) (trigger.ID, bool) {
	ids := slices.SortedFunc(maps.Keys(m.objects), trigger.ID.Compare)
	if len(ids) == 0 {
		return trigger.ID{}, false
	}
	return rapid.SampledFrom(ids).Draw(t, "object"), true
}

// store writes an object with a new version.
func (m *model) store(o map[string]any, missed bool) map[string]any {
	m.version++
	o = lookup.Apply(o, []lookup.Change{{Path: "/metadata/resourceVersion", To: fmt.Sprint(m.version)}})
	m.objects[trigger.IDOf(o)] = o
	if !missed {
		_ = m.planner.SetObject(o)
	}
	return o
}

func (m *model) restart() {
	m.planner = trigger.NewPlanner(m.opts)
	for _, o := range m.objects {
		_ = m.planner.SetObject(o)
	}
	for _, s := range m.streams {
		m.planner.SetStream(s)
	}
}

// update writes what was planned if the object is still the one that was planned for.
func (m *model) update(u trigger.Update, outcome string) {
	now, ok := m.objects[u.ID]
	switch version := func(o map[string]any) any { return o["metadata"].(map[string]any)["resourceVersion"] }; {
	case !ok:
		m.planner.Done(u.ID, nil, fmt.Errorf("gone"))
		m.planner.DeleteObject(u.ID)
	case version(now) != version(u.Object):
		m.planner.Done(u.ID, nil, imagestream.ErrConflict)
		_ = m.planner.SetObject(now)
	case outcome == "failed":
		m.planner.Done(u.ID, nil, errors.New("failed"))
	default:
		next := lookup.Apply(now, u.Changes)
		if cmp.Equal(now, next) {
			m.t.Fatalf("an update of %s that changes nothing: %+v", u.ID, u.Changes)
		}
		m.changes++
		next = m.store(next, true)
		if outcome == "lost" { // it was written, and the answer did not come
			m.planner.Done(u.ID, nil, errors.New("lost"))
			return
		}
		m.planner.Done(u.ID, next, nil)
	}
}

// finish brings the planner up to date, plans until nothing is left, and compares.
func (m *model) finish() {
	for _, name := range modelNames {
		for _, config := range []bool{false, true} {
			o := workload(config, nil, nil)
			o["metadata"].(map[string]any)["name"] = name
			if id := trigger.IDOf(o); m.objects[id] == nil {
				m.planner.DeleteObject(id)
			}
		}
	}
	for _, o := range m.objects {
		_ = m.planner.SetObject(o)
	}
	for _, s := range m.streams {
		m.planner.SetStream(s)
	}
	for range 200 {
		round := m.planner.Plan(m.now)
		for _, u := range round.Updates {
			m.update(u, "")
		}
		if len(round.Updates) == 0 {
			if round.Next.IsZero() {
				break
			}
			m.now = round.Next
		}
	}
	before := m.changes
	m.restart() // level-triggered: who comes new wants nothing either
	if round := m.planner.Plan(m.now); len(round.Updates) > 0 {
		m.t.Fatalf("after all, a new planner wants %+v (%d changes before)", round.Updates, before)
	}
	for id, o := range m.objects {
		want, got := m.expected(id, o), imagesOf(o)
		if diff := cmp.Diff(want, got); diff != "" {
			m.t.Fatalf("%s does not run what its tags say (-want +got):\n%s", id, diff)
		}
	}
}

// expected returns what the containers of an object should run: what their tags say, or what they have.
func (m *model) expected(id trigger.ID, o map[string]any) map[string]string {
	want := imagesOf(o)
	for _, tie := range m.ties[id] {
		if m.config[id] && !tie.paused && m.tags[tie.tag] == "" {
			return imagesOf(o) // a tag that never resolved stops all of a deployment configuration
		}
	}
	for _, tie := range m.ties[id] {
		if ref := m.tags[tie.tag]; ref != "" && !tie.paused {
			want[tie.container] = ref
		}
	}
	return want
}
