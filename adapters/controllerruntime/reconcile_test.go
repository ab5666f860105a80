package controllerruntime_test

import (
	"context"
	"fmt"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/imagestreams/imagestreams/fakes"
)

const finalizer = "apps.example.com/released"

// releases keeps an image stream for each ConfigMap that names a repository: it follows the tag, imports it, and
// writes the image that it has into the ConfigMap.
type releases struct{ client client.Client }

func (r *releases) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	config := &corev1.ConfigMap{}
	if err := r.client.Get(ctx, req.NamespacedName, config); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if controllerutil.AddFinalizer(config, finalizer) {
		if err := r.client.Update(ctx, config); err != nil {
			return reconcile.Result{}, err
		}
	}
	source := &corev1.ObjectReference{Kind: "DockerImage", Name: config.Data["repository"] + ":" + config.Data["tag"]}
	stream := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name}}
	_, err := controllerutil.CreateOrUpdate(ctx, r.client, stream, func() error {
		stream.Spec.Tags = []imagev1.TagReference{{Name: "live", From: source}}
		return controllerutil.SetControllerReference(config, stream, r.client.Scheme())
	})
	if err != nil {
		return reconcile.Result{}, err
	}
	if observed(stream) {
		return reconcile.Result{}, r.record(ctx, config, stream)
	}
	request := &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Namespace: req.Namespace, Name: req.Name, ResourceVersion: stream.ResourceVersion},
		Spec: imagev1.ImageStreamImportSpec{Import: true, Images: []imagev1.ImageImportSpec{{
			From: *source, To: &corev1.LocalObjectReference{Name: "live"},
		}}},
	}
	return reconcile.Result{RequeueAfter: 1}, r.client.Create(ctx, request)
}

// observed reports whether the status is about the tag as it is wanted.
func observed(stream *imagev1.ImageStream) bool {
	for _, tag := range stream.Status.Tags {
		if tag.Tag == "live" && len(tag.Items) > 0 {
			return tag.Items[0].Generation >= *stream.Spec.Tags[0].Generation
		}
	}
	return false
}

func (r *releases) record(ctx context.Context, config *corev1.ConfigMap, stream *imagev1.ImageStream) error {
	before := config.DeepCopy()
	config.Data["image"] = stream.Status.Tags[0].Items[0].Image
	return r.client.Patch(ctx, config, client.MergeFrom(before))
}

// TestReconcile runs a reconciler as it is, on the real rules: generations move, imports happen, and a second round
// changes nothing.
func TestReconcile(t *testing.T) {
	c, registry := open()
	ctx := t.Context()
	registry.Edit("quay.io", func(r fakes.Contents) {
		r.Push("org/app", fakes.Image{Layer: "1"}, "v1")
		r.Push("org/app", fakes.Image{Layer: "2"}, "v2")
	})
	config := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app", UID: "1"},
		Data:       map[string]string{"repository": "quay.io/org/app", "tag": "v1"},
	}
	create(t, c, config)
	key := client.ObjectKeyFromObject(config)
	settle := func() {
		t.Helper()
		r := &releases{c}
		for range 5 {
			result, err := r.Reconcile(ctx, reconcile.Request{NamespacedName: key})
			if err != nil {
				t.Fatal(err)
			}
			if result.IsZero() {
				return
			}
		}
		t.Fatal("the reconciler does not settle")
	}
	stream := &imagev1.ImageStream{}
	read := func() {
		t.Helper()
		if err := c.Get(ctx, key, stream); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(ctx, key, config); err != nil {
			t.Fatal(err)
		}
	}
	settle()
	read()
	first := config.Data["image"]
	if owner := metav1.GetControllerOf(stream); first == "" || owner == nil || owner.Kind != "ConfigMap" {
		t.Errorf("reconciled to %+v, owned by %+v", config.Data, owner)
	}
	version := stream.ResourceVersion
	settle()
	if read(); stream.ResourceVersion != version {
		t.Error("a second round wrote the stream")
	}
	config.Data["tag"] = "v2"
	if err := c.Update(ctx, config); err != nil {
		t.Fatal(err)
	}
	settle()
	read()
	items := stream.Status.Tags[0].Items
	if config.Data["image"] == first || len(items) != 2 || items[1].Image != first || stream.Generation < 2 {
		t.Errorf("after a new tag: %+v, %+v", config.Data, stream.Status)
	}
}

// TestConflictIsSeen: what a generated fake answers with success is a conflict.
func TestConflictIsSeen(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	stream := tagged("app", "v1")
	create(t, c, stream)
	racing := false
	_, err := controllerutil.CreateOrUpdate(ctx, c, stream, func() error {
		if !racing {
			racing = true
			other := tagged("app")
			if err := c.Get(ctx, client.ObjectKeyFromObject(stream), other); err != nil {
				return err
			}
			other.Labels = map[string]string{"a": "b"}
			if err := c.Update(ctx, other); err != nil {
				return err
			}
		}
		stream.Annotations = map[string]string{"c": "d"}
		return nil
	})
	if !apierrors.IsConflict(err) {
		t.Errorf("a write of an older version: %v", err)
	}
	result, err := controllerutil.CreateOrPatch(ctx, c, stream, func() error {
		stream.Annotations = map[string]string{"c": "d"}
		return nil
	})
	if err != nil || result != controllerutil.OperationResultUpdated || stream.Labels["a"] != "b" {
		t.Errorf("patched: %s, %+v, %v", result, stream.ObjectMeta, err)
	}
}

// BenchmarkClient gets and updates a stream of 20 tags, beside controller-runtime's fake client.
func BenchmarkClient(b *testing.B) {
	var tags []string
	for i := range 20 {
		tags = append(tags, fmt.Sprint("v", i))
	}
	ours, _ := open()
	for name, c := range map[string]client.Client{"NewClient": ours, "fake": fakeClient()} {
		b.Run(name, func(b *testing.B) {
			s := tagged("app", tags...)
			if err := client.IgnoreAlreadyExists(c.Create(b.Context(), s)); err != nil {
				b.Fatal(err)
			}
			key := client.ObjectKeyFromObject(s)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := c.Get(b.Context(), key, s); err != nil {
					b.Fatal(err)
				}
				s.Labels = map[string]string{"a": fmt.Sprint(i)}
				if err := c.Update(b.Context(), s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
