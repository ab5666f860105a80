package kube_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubewatch "k8s.io/apimachinery/pkg/watch"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// TestRequests holds that each operation takes as many requests as the raw client's, which answers in the same run.
func TestRequests(t *testing.T) {
	open(t)
	var ours, theirs counted
	s, client := connect(t, ours.config(shared)), raw(t, theirs.config(shared)).Resource(streams).Namespace("shop")
	step := func(what string, err, rawErr error) {
		t.Helper()
		if got, want := ours.take(), theirs.take(); got != want || err != nil || rawErr != nil {
			t.Errorf("%s takes %s, %v; the raw client %s, %v", what, got, err, want, rawErr)
		}
	}
	ctx := t.Context()
	a, err := s.CreateImageStream(ctx, newStream("shop", "a"))
	b, rawErr := client.Create(ctx, made("b"), metav1.CreateOptions{})
	step("create", err, rawErr)
	step("get", second(s.GetImageStream(ctx, a.Key())), second(client.Get(ctx, "a", metav1.GetOptions{})))
	a, err = bump(ctx, s, a, 1)
	b.SetLabels(map[string]string{"n": "1"})
	step("update", err, second(client.Update(ctx, b, metav1.UpdateOptions{})))
	old := a.Clone()
	old.Metadata.ResourceVersion = "1"
	b.SetResourceVersion("1")
	_, err = s.UpdateImageStream(ctx, old)
	_, rawErr = client.Update(ctx, b, metav1.UpdateOptions{})
	if !errors.Is(err, imagestream.ErrConflict) || rawErr == nil {
		t.Errorf("an old version: %v, %v", err, rawErr)
	}
	step("a conflict", nil, nil)
	old.Metadata.ResourceVersion = ""
	if _, err = s.UpdateImageStream(ctx, old); !errors.Is(err, imagestream.ErrConflict) {
		t.Errorf("no version: %v", err)
	}
	if got := ours.take(); got != "[GET]" {
		t.Errorf("an update without a version takes %s", got)
	}
	step("list", second(s.ListImageStreams(ctx, imagestream.ListOptions{Namespace: "shop"})),
		second(client.List(ctx, metav1.ListOptions{})))
	page, err := s.ListImageStreams(ctx, imagestream.ListOptions{Namespace: "shop", Limit: 1})
	rawPage, rawErr := client.List(ctx, metav1.ListOptions{Limit: 1})
	step("a page", err, rawErr)
	opts := imagestream.ListOptions{Namespace: "shop", Limit: 1, Continue: page.Metadata.Continue}
	step("the next page", second(s.ListImageStreams(ctx, opts)),
		second(client.List(ctx, metav1.ListOptions{Limit: 1, Continue: rawPage.GetContinue()})))
	for _, err = range s.WatchImageStreams(ctx, imagestream.WatchOptions{Namespace: "shop"}) {
		break
	}
	step("a watch that shows what is there", err, second(client.List(ctx, metav1.ListOptions{})))
	list, err := client.List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	theirs.take()
	watch, rawErr := client.Watch(ctx, metav1.ListOptions{ResourceVersion: list.GetResourceVersion()})
	if rawErr != nil {
		t.Fatal(rawErr)
	}
	if _, err = bump(ctx, s, a, 2); err != nil {
		t.Fatal(err)
	}
	ours.take()
	if event := <-watch.ResultChan(); event.Type != kubewatch.Modified {
		t.Errorf("the raw client watched %v", event)
	}
	watch.Stop()
	from := imagestream.WatchOptions{Namespace: "shop", ResourceVersion: list.GetResourceVersion()}
	for _, err = range s.WatchImageStreams(ctx, from) {
		break
	}
	step("a watch from a version", err, nil)
	only := imagestream.Preconditions{UID: a.Metadata.UID}
	uid := b.GetUID()
	step("delete", s.DeleteImageStream(ctx, a.Key(), only),
		client.Delete(ctx, "b", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}))
}

