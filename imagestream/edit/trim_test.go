package edit_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer/schedule"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleTrim() {
	s := stream()
	trimmed := edit.Trim(s, edit.Retention{Keep: 2}, now, nil)
	h, _ := trimmed.History("v1")
	fmt.Println(len(s.Status.Tags[0].Items), len(h.Items))

	oldest := s.Status.Tags[0].Items[2].Image
	trimmed = edit.Trim(s, edit.Retention{Keep: 1}, now, func(image string) bool { return image == oldest })
	h, _ = trimmed.History("v1")
	fmt.Println(len(h.Items), h.Items[1].Image == oldest)
	// Output:
	// 3 2
	// 2 true
}

// A loop that keeps streams imported trims each one after its import, by the retention that it carries.
func ExampleRetentionOf() {
	ctx, store := context.Background(), &fakes.Store{}
	engine := &write.Engine{Store: store}
	s := edit.WithRetention(stream(), edit.Retention{Keep: 1, KeepYoungerThan: 24 * time.Hour})
	stored, err := store.CreateImageStream(ctx, s)
	if err != nil {
		fmt.Println(err)
		return
	}
	trim := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		r, err := edit.RetentionOf(old)
		return edit.Trim(old, r, now.AddDate(0, 0, 10), nil), err
	}
	loop := &schedule.Loop{Imported: func(key imagestream.Key, _ *imagestream.ImageStreamImport, _ error) {
		stored, err := engine.Write(ctx, write.Request{Key: key, Rules: write.AsStatus, Change: trim})
		fmt.Println(len(stored.Status.Tags[0].Items), "event is left", err)
	}}
	fmt.Println(stored.Metadata.Annotations[edit.RetentionAnnotation])
	loop.Imported(stored.Key(), nil, nil)
	// Output:
	// {"keep":1,"keepYoungerThan":"24h0m0s"}
	// 1 event is left <nil>
}

func ExampleWithRetention() {
	s := edit.WithRetention(stream(), edit.Retention{Keep: 10})
	fmt.Println(s.Metadata.Annotations[edit.RetentionAnnotation])
	// Output:
	// {"keep":10}
}

func TestRetentionThatCannotBeRead(t *testing.T) {
	for text, want := range map[string]string{
		"ten":                         "annotation imagestreams.github.io/retention of shop/app: ",
		`{"keep":"ten"}`:              "annotation imagestreams.github.io/retention of shop/app: ",
		`{"keepYoungerThan":"a day"}`: `keepYoungerThan "a day" is not a duration`,
		`{"keep":-1}`:                 "neither can be negative",
		`{"keepYoungerThan":"-1h"}`:   "neither can be negative",
	} {
		s := stream()
		s.Metadata.Annotations = map[string]string{edit.RetentionAnnotation: text}
		if _, err := edit.RetentionOf(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want one with %q", text, err, want)
		}
	}
}

func TestRetentionRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := edit.Retention{
			Keep:            rapid.IntRange(0, 100).Draw(t, "keep"),
			KeepYoungerThan: time.Duration(rapid.Int64Range(0, 1e18).Draw(t, "younger")),
		}
		s := stream()
		if got, err := edit.RetentionOf(edit.WithRetention(s, r)); err != nil || got != r {
			t.Fatalf("wrote %v, read %v, %v", r, got, err)
		}
		if len(s.Metadata.Annotations) > 0 {
			t.Fatal("the argument changed")
		}
	})
}

func TestTrimModel(t *testing.T) { rapid.Check(t, trimModel) }

func FuzzTrimModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(trimModel)) }

