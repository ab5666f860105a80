package openshift_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	buildv1 "github.com/openshift/api/build/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes/scheme"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// pointing is a store with the stream shop/nodejs for short names, whose tag 20 points at an image.
func pointing() *fakes.Store {
	store := &fakes.Store{}
	image := "sha256:" + strings.Repeat("1", 64)
	_, err := store.CreateImageStream(context.Background(), &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "nodejs"},
		Spec:     imagestream.ImageStreamSpec{LookupPolicy: imagestream.ImageLookupPolicy{Local: true}},
		Status: imagestream.ImageStreamStatus{Tags: []tagevent.History{{Tag: "20", Items: []tagevent.Event{{
			DockerImageReference: "quay.io/org/nodejs@" + image, Image: image,
		}}}}},
	})
	if err == nil {
		i := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: image}}
		_, err = store.CreateImage(context.Background(), i)
	}
	if err != nil {
		panic(err)
	}
	return store
}

func ExampleTreeOf() {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web", Image: "nodejs:20"}}

	tree, err := openshift.TreeOf(deployment, scheme.Scheme)
	if err != nil {
		fmt.Println(err)
	}
	resolver := &lookup.Resolver{Source: pointing()}
	changes, err := resolver.Changes(context.Background(), tree, "shop")
	if err != nil {
		fmt.Println(err)
	}
	if err := openshift.SetTree(deployment, tree, lookup.Apply(tree, changes)); err != nil {
		fmt.Println(err)
	}
	fmt.Println(deployment.Spec.Template.Spec.Containers[0].Image[:len("quay.io/org/nodejs@sha256:1111")])
	// Output: quay.io/org/nodejs@sha256:1111
}

// odd is a deployment with what JSON does not have, or writes in another way.
func odd() *appsv1.Deployment {
	late := metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC))
	unavailable := intstr.FromString("25%")
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "shop", Name: "web", CreationTimestamp: late, Labels: map[string]string{"a/b~c": "d"},
			OwnerReferences: []metav1.OwnerReference{}, Finalizers: []string{},
		},
		Spec: appsv1.DeploymentSpec{
			Strategy: appsv1.DeploymentStrategy{
				RollingUpdate: &appsv1.RollingUpdateDeployment{MaxUnavailable: &unavailable},
			},
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				InitContainers: []corev1.Container{},
				Containers: []corev1.Container{
					{Name: "web", Image: "nodejs:20", Args: []string{}, Resources: corev1.ResourceRequirements{
						Limits: corev1.ResourceList{"cpu": resource.MustParse("1000m"), "memory": resource.MustParse("1.5Gi")},
					}},
					{Name: "side", Image: "other:1", Env: []corev1.EnvVar{{Name: "A", Value: "b"}}},
				},
			}},
		},
	}
}

func treeOf(t interface {
	Helper()
	Fatal(...any)
}, o runtime.Object) map[string]any {
	t.Helper()
	tree, err := openshift.TreeOf(o, scheme.Scheme)
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// TestTreeChangesOnlyTheImage: everything else stays as it was, to the nanosecond.
func TestTreeChangesOnlyTheImage(t *testing.T) {
	deployment, want := odd(), odd()
	tree := treeOf(t, deployment)
	if tree["kind"] != "Deployment" || tree["apiVersion"] != "apps/v1" || deployment.Kind != "" {
		t.Errorf("a tree of %v %v; the object's kind is %q", tree["apiVersion"], tree["kind"], deployment.Kind)
	}
	resolver := &lookup.Resolver{Source: pointing()}
	changes, err := resolver.Changes(t.Context(), tree, "shop")
	if err != nil || len(changes) != 1 {
		t.Fatal(changes, err)
	}
	if err := openshift.SetTree(deployment, tree, lookup.Apply(tree, changes)); err != nil {
		t.Fatal(err)
	}
	want.Spec.Template.Spec.Containers[0].Image = changes[0].To
	if !reflect.DeepEqual(want, deployment) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, deployment))
	}
}

