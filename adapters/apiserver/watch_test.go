package apiserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/informers/externalversions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// next returns the next event of a watch, which must come.
func next(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	event, ok := <-w.ResultChan()
	if !ok {
		t.Fatal("the watch ended")
	}
	return event
}

func nameOf(event watch.Event) string { return event.Object.(metav1.Object).GetName() }

func create(t *testing.T, client versioned.Interface, namespace, name string) *imagev1.ImageStream {
	t.Helper()
	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}}}
	made, err := client.ImageV1().ImageStreams(namespace).Create(t.Context(), stream, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestWatchFromAVersion(t *testing.T) {
	client := newClient(t)
	first := create(t, client, "shop", "a")
	create(t, client, "shop", "b")
	create(t, client, "tools", "c")
	w, err := client.ImageV1().ImageStreams("shop").
		Watch(t.Context(), metav1.ListOptions{ResourceVersion: first.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	if event := next(t, w); event.Type != watch.Added || nameOf(event) != "b" {
		t.Errorf("after a's version comes %s %s, want b added", event.Type, nameOf(event))
	}
	if err := client.ImageV1().ImageStreams("shop").Delete(t.Context(), "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if event := next(t, w); event.Type != watch.Deleted || nameOf(event) != "a" {
		t.Errorf("then comes %s %s, want a deleted", event.Type, nameOf(event))
	}
}

func TestWatchListEndsWithABookmark(t *testing.T) {
	client := newClient(t)
	create(t, client, "shop", "a")
	create(t, client, "tools", "b")
	last := create(t, client, "shop", "c")
	yes := true
	w, err := client.ImageV1().ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{
		SendInitialEvents: &yes, AllowWatchBookmarks: true, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, want := range []string{"a", "c"} {
		if event := next(t, w); event.Type != watch.Added || nameOf(event) != want {
			t.Errorf("%s %s, want %s added", event.Type, nameOf(event), want)
		}
	}
	end := next(t, w)
	m := end.Object.(metav1.Object)
	if end.Type != watch.Bookmark || m.GetAnnotations()[metav1.InitialEventsAnnotationKey] != "true" ||
		m.GetResourceVersion() != last.ResourceVersion {
		t.Errorf("initial events end with %s %+v", end.Type, end.Object)
	}
	create(t, client, "shop", "d")
	if event := next(t, w); nameOf(event) != "d" {
		t.Errorf("then comes %s", nameOf(event))
	}
}

func TestWatchBySelectors(t *testing.T) {
	client := newClient(t)
	byLabel, err := client.ImageV1().ImageStreams("").Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=b"})
	if err != nil {
		t.Fatal(err)
	}
	defer byLabel.Stop()
	byName, err := client.ImageV1().ImageStreams("shop").
		Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=b"})
	if err != nil {
		t.Fatal(err)
	}
	defer byName.Stop()
	create(t, client, "shop", "a")
	b := create(t, client, "shop", "b")
	for _, w := range []watch.Interface{byLabel, byName} {
		if event := next(t, w); event.Type != watch.Added || nameOf(event) != "b" {
			t.Errorf("%s %s, want b added", event.Type, nameOf(event))
		}
	}
	b.Labels = nil
	if _, err := client.ImageV1().ImageStreams("shop").Update(t.Context(), b, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if event := next(t, byLabel); event.Type != watch.Deleted {
		t.Errorf("a stream that lost its label is %s, want deleted", event.Type)
	}
	if event := next(t, byName); event.Type != watch.Modified {
		t.Errorf("the same by its name is %s, want modified", event.Type)
	}
}

// TestInformers runs the generated informers and listers over HTTP, with more changes than the store keeps while they
// are away: their watch is answered with "expired", and they list again.
func TestInformers(t *testing.T) {
	store := &fakes.Store{History: 2}
	config := apiserver.NewTestServer(t, rest.New(store, nil))
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	seconds := int64(1)
	factory := externalversions.NewSharedInformerFactoryWithOptions(
		client, 0, externalversions.WithTweakListOptions(func(opts *metav1.ListOptions) {
			opts.TimeoutSeconds = &seconds // watches begin again all the time
		}))
	informer := factory.Image().V1().ImageStreams()
	seen := make(chan string, 1000)
	if _, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o any) { seen <- "add " + o.(*imagev1.ImageStream).Name },
		DeleteFunc: func(o any) { seen <- "delete" },
	}); err != nil {
		t.Fatal(err)
	}
	create(t, client, "shop", "first")
	ctx, stop := context.WithCancel(t.Context())
	defer factory.Shutdown()
	defer stop()
	factory.StartWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), informer.Informer().HasSynced) {
		t.Fatal("the informer did not list")
	}
	if got := <-seen; got != "add first" {
		t.Errorf("the informer saw %q", got)
	}
	want := map[string]bool{}
	for i := range 30 {
		name := fmt.Sprint("app", i)
		create(t, client, "shop", name)
		want["add "+name] = true
	}
	for len(want) > 0 {
		delete(want, <-seen)
	}
	if err := client.ImageV1().ImageStreams("shop").Delete(t.Context(), "first", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	for <-seen != "delete" {
	}
	listed, err := informer.Lister().ImageStreams("shop").List(labels.Everything())
	if err != nil || len(listed) != 30 {
		t.Errorf("the lister has %d streams, %v; want 30", len(listed), err)
	}
}

// TestEndOfServerEndsWatches stops a server with watches open: they end, and the server does not wait for them.
func TestEndOfServerEndsWatches(t *testing.T) {
	inner := &recorder{T: t}
	client, err := versioned.NewForConfig(apiserver.NewTestServer(inner, rest.New(&fakes.Store{}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	create(t, client, "shop", "a")
	w, err := client.ImageV1().ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	next(t, w)
	inner.end()
	deadline := time.After(time.Minute)
	for open := true; open; {
		select {
		case _, open = <-w.ResultChan():
		case <-deadline:
			t.Fatal("the watch is still open")
		}
	}
}

// recorder is a test that ends when it is told.
type recorder struct {
	*testing.T
	cleanups []func()
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) end() {
	for _, f := range r.cleanups {
		f()
	}
}

// TestManyWatchesSeeTheSame has watches that share how a change is encoded: as JSON, as tables, one of them by a selector
// that a stream stops to fit.
func TestManyWatchesSeeTheSame(t *testing.T) {
	config := apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil))
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var all []watch.Interface
	for range 20 {
		w, err := client.ImageV1().ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Stop()
		all = append(all, w)
	}
	selected, err := client.ImageV1().ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{LabelSelector: "app=a"})
	if err != nil {
		t.Fatal(err)
	}
	defer selected.Stop()
	table, err := client.ImageV1().RESTClient().Get().Namespace("shop").Resource("imagestreams").Param("watch", "1").
		SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").Stream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	rows := json.NewDecoder(table)

	made := create(t, client, "shop", "a")
	changed := made.DeepCopy()
	changed.Labels = map[string]string{"app": "b"}
	if changed, err = client.ImageV1().ImageStreams("shop").Update(t.Context(), changed, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		for _, want := range []*imagev1.ImageStream{made, changed} {
			if event := next(t, w); !reflect.DeepEqual(event.Object, want) {
				t.Errorf("watch %d: %s %+v, want %+v", i, event.Type, event.Object, want)
			}
		}
	}
	for _, want := range []watch.EventType{watch.Added, watch.Deleted} {
		if event := next(t, selected); event.Type != want || event.Object.(*imagev1.ImageStream).Labels["app"] != "a" {
			t.Errorf("by its label the stream is %s %+v, want %s as it was", event.Type, event.Object, want)
		}
	}
	for i, want := range []string{"ADDED", "MODIFIED"} {
		var event struct {
			Type   string
			Object metav1.Table
		}
		if err := rows.Decode(&event); err != nil {
			t.Fatal(err)
		}
		if event.Type != want || len(event.Object.Rows) != 1 || event.Object.Rows[0].Cells[0] != "a" ||
			(len(event.Object.ColumnDefinitions) > 0) != (i == 0) {
			t.Errorf("the table has %s %+v", event.Type, event.Object)
		}
	}
}
