package main

import (
	"bytes"
	"encoding/pem"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

var update = flag.Bool("update", false, "rewrite the golden files")

var (
	digests = regexp.MustCompile(`sha256:[0-9a-f]+`)
	times   = regexp.MustCompile(`[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`)
	ages    = regexp.MustCompile(`(Less than a second|\d+ seconds?) ago`)
	hosts   = regexp.MustCompile(`127\.0\.0\.1:[0-9]+`)
)

// golden compares output with a file, digests, ports and times aside. Digests are numbered, so that equal ones stay equal.
func golden(t *testing.T, name, got, dir string) {
	t.Helper()
	seen := map[string]string{}
	got = digests.ReplaceAllStringFunc(got, func(d string) string {
		d = d[:len("sha256:")+12]
		if seen[d] == "" {
			seen[d] = "sha256:" + strings.Repeat(string(rune('a'+len(seen))), 12)
		}
		return seen[d]
	})
	got = hosts.ReplaceAllString(times.ReplaceAllString(got, "TIME"), "REGISTRY")
	got = strings.ReplaceAll(got, dir, "DIR")
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the output is not that of %s (go test -update rewrites it):\n%s", file, got)
	}
}

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("QUICKSTART_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// quickstart runs the program.
func quickstart(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUICKSTART_MAIN=yes")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestStory(t *testing.T) {
	out, err := quickstart(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	golden(t, "story.txt", out, "no such folder")
	if out, err := quickstart(t, "-f", filepath.Join(t.TempDir(), "nothing.yaml")); err == nil || !strings.HasPrefix(out, "quickstart: ") {
		t.Errorf("a file that is not there: %v\n%s", err, out)
	}
	if out, err := quickstart(t, "story"); err == nil || !strings.Contains(out, "Usage") {
		t.Errorf("an argument: %v\n%s", err, out)
	}
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	server, err := registryserver.Start(registryserver.Options{Dir: dir, Auth: true})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := push(t.Context(), server, "18", "20"); err != nil { // and no 22
		t.Fatal(err)
	}
	o := options{file: filepath.Join(dir, "stream.yaml"), authorities: filepath.Join(dir, "ca.pem")}
	t.Setenv("DOCKER_CONFIG", dir)
	for file, text := range map[string]string{
		o.file:        strings.ReplaceAll(streamYAML, "$REGISTRY", server.Host),
		o.authorities: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.CA.Raw})),
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var out bytes.Buffer
	if err := run(t.Context(), &out, o); err != nil {
		t.Fatal(err)
	}
	golden(t, "file.txt", out.String(), dir)

	// With -db, what was imported is there the second time.
	o.database = filepath.Join(dir, "streams.db")
	for range 2 {
		out.Reset()
		if err := run(t.Context(), &out, o); err != nil {
			t.Fatal(err)
		}
	}
	golden(t, "again.txt", ages.ReplaceAllString(out.String(), "AGE"), dir)
}

// TestPublishedFilesAreRead creates the stream of every published file.
func TestPublishedFilesAreRead(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/imagestreams/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("the published files are not there")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		s, err := newStory(t.Context(), &bytes.Buffer{}, "", oci.Options{})
		if err != nil {
			t.Fatal(err)
		}
		stream, err := s.create(t.Context(), string(text))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if stream.APIVersion != imagestream.APIVersion {
			t.Errorf("%s: it is stored as one of %s", file, stream.APIVersion)
		}
	}
	t.Logf("%d files", len(files))
}

func TestOlderVersionIsRead(t *testing.T) {
	s, err := newStory(t.Context(), &bytes.Buffer{}, "", oci.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.create(t.Context(), "kind: ImageStream\napiVersion: v1\nmetadata: {name: app}"); err != nil {
		t.Error(err)
	}
}

func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	for text, want := range map[string]string{
		"kind: Deployment\napiVersion: apps/v1":                                            "ImageStream of image.openshift.io/v1 is wanted",
		"kind: ImageStream\nspecc: {}":                                                     "specc",
		"kind: ImageStream\napiVersion: image.openshift.io/v1\nmetadata: {name: Bad_Name}": "metadata.name",
		"{": "read the image stream",
	} {
		file := filepath.Join(dir, "stream.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run(t.Context(), &bytes.Buffer{}, options{file: file}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
