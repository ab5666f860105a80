package inspect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Want says which image of a tag counts.
type Want string

const (
	// Asked is the image that people asked for: the newest event, unless the spec asks for something that is not
	// imported yet.
	Asked Want = ""
	// Recent is the newest event, whatever the spec asks for.
	Recent Want = "recent"
	// LastGood is the newest event that names an image, however the last import ended.
	LastGood Want = "last good"
	// Current is the newest event if nothing newer is asked for and the last import did not fail.
	Current Want = "current"
)

// From is where to pull from.
type From string

const (
	// FromSource is where the image came from.
	FromSource From = "source"
	// FromLocal is the stream's repository in the internal registry.
	FromLocal From = "local"
	// FromPublic is the same for clients outside, under the host of [imagestream.Settings.ExternalRegistry].
	FromPublic From = "public"
)

// PullSpecOptions say which image of a tag is wanted, and from where. The zero value is the image that people
// asked for, from where the tag's reference policy says.
type PullSpecOptions struct {
	Want Want
	// Event asks for that event of the tag; Want does not count then.
	Event *tagevent.Event
	// From are places in order of preference: the first that has the image counts. None is the stream's
	// repository if the reference policy is Local and the event names an image, and else the source.
	From []From
	// StandIn lets something else stand in for an image that the status does not have, as clients do: the source
	// of the spec tag, if that is a DockerImage under the reference policy Source, and else the repository of
	// the stream: FromLocal, or FromPublic for the public one if there is one. Empty lets nothing. No defaults
	// are filled in for that, so an empty policy is not Source, and of several tags of one name the first counts.
	StandIn From
}

// TagPullSpec is what to pull for a tag.
type TagPullSpec struct {
	PullSpec string
	// Event is what the tag points at; zero if something else stands in.
	Event tagevent.Event
	// HasStatus tells that the pull spec is what the tag really points at.
	HasStatus bool
	// HasNewer tells that something newer was asked for and is not imported yet.
	HasNewer bool
	// IsTagEmpty tells that the tag points at nothing, and the pull spec is only where an image could be
	// pushed to.
	IsTagEmpty bool
}

// The reasons why a tag has no pull spec.
var (
	// ErrNoRepository means that the tag points at nothing that any of the places has.
	ErrNoRepository = errors.New("nothing can be pulled for the tag")
	// ErrNotImported means that what was asked for is not imported yet, and its source cannot stand in for
	// it.
	ErrNotImported = errors.New("what the tag asks for is not imported yet: wait for it, or take the most recent image")
)

// PullSpec returns what to pull for a tag of s. An empty tag is latest. An error is [ErrNoRepository] or
// [ErrNotImported]. See conformance cases tagevent-0018 and tagevent-0011.
func PullSpec(s *imagestream.ImageStream, tag string, opts PullSpecOptions) (TagPullSpec, error) {
	tag = cmp.Or(tag, pullspec.DefaultTag)
	spec, history := partsOf(s, tag, opts.StandIn != "")
	if opts.Event != nil {
		return pull(s, spec, *opts.Event, opts.From)
	}
	event, ok := wanted(s, tag, history, opts.Want)
	ahead := ok && spec != nil && spec.Generation != nil && *spec.Generation > event.Generation
	stands := opts.StandIn != "" && spec != nil && spec.From != nil && spec.From.Kind == imagestream.KindDockerImage &&
		spec.ReferencePolicy.Type == imagestream.ReferencePolicySource
	switch {
	case ok && !(ahead && opts.Want == Asked):
		p, err := pull(s, spec, event, opts.From)
		p.HasNewer = ahead
		return p, err
	case stands:
		return TagPullSpec{PullSpec: spec.From.Name}, nil
	case ok || opts.Want == Current && history != nil:
		return TagPullSpec{}, ErrNotImported
	}
	repository := s.Status.DockerImageRepository
	if opts.StandIn == FromPublic {
		repository = cmp.Or(s.Status.PublicDockerImageRepository, repository)
	}
	switch {
	case spec == nil && history == nil && (repository == "" || opts.StandIn == ""):
		return TagPullSpec{}, fmt.Errorf("%w: image stream %s has no tag %q", ErrNoRepository, s.Key(), tag)
	case repository == "":
		return TagPullSpec{}, fmt.Errorf("%w: tag %q of image stream %s points at nothing, and the stream has no repository: "+
			"import or push an image first", ErrNoRepository, tag, s.Key())
	case opts.StandIn == "":
		return TagPullSpec{}, fmt.Errorf("%w: tag %q of image stream %s points at nothing: import or push an image first",
			ErrNoRepository, tag, s.Key())
	}
	return TagPullSpec{PullSpec: repository + ":" + tag, IsTagEmpty: true}, nil
}

