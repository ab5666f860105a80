package schedule

import (
	"context"
	"fmt"
	"time"
)

// ask asks the ledger for the turn of a job, and reports whether there is something to import.
func (r *running) ask(ctx context.Context, j *job) (mine bool, err error) {
	switch {
	case r.Ledger == nil:
		return true, nil
	case j.claim != nil:
		return true, j.lost(ctx)
	}
	claim, err := r.Ledger.Claim(ctx, j.stream, j.turn)
	if err != nil {
		return false, fmt.Errorf("claim the turn: %w", err)
	}
	j.turn.Tags, j.others = claim.Tags, claim.Others
	if len(claim.Tags) == 0 {
		return false, nil
	}
	j.claim = claim
	return true, nil
}

// context is what the job is imported under.
func (j *job) context(ctx context.Context) context.Context {
	if j.claim == nil {
		return ctx
	}
	return j.claim.Context
}

// lost returns an error if the job has a claim that ended for another reason than ctx.
func (j *job) lost(ctx context.Context) error {
	if j.claim == nil || j.claim.Context.Err() == nil || ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("the claim of the turn was lost: %w", context.Cause(j.claim.Context))
}

// record ends the claim of a job with the states that its tags have now.
func (r *running) record(j *job) {
	states := map[string]TagState{}
	for _, tag := range j.turn.Tags {
		if state, ok := r.scheduler.State(j.turn.Stream, tag); ok {
			states[tag] = state
		}
	}
	r.finish(j, states)
}

// finish ends the claim of a job, if it has one, in a goroutine of its own. The job may be used again at once.
func (r *running) finish(j *job, states map[string]TagState) {
	claim, stream := j.claim, j.turn.Stream
	if claim == nil {
		return
	}
	j.claim = nil
	r.recording++
	r.all.Go(func() {
		err := guard(func() error { return claim.Finish(states) })
		if err != nil && states == nil {
			err = nil // the turn comes again when its claim ends
		} else if err != nil {
			err = fmt.Errorf("record the turn of image stream %s: %w", stream, err)
		}
		r.recorded <- err
	})
}

func (r *running) hasRecorded(err error) {
	r.recording--
	if err != nil {
		r.report(err)
	}
}

// drain waits for the jobs that are under way, at most as long as Drain says, and aborts them then. It gives back the
// turns of those that are not done.
func (r *running) drain(abort func()) {
	timer := time.NewTimer(max(r.Drain, 0))
	defer timer.Stop()
	aborted := false
	for {
		for _, j := range r.pending {
			r.finish(j, nil)
		}
		r.pending = nil
		if r.busy+r.recording == 0 {
			return
		}
		select {
		case res := <-r.results:
			if aborted && res.err != nil {
				r.busy--
				r.finish(res.job, nil)
			} else {
				r.finished(res)
			}
		case err := <-r.recorded:
			r.hasRecorded(err)
		case <-timer.C:
			aborted = true
			abort()
		}
	}
}
