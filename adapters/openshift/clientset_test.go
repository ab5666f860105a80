package openshift_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	applyv1 "github.com/openshift/client-go/image/applyconfigurations/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func ExampleClientset() {
	ctx := context.Background()
	client := openshift.Clientset(rest.New(&fakes.Store{}, nil))
	streams := client.ImageV1().ImageStreams("shop")
	s, err := streams.Create(ctx, tagged("app", "v1"), metav1.CreateOptions{})
	fmt.Println(s.Generation, s.Spec.Tags[0].ReferencePolicy.Type, err)
	_, err = streams.Update(ctx, s, metav1.UpdateOptions{})
	fmt.Println(err)
	s.ResourceVersion = "1000"
	_, err = streams.Update(ctx, s, metav1.UpdateOptions{})
	fmt.Println(apierrors.IsConflict(err))
	// Output:
	// 1 Source <nil>
	// <nil>
	// true
}

// tagged is a stream with tags that come from a registry.
func tagged(name string, tags ...string) *imagev1.ImageStream {
	s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, tag := range tags {
		from := &corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/" + name + ":" + tag}
		s.Spec.Tags = append(s.Spec.Tags, imagev1.TagReference{Name: tag, From: from})
	}
	return s
}

// open returns a clientset on an empty store, and its client of streams of the namespace shop.
func open() (versioned.Interface, typedv1.ImageStreamInterface) {
	client := openshift.Clientset(rest.New(&fakes.Store{}, nil))
	return client, client.ImageV1().ImageStreams("shop")
}

func create(t *testing.T, streams typedv1.ImageStreamInterface, s *imagev1.ImageStream) *imagev1.ImageStream {
	t.Helper()
	stored, err := streams.Create(t.Context(), s, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

func specTags(s *imagev1.ImageStream) string {
	var all []string
	for _, tag := range s.Spec.Tags {
		all = append(all, tag.Name)
	}
	return strings.Join(all, " ")
}

func TestClientsetPatches(t *testing.T) {
	for _, tc := range []struct {
		name   string
		format types.PatchType
		patch  string
		tags   string
	}{
		{"JSON", types.JSONPatchType, `[{"op":"test","path":"/kind","value":"ImageStream"},
			{"op":"add","path":"/metadata/labels","value":{"a":"b"}},{"op":"remove","path":"/spec/tags/0"}]`, "v2"},
		{"merge", types.MergePatchType, `{"metadata":{"labels":{"a":"b"}},"spec":{"tags":null}}`, ""},
		{"strategic merge", types.StrategicMergePatchType,
			`{"metadata":{"labels":{"a":"b"}},
				"spec":{"tags":[{"name":"v3","from":{"kind":"DockerImage","name":"quay.io/org/app:v3"}}]}}`,
			"v1 v2 v3"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, streams := open()
			before := create(t, streams, tagged("app", "v1", "v2"))
			dryRun := metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}}
			dry, err := streams.Patch(t.Context(), "app", tc.format, []byte(tc.patch), dryRun)
			if err != nil || dry.Labels["a"] != "b" {
				t.Errorf("a dry run: %+v, %v", dry, err)
			}
			if got, err := streams.Get(t.Context(), "app", metav1.GetOptions{}); err != nil || cmp.Diff(before, got) != "" {
				t.Errorf("after a dry run: %v\n%s", err, cmp.Diff(before, got))
			}
			got, err := streams.Patch(t.Context(), "app", tc.format, []byte(tc.patch), metav1.PatchOptions{})
			moved := got.ResourceVersion != before.ResourceVersion
			if err != nil || specTags(got) != tc.tags || got.Labels["a"] != "b" || !moved {
				t.Errorf("patched to %+v, %v; want the tags %q", got, err, tc.tags)
			}
		})
	}
}

