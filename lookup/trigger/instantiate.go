package trigger

import (
	"errors"
	"fmt"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// BuildTrigger is an element of a build configuration's status.imageChangeTriggers: what the last build was made of.
type BuildTrigger struct {
	From                 BuildTriggerFrom `json:"from"`
	LastTriggeredImageID string           `json:"lastTriggeredImageID,omitempty"`
	LastTriggerTime      imagestream.Time `json:"lastTriggerTime,omitzero"`
}

// BuildTriggerFrom names the tag of a [BuildTrigger].
type BuildTriggerFrom struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
}

// The reasons why nothing can be instantiated, beside [ErrNoFrom].
var (
	ErrInstantiated = errors.New("a build of this image was instantiated already")
	ErrUnresolved   = errors.New("the image that the strategy builds from cannot be resolved")
)

// Instantiate returns status.imageChangeTriggers of a build configuration as they are once a build is instantiated:
// an entry for each trigger of type ImageChange, in order. The trigger that the request comes from gets the request's
// image and the time, the others the image that they resolve to now, and no time. Of two triggers alike the first one
// is meant. From and image may be nil: then the request comes from no trigger.
//
// Errors are [ErrInstantiated], [ErrUnresolved] for a trigger without a from of its own, and [ErrNoFrom].
func Instantiate(
	object map[string]any,
	from, image *imagestream.ObjectReference,
	env imagestream.Env,
) ([]BuildTrigger, error) {
	i := instantiation{
		object: object, namespace: metadata(object, "namespace"), strategy: strategyFrom(object), env: &env,
	}
	if from != nil {
		i.from = &BuildTriggerFrom{orOwn(from.Namespace, i.namespace), from.Name}
	}
	if image != nil && i.isRecorded(image.Name) {
		return nil, fmt.Errorf("%s: %s: %w", describe(object), image.Name, ErrInstantiated)
	}
	if image == nil {
		i.from = nil
	}
	return i.rebuild(image)
}

// instantiation is what is known of one instantiation.
type instantiation struct {
	object    map[string]any
	namespace string
	strategy  *imagestream.ObjectReference
	from      *BuildTriggerFrom // of the request
	env       *imagestream.Env
}

// rebuild makes the entries anew.
func (i *instantiation) rebuild(image *imagestream.ObjectReference) ([]BuildTrigger, error) {
	var list []BuildTrigger
	requested := i.from != nil
	for n, t := range specTriggers(i.object) {
		trigger, _ := t.(map[string]any)
		if typ, _ := trigger["type"].(string); typ != "ImageChange" {
			continue
		}
		change := member(t, "imageChange")
		own := referenceOf(change, "from")
		from := own
		if from == nil {
			from = i.strategy
		}
		if from == nil || change == nil {
			return nil, fmt.Errorf("%s: spec.triggers[%d].imageChange: %w", describe(i.object), n, ErrNoFrom)
		}
		entry := BuildTrigger{From: BuildTriggerFrom{from.Namespace, from.Name}}
		if requested && i.isRequest(own) {
			requested = false
			entry.LastTriggeredImageID, entry.LastTriggerTime = image.Name, tagevent.TimeOf(i.env.Now)
			list = append(list, entry)
			continue
		}
		id, ok := i.resolve(from)
		if !ok && own == nil {
			return nil, fmt.Errorf(
				"%s: spec.triggers[%d].imageChange: %s %q: %w",
				describe(i.object),
				n,
				from.Kind,
				from.Name,
				ErrUnresolved,
			)
		}
		entry.LastTriggeredImageID = id
		list = append(list, entry)
	}
	return list, nil
}

// isRequest reports whether a from, nil for none, is that of the request.
func (i *instantiation) isRequest(from *imagestream.ObjectReference) bool {
	var own BuildTriggerFrom
	if from != nil {
		own = BuildTriggerFrom{from.Namespace, from.Name}
	}
	effective, ok := i.effective(own)
	return ok && effective == *i.from
}

// effective returns what a from stands for: the strategy's if it has no name, in the namespace of the build
// configuration if it has none.
func (i *instantiation) effective(from BuildTriggerFrom) (BuildTriggerFrom, bool) {
	if from.Name == "" {
		if i.strategy == nil || i.strategy.Kind != imagestream.KindImageStreamTag {
			return BuildTriggerFrom{}, false
		}
		from = BuildTriggerFrom{i.strategy.Namespace, i.strategy.Name}
	}
	from.Namespace = orOwn(from.Namespace, i.namespace)
	return from, true
}

// isRecorded reports whether the first entry of the request's tag has that image.
func (i *instantiation) isRecorded(image string) bool {
	if i.from == nil {
		return false
	}
	for _, e := range recorded(i.object) {
		if from, ok := i.effective(e.From); ok && from == *i.from {
			return e.LastTriggeredImageID == image
		}
	}
	return false
}

// recorded reads status.imageChangeTriggers, without the times.
func recorded(object map[string]any) []BuildTrigger {
	status, _ := object["status"].(map[string]any)
	entries, _ := status["imageChangeTriggers"].([]any)
	list := make([]BuildTrigger, len(entries))
	for i, e := range entries {
		from := fromOf(member(e, "from"))
		list[i].From = BuildTriggerFrom{from.Namespace, from.Name}
		entry, _ := e.(map[string]any)
		list[i].LastTriggeredImageID, _ = entry["lastTriggeredImageID"].(string)
	}
	return list
}

// resolve returns the pull spec that a from of any kind stands for.
func (i *instantiation) resolve(from *imagestream.ObjectReference) (string, bool) {
	switch from.Kind {
	case imagestream.KindDockerImage:
		return from.Name, true
	case imagestream.KindImageStreamTag:
		s, tag := i.stream(from, ":")
		if s == nil {
			return "", false
		}
		event, why := resolver{env: i.env}.newest(s, tag)
		if why == lookup.WhyNoEvent || why == lookup.WhyPins {
			return "", false
		}
		return eventPullSpec(s, tag, s.Status.DockerImageRepository, event), true
	case imagestream.KindImageStreamImage:
		s, id := i.stream(from, "@")
		if s == nil {
			return "", false
		}
		tag, event, ok := youngest(s, id)
		return eventPullSpec(s, tag, s.Status.DockerImageRepository, event), ok
	}
	return "", false
}

// stream returns the stream that a name of the form stream:tag or stream@image is about, and the other part; nil if
// there is none, or the name has another form.
func (i *instantiation) stream(
	from *imagestream.ObjectReference,
	sep string,
) (s *imagestream.ImageStream, rest string) {
	name, rest, _ := strings.Cut(from.Name, sep)
	if name == "" || rest == "" || strings.Contains(rest, sep) || sep == ":" && strings.Contains(from.Name, "@") {
		return nil, ""
	}
	return i.env.Streams[imagestream.Key{Namespace: orOwn(from.Namespace, i.namespace), Name: name}], rest
}

// youngest returns, of the events whose image an id names, the one created last, and its tag.
func youngest(s *imagestream.ImageStream, id string) (tag string, event tagevent.Event, ok bool) {
	for i := range s.Status.Tags {
		h := &s.Status.Tags[i]
		for _, e := range h.Items {
			if pullspec.MatchImageID(e.Image, id) && (!ok || e.Created > event.Created) {
				tag, event, ok = h.Tag, e, true
			}
		}
	}
	return tag, event, ok
}
