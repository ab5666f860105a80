package trigger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// tie is a trigger as the model sees it.
type tie struct {
	tag       string
	container string
	paused    bool
}

// workload makes a Deployment, or a DeploymentConfig that follows by spec.triggers.
func workload(config bool, images map[string]string, ties []tie) map[string]any {
	var containers, params, annotation []any
	for _, name := range []string{"a", "b", "c"} {
		containers = append(containers, map[string]any{"name": name, "image": images[name]})
	}
	for _, t := range ties {
		from := map[string]any{"kind": "ImageStreamTag", "name": t.tag}
		annotation = append(annotation, map[string]any{
			"from": from, "paused": t.paused, "fieldPath": fmt.Sprintf(`spec.template.spec.containers[?(@.name=="%s")].image`, t.container),
		})
		params = append(params, map[string]any{"imageChangeParams": map[string]any{
			"from": from, "automatic": !t.paused, "containerNames": []any{t.container},
		}})
	}
	template := map[string]any{"spec": map[string]any{"containers": containers}}
	if config {
		return map[string]any{
			"apiVersion": "apps.openshift.io/v1", "kind": "DeploymentConfig", "metadata": map[string]any{"namespace": "shop", "name": "w"},
			"spec": map[string]any{"template": template, "triggers": params},
		}
	}
	text, _ := json.Marshal(annotation)
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment",
		"metadata": map[string]any{"namespace": "shop", "name": "w", "annotations": map[string]any{trigger.Annotation: string(text)}},
		"spec":     map[string]any{"template": template},
	}
}

// imagesOf returns the images of a workload's containers by their names.
func imagesOf(o map[string]any) map[string]string {
	images := map[string]string{}
	spec := o["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	for _, c := range spec["containers"].([]any) {
		container := c.(map[string]any)
		images[container["name"].(string)], _ = container["image"].(string)
	}
	return images
}

func drawTies(t *rapid.T) []tie {
	var ties []tie
	for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 0, 3, rapid.ID).Draw(t, "containers") {
		tag := rapid.SampledFrom([]string{"x:1", "x:2", "x:none", "gone:1", "untagged"}).Draw(t, "tag")
		ties = append(ties, tie{tag, name, rapid.Bool().Draw(t, "paused")})
	}
	return ties
}

// TestPlanModel compares plans with what each trigger alone says, and plans again for the result: nothing is left to do.
func TestPlanModel(t *testing.T) { rapid.Check(t, planModel) }

func FuzzPlanModel(f *testing.F) { f.Fuzz(rapid.MakeFuzz(planModel)) }

func planModel(t *rapid.T) {
	config := rapid.Bool().Draw(t, "config")
	image := rapid.SampledFrom([]string{"sha256:0a", "sha256:0b"})
	e := env([3]string{"x", "1", image.Draw(t, "x:1")}, [3]string{"x", "2", image.Draw(t, "x:2")})
	now := map[string]string{}
	for _, h := range e.Streams[imagestream.Key{Namespace: "shop", Name: "x"}].Status.Tags {
		now["x:"+h.Tag] = h.Items[0].DockerImageReference
	}
	images := map[string]string{}
	for _, name := range []string{"a", "b", "c"} {
		images[name] = rapid.SampledFrom([]string{"old", "quay.io/shop/x@sha256:0a", ""}).Draw(t, name)
	}
	ties := drawTies(t)
	o := workload(config, images, ties)
	before, _ := json.Marshal(o)

	want, unresolved := map[string]string{}, 0
	for name, image := range images {
		want[name] = image
	}
	for _, tie := range ties {
		switch ref, ok := now[tie.tag]; {
		case tie.paused:
		case ok:
			want[tie.container] = ref
		default:
			unresolved++
		}
	}
	if config && unresolved > 0 {
		want, unresolved = images, 1
	}
	plan, err := trigger.For(o, e)
	if err != nil {
		t.Fatal(err)
	}
	after := lookup.Apply(o, plan.Changes)
	if diff := cmp.Diff(want, imagesOf(after)); diff != "" {
		t.Fatalf("images (-want +got):\n%s", diff)
	}
	if len(plan.Unresolved) != unresolved {
		t.Fatalf("%d unresolved, want %d", len(plan.Unresolved), unresolved)
	}
	if text, _ := json.Marshal(o); string(text) != string(before) {
		t.Fatal("the object was changed")
	}
	if again, err := trigger.For(after, e); err != nil || !again.IsEmpty() || again.Writes {
		t.Fatalf("planned again: %+v, %v", again, err)
	}
}

