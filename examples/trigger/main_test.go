package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	imageapi "github.com/openshift/api/image/v1"
	imagefake "github.com/openshift/client-go/image/clientset/versioned/fake"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// place is where streams and objects are.
type place struct {
	streams imagestream.Reader
	objects Objects
	push    func(name, tag, image string) error
	put     func(Object)
	remove  func(trigger.ID)
	// late makes the next update come too late.
	late func()
	// watching waits until a controller that was started sees what happens.
	watching func()
}

// inMemory is a store, and objects in memory.
func inMemory(t *testing.T) *place {
	store := &fakes.Store{}
	p := &place{streams: store}
	p.push = func(name, tag, image string) error { return push(t.Context(), store, name, tag, image) }
	memory := &Memory{Streams: store}
	memory.Built = func(context.Context, *trigger.BuildRequest) error { return p.push("web", "latest", "sha256:b1") }
	objects := &lateObjects{Objects: memory}
	p.objects, p.put = objects, func(o Object) { memory.Put(o) }
	p.remove = func(id trigger.ID) { memory.Remove(id) }
	p.late = func() { objects.late.Store(true) }
	p.watching = func() {}
	return p
}

// lateObjects lets somebody else write first, when it is told to.
type lateObjects struct {
	Objects
	late atomic.Bool
}

func (l *lateObjects) Update(ctx context.Context, object Object) (Object, error) {
	if l.late.CompareAndSwap(true, false) {
		now, err := l.Get(ctx, trigger.IDOf(object))
		if err == nil {
			_, err = l.Objects.Update(ctx, trigger.Release(now))
		}
		if err != nil {
			return nil, err
		}
	}
	return l.Objects.Update(ctx, object)
}

// onCluster is a cluster's clientsets.
func onCluster(t *testing.T) *place {
	streams := imagefake.NewSimpleClientset()
	kinds := map[schema.GroupVersionResource]string{}
	for kind, resource := range resources {
		kinds[resource] = kind.Kind + "List"
	}
	client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	p := &place{streams: &openshift.Reader{Client: streams}}
	watches := make(chan struct{}, 100)
	count := func(tracker clienttesting.ObjectTracker) clienttesting.WatchReactionFunc {
		return func(action clienttesting.Action) (bool, watch.Interface, error) {
			w, err := tracker.Watch(action.GetResource(), action.GetNamespace())
			watches <- struct{}{}
			return true, w, err
		}
	}
	client.PrependWatchReactor("*", count(client.Tracker()))
	streams.PrependWatchReactor("*", count(streams.Tracker()))
	p.watching = func() { // of a fake, whatever happens between list and watch is missed
		for range len(resources) + 1 {
			<-watches
		}
	}
	cluster := &Cluster{Client: client}
	p.objects = cluster
	at := func(id trigger.ID) schema.GroupVersionResource {
		return resources[schema.GroupKind{Group: id.Group, Kind: id.Kind}]
	}
	p.put = func(o Object) {
		id := trigger.IDOf(o)
		u := &unstructured.Unstructured{Object: runtime.DeepCopyJSON(o)}
		err := client.Tracker().Update(at(id), u, id.Namespace)
		if apierrors.IsNotFound(err) {
			err = client.Tracker().Create(at(id), u, id.Namespace)
		}
		if err != nil {
			t.Error(err)
		}
	}
	p.remove = func(id trigger.ID) {
		if err := client.Tracker().Delete(at(id), id.Namespace, id.Name); err != nil {
			t.Error(err)
		}
	}
	var late atomic.Bool
	p.late = func() { late.Store(true) }
	client.PrependReactor("update", "deployments", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if !late.CompareAndSwap(true, false) {
			return false, nil, nil
		}
		return true, nil, apierrors.NewConflict(action.GetResource().GroupResource(), "web", errors.New("changed"))
	})
	client.PrependReactor("create", "buildconfigs", func(action clienttesting.Action) (bool, runtime.Object, error) {
		create := action.(clienttesting.CreateAction)
		body := create.GetObject().(*unstructured.Unstructured)
		if action.GetSubresource() != "instantiate" || body.GetKind() != "BuildRequest" || body.GetName() != "web" {
			return true, nil, fmt.Errorf("%s of %+v", action.GetSubresource(), body)
		}
		id := trigger.ID{Group: "build.openshift.io", Kind: "BuildConfig", Namespace: "shop", Name: "web"}
		bc, err := client.Tracker().Get(at(id), id.Namespace, id.Name)
		if err != nil {
			return true, nil, err
		}
		o := runtime.DeepCopyJSON(bc.(*unstructured.Unstructured).Object)
		image, _, _ := unstructured.NestedString(body.Object, "triggeredByImage", "name")
		o["status"] = map[string]any{"imageChangeTriggers": []any{map[string]any{
			"from": map[string]any{"name": "nodejs:20"}, "lastTriggeredImageID": image,
		}}}
		p.put(o)
		return true, body, p.push("web", "latest", "sha256:b1")
	})
	p.push = func(name, tag, image string) error { return pushToCluster(t, streams, name, tag, image) }
	return p
}

