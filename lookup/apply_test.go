package lookup_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/lookup"
)

func ExampleApplyJSON() {
	raw := []byte(`{ "kind":"Pod",  "spec": {"containers": [ {"image" : "nodejs:20", "name":"web"} ]}}`)
	changed, err := lookup.ApplyJSON(raw,
		[]lookup.Change{{Path: "/spec/containers/0/image", From: "nodejs:20", To: "quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"}})
	fmt.Println(string(changed), err)
	// Output: { "kind":"Pod",  "spec": {"containers": [ {"image" : "quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f", "name":"web"} ]}} <nil>
}

func ExamplePatchOf() {
	patch, err := json.Marshal(lookup.PatchOf([]lookup.Change{
		{Path: "/spec/containers/0/image", From: "nodejs", To: "quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"},
		{Path: "/spec/containers/1/image", To: "quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"},
		{Path: "/a"},
	}))
	fmt.Println(string(patch), err)
	// Output: [{"op":"replace","path":"/spec/containers/0/image","value":"quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"},{"op":"add","path":"/spec/containers/1/image","value":"quay.io/org/nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"},{"op":"remove","path":"/a"}] <nil>
}

func ExampleApply() {
	changed := lookup.Apply(map[string]any{"image": "a", "name": "b"}, []lookup.Change{{Path: "/image", To: "c"}})
	fmt.Println(changed)
	// Output: map[image:c name:b]
}

// TestApplyJSONAgrees compares changed bytes with a changed tree, for any JSON and any places in it.
func TestApplyJSONAgrees(t *testing.T) { rapid.Check(t, applyJSONAgrees) }

func FuzzApplyJSONAgrees(f *testing.F) { f.Fuzz(rapid.MakeFuzz(applyJSONAgrees)) }

var jsonNames = []string{"a", "b", "im/age", "x~y", `q"`, "é", ""}

