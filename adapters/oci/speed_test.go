package oci_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
)

// network is a host on listeners in memory, which answers after a time.
type network struct {
	registry *fakes.Registry
	conns    chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (n *network) Accept() (net.Conn, error) {
	select {
	case conn := <-n.conns:
		return conn, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}
func (n *network) Close() error   { n.once.Do(func() { close(n.closed) }); return nil }
func (n *network) Addr() net.Addr { return &net.TCPAddr{} }

const speedHost = "registry.example.com"

// serveFake serves a registry over TLS, each answer after latency, and returns a client of it. Stop ends both.
func serveFake(t *testing.T, registry *fakes.Registry, latency time.Duration) (client *oci.Registry, stop func()) {
	t.Helper()
	n := &network{registry: registry, conns: make(chan net.Conn), closed: make(chan struct{})}
	registry.EditHost(speedHost, func(h *fakes.Host) { h.Latency = latency })
	server := &http.Server{ErrorLog: log.New(io.Discard, "", 0), Handler: registry.Handler(speedHost)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(tls.NewListener(n, &tls.Config{Certificates: []tls.Certificate{certificate}}))
	}()
	transport := &http.Transport{
		MaxIdleConnsPerHost: 64, TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			select {
			case n.conns <- there:
				return here, nil
			case <-n.closed:
				return nil, net.ErrClosed
			}
		},
	}
	client, err := oci.New(oci.Options{Wrap: func(http.RoundTripper) http.RoundTripper { return transport }})
	if err != nil {
		t.Fatal(err)
	}
	return client, func() {
		transport.CloseIdleConnections()
		server.Close()
		<-done
	}
}

// certificate is that of a test server; nobody looks at it.
var certificate = func() tls.Certificate {
	server := httptest.NewUnstartedServer(nil)
	server.StartTLS()
	defer server.Close()
	return server.TLS.Certificates[0]
}()

// imports is an importer with a stream of n tags of org/app.
type imports struct {
	t        *testing.T
	registry *fakes.Registry
	importer *importer.Importer
	key      imagestream.Key
}

func newImports(t *testing.T, client importer.Registry, registry *fakes.Registry, tags []string, mode imagestream.ImportModeType, concurrency int) *imports {
	t.Helper()
	store := &fakes.Store{}
	i := &imports{t, registry, &importer.Importer{Registry: client, Engine: &write.Engine{Store: store}, Concurrency: concurrency}, imagestream.Key{Namespace: "shop", Name: "app"}}
	stream := &imagestream.ImageStream{}
	stream.Metadata.Namespace, stream.Metadata.Name = i.key.Namespace, i.key.Name
	for _, tag := range tags {
		stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: speedHost + "/org/app:" + tag},
			ImportPolicy: imagestream.TagImportPolicy{Scheduled: true, ImportMode: mode},
		})
	}
	if _, err := i.importer.Engine.Create(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	return i
}

// run imports what is scheduled, and returns the requests by operation and how long it took.
func (i *imports) run() (map[importer.Operation]int, time.Duration) {
	i.t.Helper()
	i.registry.Requests()
	stream, err := i.importer.Engine.Store.GetImageStream(i.t.Context(), i.key)
	if err != nil {
		i.t.Fatal(err)
	}
	need, _ := importer.ScheduledImport(stream)
	begin := time.Now()
	done, err := i.importer.Import(i.t.Context(), need.Import)
	took := time.Since(begin)
	if err == nil {
		err = importer.Failure(done)
	}
	if err != nil {
		i.t.Fatal(err)
	}
	counts := map[importer.Operation]int{}
	for _, r := range i.registry.Requests() {
		counts[r.Operation]++
	}
	return counts, took
}

func total(counts map[importer.Operation]int) int {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	return sum
}

func tagNames(n int) []string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprintf("t%03d", i))
	}
	return tags
}

// registryOf pushes n tags on so many different images, or lists of so many architectures each.
func registryOf(n, images, architectures int) *fakes.Registry {
	registry := &fakes.Registry{}
	registry.Edit(speedHost, func(c fakes.Contents) {
		for i, tag := range tagNames(n) {
			layer := fmt.Sprint("layer ", i%images)
			if architectures == 0 {
				c.Push("org/app", fakes.Image{Layer: layer}, tag)
				continue
			}
			var list []fakes.Image
			for _, arch := range []string{"amd64", "arm64", "ppc64le", "s390x", "riscv64"}[:architectures] {
				list = append(list, fakes.Image{Architecture: arch, Layer: layer + arch})
			}
			c.PushList("org/app", list, tag)
		}
	})
	return registry
}

