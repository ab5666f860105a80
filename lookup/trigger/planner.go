package trigger

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// Options say how a [Planner] plans. The zero value is fine.
type Options struct {
	// Settings are those of the image streams; the planner uses the internal registry.
	Settings imagestream.Settings
	// AtOnce is how many objects may be on their way at a time, AtOncePerNamespace how many of one namespace; 0 is any
	// number.
	AtOnce, AtOncePerNamespace int
	// Settle is how long a step that was undone, or that comes again, is held back at first; 0 is 10 minutes. It doubles
	// with each time that the same happens again.
	Settle time.Duration
}

const (
	defaultSettle = 10 * time.Minute
	firstRetry    = time.Second
	maxRetry      = 5 * time.Minute
	maxSettle     = 24 * time.Hour
)

// Planner plans for many objects at once. It is level-triggered: what it wants depends on the objects and the streams
// that it was given last. It takes the time as an argument, does nothing by itself, and is not for concurrent use.
//
//	p.SetObject(object)              when an object is created or changes, or is seen again
//	p.SetStream(stream)              the same for an image stream
//	round := p.Plan(now)             what to write now, and who waits
//	p.Done(update.ID, object, err)   what came of an update, with the object as it was written
//
// A round costs time for the objects that follow a tag that moved, that changed themselves, or that wait; the others
// are not looked at. An object gets one update for any number of moved tags, and never one that changes nothing.
//
// Arguments are kept, and must not be changed any more.
type Planner struct {
	index Index
	opts  Options
	env   imagestream.Env
	dirty []*entry
	// wanting are the objects that want to change, busy those that are on their way.
	wanting, busy map[*entry]bool
	pinned        map[imagestream.Key]bool
}

// NewPlanner returns a planner without objects and streams.
func NewPlanner(opts Options) *Planner {
	opts.Settle = cmp.Or(opts.Settle, defaultSettle)
	return &Planner{
		opts: opts, env: imagestream.Env{Settings: opts.Settings, Streams: map[imagestream.Key]*imagestream.ImageStream{}},
		wanting: map[*entry]bool{}, busy: map[*entry]bool{}, pinned: map[imagestream.Key]bool{},
	}
}

// state is what a planner remembers of an object.
type state struct {
	dirty bool
	plan  Plan
	since time.Time // when it began to want to change
	steps []step    // that were made, the last one last
	// flight is the update that was given out; nil if there is none.
	flight   *step
	rolled   bool // it was updated, and may be on its way
	unseen   bool // it was updated, and not seen since
	failures int
	failed   error // what came of the last update
	stale    bool  // the last failure was a conflict, and the object was not set since
	retry    time.Time
}

// Round is what to do now.
type Round struct {
	// Updates are to be written, in this order: whoever waits longest is first, by the name among those that wait equally
	// long.
	Updates []Update
	// Waiting are the objects that want to change and may not, in the same order, and those among the ones looked at in
	// this round of which a tag does not resolve, or whose triggers cannot be followed.
	Waiting []Waiting
	// Next is when to plan again even if nothing happens; zero is never.
	Next time.Time
}

// Update is what is to be written of one object: changes, or a build to instantiate.
type Update struct {
	ID ID
	// Object is the object that was planned for. [lookup.Apply] makes the changed one of it.
	Object  map[string]any
	Changes []lookup.Change
	Build   *BuildRequest
}

// Waiting is an object that stays as it is.
type Waiting struct {
	ID  ID
	Why lookup.Why
	// Until is when it will be looked at again, zero if that is not known.
	Until time.Time
	// Path is the loop that it is in, from the object back to it, with [lookup.WhyLoop].
	Path []string
	// Tag is the tag that does not resolve, where that is the reason.
	Tag string
	// Err is what is wrong with its triggers, with [lookup.WhyBroken]; what came of its last update, with
	// [lookup.WhyFailed].
	Err error
}

