package prune

import (
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// ImagePlan is what becomes of an image.
type ImagePlan struct {
	Name string
	// Size is what the image's metadata say.
	Size int64
	Verdict
	// Blobs go with the image; no image that stays has them.
	Blobs []string
	// Freed is how many bytes of blobs go with the image, as far as their sizes are known.
	Freed int64

	image *image
	// turn is its place in the order of removal.
	turn int
}

// planImages decides about all images on the premise that these are the streams, and that nothing fails.
func (c *cluster) planImages(streams []*imagestream.ImageStream, anywhere map[string]string) []ImagePlan {
	plans := make([]ImagePlan, len(c.images))
	for at := range c.images {
		i := &c.images[at]
		plans[at] = ImagePlan{Name: i.Metadata.Name, Size: i.size, image: i}
	}
	switch {
	case c.opts.Namespace != "":
		for at := range plans {
			plans[at].Verdict = keep(OneNamespace, "")
		}
		return plans
	case c.opts.Safe:
		c.judgeImagesSafely(plans, streams, anywhere)
	default:
		c.judgeImages(plans, c.usersOfImages(streams))
	}
	sweep := c.newSweep()
	for _, p := range c.order(plans) {
		if c.opts.KeepRegistry {
			continue
		}
		for _, b := range sweep.last(p.image) {
			p.Blobs = append(p.Blobs, c.blobs[b])
		}
		sweep.gone(p.image)
		p.Freed = p.image.bytesOf(p.Blobs)
	}
	return plans
}

// bytesOf returns how many bytes blobs of an image have.
func (i *image) bytesOf(blobs []string) (sum int64) {
	if len(blobs) == 0 {
		return 0
	}
	going := make(map[string]bool, len(blobs))
	for _, b := range blobs {
		going[b] = true
	}
	for _, l := range i.DockerImageLayers {
		if going[l.Name] {
			sum += l.LayerSize
			delete(going, l.Name)
		}
	}
	if going[i.Metadata.Name] {
		sum += int64(len(i.DockerImageManifest))
		delete(going, i.Metadata.Name)
	}
	if len(going) > 0 { // only the configuration is left
		sum += int64(len(i.DockerImageConfig))
	}
	return sum
}

// usersOfImages returns the images of all histories, and one of these.
func (c *cluster) usersOfImages(streams []*imagestream.ImageStream) map[string]string {
	used := make(map[string]string, len(c.images))
	for _, s := range streams {
		key := s.Key().String()
		for _, h := range s.Status.Tags {
			name := ""
			for _, e := range h.Items {
				if _, ok := used[e.Image]; ok {
					continue
				}
				if name == "" {
					name = pullspec.JoinTag(key, h.Tag)
				}
				used[e.Image] = name
			}
		}
	}
	return used
}

// judgeImages decides by the real system's rules. That one pass goes over the lists, in name order, is why an
// image of a list of a list may stay or not: see conformance case prune-v0027.
func (c *cluster) judgeImages(plans []ImagePlan, inStream map[string]string) {
	inList := map[string]string{}
	unreadable := ""
	for at := range c.images {
		i := &c.images[at]
		name := i.Metadata.Name
		if i.unreadable && unreadable == "" {
			unreadable = name
		}
		_, streamed := inStream[name]
		_, listed := inList[name]
		if streamed || listed {
			for _, m := range i.DockerImageManifests {
				inList[m.Digest] = name
			}
		}
	}
	for at := range plans {
		p := &plans[at]
		if by, ok := inStream[p.Name]; ok {
			p.Verdict = keep(InStream, by)
		} else if by, ok := inList[p.Name]; ok {
			p.Verdict = keep(PartOfList, by)
		} else if v, ok := c.spared(p.image); ok {
			p.Verdict = v
		} else if unreadable != "" {
			p.Verdict = keep(Unreadable, unreadable)
		} else {
			p.Verdict = remove(Unused, "")
		}
	}
}

// spared returns why an image stays that nothing has.
func (c *cluster) spared(i *image) (Verdict, bool) {
	switch {
	case c.opts.ManagedOnly && !i.managed():
		return keep(NotManaged, ""), true
	case !c.opts.OverSizeLimit && i.Metadata.CreationTimestamp > c.threshold:
		return keep(Young, ""), true
	}
	return Verdict{}, false
}

// blocked returns the image because of which the real system removes no image at all; "" if there is none.
func (c *cluster) blocked() string {
	if c.opts.Safe || c.opts.Namespace != "" {
		return ""
	}
	for at := range c.images {
		if c.images[at].unreadable {
			return c.images[at].Metadata.Name
		}
	}
	return ""
}

// judgeImagesSafely decides under Options.Safe: what stays for a reason of its own keeps the images of the list
// that it is.
func (c *cluster) judgeImagesSafely(plans []ImagePlan, streams []*imagestream.ImageStream, anywhere map[string]string) {
	reasons := make(map[string]Verdict, len(c.images))
	for name, by := range c.usersOfImages(streams) {
		reasons[name] = keep(InStream, by)
	}
	for _, id := range slices.Sorted(maps.Keys(anywhere)) {
		for _, name := range c.namesOf(id) {
			noteReason(reasons, name, keep(ImageInUse, anywhere[id]))
		}
	}
	for _, s := range streams {
		for _, name := range pending(s) {
			noteReason(reasons, name, keep(LinksPending, s.Key().String()))
		}
	}
	var stay []string
	for at := range plans {
		p := &plans[at]
		p.Verdict = c.judgeImageSafely(p.image, reasons)
		if !p.Remove {
			stay = append(stay, p.Name)
		}
	}
	for ; len(stay) > 0; stay = stay[1:] {
		for _, m := range c.image(stay[0]).DockerImageManifests {
			if at, ok := c.byName[m.Digest]; ok && plans[at].Remove {
				plans[at].Verdict = keep(PartOfList, stay[0])
				stay = append(stay, m.Digest)
			}
		}
	}
}

// noteReason keeps the first reason.
func noteReason(reasons map[string]Verdict, name string, v Verdict) {
	if _, ok := reasons[name]; !ok {
		reasons[name] = v
	}
}

func (c *cluster) judgeImageSafely(i *image, reasons map[string]Verdict) Verdict {
	if v, ok := reasons[i.Metadata.Name]; ok {
		return v
	}
	if i.isNew {
		return keep(NewSince, "")
	}
	if i.unreadable {
		return keep(Unreadable, i.cause())
	}
	if i.marked() {
		return remove(WasRemoved, i.Metadata.Annotations[PruningAnnotation])
	}
	if v, ok := c.spared(i); ok {
		return v
	}
	return remove(Unused, "")
}

// order returns the plans of the images that go, in the order of removal, and numbers them: by name, and under
// Safe lists before their images.
func (c *cluster) order(plans []ImagePlan) []*ImagePlan {
	var order []*ImagePlan
	waits := map[string]int{} // for how many lists an image waits
	for at := range plans {
		if !plans[at].Remove {
			continue
		}
		order = append(order, &plans[at])
		if c.opts.Safe {
			for _, m := range plans[at].image.DockerImageManifests {
				waits[m.Digest]++
			}
		}
	}
	if len(waits) > 0 {
		order = c.listsFirst(plans, order, waits)
	}
	for turn, p := range order {
		p.turn = turn
	}
	return order
}

// listsFirst takes the images, in their order, that wait for no list, and after each the images of it that
// waited for it alone. What waits for itself in a circle, which no digests do, comes last.
func (c *cluster) listsFirst(plans []ImagePlan, order []*ImagePlan, waits map[string]int) []*ImagePlan {
	sorted := make([]*ImagePlan, 0, len(order))
	taken := make(map[*ImagePlan]bool, len(order))
	take := func(p *ImagePlan) {
		for queue := []*ImagePlan{p}; len(queue) > 0; queue = queue[1:] {
			if taken[queue[0]] {
				continue
			}
			taken[queue[0]] = true
			sorted = append(sorted, queue[0])
			for _, m := range queue[0].image.DockerImageManifests {
				waits[m.Digest]--
				if at, ok := c.byName[m.Digest]; ok && waits[m.Digest] == 0 && plans[at].Remove {
					queue = append(queue, &plans[at])
				}
			}
		}
	}
	for _, p := range order {
		if waits[p.Name] == 0 {
			take(p)
		}
	}
	for _, p := range order {
		take(p)
	}
	return sorted
}

// sweep counts, for every blob, the images that have it.
type sweep struct {
	counts []int32
	// doubts are blobs of images that may be gone or not. An image that has one must stay: it may be the last.
	doubts map[int32]bool
}

func (c *cluster) newSweep() *sweep {
	s := &sweep{make([]int32, len(c.blobs)), map[int32]bool{}}
	for at := range c.images {
		i := &c.images[at]
		for _, b := range i.blobs {
			s.counts[b]++
		}
		s.counts[i.manifest]++
	}
	return s
}

// last returns the blobs that only i has, its manifest at the end.
func (s *sweep) last(i *image) (blobs []int32) {
	s.add(i, -1)
	seen := func(b int32) bool { return slices.Contains(blobs, b) }
	for _, b := range i.blobs {
		if s.counts[b] == 0 && !seen(b) {
			blobs = append(blobs, b)
		}
	}
	if s.counts[i.manifest] == 0 && !seen(i.manifest) {
		blobs = append(blobs, i.manifest)
	}
	s.add(i, 1)
	return blobs
}

// gone takes i from the counts.
func (s *sweep) gone(i *image) { s.add(i, -1) }

// doubt notes that nobody knows whether i is gone.
func (s *sweep) doubt(i *image) {
	for _, b := range i.blobs {
		s.doubts[b] = true
	}
}

func (s *sweep) doubtful(i *image) bool {
	return len(s.doubts) > 0 && slices.ContainsFunc(i.blobs, func(b int32) bool { return s.doubts[b] })
}

func (s *sweep) add(i *image, n int32) {
	for _, b := range i.blobs {
		s.counts[b] += n
	}
	s.counts[i.manifest] += n
}
