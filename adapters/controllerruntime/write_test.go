package controllerruntime_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	applyv1 "github.com/openshift/client-go/image/applyconfigurations/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
)

func specTags(s *imagev1.ImageStream) string {
	var all []string
	for _, tag := range s.Spec.Tags {
		all = append(all, tag.Name)
	}
	return strings.Join(all, " ")
}

func TestPatches(t *testing.T) {
	for _, tc := range []struct {
		name  string
		patch func(before *imagev1.ImageStream) client.Patch
		tags  string
	}{
		{"JSON", func(*imagev1.ImageStream) client.Patch {
			return client.RawPatch(types.JSONPatchType, []byte(`[{"op":"remove","path":"/spec/tags/0"}]`))
		}, "v2"},
		{"merge", func(before *imagev1.ImageStream) client.Patch { return client.MergeFrom(before) }, "v1"},
		{"strategic merge", func(before *imagev1.ImageStream) client.Patch {
			return client.StrategicMergeFrom(before)
		}, "v1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, _ := open()
			stream := tagged("app", "v1", "v2")
			create(t, c, stream)
			before := stream.DeepCopy()
			stream.Spec.Tags = stream.Spec.Tags[:1]
			dry := stream.DeepCopy()
			err := c.Patch(t.Context(), dry, tc.patch(before), client.DryRunAll)
			if err != nil || specTags(dry) != tc.tags {
				t.Errorf("a dry run: %s, %v", specTags(dry), err)
			}
			if err := c.Patch(t.Context(), stream, tc.patch(before)); err != nil || specTags(stream) != tc.tags {
				t.Errorf("patched to %s, %v; want %s", specTags(stream), err, tc.tags)
			}
			stored := &imagev1.ImageStream{}
			err = c.Get(t.Context(), client.ObjectKeyFromObject(stream), stored)
			if err != nil || cmp.Diff(stream, stored) != "" {
				t.Errorf("stored %v\n%s", err, cmp.Diff(stream, stored))
			}
		})
	}
}

// TestOptimisticLock: a patch of an older object is a conflict if it says so, and leaves its argument alone.
func TestOptimisticLock(t *testing.T) {
	c, _ := open()
	stream := tagged("app")
	create(t, c, stream)
	stale := stream.DeepCopy()
	stream.Labels = map[string]string{"a": "b"}
	if err := c.Update(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	next := stale.DeepCopy()
	next.Labels = map[string]string{"a": "c"}
	wanted := next.DeepCopy()
	patch := client.MergeFromWithOptions(stale, client.MergeFromWithOptimisticLock{})
	err := c.Patch(t.Context(), next, patch)
	if !apierrors.IsConflict(err) || !errors.Is(err, imagestream.ErrConflict) || cmp.Diff(wanted, next) != "" {
		t.Errorf("%v\n%s", err, cmp.Diff(wanted, next))
	}
	if err := c.Patch(t.Context(), next, client.MergeFrom(stale)); err != nil || next.Labels["a"] != "c" {
		t.Errorf("without the lock: %+v, %v", next, err)
	}
}

func TestApply(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	from := func(image string) corev1.ObjectReference {
		return corev1.ObjectReference{Kind: "DockerImage", Name: image}
	}
	configuration := func(image string) *applyv1.ImageStreamApplyConfiguration {
		tag := applyv1.TagReference().WithName("v1").WithFrom(from(image))
		return applyv1.ImageStream("app", "shop").WithSpec(applyv1.ImageStreamSpec().WithTags(tag))
	}
	first := configuration("quay.io/org/app:v1")
	if err := c.Apply(ctx, first, client.FieldOwner("web")); err != nil || first.UID == nil || *first.Generation != 1 {
		t.Fatalf("applied %+v, %v", first, err)
	}
	other := configuration("quay.io/org/app:v2")
	if err := c.Apply(ctx, other, client.FieldOwner("ops")); !apierrors.IsConflict(err) {
		t.Errorf("a field of another owner: %v", err)
	}
	err := c.Apply(ctx, other, client.FieldOwner("ops"), client.ForceOwnership)
	if err != nil || other.Spec.Tags[0].From.Name != "quay.io/org/app:v2" || *other.Generation != 2 {
		t.Errorf("forced %+v, %v", other, err)
	}
	free := unstructuredOf(streamKind, "app")
	free.SetLabels(map[string]string{"a": "b"})
	err = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(free), client.FieldOwner("labels"))
	if err != nil || free.GetGeneration() != 2 || free.GetLabels()["a"] != "b" ||
		free.GroupVersionKind() != streamKind {
		t.Errorf("applied %v, %v", free.Object, err)
	}
	repository := applyv1.ImageStreamStatus().WithDockerImageRepository("r/shop/app")
	status := applyv1.ImageStream("app", "shop").WithStatus(repository)
	if err := c.Status().Apply(ctx, status, client.FieldOwner("registry")); err != nil {
		t.Errorf("a status applied: %v", err)
	}
	if err := c.Apply(ctx, configuration("quay.io/org/app:v3")); !apierrors.IsInvalid(err) {
		t.Errorf("applied without an owner: %v", err)
	}
}

