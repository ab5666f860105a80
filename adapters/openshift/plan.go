package openshift

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/imagestreams/imagestreams/imagestream"
)

// plan copies a value of one type into one of another with the same JSON. Both can be set, and to is zero.
type plan func(how mode, to, from reflect.Value) error

var plans sync.Map // [2]reflect.Type to plan

// planOf returns the plan for a pair of types; it is made once.
func planOf(to, from reflect.Type) (plan, error) {
	key := [2]reflect.Type{to, from}
	if p, ok := plans.Load(key); ok {
		return p.(plan), nil
	}
	p, err := newPlan(to, from)
	if err == nil {
		plans.Store(key, p)
	}
	return p, err
}

// pointerTo returns v's address as the pointer that it is; nothing is allocated.
func pointerTo[T any](v reflect.Value) *T { return v.Addr().Interface().(*T) }

// special returns a plan of two types whose JSON is the same though their kinds differ.
func special[To, From any](copy func(how mode, to *To, from *From) error) (pair [2]reflect.Type, p plan) {
	return [2]reflect.Type{reflect.TypeFor[To](), reflect.TypeFor[From]()},
		func(how mode, to, from reflect.Value) error {
			return copy(how, pointerTo[To](to), pointerTo[From](from))
		}
}

var specials = func() map[[2]reflect.Type]plan {
	all := map[[2]reflect.Type]plan{}
	add := func(pair [2]reflect.Type, p plan) { all[pair] = p }
	add(special(tagsToAPI))
	add(special(tagsFromAPI))
	add(special(historiesToAPI))
	add(special(historiesFromAPI))
	add(special(func(_ mode, to *metav1.Time, from *imagestream.Time) error {
		*to = timeToAPI(*from)
		return nil
	}))
	add(special(func(_ mode, to *imagestream.Time, from *metav1.Time) error {
		*to = timeFromAPI(*from)
		return nil
	}))
	add(special(func(how mode, to *runtime.RawExtension, from *imagestream.Raw) error {
		to.Raw = shareBytes(how, *from)
		return nil
	}))
	add(special(func(how mode, to *imagestream.Raw, from *runtime.RawExtension) (err error) {
		if *to = shareBytes(how, from.Raw); len(*to) == 0 && from.Object != nil {
			*to, err = json.Marshal(from.Object)
		}
		return err
	}))
	add(special(func(_ mode, to **metav1.FieldsV1, from *imagestream.Raw) error {
		if *from != nil {
			*to = &metav1.FieldsV1{}
			(*to).SetRawBytes(*from)
		}
		return nil
	}))
	add(special(func(how mode, to *imagestream.Raw, from **metav1.FieldsV1) error {
		*to = shareBytes(how, (*from).GetRawBytes())
		return nil
	}))
	add(special(func(_ mode, to, from *map[string]string) error {
		*to = maps.Clone(*from)
		return nil
	}))
	add(special(func(_ mode, to, from *[]byte) error {
		*to = bytes.Clone(*from)
		return nil
	}))
	return all
}()

func newPlan(to, from reflect.Type) (plan, error) {
	p := specials[[2]reflect.Type{to, from}]
	if p == nil {
		if to.Kind() != from.Kind() {
			return nil, fmt.Errorf("%v is not %v", from, to)
		}
		var err error
		if p, err = planOfKind(to, from); err != nil {
			return nil, err
		}
	}
	switch from.Kind() {
	case reflect.Struct, reflect.Pointer, reflect.Slice, reflect.Map:
		if sameLayout(to, from) {
			return given(p), nil
		}
	}
	return p, nil
}

// given returns the plan of types with the same layout. Memory that is given away becomes the result as it is.
func given(p plan) plan {
	return func(how mode, to, from reflect.Value) error {
		if how == copying {
			return p(how, to, from)
		}
		to.Set(reflect.NewAt(to.Type(), from.Addr().UnsafePointer()).Elem())
		return nil
	}
}

