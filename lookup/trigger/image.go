package trigger

import (
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Image is what a tag resolves to.
type Image struct {
	// PullSpec is what a container that follows the tag runs. It may be empty.
	PullSpec string
	Stream   imagestream.Key
	Tag      string
	// Event is the event of the tag that PullSpec is made of.
	Event tagevent.Event
	Why   lookup.Why
}

// Resolve returns what "stream:tag" resolves to in a namespace. Env holds the streams. A tag that does not resolve has
// a Why that says so, and false. An empty tag is latest; of several tags of one name the first counts. The spec
// need not have the tag, and an import that is due makes no difference. A pin of the tag wins over its history.
func Resolve(env imagestream.Env, namespace, name string) (Image, bool) {
	r := resolver{env: &env}
	return r.resolve(namespace, name)
}

// resolver resolves tags: as the real system does or, if it is careful, without the accidents of that.
type resolver struct {
	env     *imagestream.Env
	careful bool
}

func (r resolver) resolve(namespace, name string) (Image, bool) {
	stream, tag, ok := strings.Cut(name, ":")
	image := Image{Stream: imagestream.Key{Namespace: namespace, Name: stream}, Tag: orLatest(tag)}
	if !ok {
		image.Tag, image.Why = "", lookup.WhyNoTag
		return image, false
	}
	s := r.env.Streams[image.Stream]
	switch {
	case s == nil:
		image.Why = lookup.WhyNoStream
		return image, false
	case !r.careful && !isNumber(s.Metadata.ResourceVersion):
		// Upstream quirk: the number is read, and never used. See conformance case trigger-v0015.
		image.Why = lookup.WhyVersion
		return image, false
	}
	if image.Event, image.Why = r.newest(s, image.Tag); image.Why != lookup.WhyNewest && image.Why != lookup.WhyPinned {
		return image, false
	}
	repository := s.Status.DockerImageRepository
	if repository == "" && isLocal(s, image.Tag) {
		repository = r.env.InternalRegistry + "/" + namespace + "/" + name
	}
	image.PullSpec = eventPullSpec(s, image.Tag, repository, image.Event)
	if image.PullSpec == "" && r.careful {
		image.Why = lookup.WhyEmpty
		return image, false
	}
	return image, true
}

func isNumber(version string) bool {
	_, err := strconv.ParseInt(version, 10, 64)
	return err == nil
}

// newest returns the event that a tag stands for now, and why.
func (r resolver) newest(s *imagestream.ImageStream, tag string) (tagevent.Event, lookup.Why) {
	if s.Metadata.Annotations[imagestream.PinsAnnotation] != "" {
		pins, err := s.Pins()
		if err != nil {
			return tagevent.Event{}, lookup.WhyPins
		}
		if pin, ok := pins[tag]; ok && (pin.Until.IsZero() || pin.Until > tagevent.TimeOf(r.env.Now)) {
			return pin.Event, lookup.WhyPinned
		}
	}
	for i := range s.Status.Tags {
		if h := &s.Status.Tags[i]; h.Tag == tag {
			if len(h.Items) == 0 {
				break
			}
			return h.Items[0], lookup.WhyNewest
		}
	}
	return tagevent.Event{}, lookup.WhyNoEvent
}

// eventPullSpec returns the pull spec of an event of a tag: that of the event, or under the policy Local the image in
// the repository, if that can be read.
func eventPullSpec(s *imagestream.ImageStream, tag, repository string, event tagevent.Event) string {
	if event.Image == "" || !isLocal(s, tag) {
		return event.DockerImageReference
	}
	reference, err := pullspec.Parse(repository)
	if err != nil {
		return event.DockerImageReference
	}
	reference.Tag, reference.ID = "", event.Image
	return reference.Exact()
}

// isLocal reports whether the first spec tag of that name has the reference policy Local.
func isLocal(s *imagestream.ImageStream, tag string) bool {
	for i := range s.Spec.Tags {
		if t := &s.Spec.Tags[i]; t.Name == tag {
			return t.ReferencePolicy.Type == imagestream.ReferencePolicyLocal
		}
	}
	return false
}
