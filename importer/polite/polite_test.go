package polite_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/registrytest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/polite"
)

const host = "quay.io"

func registry() *fakes.Registry {
	r := &fakes.Registry{}
	r.Edit(host, func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	return r
}

func open(registry importer.Registry) importer.Repository {
	name, _ := reference.ParseNamed(host + "/org/app")
	repository, _ := registry.Repository(context.Background(), name, importer.Access{})
	return repository
}

var v1 = importer.Ref{Tag: "v1"}

// wrappers is each wrapper, and all of them.
func wrappers(r importer.Registry) map[string]importer.Registry {
	return map[string]importer.Registry{
		"Limit":    &polite.Limit{Registry: r, PerHost: 2, PerSecond: 1e6},
		"Retry":    polite.Retry{Registry: r},
		"Meter":    &polite.Meter{Registry: r},
		"Cache":    &polite.Cache{Registry: r},
		"Recorder": &polite.Recorder{Registry: r},
		"all":      &polite.Cache{Registry: polite.Retry{Registry: &polite.Meter{Registry: &polite.Limit{Registry: &polite.Recorder{Registry: r}}}}},
	}
}

// TestWrappersAreRegistries runs the suite of registries on each wrapper.
func TestWrappersAreRegistries(t *testing.T) {
	for name := range wrappers(nil) {
		t.Run(name, func(t *testing.T) {
			registrytest.Run(t, func(_ *testing.T, contents fakes.Contents) registrytest.Subject {
				r := &fakes.Registry{}
				r.EditHost("registry.example.com",
					func(h *fakes.Host) { h.Repositories, h.TagsPageSize = contents, 50 })
				return registrytest.Subject{Registry: wrappers(r)[name], Host: "registry.example.com"}
			})
		})
	}
}

func ExampleRetry() {
	r := registry()
	r.SetFaults(fakes.Fault{Kind: "manifest", Status: 503, Code: "UNAVAILABLE", Times: 2})
	patient := polite.Retry{Registry: r, Wait: func(_ context.Context, d time.Duration) error {
		fmt.Println("waits at least", d.Truncate(500*time.Millisecond))
		return nil
	}}
	m, err := open(patient).Manifest(context.Background(), v1)
	fmt.Println(len(m.Bytes) > 0, err)
	// Output:
	// waits at least 500ms
	// waits at least 1s
	// true <nil>
}

func ExamplePatient() {
	_, again := polite.Patient(1, &importer.RegistryError{Class: importer.ClassNotFound})
	d, later := polite.Patient(1, &importer.RegistryError{Class: importer.ClassTooManyRequests,
		RetryAfter: 20 * time.Second})
	_, muchLater := polite.Patient(1, &importer.RegistryError{Class: importer.ClassTooManyRequests,
		RetryAfter: time.Hour})
	fmt.Println(again, d, later, muchLater)
	// Output: false 20s true false
}

func ExampleMeter() {
	meter := &polite.Meter{Registry: registry(), Budget: 2}
	repository := open(meter)
	for range 3 {
		_, err := repository.Head(context.Background(), v1)
		fmt.Println(err, errors.Is(err, polite.ErrBudget))
	}
	fmt.Println(meter.Counts())
	meter.Reset()
	// Output:
	// <nil> false
	// <nil> false
	// head of quay.io/org/app:v1: too many requests: the budget of requests is used up true
	// map[quay.io:map[head:2]]
}

func ExampleCache() {
	r := registry()
	cache := &polite.Cache{Registry: r, MaxBytes: 1 << 20}
	head, _ := open(cache).Head(context.Background(), v1)
	for range 3 {
		_, _ = open(cache).Manifest(context.Background(), importer.Ref{Digest: head.Digest})
	}
	read := 0
	for _, asked := range r.Requests() {
		if asked.Operation == importer.OperationManifest {
			read++
		}
	}
	fmt.Println(read, cache.Size() > 0)
	// Output: 1 true
}

func ExampleReplay() {
	r := registry()
	recorder := &polite.Recorder{Registry: r}
	_, _ = open(recorder).Head(context.Background(), v1)
	_, _ = open(recorder).Manifest(context.Background(), importer.Ref{Tag: "v2"})
	session, _ := json.Marshal(recorder.Answers())

	var answers []polite.Recorded
	_ = json.Unmarshal(session, &answers)
	again := open(polite.Replay(answers))
	head, err := again.Head(context.Background(), v1)
	fmt.Println(head.Digest != "", err)
	_, err = again.Manifest(context.Background(), importer.Ref{Tag: "v2"})
	fmt.Println(err)
	_, err = again.Manifest(context.Background(), v1)
	fmt.Println(err)
	// Output:
	// true <nil>
	// manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// manifest of quay.io/org/app:v1: unsupported: the recorded session does not have this request
}

func ExampleLimit() {
	limit := &polite.Limit{Registry: registry(), PerHost: 4, PerSecond: 10, Burst: 20}
	_, err := open(limit).Head(context.Background(), v1)
	fmt.Println(err)
	// Output: <nil>
}

// TestLimitHolds makes 40 requests at once, on a registry that takes 100 ms for each.
func TestLimitHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registry()
		var now, most atomic.Int64
		r.Fail = func(importer.Operation, string, importer.Ref) error {
			n := now.Add(1)
			defer now.Add(-1)
			for {
				if m := most.Load(); n <= m || most.CompareAndSwap(m, n) {
					break
				}
			}
			time.Sleep(100 * time.Millisecond)
			return nil
		}
		limit := &polite.Limit{Registry: r, PerHost: 4, PerSecond: 20, Burst: 10}
		begin := time.Now()
		var wg sync.WaitGroup
		for range 40 {
			wg.Go(func() {
				if _, err := open(limit).Head(t.Context(), v1); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		// 10 at once, 30 more at 20 a second: the last begins after 1.5 seconds.
		if took := time.Since(begin); most.Load() != 4 || took != 1600*time.Millisecond {
			t.Errorf("%d at a time, in %v", most.Load(), took)
		}
	})
}

// TestRetryAfterIsObeyed asks a host that wants to be left alone for a time: nobody asks it before, to the second.
func TestRetryAfterIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registry()
		r.EditHost("ghcr.io", func(h *fakes.Host) { h.Repositories.Push("x/y", fakes.Image{}, "v1") })
		r.SetFaults(fakes.Fault{Host: host, Kind: "manifest", Status: 429, Body: "slow down",
			Header: http.Header{"Retry-After": {"30"}}, Times: 1})
		var asked []time.Duration
		begin := time.Now()
		var mu sync.Mutex
		r.Fail = func(_ importer.Operation, repository string, _ importer.Ref) error {
			mu.Lock()
			defer mu.Unlock()
			if repository == host+"/org/app" {
				asked = append(asked, time.Since(begin))
			}
			return nil
		}
		limit := &polite.Limit{Registry: r}
		if _, err := open(limit).Manifest(t.Context(), v1); err == nil {
			t.Fatal("it was not refused")
		}
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := open(polite.Retry{Registry: limit}).Manifest(t.Context(), v1); err != nil {
					t.Error(err)
				}
			})
		}
		other, _ := reference.ParseNamed("ghcr.io/x/y")
		repository, _ := limit.Repository(t.Context(), other, importer.Access{})
		if _, err := repository.Manifest(t.Context(), v1); err != nil || time.Since(begin) != 0 {
			t.Errorf("another host waits %v, %v", time.Since(begin), err)
		}
		wg.Wait()
		if len(asked) != 4 || asked[0] != 0 || asked[1] != 30*time.Second || asked[3] != 30*time.Second {
			t.Errorf("asked at %v", asked)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		r.SetFaults(fakes.Fault{Host: host, Kind: "manifest", Status: 429, Header: http.Header{"Retry-After": {"30"}}})
		if _, err := open(polite.Retry{Registry: limit}).Manifest(ctx, v1); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a wait does not end with the context: %v", err)
		}
	})
}