func drawJSON(t *rapid.T, depth int) any {
	kinds := 5
	if depth == 0 {
		kinds = 3
	}
	switch rapid.IntRange(0, kinds-1).Draw(t, "kind") {
	case 0:
		return rapid.SampledFrom([]string{"text", "", `"\`, "a: {b}", "世界"}).Draw(t, "text")
	case 1:
		return rapid.SampledFrom([]any{nil, true, -1.5e3, 0.0}).Draw(t, "scalar")
	case 2:
		return "leaf"
	case 3:
		list := make([]any, rapid.IntRange(0, 3).Draw(t, "length"))
		for i := range list {
			list[i] = drawJSON(t, depth-1)
		}
		return list
	}
	object := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		object[rapid.SampledFrom(jsonNames).Draw(t, "name")] = drawJSON(t, depth-1)
	}
	return object
}

// leaves returns pointers to the texts of a tree.
func leaves(node any, at string, found []string) []string {
	switch node := node.(type) {
	case string:
		return append(found, at)
	case []any:
		for i, child := range node {
			found = leaves(child, fmt.Sprintf("%s/%d", at, i), found)
		}
	case map[string]any:
		for _, name := range jsonNames {
			if child, ok := node[name]; ok {
				found = leaves(child, at+"/"+strings.ReplaceAll(strings.ReplaceAll(name, "~", "~0"), "/", "~1"), found)
			}
		}
	}
	return found
}

func applyJSONAgrees(t *rapid.T) {
	tree := map[string]any{"root": drawJSON(t, 4)}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(rapid.Bool().Draw(t, "escaped"))
	encoder.SetIndent("", rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "indent"))
	if err := encoder.Encode(tree); err != nil {
		t.Fatal(err)
	}
	var changes []lookup.Change
	for _, path := range leaves(tree["root"], "/root", nil) {
		if rapid.Bool().Draw(t, "change") {
			changes = append(changes,
				lookup.Change{Path: path, To: rapid.SampledFrom([]string{"new", `"`, "x\ny"}).Draw(t, "to")})
		}
	}
	before := raw.String()
	got, err := lookup.ApplyJSON(raw.Bytes(), changes)
	if err != nil {
		t.Fatalf("%v in\n%s", err, before)
	}
	if raw.String() != before {
		t.Fatal("the argument was changed")
	}
	var changed map[string]any
	if err := json.Unmarshal(got, &changed); err != nil {
		t.Fatalf("%v in\n%s", err, got)
	}
	if diff := cmp.Diff(lookup.Apply(tree, changes), changed); diff != "" {
		t.Fatalf("changed tree (-) and changed bytes (+):\n%s\n%s", diff, got)
	}
}

// TestApplyJSONRemoves members, with one comma.
func TestApplyJSONRemoves(t *testing.T) {
	for raw, want := range map[string]string{
		`{"from":{"kind":"a","namespace":"n","name":"x"}}`:   `{"from":{"kind":"a","name":"x"}}`,
		`{"from":{ "namespace" : "n" , "name":"x"}}`:         `{"from":{ "name":"x"}}`,
		`{"from":{"name":"x",  "namespace":"n" }}`:           `{"from":{"name":"x" }}`,
		`{"from":{"namespace":"n"}}`:                         `{"from":{}}`,
		`{"from":{"namespace":"1","b":2,"namespace":"n"}}`:   `{"from":{"namespace":"1","b":2}}`,
		`{"fr\u006fm":{"name\u0073pace":"n","a":[{"b":1}]}}`: `{"fr\u006fm":{"a":[{"b":1}]}}`,
	} {
		got, err := lookup.ApplyJSON([]byte(raw), []lookup.Change{{Path: "/from/namespace"}})
		if err != nil || string(got) != want {
			t.Errorf("%s becomes %s, %v; want %s", raw, got, err, want)
		}
	}
	for _, raw := range []string{`{}`, `[]`, `{"from":7}`, `{"from":{"name":1}}`, ``, `{"from"`, `{"from":{"namespace"`} {
		if _, err := lookup.ApplyJSON([]byte(raw), []lookup.Change{{Path: "/from/namespace"}}); !errors.Is(err,
			lookup.ErrNotThere) {
			t.Errorf("%s: %v", raw, err)
		}
	}
}

func BenchmarkApply(b *testing.B) {
	object := threeContainers("nodejs:20", "nodejs:20", "nodejs:20")
	changes := mustPolicy(b, nil).Review(&lookup.Request{Namespace: "shop", Object: object}, known(true)).Changes
	b.ReportAllocs()
	for b.Loop() {
		lookup.Apply(object, changes)
	}
}

// BenchmarkJSON reviews raw JSON and changes its bytes, beside decoding it alone.
func BenchmarkJSON(b *testing.B) {
	object := threeContainers("nodejs:20", "nodejs:20", "nodejs:20")
	for _, c := range object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any) {
		c := c.(map[string]any)
		c["env"] = []any{map[string]any{"name": "PORT", "value": "8080"},
			map[string]any{"name": "MODE", "value": "production"}}
		c["ports"] = []any{map[string]any{"containerPort": 8080.0, "protocol": "TCP"}}
		c["resources"] = map[string]any{"limits": map[string]any{"cpu": "1", "memory": "512Mi"},
			"requests": map[string]any{"cpu": "250m", "memory": "256Mi"}}
		c["readinessProbe"] = map[string]any{"httpGet": map[string]any{"path": "/ready", "port": 8080.0},
			"initialDelaySeconds": 5.0}
	}
	raw, err := json.MarshalIndent(object, "", "  ")
	if err != nil {
		b.Fatal(err)
	}
	b.Logf("%d bytes", len(raw))
	policy, k := mustPolicy(b, nil), known(true)
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var object map[string]any
			if err := json.Unmarshal(raw, &object); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("review", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			var object map[string]any
			if err := json.Unmarshal(raw, &object); err != nil {
				b.Fatal(err)
			}
			if _, err := lookup.ApplyJSON(raw,
				policy.Review(&lookup.Request{Namespace: "shop", Object: object}, k).Changes); err != nil {
				b.Fatal(err)
			}
		}
	})
}
