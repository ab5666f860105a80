package edit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// RolledBackAnnotation is what a stream remembers of its tags that were rolled back: a JSON object of [RolledBack]
// by tag.
const RolledBackAnnotation = "imagestreams.github.io/rolled-back"

// RolledBack is what a stream remembers of a tag that was rolled back. It counts as long as the tag's source is To, or
// Before.
type RolledBack struct {
	// Source is the spec tag as it was before; nil if the tag was only in the status.
	Source *imagestream.TagReference `json:"source,omitempty"`
	// To is the image of the stream, <stream>@<digest>, that the tag was rolled back to.
	To string `json:"to"`
	// Before is the source that the tag has until it is written: To of the roll-back before that was carried out.
	Before string `json:"before,omitempty"`
	// Left are the images that the tag was rolled back from, in that order.
	Left []string `json:"left"`
}

// Target says where a tag is rolled back to. The zero Target is the newest image that the tag pointed at before
// and was not rolled back from: doing it again goes further back. At most one field may be set.
type Target struct {
	// Events is how many events to go back: 1 is the event before the newest.
	Events int
	// Image is an image that the tag once pointed at, by its name or a prefix of that.
	Image string
	// At is a time: the tag goes to what it pointed at then.
	At imagestream.Time
}

// Rollback returns s with tag asking for what it pointed at before. It is the change that "oc tag
// app@<digest> app:<tag>" makes: the tag's source becomes that image of the stream, and its policies and
// annotations go back to what they are without flags. So it is imported no more, and stays. Beyond that the
// stream remembers the tag's source, for [Resume], in [RolledBackAnnotation]. The history moves when the change is
// stored: nothing of it is lost.
//
// S is not changed; the result shares with it what did not change. A tag that s does not have is an error of
// class [imagestream.ErrNotFound]; a target that its history does not have, and a tag that is pinned, one of class
// [imagestream.ErrInvalid].
//
// A tag that has that source already, and was pushed away from it, gets the event in its history, as of now. That
// is stored by a write through a tag or of the status, not by a user's update.
func Rollback(
	s *imagestream.ImageStream,
	tag string,
	to Target,
	now imagestream.Time,
) (*imagestream.ImageStream, error) {
	if pins, _ := s.Pins(); pins[tag].Event != (tagevent.Event{}) {
		return nil, invalid(s.Key(), tag, "it is pinned, and would not move: unpin it first")
	}
	spec, inSpec := s.SpecTag(tag)
	history, inStatus := s.History(tag)
	if !inSpec && !inStatus {
		return nil, imagestream.NewError(
			imagestream.ReasonNotFound,
			imagestream.ResourceImageStreamTags,
			tagKey(s.Key(), tag),
			"",
		)
	}
	memory := Remembered(s)
	m, remembered := memory[tag]
	current, _ := history.Latest()
	event, problem := find(history, current, to, m.Left)
	if problem == "" && event.Image == "" {
		problem = "it did not point at an image then, only at the pull spec " + event.DockerImageReference + ": tag that"
	}
	if problem != "" {
		return nil, invalid(s.Key(), tag, problem)
	}
	if inSpec && comesFrom(s, spec, m.To) {
		m.Before = m.To // otherwise only the memory of the roll-back before was stored: the source is Before still
	}
	m.To = pullspec.JoinImage(s.Metadata.Name, event.Image)
	if !remembered && inSpec {
		m.Source = &spec
	}
	m.Left = slices.DeleteFunc(
		slices.Clone(m.Left),
		func(left string) bool { return left == event.Image || left == current.Image },
	)
	if current.Image != event.Image {
		m.Left = append(m.Left, current.Image)
	}
	memory[tag] = m
	next, err := withMemory(s, memory)
	if err != nil {
		return nil, err
	}
	if inSpec && comesFrom(s, spec, m.To) {
		event.Created = now
		next, _ = next.Push(tag, event)
	}
	return WithTag(next, imagestream.TagReference{
		Name:            tag,
		From:            &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: m.To},
		ImportPolicy:    imagestream.TagImportPolicy{ImportMode: imagestream.ImportModeLegacy},
		ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource},
	}), nil
}

// Remembered returns what s remembers of tags that were rolled back and still have the source that they got then.
// What cannot be read is forgotten.
func Remembered(s *imagestream.ImageStream) map[string]RolledBack {
	var memory map[string]RolledBack
	if err := json.Unmarshal([]byte(s.Metadata.Annotations[RolledBackAnnotation]), &memory); err != nil || memory == nil {
		return map[string]RolledBack{}
	}
	maps.DeleteFunc(memory, func(tag string, m RolledBack) bool {
		spec, ok := s.SpecTag(tag)
		return !ok || !comesFrom(s, spec, m.To) && !comesFrom(s, spec, m.Before)
	})
	return memory
}

// comesFrom reports whether the source of a spec tag is that image of s.
func comesFrom(s *imagestream.ImageStream, t imagestream.TagReference, image string) bool {
	return t.From != nil && t.From.Kind == imagestream.KindImageStreamImage && t.From.Name == image &&
		(t.From.Namespace == "" || t.From.Namespace == s.Metadata.Namespace)
}

