package controllerruntime_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// TestOwnership: what a call returns is the caller's, and what it was given stays as it was.
func TestOwnership(t *testing.T) {
	c, _ := open()
	ctx := t.Context()
	stream := tagged("app", "v1")
	sent := stream.DeepCopy()
	create(t, c, sent)
	key := client.ObjectKeyFromObject(stream)
	want := &imagev1.ImageStream{}
	if err := c.Get(ctx, key, want); err != nil {
		t.Fatal(err)
	}
	want = want.DeepCopy()
	sent.Spec.Tags[0].From.Name = "changed"
	stream.Spec.Tags[0].From.Name = "changed"
	list := &imagev1.ImageStreamList{}
	if err := c.List(ctx, list); err != nil {
		t.Fatal(err)
	}
	list.Items[0].Spec.Tags[0].From.Name = "changed"
	free := unstructuredOf(streamKind, "")
	if err := c.Get(ctx, key, free); err != nil {
		t.Fatal(err)
	}
	update := free.DeepCopy()
	update.SetLabels(map[string]string{"a": "b"})
	given := update.DeepCopy()
	if err := c.Update(ctx, update, client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	if err := unstructured.SetNestedSlice(update.Object, nil, "spec", "tags"); err != nil {
		t.Fatal(err)
	}
	got := &imagev1.ImageStream{}
	if err := c.Get(ctx, key, got); err != nil || cmp.Diff(want, got) != "" {
		t.Errorf("%v (-want +got):\n%s", err, cmp.Diff(want, got))
	}
	conflicting := given.DeepCopy()
	conflicting.SetResourceVersion("1000")
	given.SetResourceVersion("1000")
	if err := c.Update(ctx, conflicting); !apierrors.IsConflict(err) || cmp.Diff(given.Object, conflicting.Object) != "" {
		t.Errorf("a failed update: %v\n%s", err, cmp.Diff(given.Object, conflicting.Object))
	}
}

// TestConcurrentUse: many write through one client, and no write is lost.
func TestConcurrentUse(t *testing.T) {
	c, _ := open()
	create(t, c, tagged("app"))
	key := client.ObjectKey{Namespace: "shop", Name: "app"}
	const writers, each = 8, 5
	var g errgroup.Group
	for i := range writers {
		g.Go(func() error {
			for j := range each {
				err := retry.RetryOnConflict(wait.Backoff{Steps: 1000}, func() error {
					stream := &imagev1.ImageStream{}
					if err := c.Get(t.Context(), key, stream); err != nil {
						return err
					}
					tag := imagev1.TagReference{Name: fmt.Sprintf("v%d-%d", i, j)}
					stream.Spec.Tags = append(stream.Spec.Tags, tag)
					return c.Update(t.Context(), stream)
				})
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	stream := &imagev1.ImageStream{}
	if err := c.Get(t.Context(), key, stream); err != nil || len(stream.Spec.Tags) != writers*each {
		t.Errorf("%d tags after %d writes, %v", len(stream.Spec.Tags), writers*each, err)
	}
}
