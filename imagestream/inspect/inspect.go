// Package inspect answers everyday questions about image streams, with small pure functions. They change no
// argument. What changes a stream is in package edit.
//
// # What does a tag point at
//
// [PullSpec] tells what to pull for a tag, and which event that is: the image that people asked for, or another
// one, from the places that one prefers. [At] is the event that was the newest at a time, [Holding] every tag and
// event that holds an image, [Follow] where a tag that follows others ends.
//
// # Is it done
//
// [TagState] tells pending from done from failed, and why. [Diff] lists what is different in a newer stream.
//
// # Why
//
// [Explain] tells why a tag points where it does, and what would change that.
//
// # Differences from OpenShift
//
// The API has none of these questions; each client answers them for itself. [PullSpec] with StandIn does what
// the clients do that come with it.
package inspect

import (
	"cmp"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Phase is how far a tag has come.
type Phase string

const (
	// Missing: the stream does not have the tag.
	Missing Phase = "Missing"
	// Pending: what the spec asks for is neither there nor has it failed.
	Pending Phase = "Pending"
	// Failed: the last import failed, for the generation that the spec asks for.
	Failed Phase = "Failed"
	// Done: the tag points at what the spec asks for.
	Done Phase = "Done"
)

// State is how far a tag has come, and why.
type State struct {
	Phase Phase
	// Reason and Message are those of the failed import.
	Reason, Message string
	// Generation is what the spec asks for, Observed what the status accounts for.
	Generation, Observed int64
}

// TagState returns how far a tag has come. A tag without a source is done when something was pushed to it;
// one that comes from a stream is done when it points at anything.
func TagState(s *imagestream.ImageStream, tag string) State {
	tag = cmp.Or(tag, pullspec.DefaultTag)
	spec, inSpec := s.SpecTag(tag)
	h, inStatus := s.History(tag)
	state := State{Observed: h.ObservedGeneration()}
	if spec.Generation != nil {
		state.Generation = *spec.Generation
	}
	c, failed := h.Condition(tagevent.ImportSuccess)
	imported := inSpec && spec.From != nil && spec.From.Kind == imagestream.KindDockerImage && !spec.Reference
	switch {
	case !inSpec && !inStatus:
		state.Phase = Missing
	case imported && state.Generation > state.Observed:
		state.Phase = Pending
	case failed && c.Status == tagevent.ConditionFalse:
		state.Phase, state.Reason, state.Message = Failed, c.Reason, c.Message
	case len(h.Items) == 0:
		state.Phase = Pending
	default:
		state.Phase = Done
	}
	return state
}

// Place is where a stream holds an image.
type Place struct {
	Tag string
	// Index is the position in the tag's history; 0 is what it points at now.
	Index int
	Event tagevent.Event
}

// Holding returns every place where s holds an image that id names, by its name or a prefix of it, with the
// algorithm or without. Tags are in name order, events newest first. An empty id names nothing here.
func Holding(s *imagestream.ImageStream, id string) []Place {
	if id == "" {
		return nil
	}
	var places []Place
	for _, h := range s.WithDefaults().Status.Tags {
		for i, e := range h.Items {
			if pullspec.MatchImageID(imageOf(e), id) {
				places = append(places, Place{h.Tag, i, e})
			}
		}
	}
	return places
}

// At returns what tag pointed at, at a time, and whether it pointed at anything. An event whose image or pull
// spec was replaced in place, as a push of the same image under another pull spec does, counts from when it
// was first created. An empty tag is latest.
func At(s *imagestream.ImageStream, tag string, t imagestream.Time) (tagevent.Event, bool) {
	h, _ := s.History(cmp.Or(tag, pullspec.DefaultTag))
	for _, e := range h.Items {
		if e.Created <= t {
			return e, true
		}
	}
	return tagevent.Event{}, false
}

// Chain is where a tag leads that follows other tags of its stream.
type Chain struct {
	// Path are the tags, from the first to the last that was found.
	Path []string
	// End tells how the chain ends.
	End End
}

// End is how a chain of tags ends.
type End string

const (
	// EndsHere: the last tag follows no other tag.
	EndsHere End = "here"
	// EndsNowhere: the last tag follows one that the spec does not have.
	EndsNowhere End = "nowhere"
	// EndsElsewhere: the last tag follows one of another stream.
	EndsElsewhere End = "elsewhere"
	// EndsInCircle: the last tag follows one that is in the path already.
	EndsInCircle End = "circle"
)

// Last returns the last tag of the chain; "" if the spec does not even have the first.
func (c Chain) Last() string {
	if len(c.Path) == 0 {
		return ""
	}
	return c.Path[len(c.Path)-1]
}

// Follow goes along the spec tags that follow each other, beginning with tag.
func Follow(s *imagestream.ImageStream, tag string) Chain {
	return follow(s, tag, func(name string) (imagestream.TagReference, bool) { return s.SpecTag(name) })
}

// Follower goes along chains like [Follow], for whoever asks about many tags of a stream: it looks the tags
// up in an index.
type Follower struct {
	stream *imagestream.ImageStream
	index  map[string]imagestream.TagReference
}

// NewFollower returns a Follower for s, which must not be changed while it is used.
func NewFollower(s *imagestream.ImageStream) *Follower {
	f := &Follower{s, make(map[string]imagestream.TagReference, len(s.Spec.Tags))}
	for _, t := range s.Spec.Tags {
		f.index[t.Name] = t
	}
	return f
}

// Follow is [Follow] for tag.
func (f *Follower) Follow(tag string) Chain {
	return follow(f.stream, tag, func(name string) (imagestream.TagReference, bool) {
		t, ok := f.index[name]
		return t, ok
	})
}

func follow(s *imagestream.ImageStream, tag string, find func(string) (imagestream.TagReference, bool)) Chain {
	var c Chain
	seen := map[string]bool{}
	for {
		if seen[tag] {
			c.End = EndsInCircle
			return c
		}
		t, ok := find(tag)
		if !ok {
			c.End = EndsNowhere
			return c
		}
		seen[tag] = true
		c.Path = append(c.Path, tag)
		if t.From == nil || t.From.Kind != imagestream.KindImageStreamTag {
			c.End = EndsHere
			return c
		}
		next, own := s.TrackedTag(t)
		if !own {
			c.End = EndsElsewhere
			return c
		}
		tag = next
	}
}

// first returns the first member of list that matches, nil if none does.
func first[T any](list []T, match func(*T) bool) *T {
	i := slices.IndexFunc(list, func(v T) bool { return match(&v) })
	if i < 0 {
		return nil
	}
	return &list[i]
}
