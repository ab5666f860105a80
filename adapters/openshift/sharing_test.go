package openshift_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/internal/fill"
)

// apart writes over what a call returned, and looks whether its argument, or what is stored, changes.
func apart[T any](t *testing.T, what string, sent, returned *T, err error, again func() (*T, error)) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	copyOf := func(o *T) *T { return any(o).(interface{ DeepCopy() *T }).DeepCopy() }
	before, want := copyOf(sent), copyOf(returned)
	fill.Overwrite(returned)
	if diff := cmp.Diff(before, sent); diff != "" {
		t.Errorf("%s: writing to the result changed the argument:\n%s", what, diff)
	}
	if again == nil {
		return
	}
	stored, err := again()
	if diff := cmp.Diff(want, stored); err != nil || diff != "" {
		t.Errorf("%s: writing to the result changed what is stored: %v\n%s", what, err, diff)
	}
	kept := copyOf(stored)
	fill.Overwrite(sent)
	fill.Overwrite(stored)
	if stored, err = again(); err != nil || cmp.Diff(kept, stored) != "" {
		t.Errorf("%s: writing to the argument, or to a result, changed what is stored: %v", what, err)
	}
}

// TestClientsetSharesNothing: conversions in the clientset give memory away.
func TestClientsetSharesNothing(t *testing.T) {
	registry, imp := fifty()
	v1 := openshift.Clientset(rest.New(&fakes.Store{}, registry)).ImageV1()
	streams, ctx := v1.ImageStreams("shop"), t.Context()
	generation := int64(7)
	full := func() *imagev1.ImageStream {
		s := tagged("full", "v1", "v2")
		s.Labels, s.Annotations = map[string]string{"a": "b"}, map[string]string{"c": "d"}
		s.Finalizers = []string{"example.org/keep"}
		s.Spec.Tags[0].Annotations, s.Spec.Tags[0].Generation = map[string]string{"e": "f"}, &generation
		return s
	}
	get := func() (*imagev1.ImageStream, error) { return streams.Get(ctx, "full", metav1.GetOptions{}) }

	dryRun := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	sent := full()
	stored, err := streams.Create(ctx, sent, dryRun)
	apart(t, "a dry run of create", sent, stored, err, nil)
	stored, err = streams.Create(ctx, sent, metav1.CreateOptions{})
	apart(t, "create", sent, stored, err, get)

	next, err := get()
	if err != nil {
		t.Fatal(err)
	}
	next.Labels["g"] = "h"
	stored, err = streams.Update(ctx, next, metav1.UpdateOptions{DryRun: dryRun.DryRun})
	apart(t, "a dry run of update", next, stored, err, nil)
	stored, err = streams.Update(ctx, next, metav1.UpdateOptions{})
	apart(t, "update", next, stored, err, get)

	if next, err = get(); err != nil {
		t.Fatal(err)
	}
	stored, err = streams.UpdateStatus(ctx, next, metav1.UpdateOptions{})
	apart(t, "update of the status", next, stored, err, get)

	done, err := v1.ImageStreamImports("shop").Create(ctx, imp, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	image := done.Status.Images[0].Image.DeepCopy()
	apart(t, "import", imp, done, err, nil)
	stored, err = streams.Get(ctx, "app", metav1.GetOptions{})
	if err != nil || stored.Status.Tags[0].Items[0].Image != image.Name {
		t.Errorf("writing to the result of an import changed its stream: %v", err)
	}

	tag := &imagev1.ImageStreamTag{ObjectMeta: metav1.ObjectMeta{Name: "app:new"}, Tag: full().Spec.Tags[0].DeepCopy()}
	tag.Annotations = map[string]string{"e": "f"}
	tagDone, err := v1.ImageStreamTags("shop").Create(ctx, tag, metav1.CreateOptions{})
	apart(t, "create of a tag", tag, tagDone, err, nil)

	name := "sha256:" + image.Name[len("sha256:"):60] + "0000" + image.Name[64:]
	image.ObjectMeta = metav1.ObjectMeta{Name: name, Labels: map[string]string{"a": "b"}}
	imageDone, err := v1.Images().Create(ctx, image, dryRun)
	apart(t, "a dry run of an image", image, imageDone, err, nil)
	imageDone, err = v1.Images().Create(ctx, image, metav1.CreateOptions{})
	apart(t, "create of an image", image, imageDone, err, func() (*imagev1.Image, error) {
		return v1.Images().Get(ctx, name, metav1.GetOptions{})
	})
}
