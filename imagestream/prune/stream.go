package prune

import (
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// StreamPlan is what becomes of a stream's histories.
type StreamPlan struct {
	Stream imagestream.Key
	// Whole is why the whole stream stays as it is; its Reason is empty if the events were looked at one by
	// one.
	Whole Verdict
	// Events are the verdicts on all events, in the order of the stream.
	Events []EventPlan

	rounds []round
	left   *imagestream.ImageStream
}

// EventPlan is what becomes of an event.
type EventPlan struct {
	Tag string
	// Index is the position in the history; 0 is the newest.
	Index int
	Event tagevent.Event
	Verdict
}

// round is one write of a stream's status, and what goes from the registry with it.
type round struct {
	events []EventPlan
	// next is the stream as it is to be written; nil if it stays as it is.
	next    *imagestream.ImageStream
	removed int
	links   links
	// unreadable is an image that hinders the real system from looking at the stream.
	unreadable string
	// finish tells that images leave the annotation at the end.
	finish bool
	// more tells that there will be another round.
	more bool
}

// links are what goes from the repository of a stream, each in its order.
type links struct{ layers, manifests []string }

// planStream decides about a stream on the premise that nothing fails.
func (c *cluster) planStream(s *imagestream.ImageStream) StreamPlan {
	p := StreamPlan{Stream: s.Key(), left: s}
	if c.stays(s) {
		p.Whole = keep(Young, "")
		return p
	}
	if c.opts.Safe {
		c.planRounds(&p)
		return p
	}
	r := c.decide(s)
	p.Events, p.rounds = r.events, []round{r}
	if r.next != nil {
		p.left = r.next
	}
	if r.unreadable != "" {
		p.Whole = keep(Unreadable, r.unreadable)
	}
	return p
}

// planRounds decides under Options.Safe: round by round, as many as the annotation needs.
func (c *cluster) planRounds(p *StreamPlan) {
	listed := p.left
	for more := true; more; {
		r := c.decideSafely(p.left, listed)
		if p.Events == nil {
			p.Events = r.events
		}
		if r.next != nil {
			p.left = r.next
		}
		if images := pending(p.left); len(images) > 0 && !c.opts.KeepRegistry {
			r.links, r.finish = c.pendingLinks(p.left), true
			p.left = withoutPending(p.left, images)
		}
		p.rounds = append(p.rounds, r)
		more = r.more
	}
}

// stays reports whether a stream is not looked at. See conformance case prune-v0007.
func (c *cluster) stays(s *imagestream.ImageStream) bool {
	young := !c.opts.OverSizeLimit && s.Metadata.CreationTimestamp > c.threshold
	return young && (!c.opts.Safe || len(pending(s)) == 0)
}

// decide returns what becomes of a stream by the real system's rules. An image that cannot be read hinders them.
func (c *cluster) decide(s *imagestream.ImageStream) round {
	manifests, blobs := map[string]int{}, map[int32]int{}
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			i := c.image(e.Image)
			if i == nil {
				continue
			}
			if i.unreadable {
				return round{unreadable: e.Image}
			}
			manifests[e.Image]++
			for _, b := range i.blobs {
				blobs[b]++
			}
		}
	}
	var r round
	for _, h := range s.Status.Tags {
		for rev, e := range h.Items {
			v := c.judge(s.Key(), h.Tag, rev, e)
			r.events = append(r.events, EventPlan{h.Tag, rev, e, v})
			i := c.image(e.Image)
			if !v.Remove || i == nil || c.opts.KeepRegistry {
				continue
			}
			if manifests[e.Image]--; manifests[e.Image] == 0 {
				r.links.manifests = append(r.links.manifests, e.Image)
			}
			for _, b := range i.blobs {
				if blobs[b]--; blobs[b] == 0 {
					r.links.layers = append(r.links.layers, c.blobs[b])
				}
			}
		}
	}
	r.next, r.removed = without(s, r.events)
	return r
}

// judge decides about an event by the real system's rules. See conformance cases prune-v0004, prune-v0005 and
// prune-v0013 to prune-v0017.
func (c *cluster) judge(key imagestream.Key, tag string, rev int, e tagevent.Event) Verdict {
	if !c.opts.OverSizeLimit && e.Created > c.threshold {
		return keep(Young, "")
	}
	if by, ok := c.used.tags[streamTag{key, tag}]; ok && rev == 0 {
		return keep(TagInUse, by)
	}
	i := c.image(e.Image)
	switch {
	case i == nil:
		return remove(NoImage, "")
	case c.opts.OverSizeLimit && !c.exceeds(key.Namespace, i):
		return keep(WithinLimit, "")
	case !c.opts.OverSizeLimit && rev < c.opts.KeepTagRevisions:
		return keep(Revision, "")
	}
	if by, ok := c.used.images[key][e.Image]; ok {
		return keep(ImageInUse, by)
	}
	return remove(c.whyItGoes(), "")
}

