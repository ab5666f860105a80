package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("REWRITE_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// program runs the program as a process of its own, in a directory.
func program(t *testing.T, dir, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir, cmd.Stdin, cmd.Env = dir, strings.NewReader(stdin), append(os.Environ(), "REWRITE_MAIN=yes")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		out = append(out, "("+exit.String()+")\n"...)
	} else if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const nested = "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop}\nspec:\n  containers:\n    - image: >-\n        nodejs:20\n"

func TestStory(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	web := filepath.Join(dir, "manifests", "web.yaml")
	if err := os.Chmod(web, 0o600); err != nil {
		t.Fatal(err)
	}
	var story strings.Builder
	for _, step := range []struct{ stdin, args string }{
		{"", "-streams streams -f manifests"},
		{"", "-streams streams -f manifests --check"},
		{"", "-streams streams -f manifests/web.yaml --explain"},
		{"kind: Pod\napiVersion: v1\nspec: {containers: [{image: nodejs:20}]}", "-streams streams -namespace shop -f -"},
		{"kind: Pod\napiVersion: v1\nspec: {containers: [{image: nodejs:20}]}", "-streams streams -search shop -f -"},
		{"web:\n  image: nodejs:20\n", "-streams streams -namespace shop -values web.image -f -"},
		{nested, "-streams streams -f -"},
		{"{{ if .Values.image }}", "-streams streams -f - --check"},
		{"", "-streams streams -f manifests --in-place --lock images.lock"},
		{"", "-streams streams -f manifests --check"},
		{"", "-streams streams -f manifests --in-place --lock images.lock"},
		{"kind: Pod\napiVersion: v1\nmetadata: {namespace: shop}\nspec: {containers: [{image: nodejs:20}, {image: private}]}", "--locked --lock images.lock -f -"},
		{"", "-f manifests"},
		{"", "-streams streams"},
		{"", "-streams streams manifests"},
		{"", "-streams manifests -f manifests"},
		{"", "-streams streams -f nowhere"},
		{"", "-streams streams -f manifests --check --in-place"},
		{"", "-streams streams -f - -f manifests"},
		{"", "--locked -f manifests"},
		{"", "--locked --lock manifests/pod.json -f manifests"},
		{"", "-nope"},
	} {
		fmt.Fprintf(&story, "$ rewrite %s\n%s", step.args, program(t, dir, step.stdin, strings.Fields(step.args)...))
		if !strings.HasSuffix(story.String(), "\n") {
			story.WriteString("\n")
		}
	}
	golden := filepath.Join("testdata", "story.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(story.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if story.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", story.String(), want)
	}
	info, err := os.Stat(web)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the file became %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "manifests", ".rewrite-*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// TestDiffIsOne applies what the program prints with git, which knows what a diff is.
func TestDiffIsOne(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("testdata")); err != nil {
		t.Fatal(err)
	}
	diff := program(t, dir, "", "-streams", "streams", "-f", "manifests")
	apply := exec.Command("git", "apply", "-p0", "--unidiff-zero", "-")
	apply.Dir, apply.Stdin = dir, strings.NewReader(diff)
	if out, err := apply.CombinedOutput(); err != nil {
		t.Fatalf("git apply: %v\n%s\n%s", err, out, diff)
	}
	for _, file := range []string{"web.yaml", "pod.json", "base/kustomization.yaml"} {
		before, _ := os.ReadFile(filepath.Join("testdata", "manifests", file))
		after, err := os.ReadFile(filepath.Join(dir, "manifests", file))
		if err != nil || bytes.Equal(before, after) || !bytes.Contains(after, []byte("sha256:")) {
			t.Errorf("%s became\n%s\n%v", file, after, err)
		}
	}
	if left := program(t, dir, "", "-streams", "streams", "-f", "manifests", "--check"); left != "" {
		t.Errorf("the diff leaves\n%s", left)
	}
}
