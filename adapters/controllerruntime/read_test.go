package controllerruntime_test

import (
	"context"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"
)

func TestLists(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c"} {
		stream := tagged(name)
		stream.Labels = map[string]string{"name": name}
		create(t, c, stream)
	}
	elsewhere := tagged("a")
	elsewhere.Namespace = "tools"
	create(t, c, elsewhere)
	raw := &metav1.ListOptions{}
	for _, tc := range []struct {
		what string
		opts []client.ListOption
		want string
	}{
		{"all", nil, "a b c a"},
		{"a namespace", []client.ListOption{client.InNamespace("tools")}, "a"},
		{"labels", []client.ListOption{client.MatchingLabels{"name": "b"}}, "b"},
		{"a label", []client.ListOption{client.HasLabels{"name"}}, "a b c"},
		{"fields", []client.ListOption{client.MatchingFields{"metadata.name": "a"}}, "a a"},
		{"raw", []client.ListOption{&client.ListOptions{Raw: raw, Limit: 3}}, "a b c"},
	} {
		list := &imagev1.ImageStreamList{}
		if err := c.List(ctx, list, tc.opts...); err != nil {
			t.Errorf("%s: %v", tc.what, err)
		}
		var names []string
		for _, s := range list.Items {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.what, got, tc.want)
		}
	}
	if raw.Limit != 0 {
		t.Errorf("the raw options of the caller became %+v", raw)
	}
	var pages []string
	list := &imagev1.ImageStreamList{}
	for more := true; more; more = list.Continue != "" {
		next := client.Continue(list.Continue)
		if err := c.List(ctx, list, client.Limit(1), next, client.InNamespace("shop")); err != nil {
			t.Fatal(err)
		}
		pages = append(pages, list.Items[0].Name)
	}
	if strings.Join(pages, " ") != "a b c" {
		t.Errorf("pages %v", pages)
	}
	err := c.List(ctx, &imagev1.ImageStreamList{}, client.MatchingFields{"spec.tags": "x"})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("another field: %v", err)
	}
}

// nextEvent reads one event of a watch.
func nextEvent(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e, open := <-w.ResultChan():
		if !open {
			t.Fatal("the watch has ended")
		}
		return e
	case <-t.Context().Done():
		t.Fatal("the watch says nothing")
		return watch.Event{}
	}
}

// TestWatch: the objects of a watch are of the Go type that its list has.
func TestWatch(t *testing.T) {
	c, _ := open()
	free := &unstructured.UnstructuredList{}
	free.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
	metadata := &metav1.PartialObjectMetadataList{}
	metadata.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
	create(t, c, tagged("before"))
	raw := &metav1.ListOptions{}
	for _, list := range []client.ObjectList{&imagev1.ImageStreamList{}, free, metadata} {
		if err := c.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		raw.ResourceVersion = list.GetResourceVersion()
		w, err := c.Watch(t.Context(), list, client.InNamespace("shop"), &client.ListOptions{Raw: raw})
		if err != nil {
			t.Fatal(err)
		}
		stream := tagged("app", "v1")
		create(t, c, stream)
		if err := c.Delete(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		for _, want := range []watch.EventType{watch.Added, watch.Deleted} {
			e := nextEvent(t, w)
			m, err := meta.Accessor(e.Object)
			if err != nil || e.Type != want || m.GetName() != "app" || m.GetUID() != stream.UID {
				t.Errorf("%T: %+v, %v", list, e, err)
			}
			kind := e.Object.GetObjectKind().GroupVersionKind()
			switch e.Object.(type) {
			case *imagev1.ImageStream:
				if _, right := list.(*imagev1.ImageStreamList); !right || !kind.Empty() {
					t.Errorf("%T sends a %T of %s", list, e.Object, kind)
				}
			case *unstructured.Unstructured, *metav1.PartialObjectMetadata:
				if kind != streamKind {
					t.Errorf("%T sends %+v", list, e.Object)
				}
			default:
				t.Errorf("%T sends a %T", list, e.Object)
			}
		}
		w.Stop()
		w.Stop()
	}
	if raw.Watch {
		t.Error("the raw options of the caller became those of a watch")
	}
}

// TestWatchEnds: with its context and by Stop, also while nobody reads, and no goroutine stays.
func TestWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := open()
		create(t, c, tagged("app"), tagged("other"))
		free := &unstructured.UnstructuredList{}
		free.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
		before := runtime.NumGoroutine()
		ctx, cancel := context.WithCancel(t.Context())
		byContext, err := c.Watch(ctx, free)
		if err != nil {
			t.Fatal(err)
		}
		stopped, err := c.Watch(t.Context(), free)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Watch(ctx, free); err != nil { // nobody reads or stops it
			t.Fatal(err)
		}
		synctest.Wait() // all have an event that nobody has read
		stopped.Stop()
		for e := range stopped.ResultChan() {
			t.Errorf("a stopped watch sent %+v", e)
		}
		cancel()
		for e := range byContext.ResultChan() {
			if e.Type != watch.Added {
				t.Errorf("the watch ended with %+v", e)
			}
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before {
			t.Errorf("%d goroutines stay", after-before)
		}
	})
}

