package openshift

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/openshift/client-go/image/applyconfigurations"
	"github.com/openshift/client-go/image/clientset/versioned/scheme"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	clientrest "k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// typed returns an object of the library as the API's, with its kind.
func typed[T Theirs, O Ours](a at, object *O) *T {
	t := ToAPI[T](object)
	any(t).(runtime.Object).GetObjectKind().SetGroupVersionKind(a.kind())
	return t
}

// patched returns the change that a patch is; it is applied again to whatever is stored meanwhile.
func patched[T Theirs, O Ours](a at, name string, format types.PatchType, data []byte) rest.Change[O] {
	return func(old *O) (*O, error) {
		if old == nil {
			return nil, a.notFound(name)
		}
		before, err := json.Marshal(typed[T](a, old))
		if err != nil {
			return nil, err
		}
		after, err := patchJSON[T](a, format, before, data)
		if err != nil {
			return nil, err
		}
		next := new(T)
		if err := json.Unmarshal(after, next); err != nil {
			return nil, a.badRequest("the patch makes no object of the API: " + err.Error())
		}
		return sent[O](a, next)
	}
}

func patchJSON[T any](a at, format types.PatchType, before, data []byte) (after []byte, err error) {
	switch format {
	case types.JSONPatchType:
		patch, err := jsonpatch.DecodePatch(data)
		if err != nil {
			return nil, a.badRequest("the JSON patch cannot be read: " + err.Error())
		}
		if after, err = applyJSON(patch, before); err != nil {
			return nil, Error(imagestream.NewError(imagestream.ReasonInvalid, "", imagestream.Key{}, err.Error()))
		}
		return after, nil
	case types.MergePatchType:
		after, err = jsonpatch.MergePatch(before, data)
	case types.StrategicMergePatchType:
		after, err = strategicpatch.StrategicMergePatch(before, data, *new(T))
	default:
		err = fmt.Errorf("the format %q is not one of JSON, merge, strategic merge and apply patches", format)
	}
	if err != nil {
		return nil, a.badRequest("the patch cannot be applied: " + err.Error())
	}
	return after, nil
}

// applyJSON applies a JSON patch. The library panics at some, such as a test of the whole document.
func applyJSON(patch jsonpatch.Patch, before []byte) (after []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the JSON patch cannot be applied: %v", v)
		}
	}()
	return patch.Apply(before)
}

// typeConverter knows which lists of the API's types are maps.
var typeConverter = sync.OnceValue(func() managedfields.TypeConverter {
	return applyconfigurations.NewTypeConverter(scheme.Scheme)
})

// fieldManager keeps which manager owns which fields of an object, or of that part of it.
func fieldManager(a at, part string) (*managedfields.FieldManager, error) {
	s, kind := scheme.Scheme, a.kind()
	return managedfields.NewDefaultFieldManager(typeConverter(), s, s, s, kind, kind.GroupVersion(), part, nil)
}

// managerName is the manager of a request that names none: the program, as a cluster takes it from the user agent.
func managerName(name string) string {
	if name == "" {
		name, _, _ = strings.Cut(clientrest.DefaultKubernetesUserAgent(), "/")
	}
	return name
}

// managed returns change, which gives the fields it changes to a manager if the object has owners of fields.
func managed[T Theirs, O Ours](a at, part, manager string, change rest.Change[O]) rest.Change[O] {
	return func(old *O) (*O, error) {
		next, err := change(old)
		if err != nil || old == nil {
			return next, err
		}
		if !hasManagers(old) {
			return next, nil
		}
		live := typed[T](a, old)
		fields, err := fieldManager(a, part)
		if err != nil {
			return nil, err
		}
		before, changed := any(live).(runtime.Object), any(typed[T](a, next)).(runtime.Object)
		after := fields.UpdateNoErrors(before, changed, managerName(manager))
		return sentObject[T, O](a, after)
	}
}

// hasManagers reports whether an object has owners of fields.
func hasManagers[O Ours](o *O) bool {
	switch o := any(o).(type) {
	case *imagestream.ImageStream:
		return len(o.Metadata.ManagedFields) > 0
	case *imagestream.Image:
		return len(o.Metadata.ManagedFields) > 0
	case *imagestream.ImageStreamTag:
		return len(o.Metadata.ManagedFields) > 0
	case *imagestream.ImageTag:
		return len(o.Metadata.ManagedFields) > 0
	}
	return false
}

// applied returns the change that a server-side apply is. It creates the object that does not exist.
func applied[T Theirs, O Ours](a at, part, name string, data []byte, opts metav1.PatchOptions) rest.Change[O] {
	return func(old *O) (*O, error) {
		configuration := &unstructured.Unstructured{}
		if err := yaml.Unmarshal(data, &configuration.Object); err != nil {
			return nil, a.badRequest("the configuration to apply cannot be read: " + err.Error())
		}
		if configuration.Object == nil {
			return nil, a.badRequest("the configuration to apply is empty")
		}
		if kind := configuration.GroupVersionKind(); kind != a.kind() {
			return nil, a.badRequest(fmt.Sprintf("the configuration to apply is of %s, want %s", kind, a.kind()))
		}
		if configuration.GetName() == "" {
			configuration.SetName(name)
		}
		live := new(T)
		if old != nil {
			live = typed[T](a, old)
		} else {
			object := any(live).(metav1.Object)
			object.SetName(name)
			object.SetNamespace(a.namespace)
			any(live).(runtime.Object).GetObjectKind().SetGroupVersionKind(a.kind())
		}
		fields, err := fieldManager(a, part)
		if err != nil {
			return nil, err
		}
		force := opts.Force != nil && *opts.Force
		after, err := fields.Apply(any(live).(runtime.Object), configuration, opts.FieldManager, force)
		if err != nil {
			var status apierrors.APIStatus
			if errors.As(err, &status) {
				return nil, err
			}
			return nil, a.badRequest("the configuration cannot be applied: " + err.Error())
		}
		return sentObject[T, O](a, after)
	}
}

// sentObject is sent for what a field manager returns.
func sentObject[T Theirs, O Ours](a at, object runtime.Object) (*O, error) {
	if free, ok := object.(*unstructured.Unstructured); ok {
		next := new(T)
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(free.Object, next); err != nil {
			return nil, a.badRequest(err.Error())
		}
		return sent[O](a, next)
	}
	next, ok := any(object).(*T)
	if !ok {
		return nil, fmt.Errorf("a field manager returned a %v", reflect.TypeOf(object))
	}
	return sent[O](a, next)
}