// sameLayout reports whether values of both types are the same in memory and mean the same in JSON, so that one can be
// taken for the other. No type of the API contains itself.
func sameLayout(a, b reflect.Type) bool {
	if a == b {
		return true
	}
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case reflect.String, reflect.Bool, reflect.Int64, reflect.Int32:
		return true
	case reflect.Pointer, reflect.Slice:
		return sameLayout(a.Elem(), b.Elem())
	case reflect.Struct:
		if a.NumField() != b.NumField() || a.Size() != b.Size() {
			return false
		}
		for i := range a.NumField() {
			f, g := a.Field(i), b.Field(i)
			if f.Offset != g.Offset || jsonName(f) != jsonName(g) || !sameLayout(f.Type, g.Type) {
				return false
			}
		}
		return true
	}
	return false // a map's hash belongs to its type
}

// jsonName returns what a field is called in JSON; empty for an embedded struct.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func planOfKind(to, from reflect.Type) (plan, error) {
	switch from.Kind() {
	case reflect.Struct:
		return structPlan(to, from)
	case reflect.Pointer:
		return pointerPlan(to, from)
	case reflect.Slice:
		return slicePlan(to, from)
	case reflect.Map:
		return mapPlan(to, from)
	case reflect.String:
		return func(_ mode, to, from reflect.Value) error { to.SetString(from.String()); return nil }, nil
	case reflect.Bool:
		return func(_ mode, to, from reflect.Value) error { to.SetBool(from.Bool()); return nil }, nil
	case reflect.Int64, reflect.Int32:
		return func(_ mode, to, from reflect.Value) error { to.SetInt(from.Int()); return nil }, nil
	}
	return nil, fmt.Errorf("no type of the API has a %v", from)
}

func structPlan(to, from reflect.Type) (plan, error) {
	type field struct {
		to, from int
		copy     plan
	}
	var fields []field
	targets := members(to)
	for name, index := range members(from) {
		target, ok := targets[name]
		if !ok {
			continue
		}
		p, err := planOf(to.FieldByIndex(target).Type, from.FieldByIndex(index).Type)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if len(target) > 1 || len(index) > 1 {
			p = deepPlan(target[1:], index[1:], p)
		}
		fields = append(fields, field{target[0], index[0], p})
	}
	return func(how mode, to, from reflect.Value) error {
		for i := range fields {
			f := &fields[i]
			if err := f.copy(how, to.Field(f.to), from.Field(f.from)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// deepPlan is p for fields of embedded structs.
func deepPlan(toIndex, fromIndex []int, p plan) plan {
	return func(how mode, to, from reflect.Value) error {
		for _, i := range toIndex {
			to = to.Field(i)
		}
		for _, i := range fromIndex {
			from = from.Field(i)
		}
		return p(how, to, from)
	}
}

func pointerPlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(how mode, to, from reflect.Value) error {
		if from.IsNil() {
			return nil
		}
		to.Set(reflect.New(to.Type().Elem()))
		return element(how, to.Elem(), from.Elem())
	}, err
}

func slicePlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(how mode, to, from reflect.Value) error {
		n := from.Len()
		switch {
		case from.IsNil():
			return nil
		case n == 0:
			to.Set(reflect.MakeSlice(to.Type(), 0, 0))
			return nil
		}
		to.Grow(n)
		to.SetLen(n)
		to.SetCap(n)
		for i := range n {
			if err := element(how, to.Index(i), from.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}, err
}

func mapPlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(how mode, to, from reflect.Value) error {
		if from.IsNil() {
			return nil
		}
		to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
		for entries := from.MapRange(); entries.Next(); {
			value, source := reflect.New(to.Type().Elem()).Elem(), reflect.New(from.Type().Elem()).Elem()
			source.Set(entries.Value())
			if err := element(how, value, source); err != nil {
				return err
			}
			to.SetMapIndex(entries.Key(), value)
		}
		return nil
	}, err
}

// members returns the fields of a struct by the names of their JSON, those of embedded structs among them.
func members(t reflect.Type) map[string][]int {
	m := map[string][]int{}
	for i := range t.NumField() {
		f := t.Field(i)
		name := jsonName(f)
		switch {
		case name == "-", !f.IsExported() && (!f.Anonymous || f.Type.Kind() != reflect.Struct):
		case name == "" && f.Anonymous:
			embedded := f.Type
			if embedded.Kind() == reflect.Pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() != reflect.Struct {
				continue // JSON of Kubernetes has no name for it
			}
			for inner, index := range members(embedded) {
				if _, outer := m[inner]; !outer {
					m[inner] = append([]int{i}, index...)
				}
			}
		default:
			m[cmp.Or(name, f.Name)] = []int{i}
		}
	}
	return m
}
