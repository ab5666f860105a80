// Package podspec knows where images stand in Kubernetes and OpenShift objects.
package podspec

import "strings"

// Workload is a kind of object that has a pod spec.
type Workload struct {
	// Resource is its name in the plural.
	Resource string
	// Spec are the members that lead to the pod spec; the template is one step above it.
	Spec []string
}

var workloads = map[[2]string]Workload{
	{"", "Pod"}:                               {"pods", []string{"spec"}},
	{"", "PodTemplate"}:                       {"podtemplates", []string{"template", "spec"}},
	{"", "ReplicationController"}:             {"replicationcontrollers", []string{"spec", "template", "spec"}},
	{"apps.openshift.io", "DeploymentConfig"}: {"deploymentconfigs", []string{"spec", "template", "spec"}},
	{"apps", "Deployment"}:                    {"deployments", []string{"spec", "template", "spec"}},
	{"apps", "StatefulSet"}:                   {"statefulsets", []string{"spec", "template", "spec"}},
	{"apps", "DaemonSet"}:                     {"daemonsets", []string{"spec", "template", "spec"}},
	{"apps", "ReplicaSet"}:                    {"replicasets", []string{"spec", "template", "spec"}},
	{"extensions", "Deployment"}:              {"deployments", []string{"spec", "template", "spec"}},
	{"extensions", "DaemonSet"}:               {"daemonsets", []string{"spec", "template", "spec"}},
	{"extensions", "ReplicaSet"}:              {"replicasets", []string{"spec", "template", "spec"}},
	{"batch", "Job"}:                          {"jobs", []string{"spec", "template", "spec"}},
	{"batch", "CronJob"}:                      {"cronjobs", []string{"spec", "jobTemplate", "spec", "template", "spec"}},
}

// GroupKind returns API group and kind of an object, "" where it does not say.
func GroupKind(object map[string]any) (group, kind string) {
	apiVersion, _ := object["apiVersion"].(string)
	kind, _ = object["kind"].(string)
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		group = ""
	}
	return group, kind
}

// Find returns what there is to know of a kind with a pod spec.
func Find(group, kind string) (Workload, bool) {
	w, ok := workloads[[2]string{group, kind}]
	return w, ok
}

// Template returns the pod template of a workload, nil if it has none.
func Template(object map[string]any) map[string]any {
	template, _ := TemplateAt(object)
	return template
}

// TemplateAt returns the pod template of a workload and the members that lead to it; nil if it has none.
func TemplateAt(object map[string]any) (template map[string]any, steps []string) {
	w, _ := Find(GroupKind(object))
	steps = w.Spec
	if len(steps) < 2 {
		return nil, nil
	}
	steps = steps[:len(steps)-1]
	return Walk(object, steps), steps
}

// Annotation returns an annotation of an object, or of a pod template; "" if it is not there.
func Annotation(object map[string]any, name string) string {
	annotations := Walk(object, []string{"metadata", "annotations"})
	value, _ := annotations[name].(string)
	return value
}

// Walk returns the object that steps lead to; nil if there is none.
func Walk(object map[string]any, steps []string) map[string]any {
	for _, step := range steps {
		object, _ = object[step].(map[string]any)
	}
	return object
}
