package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// member is a worker in this process.
func member(t *testing.T, server *etcdserver.Cluster, name string) *cluster {
	t.Helper()
	c, err := openEtcd(t.Context(), server.Endpoints(), etcdOptions{lease: time.Minute}, name, "", func(err error) {
		t.Errorf("%s: %v", name, err)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.close() })
	return c
}

func streamOf(name string) (*imagestream.ImageStream, schedule.Turn) {
	s := &imagestream.ImageStream{}
	s.Metadata.Namespace, s.Metadata.Name, s.Metadata.UID = "shop", name, "1"
	s.Spec.Tags = []imagestream.TagReference{{Name: "v1"}, {Name: "v2"}}
	return s, schedule.Turn{Stream: s.Key(), Host: "quay.io", Tags: []string{"v1", "v2"}}
}

// transactions returns how many transactions a server has had.
func transactions(t *testing.T, server *etcdserver.Cluster) (n int) {
	t.Helper()
	resp, err := http.Get("http://" + server.Members[0].Endpoint + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		if strings.HasPrefix(line, "grpc_server_started_total{") && strings.Contains(line, `grpc_method="Txn"`) {
			if _, err := fmt.Sscan(line[strings.LastIndex(line, " "):], &n); err != nil {
				t.Fatal(err)
			}
		}
	}
	return n
}

// TestClaims has two workers that ask for the same turn, one after the other.
func TestClaims(t *testing.T) {
	server := etcdserver.Start(t, 1)
	a, b := member(t, server, "a"), member(t, server, "b")
	claim := func(c *cluster, name string) *schedule.Claim {
		t.Helper()
		stream, turn := streamOf(name)
		got, err := c.Claim(t.Context(), stream, turn)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Tags)+len(got.Others) != len(turn.Tags) {
			t.Fatalf("%s: %+v", name, got)
		}
		return got
	}
	mine := func(what string, got *schedule.Claim) *schedule.Claim {
		t.Helper()
		if len(got.Tags) != 2 {
			t.Fatalf("%s: got %v, others %v", what, got.Tags, got.Others)
		}
		return got
	}
	isHeld := func(what string, got *schedule.Claim) {
		t.Helper()
		again := time.Until(got.Others["v1"].Due)
		if len(got.Tags) > 0 || again <= 0 || again > a.leases.length/3 {
			t.Errorf("%s: got %v, others %v", what, got.Tags, got.Others)
		}
	}
	due := time.Now().Add(time.Hour).Round(0).UTC()
	states := map[string]schedule.TagState{"v1": {Generation: 1, Due: due, Turns: 1}, "v2": {Generation: 1, Due: due}}

	before := transactions(t, server)
	held := mine("free", claim(a, "app"))
	isHeld("held by another", claim(b, "app"))
	isHeld("held by itself", claim(a, "app"))
	if err := held.Finish(nil); err != nil || held.Context.Err() == nil {
		t.Errorf("give back: %v, %v", err, held.Context.Err())
	}
	held = mine("given back", claim(b, "app"))
	if err := held.Finish(states); err != nil {
		t.Error(err)
	}
	claim(b, "app") // which is not due
	if n := transactions(t, server) - before; n != 5 {
		t.Errorf("%d transactions for a turn that is claimed and ended, twice, and one that is held, want 5", n)
	}
	if err := held.Finish(states); err != nil {
		t.Errorf("again, as if the answer were lost: %v", err)
	}
	if got := claim(a, "app"); len(got.Tags) > 0 || !maps.Equal(got.Others, states) {
		t.Errorf("imported by another: %v, %v", got.Tags, got.Others)
	}
	stream, _ := streamOf("app")
	if got, ok := member(t, server, "c").Recall(stream, "v1"); !ok || got != states["v1"] {
		t.Errorf("a new worker recalls %v", got)
	}

	_, orphan := streamOf("orphan")
	key := claimsPrefix + placeOf(orphan).key()
	if _, err := a.client.Put(t.Context(), key, "a", clientv3.WithLease(a.leases.now.id)); err != nil {
		t.Fatal(err)
	}
	isHeld("an orphan of another", claim(b, "orphan"))
	mine("a claim of which it has not heard", claim(a, "orphan"))

	ending, end := context.WithCancel(t.Context())
	done := make(chan struct{})
	lost := mine("free", claim(a, "lost"))
	go func() { defer close(done); a.keep(ending) }()
	end()
	<-done
	if err := lost.Finish(states); err == nil || !errors.Is(context.Cause(lost.Context), context.Canceled) {
		t.Errorf("finished without a lease: %v, %v", err, context.Cause(lost.Context))
	}
	if err := mine("of a worker that has ended", claim(b, "lost")).Finish(states); err != nil {
		t.Error(err)
	}
	other := schedule.Turn{Stream: stream.Key(), Host: "ghcr.io", Tags: []string{"v1"}}
	if _, err := a.Claim(t.Context(), stream, other); err == nil {
		t.Error("a worker without a lease claims")
	}
}

