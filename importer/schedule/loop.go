package schedule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// Loop keeps the streams of a store imported, as the controllers of a cluster do. It imports at once what a stream
// needs when it is created or changes, and scheduled tags by a [Scheduler]. Only Importer must be set.
type Loop struct {
	// Importer imports into the streams of its Engine's Store.
	Importer *importer.Importer
	// Options are the options of the Scheduler. Needs is always set.
	Options Options
	// Namespace is the namespace of the streams; "" is all.
	Namespace string
	// PerHost is how many streams are imported from one registry at a time; 0 is 4. Registries do not share this
	// number, so that one that hangs takes nothing from the others. Each import makes [importer.Importer.Concurrency]
	// requests at a time; a polite.Limit around the Importer's Registry bounds them all.
	PerHost int
	// Ledger, if not nil, is asked before each import, and keeps when tags are due.
	Ledger Ledger
	// Drain is how long imports that are under way may go on after the context of Run has ended; 0 ends them at once.
	Drain time.Duration
	// Imported, if not nil, is called after each import with its answer, or with an error. The error of a panic is an
	// [*importer.Panic]. It is not called for an import that is made again because somebody else wrote meanwhile.
	Imported func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error)
	// Failed, if not nil, is called with each failure of the store or the Ledger: of a list, of a watch, of a claim, and
	// of an import's reads and writes, which are tried again. Imported and Failed are called one at a time.
	Failed func(err error)
}

const defaultPerHost = 4

// Run runs until ctx ends and returns its error. If the first list of streams fails, Run returns that error; it
// reports later failures to Failed and goes on. When ctx ends, Run begins no import, and gives those that are under way
// the time Drain; then it ends them. When it returns, none of its goroutines is left, and all claims are finished.
func (l *Loop) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	work, abort := context.WithCancel(context.WithoutCancel(ctx))
	options := l.Options
	options.Needs = true
	if l.Ledger != nil {
		options.Recall = l.Ledger.Recall
	}
	r := &running{
		Loop: l, scheduler: New(options), streams: map[imagestream.Key]*imagestream.ImageStream{},
		changes: make(chan change), results: make(chan result), reports: make(chan error), recorded: make(chan error),
	}
	r.scheduler.share = cmp.Or(max(l.PerHost, 0), defaultPerHost)
	defer r.all.Wait()
	defer abort()
	defer stop()
	ended := make(chan error, 1)
	r.all.Go(func() { ended <- r.follow(ctx) })
	for {
		r.start(work)
		timer := time.NewTimer(r.pause())
		select {
		case err := <-ended:
			timer.Stop()
			r.drain(abort)
			return err
		case c := <-r.changes:
			r.changed(c)
		case done := <-r.results:
			r.finished(done)
		case err := <-r.recorded:
			r.hasRecorded(err)
		case err := <-r.reports:
			r.report(err)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// running is a Loop that runs. One goroutine does everything but follow and work. Times are those of time.Now, whose
// monotonic part makes them independent of the wall clock.
type running struct {
	*Loop
	all       sync.WaitGroup
	scheduler *Scheduler
	streams   map[imagestream.Key]*imagestream.ImageStream
	changes   chan change
	results   chan result
	reports   chan error
	recorded  chan error // an error, or nil, of each claim that was finished
	busy      int        // jobs that are under way
	recording int        // claims that are being finished

	store   storeState
	pending []*job // fetched but not written, by the time of the next attempt
}

// job is the import of a turn.
type job struct {
	turn    Turn
	waits   bool // it waits for the store, and no longer counts against the share of its registry
	stream  *imagestream.ImageStream
	session *importer.Session // once it is fetched
	fetched time.Time
	stalls  backoff
	until   time.Time           // the next attempt
	claim   *Claim              // nil if there is no ledger, or nothing to import
	others  map[string]TagState // of tags that are not this loop's to import now
	// probes means that a failing store is tried with it, and fresh that it also has to be fetched for that.
	probes, fresh bool
}

// result is the outcome of a job.
type result struct {
	*job
	done *imagestream.ImageStreamImport
	err  error
	// store reports whether err is a failure of the store.
	store bool
}

func (r *running) report(err error) {
	if r.Failed != nil {
		r.Failed(err)
	}
}

func (r *running) changed(c change) {
	if c.all == nil {
		r.set(c.key, c.stream)
		return
	}
	for key := range r.streams {
		if c.all[key] == nil {
			r.set(key, nil)
		}
	}
	for key, stream := range c.all {
		r.set(key, stream)
	}
}

// set updates a stream, or removes it if stream is nil.
func (r *running) set(key imagestream.Key, stream *imagestream.ImageStream) {
	if stream == nil {
		delete(r.streams, key)
		delete(r.store.suspects, key)
		r.scheduler.Remove(key)
		return
	}
	r.streams[key] = stream
	err := guard(func() error {
		r.scheduler.Set(stream, time.Now())
		return nil
	})
	if err != nil {
		r.scheduler.Remove(key)
		if r.Imported != nil {
			r.Imported(key, nil, err)
		}
	}
}

// guard calls do, and returns a panic as an error.
func guard(do func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p, ok := v.(*importer.Panic)
			if !ok {
				p = &importer.Panic{Value: v, Stack: debug.Stack()}
			}
			err = p
		}
	}()
	return do()
}

