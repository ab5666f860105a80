// Package real holds habits of the real system that only the vectors need.
package real

import (
	"reflect"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// TriggerCache is what the real controller remembers of one object: its triggers, by which streams wake it. Entries
// stay behind that a better cache would remove.
type TriggerCache struct {
	Cached    bool
	Namespace string
	Triggers  []trigger.Trigger
}

// Event takes in that an object was added (old is nil), updated, or deleted (next is nil), and reports whether the
// real controller then plans for it. A trigger list that cannot be read, new or old, is an error that leaves the
// cache as it was.
func (c *TriggerCache) Event(old, next map[string]any) (queued bool, err error) {
	var before, after []trigger.Trigger
	if old != nil {
		if before, err = trigger.Of(old); err != nil {
			return false, err
		}
	}
	if next != nil {
		if after, err = trigger.Of(next); err != nil {
			return false, err
		}
	}
	switch {
	case next == nil && len(before) > 0:
		*c = TriggerCache{}
		return false, nil
	case len(after) == 0:
		return false, nil
	case old == nil || len(before) == 0 || !slices.Equal(before, after):
		metadata, _ := next["metadata"].(map[string]any)
		namespace, _ := metadata["namespace"].(string)
		*c = TriggerCache{true, namespace, after}
		return true, nil
	}
	return wasReset(old, next, after), nil
}

// Watch returns the keys of the streams that wake the object, sorted.
func (c *TriggerCache) Watch() []string { return WatchKeys(c.Triggers, c.Namespace) }

// WatchKeys returns the keys of the streams that wake an object of a namespace with these triggers, sorted.
func WatchKeys(triggers []trigger.Trigger, namespace string) []string {
	keys := []string{}
	for _, t := range triggers {
		if stream, _, ok := t.Stream(namespace); ok {
			keys = append(keys, stream.String())
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// wasReset reports whether an update touched what the triggers set.
func wasReset(old, next map[string]any, triggers []trigger.Trigger) bool {
	group, kind := podspec.GroupKind(next)
	if group == "build.openshift.io" && kind == "BuildConfig" {
		return false
	}
	w, ok := podspec.Find(group, kind)
	if !ok {
		return false
	}
	before, after := podspec.Walk(old, w.Spec), podspec.Walk(next, w.Spec)
	if group == "apps.openshift.io" && kind == "DeploymentConfig" {
		return !reflect.DeepEqual(before[podspec.Containers], after[podspec.Containers])
	}
	for _, t := range triggers {
		rest, inside := strings.CutPrefix(t.FieldPath, strings.Join(w.Spec, "."))
		path, ok := podspec.ParseContainerPath(strings.TrimPrefix(rest, "."))
		if t.Paused || !inside || !ok {
			continue
		}
		was, had := imageAt(before, path)
		is, has := imageAt(after, path)
		if had && has && was != is {
			return true
		}
	}
	return false
}

// imageAt returns the image of the container that a path addresses.
func imageAt(spec map[string]any, path podspec.ContainerPath) (image string, ok bool) {
	list, index, ok := path.Find(spec)
	image, _ = podspec.Container(spec, list, index)["image"].(string)
	return image, ok
}
