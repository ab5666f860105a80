package schedule_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleRecord() {
	app := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1", "v2": "quay.io/org/app:v2"})
	turn := schedule.Turn{Stream: app.Key(), Host: "quay.io", Tags: []string{"v1", "v2"}}
	var record schedule.Record // of quay.io and this stream
	record = record.With(app, map[string]schedule.TagState{"v1": {Generation: 1, Due: start.Add(15 * time.Minute)}})

	due, others := record.Divide(app, turn, start)
	fmt.Println(due, others["v1"].Due.Sub(start))
	due, _ = record.Divide(app, turn, start.Add(15*time.Minute))
	fmt.Println(due)
	// Output:
	// [v2] 15m0s
	// [v1 v2]
}

func ExampleScheduler_State() {
	app := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"})
	first := schedule.New(schedule.Options{Interval: 15 * time.Minute, Jitter: -1})
	first.Set(app, start)
	for _, turn := range first.Due(start.Add(15*time.Minute), 0) {
		first.Done(turn.Stream, "v1", nil, start.Add(15*time.Minute))
	}
	state, _ := first.State(app.Key(), "v1") // to be stored

	next := schedule.New(schedule.Options{Recall: func(*imagestream.ImageStream, string) (schedule.TagState, bool) {
		return state, true
	}})
	next.Set(app, start.Add(20*time.Minute))
	due, _ := next.Next()
	fmt.Println(due.Sub(start))
	// Output: 30m0s
}

// withGenerations returns a stream with a tag that has a generation, and whose history has observed another one.
func withGenerations(tag string, spec, observed int64) *imagestream.ImageStream {
	s := streamOf("app", map[string]string{tag: "quay.io/org/app:" + tag})
	s.Metadata.UID = "1"
	s.Metadata.Annotations = map[string]string{importer.CheckAnnotation: "2026-01-01T00:00:00Z"}
	s.Spec.Tags[0].Generation = &spec
	s, _ = s.Push(tag, tagevent.Event{Image: "sha256:1", DockerImageReference: "quay.io/org/app@sha256:1",
		Generation: observed})
	return s
}

// TestDivide has a record of generation 4 of a tag, which is due in an hour, and looks at it with different streams.
func TestDivide(t *testing.T) {
	record := schedule.Record{UID: "1",
		Tags: map[string]schedule.TagState{"v1": {Generation: 4, Due: start.Add(time.Hour)}}}
	never := schedule.Record{UID: "1", Tags: map[string]schedule.TagState{"v1": {Generation: 4}}}
	other := withGenerations("v1", 4, 4)
	other.Metadata.UID = "2"
	once := withGenerations("v1", 4, 4)
	once.Spec.Tags[0].ImportPolicy.Scheduled = false
	for name, tc := range map[string]struct {
		record schedule.Record
		stream *imagestream.ImageStream
		now    time.Time
		due    bool
	}{
		"not due":                    {record, withGenerations("v1", 4, 4), start, false},
		"due":                        {record, withGenerations("v1", 4, 4), start.Add(time.Hour), true},
		"imported, and known late":   {record, withGenerations("v1", 4, 3), start, false},
		"generation of that import":  {record, withGenerations("v1", 5, 5), start, false},
		"another tag was meant":      {record, withGenerations("v1", 6, 5), start, true},
		"older than the record":      {record, withGenerations("v1", 3, 2), start, false},
		"another stream":             {record, other, start, true},
		"never again":                {never, once, start.Add(100 * time.Hour), false},
		"scheduled since":            {never, withGenerations("v1", 4, 4), start, true},
		"never again unless changed": {never, withGenerations("v1", 5, 4), start, true},
		"no record":                  {schedule.Record{}, withGenerations("v1", 4, 4), start, true},
	} {
		turn := schedule.Turn{Stream: tc.stream.Key(), Tags: []string{"v1"}}
		due, others := tc.record.Divide(tc.stream, turn, tc.now)
		want := map[string]schedule.TagState{}
		if !tc.due {
			want["v1"] = tc.record.Tags["v1"]
		}
		if slices.Contains(due, "v1") != tc.due || !maps.Equal(others, want) {
			t.Errorf("%s: due %v, others %v", name, due, others)
		}
	}
}

// TestHeldTagsAreAskedForAgain resumes a tag that waits for an import which another process makes: it is not due at
// once, but later, and at once when its spec changes.
func TestHeldTagsAreAskedForAgain(t *testing.T) {
	s := schedule.New(schedule.Options{Needs: true})
	stream := withGenerations("v1", 5, 4)
	s.Set(stream, start)
	turn := s.Due(start, 0)[0]
	again := start.Add(5 * time.Second)
	s.Resume(stream.Key(), "v1", schedule.Record{}.Hold(stream, turn.Tags, again)["v1"], start)
	if next, _ := s.Next(); !next.Equal(again) {
		t.Errorf("asked for again at %v", next)
	}
	s.Set(withGenerations("v1", 6, 4), start)
	if due := s.Due(start, 0); len(due) != 1 {
		t.Errorf("changed, and not due: %v", due)
	}
}

func TestWithForgets(t *testing.T) {
	two := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1", "v2": "quay.io/org/app:v2"})
	one := streamOf("app", map[string]string{"v2": "quay.io/org/app:v2"})
	state := schedule.TagState{Turns: 1}
	record := schedule.Record{}.With(two, map[string]schedule.TagState{"v1": state, "v2": state})
	before := maps.Clone(record.Tags)
	got := record.With(one, map[string]schedule.TagState{"v2": {Turns: 2}})
	if diff := cmp.Diff(map[string]schedule.TagState{"v2": {Turns: 2}}, got.Tags); diff != "" {
		t.Errorf("mismatch (-want +got):\n%s", diff)
	}
	if !maps.Equal(before, record.Tags) {
		t.Errorf("the record became %v", record.Tags)
	}
	one.Metadata.UID = "another"
	if got := record.With(one, nil); len(got.Tags) > 0 || got.UID != "another" {
		t.Errorf("another stream has %v", got)
	}
}

// TestStatesGoOn takes the states of a scheduler at any time into a new one: it hands out the same turns, at the same
// times, also after failures.
func TestStatesGoOn(t *testing.T) {
	names := map[string]string{}
	for i := range 20 {
		names[fmt.Sprint("v", i)] = fmt.Sprintf("host-%d.example.com/org/app:v%d", i%3, i)
	}
	app := streamOf("app", names)
	old, now := schedule.New(schedule.Options{}), start
	old.Set(app, now)
	for round := range 50 {
		next, _ := old.Next()
		now = next
		for _, turn := range old.Due(now, 0) {
			for _, tag := range turn.Tags {
				var err error
				if tag == "v7" || round%5 == 0 {
					err = &importer.RegistryError{Class: importer.ClassNotFound, Err: errors.New("gone")}
				}
				old.Done(turn.Stream, tag, err, now)
			}
		}
		known := func(_ *imagestream.ImageStream, tag string) (schedule.TagState, bool) {
			return old.State(app.Key(), tag)
		}
		restarted := schedule.New(schedule.Options{Recall: known})
		restarted.Set(app, now)
		for turn := range old.Upcoming() {
			tag := turn.Tags[0]
			want, had := old.State(app.Key(), tag)
			if got, _ := restarted.State(app.Key(), tag); had && got != want {
				t.Fatalf("round %d: %s is %+v in the new scheduler, want %+v", round, tag, got, want)
			}
		}
	}
}
