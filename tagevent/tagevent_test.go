package tagevent_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleHistory_Push() {
	h := tagevent.History{Tag: "latest"}
	h, _ = h.Push(tagevent.Event{DockerImageReference: "quay.io/org/app@sha256:aa", Image: "sha256:aa", Generation: 1})
	h, changed := h.Push(tagevent.Event{DockerImageReference: "quay.io/org/app@sha256:bb", Image: "sha256:bb", Generation: 1})
	fmt.Println(changed, len(h.Items), h.Items[0].Image)

	// The same image under another pull spec, as after a change of mirrors, is no new event.
	h, changed = h.Push(tagevent.Event{DockerImageReference: "mirror.io/org/app@sha256:bb", Image: "sha256:bb", Generation: 2})
	fmt.Println(changed, len(h.Items), h.Items[0].DockerImageReference)
	// Output:
	// true 2 sha256:bb
	// true 2 mirror.io/org/app@sha256:bb
}

func ExampleHistory_ObservedGeneration() {
	h := tagevent.History{
		Tag:        "latest",
		Items:      []tagevent.Event{{Image: "sha256:aa", Generation: 2}},
		Conditions: []tagevent.Condition{{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Generation: 3}},
	}
	fmt.Println(h.ObservedGeneration())
	// Output: 3
}

func ExampleFind() {
	histories := []tagevent.History{{Tag: "v1"}, {Tag: "v2", Items: []tagevent.Event{{Image: "sha256:aa"}}}}
	h, ok := tagevent.Find(histories, "v2")
	latest, _ := h.Latest()
	fmt.Println(ok, latest.Image)
	// Output: true sha256:aa
}

func ExampleByAge() {
	day := func(s string) []tagevent.Event {
		t, _ := tagevent.ParseTime(s + "T00:00:00Z")
		return []tagevent.Event{{Created: t}}
	}
	fmt.Println(tagevent.ByAge([]tagevent.History{
		{Tag: "empty"}, {Tag: "old", Items: day("2025-01-01")}, {Tag: "new", Items: day("2026-01-01")},
	}))
	// Output: [new old empty]
}

func ExampleTimeOf() {
	t := tagevent.TimeOf(time.Date(2026, 1, 2, 4, 4, 5, 678, time.FixedZone("CET", 3600)))
	fmt.Println(t, t.Time().Location(), tagevent.TimeOf(time.Time{}).IsZero())
	// Output: 2026-01-02T03:04:05Z UTC true
}

func ExampleParseTime() {
	t, err := tagevent.ParseTime("2026-01-02T05:04:05.7+02:00")
	fmt.Println(t, err)
	_, err = tagevent.ParseTime("yesterday")
	fmt.Println(err)
	// Output:
	// 2026-01-02T03:04:05Z <nil>
	// time "yesterday": want RFC 3339, like 2026-01-02T03:04:05Z
}

func TestTimeJSON(t *testing.T) {
	for _, tc := range []struct{ in, out string }{
		{`null`, `null`},
		{`"0001-01-01T00:00:00Z"`, `null`},
		{`"2024-02-29T23:59:59Z"`, `"2024-02-29T23:59:59Z"`},
		{`"2024-02-29T23:59:59.999Z"`, `"2024-02-29T23:59:59Z"`},
		{`"2024-02-29T23:59:59-01:00"`, `"2024-03-01T00:59:59Z"`},
		{`"1969-12-31T23:59:59Z"`, `"1969-12-31T23:59:59Z"`},
		{`"2024-01-01T00:00:0\u0030Z"`, `"2024-01-01T00:00:00Z"`},
	} {
		var got tagevent.Time
		if err := json.Unmarshal([]byte(tc.in), &got); err != nil {
			t.Errorf("Unmarshal(%s): %v", tc.in, err)
			continue
		}
		out, err := json.Marshal(got)
		if err != nil || string(out) != tc.out {
			t.Errorf("Unmarshal(%s), Marshal = %s, %v, want %s", tc.in, out, err, tc.out)
		}
	}
	for _, bad := range []string{`""`, `5`, `"2023-02-29T00:00:00Z"`, `"2024-01-01T24:00:00Z"`, `"2024-01-01 00:00:00Z"`, `"2024-13-01T00:00:00Z"`} {
		var got tagevent.Time
		if err := json.Unmarshal([]byte(bad), &got); err == nil {
			t.Errorf("Unmarshal(%s) = %v, want an error", bad, got)
		}
	}
	if b, err := json.Marshal(tagevent.TimeOf(time.Date(12000, 1, 1, 0, 0, 0, 0, time.UTC))); err == nil {
		t.Errorf("Marshal of the year 12000 = %s, want an error", b)
	}
}