func TestClientsetPatchRefusals(t *testing.T) {
	client, streams := open()
	create(t, streams, tagged("app", "v1"))
	for _, tc := range []struct {
		name, stream string
		format       types.PatchType
		patch, part  string
		is           func(error) bool
	}{
		{"not there", "none", types.MergePatchType, `{}`, "", apierrors.IsNotFound},
		{"no JSON", "app", types.MergePatchType, `{`, "", apierrors.IsBadRequest},
		{"no JSON patch", "app", types.JSONPatchType, `{}`, "", apierrors.IsBadRequest},
		{"a test that fails", "app", types.JSONPatchType, `[{"op":"test","path":"/kind","value":1}]`, "", apierrors.IsInvalid},
		{"a test of everything", "app", types.JSONPatchType, `[{"op":"test","path":""}]`, "", apierrors.IsInvalid},
		{"strategic", "app", types.StrategicMergePatchType, `{"spec":[]}`, "", apierrors.IsBadRequest},
		{"a wrong type", "app", types.MergePatchType, `{"spec":{"tags":"v1"}}`, "", apierrors.IsBadRequest},
		{"a wrong field", "app", types.MergePatchType, `{"metadata":{"labels":{"a b":"c"}}}`, "", apierrors.IsInvalid},
		{"an old version", "app", types.MergePatchType, `{"metadata":{"resourceVersion":"1000"}}`, "", apierrors.IsConflict},
		{"another name", "app", types.MergePatchType, `{"metadata":{"name":"other"}}`, "", apierrors.IsBadRequest},
		{"another part", "app", types.MergePatchType, `{}`, "layers", apierrors.IsBadRequest},
		{"another format", "app", "text/plain", `{}`, "", apierrors.IsBadRequest},
		{"no name", "", types.MergePatchType, `{}`, "", apierrors.IsBadRequest},
		{"apply without a manager", "app", types.ApplyPatchType, `{}`, "", apierrors.IsInvalid},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var parts []string
			if tc.part != "" {
				parts = append(parts, tc.part)
			}
			_, err := streams.Patch(t.Context(), tc.stream, tc.format, []byte(tc.patch), metav1.PatchOptions{}, parts...)
			if !tc.is(err) {
				t.Errorf("%v", err)
			}
		})
	}
	manager := metav1.PatchOptions{FieldManager: "test"}
	_, err := streams.Patch(t.Context(), "app", types.ApplyPatchType, []byte("null"), manager)
	if !apierrors.IsBadRequest(err) || strings.Contains(err.Error(), "nil") {
		t.Errorf("apply of nothing: %v", err)
	}
	_, err = client.ImageV1().Images().Patch(t.Context(), "x", types.MergePatchType, nil, metav1.PatchOptions{}, "status")
	if !apierrors.IsBadRequest(err) {
		t.Errorf("the status of an image: %v", err)
	}
}

// TestClientsetPatchesMeet lets many patches of one stream overtake each other.
func TestClientsetPatchesMeet(t *testing.T) {
	_, streams := open()
	create(t, streams, tagged("app", "v1"))
	const writers = 16
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			patch := fmt.Appendf(nil, `{"metadata":{"labels":{"writer-%d":"yes"}}}`, i)
			_, err := streams.Patch(t.Context(), "app", types.MergePatchType, patch, metav1.PatchOptions{})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if s, err := streams.Get(t.Context(), "app", metav1.GetOptions{}); err != nil || len(s.Labels) != writers {
		t.Errorf("%d of %d patches are there, %v", len(s.Labels), writers, err)
	}
}

func TestClientsetStatus(t *testing.T) {
	_, streams := open()
	s := create(t, streams, tagged("app", "v1"))
	s.Spec.Tags = nil
	s.Status.Tags = []imagev1.NamedTagEventList{{Tag: "v1", Items: []imagev1.TagEvent{{
		Created: metav1.Now(), Image: "sha256:" + strings.Repeat("1", 64), DockerImageReference: "quay.io/org/app:v1",
	}}}}
	stored, err := streams.UpdateStatus(t.Context(), s, metav1.UpdateOptions{})
	if err != nil || specTags(stored) != "v1" || len(stored.Status.Tags) != 1 {
		t.Errorf("updated to %+v, %v", stored, err)
	}
	patch := []byte(`{"spec":{"tags":null},"status":{"tags":null}}`)
	stored, err = streams.Patch(t.Context(), "app", types.MergePatchType, patch, metav1.PatchOptions{}, "status")
	if err != nil || specTags(stored) != "v1" || len(stored.Status.Tags) != 0 {
		t.Errorf("patched to %+v, %v", stored, err)
	}
}

type tagConfiguration = applyv1.TagReferenceApplyConfiguration

func applyTag(name, from string) *tagConfiguration {
	return applyv1.TagReference().WithName(name).WithFrom(corev1.ObjectReference{Kind: "DockerImage", Name: from})
}

