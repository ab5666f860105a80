package etcd_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

func TestStore(t *testing.T) {
	client := connect(t, shared.Endpoints()...)
	storetest.Run(t, func(t *testing.T) imagestream.Store { return etcd.New(client, etcd.Options{Prefix: newPrefix()}) })
}

// TestRequests holds how many requests each operation takes.
func TestRequests(t *testing.T) {
	client := connect(t, shared.Endpoints()...)
	kv := &counted{KV: client.KV}
	client.KV = kv
	prefix := newPrefix()
	s := etcd.New(client, etcd.Options{Prefix: prefix})
	a := mustCreate(t, s, "a")
	step := func(what, want string, err error) {
		t.Helper()
		if got := kv.take(); got != want || err != nil {
			t.Errorf("%s takes %s, %v, want %s", what, got, err, want)
		}
	}
	step("create", "0 get, 1 txn, 0 delete", nil)
	step("get", "1 get, 0 txn, 0 delete", second(s.GetImageStream(t.Context(), a.Key())))
	a, err := bump(t.Context(), s, a, 1)
	step("update", "0 get, 1 txn, 0 delete", err)
	a.Metadata.UID = ""
	a, err = bump(t.Context(), s, a, 2)
	step("update without a uid", "0 get, 2 txn, 0 delete", err)

	// Written by others, in another order: found, and updated by a second transaction.
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	put, err := client.Put(t.Context(), prefix+"imagestreams/shop\x00a", string(text))
	if err != nil {
		t.Fatal(err)
	}
	a.Metadata.ResourceVersion = strconv.FormatInt(put.Header.Revision, 10)
	a, err = bump(t.Context(), s, a, 3)
	step("update of a value in another order", "0 get, 2 txn, 0 delete", err)
	a, err = bump(t.Context(), s, a, 4)
	step("update after that", "0 get, 1 txn, 0 delete", err)

	only := imagestream.Preconditions{UID: a.Metadata.UID, ResourceVersion: a.Metadata.ResourceVersion}
	step("delete with preconditions", "0 get, 1 txn, 0 delete", s.DeleteImageStream(t.Context(), a.Key(), only))
	b := mustCreate(t, s, "b")
	kv.take()
	step("delete", "0 get, 0 txn, 1 delete", s.DeleteImageStream(t.Context(), b.Key(), imagestream.Preconditions{}))
}

// TestLayout holds the keys and the values.
func TestLayout(t *testing.T) {
	s, prefix, client := open(t)
	a := mustCreate(t, s, "a")
	resp, err := client.Get(t.Context(), prefix+"imagestreams/shop\x00a")
	if err != nil || len(resp.Kvs) != 1 {
		t.Fatalf("%v, %v", resp, err)
	}
	begin := `{"metadata":{"uid":"` + a.Metadata.UID + `","name":"a"`
	if value := string(resp.Kvs[0].Value); !strings.HasPrefix(value, begin) || strings.Contains(value, "resourceVersion") {
		t.Errorf("the value is %s, want it to begin with %s", value, begin)
	}
	if _, err := s.CreateImage(t.Context(), &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1", Namespace: "ignored"}}); err != nil {
		t.Fatal(err)
	}
	if resp, err = client.Get(t.Context(), prefix+"images/sha256:1"); err != nil || len(resp.Kvs) != 1 {
		t.Errorf("the image is not under its key: %v, %v", resp, err)
	}
	other := etcd.New(client, etcd.Options{Prefix: strings.TrimSuffix(prefix, "/")})
	if _, err := other.GetImageStream(t.Context(), a.Key()); err != nil {
		t.Errorf("a prefix without its slash: %v", err)
	}
}

