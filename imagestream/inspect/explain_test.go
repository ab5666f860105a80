package inspect_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/internal/vectors"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleExplain() {
	s := stream()
	s.Spec.Tags[0].ImportPolicy.Scheduled = true
	fmt.Print(strings.ReplaceAll(inspect.Explain(s, "v1").String(), strings.Repeat("0", 60), ""))

	e := inspect.Explain(s, "v2")
	fmt.Println(e.Points, e.Causes[0].Code)
	// Output:
	// v1 points at quay.io/org/app@sha256:0002, since 2026-01-02T05:04:05Z.
	//   The source of v1 is quay.io/org/app:v1, imported again and again.
	//   Before, it pointed at quay.io/org/app@sha256:0001, since 2026-01-02T04:04:05Z.
	//   It would change with the next scheduled import of v1, if quay.io/org/app:v1 has moved.
	//   or with another source for v1, or a roll-back.
	//   or with an image that is pushed to it.
	// false NoTag
}

// A roll-back sticks, though its source moves and is imported again ten times.
func ExampleExplain_rollback() {
	ctx, registry := context.Background(), &fakes.Registry{}
	streams := client.New(&fakes.Store{}, registry)
	streams.API.(*rest.Server).Engine.Now = clock()
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	push := func(layer string) {
		registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: layer}, "v1") })
		streams.Import(ctx, app)
	}
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{Scheduled: true})
	push("good")
	push("bad")
	streams.Rollback(ctx, app, "v1", edit.Target{})
	for n := range 10 {
		push(fmt.Sprint("bad again ", n))
	}
	s, err := streams.Get(ctx, app)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, c := range inspect.Explain(s, "v1").Causes {
		fmt.Printf("%s: %.72s\n", c.Code, c.Text)
	}
	// Output:
	// FromImage: The source of v1 is one image of a stream, app@sha256:f6b3e3ad9f8e5fa636
	// CameBack: It came back: it pointed at this image before, 2 events ago, since 2026-
	// MovedFrom: Before, it pointed at quay.io/org/app@sha256:3c0fb2cfe661e313dffef0480eb
}

func explained(t interface {
	Helper()
	Fatalf(string, ...any)
}, s *imagestream.ImageStream, tag string) {
	t.Helper()
	e := inspect.Explain(s, tag)
	text := e.String()
	reasons := len(e.Causes) + len(e.Changes)
	if lines := strings.Count(text, "\n"); lines > 12 || lines != 1+reasons || reasons < 2 {
		t.Fatalf("%s of %s is explained in %d lines:\n%s", tag, s.Key(), lines, text)
	}
	got := map[inspect.CauseCode]string{}
	for _, c := range e.Causes {
		got[c.Code] = c.Tag
	}
	if diff := gocmp.Diff(naiveCauses(s, cmp.Or(tag, "latest")), got); diff != "" || len(got) != len(e.Causes) {
		t.Fatalf("causes of %s of %s (-naive +got):\n%s\n%s", tag, s.Key(), diff, text)
	}
	if again := inspect.Explain(s, tag).String(); again != text {
		t.Fatalf("another text the second time:\n%s\n%s", text, again)
	}
}

