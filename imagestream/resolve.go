package imagestream

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Changed reports whether a spec tag of a stream in namespace asks for something else than before: another
// source namespace or name, another reference flag or import mode, or the generation 0 where there was
// another. The source's kind does not count, and a tag without a source, or with one that has neither kind
// nor name, never counts as changed. See conformance cases stream-0058 to stream-0064.
func (t TagReference) Changed(next TagReference, namespace string) bool {
	return tagChanged(&t, &next, namespace)
}

func tagChanged(old, next *TagReference, namespace string) bool {
	if next.From == nil || next.From.Kind == "" && next.From.Name == "" {
		return false
	}
	var from ObjectReference
	if old.From != nil {
		from = *old.From
	}
	return orDefault(from.Namespace, namespace) != orDefault(next.From.Namespace, namespace) ||
		from.Name != next.From.Name ||
		old.Reference != next.Reference ||
		old.ImportPolicy.ImportMode != next.ImportPolicy.ImportMode ||
		old.Generation != nil && isGeneration(next.Generation, 0) && *old.Generation != 0
}

// tagSource is what a spec tag's source names in another tag or image.
type tagSource struct {
	stream Key
	id     string // a tag, or an image
}

// sourceOf splits the name of a source. One part names a tag or image of the stream of s's name, in whatever
// namespace the source is. See conformance cases stream-0016, stream-0019 and stream-0053.
func sourceOf(s *ImageStream, from *ObjectReference) (tagSource, string) {
	separator := ""
	switch from.Kind {
	case KindImageStreamTag:
		separator = ":"
	case KindImageStreamImage:
		separator = "@"
	default:
		return tagSource{}, fmt.Sprintf(
			"a source of kind %q cannot be resolved: its kind is %s, %s, or %s without a namespace",
			from.Kind,
			KindDockerImage,
			KindImageStreamTag,
			KindImageStreamImage,
		)
	}
	stream, id, found := strings.Cut(from.Name, separator)
	switch {
	case !found:
		stream, id = s.Metadata.Name, from.Name
	case strings.Contains(id, separator):
		return tagSource{}, fmt.Sprintf(
			"the name of an %s has one %q, between image stream and the rest",
			from.Kind,
			separator,
		)
	}
	if from.Kind == KindImageStreamTag {
		id = cmp.Or(id, pullspec.DefaultTag)
	}
	namespace := orDefault(from.Namespace, s.Metadata.Namespace)
	return tagSource{Key{namespace, stream}, id}, ""
}

// isDocker reports whether from needs a registry to be resolved, not a stream.
func isDocker(from *ObjectReference) bool { return from.Kind == KindDockerImage && from.Name != "" }

// changedTags calls visit for the spec tags with a source that are new or changed, in name order, or if
// chains are followed, sources before what follows them.
func (t *transition) changedTags(visit func(tag *TagReference)) {
	if !t.env.FollowChains {
		eachChangedTag(t.old, t.d.stream.Spec.Tags, t.d.stream.Metadata.Namespace, visit)
		return
	}
	changed := map[string]*TagReference{}
	eachChangedTag(
		t.old,
		t.d.stream.Spec.Tags,
		t.d.stream.Metadata.Namespace,
		func(tag *TagReference) { changed[tag.Name] = tag },
	)
	if len(changed) == 0 {
		return
	}
	for _, tag := range t.sourcesFirst() {
		if changed[tag] != nil {
			visit(changed[tag])
		}
	}
}

// eachChangedTag visits the tags with a source that are new or changed against old, which is nil on create
// and sorted otherwise.
func eachChangedTag(old *ImageStream, tags []TagReference, namespace string, visit func(tag *TagReference)) {
	var known walk
	if old != nil {
		known.rest = old.Spec.Tags
	}
	for i := range tags {
		tag := &tags[i]
		if tag.From == nil {
			continue
		}
		if before, existed := known.find(tag.Name); existed && !tagChanged(before, tag, namespace) {
			continue
		}
		visit(tag)
	}
}

// isForeign reports whether from names another namespace than that of s.
func isForeign(s *ImageStream, from *ObjectReference) bool {
	return from.Namespace != "" && from.Namespace != s.Metadata.Namespace
}

// verifyTags checks that the caller may let tags come from other namespaces. See conformance cases stream-0010
// to stream-0013.
func (t *transition) verifyTags() {
	s := &t.d.stream
	t.changedTags(func(tag *TagReference) {
		if !isForeign(s, tag.From) {
			return
		}
		path := "spec.tags[" + tag.Name + "].from"
		source, problem := sourceOf(s, tag.From)
		if problem != "" {
			t.errs.add(FieldInvalid, path+".name", tag.From.Name, problem)
		} else if !t.env.Readable[source.stream] {
			t.errs.add(FieldForbidden, path, source.stream.String(),
				"permission to get imagestreams/layers of the source is required in the namespace "+source.stream.Namespace)
		}
	})
}

