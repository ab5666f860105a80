package main

import (
	"errors"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
	"github.com/imagestreams/imagestreams/internal/real"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// triggerInput is the input of the ops of triggers.
type triggerInput struct {
	Namespace, Name        string
	Object, Old, New       map[string]any
	From, TriggeredByImage *imagestream.ObjectReference
	Streams                []*imagestream.ImageStream
}

// overTriggers makes a runner of a function of the input and what is known.
func overTriggers(f func(in triggerInput, env imagestream.Env) (object, error)) runner {
	return func(c *call) (any, error) {
		var e struct {
			Now              time.Time
			InternalRegistry string
		}
		var in triggerInput
		if err := errors.Join(c.env(&e), c.in(&in)); err != nil {
			return nil, err
		}
		env := imagestream.Env{Now: e.Now, Streams: map[imagestream.Key]*imagestream.ImageStream{}}
		env.InternalRegistry = e.InternalRegistry
		for _, s := range in.Streams {
			env.Streams[s.Key()] = s
		}
		return f(in, env)
	}
}

// overObject makes a runner of a function that plans for an object, and adds the streams that wake it.
func overObject(plan func(in triggerInput, env imagestream.Env) (object, error)) runner {
	return overTriggers(func(in triggerInput, env imagestream.Env) (object, error) {
		got, err := plan(in, env)
		if err != nil {
			return nil, err
		}
		var cache real.TriggerCache
		if _, err := cache.Event(nil, in.Object); err != nil {
			return nil, err
		}
		got["watch"] = cache.Watch()
		return got, nil
	})
}

func namespaceOf(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	return namespace
}

// shownPlan is a plan that changes an object as the vectors show it.
func shownPlan(in triggerInput, plan trigger.Plan) object {
	got := object{"changed": plan.Writes, "unresolved": len(plan.Unresolved) > 0}
	if plan.Writes {
		got["object"] = lookup.Apply(in.Object, plan.Changes)
	}
	return got
}

// triggerErrors are the kinds of errors of annotations.
var triggerErrors = []struct {
	err  error
	kind string
}{
	{trigger.ErrSyntax, "json"},
	{trigger.ErrDuplicate, "duplicate"},
	{trigger.ErrFieldPath, "fieldPath"},
	{trigger.ErrContainer, "container"},
	{trigger.ErrNoPodSpec, "noPodSpec"},
}

var triggerOps = map[string]runner{
	"trigger.tag": overTriggers(func(in triggerInput, env imagestream.Env) (object, error) {
		image, ok := trigger.Resolve(env, in.Namespace, in.Name)
		if !ok {
			return object{"ok": false}, nil
		}
		return object{"ok": true, "ref": image.PullSpec}, nil
	}),
	"trigger.annotation": overTriggers(func(in triggerInput, env imagestream.Env) (object, error) {
		// The vectors have annotations on deployment configs too, which the real controller does not look at.
		triggers, _ := trigger.Parse(podspec.Annotation(in.Object, trigger.Annotation))
		watch := real.WatchKeys(triggers, namespaceOf(in.Object))
		plan, err := trigger.ForAnnotation(in.Object, env)
		for _, e := range triggerErrors {
			if errors.Is(err, e.err) {
				return object{"error": true, "errorKind": e.kind, "changed": false, "watch": watch}, nil
			}
		}
		got := shownPlan(in, plan)
		got["watch"] = watch
		return got, err
	}),
	"trigger.dc": overObject(func(in triggerInput, env imagestream.Env) (object, error) {
		return shownPlan(in, trigger.ForDeploymentConfig(in.Object, env)), nil
	}),
	"trigger.bc": func(c *call) (any, error) {
		got, err := overObject(func(in triggerInput, env imagestream.Env) (object, error) {
			plan, err := trigger.ForBuildConfig(in.Object, env)
			if err != nil || plan.Build == nil {
				return object{"instantiate": false}, err
			}
			return object{"instantiate": true, "request": plan.Build, "namespace": plan.Build.Metadata.Namespace}, nil
		})(c)
		if errors.Is(err, trigger.ErrNoFrom) {
			return object{"panic": true}, nil
		}
		return got, err
	},
	"trigger.bcstatus": overTriggers(func(in triggerInput, env imagestream.Env) (object, error) {
		entries, err := trigger.Instantiate(in.Object, in.From, in.TriggeredByImage, env)
		switch {
		case errors.Is(err, trigger.ErrNoFrom):
			return object{"panic": true}, nil
		case err != nil:
			return object{"error": true}, nil
		}
		return object{"imageChangeTriggers": entries}, nil
	}),
	"trigger.index": overTriggers(func(in triggerInput, _ imagestream.Env) (object, error) {
		var cache real.TriggerCache
		if in.Old != nil {
			if _, err := cache.Event(nil, in.Old); err != nil {
				cache = real.TriggerCache{}
			}
		}
		queued, err := cache.Event(in.Old, in.New)
		return object{"queued": queued, "cached": cache.Cached, "watch": cache.Watch(), "error": err != nil}, nil
	}),
}
