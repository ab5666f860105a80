package openshift_test

import (
	"context"
	"errors"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream"
)

// tagPatcher is what a cluster does with tags, and no generated interface says.
type tagPatcher interface {
	Patch(
		ctx context.Context, name string, format types.PatchType, data []byte, opts metav1.PatchOptions, parts ...string,
	) (*imagev1.ImageStreamTag, error)
}

func TestClientsetPatchesTags(t *testing.T) {
	client, streams := open()
	create(t, streams, tagged("app", "v1"))
	tags := client.ImageV1().ImageStreamTags("shop").(tagPatcher)
	for format, patch := range map[types.PatchType]string{
		types.JSONPatchType:           `[{"op":"add","path":"/metadata/annotations","value":{"why":"nightly"}}]`,
		types.MergePatchType:          `{"metadata":{"annotations":{"why":"nightly"}}}`,
		types.StrategicMergePatchType: `{"metadata":{"annotations":{"why":"nightly"}}}`,
	} {
		got, err := tags.Patch(t.Context(), "app:v1", format, []byte(patch), metav1.PatchOptions{})
		if err != nil || got.Tag.Annotations["why"] != "nightly" {
			t.Errorf("%s: %+v, %v", format, got, err)
		}
		_, err = tags.Patch(t.Context(), "app:v1", types.MergePatchType,
			[]byte(`{"metadata":{"annotations":null}}`), metav1.PatchOptions{})
		if err != nil {
			t.Error(err)
		}
	}
	nothing := []byte(`{}`)
	_, err := tags.Patch(t.Context(), "none:v1", types.MergePatchType, nothing, metav1.PatchOptions{})
	if !apierrors.IsNotFound(err) {
		t.Errorf("a tag of no stream: %v", err)
	}
	_, err = tags.Patch(t.Context(), "app:v2", types.MergePatchType, nothing, metav1.PatchOptions{})
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a tag that the stream does not have: %v", err)
	}
	_, err = tags.Patch(t.Context(), "app:v1", types.MergePatchType, nothing, metav1.PatchOptions{}, "status")
	if !apierrors.IsBadRequest(err) {
		t.Errorf("a part of a tag: %v", err)
	}
	manager := metav1.PatchOptions{FieldManager: "test"}
	_, err = tags.Patch(t.Context(), "app:v1", types.ApplyPatchType, nothing, manager)
	if !apierrors.IsMethodNotSupported(err) || !errors.Is(err, imagestream.ErrUnsupported) {
		t.Errorf("a tag applied: %v", err)
	}
}
