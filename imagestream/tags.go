package imagestream

import (
	"cmp"
	"slices"
	"sort"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// SpecTag returns the spec tag of that name. Of several, the last one counts, as in the API server. The
// result shares memory with s. Not found is a nil From, no generation, and false.
func (s *ImageStream) SpecTag(name string) (TagReference, bool) {
	for i := len(s.Spec.Tags) - 1; i >= 0; i-- {
		if s.Spec.Tags[i].Name == name {
			return s.Spec.Tags[i], true
		}
	}
	return TagReference{Name: name}, false
}

// History returns the history of that tag. Of several, the last one counts. The result shares memory with s.
// Not found is an empty history of that tag and false.
func (s *ImageStream) History(tag string) (tagevent.History, bool) {
	return tagevent.Find(s.Status.Tags, tag)
}

// LatestEvent returns what tag points at now, and whether it points at anything. An empty tag is "latest".
// See conformance case tagevent-0009.
func (s *ImageStream) LatestEvent(tag string) (tagevent.Event, bool) {
	h, _ := s.History(cmp.Or(tag, pullspec.DefaultTag))
	return h.Latest()
}

// LocalTag returns the tag of the own stream that t comes from, and whether it comes from one. Unlike
// tracking, it takes no "latest" for an empty tag, and knows no tag with a colon. See conformance case
// tagevent-1740.
func (s *ImageStream) LocalTag(t TagReference) (string, bool) {
	if !s.isLocalTagSource(t.From) {
		return "", false
	}
	tag := strings.TrimPrefix(t.From.Name, s.Metadata.Name+":")
	if strings.Contains(tag, ":") {
		return "", false
	}
	return tag, true
}

// TrackedTag returns the tag of the own stream that t follows, and whether it follows one: its source is an
// ImageStreamTag of the own namespace, named "tag" or "<stream>:tag". "<stream>:" follows latest; everything
// behind the first colon is the tag. See conformance case tagevent-0340.
func (s *ImageStream) TrackedTag(t TagReference) (string, bool) {
	if !s.isLocalTagSource(t.From) {
		return "", false
	}
	if !strings.Contains(t.From.Name, ":") {
		return t.From.Name, true
	}
	stream, tag, _ := pullspec.SplitTag(t.From.Name)
	return tag, stream == s.Metadata.Name
}

func (s *ImageStream) isLocalTagSource(from *ObjectReference) bool {
	return from != nil && from.Kind == KindImageStreamTag &&
		(from.Namespace == "" || from.Namespace == s.Metadata.Namespace)
}

// FindImage returns an event for the one image of all histories that id names: its name begins with id, or it
// is a digest whose hexadecimal part does. The event is created now, has the pull spec under which the image
// was seen, and no generation. No such image is a failure of class [ErrNotFound], several different ones of
// [ErrConflict]. The empty id names every image.
//
// An image seen under several pull specs has, within a tag, that of its oldest event, and across tags that of
// the last tag in name order; the real system leaves that to chance. See conformance cases tagevent-0013 to
// tagevent-0015.
func (s *ImageStream) FindImage(id string, now Time) (tagevent.Event, error) {
	histories := sortedHistories(s.Status.Tags)
	return findImage(s.Key(), id, now, func(yield func(tagevent.History) bool) {
		for _, h := range histories {
			if !yield(h) {
				return
			}
		}
	})
}

func findImage(key Key, id string, now Time, histories func(func(tagevent.History) bool)) (tagevent.Event, error) {
	var found tagevent.Event
	var matched, ambiguous bool
	for h := range histories {
		for _, e := range h.Items {
			if !pullspec.MatchImageID(e.Image, id) {
				continue
			}
			if matched && e.Image != found.Image {
				ambiguous = true
			}
			found, matched = e, true
		}
	}
	switch {
	case ambiguous:
		return tagevent.Event{}, NewError(ReasonConflict, ResourceImageStreams, key,
			"several images begin with "+id+": give more digits")
	case !matched:
		return tagevent.Event{}, NewError(ReasonNotFound, ResourceImageStreams, key,
			"no tag holds, or ever held, the image "+id)
	}
	return tagevent.Event{Created: now, Image: found.Image, DockerImageReference: found.DockerImageReference}, nil
}

// Push returns s with event pushed on the history of tag, and whether that changed anything. It shares with s
// what did not change. The tag's name is taken as it is: "" is no other name for latest. The histories of the
// result are in name order. The rules are those of [tagevent.History.Push]; see conformance cases
// tagevent-0003 to tagevent-0007.
func (s *ImageStream) Push(tag string, event tagevent.Event) (*ImageStream, bool) {
	d := newDraft(s)
	changed := d.status.push(tag, event)
	return d.finish(), changed
}

// PushToTrackers returns s with event pushed on the history of every tag that follows tag directly, and how
// many of these it changed. The tag itself is left alone, unless it follows itself. See conformance case
// tagevent-0340.
func (s *ImageStream) PushToTrackers(tag string, event tagevent.Event) (*ImageStream, int) {
	d := newDraft(s)
	changed := 0
	for _, t := range d.stream.Spec.Tags {
		if source, ok := s.TrackedTag(t); ok && source == tag && d.status.push(t.Name, event) {
			changed++
		}
	}
	return d.finish(), changed
}

// sortedTags returns tags in name order, of several of one name the last. It returns tags itself if that is
// how they are.
func sortedTags(tags []TagReference) []TagReference {
	return sortedByName(tags, func(t *TagReference) string { return t.Name })
}

// sortedHistories does for histories what sortedTags does for tags.
func sortedHistories(histories []tagevent.History) []tagevent.History {
	return sortedByName(histories, func(h *tagevent.History) string { return h.Tag })
}

func sortedByName[T any](list []T, name func(*T) string) []T {
	sorted := true
	for i := 1; i < len(list) && sorted; i++ {
		sorted = name(&list[i-1]) < name(&list[i])
	}
	if sorted {
		return list
	}
	c := slices.Clone(list)
	slices.SortStableFunc(c, func(a, b T) int { return cmp.Compare(name(&a), name(&b)) })
	kept := c[:0]
	for i := range c {
		if i+1 == len(c) || name(&c[i]) != name(&c[i+1]) {
			kept = append(kept, c[i])
		}
	}
	return kept
}

// findTag looks up a name in tags that are sorted.
func findTag(tags []TagReference, name string) (*TagReference, bool) {
	i := sort.Search(len(tags), func(i int) bool { return tags[i].Name >= name })
	if i == len(tags) || tags[i].Name != name {
		return nil, false
	}
	return &tags[i], true
}

// walk looks up names in tags that are sorted, one after the other, in order: all of them cost one pass.
type walk struct{ rest []TagReference }

func (w *walk) find(name string) (*TagReference, bool) {
	for len(w.rest) > 0 && w.rest[0].Name < name {
		w.rest = w.rest[1:]
	}
	if len(w.rest) == 0 || w.rest[0].Name != name {
		return nil, false
	}
	return &w.rest[0], true
}

// findHistory looks up a tag in histories that are sorted.
func findHistory(histories []tagevent.History, tag string) (tagevent.History, bool) {
	i := sort.Search(len(histories), func(i int) bool { return histories[i].Tag >= tag })
	if i == len(histories) || histories[i].Tag != tag {
		return tagevent.History{Tag: tag}, false
	}
	return histories[i], true
}
