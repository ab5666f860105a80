package schedule

import (
	"maps"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// TagState is what a [Scheduler] knows about a tag and its stream does not tell. Another scheduler can go on with it.
type TagState struct {
	// Generation is that of the spec tag at its last turn, or -1 if it had none.
	Generation int64 `json:"generation"`
	// Due is when the tag has its next turn. The zero time means never, unless its spec changes or schedules it. For all
	// that a stream needs, which has no generation, it is when the stream may ask for that again.
	Due time.Time `json:"due,omitzero"`
	// Turns counts turns, and Failures those that failed since one succeeded.
	Turns    uint64 `json:"turns"`
	Failures int    `json:"failures,omitempty"`
}

// State returns the state of a tag, and false if the tag is unknown, is handed out or never had a turn.
func (s *Scheduler) State(stream imagestream.Key, tag string) (TagState, bool) {
	e := s.streams[stream][tag]
	if e == nil || e.place == out || e.asked == neverAsked {
		return TagState{}, false
	}
	state := TagState{Generation: e.asked, Turns: e.turns, Failures: e.failures}
	if e.place != parked || e.tag == whole {
		state.Due = later(e.due, e.host.quiet).Round(0)
	}
	return state, true
}

// Resume gives back a tag that was handed out and has the given state, because another scheduler had its turn. If the
// stream waits for a newer generation of the tag, the tag is due at once.
func (s *Scheduler) Resume(stream imagestream.Key, tag string, state TagState, now time.Time) {
	if e := s.streams[stream][tag]; e != nil && e.place == out {
		s.resume(e, state, now)
	}
}

func (s *Scheduler) resume(e *entry, state TagState, now time.Time) {
	e.asked, e.turns, e.failures = state.Generation, state.Turns, state.Failures
	switch {
	case e.isNew():
		e.failures, e.due = 0, now.Add(-e.interval)
	case state.Due.IsZero() && !e.scheduled:
		e.place = parked
		return
	case state.Due.IsZero():
		e.due = now.Add(e.interval)
	default:
		e.due = state.Due
	}
	s.push(e)
}

// Record has the states of the tags of one stream at one registry. It is what a [Ledger] keeps. Its methods do not
// change it. The zero Record knows nothing.
type Record struct {
	// UID is that of the stream. Nothing here holds for another stream of the same name.
	UID  string              `json:"uid"`
	Tags map[string]TagState `json:"tags"`
}

// Recall returns the state of a tag, and whether there is one.
func (r Record) Recall(stream *imagestream.ImageStream, tag string) (TagState, bool) {
	if r.UID != stream.Metadata.UID {
		return TagState{}, false
	}
	state, ok := r.Tags[tag]
	return state, ok
}

// Divide returns the tags of turn that are due at the time now, and the states of its other tags. A tag is due if it
// has no state, if its time has come, if the stream waits for a newer generation of it, or if it became scheduled
// since.
func (r Record) Divide(
	stream *imagestream.ImageStream, turn Turn, now time.Time,
) (due []string, others map[string]TagState) {
	behind := behind(stream)
	others = map[string]TagState{}
	for _, tag := range turn.Tags {
		state, ok := r.Recall(stream, tag)
		isNew := behind[tag] && generationOf(stream, tag) > state.Generation
		hasCome := !now.Before(state.Due)
		if state.Due.IsZero() {
			hasCome = isScheduled(stream, tag)
		}
		if !ok || isNew || hasCome {
			due = append(due, tag)
		} else {
			others[tag] = state
		}
	}
	return due, others
}

// Hold returns states of tags that another process imports now. They are asked for again at a time.
func (r Record) Hold(stream *imagestream.ImageStream, tags []string, again time.Time) map[string]TagState {
	states := map[string]TagState{}
	for _, tag := range tags {
		state, _ := r.Recall(stream, tag)
		state.Generation, state.Due = generationOf(stream, tag), again
		states[tag] = state
	}
	return states
}

// With returns the record with states of tags of stream. It forgets tags that the stream no longer has.
func (r Record) With(stream *imagestream.ImageStream, states map[string]TagState) Record {
	next := Record{UID: stream.Metadata.UID, Tags: map[string]TagState{}}
	for tag := range r.Tags {
		state, ok := r.Recall(stream, tag)
		if _, has := stream.SpecTag(tag); ok && (has || tag == whole) {
			next.Tags[tag] = state
		}
	}
	maps.Copy(next.Tags, states)
	return next
}

// behind returns the tags that stream waits for. If it needs all of them and its repository, that is the tag whole.
func behind(stream *imagestream.ImageStream) map[string]bool {
	tags := map[string]bool{}
	imp := importer.NeedsImport(stream).Import
	switch {
	case imp == nil:
	case imp.Spec.Repository != nil:
		tags[whole] = true
	default:
		for _, image := range imp.Spec.Images {
			tags[image.To.Name] = true
		}
	}
	return tags
}

// isScheduled reports whether a tag is due again and again.
func isScheduled(stream *imagestream.ImageStream, tag string) bool {
	spec, ok := stream.SpecTag(tag)
	history, _ := stream.History(tag)
	latest, _ := history.Latest()
	return ok && importer.IsScheduled(spec, latest)
}

// generationOf returns the generation of a spec tag, or noGeneration.
func generationOf(stream *imagestream.ImageStream, tag string) int64 {
	if t, ok := stream.SpecTag(tag); ok && t.Generation != nil {
		return *t.Generation
	}
	return noGeneration
}
