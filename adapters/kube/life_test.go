package kube_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/kubeserver"
)

// every runs every method of a store, and calls check with what it returns.
func every(t *testing.T, s *kube.Store, check func(method string, err error)) {
	t.Helper()
	ctx := t.Context()
	stream := newStream("shop", "a")
	stream.Metadata.ResourceVersion = "5"
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1", ResourceVersion: "5"}}
	check("get", second(s.GetImageStream(ctx, stream.Key())))
	check("list", second(s.ListImageStreams(ctx, imagestream.ListOptions{})))
	check("watch", watchError(ctx, s, "5"))
	check("watch from the start", watchError(ctx, s, ""))
	check("update", second(s.UpdateImageStream(ctx, stream)))
	check("delete", s.DeleteImageStream(ctx, stream.Key(), imagestream.Preconditions{}))
	check("get image", second(s.GetImage(ctx, "sha256:1")))
	check("update image", second(s.UpdateImage(ctx, image)))
	check("create image", second(s.CreateImage(ctx, image)))
	stream.Metadata.ResourceVersion = ""
	check("create", second(s.CreateImageStream(ctx, stream)))
}

// TestDefinitions has a server without definitions, and then with those of another program: streams have a member
// more, images one less.
func TestDefinitions(t *testing.T) {
	t.Parallel()
	server := kubeserver.Start(t)
	s := connect(t, configOf(server))
	every(t, s, func(method string, err error) {
		if !errors.Is(err, kube.ErrDefinitions) || errors.Is(err, imagestream.ErrNotFound) {
			t.Errorf("%s without definitions: %v", method, err)
		}
	})
	const (
		known   = "              dockerImageRepository:\n"
		unknown = "              signing: {type: object, properties: {by: {type: string}}}\n"
	)
	other := bytes.Replace(kube.Definitions(), []byte(known), []byte(unknown+known), 1)
	const gone, instead = "          dockerImageConfig:\n", "          dockerImageSettings:\n"
	other = bytes.Replace(other, []byte(gone), []byte(instead), 1)
	if err := server.Define(other); err != nil {
		t.Fatal(err)
	}
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1"}, DockerImageConfig: "{}"}
	_, err := s.CreateImage(t.Context(), image)
	if !errors.Is(err, kube.ErrDefinitions) || !strings.Contains(err.Error(), "dockerImageConfig") {
		t.Errorf("a member that the cluster would drop: %v", err)
	}

	client := raw(t, configOf(server)).Resource(streams).Namespace("shop")
	newer := made("a")
	newer.Object["spec"] = map[string]any{"signing": map[string]any{"by": "me"}}
	created, err := client.Create(t.Context(), newer, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := imagestream.Key{Namespace: "shop", Name: "a"}
	for method, err := range map[string]error{
		"get":   second(s.GetImageStream(t.Context(), key)),
		"list":  second(s.ListImageStreams(t.Context(), imagestream.ListOptions{})),
		"watch": watchError(t.Context(), s, ""),
		"watch from before": watchError(t.Context(), s, func() string {
			list, err := client.List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			created.SetLabels(map[string]string{"n": "1"})
			if created, err = client.Update(t.Context(), created, metav1.UpdateOptions{}); err != nil {
				t.Fatal(err)
			}
			return list.GetResourceVersion()
		}()),
	} {
		if !errors.Is(err, kube.ErrFormat) || !strings.Contains(err.Error(), `"signing"`) ||
			!strings.Contains(err.Error(), "newer program") ||
			!strings.Contains(err.Error(), `"shop/a"`) {
			t.Errorf("%s: %v", method, err)
		}
	}
	now, err := client.Get(t.Context(), "a", metav1.GetOptions{})
	if err != nil || now.GetResourceVersion() != created.GetResourceVersion() {
		t.Errorf("it is %v now, %v", now, err)
	}
}

// TestDamaged has a text in a resource that the definitions let pass.
func TestDamaged(t *testing.T) {
	s := open(t)
	u := made("a")
	u.Object["objectMetadata"] = map[string]any{"more": "{"}
	client := raw(t, configOf(shared)).Resource(streams).Namespace("shop")
	if _, err := client.Create(t.Context(), u, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "a"})
	if !errors.Is(err, kube.ErrFormat) || !strings.Contains(err.Error(), "objectMetadata.more") {
		t.Errorf("a damaged text: %v", err)
	}
}

