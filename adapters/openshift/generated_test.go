package openshift_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/clientset/versioned/fake"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// whatControllersDo are things that controllers do, each with its outcome in words.
var whatControllersDo = []struct {
	name              string
	ask               func(context.Context, versioned.Interface) string
	real, byGenerated string
}{
	{"a stale update", func(ctx context.Context, c versioned.Interface) string {
		streams := c.ImageV1().ImageStreams("shop")
		old, _ := streams.Create(ctx, tagged("app", "v1"), metav1.CreateOptions{})
		fresh, _ := streams.Get(ctx, "app", metav1.GetOptions{})
		fresh.Labels = map[string]string{"theirs": "yes"}
		_, _ = streams.Update(ctx, fresh, metav1.UpdateOptions{})
		old.Labels = map[string]string{"ours": "yes"}
		_, err := streams.Update(ctx, old, metav1.UpdateOptions{})
		stored, _ := streams.Get(ctx, "app", metav1.GetOptions{})
		return fmt.Sprintf("conflict %t, labels %v", apierrors.IsConflict(err), stored.Labels)
	}, "conflict true, labels map[theirs:yes]", "conflict false, labels map[ours:yes]"},

	{"the generation of a changed spec", func(ctx context.Context, c versioned.Interface) string {
		streams := c.ImageV1().ImageStreams("shop")
		s, _ := streams.Create(ctx, tagged("app", "v1"), metav1.CreateOptions{})
		s.Spec.Tags[0].ImportPolicy.Scheduled = true
		s, err := streams.Update(ctx, s, metav1.UpdateOptions{})
		return fmt.Sprint(s.Generation, err)
	}, "2 <nil>", "0 <nil>"},

	{"an import", func(ctx context.Context, c versioned.Interface) string {
		_, err := c.ImageV1().ImageStreamImports("shop").Create(ctx, &imagev1.ImageStreamImport{
			ObjectMeta: metav1.ObjectMeta{Name: "app"}, Spec: imagev1.ImageStreamImportSpec{
				Import: true, Images: []imagev1.ImageImportSpec{{
					From: corev1.ObjectReference{Kind: "DockerImage", Name: "quay.io/org/app:v1"},
					To:   &corev1.LocalObjectReference{Name: "v1"},
				}},
			},
		}, metav1.CreateOptions{})
		_, missing := c.ImageV1().ImageStreamTags("shop").Get(ctx, "app:v1", metav1.GetOptions{})
		return fmt.Sprint(err, ", the tag is there: ", missing == nil)
	}, "<nil>, the tag is there: true", "<nil>, the tag is there: false"},

	{"a push", func(ctx context.Context, c versioned.Interface) (answer string) {
		defer func() {
			if recover() != nil {
				answer = "panic"
			}
		}()
		image := "sha256:" + strings.Repeat("1", 64)
		_, _ = c.ImageV1().ImageStreams("shop").Create(ctx, tagged("pushed"), metav1.CreateOptions{})
		status, err := c.ImageV1().ImageStreamMappings("shop").Create(ctx, &imagev1.ImageStreamMapping{
			ObjectMeta: metav1.ObjectMeta{Name: "pushed"}, Tag: "v1", Image: imagev1.Image{
				ObjectMeta: metav1.ObjectMeta{Name: image}, DockerImageReference: "quay.io/org/app@" + image,
			},
		}, metav1.CreateOptions{})
		return fmt.Sprint(status.Status, " ", err)
	}, "Success <nil>", "panic"},
}

// TestGeneratedFakesAreWrong shows what a test learns from the generated fake clientset, and what from Clientset.
func TestGeneratedFakesAreWrong(t *testing.T) {
	for _, q := range whatControllersDo {
		t.Run(q.name, func(t *testing.T) {
			registry := &fakes.Registry{}
			registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
			client := openshift.Clientset(rest.New(&fakes.Store{}, registry))
			if got := q.ask(t.Context(), client); got != q.real {
				t.Errorf("Clientset: %s, want %s", got, q.real)
			}
			if got := q.ask(t.Context(), fake.NewSimpleClientset()); got != q.byGenerated {
				t.Errorf("the generated fake: %s, want %s", got, q.byGenerated)
			}
		})
	}
}