// TestALateWriteIsRefused takes a claim away between the read and the write of a stream.
func TestALateWriteIsRefused(t *testing.T) {
	server := etcdserver.Start(t, 1)
	c := member(t, server, "a")
	w := newWorld(t)
	w.create(c.store(), "app", "v1")
	stream, err := c.store().GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	turn := schedule.Turn{Stream: stream.Key(), Host: "quay.io", Tags: []string{"v1"}}
	claim, err := c.Claim(t.Context(), stream, turn)
	if err != nil {
		t.Fatal(err)
	}
	if stream, err = c.store().UpdateImageStream(claim.Context, stream); err != nil {
		t.Errorf("with the claim: %v", err)
	}
	key := claimsPrefix + placeOf(turn).key()
	if _, err := c.client.Delete(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Put(t.Context(), key, "b"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.store().UpdateImageStream(claim.Context, stream); !errors.Is(err, errLost) {
		t.Errorf("the claim is another's: %v", err)
	}
	if !errors.Is(context.Cause(claim.Context), errLost) {
		t.Errorf("the import goes on: %v", context.Cause(claim.Context))
	}
	if err := claim.Finish(map[string]schedule.TagState{"v1": {}}); !errors.Is(err, errLost) {
		t.Errorf("recorded without a claim: %v", err)
	}
	testSweep(t, c)
}

// testSweep writes a record of a stream that is there and one of a stream that is not, and sweeps.
func testSweep(t *testing.T, b backend) {
	t.Helper()
	record := func(name string) {
		t.Helper()
		stream, turn := streamOf(name)
		turn.Host = "ghcr.io"
		claim, err := b.Claim(t.Context(), stream, turn)
		if err == nil {
			err = claim.Finish(map[string]schedule.TagState{"v1": {Turns: 1, Due: time.Now()}})
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	record("app")
	record("gone")
	if err := sweep(t.Context(), b, "shop"); err != nil {
		t.Error(err)
	}
	places, err := b.places(t.Context())
	if err != nil || len(places) != 1 || places[0].stream.Name != "app" {
		t.Errorf("records are left of %v, %v", places, err)
	}
	gone, _ := streamOf("gone")
	if _, ok := b.Recall(gone, "v1"); ok {
		t.Error("it is recalled")
	}
	record("app")
	if err := b.forget(t.Context(), places[0]); err != nil {
		t.Error(err)
	}
	if places, err = b.places(t.Context()); err != nil || len(places) != 1 {
		t.Errorf("a record that has changed was forgotten: %v, %v", places, err)
	}
}

// holding is a registry that holds back answers to one worker.
type holding struct {
	asked, ended chan struct{}
	release      chan struct{}
}

// hold holds back answers to a worker until they are released, or nobody waits for them.
func (w *world) hold(name string) *holding {
	h := &holding{make(chan struct{}, 100), make(chan struct{}, 100), make(chan struct{})}
	w.setDelay(func(r *http.Request, worker string) {
		if worker != name {
			return
		}
		h.asked <- struct{}{}
		select {
		case <-h.release:
		case <-r.Context().Done():
			h.ended <- struct{}{}
		}
	})
	return h
}

func await(t *testing.T, what string, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("it did not come about: %s", what)
	}
}

// TestCutOff cuts a worker off from etcd while a registry does not answer. It ends the import before another worker may
// begin it, is not ready, and goes on when it reaches etcd again.
func TestCutOff(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), etcdserver.Start(t, 3)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{server.Members[1].Endpoint}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := etcd.New(client, etcd.Options{})
	w.push("org/app", "v1", "one")
	w.create(store, "app", "v1")
	h := w.hold("a")
	a := w.start("a", "-store=etcd:"+server.Members[0].Endpoint, "-lease=5s")
	await(t, "the import begins", h.asked)
	b := w.start("b", "-store=etcd:"+server.Members[1].Endpoint, "-lease=5s")
	server.Members[0].Cut()
	until(t, "the other worker imports", func() bool { return latest(t, store, "app:v1") != "" })
	select {
	case <-h.ended:
	default:
		t.Error("the other worker began before the import of the first one had ended")
	}
	if status, body := a.get(t, "/readyz"); status != http.StatusServiceUnavailable || !strings.Contains(body, "lease") {
		t.Errorf("readyz is %d, %s", status, body)
	}
	server.Members[0].Mend()
	until(t, "the worker is ready again", func() bool { status, _ := a.get(t, "/readyz"); return status == http.StatusOK })
	for _, p := range []*process{a, b} {
		p.term(t)
		if err := p.wait(t); err != nil {
			t.Errorf("%s ended with %v\n%s", p.name, err, &p.log)
		}
	}
	if n := len(w.requests("org/app:v1")); n != 2 {
		t.Errorf("%d requests, want that of the first worker and that of the second one", n)
	}
}

// TestStopped stops a worker's process while it imports, as a machine does that hangs. Another worker imports a newer
// image. When the first one goes on, the answer that it has waited for is not written.
func TestStopped(t *testing.T) {
	t.Parallel()
	w, server := newWorld(t), etcdserver.Start(t, 1)
	client, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := etcd.New(client, etcd.Options{})
	w.push("org/app", "v1", "one")
	w.create(store, "app", "v1")
	h := w.hold("a")
	flags := []string{"-store=etcd:" + server.Members[0].Endpoint, "-lease=2s"}
	a := w.start("a", flags...)
	await(t, "the import begins", h.asked)
	a.signal(t, syscall.SIGSTOP)
	two := w.push("org/app", "v1", "two")
	b := w.start("b", flags...)
	until(t, "the other worker imports", func() bool { return latest(t, store, "app:v1") == two })
	close(h.release)
	a.signal(t, syscall.SIGCONT)
	until(t, "the turn is given back", func() bool { return a.metric(t, `records_total{outcome="given_back"}`) == "1" })
	until(t, "the worker is ready again", func() bool { status, _ := a.get(t, "/readyz"); return status == http.StatusOK })
	for _, p := range []*process{a, b} {
		p.term(t)
		if err := p.wait(t); err != nil {
			t.Errorf("%s ended with %v\n%s", p.name, err, &p.log)
		}
	}
	s, tag := streamTag(t, store, "app:v1")
	if history, _ := s.History(tag); len(history.Items) != 1 || history.Items[0].Image != two {
		t.Errorf("the history is %v", history.Items)
	}
}