// TestTreeOfABuild: a reference of three members becomes one of two.
func TestTreeOfABuild(t *testing.T) {
	types := runtime.NewScheme()
	if err := buildv1.Install(types); err != nil {
		t.Fatal(err)
	}
	build := &buildv1.Build{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "web"}}
	build.Spec.Strategy.SourceStrategy = &buildv1.SourceBuildStrategy{
		From: corev1.ObjectReference{Kind: "ImageStreamTag", Namespace: "shop", Name: "nodejs:20"},
		Env:  []corev1.EnvVar{},
	}
	want := build.DeepCopy()
	tree, err := openshift.TreeOf(build, types)
	if err != nil {
		t.Fatal(err)
	}
	policy, errs := lookup.NewPolicy(&lookup.Config{ResolutionRules: []lookup.ResolutionRule{{
		TargetResource: lookup.GroupResource{Group: "build.openshift.io", Resource: "builds"}, Policy: lookup.AttemptRewrite,
	}}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	resolver := &lookup.Resolver{Source: pointing(), Policy: policy}
	changes, err := resolver.Changes(t.Context(), tree, "shop")
	if err != nil || len(changes) != 3 {
		t.Fatal(changes, err)
	}
	if err := openshift.SetTree(build, tree, lookup.Apply(tree, changes)); err != nil {
		t.Fatal(err)
	}
	name := "quay.io/org/nodejs@sha256:" + strings.Repeat("1", 64)
	want.Spec.Strategy.SourceStrategy.From = corev1.ObjectReference{Kind: "DockerImage", Name: name}
	if !reflect.DeepEqual(want, build) {
		t.Errorf("(-want +got):\n%s", cmp.Diff(want, build))
	}
}

func TestTreeOfUnstructured(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{"kind": "Pod", "spec": map[string]any{"nodeName": "a"}}}
	tree := treeOf(t, u)
	after := lookup.Apply(tree, []lookup.Change{{Path: "/spec/nodeName", From: "a", To: "b"}})
	if err := openshift.SetTree(u, tree, after); err != nil || u.Object["spec"].(map[string]any)["nodeName"] != "b" {
		t.Errorf("%v, %v", u.Object, err)
	}
}

func TestTreeRefusals(t *testing.T) {
	if _, err := openshift.TreeOf(odd(), nil); err == nil {
		t.Error("a tree without a kind and without a scheme")
	}
	if _, err := openshift.TreeOf(&buildv1.BuildConfig{}, scheme.Scheme); err == nil {
		t.Error("a tree of a kind that the scheme does not know")
	}
	named := odd()
	named.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Deployment"))
	if _, err := openshift.TreeOf(named, nil); err != nil {
		t.Error(err)
	}
	type object = map[string]any
	for path, change := range map[string]func(object){
		"/spec/nothing":                          func(o object) { member(o, "spec")["nothing"] = "x" },
		"/spec/template/spec/containers/0/image": func(o object) { containersOf(o)[0].(object)["image"] = 1 },
		"/spec/template/spec/containers":         func(o object) { podOf(o)["containers"] = "none" },
		"/spec/template/spec/initContainers": func(o object) {
			podOf(o)["initContainers"] = []any{object{"name": "init", "nothing": "x"}}
		},
		"/metadata/labels/a~1b~0c":    func(o object) { member(metadataOf(o), "labels")["a/b~c"] = 1 },
		"/metadata/creationTimestamp": func(o object) { metadataOf(o)["creationTimestamp"] = "soon" },
	} {
		deployment := odd()
		before, after := treeOf(t, deployment), treeOf(t, deployment)
		metadataOf(after)["name"] = "other"
		change(after)
		err := openshift.SetTree(deployment, before, after)
		if err == nil || !strings.Contains(err.Error(), "set "+path+":") || !reflect.DeepEqual(odd(), deployment) {
			t.Errorf("%s: %v\n%s", path, err, cmp.Diff(odd(), deployment))
		}
	}
}

func member(tree map[string]any, name string) map[string]any { return tree[name].(map[string]any) }

func metadataOf(tree map[string]any) map[string]any { return tree["metadata"].(map[string]any) }

