package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

// shop is a file of streams, and a registry with org/app:v1.
type shop struct {
	t         *testing.T
	dir, host string
	ca        string
	server    *registryserver.Server
}

func openShop(t *testing.T) *shop {
	t.Helper()
	server, err := registryserver.Start(registryserver.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	s := &shop{t: t, dir: t.TempDir(), host: server.Host, server: server}
	s.ca = filepath.Join(s.dir, "ca.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.CA.Raw})
	if err := os.WriteFile(s.ca, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// push pushes an image as org/app:v1.
func (s *shop) push(layer string) {
	s.t.Helper()
	contents := fakes.Contents{}
	contents.Push("org/app", fakes.Image{Layer: layer}, "v1")
	if err := s.server.Push(s.t.Context(), contents); err != nil {
		s.t.Fatal(err)
	}
}

func (s *shop) streams(line string) string {
	s.t.Helper()
	return streams(s.t, s.dir, append(strings.Fields(strings.ReplaceAll(line, "REGISTRY", s.host)), "--ca", s.ca)...)
}

// images are those that app:v1 pointed at, newest first.
func (s *shop) images() (images []string) {
	s.t.Helper()
	var history struct{ Items []struct{ Image string } }
	if err := json.Unmarshal([]byte(s.streams("history app:v1 -o json")), &history); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range history.Items {
		images = append(images, e.Image)
	}
	return images
}

func TestBeginningsOfDigestsAreTaken(t *testing.T) {
	s := openShop(t)
	s.push("one")
	s.streams("import app:v1 --from=REGISTRY/org/app:v1 --confirm")
	s.push("two")
	s.streams("import app:v1")
	images := s.images()
	if len(images) != 2 {
		t.Fatalf("app:v1 pointed at %q", images)
	}
	old := images[1]
	for _, prefix := range []string{old[:13], strings.TrimPrefix(old, "sha256:")[:8]} {
		for _, c := range []struct{ args, want string }{
			{"get images " + prefix, old}, {"get images " + prefix + " -o json", `"kind": "Image"`},
			{"describe app@" + prefix, old}, {"describe app@" + prefix + " -o yaml", "kind: ImageStreamImage"},
			{"tag app@" + prefix + " app:prod", "app:prod set to app@" + old},
			{"tag default/app@" + prefix + " app:prod", "app:prod set to"},
			{"pin app:v1 " + prefix, "pinned to " + old}, {"unpin app:v1", "goes to " + images[0]},
			{"rollback app:v1 --to=" + prefix, "rolled back to " + old}, {"resume app:v1", "again"},
			{"import app:v1", "imported"},
		} {
			contains(t, s.streams(c.args), c.want, "(exit status")
		}
	}
	for _, args := range []string{"get images sha256:", "describe app@sha256:", "tag app@sha256: app:x"} {
		contains(t, s.streams(args), "2 images", "")
		contains(t, s.streams(args), "(exit status 2)", "")
	}
	contains(t, s.streams("tag app@sha256:0123 app:x"), "none of them", "set to")
}

func TestPinsShowAndSayWhatTheyHoldBack(t *testing.T) {
	s := openShop(t)
	s.push("one")
	s.streams("import app:v1 --from=REGISTRY/org/app:v1 --confirm")
	s.streams("tag --alias app:v1 app:latest")
	s.streams("pin app:v1 --reason=orders --for=48h")
	pinned := s.images()[0]
	contains(t, s.streams("import app:v1"), "imported", "warning")
	s.push("two")
	for _, args := range []string{"import app:v1", "import app:latest", "import app --all"} {
		out := s.streams(args)
		contains(t, out, "warning: app:v1 is pinned to "+pinned+", until ", "(exit status")
		contains(t, out, ": orders; holds back sha256:", "")
		contains(t, out, "'streams unpin app:v1' lets it go there", "")
	}
	contains(t, s.streams("import app:v1 --dry-run"), "imported", "warning")
	for _, args := range []string{"get", "get istag", "get itag"} {
		contains(t, s.streams(args), "PINNED", "for ever")
		contains(t, s.streams(args), "until 20", "")
	}
	for _, args := range []string{"describe app", "describe app:v1", "history app:v1"} {
		contains(t, s.streams(args), "v1 is pinned to "+pinned+", until ", "")
		contains(t, s.streams(args), "orders; holds back sha256:", "")
	}
	contains(t, s.streams("history app:v1 -o json"), `"pin": {`, "")
	contains(t, s.streams("history app:v1 -o json"), `"held": {`, "")
	contains(t, s.streams("history app:latest"), pinned, "is pinned")
	s.streams("pin app:v1")
	contains(t, s.streams("get"), "v1 for ever", "until")
	s.streams("unpin app:v1")
	for _, args := range []string{"get", "describe app", "describe app:v1", "history app:v1", "import app:v1"} {
		contains(t, strings.ToLower(s.streams(args)), "", "pin")
	}
}

// until calls stop when the text has been written.
type until struct {
	text    string
	stop    func()
	written strings.Builder
}

func (u *until) Write(p []byte) (int, error) {
	n, err := u.written.Write(p)
	if strings.Contains(u.written.String(), u.text) {
		u.stop()
	}
	return n, err
}

func TestRunImportsUntilInterrupted(t *testing.T) {
	s := openShop(t)
	s.push("one")
	s.streams("tag REGISTRY/org/app:v1 app:v1 --scheduled")
	s.streams("-n other tag REGISTRY/org/app:v1 other:v1")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	screen := &until{text: "default/app:v1 imported: sha256:", stop: stop}
	a := &app{out: screen, errOut: screen}
	if code := a.main(ctx, []string{"run", "--ca", s.ca}); code != 0 {
		t.Errorf("it ends with %d\n%s", code, screen.written.String())
	}
	if len(s.images()) != 1 {
		t.Errorf("app:v1 pointed at %q", s.images())
	}
	contains(t, s.streams("-n other get istag"), "", "other:v1")
	all, stopAll := context.WithCancel(t.Context())
	defer stopAll()
	screen = &until{text: "other/other:v1 imported: sha256:", stop: stopAll}
	a = &app{out: screen, errOut: screen}
	if code := a.main(all, []string{"run", "-A", "--interval=1h", "--ca", s.ca}); code != 0 {
		t.Errorf("it ends with %d\n%s", code, screen.written.String())
	}
}

func TestRunTellsWhatFails(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	dir := t.TempDir()
	streams(t, dir, "tag", strings.TrimPrefix(server.URL, "http://")+"/org/app:v1", "app:v1")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	screen := &until{text: "--insecure", stop: stop}
	a := &app{out: io.Discard, errOut: screen}
	if code := a.main(ctx, []string{"run"}); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	contains(t, screen.written.String(), "error: default/app: ", "app:v1 imported:")
}
