package trigger

import (
	"reflect"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
)

// imageChangeType is the type of image change triggers.
const imageChangeType = "ImageChange"

// setDeployment sets spec.triggers of a deployment configuration.
func setDeployment(object map[string]any, s Setting, from From, names []string) (map[string]any, error) {
	own := metadata(object, "namespace")
	have := specTriggers(object)
	var last any
	for _, t := range have {
		params := member(t, "imageChangeParams")
		follows := fromOf(member(params, "from"))
		if params == nil || !s.adds() {
			continue
		}
		if follows.same(from, own) {
			last = params["lastTriggeredImage"]
			continue
		}
		containers, _ := params["containerNames"].([]any)
		for _, c := range containers {
			if name, _ := c.(string); slices.Contains(names, name) {
				return nil, alreadyFollows(name, follows.Name)
			}
		}
	}
	triggers := replaceFirst(have, s, func(t any) (any, bool) {
		trigger, _ := t.(map[string]any)
		params := member(t, "imageChangeParams")
		follows := fromOf(member(params, "from"))
		if params == nil || s.FromImage != "" && !follows.same(from, own) {
			return t, false
		}
		return with(trigger, !s.Manual, "imageChangeParams", "automatic"), true
	}, func() []any {
		containers := make([]any, len(names))
		for i, name := range names {
			containers[i] = name
		}
		params := map[string]any{"automatic": !s.Manual, "containerNames": containers, "from": from.object()}
		if last != nil {
			params["lastTriggeredImage"] = last
		}
		return []any{map[string]any{"type": imageChangeType, "imageChangeParams": params}}
	})
	return withTriggers(object, have, triggers), nil
}

// setBuild sets spec.triggers of a build configuration. The tag that its strategy builds from is followed by a trigger
// without from, as the API has it; if all triggers are to be automatic, there is one.
func setBuild(object map[string]any, s Setting, from From) (map[string]any, error) {
	if len(s.Containers) > 0 {
		return nil, wrongSetting("a build configuration has no containers")
	}
	own := metadata(object, "namespace")
	strategy := From{}
	if f := strategyFrom(object); f != nil {
		strategy = From{Kind: f.Kind, Name: f.Name, Namespace: f.Namespace}
	}
	isDefault := strategy.Kind == imagestream.KindImageStreamTag && strategy.same(from, own)
	have := specTriggers(object)
	var kept map[string]any
	follows := func(t any) (map[string]any, From) {
		change := member(t, "imageChange")
		if f := member(change, "from"); f != nil {
			return change, fromOf(f)
		}
		return change, strategy
	}
	for _, t := range have {
		if change, f := follows(t); change != nil && f.same(from, own) && kept == nil {
			kept = change
		}
	}
	triggers := replaceFirst(have, s, func(t any) (any, bool) {
		trigger, _ := t.(map[string]any)
		change, f := follows(t)
		if change == nil || s.FromImage != "" && !f.same(from, own) {
			return t, false
		}
		return with(trigger, paused(change, s.Manual), "imageChange"), true
	}, func() []any {
		change := paused(kept, s.Manual)
		if !isDefault {
			change["from"] = from.object()
		} else {
			delete(change, "from")
		}
		return []any{map[string]any{"type": imageChangeType, "imageChange": change}}
	})
	if s.Auto && s.FromImage == "" && strategy.Kind == imagestream.KindImageStreamTag &&
		!slices.ContainsFunc(triggers, func(t any) bool {
			change, f := follows(t)
			return change != nil && f.same(strategy, own)
		}) {
		triggers = append(triggers, map[string]any{"type": imageChangeType, "imageChange": map[string]any{}})
	}
	return withTriggers(object, have, triggers), nil
}

// paused returns an image change trigger of a build configuration, paused or not.
func paused(change map[string]any, manual bool) map[string]any {
	var value any
	if manual {
		value = true
	}
	return with(change, value, "paused")
}

// object returns f as JSON has it.
func (f *From) object() map[string]any {
	o := map[string]any{"kind": f.Kind, "name": f.Name}
	if f.Namespace != "" {
		o["namespace"] = f.Namespace
	}
	return o
}

// withTriggers returns object with other spec.triggers.
func withTriggers(object map[string]any, have, triggers []any) map[string]any {
	if reflect.DeepEqual(have, triggers) || len(have) == 0 && len(triggers) == 0 {
		return object
	}
	if len(triggers) == 0 {
		return with(object, nil, "spec", "triggers")
	}
	return with(object, triggers, "spec", "triggers")
}
