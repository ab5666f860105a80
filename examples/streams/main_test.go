package main

import (
	"bytes"
	"encoding/pem"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("STREAMS_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// streams runs the program in this process, and returns what it writes and how it ends.
func streams(t *testing.T, dir string, args ...string) string {
	t.Helper()
	t.Setenv("STREAMS_DB", filepath.Join(dir, "streams.db"))
	t.Setenv("DOCKER_CONFIG", dir)
	var out strings.Builder
	a := &app{out: &out, errOut: &out}
	if code := a.main(t.Context(), args); code != 0 {
		fmt.Fprintf(&out, "(exit status %d)\n", code)
	}
	return out.String()
}

// TestProgram runs the program as a process of its own.
func TestProgram(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"create", "app"}, {"get"}, {"describe", "ap"}, {"tag", "--nope"}} {
		cmd := exec.Command(os.Args[0], args...)
		cmd.Env = append(os.Environ(), "STREAMS_MAIN=yes", "STREAMS_DB="+filepath.Join(dir, "process.db"),
			"DOCKER_CONFIG="+dir)
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			out = append(out, "("+exit.String()+")\n"...)
		} else if err != nil {
			t.Fatal(err)
		}
		if want := streams(t, dir, args...); settled(string(out), dir) != settled(want, dir) {
			t.Errorf("%q writes as a process\n%s\nand here\n%s", args, out, want)
		}
	}
}

var (
	digests = regexp.MustCompile(`sha256:[0-9a-f]{64}|\b[0-9a-f]{64}\b`)
	ages    = regexp.MustCompile(`(Less than a second|About an? \w+|\d+ \w+) ago`)
	uids    = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`)
	gaps    = regexp.MustCompile(` {3,}`)
	times   = regexp.MustCompile(`\d{4}-\d{2}-\d{2}T[0-9:]{8}Z`)
	hosts   = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
	blanks  = regexp.MustCompile(`(?m)[ \t]+$`)
)

// settled makes of an output one that is the same every time: digests are numbered, times and ports left out.
func settled(out, dir string) string {
	seen := map[string]string{}
	out = digests.ReplaceAllStringFunc(out, func(d string) string {
		hex := strings.TrimPrefix(d, "sha256:")
		if seen[hex] == "" {
			seen[hex] = strings.Repeat(string(rune('a'+len(seen))), 12)
		}
		return strings.TrimSuffix(d, hex) + seen[hex]
	})
	out = times.ReplaceAllString(ages.ReplaceAllString(uids.ReplaceAllString(out, "UID"), "AGE"), "TIME")
	out = gaps.ReplaceAllString(out, "  ") // columns are as wide as ages are long
	return blanks.ReplaceAllString(strings.ReplaceAll(hosts.ReplaceAllString(out, "REGISTRY"), dir, "DIR"), "")
}

// TestStory runs the lines of testdata/story.txt that begin with "$ ", on one file, and
// compares what they write with the lines below. "! " lines are done by the test: a push to the registry.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	server, err := registryserver.Start(registryserver.Options{Dir: t.TempDir(), Auth: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.CA.Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", "story.txt")
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var raw strings.Builder
	for line := range strings.Lines(string(want)) {
		if push, ok := strings.CutPrefix(line, "! push "); ok {
			raw.WriteString(line)
			layer, tag, _ := strings.Cut(strings.TrimSpace(push), " as ")
			contents := fakes.Contents{}
			contents.Push("org/app", fakes.Image{Layer: layer}, tag)
			if err := server.Push(t.Context(), contents); err != nil {
				t.Fatal(err)
			}
		}
		if command, ok := strings.CutPrefix(line, "$ streams "); ok {
			raw.WriteString(line)
			args := strings.Fields(strings.ReplaceAll(command, "REGISTRY", server.Host))
			raw.WriteString(streams(t, dir, append(args, "--ca", ca)...))
		}
		if strings.HasPrefix(line, "# ") {
			raw.WriteString(line)
		}
	}
	got := settled(raw.String(), dir)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if got != string(want) {
		t.Errorf("the program writes (go test -update rewrites %s):\n%s", file, got)
	}
}

// TestPictures draws what the story keeps.
func TestPictures(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:v1")
	for _, args := range [][]string{{"history", "app", "-o", "svg"}, {"describe", "app", "-o", "svg"}} {
		out := streams(t, dir, args...)
		if err := xml.Unmarshal([]byte(out), new(struct {
			XMLName xml.Name `xml:"svg"`
		})); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}

// TestCompletion asks as a shell does.
func TestCompletion(t *testing.T) {
	dir := t.TempDir()
	if out := streams(t, dir, "__complete", "describe", ""); !strings.Contains(out, ":4") {
		t.Errorf("without a file: %s", out)
	}
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:v1", "app:v2")
	for typed, want := range map[string]string{"a": "app\n", "app:": "app:v1\napp:v2\n", "nope:": ":4\n"} {
		if out := streams(t, dir, "__complete", "describe", typed); !strings.HasPrefix(out, want) {
			t.Errorf("%q is completed by %q, want %q", typed, out, want)
		}
	}
	if out := streams(t, dir, "completion", "bash"); !strings.Contains(out, "__start_streams") {
		t.Error("there is no completion for bash")
	}
}

// TestProgress imports on a terminal.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	server, err := registryserver.Start(registryserver.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	contents := fakes.Contents{}
	contents.Push("org/app", fakes.Image{Layer: "one"}, "v1")
	if err := server.Push(t.Context(), contents); err != nil {
		t.Fatal(err)
	}
	ca := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.CA.Raw}),
		0o600); err != nil {
		t.Fatal(err)
	}
	var screen bytes.Buffer
	a := &app{out: io.Discard, errOut: &screen, terminal: true}
	t.Setenv("STREAMS_DB", filepath.Join(dir, "streams.db"))
	t.Setenv("DOCKER_CONFIG", dir)
	if err := a.run(t.Context(), []string{"import", "app:v1", "--from=" + server.Host + "/org/app:v1", "--confirm",
		"--ca", ca}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(screen.String(), "importing 1/1: ") || !strings.HasSuffix(screen.String(), "\x1b[K") {
		t.Errorf("the screen shows %q", screen.String())
	}
}
