package yaml

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// follow adds to a review what the triggers of an object change: the images of the containers that they tie to tags. It
// leaves alone what they keep for themselves, and objects that are held. Triggers that cannot be followed are reported.
func (d *document) follow(ctx context.Context, object map[string]any, at string, review *lookup.Review) error {
	object = inNamespace(object, d.namespaceOf(object))
	if trigger.IsHeld(object) {
		return nil
	}
	triggers, err := trigger.Of(object)
	if err == nil && len(triggers) == 0 {
		return nil
	}
	env := imagestream.Env{Now: d.now, Settings: imagestream.Settings{InternalRegistry: d.resolver.InternalRegistry}}
	var plan trigger.Plan
	if err == nil {
		if env.Streams, err = d.streams(ctx, triggers, d.namespaceOf(object)); err != nil {
			return err
		}
		plan, err = trigger.For(object, env)
	}
	if err != nil {
		d.report(Report{Place: Place{Path: at}, Problem: ProblemTriggers, Detail: err.Error()}, d.find(at))
		return nil
	}
	d.noteTriggers(triggers, d.namespaceOf(object), env)
	for _, c := range plan.Changes {
		if c.Why == lookup.WhyRecorded || c.To == "" {
			continue
		}
		review.Changes = slices.DeleteFunc(review.Changes, func(o lookup.Change) bool { return o.Path == c.Path })
		review.Changes = append(review.Changes, c)
		review.Decisions = decidedBy(review.Decisions, c)
	}
	for _, u := range plan.Unresolved {
		review.Decisions = append(review.Decisions, lookup.Decision{
			Reference: lookup.Reference{
				Path:      "/metadata",
				Kind:      imagestream.KindImageStreamTag,
				Namespace: u.Stream.Namespace,
				Name:      u.Stream.Name + ":" + u.Tag,
			},
			Tried: []lookup.Tried{{Stream: u.Stream, Tag: u.Tag}}, Why: u.Why,
		})
	}
	return nil
}

// decidedBy returns decisions in which the one about a place is that of a trigger.
func decidedBy(decisions []lookup.Decision, c lookup.Change) []lookup.Decision {
	i := slices.IndexFunc(decisions, func(d lookup.Decision) bool { return d.Path == c.Path })
	if i < 0 {
		i = len(decisions)
		decisions = append(decisions, lookup.Decision{
			Reference: lookup.Reference{Path: c.Path, Kind: imagestream.KindDockerImage, Name: c.From},
		})
	}
	d := &decisions[i]
	d.To, d.Why, d.Tried, d.Assumed = c.To, c.Why, []lookup.Tried{{Stream: c.Stream, Tag: c.Tag}}, false
	return decisions
}

// streams reads the streams that triggers follow. The versions of those in files need not be there.
func (d *document) streams(
	ctx context.Context, triggers []trigger.Trigger, namespace string,
) (map[imagestream.Key]*imagestream.ImageStream, error) {
	streams := map[imagestream.Key]*imagestream.ImageStream{}
	for _, t := range triggers {
		key, _, ok := t.Stream(namespace)
		if !ok || streams[key] != nil {
			continue
		}
		s, err := d.seen.GetImageStream(ctx, key)
		if errors.Is(err, imagestream.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		versioned := *s
		versioned.Metadata.ResourceVersion = "1"
		streams[key] = &versioned
	}
	return streams, nil
}

// noteTriggers remembers what the tags of triggers are, also where the file says so already.
func (d *document) noteTriggers(triggers []trigger.Trigger, namespace string, env imagestream.Env) {
	for _, t := range triggers {
		key, tag, ok := t.Stream(namespace)
		if !ok {
			continue
		}
		if image, ok := trigger.Resolve(env, key.Namespace, key.Name+":"+tag); ok {
			d.seen.note(lookup.Change{To: image.PullSpec, Stream: key, Tag: tag, Event: image.Event})
		}
	}
}

func metadataOf(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	return metadata
}

// inNamespace returns object in a namespace.
func inNamespace(object map[string]any, namespace string) map[string]any {
	object, metadata := maps.Clone(object), maps.Clone(metadataOf(object))
	if metadata == nil {
		metadata = map[string]any{}
	}
	metadata["namespace"] = namespace
	object["metadata"] = metadata
	return object
}
