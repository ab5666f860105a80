package bolt

import (
	"bytes"
	"fmt"
	"hash/fnv"
	"io"
	"reflect"
	"strings"
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
