// Package tagevent holds the history of an image stream's tag: what the tag pointed at over time, newest
// first, and the conditions of its last import.
//
// The types are the members of status.tags in image.openshift.io/v1 and have its JSON form. All functions are
// pure: they change no argument, and what they return shares with its arguments what did not change. Whoever
// wants to edit in place calls Clone first.
//
// # Pushing
//
// [History.Push] compares the pushed event with the newest one only: by image, pull spec
// (dockerImageReference) and generation, never by creation time.
//
//  1. No event yet: the history becomes just the pushed event.
//  2. All three equal: nothing changes, and the conditions stay.
//  3. Image or pull spec equal (two events without an image have equal images): the newest event takes over
//     the pushed image, pull spec and generation, and keeps its creation time.
//  4. Neither equal: the pushed event goes in front.
//
// Every change drops all conditions. Older events are never looked at, so A, B, A gives three events, and
// nothing limits the length. See conformance cases tagevent-0003 to tagevent-0007.
//
// # Differences from OpenShift
//
// Histories are lists with their tag name inside, as in the v1 API, where the server works on maps. A push
// returns a new history and leaves the old one alone; the server writes into it.
package tagevent

import (
	"cmp"
	"slices"
)

// Event is one thing a tag pointed at. Events compare with ==.
type Event struct {
	// Created is when the tag began to point here.
	Created Time `json:"created"`
	// DockerImageReference is the pull spec of the image.
	DockerImageReference string `json:"dockerImageReference"`
	// Image is the name of the image, a digest as a rule; empty if it is not known.
	Image string `json:"image"`
	// Generation is the generation of the spec tag that led here.
	Generation int64 `json:"generation"`
}

// same reports whether e and f differ at most in their creation time.
func (e Event) same(f Event) bool {
	f.Created = e.Created
	return e == f
}

// ConditionType names what a [Condition] is about.
type ConditionType string

// ImportSuccess is the only condition type of the API: False after an import that failed.
const ImportSuccess ConditionType = "ImportSuccess"

// ConditionStatus is True, False or Unknown.
type ConditionStatus string

// The values of [ConditionStatus].
const (
	ConditionTrue    ConditionStatus = "True"
	ConditionFalse   ConditionStatus = "False"
	ConditionUnknown ConditionStatus = "Unknown"
)

// Condition is a statement about a tag, as a rule about its last import. Conditions compare with ==.
type Condition struct {
	Type               ConditionType   `json:"type"`
	Status             ConditionStatus `json:"status"`
	LastTransitionTime Time            `json:"lastTransitionTime"`
	Reason             string          `json:"reason,omitempty"`
	Message            string          `json:"message,omitempty"`
	// Generation is the generation of the spec tag that the condition is about.
	Generation int64 `json:"generation"`
}

// History is what a tag pointed at over time, the newest event first, with the tag's conditions.
type History struct {
	Tag        string      `json:"tag"`
	Items      []Event     `json:"items"`
	Conditions []Condition `json:"conditions,omitempty"`
}

// Clone returns a deep copy of h. Nil stays nil and empty stays empty.
func (h History) Clone() History {
	h.Items = slices.Clone(h.Items)
	h.Conditions = slices.Clone(h.Conditions)
	return h
}

// Latest returns the newest event, and whether there is one.
func (h History) Latest() (Event, bool) {
	if len(h.Items) == 0 {
		return Event{}, false
	}
	return h.Items[0], true
}

// Push returns h with e as its newest event, by the rules in the package comment, and whether that differs
// from h. The result shares no event with h unless it is h itself.
func (h History) Push(e Event) (History, bool) {
	latest, ok := h.Latest()
	switch {
	case !ok:
		return History{Tag: h.Tag, Items: []Event{e}}, true
	case latest.same(e):
		return h, false
	case latest.Image == e.Image || latest.DockerImageReference == e.DockerImageReference:
		e.Created = latest.Created
		items := slices.Clone(h.Items)
		items[0] = e
		return History{Tag: h.Tag, Items: items}, true
	}
	items := make([]Event, 1+len(h.Items))
	items[0] = e
	copy(items[1:], h.Items)
	return History{Tag: h.Tag, Items: items}, true
}

// HasCondition reports whether h has a condition of c's type, status and reason. The rest of c does not
// matter.
func (h History) HasCondition(c Condition) bool {
	return slices.ContainsFunc(h.Conditions, func(have Condition) bool {
		return have.Type == c.Type && have.Status == c.Status && have.Reason == c.Reason
	})
}

// Condition returns the first condition of type t, and whether there is one.
func (h History) Condition(t ConditionType) (Condition, bool) {
	i := slices.IndexFunc(h.Conditions, func(c Condition) bool { return c.Type == t })
	if i < 0 {
		return Condition{}, false
	}
	return h.Conditions[i], true
}

// ObservedGeneration returns the highest spec tag generation that h accounts for, be it by its newest event
// or by a first ImportSuccess condition of any status; 0 if there is neither. A spec tag with a higher
// generation waits for its import. See conformance case needsimport-3.
func (h History) ObservedGeneration() int64 {
	latest, _ := h.Latest()
	condition, _ := h.Condition(ImportSuccess)
	return max(latest.Generation, condition.Generation)
}

// Find returns the history of tag. Of several, the last one counts, as in the API server, which keeps
// histories in a map. Not found is an empty history of that tag and false.
func Find(histories []History, tag string) (History, bool) {
	for i := len(histories) - 1; i >= 0; i-- {
		if histories[i].Tag == tag {
			return histories[i], true
		}
	}
	return History{Tag: tag}, false
}

// ByAge returns the tags of histories, the one whose newest event is the newest first. Tags of equal age
// stand in name order; tags without events come last. Of several histories of one tag the last counts.
// See conformance case tagevent-0017.
func ByAge(histories []History) []string {
	created := make(map[string]Time, len(histories))
	for _, h := range histories {
		latest, _ := h.Latest()
		created[h.Tag] = latest.Created
	}
	tags := make([]string, 0, len(created))
	for tag := range created {
		tags = append(tags, tag)
	}
	slices.SortFunc(tags, func(a, b string) int {
		return cmp.Or(cmp.Compare(created[b], created[a]), cmp.Compare(a, b))
	})
	return tags
}
