package controllerruntime

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// configured returns what an apply configuration is for. The resource is nil if that is for the next client.
func configured(obj runtime.ApplyConfiguration) (r *resource, namespace, name string) {
	switch o := obj.(type) {
	case interface {
		runtime.Unstructured
		metav1.Object
	}:
		return resourceOf(o.GetObjectKind().GroupVersionKind()), o.GetNamespace(), o.GetName()
	case interface {
		GetAPIVersion() *string
		GetKind() *string
		GetNamespace() *string
		GetName() *string
	}:
		text := func(s *string) string {
			if s == nil {
				return ""
			}
			return *s
		}
		kind := schema.FromAPIVersionAndKind(text(o.GetAPIVersion()), text(o.GetKind()))
		return resourceOf(kind), text(o.GetNamespace()), text(o.GetName())
	}
	return nil, "", ""
}

func (c *streamClient) Apply(
	ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.ApplyOption,
) error {
	r, namespace, name := configured(obj)
	if r == nil {
		return c.next.Apply(ctx, obj, opts...)
	}
	return c.apply(ctx, r, namespace, name, obj, obj, *new(client.ApplyOptions).ApplyOptions(opts).AsPatchOptions())
}

// apply applies body, and makes target what is stored then.
func (c *streamClient) apply(
	ctx context.Context, r *resource, namespace, name string, target, body runtime.ApplyConfiguration,
	opts metav1.PatchOptions, subresources ...string,
) error {
	patch := r.verbs(c.typed, namespace).patch
	if patch == nil {
		return r.unsupported("patch")
	}
	data, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("failed to create apply request: %w", err)
	}
	got, err := patch(ctx, name, types.ApplyPatchType, data, opts, subresources...)
	if err != nil {
		return err
	}
	got.GetObjectKind().SetGroupVersionKind(r.groupVersionKind())
	if free, ok := target.(runtime.Unstructured); ok {
		return convert(free, got)
	}
	if data, err = json.Marshal(got); err != nil {
		return err
	}
	return json.Unmarshal(data, target)
}
