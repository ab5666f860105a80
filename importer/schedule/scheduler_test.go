package schedule_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// streamOf has scheduled tags with their sources.
func streamOf(name string, tags map[string]string) *imagestream.ImageStream {
	s := &imagestream.ImageStream{}
	s.Metadata.Namespace, s.Metadata.Name = "shop", name
	for _, tag := range slices.Sorted(maps.Keys(tags)) {
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: tags[tag]}, ImportPolicy: imagestream.TagImportPolicy{Scheduled: true},
		})
	}
	return s
}

func Example() {
	s := schedule.New(schedule.Options{Interval: 15 * time.Minute, Jitter: -1})
	app := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1", "base": "ghcr.io/org/base:1"})
	s.Set(app, start)

	now, _ := s.Next() // when to ask; here all is due within an interval
	now = now.Add(15 * time.Minute)
	for _, turn := range s.Due(now, 0) {
		imp := turn.Import(app)
		fmt.Println(turn.Host, turn.Tags, imp.Spec.Images[0].From.Name)
		for _, tag := range turn.Tags {
			s.Done(turn.Stream, tag, nil, now)
		}
	}
	next, ok := s.Next()
	fmt.Println(next.Sub(now), ok)
	// Output:
	// quay.io [v1] quay.io/org/app:v1
	// ghcr.io [base] ghcr.io/org/base:1
	// 15m0s true
}

func ExampleScheduler_Cost() {
	s := schedule.New(schedule.Options{TagInterval: func(_ imagestream.Key,
		tag imagestream.TagReference) time.Duration {
		if tag.Name == "v1" {
			return 24 * time.Hour
		}
		return 0
	}})
	s.Set(streamOf("app", map[string]string{"v1": "quay.io/org/app:v1", "latest": "quay.io/org/app:latest",
		"base": "ghcr.io/org/base:1"}), start)
	cost := s.Cost()
	fmt.Printf("%.1f %.1f an hour\n", cost["quay.io"], cost["ghcr.io"])
	// Output: 4.0 4.0 an hour
}

func ExampleScheduler_Upcoming() {
	s := schedule.New(schedule.Options{})
	s.Set(streamOf("app", map[string]string{"v1": "quay.io/org/app:v1", "v2": "quay.io/org/app:v2"}), start)
	for turn := range s.Upcoming() {
		fmt.Println(turn.Stream, turn.Tags, turn.Due.Sub(start) < 15*time.Minute)
	}
	s.Remove(imagestream.Key{Namespace: "shop", Name: "app"})
	fmt.Println(s.Next())
	// Output:
	// shop/app [v1] true
	// shop/app [v2] true
	// 0001-01-01 00:00:00 +0000 UTC false
}

func ExampleScheduler_Done() {
	s := schedule.New(schedule.Options{Jitter: -1})
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	s.Set(streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"}), start)
	now := start.Add(15 * time.Minute)
	for _, err := range []error{
		&importer.RegistryError{Class: importer.ClassUnavailable},
		&importer.RegistryError{Class: importer.ClassUnavailable},
		&importer.RegistryError{Class: importer.ClassTooManyRequests, RetryAfter: time.Hour}, nil,
		&importer.RegistryError{Class: importer.ClassNotFound}, &importer.RegistryError{Class: importer.ClassNotFound},
	} {
		s.Due(now, 0)
		s.Done(app, "v1", err, now)
		next, _ := s.Next()
		fmt.Println(next.Sub(now))
		now = next
	}
	// Output:
	// 1m0s
	// 2m0s
	// 1h0m0s
	// 15m0s
	// 30m0s
	// 1h0m0s
}

// TestNobodyIsForgotten drives a scheduler through hours in which streams come, change, go and fail, a minute at a time.
// No tag is handed out before it is due or twice at a time; each that does not fail has its turn at least every interval
// and a quarter; changes of a stream move nothing.
func TestNobodyIsForgotten(t *testing.T) {
	const interval = 30 * time.Minute
	rapid.Check(t, func(t *rapid.T) {
		s := schedule.New(schedule.Options{Interval: interval})
		type tag struct {
			stream imagestream.Key
			name   string
		}
		last := map[tag]time.Time{} // when it came in, or was handed out
		failing := map[tag]bool{}
		out := map[tag]bool{}
		streams := map[string]map[string]string{}
		now := start
		set := func(name string) {
			stream := streamOf(name, streams[name])
			s.Set(stream, now)
			for of := range last {
				if _, ok := streams[name][of.name]; of.stream == stream.Key() && !ok {
					delete(last, of)
					delete(out, of)
				}
			}
			for name := range streams[name] {
				if _, ok := last[tag{stream.Key(), name}]; !ok {
					last[tag{stream.Key(), name}] = now
				}
			}
		}
		hosts := []string{"a.io", "b.io", "c.io"}
		for minute := range rapid.IntRange(60, 300).Draw(t, "minutes") {
			now = start.Add(time.Duration(minute) * time.Minute)
			for range rapid.IntRange(0, 2).Draw(t, "changes") {
				name := rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "stream")
				tags := streams[name]
				if tags == nil {
					tags = map[string]string{}
					streams[name] = tags
				}
				of := rapid.SampledFrom([]string{"1", "2", "3"}).Draw(t, "tag")
				switch rapid.IntRange(0, 5).Draw(t, "change") {
				case 0:
					delete(tags, of)
				case 1, 2:
					if tags[of] == "" {
						tags[of] = rapid.SampledFrom(hosts).Draw(t, "host") + "/org/" + name + ":" + of
					}
				}
				set(name)
			}
			for _, turn := range s.Due(now, 0) {
				if turn.Due.After(now) {
					t.Fatalf("%+v at %v", turn, now)
				}
				for _, name := range turn.Tags {
					of := tag{turn.Stream, name}
					if out[of] {
						t.Fatalf("%v is handed out twice", of)
					}
					if _, known := last[of]; !known {
						t.Fatalf("%v is gone", of)
					}
					out[of], last[of] = true, now
				}
			}
			for _, of := range slices.SortedFunc(maps.Keys(out),
				func(a, b tag) int { return cmp.Or(a.stream.Compare(b.stream), cmp.Compare(a.name, b.name)) }) {
				if rapid.IntRange(0, 3).Draw(t, "done") > 0 {
					var err error
					if failing[of] = rapid.IntRange(0, 9).Draw(t, "fails") == 0; failing[of] {
						err = &importer.RegistryError{Class: importer.ClassNotFound}
					}
					s.Done(of.stream, of.name, err, now)
					delete(out, of)
					last[of] = now
				}
			}
			for of, at := range last {
				if !out[of] && !failing[of] && now.Sub(at) > interval*5/4 {
					t.Fatalf("%v waits since %v", of, now.Sub(at))
				}
			}
		}
		seen := 0
		var previous time.Time
		for turn := range s.Upcoming() {
			if turn.Due.Before(previous) {
				t.Fatal("what is upcoming is not in order")
			}
			previous = turn.Due
			seen++
		}
		if seen != len(last)-len(out) {
			t.Fatalf("%d are upcoming, %d are known, %d handed out", seen, len(last), len(out))
		}
	})
}

