package lookup

import (
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// Reference is a place in an object where an image is named.
type Reference struct {
	// Path is a JSON pointer to the name, Field the same as the API's errors write it.
	Path, Field string
	// Kind is DockerImage, ImageStreamTag or ImageStreamImage; for containers always the first.
	Kind, Namespace, Name string
}

// ErrNoTemplate means that an object that must have a pod template has none.
var ErrNoTemplate = errors.New("the object has no pod template")

// References lists the references of an object in the order in which they are visited. With old, the object
// before an update, those that did not change are left out. A ReplicationController or DeploymentConfig without
// pod template, new or old, is an [ErrNoTemplate]. See conformance case lookup-669.
func References(object, old map[string]any, opts Options) ([]Reference, error) {
	var list []Reference
	err := visit(object, old, &opts, func(r reference) {
		if r.same || r.why != "" {
			return
		}
		list = append(list, r.public())
	})
	return list, err
}

// reference is a [Reference] that is being visited.
type reference struct {
	kind, namespace, name string
	// from is the whole reference of a build; nil for a text that names an image.
	from map[string]any
	at   location
	same bool // as in the old object
	why  Why  // it is not to be looked up; "" if it is
}

func (r reference) equal(o reference) bool {
	return r.kind == o.kind && r.namespace == o.namespace && r.name == o.name && sameOthers(r.from, o.from)
}

// public returns the reference as others see it.
func (r reference) public() Reference {
	return Reference{Path: r.at.pointer(), Field: r.at.field(), Kind: r.kind, Namespace: r.namespace, Name: r.name}
}

// sameOthers compares what references have beside kind, namespace and name.
func sameOthers(a, b map[string]any) bool {
	if len(a) <= 2 && len(b) <= 2 && onlyName(a) && onlyName(b) {
		return true
	}
	others := func(m map[string]any) map[string]any {
		rest := map[string]any{}
		for key, value := range m {
			if key != "kind" && key != "namespace" && key != "name" {
				rest[key] = value
			}
		}
		return rest
	}
	return reflect.DeepEqual(others(a), others(b))
}

func onlyName(m map[string]any) bool {
	for key := range m {
		if key != "kind" && key != "namespace" && key != "name" {
			return false
		}
	}
	return true
}

// location is where a reference is; it makes texts only when they are wanted.
type location struct {
	prefix []string
	list   string
	index  int // in the list; -1 if it is none
	leaf   string
	free   string // a JSON pointer, in place of all the others
}

func (l location) pointer() string {
	if l.free != "" {
		return l.free
	}
	var buf [96]byte
	b := buf[:0]
	for _, step := range l.prefix {
		b = append(append(b, '/'), step...)
	}
	b = append(append(b, '/'), l.list...)
	if l.index >= 0 {
		b = strconv.AppendInt(append(b, '/'), int64(l.index), 10)
	}
	b = append(append(b, '/'), l.leaf...)
	return string(b)
}

// field writes the location as field errors do: spec.containers[0].image.
func (l location) field() string {
	var buf [96]byte
	b := buf[:0]
	for rest, more := l.pointer()[1:], true; more; {
		var step string
		step, rest, more = strings.Cut(rest, "/")
		step = unescape(step)
		switch {
		case place(step) >= 0:
			b = append(append(append(b, '['), step...), ']')
			continue
		case len(b) > 0:
			b = append(b, '.')
		}
		b = append(b, step...)
	}
	return string(b)
}

// Options are where the library looks beyond the real system. The zero value looks where that does.
type Options struct {
	// EphemeralContainers looks at the images of ephemeral containers, ImageVolumes at those of volumes.
	EphemeralContainers, ImageVolumes bool
	// Uncovered looks at objects that no resolution rule covers, such as PodTemplates and BuildConfigs, as if one
	// did that rewrites local names.
	Uncovered bool
	// KnownKinds looks at well-known kinds of others as well: Argo's Rollout and workflows, Knative's services, Tekton's
	// tasks and pipelines, KubeVirt's machines.
	KnownKinds bool
	// Paths are further places, in objects of any kind.
	Paths []Path
	// Namespaces are searched for a short name after the object's own, in order.
	Namespaces []string
	// Explain fills [Review.Decisions].
	Explain bool
}

// Path is a place in objects of a kind: "spec.images[*].name". A member "[*]" is each of a list.
type Path struct {
	Group, Kind string
	Path        string
}

// visit calls do for every reference that is to be looked at.
func visit(object, old map[string]any, opts *Options, do func(reference)) error {
	group, kind := podspec.GroupKind(object)
	changed := old == nil || resolvesNames(object) != resolvesNames(old)
	if w, ok := podspec.Find(group, kind); ok {
		if kind == "ReplicationController" || kind == "DeploymentConfig" {
			if podspec.Template(object) == nil || old != nil && podspec.Template(old) == nil {
				return ErrNoTemplate
			}
		}
		visitPod(object, old, w.Spec, changed, opts, do)
	} else if group == "build.openshift.io" && (kind == "Build" || kind == "BuildConfig") {
		visitBuild(object, old, changed, do)
	}
	if k, ok := known(object, opts); ok {
		if k.spec != nil {
			visitPod(object, old, k.spec, changed, opts, do)
		}
		for _, path := range k.paths {
			visitPath(object, Path{Path: path}.Steps(), "", do)
		}
	}
	for _, p := range opts.Paths {
		if p.Group == group && p.Kind == kind {
			visitPath(object, p.Steps(), "", do)
		}
	}
	return nil
}

// resolvesNames reports whether the annotation asks for every name to be looked up.
func resolvesNames(object map[string]any) bool {
	return podspec.Annotation(podspec.Template(object), ResolveNamesAnnotation) == "*" ||
		podspec.Annotation(object, ResolveNamesAnnotation) == "*"
}

func visitPod(object, old map[string]any, steps []string, changed bool, opts *Options, do func(reference)) {
	spec := podspec.Walk(object, steps)
	var before map[string]string
	if !changed {
		before = containerImages(podspec.Walk(old, steps))
	}
	for _, list := range [...]string{"initContainers", "containers", "ephemeralContainers"} {
		containers, _ := spec[list].([]any)
		for i := range containers {
			container, _ := containers[i].(map[string]any)
			image, ok := container["image"].(string)
			at := location{prefix: steps, list: list, index: i, leaf: "image"}
			r := reference{kind: imagestream.KindDockerImage, name: image, at: at}
			switch {
			case list == "ephemeralContainers" && !opts.EphemeralContainers:
				r.why = WhyPlace
			case !ok && container["image"] != nil:
				r.why = WhyNotText
			case !changed:
				name, _ := container["name"].(string)
				oldImage, found := before[name]
				r.same = found && oldImage == image
			}
			do(r)
		}
	}
	volumes, _ := spec["volumes"].([]any)
	for i := range volumes {
		volume, _ := volumes[i].(map[string]any)
		source, _ := volume["image"].(map[string]any)
		image, ok := source["reference"].(string)
		if !ok {
			continue
		}
		at := location{prefix: steps, list: "volumes", index: i, leaf: "image/reference"}
		r := reference{kind: imagestream.KindDockerImage, name: image, at: at}
		if !opts.ImageVolumes {
			r.why = WhyPlace
		}
		do(r)
	}
}

// containerImages returns the images of containers by their names. Of several with a name the first counts, init
// containers before others.
func containerImages(spec map[string]any) map[string]string {
	images := map[string]string{}
	for _, list := range [...]string{"initContainers", "containers"} {
		containers, _ := spec[list].([]any)
		for _, c := range containers {
			container, _ := c.(map[string]any)
			name, _ := container["name"].(string)
			if _, has := images[name]; !has {
				images[name], _ = container["image"].(string)
			}
		}
	}
	return images
}

var sourceSteps, strategySteps = []string{"spec", "source"}, []string{"spec", "strategy"}

func visitBuild(object, old map[string]any, changed bool, do func(reference)) {
	sources := sourceImages(object)
	for i := range sources {
		source, _ := sources[i].(map[string]any)
		from, _ := source["from"].(map[string]any)
		r := fromReference(from, location{prefix: sourceSteps, list: "images", index: i, leaf: "from/name"})
		r.same = !changed && slices.ContainsFunc(sourceImages(old), func(o any) bool {
			before, _ := o.(map[string]any)
			oldFrom, _ := before["from"].(map[string]any)
			return sameFrom(from, oldFrom)
		})
		do(r)
	}
	strategy, before := podspec.Walk(object, strategySteps), podspec.Walk(old, strategySteps)
	same := !changed && sameStrategy(strategy, before)
	for _, name := range strategies {
		s, ok := strategy[name].(map[string]any)
		if !ok {
			continue
		}
		from, _ := s["from"].(map[string]any)
		if from == nil && name == dockerStrategy {
			continue
		}
		r := fromReference(from, location{prefix: strategySteps, list: name, index: -1, leaf: "from/name"})
		r.same = same
		do(r)
	}
}

const dockerStrategy = "dockerStrategy"

var strategies = [...]string{"customStrategy", dockerStrategy, "sourceStrategy"}

// sameStrategy compares the first strategy of a build with that of the old one. It decides for all.
func sameStrategy(strategy, old map[string]any) bool {
	for _, name := range strategies {
		s, ok := strategy[name].(map[string]any)
		if !ok {
			continue
		}
		before, ok := old[name].(map[string]any)
		if !ok {
			return false
		}
		from, _ := s["from"].(map[string]any)
		oldFrom, _ := before["from"].(map[string]any)
		if name == dockerStrategy && (from == nil || oldFrom == nil) {
			return false
		}
		return sameFrom(from, oldFrom)
	}
	return false
}

// sameFrom compares references of builds; a missing one is empty.
func sameFrom(a, b map[string]any) bool { return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(a, b) }

func sourceImages(object map[string]any) []any {
	images, _ := podspec.Walk(object, sourceSteps)["images"].([]any)
	return images
}

func fromReference(from map[string]any, at location) reference {
	r := reference{from: from, at: at}
	r.kind, _ = from["kind"].(string)
	r.namespace, _ = from["namespace"].(string)
	r.name, _ = from["name"].(string)
	return r
}

// visitPath goes along the steps of a path, with the pointer of where it is.
func visitPath(node any, steps []string, pointer string, do func(reference)) {
	if len(steps) == 0 {
		r := reference{kind: imagestream.KindDockerImage, at: location{free: pointer}}
		text, ok := node.(string)
		if r.name = text; !ok {
			r.why = WhyNotText
		}
		if node != nil && pointer != "" {
			do(r)
		}
		return
	}
	switch node := node.(type) {
	case map[string]any:
		if child, ok := node[steps[0]]; ok {
			visitPath(child, steps[1:], pointer+"/"+escape(steps[0]), do)
		}
	case []any:
		for i, child := range node {
			if n := strconv.Itoa(i); steps[0] == "[*]" || steps[0] == "["+n+"]" {
				visitPath(child, steps[1:], pointer+"/"+n, do)
			}
		}
	}
}

// escape and unescape write and read a member's name in a JSON pointer.
func escape(s string) string {
	if !strings.ContainsAny(s, "~/") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~", "~0"), "/", "~1")
}

func unescape(s string) string {
	if !strings.Contains(s, "~") {
		return s
	}
	return strings.ReplaceAll(strings.ReplaceAll(s, "~1", "/"), "~0", "~")
}
