package imagestream_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

func at(n int) tagevent.Event {
	return tagevent.Event{
		Created: tagevent.TimeOf(now), DockerImageReference: "quay.io/org/app@" + digestOf(n), Image: digestOf(n), Generation: 1,
	}
}

func ExampleImageStream_Pin() {
	env := imagestream.Env{Now: now}
	s, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1")), env)
	s, _ = s.Push("v1", at(1))
	s, _ = s.Push("v1", at(2))

	pinned, err := s.Pin("v1", at(1), "the new one leaks memory", time.Time{})
	s, _ = imagestream.PrepareUpdate(s, pinned, env)
	latest, _ := s.LatestEvent("v1")
	fmt.Println(latest.Image == digestOf(1), err)

	// An import moves the tag; the pin holds it back.
	next, _ := s.Push("v1", at(3))
	s, _ = imagestream.PrepareUpdateInternal(s, next, env)
	latest, _ = s.LatestEvent("v1")
	pins, _ := s.Pins()
	fmt.Println(latest.Image == digestOf(1), pins["v1"].Held.Image == digestOf(3), pins["v1"].Reason)

	next, _ = s.Unpin("v1")
	s, _ = imagestream.PrepareUpdate(s, next, env)
	latest, _ = s.LatestEvent("v1")
	fmt.Println(latest.Image == digestOf(3), len(s.Metadata.Annotations))
	// Output:
	// true <nil>
	// true true the new one leaks memory
	// true 0
}

func ExampleImageStream_Unpin() {
	_, err := app().Unpin("v1")
	fmt.Println(err)
	// Output: the tag is not pinned
}

func TestPinRefuses(t *testing.T) {
	if _, err := app().Pin("v1", tagevent.Event{Image: digestOf(1)}, "", time.Time{}); err == nil {
		t.Error("an event without a pull spec was pinned")
	}
	broken := app()
	broken.Metadata.Annotations = map[string]string{imagestream.PinsAnnotation: "{"}
	if _, err := broken.Pin("v1", at(1), "", time.Time{}); err == nil || !strings.Contains(err.Error(), imagestream.PinsAnnotation) {
		t.Errorf("pinned in an annotation that cannot be read: %v", err)
	}
	if _, errs := imagestream.PrepareCreate(broken, imagestream.Env{Now: now}); len(errs) != 1 || errs[0].Field != "metadata.annotations" {
		t.Errorf("stored with pins that cannot be read: %v", errs)
	}
	mended := broken.Clone()
	delete(mended.Metadata.Annotations, imagestream.PinsAnnotation)
	if _, errs := imagestream.PrepareUpdate(broken, mended, imagestream.Env{Now: now}); len(errs) != 0 {
		t.Errorf("mending is refused: %v", errs)
	}
	for _, text := range []string{`{"a":{"event":{"dockerImageReference":"NOT RIGHT"}}}`, `[]`, `{"a":{"until":"tomorrow"}}`} {
		s := app()
		s.Metadata.Annotations = map[string]string{imagestream.PinsAnnotation: text}
		if pins, err := s.Pins(); err == nil {
			t.Errorf("%s was read as %v", text, pins)
		}
	}
}

// transitions are all of them, for a stream that replaces itself.
var transitions = map[string]func(s *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList){
	"create":         imagestream.PrepareCreate,
	"createInternal": imagestream.PrepareCreateInternal,
	"update": func(s *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList) {
		return imagestream.PrepareUpdate(s, s, env)
	},
	"updateInternal": func(s *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList) {
		return imagestream.PrepareUpdateInternal(s, s, env)
	},
	"statusUpdate": func(s *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList) {
		return imagestream.PrepareStatusUpdate(s, s, env)
	},
}

// TestPinsWithTimesThatCannotBeWritten: anybody who may edit a stream can write such an annotation. It is a wrong field, and the
// stream can be mended.
func TestPinsWithTimesThatCannotBeWritten(t *testing.T) {
	for _, until := range []string{
		"9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01", "-0001-01-01T00:00:00Z", "99999-01-01T00:00:00Z",
	} {
		for _, text := range []string{
			`{"v1":{"event":{"dockerImageReference":"quay.io/org/app"},"until":"` + until + `"}}`,
			`{"v1":{"event":{"dockerImageReference":"quay.io/org/app","created":"` + until + `"}}}`,
			`{"v1":{"event":{"dockerImageReference":"quay.io/org/app"},"held":{"created":"` + until + `"}}}`,
		} {
			s := app()
			s.Metadata.Annotations = map[string]string{imagestream.PinsAnnotation: text}
			for name, prepare := range transitions {
				if _, errs := prepare(s, imagestream.Env{Now: now}); len(errs) != 1 || errs[0].Field != "metadata.annotations" {
					t.Errorf("%s of a stream pinned by %s: %v", name, text, errs)
				}
			}
			mended := s.Clone()
			mended.Metadata.Annotations = nil
			if _, errs := imagestream.PrepareUpdate(s, mended, imagestream.Env{Now: now}); len(errs) > 0 {
				t.Errorf("mending %s is refused: %v", text, errs)
			}
		}
	}
	for _, year := range []int{0, 9999} {
		until := time.Date(year, 12, 31, 23, 59, 59, 0, time.UTC)
		pinned, err := app().Pin("v1", at(1), "", until)
		if err != nil {
			t.Fatal(err)
		}
		if pins, err := pinned.Pins(); err != nil || !pins["v1"].Until.Time().Equal(until) {
			t.Errorf("pinned until %v: %v, %v", until, pins, err)
		}
	}
	if _, err := app().Pin("v1", at(1), "", time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)); err == nil {
		t.Error("pinned until a time that cannot be written")
	}
}

