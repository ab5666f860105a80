package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/internal/registryserver"
	"github.com/imagestreams/imagestreams/tagevent"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("PRUNE_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

// pruned runs the program in this process, and returns what it writes and how it ends.
func pruned(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	a := &app{out: &out, errOut: &out}
	if code := a.run(t.Context(), args); code != exitDone {
		fmt.Fprintf(&out, "(exit status %d)\n", code)
	}
	return out.String()
}

// TestDryRun shows what would go of the cluster in testdata, safely and as the real client does.
func TestDryRun(t *testing.T) {
	for name, args := range map[string][]string{
		"safe.txt": {"--output=wide"}, "real.txt": {"--safe=false", "--output=wide"},
	} {
		got := pruned(t, append([]string{"-f", "testdata/cluster"}, args...)...)
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
			t.Errorf("the program writes (go test -update rewrites %s):\n%s", file, got)
		}
	}
}

// shop is a registry, and a store whose stream shop/web has four images of it in its history.
type shop struct {
	server      *registryserver.Server
	dir, db, ca string
	// layers are those of the images, the newest first.
	layers []string
}

const revisions = 4

func newShop(t *testing.T) *shop {
	t.Helper()
	dir := t.TempDir()
	s := &shop{dir: filepath.Join(dir, "registry"), db: filepath.Join(dir, "shop.db"), ca: filepath.Join(dir, "ca.pem")}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.server, err = registryserver.Start(registryserver.Options{Dir: s.dir, Delete: true}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.server.Close() })
	trust(t, s.ca, s.server.CA)
	store, err := bolt.Open(t.Context(), s.db, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	old := tagevent.TimeOf(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	h := tagevent.History{Tag: "v1"}
	for n := range revisions {
		image := s.push(t, fmt.Sprint("revision ", n))
		image.Metadata.CreationTimestamp = old
		image.Metadata.Annotations["openshift.io/image.managed"] = "true"
		if _, err := store.CreateImage(t.Context(), image); err != nil {
			t.Fatal(err)
		}
		s.layers = append(s.layers, image.DockerImageLayers[0].Name)
		h.Items = append(h.Items, tagevent.Event{
			Created: old, Image: image.Metadata.Name, DockerImageReference: image.DockerImageReference, Generation: 1,
		})
	}
	stream := &imagestream.ImageStream{}
	stream.Metadata = imagestream.ObjectMeta{Namespace: "shop", Name: "web", CreationTimestamp: old}
	stream.Status.Tags = []tagevent.History{h}
	if _, err := store.CreateImageStream(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return s
}

// trust writes certificates that the program is to trust.
func trust(t *testing.T, file string, certificates ...*x509.Certificate) {
	t.Helper()
	var text []byte
	for _, c := range certificates {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// push pushes an image to shop/web, and returns it.
func (s *shop) push(t *testing.T, layer string) *imagestream.Image {
	t.Helper()
	contents := fakes.Contents{}
	d := contents.Push("shop/web", fakes.Image{Layer: layer}, "v1")
	if err := s.server.Push(t.Context(), contents); err != nil {
		t.Fatal(err)
	}
	stored := contents["shop/web"].Manifests[d]
	m, err := manifest.Parse(stored.MediaType, []byte(stored.Raw))
	if err != nil {
		t.Fatal(err)
	}
	image, err := manifest.Image(m, []byte(contents["shop/web"].Blobs[m.Config.Digest]))
	if err != nil {
		t.Fatal(err)
	}
	image.DockerImageReference = s.server.Host + "/shop/web@" + d.String()
	return image
}

// blobs counts the blobs in the registry's storage, and the links of shop/web to layers and configurations.
func (s *shop) blobs(t *testing.T) (blobs, links int) {
	t.Helper()
	err := filepath.WalkDir(s.dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch {
		case entry.Name() == "data" && strings.Contains(path, "/blobs/"):
			blobs++
		case entry.Name() == "link" && strings.Contains(path, "/_layers/"):
			links++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return blobs, links
}

// left checks that revision 0 is all that is left, in the store and in the registry.
func (s *shop) left(t *testing.T) {
	t.Helper()
	store, err := bolt.Open(t.Context(), s.db, bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	stream, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	images, err := store.ListImages(t.Context(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	blobs, links := s.blobs(t)
	if n := len(stream.Status.Tags[0].Items); n != 1 || len(images.Items) != 1 || blobs != 3 || links != 2 {
		t.Errorf("%d events, %d images, %d blobs, %d links are left; want 1, 1, 3, 2", n, len(images.Items), blobs, links)
	}
	if waits := stream.Metadata.Annotations[prune.PruningAnnotation]; waits != "" {
		t.Errorf("the stream waits for %s", waits)
	}
}

func TestConfirm(t *testing.T) {
	for _, safe := range []string{"--safe=true", "--safe=false"} {
		s := newShop(t)
		args := []string{"-db", s.db, "-ca", s.ca, "--keep-tag-revisions=1", safe}
		dry := pruned(t, args...)
		if blobs, links := s.blobs(t); blobs != 3*revisions || links != 2*revisions {
			t.Fatalf("%d blobs and %d links after a dry run", blobs, links)
		}
		got := pruned(t, append(args, "--confirm")...)
		if want := "3 events, 3 images and 9 blobs removed, freeing "; !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s\nwant %s", safe, got, want)
		}
		freed, _, _ := strings.Cut(got[strings.Index(got, "freeing "):], ".\n")
		if want := "3 events, 3 images and 9 blobs would be removed, " + freed; !strings.Contains(dry, want) {
			t.Errorf("%s: the dry run says\n%s\nwant %s", safe, dry, want)
		}
		s.left(t)
		again := pruned(t, append(args, "--confirm")...)
		if !strings.HasPrefix(again, "0 events, 0 images and 0 blobs removed") {
			t.Errorf("%s, once more: %s", safe, again)
		}
	}
}

// TestKilled kills the program while it deletes, and runs it again.
func TestKilled(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts processes")
	}
	for _, at := range []int64{1, 4, 9, 10, 13, 18} {
		s := newShop(t)
		var deletions atomic.Int64
		reached := make(chan struct{})
		target := &url.URL{Scheme: "https", Host: s.server.Host}
		proxy := httputil.NewSingleHostReverseProxy(target)
		roots := x509.NewCertPool()
		roots.AddCert(s.server.CA)
		proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
		slow := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if deletions.Add(1) == at {
				close(reached)
				<-r.Context().Done() // until the program is killed
				return
			}
			proxy.ServeHTTP(w, r)
		}))
		trust(t, s.ca, s.server.CA, slow.Certificate())
		args := []string{"-db", s.db, "-ca", s.ca, "--keep-tag-revisions=1", "--confirm"}
		cmd := exec.Command(os.Args[0], append(args, "--registry-url", slow.Listener.Addr().String())...)
		cmd.Env = append(os.Environ(), "PRUNE_MAIN=yes")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		<-reached
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		var exit *exec.ExitError
		if err := cmd.Wait(); !errors.As(err, &exit) {
			t.Fatalf("the program ended with %v", err)
		}
		slow.Close()
		if got := pruned(t, args...); strings.Contains(got, "exit status") {
			t.Errorf("killed at deletion %d, and run again: %s", at, got)
		}
		s.left(t)
	}
}

// TestInterrupted ends the context at a step.
func TestInterrupted(t *testing.T) {
	s := newShop(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cancel()
	var out bytes.Buffer
	a := &app{out: &out, errOut: &out}
	if code := a.run(ctx, []string{"-db", s.db, "-ca", s.ca, "--keep-tag-revisions=1", "--confirm"}); code != exitError {
		t.Errorf("it ends with %d:\n%s", code, &out)
	}
	if !strings.Contains(out.String(), "give the command again to finish it") {
		t.Errorf("it does not say what to do:\n%s", &out)
	}
}

// TestProgress removes on a terminal.
func TestProgress(t *testing.T) {
	s := newShop(t)
	var out, screen bytes.Buffer
	a := &app{out: &out, errOut: &screen, terminal: true}
	args := []string{"-db", s.db, "-ca", s.ca, "--keep-tag-revisions=1", "--confirm"}
	if code := a.run(t.Context(), args); code != exitDone {
		t.Fatalf("it ends with %d: %s", code, &screen)
	}
	for _, want := range []string{"\r\x1b[K1/", ": update stream shop/web", ": delete blob sha256:"} {
		if !strings.Contains(screen.String(), want) {
			t.Errorf("the screen does not show %q:\n%q", want, screen.String())
		}
	}
	last := screen.String()[strings.LastIndex(screen.String(), "K")+1:]
	if last != "" {
		t.Errorf("at the end the screen shows %q", last)
	}
}

// TestRegistryThatRefuses keeps what it cannot delete, and says so.
func TestRegistryThatRefuses(t *testing.T) {
	s := newShop(t)
	t.Setenv("REGISTRY_TOKEN", "hidden")
	var tokens atomic.Int64
	refuses := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer hidden" {
			tokens.Add(1)
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer refuses.Close()
	trust(t, s.ca, s.server.CA, refuses.Certificate())
	args := []string{"-db", s.db, "-ca", s.ca, "--keep-tag-revisions=1", "--confirm"}
	got := pruned(t, append(args, "--registry-url", refuses.Listener.Addr().String())...)
	if !strings.Contains(got, "403 Forbidden") || !strings.Contains(got, "(exit status 1)") ||
		strings.Contains(got, "hidden") || tokens.Load() == 0 {
		t.Errorf("%d requests with the token:\n%s", tokens.Load(), got)
	}
	if got := pruned(t, args...); strings.Contains(got, "exit status") {
		t.Errorf("run again: %s", got)
	}
	s.left(t)
}

func TestUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{nil, "-f says where the objects are"},
		{[]string{"-f", "testdata/cluster", "--confirm"}, "--confirm needs -db FILE"},
		{[]string{"-f", "testdata/cluster", "--keep-tag-revisions=many"}, "--keep-tag-revisions=many: want a number"},
		{[]string{"-f", "testdata/cluster", "web"}, "takes no arguments"},
		{[]string{"--nope"}, "flag provided but not defined"},
	} {
		if got := pruned(t, tc.args...); !strings.Contains(got, tc.want) || !strings.Contains(got, "(exit status 2)") {
			t.Errorf("%q: %s\nwant %s", tc.args, got, tc.want)
		}
	}
	got := pruned(t, "-f", "testdata/nowhere")
	if !strings.Contains(got, "testdata/nowhere") || !strings.Contains(got, "(exit status 1)") {
		t.Errorf("a folder that is not there: %s", got)
	}
}
