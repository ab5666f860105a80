package imagestream_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Small alphabets, so that things collide.
var (
	tagNames  = []string{"a", "b", "c", "d"}
	pullSpecs = []string{
		"quay.io/org/app:v1", "quay.io/org/app@" + digestOf(1), "registry.local:5000/shop/app@" + digestOf(2), "bad.example.com/app", "app",
	}
	images = []string{digestOf(1), digestOf(2), "legacy", ""}
)

func digestOf(n int) string { return fmt.Sprintf("sha256:%064d", n) }

func drawEvent(t *rapid.T) tagevent.Event {
	return tagevent.Event{
		Created:              tagevent.Time(rapid.Int64Range(1, 5).Draw(t, "created")),
		DockerImageReference: rapid.SampledFrom(pullSpecs).Draw(t, "pull spec"),
		Image:                rapid.SampledFrom(images).Draw(t, "image"),
		Generation:           rapid.Int64Range(1, 4).Draw(t, "event generation"),
	}
}

func drawTag(t *rapid.T) imagestream.TagReference {
	tag := imagestream.TagReference{Name: rapid.SampledFrom(tagNames).Draw(t, "tag"), Reference: rapid.Bool().Draw(t, "reference")}
	name := rapid.SampledFrom(tagNames).Draw(t, "source")
	switch rapid.IntRange(0, 7).Draw(t, "kind") {
	case 0, 1:
		tag.From = &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: rapid.SampledFrom(pullSpecs).Draw(t, "from")}
		tag.ImportPolicy.Scheduled = rapid.Bool().Draw(t, "scheduled")
	case 2, 3:
		tag.From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: rapid.SampledFrom([]string{"", "app:"}).Draw(t, "prefix") + name}
	case 4:
		tag.From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "base:" + name, Namespace: rapid.SampledFrom([]string{"", "platform", "closed"}).Draw(t, "namespace")}
	case 5:
		tag.From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: "app@" + rapid.SampledFrom([]string{digestOf(1), "0", "legacy", "x"}).Draw(t, "id")}
	case 6:
		tag.From = &imagestream.ObjectReference{Kind: rapid.SampledFrom([]string{"", "Image"}).Draw(t, "odd kind"), Name: name}
	}
	if rapid.IntRange(0, 3).Draw(t, "with generation") == 0 {
		generation := rapid.Int64Range(0, 3).Draw(t, "generation")
		tag.Generation = &generation
	}
	return tag
}

// drawEnv is a world with other streams, of which those in the namespace "closed" may not be read.
func drawEnv(t *rapid.T, at time.Time) imagestream.Env {
	env := imagestream.Env{
		Now: at, Streams: map[imagestream.Key]*imagestream.ImageStream{},
		Readable: map[imagestream.Key]bool{{Namespace: "platform", Name: "base"}: true},
	}
	env.InternalRegistry = rapid.SampledFrom([]string{"", "registry.local:5000"}).Draw(t, "registry")
	if rapid.IntRange(0, 3).Draw(t, "restricted") == 0 {
		env.AllowedRegistries = []imagestream.RegistryLocation{{DomainName: "quay.io"}, {DomainName: "docker.io"}}
	}
	if rapid.IntRange(0, 3).Draw(t, "limited") == 0 {
		limit := rapid.Int64Range(1, 3).Draw(t, "limit")
		env.Limits = imagestream.Limits{Images: &limit, ImageTags: &limit}
	}
	for _, namespace := range []string{"shop", "platform", "closed"} {
		s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: namespace, Name: "base"}}
		s, _ = s.Push("a", tagevent.Event{Created: 1, DockerImageReference: "registry.local:5000/" + namespace + "/base@" + digestOf(1), Image: digestOf(1)})
		env.Streams[s.Key()] = s
	}
	return env
}

func only(env imagestream.Env, needs imagestream.Needs) imagestream.Env {
	full := env
	env.Streams, env.Readable = map[imagestream.Key]*imagestream.ImageStream{}, map[imagestream.Key]bool{}
	for _, key := range needs.Streams {
		if s := full.Streams[key]; s != nil {
			env.Streams[key] = s
		}
	}
	for _, key := range needs.Layers {
		env.Readable[key] = full.Readable[key]
	}
	return env
}