// TestPinsHoldNothingThatCannotBeWritten: an event from elsewhere may have a time that JSON cannot have; a pin that is to hold it
// back is a wrong field.
func TestPinsHoldNothingThatCannotBeWritten(t *testing.T) {
	env := imagestream.Env{Now: now}
	s, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1")), env)
	s, err := s.Pin("v1", at(1), "", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	s, errs := imagestream.PrepareUpdateInternal(s, s, env)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	late := at(2)
	late.Created = tagevent.TimeOf(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC))
	next, _ := s.Push("v1", late)
	if _, errs := imagestream.PrepareUpdateInternal(s, next, env); len(errs) != 1 || errs[0].Field != "metadata.annotations" {
		t.Errorf("errors %v", errs)
	}
}

// FuzzPins reads an annotation, writes what it says, and reads it again; no transition panics on it.
func FuzzPins(f *testing.F) {
	f.Add(`{"v1":{"event":{"dockerImageReference":"quay.io/org/app","image":"sha256:1","created":"2024-01-01T00:00:00Z"},"reason":"a","until":"9999-12-31T23:59:59-00:01"}}`)
	f.Add(`{"v1":{"event":{"dockerImageReference":"quay.io/org/app"},"held":{"dockerImageReference":"quay.io/org/b"},"until":"2024-01-01T00:00:00Z"},"v2":{"event":{"dockerImageReference":"a"}}}`)
	f.Add(`{"v1":null}`)
	f.Add(`[]`)
	f.Fuzz(func(t *testing.T, text string) {
		s, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), follows("v2", "v1")), imagestream.Env{Now: now})
		s, _ = s.Push("v1", at(2))
		s.Metadata.Annotations = map[string]string{imagestream.PinsAnnotation: text}
		pins, err := s.Pins()
		for name, prepare := range transitions {
			got, errs := prepare(s, imagestream.Env{Now: now})
			if err != nil && len(errs) == 0 {
				t.Fatalf("%s takes pins that cannot be read: %v", name, err)
			}
			if len(errs) > 0 {
				continue
			}
			if _, err := json.Marshal(got); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if _, err := got.Pins(); err != nil {
				t.Fatalf("%s writes pins that cannot be read: %v", name, err)
			}
		}
		if err != nil {
			return
		}
		pinned, err := s.Pin("another", at(1), "", time.Time{})
		if err != nil {
			t.Fatalf("pins that were read cannot be written: %v", err)
		}
		again, err := pinned.Unpin("another")
		if err != nil {
			t.Fatal(err)
		}
		if _, had := pins["another"]; had {
			return
		}
		if got, err := again.Pins(); err != nil || len(got) != len(pins) || len(pins) > 0 && !reflect.DeepEqual(got, pins) {
			t.Fatalf("%s is read as %v, and when written again as %v, %v", text, pins, got, err)
		}
	})
}

func TestDeletingATagDeletesItsPin(t *testing.T) {
	env := imagestream.Env{Now: now}
	s, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), docker("v2", "quay.io/org/app:v2")), env)
	s, _ = s.Pin("v1", at(1), "", time.Time{})
	s, errs := imagestream.PrepareUpdateInternal(s, s, env)
	if len(errs) > 0 || len(s.Status.Tags) != 1 {
		t.Fatalf("pinned: %+v, %v", s, errs)
	}
	next := s.Clone()
	next.Spec.Tags, next.Status.Tags = next.Spec.Tags[1:], nil
	s, errs = imagestream.PrepareUpdateInternal(s, next, env)
	if pins, err := s.Pins(); err != nil || len(pins) != 0 || len(s.Status.Tags) != 0 || len(errs) > 0 {
		t.Errorf("the pin outlived its tag: %v, %v, %v", pins, err, errs)
	}
}

// TestPinnedTagsStay pins a tag and then does everything else: the tag stays, until it is unpinned or the pin ends, and then goes
// to what its source said last.
func TestPinnedTagsStay(t *testing.T) { rapid.Check(t, pinModel) }

func FuzzPinModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(pinModel)) }

