package kube_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/kubeserver"
)

// shared is a server with the definitions, for tests that do it no harm.
var shared *kubeserver.Server

func TestMain(m *testing.M) {
	var err error
	if shared, err = kubeserver.Launch(); err == nil {
		err = shared.Define(kube.Definitions())
	}
	code := 1
	if err == nil {
		config = configOf(shared)
		code = m.Run()
	} else {
		fmt.Fprintln(os.Stderr, err)
	}
	if shared != nil {
		shared.Close()
	}
	os.Exit(code)
}

func configOf(s *kubeserver.Server) *rest.Config {
	return &rest.Config{
		Host: s.URL, TLSClientConfig: rest.TLSClientConfig{CAData: s.CA, CertData: s.Cert, KeyData: s.Key}, QPS: -1,
	}
}

func resource(name string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: kube.Group, Version: kube.Version, Resource: name}
}

var (
	streams = resource("imagestreams")
	images  = resource("images")
)

// raw returns a client of a server.
func raw(tb testing.TB, config *rest.Config) dynamic.Interface {
	tb.Helper()
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		tb.Fatal(err)
	}
	return client
}

func connect(tb testing.TB, config *rest.Config) *kube.Store {
	tb.Helper()
	store, err := kube.New(config)
	if err != nil {
		tb.Fatal(err)
	}
	return store
}

// open returns a store on the shared server, which is empty now.
func open(tb testing.TB) *kube.Store {
	tb.Helper()
	clear(tb, raw(tb, configOf(shared)))
	return connect(tb, configOf(shared))
}

// clear removes everything.
func clear(tb testing.TB, client dynamic.Interface) {
	tb.Helper()
	ctx := context.Background()
	for _, r := range []schema.GroupVersionResource{streams, images} {
		list, err := client.Resource(r).List(ctx, metav1.ListOptions{})
		if err != nil {
			tb.Fatal(err)
		}
		for _, o := range list.Items {
			err := client.Resource(r).Namespace(o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{})
			if err != nil {
				tb.Fatal(err)
			}
		}
	}
}

// counted counts the requests of a client.
type counted struct {
	mu   sync.Mutex
	sent []string
}

func (c *counted) config(s *kubeserver.Server) *rest.Config {
	config := configOf(s)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTrip(func(req *http.Request) (*http.Response, error) {
			c.mu.Lock()
			c.sent = append(c.sent, req.Method)
			c.mu.Unlock()
			return next.RoundTrip(req)
		})
	})
	return config
}

// take returns the methods of the requests since it was called last.
func (c *counted) take() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	sent := fmt.Sprint(c.sent)
	c.sent = nil
	return sent
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

func newStream(namespace, name string) *imagestream.ImageStream {
	return &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
		Namespace: namespace, Name: name, Annotations: map[string]string{"n": "0"},
	}}
}

func mustCreate(tb testing.TB, s imagestream.Store, name string) *imagestream.ImageStream {
	tb.Helper()
	created, err := s.CreateImageStream(context.Background(), newStream("shop", name))
	if err != nil {
		tb.Fatal(err)
	}
	return created
}

// bump updates a stream's annotation n.
func bump(
	ctx context.Context,
	s imagestream.Store,
	old *imagestream.ImageStream,
	n any,
) (*imagestream.ImageStream, error) {
	next := old.Clone()
	next.Metadata.Annotations["n"] = fmt.Sprint(n)
	return s.UpdateImageStream(ctx, next)
}

func second[T any](_ T, err error) error { return err }

// watchError returns what a watch ends with.
func watchError(ctx context.Context, s imagestream.Store, version string) error {
	for _, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{ResourceVersion: version}) {
		if err != nil {
			return err
		}
	}
	return nil
}
