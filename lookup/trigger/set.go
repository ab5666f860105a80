package trigger

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// Setting says how the image triggers of an object are to be, in the words of "oc set triggers". At most one of Auto,
// Manual, Remove and RemoveAll is set; none of them is Auto.
type Setting struct {
	// FromImage is the tag, as [NAMESPACE/]STREAM:TAG. Empty stands for all triggers of the object: Auto and Manual
	// set them all then, and RemoveAll is the only other way to leave it out.
	FromImage string
	// Containers are the names of the containers that follow the tag. Empty is the only container of the object. A
	// build configuration has none.
	Containers []string
	// Auto lets the triggers act, Manual pauses them.
	Auto, Manual bool
	// Remove removes the triggers of FromImage, RemoveAll all of the object.
	Remove, RemoveAll bool
}

// ErrSetting is the class of errors of a setting that makes no sense, for any object or for the one at hand.
var ErrSetting = errors.New("triggers cannot be set so")

func wrongSetting(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrSetting, fmt.Sprintf(format, args...))
}

// Set returns object with its image triggers as a setting says. It shares with object what does not change; without
// changes it is object itself. All triggers of FromImage become one for each container, and other triggers stay as
// they are, those that cannot be followed too. What a trigger gave last stays with it.
//
// An error matches [ErrSetting], [ErrNoPodSpec], [ErrSyntax] or [ErrDuplicate].
func Set(object map[string]any, s Setting) (map[string]any, error) {
	changed, err := set(object, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", describe(object), err)
	}
	return changed, nil
}

func set(object map[string]any, s Setting) (map[string]any, error) {
	from, err := s.from(metadata(object, "namespace"))
	if err != nil {
		return nil, err
	}
	group, kind := podspec.GroupKind(object)
	if group == "build.openshift.io" && kind == "BuildConfig" {
		return setBuild(object, s, from)
	}
	w, ok := podspec.Find(group, kind)
	if !ok || needsTemplate(object) && podspec.Template(object) == nil {
		return nil, ErrNoPodSpec
	}
	names := s.Containers
	if s.adds() {
		if names, err = containerNames(podspec.Walk(object, w.Spec), names); err != nil {
			return nil, err
		}
	}
	if group == "apps.openshift.io" && kind == "DeploymentConfig" {
		return setDeployment(object, s, from, names)
	}
	return setAnnotation(object, s, from, names, w)
}

// adds reports whether the setting names a tag that is to be followed.
func (s *Setting) adds() bool { return s.FromImage != "" && !s.Remove }

// from checks the setting, and returns the tag that it names.
func (s *Setting) from(own string) (From, error) {
	modes := 0
	for _, mode := range [...]bool{s.Auto, s.Manual, s.Remove, s.RemoveAll} {
		if mode {
			modes++
		}
	}
	switch {
	case modes > 1:
		return From{}, wrongSetting("choose one of auto, manual, remove and remove all")
	case s.RemoveAll && (s.FromImage != "" || len(s.Containers) > 0):
		return From{}, wrongSetting("to remove all triggers goes without a tag and without containers")
	case s.FromImage == "" && (modes == 0 || s.Remove):
		return From{}, wrongSetting("name the tag that the trigger is to follow, as in web:v1")
	case s.FromImage == "" && len(s.Containers) > 0:
		return From{}, wrongSetting("containers go with a tag: name it, as in web:v1")
	case s.FromImage == "":
		return From{}, nil
	}
	reference, err := pullspec.Parse(s.FromImage)
	switch {
	case err != nil:
		return From{}, wrongSetting("%s", err)
	case reference.Registry != "" || reference.ID != "":
		return From{}, wrongSetting("%q: must name an image stream tag, as in web:v1 or shop/web:v1", s.FromImage)
	case reference.Tag == "":
		return From{}, wrongSetting("%q: must name a tag, as in %s:latest", s.FromImage, s.FromImage)
	}
	from := From{Kind: imagestream.KindImageStreamTag, Name: reference.Name + ":" + reference.Tag}
	if reference.Namespace != own {
		from.Namespace = reference.Namespace
	}
	return from, nil
}

