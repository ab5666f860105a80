package apiserver_test

import (
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	applyv1 "github.com/openshift/client-go/image/applyconfigurations/image/v1"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// newClient returns a typed client of a server on an empty store.
func newClient(t *testing.T) versioned.Interface {
	t.Helper()
	client, err := versioned.NewForConfig(apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func TestStreamIsCreatedAndFound(t *testing.T) {
	streams := newClient(t).ImageV1().ImageStreams("shop")
	app := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	made, err := streams.Create(t.Context(), app, metav1.CreateOptions{})
	if err != nil || made.Namespace != "shop" || made.UID == "" || made.Generation != 1 {
		t.Fatalf("created %+v, %v", made, err)
	}
	found, err := streams.Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil || found.UID != made.UID || found.ResourceVersion != made.ResourceVersion {
		t.Errorf("found %+v, %v", found, err)
	}
	_, err = streams.Get(t.Context(), "none", metav1.GetOptions{})
	if want := `imagestreams.image.openshift.io "none" not found`; !apierrors.IsNotFound(err) || err.Error() != want {
		t.Errorf("get what is not there: %v, want %s", err, want)
	}
}

func TestPatches(t *testing.T) {
	client := newClient(t).ImageV1()
	streams := client.ImageStreams("shop")
	tag := func(name string) *applyv1.TagReferenceApplyConfiguration {
		return applyv1.TagReference().WithName(name).WithReference(true)
	}
	mine := applyv1.ImageStream("app", "shop").WithSpec(applyv1.ImageStreamSpec().WithTags(tag("a")))
	if _, err := streams.Apply(t.Context(), mine, metav1.ApplyOptions{FieldManager: "mine"}); err != nil {
		t.Fatalf("apply what is not there: %v", err)
	}
	strategic := []byte(`{"metadata":{"labels":{"team":"x"}},"spec":{"tags":[{"name":"b","reference":true}]}}`)
	got, err := streams.Patch(t.Context(), "app", types.StrategicMergePatchType, strategic, metav1.PatchOptions{})
	if err != nil || len(got.Spec.Tags) != 2 || got.Labels["team"] != "x" {
		t.Fatalf("a strategic merge patch made %+v, %v", got, err)
	}
	mine.Spec.Tags = nil
	got, err = streams.Apply(t.Context(), mine.WithSpec(mine.Spec.WithTags(tag("c"))), metav1.ApplyOptions{FieldManager: "mine"})
	if err != nil || len(got.Spec.Tags) != 2 || got.Spec.Tags[0].Name != "b" || got.Spec.Tags[1].Name != "c" {
		t.Fatalf("applying without a made %+v, %v; want b, which is somebody else's, and c", got.Spec.Tags, err)
	}
	theirs := applyv1.ImageStream("app", "shop").
		WithSpec(applyv1.ImageStreamSpec().WithTags(tag("c").WithReference(false)))
	_, err = streams.Apply(t.Context(), theirs, metav1.ApplyOptions{FieldManager: "theirs"})
	if !apierrors.IsConflict(err) {
		t.Errorf("apply over somebody's field: %v, want a conflict", err)
	}
	annotation := []byte(`{"metadata":{"annotations":{"why":"test"}}}`)
	patched := &imagev1.ImageStreamTag{}
	err = client.RESTClient().Patch(types.MergePatchType).Namespace("shop").Resource("imagestreamtags").Name("app:c").
		Body(annotation).Do(t.Context()).Into(patched)
	if err != nil || patched.Tag == nil || patched.Tag.Annotations["why"] != "test" {
		t.Errorf("patched a tag: %+v, %v", patched, err)
	}
}
