package real

import (
	"maps"
	"math"
	"slices"
	"time"
)

// Item is what a ring keeps: a key with a value.
type Item[V comparable] struct {
	Key   string `json:"key"`
	Value V      `json:"value"`
}

// Ring is a wheel of slots. What is in the current slot is handed out, and goes to the end of the wheel again. The
// zero Ring has one slot. It is not for concurrent use.
type Ring[V comparable] struct {
	slots    []map[string]V
	position int
}

// NewRing returns an empty ring with one slot more than buckets. Source: op schedule.ops.
func NewRing[V comparable](buckets int) *Ring[V] {
	return &Ring[V]{slots: make([]map[string]V, max(buckets, 0)+1)}
}

// at returns the place of the slot that is n after the current one.
func (r *Ring[V]) at(n int) int {
	if len(r.slots) == 0 {
		r.slots = make([]map[string]V, 1)
	}
	return ((r.position+n)%len(r.slots) + len(r.slots)) % len(r.slots)
}

func (r *Ring[V]) put(slot int, key string, value V) {
	if r.slots[slot] == nil {
		r.slots[slot] = map[string]V{}
	}
	r.slots[slot][key] = value
}

// Add puts a key into an empty slot, the last of the wheel if it can be, never the current one; if there is none,
// into the one with the fewest items. Where the key was, it is gone.
func (r *Ring[V]) Add(key string, value V) {
	best := r.at(-1)
	r.Remove(key)
	for n := 1; n < len(r.slots); n++ {
		slot := r.at(-n)
		if len(r.slots[slot]) == 0 {
			best = slot
			break
		}
		if len(r.slots[slot]) < len(r.slots[best]) {
			best = slot
		}
	}
	r.put(best, key, value)
}

// Remove removes a key.
func (r *Ring[V]) Remove(key string) {
	for _, slot := range r.slots {
		delete(slot, key)
	}
}

// RemoveIf removes a key if it has that value, and reports whether it is gone.
func (r *Ring[V]) RemoveIf(key string, value V) bool {
	for _, slot := range r.slots {
		if have, ok := slot[key]; ok {
			if have != value {
				return false
			}
			delete(slot, key)
		}
	}
	return true
}

// Delay moves a key that is there to the end of the wheel.
func (r *Ring[V]) Delay(key string) {
	for _, slot := range r.slots {
		if value, ok := slot[key]; ok {
			delete(slot, key)
			r.put(r.at(-1), key, value)
			return
		}
	}
}

// Next hands out an item of the current slot, the first by key, which moves to the end of the wheel. If there is
// none, the wheel turns, and the caller is to wait for one slot's time.
func (r *Ring[V]) Next() (Item[V], bool) {
	current := r.at(0)
	if len(r.slots[current]) == 0 {
		r.position = r.at(1)
		return Item[V]{}, false
	}
	key := slices.Min(slices.Collect(maps.Keys(r.slots[current])))
	item := Item[V]{key, r.slots[current][key]}
	delete(r.slots[current], key)
	r.put(r.at(-1), key, item.Value)
	return item, true
}

// Tick hands out all items of the current slot, and turns the wheel.
func (r *Ring[V]) Tick() []Item[V] {
	current := r.at(0)
	items := sorted(r.slots[current])
	r.slots[current] = nil
	for _, item := range items {
		r.put(r.at(-1), item.Key, item.Value)
	}
	if len(r.slots) > 1 {
		r.position = r.at(1)
	}
	return items
}

// Slots returns what is in the slots, from the current one on, sorted by key.
func (r *Ring[V]) Slots() [][]Item[V] {
	r.at(0)
	all := make([][]Item[V], len(r.slots))
	for n := range all {
		all[n] = sorted(r.slots[r.at(n)])
	}
	return all
}

// Items returns all items, sorted by key.
func (r *Ring[V]) Items() []Item[V] {
	all := map[string]V{}
	for _, slot := range r.slots {
		maps.Copy(all, slot)
	}
	return sorted(all)
}

// Len returns how many items there are.
func (r *Ring[V]) Len() int {
	n := 0
	for _, slot := range r.slots {
		n += len(slot)
	}
	return n
}

func sorted[V comparable](slot map[string]V) []Item[V] {
	items := make([]Item[V], 0, len(slot))
	for _, key := range slices.Sorted(maps.Keys(slot)) {
		items = append(items, Item[V]{key, slot[key]})
	}
	return items
}

// ScheduleConfig is how a cluster sets its schedule up. Its defaults are 15 minutes, 4 and 60.
type ScheduleConfig struct {
	Interval time.Duration
	// BucketSize is how many slots an interval of ordinary length has.
	BucketSize int
	// MaxPerMinute is how many streams are imported in a minute; 0 or less is any number.
	MaxPerMinute int
}

// ScheduleSettings are what the real controller makes of a ScheduleConfig.
type ScheduleSettings struct {
	// Buckets is how many slots the wheel goes on in an interval; it has one more.
	Buckets int
	// SlotTime is how long a slot is current, to the millisecond; 0 if there are no buckets, or the interval is under
	// a second.
	SlotTime time.Duration
	// PerSecond and Burst limit how many streams are imported; both are 0 if nothing does.
	PerSecond float64
	Burst     int
}

// ScheduleSettings returns what the real controller makes of c: twice the buckets for intervals over an hour, half of
// them under ten minutes. Source: op schedule.options.
func (c ScheduleConfig) Settings() ScheduleSettings {
	s := ScheduleSettings{Buckets: c.BucketSize}
	switch {
	case c.Interval > time.Hour:
		s.Buckets *= 2
	case c.Interval < 10*time.Minute:
		s.Buckets /= 2
	}
	if seconds := float32(c.Interval / time.Second); s.Buckets > 0 && seconds > 0 {
		// Upstream quirk (schedule-438): a rate of single precision, of whole seconds.
		perSecond := 1 / seconds * float32(s.Buckets)
		s.SlotTime = time.Duration(math.Round(1000/float64(perSecond))) * time.Millisecond
	}
	if c.MaxPerMinute > 0 {
		s.PerSecond, s.Burst = float64(c.MaxPerMinute)/60, 2*c.MaxPerMinute
	}
	return s
}