func TestBadArguments(t *testing.T) {
	s, _, _ := open(t)
	zero := newStream("shop", "a\x00b")
	alien := newStream("shop", "a")
	alien.APIVersion = "image.openshift.io/v2"
	for name, err := range map[string]error{
		"create with a zero byte":          second(s.CreateImageStream(t.Context(), zero)),
		"get with a zero byte":             second(s.GetImageStream(t.Context(), zero.Key())),
		"update with a zero byte":          second(s.UpdateImageStream(t.Context(), zero)),
		"delete with a zero byte":          s.DeleteImageStream(t.Context(), zero.Key(), imagestream.Preconditions{}),
		"create of another API version":    second(s.CreateImageStream(t.Context(), alien)),
		"watch from a version that is not": watchError(t.Context(), s, "x"),
	} {
		var status *imagestream.StatusError
		if !errors.As(err, &status) || status.Reason != imagestream.ReasonBadRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
	if list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Errorf("something was written: %+v, %v", list, err)
	}
}

// TestValuesOfOthers are refused with words, whoever meets them, and stay as they are.
func TestValuesOfOthers(t *testing.T) {
	for name, tc := range map[string]struct{ value, says string }{
		"new member":      {`{"metadata":{"uid":"u","name":"a","namespace":"shop"},"spec":{"signing":{"by":"me"}}}`, `"signing"`},
		"new API version": {`{"apiVersion":"image.openshift.io/v2","metadata":{"uid":"u","name":"a","namespace":"shop"}}`, "newer program"},
		"damaged":         {`{"metadata":{"uid":"u","name":`, "damaged"},
		"elsewhere":       {`{"metadata":{"uid":"u","name":"b","namespace":"shop"}}`, "shop/b"},
	} {
		t.Run(name, func(t *testing.T) {
			s, prefix, client := open(t)
			key := prefix + "imagestreams/shop\x00a"
			put, err := client.Put(t.Context(), key, tc.value)
			if err != nil {
				t.Fatal(err)
			}
			revision := put.Header.Revision
			stream := newStream("shop", "a")
			stream.Metadata.ResourceVersion = strconv.FormatInt(revision, 10)
			for op, err := range map[string]error{
				"get":    second(s.GetImageStream(t.Context(), stream.Key())),
				"list":   second(s.ListImageStreams(t.Context(), imagestream.ListOptions{})),
				"watch":  watchError(t.Context(), s, strconv.FormatInt(revision-1, 10)),
				"update": second(s.UpdateImageStream(t.Context(), stream)),
				"delete": s.DeleteImageStream(t.Context(), stream.Key(), imagestream.Preconditions{ResourceVersion: stream.Metadata.ResourceVersion}),
			} {
				if !errors.Is(err, etcd.ErrFormat) || !strings.Contains(err.Error(), tc.says) {
					t.Errorf("%s: %v, want %q in it", op, err, tc.says)
				}
			}
			resp, err := client.Get(t.Context(), key)
			if err != nil || string(resp.Kvs[0].Value) != tc.value {
				t.Errorf("the value is %s now, %v", resp.Kvs[0].Value, err)
			}
		})
	}
	// What metadata has beyond our members is kept.
	s, prefix, client := open(t)
	if _, err := client.Put(t.Context(), prefix+"imagestreams/shop\x00a", `{"metadata":{"name":"a","namespace":"shop","annotations":{},"new":{"x":1}}}`+"\n"); err != nil {
		t.Fatal(err)
	}
	stream, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "a"})
	if err == nil {
		stream, err = bump(t.Context(), s, stream, 1)
	}
	if err != nil || string(stream.Metadata.Unknown["new"]) != `{"x":1}` {
		t.Errorf("%+v, %v", stream, err)
	}
}

// TestNamedValueOfOthers is written by whoever names its uid and version: the value itself is not looked at.
func TestNamedValueOfOthers(t *testing.T) {
	s, prefix, client := open(t)
	put, err := client.Put(t.Context(), prefix+"imagestreams/shop\x00a", `{"metadata":{"uid":"u","name":"a","namespace":"shop"},"signing":{}}`)
	if err != nil {
		t.Fatal(err)
	}
	stream := newStream("shop", "a")
	stream.Metadata.ResourceVersion = strconv.FormatInt(put.Header.Revision, 10)
	if _, err := s.UpdateImageStream(t.Context(), stream); !errors.Is(err, etcd.ErrFormat) {
		t.Errorf("update without a uid: %v", err)
	}
	stream.Metadata.UID = "u"
	if _, err := s.UpdateImageStream(t.Context(), stream); err != nil {
		t.Errorf("update with uid and version: %v", err)
	}
}

