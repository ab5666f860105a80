// Package schedule decides when tags are imported, and imports them.
//
// A [Scheduler] knows when each tag is due. Changes of a stream do not delay its tags, a tag that fails is due later
// by the class of its failure, and registries do not wait for each other. It takes the time as an argument and does
// no I/O:
//
//	s.Set(stream, now)                    a stream was created or changed
//	for _, turn := range s.Due(now, 10)   what to import now
//	s.Done(turn.Stream, tag, err, now)    a tag was imported, or failed
//	s.Next()                              when to call Due again
//
// A [Loop] uses it with an importer: it watches the streams of a store, and imports what they need and what is due.
// Each registry has its own share of imports, so that one that hangs or asks to wait delays its own tags only. If the
// store fails, the loop pauses, and writes later what it has fetched.
//
// A [Ledger] lets loops of several processes divide the work, and lets a loop go on where an earlier one ended. Without
// one, a loop begins by spreading the scheduled tags over an interval.
//
// # Differences from OpenShift
//
// The real controller has a ring of slots. A stream that changes at least once in an interval is never imported, and a
// stream that is skipped waits for a whole round. A tag that is not scheduled is tried once, whatever its failure
// is, as with [Options.NoRetry].
package schedule

import (
	"container/heap"
	"iter"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// Options are the options of a [Scheduler]. The zero value is valid.
type Options struct {
	// Interval is how long after an import a tag is due again; 0 is 15 minutes, as in the real system.
	Interval time.Duration
	// TagInterval, if not nil, returns the interval of a tag; 0 is Interval.
	TagInterval func(stream imagestream.Key, tag imagestream.TagReference) time.Duration
	// Jitter is the part of an interval by which turns are spread; 0 is a tenth, and less than 0 is none. It depends on
	// names and turns, and is not random.
	Jitter float64
	// MaxBackoff is the longest time until a tag that failed is due again; 0 is 6 hours.
	MaxBackoff time.Duration
	// Needs includes tags that are not scheduled: those that a stream waits for by [importer.NeedsImport], which come
	// first, and those whose registry did not answer, with back-off. A [Loop] sets it.
	Needs bool
	// Recall, if not nil, returns the [TagState] of a tag that is new to the scheduler, and whether there is one.
	Recall func(stream *imagestream.ImageStream, tag string) (TagState, bool)
	// NoRetry leaves a tag that is not scheduled alone after a failure, as the real system does.
	NoRetry bool
}

const (
	defaultInterval   = 15 * time.Minute
	defaultJitter     = 0.1
	defaultMaxBackoff = 6 * time.Hour
	// firstRetry is the first back-off of a tag whose registry did not answer.
	firstRetry = time.Minute
)

// Turn has the tags of one stream that are due at one registry.
type Turn struct {
	Stream imagestream.Key
	Host   string
	// Tags are sorted by name. Due is when the first of them was due. A tag that the stream waits for is due an
	// interval before the change, so that it comes first.
	Tags []string
	Due  time.Time
	// Whole means that the stream needs all its tags and its repository. Tags is then [""].
	Whole bool
}

// Import returns the import for any resource version of the stream, or nil if the stream no longer has the tags.
func (t Turn) Import(stream *imagestream.ImageStream) *imagestream.ImageStreamImport {
	if !t.Whole {
		return importer.ImportOf(stream, t.Tags...)
	}
	imp := importer.NeedsImport(stream).Import
	if imp != nil {
		imp.Metadata.ResourceVersion = ""
	}
	return imp
}

// Scheduler knows when the tags of streams are due. It is not for concurrent use. The cost of a call grows with the
// number of tags that it concerns, and with the logarithm of the number of all tags.
type Scheduler struct {
	opts    Options
	share   int // how many turns of a host may be out at a time; 0 is no limit
	streams map[imagestream.Key]map[string]*entry
	hosts   map[string]*host
	// waiting has the hosts by the time when one of their tags is due. ready has those with a tag that is due; the
	// first of them has the next turn.
	waiting hostQueue
	ready   ring
	now     time.Time // of the last turn
	// compared counts comparisons of tags and hosts. A test bounds the cost of a turn by it.
	compared uint64
}

// New returns a scheduler without streams.
func New(opts Options) *Scheduler {
	if opts.Interval == 0 {
		opts.Interval = defaultInterval
	}
	if opts.Jitter == 0 {
		opts.Jitter = defaultJitter
	}
	if opts.MaxBackoff == 0 {
		opts.MaxBackoff = defaultMaxBackoff
	}
	return &Scheduler{opts: opts, streams: map[imagestream.Key]map[string]*entry{}, hosts: map[string]*host{}}
}

// Set adds or updates a stream. Tags that are scheduled already keep their time. New ones, and those with another
// source, are due when [Options.Recall] says, or within an interval, spread over it. Tags that are no longer scheduled
// are removed.
func (s *Scheduler) Set(stream *imagestream.ImageStream, now time.Time) {
	key := stream.Key()
	wanted := s.wanted(stream) // before anything changes, because it may panic
	have, next := s.streams[key], map[string]*entry{}
	for _, w := range wanted {
		e := have[w.tag]
		if e == nil || e.source != w.source || e.uid != w.uid {
			e = s.add(stream, &w, now)
		} else {
			delete(have, w.tag)
			s.change(e, &w, now)
		}
		next[w.tag] = e
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

// Remove removes a stream.
func (s *Scheduler) Remove(stream imagestream.Key) {
	for _, e := range s.streams[stream] {
		s.remove(e)
	}
	delete(s.streams, stream)
}

func (s *Scheduler) add(stream *imagestream.ImageStream, e *entry, now time.Time) *entry {
	e.host = s.host(e.source)
	e.host.size++
	e.place = parked
	if s.opts.Recall != nil {
		if state, ok := s.opts.Recall(stream, e.tag); ok {
			s.resume(e, state, now)
			return e
		}
	}
	e.due = now.Add(time.Duration(e.chance() * float64(e.interval)))
	if e.behind {
		e.due = now.Add(-e.interval)
	}
	s.push(e)
	return e
}

// change updates a tag.
func (s *Scheduler) change(e, w *entry, now time.Time) {
	e.interval, e.scheduled, e.behind, e.generation = w.interval, w.scheduled, w.behind, w.generation
	switch {
	case e.place == out:
	case e.isNew():
		s.pull(e)
		e.failures, e.due = 0, now.Add(-e.interval)
		s.push(e)
	case e.scheduled && e.place == parked:
		e.due = now.Add(e.interval)
		s.push(e)
	}
}

func (s *Scheduler) remove(e *entry) {
	s.pull(e)
	e.host.size--
	s.settle(e.host)
}

// Due returns the tags that are due, at most so many; 0 is all. Registries take turns, so that none waits for
// another. A tag that is returned is due again only after [Scheduler.Done].
func (s *Scheduler) Due(now time.Time, most int) []Turn {
	var turns []Turn
	type group struct {
		stream imagestream.Key
		host   string
		whole  bool
	}
	places := map[group]int{}
	for handed := 0; most <= 0 || handed < most; handed++ {
		h := s.first(now)
		if h == nil {
			break
		}
		e := h.tags[0]
		s.handOut(e)
		s.had(h)
		key := group{e.stream, h.name, e.tag == whole}
		at, ok := places[key]
		if !ok {
			at = len(turns)
			places[key] = at
			turns = append(turns, Turn{Stream: e.stream, Host: h.name, Due: e.due, Whole: e.tag == whole})
		}
		turns[at].Tags = append(turns[at].Tags, e.tag)
	}
	for i := range turns {
		slices.Sort(turns[i].Tags)
	}
	return turns
}

// turn returns all tags of one stream that are due at one registry. The turn counts against the share of the registry
// until giveBack.
func (s *Scheduler) turn(now time.Time) (Turn, bool) {
	h := s.first(now)
	if h == nil {
		return Turn{}, false
	}
	e := h.tags[0]
	t := Turn{Stream: e.stream, Host: h.name, Due: e.due, Whole: e.tag == whole, Tags: []string{e.tag}}
	s.handOut(e)
	for _, other := range s.streams[e.stream] {
		if !t.Whole && other.host == h && other.place >= 0 && other.tag != whole && !other.due.After(now) {
			t.Tags = append(t.Tags, other.tag)
			s.handOut(other)
		}
	}
	slices.Sort(t.Tags)
	h.busy++
	s.had(h)
	return t, true
}

// giveBack ends a turn for its registry.
func (s *Scheduler) giveBack(t Turn) {
	h := s.hosts[t.Host]
	h.busy--
	s.settle(h)
}

// stalled makes the tags of a turn due again with back-off, because the store failed.
func (s *Scheduler) stalled(t Turn, now time.Time) {
	for _, tag := range t.Tags {
		if e := s.streams[t.Stream][tag]; e != nil && e.place == out {
			e.due = now.Add(e.stalls.next())
			s.push(e)
		}
	}
}

// Done reports the outcome of a tag that was handed out: nil, or why it could not be imported. A scheduled tag is due
// again after its interval. If the registry did not answer, the tag is due after a minute, and twice that after each
// further failure; after any other failure, after twice the interval, doubled each time. All tags of a registry wait
// for its RetryAfter. A tag that is not scheduled is due again only if the registry did not answer.
func (s *Scheduler) Done(stream imagestream.Key, tag string, err error, now time.Time) {
	e := s.streams[stream][tag]
	if e == nil || e.place != out {
		return
	}
	e.turns++
	e.stalls = 0
	wait := e.interval
	if err == nil {
		e.failures = 0
	} else {
		wait = s.backoff(e, err, now)
	}
	switch {
	case e.isNew():
		e.due = now.Add(-e.interval)
	case !e.scheduled && (err == nil || s.opts.NoRetry || !isTemporary(err)):
		e.place, e.due = parked, now.Add(e.interval)
		return
	default:
		if jitter := max(s.opts.Jitter, 0); jitter > 0 {
			wait += time.Duration((e.chance() - 0.5) * jitter * float64(wait))
		}
		e.due = now.Add(wait)
	}
	s.push(e)
}

// Next returns when the next tag is due, and whether there is one. A time in the past means at once.
func (s *Scheduler) Next() (time.Time, bool) {
	if h := s.first(s.now); h != nil {
		return h.when(), true
	}
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	return s.waiting[0].when(), true
}

// Upcoming yields a turn for each tag that waits, the next one first.
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
			if !yield(Turn{Stream: e.stream, Host: e.host.name, Tags: []string{e.tag}, Due: e.due,
				Whole: e.tag == whole}) {
				return
			}
		}
	}
}

// Cost returns the number of scheduled imports of tags in an hour by registry, if nothing fails. If nothing changes,
// each is one HEAD request.
func (s *Scheduler) Cost() map[string]float64 {
	cost := map[string]float64{}
	for _, tags := range s.streams {
		for _, e := range tags {
			if e.scheduled {
				cost[e.host.name] += float64(time.Hour) / float64(e.interval)
			}
		}
	}
	return cost
}

// push adds a tag to those that wait.
func (s *Scheduler) push(e *entry) {
	heap.Push(e.host, e)
	s.settle(e.host)
}

// pull removes a tag from those that wait.
func (s *Scheduler) pull(e *entry) {
	if e.place >= 0 {
		heap.Remove(e.host, e.place)
	}
	e.place = parked
}

func (s *Scheduler) handOut(e *entry) {
	s.pull(e)
	e.place, e.asked = out, e.generation
}
