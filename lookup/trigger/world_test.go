package trigger_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// world is a cluster of objects and streams, with a planner that is told of all that happens.
type world struct {
	t       testing.TB
	planner *trigger.Planner
	now     time.Time
	objects map[trigger.ID]map[string]any
	streams map[imagestream.Key]*imagestream.ImageStream
	// wrote is called for each update after it was written.
	wrote func(u trigger.Update)
	log   []string
}

func newWorld(t testing.TB, opts trigger.Options) *world {
	return &world{
		t: t, planner: trigger.NewPlanner(opts), now: time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC),
		objects: map[trigger.ID]map[string]any{}, streams: map[imagestream.Key]*imagestream.ImageStream{},
	}
}

// set stores an object and tells the planner.
func (w *world) set(o map[string]any) trigger.ID {
	id := trigger.IDOf(o)
	w.objects[id] = o
	if err := w.planner.SetObject(o); err != nil {
		w.t.Logf("%v", err)
	}
	return id
}

// stream returns a stream, a new one if there is none.
func (w *world) stream(name string) *imagestream.ImageStream {
	key := imagestream.Key{Namespace: "shop", Name: name}
	if s := w.streams[key]; s != nil {
		return s
	}
	return &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}}
}

// push moves a tag "stream:tag", and those that follow it, to an image.
func (w *world) push(tag, image string) {
	name, tag, _ := strings.Cut(tag, ":")
	event := tagevent.Event{Created: tagevent.TimeOf(w.now), Image: image, DockerImageReference: ref(name, image)}
	s, _ := w.stream(name).Push(tag, event)
	s, _ = s.PushToTrackers(tag, event)
	w.put(s)
}

func (w *world) put(s *imagestream.ImageStream) {
	w.streams[s.Key()] = s
	w.planner.SetStream(s)
}

// ref is the pull spec of an image of a stream.
func ref(stream, image string) string { return "quay.io/shop/" + stream + "@" + image }

// round plans once and writes what is planned.
func (w *world) round() trigger.Round {
	round := w.planner.Plan(w.now)
	for _, u := range round.Updates {
		w.write(u)
	}
	return round
}

// write makes an update, which must change something.
func (w *world) write(u trigger.Update) {
	w.t.Helper()
	old := w.objects[u.ID]
	next := lookup.Apply(old, u.Changes)
	if u.Build != nil {
		entries, err := trigger.Instantiate(old, u.Build.From, u.Build.TriggeredByImage, imagestream.Env{Now: w.now, Streams: w.streams})
		if err != nil {
			w.t.Fatalf("%s: %v", u.ID, err)
		}
		text, _ := json.Marshal(map[string]any{"imageChangeTriggers": entries})
		next = maps.Clone(old)
		next["status"] = object(string(text))
	}
	if cmp.Equal(old, next) {
		w.t.Fatalf("%s got an update that changes nothing: %+v", u.ID, u)
	}
	w.objects[u.ID] = next
	w.log = append(w.log, u.ID.Name)
	w.planner.Done(u.ID, next, nil)
	if w.wrote != nil {
		w.wrote(u)
	}
}

// settle plans and writes until nothing is to be done, and returns the last round. More than a few rounds fail.
func (w *world) settle() trigger.Round {
	w.t.Helper()
	for range 5 {
		if round := w.round(); len(round.Updates) == 0 {
			return round
		}
	}
	w.t.Fatalf("it does not settle: %v", w.log)
	return trigger.Round{}
}

// expect compares the objects that were updated since the last call.
func (w *world) expect(names ...string) {
	w.t.Helper()
	if !slices.Equal(w.log, names) {
		w.t.Fatalf("updates of %v, want %v", w.log, names)
	}
	w.log = nil
}

// why returns the reason for which an object waits.
func why(round trigger.Round, id trigger.ID) lookup.Why {
	for _, w := range round.Waiting {
		if w.ID == id {
			return w.Why
		}
	}
	return ""
}

// image returns the image of the first container of a deployment.
func (w *world) image(id trigger.ID) string { return imagesOf(w.objects[id])["a"] }

// deployment makes a Deployment whose container a follows a tag.
func deployment(name, tag, image string) map[string]any {
	o := workload(false, map[string]string{"a": image}, []tie{{tag, "a", false}})
	o["metadata"].(map[string]any)["name"] = name
	return o
}

// buildConfig makes a BuildConfig from one tag to another.
func buildConfig(name, from, to string) map[string]any {
	return object(fmt.Sprintf(`{"apiVersion":"build.openshift.io/v1","kind":"BuildConfig","metadata":{"namespace":"shop","name":%q},"spec":{
		"triggers":[{"type":"ImageChange","imageChange":{}}],
		"strategy":{"sourceStrategy":{"from":{"kind":"ImageStreamTag","name":%q}}},
		"output":{"to":{"kind":"ImageStreamTag","name":%q}}}}`, name, from, to))
}

// pushOutputs makes every build push a new image to a tag.
func (w *world) pushOutputs(outputs map[string]string) {
	n := 0
	w.wrote = func(u trigger.Update) {
		if tag := outputs[u.ID.Name]; tag != "" {
			n++
			w.push(tag, fmt.Sprintf("sha256:b%d", n))
		}
	}
}