// same reports whether two triggers of objects of a namespace follow the same tag.
func (f *From) same(o From, own string) bool {
	return f.Kind == o.Kind && f.Name == o.Name && orOwn(f.Namespace, own) == orOwn(o.Namespace, own)
}

// containerNames checks the names of containers against a pod spec; none is its only container.
func containerNames(spec map[string]any, names []string) ([]string, error) {
	var have []string
	for _, list := range [...]string{podspec.Containers, podspec.InitContainers} {
		containers, _ := spec[list].([]any)
		for i := range containers {
			if name, _ := podspec.Container(spec, list, i)["name"].(string); name != "" {
				have = append(have, name)
			}
		}
	}
	if len(have) == 0 {
		return nil, wrongSetting("no container has a name")
	}
	if len(names) == 0 {
		if len(have) != 1 {
			return nil, wrongSetting("name the containers that follow the tag; there are %s", strings.Join(have, ", "))
		}
		return have, nil
	}
	for i, name := range names {
		if !slices.Contains(have, name) {
			return nil, wrongSetting("there is no container %q; there are %s", name, strings.Join(have, ", "))
		}
		if slices.Contains(names[:i], name) {
			return nil, wrongSetting("container %q is named twice", name)
		}
	}
	return names, nil
}

// alreadyFollows is the error of a container that another trigger sets.
func alreadyFollows(container, tag string) error {
	return wrongSetting("container %q follows %s already: remove that trigger first", container, tag)
}

// setAnnotation sets the triggers in the annotation.
func setAnnotation(
	object map[string]any,
	s Setting,
	from From,
	names []string,
	w podspec.Workload,
) (map[string]any, error) {
	have, err := annotated(object)
	if err != nil {
		return nil, err
	}
	own, base, spec := metadata(object, "namespace"), strings.Join(w.Spec, "."), podspec.Walk(object, w.Spec)
	triggers := replaceFirst(have, s, func(t Trigger) (Trigger, bool) {
		t.Paused = s.Manual
		return t, s.FromImage == "" || t.From.same(from, own)
	}, func() []Trigger {
		added := make([]Trigger, len(names))
		for i, name := range names {
			added[i] = Trigger{From: from, FieldPath: podspec.NamePath(base, podspec.Containers, name), Paused: s.Manual}
		}
		return added
	})
	for _, t := range triggers {
		path, inside := cutBase(t.FieldPath, w.Spec)
		c, ok := podspec.ParseContainerPath(path)
		if !inside || !ok || t.From.same(from, own) || !s.adds() {
			continue
		}
		list, i, ok := c.Find(spec)
		if name, _ := podspec.Container(spec, list, i)["name"].(string); ok && slices.Contains(names, name) {
			return nil, alreadyFollows(name, t.From.Name)
		}
	}
	if slices.Equal(triggers, have) {
		return object, nil
	}
	if len(triggers) == 0 {
		return with(object, nil, "metadata", "annotations", Annotation), nil
	}
	text, err := json.Marshal(triggers)
	return with(object, string(text), "metadata", "annotations", Annotation), err
}

// replaceFirst returns triggers as a setting has them. Is returns a trigger as it will be, and whether the setting is
// about it. Where the first of a tag was, the added ones stand; without one, at the end.
func replaceFirst[T any](list []T, s Setting, is func(T) (T, bool), add func() []T) []T {
	var out []T
	added := !s.adds()
	for _, t := range list {
		changed, about := is(t)
		switch {
		case s.RemoveAll && about || s.Remove && about:
		case !about:
			out = append(out, t)
		case !s.adds():
			out = append(out, changed)
		case !added:
			out, added = append(out, add()...), true
		}
	}
	if !added {
		out = append(out, add()...)
	}
	return out
}

// with returns object with a value at a path of members, without that member for nil. It copies what leads there.
func with(object map[string]any, value any, path ...string) map[string]any {
	c := maps.Clone(object)
	if c == nil {
		c = map[string]any{}
	}
	switch child, _ := c[path[0]].(map[string]any); {
	case len(path) > 1 && (child != nil || value != nil):
		c[path[0]] = with(child, value, path[1:]...)
	case len(path) > 1:
	case value == nil:
		delete(c, path[0])
	default:
		c[path[0]] = value
	}
	return c
}
