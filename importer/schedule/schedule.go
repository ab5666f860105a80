// Package schedule says when tags are imported, and imports them.
//
// A [Scheduler] keeps when each tag is due. A stream that changes often is imported all the same, a tag that has
// to wait keeps its turn, what fails is asked for less often, by what the failure was, and no registry waits
// for another one. It takes the time as an argument and does nothing by itself:
//
//	s.Set(stream, now)                    when a stream is created or changes
//	for _, turn := range s.Due(now, 10)   what to import now
//	s.Done(turn.Stream, tag, err, now)    what came of a tag
//	s.Next()                              when to ask again
//
// A [Loop] does it all, with an importer and a store: it watches streams and imports what they wait for and what
// is due. Each registry has a share of its own, so that one that hangs or asks to be left alone delays nothing
// but its own tags. A store that fails is asked again after a pause, and costs no registry a request.
//
// # Differences from OpenShift
//
// The real controller keeps streams in a wheel of slots: a stream that changes at least once in an interval is
// never imported, and one that is skipped waits for a whole round. It tries a tag that is not scheduled once,
// whatever the failure is; [Options.NoRetry] does the same.
package schedule

import (
	"container/heap"
	"iter"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// Options are the settings of a [Scheduler]. The zero value is fine.
type Options struct {
	// Interval is how long after an import a tag is due again; 0 is 15 minutes, as in the real system.
	Interval time.Duration
	// TagInterval, if not nil, returns the interval of a tag; 0 is Interval.
	TagInterval func(stream imagestream.Key, tag imagestream.TagReference) time.Duration
	// Jitter is the part of an interval by which turns are spread; 0 is a tenth, less than 0 none. It goes by names and
	// turns, not by chance.
	Jitter float64
	// MaxBackoff is the longest that a tag waits that fails; 0 is 6 hours.
	MaxBackoff time.Duration
	// Needs also hands out what streams wait for by [importer.NeedsImport], before anything that is scheduled, and
	// the tags that are not scheduled and whose registry did not answer, with back-off. A [Loop] sets it.
	Needs bool
	// NoRetry does not hand out a tag again that is not scheduled and failed, as in the real system.
	NoRetry bool
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
	// Tags are due, in the order of their names; Due is when the first of them was. What a stream waits for is due an
	// interval before it is asked for.
	Tags []string
	Due  time.Time
	// Whole is the turn of all that a stream needs, its repository too. Its only tag is "".
	Whole bool
}

// Import returns what to import, nil if the stream has none of the tags any more. It is for any version of the stream.
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

// Scheduler keeps when the tags of streams are due. It is not for concurrent use. Each call takes time that grows with the tags
// that it is about, and with the logarithm of all.
type Scheduler struct {
	opts    Options
	share   int // how many turns of a host may be out at a time; 0 is any number
	streams map[imagestream.Key]map[string]*entry
	hosts   map[string]*host
	// waiting has the hosts by when something of them is due, ready those of which something is: the first of them has the
	// next turn.
	waiting hostQueue
	ready   ring
	now     time.Time // of the last turn
	// compared counts the comparisons of tags and hosts, by which a test holds what a turn costs.
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

// Set takes a stream in, as it is now. Tags that are scheduled already keep their time; new ones, and those with another source,
// are due within an interval, spread over it; those that are not scheduled any more are gone.
func (s *Scheduler) Set(stream *imagestream.ImageStream, now time.Time) {
	key := stream.Key()
	wanted := s.wanted(stream) // all that can panic, before anything changes
	have, next := s.streams[key], map[string]*entry{}
	for _, w := range wanted {
		e := have[w.tag]
		if e == nil || e.source != w.source || e.uid != w.uid {
			e = s.add(&w, now)
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

// Remove forgets a stream.
func (s *Scheduler) Remove(stream imagestream.Key) {
	for _, e := range s.streams[stream] {
		s.remove(e)
	}
	delete(s.streams, stream)
}

func (s *Scheduler) add(e *entry, now time.Time) *entry {
	e.host = s.host(e.source)
	e.host.size++
	e.due = now.Add(time.Duration(e.chance() * float64(e.interval)))
	if e.behind {
		e.due = now.Add(-e.interval)
	}
	s.push(e)
	return e
}

// change takes in what a tag has become.
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

// Due hands out what is due, at most so many tags, 0 for all: one registry after the other has a turn, so that none waits for
// another. What is handed out comes again once it is [Scheduler.Done]; what is not keeps its place.
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

// turn hands out all that is due of one stream at one registry, which has one turn of its share less until it is given back.
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

// giveBack ends a turn.
func (s *Scheduler) giveBack(t Turn) {
	h := s.hosts[t.Host]
	h.busy--
	s.settle(h)
}

// stalled puts the tags of a turn back of which nothing came because of the store.
func (s *Scheduler) stalled(t Turn, now time.Time) {
	for _, tag := range t.Tags {
		if e := s.streams[t.Stream][tag]; e != nil && e.place == out {
			e.due = now.Add(e.stalls.next())
			s.push(e)
		}
	}
}

// Done says what came of a tag that was handed out: nil, or why it could not be imported. It is due again after its interval; if
// the registry did not answer, after a minute, and twice as long each time; if it has no such image, or will not show it,
// after twice the interval each time. When a registry asks to be left alone, all its tags wait. A tag that is not scheduled is
// due again only if the registry did not answer.
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
		e.place = parked
		return
	default:
		if jitter := max(s.opts.Jitter, 0); jitter > 0 {
			wait += time.Duration((e.chance() - 0.5) * jitter * float64(wait))
		}
		e.due = now.Add(wait)
	}
	s.push(e)
}

// Next returns when something is due that is not being imported, and whether there is anything. A time that has passed means at
// once.
func (s *Scheduler) Next() (time.Time, bool) {
	if h := s.first(s.now); h != nil {
		return h.when(), true
	}
	if len(s.waiting) == 0 {
		return time.Time{}, false
	}
	return s.waiting[0].when(), true
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
			if !yield(Turn{Stream: e.stream, Host: e.host.name, Tags: []string{e.tag}, Due: e.due, Whole: e.tag == whole}) {
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
			if e.scheduled {
				cost[e.host.name] += float64(time.Hour) / float64(e.interval)
			}
		}
	}
	return cost
}

// push puts a tag among those that wait for their time.
func (s *Scheduler) push(e *entry) {
	heap.Push(e.host, e)
	s.settle(e.host)
}

// pull takes a tag out of those that wait.
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