func TestWatchOfAGoneVersion(t *testing.T) {
	c, _ := open()
	free := &unstructured.UnstructuredList{}
	free.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
	w, err := c.Watch(t.Context(), free, &client.ListOptions{Raw: &metav1.ListOptions{ResourceVersion: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	e := nextEvent(t, w)
	if err := apierrors.FromObject(e.Object); e.Type != watch.Error || err == nil {
		t.Errorf("a version that there never was: %+v", e)
	}
}

// TestOthersPassThrough: everything that is not of image.openshift.io/v1 is the other client's.
func TestOthersPassThrough(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}, Data: map[string]string{"a": "b"},
	}
	create(t, c, config)
	w, err := c.Watch(ctx, &corev1.ConfigMapList{})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	before := config.DeepCopy()
	config.Data["a"] = "c"
	if err := c.Patch(ctx, config, client.MergeFrom(before)); err != nil {
		t.Error(err)
	}
	if e := nextEvent(t, w); e.Type != watch.Modified {
		t.Errorf("watched %+v", e)
	}
	config.Data["a"] = "d"
	if err := c.Update(ctx, config); err != nil {
		t.Error(err)
	}
	list := &corev1.ConfigMapList{}
	if err := c.List(ctx, list); err != nil || len(list.Items) != 1 || list.Items[0].Data["a"] != "d" {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := c.DeleteAllOf(ctx, config, client.InNamespace("shop")); err != nil {
		t.Error(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(config), config); !apierrors.IsNotFound(err) {
		t.Errorf("after its deletion: %v", err)
	}
	if err := c.Delete(ctx, config); !apierrors.IsNotFound(err) {
		t.Errorf("deleted again: %v", err)
	}
	if err := c.Status().Update(ctx, config); !apierrors.IsNotFound(err) {
		t.Errorf("its status: %v", err)
	}
}

// TestWrapped: controller-runtime's own clients on top of this one.
func TestWrapped(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	dry := tagged("dry")
	if err := client.NewDryRunClient(c).Create(ctx, dry); err != nil {
		t.Error(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(dry), dry); !apierrors.IsNotFound(err) {
		t.Errorf("after a dry run: %v", err)
	}
	stream := tagged("app")
	stream.Namespace = ""
	if err := client.NewNamespacedClient(c, "tools").Create(ctx, stream); err != nil || stream.Namespace != "tools" {
		t.Errorf("created in %q, %v", stream.Namespace, err)
	}
	conflict := apierrors.NewConflict(imagev1.Resource("imagestreams"), "app", nil)
	failing := interceptor.NewClient(c, interceptor.Funcs{
		Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
			return conflict
		},
	})
	if err := failing.Update(ctx, stream); !apierrors.IsConflict(err) {
		t.Errorf("an injected failure: %v", err)
	}
}
