package trigger_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/lookup/trigger"
)

func ExampleSet() {
	changed, err := trigger.Set(webDeployment, trigger.Setting{FromImage: "base/nginx:1", Containers: []string{"web"}})
	fmt.Println(changed, err)
	free, _ := trigger.Set(webDeployment, trigger.Setting{FromImage: "web:prod", Remove: true})
	changed, err = trigger.Set(free, trigger.Setting{FromImage: "base/nginx:1", Manual: true})
	fmt.Println(changed["metadata"].(map[string]any)["annotations"].(map[string]any)[trigger.Annotation], err)
	// Output:
	// map[] Deployment shop/web: triggers cannot be set so: container "web" follows web:prod already: remove that trigger first
	// [{"from":{"kind":"ImageStreamTag","name":"nginx:1","namespace":"base"},"fieldPath":"spec.template.spec.containers[?(@.name==\"web\")].image","paused":true}] <nil>
}

const (
	cronJob = `{"apiVersion":"batch/v1","kind":"CronJob","metadata":{"namespace":"shop","name":"c"%s},
		"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}}}}}`
	config = `{"apiVersion":"apps.openshift.io/v1","kind":"DeploymentConfig","metadata":{"namespace":"shop","name":"d"},
		"spec":{%s"template":{"spec":{"containers":[{"name":"a"}],"initContainers":[{"name":"b"}]}}}}`
	build = `{"apiVersion":"build.openshift.io/v1","kind":"BuildConfig","metadata":{"namespace":"shop","name":"b"},
		"spec":{%s"strategy":{"sourceStrategy":{"from":{"kind":"ImageStreamTag","name":"base:1"}}}}}`
	pathA = `spec.jobTemplate.spec.template.spec.containers[?(@.name==\"a\")].image`
	pathB = `spec.jobTemplate.spec.template.spec.containers[?(@.name==\"b\")].image`
)

// annotations makes the metadata of an object with these triggers.
func annotations(triggers string) string {
	text, _ := json.Marshal(map[string]string{trigger.Annotation: triggers})
	return `,"annotations":` + string(text)
}

