package schedule

import (
	"cmp"
	"container/heap"
	"time"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// host is a registry with its tags, the next one that is due first.
type host struct {
	scheduler *Scheduler
	name      string
	tags      []*entry
	quiet     time.Time // it must not be asked before
	size      int       // of all its tags
	busy      int       // turns that are out
	// place is the place in the queue of waiting hosts, or -1. next and previous are the neighbours in the ring of
	// hosts that are ready, or nil.
	place          int
	next, previous *host
}

func (h *host) Len() int { return len(h.tags) }
func (h *host) Less(i, j int) bool {
	h.scheduler.compared++
	return before(h.tags[i], h.tags[j])
}
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
	return last
}

// when returns when the first tag is due and the host may be asked.
func (h *host) when() time.Time {
	if len(h.tags) == 0 || h.quiet.After(h.tags[0].due) {
		return h.quiet
	}
	return h.tags[0].due
}

// hostQueue is a heap of hosts by their times.
type hostQueue []*host

func (q hostQueue) Len() int { return len(q) }
func (q hostQueue) Less(i, j int) bool {
	q[i].scheduler.compared++
	return cmp.Or(q[i].when().Compare(q[j].when()), cmp.Compare(q[i].name, q[j].name)) < 0
}
func (q hostQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].place, q[j].place = i, j
}
func (q *hostQueue) Push(x any) {
	h := x.(*host)
	h.place = len(*q)
	*q = append(*q, h)
}
func (q *hostQueue) Pop() any {
	last := (*q)[len(*q)-1]
	(*q)[len(*q)-1] = nil
	*q = (*q)[:len(*q)-1]
	last.place = -1
	return last
}

// ring has the hosts that take turns.
type ring struct{ first *host }

// add adds a host as the last one.
func (r *ring) add(h *host) {
	if r.first == nil {
		r.first, h.next, h.previous = h, h, h
		return
	}
	last := r.first.previous
	last.next, h.previous = h, last
	h.next, r.first.previous = r.first, h
}

func (r *ring) remove(h *host) {
	if h.next == h {
		r.first = nil
	} else {
		h.previous.next, h.next.previous = h.next, h.previous
		if r.first == h {
			r.first = h.next
		}
	}
	h.next, h.previous = nil, nil
}

// host returns the registry of a pull spec.
func (s *Scheduler) host(source string) *host {
	name := hostOf(source)
	h := s.hosts[name]
	if h == nil {
		h = &host{scheduler: s, name: name, place: -1}
		s.hosts[name] = h
	}
	return h
}

func hostOf(source string) string {
	r, err := pullspec.Parse(source)
	if err != nil {
		return ""
	}
	return r.DockerClientDefaults().Registry
}

// first returns the host that has the next turn, or nil if nothing is due.
func (s *Scheduler) first(now time.Time) *host {
	s.now = now
	for len(s.waiting) > 0 && !s.waiting[0].when().After(now) {
		h := heap.Pop(&s.waiting).(*host)
		s.settle(h)
	}
	for s.ready.first != nil && s.ready.first.when().After(now) { // the caller's clock went back
		s.settle(s.ready.first)
	}
	return s.ready.first
}

// had ends the turn of a host.
func (s *Scheduler) had(h *host) {
	s.ready.remove(h)
	s.settle(h)
}

// settle moves a host that changed to its place: into the ring if it is ready, else into the queue, or nowhere while
// its share is used up. A host without tags is kept until it may be asked again, and then removed.
func (s *Scheduler) settle(h *host) {
	isQuiet := h.quiet.After(s.now)
	isFull := s.share > 0 && h.busy >= s.share
	isReady := len(h.tags) > 0 && !isFull && !h.when().After(s.now)
	waits := !isReady && !isFull && (len(h.tags) > 0 || isQuiet)
	if h.next != nil && !isReady {
		s.ready.remove(h)
	}
	switch {
	case waits && h.place >= 0:
		heap.Fix(&s.waiting, h.place)
	case waits:
		heap.Push(&s.waiting, h)
	case h.place >= 0:
		heap.Remove(&s.waiting, h.place)
	}
	if isReady && h.next == nil {
		s.ready.add(h)
	}
	if h.size == 0 && h.busy == 0 && !isQuiet {
		delete(s.hosts, h.name)
	}
}