func (c *cluster) whyItGoes() Reason {
	if c.opts.OverSizeLimit {
		return TooBig
	}
	return Old
}

// without returns s without the events that are to be removed, and tags that have no event then, and how many
// events these are; nil if there are none. Events are those of s, in order.
func without(s *imagestream.ImageStream, events []EventPlan) (*imagestream.ImageStream, int) {
	removed := 0
	for _, e := range events {
		if e.Remove {
			removed++
		}
	}
	if removed == 0 {
		return nil, 0
	}
	next := *s
	next.Status.Tags = nil
	for _, h := range s.Status.Tags {
		all := h.Items
		h.Items = nil
		for at := range all {
			if !events[at].Remove {
				h.Items = append(h.Items, all[at])
			}
		}
		events = events[len(all):]
		if len(h.Items) > 0 {
			next.Status.Tags = append(next.Status.Tags, h)
		}
	}
	return &next, removed
}

// pending are the images whose links are being removed from the repository of s. Anybody who may write the stream
// may have written the annotation: what is not a digest does not count.
func pending(s *imagestream.ImageStream) []string {
	list := s.Metadata.Annotations[PruningAnnotation]
	if list == "" {
		return nil
	}
	return slices.DeleteFunc(strings.Split(list, ","), func(name string) bool { return !pullspec.IsDigest(name) })
}

// withPending returns s with these images in its annotation.
func withPending(s *imagestream.ImageStream, images []string) *imagestream.ImageStream {
	next := *s
	next.Metadata.Annotations = maps.Clone(s.Metadata.Annotations)
	if len(images) == 0 {
		delete(next.Metadata.Annotations, PruningAnnotation)
		return &next
	}
	if next.Metadata.Annotations == nil {
		next.Metadata.Annotations = map[string]string{}
	}
	next.Metadata.Annotations[PruningAnnotation] = strings.Join(images, ",")
	return &next
}

// withoutPending returns s without these images in its annotation; s itself if none is there.
func withoutPending(s *imagestream.ImageStream, done []string) *imagestream.ImageStream {
	before := pending(s)
	gone := setOf(done)
	left := slices.DeleteFunc(slices.Clone(before), func(id string) bool { return gone[id] })
	if len(left) == len(before) {
		return s
	}
	return withPending(s, left)
}

// decideSafely is decide under Options.Safe. The oldest events go first, and only as many as have room in the
// annotation; the rest goes in the next round. Listed is the stream as it was when the images were listed.
func (c *cluster) decideSafely(s, listed *imagestream.ImageStream) round {
	var r round
	inUse := c.inUse(s)
	isNew := newImages(s, listed)
	for _, h := range s.Status.Tags {
		from := len(r.events)
		kept := false
		for rev, e := range h.Items {
			v := c.judgeSafely(s, isNew, inUse, h.Tag, rev, e)
			kept = kept || !v.Remove
			r.events = append(r.events, EventPlan{h.Tag, rev, e, v})
		}
		if kept && r.events[from].Remove {
			r.events[from].Verdict = keep(StaysNewest, "")
		}
	}
	wait := pending(s)
	chosen, going, more := c.firstOnes(r.events, len(wait))
	r.more = more
	r.next, r.removed = without(s, chosen)
	if r.next != nil && !c.opts.KeepRegistry {
		r.next = withPending(r.next, slices.Compact(slices.Sorted(slices.Values(append(wait, going...)))))
	}
	return r
}

// firstOnes keeps, of the events that are to be removed, those that have to wait for the next round. It
// returns the images of the others, as far as they exist, and whether some have to wait.
func (c *cluster) firstOnes(events []EventPlan, have int) (chosen []EventPlan, images []string, full bool) {
	chosen = slices.Clone(events)
	seen := map[string]bool{}
	for at, e := range slices.Backward(chosen) {
		known := e.Remove && c.image(e.Event.Image) != nil && !seen[e.Event.Image]
		full = full || known && have+len(images) >= c.maxPending && !c.opts.KeepRegistry
		if full {
			chosen[at].Remove = false
		}
		if full || !known {
			continue
		}
		seen[e.Event.Image] = true
		images = append(images, e.Event.Image)
	}
	return chosen, images, full
}

