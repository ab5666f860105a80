package fakes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/registrytest"
	"github.com/imagestreams/imagestreams/importer"
)

func ExampleRegistry() {
	var registry fakes.Registry
	registry.Edit("quay.io", func(c fakes.Contents) {
		c.Push("org/app", fakes.Image{Layer: "hello"}, "v1", "latest")
	})
	ctx := context.Background()
	name, _ := reference.ParseNormalizedNamed("quay.io/org/app")
	repository, _ := registry.Repository(ctx, name, importer.Access{})
	for tag, err := range repository.Tags(ctx) {
		fmt.Println(tag, err)
	}
	_, err := repository.Manifest(ctx, importer.Ref{Tag: "v2"})
	fmt.Println(err)
	fmt.Println(registry.Requests())
	// Output:
	// latest <nil>
	// v1 <nil>
	// manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// [ping quay.io/org/app tags quay.io/org/app manifest quay.io/org/app v2]
}

func TestRegistry(t *testing.T) {
	start := func(_ *testing.T, contents fakes.Contents) registrytest.Subject {
		registry := &fakes.Registry{}
		push := func(_ *testing.T, more fakes.Contents) {
			registry.Edit("registry.example.com", func(c fakes.Contents) { c.Add(more) })
		}
		push(nil, contents)
		return registrytest.Subject{Registry: registry, Host: "registry.example.com", Push: push}
	}
	registrytest.Run(t, start)
	t.Run("Imports", func(t *testing.T) { registrytest.RunImports(t, start) })
}

func ExampleRegistry_EditHost() {
	var registry fakes.Registry
	registry.EditHost("registry.local:5000", func(h *fakes.Host) {
		h.SelfSigned = true
		h.Auth = &fakes.Auth{Type: "bearer", Users: map[string]string{"bob": "secret"}, Private: []string{"org/app"}}
		h.Repositories.Push("org/app", fakes.Image{Layer: "hello"}, "v1")
	})
	name, _ := reference.ParseNormalizedNamed("registry.local:5000/org/app")
	for _, access := range []importer.Access{
		{}, {Insecure: true}, {Insecure: true, Credentials: &importer.Credentials{Username: "bob", Password: "secret"}},
	} {
		repository, _ := registry.Repository(context.Background(), name, access)
		_, err := repository.Manifest(context.Background(), importer.Ref{Tag: "v1"})
		fmt.Println(err)
	}
	// Output:
	// ping of registry.local:5000/org/app: unavailable: nobody trusts the host's certificate
	// manifest of registry.local:5000/org/app:v1: unauthorized: HTTP 401: UNAUTHORIZED
	// <nil>
}

func ExampleRegistry_SetFaults() {
	var registry fakes.Registry
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "hello"}, "v1") })
	registry.SetFaults(fakes.Fault{Kind: "manifest", Ref: "v1", Status: 503, Code: "UNAVAILABLE", Times: 1})
	name, _ := reference.ParseNormalizedNamed("quay.io/org/app")
	repository, _ := registry.Repository(context.Background(), name, importer.Access{})
	for range 2 {
		_, err := repository.Head(context.Background(), importer.Ref{Tag: "v1"})
		fmt.Println(err)
	}
	// Output:
	// head of quay.io/org/app:v1: unavailable: HTTP 503: UNAVAILABLE
	// <nil>
}

func ExampleRegistry_Handler() {
	var registry fakes.Registry
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "hello"}, "v1", "v2") })
	server := httptest.NewServer(registry.Handler("quay.io"))
	defer server.Close()
	answer, err := http.Get(server.URL + "/v2/org/app/tags/list")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer answer.Body.Close()
	text, _ := io.ReadAll(answer.Body)
	fmt.Println(answer.Status, string(text))
	// Output: 200 OK {"name":"org/app","tags":["v1","v2"]}
}

// TestHandlerRefuses asks for what there is not, in ways that there are not.
func TestHandlerRefuses(t *testing.T) {
	var registry fakes.Registry
	registry.EditHost("quay.io", func(h *fakes.Host) { h.NoHead = true })
	registry.SetFaults(fakes.Fault{Kind: "blob", Refuse: true})
	server := httptest.NewServer(registry.Handler("quay.io"))
	defer server.Close()
	for request, want := range map[string]int{
		"GET /v2/": 200, "GET /": 404, "POST /v2/": 404, "GET /v2/x": 404, "GET /token": 404, "GET /v2/x/manifests/v1": 404, "HEAD /v2/x/manifests/v1": 405,
		"HEAD /v2/x/blobs/sha256:1": 404, "GET /v2/x/blobs/sha256:1": 0,
	} {
		method, path, _ := strings.Cut(request, " ")
		req, err := http.NewRequest(method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(req)
		if err != nil && want == 0 {
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", request, err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", request, answer.Status, want)
		}
	}
	server = httptest.NewServer(registry.Handler("nowhere"))
	defer server.Close()
	if answer, err := http.Get(server.URL + "/v2/"); err != nil || answer.StatusCode != 404 {
		t.Errorf("a host that there is not: %v, %v", answer, err)
	}
}

// TestLatency takes its time by the clock of the test; who does not wait for the first contact does not spoil it for others.
func TestLatency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var registry fakes.Registry
		registry.EditHost("quay.io", func(h *fakes.Host) {
			h.Latency = time.Second
			h.Repositories.Push("org/app", fakes.Image{Layer: "hello"}, "v1")
		})
		name, _ := reference.ParseNormalizedNamed("quay.io/org/app")
		repository, _ := registry.Repository(t.Context(), name, importer.Access{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		begin := time.Now()
		if _, err := repository.Head(ctx, importer.Ref{Tag: "v1"}); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Second/2 {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		begin = time.Now()
		if _, err := repository.Head(t.Context(), importer.Ref{Tag: "v1"}); err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("ping and answer: %v after %v", err, time.Since(begin))
		}
	})
}

// TestAddKeepsSizes adds everything that a repository holds, sizes of blobs too.
func TestAddKeepsSizes(t *testing.T) {
	layer := digest.FromString("layer")
	r := &fakes.Registry{}
	r.Edit("quay.io", func(c fakes.Contents) {
		c.Add(fakes.Contents{"org/app": {BlobSizes: map[digest.Digest]int64{layer: 7}}})
	})
	name, err := reference.ParseNamed("quay.io/org/app")
	if err != nil {
		t.Fatal(err)
	}
	repository, err := r.Repository(t.Context(), name, importer.Access{})
	if err != nil {
		t.Fatal(err)
	}
	if size, err := repository.BlobSize(t.Context(), layer); size != 7 || err != nil {
		t.Errorf("the layer has %d bytes, %v", size, err)
	}
}
