package edit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// RolledBackAnnotation is what a rolled-back spec tag remembers: a JSON object of [RolledBack]. Giving the tag
// another source, as "oc tag" does, forgets it.
const RolledBackAnnotation = "imagestreams.github.io/rolled-back"

// RolledBack is what a rolled-back tag remembers.
type RolledBack struct {
	// Source is the spec tag as it was before; nil if the tag was only in the status.
	Source *imagestream.TagReference `json:"source,omitempty"`
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
// annotations go back to what they are without flags. So it is imported no more, and stays. Beyond that the tag
// remembers its source, for [Resume], in [RolledBackAnnotation]. The history moves when the change is stored:
// nothing of it is lost.
//
// S is not changed; the result shares with it what did not change. A tag that s does not have is an error of
// class [imagestream.ErrNotFound]; a target that its history does not have is one of class
// [imagestream.ErrInvalid].
func Rollback(s *imagestream.ImageStream, tag string, to Target) (*imagestream.ImageStream, error) {
	var spec *imagestream.TagReference
	if t, ok := s.SpecTag(tag); ok {
		spec = &t
	}
	history, inStatus := s.History(tag)
	if spec == nil && !inStatus {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreamTags, tagKey(s.Key(), tag), "")
	}
	t, err := RolledBackTag(s.Key(), tag, spec, history, to)
	if err != nil {
		return nil, err
	}
	return WithTag(s, t), nil
}

// RolledBackTag is [Rollback] for one tag of a stream, given its spec, nil if it has none, and its history.
func RolledBackTag(stream imagestream.Key, tag string, spec *imagestream.TagReference, history tagevent.History, to Target) (imagestream.TagReference, error) {
	memory := remembered(spec)
	current, _ := history.Latest()
	event, problem := find(history, current, to, memory.Left)
	if problem == "" && event.Image == "" {
		problem = "it did not point at an image then, only at the pull spec " + event.DockerImageReference + ": tag that"
	}
	if problem != "" {
		return imagestream.TagReference{}, invalid(stream, tag, problem)
	}
	if memory.Source == nil && spec != nil {
		source := *spec
		source.Generation = nil
		memory.Source = &source
	}
	memory.Left = slices.DeleteFunc(slices.Clone(memory.Left), func(left string) bool { return left == event.Image })
	if current.Image != event.Image && !slices.Contains(memory.Left, current.Image) {
		memory.Left = append(memory.Left, current.Image)
	}
	text, err := json.Marshal(memory)
	if err != nil {
		return imagestream.TagReference{}, fmt.Errorf("roll back %s: %w", tagKey(stream, tag), err)
	}
	return imagestream.TagReference{
		Name:            tag,
		Annotations:     map[string]string{RolledBackAnnotation: string(text)},
		From:            &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: pullspec.JoinImage(stream.Name, event.Image)},
		ImportPolicy:    imagestream.TagImportPolicy{ImportMode: imagestream.ImportModeLegacy},
		ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource},
	}, nil
}

// remembered returns what a spec tag remembers; nothing if that cannot be read.
func remembered(spec *imagestream.TagReference) (memory RolledBack) {
	if spec != nil {
		if err := json.Unmarshal([]byte(spec.Annotations[RolledBackAnnotation]), &memory); err != nil {
			return RolledBack{}
		}
	}
	return memory
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
			return tagevent.Event{}, fmt.Sprintf("it pointed at nothing at %s: its history begins at %s", to.At, h.Items[len(h.Items)-1].Created)
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
			return tagevent.Event{}, fmt.Sprintf("%q is the beginning of %s and of %s: give more of the digest", image, found.Image, e.Image)
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
// that was not rolled back is an error of class [imagestream.ErrInvalid], one that the spec does not have of class
// [imagestream.ErrNotFound].
func Resume(s *imagestream.ImageStream, tag string) (*imagestream.ImageStream, error) {
	spec, ok := s.SpecTag(tag)
	if !ok {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreamTags, tagKey(s.Key(), tag), "")
	}
	t, err := ResumedTag(s.Key(), spec)
	if err != nil {
		return nil, err
	}
	return WithTag(s, t), nil
}

// ResumedTag is [Resume] for one spec tag of a stream.
func ResumedTag(stream imagestream.Key, spec imagestream.TagReference) (imagestream.TagReference, error) {
	memory := remembered(&spec)
	if memory.Source == nil {
		return imagestream.TagReference{}, invalid(stream, spec.Name, "it was not rolled back from a source that it could go on with: set one")
	}
	source := *memory.Source
	source.Name = spec.Name
	source.Annotations = maps.Clone(source.Annotations)
	delete(source.Annotations, RolledBackAnnotation)
	asksForImport := int64(0)
	source.Generation = &asksForImport
	return source, nil
}

func tagKey(stream imagestream.Key, tag string) imagestream.Key {
	return imagestream.Key{Namespace: stream.Namespace, Name: pullspec.JoinTag(stream.Name, tag)}
}

func invalid(stream imagestream.Key, tag, problem string) error {
	return imagestream.NewInvalid(imagestream.ResourceImageStreamTags, tagKey(stream, tag), imagestream.ErrorList{
		{Type: imagestream.FieldInvalid, Field: "tag.from", Detail: problem},
	})
}