// naiveCauses works the causes of a tag out from the JSON of the stream, each by itself, with the tag whose
// cause it is.
func naiveCauses(s *imagestream.ImageStream, tag string) map[inspect.CauseCode]string {
	specs := map[string]imagestream.TagReference{}
	items, conditions := map[string][]tagevent.Event{}, map[string][]tagevent.Condition{}
	for _, t := range s.Spec.Tags {
		specs[t.Name] = t
	}
	inStatus := map[string]bool{}
	for _, h := range s.Status.Tags {
		inStatus[h.Tag], items[h.Tag], conditions[h.Tag] = true, h.Items, h.Conditions
	}
	follows := func(name string) (string, bool) {
		f := specs[name].From
		if f == nil || f.Kind != "ImageStreamTag" || f.Namespace != "" && f.Namespace != s.Metadata.Namespace {
			return "", false
		}
		stream, followed, ok := strings.Cut(f.Name, ":")
		switch {
		case !ok:
			return f.Name, true
		case stream != s.Metadata.Name:
			return "", false
		}
		return cmp.Or(followed, "latest"), true
	}
	causes := map[inspect.CauseCode]string{}
	if _, ok := specs[tag]; !ok && !inStatus[tag] {
		causes[inspect.NoTag] = tag
		return causes
	}
	var newest tagevent.Event
	if len(items[tag]) > 0 {
		newest = items[tag][0]
	}
	var pins map[string]struct{ Held *struct{} }
	if text, ok := s.Metadata.Annotations["imagestreams.github.io/pins"]; ok {
		if _, err := s.Pins(); err != nil {
			causes[inspect.PinsUnreadable] = tag
		} else if err := json.Unmarshal([]byte(text), &pins); err == nil {
			if p, ok := pins[tag]; ok {
				causes[inspect.Pinned] = tag
				if p.Held != nil {
					causes[inspect.HeldBack] = tag
				}
			}
		}
	}
	// Along the tags that it follows.
	end, seen, ends := tag, map[string]bool{}, true
	for {
		next, ok := follows(end)
		if !ok {
			break
		}
		causes[inspect.Follows] = tag
		seen[end] = true
		if _, there := specs[next]; !there || seen[next] {
			ends = false
			break
		}
		end = next
	}
	if next, ok := follows(tag); ok && len(items[next]) > 0 {
		e := items[next][0]
		if e.Image != newest.Image || e.DockerImageReference != newest.DockerImageReference {
			causes[inspect.Apart] = tag
		}
	}
	if ends {
		naiveSource(causes, end, specs, items, conditions)
	}
	if len(items[tag]) > 1 {
		older := items[tag][1:]
		if newest.Image != "" && slices.ContainsFunc(older, func(e tagevent.Event) bool { return e.Image == newest.Image }) {
			causes[inspect.CameBack] = tag
		}
		if older[0].Image != newest.Image || older[0].DockerImageReference != newest.DockerImageReference {
			causes[inspect.MovedFrom] = tag
		}
	}
	return causes
}

func naiveSource(causes map[inspect.CauseCode]string, end string, specs map[string]imagestream.TagReference,
	items map[string][]tagevent.Event, conditions map[string][]tagevent.Condition,
) {
	t := specs[end]
	imported := t.From != nil && t.From.Kind == "DockerImage" && !t.Reference
	switch {
	case t.From == nil:
		causes[inspect.NoSource] = end
	case t.From.Kind == "DockerImage" && t.Reference:
		causes[inspect.IsReference] = end
	case imported && strings.Contains(t.From.Name, "@") && pullspec.IsValid(t.From.Name):
		causes[inspect.FromDigest] = end
	case imported:
		causes[inspect.FromRegistry] = end
	case t.From.Kind == "ImageStreamImage":
		causes[inspect.FromImage] = end
	case t.From.Kind == "ImageStreamTag":
		causes[inspect.FromElsewhere] = end
	default:
		causes[inspect.OtherSource] = end
	}
	var asked, observed int64
	if t.Generation != nil {
		asked = *t.Generation
	}
	if len(items[end]) > 0 {
		observed = items[end][0].Generation
	}
	failed := false
	for _, c := range conditions[end] {
		if c.Type == "ImportSuccess" {
			observed, failed = max(observed, c.Generation), c.Status == "False"
			break
		}
	}
	switch {
	case imported && asked > observed, imported && !failed && len(items[end]) == 0:
		causes[inspect.Waiting] = end
	case failed:
		causes[inspect.ImportFailed] = end
	}
}

func TestExplainNamesWhatIsThere(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawExplained(t)
		before := s.Clone()
		for _, tag := range []string{"", "a", "b", "c", "d"} {
			explained(t, s, tag)
		}
		if diff := gocmp.Diff(before, s); diff != "" {
			t.Fatalf("the argument changed (-before +after):\n%s", diff)
		}
	})
}

