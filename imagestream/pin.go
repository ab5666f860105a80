package imagestream

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// PinsAnnotation holds the pins of a stream: a JSON object of [TagPin] by tag. An annotation of the stream,
// because those of a tag do not survive "oc tag".
const PinsAnnotation = "imagestreams.github.io/pins"

// TagPin keeps a tag where it is.
type TagPin struct {
	// Event is what the tag points at while it is pinned.
	Event tagevent.Event `json:"event"`
	// Reason is for people.
	Reason string `json:"reason,omitempty"`
	// Until is when the pin ends; zero is never.
	Until Time `json:"until,omitzero"`
	// Held is what the tag would point at without the pin; nil if that is the event itself.
	Held *tagevent.Event `json:"held,omitempty"`
}

// Pins returns the pins of s, by tag; those that have ended too, until a transition removes them. An
// annotation that cannot be read is an error.
func (s *ImageStream) Pins() (map[string]TagPin, error) {
	text, ok := s.Metadata.Annotations[PinsAnnotation]
	if !ok {
		return nil, nil
	}
	var pins map[string]TagPin
	if err := json.Unmarshal([]byte(text), &pins); err != nil {
		return nil, fmt.Errorf("annotation %s: %w", PinsAnnotation, err)
	}
	for _, tag := range slices.Sorted(maps.Keys(pins)) {
		if _, err := pullspec.Parse(pins[tag].Event.DockerImageReference); err != nil {
			return nil, fmt.Errorf("annotation %s: the event of the tag %s: %w", PinsAnnotation, tag, err)
		}
	}
	return pins, nil
}

// Pin returns s with tag pinned to event: a roll-back that stays. When the result is stored, by any
// transition, the tag points at event, and no import, push or update moves it until it is unpinned, or until
// the time, if that is not zero. What would have moved it is kept in the pin; when the pin ends, the tag goes
// there. Tags that follow it go with it, along whole chains, both times. Events are kept by their image and pull
// spec; that of s at present is kept in the pin as well.
//
// Deleting the tag, spec and history together, deletes its pin. S is not changed. An event without a readable
// pull spec is an error, and so are an annotation that cannot be read and a time that JSON cannot have.
func (s *ImageStream) Pin(tag string, event tagevent.Event, reason string, until time.Time) (*ImageStream, error) {
	if _, err := pullspec.Parse(event.DockerImageReference); err != nil {
		return nil, fmt.Errorf("pin %s of %s: the event's pull spec: %w", tag, s.Key(), err)
	}
	pins, err := s.Pins()
	if err != nil {
		return nil, fmt.Errorf("pin %s of %s: %w", tag, s.Key(), err)
	}
	pins = maps.Clone(pins)
	if pins == nil {
		pins = map[string]TagPin{}
	}
	pin := TagPin{Event: event, Reason: reason, Until: tagevent.TimeOf(until), Held: pins[tag].Held}
	if pin.Held == nil {
		if latest, ok := s.History(tag); ok && len(latest.Items) > 0 && !samePlace(latest.Items[0], event) {
			pin.Held = &latest.Items[0]
		}
	}
	pins[tag] = pin
	next, err := withPins(s, pins)
	if err != nil {
		return nil, fmt.Errorf("pin %s of %s: %w", tag, s.Key(), err)
	}
	return next, nil
}

// Unpin returns s without the pin of tag. When the result is stored, the tag goes to what the pin held back.
// It is an error if tag is not pinned, or if the annotation cannot be read.
func (s *ImageStream) Unpin(tag string) (*ImageStream, error) {
	pins, err := s.Pins()
	if err != nil {
		return nil, fmt.Errorf("unpin %s of %s: %w", tag, s.Key(), err)
	}
	if _, ok := pins[tag]; !ok {
		return nil, errors.New("the tag is not pinned")
	}
	pins = maps.Clone(pins)
	delete(pins, tag)
	next, err := withPins(s, pins)
	if err != nil {
		return nil, fmt.Errorf("unpin %s of %s: %w", tag, s.Key(), err)
	}
	return next, nil
}

// withPins returns s with these pins and no others. A time in them that JSON cannot have is an error.
func withPins(s *ImageStream, pins map[string]TagPin) (*ImageStream, error) {
	c := *s
	c.Metadata.Annotations = maps.Clone(s.Metadata.Annotations)
	if len(pins) == 0 {
		delete(c.Metadata.Annotations, PinsAnnotation)
		return &c, nil
	}
	text, err := json.Marshal(pins)
	if err != nil {
		return nil, fmt.Errorf("write annotation %s: %w", PinsAnnotation, err)
	}
	if c.Metadata.Annotations == nil {
		c.Metadata.Annotations = map[string]string{}
	}
	c.Metadata.Annotations[PinsAnnotation] = string(text)
	return &c, nil
}