// machine is a stream that is written again and again, with what must hold of every write.
type machine struct {
	stream *imagestream.ImageStream
	now    time.Time
	chains bool
}

// write runs a transition from the stored stream to next, checks what must hold for any, and stores the result unless there
// are errors.
func (m *machine) write(t *rapid.T, next *imagestream.ImageStream,
	prepare func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList),
) bool {
	m.now = m.now.Add(time.Second)
	env := drawEnv(t, m.now)
	env.FollowChains = m.chains
	old := m.stream
	oldBefore, nextBefore := old.Clone(), next.Clone()
	got, errs := prepare(old, next, env)
	if diff := cmp.Diff(oldBefore, old) + cmp.Diff(nextBefore, next); diff != "" {
		t.Fatalf("an argument was changed:\n%s", diff)
	}
	again, errsAgain := prepare(old, next, only(env, old.UpdateNeeds(next)))
	if a, b := encoded(t, got, errs), encoded(t, again, errsAgain); a != b {
		t.Fatalf("with what was needed alone, the answer is another:\n%s\n%s", a, b)
	}
	if (got == nil) == (len(errs) == 0) {
		t.Fatalf("a stream %v with the errors %v", got, errs)
	}
	for _, e := range errs {
		if e.Field == "" || e.Detail == "" {
			t.Fatalf("an error says nothing: %#v", e)
		}
	}
	if len(errs) > 0 {
		return false
	}
	if got.Metadata.Generation < old.Metadata.Generation {
		t.Fatalf("the generation fell from %d to %d", old.Metadata.Generation, got.Metadata.Generation)
	}
	for _, tag := range got.Spec.Tags {
		if tag.Generation != nil && *tag.Generation > got.Metadata.Generation {
			t.Fatalf("the tag %s has generation %d, the stream %d", tag.Name, *tag.Generation, got.Metadata.Generation)
		}
	}
	same, errs := prepare(got, got, env)
	if len(errs) > 0 || !got.Same(same) {
		t.Fatalf("storing the result again changes it, %v (-first +second):\n%s", errs, cmp.Diff(got, same))
	}
	m.stream = got
	return true
}