func TestSet(t *testing.T) {
	onA := `{"from":{"kind":"ImageStreamTag","name":"web:v1"},"fieldPath":"` + pathA + `"}`
	onB := `{"from":{"kind":"ImageStreamTag","name":"web:v1"},"fieldPath":"` + pathB + `"}`
	odd := `{"from":{"kind":"Odd","name":""},"fieldPath":"spec.nowhere"}`
	pause := func(s string) string { return strings.TrimSuffix(s, "}") + `,"paused":true}` }
	dcTrigger := `"triggers":[{"type":"ConfigChange"},{"imageChangeParams":{"automatic":%v,"containerNames":["a"],"from":{"kind":"ImageStreamTag","name":"web:v1"},"lastTriggeredImage":"x"},"type":"ImageChange"}],`
	for _, tc := range []struct {
		name     string
		old, new string // new is a part of the error where there is one
		setting  trigger.Setting
		err      bool
	}{
		{"annotation: first", fmt.Sprintf(cronJob, ""), fmt.Sprintf(cronJob, annotations("["+onA+"]")), trigger.Setting{FromImage: "web:v1", Containers: []string{"a"}}, false},
		{"annotation: own namespace is left out", fmt.Sprintf(cronJob, ""), fmt.Sprintf(cronJob, annotations("["+onA+"]")), trigger.Setting{FromImage: "shop/web:v1", Containers: []string{"a"}}, false},
		{"annotation: two containers", fmt.Sprintf(cronJob, annotations("["+onA+"]")), fmt.Sprintf(cronJob, annotations("["+onA+","+onB+"]")), trigger.Setting{FromImage: "web:v1", Containers: []string{"a", "b"}}, false},
		{"annotation: the other container", fmt.Sprintf(cronJob, annotations("["+onA+","+odd+"]")), fmt.Sprintf(cronJob, annotations("["+onB+","+odd+"]")), trigger.Setting{FromImage: "web:v1", Containers: []string{"b"}, Auto: true}, false},
		{"annotation: all manual", fmt.Sprintf(cronJob, annotations("["+onA+","+onB+"]")), fmt.Sprintf(cronJob, annotations("["+pause(onA)+","+pause(onB)+"]")), trigger.Setting{Manual: true}, false},
		{"annotation: all auto", fmt.Sprintf(cronJob, annotations("["+pause(onA)+","+onB+"]")), fmt.Sprintf(cronJob, annotations("["+onA+","+onB+"]")), trigger.Setting{Auto: true}, false},
		{"annotation: remove", fmt.Sprintf(cronJob, annotations("["+onA+","+odd+"]")), fmt.Sprintf(cronJob, annotations("["+odd+"]")), trigger.Setting{FromImage: "web:v1", Remove: true}, false},
		{"annotation: remove the last", fmt.Sprintf(cronJob, annotations("["+onA+"]")), fmt.Sprintf(cronJob, `,"annotations":{}`), trigger.Setting{RemoveAll: true}, false},
		{"annotation: remove of another namespace", fmt.Sprintf(cronJob, annotations("["+onA+"]")), fmt.Sprintf(cronJob, annotations("["+onA+"]")), trigger.Setting{FromImage: "other/web:v1", Remove: true}, false},
		{"annotation: broken", fmt.Sprintf(cronJob, annotations("[")), "not a JSON list of triggers", trigger.Setting{Auto: true}, true},
		{"annotation: which container", fmt.Sprintf(cronJob, ""), "there are a, b", trigger.Setting{FromImage: "web:v1"}, true},
		{"annotation: no such container", fmt.Sprintf(cronJob, ""), `there is no container "c"; there are a, b`, trigger.Setting{FromImage: "web:v1", Containers: []string{"c"}}, true},
		{"annotation: containers without names", strings.NewReplacer(`"name":"a"`, "", `"name":"b"`, "").Replace(fmt.Sprintf(cronJob, "")), "no container has a name", trigger.Setting{FromImage: "web:v1"}, true},
		{"annotation: no containers", strings.ReplaceAll(fmt.Sprintf(cronJob, ""), `{"name":"a"},{"name":"b"}`, "null"), "no container has a name", trigger.Setting{FromImage: "web:v1", Containers: []string{"a"}}, true},
		{"annotation: taken", fmt.Sprintf(cronJob, annotations("["+onA+"]")), `"a" follows web:v1 already`, trigger.Setting{FromImage: "web:v2", Containers: []string{"a"}}, true},
		{"deployment config: first", fmt.Sprintf(config, ""), fmt.Sprintf(config, `"triggers":[{"type":"ImageChange","imageChangeParams":{"automatic":true,"containerNames":["b"],"from":{"kind":"ImageStreamTag","name":"web:v1","namespace":"base"}}}],`), trigger.Setting{FromImage: "base/web:v1", Containers: []string{"b"}}, false},
		{"deployment config: keeps what it gave", fmt.Sprintf(config, fmt.Sprintf(dcTrigger, true)), fmt.Sprintf(config, fmt.Sprintf(dcTrigger, false)), trigger.Setting{FromImage: "web:v1", Containers: []string{"a"}, Manual: true}, false},
		{"deployment config: all manual", fmt.Sprintf(config, fmt.Sprintf(dcTrigger, true)), fmt.Sprintf(config, fmt.Sprintf(dcTrigger, false)), trigger.Setting{Manual: true}, false},
		{"deployment config: remove all leaves others", fmt.Sprintf(config, fmt.Sprintf(dcTrigger, true)), fmt.Sprintf(config, `"triggers":[{"type":"ConfigChange"}],`), trigger.Setting{RemoveAll: true}, false},
		{"deployment config: taken", fmt.Sprintf(config, fmt.Sprintf(dcTrigger, true)), `"a" follows web:v1 already`, trigger.Setting{FromImage: "web:v2", Containers: []string{"a"}}, true},
		{"build config: the strategy's tag", fmt.Sprintf(build, ""), fmt.Sprintf(build, `"triggers":[{"type":"ImageChange","imageChange":{}}],`), trigger.Setting{FromImage: "base:1"}, false},
		{"build config: another tag", fmt.Sprintf(build, ""), fmt.Sprintf(build, `"triggers":[{"type":"ImageChange","imageChange":{"from":{"kind":"ImageStreamTag","name":"lib:2"}}}],`), trigger.Setting{FromImage: "lib:2"}, false},
		{"build config: manual is paused", fmt.Sprintf(build, `"triggers":[{"type":"Generic"},{"type":"ImageChange","imageChange":{"lastTriggeredImageID":"x"}}],`), fmt.Sprintf(build, `"triggers":[{"type":"Generic"},{"type":"ImageChange","imageChange":{"lastTriggeredImageID":"x","paused":true}}],`), trigger.Setting{FromImage: "base:1", Manual: true}, false},
		{"build config: all auto", fmt.Sprintf(build, ""), fmt.Sprintf(build, `"triggers":[{"type":"ImageChange","imageChange":{}}],`), trigger.Setting{Auto: true}, false},
		{"build config: containers", fmt.Sprintf(build, ""), "has no containers", trigger.Setting{FromImage: "base:1", Containers: []string{"a"}}, true},
		{"no tag", fmt.Sprintf(build, ""), "must name a tag, as in web:latest", trigger.Setting{FromImage: "web"}, true},
		{"an image", fmt.Sprintf(build, ""), "must name an image stream tag", trigger.Setting{FromImage: "quay.io/shop/web:v1"}, true},
		{"not a pull spec", fmt.Sprintf(build, ""), `"Web:v1"`, trigger.Setting{FromImage: "Web:v1"}, true},
		{"nothing", fmt.Sprintf(build, ""), "name the tag", trigger.Setting{}, true},
		{"two modes", fmt.Sprintf(build, ""), "choose one", trigger.Setting{Auto: true, RemoveAll: true}, true},
		{"remove all of a tag", fmt.Sprintf(build, ""), "without a tag", trigger.Setting{FromImage: "web:v1", RemoveAll: true}, true},
		{"containers without a tag", fmt.Sprintf(build, ""), "containers go with a tag", trigger.Setting{Auto: true, Containers: []string{"a"}}, true},
		{"no pod spec", `{"apiVersion":"v1","kind":"Service"}`, "has no pod spec", trigger.Setting{Auto: true}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old := object(tc.old)
			got, err := trigger.Set(old, tc.setting)
			if diff := cmp.Diff(object(tc.old), old); diff != "" {
				t.Errorf("the object was changed (-before +after):\n%s", diff)
			}
			if tc.err {
				if err == nil || !strings.Contains(err.Error(), tc.new) {
					t.Fatalf("error %v, want %q in it", err, tc.new)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(object(tc.new), got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			again, err := trigger.Set(got, tc.setting)
			if diff := cmp.Diff(got, again); err != nil || diff != "" {
				t.Errorf("set again: %v (-before +after):\n%s", err, diff)
			}
		})
	}
}

// TestSetIsFollowed: what was set is what the planner sees, for every kind of object, and what is removed is gone.
func TestSetIsFollowed(t *testing.T) { rapid.Check(t, setIsFollowed) }

func setIsFollowed(t *rapid.T) {
	o := workload(rapid.Bool().Draw(t, "config"), nil, drawTies(t))
	s := trigger.Setting{
		FromImage:  rapid.SampledFrom([]string{"x:1", "shop/x:2", "base/x:1"}).Draw(t, "tag"),
		Containers: rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 3, rapid.ID).Draw(t, "containers"),
		Manual:     rapid.Bool().Draw(t, "manual"),
	}
	set, err := trigger.Set(o, s)
	if errors.Is(err, trigger.ErrSetting) {
		if !strings.Contains(err.Error(), "already") {
			t.Fatal(err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	of := func(o map[string]any) (ours, others []trigger.Trigger) {
		all, err := trigger.Of(o)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if namespace := strings.TrimPrefix(f.From.Namespace, "shop"); strings.TrimPrefix(s.FromImage, "shop/") == strings.TrimPrefix(namespace+"/"+f.From.Name, "/") {
				ours = append(ours, f)
			} else {
				others = append(others, f)
			}
		}
		return ours, others
	}
	_, before := of(o)
	ours, others := of(set)
	if diff := cmp.Diff(before, others); diff != "" {
		t.Fatalf("other triggers (-before +after):\n%s", diff)
	}
	if len(ours) != len(s.Containers) {
		t.Fatalf("%d triggers for %d containers: %+v", len(ours), len(s.Containers), ours)
	}
	for i, f := range ours {
		if f.Paused != s.Manual || !strings.Contains(f.FieldPath, `"`+s.Containers[i]+`"`) {
			t.Fatalf("trigger %+v, want container %s", f, s.Containers[i])
		}
	}
	removed, err := trigger.Set(set, trigger.Setting{FromImage: s.FromImage, Remove: true})
	if err != nil {
		t.Fatal(err)
	}
	if ours, others := of(removed); len(ours) != 0 || !cmp.Equal(before, others) {
		t.Fatalf("removed: %+v, others %+v", ours, others)
	}
}
