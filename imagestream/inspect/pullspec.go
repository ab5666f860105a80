package inspect

import (
	"cmp"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Rule says which image of a tag counts when its spec is ahead of its status, that is, when an import is due.
type Rule string

// The rules: the image that people asked for, even if it is not imported yet, or the most recent that was.
const (
	Newest Rule = "newest"
	Recent Rule = "recent"
)

// PullSpecOptions say how [PullSpec] answers.
type PullSpecOptions struct {
	// Rule is Newest if empty.
	Rule Rule
	// External prefers the public repository for a tag that points at nothing.
	External bool
}

// TagPullSpec is what to pull for a tag.
type TagPullSpec struct {
	PullSpec string
	// HasStatus tells that the pull spec is what the tag really points at.
	HasStatus bool
	// HasNewer tells that something newer was asked for and is not imported yet. Only the rule Recent says
	// so.
	HasNewer bool
	// IsTagEmpty tells that the tag points at nothing, and the pull spec is only where an image could be
	// pushed to.
	IsTagEmpty bool
}

// The reasons why a tag has no pull spec.
var (
	// ErrNoRepository means that the tag points at nothing and the stream has no repository.
	ErrNoRepository = errors.New("the tag points at nothing, and the image stream has no repository: import or push an image first")
	// ErrNotImported means that what was asked for is not imported yet, and its source cannot stand in for
	// it.
	ErrNotImported = errors.New("what the tag asks for is not imported yet: wait for it, or take the most recent image")
)

// PullSpec returns what to pull for a tag of s, as clients work it out for themselves. An empty tag is
// latest. Where the status has no image that the rule accepts, the source of the spec tag stands in, if it is
// a DockerImage under the reference policy Source, and else the repository of the stream. An error is
// [ErrNoRepository] or [ErrNotImported].
//
// No defaults are filled in, so an empty reference policy is not Source, and of several tags of one name the
// first counts, in spec and status. Source: op tagevent.pullSpec.
func PullSpec(s *imagestream.ImageStream, tag string, opts PullSpecOptions) (TagPullSpec, error) {
	tag = cmp.Or(tag, pullspec.DefaultTag)
	spec := first(s.Spec.Tags, func(t *imagestream.TagReference) bool { return t.Name == tag })
	history := first(s.Status.Tags, func(h *tagevent.History) bool { return h.Tag == tag })
	source := ""
	if spec != nil && spec.From != nil && spec.From.Kind == imagestream.KindDockerImage &&
		spec.ReferencePolicy.Type == imagestream.ReferencePolicySource {
		source = spec.From.Name
	}

	if history != nil {
		if latest, ok := history.Latest(); ok {
			ahead := spec != nil && spec.Generation != nil && *spec.Generation > latest.Generation
			switch {
			case !ahead || opts.Rule == Recent:
				return TagPullSpec{PullSpec: eventPullSpec(s, spec, latest), HasStatus: true, HasNewer: ahead}, nil
			case source == "":
				return TagPullSpec{}, ErrNotImported
			}
		}
	}
	if source != "" {
		return TagPullSpec{PullSpec: source}, nil
	}
	repository := s.Status.DockerImageRepository
	if opts.External {
		repository = cmp.Or(s.Status.PublicDockerImageRepository, repository)
	}
	if repository == "" {
		return TagPullSpec{}, ErrNoRepository
	}
	return TagPullSpec{PullSpec: repository + ":" + tag, IsTagEmpty: true}, nil
}

// eventPullSpec is [imagestream.ImageStream.EventPullSpec] under the policy of this very spec tag.
func eventPullSpec(s *imagestream.ImageStream, spec *imagestream.TagReference, e tagevent.Event) string {
	only := imagestream.ImageStream{Status: imagestream.ImageStreamStatus{DockerImageRepository: s.Status.DockerImageRepository}}
	if spec == nil {
		return only.EventPullSpec("", e)
	}
	only.Spec.Tags = []imagestream.TagReference{*spec}
	return only.EventPullSpec(spec.Name, e)
}
