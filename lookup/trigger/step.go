package trigger

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// step is an update that was given out, or made.
type step struct {
	at      time.Time
	changes []lookup.Change
	build   *BuildRequest
	times   int // in which it was made, if it was made again
}

// keptSteps is how many steps of an object are remembered.
const keptSteps = 4

// same reports whether two steps lead from the same images to the same images.
func (s *step) same(o *step) bool {
	if (s.build == nil) != (o.build == nil) || !slices.EqualFunc(s.changes, o.changes, func(a, b lookup.Change) bool {
		return a.Path == b.Path && a.From == b.From && a.To == b.To
	}) {
		return false
	}
	return s.build == nil || slices.EqualFunc(s.build.TriggeredBy, o.build.TriggeredBy, func(a, b BuildCause) bool {
		one, other := a.ImageChangeBuild, b.ImageChangeBuild
		return one.ImageID == other.ImageID && *one.FromRef == *other.FromRef
	})
}

// apply returns the object as it is after the step.
func (s *step) apply(object map[string]any, env imagestream.Env) map[string]any {
	if s.build == nil {
		return lookup.Apply(object, s.changes)
	}
	entries, err := Instantiate(object, s.build.From, s.build.TriggeredByImage, env)
	if err != nil {
		return object // it was changed meanwhile; what the server records is what counts
	}
	text, _ := json.Marshal(entries) // texts and times
	var list []any
	_ = json.Unmarshal(text, &list)
	return with(object, list, "status", "imageChangeTriggers")
}

// record returns steps with one more.
func record(steps []step, made step) []step {
	i := slices.IndexFunc(steps, func(s step) bool { return s.same(&made) })
	made.times = 1
	if i >= 0 {
		if made.at.Sub(steps[i].at) < maxSettle {
			made.times += steps[i].times
		}
		steps = slices.Delete(slices.Clone(steps), i, i+1)
	}
	steps = append(slices.Clip(steps), made)
	return steps[max(0, len(steps)-keptSteps):]
}

// comesAgain returns until when a step is held back that was made before. If it is the last one, somebody has undone
// it: it is made once more at once. If others came after it, its tag goes to and fro. Each further time takes twice as
// long.
func comesAgain(steps []step, next step, settle time.Duration) (why lookup.Why, until time.Time) {
	i := slices.IndexFunc(steps, func(s step) bool { return s.same(&next) })
	if i < 0 {
		return "", time.Time{}
	}
	made := &steps[i]
	why, free := lookup.WhyFlapping, 0
	if i == len(steps)-1 {
		why = lookup.WhyUndone
		if made.build == nil {
			free = 1 // a build is not undone, only not recorded yet
		}
	}
	if made.times <= free {
		return why, time.Time{}
	}
	return why, made.at.Add(min(settle<<min(made.times-free-1, 20), maxSettle))
}