// TestRestart kills the server under a watch, and lets its etcd forget what was.
func TestRestart(t *testing.T) {
	t.Parallel()
	server := kubeserver.Start(t)
	if err := server.Define(kube.Definitions()); err != nil {
		t.Fatal(err)
	}
	s := connect(t, configOf(server))
	a := mustCreate(t, s, "a")
	first := a.Metadata.ResourceVersion
	mustCreate(t, s, "b")
	page, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 1})
	if err != nil {
		t.Fatal(err)
	}
	watch := func(next int) (int, error) {
		for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{Name: "a"}) {
			if err != nil {
				return next, err
			}
			if change.Type == imagestream.Bookmark {
				continue
			}
			if n := change.Object.Metadata.Annotations["n"]; n != fmt.Sprint(next) {
				t.Fatalf("watched %s where %d was due", n, next)
			}
			if next++; next == 6 {
				break
			}
			if next == 3 {
				server.Kill()
				_, err := s.GetImageStream(t.Context(), a.Key())
				if err == nil || errors.Is(err, imagestream.ErrNotFound) {
					t.Errorf("a server that is gone answers: %v", err)
				}
				if err := server.Restart(); err != nil {
					t.Fatal(err)
				}
			}
			if a, err = bump(t.Context(), s, a, next); err != nil {
				t.Fatal(err)
			}
		}
		return next, nil
	}
	next, err := watch(0)
	if errors.Is(err, imagestream.ErrGone) { // the server has begun after the change that the watch is due
		next, err = watch(next)
	}
	if err != nil || next != 6 {
		t.Fatalf("the watch ended at %d with %v", next, err)
	}
	got, err := s.GetImageStream(t.Context(), a.Key())
	if err != nil || !got.Same(a) {
		t.Errorf("after all: %+v, %v, want %+v", got, err, a)
	}

	if err := server.Compact(a.Metadata.ResourceVersion); err != nil {
		t.Fatal(err)
	}
	server.Kill() // which forgets what it kept of changes and lists
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := watchError(t.Context(), s, first); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from what is compacted: %v", err)
	}
	opts := imagestream.ListOptions{Limit: 1, Continue: page.Metadata.Continue}
	if _, err := s.ListImageStreams(t.Context(), opts); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a list that is compacted goes on: %v", err)
	}
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != 2 {
		t.Errorf("listed again: %+v, %v", list, err)
	}
}

// TestWatchGoesOn has a server that ends every watch after a second.
func TestWatchGoesOn(t *testing.T) {
	open(t)
	config := configOf(shared)
	var watches atomic.Int64
	ended := make(chan bool, 100)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			if query := req.URL.Query(); query.Get("watch") != "" {
				query.Set("timeoutSeconds", "1")
				req = req.Clone(req.Context())
				req.URL.RawQuery = query.Encode()
				watches.Add(1)
				ended <- true
			}
			return next.RoundTrip(req)
		})
	})
	s := connect(t, config)
	a := mustCreate(t, s, "a")
	from := a.Metadata.ResourceVersion
	var writer sync.WaitGroup
	writer.Go(func() {
		for n := range 4 { // one while each watch runs
			<-ended
			var err error
			if a, err = bump(t.Context(), s, a, n+1); err != nil {
				t.Error(err)
			}
		}
	})
	next := 1
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: from}) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Type == imagestream.Bookmark {
			continue
		}
		if n := change.Object.Metadata.Annotations["n"]; n != fmt.Sprint(next) {
			t.Fatalf("watched %s where %d was due", n, next)
		}
		if next++; next == 5 {
			break
		}
	}
	writer.Wait()
	if watches.Load() < 4 {
		t.Errorf("there were %d watches", watches.Load())
	}
}

