package lookup

import (
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Rules are execution rules, ready to judge images.
type Rules struct {
	byResource map[GroupResource][]rule
}

type rule struct {
	ExecutionRule
	labels []imagestream.Selector
}

// NewRules prepares rules as they are, without defaults. A label selector that cannot be read is an error.
// See conformance case policy-13.
func NewRules(rules []ExecutionRule) (*Rules, error) {
	r := &Rules{byResource: map[GroupResource][]rule{}}
	for i, e := range rules {
		ready := rule{ExecutionRule: e}
		for j, l := range e.MatchImageLabels {
			sel, err := l.Selector()
			if err != nil {
				return nil, fmt.Errorf("executionRules[%d].matchImageLabels[%d]: %w", i, j, err)
			}
			ready.labels = append(ready.labels, sel)
		}
		for j, on := range e.OnResources {
			if !slices.Contains(e.OnResources[:j], on) {
				r.byResource[on] = append(r.byResource[on], ready)
			}
		}
	}
	return r, nil
}

// Covers reports whether a rule is for that kind of object. "*" means nothing here.
func (r *Rules) Covers(resource GroupResource) bool { return len(r.byResource[resource]) > 0 }

// Attributes are what rules are about.
type Attributes struct {
	Resource GroupResource
	// Reference is what the reference was resolved to, or what it says if it was not.
	Reference pullspec.Reference
	// Integrated tells that the image is in the internal registry.
	Integrated bool
	// Image is nil if it is not known.
	Image *imagestream.Image
	// Ignored are names of rules that the namespace does not want.
	Ignored []string
	// IntegratedRegistries are hosts that count as the internal registry, too.
	IntegratedRegistries []string
}

// Accept judges an image. Rules are asked in order: a reject rule that matches refuses; if any rule is none of
// these, one of them must match. A kind of object without rules is accepted. See conformance
// case policy-12.
func (r *Rules) Accept(a Attributes) bool {
	rules := r.byResource[a.Resource]
	matched, lets := false, false
	for i := range rules {
		e := &rules[i]
		lets = lets || !e.Reject
		switch {
		case slices.Contains(a.Ignored, e.Name) && !e.IgnoreNamespaceOverride:
		case a.Image == nil && e.SkipOnResolutionFailure:
		case e.matches(a) == e.InvertMatch:
		case e.Reject:
			return false
		default:
			matched = true
		}
	}
	return matched || !lets
}

func (r *rule) matches(a Attributes) bool {
	if r.MatchIntegratedRegistry && !a.Integrated && !slices.Contains(a.IntegratedRegistries, a.Reference.Registry) {
		return false
	}
	if len(r.MatchRegistries) > 0 && !slices.Contains(r.MatchRegistries, a.Reference.Registry) {
		return false
	}
	if a.Image == nil {
		return len(r.MatchImageLabels) == 0 && len(r.MatchImageAnnotations) == 0 && len(r.MatchDockerImageLabels) == 0
	}
	if len(r.MatchDockerImageLabels) > 0 {
		if len(a.Image.DockerImageMetadata) == 0 {
			return false
		}
		docker, err := manifest.Metadata(a.Image)
		if err != nil { // upstream quirk: what cannot be read matches, whatever else is asked
			return !r.SkipOnResolutionFailure
		}
		var labels map[string]string
		if docker.Config != nil {
			labels = docker.Config.Labels
		}
		if !allMet(r.MatchDockerImageLabels, labels) {
			return false
		}
	}
	if !allMet(r.MatchImageAnnotations, a.Image.Metadata.Annotations) {
		return false
	}
	for _, sel := range r.labels {
		if !sel.Matches(a.Image.Metadata.Labels) {
			return false
		}
	}
	return true
}

func allMet(conditions []ValueCondition, m map[string]string) bool {
	for _, c := range conditions {
		if !c.met(m) {
			return false
		}
	}
	return true
}