// trimModel trims a tag that flaps among few images, and checks each event by the words of Trim.
func trimModel(t *rapid.T) {
	s := stream()
	s.Status.Tags = []tagevent.History{{Tag: "v1", Conditions: []tagevent.Condition{{Type: tagevent.ImportSuccess}}}}
	h := &s.Status.Tags[0]
	for n := range rapid.IntRange(0, 30).Draw(t, "events") {
		e := event(rapid.IntRange(0, 3).Draw(t, "image"))
		e.Created = tagevent.TimeOf(now.Add(-time.Duration(n) * time.Hour))
		h.Items = append(h.Items, e)
	}
	var pinned, spec, workload string
	switch rapid.IntRange(0, 3).Draw(t, "use") {
	case 0:
		pinned = event(1).Image
		s, _ = s.Pin("v1", event(1), "", time.Time{})
		h = &s.Status.Tags[0]
	case 1:
		spec = event(2).Image
		s.Spec.Tags[0].From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: "app@" + spec}
	case 2:
		workload = event(3).Image
	}
	if held, _ := s.Pins(); held["v1"].Held != nil && pinned != "" {
		workload = held["v1"].Held.Image // stays as if somebody used it
	}
	r := edit.Retention{Keep: rapid.IntRange(0, 5).Draw(t, "keep")}
	r.KeepYoungerThan = time.Duration(rapid.IntRange(0, 10).Draw(t, "hours")) * time.Hour
	before := s.Clone()
	got := edit.Trim(s, r, now, func(image string) bool { return image == workload })
	if diff := cmp.Diff(before, s); diff != "" {
		t.Fatalf("the argument changed (-before +after):\n%s", diff)
	}

	var want []tagevent.Event
	for index, e := range h.Items {
		age := now.Sub(e.Created.Time())
		newer := slices.ContainsFunc(want, func(k tagevent.Event) bool { return k.Image == e.Image })
		used := e.Image == pinned || e.Image == spec || e.Image == workload
		if index == 0 || index < r.Keep || !newer && (age < r.KeepYoungerThan || used) || r == (edit.Retention{}) {
			want = append(want, e)
		}
	}
	if diff := cmp.Diff(want, got.Status.Tags[0].Items); diff != "" {
		t.Fatalf("%+v (-want +got):\n%s", r, diff)
	}
	if most := max(r.Keep, 1) + 4; len(want) > most && r != (edit.Retention{}) {
		t.Fatalf("%d events of four images, %d at most", len(want), most)
	}
	if len(want) == len(h.Items) && got != s {
		t.Error("nothing goes, and the stream is another one")
	}
	if again := edit.Trim(got, r, now, func(image string) bool { return image == workload }); again != got {
		t.Error("trimmed twice it is another stream")
	}
	if diff := cmp.Diff(h.Conditions, got.Status.Tags[0].Conditions); diff != "" {
		t.Errorf("conditions (-want +got):\n%s", diff)
	}
}

// TestFlappingStaysBounded pushes two images in turn, a thousand times, and trims as it goes.
func TestFlappingStaysBounded(t *testing.T) {
	s := stream()
	r := edit.Retention{Keep: 3, KeepYoungerThan: 1e6 * time.Hour}
	for n := range 1000 {
		e := event(n % 2)
		e.Created = tagevent.TimeOf(now.Add(time.Duration(n) * time.Minute))
		s, _ = s.Push("v1", e)
		if s = edit.Trim(s, r, now, nil); len(s.Status.Tags[0].Items) > 3+3 {
			t.Fatalf("%d events after %d pushes", len(s.Status.Tags[0].Items), n)
		}
	}
}

// TestTrimByCompareAndSwap lets somebody push while a stream is trimmed: nothing of the push is lost.
func TestTrimByCompareAndSwap(t *testing.T) {
	store := &fakes.Store{}
	s, err := store.CreateImageStream(t.Context(), stream())
	if err != nil {
		t.Fatal(err)
	}
	attempts := 0
	change := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		if attempts++; attempts == 1 {
			pushed, _ := old.Push("v1", event(7))
			if _, err := store.UpdateImageStream(t.Context(), pushed); err != nil {
				t.Fatal(err)
			}
		}
		return edit.Trim(old, edit.Retention{Keep: 2}, now, nil), nil
	}
	engine := &write.Engine{Store: store}
	stored, err := engine.Write(t.Context(), write.Request{Key: s.Key(), Rules: write.AsStatus, Change: change})
	if err != nil {
		t.Fatal(err)
	}
	items := stored.Status.Tags[0].Items
	if attempts != 2 || len(items) != 2 || items[0].Image != event(7).Image || items[1].Image != event(2).Image {
		t.Errorf("%d attempts, history %v", attempts, items)
	}
}
