package importer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// world is a store, a registry quay.io and an importer between them, with a clock that a test moves.
type world struct {
	store    fakes.Store
	registry fakes.Registry
	writer   write.Engine
	importer importer.Importer
	now      time.Time
}

func newWorld() *world {
	w := &world{now: start}
	w.writer = write.Engine{Store: &w.store, Now: func() time.Time { return w.now }}
	w.importer.Registry, w.importer.Engine = &w.registry, &w.writer
	return w
}

func (w *world) push(path string, images []fakes.Image, tags ...string) {
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		if len(images) == 1 {
			c.Push(path, images[0], tags...)
		} else {
			c.PushList(path, images, tags...)
		}
	})
}

// create makes the stream shop/app with these tags, each from quay.io/org/app.
func (w *world) create(t testing.TB, change func(*imagestream.TagReference), tags ...string) *imagestream.ImageStream {
	t.Helper()
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	for _, tag := range tags {
		ref := imagestream.TagReference{Name: tag,
			From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag}}
		if change != nil {
			change(&ref)
		}
		s.Spec.Tags = append(s.Spec.Tags, ref)
	}
	created, err := w.writer.Create(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return created
}

func scheduledOf(s *imagestream.ImageStream) importer.Need {
	need, _ := importer.ScheduledImport(s)
	return need
}

// importAll imports what a stream needs, and returns the answer and the questions that it took.
func (w *world) importAll(t testing.TB, need importer.Need) (*imagestream.ImageStreamImport, []string) {
	t.Helper()
	if need.Import == nil {
		t.Fatal("there is nothing to import")
	}
	done, err := w.importer.Import(context.Background(), need.Import)
	if err != nil {
		t.Fatal(err)
	}
	var asked []string
	for _, r := range w.registry.Requests() {
		if r.Operation != importer.OperationPing {
			asked = append(asked, string(r.Operation))
		}
	}
	slices.Sort(asked)
	return done, asked
}

func TestOnlyWhatChangedIsFetched(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}, {Architecture: "arm64", Layer: "arm"}}, "v1", "latest")
	w.push("org/app", []fakes.Image{{Layer: "two"}}, "v2")
	scheduled := func(t *imagestream.TagReference) { t.ImportPolicy.Scheduled = true }
	stream := w.create(t, scheduled, "v1", "v2", "latest")

	done, asked := w.importAll(t, importer.NeedsImport(stream))
	first := done.Status.Import
	if len(first.Status.Tags) != 3 || first.Metadata.Generation != 2 {
		t.Fatalf("imported %+v", first)
	}
	// Two tags on one list and one on an image: each is asked by HEAD, and what has a digest is read once.
	if want := strings.Fields("blob blob head head head manifest manifest manifest"); !slices.Equal(asked, want) {
		t.Errorf("the first import asked %v, want %v", asked, want)
	}

	w.now = w.now.Add(time.Hour)
	done, asked = w.importAll(t, scheduledOf(first))
	if diff := cmp.Diff(first, done.Status.Import); diff != "" {
		t.Errorf("an unchanged import wrote (-before +after):\n%s", diff)
	}
	if want := strings.Fields("head head head"); !slices.Equal(asked, want) {
		t.Errorf("the unchanged import asked %v, want %v", asked, want)
	}

	w.push("org/app", []fakes.Image{{Layer: "three"}}, "v2")
	done, asked = w.importAll(t, scheduledOf(first))
	moved, _ := done.Status.Import.History("v2")
	kept, _ := done.Status.Import.History("v1")
	if len(moved.Items) != 2 || len(kept.Items) != 1 || moved.Items[0].Created != tagevent.TimeOf(w.now) ||
		moved.Items[0].Generation != 3 {
		t.Errorf("after the move v2 has %+v, v1 %+v", moved, kept)
	}
	if want := strings.Fields("blob head head head manifest"); !slices.Equal(asked, want) {
		t.Errorf("the move asked %v, want %v", asked, want)
	}

	// Another process, to which the memo was carried over as JSON, asks no more than this one.
	text, err := json.Marshal(w.importer.Memo())
	if err != nil {
		t.Fatal(err)
	}
	var memo importer.Memo
	if err := json.Unmarshal(text, &memo); err != nil {
		t.Fatal(err)
	}
	other := importer.Importer{Registry: &w.registry, Engine: &w.writer}
	other.Remember(memo)
	need, _ := importer.ScheduledImport(done.Status.Import)
	imp := need.Import
	if _, err := other.Import(t.Context(), imp); err != nil {
		t.Fatal(err)
	}
	if asked := w.registry.Requests(); len(asked) != 4 {
		t.Errorf("with the memo %v were asked, want a ping and three heads", asked)
	}
}

