// Package fill fills values by reflection, so that tests of copying, comparing and converting see every
// field, also the ones added next year.
package fill

import (
	"fmt"
	"reflect"
)

// Value fills what p points to: every exported field gets a value of its own that is not zero, every pointer
// points somewhere, every slice and map has two members. A type that contains itself is filled two levels
// deep. A []byte holds a JSON string.
func Value(p any) {
	f := filler{depth: map[reflect.Type]int{}}
	f.fill(reflect.ValueOf(p).Elem())
}

type filler struct {
	n     int
	depth map[reflect.Type]int
}

func (f *filler) next() int {
	f.n++
	return f.n
}

func (f *filler) fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(fmt.Sprintf("s%d", f.next()))
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(int64(f.next()))
	case reflect.Uint8:
		v.SetUint(uint64(f.next() % 250))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem())
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			v.Set(reflect.ValueOf([]byte(fmt.Sprintf("%q", fmt.Sprint(f.next())))).Convert(v.Type()))
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key)
			f.fill(value)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		if f.depth[v.Type()] == 2 {
			return
		}
		f.depth[v.Type()]++
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				f.fill(v.Field(i))
			}
		}
		f.depth[v.Type()]--
	default:
		panic(fmt.Sprintf("fill: no rule for %s", v.Type()))
	}
}

// Overwrite changes every word that can be reached from p: whoever shares memory with it will see.
func Overwrite(p any) { overwrite(reflect.ValueOf(p).Elem()) }

func overwrite(v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "!")
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8:
		v.SetUint(v.Uint() ^ 1)
	case reflect.Pointer:
		if !v.IsNil() {
			overwrite(v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			overwrite(v.Index(i))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(v.MapIndex(key))
			overwrite(value)
			v.SetMapIndex(key, value)
		}
		if v.Len() > 0 {
			v.SetMapIndex(reflect.Zero(v.Type().Key()), reflect.Zero(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				overwrite(v.Field(i))
			}
		}
	}
}

// Each calls visit once for every leaf that can be reached from p, with that one leaf changed and its path;
// the leaf is put back afterwards.
func Each(p any, visit func(path string)) { each(reflect.ValueOf(p).Elem(), "", visit) }

func each(v reflect.Value, path string, visit func(string)) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				each(v.Field(i), path+"."+v.Type().Field(i).Name, visit)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() {
			each(v.Elem(), path, visit)
			before := reflect.New(v.Type()).Elem()
			before.Set(v)
			v.SetZero()
			visit(path + "=nil")
			v.Set(before)
		}
	case reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), fmt.Sprintf("%s[%d]", path, i), visit)
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			before := v.MapIndex(key)
			value := reflect.New(v.Type().Elem()).Elem()
			value.Set(before)
			each(value, fmt.Sprintf("%s[%v]", path, key), func(path string) {
				v.SetMapIndex(key, value)
				visit(path)
			})
			v.SetMapIndex(key, before)
		}
	default:
		before := reflect.New(v.Type()).Elem()
		before.Set(v)
		overwrite(v)
		visit(path)
		v.Set(before)
	}
}
