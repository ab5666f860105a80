package fakes

import (
	"reflect"
	"slices"
)

// record adds a change to the log. Each object is there once: what a change replaced is what the one before wrote.
func (t *table[T]) record(change logged[T], history, most int) {
	t.log = append(t.log, change)
	if t.sizes == nil {
		t.sizes = map[*T]int{}
	}
	for _, o := range change.objects() {
		if _, counted := t.sizes[o]; !counted {
			t.sizes[o] = sizeOf(reflect.ValueOf(o).Elem())
			t.bytes += t.sizes[o]
		}
	}
	if len(t.log) >= 2*history || t.bytes > most {
		t.forget(history, most/2)
	}
}

// forget keeps so many changes, of so many bytes. The newest one stays, whatever its size.
func (t *table[T]) forget(history, most int) {
	first, bytes, sizes := len(t.log), 0, map[*T]int{}
	for first > 0 && len(t.log)-first < history {
		more := 0
		for _, o := range t.log[first-1].objects() {
			if _, counted := sizes[o]; !counted {
				more += t.sizes[o]
			}
		}
		if first < len(t.log) && bytes+more > most {
			break
		}
		first, bytes = first-1, bytes+more
		for _, o := range t.log[first].objects() {
			sizes[o] = t.sizes[o]
		}
	}
	if first > 0 {
		t.dropped = t.log[first-1].version
	}
	t.log, t.bytes, t.sizes = slices.Clone(t.log[first:]), bytes, sizes
}

// objects are those that a change has.
func (l logged[T]) objects() []*T {
	return slices.DeleteFunc([]*T{l.old, l.new}, func(o *T) bool { return o == nil })
}

// sizeOf returns about how many bytes a value takes, with all that it reaches.
func sizeOf(v reflect.Value) int {
	size := int(v.Type().Size())
	switch v.Kind() {
	case reflect.String:
		return size + v.Len()
	case reflect.Pointer:
		if !v.IsNil() {
			size += sizeOf(v.Elem())
		}
	case reflect.Slice:
		if isFlat(v.Type().Elem().Kind()) {
			return size + v.Len()*int(v.Type().Elem().Size())
		}
		for i := range v.Len() {
			size += sizeOf(v.Index(i))
		}
	case reflect.Map:
		for entries := v.MapRange(); entries.Next(); {
			size += sizeOf(entries.Key()) + sizeOf(entries.Value())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); !isFlat(f.Kind()) {
				size += sizeOf(f) - int(f.Type().Size())
			}
		}
	}
	return size
}

// isFlat reports whether values of a kind reach nothing else.
func isFlat(k reflect.Kind) bool { return k > reflect.Invalid && k < reflect.Array }