// pushToCluster does what push does to a store.
func pushToCluster(t *testing.T, client *imagefake.Clientset, name, tag, image string) error {
	key := imagestream.Key{Namespace: "shop", Name: name}
	s, err := (&openshift.Reader{Client: client}).GetImageStream(t.Context(), key)
	isNew := errors.Is(err, imagestream.ErrNotFound)
	if isNew {
		s, err = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}}, nil
	}
	if err != nil {
		return err
	}
	s, _ = s.Push(tag, tagevent.Event{Image: image, DockerImageReference: "registry.shop/shop/" + name + "@" + image})
	theirs := openshift.ToAPI[imageapi.ImageStream](s)
	if isNew {
		_, err = client.ImageV1().ImageStreams("shop").Create(t.Context(), theirs, metav1.CreateOptions{})
	} else {
		_, err = client.ImageV1().ImageStreams("shop").Update(t.Context(), theirs, metav1.UpdateOptions{})
	}
	return err
}

// imageOf returns the image of the first container of an object.
func imageOf(o Object) string {
	spec, _ := o["spec"].(map[string]any)
	template, _ := spec["template"].(map[string]any)
	pod, _ := template["spec"].(map[string]any)
	containers, _ := pod["containers"].([]any)
	if len(containers) == 0 {
		return ""
	}
	container, _ := containers[0].(map[string]any)
	image, _ := container["image"].(string)
	return image
}

// start runs a controller, and returns what tells of its rounds and what ends it.
func (p *place) start(t *testing.T) (rounds *gate, stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	rounds = &gate{}
	c := &Controller{
		Streams: p.streams, Objects: p.objects,
		Planned: func(trigger.Round) { rounds.pass() },
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	p.watching()
	return rounds, func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the controller ended with %v", err)
		}
	}
}

// TestController: the same controller over a store and over a cluster's clientsets.
func TestController(t *testing.T) {
	for name, make := range map[string]func(*testing.T) *place{"store": inMemory, "cluster": onCluster} {
		t.Run(name, func(t *testing.T) { controllerStory(t, make(t)) })
	}
}

func controllerStory(t *testing.T, p *place) {
	for _, text := range []string{webBuild, fmt.Sprintf(deployment, "web"), fmt.Sprintf(deployment, "admin")} {
		o, err := parse("%s", text)
		if err != nil {
			t.Fatal(err)
		}
		p.put(o)
	}
	web, admin := trigger.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "web"}, trigger.ID{Group: "apps", Kind: "Deployment", Namespace: "shop", Name: "admin"}
	rounds, stop := p.start(t)
	runs := func(id trigger.ID, image string) {
		t.Helper()
		err := rounds.wait(t.Context(), func() bool {
			o, err := p.objects.Get(t.Context(), id)
			return err == nil && imageOf(o) == "registry.shop/shop/web@sha256:"+image
		})
		if err != nil {
			t.Fatalf("%s does not run %s: %v", id, image, err)
		}
	}
	move := func(name, tag, image string) {
		t.Helper()
		if err := p.push(name, tag, "sha256:"+image); err != nil {
			t.Fatal(err)
		}
	}
	move("nodejs", "20", "20") // the build pushes b1
	runs(web, "b1")
	runs(admin, "b1")

	p.late()
	move("web", "latest", "c1")
	runs(web, "c1")
	runs(admin, "c1")

	p.remove(admin)
	move("web", "latest", "c2")
	runs(web, "c2")
	if _, err := p.objects.Get(t.Context(), admin); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("what was removed is there again: %v", err)
	}
	stop()
	move("web", "latest", "c3") // missed
	rounds, stop = p.start(t)
	runs(web, "c3")
	stop()
}

func TestStory(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	short := func(n int) string { return fmt.Sprintf("sha256:%064x", n) }
	want := []string{
		"# nodejs:20 is there: web is built, and rolled out",
		"BuildConfig shop/web: build from registry.shop/shop/nodejs@" + short(0x20),
		"Deployment shop/admin: /spec/template/spec/containers/0/image: web:latest -> registry.shop/shop/web@" + short(1),
		"Deployment shop/web: /spec/template/spec/containers/0/image: web:latest -> registry.shop/shop/web@" + short(1),
		"# admin is held; nodejs:20 moves",
		"BuildConfig shop/web: build from registry.shop/shop/nodejs@" + short(0x21),
		"Deployment shop/web: /spec/template/spec/containers/0/image: registry.shop/shop/web@" + short(1) + " -> registry.shop/shop/web@" + short(2),
		"# admin is released",
		"Deployment shop/admin: /spec/template/spec/containers/0/image: registry.shop/shop/web@" + short(1) + " -> registry.shop/shop/web@" + short(2),
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(got) > 3 {
		slices.Sort(got[2:4]) // either deployment may be seen first
	}
	if !slices.Equal(got, want) {
		t.Errorf("the story:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestFlags(t *testing.T) {
	for args, want := range map[string]string{
		"x":                           "only flags are wanted",
		"-at-once -1":                 "must be 0 or more",
		"-settle 0s":                  "-settle more than 0",
		"-namespace shop":             "goes with -kubeconfig",
		"-kubeconfig no/such/file":    "no/such/file",
		"-at-once-per-namespace many": "invalid value",
	} {
		if err := run(t.Context(), strings.Fields(args), &strings.Builder{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q in it", args, err, want)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &strings.Builder{}); err != nil {
		t.Errorf("-h: %v", err)
	}
}
