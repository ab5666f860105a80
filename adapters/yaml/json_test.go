package yaml_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/lookup"
)

// FuzzJSON compares with lookup.ApplyJSON, which goes another way: of an object, the same bytes change; and what is
// JSON stays JSON, in which nothing but texts changed.
func FuzzJSON(f *testing.F) {
	files, _ := filepath.Glob("testdata/nasty/*.json")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add(oneLine(2))
	f.Add([]byte(`{"kind":"Pod","apiVersion":"v1","spec":{"containers":[{"image":"nodejs:20"},{"image":"nod\u0065js"}]}}`))
	f.Add([]byte("---\n" + `{"kind":"Kustomization","images":[{"name":"a","newName":"nodejs","newTag":20,"digest":null}]}` + "\n...\n"))
	f.Add([]byte(`{"web":{"image":{"repository":"nodejs","tag":1.5,"digest":null}},"image":[[[]]]}`))
	resolver := &lookup.Resolver{Source: shop}
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<16 {
			t.Skip()
		}
		res := rewrite(t, rewriter(yaml.Options{Values: []string{"web.image"}}), string(src))
		if !json.Valid(src) {
			return
		}
		if !json.Valid(res.Bytes) {
			t.Fatalf("%q became no JSON: %q", src, res.Bytes)
		}
		for _, c := range res.Changes {
			if c.Line < 1 || c.Column < 1 {
				t.Fatalf("%q: change at %+v", src, c)
			}
		}
		var object map[string]any
		if json.Unmarshal(src, &object) != nil || len(res.Reports) > 0 {
			return
		}
		kind, _ := object["kind"].(string)
		if _, isList := object["items"]; kind == "" || isList || kind == "Kustomization" || kind == "Component" {
			return
		}
		changes, err := resolver.Changes(t.Context(), object, "shop")
		if err != nil {
			return
		}
		want, err := lookup.ApplyJSON(src, changes)
		if err != nil || !bytes.Equal(want, res.Bytes) {
			t.Fatalf("%q became\n%q, want\n%q, %v", src, res.Bytes, want, err)
		}
	})
}
