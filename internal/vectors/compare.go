package vectors

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Match compares got with what c wants. It returns nothing if they agree, else one line a difference, against
// the first of several wanted answers.
//
// Null, a missing member, an empty list and an empty map are equal. The members named "errors" are sets of
// {type, field}, those named "status" that hold a reason and a code are compared by these two: error texts
// are nobody's rule. In members named "patch" a null is a removal, and counts.
func Match(c Case, got []byte) ([]string, error) {
	have, err := decode(got)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	wants := c.WantAny
	if c.Want != nil {
		wants = []json.RawMessage{c.Want}
	}
	var first []string
	for i, raw := range wants {
		want, err := decode(raw)
		if err != nil {
			return nil, fmt.Errorf("want: %w", err)
		}
		diffs := diff(nil, "", want, have)
		if len(diffs) == 0 {
			return nil, nil
		}
		if i == 0 {
			first = diffs
		}
	}
	if len(wants) > 1 {
		first = append(
			[]string{fmt.Sprintf("outside all %d answers of wantAny; the first differs so:", len(wants))},
			first...)
	}
	return first, nil
}

func decode(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	return normalize(v), nil
}

// normalize drops nulls, empty lists and empty maps from maps, makes sets of errors, and turns an empty value
// itself into nil.
func normalize(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, member := range v {
			if key == "patch" {
				continue
			}
			member = normalize(member)
			if list, ok := member.([]any); ok && key == "errors" {
				member = errorSet(list)
			}
			if member == nil {
				delete(v, key)
			} else {
				v[key] = member
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		for i := range v {
			v[i] = normalize(v[i])
		}
		if len(v) == 0 {
			return nil
		}
	}
	return v
}

// errorSet sorts errors by field and type and drops repeats and texts.
func errorSet(list []any) any {
	var set []string
	for _, e := range list {
		m, ok := e.(map[string]any)
		if !ok {
			return list
		}
		set = append(set, fmt.Sprintf("%v %v", m["field"], m["type"]))
	}
	slices.Sort(set)
	set = slices.Compact(set)
	out := make([]any, len(set))
	for i, s := range set {
		out[i] = s
	}
	return out
}

func diff(out []string, path string, want, got any) []string {
	switch want := want.(type) {
	case map[string]any:
		if got, ok := got.(map[string]any); ok {
			keys := slices.Collect(maps.Keys(want))
			for key := range got {
				if _, ok := want[key]; !ok {
					keys = append(keys, key)
				}
			}
			slices.Sort(keys)
			for _, key := range keys {
				_, wanted := want[key]
				if _, have := got[key]; wanted != have && want[key] == nil && got[key] == nil {
					out = append(out, fmt.Sprintf("%s.%s: a null on one side only", strings.TrimPrefix(path, "."), key))
				}
				out = diff(out, path+"."+key, want[key], got[key])
			}
			return out
		}
	case []any:
		if got, ok := got.([]any); ok && len(got) == len(want) {
			for i := range want {
				out = diff(out, path+"["+strconv.Itoa(i)+"]", want[i], got[i])
			}
			return out
		}
	case json.Number:
		if got, ok := got.(json.Number); ok && sameNumber(want, got) {
			return out
		}
	default:
		if !isComposite(got) && want == got {
			return out
		}
	}
	return append(out, fmt.Sprintf("%s: want %s, got %s", strings.TrimPrefix(path, "."), text(want), text(got)))
}

func isComposite(v any) bool {
	switch v.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

func sameNumber(a, b json.Number) bool {
	if a == b {
		return true
	}
	x, errX := a.Float64()
	y, errY := b.Float64()
	return errX == nil && errY == nil && x == y
}

func text(v any) string {
	if v == nil {
		return "nothing"
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}
