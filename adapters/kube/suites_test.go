package kube_test

import (
	"context"
	"errors"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store { return open(t) })
}

func TestServer(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		return resttest.Subject{API: rest.New(open(t), registry), Registry: registry}
	})
}

// TestCachedStore has a cache over the store.
func TestCachedStore(t *testing.T) {
	storetest.Run(t, func(t *testing.T) imagestream.Store {
		c := cache.New(open(t), cache.Options{Images: true})
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		t.Cleanup(func() {
			stop()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				t.Errorf("the feed ended with %v", err)
			}
		})
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		return c
	})
}

// TestImportOfKubectl imports a stream that somebody made with kubectl.
func TestImportOfKubectl(t *testing.T) {
	s := open(t)
	u := made("app")
	u.Object["spec"] = map[string]any{"tags": []any{map[string]any{
		"name": "v1", "from": map[string]any{"kind": "DockerImage", "name": "quay.io/org/app:v1"},
	}}}
	_, err := raw(t, configOf(shared)).Resource(streams).Namespace("shop").Create(t.Context(), u, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	if _, err := client.New(s, registry).Import(t.Context(), app); err != nil {
		t.Fatal(err)
	}
	stream, err := s.GetImageStream(t.Context(), app)
	if err != nil {
		t.Fatal(err)
	}
	latest, ok := stream.LatestEvent("v1")
	tag, _ := stream.SpecTag("v1")
	if !ok || latest.Image == "" || tag.ImportPolicy.ImportMode != imagestream.ImportModeLegacy {
		t.Errorf("imported %+v, %+v", stream.Spec, stream.Status)
	}
	if _, err := s.GetImage(t.Context(), latest.Image); err != nil {
		t.Error(err)
	}
}
