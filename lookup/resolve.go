package lookup

import (
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// resolve looks a reference up. If something must be known first, it says so in the needs and in d.
func (r *review) resolve(ref reference, d *decision) (resolved, bool) {
	switch ref.kind {
	case imagestream.KindDockerImage:
		return r.resolvePullSpec(ref.name, d)
	case imagestream.KindImageStreamTag:
		name, tag, ok := pullspec.SplitTag(ref.name)
		if !ok {
			d.why = WhyName
			return resolved{}, false
		}
		return r.resolveTag(tagName{imagestream.Key{Namespace: r.orOwn(ref.namespace), Name: name}, tag, false, false}, d)
	case imagestream.KindImageStreamImage:
		return r.resolveStreamImage(imagestream.Key{Namespace: r.orOwn(ref.namespace)}, ref.name, d)
	}
	d.why = WhyKind
	return resolved{}, false
}

func (r *review) orOwn(namespace string) string {
	if namespace == "" {
		return r.namespace
	}
	return namespace
}

func (r *review) resolvePullSpec(spec string, d *decision) (resolved, bool) {
	ref, err := pullspec.Parse(spec)
	if err != nil {
		d.why = WhyUnreadable
		return resolved{}, false
	}
	if ref.ID != "" {
		return r.resolveDigest(ref, d)
	}
	full := r.known.InternalRegistry != "" && ref.Registry == r.known.InternalRegistry
	partial := r.force || ref.Registry == "" && ref.Namespace == "" && ref.Name != ""
	if ref.Name == "" {
		d.why = WhyHost // See conformance case lookup-63.
		return resolved{}, false
	}
	if !full && !partial {
		d.why = WhyFull
		return resolved{}, false
	}
	name := tagName{imagestream.Key{Namespace: ref.Namespace, Name: ref.Name}, ref.Tag, partial, r.force}
	if r.force || ref.Namespace == "" {
		name.stream.Namespace = r.namespace
	}
	if name.tag == "" {
		name.tag = pullspec.DefaultTag
	}
	res, ok := r.resolveTag(name, d)
	if ok || d.unknown || !partial {
		return res, ok
	}
	first := d.why
	for _, namespace := range r.req.Options.Namespaces {
		name.stream.Namespace = namespace
		if res, ok = r.resolveTag(name, d); ok || d.unknown {
			return res, ok
		}
	}
	d.why = first
	return resolved{}, false
}

// resolveDigest looks up an image by its name.
func (r *review) resolveDigest(ref pullspec.Reference, d *decision) (resolved, bool) {
	d.why = WhyDigest
	if !r.readsImages {
		return resolved{}, false // whether it exists makes no difference
	}
	image, known := r.image(ref.ID, d)
	if !known || image == nil {
		return resolved{}, false
	}
	integrated := r.known.InternalRegistry != "" && ref.Registry == r.known.InternalRegistry
	return resolved{reference: ref, image: image, integrated: integrated, why: WhyExact, assumed: r.known.NoImages}, true
}

// tagName is a tag that is looked up: partial by a short name, forced by the annotation.
type tagName struct {
	stream          imagestream.Key
	tag             string
	partial, forced bool
}

// isName reports whether the tag can be asked for at all.
func (n tagName) isName() bool {
	return n.stream.Name != "" && pullspec.IsPathSegment(n.stream.Name) && pullspec.IsPathSegment(n.tag) &&
		!strings.Contains(n.stream.Name, "@") && !strings.ContainsAny(n.tag, "@:")
}

func (r *review) resolveTag(n tagName, d *decision) (resolved, bool) {
	if !n.isName() {
		d.why = WhyName
		return resolved{}, false
	}
	if r.req.Options.Explain {
		d.tried = append(d.tried, Tried{n.stream, n.tag})
	}
	s, known := r.stream(n.stream, d)
	if !known {
		return resolved{}, false
	}
	if s == nil {
		d.why = WhyNoStream
		return resolved{}, false
	}
	local := n.forced || s.Spec.LookupPolicy.Local
	event, ok := latest(s, n.tag)
	res := resolved{stream: n.stream, tag: n.tag}
	if !ok {
		return r.missingTag(s, n, local, res, d)
	}
	if n.partial && !local {
		d.why = WhyNotLocal
		return resolved{}, false
	}
	if !n.partial && !r.readsImages {
		d.why = WhyInternal
		if d.ref.kind == imagestream.KindImageStreamTag {
			d.why = WhyTag
		}
		return resolved{}, false // whether its image exists makes no difference
	}
	image, known := r.image(event.Image, d)
	if !known {
		return resolved{}, false
	}
	if image == nil {
		d.why = WhyImageGone
		return resolved{}, false
	}
	spec := specTag(s, n.tag)
	reference, ok := r.eventReference(s, spec, event)
	if !ok {
		d.why = WhyNoPullSpec
		return resolved{}, false
	}
	reference.Tag, reference.ID = "", event.Image
	res.reference, res.image, res.integrated, res.local, res.event = reference, image, true, n.partial, event
	res.assumed = r.known.NoImages
	if spec != nil {
		res.tagNotes = spec.Annotations
	}
	res.why = WhyNewest
	return res, true
}

// missingTag resolves a tag without image to where it will be.
func (r *review) missingTag(
	s *imagestream.ImageStream, n tagName, local bool, res resolved, d *decision,
) (resolved, bool) {
	if !local {
		d.why = WhyNotLocal
		return resolved{}, false
	}
	repository, ok := r.repository(s)
	if !ok {
		d.why = WhyNoImage
		return resolved{}, false
	}
	repository.Tag = n.tag
	res.reference, res.integrated, res.local, res.why = repository, !n.partial, true, WhyRepository
	return res, true
}

// latest returns the newest event of a tag, if it has an image. Of several histories the last counts.
func latest(s *imagestream.ImageStream, tag string) (event tagevent.Event, ok bool) {
	for i := len(s.Status.Tags) - 1; i >= 0; i-- {
		if h := &s.Status.Tags[i]; h.Tag == tag {
			if len(h.Items) == 0 || h.Items[0].Image == "" {
				return event, false
			}
			return h.Items[0], true
		}
	}
	return event, false
}

// specTag returns the last spec tag of that name, nil if there is none.
func specTag(s *imagestream.ImageStream, tag string) *imagestream.TagReference {
	for i := len(s.Spec.Tags) - 1; i >= 0; i-- {
		if s.Spec.Tags[i].Name == tag {
			return &s.Spec.Tags[i]
		}
	}
	return nil
}

// eventReference returns the pull spec of an event: that of the event, or that in the stream's repository.
func (r *review) eventReference(
	s *imagestream.ImageStream, spec *imagestream.TagReference, event tagevent.Event,
) (pullspec.Reference, bool) {
	if spec != nil && spec.ReferencePolicy.Type == imagestream.ReferencePolicyLocal {
		if repository, ok := r.repository(s); ok {
			repository.ID = event.Image
			return repository, pullspec.IsValid(repository.Exact())
		}
	}
	reference, err := pullspec.Parse(event.DockerImageReference)
	return reference, err == nil
}

// repository returns where a stream's own images are.
func (r *review) repository(s *imagestream.ImageStream) (pullspec.Reference, bool) {
	spec := s.Spec.DockerImageRepository
	if r.known.InternalRegistry != "" {
		spec = r.known.InternalRegistry + "/" + s.Metadata.Namespace + "/" + s.Metadata.Name
	}
	repository, err := pullspec.Parse(spec)
	return repository.AsRepository(), err == nil
}

// resolveStreamImage looks up an image of a stream by its name, or the beginning of it.
func (r *review) resolveStreamImage(key imagestream.Key, name string, d *decision) (resolved, bool) {
	stream, id, err := pullspec.ParseImage(name)
	d.why = WhyName
	if err != nil || !pullspec.IsPathSegment(stream) || !pullspec.IsPathSegment(id) {
		return resolved{}, false
	}
	d.why = WhyDigest
	if !r.readsImages {
		return resolved{}, false
	}
	key.Name = stream
	s, known := r.stream(key, d)
	if !known {
		return resolved{}, false
	}
	if s == nil {
		d.why = WhyNoStream
		return resolved{}, false
	}
	if r.known.NoImages {
		return r.assumeImage(key, s, id, d)
	}
	image, known := r.imageOf(s, id, d)
	if !known {
		return resolved{}, false
	}
	if image == nil {
		d.why = WhyImageGone
		return resolved{}, false
	}
	reference, err := pullspec.Parse(image.DockerImageReference)
	if err != nil {
		d.why = WhyNoPullSpec
		return resolved{}, false
	}
	return resolved{reference: reference, image: image, integrated: true, why: WhyExact, stream: key}, true
}

// assumeImage resolves an image of a stream by the events alone.
func (r *review) assumeImage(key imagestream.Key, s *imagestream.ImageStream, id string, d *decision) (resolved, bool) {
	for i := range s.Status.Tags {
		for _, e := range s.Status.Tags[i].Items {
			if e.Image == "" || !pullspec.MatchImageID(e.Image, id) {
				continue
			}
			reference, err := pullspec.Parse(e.DockerImageReference)
			if err != nil {
				d.why = WhyNoPullSpec
				return resolved{}, false
			}
			reference.Tag, reference.ID = "", e.Image
			image, _ := r.image(e.Image, d)
			return resolved{
				reference: reference, image: image, integrated: true, why: WhyExact, stream: key, assumed: true,
			}, true
		}
	}
	d.why = WhyImageGone
	return resolved{}, false
}

// imageOf returns the image of a stream that id names: among those of all its events, and of the manifest lists
// there. Of several the first in the order of events counts.
func (r *review) imageOf(s *imagestream.ImageStream, id string, d *decision) (*imagestream.Image, bool) {
	seen := map[string]bool{}
	var names []string
	add := func(name string) {
		if name != "" && !seen[name] {
			seen[name] = true
			names = append(names, name)
		}
	}
	for i := range s.Status.Tags {
		for _, e := range s.Status.Tags[i].Items {
			add(e.Image)
		}
	}
	allKnown := true
	for i := 0; i < len(names); i++ {
		image, known := r.image(names[i], d)
		allKnown = allKnown && known
		if image == nil {
			continue
		}
		if pullspec.MatchImageID(names[i], id) && allKnown {
			return image, true
		}
		for _, child := range image.DockerImageManifests {
			add(child.Digest)
		}
	}
	return nil, allKnown
}

// stream returns a stream, nil if there is none, and whether that is known.
func (r *review) stream(key imagestream.Key, d *decision) (*imagestream.ImageStream, bool) {
	s, known := r.known.Streams[key]
	if !known {
		d.unknown = true
		r.out.Needs.Streams = append(r.out.Needs.Streams, key)
	}
	return s, known
}

// image returns an image, nil if there is none, and whether that is known. Without images every one is there, bare.
func (r *review) image(name string, d *decision) (*imagestream.Image, bool) {
	if r.known.NoImages {
		return &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: name}}, true
	}
	image, known := r.known.Images[name]
	if !known {
		d.unknown = true
		r.out.Needs.Images = append(r.out.Needs.Images, name)
	}
	return image, known
}
