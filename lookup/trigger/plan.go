package trigger

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/lookup"
)

// Plan is what the triggers of an object ask for now.
type Plan struct {
	// Changes are what is to be changed; [lookup.Apply] makes the changed object, [lookup.PatchOf] a JSON patch.
	Changes []lookup.Change
	// Writes reports that the real controller would write the object. It does so, again and again, even if two
	// triggers of one container undo each other, and Changes is empty.
	Writes bool
	// Build is what to instantiate; nil if no build is due.
	Build *BuildRequest
	// Unresolved are tags that were looked up and did not resolve, in the order of the triggers.
	Unresolved []Image
}

// IsEmpty reports whether there is nothing to do.
func (p *Plan) IsEmpty() bool { return len(p.Changes) == 0 && p.Build == nil }

// For plans for an object of any kind: [ForBuildConfig], [ForDeploymentConfig] or [ForAnnotation].
func For(object map[string]any, env imagestream.Env) (Plan, error) {
	return planFor(object, resolver{env: &env})
}

func planFor(object map[string]any, r resolver) (Plan, error) {
	switch group, kind := podspec.GroupKind(object); {
	case group == "apps.openshift.io" && kind == "DeploymentConfig":
		return planDeployment(object, r), nil
	case group == "build.openshift.io" && kind == "BuildConfig":
		return planBuild(object, r)
	}
	return planAnnotation(object, r)
}

// ForAnnotation plans for an object with a pod spec by its [Annotation]. Triggers are followed in order, those that
// are paused, outside the pod spec, or whose tag does not resolve are passed over. An error discards everything; it
// matches [ErrNoPodSpec], [ErrSyntax], [ErrDuplicate], [ErrFieldPath] or [ErrContainer].
func ForAnnotation(object map[string]any, env imagestream.Env) (Plan, error) {
	return planAnnotation(object, resolver{env: &env})
}

func planAnnotation(object map[string]any, r resolver) (Plan, error) {
	w, ok := podspec.Find(podspec.GroupKind(object))
	if !ok || needsTemplate(object) && podspec.Template(object) == nil {
		return Plan{}, fmt.Errorf("%s: %w", describe(object), ErrNoPodSpec)
	}
	triggers, err := annotated(object)
	if err != nil {
		return Plan{}, fmt.Errorf("%s: %w", describe(object), err)
	}
	p := planner{resolver: r, spec: podspec.Walk(object, w.Spec), steps: w.Spec}
	namespace := metadata(object, "namespace")
	for i := range triggers {
		t := &triggers[i]
		path, inside := cutBase(t.FieldPath, w.Spec)
		if t.Paused || !inside || r.careful && t.From.Kind != "" && t.From.Kind != imagestream.KindImageStreamTag {
			continue
		}
		image, ok := r.resolve(orOwn(t.From.Namespace, namespace), t.From.Name)
		if !ok {
			p.plan.Unresolved = append(p.plan.Unresolved, image)
			continue
		}
		if err := p.follow(path, image); err != nil {
			return Plan{}, fmt.Errorf(
				"%s: annotation %s: trigger %d: fieldPath %q: %w", describe(object), Annotation, i, t.FieldPath, err)
		}
	}
	return p.finish(), nil
}

// needsTemplate reports whether the kind of object has a pod template that may be missing.
func needsTemplate(object map[string]any) bool {
	kind, _ := object["kind"].(string)
	return kind == "ReplicationController" || kind == "DeploymentConfig"
}

// cutBase returns the part of a field path behind "<base>.", base being the steps to the pod spec.
func cutBase(path string, base []string) (rest string, ok bool) {
	for _, step := range base {
		if path, ok = strings.CutPrefix(path, step); !ok {
			return "", false
		}
		if path, ok = strings.CutPrefix(path, "."); !ok {
			return "", false
		}
	}
	return path, true
}

// describe names an object as people do: Deployment shop/web.
func describe(object map[string]any) string {
	kind, _ := object["kind"].(string)
	if kind == "" {
		kind = "object"
	}
	return kind + " " + metadata(object, "namespace") + "/" + metadata(object, "name")
}

// planner collects the changes of one object.
type planner struct {
	resolver
	spec  map[string]any
	steps []string
	plan  Plan
}

// follow sets the image of the container that a path within the pod spec addresses.
func (p *planner) follow(path string, image Image) error {
	c, ok := podspec.ParseContainerPath(path)
	if !ok || c.Rest != "image" {
		return ErrFieldPath
	}
	list, index, ok := c.Find(p.spec)
	if !ok {
		return ErrContainer
	}
	p.setImage(list, index, image)
	return nil
}

// setImage sets the image of a container.
func (p *planner) setImage(list string, index int, image Image) {
	from, _ := podspec.Container(p.spec, list, index)["image"].(string)
	if from == image.PullSpec && len(p.plan.Changes) == 0 {
		return
	}
	p.set(pointer(p.steps, list, index, "image"), from, image)
}

// set makes the text at a path that of an image. From is what it is in the object.
func (p *planner) set(path, from string, image Image) {
	for i := range p.plan.Changes {
		if c := &p.plan.Changes[i]; c.Path == path {
			if c.To != image.PullSpec {
				*c = changeOf(path, c.From, image)
			}
			return
		}
	}
	if from != image.PullSpec {
		p.plan.Writes = true
		p.plan.Changes = append(p.plan.Changes, changeOf(path, from, image))
	}
}

func changeOf(path, from string, image Image) lookup.Change {
	return lookup.Change{
		Path: path, From: from, To: image.PullSpec, Why: image.Why, Stream: image.Stream, Tag: image.Tag, Event: image.Event,
	}
}

// finish returns the plan without the changes that a later trigger undid.
func (p *planner) finish() Plan {
	kept := p.plan.Changes[:0]
	for _, c := range p.plan.Changes {
		if c.From != c.To {
			kept = append(kept, c)
		}
	}
	p.plan.Changes = kept
	return p.plan
}

// pointer returns the JSON pointer to a member of an element of a list.
func pointer(steps []string, list string, index int, member string) string {
	var buf [96]byte
	b := buf[:0]
	for _, step := range steps {
		b = append(append(b, '/'), step...)
	}
	b = append(append(b, '/'), list...)
	b = strconv.AppendInt(append(b, '/'), int64(index), 10)
	return string(append(append(b, '/'), member...))
}
