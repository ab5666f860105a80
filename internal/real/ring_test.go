package real_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/internal/real"
)

func ExampleReplay() {
	config := real.ScheduleConfig{Interval: 15 * time.Minute, BucketSize: 4, MaxPerMinute: 60}
	imports, left := real.Replay(config, []real.Event{
		{Op: real.Set, Stream: "shop/app"},
		{At: 5 * time.Minute, Op: real.Set, Stream: "shop/new"},
		{At: 30 * time.Minute, Op: real.Delete, Stream: "shop/app"},
	}, time.Hour, nil)
	for _, i := range imports {
		fmt.Println(i.At, i.Streams)
	}
	fmt.Println(left)
	// Output:
	// 11m15s [shop/app]
	// 22m30s [shop/new]
	// 26m15s [shop/app]
	// 37m30s [shop/new]
	// 52m30s [shop/new]
	// [shop/new]
}

func ExampleScheduleConfig_Settings() {
	s := real.ScheduleConfig{Interval: 15 * time.Minute, BucketSize: 4, MaxPerMinute: 60}.Settings()
	fmt.Println(s.Buckets, s.SlotTime, s.PerSecond, s.Burst)
	// Output: 4 3m45s 1 120
}

// TestSlotTime has the settings where the real controller's single precision, and its whole seconds, show.
func TestSlotTime(t *testing.T) {
	for _, tc := range []struct {
		interval time.Duration
		size     int
		want     time.Duration
	}{
		{15 * time.Minute, 4, 225 * time.Second},
		{3599 * time.Second, 16, 224_937 * time.Millisecond},    // 224.9375
		{3601 * time.Second, 8, 225_063 * time.Millisecond},     // 225.0625
		{7 * 24 * time.Hour, 3, 100_799_995 * time.Millisecond}, // 100800
		{10*time.Minute + 999*time.Millisecond, 4, 150 * time.Second},
		{999 * time.Millisecond, 4, 0},
		{time.Minute, 1, 0},
		{time.Minute, -2, 0},
	} {
		if got := (real.ScheduleConfig{Interval: tc.interval,
			BucketSize: tc.size}).Settings().SlotTime; got != tc.want {
			t.Errorf("%v in %d: slots of %v, want %v", tc.interval, tc.size, got, tc.want)
		}
	}
	if imports, left := real.Replay(real.ScheduleConfig{Interval: time.Millisecond, BucketSize: 4},
		[]real.Event{{Op: real.Set, Stream: "shop/app"}}, time.Hour, nil); imports != nil || left != nil {
		t.Errorf("an interval under a second gives %v, %v", imports, left)
	}
}

func ExampleRing() {
	ring := real.NewRing[int](2)
	ring.Add("a", 1)
	ring.Add("b", 2)
	ring.Delay("b")
	fmt.Println(ring.Slots(), ring.Len())
	fmt.Println(ring.Tick(), ring.Tick())
	fmt.Println(ring.RemoveIf("a", 2), ring.RemoveIf("a", 1), ring.Items())
	item, ok := ring.Next()
	fmt.Println(item, ok)
	ring.Remove("b")
	// Output:
	// [[] [] [{a 1} {b 2}]] 2
	// [] []
	// false true [{b 2}]
	// {b 2} true
}

// TestRingLosesNothing compares a ring with a map: each item is in one slot, and comes once in a round.
func TestRingLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		buckets := rapid.IntRange(0, 6).Draw(t, "buckets")
		ring, model := real.NewRing[int](buckets), map[string]int{}
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			key, value := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "key"), rapid.IntRange(0, 2).Draw(t,
				"value")
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				ring.Add(key, value)
				model[key] = value
			case 2:
				ring.Remove(key)
				delete(model, key)
			case 3:
				have, ok := model[key]
				if ring.RemoveIf(key, value) != (!ok || have == value) {
					t.Fatalf("RemoveIf(%s, %d) of %v", key, value, model)
				}
				if have == value {
					delete(model, key)
				}
			case 4:
				ring.Delay(key)
			case 5:
				ring.Tick()
			}
			if ring.Len() != len(model) || len(ring.Items()) != len(model) {
				t.Fatalf("%v, want %v", ring.Slots(), model)
			}
		}
		seen := map[string]int{}
		for range buckets + 1 {
			for _, item := range ring.Tick() {
				seen[item.Key]++
			}
		}
		for key := range model {
			if seen[key] == 0 {
				t.Fatalf("%s did not come in a round of %d slots", key, buckets+1)
			}
		}
	})
}
