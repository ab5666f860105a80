package controllerruntime_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/imagestreams/imagestreams/adapters/controllerruntime"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(imagev1.Install(scheme))
	return scheme
}

// fakeClient is controller-runtime's own.
func fakeClient() client.WithWatch { return fake.NewClientBuilder().WithScheme(newScheme()).Build() }

// newClient returns a client on api, over a fake one.
func newClient(api rest.API) client.WithWatch { return controllerruntime.NewClient(api, fakeClient()) }

// open returns a client on an empty store, and its registry.
func open() (client.WithWatch, *fakes.Registry) {
	registry := &fakes.Registry{}
	return newClient(rest.New(&fakes.Store{}, registry)), registry
}

// tagged is a stream of the namespace shop with tags that come from a registry.
func tagged(name string, tags ...string) *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	for _, tag := range tags {
		from := &corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/" + name + ":" + tag}
		s.Spec.Tags = append(s.Spec.Tags, imagev1.TagReference{Name: tag, From: from})
	}
	return s
}

func create(t *testing.T, c client.Client, objects ...client.Object) {
	t.Helper()
	for _, o := range objects {
		if err := c.Create(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
}

func ExampleNewClient() {
	ctx := context.Background()
	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(imagev1.Install(scheme))
	next := fake.NewClientBuilder().WithScheme(scheme).Build()
	c := controllerruntime.NewClient(rest.New(&fakes.Store{}, nil), next)

	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}}
	fmt.Println(c.Create(ctx, stream), stream.Generation)
	stale := stream.DeepCopy()
	stream.Labels = map[string]string{"team": "web"}
	fmt.Println(c.Update(ctx, stream))
	fmt.Println(apierrors.IsConflict(c.Update(ctx, stale)))
	fmt.Println(c.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}}))
	// Output:
	// <nil> 1
	// <nil>
	// true
	// <nil>
}

// unstructuredOf is an empty object of a kind.
func unstructuredOf(kind schema.GroupVersionKind, name string) *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(kind)
	u.SetNamespace("shop")
	u.SetName(name)
	return u
}

var streamKind = imagev1.GroupVersion.WithKind("ImageStream")

// metadataOf is a stream of which only the metadata count.
func metadataOf(name string) *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name}}
	m.SetGroupVersionKind(streamKind)
	return m
}