// Forget returns s without what it remembers of tags that have had another source since; s itself if that is
// nothing.
func Forget(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	next, err := withMemory(s, Remembered(s))
	if err != nil || next.Metadata.Annotations[RolledBackAnnotation] == s.Metadata.Annotations[RolledBackAnnotation] {
		return s, err
	}
	return next, nil
}

func withMemory(s *imagestream.ImageStream, memory map[string]RolledBack) (*imagestream.ImageStream, error) {
	c := *s
	c.Metadata.Annotations = maps.Clone(s.Metadata.Annotations)
	if len(memory) == 0 {
		delete(c.Metadata.Annotations, RolledBackAnnotation)
		return &c, nil
	}
	text, err := json.Marshal(memory)
	if err != nil {
		return nil, fmt.Errorf("roll back a tag of %s: %w", s.Key(), err)
	}
	if c.Metadata.Annotations == nil {
		c.Metadata.Annotations = map[string]string{}
	}
	c.Metadata.Annotations[RolledBackAnnotation] = string(text)
	return &c, nil
}

// find returns the event that a target means, or what is wrong with it.
func find(h tagevent.History, current tagevent.Event, to Target, left []string) (_ tagevent.Event, problem string) {
	set := 0
	for _, is := range [...]bool{to.Events != 0, to.Image != "", to.At != 0} {
		if is {
			set++
		}
	}
	switch {
	case set > 1:
		return tagevent.Event{}, "the target is a number of events, an image or a time, and only one of them"
	case len(h.Items) == 0:
		return tagevent.Event{}, "it has pointed at nothing yet: import it, or push to it"
	case to.Image != "":
		return findImage(h, to.Image)
	case to.At != 0:
		i := slices.IndexFunc(h.Items, func(e tagevent.Event) bool { return e.Created <= to.At })
		if i < 0 {
			return tagevent.Event{}, fmt.Sprintf(
				"it pointed at nothing at %s: its history begins at %s",
				to.At,
				h.Items[len(h.Items)-1].Created,
			)
		}
		return h.Items[i], ""
	case to.Events != 0:
		if to.Events < 1 || to.Events >= len(h.Items) {
			return tagevent.Event{}, fmt.Sprintf("it cannot go back %d events: its history has %d", to.Events, len(h.Items))
		}
		return h.Items[to.Events], ""
	}
	for _, e := range h.Items {
		if e.Image != "" && e.Image != current.Image && !slices.Contains(left, e.Image) {
			return e, ""
		}
	}
	return tagevent.Event{}, "its history has no other image to go back to"
}

func findImage(h tagevent.History, image string) (found tagevent.Event, problem string) {
	for _, e := range h.Items {
		switch {
		case e.Image == "" || !pullspec.MatchImageID(e.Image, image) || e.Image == found.Image:
		case found.Image != "":
			return tagevent.Event{}, fmt.Sprintf(
				"%q is the beginning of %s and of %s: give more of the digest",
				image,
				found.Image,
				e.Image,
			)
		default:
			found = e
		}
	}
	if found.Image == "" {
		return found, fmt.Sprintf("it never pointed at the image %q", image)
	}
	return found, ""
}

// Resume returns s with the source that tag had before it was rolled back. The tag asks for an import of it. A tag
// that was not rolled back, has another source since, had none before or would follow itself is an error of class
// [imagestream.ErrInvalid], one that the spec does not have of class [imagestream.ErrNotFound].
func Resume(s *imagestream.ImageStream, tag string) (*imagestream.ImageStream, error) {
	if _, ok := s.SpecTag(tag); !ok {
		return nil, imagestream.NewError(
			imagestream.ReasonNotFound,
			imagestream.ResourceImageStreamTags,
			tagKey(s.Key(), tag),
			"",
		)
	}
	memory := Remembered(s)
	m, ok := memory[tag]
	switch {
	case !ok:
		return nil, invalid(s.Key(), tag, "it was not rolled back, or has had another source since: there is nothing to resume")
	case m.Source == nil:
		return nil, invalid(s.Key(), tag, "it had no source before it was rolled back: push an image to it, or give it a source")
	}
	source := *m.Source
	if target, ok := s.TrackedTag(source); ok {
		if path := Circle(s, tag, target); path != nil {
			return nil, invalid(s.Key(), tag, "these tags would follow each other in a circle: "+strings.Join(path, ", "))
		}
	}
	asksForImport := int64(0)
	source.Generation = &asksForImport
	delete(memory, tag)
	next, err := withMemory(s, memory)
	if err != nil {
		return nil, err
	}
	return WithTag(next, source), nil
}

func tagKey(stream imagestream.Key, tag string) imagestream.Key {
	return imagestream.Key{Namespace: stream.Namespace, Name: pullspec.JoinTag(stream.Name, tag)}
}

func invalid(stream imagestream.Key, tag, problem string) error {
	return imagestream.ErrorList{
		{Type: imagestream.FieldInvalid, Field: "tag.from", Detail: problem},
	}.Of(imagestream.ResourceImageStreamTags, tagKey(stream, tag))

}
