package prune_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/tagevent"
)

var (
	now   = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old   = tagevent.TimeOf(now.Add(-1000 * time.Hour))
	young = tagevent.TimeOf(now.Add(-time.Minute))
)

// digest returns a digest that a number stands for.
func digest(kind string, n int) string {
	return "sha256:" + strings.Repeat(fmt.Sprintf("%s%d", kind, n), 32)
}

// content is what an image really consists of, whatever its object says.
type content struct {
	blobs []string
	parts []string
}

// world is a cluster with its registry. Objects in it are never changed, only replaced.
type world struct {
	streams map[imagestream.Key]*imagestream.ImageStream
	images  map[string]*imagestream.Image
	// links are the layers, configurations and manifests of each repository.
	links map[imagestream.Key]map[string]bool
	blobs map[string]bool

	contents  map[string]content
	workloads []map[string]any

	version int
	// fault is called before and after each step; an error after it is told although the step was done.
	fault func(step int, done bool) error
	steps int
	// beforeRead is called before streams are read; reads counts that.
	beforeRead func(read int)
	reads      int
}

func (w *world) clone() *world {
	c := *w
	c.streams, c.images, c.blobs = maps.Clone(w.streams), maps.Clone(w.images), maps.Clone(w.blobs)
	c.links = map[imagestream.Key]map[string]bool{}
	for key, links := range w.links {
		c.links[key] = maps.Clone(links)
	}
	c.contents = maps.Clone(w.contents)
	c.steps, c.fault, c.reads, c.beforeRead = 0, nil, 0, nil
	return &c
}

func (w *world) read() {
	if w.beforeRead != nil {
		w.beforeRead(w.reads)
	}
	w.reads++
}

func (w *world) input() prune.Input {
	in := prune.Input{Now: now, Workloads: w.workloads}
	for _, key := range slices.SortedFunc(maps.Keys(w.streams), imagestream.Key.Compare) {
		in.Streams = append(in.Streams, *w.streams[key])
	}
	for _, name := range slices.Sorted(maps.Keys(w.images)) {
		in.Images = append(in.Images, *w.images[name])
	}
	return in
}

// do does a step, or fails.
func (w *world) do(step func() error) error {
	at := w.steps
	w.steps++
	if w.fault != nil {
		if err := w.fault(at, false); err != nil {
			return err
		}
	}
	if err := step(); err != nil {
		return err
	}
	if w.fault != nil {
		return w.fault(at, true)
	}
	return nil
}

func (w *world) UpdateStatus(_ context.Context, key imagestream.Key,
	change func(*imagestream.ImageStream) (*imagestream.ImageStream, error),
) (stored *imagestream.ImageStream, err error) {
	err = w.do(func() error {
		w.read()
		have, ok := w.streams[key]
		if !ok {
			return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "")
		}
		next, err := change(have)
		if err == nil && next != have {
			w.streams[key] = next
		}
		stored = next
		return err
	})
	return stored, err
}

func (w *world) ListImageStreams(context.Context, imagestream.ListOptions) (*imagestream.ImageStreamList, error) {
	list := &imagestream.ImageStreamList{}
	err := w.do(func() error {
		w.read()
		list.Items = w.input().Streams
		return nil
	})
	return list, err
}

func (w *world) checkVersion(name, version string) error {
	have, ok := w.images[name]
	switch {
	case !ok:
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImages, imagestream.Key{Name: name}, "")
	case version != "" && version != have.Metadata.ResourceVersion:
		return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImages, imagestream.Key{Name: name}, "")
	}
	return nil
}

func (w *world) GetImage(_ context.Context, name string) (stored *imagestream.Image, err error) {
	err = w.do(func() error {
		stored = w.images[name]
		return w.checkVersion(name, "")
	})
	return stored, err
}

func (w *world) UpdateImage(_ context.Context, image *imagestream.Image) (stored *imagestream.Image, err error) {
	err = w.do(func() error {
		if err := w.checkVersion(image.Metadata.Name, image.Metadata.ResourceVersion); err != nil {
			return err
		}
		w.version++
		c := *image
		c.Metadata.ResourceVersion = strconv.Itoa(w.version)
		stored = &c
		w.images[c.Metadata.Name] = stored
		return nil
	})
	return stored, err
}

func (w *world) DeleteImage(_ context.Context, name string, only imagestream.Preconditions) error {
	return w.do(func() error {
		if err := w.checkVersion(name, only.ResourceVersion); err != nil {
			return err
		}
		delete(w.images, name)
		return nil
	})
}

func (w *world) DeleteLayerLink(_ context.Context, key imagestream.Key, digest string) error {
	return w.do(func() error { delete(w.links[key], digest); return nil })
}

func (w *world) DeleteManifestLink(ctx context.Context, key imagestream.Key, digest string) error {
	return w.DeleteLayerLink(ctx, key, digest)
}