// TestUnstructured: an unstructured object lives as a typed one does.
func TestUnstructured(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	free := unstructuredOf(streamKind, "app")
	const image = "quay.io/org/app:v1"
	tags := []any{map[string]any{"name": "v1", "from": map[string]any{"kind": "DockerImage", "name": image}}}
	if err := unstructured.SetNestedSlice(free.Object, tags, "spec", "tags"); err != nil {
		t.Fatal(err)
	}
	create(t, c, free)
	if free.GetUID() == "" || free.GetGeneration() != 1 || free.GroupVersionKind() != streamKind {
		t.Errorf("created %v", free.Object)
	}
	typed := &imagev1.ImageStream{}
	key := client.ObjectKeyFromObject(free)
	if err := c.Get(ctx, key, typed); err != nil || typed.Spec.Tags[0].From.Name != image {
		t.Errorf("got %+v, %v", typed, err)
	}
	free.SetLabels(map[string]string{"a": "b"})
	if err := c.Update(ctx, free); err != nil || free.GetResourceVersion() == typed.ResourceVersion {
		t.Errorf("updated %v, %v", free.Object, err)
	}
	read := unstructuredOf(streamKind, "")
	if err := c.Get(ctx, key, read); err != nil || cmp.Diff(free.Object, read.Object) != "" {
		t.Errorf("got %v\n%s", err, cmp.Diff(free.Object, read.Object))
	}
	before := read.DeepCopy()
	read.SetLabels(map[string]string{"a": "c"})
	if err := c.Patch(ctx, read, client.MergeFrom(before)); err != nil || read.GetLabels()["a"] != "c" {
		t.Errorf("patched to %v, %v", read.Object, err)
	}
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
	err := c.List(ctx, list, client.InNamespace("shop"))
	if err != nil || len(list.Items) != 1 || list.GetResourceVersion() == "" ||
		cmp.Diff(read.Object, list.Items[0].Object) != "" {
		t.Errorf("listed %+v, %v", list, err)
	}
	free.Object["spec"] = "text"
	if err := c.Update(ctx, free); !apierrors.IsBadRequest(err) {
		t.Errorf("a spec that is a text: %v", err)
	}
	if err := c.Delete(ctx, unstructuredOf(streamKind, "app")); err != nil {
		t.Error(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(typed), typed); !apierrors.IsNotFound(err) || typed.UID == "" {
		t.Errorf("after its deletion %v; a failed get leaves %+v", err, typed)
	}
}

func TestMetadataOnly(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	stream := tagged("app", "v1")
	stream.Labels = map[string]string{"a": "b"}
	create(t, c, stream, tagged("other"))
	m := metadataOf("")
	if err := c.Get(ctx, client.ObjectKeyFromObject(stream), m); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(stream.ObjectMeta, m.ObjectMeta); diff != "" || m.GroupVersionKind() != streamKind {
		t.Errorf("got %v\n%s", m, diff)
	}
	before := m.DeepCopy()
	m.Annotations = map[string]string{"why": "test"}
	if err := c.Patch(ctx, m, client.MergeFrom(before)); err != nil || m.GroupVersionKind() != streamKind ||
		m.ResourceVersion == before.ResourceVersion {
		t.Errorf("patched to %+v, %v", m, err)
	}
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamList"))
	err := c.List(ctx, list, client.MatchingLabels{"a": "b"})
	if err != nil || len(list.Items) != 1 || list.Kind != "ImageStreamList" || cmp.Diff(*m, list.Items[0]) != "" {
		t.Errorf("listed %+v, %v", list, err)
	}
	if err := c.Create(ctx, metadataOf("new")); err == nil {
		t.Error("created from metadata alone")
	}
	if err := c.Update(ctx, m); err == nil {
		t.Error("updated by metadata alone")
	}
	if err := c.Status().Update(ctx, m); err == nil {
		t.Error("a status updated by metadata alone")
	}
	if err := c.SubResource("layers").Get(ctx, m, &imagev1.ImageStreamLayers{}); err == nil {
		t.Error("layers got by metadata alone")
	}
	if err := c.Delete(ctx, m, client.Preconditions{UID: &stream.UID}); err != nil {
		t.Error(err)
	}
}

// otherStream is a Go type of somebody else for image streams.
type otherStream struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Tags []struct {
			Name string `json:"name"`
		} `json:"tags"`
	} `json:"spec"`
}

func (o *otherStream) DeepCopyObject() runtime.Object {
	c := *o
	o.ObjectMeta.DeepCopyInto(&c.ObjectMeta)
	c.Spec.Tags = append(c.Spec.Tags[:0:0], o.Spec.Tags...)
	return &c
}