// TestAhead has watches from versions that the cluster does not have, or no longer after it was restored from a
// backup.
func TestAhead(t *testing.T) {
	open(t)
	restored := false
	var ours counted
	config := ours.config(shared)
	version := regexp.MustCompile(`"resourceVersion":"[0-9]+"`)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			if restored && req.URL.Query().Get("watch") != "" {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			resp, err := next.RoundTrip(req)
			if err != nil || !restored {
				return resp, err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(version.ReplaceAll(text, []byte(`"resourceVersion":"7"`))))
			return resp, err
		})
	})
	s := connect(t, config)
	a := mustCreate(t, s, "a")
	if err := watchError(t.Context(), s, "999999999"); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from the future: %v", err)
	}
	b, err := bump(t.Context(), connect(t, configOf(shared)), a, 1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = bump(t.Context(), connect(t, configOf(shared)), b, 2); err != nil {
		t.Fatal(err)
	}
	ours.take()
	opts := imagestream.WatchOptions{ResourceVersion: b.Metadata.ResourceVersion} // which s has not seen
	for change, err := range s.WatchImageStreams(t.Context(), opts) {
		if err != nil || change.Object.Metadata.Annotations["n"] != "2" {
			t.Errorf("watched %+v, %v", change, err)
		}
		break
	}
	if got := ours.take(); got != "[GET GET]" {
		t.Errorf("a watch from a version of another store takes %s", got)
	}
	restored = true
	s.Hasten()
	if err := watchError(t.Context(), s, b.Metadata.ResourceVersion); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch that a restored cluster interrupts: %v", err)
	}
}

// TestAheadAgain begins a watch from a version that the store has seen, after a list that shows that the cluster has
// not: it was restored in between.
func TestAheadAgain(t *testing.T) {
	open(t)
	const lost = "999999999"
	config := configOf(shared)
	restored := false
	version := regexp.MustCompile(`"resourceVersion":"[0-9]+"`)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			resp, err := next.RoundTrip(req)
			if err != nil || restored {
				return resp, err
			}
			defer resp.Body.Close()
			text, err := io.ReadAll(resp.Body)
			resp.Body = io.NopCloser(bytes.NewReader(version.ReplaceAll(text, []byte(`"resourceVersion":"`+lost+`"`))))
			return resp, err
		})
	})
	s := connect(t, config)
	list := func() string {
		t.Helper()
		l, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return l.Metadata.ResourceVersion
	}
	if got := list(); got != lost {
		t.Fatalf("the list is of %s", got)
	}
	restored = true
	if got := list(); got == lost {
		t.Fatalf("the list of the restored cluster is of %s", got)
	}
	if err := watchError(t.Context(), s, lost); !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch from a version that is lost: %v", err)
	}
}

// TestOutOfReach ends a watch whose cluster stays away.
func TestOutOfReach(t *testing.T) {
	open(t)
	config := configOf(shared)
	away := false
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			if away {
				return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
			}
			return next.RoundTrip(req)
		})
	})
	s := connect(t, config)
	s.Hasten()
	mustCreate(t, s, "a")
	away = true
	if err := watchError(t.Context(), s, "5"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("the watch ended with %v", err)
	}
}

// TestAServerThatIsSlow has lists that take longer than rest.Config.Timeout allows: the watch goes on.
func TestAServerThatIsSlow(t *testing.T) {
	open(t)
	config := configOf(shared)
	slow := 3 // lists
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			if slow > 0 {
				slow--
				return nil, context.DeadlineExceeded // http.Client.Timeout is of this class
			}
			return next.RoundTrip(req)
		})
	})
	other := connect(t, configOf(shared))
	a := mustCreate(t, other, "a")
	if _, err := bump(t.Context(), other, a, 1); err != nil {
		t.Fatal(err)
	}
	s := connect(t, config) // which has not seen that version, and asks for the cluster's first
	s.Hasten()
	from := imagestream.WatchOptions{ResourceVersion: a.Metadata.ResourceVersion}
	for change, err := range s.WatchImageStreams(t.Context(), from) {
		if err != nil || change.Object.Metadata.Annotations["n"] != "1" {
			t.Errorf("watched %+v, %v", change, err)
		}
		break
	}
	if slow > 0 {
		t.Error("no list was slow")
	}
}