// judgeSafely is judge under Options.Safe.
func (c *cluster) judgeSafely(s *imagestream.ImageStream, isNew func(image string) bool, inUse map[string]Verdict,
	tag string, rev int, e tagevent.Event,
) Verdict {
	if !c.opts.OverSizeLimit && (e.Created > c.threshold || s.Metadata.CreationTimestamp > c.threshold) {
		return keep(Young, "")
	}
	if by, ok := c.used.tags[streamTag{s.Key(), tag}]; ok && rev == 0 {
		return keep(TagInUse, by)
	}
	if v, ok := inUse[e.Image]; ok {
		return v
	}
	i := c.image(e.Image)
	switch {
	case i == nil && isNew(e.Image), i != nil && i.isNew:
		return keep(NewSince, "")
	case i == nil && e.Image != "":
		return remove(NoImage, "")
	case c.unreadable(i) != nil:
		return keep(Unreadable, c.unreadable(i).cause())
	case c.opts.OverSizeLimit && (i == nil || !c.exceeds(s.Metadata.Namespace, i)):
		return keep(WithinLimit, "")
	case !c.opts.OverSizeLimit && rev < c.opts.KeepTagRevisions:
		return keep(Revision, "")
	}
	return remove(c.whyItGoes(), "")
}

// newImages tells which images s did not have when it was listed.
func newImages(s, listed *imagestream.ImageStream) func(image string) bool {
	if s == listed {
		return func(string) bool { return false }
	}
	had := map[string]bool{}
	for _, h := range listed.Status.Tags {
		for _, e := range h.Items {
			had[e.Image] = true
		}
	}
	return func(image string) bool { return !had[image] }
}

// inUse returns, of the images in the histories of s, those that are used there: by their own name, or by
// that of an image that they are lists of.
func (c *cluster) inUse(s *imagestream.ImageStream) map[string]Verdict {
	ids := c.used.images[s.Key()]
	if len(ids) == 0 {
		return nil
	}
	found := map[string]Verdict{}
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			if _, done := found[e.Image]; done || e.Image == "" {
				continue
			}
			for _, part := range c.closure(e.Image) {
				if by, ok := c.used.user(s.Key(), part); ok {
					found[e.Image] = keep(PartInUse, by)
					if part == e.Image {
						found[e.Image] = keep(ImageInUse, by)
					}
					break
				}
			}
		}
	}
	return found
}

// closure returns images and the images of the lists that they are, however deep, each once, lists before their
// images; those that do not exist, too.
func (c *cluster) closure(names ...string) []string {
	var all []string
	seen := map[string]bool{}
	for queue := slices.Clone(names); len(queue) > 0; queue = queue[1:] {
		if seen[queue[0]] {
			continue
		}
		seen[queue[0]] = true
		all = append(all, queue[0])
		if i := c.image(queue[0]); i != nil {
			for _, m := range i.DockerImageManifests {
				queue = append(queue, m.Digest)
			}
		}
	}
	return all
}

// unreadable returns i, or an image of the list that it is, if that cannot be read; nil if all can.
func (c *cluster) unreadable(i *image) *image {
	switch {
	case i == nil:
		return nil
	case i.unreadable:
		return i
	case len(i.DockerImageManifests) == 0:
		return nil
	}
	for _, name := range c.closure(i.Metadata.Name) {
		if part := c.image(name); part != nil && part.unreadable {
			return part
		}
	}
	return nil
}

// pendingLinks returns the links that the repository of s has only for the images in its annotation.
func (c *cluster) pendingLinks(s *imagestream.ImageStream) (l links) {
	var names []string
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			names = append(names, e.Image)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.used.images[s.Key()])) {
		names = append(names, c.namesOf(id)...)
	}
	stay := c.closure(names...)
	stayingBlobs, staying := c.blobsOf(stay), setOf(stay)
	l.manifests = slices.DeleteFunc(c.closure(pending(s)...), func(name string) bool { return staying[name] })
	for b := range c.blobsOf(l.manifests) {
		if !stayingBlobs[b] {
			l.layers = append(l.layers, c.blobs[b])
		}
	}
	slices.Sort(l.layers)
	return l
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

func (c *cluster) blobsOf(names []string) map[int32]bool {
	blobs := map[int32]bool{}
	for _, name := range names {
		if i := c.image(name); i != nil {
			for _, b := range i.blobs {
				blobs[b] = true
			}
		}
	}
	return blobs
}
