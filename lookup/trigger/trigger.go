package trigger

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// Annotation holds the triggers of an object with a pod spec: a JSON list of [Trigger].
const Annotation = "image.openshift.io/triggers"

// Trigger ties a field of an object to a tag.
type Trigger struct {
	From From `json:"from"`
	// FieldPath is where the image stands: spec.template.spec.containers[?(@.name=="web")].image.
	FieldPath string `json:"fieldPath"`
	Paused    bool   `json:"paused,omitempty"`
}

// From names the tag that a trigger follows.
type From struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	Namespace  string `json:"namespace,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
}

// The ways in which an annotation, or a path in it, is wrong. Errors of this package match one of them with
// errors.Is.
var (
	ErrSyntax    = errors.New("the annotation is not a JSON list of triggers")
	ErrDuplicate = errors.New("two triggers have the same fieldPath")
	ErrFieldPath = errors.New(
		`the fieldPath must be BASE.containers[?(@.name=="NAME")].image or BASE.initContainers[INDEX].image`,
	)
	ErrContainer = errors.New("the pod spec has no such container")
	ErrNoPodSpec = errors.New("the object has no pod spec")
	// ErrNoFrom means that a trigger of a build configuration names nothing, and neither does its strategy.
	ErrNoFrom = errors.New("the trigger has no from, and the strategy has none either")
)

// Stream returns the stream and the tag that wake an object of that namespace, and false if no stream does: the
// trigger is paused, or of another kind, or has an apiVersion, or no tag.
func (t *Trigger) Stream(namespace string) (stream imagestream.Key, tag string, ok bool) {
	name, tag, ok := strings.Cut(t.From.Name, ":")
	if !ok || t.Paused || t.From.Kind != imagestream.KindImageStreamTag || t.From.APIVersion != "" {
		return imagestream.Key{}, "", false
	}
	return imagestream.Key{Namespace: orOwn(t.From.Namespace, namespace), Name: name}, orLatest(tag), true
}

// followed returns the stream and the tag that a careful planner follows for a trigger: unlike [Trigger.Stream] it does
// not mind an apiVersion, and no kind is a tag.
func (t *Trigger) followed(namespace string) (stream imagestream.Key, tag string, ok bool) {
	plain := *t
	plain.From.APIVersion, plain.From.Kind = "", cmp.Or(t.From.Kind, imagestream.KindImageStreamTag)
	return plain.Stream(namespace)
}

// Parse reads the value of an [Annotation]. Null and the empty list are no triggers. Errors are an [ErrSyntax] or
// an [ErrDuplicate].
func Parse(annotation string) ([]Trigger, error) {
	triggers, ok := parseFast(annotation)
	if !ok {
		var err error
		if triggers, err = parseAny(annotation); err != nil {
			return nil, fmt.Errorf("annotation %s: %w: %s", Annotation, ErrSyntax, whatIsWrong(err))
		}
	}
	for i := range triggers {
		for j := range triggers[:i] {
			if triggers[i].FieldPath == triggers[j].FieldPath {
				return nil, fmt.Errorf(
					"annotation %s: triggers %d and %d: %w: %q",
					Annotation,
					j,
					i,
					ErrDuplicate,
					triggers[i].FieldPath,
				)
			}
		}
	}
	return triggers, nil
}

// parseAny reads a list of triggers as the real system does, by encoding/json.
func parseAny(annotation string) (triggers []Trigger, err error) {
	err = json.Unmarshal([]byte(annotation), &triggers)
	return triggers, err
}

// whatIsWrong says what is wrong with a JSON text, in words of JSON.
func whatIsWrong(err error) string {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) {
		return err.Error()
	}
	want := map[reflect.Kind]string{
		reflect.Bool: "true or false, without quotes", reflect.String: "a string", reflect.Struct: "an object", reflect.Slice: "a list",
	}[wrong.Type.Kind()]
	return fmt.Sprintf("%s must be %s, not %s", cmp.Or(wrong.Field, "it"), want, wrong.Value)
}

// Of returns the triggers of an object: those of the annotation, of a deployment configuration one for each container
// that spec.triggers names, of a build configuration one for each image change trigger. Errors are those of [Parse].
//
// The triggers of a build configuration are never paused here: what is paused may wake it, and then does nothing.
func Of(object map[string]any) ([]Trigger, error) {
	return triggersOf(object, false)
}

func triggersOf(object map[string]any, careful bool) ([]Trigger, error) {
	switch group, kind := podspec.GroupKind(object); {
	case group == "apps.openshift.io" && kind == "DeploymentConfig":
		return deploymentTriggers(object, careful), nil
	case group == "build.openshift.io" && kind == "BuildConfig":
		return buildTriggers(object, careful), nil
	}
	return annotated(object)
}

// annotated returns the triggers of the annotation.
func annotated(object map[string]any) ([]Trigger, error) {
	annotation, ok := podspec.Walk(object, annotationSteps)[Annotation].(string)
	if !ok {
		return nil, nil
	}
	return Parse(annotation)
}

var annotationSteps = []string{"metadata", "annotations"}

func orOwn(namespace, own string) string {
	if namespace == "" {
		return own
	}
	return namespace
}

func orLatest(tag string) string {
	if tag == "" {
		return "latest"
	}
	return tag
}

// metadata returns a member of an object's metadata; "" if it is not there.
func metadata(object map[string]any, member string) string {
	m, _ := object["metadata"].(map[string]any)
	value, _ := m[member].(string)
	return value
}
