// Package schedule says when scheduled tags are imported again.
//
// A [Scheduler] is for new users: each tag has its own time, which nothing but its import moves. A stream that changes often is
// imported all the same, a tag that has to wait keeps its turn, what fails is asked for less often, by what the failure was,
// and no registry waits for another one. It takes the time as an argument and does nothing by itself:
//
//	s.Set(stream, now)                    when a stream is created or changes
//	for _, turn := range s.Due(now, 10)   what to import now
//	s.Done(turn.Stream, tag, err, now)    what came of a tag
//	s.Next()                              when to ask again
//
// A [Loop] does it all, with an importer and a store: it watches streams, imports what they wait for, and what is due.
//
// A [Ring], its [Settings] and [Replay] are what the real controller does: a wheel of slots that goes round once in an interval.
// They are pure, and there to predict or to imitate it. Rules: ops schedule.ops, schedule.options, schedule.timeline.
package schedule

import (
	"cmp"
	"container/heap"
	"errors"
	"hash/fnv"
	"iter"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/importer"
)

// Options are how a [Scheduler] goes about. The zero value is fine.
type Options struct {
	// Interval is how long after an import a tag is due again; 0 is 15 minutes, as the real system has it.
	Interval time.Duration
	// TagInterval, if not nil, is the interval of a tag; 0 is Interval.
	TagInterval func(stream imagestream.Key, tag imagestream.TagReference) time.Duration
	// Jitter is the part of an interval by which turns are spread; 0 is a tenth, less than 0 none. It goes by names and
	// turns, not by chance.
	Jitter float64
	// MaxBackoff is the longest that a tag waits that fails; 0 is 6 hours.
	MaxBackoff time.Duration
}

const (
	defaultInterval   = 15 * time.Minute
	defaultJitter     = 0.1
	defaultMaxBackoff = 6 * time.Hour
	// firstRetry is how long a tag waits whose registry did not answer.
	firstRetry = time.Minute
)

// Turn is what is due of a stream at one registry.
type Turn struct {
	Stream imagestream.Key
	Host   string
	// Tags are due, in order of their names; Due is when the first of them was.
	Tags []string
	Due  time.Time
}

// Import returns what to import, nil if the stream has none of the tags any more.
func (t Turn) Import(stream *imagestream.ImageStream) *imagestream.ImageStreamImport {
	return importer.ImportOf(stream, t.Tags...)
}

// Scheduler keeps when the tags of streams are due. It is not for concurrent use. Each call takes time that grows with the tags
// that it is about, and with the logarithm of all.
type Scheduler struct {
	opts    Options
	streams map[imagestream.Key]map[string]*entry
	hosts   map[string]*host
	order   []string // the hosts by name
	first   int      // whose turn it is to be first
}

// entry is a tag.
type entry struct {
	stream   imagestream.Key
	tag      string
	source   string
	host     *host
	interval time.Duration
	due      time.Time
	turns    uint64 // that it had
	failures int    // in a row
	place    int    // in the heap; -1 while it is being imported
}

// host is a registry, with its tags by when they are due.
type host struct {
	name  string
	tags  []*entry
	quiet time.Time // until when it wants to be left alone
	size  int       // of all its tags
}

func (h *host) Len() int           { return len(h.tags) }
func (h *host) Less(i, j int) bool { return before(h.tags[i], h.tags[j]) }
func (h *host) Swap(i, j int) {
	h.tags[i], h.tags[j] = h.tags[j], h.tags[i]
	h.tags[i].place, h.tags[j].place = i, j
}
func (h *host) Push(x any) {
	e := x.(*entry)
	e.place = len(h.tags)
	h.tags = append(h.tags, e)
}
func (h *host) Pop() any {
	last := h.tags[len(h.tags)-1]
	h.tags[len(h.tags)-1] = nil
	h.tags = h.tags[:len(h.tags)-1]
	last.place = -1
	return last
}

func before(a, b *entry) bool {
	return cmp.Or(a.due.Compare(b.due), a.stream.Compare(b.stream), cmp.Compare(a.tag, b.tag)) < 0
}

// New returns a scheduler without streams.
func New(opts Options) *Scheduler {
	opts.Interval = cmp.Or(opts.Interval, defaultInterval)
	opts.Jitter = cmp.Or(opts.Jitter, defaultJitter)
	opts.MaxBackoff = cmp.Or(opts.MaxBackoff, defaultMaxBackoff)
	return &Scheduler{opts: opts, streams: map[imagestream.Key]map[string]*entry{}, hosts: map[string]*host{}}
}

// Set takes a stream in, as it is now. Tags that are scheduled already keep their time; new ones, and those with another source,
// are due within an interval, spread over it; those that are not scheduled any more are gone.
func (s *Scheduler) Set(stream *imagestream.ImageStream, now time.Time) {
	key := stream.Key()
	have, next := s.streams[key], map[string]*entry{}
	for _, tag := range stream.Spec.Tags {
		latest, _ := stream.LatestEvent(tag.Name)
		if !importer.IsScheduled(tag, latest) {
			continue
		}
		interval := s.opts.Interval
		if s.opts.TagInterval != nil {
			interval = cmp.Or(s.opts.TagInterval(key, tag), interval)
		}
		e := have[tag.Name]
		if e == nil || e.source != tag.From.Name {
			e = s.add(&entry{stream: key, tag: tag.Name, source: tag.From.Name, interval: interval}, now)
		} else {
			delete(have, tag.Name)
		}
		e.interval = interval
		next[tag.Name] = e
	}
	for _, gone := range have {
		s.remove(gone)
	}
	if len(next) > 0 {
		s.streams[key] = next
	} else {
		delete(s.streams, key)
	}
}

