package imagestream

import (
	"slices"

	"github.com/imagestreams/imagestreams/tagevent"
)

// transition is one change of a stream on its way: what it starts from, what it may know, what it has found
// so far.
type transition struct {
	env Env
	old *ImageStream // nil on create; with defaults
	d   *draft
	// sharedStatus tells that old and new status are one: see PrepareUpdate.
	sharedStatus bool
	// pins are those that hold now; nil if there are none, and were none.
	pins map[string]TagPin
	// movedByPins are the tags that a pin, or its end, has moved.
	movedByPins map[string]bool
	errs        ErrorList
}

// PrepareCreate returns stream as it is stored when a user creates it.
//
// The status is made anew: the repositories, and the histories of tags that can be resolved without asking a
// registry. Generations of the stream and its tags are 1, the creation time is now. What only a server sets
// (deletion, self link) is dropped. The uid and the resource version are the store's to set.
//
// Then spec tags are verified and resolved, events go to the tags that follow, limits are looked at if there
// was no error so far, and the stream is validated. The errors of all that come back together, with a nil
// stream.
func PrepareCreate(stream *ImageStream, env Env) (*ImageStream, ErrorList) {
	t := transition{env: env, d: newDraft(stream)}
	m := &t.d.stream.Metadata
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds, m.SelfLink = nil, nil, ""
	t.d.stream.Status = ImageStreamStatus{}
	t.d.status = histories{}
	return t.create()
}

// PrepareCreateInternal returns stream as it is stored when an importer creates it. It differs from
// [PrepareCreate] in that the status is kept, but for the repositories, and so is what a server sets.
func PrepareCreateInternal(stream *ImageStream, env Env) (*ImageStream, ErrorList) {
	t := transition{env: env, d: newDraft(stream)}
	return t.create()
}

func (t *transition) create() (*ImageStream, ErrorList) {
	s := &t.d.stream
	s.Metadata.CreationTimestamp = t.env.now()
	s.Metadata.Generation = 1
	for i := range s.Spec.Tags {
		t.setGeneration(i, 1)
	}
	t.setRepositories()
	return t.check(func() ErrorList { return validateMetadata(&s.Metadata, streamNameRule, true) })
}

// PrepareUpdate returns next as it is stored when a user replaces old by it.
//
// The status stays the old one, but for the repositories and for tags that resolve anew. The stream's
// generation grows if the spec differs; a tag that is new or changed (see [TagReference.Changed]), or whose generation
// next sets to 0, gets the stream's generation, any other keeps its own. Then the steps are those of
// [PrepareCreate], with tags that did not change left alone.
//
// In the real system the old and the new status of a user's update are the same memory. This shows, and is
// kept: events do not go on to the tags that follow a tag, limits on images do not see growth, and a pull
// spec that this very update adds to the status counts as one that was there before, so the allowed
// registries do not apply to it. An internal update does not have this.
//
// Names, uid and resource version are compared by [ImageStream.CheckUpdate].
//
// # Steps
//
// In parentheses stand conformance cases that show it: "go run ./internal/vectors/check -show stream-0072" prints one.
//
//  1. Metadata that only servers set comes from the old stream (stream-0072 to stream-0077).
//  2. The repositories of the status are computed: [ImageStream.Repositories] (stream-0002, stream-0003).
//  3. Generations move: the stream's when the spec differs, a tag's when it is new or [TagReference.Changed], or asks
//     for it with generation 0 (stream-0056 to stream-0065).
//  4. Pins that have ended let go, and pinned tags stay where they are: [ImageStream.Pin].
//  5. Tags that come from another namespace require permission to get imagestreams/layers there (stream-0010 to
//     stream-0013).
//  6. Tags that are new or changed are resolved, in name order: a reference to its pull spec, a tag or an
//     image of a stream to its event. A DockerImage that is no reference is left to the importer
//     (stream-0007, stream-0014 to stream-0019).
//  7. New events go to the tags that follow, one step for each tag in name order (streamstatus-0009,
//     streamstatus-0010). Not on a user's update, and not on a status update.
//  8. Limits are looked at, if there was no error so far (stream-0049 to stream-0052).
//  9. The whole stream is validated (stream-0020 to stream-0037), pull specs against the allowed registries
//     (stream-0039 to stream-0046).
//
// The errors of steps 5, 6 and 9 come back together. A status update has steps 1, 4, 8 and the part of 9 that
// concerns new pull specs; and it gives the newest events that have no generation one (streamstatus-0002 to
// streamstatus-0007).
//
// # Accidents that are kept
//
// These accidents of the real system are kept, because others see them; each is a step of its own in the
// source, with the vector that pins it. On a user's update the old and the new status are the same memory:
// events do not go to followers, limits do not see images that are added, and allowed registries do not apply
// to pull specs that the update itself adds. A tag that begins to follow another one of its stream gives the
// other's newest event its own generation. A source's kind is no part of what makes a tag changed. Limits and
// permissions that are violated are wrong fields, not a refusal.
func PrepareUpdate(old, next *ImageStream, env Env) (*ImageStream, ErrorList) {
	t := newUpdate(old, next, env)
	t.sharedStatus = true
	t.d.stream.Status = t.old.Status
	t.d.status = histories{stored: t.old.Status.Tags}
	return t.update()
}

