package imagestream_test

import (
	"encoding/json"
	"runtime"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

// cost returns how many allocations and bytes one call of f takes, whole ones: the runtime's own, now and then, do not count.
func cost(f func()) (allocs, bytes float64) {
	const runs = 10
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	f()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / runs), float64((after.TotalAlloc - before.TotalAlloc) / runs)
}

func within(t *testing.T, what string, allocs, bytes, maxAllocs, maxBytes float64) {
	t.Helper()
	if allocs > maxAllocs || bytes > maxBytes {
		t.Errorf("%s: %.0f allocations, %.0f bytes; at most %.0f and %.0f", what, allocs, bytes, maxAllocs, maxBytes)
	}
}

// TestUpdateCost pins what an update of one tag costs. The spec tags are copied when one of them gets a new generation, 88 bytes each;
// untouched tags cost nothing else.
func TestUpdateCost(t *testing.T) {
	measure := func(n int) (user, internal float64) {
		old := large(n)
		next := old.Clone()
		next.Spec.Tags[n/2].From.Name = "registry.example.com/org/app:moved"
		pushed, _ := old.Push(old.Spec.Tags[n/2].Name, at(1))
		update := func(prepare func(old, next *imagestream.ImageStream, env imagestream.Env) (*imagestream.ImageStream, imagestream.ErrorList),
			next *imagestream.ImageStream,
		) float64 {
			allocs, bytes := cost(func() {
				if _, errs := prepare(old, next, imagestream.Env{Now: now}); len(errs) > 0 {
					t.Fatal(errs)
				}
			})
			within(t, "update", allocs, bytes, 22, 4096+96*float64(n))
			return bytes
		}
		return update(imagestream.PrepareUpdate, next), update(imagestream.PrepareUpdateInternal, pushed)
	}
	user, internal := measure(1000)
	if internal > 64<<10 {
		t.Errorf("a push to one tag of 1,000 takes %.0f bytes", internal)
	}
	userLarge, internalLarge := measure(10000)
	if userLarge > 11*user || internalLarge > 11*internal {
		t.Errorf("bytes grow from %.0f and %.0f to %.0f and %.0f with ten times the tags", user, internal, userLarge, internalLarge)
	}
}

func TestJSONCost(t *testing.T) {
	s := large(100)
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	allocs, bytes := cost(func() {
		var s imagestream.ImageStream
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
	})
	within(t, "decode 100 tags", allocs, bytes, 4300, 1<<20)
	allocs, bytes = cost(func() {
		if _, err := json.Marshal(s); err != nil {
			t.Fatal(err)
		}
	})
	within(t, "encode 100 tags", allocs, bytes, 1550, 2<<20)
}

func TestLookupsDoNotAllocate(t *testing.T) {
	s := large(100)
	name := s.Spec.Tags[70].Name
	if n := testing.AllocsPerRun(100, func() {
		tag, ok := s.SpecTag(name)
		h, found := s.History(name)
		event, _ := s.LatestEvent(name)
		if !ok || !found || tag.From == nil || h.ObservedGeneration() == 0 || event.Image == "" {
			t.Fatal("not found")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
