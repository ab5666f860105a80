package lookup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

const image = "sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"

func nodejs(local bool) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "nodejs"},
		Spec: imagestream.ImageStreamSpec{
			LookupPolicy: imagestream.ImageLookupPolicy{Local: local},
			Tags: []imagestream.TagReference{{Name: "local",
				ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicyLocal}}},
		},
		Status: imagestream.ImageStreamStatus{Tags: []tagevent.History{
			{Tag: "20", Items: []tagevent.Event{{Image: image, DockerImageReference: "quay.io/org/nodejs:20@" + image}}},
			{Tag: "local", Items: []tagevent.Event{{Image: image, DockerImageReference: "quay.io/org/nodejs@" + image}}},
			{Tag: "gone", Items: []tagevent.Event{{Image: "sha256:gone", DockerImageReference: "quay.io/org/nodejs"}}},
			{Tag: "failed", Conditions: []tagevent.Condition{{Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse}}},
		}},
	}
}

func store(t testing.TB, local bool) *fakes.Store {
	t.Helper()
	s := &fakes.Store{}
	if _, err := s.CreateImageStream(context.Background(), nodejs(local)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateImage(context.Background(),
		&imagestream.Image{Metadata: imagestream.ObjectMeta{Name: image}}); err != nil {
		t.Fatal(err)
	}
	return s
}

func ExampleResolver() {
	var deployment map[string]any
	_ = json.Unmarshal([]byte(`{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
		"spec": {"template": {"spec": {
			"initContainers": [{"name": "setup", "image": "quay.io/org/setup:v3"}],
			"containers": [{"name": "web", "image": "nodejs:20"}]}}}}`), &deployment)
	resolver := lookup.Resolver{Source: store(&testing.T{}, true)}
	changes, err := resolver.Changes(context.Background(), deployment, "")
	for _, c := range changes {
		fmt.Println(c.Path, c.From, "->", c.To[:29]+"...", "because", c.Why.Message(), err)
	}
	again, err := resolver.Changes(context.Background(), lookup.Apply(deployment, changes), "")
	fmt.Println(again, err)
	// Output:
	// /spec/template/spec/containers/0/image nodejs:20 -> quay.io/org/nodejs@sha256:1f1... because it is the newest image of the tag <nil>
	// [] <nil>
}

func pod(reference string, annotations map[string]any) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": map[string]any{"namespace": "shop", "annotations": annotations},
		"spec":     map[string]any{"containers": []any{map[string]any{"image": reference}}},
	}
}

// TestDecisionTable is the table of op lookup.rewrite, for pods.
func TestDecisionTable(t *testing.T) {
	const registry, exact = "reg.int:5000", "quay.io/org/nodejs@" + image
	force := map[string]any{lookup.ResolveNamesAnnotation: "*"}
	for _, tc := range []struct {
		reference   string
		local       bool
		annotations map[string]any
		registry    string
		want        string // "" stays
	}{
		{"nodejs:20", true, nil, "", exact},
		{"nodejs:20", false, nil, "", ""},
		{"nodejs:20", false, force, "", exact},
		{"nodejs:20", false, map[string]any{lookup.ResolveNamesAnnotation: "yes"}, "", ""},
		{"nodejs:local", true, nil, registry, "reg.int:5000/shop/nodejs@" + image},
		{"nodejs:local", true, nil, "", exact},
		{"nodejs:gone", true, nil, registry, ""},
		{"nodejs", true, nil, registry, "reg.int:5000/shop/nodejs:latest"},
		{"nodejs:failed", true, nil, registry, "reg.int:5000/shop/nodejs:failed"},
		{"nodejs:failed", false, nil, registry, ""},
		{"nodejs:failed", true, nil, "", ""},
		{"python:3", true, nil, registry, ""},
		{"org/nodejs:20", true, nil, registry, ""},
		{"quay.io/other/nodejs:20", false, force, registry, exact},
		{"a/b/nodejs:20", true, force, registry, ""},
		{registry + "/shop/nodejs:20", true, nil, registry, ""},
		{registry + "/shop/nodejs:new", true, nil, registry, ""},
		{registry + "/shop/nodejs", true, nil, registry, registry + "/shop/nodejs:latest"},
		{registry + "/nodejs:20", true, force, registry, exact},
		{"nodejs@" + image, true, force, registry, ""},
		{"node.js", true, force, registry, ""},
		{" nodejs", true, force, registry, ""},
		{"", true, force, registry, ""},
	} {
		resolver := lookup.Resolver{Source: store(t, tc.local), InternalRegistry: tc.registry}
		object := pod(tc.reference, tc.annotations)
		changes, err := resolver.Changes(t.Context(), object, "")
		got := ""
		if len(changes) > 0 {
			got = changes[0].To
		}
		if err != nil || got != tc.want {
			t.Errorf("%q (local %v, annotations %v, registry %q) becomes %q, %v, want %q", tc.reference, tc.local,
				tc.annotations, tc.registry, got, err, tc.want)
		}
	}
}

func TestApplyCopiesWhatItChanges(t *testing.T) {
	object := pod("nodejs:20", nil)
	before := pod("nodejs:20", nil)
	changed := lookup.Apply(object, []lookup.Change{
		{Path: "/spec/containers/0/image", To: "new"}, {Path: "/spec/containers/7/image", To: "x"},
		{Path: "/spec/nothing/here", To: "x"},
	})
	if diff := cmp.Diff(before, object); diff != "" {
		t.Errorf("the argument was changed:\n%s", diff)
	}
	if diff := cmp.Diff(pod("new", nil), changed); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestFailingSourceIsAnError(t *testing.T) {
	broken := errors.New("broken")
	source := &fakes.Store{Fail: func(string, imagestream.Key) error { return broken }}
	_, err := (&lookup.Resolver{Source: source}).Changes(t.Context(), pod("nodejs:20", nil), "")
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "shop/nodejs") {
		t.Errorf("error %v, want the source's with the stream's name", err)
	}
}