// resolveTags finds what tags point at that need no registry: references, and other tags and images. See
// conformance cases stream-0007 and stream-0014 to stream-0019.
func (t *transition) resolveTags() {
	t.changedTags(func(tag *TagReference) {
		generation := t.d.stream.Metadata.Generation
		if isDocker(tag.From) {
			if tag.Reference {
				t.push(tag.Name, tagevent.Event{
					Created: t.env.now(), DockerImageReference: tag.From.Name, Generation: generation,
				})
			}
			return
		}
		event, ok := t.resolve(tag)
		if ok {
			t.push(tag.Name, event)
		}
	})
}

// resolve returns the event that tag takes from its source; none if the source has no event, or if that is an
// error.
func (t *transition) resolve(tag *TagReference) (event tagevent.Event, ok bool) {
	s := &t.d.stream
	path := "spec.tags[" + tag.Name + "].from.name"
	source, problem := sourceOf(s, tag.From)
	if problem != "" {
		t.errs.add(FieldInvalid, path, tag.From.Name, problem)
		return event, false
	}
	own := source.stream == s.Key()
	from := &t.d.status
	if !own {
		other, problem, errType := t.otherStream(source.stream)
		if problem != "" {
			t.errs.add(errType, path, tag.From.Name, problem)
			return event, false
		}
		from = &histories{stored: sortedHistories(other.Status.Tags)}
	}
	if tag.From.Kind == KindImageStreamImage {
		found, err := findImage(source.stream, source.id, t.env.now(), func(yield func(tagevent.History) bool) {
			for _, h := range from.all() {
				if !yield(h) {
					return
				}
			}
		})
		if err != nil {
			t.errs.add(FieldInvalid, path, tag.From.Name, err.Error())
			return event, false
		}
		event = found
	} else {
		h, _ := from.get(source.id)
		if event, ok = h.Latest(); !ok {
			return event, false
		}
	}
	event.Generation = s.Metadata.Generation
	if !tag.Reference {
		event.DockerImageReference = t.ownRepository(event.DockerImageReference, source.stream)
	}
	if own && tag.From.Kind == KindImageStreamTag && !t.env.FollowChains {
		t.shareWithSource(source.id, event)
	}
	return event, true
}

// shareWithSource writes an event that a tag takes from a tag of the own stream back to that tag.
//
// Upstream quirk (stream-0068): the event is a pointer into the source's history, so the new generation, and
// the pull spec if it was rewritten, appear there too. The source keeps its conditions.
func (t *transition) shareWithSource(source string, event tagevent.Event) {
	h, _ := t.d.status.get(source)
	if _, pinned := t.pins[source]; !pinned && h.Items[0] != event {
		t.d.status.set(withNewest(h, event))
	}
}

// ownRepository returns spec with the own repository in place of the source's, if spec is the source's
// repository in the internal registry: an image of one stream can then be pulled through the other.
func (t *transition) ownRepository(spec string, source Key) string {
	r, err := pullspec.Parse(spec)
	if err != nil || t.env.InternalRegistry == "" || r.Registry != t.env.InternalRegistry ||
		r.Namespace != source.Namespace || r.Name != source.Name {
		return spec
	}
	r.Namespace, r.Name = t.d.stream.Metadata.Namespace, t.d.stream.Metadata.Name
	return r.Exact()
}

// otherStream returns a stream of the Env, or what is wrong and the type of that error.
func (t *transition) otherStream(key Key) (other *ImageStream, problem string, errType FieldErrorType) {
	if !canBeRead(key) {
		return nil, fmt.Sprintf("%q cannot be the name of an image stream", key.Name), FieldInvalid
	}
	other = t.env.Streams[key]
	if other == nil {
		return nil, fmt.Sprintf("there is no image stream %s", key), FieldNotFound
	}
	return other, "", ""
}

func canBeRead(key Key) bool { return key.Name != "" && pullspec.IsPathSegment(key.Name) }

// propagate pushes the newest event of every tag that has a new one to the tags that follow it: one step for
// each tag, in name order, each compared with the old stream when its turn comes. The real system goes in map
// order; this is one of its answers. See conformance cases streamstatus-0009 and streamstatus-0010.
//
// If chains are followed, sources come before what follows them, so that one pass reaches everything.
func (t *transition) propagate() {
	var order []string
	switch {
	case t.env.FollowChains:
		order = t.sourcesFirst()
	case t.sharedStatus:
		// Upstream quirk (stream-0069): the old status of a user's update is the new one, so nothing is ever
		// new.
		t.propagatePins()
		return
	default:
		order = t.d.status.tags()
	}
	var trackers map[string][]string
	for _, tag := range order {
		event, ok := t.news(tag)
		if !ok {
			continue
		}
		if trackers == nil {
			trackers = t.trackers()
		}
		for _, follower := range trackers[tag] {
			t.push(follower, event)
		}
	}
}