func TestStatus(t *testing.T) {
	c, registry := open()
	ctx := t.Context()
	registry.Edit("quay.io", func(r fakes.Contents) { r.Push("org/app", fakes.Image{Layer: "1"}, "v1") })
	stream := tagged("app", "v1")
	create(t, c, stream)
	err := c.Create(ctx, &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagev1.ImageStreamImportSpec{Import: true, Images: []imagev1.ImageImportSpec{{
			From: corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/app:v1"},
			To:   &corev1.LocalObjectReference{Name: "v1"},
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Get(ctx, client.ObjectKeyFromObject(stream), stream); err != nil || len(stream.Status.Tags) != 1 {
		t.Fatalf("imported %+v, %v", stream.Status, err)
	}
	before := stream.DeepCopy()
	stream.Status.Tags[0].Items[0].DockerImageReference = "quay.io/org/app@" + stream.Status.Tags[0].Items[0].Image
	stream.Spec.Tags = nil
	body := stream.DeepCopy()
	if err := c.Status().Update(ctx, stream, &client.SubResourceUpdateOptions{SubResourceBody: body}); err != nil ||
		specTags(body) != "v1" {
		t.Errorf("the update of a status gave %+v, %v", body, err)
	}
	body.Name = "other"
	err = c.Status().Update(ctx, stream, &client.SubResourceUpdateOptions{SubResourceBody: body})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a body of another name: %v", err)
	}
	body.Name, body.Namespace, body.ResourceVersion = "", "", "1000"
	kept := body.DeepCopy()
	err = c.Status().Update(ctx, stream, &client.SubResourceUpdateOptions{SubResourceBody: body})
	if !apierrors.IsConflict(err) || cmp.Diff(kept, body) != "" {
		t.Errorf("a body of an old version: %v\n%s", err, cmp.Diff(kept, body))
	}
	emptied := before.DeepCopy()
	emptied.Status.Tags = nil
	if err := c.Status().Patch(ctx, emptied, client.MergeFrom(before)); err != nil || len(emptied.Status.Tags) != 0 {
		t.Errorf("the patch of a status gave %+v, %v", emptied, err)
	}
	got := &imagev1.ImageStream{}
	if err := c.SubResource("status").Get(ctx, stream, got); err != nil || cmp.Diff(emptied, got) != "" {
		t.Errorf("the status is %+v, %v", got, err)
	}
}

// TestParts: an import through the client, and what a tag shows of it.
func TestParts(t *testing.T) {
	c, registry := open()
	ctx := t.Context()
	registry.Edit("quay.io", func(r fakes.Contents) { r.Push("org/app", fakes.Image{Layer: "1"}, "v1") })
	stream := tagged("app", "v1")
	create(t, c, stream)
	request := &imagev1.ImageStreamImport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagev1.ImageStreamImportSpec{Import: true, Images: []imagev1.ImageImportSpec{{
			From: corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/app:v1"},
			To:   &corev1.LocalObjectReference{Name: "v1"},
		}}},
	}
	create(t, c, request)
	if len(request.Status.Images) != 1 || request.Status.Images[0].Image == nil {
		t.Fatalf("imported %+v", request.Status)
	}
	tag := &imagev1.ImageStreamTag{}
	err := c.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "app:v1"}, tag)
	if err != nil || tag.Image.Name != request.Status.Images[0].Image.Name {
		t.Errorf("got %+v, %v", tag, err)
	}
	layers := unstructuredOf(imagev1.GroupVersion.WithKind("ImageStreamLayers"), "")
	if err := c.SubResource("layers").Get(ctx, stream, layers); err != nil || layers.GetKind() != "ImageStreamLayers" {
		t.Errorf("layers %v, %v", layers.Object, err)
	}
	if blobs, _, err := unstructured.NestedMap(layers.Object, "blobs"); err != nil || len(blobs) == 0 {
		t.Errorf("layers %v, %v", layers.Object, err)
	}
	if err := c.SubResource("layers").Get(ctx, tagged("none"), layers); !apierrors.IsNotFound(err) {
		t.Errorf("layers of no stream: %v", err)
	}
	mapping := unstructuredOf(imagev1.GroupVersion.WithKind("ImageStreamMapping"), "app")
	mapping.Object["tag"] = "pushed"
	mapping.Object["image"] = map[string]any{
		"metadata":             map[string]any{"name": tag.Image.Name},
		"dockerImageReference": "quay.io/org/app@" + tag.Image.Name,
	}
	sent := mapping.DeepCopy()
	if err := c.Create(ctx, mapping); err != nil || cmp.Diff(sent.Object, mapping.Object) != "" {
		t.Errorf("a mapping became %v, %v", mapping.Object, err)
	}
	if err := c.Get(ctx, client.ObjectKey{Namespace: "shop", Name: "app:pushed"}, tag); err != nil {
		t.Error(err)
	}
	deletedTag := &imagev1.ImageStreamTag{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "app:pushed"}}
	if err := c.Delete(ctx, deletedTag); err != nil {
		t.Error(err)
	}
}

