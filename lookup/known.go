package lookup

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/imagestreams/imagestreams/internal/podspec"
)

// knownKind tells where images are in objects of a kind that neither Kubernetes nor OpenShift define.
type knownKind struct {
	resource string
	spec     []string // members that lead to a pod spec; nil if there is none
	paths    []string
}

// knownKinds are those of [Options.KnownKinds]. Flux's HelmRelease has no image of its own, only values.
var knownKinds = map[[2]string]knownKind{
	{"argoproj.io", "Rollout"}:                 {"rollouts", []string{"spec", "template", "spec"}, nil},
	{"argoproj.io", "CronWorkflow"}:            {"cronworkflows", nil, workflowPaths("spec.workflowSpec")},
	{"argoproj.io", "Workflow"}:                {"workflows", nil, workflowPaths("spec")},
	{"argoproj.io", "WorkflowTemplate"}:        {"workflowtemplates", nil, workflowPaths("spec")},
	{"argoproj.io", "ClusterWorkflowTemplate"}: {"clusterworkflowtemplates", nil, workflowPaths("spec")},
	{"serving.knative.dev", "Service"}:         {"services", []string{"spec", "template", "spec"}, nil},
	{"serving.knative.dev", "Configuration"}:   {"configurations", []string{"spec", "template", "spec"}, nil},
	{"serving.knative.dev", "Revision"}:        {"revisions", []string{"spec"}, nil},
	{"tekton.dev", "Task"}:                     {"tasks", nil, taskPaths("spec")},
	{"tekton.dev", "ClusterTask"}:              {"clustertasks", nil, taskPaths("spec")},
	{"tekton.dev", "TaskRun"}:                  {"taskruns", nil, taskPaths("spec.taskSpec")},
	{"tekton.dev", "Pipeline"}:                 {"pipelines", nil, pipelinePaths("spec")},
	{"tekton.dev", "PipelineRun"}:              {"pipelineruns", nil, pipelinePaths("spec.pipelineSpec")},
	{"tekton.dev", "StepAction"}:               {"stepactions", nil, []string{"spec.image"}},
	{"kubevirt.io", "VirtualMachine"}:          {"virtualmachines", nil, machinePaths("spec.template.spec")},
	{"kubevirt.io", "VirtualMachineInstance"}:  {"virtualmachineinstances", nil, machinePaths("spec")},
	{"pool.kubevirt.io", "VirtualMachinePool"}: {"virtualmachinepools", nil,
		machinePaths("spec.virtualMachineTemplate.spec.template.spec")},
	{"kubevirt.io", virtualMachineReplicaSet}: {"virtualmachineinstancereplicasets", nil,
		machinePaths("spec.template.spec")},
	{"sources.knative.dev", "ContainerSource"}: {"containersources", []string{"spec", "template", "spec"}, nil},
}

const virtualMachineReplicaSet = "VirtualMachineInstanceReplicaSet"

func taskPaths(at string) []string {
	return []string{at + ".steps[*].image", at + ".stepTemplate.image", at + ".sidecars[*].image"}
}

func pipelinePaths(at string) []string {
	return append(taskPaths(at+".tasks[*].taskSpec"), taskPaths(at+".finally[*].taskSpec")...)
}

func workflowPaths(at string) []string {
	var paths []string
	for _, template := range [...]string{".templates[*]", ".templateDefaults"} {
		for _, image := range [...]string{
			".initContainers[*].image", ".container.image", ".containerSet.containers[*].image", ".script.image",
			".sidecars[*].image",
		} {
			paths = append(paths, at+template+image)
		}
	}
	return paths
}

func machinePaths(at string) []string {
	return []string{at + ".volumes[*].containerDisk.image", at + ".domain.firmware.kernelBoot.container.image"}
}

// known returns what is known of the kind of an object, if the options want it.
func known(object map[string]any, opts *Options) (knownKind, bool) {
	if !opts.KnownKinds {
		return knownKind{}, false
	}
	group, kind := podspec.GroupKind(object)
	k, ok := knownKinds[[2]string{group, kind}]
	return k, ok
}

// Steps returns the members of the path: names, and "[*]" or "[0]" for items of lists.
func (p Path) Steps() []string {
	return strings.Split(strings.TrimPrefix(strings.ReplaceAll(p.Path, "[", ".["), "."), ".")
}

var pathSteps = regexp.MustCompile(`^[^.\[\]]+(\.[^.\[\]]+|\[(\*|[0-9]+)\])*$`)

// Check returns an error if the path cannot be followed: a name is empty, or a bracket has no number and no "*".
func (p Path) Check() error {
	if !pathSteps.MatchString(p.Path) {
		const wanted = "names separated by dots, with [*] or [0] for items of lists, are wanted: sidecars[*].image"
		return fmt.Errorf("path %q: %s", p.Path, wanted)
	}
	return nil
}