func podOf(tree map[string]any) map[string]any {
	return tree["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
}

func containersOf(tree map[string]any) []any { return podOf(tree)["containers"].([]any) }

// TestTreeModel: whatever changes in a tree is in the tree of the object afterwards, and a tree that does not change
// changes nothing.
func TestTreeModel(t *testing.T) { rapid.Check(t, treeModel) }

func treeModel(t *rapid.T) {
	deployment := odd()
	text := rapid.SampledFrom([]string{"", "a", "b/c~d", "nodejs:21"})
	t.Repeat(map[string]func(*rapid.T){
		"nothing": func(t *rapid.T) {
			before := deployment.DeepCopy()
			tree := treeOf(t, deployment)
			if err := openshift.SetTree(deployment, tree, tree); err != nil || !reflect.DeepEqual(before, deployment) {
				t.Fatalf("%v (-before +after):\n%s", err, cmp.Diff(before, deployment))
			}
		},
		"change": func(t *rapid.T) {
			before := treeOf(t, deployment)
			after := copied(t, before)
			created := deployment.CreationTimestamp
			for range rapid.IntRange(1, 3).Draw(t, "changes") {
				change(t, after, text)
			}
			if err := openshift.SetTree(deployment, before, after); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(after, treeOf(t, deployment)); diff != "" {
				t.Fatalf("(-wanted +got):\n%s", diff)
			}
			if deployment.CreationTimestamp != created {
				t.Fatal("the time of creation changed")
			}
		},
	})
}

// copied returns a tree that shares nothing with another, with numbers as they are there.
func copied(t *rapid.T, tree map[string]any) map[string]any {
	return (&unstructured.Unstructured{Object: tree}).DeepCopy().Object
}

// change makes one change of a tree that its type has a place for, and that JSON keeps.
func change(t *rapid.T, tree map[string]any, text *rapid.Generator[string]) {
	m, containers := metadataOf(tree), containersOf(tree)
	annotations, _ := m["annotations"].(map[string]any)
	i := rapid.IntRange(0, max(len(containers)-1, 0)).Draw(t, "container")
	switch what := rapid.SampledFrom([]string{"image", "note", "forget", "drop", "append", "args"}).Draw(t, "what"); {
	case what == "note":
		annotations = maps.Clone(annotations)
		if annotations == nil {
			annotations = map[string]any{}
		}
		annotations["note/"+text.Draw(t, "key")] = text.Draw(t, "value")
		m["annotations"] = annotations
	case what == "forget":
		for key := range annotations {
			delete(annotations, key)
			break
		}
		if len(annotations) == 0 {
			delete(m, "annotations")
		}
	case what == "append":
		one := map[string]any{"name": text.Draw(t, "name"), "image": "x", "resources": map[string]any{}}
		podOf(tree)["containers"] = append(slices.Clone(containers), any(one))
	case len(containers) == 0:
	case what == "image":
		containers[i].(map[string]any)["image"] = "image:" + text.Draw(t, "image")
	case what == "args":
		containers[i].(map[string]any)["args"] = []any{"a", text.Draw(t, "arg")}
	case what == "drop":
		podOf(tree)["containers"] = slices.Delete(slices.Clone(containers), i, i+1)
	}
}

// BenchmarkTree changes the image of a deployment: by SetTree, and by way of JSON, which loses what JSON does not
// have.
func BenchmarkTree(b *testing.B) {
	deployment := odd()
	change := []lookup.Change{{Path: "/spec/template/spec/containers/0/image", From: "nodejs:20", To: "x"}}
	b.Run("SetTree", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tree, err := openshift.TreeOf(deployment, scheme.Scheme)
			if err != nil {
				b.Fatal(err)
			}
			if err := openshift.SetTree(deployment, tree, lookup.Apply(tree, change)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("JSON", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data, err := json.Marshal(deployment)
			if err != nil {
				b.Fatal(err)
			}
			if data, err = lookup.ApplyJSON(data, change); err != nil {
				b.Fatal(err)
			}
			if err := json.Unmarshal(data, &appsv1.Deployment{}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// Common is what a type of somebody's own embeds by a pointer.
type Common struct {
	Image string `json:"image,omitempty"`
	Size  int64  `json:"size,omitempty"`
}

// own is an object of somebody's own, in forms that types of the API do not have.
type own struct {
	metav1.TypeMeta `json:",inline"`
	*Common         `json:",inline"`
	Untagged        string
	Only            string `json:",omitempty"`
	Hidden          string `json:"-"`
}

func (o *own) DeepCopyObject() runtime.Object {
	next := *o
	if o.Common != nil {
		c := *o.Common
		next.Common = &c
	}
	return &next
}

func TestTreeOfOwnTypes(t *testing.T) {
	o := &own{Common: &Common{Image: "old", Size: 1}, Untagged: "a", Only: "b", Hidden: "c"}
	o.SetGroupVersionKind(appsv1.SchemeGroupVersion.WithKind("Own"))
	before := treeOf(t, o)
	after := maps.Clone(before)
	after["image"], after["Untagged"], after["Only"] = "new", "d", "e"
	want := &own{o.TypeMeta, &Common{Image: "new", Size: 1}, "d", "e", "c"}
	if err := openshift.SetTree(o, before, after); err != nil || !reflect.DeepEqual(want, o) {
		t.Errorf("%v: %+v %+v", err, o, o.Common)
	}
	empty := &own{Hidden: "c"}
	want = &own{Common: &Common{Image: "new"}, Hidden: "c"}
	err := openshift.SetTree(empty, nil, map[string]any{"image": "new"})
	if err != nil || !reflect.DeepEqual(want, empty) {
		t.Errorf("%v: %+v %+v", err, empty, empty.Common)
	}
	if err := openshift.SetTree(empty, nil, map[string]any{"Hidden": "d"}); err == nil {
		t.Error("a field that JSON does not have was set")
	}
}