// partsOf returns spec and history of a tag, nil where there is none: of several the first, or the ones that the
// API takes.
func partsOf(
	s *imagestream.ImageStream,
	tag string,
	firstOfSeveral bool,
) (spec *imagestream.TagReference, history *tagevent.History) {
	if firstOfSeveral {
		return first(s.Spec.Tags, func(t *imagestream.TagReference) bool { return t.Name == tag }),
			first(s.Status.Tags, func(h *tagevent.History) bool { return h.Tag == tag })
	}
	if t, ok := s.SpecTag(tag); ok {
		spec = &t
	}
	if h, ok := s.History(tag); ok {
		history = &h
	}
	return spec, history
}

// wanted returns the event that counts.
func wanted(s *imagestream.ImageStream, tag string, history *tagevent.History, want Want) (tagevent.Event, bool) {
	switch {
	case history == nil:
		return tagevent.Event{}, false
	case want == LastGood:
		i := slices.IndexFunc(history.Items, func(e tagevent.Event) bool { return imageOf(e) != "" })
		if i < 0 {
			return tagevent.Event{}, false
		}
		return history.Items[i], true
	case want == Current && TagState(s, tag).Phase != Done:
		return tagevent.Event{}, false
	}
	return history.Latest()
}

// imageOf returns the image of an event, that of a reference tag by digest, too: its pull spec names it.
func imageOf(e tagevent.Event) string {
	if e.Image != "" {
		return e.Image
	}
	if r, err := pullspec.Parse(e.DockerImageReference); err == nil && pullspec.IsDigest(r.ID) {
		return r.ID
	}
	return ""
}

// pull returns the pull spec of an event from the first place that has it.
func pull(
	s *imagestream.ImageStream,
	spec *imagestream.TagReference,
	e tagevent.Event,
	places []From,
) (TagPullSpec, error) {
	found := TagPullSpec{Event: e, HasStatus: true}
	if len(places) == 0 {
		found.PullSpec = e.DockerImageReference
		if spec != nil && spec.ReferencePolicy.Type == imagestream.ReferencePolicyLocal && e.Image != "" {
			if exact, ok := exactIn(s.Status.DockerImageRepository, e.Image); ok {
				found.PullSpec = exact // a repository that is a bare host gives "", as in the real system
			}
		}
		return found, nil
	}
	for _, place := range places {
		repository := ""
		switch place {
		case FromSource:
			if e.DockerImageReference != "" {
				found.PullSpec = e.DockerImageReference
				return found, nil
			}
			continue
		case FromLocal:
			repository = s.Status.DockerImageRepository
		case FromPublic:
			repository = s.Status.PublicDockerImageRepository
		}
		image := imageOf(e)
		if exact, ok := exactIn(repository, image); ok && image != "" && exact != "" {
			found.PullSpec = exact
			return found, nil
		}
	}
	return TagPullSpec{}, fmt.Errorf("%w: none of the places %q has a repository of image stream %s", ErrNoRepository, places, s.Key())
}

// exactIn returns the pull spec of an image in a repository; ok is false if that is not a pull spec.
func exactIn(repository, image string) (_ string, ok bool) {
	r, err := pullspec.Parse(repository)
	if repository == "" || err != nil {
		return "", false
	}
	r.Tag, r.ID = "", image
	return r.Exact(), true
}