// TestLargeList reads portions, all of one state, and orders what it has read.
func TestLargeList(t *testing.T) {
	open(t)
	var ours counted
	s := connect(t, ours.config(shared))
	const n = 620
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				namespace, name := "a", fmt.Sprintf("s%03d", i)
				if i%2 == 0 {
					namespace = "a-b"
				}
				if i%3 == 0 {
					name = "s_" + name
				}
				if _, err := s.CreateImageStream(t.Context(), newStream(namespace, name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	ours.take()
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != n {
		t.Fatalf("%d of %d streams, %v", len(list.Items), n, err)
	}
	for i := 1; i < n; i++ {
		if list.Items[i-1].Key().Compare(list.Items[i].Key()) >= 0 {
			t.Fatalf("%s comes before %s", list.Items[i-1].Key(), list.Items[i].Key())
		}
	}
	if got := ours.take(); got != "[GET GET]" {
		t.Errorf("a list of %d takes %s", n, got)
	}
	all := map[imagestream.Key]bool{}
	for stream, err := range imagestream.All(t.Context(), s.ListImageStreams, imagestream.ListOptions{Limit: 100}) {
		if err != nil {
			t.Fatal(err)
		}
		all[stream.Key()] = true
	}
	if got := ours.take(); len(all) != n || got != "[GET GET GET GET GET GET GET]" {
		t.Errorf("pages of 100 have %d streams, by %s", len(all), got)
	}
	seen := 0
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{}) {
		if err != nil || change.Type != imagestream.Added {
			t.Fatalf("watched %+v, %v", change, err)
		}
		if seen++; seen == n {
			break
		}
	}
}

// TestNoHalfUpdate has writers that change spec and status at once, and readers of every kind.
func TestNoHalfUpdate(t *testing.T) {
	s := open(t)
	created := mustCreate(t, s, "a")
	const writers, each = 4, 25
	check := func(o *imagestream.ImageStream) int64 {
		n := o.Metadata.Generation
		if n == 0 {
			return 0
		}
		mark := fmt.Sprint(n)
		if o.Spec.Tags[0].Name != mark || o.Status.Tags[0].Tag != mark || o.Metadata.Annotations["n"] != mark {
			t.Errorf("generation %d has %+v, %+v and %v", n, o.Spec.Tags, o.Status.Tags, o.Metadata.Annotations)
		}
		return n
	}
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < each; {
				next, err := s.GetImageStream(t.Context(), created.Key())
				if err != nil {
					t.Error(err)
					return
				}
				check(next)
				next.Metadata.Generation++
				mark := fmt.Sprint(next.Metadata.Generation)
				next.Metadata.Annotations["n"] = mark
				next.Spec.Tags = []imagestream.TagReference{{Name: mark}}
				next.Status.Tags = []tagevent.History{{Tag: mark}}
				switch _, err := s.UpdateImageStream(t.Context(), next); {
				case err == nil:
					done++
				case !errors.Is(err, imagestream.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	due := int64(1)
	from := imagestream.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}
	for change, err := range s.WatchImageStreams(t.Context(), from) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Type == imagestream.Bookmark {
			continue
		}
		if n := check(change.Object); n != due {
			t.Fatalf("watched generation %d where %d was due", n, due)
		}
		if due++; due > writers*each {
			break
		}
	}
	wg.Wait()
}

// TestTooLarge sends more than etcd takes, and more than the API server.
func TestTooLarge(t *testing.T) {
	s := open(t)
	a := mustCreate(t, s, "a")
	for _, size := range []int{1600 << 10, 2100 << 10, 3200 << 10} {
		large := newStream("shop", "large")
		large.Spec.Tags = []imagestream.TagReference{
			{Name: "v1", Annotations: map[string]string{"n": strings.Repeat("x", size)}},
		}
		_, err := s.CreateImageStream(t.Context(), large)
		if !errors.Is(err, imagestream.ErrTooLarge) || !strings.Contains(err.Error(), "1.5 MiB") ||
			len(err.Error()) > 1000 {
			t.Errorf("create of %d bytes: %.1000v", size, err)
		}
		next := a.Clone()
		next.Spec = large.Spec
		if _, err := s.UpdateImageStream(t.Context(), next); !errors.Is(err, imagestream.ErrTooLarge) {
			t.Errorf("update to %d bytes: %.1000v", size, err)
		}
	}
	noted := newStream("shop", "noted")
	noted.Metadata.Annotations["n"] = strings.Repeat("x", 300<<10)
	if _, err := s.CreateImageStream(t.Context(), noted); !errors.Is(err, imagestream.ErrInvalid) ||
		!strings.Contains(err.Error(), "metadata.annotations") {
		t.Errorf("annotations of 300 KiB: %.1000v", err)
	}
	if got, err := s.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
		t.Errorf("after all: %+v, %v", got, err)
	}
}

// TestBadArguments are refused with words, and reach no cluster.
func TestBadArguments(t *testing.T) {
	var ours counted
	s := connect(t, ours.config(shared))
	ctx := t.Context()
	alien := newStream("shop", "a")
	alien.APIVersion = "image.openshift.io/v2"
	const invalid, bad, missing = imagestream.ReasonInvalid, imagestream.ReasonBadRequest, imagestream.ReasonNotFound
	up, elsewhere := imagestream.Key{Namespace: "shop", Name: "../a"}, imagestream.ListOptions{Namespace: "a/b"}
	for _, tc := range []struct {
		name   string
		err    error
		reason imagestream.StatusReason
		says   string
	}{
		{"create in capitals", second(s.CreateImageStream(ctx, newStream("shop", "App"))), invalid, `"App"`},
		{"create elsewhere", second(s.CreateImageStream(ctx, newStream("a/b", "app"))), invalid, `metadata.namespace: "a/b"`},
		{"create nowhere", second(s.CreateImageStream(ctx, newStream("", "app"))), invalid, "metadata.namespace"},
		{"create of another API version", second(s.CreateImageStream(ctx, alien)), bad, "image.openshift.io/v2"},
		{"get", second(s.GetImageStream(ctx, up)), missing, "../a"},
		{"get an image", second(s.GetImage(ctx, "sha256:ABC")), missing, "sha256:ABC"},
		{"update", second(s.UpdateImageStream(ctx, newStream("shop", "App"))), missing, "App"},
		{"delete", s.DeleteImage(ctx, "sha256:ABC", imagestream.Preconditions{}), missing, "sha256:ABC"},
		{"list", second(s.ListImageStreams(ctx, elsewhere)), invalid, `"" is invalid in namespace "a/b"`},
		{"watch from a version that is none", watchError(ctx, s, "x"), bad, `"x"`},
		{"watch from any version", watchError(ctx, s, "0"), imagestream.ReasonExpired, "0"},
	} {
		var status *imagestream.StatusError
		if !errors.As(tc.err, &status) || status.Reason != tc.reason || !strings.Contains(tc.err.Error(), tc.says) {
			t.Errorf("%s: %v, want %s and %q", tc.name, tc.err, tc.reason, tc.says)
		}
	}
	for _, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{Namespace: "shop", Name: "App"}) {
		if !errors.Is(err, imagestream.ErrInvalid) {
			t.Errorf("watch of a name that cannot be there: %v", err)
		}
	}
	if got := ours.take(); got != "[]" {
		t.Errorf("the cluster was asked: %s", got)
	}
}
