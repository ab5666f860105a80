package controllerruntime

import (
	"encoding/json"
	"fmt"
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/imagestreams/imagestreams/adapters/openshift"
)

func onlyMetadata(obj runtime.Object) bool {
	_, is := obj.(*metav1.PartialObjectMetadata)
	return is
}

// keepKind returns what gives obj its present kind and version again.
func keepKind(obj runtime.Object) func() {
	kind := obj.GetObjectKind().GroupVersionKind()
	return func() {
		if !kind.Empty() {
			obj.GetObjectKind().SetGroupVersionKind(kind)
		}
	}
}

// typedOf returns an object of a caller in the Go type of the resource. It may be the object itself.
func (r *resource) typedOf(obj client.Object) (client.Object, error) {
	typed := r.object()
	if reflect.TypeOf(typed) == reflect.TypeOf(obj) {
		return obj, nil
	}
	if err := convert(typed, obj); err != nil {
		text := fmt.Sprintf("%s %q cannot be read: %v", r.kind, obj.GetName(), err)
		return nil, openshift.Error(apierrors.NewBadRequest(text))
	}
	return typed, nil
}

// convert makes of an object one of another Go type. They may share memory if one is unstructured.
func convert(to, from runtime.Object) error {
	if free, ok := from.(runtime.Unstructured); ok {
		return runtime.DefaultUnstructuredConverter.FromUnstructured(free.UnstructuredContent(), to)
	}
	if free, ok := to.(runtime.Unstructured); ok {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(from)
		if err != nil {
			return err
		}
		free.SetUnstructuredContent(content)
		return nil
	}
	data, err := json.Marshal(from)
	if err != nil {
		return err
	}
	empty(to)
	return json.Unmarshal(data, to)
}

func empty(obj runtime.Object) { reflect.ValueOf(obj).Elem().SetZero() }

// fill makes target, an object of a caller, what a verb returned; after a failure it stays as it is.
func (r *resource) fill(target, got runtime.Object, err error) error {
	if err != nil {
		return err
	}
	return fillAs(target, got, r.groupVersionKind())
}

// fillAs makes target what got is, which is of that kind, and may keep its memory.
func fillAs(target, got runtime.Object, kind schema.GroupVersionKind) error {
	if reflect.TypeOf(target) == reflect.TypeOf(got) {
		reflect.ValueOf(target).Elem().Set(reflect.ValueOf(got).Elem())
		return nil
	}
	switch t := target.(type) {
	case *metav1.PartialObjectMetadata:
		m, err := meta.Accessor(got)
		if err != nil {
			return err
		}
		*t = *meta.AsPartialObjectMetadata(m)
		t.SetGroupVersionKind(kind)
		return nil
	case runtime.Unstructured:
		got.GetObjectKind().SetGroupVersionKind(kind)
	}
	return convert(target, got)
}

// fillList is fill for lists. The items of a typed list have no kind, those of another have that of the resource.
func (r *resource) fillList(target, got client.ObjectList, err error) error {
	if err != nil {
		return err
	}
	kind := r.groupVersionKind()
	if t, ok := target.(*metav1.PartialObjectMetadataList); ok {
		listKind := t.GroupVersionKind()
		*t = metav1.PartialObjectMetadataList{ListMeta: metav1.ListMeta{
			ResourceVersion: got.GetResourceVersion(), Continue: got.GetContinue(),
			RemainingItemCount: got.GetRemainingItemCount(),
		}}
		t.SetGroupVersionKind(listKind)
		return meta.EachListItem(got, func(o runtime.Object) error {
			t.Items = append(t.Items, metav1.PartialObjectMetadata{})
			return fillAs(&t.Items[len(t.Items)-1], o, kind)
		})
	}
	itemKind := schema.GroupVersionKind{}
	if _, free := target.(runtime.Unstructured); free {
		itemKind = kind
	}
	err = meta.EachListItem(got, func(o runtime.Object) error {
		o.GetObjectKind().SetGroupVersionKind(itemKind)
		return nil
	})
	if err != nil {
		return err
	}
	kind.Kind += "List"
	return fillAs(target, got, kind)
}
