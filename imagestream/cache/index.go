package cache

import (
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Index returns the values under which a stream is found. It must not modify the stream, and return the same for the
// same stream.
type Index func(stream *imagestream.ImageStream) []string

// The names of the indexes that [Indexes] has.
const (
	// ByImage has streams under the names of all images in their histories.
	ByImage = "image"
	// BySource has streams under the hosts of the registries that their tags come from, "docker.io" for those without.
	BySource = "source"
	// ByTracked has streams under the tags, "namespace/name:tag", that their tags follow.
	ByTracked = "tracked"
	// ByScheduled has streams with scheduled tags, under the hosts of the registries that these come from.
	ByScheduled = "scheduled"
)

// Indexes returns the indexes by image, by source, by tracked tag, and by what is imported on a schedule.
func Indexes() map[string]Index {
	return map[string]Index{
		ByImage: images, ByTracked: tracked,
		BySource:    func(s *imagestream.ImageStream) []string { return sources(s, false) },
		ByScheduled: func(s *imagestream.ImageStream) []string { return sources(s, true) },
	}
}

func images(s *imagestream.ImageStream) []string {
	var names []string
	for _, history := range s.Status.Tags {
		for _, event := range history.Items {
			names = append(names, event.Image)
		}
	}
	return names
}

func sources(s *imagestream.ImageStream, scheduled bool) []string {
	var hosts []string
	add := func(spec string) {
		ref, err := pullspec.Parse(spec)
		switch {
		case err != nil:
		case ref.Registry == "" || ref.IsDockerHub():
			hosts = append(hosts, "docker.io")
		default:
			hosts = append(hosts, ref.Registry)
		}
	}
	if s.Spec.DockerImageRepository != "" && !scheduled {
		add(s.Spec.DockerImageRepository)
	}
	for _, tag := range s.Spec.Tags {
		if tag.From != nil && tag.From.Kind == imagestream.KindDockerImage && (tag.ImportPolicy.Scheduled || !scheduled) {
			add(tag.From.Name)
		}
	}
	return hosts
}

func tracked(s *imagestream.ImageStream) []string {
	var tags []string
	for _, tag := range s.Spec.Tags {
		if tag.From == nil || tag.From.Kind != imagestream.KindImageStreamTag {
			continue
		}
		key := imagestream.Key{Namespace: tag.From.Namespace, Name: s.Metadata.Name}
		if key.Namespace == "" {
			key.Namespace = s.Metadata.Namespace
		}
		name := tag.From.Name
		if stream, followed, ok := pullspec.SplitTag(name); ok {
			key.Name, name = stream, followed
		}
		tags = append(tags, pullspec.JoinTag(key.String(), name))
	}
	return tags
}

// entries is what an index has.
type entries struct {
	index   Index
	byValue map[string]map[imagestream.Key]bool
}

func newEntries(index Index) *entries {
	return &entries{index: index, byValue: map[string]map[imagestream.Key]bool{}}
}

// replace takes in that the stream of a key is another one; nil is none.
func (e *entries) replace(key imagestream.Key, old, next *imagestream.ImageStream) {
	if old != nil {
		for _, value := range e.index(old) {
			if delete(e.byValue[value], key); len(e.byValue[value]) == 0 {
				delete(e.byValue, value)
			}
		}
	}
	if next == nil {
		return
	}
	for _, value := range e.index(next) {
		if e.byValue[value] == nil {
			e.byValue[value] = map[imagestream.Key]bool{}
		}
		e.byValue[value][key] = true
	}
}

func (e *entries) values() []string { return slices.Sorted(maps.Keys(e.byValue)) }
