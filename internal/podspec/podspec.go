// Package podspec knows where images stand in Kubernetes and OpenShift objects.
package podspec

import (
	"iter"
	"strconv"
	"strings"
)

// Location is a text in a JSON tree that names an image.
type Location struct {
	// Path is a JSON pointer to the text.
	Path string
	// Image is the text.
	Image string
}

// paths leads to the pod spec of a kind, by group and kind; the template is one step above it.
var paths = map[[2]string][]string{
	{"", "Pod"}:                               {"spec"},
	{"", "ReplicationController"}:             {"spec", "template", "spec"},
	{"apps.openshift.io", "DeploymentConfig"}: {"spec", "template", "spec"},
	{"apps", "Deployment"}:                    {"spec", "template", "spec"},
	{"apps", "StatefulSet"}:                   {"spec", "template", "spec"},
	{"apps", "DaemonSet"}:                     {"spec", "template", "spec"},
	{"apps", "ReplicaSet"}:                    {"spec", "template", "spec"},
	{"batch", "Job"}:                          {"spec", "template", "spec"},
	{"batch", "CronJob"}:                      {"spec", "jobTemplate", "spec", "template", "spec"},
}

func path(object map[string]any) []string {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ := object["kind"].(string)
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group = ""
	}
	return paths[[2]string{group, kind}]
}

// Images yields the images of a workload's containers, init containers first, in order. An object of another
// kind has none. Source: op lookup.rewrite.
func Images(object map[string]any) iter.Seq[Location] {
	return func(yield func(Location) bool) {
		steps := path(object)
		spec := walk(object, steps)
		if spec == nil {
			return
		}
		for _, list := range [...]string{"initContainers", "containers"} {
			containers, _ := spec[list].([]any)
			for i, c := range containers {
				container, _ := c.(map[string]any)
				image, ok := container["image"].(string)
				if !ok {
					continue
				}
				at := "/" + strings.Join(steps, "/") + "/" + list + "/" + strconv.Itoa(i) + "/image"
				if !yield(Location{at, image}) {
					return
				}
			}
		}
	}
}

// Template returns the pod template of a workload, nil if it has none.
func Template(object map[string]any) map[string]any {
	template, _ := TemplateAt(object)
	return template
}

// TemplateAt returns the pod template of a workload and the members that lead to it; nil if it has none.
func TemplateAt(object map[string]any) (template map[string]any, steps []string) {
	steps = path(object)
	if len(steps) < 2 {
		return nil, nil
	}
	steps = steps[:len(steps)-1]
	return walk(object, steps), steps
}

// Annotation returns an annotation of an object, or of a pod template; "" if it is not there.
func Annotation(object map[string]any, name string) string {
	annotations := walk(object, []string{"metadata", "annotations"})
	value, _ := annotations[name].(string)
	return value
}

func walk(object map[string]any, steps []string) map[string]any {
	if steps == nil {
		return nil
	}
	for _, step := range steps {
		object, _ = object[step].(map[string]any)
	}
	return object
}