func TestPlatformAndModes(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "amd"}, {Architecture: "arm64", Layer: "arm"}}, "legacy", "arm", "whole")
	stream := w.create(t, func(t *imagestream.TagReference) {
		switch t.Name {
		case "arm":
			t.Annotations = map[string]string{importer.PreferArchAnnotation: "arm64"}
		case "whole":
			t.ImportPolicy.ImportMode = imagestream.ImportModePreserveOriginal
		}
	}, "legacy", "arm", "whole")
	done, _ := w.importAll(t, importer.NeedsImport(stream))
	names := map[string]string{}
	for _, s := range done.Status.Images {
		if s.Image == nil {
			t.Fatalf("%s: %v", s.Tag, s.Status)
		}
		names[s.Tag] = s.Image.Metadata.Name
		stored, err := w.store.GetImage(t.Context(), s.Image.Metadata.Name)
		if err != nil || stored.DockerImageManifest != "" || stored.DockerImageConfig != "" {
			t.Errorf("%s: stored image %+v, %v", s.Tag, stored, err)
		}
		if s.Tag == "whole" && (len(s.Manifests) != 2 || len(s.Image.DockerImageManifests) != 2) {
			t.Errorf("the whole list has %d images and names %d", len(s.Manifests), len(s.Image.DockerImageManifests))
		}
	}
	if names["legacy"] == names["arm"] || names["arm"] == names["whole"] || names["legacy"] == names["whole"] {
		t.Errorf("images are not told apart: %v", names)
	}
	if images, err := w.store.ListImages(t.Context(), imagestream.ListOptions{}); err != nil || len(images.Items) != 3 {
		t.Errorf("%d images are stored, %v, want 3", len(images.Items), err)
	}
}

func TestFailuresBecomeConditions(t *testing.T) {
	w := newWorld()
	stream := w.create(t, nil, "v1")
	done, _ := w.importAll(t, importer.NeedsImport(stream))
	failed := done.Status.Import
	h, _ := failed.History("v1")
	tag, _ := failed.SpecTag("v1")
	if len(h.Conditions) != 1 || h.Conditions[0].Reason != "InternalError" ||
		h.Conditions[0].Generation != *tag.Generation || failed.Metadata.Generation != 2 {
		t.Errorf("after a failure: %+v, tag %+v, generation %d", h, tag, failed.Metadata.Generation)
	}
	if importer.NeedsImport(failed).Needed {
		t.Error("a failed tag is imported again at once")
	}

	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	asked := int64(0)
	failed.Spec.Tags[0].Generation = &asked
	retry, err := w.writer.Update(t.Context(), failed.Key(),
		func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return failed, nil })
	if err != nil {
		t.Fatal(err)
	}
	done, _ = w.importAll(t, importer.NeedsImport(retry))
	if h, _ = done.Status.Import.History("v1"); len(h.Conditions) != 0 || len(h.Items) != 1 {
		t.Errorf("after the retry: %+v", h)
	}
}