// drawExplained draws tags of every kind that follow each other, with histories, conditions and pins.
func drawExplained(t *rapid.T) *imagestream.ImageStream {
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	for _, name := range []string{"a", "b", "c", "latest"} {
		h := tagevent.History{Tag: name}
		for range rapid.IntRange(0, 3).Draw(t, "events") {
			h.Items = append(h.Items, event(rapid.IntRange(0, 2).Draw(t, "event")))
		}
		if rapid.Bool().Draw(t, "condition") {
			h.Conditions = []tagevent.Condition{{
				Type:   tagevent.ImportSuccess,
				Status: rapid.SampledFrom([]tagevent.ConditionStatus{"True", "False"}).Draw(t, "status"),
				Reason: "Unauthorized", Message: "you may not\npull", Generation: int64(rapid.IntRange(0, 3).Draw(t, "generation")),
			}}
		}
		if rapid.IntRange(0, 3).Draw(t, "status") > 0 {
			s.Status.Tags = append(s.Status.Tags, h)
		}
		if rapid.IntRange(0, 5).Draw(t, "spec") == 0 {
			continue
		}
		tag := imagestream.TagReference{Name: name, Reference: rapid.IntRange(0, 5).Draw(t, "reference") == 0}
		if g := rapid.Int64Range(0, 3).Draw(t, "generation"); g > 0 {
			tag.Generation = &g
		}
		tag.ImportPolicy.Scheduled = rapid.Bool().Draw(t, "scheduled")
		tag.From = rapid.SampledFrom([]*imagestream.ObjectReference{
			nil, {Kind: "DockerImage", Name: "quay.io/org/app:v1"}, {Kind: "DockerImage", Name: event(1).DockerImageReference},
			{Kind: "ImageStreamImage", Name: "app@" + event(1).Image}, {Kind: "ImageStreamTag", Name: "other:v1"},
			{Kind: "ImageStreamTag", Name: "a"}, {Kind: "ImageStreamTag", Name: "app:b"}, {Kind: "ImageStreamTag", Name: "app:"},
			{Kind: "ImageStreamTag", Name: "app:c", Namespace: "shop"}, {Kind: "ImageStreamTag", Name: "a", Namespace: "base"},
			{Kind: "ImageStreamTag", Name: "missing"}, {Kind: "Magic", Name: "a"},
		}).Draw(t, "from")
		s.Spec.Tags = append(s.Spec.Tags, tag)
	}
	switch rapid.IntRange(0, 5).Draw(t, "pin") {
	case 0:
		s.Metadata.Annotations = map[string]string{imagestream.PinsAnnotation: "{"}
	case 1, 2:
		s, _ = s.Pin("a", event(rapid.IntRange(0, 2).Draw(t, "pinned")), "v2 loses\norders", now)
	}
	return s
}

// TestExplainVectors explains every tag of every stream that is described in the conformance vectors.
func TestExplainVectors(t *testing.T) {
	streams := 0
	for c, err := range vectors.All(os.DirFS("../../internal/vectors/check/testdata")) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Op != "describe.imagestream" {
			continue
		}
		var in struct{ Object *imagestream.ImageStream }
		if err := json.Unmarshal(c.In, &in); err != nil {
			t.Fatalf("%s: %v", c.ID, err)
		}
		streams++
		explainAll(t, in.Object)
	}
	if streams < 100 {
		t.Errorf("%d streams", streams)
	}
}

func explainAll(t *testing.T, s *imagestream.ImageStream) (tags int) {
	t.Helper()
	names := map[string]bool{}
	for _, tag := range s.Spec.Tags {
		names[tag.Name] = true
	}
	for _, h := range s.Status.Tags {
		names[h.Tag] = true
	}
	for name := range maps.Keys(names) {
		if name != "" {
			explained(t, s, name)
		}
	}
	return len(names)
}

// TestExplainRealStreams imports the real image streams beside the checkout on fakes, and explains every tag.
func TestExplainRealStreams(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/imagestreams/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("the folder of real image streams is not there")
	}
	tags := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s := new(imagestream.ImageStream)
		if err := json.Unmarshal(text, s); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		s.Metadata.Namespace = "shop"
		tags += explainAll(t, importAll(t, s))
	}
	if tags < 600 {
		t.Errorf("%d tags", tags)
	}
	t.Logf("%d tags of %d streams", tags, len(files))
}

// importAll stores a stream and imports its tags from registries that have an image for each second one.
func importAll(t *testing.T, s *imagestream.ImageStream) *imagestream.ImageStream {
	t.Helper()
	registry, store := &fakes.Registry{}, &fakes.Store{}
	for n, tag := range s.Spec.Tags {
		if tag.From == nil || tag.From.Kind != imagestream.KindDockerImage || n%2 == 1 {
			continue
		}
		r, err := pullspec.Parse(tag.From.Name)
		if err != nil {
			t.Fatal(err)
		}
		r = r.AsV2().DockerClientDefaults()
		registry.Edit(r.Registry, func(c fakes.Contents) { c.Push(r.RepositoryName(), fakes.Image{Layer: tag.Name}, r.Tag) })
	}
	streams := client.New(store, registry)
	streams.API.(*rest.Server).Engine.Now = clock()
	ctx := t.Context()
	stored, err := streams.Create(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	streams.Import(ctx, stored.Key()) // half of the tags fail, as they should
	if stored, err = streams.Get(ctx, stored.Key()); err != nil {
		t.Fatal(err)
	}
	return stored
}

// clock returns a clock that goes on by a second each time it is read.
func clock() func() time.Time {
	at := now
	return func() time.Time {
		at = at.Add(time.Second)
		return at
	}
}
