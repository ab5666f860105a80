package real

import (
	"cmp"
	"slices"
	"time"
)

// Event is what happens to a stream at a time.
type Event struct {
	At     time.Duration // from the start of the controller
	Op     Op
	Stream string
	// Unscheduled tells, of a stream that is set, that no tag of it is scheduled any more.
	Unscheduled bool
}

// Op is what happens to a stream.
type Op string

// What happens: a stream is created or changed, deleted, or imported for another reason.
const (
	Set      Op = "set"
	Delete   Op = "delete"
	Imported Op = "imported"
)

// ScheduledImport is what the controller imports at a time.
type ScheduledImport struct {
	At      time.Duration
	Streams []string
}

// Replay says what the real controller imports until a time, and which streams it has then. Streams whose import
// fails stay, but those that drops says are dropped. Events must be in order. Source: op schedule.timeline.
func Replay(
	c ScheduleConfig, events []Event, until time.Duration, drops func(stream string) bool,
) (imports []ScheduledImport, left []string) {
	s := c.Settings()
	p := player{ring: NewRing[string](s.Buckets), settings: s, tokens: float64(s.Burst),
		unscheduled: map[string]bool{}, drops: drops}
	if s.SlotTime == 0 {
		return nil, nil // it goes round without an end, and imports nothing in time
	}
	events = slices.Clone(events)
	slices.SortStableFunc(events, func(a, b Event) int { return cmp.Compare(a.At, b.At) })
	// The first wait is over at once, so the first two slots come at the start.
	for turn := -1; ; turn++ {
		now := time.Duration(max(turn, 0)) * s.SlotTime
		for len(events) > 0 && events[0].At <= now {
			if events[0].At <= until {
				p.happens(events[0])
			}
			events = events[1:]
		}
		if now > until {
			break
		}
		p.turn(now)
	}
	for _, item := range p.ring.Items() {
		left = append(left, item.Key)
	}
	return p.imports, left
}

// player plays the controller.
type player struct {
	ring        *Ring[string]
	settings    ScheduleSettings
	tokens      float64
	refilled    time.Duration
	unscheduled map[string]bool
	drops       func(string) bool
	imports     []ScheduledImport
}

func (p *player) happens(e Event) {
	switch {
	case e.Op == Delete:
		p.ring.Remove(e.Stream)
	case e.Op == Imported:
		p.ring.Delay(e.Stream)
	default:
		p.unscheduled[e.Stream] = e.Unscheduled
		if !e.Unscheduled {
			p.ring.Add(e.Stream, e.Stream)
		}
	}
}

// turn imports what is in the current slot.
func (p *player) turn(now time.Duration) {
	done := ScheduledImport{At: now}
	for _, item := range p.ring.Tick() {
		switch {
		case p.unscheduled[item.Key]:
			p.ring.Remove(item.Key)
			continue
		case !p.take(now):
			continue
		case p.drops != nil && p.drops(item.Key):
			p.ring.Remove(item.Key)
		}
		done.Streams = append(done.Streams, item.Key)
	}
	if len(done.Streams) > 0 {
		p.imports = append(p.imports, done)
	}
}

// take reports whether the limit on imports lets one through.
func (p *player) take(now time.Duration) bool {
	if p.settings.Burst == 0 {
		return true
	}
	p.tokens = min(float64(p.settings.Burst), p.tokens+(now-p.refilled).Seconds()*p.settings.PerSecond)
	p.refilled = now
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}
