package openshift_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned/fake"
	"github.com/openshift/client-go/image/informers/externalversions"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clienttesting "k8s.io/client-go/testing"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/lookup"
)

func app(name string, labels map[string]string) *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: labels, ResourceVersion: "3"}}
	s.Spec.LookupPolicy.Local = true
	s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "v1", Items: []imagev1.TagEvent{{Image: "sha256:1", DockerImageReference: "quay.io/org/app"}}}}
	return s
}

var key = imagestream.Key{Namespace: "shop", Name: "app"}

func ExampleReader() {
	ctx := context.Background()
	client := fake.NewSimpleClientset(app("app", nil), &imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: "sha256:1"}})
	reader := &openshift.Reader{Client: client}

	s, err := reader.GetImageStream(ctx, key)
	fmt.Println(inspect.TagState(s, "v1").Phase, err)
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": []any{map[string]any{"image": "app:v1"}}}}
	changes, err := (&lookup.Resolver{Source: reader}).Changes(ctx, pod, "shop")
	fmt.Println(changes[0].To, err)
	// Output:
	// Done <nil>
	// quay.io/org/app:sha256:1 <nil>
}

func TestReads(t *testing.T) {
	client := fake.NewSimpleClientset(app("app", map[string]string{"team": "web"}), app("other", nil), &imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: "sha256:1"}})
	r := &openshift.Reader{Client: client}
	if _, err := r.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "none"}); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a stream that does not exist: %v", err)
	}
	if _, err := r.GetImage(t.Context(), "none"); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("an image that does not exist: %v", err)
	}
	web, err := imagestream.ParseSelector("team=web")
	if err != nil {
		t.Fatal(err)
	}
	if list, err := r.ListImageStreams(t.Context(), imagestream.ListOptions{Namespace: "shop", Labels: web}); err != nil || len(list.Items) != 1 || list.Items[0].Key() != key {
		t.Errorf("listed %+v, %v", list, err)
	}
	if list, err := r.ListImages(t.Context(), imagestream.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("listed %+v, %v", list, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.GetImageStream(ctx, key); !errors.Is(err, context.Canceled) {
		t.Errorf("under a context that is over: %v", err)
	}
	broken := errors.New("the cluster is away")
	client.PrependReactor("get", "imagestreams", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, broken })
	if _, err := r.GetImageStream(t.Context(), key); !errors.Is(err, broken) || errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a cluster that does not answer: %v", err)
	}
}

func TestInformersCopies(t *testing.T) {
	client := fake.NewSimpleClientset(app("app", map[string]string{}), &imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: "sha256:1"}})
	factory := externalversions.NewSharedInformerFactory(client, 0)
	r := &openshift.Reader{
		Client: client, Streams: factory.Image().V1().ImageStreams().Lister(), Images: factory.Image().V1().Images().Lister(),
	}
	factory.Image().V1().ImageStreams().Informer()
	factory.Image().V1().Images().Informer()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())

	s, err := r.GetImageStream(ctx, key)
	if err != nil {
		t.Fatal(err)
	}
	s.Metadata.Labels["spoilt"] = "yes"
	s.Status.Tags[0].Items[0].Image = "spoilt"
	again, err := r.GetImageStream(ctx, key)
	if err != nil || again.Metadata.Labels["spoilt"] != "" || again.Status.Tags[0].Items[0].Image != "sha256:1" {
		t.Errorf("the informer's copy was changed: %+v, %v", again, err)
	}
	if _, err := r.GetImage(ctx, "sha256:1"); err != nil {
		t.Error(err)
	}
	if _, err := r.GetImage(ctx, "none"); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("an image that is not there: %v", err)
	}
}

func TestWatch(t *testing.T) {
	client := fake.NewSimpleClientset(app("app", nil))
	r := &openshift.Reader{Client: client}
	streams := client.ImageV1().ImageStreams("shop")
	var got []string
	for change, err := range r.WatchImageStreams(t.Context(), imagestream.WatchOptions{Namespace: "shop"}) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(change.Type, " ", change.Object.Metadata.Name))
		switch len(got) {
		case 1:
			_, err = streams.Create(t.Context(), app("other", nil), metav1.CreateOptions{})
		case 2:
			_, err = streams.Update(t.Context(), app("app", map[string]string{"a": "b"}), metav1.UpdateOptions{})
		case 3:
			err = streams.Delete(t.Context(), "other", metav1.DeleteOptions{})
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 4 {
			break
		}
	}
	if want := "[ADDED app ADDED other MODIFIED app DELETED other]"; fmt.Sprint(got) != want {
		t.Errorf("watched %v, want %s", got, want)
	}
}

// TestWatchGoesOn ends a watch, as a cluster does after some minutes, and lets the next one say that its version is gone.
func TestWatchGoesOn(t *testing.T) {
	client := fake.NewSimpleClientset()
	var versions []string
	client.PrependWatchReactor("images", func(action clienttesting.Action) (bool, watch.Interface, error) {
		versions = append(versions, action.(clienttesting.WatchActionImpl).ListOptions.ResourceVersion)
		events := watch.NewFakeWithChanSize(2, false)
		if len(versions) == 1 {
			events.Add(&imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: "sha256:1", ResourceVersion: "7"}})
			events.Stop()
		} else {
			gone := apierrors.NewResourceExpired("too old").Status()
			events.Error(&gone)
		}
		return true, events, nil
	})
	r := &openshift.Reader{Client: client}
	n := 0
	var last error
	for _, err := range r.WatchImages(t.Context(), imagestream.WatchOptions{ResourceVersion: "5"}) {
		if last = err; err == nil {
			n++
		}
	}
	if n != 1 || !errors.Is(last, imagestream.ErrGone) || fmt.Sprint(versions) != "[5 7]" {
		t.Errorf("%d changes from the versions %v, then %v", n, versions, last)
	}
}

// TestWatchPauses: a cluster that ends every watch at once is not asked without end.
func TestWatchPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := fake.NewSimpleClientset()
		opened := 0
		client.PrependWatchReactor("imagestreams", func(clienttesting.Action) (bool, watch.Interface, error) {
			opened++
			events := watch.NewFakeWithChanSize(1, false)
			events.Stop()
			return true, events, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10500*time.Millisecond)
		defer cancel()
		var last error
		for _, err := range openshift.API(client).ImageStreams().Watch(ctx, rest.WatchOptions{ResourceVersion: "5"}) {
			last = err
		}
		if !errors.Is(last, context.DeadlineExceeded) || opened != 11 {
			t.Errorf("opened %d times, then %v", opened, last)
		}
	})
}