func encoded(t *rapid.T, s *imagestream.ImageStream, errs imagestream.ErrorList) string {
	text, err := json.Marshal(struct {
		Stream *imagestream.ImageStream
		Errors imagestream.ErrorList
	}{s, errs})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// kept checks that what from has in its histories is still there in to: at most the newest event of a tag is another one.
func kept(t *rapid.T, from, to *imagestream.ImageStream) {
	for _, h := range from.Status.Tags {
		got, _ := to.History(h.Tag)
		if len(h.Items) == 0 {
			continue
		}
		if len(got.Items) < len(h.Items) || !slices.Equal(got.Items[len(got.Items)-len(h.Items)+1:], h.Items[1:]) {
			t.Fatalf("the history of %s lost events:\n%v\n%v", h.Tag, h.Items, got.Items)
		}
	}
}

// wantGenerations is a naive reading of vectors stream-0056 to stream-0065, on maps.
func wantGenerations(old, next, got *imagestream.ImageStream) (stream int64, tags map[string]int64) {
	before, after := map[string]imagestream.TagReference{}, map[string]imagestream.TagReference{}
	for _, tag := range old.WithDefaults().Spec.Tags {
		before[tag.Name] = tag
	}
	for _, tag := range next.WithDefaults().Spec.Tags {
		if was, ok := before[tag.Name]; ok && (tag.Generation == nil || *tag.Generation != 0) {
			tag.Generation = was.Generation
		}
		after[tag.Name] = tag
	}
	stream = old.Metadata.Generation
	if !cmp.Equal(before, after) || old.Spec.LookupPolicy != next.Spec.LookupPolicy || old.Spec.DockerImageRepository != next.Spec.DockerImageRepository {
		stream++
	}
	tags = map[string]int64{}
	for name, tag := range after {
		was, existed := before[name]
		if !existed || was.Changed(tag, got.Metadata.Namespace) || tag.Generation == nil || *tag.Generation == 0 {
			tags[name] = stream
		} else {
			tags[name] = *tag.Generation
		}
	}
	return stream, tags
}

func checkGenerations(t *rapid.T, old, next, got *imagestream.ImageStream) {
	stream, tags := wantGenerations(old, next, got)
	have := map[string]int64{}
	for _, tag := range got.Spec.Tags {
		have[tag.Name] = *tag.Generation
	}
	if got.Metadata.Generation != stream || !cmp.Equal(tags, have) {
		t.Fatalf("generations %d, %v, want %d, %v", got.Metadata.Generation, have, stream, tags)
	}
}

func TestStreamMachine(t *testing.T) { rapid.Check(t, streamMachine) }

func FuzzStreamMachine(f *testing.F) { f.Fuzz(rapid.MakeFuzz(streamMachine)) }

func streamMachine(t *rapid.T) {
	m := &machine{now: now, chains: rapid.Bool().Draw(t, "chains")}
	created, errs := imagestream.PrepareCreate(app(), imagestream.Env{Now: now})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	m.stream = created
	drawChange := func(t *rapid.T) *imagestream.ImageStream {
		next := m.stream.Clone()
		for range rapid.IntRange(1, 3).Draw(t, "changes") {
			tag := drawTag(t)
			i := slices.IndexFunc(next.Spec.Tags, func(have imagestream.TagReference) bool { return have.Name == tag.Name })
			switch {
			case i < 0:
				next.Spec.Tags = append(next.Spec.Tags, tag)
			case rapid.IntRange(0, 3).Draw(t, "remove") == 0:
				next.Spec.Tags = slices.Delete(next.Spec.Tags, i, i+1)
			default:
				next.Spec.Tags[i] = tag
			}
		}
		next.Spec.LookupPolicy.Local = rapid.Bool().Draw(t, "local")
		return next
	}
	t.Repeat(map[string]func(*rapid.T){
		"user": func(t *rapid.T) {
			old, next := m.stream, drawChange(t)
			if m.write(t, next, imagestream.PrepareUpdate) {
				checkGenerations(t, old, next, m.stream)
				kept(t, old, m.stream)
			}
		},
		"importer": func(t *rapid.T) {
			old, next := m.stream, drawChange(t)
			for range rapid.IntRange(0, 2).Draw(t, "pushes") {
				next, _ = next.Push(rapid.SampledFrom(tagNames).Draw(t, "pushed"), drawEvent(t))
			}
			if m.write(t, next, imagestream.PrepareUpdateInternal) {
				checkGenerations(t, old, next, m.stream)
				kept(t, next, m.stream)
			}
		},
		"push": func(t *rapid.T) {
			event := drawEvent(t)
			event.Generation = 0
			next, changed := m.stream.Push(rapid.SampledFrom(tagNames).Draw(t, "pushed"), event)
			old := m.stream
			if m.write(t, next, imagestream.PrepareStatusUpdate) {
				kept(t, next, m.stream)
				if !changed && !old.WithDefaults().Same(m.stream) {
					t.Fatalf("a push that changes nothing gave (-before +after):\n%s", cmp.Diff(old, m.stream))
				}
			}
		},
		"delete": func(t *rapid.T) {
			tag := rapid.SampledFrom(tagNames).Draw(t, "deleted")
			next := m.stream.Clone()
			next.Spec.Tags = slices.DeleteFunc(next.Spec.Tags, func(have imagestream.TagReference) bool { return have.Name == tag })
			next.Status.Tags = slices.DeleteFunc(next.Status.Tags, func(h tagevent.History) bool { return h.Tag == tag })
			if m.write(t, next, imagestream.PrepareUpdateInternal) {
				kept(t, next, m.stream)
			}
		},
	})
}

// TestChainsAreFollowed checks the laws of Env.FollowChains: every follower is reached, the order of tags and the batching of changes do not
// matter, and an update of nothing changes nothing.
func TestChainsAreFollowed(t *testing.T) { rapid.Check(t, chainLaws) }

func FuzzChainLaws(f *testing.F) { f.Fuzz(rapid.MakeFuzz(chainLaws)) }

func chainLaws(t *rapid.T) {
	env := imagestream.Env{Now: now, Settings: imagestream.Settings{FollowChains: true}}
	// Some tags are pushed to, the others each follow one tag: trees, and circles.
	names := []string{"a", "b", "c", "d", "e", "f"}
	var tags []imagestream.TagReference
	source := map[string]string{}
	for _, name := range names {
		tag := imagestream.TagReference{Name: name}
		if rapid.IntRange(0, 3).Draw(t, "follows") > 0 {
			source[name] = rapid.SampledFrom(names).Draw(t, "source")
			tag = follows(name, source[name])
		}
		tags = append(tags, tag)
	}
	var events []tagevent.Event
	var roots []string
	for i, name := range names {
		if source[name] == "" && rapid.Bool().Draw(t, "pushed") {
			roots = append(roots, name)
			events = append(events, tagevent.Event{Created: 1, DockerImageReference: "quay.io/org/app@" + digestOf(i), Image: digestOf(i), Generation: 1})
		}
	}
	run := func(tags []imagestream.TagReference, batches [][]int) map[string]string {
		s, errs := imagestream.PrepareCreate(app(tags...), env)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, batch := range batches {
			next := s
			for _, i := range batch {
				next, _ = next.Push(roots[i], events[i])
			}
			if s, errs = imagestream.PrepareUpdateInternal(s, next, env); len(errs) > 0 {
				t.Fatal(errs)
			}
			if same, _ := imagestream.PrepareUpdateInternal(s, s, env); !s.Same(same) {
				t.Fatalf("an update of nothing changed (-before +after):\n%s", cmp.Diff(s, same))
			}
		}
		points := map[string]string{}
		for _, h := range s.Status.Tags {
			points[h.Tag] = h.Items[0].Image
		}
		return points
	}
	all := make([]int, len(roots))
	one := make([][]int, len(roots))
	for i := range roots {
		all[i], one[i] = i, []int{i}
	}
	together := run(tags, [][]int{all})
	if shuffled := run(rapid.Permutation(tags).Draw(t, "order"), [][]int{rapid.Permutation(all).Draw(t, "pushes")}); !cmp.Equal(together, shuffled) {
		t.Fatalf("in another order: %s", cmp.Diff(together, shuffled))
	}
	if apart := run(tags, rapid.Permutation(one).Draw(t, "batches")); !cmp.Equal(together, apart) {
		t.Fatalf("one push at a time: %s", cmp.Diff(together, apart))
	}
	for name, from := range source {
		if together[name] != together[from] {
			t.Fatalf("%s points at %q, %s that it follows at %q", name, together[name], from, together[from])
		}
	}
}

func TestChainsOnUserUpdates(t *testing.T) {
	env := imagestream.Env{Now: now}
	s, errs := imagestream.PrepareCreate(app(docker("z", "quay.io/org/app:v1"), follows("a", "m"), follows("m", "z")), env)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	next := s.Clone()
	for i := range next.Spec.Tags {
		if next.Spec.Tags[i].Name == "z" {
			next.Spec.Tags[i].Reference = true
		}
	}
	plain, _ := imagestream.PrepareUpdate(s, next, env)
	env.FollowChains = true
	followed, _ := imagestream.PrepareUpdate(s, next, env)
	if len(plain.Status.Tags) != 1 || len(followed.Status.Tags) != 3 {
		t.Errorf("the event of z is at %d tags, and at %d if chains are followed; want 1 and 3", len(plain.Status.Tags), len(followed.Status.Tags))
	}
}

func TestCopiedEventsKeepTheirGeneration(t *testing.T) {
	for _, chains := range []bool{false, true} {
		env := imagestream.Env{Now: now, Settings: imagestream.Settings{FollowChains: chains}}
		s, _ := imagestream.PrepareCreate(app(docker("a", "quay.io/org/app:v1")), env)
		s, _ = s.Push("a", tagevent.Event{DockerImageReference: "quay.io/org/app:v1", Image: digestOf(1), Generation: 1})
		next := s.Clone()
		next.Spec.Tags = append(next.Spec.Tags, follows("b", "a"))
		s, errs := imagestream.PrepareUpdate(s, next, env)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		a, _ := s.LatestEvent("a")
		b, _ := s.LatestEvent("b")
		if want := map[bool]int64{false: 2, true: 1}[chains]; a.Generation != want || b.Generation != 2 {
			t.Errorf("chains %v: generations %d and %d, want %d and 2", chains, a.Generation, b.Generation, want)
		}
	}
}
