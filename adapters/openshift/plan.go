package openshift

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// plan copies a value of one type into one of another with the same JSON. Both can be set, and to is zero.
type plan func(to, from reflect.Value) error

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
func special[To, From any](copy func(to *To, from *From) error) (pair [2]reflect.Type, p plan) {
	return [2]reflect.Type{reflect.TypeFor[To](), reflect.TypeFor[From]()},
		func(to, from reflect.Value) error { return copy(pointerTo[To](to), pointerTo[From](from)) }
}

var specials = func() map[[2]reflect.Type]plan {
	all := map[[2]reflect.Type]plan{}
	add := func(pair [2]reflect.Type, p plan) { all[pair] = p }
	add(special(func(to *metav1.Time, from *imagestream.Time) error {
		if !from.IsZero() {
			*to = metav1.NewTime(from.Time())
		}
		return nil
	}))
	add(special(func(to *imagestream.Time, from *metav1.Time) error {
		if !from.IsZero() {
			*to = tagevent.TimeOf(from.Time)
		}
		return nil
	}))
	add(special(func(to *runtime.RawExtension, from *imagestream.Raw) error {
		to.Raw = bytes.Clone(*from)
		return nil
	}))
	add(special(func(to *imagestream.Raw, from *runtime.RawExtension) (err error) {
		if *to = bytes.Clone(from.Raw); len(*to) == 0 && from.Object != nil {
			*to, err = json.Marshal(from.Object)
		}
		return err
	}))
	add(special(func(to **metav1.FieldsV1, from *imagestream.Raw) error {
		if *from != nil {
			*to = &metav1.FieldsV1{Raw: bytes.Clone(*from)}
		}
		return nil
	}))
	add(special(func(to *imagestream.Raw, from **metav1.FieldsV1) error {
		if *from != nil {
			*to = bytes.Clone((*from).Raw)
		}
		return nil
	}))
	add(special(func(to, from *map[string]string) error {
		*to = maps.Clone(*from)
		return nil
	}))
	add(special(func(to, from *[]byte) error {
		*to = bytes.Clone(*from)
		return nil
	}))
	return all
}()

func newPlan(to, from reflect.Type) (plan, error) {
	if p := specials[[2]reflect.Type{to, from}]; p != nil {
		return p, nil
	}
	if to.Kind() != from.Kind() {
		return nil, fmt.Errorf("%v is not %v", from, to)
	}
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
		return func(to, from reflect.Value) error { to.SetString(from.String()); return nil }, nil
	case reflect.Bool:
		return func(to, from reflect.Value) error { to.SetBool(from.Bool()); return nil }, nil
	case reflect.Int64, reflect.Int32:
		return func(to, from reflect.Value) error { to.SetInt(from.Int()); return nil }, nil
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
	return func(to, from reflect.Value) error {
		for i := range fields {
			f := &fields[i]
			if err := f.copy(to.Field(f.to), from.Field(f.from)); err != nil {
				return err
			}
		}
		return nil
	}, nil
}

// deepPlan is p for fields of embedded structs.
func deepPlan(toIndex, fromIndex []int, p plan) plan {
	return func(to, from reflect.Value) error {
		for _, i := range toIndex {
			to = to.Field(i)
		}
		for _, i := range fromIndex {
			from = from.Field(i)
		}
		return p(to, from)
	}
}

func pointerPlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(to, from reflect.Value) error {
		if from.IsNil() {
			return nil
		}
		to.Set(reflect.New(to.Type().Elem()))
		return element(to.Elem(), from.Elem())
	}, err
}

func slicePlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(to, from reflect.Value) error {
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
			if err := element(to.Index(i), from.Index(i)); err != nil {
				return err
			}
		}
		return nil
	}, err
}

func mapPlan(to, from reflect.Type) (plan, error) {
	element, err := planOf(to.Elem(), from.Elem())
	return func(to, from reflect.Value) error {
		if from.IsNil() {
			return nil
		}
		to.Set(reflect.MakeMapWithSize(to.Type(), from.Len()))
		for entries := from.MapRange(); entries.Next(); {
			value, source := reflect.New(to.Type().Elem()).Elem(), reflect.New(from.Type().Elem()).Elem()
			source.Set(entries.Value())
			if err := element(value, source); err != nil {
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
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && f.Anonymous:
			for inner, index := range members(f.Type) {
				m[inner] = append([]int{i}, index...)
			}
		default:
			m[name] = []int{i}
		}
	}
	return m
}