// TestListGoesOn asks again for a list of tags that broke off: none is told twice.
func TestListGoesOn(t *testing.T) {
	r := &fakes.Registry{}
	r.EditHost(host, func(h *fakes.Host) {
		h.TagsPageSize = 2
		for _, tag := range []string{"a", "b", "c", "d", "e"} {
			h.Repositories.Push("org/app", fakes.Image{}, tag)
		}
	})
	asked := 0
	r.Fail = func(importer.Operation, string, importer.Ref) error {
		if asked++; asked == 2 {
			return &importer.RegistryError{Operation: importer.OperationTags, Class: importer.ClassUnavailable}
		}
		return nil
	}
	var tags string
	for tag, err := range open(polite.Retry{Registry: r,
		Wait: func(context.Context, time.Duration) error { return nil }}).Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		tags += tag
	}
	if tags != "abcde" {
		t.Errorf("tags %q", tags)
	}
}

// TestChangedListGoesOn asks again for a list of tags that broke off, and of which one went away meanwhile: no other is
// lost.
func TestChangedListGoesOn(t *testing.T) {
	r := &fakes.Registry{}
	r.EditHost(host, func(h *fakes.Host) {
		h.TagsPageSize = 2
		for _, tag := range []string{"a", "b", "c", "d", "e"} {
			h.Repositories.Push("org/app", fakes.Image{}, tag)
		}
	})
	asked := 0
	r.Fail = func(importer.Operation, string, importer.Ref) error {
		if asked++; asked == 2 {
			r.Edit(host, func(c fakes.Contents) { delete(c["org/app"].Tags, "a") })
			return &importer.RegistryError{Operation: importer.OperationTags, Class: importer.ClassUnavailable}
		}
		return nil
	}
	var tags string
	for tag, err := range open(polite.Retry{Registry: r,
		Wait: func(context.Context, time.Duration) error { return nil }}).Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		tags += tag
	}
	if tags != "abcde" {
		t.Errorf("tags %q", tags)
	}
}