func TestConflictAppliesTheAnswersAgain(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(t, nil, "v1")
	interfered, conflicts := false, 0
	w.store.Fail = func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" && !interfered {
			interfered = true
			other, err := w.store.GetImageStream(context.Background(), key)
			if err != nil {
				return err
			}
			other.Metadata.Labels = map[string]string{"touched": "yes"}
			_, err = w.store.UpdateImageStream(context.Background(), other)
			return err
		}
		return nil
	}
	w.writer.Trace = &write.Trace{Conflict: func(imagestream.Key, int, time.Duration) { conflicts++ }}
	done, asked := w.importAll(t, importer.NeedsImport(stream))
	if got := done.Status.Import; got.Metadata.Labels["touched"] != "yes" || len(got.Status.Tags) != 1 {
		t.Errorf("the import or the other write is lost: %+v", got)
	}
	if conflicts != 1 || !slices.Equal(asked, []string{"blob", "manifest"}) {
		t.Errorf("%d conflicts, asked %v", conflicts, asked)
	}
}

// TestSourcesThatCannotBeResolved imports into tags that follow others, with another import mode: that counts as a
// change, so what they follow is looked at again. What is wrong with that is one error, as in the real system; the
// stream's own validation keeps its fields.
func TestSourcesThatCannotBeResolved(t *testing.T) {
	const one = "InternalError []"
	tag := func(namespace, name string) *imagestream.ObjectReference {
		return &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Namespace: namespace, Name: name}
	}
	for _, tc := range []struct {
		name      string
		from      *imagestream.ObjectReference
		scheduled bool
		want      []string
	}{
		{"may not read the source's layers", tag("base", "os:1"), false, []string{one}},
		{"source is not there", tag("", "os:1"), false, []string{one}},
		{"name has two colons", tag("", "os:1:2"), false, []string{one}},
		{"image is not there", &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage,
			Name: "app@sha256:77"}, false, []string{one}},
		{"kind is not there", &imagestream.ObjectReference{Kind: "Image", Name: "os:1"}, false,
			[]string{"FieldValueRequired spec.tags[v1].from.kind", one}},
		{"two things at once", tag("", "os:1"), true,
			[]string{"FieldValueInvalid spec.tags[v1].importPolicy.scheduled", one}},
		{"only the validation", tag("", "app:v0"), true,
			[]string{"FieldValueInvalid spec.tags[v1].importPolicy.scheduled"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
			done, _ := w.importAll(t, importer.NeedsImport(w.create(t, nil, "v1")))
			s := done.Status.Import
			s.Spec.Tags[0].From = tc.from
			stored, err := w.store.UpdateImageStream(context.Background(), s)
			if err != nil {
				t.Fatal(err)
			}
			_, err = w.importer.Import(context.Background(), &imagestream.ImageStreamImport{
				Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
				Spec: imagestream.ImageStreamImportSpec{Import: true, Images: []imagestream.ImageImportSpec{{
					From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
						Name: "quay.io/org/app:v1"},
					To: &imagestream.LocalObjectReference{Name: "v1"},
					ImportPolicy: imagestream.TagImportPolicy{ImportMode: imagestream.ImportModePreserveOriginal,
						Scheduled: tc.scheduled},
				}}},
			})
			var status *imagestream.StatusError
			if !errors.As(err, &status) || status.Errors.ExceedsLimits() {
				t.Fatalf("error %v", err)
			}
			var got []string
			for _, e := range status.Errors {
				got = append(got, string(e.Type)+" "+e.Field)
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("errors %q, want %q", got, tc.want)
			}
			if !strings.Contains(err.Error(), "spec.tags[v1].") {
				t.Errorf("error %v does not say of which tag", err)
			}
			if now, err := w.store.GetImageStream(context.Background(), stored.Key()); err != nil ||
				now.Metadata.ResourceVersion != stored.Metadata.ResourceVersion {
				t.Errorf("the stream was written: %v", err)
			}
		})
	}
}

