package trigger

import (
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// BuildRequest asks for a build of a build configuration: what is posted to its instantiate subresource.
type BuildRequest struct {
	Metadata imagestream.ObjectMeta `json:"metadata"`
	// TriggeredByImage and From are the image and the tag of the first trigger that fired.
	TriggeredByImage *imagestream.ObjectReference `json:"triggeredByImage,omitempty"`
	From             *imagestream.ObjectReference `json:"from,omitempty"`
	// TriggeredBy has a cause for each tag that fired.
	TriggeredBy []BuildCause `json:"triggeredBy"`
}

// BuildCause is why a build is asked for.
type BuildCause struct {
	Message          string `json:"message"`
	ImageChangeBuild struct {
		ImageID string                       `json:"imageID,omitempty"`
		FromRef *imagestream.ObjectReference `json:"fromRef"`
	} `json:"imageChangeBuild"`
}

// causeMessage is what the real controller says.
const causeMessage = "Image change"

// imageChange is an image change trigger of a build configuration.
type imageChange struct {
	index  int // in spec.triggers
	typ    string
	from   *imagestream.ObjectReference // nil for the strategy's
	paused bool
	last   string
}

// imageChanges returns the triggers that have the member imageChange.
func imageChanges(object map[string]any) []imageChange {
	var list []imageChange
	for i, t := range specTriggers(object) {
		change := member(t, "imageChange")
		if change == nil {
			continue
		}
		c := imageChange{index: i, from: referenceOf(change, "from")}
		c.typ, _ = t.(map[string]any)["type"].(string)
		c.paused, _ = change["paused"].(bool)
		c.last, _ = change["lastTriggeredImageID"].(string)
		list = append(list, c)
	}
	return list
}

// referenceOf reads a member that is an object reference; nil if there is none.
func referenceOf(object map[string]any, name string) *imagestream.ObjectReference {
	m := member(object, name)
	if m == nil {
		return nil
	}
	text := func(name string) string {
		value, _ := m[name].(string)
		return value
	}
	return &imagestream.ObjectReference{
		Kind: text("kind"), Namespace: text("namespace"), Name: text("name"), UID: text("uid"),
		APIVersion: text("apiVersion"), ResourceVersion: text("resourceVersion"), FieldPath: text("fieldPath"),
	}
}

// strategyFrom returns what the strategy of a build configuration builds from, nil if it says nothing. Strategies that
// must have a from have at least an empty one.
func strategyFrom(object map[string]any) *imagestream.ObjectReference {
	strategy := member(object["spec"], "strategy")
	for _, name := range [...]string{"sourceStrategy", "dockerStrategy", "customStrategy"} {
		s, ok := strategy[name].(map[string]any)
		if !ok {
			continue
		}
		from := referenceOf(s, "from")
		if from == nil && name != "dockerStrategy" {
			from = &imagestream.ObjectReference{}
		}
		return from
	}
	return nil
}

// ForBuildConfig plans for a build configuration: it asks for a build if the image of a trigger is another one than
// that of the last build. What a build was made of stands in status.imageChangeTriggers, which whoever instantiates
// the build writes; see [Instantiate]. A trigger without from, of a strategy without one, is an [ErrNoFrom].
func ForBuildConfig(object map[string]any, env imagestream.Env) (Plan, error) {
	return planBuild(object, resolver{env: &env})
}

func planBuild(object map[string]any, r resolver) (Plan, error) {
	b := builder{resolver: r, object: object, namespace: metadata(object, "namespace"), strategy: strategyFrom(object)}
	for _, t := range imageChanges(object) {
		if t.paused || t.from != nil && t.from.Kind != imagestream.KindImageStreamTag {
			continue
		}
		from := t.from
		if from == nil {
			from = b.strategy
		}
		if from == nil && !r.careful {
			return Plan{}, fmt.Errorf("%s: spec.triggers[%d].imageChange: %w", describe(object), t.index, ErrNoFrom)
		}
		if from == nil || t.from == nil && r.careful && from.Kind != imagestream.KindImageStreamTag {
			continue
		}
		b.visit(&t, from)
	}
	return b.plan, nil
}

// builder collects what asks for a build.
type builder struct {
	resolver
	object    map[string]any
	namespace string
	strategy  *imagestream.ObjectReference
	plan      Plan
}

// visit asks for a build if the image of a trigger is not that of the last one.
func (b *builder) visit(t *imageChange, from *imagestream.ObjectReference) {
	image, ok := b.resolve(orOwn(from.Namespace, b.namespace), from.Name)
	if !ok {
		b.plan.Unresolved = append(b.plan.Unresolved, image)
		return
	}
	if image.PullSpec == t.last || b.isRecorded(t, image.PullSpec) {
		return
	}
	b.fire(from, image)
}

// isRecorded reports whether the status says that the trigger's last build was made of that image.
func (b *builder) isRecorded(t *imageChange, pullSpec string) bool {
	want := t.from
	if want == nil {
		want = b.strategy
		if want.Kind != imagestream.KindImageStreamTag {
			want = &imagestream.ObjectReference{}
		}
	}
	for _, e := range recorded(b.object) {
		same := e.From.Name == want.Name && e.From.Namespace == want.Namespace
		if b.careful {
			same = e.From.Name == want.Name && orOwn(e.From.Namespace, b.namespace) == orOwn(want.Namespace, b.namespace)
		}
		if same {
			return e.LastTriggeredImageID == pullSpec
		}
	}
	return false
}

// fire adds a cause to the request.
func (b *builder) fire(from *imagestream.ObjectReference, image Image) {
	if b.plan.Build == nil {
		b.plan.Build = &BuildRequest{
			Metadata:         imagestream.ObjectMeta{Namespace: b.namespace, Name: metadata(b.object, "name")},
			TriggeredByImage: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: image.PullSpec},
			From:             from,
		}
	} else if b.plan.causes(from) {
		return
	}
	cause := BuildCause{Message: causeMessage}
	cause.ImageChangeBuild.ImageID, cause.ImageChangeBuild.FromRef = image.PullSpec, from
	b.plan.Build.TriggeredBy = append(b.plan.Build.TriggeredBy, cause)
}

// causes reports whether a tag is among the causes already.
func (p *Plan) causes(from *imagestream.ObjectReference) bool {
	for _, c := range p.Build.TriggeredBy {
		if *c.ImageChangeBuild.FromRef == *from {
			return true
		}
	}
	return false
}

// buildTriggers returns the image change triggers of a build configuration that follow tags.
func buildTriggers(object map[string]any, careful bool) []Trigger {
	strategy := strategyFrom(object)
	var list []Trigger
	for _, t := range imageChanges(object) {
		from, path := t.from, "spec.triggers"
		if from == nil {
			from, path = strategy, "spec.strategy"
		}
		if from == nil || from.Kind != imagestream.KindImageStreamTag || from.Name == "" {
			continue
		}
		list = append(list, Trigger{
			From: From{from.Kind, from.Name, from.Namespace, from.APIVersion}, FieldPath: path, Paused: careful && t.paused,
		})
	}
	return list
}
