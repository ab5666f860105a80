package main

import (
	"context"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

func lookupReferences(c *call) (any, error) {
	var in struct{ Object, OldObject map[string]any }
	if err := c.in(&in); err != nil {
		return nil, err
	}
	references, err := lookup.References(in.Object, in.OldObject, lookup.Options{})
	if err != nil {
		return object{"error": true}, nil
	}
	list := make([]object, len(references))
	for i, r := range references {
		list[i] = object{"path": r.Field, "kind": r.Kind, "name": r.Name}
		if r.Namespace != "" {
			list[i]["namespace"] = r.Namespace
		}
	}
	return object{"references": list}, nil
}

func lookupRewrite(c *call) (any, error) {
	var e struct {
		stored
		Config     *lookup.Config
		Namespaces []struct{ Metadata imagestream.ObjectMeta }
	}
	var in struct {
		Namespace, Subresource string
		Object, OldObject      map[string]any
		Update                 bool
	}
	if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
		return nil, err
	}
	policy, errs := lookup.NewPolicy(e.Config)
	if len(errs) > 0 {
		return object{"configErrors": shownErrors(errs)}, nil
	}
	req := &lookup.Request{
		Namespace:   in.Namespace,
		Object:      in.Object,
		Update:      in.Update,
		Old:         in.OldObject,
		Subresource: in.Subresource,
	}
	for _, n := range e.Namespaces {
		if n.Metadata.Name == in.Namespace {
			req.IgnoreRules = n.Metadata.Annotations[lookup.IgnoreRulesAnnotation]
		}
	}
	resolver := &lookup.Resolver{Source: &e.stored, InternalRegistry: e.InternalRegistry, Policy: policy}
	review, err := resolver.Review(context.Background(), req)
	if err != nil {
		return nil, err
	}
	changed := object(lookup.Apply(in.Object, review.Changes))
	if review.Refused == nil {
		return object{"object": changed}, nil
	}
	got := object{
		"phase":  "admit",
		"status": object{"reason": review.Refused.Reason, "code": review.Refused.Reason.Code()},
	}
	if len(review.Refused.Errors) > 0 {
		got["errors"] = shownErrors(review.Refused.Errors)
	}
	if len(review.Changes) > 0 {
		got["phase"], got["object"] = "validate", changed
	}
	return got, nil
}

func policyAccepts(c *call) (any, error) {
	var in struct {
		Rules                []lookup.ExecutionRule
		IntegratedRegistries []string
		Attributes           struct {
			Resource           lookup.GroupResource
			Reference          pullspec.Reference
			IntegratedRegistry bool
			Image              *imagestream.Image
			ExcludedRules      []string
		}
	}
	if err := c.in(&in); err != nil {
		return nil, err
	}
	rules, err := lookup.NewRules(in.Rules)
	if err != nil {
		return object{"error": true}, nil
	}
	a := in.Attributes
	return object{"covers": rules.Covers(a.Resource), "accepts": rules.Accept(lookup.Attributes{
		Resource:             a.Resource,
		Reference:            a.Reference,
		Integrated:           a.IntegratedRegistry,
		Image:                a.Image,
		Ignored:              a.ExcludedRules,
		IntegratedRegistries: in.IntegratedRegistries,
	})}, nil
}

func policyConfig(c *call) (any, error) {
	var in struct{ Config *lookup.Config }
	if err := c.in(&in); err != nil {
		return nil, err
	}
	policy, errs := lookup.NewPolicy(in.Config)
	if len(errs) > 0 {
		return object{"errors": shownErrors(errs)}, nil
	}
	config := policy.Config()
	rules := make([]object, len(config.ExecutionRules))
	for i, r := range config.ExecutionRules {
		rules[i] = object{"name": r.Name, "onResources": r.OnResources}
	}
	return object{
		"resolveImages":   config.ResolveImages,
		"resolutionRules": config.ResolutionRules,
		"executionRules":  rules,
	}, nil
}

var lookupOps = map[string]runner{
	"lookup.references": lookupReferences,
	"lookup.rewrite":    lookupRewrite,
	"policy.accepts":    policyAccepts,
	"policy.config":     policyConfig,
}
