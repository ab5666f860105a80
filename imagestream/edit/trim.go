package edit

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// RetentionAnnotation holds the [Retention] of a stream as JSON: {"keep":10,"keepYoungerThan":"720h"}.
const RetentionAnnotation = "imagestreams.github.io/retention"

// Retention says how much of its histories a stream keeps. The zero value keeps everything.
type Retention struct {
	// Keep is how many of the newest events of each tag stay.
	Keep int
	// KeepYoungerThan keeps what was created less than that ago: of each image and pull spec the newest event.
	KeepYoungerThan time.Duration
}

type retentionText struct {
	Keep            int    `json:"keep,omitempty"`
	KeepYoungerThan string `json:"keepYoungerThan,omitempty"`
}

// RetentionOf returns the retention in the annotation of s, the zero one if there is none. An annotation that
// cannot be read is an error.
func RetentionOf(s *imagestream.ImageStream) (Retention, error) {
	text, ok := s.Metadata.Annotations[RetentionAnnotation]
	if !ok {
		return Retention{}, nil
	}
	var t retentionText
	if err := json.Unmarshal([]byte(text), &t); err != nil {
		return Retention{}, fmt.Errorf("annotation %s of %s: %w", RetentionAnnotation, s.Key(), err)
	}
	r := Retention{Keep: t.Keep}
	if t.KeepYoungerThan != "" {
		d, err := time.ParseDuration(t.KeepYoungerThan)
		if err != nil {
			return Retention{}, fmt.Errorf("annotation %s of %s: keepYoungerThan %q is not a duration such as 720h",
				RetentionAnnotation, s.Key(), t.KeepYoungerThan)
		}
		r.KeepYoungerThan = d
	}
	if r.Keep < 0 || r.KeepYoungerThan < 0 {
		return Retention{}, fmt.Errorf("annotation %s of %s: %s: neither can be negative", RetentionAnnotation, s.Key(), text)
	}
	return r, nil
}

// WithRetention returns s with r in its annotation, without the annotation if r is zero.
func WithRetention(s *imagestream.ImageStream, r Retention) *imagestream.ImageStream {
	c := *s
	c.Metadata.Annotations = maps.Clone(s.Metadata.Annotations)
	if r == (Retention{}) {
		delete(c.Metadata.Annotations, RetentionAnnotation)
		return &c
	}
	t := retentionText{Keep: r.Keep}
	if r.KeepYoungerThan != 0 {
		t.KeepYoungerThan = r.KeepYoungerThan.String()
	}
	text, err := json.Marshal(t)
	if err != nil {
		panic(fmt.Sprintf("edit: encode a retention: %v", err)) // a number and a string
	}
	if c.Metadata.Annotations == nil {
		c.Metadata.Annotations = map[string]string{}
	}
	c.Metadata.Annotations[RetentionAnnotation] = string(text)
	return &c
}

// Trim returns s without the events that r does not keep at the time now, s itself if it keeps all. Stored as a
// status update it changes nothing else.
//
// The newest event of a tag always stays, and so do the r.Keep newest. Of the others an event stays if it is
// young, or if its image is in use: by a pin, by a spec tag of s with its digest, or because inUse says so,
// which may be nil. But of several such events of one image and pull spec only the newest does. So a tag that
// flaps between two images has r.Keep and two events at most, however often it does.
//
// Trim does not touch a registry. In a cluster with an internal registry, package prune removes events together
// with what the registry has for them. Pins that cannot be read keep everything.
func Trim(s *imagestream.ImageStream, r Retention, now time.Time,
	inUse func(image string) bool,
) *imagestream.ImageStream {
	pins, err := s.Pins()
	if r == (Retention{}) || err != nil {
		return s
	}
	used := usedImages(s, pins)
	var histories []tagevent.History
	for at, h := range s.Status.Tags {
		kept := r.kept(h.Items, now, func(image string) bool {
			return image != "" && (slices.ContainsFunc(used, func(id string) bool { return pullspec.MatchImageID(image, id) }) ||
				inUse != nil && inUse(image))
		})
		if len(kept) == len(h.Items) {
			continue
		}
		if histories == nil {
			histories = slices.Clone(s.Status.Tags)
		}
		histories[at].Items = kept
	}
	if histories == nil {
		return s
	}
	c := *s
	c.Status.Tags = histories
	return &c
}

// kept returns the events of a history that stay.
func (r Retention) kept(events []tagevent.Event, now time.Time, inUse func(image string) bool) []tagevent.Event {
	type place struct{ image, pullSpec string }
	var kept []tagevent.Event
	seen := map[place]bool{}
	for index, e := range events {
		at := place{e.Image, e.DockerImageReference}
		young := r.KeepYoungerThan > 0 && e.Created.Time().After(now.Add(-r.KeepYoungerThan))
		if index == 0 || index < r.Keep || !seen[at] && (young || inUse(e.Image)) {
			kept = append(kept, e)
			seen[at] = true
		}
	}
	return kept
}

// usedImages returns the names of images, or what begins them, that pins and spec tags of s use.
func usedImages(s *imagestream.ImageStream, pins map[string]imagestream.TagPin) (ids []string) {
	for _, tag := range slices.Sorted(maps.Keys(pins)) {
		ids = append(ids, pins[tag].Event.Image)
		if held := pins[tag].Held; held != nil {
			ids = append(ids, held.Image)
		}
	}
	for _, t := range s.Spec.Tags {
		if t.From == nil {
			continue
		}
		switch t.From.Kind {
		case imagestream.KindImageStreamImage:
			if _, id, err := pullspec.ParseImage(t.From.Name); err == nil {
				ids = append(ids, id)
			}
		case imagestream.KindDockerImage:
			if spec, err := pullspec.Parse(t.From.Name); err == nil {
				ids = append(ids, spec.ID)
			}
		}
	}
	return slices.DeleteFunc(ids, func(id string) bool { return id == "" })
}
