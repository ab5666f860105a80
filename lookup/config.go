package lookup

import (
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Config is an ImagePolicyConfig of image.openshift.io/v1.
type Config struct {
	imagestream.TypeMeta
	// ResolveImages is what happens to every reference; empty is Attempt.
	ResolveImages ResolveMode `json:"resolveImages,omitempty"`
	// ExecutionRules say which images may run.
	ExecutionRules []ExecutionRule `json:"executionRules"`
	// ResolutionRules say where references are looked up. Nil is the default, all workloads and builds; an empty
	// list is nowhere.
	ResolutionRules []ResolutionRule `json:"resolutionRules"`
}

// ResolveMode is how far references are looked up.
type ResolveMode string

// The modes. Attempt looks up and goes on if that fails, Required refuses then; with Rewrite every reference that
// can be looked up is rewritten, not only short names.
const (
	DoNotAttempt    ResolveMode = "DoNotAttempt"
	Attempt         ResolveMode = "Attempt"
	AttemptRewrite  ResolveMode = "AttemptRewrite"
	Required        ResolveMode = "Required"
	RequiredRewrite ResolveMode = "RequiredRewrite"
)

func (m ResolveMode) attempts() bool {
	return m == Attempt || m == AttemptRewrite || m == Required || m == RequiredRewrite
}
func (m ResolveMode) requires() bool { return m == Required || m == RequiredRewrite }
func (m ResolveMode) rewrites() bool { return m == AttemptRewrite || m == RequiredRewrite }

// GroupResource names a kind of object: "apps", "deployments". A resource "*" in a resolution rule is all of the
// group.
type GroupResource struct {
	Group    string `json:"group"`
	Resource string `json:"resource"`
}

// ResolutionRule says how the references of a kind of object are looked up.
type ResolutionRule struct {
	TargetResource GroupResource `json:"targetResource"`
	// Policy is that of the configuration if it is empty.
	Policy ResolveMode `json:"policy"`
	// LocalNames rewrites short names that mean a stream for local lookup.
	LocalNames bool `json:"localNames"`
}

// ExecutionRule lets images run, or rejects them.
type ExecutionRule struct {
	Name string `json:"name"`
	// Reject refuses what matches. Without it the rule lets it in, and what no such rule lets in is refused.
	Reject bool `json:"reject,omitempty"`
	// OnResources are the kinds of object that the rule is for; none is pods.
	OnResources []GroupResource `json:"onResources"`
	// MatchIntegratedRegistry matches images of the internal registry.
	MatchIntegratedRegistry bool     `json:"matchIntegratedRegistry,omitempty"`
	MatchRegistries         []string `json:"matchRegistries,omitempty"`
	// SkipOnResolutionFailure leaves the rule out for references whose image is not known.
	SkipOnResolutionFailure bool `json:"skipOnResolutionFailure,omitempty"`
	// The conditions that an image must meet.
	MatchDockerImageLabels []ValueCondition            `json:"matchDockerImageLabels,omitempty"`
	MatchImageLabels       []imagestream.LabelSelector `json:"matchImageLabels,omitempty"`
	MatchImageAnnotations  []ValueCondition            `json:"matchImageAnnotations,omitempty"`
	// InvertMatch matches what does not.
	InvertMatch bool `json:"invertMatch,omitempty"`
	// IgnoreNamespaceOverride keeps the rule where a namespace asks for it to be ignored.
	IgnoreNamespaceOverride bool `json:"ignoreNamespaceOverride,omitempty"`
}

// ValueCondition is met by a map that has the key, with Set, or has the value under it; a key that is missing has
// the value "".
type ValueCondition struct {
	Key   string `json:"key"`
	Set   bool   `json:"set,omitempty"`
	Value string `json:"value,omitempty"`
}

func (c ValueCondition) met(m map[string]string) bool {
	value, ok := m[c.Key]
	if c.Set {
		return ok
	}
	return value == c.Value
}

// defaultTargets are where references are looked up if nobody says.
var defaultTargets = []GroupResource{
	{"", "pods"}, {"", "replicationcontrollers"}, {"apps.openshift.io", "deploymentconfigs"}, {"apps", "daemonsets"},
	{"apps", "deployments"}, {"apps", "statefulsets"}, {"apps", "replicasets"}, {"build.openshift.io", "builds"},
	{"batch", "jobs"}, {"batch", "cronjobs"},
	{"extensions", "daemonsets"}, {"extensions", "deployments"}, {"extensions", "replicasets"},
}

// withDefaults returns c as the API reads it; nil is the zero Config. C is not changed.
func withDefaults(c *Config) Config {
	var d Config
	if c != nil {
		d = *c
	}
	if d.ResolveImages == "" {
		d.ResolveImages = Attempt
	}
	d.ExecutionRules = slices.Clone(d.ExecutionRules)
	for i := range d.ExecutionRules {
		if len(d.ExecutionRules[i].OnResources) == 0 {
			d.ExecutionRules[i].OnResources = []GroupResource{{"", "pods"}}
		}
	}
	if d.ResolutionRules == nil {
		for _, target := range defaultTargets {
			rule := ResolutionRule{TargetResource: target, Policy: DoNotAttempt, LocalNames: true}
			judges := func(e ExecutionRule) bool { return slices.ContainsFunc(e.OnResources, target.isIn) }
			if slices.ContainsFunc(d.ExecutionRules, judges) {
				rule.Policy = d.ResolveImages
			}
			d.ResolutionRules = append(d.ResolutionRules, rule)
		}
		return d
	}
	d.ResolutionRules = append([]ResolutionRule{}, d.ResolutionRules...)
	for i := range d.ResolutionRules {
		if d.ResolutionRules[i].Policy == "" {
			d.ResolutionRules[i].Policy = d.ResolveImages
		}
	}
	return d
}

// isIn reports whether a pattern covers r.
// String returns resource.group, or the resource alone in the core group.
func (r GroupResource) String() string {
	if r.Group == "" {
		return r.Resource
	}
	return r.Resource + "." + r.Group
}

func (r GroupResource) isIn(pattern GroupResource) bool {
	return r.Group == pattern.Group && (r.Resource == pattern.Resource || pattern.Resource == "*")
}

// configPath is where the fields of a configuration are, for errors.
const configPath = "image.openshift.io/ImagePolicy"

// validate lists what is wrong with a configuration that has its defaults.
func (c *Config) validate() (errs imagestream.ErrorList) {
	add := func(t imagestream.FieldErrorType, value any, detail, format string, args ...any) {
		field := configPath + "." + fmt.Sprintf(format, args...)
		errs = append(errs, &imagestream.FieldError{Type: t, Field: field, Value: value, Detail: detail})
	}
	names := map[string]bool{}
	for i, rule := range c.ExecutionRules {
		if names[rule.Name] {
			add(imagestream.FieldDuplicate, rule.Name, "another rule has this name", "executionRules[%d].name", i)
		}
		names[rule.Name] = true
		for j, l := range rule.MatchImageLabels {
			if _, err := l.Selector(); err != nil {
				add(imagestream.FieldInvalid, nil, err.Error(), "executionRules[%d].matchImageLabels[%d]", i, j)
			}
		}
		if c.ResolveImages != DoNotAttempt {
			continue
		}
		for _, condition := range [...]struct {
			name string
			n    int
		}{
			{"matchDockerImageLabels", len(rule.MatchDockerImageLabels)}, {"matchImageLabels", len(rule.MatchImageLabels)},
			{"matchImageAnnotations", len(rule.MatchImageAnnotations)},
		} {
			if condition.n > 0 {
				add(imagestream.FieldInvalid, nil, "images must be resolved for this: resolveImages is DoNotAttempt",
					"executionRules[%d].%s", i, condition.name)
			}
		}
	}
	for i, rule := range c.ResolutionRules {
		if rule.TargetResource.Resource == "" {
			add(imagestream.FieldRequired, nil, `name a resource, or "*" for all of the group`,
				"resolutionRules[%d].targetResource.resource", i)
		}
	}
	return errs
}
