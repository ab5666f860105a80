package openshift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TreeOf returns an object of any type as the JSON tree that packages lookup and trigger take. The tree has the kind
// that the object says, or the one that scheme knows for its type; an object that says none and is not known is an
// error. The tree of an unstructured object shares its memory, which lookup.Apply and the like do not change; that of
// any other shares none.
func TreeOf(object runtime.Object, scheme *runtime.Scheme) (map[string]any, error) {
	if free, ok := object.(runtime.Unstructured); ok {
		return free.UnstructuredContent(), nil
	}
	kind := object.GetObjectKind().GroupVersionKind()
	if kind.Empty() {
		var err error
		if kind, err = kindIn(scheme, object); err != nil {
			return nil, err
		}
	}
	tree, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("make a tree of a %T: %w", object, err)
	}
	tree["apiVersion"], tree["kind"] = kind.ToAPIVersionAndKind()
	return tree, nil
}

func kindIn(scheme *runtime.Scheme, object runtime.Object) (schema.GroupVersionKind, error) {
	if scheme == nil {
		return schema.GroupVersionKind{}, fmt.Errorf("a %T does not say its kind: give the scheme that knows it", object)
	}
	kinds, _, err := scheme.ObjectKinds(object)
	if err != nil {
		return schema.GroupVersionKind{}, err
	}
	return kinds[0], nil
}

// SetTree changes object where after differs from before, its tree, and nowhere else: what a type keeps that JSON
// does not have, such as fractions of seconds, stays. Lists of the same length are compared item by item; others are
// replaced. A change that the type has no place for, or of another type, is an error that names the place as a JSON
// pointer, and object is then as it was.
func SetTree(object runtime.Object, before, after map[string]any) error {
	if free, ok := object.(runtime.Unstructured); ok {
		free.SetUnstructuredContent(after)
		return nil
	}
	target := reflect.ValueOf(object.DeepCopyObject())
	if err := setTree(target, "", before, after); err != nil {
		return err
	}
	reflect.ValueOf(object).Elem().Set(target.Elem())
	return nil
}

// setTree changes v, at which a path has come, where after differs from before.
func setTree(v reflect.Value, path string, before, after any) error {
	if reflect.DeepEqual(before, after) {
		return nil
	}
	if after == nil {
		v.SetZero()
		return nil
	}
	oldMap, wasMap := before.(map[string]any)
	newMap, isMap := after.(map[string]any)
	oldList, wasList := before.([]any)
	newList, isList := after.([]any)
	for v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	switch {
	case wasMap && isMap && v.Kind() == reflect.Struct && !marshals(v):
		return setFields(v, path, oldMap, newMap)
	case wasMap && isMap && v.Kind() == reflect.Map && !v.IsNil():
		return setMembers(v, path, oldMap, newMap)
	case wasList && isList && v.Kind() == reflect.Slice && v.Len() == len(oldList) && len(oldList) == len(newList):
		for i := range newList {
			if err := setTree(v.Index(i), fmt.Sprintf("%s/%d", path, i), oldList[i], newList[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return replaceBy(v, path, after)
}

// marshals reports whether a type has a JSON of its own, so that its fields are not those of the tree.
func marshals(v reflect.Value) bool {
	_, does := v.Addr().Interface().(json.Marshaler)
	return does
}

// replaceBy makes v what a tree says.
func replaceBy(v reflect.Value, path string, after any) error {
	data, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	next, decoder := reflect.New(v.Type()), json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(next.Interface()); err != nil {
		return fmt.Errorf("set %s: %w", path, err)
	}
	v.Set(next.Elem())
	return nil
}

// changedKeys yields the members that differ.
func changedKeys(before, after map[string]any, yield func(key string, before, after any) error) error {
	for key, value := range after {
		if err := yield(key, before[key], value); err != nil {
			return err
		}
	}
	for key, value := range before {
		if _, stays := after[key]; !stays {
			if err := yield(key, value, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func setFields(v reflect.Value, path string, before, after map[string]any) error {
	places := members(v.Type())
	return changedKeys(before, after, func(key string, before, after any) error {
		if reflect.DeepEqual(before, after) {
			return nil
		}
		path := path + "/" + escapeStep(key)
		place, ok := places[key]
		if !ok {
			return fmt.Errorf("set %s: a %s has no such member", path, v.Type())
		}
		return setTree(fieldOf(v, place), path, before, after)
	})
}

// fieldOf returns a field of a struct, of one that it embeds too. An embedded pointer that is nil gets a struct.
func fieldOf(v reflect.Value, place []int) reflect.Value {
	for _, i := range place {
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				v.Set(reflect.New(v.Type().Elem()))
			}
			v = v.Elem()
		}
		v = v.Field(i)
	}
	return v
}

func setMembers(v reflect.Value, path string, before, after map[string]any) error {
	if v.Type().Key().Kind() != reflect.String {
		return replaceBy(v, path, after)
	}
	return changedKeys(before, after, func(key string, before, after any) error {
		if reflect.DeepEqual(before, after) {
			return nil
		}
		at := reflect.ValueOf(key).Convert(v.Type().Key())
		if after == nil {
			v.SetMapIndex(at, reflect.Value{})
			return nil
		}
		value := reflect.New(v.Type().Elem()).Elem()
		if old := v.MapIndex(at); old.IsValid() {
			value.Set(old)
		}
		if err := setTree(value, path+"/"+escapeStep(key), before, after); err != nil {
			return err
		}
		v.SetMapIndex(at, value)
		return nil
	})
}

// escapeStep writes a member's name as a JSON pointer does.
func escapeStep(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