// start starts all jobs that may begin.
func (r *running) start(ctx context.Context) {
	for {
		j := r.next(time.Now())
		if j == nil {
			return
		}
		r.busy++
		r.all.Go(func() {
			r.results <- r.work(ctx, j)
		})
	}
}

// next returns a job that may begin, or nil. Jobs that only have to be written come first.
func (r *running) next(now time.Time) *job {
	failing := r.store.failures > 0
	if failing && r.store.until.After(now) {
		return nil
	}
	if len(r.pending) > 0 && !r.pending[0].until.After(now) && !r.store.probed {
		j := r.pending[0]
		r.pending = r.pending[1:]
		j.probes = failing
		r.store.probed = failing
		return j
	}
	if failing && len(r.pending) > 0 && now.Sub(r.store.fresh) < betweenFresh {
		return nil
	}
	turn, ok := r.scheduler.turn(now)
	if !ok {
		return nil
	}
	if failing {
		r.store.fresh = now
		r.store.until = now.Add(r.store.failures.wait())
	}
	return &job{turn: turn, stream: r.streams[turn.Stream], fresh: failing}
}

// work does what is left to do of a job.
func (r *running) work(ctx context.Context, j *job) (res result) {
	res.job = j
	res.err = guard(func() error {
		mine, err := r.ask(ctx, j)
		if err != nil {
			res.store = true
			return err
		}
		if !mine {
			return nil
		}
		ctx := j.context(ctx)
		if j.session == nil {
			imp := j.turn.Import(j.stream)
			if imp == nil {
				return nil
			}
			session, err := r.Importer.Begin(ctx, imp)
			if err != nil {
				res.store = isStores(err)
				return err
			}
			if err := session.Fetch(ctx); err != nil {
				return err
			}
			j.session, j.fetched = session, time.Now()
		}
		done, err := j.session.Write(ctx)
		if err != nil {
			res.store = isStores(err)
			return err
		}
		res.done = done
		return nil
	})
	if err := j.lost(ctx); err != nil && res.err != nil {
		j.session, res.store, res.err = nil, true, err
	}
	return res
}

// isStores reports whether an error of reading or writing a stream is a failure of the store, and not about the stream.
func isStores(err error) bool {
	for _, class := range []error{imagestream.ErrInvalid, imagestream.ErrNotFound, imagestream.ErrConflict,
		imagestream.ErrTooLarge} {
		if errors.Is(err, class) {
			return false
		}
	}
	return true
}

// finished handles the outcome of a job.
func (r *running) finished(res result) {
	now := time.Now()
	r.busy--
	if res.probes {
		r.store.probed = false
	}
	if !res.waits {
		r.scheduler.giveBack(res.turn)
	}
	for tag, state := range res.others {
		r.scheduler.Resume(res.turn.Stream, tag, state, now)
	}
	res.others = nil
	if res.store {
		r.stalled(res, now)
		return
	}
	if res.done != nil || res.err == nil && r.Ledger != nil {
		r.store.answered(res.turn.Stream)
	}
	if errors.Is(res.err, imagestream.ErrConflict) { // one of the tags may have another source now
		r.scheduler.stalled(res.turn, now)
		r.finish(res.job, nil)
		return
	}
	failures := map[string]error{}
	if res.done != nil {
		for _, e := range importer.Failures(res.done) {
			failures[e.Tag] = e
		}
	}
	for _, tag := range res.turn.Tags {
		err := res.err
		if err == nil {
			err = failures[tag]
		}
		r.scheduler.Done(res.turn.Stream, tag, err, now)
	}
	r.record(res.job)
	if r.Imported != nil && (res.done != nil || res.err != nil) {
		r.Imported(res.turn.Stream, res.done, res.err)
	}
}

// stalled handles a job that failed because of the store. What was fetched is kept for an interval, and only written
// again.
func (r *running) stalled(res result, now time.Time) {
	r.store.failed(res.turn.Stream, res.probes || res.fresh, now)
	res.probes, res.fresh = false, false
	r.report(fmt.Errorf("import of image stream %s: %w", res.turn.Stream, res.err))
	if res.session == nil || now.Sub(res.fetched) > r.scheduler.opts.Interval {
		r.scheduler.stalled(res.turn, now)
		r.finish(res.job, nil)
		return
	}
	j := res.job
	j.until, j.waits = now.Add(j.stalls.next()), true
	at, _ := slices.BinarySearchFunc(r.pending, j.until,
		func(p *job, until time.Time) int { return p.until.Compare(until) })
	r.pending = slices.Insert(r.pending, at, j)
}

// pause returns how long there is nothing to do.
func (r *running) pause() time.Duration {
	const longest = time.Hour
	now := time.Now()
	wake := now.Add(longest)
	if next, ok := r.scheduler.Next(); ok && next.Before(wake) {
		wake = next
	}
	if r.store.failures > 0 && len(r.pending) > 0 {
		wake = later(wake, r.store.fresh.Add(betweenFresh))
	}
	if len(r.pending) > 0 && !r.store.probed && r.pending[0].until.Before(wake) {
		wake = r.pending[0].until
	}
	if r.store.failures > 0 {
		wake = later(wake, r.store.until)
	}
	return max(wake.Sub(now), 0)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