// TestClientsetApply lets two managers own tags of one stream.
func TestClientsetApply(t *testing.T) {
	_, streams := open()
	apply := func(manager string, force bool, tags ...*tagConfiguration) (*imagev1.ImageStream, error) {
		configuration := applyv1.ImageStream("app", "shop").WithSpec(applyv1.ImageStreamSpec().WithTags(tags...))
		return streams.Apply(t.Context(), configuration, metav1.ApplyOptions{FieldManager: manager, Force: force})
	}
	created, err := apply("one", false, applyTag("v1", "quay.io/org/app:v1"))
	if err != nil || specTags(created) != "v1" || created.UID == "" || len(created.ManagedFields) != 1 {
		t.Fatalf("created %+v, %v", created, err)
	}
	same, err := apply("one", false, applyTag("v1", "quay.io/org/app:v1"))
	if err != nil || same.ResourceVersion != created.ResourceVersion {
		t.Errorf("applied again, it has the version %s (%s before), %v", same.ResourceVersion, created.ResourceVersion, err)
	}
	same.Labels = map[string]string{"a": "b"}
	updated, err := streams.Update(t.Context(), same, metav1.UpdateOptions{FieldManager: "three"})
	if err != nil || len(updated.ManagedFields) != 2 || updated.ManagedFields[1].Manager != "three" {
		t.Errorf("updated to %+v, %v", updated, err)
	}
	moved, err := apply("two", false, applyTag("v1", "quay.io/org/app:v2"))
	if !apierrors.IsConflict(err) || !apierrors.HasStatusCause(err, metav1.CauseTypeFieldManagerConflict) {
		t.Errorf("another manager's field: %+v, %v", moved, err)
	}
	moved, err = apply("two", true, applyTag("v1", "quay.io/org/app:v2"))
	if err != nil || moved.Spec.Tags[0].From.Name != "quay.io/org/app:v2" || moved.Labels["a"] != "b" {
		t.Errorf("forced: %+v, %v", moved, err)
	}
	if _, err := streams.Apply(t.Context(), nil, metav1.ApplyOptions{FieldManager: "one"}); err == nil {
		t.Error("nothing was applied")
	}
	status := applyv1.ImageStream("app", "shop").WithStatus(applyv1.ImageStreamStatus().WithTags(
		applyv1.NamedTagEventList().WithTag("v1").WithItems(applyv1.TagEvent().WithCreated(metav1.Now()).
			WithImage("sha256:" + strings.Repeat("1", 64)).WithDockerImageReference("quay.io/org/app:v1").WithGeneration(1))))
	got, err := streams.ApplyStatus(t.Context(), status, metav1.ApplyOptions{FieldManager: "four"})
	if err != nil || len(got.Status.Tags) != 1 || specTags(got) != "v1" {
		t.Errorf("applied to the status: %+v, %v", got, err)
	}
}

func TestClientsetImages(t *testing.T) {
	client, _ := open()
	images := client.ImageV1().Images()
	name := "sha256:" + strings.Repeat("1", 64)
	owned := metav1.ApplyOptions{FieldManager: "one"}
	configuration := applyv1.Image(name).WithLabels(map[string]string{"a": "b"}).
		WithDockerImageReference("quay.io/org/app@" + name)
	applied, err := images.Apply(t.Context(), configuration, owned)
	if err != nil || applied.UID == "" || applied.Labels["a"] != "b" || len(applied.ManagedFields) != 1 {
		t.Fatalf("applied %+v, %v", applied, err)
	}
	patch := []byte(`{"metadata":{"annotations":{"c":"d"}}}`)
	patched, err := images.Patch(t.Context(), name, types.StrategicMergePatchType, patch, metav1.PatchOptions{})
	if err != nil || patched.Annotations["c"] != "d" || patched.Labels["a"] != "b" || len(patched.ManagedFields) != 2 {
		t.Errorf("patched to %+v, %v", patched, err)
	}
	applied, err = images.Apply(t.Context(), configuration.WithLabels(map[string]string{"e": "f"}), owned)
	if err != nil || applied.Annotations["c"] != "d" || len(applied.Labels) != 2 {
		t.Errorf("applied again: %+v, %v", applied, err)
	}
	labelled := metav1.ListOptions{LabelSelector: "e=f"}
	if err := images.DeleteCollection(t.Context(), metav1.DeleteOptions{}, labelled); err != nil {
		t.Fatal(err)
	}
	if _, err := images.Get(t.Context(), name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("deleted: %v", err)
	}
}