func pinModel(t *rapid.T) {
	env := imagestream.Env{Now: now, Settings: imagestream.Settings{FollowChains: rapid.Bool().Draw(t, "chains")}}
	s, errs := imagestream.PrepareCreate(app(docker("a", "quay.io/org/app:a"), follows("b", "a"), docker("c", "quay.io/org/app:c")), env)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	s, _ = s.Push("a", at(1))
	s, _ = s.Push("a", at(2))
	store := func(t *rapid.T, next *imagestream.ImageStream,
		prepare func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList),
	) {
		got, errs := prepare(s, next, env)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		s = got
	}
	// The model: where a is pinned, until when, and what its source said last.
	var pinned *tagevent.Event
	var until time.Time
	source := digestOf(2)

	pin := func(t *rapid.T) {
		if pinned != nil {
			return
		}
		e := at(rapid.IntRange(1, 3).Draw(t, "pinned"))
		until = time.Time{}
		if rapid.Bool().Draw(t, "for a while") {
			until = env.Now.Add(time.Hour)
		}
		next, err := s.Pin("a", e, "test", until)
		if err != nil {
			t.Fatal(err)
		}
		store(t, next, imagestream.PrepareUpdate)
		pinned = &e
	}
	pin(t)
	t.Repeat(map[string]func(*rapid.T){
		"pin": pin,
		"unpin": func(t *rapid.T) {
			if pinned == nil {
				t.Skip("it is not pinned")
			}
			next, err := s.Unpin("a")
			if err != nil {
				t.Fatal(err)
			}
			store(t, next, rapid.SampledFrom([]func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList){
				imagestream.PrepareUpdate, imagestream.PrepareUpdateInternal, imagestream.PrepareStatusUpdate,
			}).Draw(t, "by"))
			pinned = nil
		},
		"time": func(t *rapid.T) {
			env.Now = env.Now.Add(45 * time.Minute)
			store(t, s, imagestream.PrepareUpdate)
			if pinned != nil && !until.IsZero() && !env.Now.Before(until) {
				pinned = nil
			}
		},
		"import": func(t *rapid.T) {
			e := at(rapid.IntRange(1, 5).Draw(t, "imported"))
			e.Generation = s.Metadata.Generation + 1
			next, _ := s.Push("a", e)
			next = next.Clone()
			next.Spec.Tags[0].Generation = new(int64) // as an importer that found something new
			store(t, next, imagestream.PrepareUpdateInternal)
			source = e.Image
		},
		"push": func(t *rapid.T) {
			e := at(rapid.IntRange(1, 5).Draw(t, "pushed"))
			e.Generation = 0
			next, _ := s.Push("a", e)
			store(t, next, imagestream.PrepareStatusUpdate)
			source = e.Image
		},
		"cut": func(t *rapid.T) {
			next := s.Clone()
			next.Status.Tags = nil
			store(t, next, imagestream.PrepareUpdateInternal)
			if pinned == nil {
				next, _ = s.Push("a", at(1))
				store(t, next, imagestream.PrepareUpdateInternal)
				source = digestOf(1)
			}
		},
		"other": func(t *rapid.T) {
			next, _ := s.Push("c", at(rapid.IntRange(1, 5).Draw(t, "other")))
			store(t, next, imagestream.PrepareUpdateInternal)
		},
		"": func(t *rapid.T) {
			latest, ok := s.LatestEvent("a")
			switch {
			case pinned != nil && (latest.Image != pinned.Image || latest.DockerImageReference != pinned.DockerImageReference):
				t.Fatalf("pinned to %s, and points at %+v", pinned.Image, latest)
			case pinned == nil && ok && latest.Image != source:
				t.Fatalf("not pinned, and points at %q, not at %q that its source said last", latest.Image, source)
			}
			pins, err := s.Pins()
			if err != nil || (len(pins) > 0) != (pinned != nil) {
				t.Fatalf("pins %v, %v, want some: %v", pins, err, pinned != nil)
			}
		},
	})
	if _, err := s.Unpin("a"); (err == nil) != (pinned != nil) {
		t.Fatal(errors.Join(err, errors.New("unpin at the end")))
	}
}

// TestFollowersGoWithAPin: latest follows stable, which follows v1. A user pins v1 to an older image, and unpins it.
func TestFollowersGoWithAPin(t *testing.T) {
	env := imagestream.Env{Now: now}
	s, errs := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), follows("latest", "stable"), follows("stable", "v1")), env)
	for n := range 2 {
		next, _ := s.Push("v1", at(n+1))
		for _, tag := range []string{"stable", "latest"} {
			next, _ = next.Push(tag, at(n+1))
		}
		s, errs = imagestream.PrepareUpdateInternal(s, next, env)
	}
	pinned, err := s.Pin("v1", at(1), "", time.Time{})
	if err != nil || len(errs) > 0 {
		t.Fatal(err, errs)
	}
	for _, prepare := range []func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList){
		imagestream.PrepareUpdate, imagestream.PrepareStatusUpdate,
	} {
		held, errs := prepare(s, pinned, env)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		released, err := held.Unpin("v1")
		if err != nil {
			t.Fatal(err)
		}
		released, errs = prepare(held, released, env)
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		for _, tag := range []string{"v1", "stable", "latest"} {
			if e, _ := held.LatestEvent(tag); e.Image != digestOf(1) {
				t.Errorf("v1 is pinned to the first image, and %s points at %s", tag, e.Image)
			}
			if e, _ := released.LatestEvent(tag); e.Image != digestOf(2) {
				t.Errorf("v1 is unpinned, and %s points at %s", tag, e.Image)
			}
		}
	}
}
