package prune

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// uses is what is in use, each with one of its users.
type uses struct {
	safe  bool
	start time.Time // finished pods that were created before are not looked at
	bad   []BadReference

	tags map[streamTag]string
	// images are the names of images, or what begins one, by stream.
	images   map[imagestream.Key]map[string]string
	prefixes map[imagestream.Key][]string // the ones that are no digests
	// anywhere are, under Safe, the same whatever the stream.
	anywhere map[string]string
}

type streamTag struct {
	imagestream.Key
	tag string
}

func newUses(safe bool, start time.Time) *uses {
	return &uses{
		safe: safe, start: start,
		tags: map[streamTag]string{}, images: map[imagestream.Key]map[string]string{},
		prefixes: map[imagestream.Key][]string{}, anywhere: map[string]string{},
	}
}

// user is a workload, and where it may use an image.
type user struct {
	name, namespace string
}

func text(object map[string]any, name string) string {
	s, _ := object[name].(string)
	return s
}

// addWorkload notes what an object uses. See conformance cases prune-v0008 to prune-v0014.
func (u *uses) addWorkload(object map[string]any) {
	group, kind := podspec.GroupKind(object)
	metadata := podspec.Walk(object, []string{"metadata"})
	namespace := text(metadata, "namespace")
	who := user{kind + " " + namespace + "/" + text(metadata, "name"), namespace}
	switch {
	case (kind == "Build" || kind == "BuildConfig") && (group == "build.openshift.io" || group == ""):
		u.addBuild(who, object)
		return
	case kind == "Pod" && group == "" && u.isFinished(object), kind == "PodTemplate" && !u.safe:
		return
	}
	if w, ok := podspec.Find(group, kind); ok {
		u.addPodSpec(who, podspec.Walk(object, w.Spec), strings.Join(w.Spec, "."))
	}
}

// isFinished reports whether a pod is done, and was created before the threshold. To the real system whatever neither
// runs nor will run is done, even if its phase is not known.
func (u *uses) isFinished(pod map[string]any) bool {
	switch phase := text(podspec.Walk(pod, []string{"status"}), "phase"); {
	case phase == "Running", phase == "Pending", u.safe && phase != "Succeeded" && phase != "Failed":
		return false
	}
	created, err := tagevent.ParseTime(text(podspec.Walk(pod, []string{"metadata"}), "creationTimestamp"))
	if err != nil {
		created = 0
	}
	return created.Time().Before(u.start)
}

func (u *uses) addPodSpec(who user, spec map[string]any, path string) {
	members := []string{"initContainers", "containers"}
	if u.safe {
		members = append(members, "ephemeralContainers")
	}
	for _, member := range members {
		containers, _ := spec[member].([]any)
		for i, c := range containers {
			container, _ := c.(map[string]any)
			u.addPullSpec(who, text(container, "image"), path, member, i, "image")
		}
	}
	if !u.safe {
		return
	}
	volumes, _ := spec["volumes"].([]any)
	for i, v := range volumes {
		volume, _ := v.(map[string]any)
		image := podspec.Walk(volume, []string{"image"})
		u.addPullSpec(who, text(image, "reference"), path, "volumes", i, "image.reference")
	}
}

// addPullSpec notes what a pull spec uses, if there is one; its path is only put together where it is bad.
func (u *uses) addPullSpec(who user, spec, path, list string, index int, member string) {
	if strings.TrimSpace(spec) == "" {
		return
	}
	r, err := pullspec.Parse(spec)
	if err != nil {
		field := fmt.Sprintf("%s.%s[%d].%s", path, list, index, member)
		u.bad = append(u.bad, BadReference{who.name, field, spec, pullspec.Reason(err)})
		return
	}
	u.addReference(who.name, r)
}

// addReference notes what a pull spec uses. The registry may be any: it is better to keep too much.
func (u *uses) addReference(by string, r pullspec.Reference) {
	if u.safe && r.ID != "" {
		u.note(u.anywhere, r.ID, by)
	}
	if r.Registry == "" || r.Namespace == "" || strings.Contains(r.Name, "/") {
		return
	}
	key := imagestream.Key{Namespace: r.Namespace, Name: r.Name}
	if r.ID != "" {
		u.addImage(key, r.ID, by)
		return
	}
	tag := r.Tag
	if tag == "" {
		tag = pullspec.DefaultTag
	}
	u.addTag(key, tag, by)
}