// TestPatchOfPlan: the patch and the raw edit of a plan are what Apply makes of it, for containers without image too.
func TestPatchOfPlan(t *testing.T) {
	o := workload(true, map[string]string{"a": "old"}, []tie{{"x:1", "a", false}, {"x:1", "b", false}})
	delete(o["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any)[1].(map[string]any), "image")
	plan := trigger.ForDeploymentConfig(o, env([3]string{"x", "1", "sha256:0a"}))
	want := []string{"add", "replace", "add", "add"}
	patch := lookup.PatchOf(plan.Changes)
	for i, p := range patch {
		if p.Op != want[i] || p.Value != "quay.io/shop/x@sha256:0a" {
			t.Errorf("operation %d: %+v, want %s", i, p, want[i])
		}
	}
	if len(patch) != len(want) {
		t.Errorf("%d operations, want %d", len(patch), len(want))
	}
}

// digest returns a whole digest that begins with two hexadecimal digits.
func digest(two string) string { return "sha256:" + strings.Repeat(two, 32) }

func TestPinnedTag(t *testing.T) {
	e := env([3]string{"x", "1", digest("0b")})
	key := imagestream.Key{Namespace: "shop", Name: "x"}
	good := tagevent.Event{Image: digest("0a"), DockerImageReference: "quay.io/shop/x@" + digest("0a")}
	pinned, err := e.Streams[key].Pin("1", good, "0b is broken", e.Now.AddDate(0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	e.Streams[key] = pinned
	if image, ok := trigger.Resolve(e, "shop", "x:1"); !ok || image.Event != good || image.Why != lookup.WhyPinned {
		t.Errorf("pinned: %+v, %v", image, ok)
	}
	e.Now = e.Now.AddDate(0, 0, 2)
	if image, ok := trigger.Resolve(e, "shop", "x:1"); !ok || image.Event.Image != digest("0b") {
		t.Errorf("after the pin has ended: %+v, %v", image, ok)
	}
	pinned.Metadata.Annotations[imagestream.PinsAnnotation] = "{"
	if image, ok := trigger.Resolve(e, "shop", "x:1"); ok || image.Why != lookup.WhyPins {
		t.Errorf("a pin that cannot be read: %+v, %v", image, ok)
	}
}

func TestInstantiateErrors(t *testing.T) {
	noFrom := object(`{"kind":"BuildConfig","metadata":{"namespace":"shop","name":"b"},"spec":{"strategy":{"dockerStrategy":{}},"triggers":[{"type":"ImageChange","imageChange":{}}]}}`)
	if _, err := trigger.Instantiate(noFrom, nil, nil, env()); !errors.Is(err, trigger.ErrNoFrom) {
		t.Errorf("no from: %v", err)
	}
	if _, err := trigger.ForBuildConfig(noFrom, env()); !errors.Is(err, trigger.ErrNoFrom) || !strings.Contains(err.Error(), "spec.triggers[0]") {
		t.Errorf("no from: %v", err)
	}
	if _, err := trigger.Instantiate(webBuild, nil, nil, env()); !errors.Is(err, trigger.ErrUnresolved) {
		t.Errorf("a stream that is not there: %v", err)
	}
	e := env([3]string{"nodejs", "20", "sha256:1a"})
	plan, _ := trigger.ForBuildConfig(webBuild, e)
	entries, _ := trigger.Instantiate(webBuild, plan.Build.From, plan.Build.TriggeredByImage, e)
	text, _ := json.Marshal(map[string]any{"imageChangeTriggers": entries})
	built := map[string]any{"status": object(string(text))}
	for name, value := range webBuild {
		built[name] = value
	}
	if _, err := trigger.Instantiate(built, plan.Build.From, plan.Build.TriggeredByImage, e); !errors.Is(err, trigger.ErrInstantiated) {
		t.Errorf("twice: %v", err)
	}
	if again, err := trigger.ForBuildConfig(built, e); err != nil || again.Build != nil {
		t.Errorf("a build of what was built: %+v, %v", again, err)
	}
}

// FuzzParse: what is parsed, written, and parsed again is the same; what is refused says so by class.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"", "null", "[]", "[null]", `[{"from":{"kind":"ImageStreamTag","name":"a:b"},"fieldPath":"x"}]`, `[{"PAUSED":true},{"fieldpath":"y"}]`, `[{"a":"\ud800"}]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, annotation string) {
		triggers, err := trigger.Parse(annotation)
		if err != nil {
			if !errors.Is(err, trigger.ErrSyntax) && !errors.Is(err, trigger.ErrDuplicate) {
				t.Fatalf("%q: %v", annotation, err)
			}
			return
		}
		var std []trigger.Trigger
		if err := json.Unmarshal([]byte(annotation), &std); err != nil || len(std) != len(triggers) {
			t.Fatalf("%q: encoding/json says %v, %v", annotation, std, err)
		}
		for i := range std {
			if std[i] != triggers[i] {
				t.Fatalf("%q: %+v, encoding/json says %+v", annotation, triggers[i], std[i])
			}
		}
	})
}

// TestTriggersThatAreNoObjects: what an API server would refuse is passed over, and never a panic.
func TestTriggersThatAreNoObjects(t *testing.T) {
	build := object(`{"apiVersion":"build.openshift.io/v1","kind":"BuildConfig","metadata":{"namespace":"shop","name":"b"},
		"spec":{"triggers":[null,"ImageChange",1,[],{"type":"ImageChange","imageChange":{}}],
		"strategy":{"dockerStrategy":{"from":{"kind":"DockerImage","name":"quay.io/shop/x@sha256:aa"}}}}}`)
	entries, err := trigger.Instantiate(build, nil, nil, imagestream.Env{})
	if err != nil || len(entries) != 1 || entries[0].LastTriggeredImageID != "quay.io/shop/x@sha256:aa" {
		t.Errorf("instantiated: %+v, %v", entries, err)
	}
	config := object(`{"apiVersion":"apps.openshift.io/v1","kind":"DeploymentConfig","metadata":{"namespace":"shop","name":"d"},
		"spec":{"triggers":[null,"ImageChange"],"template":{"spec":{"containers":[{"name":"a"}]}}}}`)
	for _, o := range []map[string]any{build, config} {
		if _, err := trigger.For(o, imagestream.Env{}); err != nil {
			t.Errorf("planned: %v", err)
		}
		if triggers, err := trigger.Of(o); err != nil || len(triggers) > 1 {
			t.Errorf("triggers %+v, %v", triggers, err)
		}
		for _, s := range []trigger.Setting{{FromImage: "x:1"}, {FromImage: "x:1", Remove: true}, {RemoveAll: true}} {
			if _, err := trigger.Set(o, s); err != nil {
				t.Errorf("set %+v: %v", s, err)
			}
		}
	}
}

// TestContainersThatAreNoObjects: there is nothing to set an image in.
func TestContainersThatAreNoObjects(t *testing.T) {
	streams := env([3]string{"x", "1", "sha256:aa"})
	for path, want := range map[string]error{
		"containers[0].image": trigger.ErrContainer, `containers[?(@.name==\"\")].image`: trigger.ErrContainer, "containers[1].image": nil,
	} {
		o := object(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"namespace":"shop","name":"d","annotations":{}},
			"spec":{"template":{"spec":{"containers":[null,{"name":"a","image":"old"}]}}}}`)
		o["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.Annotation] =
			`[{"from":{"kind":"ImageStreamTag","name":"x:1"},"fieldPath":"spec.template.spec.` + path + `"}]`
		if plan, err := trigger.For(o, streams); !errors.Is(err, want) || (len(plan.Changes) > 0) != (want == nil) {
			t.Errorf("%s: %+v, error %v", path, plan.Changes, err)
		}
	}
	config := object(`{"apiVersion":"apps.openshift.io/v1","kind":"DeploymentConfig","metadata":{"namespace":"shop","name":"d"},
		"spec":{"template":{"spec":{"containers":[null]}},"triggers":[{"type":"ImageChange","imageChangeParams":{
		"automatic":true,"containerNames":[""],"from":{"kind":"ImageStreamTag","name":"x:1"},"lastTriggeredImage":"` + ref("x", "sha256:aa") + `"}}]}}`)
	if plan, err := trigger.For(config, streams); err != nil || !plan.IsEmpty() {
		t.Errorf("deployment configuration: %+v, %v", plan, err)
	}
}