// SetObject takes in an object as it is now. One that is older than what is known, by uid and generation, is
// ignored. Errors are those of [Of]; the object is then reported as waiting, and changes no more.
func (p *Planner) SetObject(object map[string]any) error {
	e := p.index.objects[IDOf(object)]
	if e != nil {
		same := metadata(e.object, "uid") == metadata(object, "uid")
		if same && generationOf(object) < generationOf(e.object) {
			return e.err
		}
		if !same {
			p.forget(e)
		}
	}
	next := p.index.set(object)
	if next == nil {
		if e != nil {
			p.forget(e)
		}
		return nil
	}
	p.touch(next)
	next.unseen = false
	if next.stale {
		next.stale, next.failures, next.retry = false, next.failures-1, time.Time{}
	}
	for _, place := range next.follows {
		if len(place.tag.objects) == 1 {
			p.resolve(place.tag)
		}
	}
	return next.err
}

// DeleteObject forgets an object.
func (p *Planner) DeleteObject(id ID) {
	if e := p.index.objects[id]; e != nil {
		p.forget(e)
		p.index.Delete(id)
	}
}

// forget drops what is remembered of an object.
func (p *Planner) forget(e *entry) {
	delete(p.wanting, e)
	delete(p.busy, e)
	*e.state = state{dirty: e.dirty}
}

// SetStream takes in an image stream as it is now.
func (p *Planner) SetStream(s *imagestream.ImageStream) {
	key := s.Key()
	p.env.Streams[key] = s
	delete(p.pinned, key)
	if s.Metadata.Annotations[imagestream.PinsAnnotation] != "" {
		p.pinned[key] = true
	}
	p.refresh(key)
}

// DeleteStream forgets an image stream.
func (p *Planner) DeleteStream(key imagestream.Key) {
	delete(p.env.Streams, key)
	delete(p.pinned, key)
	p.refresh(key)
}

// refresh resolves the tags of a stream that are followed, and touches the objects that follow those that moved.
func (p *Planner) refresh(key imagestream.Key) {
	s := p.index.streams[key]
	if s == nil {
		return
	}
	for _, f := range s.tags {
		if p.resolve(f) {
			for _, o := range f.objects {
				p.touch(o.object)
			}
		}
	}
}

// resolve reports whether a tag resolves to something else than before.
func (p *Planner) resolve(f *followers) bool {
	image, ok := p.resolver().resolve(f.stream.Namespace, f.name)
	moved := ok != f.ok || image.PullSpec != f.image
	f.image, f.ok = image.PullSpec, ok
	return moved
}

func (p *Planner) resolver() resolver { return resolver{env: &p.env, careful: true} }

// touch makes the next round look at an object.
func (p *Planner) touch(e *entry) {
	if e.state == nil {
		e.state = &state{}
	}
	if !e.dirty {
		e.dirty = true
		p.dirty = append(p.dirty, e)
	}
}

// Done tells what came of an update. Without an error it was written, and the object is now as given; nil stands for
// the object as it was planned, and what takes time to roll out is on its way then until it is set again. An error
// makes it wait, longer each time; one of class [imagestream.ErrConflict] only until the object is set as it is now.
func (p *Planner) Done(id ID, written map[string]any, err error) {
	e := p.index.objects[id]
	if e == nil || e.flight == nil {
		return
	}
	made := *e.flight
	e.flight = nil
	if err == nil {
		e.steps, e.rolled, e.failures, e.stale = record(e.steps, made), made.build == nil, 0, false
		unseen := written == nil
		if unseen {
			written = made.apply(e.object, p.env)
		}
		_ = p.SetObject(written) // what is wrong with it is said in the next round
		e.unseen = unseen && rolls(written)
	} else {
		e.failures++
		e.failed = err
		e.stale = errors.Is(err, imagestream.ErrConflict)
		e.retry = made.at.Add(min(firstRetry<<min(e.failures-1, 20), maxRetry))
	}
	p.touch(e)
}