func TestTimeAgreesWithTime(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := time.Unix(rapid.Int64Range(-62135596800, 253402300799).Draw(t, "sec"), rapid.Int64Range(0, 999999999).Draw(t, "nsec")).UTC()
		got, err := tagevent.ParseTime(want.Format(time.RFC3339Nano))
		if err != nil {
			t.Fatal(err)
		}
		if !got.Time().Equal(want.Truncate(time.Second)) || got != tagevent.TimeOf(want) {
			t.Fatalf("%v read as %v, TimeOf %v", want, got, tagevent.TimeOf(want))
		}
	})
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{
		"2024-02-29T23:59:59Z", "2024-02-29t23:59:59z", "2024-02-30T00:00:00Z", "", "2024-01-01T00:00:00+24:00",
		"9999-12-31T23:59:59Z", "9999-12-31T23:59:59-00:01", "10000-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "0000-01-01T00:00:00+00:01",
		"0000-12-31T23:59:60Z", "0001-01-01T00:00:00Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got, err := tagevent.ParseTime(s)
		want, wantErr := time.Parse(time.RFC3339, s)
		year := want.UTC().Year()
		if (err == nil) != (wantErr == nil && year >= 0 && year <= 9999) || err == nil && got != tagevent.TimeOf(want) {
			t.Errorf("ParseTime(%q) = %v, %v; time.Parse gives %v, %v", s, got, err, want, wantErr)
		}
		if err != nil || got.IsZero() {
			return
		}
		text, err := json.Marshal(got)
		var again tagevent.Time
		if err != nil || json.Unmarshal(text, &again) != nil || again != got || string(text) != `"`+got.String()+`"` {
			t.Errorf("ParseTime(%q) = %v is written as %s, %v, and read again as %v", s, got, text, err, again)
		}
	})
}

// TestHistoryModel pushes random events and compares with everything ever pushed.
func TestHistoryModel(t *testing.T) { rapid.Check(t, historyModel) }

func FuzzHistoryModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(historyModel)) }

func historyModel(t *rapid.T) {
	h := tagevent.History{Tag: "a"}
	var log []tagevent.Event
	t.Repeat(map[string]func(*rapid.T){
		"fail": func(t *rapid.T) {
			h.Conditions = []tagevent.Condition{{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, Generation: 1}}
		},
		"push": func(t *rapid.T) {
			e := tagevent.Event{
				Created:              tagevent.Time(rapid.Int64Range(1, 3).Draw(t, "created")),
				DockerImageReference: rapid.SampledFrom([]string{"r.io/a", "r.io/b", ""}).Draw(t, "reference"),
				Image:                rapid.SampledFrom([]string{"i1", "i2", ""}).Draw(t, "image"),
				Generation:           rapid.Int64Range(0, 2).Draw(t, "generation"),
			}
			before := h.Clone()
			next, changed := h.Push(e)
			if diff := cmp.Diff(before, h); diff != "" {
				t.Fatalf("Push changed its receiver (-before +after):\n%s", diff)
			}
			if changed == cmp.Equal(before, next) {
				t.Fatalf("changed = %v from %v to %v", changed, before, next)
			}
			if changed && len(next.Conditions) > 0 {
				t.Fatalf("conditions survived a change: %v", next.Conditions)
			}
			if again, changed := next.Push(e); changed {
				t.Fatalf("pushing %v twice gave %v", e, again)
			}
			h, log = next, append(log, e)
		},
		"": func(t *rapid.T) {
			if diff := cmp.Diff(naive(log), h.Items); diff != "" {
				t.Fatalf("history (-model +got):\n%s", diff)
			}
			if h.ObservedGeneration() < 0 {
				t.Fatal("negative generation")
			}
		},
	})
}

// naive folds everything ever pushed, oldest first, into runs that share an image or a pull spec with the one before.
func naive(log []tagevent.Event) []tagevent.Event {
	var oldestFirst []tagevent.Event
	for _, e := range log {
		if n := len(oldestFirst); n > 0 {
			last := oldestFirst[n-1]
			if last.Image == e.Image || last.DockerImageReference == e.DockerImageReference {
				e.Created = last.Created
				oldestFirst[n-1] = e
				continue
			}
		}
		oldestFirst = append(oldestFirst, e)
	}
	var newestFirst []tagevent.Event
	for _, e := range oldestFirst {
		newestFirst = append([]tagevent.Event{e}, newestFirst...)
	}
	return newestFirst
}

func TestDuplicateTagsLastCounts(t *testing.T) {
	histories := []tagevent.History{
		{Tag: "a", Items: []tagevent.Event{{Image: "first", Created: 9}}},
		{Tag: "a", Items: []tagevent.Event{{Image: "last", Created: 1}}},
		{Tag: "b", Items: []tagevent.Event{{Created: 5}}},
	}
	h, _ := tagevent.Find(histories, "a")
	if h.Items[0].Image != "last" {
		t.Errorf("Find gave %v", h)
	}
	if got := strings.Join(tagevent.ByAge(histories), " "); got != "b a" {
		t.Errorf("ByAge = %s, want b a", got)
	}
}

func BenchmarkPush(b *testing.B) {
	for _, n := range []int{10, 1000} {
		h := tagevent.History{Items: make([]tagevent.Event, n)}
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.Push(tagevent.Event{Image: "i", DockerImageReference: "r.io/a"})
			}
		})
	}
}
