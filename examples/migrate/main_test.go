package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
	"github.com/imagestreams/imagestreams/internal/kubeserver"
	"github.com/imagestreams/imagestreams/tagevent"
)

// fill makes a file with streams and images.
func fill(t *testing.T, path string) {
	t.Helper()
	store, err := bolt.Open(t.Context(), path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
			Namespace: "shop", Name: fmt.Sprint("s", i), Generation: 7, Unknown: map[string]json.RawMessage{"new": []byte(`{"x":1}`)},
		}}
		stream.Status.Tags = []tagevent.History{{Tag: "v1", Items: []tagevent.Event{{Created: 9, Image: "sha256:1", Generation: 2}, {Created: 5, Image: "sha256:2"}}}}
		if _, err := store.CreateImageStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: fmt.Sprint("sha256:", i)}, DockerImageReference: "quay.io/org/app", DockerImageMetadata: imagestream.Raw(`{"kind":"DockerImage","Size":9}`)}
		if _, err := store.CreateImage(t.Context(), image); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
}

// export returns all that a store has, as JSON.
func export(t *testing.T, store string) string {
	t.Helper()
	var out bytes.Buffer
	if err := run(t.Context(), []string{store, "json:-"}, nil, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// TestRoundTrip goes from a file to etcd, to a Kubernetes cluster, to JSON, to another file, and loses nothing.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	first, second := "bolt:"+filepath.Join(dir, "first.db"), "bolt:"+filepath.Join(dir, "second.db")
	fill(t, strings.TrimPrefix(first, "bolt:"))
	want := export(t, first)
	if lines := strings.Split(want, "\n"); len(lines) != 7 || !strings.HasPrefix(lines[0], `{"kind":"Image","apiVersion":"image.openshift.io/v1"`) || strings.Contains(want, `"uid"`) {
		t.Fatalf("exported\n%s", want)
	}
	cluster := "etcd:" + etcdserver.Start(t, 1).Members[0].Endpoint
	server := kubeserver.Start(t)
	if err := server.Define(kube.Definitions()); err != nil {
		t.Fatal(err)
	}
	kubernetes := "kube:" + server.Kubeconfig
	backup := "json:" + filepath.Join(dir, "backup.jsonl")
	for _, step := range [][2]string{{first, cluster}, {cluster, kubernetes}, {kubernetes, backup}, {backup, second}} {
		var report bytes.Buffer
		if err := run(t.Context(), step[:], nil, nil, &report); err != nil || report.String() != "6 copied, 0 there already, 0 different\n" {
			t.Fatalf("%s to %s: %v, %s", step[0], step[1], err, &report)
		}
	}
	if got := export(t, second); got != want {
		t.Errorf("at the end there is\n%s\nwant\n%s", got, want)
	}
	for _, store := range []string{cluster, kubernetes} {
		var report bytes.Buffer
		if err := run(t.Context(), []string{backup, store}, nil, nil, &report); err != nil || report.String() != "0 copied, 6 there already, 0 different\n" {
			t.Errorf("again to %s: %v, %s", store, err, &report)
		}
	}
	other := strings.Replace(want, `"generation":7`, `"generation":8`, 1)
	err := run(t.Context(), []string{"json:-", second}, strings.NewReader(other), nil, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "image stream shop/s0") {
		t.Errorf("what is different there: %v", err)
	}
	if got := export(t, second); got != want {
		t.Errorf("what was different is\n%s", got)
	}
	if err := run(t.Context(), []string{first, backup}, nil, nil, io.Discard); err == nil {
		t.Error("a backup was overwritten")
	}
}

func TestBadInput(t *testing.T) {
	target := "bolt:" + filepath.Join(t.TempDir(), "streams.db")
	for name, tc := range map[string]struct{ in, says string }{
		"no JSON":       {"x", "object 1"},
		"another kind":  {`{"apiVersion":"image.openshift.io/v1","kind":"Pod"}`, `"Pod"`},
		"newer version": {`{"apiVersion":"image.openshift.io/v2","kind":"ImageStream"}`, "image.openshift.io/v2"},
		"new member":    {`{"apiVersion":"image.openshift.io/v1","kind":"ImageStream","spec":{"signing":1}}`, "signing"},
		"cut off":       {`{"apiVersion":"image.openshift.io/v1","kind":"Image"}` + "\n" + `{"apiVer`, "object 2"},
	} {
		err := run(t.Context(), []string{"json:-", target}, strings.NewReader(tc.in), nil, io.Discard)
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: %v, want %q in it", name, err, tc.says)
		}
	}
	for _, args := range [][]string{nil, {target}, {"sqlite:x", target}, {"bolt:" + t.TempDir() + "/missing", target}, {"json:" + t.TempDir() + "/missing", target}, {"json:-", "x"}, {"kube:" + t.TempDir() + "/missing", target}} {
		if err := run(context.Background(), args, strings.NewReader(""), nil, io.Discard); err == nil {
			t.Errorf("migrate %q says nothing", args)
		}
	}
}

// damage changes one object of a file, so that its checksum is wrong.
func damage(t *testing.T, path, from, to string) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.ReplaceAll(file, []byte(from), []byte(to)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamage copies what is sound in a damaged file, and names the rest at the end.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	path, backup := filepath.Join(dir, "streams.db"), filepath.Join(dir, "backup.jsonl")
	fill(t, path)
	damage(t, path, `"name":"s1"`, `"name":"sX"`)
	damage(t, path, `"name":"sha256:0"`, `"name":"sha256:X"`)
	var report bytes.Buffer
	err := run(t.Context(), []string{"bolt:" + path, "json:" + backup}, nil, nil, &report)
	if err == nil || !strings.Contains(err.Error(), `"shop/s1"`) || !strings.Contains(err.Error(), `"sha256:0"`) {
		t.Errorf("the damage is %v", err)
	}
	if report.String() != "4 copied, 0 there already, 0 different\n" {
		t.Error(report.String())
	}
	text, err := os.ReadFile(backup)
	if err != nil || bytes.Count(text, []byte("\n")) != 4 || !bytes.Contains(text, []byte(`"name":"s2"`)) {
		t.Errorf("exported %v\n%s", err, text)
	}
}

// TestFailedExport leaves no file behind, so that it can be run again.
func TestFailedExport(t *testing.T) {
	in, dir := t.TempDir(), t.TempDir()
	from := filepath.Join(in, "in.jsonl")
	object := `{"apiVersion":"image.openshift.io/v1","kind":"Image","metadata":{"name":"sha256:1"}}`
	if err := os.WriteFile(from, []byte(object+"\n"+object[:40]), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"json:" + from, "json:" + filepath.Join(dir, "out.jsonl")}
	if err := run(t.Context(), args, nil, nil, io.Discard); err == nil || !strings.Contains(err.Error(), "object 2") {
		t.Errorf("a file that is cut off: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
	if err := os.WriteFile(from, []byte(object), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), args, nil, nil, io.Discard); err != nil {
		t.Errorf("again: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("there is %v, %v", left, err)
	}
}