func (w *world) DeleteBlob(_ context.Context, digest string) error {
	return w.do(func() error { delete(w.blobs, digest); return nil })
}

// limitRange says how big images of the namespace x may be.
func limitRange(storage string) map[string]any {
	limit := map[string]any{"type": "openshift.io/Image", "max": map[string]any{"storage": storage}}
	return map[string]any{
		"apiVersion": "v1", "kind": "LimitRange", "metadata": map[string]any{"namespace": "x", "name": "l"},
		"spec": map[string]any{"limits": []any{limit}},
	}
}

var errInjected = errors.New("injected")

// What drawWorld draws from; small, so that things meet.
const (
	layers   = 4
	plain    = 5
	lists    = 3
	unknown  = 1 // images without an object
	tagNames = "ab"
)

var keys = []imagestream.Key{{Namespace: "x", Name: "s"}, {Namespace: "x", Name: "t"}, {Namespace: "y", Name: "s"}}

func chance(t *rapid.T, percent int, what string) bool {
	return rapid.IntRange(0, 99).Draw(t, what) >= 100-percent
}

func drawWorld(t *rapid.T) *world {
	w := &world{
		streams: map[imagestream.Key]*imagestream.ImageStream{}, images: map[string]*imagestream.Image{},
		links: map[imagestream.Key]map[string]bool{}, blobs: map[string]bool{}, contents: map[string]content{},
	}
	for n := range rapid.IntRange(1, plain).Draw(t, "images") {
		w.drawImage(t, n)
	}
	for n := range rapid.IntRange(0, lists).Draw(t, "lists") {
		w.drawList(t, n)
	}
	for _, key := range keys[:rapid.IntRange(1, len(keys)).Draw(t, "streams")] {
		w.drawStream(t, key)
	}
	for n := range rapid.IntRange(0, 2).Draw(t, "workloads") {
		w.drawWorkload(t, n)
	}
	for _, i := range w.images {
		for _, b := range w.contents[i.Metadata.Name].blobs {
			w.blobs[b] = true
		}
	}
	for key := range w.streams {
		w.links[key] = map[string]bool{}
		for name := range w.closure(w.inStream(key)) {
			if w.images[name] != nil {
				for _, b := range w.contents[name].blobs {
					w.links[key][b] = true
				}
			}
		}
	}
	return w
}

func (w *world) add(t *rapid.T, i *imagestream.Image, c content) {
	i.Metadata.CreationTimestamp = old
	if chance(t, 15, "young") {
		i.Metadata.CreationTimestamp = young
	}
	if chance(t, 60, "managed") {
		i.Metadata.Annotations = map[string]string{"openshift.io/image.managed": "true"}
	}
	w.version++
	i.Metadata.ResourceVersion = strconv.Itoa(w.version)
	c.blobs = append(c.blobs, i.Metadata.Name)
	w.contents[i.Metadata.Name] = c
	w.images[i.Metadata.Name] = i
}

// drawImage adds an image. Its configuration follows from its layers, as a real one's nearly does.
func (w *world) drawImage(t *rapid.T, n int) {
	i := &imagestream.Image{DockerImageManifestMediaType: manifest.MediaTypeOCIManifest}
	i.Metadata.Name = digest("a", n)
	var c content
	config := 0
	for range rapid.IntRange(1, 3).Draw(t, "layers") {
		l := rapid.IntRange(0, layers-1).Draw(t, "layer")
		config = config*(layers+1) + l + 1
		i.DockerImageLayers = append(i.DockerImageLayers, imagestream.ImageLayer{Name: digest("b", l), LayerSize: int64(l)})
		c.blobs = append(c.blobs, digest("b", l))
	}
	id := fmt.Sprintf("sha256:c%063d", config)
	i.DockerImageMetadata = imagestream.Raw(`{"Id":"` + id + `","Size":` + strconv.Itoa(n) + `}`)
	switch {
	case chance(t, 5, "no metadata"):
		i.DockerImageMetadata = nil
	case chance(t, 5, "bad metadata"):
		i.DockerImageMetadata = imagestream.Raw(`{"Id":1}`)
	}
	c.blobs = append(c.blobs, id)
	w.add(t, i, c)
}

func (w *world) drawList(t *rapid.T, n int) {
	i := &imagestream.Image{DockerImageManifestMediaType: manifest.MediaTypeOCIIndex}
	i.Metadata.Name = digest("d", n)
	var c content
	for range rapid.IntRange(1, 2).Draw(t, "parts") {
		part := digest("a", rapid.IntRange(0, plain).Draw(t, "part"))
		if n > 0 && chance(t, 50, "nested") {
			part = digest("d", rapid.IntRange(0, n-1).Draw(t, "part"))
		}
		i.DockerImageManifests = append(i.DockerImageManifests, imagestream.ImageManifest{Digest: part})
		c.parts = append(c.parts, part)
	}
	w.add(t, i, c)
}

