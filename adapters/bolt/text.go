package bolt

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"strings"
	"unicode/utf8"
)

// shapeOf returns a number for the JSON members of a type: a program whose types have others has another number.
func shapeOf[T any]() uint64 {
	h := fnv.New64a()
	writeShape(h, reflect.TypeFor[T](), map[reflect.Type]bool{})
	return h.Sum64()
}

func writeShape(w io.Writer, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprint(w, t.Kind(), "(")
	switch {
	case seen[t]:
	case t.Kind() == reflect.Map || t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer:
		writeShape(w, t.Elem(), seen)
	case t.Kind() == reflect.Struct:
		seen[t] = true
		for i := range t.NumField() {
			if f := t.Field(i); f.IsExported() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				fmt.Fprint(w, name, ":")
				writeShape(w, f.Type, seen)
			}
		}
	}
	fmt.Fprint(w, ")")
}

// mayHaveReplaced reports whether JSON has the character that encoding/json puts in the place of what is no UTF-8.
func mayHaveReplaced(text []byte) bool {
	return bytes.Contains(text, []byte("\ufffd")) || bytes.Contains(text, []byte(`\ufffd`))
}

// badText returns the path of the first text in an object that is not valid UTF-8; "" if all are.
func badText(object any) string {
	path, bad := findBadText(reflect.ValueOf(object))
	if !bad {
		return ""
	}
	return strings.TrimPrefix(path, ".")
}

func findBadText(v reflect.Value) (path string, bad bool) {
	switch v.Kind() {
	case reflect.String:
		return "", !utf8.ValidString(v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			return findBadText(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // JSON that is kept as it came
			return "", false
		}
		for i := range v.Len() {
			if path, bad := findBadText(v.Index(i)); bad {
				return fmt.Sprintf("[%d]%s", i, path), true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if !utf8.ValidString(key.String()) {
				return fmt.Sprintf("[%+q]", key.String()), true
			}
			if path, bad := findBadText(v.MapIndex(key)); bad {
				return fmt.Sprintf("[%+q]%s", key.String(), path), true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if path, bad := findBadText(v.Field(i)); bad {
				name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
				if name == "" {
					return path, true
				}
				return "." + name + path, true
			}
		}
	}
	return "", false
}