func TestDelete(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	for _, name := range []string{"a", "b", "c"} {
		stream := tagged(name)
		stream.Labels = map[string]string{"kept": map[bool]string{true: "yes", false: "no"}[name == "c"]}
		create(t, c, stream)
	}
	elsewhere := tagged("a")
	elsewhere.Namespace = "tools"
	create(t, c, elsewhere)
	names := func() string {
		t.Helper()
		list := &imagev1.ImageStreamList{}
		if err := c.List(ctx, list); err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, s := range list.Items {
			all = append(all, s.Namespace+"/"+s.Name)
		}
		return strings.Join(all, " ")
	}
	uid := types.UID("another")
	if err := c.Delete(ctx, tagged("a"), client.Preconditions{UID: &uid}); !apierrors.IsConflict(err) {
		t.Errorf("deleted another object: %v", err)
	}
	if err := c.Delete(ctx, tagged("a"), client.DryRunAll); err != nil || names() != "shop/a shop/b shop/c tools/a" {
		t.Errorf("after a dry run: %s, %v", names(), err)
	}
	chosen := []client.DeleteAllOfOption{client.InNamespace("shop"), client.MatchingLabels{"kept": "no"}}
	if err := c.DeleteAllOf(ctx, &imagev1.ImageStream{}, append(chosen, client.DryRunAll)...); err != nil ||
		names() != "shop/a shop/b shop/c tools/a" {
		t.Errorf("after a dry run: %s, %v", names(), err)
	}
	if err := c.DeleteAllOf(ctx, &imagev1.ImageStream{}, chosen...); err != nil || names() != "shop/c tools/a" {
		t.Errorf("left %s, %v", names(), err)
	}
	if err := c.DeleteAllOf(ctx, metadataOf(""), client.InNamespace("tools")); err != nil || names() != "shop/c" {
		t.Errorf("left %s, %v", names(), err)
	}
	if err := client.IgnoreNotFound(c.Delete(ctx, tagged("none"))); err != nil {
		t.Error(err)
	}
}

func TestGeneratedName(t *testing.T) {
	c, _ := open()
	stream := tagged("")
	stream.GenerateName = "app"
	create(t, c, stream)
	if !strings.HasPrefix(stream.Name, "app") || stream.Name == "app" {
		t.Errorf("created %q", stream.Name)
	}
	dry := tagged("dry")
	if err := c.Create(t.Context(), dry, client.DryRunAll); err != nil || dry.UID == "" {
		t.Errorf("a dry run gave %+v, %v", dry, err)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(dry), dry); !apierrors.IsNotFound(err) {
		t.Errorf("after a dry run: %v", err)
	}
}