func TestLookOnly(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	imp := &imagestream.ImageStreamImport{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	imp.Spec.Images = []imagestream.ImageImportSpec{{From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"}}}
	done, err := w.importer.Import(t.Context(), imp)
	if err != nil || done.Status.Images[0].Image == nil || done.Status.Import != nil {
		t.Errorf("looked: %+v, %v", done, err)
	}
	if _, err := w.store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"}); !errors.Is(err,
		imagestream.ErrNotFound) {
		t.Errorf("a look made a stream: %v", err)
	}

	imp.Spec.Import = true
	if done, err = w.importer.Import(t.Context(), imp); err != nil || done.Status.Import.Metadata.Generation != 1 ||
		len(done.Status.Import.Spec.Tags) != 1 {
		t.Errorf("imported into a new stream: %+v, %v", done, err)
	}
	for change, want := range map[string]error{"version": imagestream.ErrConflict, "uid": imagestream.ErrNotFound} {
		stale := imp.Clone()
		if change == "uid" {
			stale.Metadata.UID = "other"
		} else {
			stale.Metadata.ResourceVersion = "0815"
		}
		if _, err := w.importer.Import(t.Context(), stale); !errors.Is(err, want) {
			t.Errorf("an import for another %s: %v, want %v", change, err, want)
		}
	}
}

func TestBadImports(t *testing.T) {
	var imp imagestream.ImageStreamImport
	docker := imagestream.KindDockerImage
	imp.Spec.Images = []imagestream.ImageImportSpec{
		{From: imagestream.ObjectReference{Kind: "ImageStreamTag", Name: "x"}},
		{From: imagestream.ObjectReference{Kind: docker}},
		{From: imagestream.ObjectReference{Kind: docker, Name: "NOT/Right"}, To: &imagestream.LocalObjectReference{},
			ImportPolicy: imagestream.TagImportPolicy{ImportMode: "All"}},
	}
	var got []string
	for _, e := range importer.Validate(&imp) {
		got = append(got, string(e.Type)+" "+e.Field)
		if e.Detail == "" {
			t.Errorf("%s says nothing", e.Field)
		}
	}
	want := []string{
		"FieldValueRequired metadata.namespace", "FieldValueRequired metadata.name",
		"FieldValueInvalid spec.images[0].from.kind",
		"FieldValueRequired spec.images[1].from.name", "FieldValueInvalid spec.images[2].to.name",
		"FieldValueInvalid spec.images[2].from.name", "FieldValueInvalid spec.images[2].importPolicy.importMode",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("errors (-want +got):\n%s", diff)
	}
	if _, err := newWorld().importer.Import(t.Context(), &imp); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("Import gives %v", err)
	}
}

func TestLyingRegistry(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		r := c["org/app"]
		for d := range r.Blobs {
			r.Blobs[d] = `{"architecture":"evil"}`
		}
	})
	stream := w.create(t, nil, "v1")
	done, _ := w.importAll(t, importer.NeedsImport(stream))
	s := done.Status.Images[0].Status
	if s.Reason != imagestream.ReasonInternalError || !strings.Contains(s.Message, "sha256:") {
		t.Errorf("a configuration that is another one gives %+v", s)
	}
	if h, _ := done.Status.Import.History("v1"); len(h.Items) != 0 {
		t.Errorf("it was believed: %+v", h)
	}
}

func TestCancelledImportWritesNothing(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(t, nil, "v1")
	ctx, cancel := context.WithCancel(t.Context())
	w.registry.Fail = func(importer.Operation, string, importer.Ref) error { cancel(); return nil }
	imp := importer.NeedsImport(stream).Import
	if _, err := w.importer.Import(ctx, imp); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
	if got, err := w.store.GetImageStream(t.Context(), stream.Key()); err != nil || !got.Same(stream) {
		t.Errorf("the stream was written: %+v, %v", got, err)
	}
}

func TestTrace(t *testing.T) {
	w := newWorld()
	w.importer.Concurrency = 1
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(t, nil, "v1", "v2")
	var log []string
	w.importer.Trace = &importer.Trace{
		Planned:  func(n int) { log = append(log, fmt.Sprint("planned ", n)) },
		Answered: func(q importer.Question, a importer.Answer) { log = append(log, fmt.Sprint(q, " ", a.Err == nil)) },
	}
	w.importAll(t, importer.NeedsImport(stream))
	if want := []string{"planned 2", "quay.io/org/app:v1 true", "quay.io/org/app:v2 false"}; !slices.Equal(log, want) {
		t.Errorf("traced %q, want %q", log, want)
	}
}