// drawName draws the name of an image, which need not exist.
func (w *world) drawName(t *rapid.T) string {
	if n := rapid.IntRange(0, plain+lists+unknown).Draw(t, "image"); n >= plain+unknown {
		return digest("d", n-plain-unknown)
	} else {
		return digest("a", n)
	}
}

func (w *world) drawStream(t *rapid.T, key imagestream.Key) {
	s := &imagestream.ImageStream{}
	s.Metadata.Namespace, s.Metadata.Name = key.Namespace, key.Name
	s.Metadata.CreationTimestamp = old
	if chance(t, 5, "young stream") {
		s.Metadata.CreationTimestamp = young
	}
	for _, tag := range tagNames[:rapid.IntRange(1, len(tagNames)).Draw(t, "tags")] {
		h := tagevent.History{Tag: string(tag)}
		for range rapid.IntRange(0, 4).Draw(t, "events") {
			e := tagevent.Event{Created: old, Image: w.drawName(t), DockerImageReference: "r.io/org/app:v1"}
			if chance(t, 10, "young event") {
				e.Created = young
			}
			if chance(t, 3, "no image") {
				e.Image = ""
			}
			h.Items = append(h.Items, e)
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	from := func(kind, name string) {
		s.Spec.Tags = []imagestream.TagReference{{Name: "p", From: &imagestream.ObjectReference{Kind: kind, Name: name}}}
	}
	switch name := w.drawName(t); rapid.IntRange(0, 11).Draw(t, "spec") {
	case 0:
		from("DockerImage", "r.io/x/s@"+name)
	case 1:
		from("ImageStreamImage", "s@"+name)
	case 2:
		from("ImageStreamImage", "s@"+name[7:19])
	case 3:
		event := tagevent.Event{Image: name, DockerImageReference: "r.io/org/app:v1"}
		pinned, err := s.Pin("a", event, "", time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		s = pinned
	}
	w.streams[key] = s
}

func (w *world) drawWorkload(t *rapid.T, n int) {
	name := w.drawName(t)
	image := rapid.SampledFrom([]string{
		"r.io/x/s@" + name, "r.io/x/t@" + name, "r.io/deep/x/s@" + name, "app@" + name, "r.io/x/s:a", "r.io/y/s",
	}).Draw(t, "use")
	kind := rapid.SampledFrom([]string{"containers", "ephemeralContainers"}).Draw(t, "kind")
	w.workloads = append(w.workloads, map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": "z", "name": fmt.Sprint("p", n)},
		"spec":     map[string]any{kind: []any{map[string]any{"image": image}}},
		"status":   map[string]any{"phase": "Running"},
	})
}

// used returns the images that workloads, spec tags and pins use: in a stream, or anywhere if key is zero.
func (w *world) used(key imagestream.Key) (names []string) {
	use := func(where, id string) {
		if key != (imagestream.Key{}) && where != key.String() {
			return
		}
		for _, name := range slices.Sorted(maps.Keys(w.contents)) {
			if strings.HasPrefix(name, id) || strings.HasPrefix(name, "sha256:"+id) {
				names = append(names, name)
			}
		}
	}
	spec := func(text string) {
		if repository, id, ok := strings.Cut(text, "@"); ok {
			use(strings.TrimPrefix(repository, "r.io/"), id)
		}
	}
	for _, o := range w.workloads {
		if o["kind"] != "Pod" {
			continue
		}
		for _, list := range o["spec"].(map[string]any) {
			spec(list.([]any)[0].(map[string]any)["image"].(string))
		}
	}
	for _, s := range w.streams {
		for _, t := range s.Spec.Tags {
			if t.From.Kind == "DockerImage" {
				spec(t.From.Name)
			} else {
				spec(s.Metadata.Namespace + "/" + t.From.Name)
			}
		}
		pins, _ := s.Pins()
		for _, p := range pins {
			use(s.Key().String(), p.Event.Image)
			if p.Held != nil && p.Held.Image != "" {
				use(s.Key().String(), p.Held.Image)
			}
		}
	}
	return names
}

// inStream returns the images that a stream has in its histories, or that are used in it.
func (w *world) inStream(key imagestream.Key) []string {
	names := w.used(key)
	for _, h := range w.streams[key].Status.Tags {
		for _, e := range h.Items {
			names = append(names, e.Image)
		}
	}
	return names
}

func (w *world) closure(names []string) map[string]bool {
	all := map[string]bool{}
	for _, name := range names {
		if !all[name] {
			all[name] = true
			maps.Copy(all, w.closure(w.contents[name].parts))
		}
	}
	return all
}