func TestTooLarge(t *testing.T) {
	s, _, _ := open(t)
	a := mustCreate(t, s, "a")
	for _, size := range []int{1600 << 10, 3 << 20} { // beyond the server's limit, beyond the client's
		large := newStream("shop", "large")
		large.Metadata.Annotations["n"] = strings.Repeat("x", size)
		if _, err := s.CreateImageStream(t.Context(), large); !errors.Is(err, imagestream.ErrTooLarge) || !strings.Contains(err.Error(), "--max-request-bytes") {
			t.Errorf("create of %d bytes: %v", size, err)
		}
		if _, err := bump(t.Context(), s, a, large.Metadata.Annotations["n"]); !errors.Is(err, imagestream.ErrTooLarge) {
			t.Errorf("update to %d bytes: %v", size, err)
		}
	}
	if got, err := s.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
		t.Errorf("after all: %+v, %v", got, err)
	}
}

// TestFull fills a cluster up: the error says so, and everything can still be read.
func TestFull(t *testing.T) {
	client := connect(t, etcdserver.Start(t, 1, "--quota-backend-bytes=4000000").Endpoints()...)
	s := etcd.New(client, etcd.Options{})
	a := mustCreate(t, s, "a")
	var err error
	for n := 0; err == nil && n < 100; n++ {
		large := newStream("shop", fmt.Sprint("large", n))
		large.Metadata.Annotations["n"] = strings.Repeat("x", 1<<20)
		_, err = s.CreateImageStream(t.Context(), large)
	}
	if !errors.Is(err, rpctypes.ErrNoSpace) || !strings.Contains(err.Error(), "--quota-backend-bytes") {
		t.Errorf("the cluster is full: %v", err)
	}
	if got, err := s.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
		t.Errorf("after all: %+v, %v", got, err)
	}
}

// TestPages reads portions of bounded size, whatever the limit of the page, and marks the pages of an old list.
func TestPages(t *testing.T) {
	client := connect(t, shared.Endpoints()...)
	kv := &counted{KV: client.KV}
	client.KV = kv
	s := etcd.New(client, etcd.Options{Prefix: newPrefix()})
	const n = 300
	for i := range n {
		large := newStream("shop", fmt.Sprintf("s%03d", i))
		large.Metadata.Labels = map[string]string{"third": fmt.Sprint(i % 3)}
		large.Metadata.Annotations["n"] = strings.Repeat("x", 50<<10)
		if _, err := s.CreateImageStream(t.Context(), large); err != nil {
			t.Fatal(err)
		}
	}
	kv.take()
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != n {
		t.Fatalf("%d of %d streams, %v", len(list.Items), n, err)
	}
	// 100 values, then as many as have 4 MiB.
	if got, largest := kv.take(), kv.largest.Load(); got != "4 get, 0 txn, 0 delete" || largest > 6<<20 {
		t.Errorf("a list of 15 MB takes %s, of %d bytes at most", got, largest)
	}
	page, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Limit: 10})
	if err != nil || len(page.Items) != 10 || page.Metadata.RemainingItemCount == nil || *page.Metadata.RemainingItemCount != n-10 {
		t.Errorf("a page of 10: %+v, %v", page.Metadata, err)
	}
	if got := kv.take(); got != "1 get, 0 txn, 0 delete" {
		t.Errorf("a page of 10 takes %s", got)
	}
	third, err := imagestream.ParseSelector("third=1")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	opts := imagestream.ListOptions{Limit: 40, Labels: third}
	for pages := 1; ; pages++ {
		page, err := s.ListImageStreams(t.Context(), opts)
		if err != nil {
			t.Fatal(err)
		}
		for i := range page.Items {
			names = append(names, page.Items[i].Metadata.Name)
		}
		if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
			if pages != 3 || len(names) != n/3 || names[0] != "s001" || !slices.IsSorted(names) {
				t.Errorf("%d pages of 40 with %d names: %v", pages, len(names), names)
			}
			break
		}
	}
}

// compact makes the cluster forget all but its newest revision.
