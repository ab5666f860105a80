package main

import (
	"context"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
)

// streamsFile makes a file with the stream shop/app, whose tag v1 is scheduled.
func (w *world) streamsFile(tags ...string) (path string) {
	w.t.Helper()
	path = filepath.Join(w.t.TempDir(), "streams.db")
	store, err := bolt.Open(w.t.Context(), path, bolt.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, tag := range tags {
		w.push("org/app", tag, tag)
	}
	w.create(store, "app", tags...)
	if err := store.Close(); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// opened opens the files of a worker that has ended.
func opened(t *testing.T, path string) *file {
	t.Helper()
	b, err := openFile(t.Context(), path, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.close() })
	return b.(*file)
}

// TestOneWorkerOnAFile kills a worker and tells it to end, in turns, and starts it again. It goes on where it ended:
// no tag is imported before its interval has passed, but for one that it did not live to finish.
func TestOneWorkerOnAFile(t *testing.T) {
	t.Parallel()
	const interval, lives, perLife = time.Second, 6, 6
	w := newWorld(t)
	tags := []string{"v0", "v1", "v2", "v3"}
	db := w.streamsFile(tags...)
	w.slow(50 * time.Millisecond)
	all := func() (n int) {
		for _, tag := range tags {
			n += len(w.requests("org/app:" + tag))
		}
		return n
	}
	killed := map[string]bool{}
	for life := range lives {
		name := string(rune('a' + life))
		p := w.start(name, "-store=bolt:"+db, "-interval="+interval.String())
		before := all()
		until(t, "tags are imported", func() bool { return all() >= before+perLife })
		if status, _ := p.get(t, "/healthz"); status != http.StatusOK {
			t.Errorf("healthz is %d", status)
		}
		if status, body := p.get(t, "/readyz"); status != http.StatusOK {
			t.Errorf("readyz is %d, %s", status, body)
		}
		if killed[name] = life%2 == 0; killed[name] {
			p.kill()
			_ = p.wait(t)
			continue
		}
		if got := p.metric(t, `answers_total{host="`+w.host+`",outcome="known"}`); got == "" || got == "0" {
			t.Errorf("%s known answers", got)
		}
		p.term(t)
		if err := p.wait(t); err != nil {
			t.Errorf("it ended with %v\n%s", err, &p.log)
		}
	}
	for _, tag := range tags {
		unfinished := map[string]int{}
		requests := w.requests("org/app:" + tag)
		for i := 1; i < len(requests); i++ {
			before, after := requests[i-1], requests[i]
			if after.at.Sub(before.at) >= interval*95/100 {
				continue
			}
			if unfinished[before.worker]++; before.worker == after.worker || !killed[before.worker] ||
				unfinished[before.worker] > 1 {
				t.Errorf("%s is asked for again by %s %v after %s", tag, after.worker, after.at.Sub(before.at), before.worker)
			}
		}
	}
	f := opened(t, db)
	places, err := f.places(t.Context())
	if err != nil || len(places) != 1 || len(f.get(places[0]).Tags) != len(tags) {
		t.Errorf("the records are of %v, %v", places, err)
	}
}

// TestDrain tells a worker to end while a registry does not answer. It is not ready any more, and ends when the import
// is done, or when the time is over.
func TestDrain(t *testing.T) {
	for name, tc := range map[string]struct {
		drain   string
		answers bool
	}{"done": {"1m", true}, "given back": {"1s", false}} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			db := w.streamsFile("v1")
			release, asked := make(chan struct{}), make(chan struct{}, 10)
			w.setDelay(func(r *http.Request, _ string) {
				asked <- struct{}{}
				select {
				case <-release:
				case <-r.Context().Done():
				}
			})
			p := w.start("worker", "-store=bolt:"+db, "-drain="+tc.drain)
			<-asked
			p.term(t)
			if tc.answers {
				until(t, "the worker is not ready", func() bool {
					status, body := p.get(t, "/readyz")
					return status == http.StatusServiceUnavailable && strings.Contains(body, "ending")
				})
				close(release)
			}
			if err := p.wait(t); err != nil {
				t.Errorf("it ended with %v\n%s", err, &p.log)
			}
			f := opened(t, db)
			stream, err := f.streams.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
			if err != nil {
				t.Fatal(err)
			}
			_, imported := stream.LatestEvent("v1")
			_, isRecorded := f.Recall(stream, "v1")
			if imported != tc.answers || isRecorded != tc.answers {
				t.Errorf("imported %v, recorded %v", imported, isRecorded)
			}
		})
	}
}

func TestSweep(t *testing.T) {
	w := newWorld(t)
	f := opened(t, w.streamsFile("v1"))
	testSweep(t, f)
}

// TestCommandLine has what is refused with status 2.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	for _, tc := range []struct{ args, says string }{
		{"", `-store "": want bolt:FILE or etcd:HOST:PORT[,HOST:PORT]`},
		{"-store=sqlite:x", `-store "sqlite:x"`},
		{"-store=bolt:", `-store "bolt:"`},
		{"-store=bolt:x y", `["y"]: only flags are wanted`},
		{"-store=bolt:x -interval=1ms", "-interval 1ms: want a second or more"},
		{"-store=bolt:x -lease=1500ms", "-lease 1.5s: want whole seconds"},
		{"-store=bolt:x -drain=-1s", "-drain -1s"},
		{"-store=bolt:x -per-host=0", "-per-host 0: want 1 or more"},
		{"-store=bolt:x -name=", "-name is empty"},
		{"-store=etcd:x -etcd-cert=x", "-etcd-cert and -etcd-key go together"},
		{"-store=bolt:x -etcd-user=x", "-etcd-user go with -store etcd:"},
		{"-store=bolt:x -nothing", "-nothing"},
	} {
		var out, errOut strings.Builder
		err := run(context.Background(), strings.Fields(tc.args), &out, &errOut)
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.HasPrefix(err.Error(), "usage: ") {
			t.Errorf("worker %s: %v, want %s", tc.args, err, tc.says)
		}
	}
	for _, args := range []string{
		"-store=bolt:" + dir + "/missing/x", "-store=bolt:" + dir + "/x -docker-config=" + dir + "/missing",
		"-store=bolt:" + dir + "/x -ca=" + dir + "/missing", "-store=etcd:x -etcd-ca=" + dir + "/missing",
		"-store=etcd:x -etcd-cert=" + dir + "/missing -etcd-key=" + dir + "/missing",
	} {
		var out, errOut strings.Builder
		err := run(context.Background(), strings.Fields(args), &out, &errOut)
		if err == nil || !strings.Contains(err.Error(), "missing") || strings.HasPrefix(err.Error(), "usage: ") {
			t.Errorf("worker %s: %v", args, err)
		}
	}
}