// TestRegistriesAreFair lets one registry have a thousand tags due, and another one.
func TestRegistriesAreFair(t *testing.T) {
	s := schedule.New(schedule.Options{})
	many := map[string]string{}
	for i := range 1000 {
		many[fmt.Sprintf("t%04d", i)] = "a.io/org/app:" + fmt.Sprint(i)
	}
	s.Set(streamOf("many", many), start)
	s.Set(streamOf("one", map[string]string{"v1": "b.io/org/app:v1"}), start)
	now := start.Add(time.Hour)
	hosts := map[string]int{}
	for _, turn := range s.Due(now, 4) {
		hosts[turn.Host] += len(turn.Tags)
	}
	if hosts["a.io"] != 3 || hosts["b.io"] != 1 {
		t.Errorf("4 turns went to %v", hosts)
	}
	handed := 4
	for turns := s.Due(now, 100); len(turns) > 0; turns = s.Due(now, 100) {
		for _, turn := range turns {
			handed += len(turn.Tags)
		}
	}
	if handed != 1001 {
		t.Errorf("%d of 1001 had their turn", handed)
	}
}

// TestQuietRegistry asks to be left alone for an hour: none of its tags is due, those of others are.
func TestQuietRegistry(t *testing.T) {
	s := schedule.New(schedule.Options{Interval: 10 * time.Minute})
	s.Set(streamOf("app", map[string]string{"1": "a.io/x:1", "2": "a.io/x:2", "3": "b.io/x:3"}), start)
	now := start.Add(10 * time.Minute)
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	s.Due(now, 0)
	s.Done(app, "1", fmt.Errorf("import: %w", &importer.RegistryError{Class: importer.ClassTooManyRequests,
		RetryAfter: time.Hour}), now)
	s.Done(app, "2", nil, now)
	s.Done(app, "3", errors.New("something else"), now)
	for minutes := range 60 {
		for _, turn := range s.Due(now.Add(time.Duration(minutes)*time.Minute), 0) {
			if turn.Host == "a.io" {
				t.Fatalf("%v after %d minutes", turn, minutes)
			}
		}
	}
	if due := s.Due(now.Add(time.Hour), 0); len(due) != 1 || len(due[0].Tags) != 2 {
		t.Errorf("after an hour %v", due)
	}
	s.Done(app, "nothing", nil, now)
}

func BenchmarkScheduler(b *testing.B) {
	for _, n := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			s := schedule.New(schedule.Options{})
			for i := range n / 10 {
				tags := map[string]string{}
				for j := range 10 {
					tags[fmt.Sprint(j)] = fmt.Sprintf("registry-%d.io/org/app:%d", i%7, j)
				}
				s.Set(streamOf(fmt.Sprint("app-", i), tags), start)
			}
			b.ReportAllocs()
			for b.Loop() {
				now, _ := s.Next()
				for _, turn := range s.Due(now, 1) {
					s.Done(turn.Stream, turn.Tags[0], nil, now)
				}
			}
		})
	}
}