// TestCacheBounds holds the bytes, forgets what was not used for longest, and keeps what was read with credentials to
// them.
func TestCacheBounds(t *testing.T) {
	r := &fakes.Registry{}
	var digests []digest.Digest
	r.Edit(host, func(c fakes.Contents) {
		for i := range 10 {
			digests = append(digests, c.Push("org/app", fakes.Image{Layer: fmt.Sprint(i)}))
		}
	})
	first, err := open(r).Manifest(t.Context(), importer.Ref{Digest: digests[0]})
	if err != nil {
		t.Fatal(err)
	}
	cache := &polite.Cache{Registry: r, MaxBytes: int64(3 * len(first.Bytes))}
	read := func(n int, credentials *importer.Credentials) int {
		t.Helper()
		r.Requests()
		name, _ := reference.ParseNamed(host + "/org/app")
		repository, err := cache.Repository(t.Context(), name, importer.Access{Credentials: credentials})
		if err != nil {
			t.Fatal(err)
		}
		m, err := repository.Manifest(t.Context(), importer.Ref{Digest: digests[n]})
		if err != nil || digest.FromBytes(m.Bytes) != digests[n] {
			t.Fatalf("%s, %v", m.Bytes, err)
		}
		m.Bytes[0] = 'x' // the caller's own
		if cache.Size() > cache.MaxBytes {
			t.Fatalf("%d bytes are kept", cache.Size())
		}
		asked := 0
		for _, request := range r.Requests() {
			if request.Operation == importer.OperationManifest {
				asked++
			}
		}
		return asked
	}
	for n, want := range []int{1, 1, 1} {
		if got := read(n, nil); got != want {
			t.Errorf("%d was asked for %d times", n, got)
		}
	}
	if read(0, nil) != 0 || read(3, nil) != 1 || read(0, nil) != 0 || read(1, nil) != 1 {
		t.Error("what was used last is forgotten first")
	}
	if read(1, &importer.Credentials{Username: "bob"}) != 1 || read(1, &importer.Credentials{}) != 1 {
		t.Error("what was read with some credentials is shown to others")
	}
}

// TestALongWaitFailsAtOnce asks a host that wants to be left alone for an hour: no request is made and nobody waits,
// and each request is told what the host said and how long is left.
func TestALongWaitFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := registry()
		r.SetFaults(fakes.Fault{Host: host, Kind: "manifest", Status: 429, Body: "slow down",
			Header: http.Header{"Retry-After": {"3600"}}, Times: 1})
		limit := &polite.Limit{Registry: r}
		begin := time.Now()
		_, first := open(limit).Manifest(t.Context(), v1)
		r.Requests()
		time.Sleep(10 * time.Minute)
		_, second := open(limit).Manifest(t.Context(), v1)
		var failure *importer.RegistryError
		if !errors.As(second, &failure) || failure.RetryAfter != 50*time.Minute || second.Error() != first.Error() {
			t.Errorf("%v, want %v", second, first)
		}
		if time.Since(begin) != 10*time.Minute || len(r.Requests()) > 0 {
			t.Errorf("it took %v", time.Since(begin))
		}
		time.Sleep(49*time.Minute + 30*time.Second)
		if _, err := open(limit).Manifest(t.Context(), v1); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("after %v %v", time.Since(begin), err)
		}
	})
}