// PrepareUpdateInternal returns next as it is stored when an importer, or a write to one tag, replaces old by
// it. Unlike [PrepareUpdate] it takes the status of next, without tags that have neither events nor
// conditions, and lets every new event go on to the tags that follow, one step for each tag in name order.
func PrepareUpdateInternal(old, next *ImageStream, env Env) (*ImageStream, ErrorList) {
	t := newUpdate(old, next, env)
	t.d.status.dropEmpty()
	return t.update()
}

// dropEmpty removes histories with neither events nor conditions.
func (h *histories) dropEmpty() {
	empty := func(h tagevent.History) bool { return len(h.Items) == 0 && len(h.Conditions) == 0 }
	if slices.ContainsFunc(h.stored, empty) {
		h.stored = slices.DeleteFunc(slices.Clone(h.stored), empty)
	}
}

// newUpdate begins an update with what all of them have in common: what a client cannot change comes from
// old. See conformance cases stream-0062 and stream-0075.
func newUpdate(old, next *ImageStream, env Env) *transition {
	t := &transition{env: env, old: old.WithDefaults(), d: newDraft(next)}
	t.d.stream.Metadata = old.Metadata.Carry(&next.Metadata)
	return t
}

// Carry returns next with what a client cannot change of old: generation, creation and deletion. An
// empty namespace or uid is filled in.
func (m *ObjectMeta) Carry(next *ObjectMeta) ObjectMeta {
	c := *next
	c.Generation = m.Generation
	c.Namespace = orDefault(c.Namespace, m.Namespace)
	c.UID = orDefault(c.UID, m.UID)
	if !m.CreationTimestamp.IsZero() {
		c.CreationTimestamp = m.CreationTimestamp
	}
	if m.DeletionTimestamp != nil {
		c.DeletionTimestamp = m.DeletionTimestamp
		if c.DeletionGracePeriodSeconds == nil {
			c.DeletionGracePeriodSeconds = m.DeletionGracePeriodSeconds
		}
	}
	return c
}

func (t *transition) update() (*ImageStream, ErrorList) {
	t.setRepositories()
	t.setGenerations()
	return t.check(func() ErrorList {
		return append(
			validateMetadata(&t.d.stream.Metadata, streamNameRule, true),
			t.old.Metadata.ValidateUpdate(&t.d.stream.Metadata)...)
	})
}

// setGenerations moves the generations of the stream and of its tags. See conformance cases stream-0056 to
// stream-0065.
func (t *transition) setGenerations() {
	s, ns := &t.d.stream, t.d.stream.Metadata.Namespace
	before := walk{t.old.Spec.Tags}
	for i := range s.Spec.Tags {
		tag := &s.Spec.Tags[i]
		old, existed := before.find(tag.Name)
		if existed && !isGeneration(tag.Generation, 0) && !equalPtr(tag.Generation, old.Generation) {
			t.d.tag(i).Generation = old.Generation
		}
	}
	if s.Metadata.Generation == 0 || !equalSpec(&t.old.Spec, &s.Spec) {
		s.Metadata.Generation++
	}
	before = walk{t.old.Spec.Tags}
	for i := range s.Spec.Tags {
		tag := &s.Spec.Tags[i]
		old, existed := before.find(tag.Name)
		if !existed || tagChanged(old, tag, ns) || tag.Generation == nil || *tag.Generation == 0 {
			t.setGeneration(i, s.Metadata.Generation)
		}
	}
}

