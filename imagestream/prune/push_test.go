package prune_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// push is an image that somebody pushes to a stream, or imports into it.
type push struct {
	key   imagestream.Key
	tag   string
	image *imagestream.Image
	content
}

// drawPush draws an image that is new, one that histories have without an object, or one that is there.
func drawPush(t *rapid.T, w *world) push {
	p := push{key: rapid.SampledFrom(keys).Draw(t, "pushed to"), tag: rapid.SampledFrom([]string{"a", "n"}).Draw(t, "tag")}
	names := append([]string{digest("e", 0)}, slices.Sorted(maps.Keys(w.images))...)
	if missing := digest("a", plain); !w.isKnownElsewhere(missing, p.key) {
		names = append(names, missing)
	}
	name := rapid.SampledFrom(names).Draw(t, "pushed")
	if have, ok := w.images[name]; ok {
		p.image, p.content = have, w.contents[name]
		return p
	}
	drawn := w.clone()
	if chance(t, 30, "push a list") {
		drawn.drawList(t, lists+1)
		p.image, p.content = take(drawn, digest("d", lists+1), names[0]) // no list is an image of itself
	} else {
		drawn.drawImage(t, plain+2)
		p.image, p.content = take(drawn, digest("a", plain+2), name)
	}
	p.image.Metadata.CreationTimestamp = young
	return p
}

// isKnownElsewhere tells whether any other stream than one has an image, or uses it, without an object. The image comes
// to life there when it is pushed to the one, and nobody can know its links before.
func (w *world) isKnownElsewhere(image string, than imagestream.Key) bool {
	drawn := w.clone()
	drawn.contents[image] = content{}
	for key := range drawn.streams {
		if key != than && drawn.closure(drawn.inStream(key))[image] {
			return true
		}
	}
	return false
}

// take returns an image of w by another name.
func take(w *world, from, name string) (*imagestream.Image, content) {
	i, c := w.images[from], w.contents[from]
	i.Metadata.Name = name
	c.blobs = append(slices.Clone(c.blobs[:len(c.blobs)-1]), name)
	return i, c
}

// push does what a registry does: it stores and links what is missing, and writes image and stream.
func (w *world) push(p push) {
	name := p.image.Metadata.Name
	w.contents[name] = p.content
	if w.images[name] == nil {
		w.images[name] = p.image
	}
	if w.streams[p.key] == nil {
		w.streams[p.key] = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
			Namespace: p.key.Namespace, Name: p.key.Name, CreationTimestamp: young,
		}}
		w.links[p.key] = map[string]bool{}
	}
	s := w.streams[p.key].Clone()
	event := tagevent.Event{Created: young, Image: name, DockerImageReference: "r.io/org/app:v2"}
	at := slices.IndexFunc(s.Status.Tags, func(h tagevent.History) bool { return h.Tag == p.tag })
	if at < 0 {
		at = len(s.Status.Tags)
		s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: p.tag})
	}
	s.Status.Tags[at].Items = slices.Insert(s.Status.Tags[at].Items, 0, event)
	w.streams[p.key] = s
	for part := range w.closure([]string{name}) {
		if w.images[part] == nil {
			continue
		}
		for _, b := range w.contents[part].blobs {
			w.blobs[b], w.links[p.key][b] = true, true
		}
	}
}

func TestPushLaw(t *testing.T) { rapid.Check(t, pushLaw) }

func FuzzPushLaw(f *testing.F) { f.Fuzz(rapid.MakeFuzz(pushLaw)) }

// pushLaw lets somebody push while a plan runs, before each of its reads, and checks what is left, and what the
// next run makes of it.
func pushLaw(t *rapid.T) {
	w, opts, room := drawWorld(t), drawOptions(t), rapid.IntRange(1, 3).Draw(t, "room")
	if opts.OverSizeLimit {
		w.workloads = append(w.workloads, limitRange("2"))
	}
	pushed := drawPush(t, w)
	whole := w.clone()
	decide(t, whole, opts, room).Run(t.Context(), whole, whole, nil)
	for read := range whole.reads {
		what := fmt.Sprintf("%s is pushed to %s:%s before read %d", pushed.image.Metadata.Name, pushed.key, pushed.tag, read)
		met := w.clone()
		plan := decide(t, met, opts, room)
		met.beforeRead = func(at int) {
			if at == read {
				met.push(pushed)
			}
		}
		if err := plan.Run(t.Context(), met, met, nil).Err(); err != nil {
			t.Fatalf("%s: the run fails: %v", what, err)
		}
		before := w.clone()
		before.push(pushed)
		holds(t, what, before, met)

		met.beforeRead = nil
		if err := decide(t, met, opts, room).Run(t.Context(), met, met, nil).Err(); err != nil {
			t.Fatalf("%s: the next run fails: %v", what, err)
		}
		what += ", and the next run"
		holds(t, what, before, met)
		clean(t, what, before, met, opts)
	}
}