// propagatePins pushes what pins have moved to the tags that follow, along whole chains. It is for the updates on
// which no other event goes on: pins are no part of the real system, whose quirk would leave followers behind.
func (t *transition) propagatePins() {
	if len(t.movedByPins) == 0 {
		return
	}
	trackers := t.trackers()
	for _, tag := range t.sourcesFirst() {
		if !t.movedByPins[tag] {
			continue
		}
		event, ok := t.news(tag)
		if !ok {
			continue
		}
		for _, follower := range trackers[tag] {
			t.push(follower, event)
			t.movedByPins[follower] = true
		}
	}
}

// news returns the newest event of tag if it was not that in the old stream.
func (t *transition) news(tag string) (tagevent.Event, bool) {
	h, _ := t.d.status.get(tag)
	event, ok := h.Latest()
	if !ok || t.old == nil {
		return event, ok
	}
	old, _ := findHistory(t.old.Status.Tags, tag)
	before, existed := old.Latest()
	return event, !existed || before != event
}

// sourcesFirst returns the tags of spec and status, each behind the tag that it follows, else in name order.
// Tags that follow each other in a circle stand in the order in which an event goes round it, beginning at
// [transition.entry].
func (t *transition) sourcesFirst() []string {
	s := &t.d.stream
	source := map[string]string{}
	names := t.d.status.tags()
	for _, tag := range s.Spec.Tags {
		if followed, ok := s.TrackedTag(tag); ok {
			source[tag.Name] = followed
		}
		names = append(names, tag.Name)
	}
	slices.Sort(names)
	names = slices.Compact(names)

	order := make([]string, 0, len(names))
	place := make(map[string]int, len(names)) // in the chain, from 1 on; -1 once it is in order
	var chain []string
	for _, name := range names {
		at, ok := name, true
		for ; ok && place[at] == 0; at, ok = source[at] {
			chain = append(chain, at)
			place[at] = len(chain)
		}
		if ok && place[at] > 0 {
			ring := chain[place[at]-1:]
			slices.Reverse(ring)
			i := slices.Index(ring, t.entry(ring))
			order = append(append(order, ring[i:]...), ring[:i]...)
			chain = chain[:place[at]-1]
			for _, member := range ring {
				place[member] = -1
			}
		}
		slices.Reverse(chain)
		order = append(order, chain...)
		for _, member := range chain {
			place[member] = -1
		}
		chain = chain[:0]
	}
	return order
}

// entry returns where a circle of tags is entered: at the first one in name order that is pinned, since no
// event passes it, else at the first that has news, else at the first.
func (t *transition) entry(ring []string) string {
	sorted := slices.Sorted(slices.Values(ring))
	for _, tag := range sorted {
		if _, pinned := t.pins[tag]; pinned {
			return tag
		}
	}
	for _, tag := range sorted {
		if _, ok := t.news(tag); ok {
			return tag
		}
	}
	return sorted[0]
}

// trackers lists the tags that follow a tag, by the tag they follow.
func (t *transition) trackers() map[string][]string {
	index := map[string][]string{}
	for _, tag := range t.d.stream.Spec.Tags {
		if source, ok := t.d.stream.TrackedTag(tag); ok {
			index[source] = append(index[source], tag.Name)
		}
	}
	return index
}

// CreateNeeds lists what [PrepareCreate] and [PrepareCreateInternal] look at beyond s.
func (s *ImageStream) CreateNeeds() Needs {
	return needs(nil, newDraft(s))
}

// UpdateNeeds lists what [PrepareUpdate] and [PrepareUpdateInternal] look at beyond s, the old stream, and next.
// [PrepareStatusUpdate] needs nothing.
func (s *ImageStream) UpdateNeeds(next *ImageStream) Needs {
	t := newUpdate(s, next, Env{})
	t.setGenerations()
	return needs(t.old, t.d)
}

func needs(old *ImageStream, d *draft) (n Needs) {
	s := &d.stream
	eachChangedTag(old, s.Spec.Tags, s.Metadata.Namespace, func(tag *TagReference) {
		source, problem := sourceOf(s, tag.From)
		if problem != "" {
			return
		}
		if isForeign(s, tag.From) {
			n.Layers = append(n.Layers, source.stream)
		}
		if source.stream != s.Key() && canBeRead(source.stream) {
			n.Streams = append(n.Streams, source.stream)
		}
	})
	slices.SortFunc(n.Streams, Key.Compare)
	slices.SortFunc(n.Layers, Key.Compare)
	n.Streams, n.Layers = slices.Compact(n.Streams), slices.Compact(n.Layers)
	return n
}
