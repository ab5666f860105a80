package trigger

import (
	"strconv"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/lookup"
)

var (
	deploymentSteps = []string{"spec", "template", "spec"}
	deploymentBase  = "spec.template.spec"
)

// imageChangeParams is an image change trigger of a deployment configuration.
type imageChangeParams struct {
	index      int // in spec.triggers
	automatic  bool
	from       From
	containers []any
	last       string
}

// names reports whether the trigger names a container.
func (t *imageChangeParams) names(container string) bool {
	for _, name := range t.containers {
		if name == container {
			return true
		}
	}
	return false
}

// deploymentParams returns the image change triggers of a deployment configuration that follow tags, whatever their
// type says.
func deploymentParams(object map[string]any) []imageChangeParams {
	var list []imageChangeParams
	for i, t := range specTriggers(object) {
		params := member(t, "imageChangeParams")
		p := imageChangeParams{index: i, from: fromOf(member(params, "from"))}
		if p.from.Kind != imagestream.KindImageStreamTag {
			continue
		}
		p.automatic, _ = params["automatic"].(bool)
		p.containers, _ = params["containerNames"].([]any)
		p.last, _ = params["lastTriggeredImage"].(string)
		list = append(list, p)
	}
	return list
}

// ForDeploymentConfig plans for a deployment configuration by spec.triggers. An automatic trigger whose tag does not
// resolve, and that never gave an image, stops everything: nothing changes. One that did gives its last image again.
func ForDeploymentConfig(object map[string]any, env imagestream.Env) Plan {
	return planDeployment(object, resolver{env: &env})
}

func planDeployment(object map[string]any, r resolver) Plan {
	p := planner{resolver: r, spec: podspec.Walk(object, deploymentSteps), steps: deploymentSteps}
	namespace := metadata(object, "namespace")
	for _, t := range deploymentParams(object) {
		if !t.automatic {
			continue
		}
		image, ok := r.resolve(orOwn(t.from.Namespace, namespace), t.from.Name)
		switch {
		case !ok && t.last == "":
			return Plan{Unresolved: []Image{image}}
		case !ok || image.PullSpec == "":
			image.PullSpec, image.Why = t.last, lookup.WhyLastImage
		}
		if t.last != image.PullSpec {
			kept := image
			kept.Why = lookup.WhyRecorded
			p.set("/spec/triggers/"+strconv.Itoa(t.index)+"/imageChangeParams/lastTriggeredImage", t.last, kept)
		}
		for _, list := range [...]string{podspec.InitContainers, podspec.Containers} {
			p.setNamed(list, &t, image)
		}
	}
	return p.finish()
}

// setNamed sets the image of the containers of a list that a trigger names.
func (p *planner) setNamed(list string, t *imageChangeParams, image Image) {
	containers, _ := p.spec[list].([]any)
	for i, c := range containers {
		container, ok := c.(map[string]any)
		if name, _ := container["name"].(string); ok && t.names(name) {
			p.setImage(list, i, image)
		}
	}
}

// deploymentTriggers returns a trigger for each container that a trigger of a deployment configuration names, those of
// one name in both lists twice.
func deploymentTriggers(object map[string]any, careful bool) []Trigger {
	spec := podspec.Walk(object, deploymentSteps)
	var list []Trigger
	for _, t := range deploymentParams(object) {
		if t.from.Name == "" {
			continue
		}
		before := len(list)
		for _, name := range t.containers {
			name, _ := name.(string)
			for _, in := range [...]string{podspec.Containers, podspec.InitContainers} {
				if _, ok := podspec.ContainerNamed(spec, in, name); ok {
					path := podspec.NamePath(deploymentBase, in, name)
					list = append(list, Trigger{From: t.from, FieldPath: path, Paused: !t.automatic})
				}
			}
		}
		if careful && len(list) == before { // it changes no container, and can stop all the others
			list = append(list, Trigger{From: t.from, FieldPath: "spec.triggers", Paused: !t.automatic})
		}
	}
	return list
}

// specTriggers returns spec.triggers.
func specTriggers(object map[string]any) []any {
	spec, _ := object["spec"].(map[string]any)
	triggers, _ := spec["triggers"].([]any)
	return triggers
}

// member returns a member of an object that is an object; nil if there is none.
func member(object any, name string) map[string]any {
	m, _ := object.(map[string]any)
	child, _ := m[name].(map[string]any)
	return child
}

// fromOf reads what a trigger follows.
func fromOf(from map[string]any) From {
	var f From
	f.Kind, _ = from["kind"].(string)
	f.Name, _ = from["name"].(string)
	f.Namespace, _ = from["namespace"].(string)
	f.APIVersion, _ = from["apiVersion"].(string)
	return f
}