func (t *transition) setGeneration(i int, generation int64) {
	if !isGeneration(t.d.stream.Spec.Tags[i].Generation, generation) {
		t.d.tag(i).Generation = &generation
	}
}

func isGeneration(p *int64, want int64) bool { return p != nil && *p == want }

// setRepositories computes the repositories of the status. See conformance cases stream-0002 and stream-0003.
func (t *transition) setRepositories() {
	s := &t.d.stream
	s.Status.DockerImageRepository, s.Status.PublicDockerImageRepository = s.Repositories(t.env)
}

// Repositories returns what status.dockerImageRepository and status.publicDockerImageRepository of s are
// under env. The API computes them on every read.
func (s *ImageStream) Repositories(env Env) (internal, public string) {
	internal = s.Spec.DockerImageRepository
	path := "/" + s.Metadata.Namespace + "/" + s.Metadata.Name
	if env.InternalRegistry != "" {
		internal = env.InternalRegistry + path
	}
	if env.ExternalRegistry != "" {
		public = env.ExternalRegistry + path
	}
	return internal, public
}

// PrepareStatusUpdate returns next as it is stored when its status is written.
//
// Tags and repository of the spec stay the old ones. Lookup policy, labels and annotations do not: in the
// real system they can be changed like this, without a new generation. A newest event of generation 0 gets
// the spec tag's generation if it really moved the tag, else the stream's. Nothing is resolved, no event goes
// on to other tags, and only what is new in the status is validated.
func PrepareStatusUpdate(old, next *ImageStream, env Env) (*ImageStream, ErrorList) {
	t := newUpdate(old, next, env)
	s := &t.d.stream
	s.Spec.Tags, s.Spec.DockerImageRepository = t.old.Spec.Tags, t.old.Spec.DockerImageRepository
	t.stampNewest()
	t.usePins()
	if t.env.FollowChains {
		t.propagate()
	} else {
		t.propagatePins()
	}
	t.keepPins()

	if !t.withinLimits() {
		t.errs.add(FieldForbidden, "imageStream", nil, t.limitsDetail())
	}
	t.errs = append(t.errs, validateMetadata(&s.Metadata, pathSegmentRule, true)...)
	t.errs = append(t.errs, t.old.Metadata.ValidateUpdate(&s.Metadata)...)
	t.validateNewReferences()
	if len(t.errs) > 0 {
		return nil, t.errs
	}
	return t.d.finish(), nil
}

// stampNewest gives newest events without a generation one. See conformance cases streamstatus-0002 to
// streamstatus-0007.
func (t *transition) stampNewest() {
	s := &t.d.stream
	for _, h := range t.d.status.stored {
		latest, ok := h.Latest()
		if !ok || latest.Generation != 0 {
			continue
		}
		latest.Generation = s.Metadata.Generation
		oldHistory, _ := findHistory(t.old.Status.Tags, h.Tag)
		if before, ok := oldHistory.Latest(); ok &&
			(before.Image != latest.Image || before.DockerImageReference != latest.DockerImageReference || before.Generation > 0) {
			if tag, ok := findTag(s.Spec.Tags, h.Tag); ok && tag.Generation != nil {
				latest.Generation = *tag.Generation
			}
		}
		t.d.status.set(withNewest(h, latest))
	}
}

// withNewest returns h with its newest event replaced, conditions kept.
func withNewest(h tagevent.History, e tagevent.Event) tagevent.History {
	h.Items = slices.Clone(h.Items)
	h.Items[0] = e
	return h
}

// check does what create and update have in common once generations are set.
func (t *transition) check(metadata func() ErrorList) (*ImageStream, ErrorList) {
	t.usePins()
	before := len(t.errs)
	t.verifyTags()
	t.resolveTags()
	for _, e := range t.errs[before:] {
		e.step = stepSources
	}
	t.propagate()
	t.keepPins()
	if len(t.errs) == 0 && !t.withinLimits() {
		t.errs = append(
			t.errs,
			&FieldError{Type: FieldInternal, Field: wrappedField, Detail: t.limitsDetail(), step: stepLimits},
		)
	}
	t.errs = append(t.errs, metadata()...)
	t.validate()
	if len(t.errs) > 0 {
		return nil, t.errs
	}
	return t.d.finish(), nil
}
