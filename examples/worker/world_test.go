package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("WORKER_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// asked is a request of a worker for a tag.
type asked struct {
	at     time.Time
	worker string
}

// world is a registry that asks for credentials, and what workers need to know of it.
type world struct {
	t        *testing.T
	registry fakes.Registry
	server   *httptest.Server
	host     string
	flags    []string // of a worker

	mu   sync.Mutex
	asks map[string][]asked // by "repository:tag"
	// delay, if not nil, holds back the answer to a worker's question for a tag.
	delay func(r *http.Request, worker string)
}

const registryName = "registry.example.com"

func newWorld(t *testing.T) *world {
	w := &world{t: t, asks: map[string][]asked{}}
	w.registry.EditHost(registryName, func(h *fakes.Host) {
		h.Auth = &fakes.Auth{Type: "basic", Users: map[string]string{"robot": "secret"}}
	})
	inner := w.registry.Handler(registryName)
	w.server = httptest.NewTLSServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		repository, reference, ok := strings.Cut(strings.TrimPrefix(r.URL.Path, "/v2/"), "/manifests/")
		if ok && r.Header.Get("Authorization") != "" && !strings.HasPrefix(reference, "sha256:") {
			agent := strings.TrimSuffix(strings.TrimPrefix(r.UserAgent(), "imagestreams-worker ("), ")")
			tag := repository + ":" + reference
			w.mu.Lock()
			w.asks[tag] = append(w.asks[tag], asked{time.Now(), agent})
			delay := w.delay
			w.mu.Unlock()
			if delay != nil {
				answer := httptest.NewRecorder()
				inner.ServeHTTP(answer, r)
				delay(r, agent)
				maps.Copy(rw.Header(), answer.Header())
				rw.WriteHeader(answer.Code)
				rw.Write(answer.Body.Bytes())
				return
			}
		}
		inner.ServeHTTP(rw, r)
	}))
	t.Cleanup(w.server.Close)
	w.host = strings.TrimPrefix(w.server.URL, "https://")
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	auth := base64.StdEncoding.EncodeToString([]byte("robot:secret"))
	w.flags = []string{
		"-addr=127.0.0.1:0",
		"-docker-config=" + write("config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, w.host, auth)),
		"-ca=" + write("ca.pem", string(pem.EncodeToMemory(
			&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw}))),
	}
	return w
}

// setDelay sets how answers about tags are held back.
func (w *world) setDelay(delay func(r *http.Request, worker string)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.delay = delay
}

// slow lets each answer about a tag take some time.
func (w *world) slow(latency time.Duration) {
	w.setDelay(func(r *http.Request, _ string) { wait(r.Context(), latency) })
}

func (w *world) push(repository, tag, content string) (digest string) {
	w.registry.Edit(registryName, func(c fakes.Contents) {
		digest = c.Push(repository, fakes.Image{Layer: content}, tag).String()
	})
	return digest
}

// create makes a stream shop/NAME with scheduled tags of the repository org/NAME.
func (w *world) create(store imagestream.Store, name string, tags ...string) {
	w.t.Helper()
	s := &imagestream.ImageStream{}
	s.Metadata.Namespace, s.Metadata.Name = "shop", name
	for _, tag := range tags {
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: fmt.Sprintf("%s/org/%s:%s", w.host, name, tag)},
			ImportPolicy: imagestream.TagImportPolicy{Scheduled: true},
		})
	}
	if _, err := (&write.Engine{Store: store}).Create(w.t.Context(), s); err != nil {
		w.t.Fatal(err)
	}
}

// requests returns what was asked for a tag.
func (w *world) requests(tag string) []asked {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]asked(nil), w.asks[tag]...)
}

// process is a worker in a process of its own.
type process struct {
	name, url string
	cmd       *exec.Cmd
	log       lockedBuffer
	ended     chan error
}

// lockedBuffer is what a process writes.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// start starts a worker, and waits until it serves.
func (w *world) start(name string, flags ...string) *process {
	w.t.Helper()
	p := &process{name: name, ended: make(chan error, 1)}
	p.cmd = exec.Command(os.Args[0], append(append([]string{"-name=" + name}, w.flags...), flags...)...)
	p.cmd.Env = append(os.Environ(), "WORKER_MAIN=1")
	p.cmd.Stderr = &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		w.t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	_, url, ok := strings.Cut(strings.TrimSpace(line), " serves ")
	if err != nil || !ok {
		p.kill()
		w.t.Fatalf("%s wrote %q, %v\n%s", name, line, err, &p.log)
	}
	p.url = strings.TrimSuffix(url, "/metrics")
	go func() {
		io.Copy(io.Discard, out)
		p.ended <- p.cmd.Wait()
	}()
	return p
}

// kill ends the process at once, if it still runs.
func (p *process) kill() { p.cmd.Process.Kill() }

// signal sends a signal to the process.
func (p *process) signal(t *testing.T, s os.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
}

// term tells the process to end.
func (p *process) term(t *testing.T) {
	t.Helper()
	p.signal(t, syscall.SIGTERM)
}

// wait waits until the process has ended, and returns its error.
func (p *process) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.ended:
		return err
	case <-time.After(patience):
		t.Fatalf("%s does not end\n%s", p.name, &p.log)
		return nil
	}
}

// get returns the status and the body of what the process serves.
func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	resp, err := http.Get(p.url + path)
	if err != nil {
		t.Fatalf("%v\n%s", err, &p.log)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// metric returns the line of a metric, without its name.
func (p *process) metric(t *testing.T, name string) string {
	t.Helper()
	_, body := p.get(t, "/metrics")
	for line := range strings.Lines(body) {
		if value, ok := strings.CutPrefix(line, "imagestreams_worker_"+name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// until waits for a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for !condition() {
		if !wait(ctx, 20*time.Millisecond) {
			t.Fatalf("it did not come about: %s", what)
		}
	}
}