// user returns who uses an image in a stream, by its name or, under Safe, by what begins that.
func (u *uses) user(key imagestream.Key, name string) (by string, ok bool) {
	if by, ok := u.images[key][name]; ok || !u.safe {
		return by, ok
	}
	for _, id := range u.prefixes[key] {
		if pullspec.MatchImageID(name, id) {
			return u.images[key][id], true
		}
	}
	return "", false
}

// note keeps the first user.
func (u *uses) note(m map[string]string, id, by string) {
	if _, ok := m[id]; !ok {
		m[id] = by
	}
}

func (u *uses) addTag(key imagestream.Key, tag, by string) {
	if _, ok := u.tags[streamTag{key, tag}]; !ok {
		u.tags[streamTag{key, tag}] = by
	}
}

func (u *uses) addImage(key imagestream.Key, id, by string) {
	if u.images[key] == nil {
		u.images[key] = map[string]string{}
	}
	if _, ok := u.images[key][id]; !ok && !pullspec.IsDigest(id) {
		u.prefixes[key] = append(u.prefixes[key], id)
	}
	u.note(u.images[key], id, by)
	if u.safe {
		u.note(u.anywhere, id, by)
	}
}

// addBuild notes the source of a build's strategy, of several the first; under Safe all, and its source images.
func (u *uses) addBuild(who user, object map[string]any) {
	strategies := podspec.Walk(object, []string{"spec", "strategy"})
	for _, name := range []string{"sourceStrategy", "dockerStrategy", "customStrategy"} {
		strategy, ok := strategies[name].(map[string]any)
		if !ok {
			continue
		}
		u.addFrom(who, podspec.Walk(strategy, []string{"from"}), "spec.strategy."+name+".from")
		if !u.safe {
			return
		}
	}
	if !u.safe {
		return
	}
	images, _ := podspec.Walk(object, []string{"spec", "source"})["images"].([]any)
	for i, source := range images {
		source, _ := source.(map[string]any)
		u.addFrom(who, podspec.Walk(source, []string{"from"}), fmt.Sprintf("spec.source.images[%d].from", i))
	}
}

// addFrom notes an object reference.
func (u *uses) addFrom(who user, from map[string]any, path string) {
	name := text(from, "name")
	key := imagestream.Key{Namespace: text(from, "namespace")}
	if key.Namespace == "" {
		key.Namespace = who.namespace
	}
	var part string
	var err error
	switch text(from, "kind") {
	case imagestream.KindDockerImage:
		var r pullspec.Reference
		if strings.TrimSpace(name) == "" {
			return
		}
		if r, err = pullspec.Parse(name); err == nil {
			u.addReference(who.name, r)
		}
	case imagestream.KindImageStreamImage:
		if key.Name, part, err = pullspec.ParseImage(name); err == nil {
			u.addImage(key, part, who.name)
		}
	case imagestream.KindImageStreamTag:
		if key.Name, part, err = pullspec.ParseTag(name); err == nil {
			u.addTag(key, part, who.name)
		}
	}
	if err != nil {
		u.bad = append(u.bad, BadReference{who.name, path + ".name", name, pullspec.Reason(err)})
	}
}

// addStream notes, for Safe, what the spec tags of a stream name by digest, and what its pins hold. Spec tags
// that cannot be read use nothing, and neither do pins.
func (u *uses) addStream(s *imagestream.ImageStream) {
	for _, t := range s.Spec.Tags {
		if t.From == nil {
			continue
		}
		by := "spec tag " + pullspec.JoinTag(s.Key().String(), t.Name)
		switch t.From.Kind {
		case imagestream.KindDockerImage:
			if r, err := pullspec.Parse(t.From.Name); err == nil && r.ID != "" {
				u.addReference(by, r)
			}
		case imagestream.KindImageStreamImage:
			key := imagestream.Key{Namespace: t.From.Namespace}
			if key.Namespace == "" {
				key.Namespace = s.Metadata.Namespace
			}
			if name, id, err := pullspec.ParseImage(t.From.Name); err == nil {
				key.Name = name
				u.addImage(key, id, by)
			}
		}
	}
	pins, _ := s.Pins()
	for _, tag := range slices.Sorted(maps.Keys(pins)) {
		by := "pin of " + pullspec.JoinTag(s.Key().String(), tag)
		if id := pins[tag].Event.Image; id != "" {
			u.addImage(s.Key(), id, by)
		}
		if held := pins[tag].Held; held != nil && held.Image != "" {
			u.addImage(s.Key(), held.Image, by)
		}
	}
}
