package trigger

import (
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// PushesAnnotation names the tags that an object's own work pushes to, [NAMESPACE/]STREAM:TAG, joined by commas. Of
// build configurations it is known: their output.
const PushesAnnotation = "imagestreams.github.io/pushes"

// pushes returns the tags that an object moves.
func pushes(id ID, object map[string]any) []tagKey {
	var keys []tagKey
	if id.Group == "build.openshift.io" && id.Kind == "BuildConfig" {
		if to := fromOf(member(member(object["spec"], "output"), "to")); to.Kind == imagestream.KindImageStreamTag {
			keys = appendTag(keys, orOwn(to.Namespace, id.Namespace), to.Name)
		}
	}
	text := podspec.Annotation(object, PushesAnnotation)
	if text == "" {
		return keys
	}
	for name := range strings.SplitSeq(text, ",") {
		namespace, rest, ok := strings.Cut(strings.TrimSpace(name), "/")
		if !ok {
			namespace, rest = id.Namespace, namespace
		}
		keys = appendTag(keys, namespace, rest)
	}
	return keys
}

func appendTag(keys []tagKey, namespace, name string) []tagKey {
	stream, tag, _ := pullspec.SplitTag(name)
	if stream == "" {
		return keys
	}
	return append(keys, tagKey{imagestream.Key{Namespace: namespace, Name: stream}, tag})
}

// loop returns how what an object pushes comes back to a tag that it follows: through tags that follow others in
// their stream, and through objects that follow a tag and push another. It is empty if it does not.
func (p *Planner) loop(e *entry) []string {
	walk := loopWalk{planner: p, target: e, seen: map[tagKey]bool{}}
	for _, tag := range e.pushes {
		if path := walk.from(tag); path != nil {
			return append([]string{e.id.String()}, path...)
		}
	}
	return nil
}

// loopWalk looks for the way back to an object.
type loopWalk struct {
	planner *Planner
	target  *entry
	seen    map[tagKey]bool
}

// from returns the way from a tag that moves to the target, nil if there is none.
func (w *loopWalk) from(tag tagKey) []string {
	if w.seen[tag] {
		return nil
	}
	w.seen[tag] = true
	if slices.ContainsFunc(w.target.follows, func(p place) bool { return p.tag.tagKey == tag }) {
		return []string{tag.String(), w.target.id.String()}
	}
	if s := w.planner.env.Streams[tag.stream]; s != nil {
		for _, t := range s.Spec.Tags {
			source, ok := s.TrackedTag(t)
			if !ok || source != tag.tag {
				continue
			}
			if path := w.from(tagKey{tag.stream, t.Name}); path != nil {
				return append([]string{tag.String()}, path...)
			}
		}
	}
	for _, next := range w.planner.index.pushers(tag) {
		for _, pushed := range next.pushes {
			if path := w.from(pushed); path != nil {
				return append([]string{tag.String(), next.id.String()}, path...)
			}
		}
	}
	return nil
}

// pushers returns the objects that follow a tag and push others, sorted.
func (x *Index) pushers(tag tagKey) []*entry {
	s := x.streams[tag.stream]
	if s == nil {
		return nil
	}
	var list []*entry
	for _, f := range s.tags {
		for _, o := range f.objects {
			if f.tag == tag.tag && len(o.object.pushes) > 0 {
				list = append(list, o.object)
			}
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return a.id.Compare(b.id) })
	return list
}