// samePlace reports whether two events point at the same image by the same pull spec.
func samePlace(a, b tagevent.Event) bool {
	return a.Image == b.Image && a.DockerImageReference == b.DockerImageReference
}

// usePins begins with the pins that hold now, lets tags go whose pins have ended, and takes back what the
// caller's own status did to pinned tags.
func (t *transition) usePins() {
	s := &t.d.stream
	pins, err := s.Pins()
	if err != nil {
		t.errs.add(FieldInvalid, "metadata.annotations", s.Metadata.Annotations[PinsAnnotation],
			err.Error()+"; mend it, or remove the annotation to unpin all tags")
		return
	}
	var before map[string]TagPin
	if t.old != nil {
		before, _ = t.old.Pins() // what cannot be read held nothing
	}
	if len(pins) == 0 && len(before) == 0 {
		return
	}
	t.pins = maps.Clone(pins)
	for _, tag := range slices.Sorted(maps.Keys(pins)) {
		pin := pins[tag]
		switch {
		case t.deleted(tag):
			delete(t.pins, tag)
		case !pin.Until.IsZero() && pin.Until <= t.env.now():
			delete(t.pins, tag)
			before = maps.Clone(before)
			if before == nil {
				before = map[string]TagPin{}
			}
			before[tag] = pin
		default:
			t.holdHistory(tag, pin)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(before)) {
		if _, still := t.pins[tag]; !still && before[tag].Held != nil && !t.deleted(tag) {
			t.d.status.push(tag, *before[tag].Held)
			t.movedByPin(tag)
		}
	}
}

// deleted reports whether the new stream has lost tag, spec and history.
func (t *transition) deleted(tag string) bool {
	if t.old == nil {
		return false
	}
	_, inSpec := findTag(t.d.stream.Spec.Tags, tag)
	_, hasHistory := t.d.status.get(tag)
	_, had := findHistory(t.old.Status.Tags, tag)
	return had && !inSpec && !hasHistory
}

// holdHistory makes the pinned event the newest of tag, and keeps in the pin what the caller put in its
// place.
func (t *transition) holdHistory(tag string, pin TagPin) {
	h, _ := t.d.status.get(tag)
	latest, ok := h.Latest()
	var old tagevent.History
	if t.old != nil {
		old, _ = findHistory(t.old.Status.Tags, tag)
	}
	if ok && samePlace(latest, pin.Event) {
		given, _ := findHistory(t.d.status.stored, tag)
		if len(old.Items) > 0 && samePlace(old.Items[0], pin.Event) && given.Items[0] != old.Items[0] {
			t.hold(tag, latest) // the source itself came back to the pinned event
		}
		return
	}
	base := h
	if len(old.Items) > 0 && samePlace(old.Items[0], pin.Event) {
		base = tagevent.History{Tag: tag, Items: old.Items, Conditions: h.Conditions}
	}
	conditions := base.Conditions
	base, _ = base.Push(pin.Event)
	base.Conditions = conditions
	t.d.status.set(base)
	t.movedByPin(tag)
	if ok {
		t.hold(tag, latest)
	}
}

func (t *transition) movedByPin(tag string) {
	if t.movedByPins == nil {
		t.movedByPins = map[string]bool{}
	}
	t.movedByPins[tag] = true
}

// hold keeps event in the pin of tag. The pinned event takes over its generation: what asked for the event is
// answered.
func (t *transition) hold(tag string, event tagevent.Event) {
	pin := t.pins[tag]
	pin.Held = nil
	if !samePlace(event, pin.Event) {
		pin.Held = &event
	}
	t.pins[tag] = pin
	h, _ := t.d.status.get(tag)
	if latest, ok := h.Latest(); ok && latest.Generation < event.Generation {
		latest.Generation = event.Generation
		t.d.status.set(withNewest(h, latest))
	}
}

// push pushes event on the history of tag, unless a pin holds it back.
func (t *transition) push(tag string, event tagevent.Event) {
	if _, pinned := t.pins[tag]; pinned {
		t.hold(tag, event)
		return
	}
	t.d.status.push(tag, event)
}

// keepPins writes down what the pins hold now.
func (t *transition) keepPins() {
	if t.pins == nil {
		return
	}
	s, err := withPins(&t.d.stream, t.pins)
	if err != nil {
		t.errs.add(FieldInvalid, "metadata.annotations", nil, err.Error())
		return
	}
	t.d.stream = *s
}
