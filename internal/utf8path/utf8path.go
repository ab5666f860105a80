// Package utf8path finds texts of an object that are not valid UTF-8: encoding/json would replace them without a word.
package utf8path

import (
	"fmt"
	"reflect"
	"strings"
	"unicode/utf8"
)

// Of returns the path of the first text in an object that is not valid UTF-8; "" if all are.
func Of(object any) string {
	path, bad := find(reflect.ValueOf(object))
	if !bad {
		return ""
	}
	return strings.TrimPrefix(path, ".")
}

func find(v reflect.Value) (path string, bad bool) {
	switch v.Kind() {
	case reflect.String:
		return "", !utf8.ValidString(v.String())
	case reflect.Pointer:
		if !v.IsNil() {
			return find(v.Elem())
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 { // JSON that is kept as it came
			return "", false
		}
		for i := range v.Len() {
			if path, bad := find(v.Index(i)); bad {
				return fmt.Sprintf("[%d]%s", i, path), true
			}
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			if !utf8.ValidString(key.String()) {
				return fmt.Sprintf("[%+q]", key.String()), true
			}
			if path, bad := find(v.MapIndex(key)); bad {
				return fmt.Sprintf("[%+q]%s", key.String(), path), true
			}
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if path, bad := find(v.Field(i)); bad {
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