// TestSpeed holds the table of requests and times: on the wire, with 50 ms on every answer, by the clock of the test.
// The real system takes 101 requests and 23.65 s for the first row.
func TestSpeed(t *testing.T) {
	const latency = 50 * time.Millisecond
	type limits struct {
		requests, manifests int
		took                time.Duration
	}
	for _, test := range []struct {
		name                        string
		tags, images, architectures int
		mode                        imagestream.ImportModeType
		first, again, withoutMemo   limits
	}{
		{name: "50 tags on 10 images", tags: 50, images: 10, first: limits{71, 10, 750 * time.Millisecond}, again: limits{51, 0, 450 * time.Millisecond}},
		{name: "20 tags", tags: 20, images: 20, first: limits{61, 20, time.Second}, again: limits{21, 0, 250 * time.Millisecond}},
		{name: "1 tag, the list kept", tags: 1, images: 1, architectures: 5, mode: imagestream.ImportModePreserveOriginal, first: limits{12, 6, 250 * time.Millisecond}},
		{name: "2 tags on the list", tags: 2, images: 1, architectures: 5, mode: imagestream.ImportModePreserveOriginal, first: limits{14, 6, 400 * time.Millisecond}},
		{name: "20 tags on lists", tags: 20, images: 20, architectures: 2, first: limits{81, 40, 2 * time.Second}, again: limits{21, 0, 250 * time.Millisecond}, withoutMemo: limits{41, 20, 500 * time.Millisecond}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				registry := registryOf(test.tags, test.images, test.architectures)
				client, stop := serveFake(t, registry, latency)
				defer stop()
				i := newImports(t, client, registry, tagNames(test.tags), test.mode, 8)
				check := func(what string, want limits) {
					t.Helper()
					if want == (limits{}) {
						return
					}
					counts, took := i.run()
					t.Logf("%s: %d requests %v, %v", what, total(counts), counts, took)
					if total(counts) > want.requests || counts[importer.OperationManifest] > want.manifests || took > want.took {
						t.Errorf("%s: %d requests %v in %v; at most %+v", what, total(counts), counts, took, want)
					}
				}
				check("first", test.first)
				check("again", test.again)
				i.importer = &importer.Importer{Registry: client, Engine: i.importer.Engine, Concurrency: 8}
				check("without the memo", test.withoutMemo)
			})
		})
	}
}

// TestManyTagsWithToken imports 200 tags that did not change: a challenge, a token, and 200 HEAD, 32 at a time.
func TestManyTagsWithToken(t *testing.T) {
	const latency = 20 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		registry := registryOf(200, 50, 0)
		registry.EditHost(speedHost, func(h *fakes.Host) { h.Auth = &fakes.Auth{Type: "bearer"} })
		client, stop := serveFake(t, registry, latency)
		i := newImports(t, client, registry, tagNames(200), "", 32)
		i.run()
		stop()
		client, stop = serveFake(t, registry, latency)
		defer stop()
		i.importer = &importer.Importer{Registry: client, Engine: i.importer.Engine, Concurrency: 32}
		counts, took := i.run()
		t.Logf("%d requests %v, %v", total(counts), counts, took)
		if total(counts) > 202 || counts[importer.OperationToken] != 1 || counts[importer.OperationHead] < 200 || took > 9*latency {
			t.Errorf("%d requests %v in %v", total(counts), counts, took)
		}
	})
}

// TestManyStreams imports 1,000 streams of 20 tags in which nothing changed: a HEAD for each tag, and little memory.
func TestManyStreams(t *testing.T) {
	const streams, tags = 1000, 20
	registry := registryOf(tags, tags, 0)
	client, err := oci.New(oci.Options{Wrap: func(http.RoundTripper) http.RoundTripper {
		return inMemory{registry, map[string]*fakes.Host{speedHost: {}}, false}
	}})
	if err != nil {
		t.Fatal(err)
	}
	store := &fakes.Store{}
	i := &importer.Importer{Registry: client, Engine: &write.Engine{Store: store}, Concurrency: 8}
	all := newImports(t, client, registry, nil, "", 8)
	all.importer = i
	for n := range streams {
		stream := &imagestream.ImageStream{}
		stream.Metadata.Namespace, stream.Metadata.Name = "shop", fmt.Sprintf("app-%04d", n)
		for _, tag := range tagNames(tags) {
			stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{
				Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: speedHost + "/org/app:" + tag}, ImportPolicy: imagestream.TagImportPolicy{Scheduled: true},
			})
		}
		if _, err := i.Engine.Create(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		all.key = stream.Key()
		all.run()
	}
	heads := 0
	var memory runtime.MemStats
	for n := range streams {
		all.key = imagestream.Key{Namespace: "shop", Name: fmt.Sprintf("app-%04d", n)}
		counts, _ := all.run()
		if total(counts) != tags {
			t.Fatalf("%s: %v", all.key, counts)
		}
		heads += counts[importer.OperationHead]
	}
	runtime.GC()
	runtime.ReadMemStats(&memory)
	runtime.KeepAlive(all)
	runtime.KeepAlive(registry)
	t.Logf("%d HEAD, %d MB", heads, memory.HeapAlloc>>20)
	if heads != streams*tags || memory.HeapAlloc > 200<<20 {
		t.Errorf("%d HEAD, %d bytes", heads, memory.HeapAlloc)
	}
}