// Plan returns what to write now.
func (p *Planner) Plan(now time.Time) Round {
	p.env.Now = now
	for key := range p.pinned {
		p.refresh(key)
	}
	var round Round
	for _, e := range p.dirty {
		if p.index.objects[e.id] == e {
			p.look(e, now, &round)
		}
		e.dirty = false
	}
	p.dirty = p.dirty[:0]
	slices.SortFunc(round.Waiting, func(a, b Waiting) int { return a.ID.Compare(b.ID) })
	p.give(now, &round)
	for key := range p.pinned {
		pins, _ := p.env.Streams[key].Pins()
		for _, pin := range pins {
			if !pin.Until.IsZero() {
				round.next(pin.Until.Time(), now)
			}
		}
	}
	return round
}

// next makes the next round be at a time, or sooner.
func (r *Round) next(at, now time.Time) {
	if at.After(now) && (r.Next.IsZero() || at.Before(r.Next)) {
		r.Next = at
	}
}

// look plans for an object.
func (p *Planner) look(e *entry, now time.Time, round *Round) {
	delete(p.wanting, e)
	if e.rolled = e.rolled && (e.unseen || isRolling(e.object)); !e.rolled && e.flight == nil {
		delete(p.busy, e)
	}
	err := e.err
	if err == nil {
		e.plan, err = planFor(e.object, p.resolver())
	}
	switch {
	case err != nil:
		round.Waiting = append(round.Waiting, Waiting{ID: e.id, Why: lookup.WhyBroken, Err: err})
	case !e.plan.IsEmpty():
		p.wanting[e] = true
		if e.since.IsZero() {
			e.since = now
		}
		return
	case len(e.plan.Unresolved) > 0:
		u := e.plan.Unresolved[0]
		round.Waiting = append(round.Waiting, Waiting{ID: e.id, Why: u.Why, Tag: tagKey{u.Stream, u.Tag}.String()})
	}
	e.since = time.Time{}
}

// give gives out the updates that may be written.
func (p *Planner) give(now time.Time, round *Round) {
	if len(p.wanting) == 0 {
		return
	}
	queue := slices.SortedFunc(maps.Keys(p.wanting), func(a, b *entry) int {
		return cmp.Or(a.since.Compare(b.since), a.id.Compare(b.id))
	})
	room := p.room()
	for _, e := range queue {
		w := p.obstacle(e, now)
		if w.Why == "" && !p.busy[e] && !room.take(e.id.Namespace) {
			w.Why = lookup.WhyBudget
		}
		if w.Why != "" {
			w.ID = e.id
			round.Waiting = append(round.Waiting, w)
			round.next(w.Until, now)
			continue
		}
		p.busy[e] = true
		e.flight = &step{at: now, changes: e.plan.Changes, build: e.plan.Build}
		u := Update{ID: e.id, Object: e.object, Changes: e.plan.Changes, Build: e.plan.Build}
		round.Updates = append(round.Updates, u)
	}
}

// obstacle returns why an object may not change now; it has no Why if it may.
func (p *Planner) obstacle(e *entry, now time.Time) Waiting {
	switch {
	case e.flight != nil:
		return Waiting{Why: lookup.WhyBusy}
	case IsHeld(e.object):
		return Waiting{Why: lookup.WhyHeld}
	case e.retry.After(now):
		return Waiting{Why: lookup.WhyFailed, Until: e.retry, Err: e.failed}
	}
	if path := p.loop(e); path != nil {
		return Waiting{Why: lookup.WhyLoop, Path: path}
	}
	why, until := comesAgain(e.steps, step{changes: e.plan.Changes, build: e.plan.Build}, p.opts.Settle)
	if until.After(now) {
		return Waiting{Why: why, Until: until}
	}
	return Waiting{}
}

// room is how many more objects may be on their way.
type room struct {
	opts  Options
	all   int
	names map[string]int
}

func (p *Planner) room() *room {
	r := &room{opts: p.opts, names: map[string]int{}}
	for e := range p.busy {
		r.all++
		r.names[e.id.Namespace]++
	}
	return r
}

// take takes a place for an object of a namespace, if there is one.
func (r *room) take(namespace string) bool {
	if most := r.opts.AtOnce; most > 0 && r.all >= most {
		return false
	}
	if most := r.opts.AtOncePerNamespace; most > 0 && r.names[namespace] >= most {
		return false
	}
	r.all++
	r.names[namespace]++
	return true
}
