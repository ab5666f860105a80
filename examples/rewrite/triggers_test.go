package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFollowsTagsByCommits: a tag moves, and only the image that a trigger ties to it is another one in the file.
func TestFollowsTagsByCommits(t *testing.T) {
	const (
		first   = "sha256:e4b43f9fba6ff7cbc96f6cb7b3d17952978f582b41926a5597c36b29e5f5486e"
		second  = "sha256:fbb9cda26835a572cfd44dcb5df6fa8bc9006f5ff00ba58e94f4d251ce6e0977"
		trigger = `[{"from":{"kind":"ImageStreamTag","name":"nodejs:20"},"fieldPath":"spec.template.spec.containers[0].image"}]`
		web     = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web, namespace: shop, annotations: {image.openshift.io/triggers: '" + trigger + "'}}\n" +
			"spec: {template: {spec: {containers: [{name: web,   image: IMAGE}]}}} # kept\n"
	)
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "streams"), os.DirFS("testdata/streams")); err != nil {
		t.Fatal(err)
	}
	file, stream := filepath.Join(dir, "web.yaml"), filepath.Join(dir, "streams", "shop.yaml")
	if err := os.WriteFile(file, []byte(web), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, image := range []string{first, second} {
		text, err := os.ReadFile(stream)
		if err == nil {
			err = os.WriteFile(stream, []byte(strings.ReplaceAll(string(text), first, image)), 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if out := program(t, dir, "", "-streams", "streams", "-f", "web.yaml", "--triggers", "--in-place"); strings.Contains(out, "exit") {
			t.Fatal(out)
		}
		want := strings.ReplaceAll(web, "IMAGE", "quay.io/org/nodejs@"+image)
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Fatalf("%v\n%s\nwant\n%s", err, got, want)
		}
		if out := program(t, dir, "", "-streams", "streams", "-f", "web.yaml", "--triggers", "--check"); out != "" {
			t.Errorf("again: %s", out)
		}
	}
}