// Remove forgets a stream.
func (s *Scheduler) Remove(stream imagestream.Key) {
	for _, e := range s.streams[stream] {
		s.remove(e)
	}
	delete(s.streams, stream)
}

func (s *Scheduler) add(e *entry, now time.Time) *entry {
	name := hostOf(e.source)
	h := s.hosts[name]
	if h == nil {
		h = &host{name: name}
		s.hosts[name] = h
		i, _ := slices.BinarySearch(s.order, name)
		s.order = slices.Insert(s.order, i, name)
	}
	h.size++
	e.host = h
	e.due = now.Add(time.Duration(e.chance() * float64(e.interval)))
	heap.Push(h, e)
	return e
}

func (s *Scheduler) remove(e *entry) {
	if e.place >= 0 {
		heap.Remove(e.host, e.place)
	}
	if e.host.size--; e.host.size == 0 {
		delete(s.hosts, e.host.name)
		s.order = slices.DeleteFunc(s.order, func(name string) bool { return name == e.host.name })
	}
}

// hostOf returns the registry of a pull spec.
func hostOf(source string) string {
	r, err := pullspec.Parse(source)
	if err != nil {
		return ""
	}
	return r.DockerClientDefaults().Registry
}

// chance is a number from 0 to 1 for this turn of the tag.
func (e *entry) chance() float64 {
	h := fnv.New64a()
	for _, part := range []string{e.stream.Namespace, e.stream.Name, e.tag, string(rune(e.turns))} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	x := h.Sum64()
	x ^= x >> 33 // the lower bits of neighbours differ, the upper ones hardly
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}

// Due hands out what is due, at most so many tags, 0 for all: one registry after the other has a turn, so that none waits for
// another. What is handed out comes again once it is [Scheduler.Done]; what is not keeps its place.
func (s *Scheduler) Due(now time.Time, most int) []Turn {
	var turns []Turn
	type group struct {
		stream imagestream.Key
		host   string
	}
	places := map[group]int{}
	handed := 0
	hosts := slices.Concat(s.order[s.first%max(len(s.order), 1):], s.order[:s.first%max(len(s.order), 1)])
	for len(hosts) > 0 {
		hosts = slices.DeleteFunc(hosts, func(name string) bool {
			h := s.hosts[name]
			if most > 0 && handed >= most || len(h.tags) == 0 || h.tags[0].due.After(now) || h.quiet.After(now) {
				return true
			}
			e := heap.Pop(h).(*entry)
			handed++
			key := group{e.stream, name}
			at, ok := places[key]
			if !ok {
				at = len(turns)
				places[key] = at
				turns = append(turns, Turn{Stream: e.stream, Host: name, Due: e.due})
			}
			turns[at].Tags = append(turns[at].Tags, e.tag)
			return false
		})
	}
	s.first++ // who came first comes last
	for i := range turns {
		slices.Sort(turns[i].Tags)
	}
	return turns
}

// Done says what came of a tag that was handed out: nil, or why it could not be imported. It is due again after its interval; if
// the registry did not answer, after a minute, and twice as long each time; if it has no such image, or will not show it,
// after twice the interval each time. When a registry asks to be left alone, all its tags wait.
func (s *Scheduler) Done(stream imagestream.Key, tag string, err error, now time.Time) {
	e := s.streams[stream][tag]
	if e == nil || e.place >= 0 {
		return
	}
	e.turns++
	wait := e.interval
	if err == nil {
		e.failures = 0
	} else {
		wait = s.backoff(e, err, now)
	}
	if jitter := max(s.opts.Jitter, 0); jitter > 0 {
		wait += time.Duration((e.chance() - 0.5) * jitter * float64(wait))
	}
	e.due = now.Add(wait)
	heap.Push(e.host, e)
}

func (s *Scheduler) backoff(e *entry, err error, now time.Time) time.Duration {
	first := 2 * e.interval
	var failure *importer.RegistryError
	if errors.As(err, &failure) {
		if failure.IsTemporary() {
			first = min(firstRetry, e.interval)
		}
		if until := now.Add(failure.RetryAfter); failure.RetryAfter > 0 && until.After(e.host.quiet) {
			e.host.quiet = until
		}
	}
	wait := first
	for range e.failures {
		if wait *= 2; wait > s.opts.MaxBackoff {
			break
		}
	}
	e.failures++
	return min(wait, max(s.opts.MaxBackoff, e.interval))
}

// Next returns when something is due that is not being imported, and whether there is anything.
func (s *Scheduler) Next() (time.Time, bool) {
	var next time.Time
	found := false
	for _, h := range s.hosts {
		if len(h.tags) == 0 {
			continue
		}
		due := h.tags[0].due
		if h.quiet.After(due) {
			due = h.quiet
		}
		if !found || due.Before(next) {
			next, found = due, true
		}
	}
	return next, found
}

// Upcoming yields each tag with when it is due, the next first, as things are now.
func (s *Scheduler) Upcoming() iter.Seq[Turn] {
	return func(yield func(Turn) bool) {
		var all []*entry
		for _, h := range s.hosts {
			all = append(all, h.tags...)
		}
		slices.SortFunc(all, func(a, b *entry) int {
			if before(a, b) {
				return -1
			}
			return 1
		})
		for _, e := range all {
			if !yield(Turn{Stream: e.stream, Host: e.host.name, Tags: []string{e.tag}, Due: e.due}) {
				return
			}
		}
	}
}

// Cost returns how many tags are asked for in an hour, by registry, while nothing fails: so many HEAD requests if nothing
// changes either.
func (s *Scheduler) Cost() map[string]float64 {
	cost := map[string]float64{}
	for _, tags := range s.streams {
		for _, e := range tags {
			cost[e.host.name] += float64(time.Hour) / float64(e.interval)
		}
	}
	return cost
}