func TestOtherGoType(t *testing.T) {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypeWithName(streamKind, &otherStream{})
	c := controllerruntime.NewClient(rest.New(&fakes.Store{}, nil), fake.NewClientBuilder().WithScheme(scheme).Build())
	o := &otherStream{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"}}
	o.Spec.Tags = append(o.Spec.Tags, struct {
		Name string `json:"name"`
	}{"v1"})
	create(t, c, o)
	got := &otherStream{}
	err := c.Get(t.Context(), client.ObjectKeyFromObject(o), got)
	if err != nil || got.UID == "" || len(got.Spec.Tags) != 1 || got.Spec.Tags[0].Name != "v1" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestKinds: a typed object has no kind after Get, Create and List, and keeps its own in Update and Patch.
func TestKinds(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	stream := tagged("app", "v1")
	stream.SetGroupVersionKind(streamKind)
	create(t, c, stream)
	if !stream.GroupVersionKind().Empty() {
		t.Errorf("after Create %v", stream.TypeMeta)
	}
	stream.SetGroupVersionKind(streamKind)
	if err := c.Update(ctx, stream); err != nil || stream.GroupVersionKind() != streamKind {
		t.Errorf("after Update %v, %v", stream.TypeMeta, err)
	}
	if err := c.Status().Update(ctx, stream); err != nil || stream.GroupVersionKind() != streamKind {
		t.Errorf("after the update of a status %v, %v", stream.TypeMeta, err)
	}
	nothing := client.RawPatch("application/merge-patch+json", []byte(`{}`))
	if err := c.Patch(ctx, stream, nothing); err != nil || stream.GroupVersionKind() != streamKind {
		t.Errorf("after Patch %v, %v", stream.TypeMeta, err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(stream), stream); err != nil || !stream.GroupVersionKind().Empty() {
		t.Errorf("after Get %v, %v", stream.TypeMeta, err)
	}
	list := &imagev1.ImageStreamList{}
	if err := c.List(ctx, list); err != nil || list.Kind != "" || list.Items[0].Kind != "" {
		t.Errorf("after List %+v, %v", list, err)
	}
}

func TestScope(t *testing.T) {
	c, _ := open()
	for obj, want := range map[client.Object]bool{
		&imagev1.ImageStream{}: true, &imagev1.ImageStreamTag{}: true,
		&imagev1.Image{}: false, &imagev1.ImageSignature{}: false,
	} {
		if got, err := c.IsObjectNamespaced(obj); err != nil || got != want {
			t.Errorf("%T is in a namespace: %t, %v", obj, got, err)
		}
	}
	kind, err := c.GroupVersionKindFor(&imagev1.ImageStreamList{})
	if err != nil || kind.Kind != "ImageStreamList" || c.Scheme() == nil {
		t.Errorf("%v, %v", kind, err)
	}
	mapping, err := c.RESTMapper().RESTMapping(streamKind.GroupKind())
	if err != nil || mapping.Resource.Resource != "imagestreams" {
		t.Errorf("%v, %v", mapping, err)
	}
	if _, err := c.RESTMapper().RESTMapping(schema.GroupKind{Kind: "None"}); !meta.IsNoMatchError(err) {
		t.Errorf("an unknown kind: %v", err)
	}
}

// TestUnsupported: verbs that a resource does not have fail as on a cluster, before anything is done.
func TestUnsupported(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	key := client.ObjectKey{Namespace: "shop", Name: "app"}
	in := metav1.ObjectMeta{Namespace: "shop", Name: "app"}
	imports := &unstructured.UnstructuredList{}
	imports.SetGroupVersionKind(imagev1.GroupVersion.WithKind("ImageStreamImportList"))
	nothing := client.RawPatch("application/merge-patch+json", []byte(`{}`))
	create(t, c, tagged("app", "v1"))
	applied := client.ApplyConfigurationFromUnstructured(
		unstructuredOf(imagev1.GroupVersion.WithKind("ImageStreamImport"), "app"))
	appliedTag := client.ApplyConfigurationFromUnstructured(
		unstructuredOf(imagev1.GroupVersion.WithKind("ImageStreamTag"), "app:v1"))
	for what, err := range map[string]error{
		"get":             c.Get(ctx, key, &imagev1.ImageStreamImport{}),
		"list":            c.List(ctx, imports),
		"create":          c.Create(ctx, &imagev1.ImageStreamImage{ObjectMeta: in}),
		"update":          c.Update(ctx, &imagev1.ImageStreamMapping{ObjectMeta: in}),
		"delete":          c.Delete(ctx, &imagev1.ImageStreamImage{ObjectMeta: in}),
		"patch":           c.Patch(ctx, &imagev1.ImageSignature{ObjectMeta: in}, nothing),
		"apply":           c.Apply(ctx, applied),
		"apply a tag":     c.Apply(ctx, appliedTag, client.FieldOwner("test")),
		"tags":            c.DeleteAllOf(ctx, &imagev1.ImageStreamTag{}, client.InNamespace("shop")),
		"everywhere":      c.DeleteAllOf(ctx, &imagev1.ImageStream{}),
		"create a status": c.Status().Create(ctx, tagged("app"), tagged("app")),
		"update layers":   c.SubResource("layers").Update(ctx, tagged("app")),
		"patch secrets":   c.SubResource("secrets").Patch(ctx, tagged("app"), nothing),
	} {
		if !apierrors.IsMethodNotSupported(err) || !errors.Is(err, imagestream.ErrUnsupported) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := c.Watch(ctx, &imagev1.ImageTagList{}); !apierrors.IsMethodNotSupported(err) {
		t.Errorf("watch: %v", err)
	}
	for what, err := range map[string]error{
		"get":    c.SubResource("scale").Get(ctx, tagged("app"), tagged("app")),
		"create": c.SubResource("scale").Create(ctx, tagged("app"), tagged("app")),
		"update": c.SubResource("scale").Update(ctx, tagged("app")),
		"tag":    c.Status().Update(ctx, &imagev1.ImageStreamTag{ObjectMeta: in}),
	} {
		if !apierrors.IsNotFound(err) {
			t.Errorf("%s of a subresource that is not there: %v", what, err)
		}
	}
}