func TestClientsetDeleteCollection(t *testing.T) {
	client, streams := open()
	for i := range 4 {
		s := tagged(fmt.Sprint("app", i))
		s.Labels = map[string]string{"even": fmt.Sprint(i%2 == 0)}
		create(t, streams, s)
	}
	count := func() int {
		list, err := streams.List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	even := metav1.ListOptions{LabelSelector: "even=true"}
	remove := func(streams typedv1.ImageStreamInterface, dryRun []string, which metav1.ListOptions) error {
		return streams.DeleteCollection(t.Context(), metav1.DeleteOptions{DryRun: dryRun}, which)
	}
	if err := remove(streams, []string{metav1.DryRunAll}, even); err != nil || count() != 4 {
		t.Errorf("a dry run left %d, %v", count(), err)
	}
	other := client.ImageV1().ImageStreams("tools")
	if err := remove(other, nil, metav1.ListOptions{}); err != nil || count() != 4 {
		t.Errorf("in another namespace: %d are left, %v", count(), err)
	}
	if err := remove(streams, nil, even); err != nil || count() != 2 {
		t.Errorf("by label: %d are left, %v", count(), err)
	}
	bad := metav1.ListOptions{FieldSelector: "spec.x=1"}
	if err := remove(streams, nil, bad); !apierrors.IsBadRequest(err) || count() != 2 {
		t.Errorf("by a field that is not there: %v", err)
	}
	if err := remove(streams, nil, metav1.ListOptions{}); err != nil || count() != 0 {
		t.Errorf("%d are left, %v", count(), err)
	}
}

func TestClientsetOptions(t *testing.T) {
	_, streams := open()
	s := create(t, streams, tagged("app", "v1"))
	if s.Kind != "" || s.APIVersion != "" {
		t.Errorf("an object has the kind %q; a typed client's have none", s.Kind)
	}
	some := []string{"Some"}
	_, err := streams.Create(t.Context(), tagged("b"), metav1.CreateOptions{DryRun: some})
	_, errUpdate := streams.Update(t.Context(), s, metav1.UpdateOptions{FieldManager: strings.Repeat("x", 200)})
	_, errList := streams.List(t.Context(), metav1.ListOptions{ResourceVersionMatch: "Perhaps"})
	for what, err := range map[string]error{
		"create": err, "update": errUpdate, "list": errList,
		"delete": streams.Delete(t.Context(), "app", metav1.DeleteOptions{DryRun: some}),
	} {
		if !apierrors.IsInvalid(err) {
			t.Errorf("%s with wrong options: %v", what, err)
		}
	}
	_, err = streams.List(t.Context(), metav1.ListOptions{LabelSelector: "a=("})
	_, errWatch := streams.Watch(t.Context(), metav1.ListOptions{FieldSelector: "spec.x=1"})
	_, errNil := streams.Create(t.Context(), nil, metav1.CreateOptions{})
	_, errName := streams.Get(t.Context(), "", metav1.GetOptions{})
	const shard = "shardRange(object.metadata.uid, '0x0', '0x8')"
	_, errShard := streams.List(t.Context(), metav1.ListOptions{ShardSelector: shard})
	for what, err := range map[string]error{
		"label": err, "field": errWatch, "nil": errNil, "name": errName, "shard": errShard,
	} {
		if !apierrors.IsBadRequest(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	missing, err := streams.Get(t.Context(), "none", metav1.GetOptions{})
	const text = `imagestreams.image.openshift.io "none" not found`
	if missing == nil || !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), text) {
		t.Errorf("got %v, %v", missing, err)
	}
	list, err := streams.List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	exact := metav1.ListOptions{
		ResourceVersion: list.ResourceVersion, ResourceVersionMatch: metav1.ResourceVersionMatchExact,
	}
	if _, err := streams.List(t.Context(), exact); err != nil {
		t.Error(err)
	}
	create(t, streams, tagged("b"))
	if _, err := streams.List(t.Context(), exact); !apierrors.IsResourceExpired(err) {
		t.Errorf("the list of an old version: %v", err)
	}
}

func TestClientsetSecrets(t *testing.T) {
	server := rest.New(&fakes.Store{}, nil)
	server.Secrets = func(context.Context, string) ([]rest.Secret, error) {
		return []rest.Secret{{
			Metadata: imagestream.ObjectMeta{Name: "pull"}, Type: string(corev1.SecretTypeDockerConfigJson),
			Data: map[string][]byte{corev1.DockerConfigJsonKey: []byte("{}")},
		}}, nil
	}
	streams := openshift.Clientset(server).ImageV1().ImageStreams("shop")
	create(t, streams, tagged("app"))
	list, err := streams.Secrets(t.Context(), "app", metav1.GetOptions{})
	if err != nil || len(list.Items) != 1 || list.Items[0].Name != "pull" ||
		list.Items[0].Type != corev1.SecretTypeDockerConfigJson ||
		string(list.Items[0].Data[corev1.DockerConfigJsonKey]) != "{}" {
		t.Errorf("secrets %+v, %v", list, err)
	}
	if _, err := streams.Secrets(t.Context(), "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("secrets of no stream: %v", err)
	}
}

func TestClientsetDiscovery(t *testing.T) {
	client, _ := open()
	list, err := client.Discovery().ServerResourcesForGroupVersion("image.openshift.io/v1")
	if err != nil || len(list.APIResources) != 11 {
		t.Errorf("resources %+v, %v", list, err)
	}
	err = client.ImageV1().RESTClient().Get().Resource("imagestreams").Do(t.Context()).Error()
	if err == nil || !strings.Contains(err.Error(), "no server") {
		t.Errorf("a request over HTTP: %v", err)
	}
	_, err = client.ImageV1().ImageStreamMappings("shop").Apply(t.Context(), nil, metav1.ApplyOptions{})
	if !apierrors.IsMethodNotSupported(err) || !errors.Is(err, imagestream.ErrUnsupported) {
		t.Errorf("a mapping applied: %v", err)
	}
}
