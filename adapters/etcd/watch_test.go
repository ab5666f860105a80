package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

func compact(t *testing.T, client *clientv3.Client) {
	t.Helper()
	resp, err := client.Get(t.Context(), "x")
	if err == nil {
		_, err = client.Compact(t.Context(), resp.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil && !errors.Is(err, rpctypes.ErrCompacted) {
		t.Fatal(err)
	}
}

// TestCompaction has a list and watches that etcd no longer knows, and a list of one page that is overtaken.
func TestCompaction(t *testing.T) {
	client := connect(t, shared.Endpoints()...)
	kv := &counted{KV: client.KV}
	client.KV = kv
	s := etcd.New(client, etcd.Options{Prefix: newPrefix()})
	a := mustCreate(t, s, "a")
	first := a.Metadata.ResourceVersion
	for i := range 250 {
		mustCreate(t, s, fmt.Sprint("s", i))
	}
	page, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 2})
	if err != nil {
		t.Fatal(err)
	}
	if a, err = bump(t.Context(), s, a, 1); err != nil {
		t.Fatal(err)
	}
	compact(t, client)
	if _, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 2, Continue: page.Metadata.Continue}); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a list that is compacted goes on: %v", err)
	}
	if err := watchError(t.Context(), s, first); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from what is compacted: %v", err)
	}
	// Relist, and go on from there.
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if a, err = bump(t.Context(), s, a, 2); err != nil {
		t.Fatal(err)
	}
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: list.Metadata.ResourceVersion}) {
		if err != nil || !change.Object.Same(a) {
			t.Errorf("watched %+v, %v", change, err)
		}
		break
	}

	portions, overtaken := 0, 2
	kv.before = func() {
		if portions++; portions%2 == 0 && overtaken > 0 { // between two portions of the same list
			overtaken--
			if a, err = bump(context.Background(), s, a, portions); err != nil {
				t.Error(err)
			}
			before := kv.before
			kv.before = nil
			compact(t, client)
			kv.before = before
		}
	}
	if list, err = s.ListImageStreams(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) != 251 || overtaken != 0 {
		t.Errorf("a list that was overtaken twice: %d streams, %v, %d to come", len(list.Items), err, overtaken)
	}
	overtaken = 100
	if _, err = s.ListImageStreams(t.Context(), imagestream.ListOptions{}); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a list that is overtaken always: %v", err)
	}
}

// TestAhead begins a watch and a list at a version that the cluster does not have yet.
func TestAhead(t *testing.T) {
	s, _, _ := open(t)
	mustCreate(t, s, "a")
	if err := watchError(t.Context(), s, "999999999"); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from the future: %v", err)
	}
	page, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1, Continue: "999999999.eA"})
	if !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a list from elsewhere goes on: %+v, %v", page, err)
	}
}

// TestSlowReader has a watch whose reader takes nothing while more is written than the watch may hold.
func TestSlowReader(t *testing.T) {
	client := connect(t, shared.Endpoints()...)
	s := etcd.New(client, etcd.Options{Prefix: newPrefix(), Backlog: 10 << 10})
	a := mustCreate(t, s, "a")
	from := a.Metadata.ResourceVersion
	a, err := bump(t.Context(), s, a, "first")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, ended := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: from}) {
		if ended != nil {
			err = ended
			break
		}
		if seen++; seen == 1 {
			for n := range 1000 {
				if a, err = bump(t.Context(), s, a, n); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if !errors.Is(err, imagestream.ErrGone) || seen > 900 {
		t.Errorf("the watch reported %d changes and ended with %v", seen, err)
	}
}

// TestWatchOutlivesTheServer has a watch that goes on after the only member was killed and started again.
func TestWatchOutlivesTheServer(t *testing.T) {
	cluster := etcdserver.Start(t, 1)
	s := etcd.New(connect(t, cluster.Endpoints()...), etcd.Options{})
	a := mustCreate(t, s, "a")
	next := 0
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{}) {
		if err != nil || change.Object.Metadata.Annotations["n"] != fmt.Sprint(next) {
			t.Fatalf("watched %+v, %v where %d was due", change, err, next)
		}
		if next++; next == 4 {
			break
		}
		if next == 2 {
			cluster.Members[0].Kill()
			if err := cluster.Members[0].Restart(); err != nil {
				t.Fatal(err)
			}
		}
		for {
			updated, err := bump(t.Context(), s, a, next)
			if err == nil {
				a = updated
				break
			}
			if errors.Is(err, imagestream.ErrConflict) { // it was written, and the answer was lost
				t.Fatal(err)
			}
		}
	}
}

// TestClosedClient ends watches with an error.
func TestClosedClient(t *testing.T) {
	client, err := clientv3.New(clientv3.Config{Endpoints: shared.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	s := etcd.New(client, etcd.Options{Prefix: newPrefix()})
	mustCreate(t, s, "a")
	var wg sync.WaitGroup
	for _, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{}) {
		if err != nil {
			break
		}
		wg.Go(func() { client.Close() })
	}
	wg.Wait()
	for what, err := range map[string]error{
		"a watch": watchError(t.Context(), s, ""),
		"a list":  second(s.ListImageStreams(t.Context(), imagestream.ListOptions{})),
	} {
		if err == nil || strings.Contains(err.Error(), `""`) {
			t.Errorf("%s of a closed client: %v", what, err)
		}
	}
}
