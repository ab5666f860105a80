package imagestream

import (
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// withinLimits reports whether the new stream may be stored: it uses nothing that the old one did not, or it
// is within both limits. Growth of one resource so trips over the limit of the other, too. See conformance
// cases stream-0049 to stream-0052.
func (t *transition) withinLimits() bool {
	if t.env.Limits == (Limits{}) {
		return true
	}
	s := &t.d.stream
	status := t.d.status.all()
	tags, images := sourcesOf(s), imagesOf(status)
	var oldTags, oldImages map[string]bool
	if t.old != nil {
		oldTags, oldImages = sourcesOf(t.old), imagesOf(t.old.Status.Tags)
	}
	if t.sharedStatus {
		// Upstream quirk (stream-0069): the old status is the new one.
		oldImages = images
	}
	if !grew(oldTags, tags) && !grew(oldImages, images) {
		return true
	}
	return within(t.env.Limits.ImageTags, len(tags)) && within(t.env.Limits.Images, len(images))
}

func grew(old, next map[string]bool) bool {
	for member := range next {
		if !old[member] {
			return true
		}
	}
	return false
}

func within(limit *int64, n int) bool { return limit == nil || int64(n) <= *limit }

func (t *transition) limitsDetail() string {
	text := func(limit *int64) string {
		if limit == nil {
			return "any number"
		}
		return fmt.Sprint(*limit)
	}
	return fmt.Sprintf(
		"the stream would have %d sources of tags and %d images; its limits are %s (openshift.io/image-tags) and %s (openshift.io/images): "+
			"remove tags, or ask for a higher limit",
		len(sourcesOf(&t.d.stream)),
		len(imagesOf(t.d.status.all())),
		text(t.env.Limits.ImageTags),
		text(t.env.Limits.Images),
	)
}

// imagesOf returns the names of all images in histories.
func imagesOf(histories []tagevent.History) map[string]bool {
	images := map[string]bool{}
	for _, h := range histories {
		for i := range h.Items {
			if image := h.Items[i].Image; image != "" {
				images[image] = true
			}
		}
	}
	return images
}

// sourcesOf returns the different sources of the spec tags of s.
func sourcesOf(s *ImageStream) map[string]bool {
	sources := map[string]bool{}
	for i := range s.Spec.Tags {
		if from := s.Spec.Tags[i].From; from != nil {
			if source, ok := usedSource(s, from); ok {
				sources[source] = true
			}
		}
	}
	return sources
}

// usedSource returns what a source counts as, and whether it counts.
func usedSource(s *ImageStream, from *ObjectReference) (string, bool) {
	switch from.Kind {
	case KindDockerImage:
		r, err := pullspec.Parse(from.Name)
		return r.DockerClientDefaults().DaemonMinimal().Exact(), err == nil
	case KindImageStreamTag:
		stream, tag, err := pullspec.ParseTag(from.Name)
		return orDefault(from.Namespace, s.Metadata.Namespace) + "/" + pullspec.JoinTag(stream, tag), err == nil
	case KindImageStreamImage:
		// Upstream quirk (stream-0051): this name is read as a pull spec.
		r, err := pullspec.Parse(from.Name)
		if err != nil || r.ID == "" {
			return "", false
		}
		r.Namespace = orDefault(r.Namespace, orDefault(from.Namespace, s.Metadata.Namespace))
		return r.DaemonMinimal().Exact(), true
	}
	return "", false
}

// ExceedsLimits reports whether a stream was refused, by a create or an update, for its [Limits].
func (l ErrorList) ExceedsLimits() bool {
	return slices.ContainsFunc(l, func(e *FieldError) bool { return e.step == stepLimits })
}
