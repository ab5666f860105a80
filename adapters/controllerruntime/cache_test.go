package controllerruntime_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/meta/testrestmapper"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	clientrest "k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/imagestreams/imagestreams/adapters/controllerruntime"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// mapped is a client whose mapper knows every kind of its scheme.
func mapped(api rest.API) client.WithWatch {
	scheme := newScheme()
	mapper := testrestmapper.TestOnlyStaticRESTMapper(scheme)
	next := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).Build()
	return controllerruntime.NewClient(api, next)
}

// newManager returns a manager without a server.
func newManager(t *testing.T, c client.WithWatch) manager.Manager {
	t.Helper()
	skip := true
	m, err := manager.New(&clientrest.Config{}, manager.Options{
		Scheme:         c.Scheme(),
		MapperProvider: func(*clientrest.Config, *http.Client) (meta.RESTMapper, error) { return c.RESTMapper(), nil },
		NewCache:       controllerruntime.NewCache(c),
		NewClient:      func(*clientrest.Config, client.Options) (client.Client, error) { return c, nil },
		Metrics:        server.Options{BindAddress: "0"},
		Controller:     config.Controller{SkipNameValidation: &skip},
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs a manager until the test ends.
func run(t *testing.T, m manager.Manager) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestManager runs a controller of two kinds in a manager: an image stream that somebody deletes comes again, and a
// ConfigMap that changes is followed.
func TestManager(t *testing.T) {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(r fakes.Contents) {
		r.Push("org/app", fakes.Image{Layer: "1"}, "v1")
		r.Push("org/app", fakes.Image{Layer: "2"}, "v2")
	})
	c := mapped(rest.New(&fakes.Store{}, registry))
	ctx := t.Context()
	m := newManager(t, c)
	err := builder.ControllerManagedBy(m).For(&corev1.ConfigMap{}).Owns(&imagev1.ImageStream{}).Complete(&releases{c})
	if err != nil {
		t.Fatal(err)
	}
	run(t, m)
	watched, err := c.Watch(ctx, &corev1.ConfigMapList{})
	if err != nil {
		t.Fatal(err)
	}
	defer watched.Stop()
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", UID: types.UID("1")},
		Data:       map[string]string{"repository": "quay.io/org/app", "tag": "v1"},
	}
	create(t, c, config)
	key := client.ObjectKeyFromObject(config)
	imageAfter := func(before string) string {
		t.Helper()
		for {
			o := nextEvent(t, watched).Object.(*corev1.ConfigMap)
			if image := o.Data["image"]; image != "" && image != before {
				return image
			}
		}
	}
	first := imageAfter("")
	if err := c.Get(ctx, key, config); err != nil {
		t.Fatal(err)
	}
	before := config.DeepCopy()
	config.Data["tag"] = "v2"
	if err := c.Patch(ctx, config, client.MergeFrom(before)); err != nil {
		t.Fatal(err)
	}
	second := imageAfter(first)

	streams, err := c.Watch(ctx, &imagev1.ImageStreamList{})
	if err != nil {
		t.Fatal(err)
	}
	defer streams.Stop()
	stream := nextEvent(t, streams).Object.(*imagev1.ImageStream)
	if err := c.Delete(ctx, stream); err != nil {
		t.Fatal(err)
	}
	for {
		o := nextEvent(t, streams).Object.(*imagev1.ImageStream)
		if o.UID != stream.UID && len(o.Status.Tags) == 1 {
			if got := o.Status.Tags[0].Items[0].Image; got != second {
				t.Errorf("the stream that came again has the image %s, want %s", got, second)
			}
			break
		}
	}
}

func ExampleNewCache() {
	scheme := newScheme()
	mapper := testrestmapper.TestOnlyStaticRESTMapper(scheme)
	next := fake.NewClientBuilder().WithScheme(scheme).WithRESTMapper(mapper).Build()
	c := controllerruntime.NewClient(rest.New(&fakes.Store{}, nil), next)
	m, err := manager.New(&clientrest.Config{}, manager.Options{
		Scheme:         c.Scheme(),
		MapperProvider: func(*clientrest.Config, *http.Client) (meta.RESTMapper, error) { return c.RESTMapper(), nil },
		NewCache:       controllerruntime.NewCache(c),
		NewClient:      func(*clientrest.Config, client.Options) (client.Client, error) { return c, nil },
		Metrics:        server.Options{BindAddress: "0"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error)
	go func() { ended <- m.Start(ctx) }()

	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}}
	fmt.Println(c.Create(ctx, stream), m.GetCache().WaitForCacheSync(ctx))
	cached := &imagev1.ImageStream{}
	fmt.Println(m.GetCache().Get(ctx, client.ObjectKeyFromObject(stream), cached), cached.UID == stream.UID)
	stop()
	fmt.Println(<-ended)
	// Output:
	// <nil> true
	// <nil> true
	// <nil>
}

// TestCache reads through an informer's copies, by an index too, in every representation.
func TestCache(t *testing.T) {
	c := mapped(rest.New(&fakes.Store{}, nil))
	m := newManager(t, c)
	ctx := t.Context()
	byTag := func(o client.Object) []string {
		var tags []string
		for _, tag := range o.(*imagev1.ImageStream).Spec.Tags {
			tags = append(tags, tag.Name)
		}
		return tags
	}
	if err := m.GetFieldIndexer().IndexField(ctx, &imagev1.ImageStream{}, "tag", byTag); err != nil {
		t.Fatal(err)
	}
	create(t, c, tagged("app", "v1"), tagged("other", "v2"))
	run(t, m)
	if !m.GetCache().WaitForCacheSync(ctx) {
		t.Fatal("the cache does not sync")
	}
	list := &imagev1.ImageStreamList{}
	if err := m.GetCache().List(ctx, list, client.MatchingFields{"tag": "v2"}); err != nil || len(list.Items) != 1 ||
		list.Items[0].Name != "other" {
		t.Errorf("by tag %+v, %v", list, err)
	}
	key := client.ObjectKey{Namespace: "shop", Name: "app"}
	free, metadata := unstructuredOf(streamKind, ""), metadataOf("")
	for _, o := range []client.Object{&imagev1.ImageStream{}, free, metadata} {
		if err := m.GetCache().Get(ctx, key, o); err != nil || o.GetUID() == "" {
			t.Errorf("%T: %v, %v", o, o, err)
		}
	}
}

func TestCacheRefuses(t *testing.T) {
	c := mapped(rest.New(&fakes.Store{}, nil))
	for what, opts := range map[string]cache.Options{
		"namespaces": {DefaultNamespaces: map[string]cache.Config{"shop": {}}},
		"labels":     {DefaultLabelSelector: labels.Everything()},
		"fields":     {DefaultFieldSelector: fields.Everything()},
		"an object":  {ByObject: map[client.Object]cache.ByObject{&imagev1.ImageStream{}: {Label: labels.Everything()}}},
	} {
		opts.Scheme, opts.Mapper = c.Scheme(), c.RESTMapper()
		if _, err := controllerruntime.NewCache(c)(&clientrest.Config{}, opts); err == nil {
			t.Errorf("a cache of some %s", what)
		}
	}
}
