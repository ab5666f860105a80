package imagestream

import (
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// draft is a stream in the making. It shares with the stream it began as whatever it has not changed, and
// never writes to that.
type draft struct {
	stream ImageStream
	// ownTags tells that stream.Spec.Tags is the draft's own.
	ownTags bool
	// status stands for stream.Status.Tags until finish.
	status histories
}

// newDraft begins with s as the API server reads it: tags in name order, the last of several of one name,
// defaults filled in.
func newDraft(s *ImageStream) *draft {
	d := &draft{stream: *s}
	d.stream.Spec.Tags = sortedTags(s.Spec.Tags)
	d.ownTags = len(s.Spec.Tags) > 0 && &d.stream.Spec.Tags[0] != &s.Spec.Tags[0]
	for i := range d.stream.Spec.Tags {
		if t := &d.stream.Spec.Tags[i]; t.ImportPolicy.ImportMode == "" || t.ReferencePolicy.Type == "" {
			t = d.tag(i)
			t.ImportPolicy.ImportMode = orDefault(t.ImportPolicy.ImportMode, ImportModeLegacy)
			t.ReferencePolicy.Type = orDefault(t.ReferencePolicy.Type, ReferencePolicySource)
		}
	}
	d.status = histories{stored: sortedHistories(s.Status.Tags)}
	return d
}

func orDefault[T ~string](v, otherwise T) T {
	if v == "" {
		return otherwise
	}
	return v
}

// WithDefaults returns s as the API server reads it: spec tags and histories in name order, of several of one
// name the last, and the defaults Legacy and Source where a spec tag has no import mode or no reference
// policy. It shares with s what is like that already. Every transition does this to its arguments.
func (s *ImageStream) WithDefaults() *ImageStream { return newDraft(s).finish() }

// tag returns the i-th spec tag for writing to its own fields; what these point at is still shared.
func (d *draft) tag(i int) *TagReference {
	if !d.ownTags {
		d.stream.Spec.Tags = slices.Clone(d.stream.Spec.Tags)
		d.ownTags = true
	}
	return &d.stream.Spec.Tags[i]
}

// finish returns the stream as the API server would write it. The repositories of spec and status lose a tag
// or a digest there. See conformance cases stream-0005 and stream-0009.
func (d *draft) finish() *ImageStream {
	s := d.stream
	s.Status.Tags = d.status.all()
	s.Spec.DockerImageRepository = repositoryOnly(s.Spec.DockerImageRepository)
	s.Status.DockerImageRepository = repositoryOnly(s.Status.DockerImageRepository)
	return &s
}

func repositoryOnly(spec string) string {
	if r, err := pullspec.Parse(spec); err == nil && (r.Tag != "" || r.ID != "") {
		return r.AsRepository().Exact()
	}
	return spec
}

// histories are the histories of a stream's tags, with changes laid over those that are stored, which are in
// name order. So many changes cost no more than one merge.
type histories struct {
	stored  []tagevent.History
	changed map[string]tagevent.History
}

func (h *histories) get(tag string) (tagevent.History, bool) {
	if c, ok := h.changed[tag]; ok {
		return c, true
	}
	return findHistory(h.stored, tag)
}

func (h *histories) set(history tagevent.History) {
	if h.changed == nil {
		h.changed = map[string]tagevent.History{}
	}
	h.changed[history.Tag] = history
}

func (h *histories) push(tag string, event tagevent.Event) bool {
	history, _ := h.get(tag)
	next, changed := history.Push(event)
	if changed {
		h.set(next)
	}
	return changed
}

// tags returns the names of all histories, in order.
func (h *histories) tags() []string {
	names := make([]string, 0, len(h.stored)+len(h.changed))
	for _, history := range h.stored {
		names = append(names, history.Tag)
	}
	for tag := range h.changed {
		if _, ok := findHistory(h.stored, tag); !ok {
			names = append(names, tag)
		}
	}
	slices.Sort(names)
	return names
}

// all returns the histories in name order; those that are stored, if none has changed.
func (h *histories) all() []tagevent.History {
	if len(h.changed) == 0 {
		return h.stored
	}
	merged := make([]tagevent.History, 0, len(h.stored)+len(h.changed))
	names := slices.Sorted(maps.Keys(h.changed))
	rest := h.stored
	for _, name := range names {
		for len(rest) > 0 && rest[0].Tag < name {
			merged, rest = append(merged, rest[0]), rest[1:]
		}
		if len(rest) > 0 && rest[0].Tag == name {
			rest = rest[1:]
		}
		merged = append(merged, h.changed[name])
	}
	return append(merged, rest...)
}
