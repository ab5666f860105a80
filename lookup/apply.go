package lookup

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Apply returns object with changes made to it. It copies what it changes, once, and shares the rest; without
// changes it is object itself. A path that leads nowhere changes nothing, and nothing is taken out of lists.
func Apply(object map[string]any, changes []Change) map[string]any {
	if len(changes) == 0 {
		return object
	}
	changed, _ := apply(object, changes, 0).(map[string]any)
	return changed
}

// apply changes node, at which the paths of all changes have come as far as depth.
func apply(node any, changes []Change, depth int) any {
	switch node := node.(type) {
	case map[string]any:
		c := maps.Clone(node)
		for len(changes) > 0 {
			step, next, n := group(changes, depth)
			child, ok := c[step]
			switch {
			case next > 0 && ok:
				c[step] = apply(child, changes[:n], next)
			case next > 0:
			case changes[n-1].To == "":
				delete(c, step)
			default:
				c[step] = changes[n-1].To
			}
			changes = changes[n:]
		}
		return c
	case []any:
		c := slices.Clone(node)
		for len(changes) > 0 {
			step, next, n := group(changes, depth)
			switch i := place(step); {
			case i < 0 || i >= len(c):
			case next > 0:
				c[i] = apply(c[i], changes[:n], next)
			case changes[n-1].To != "":
				c[i] = changes[n-1].To
			}
			changes = changes[n:]
		}
		return c
	}
	return node
}

// place reads a place in a list; -1 if it is none.
func place(step string) int {
	n := 0
	for i := range len(step) {
		if step[i] < '0' || step[i] > '9' || n > 1<<30 {
			return -1
		}
		n = n*10 + int(step[i]-'0')
	}
	if step == "" {
		return -1
	}
	return n
}

// group returns the next step of the first change, where the step after it begins (0 if it is the last), and how
// many changes go there too.
func group(changes []Change, depth int) (step string, next, n int) {
	raw, next := nextStep(changes[0].Path, depth)
	for n = 1; n < len(changes); n++ {
		if other, last := nextStep(changes[n].Path, depth); other != raw || (last > 0) != (next > 0) {
			break
		}
	}
	return unescape(raw), next, n
}

// nextStep returns the step of a path behind depth, and where the one after it begins.
func nextStep(path string, depth int) (step string, next int) {
	rest := strings.TrimPrefix(path[min(depth, len(path)):], "/")
	start := len(path) - len(rest)
	if i := strings.IndexByte(rest, '/'); i >= 0 {
		return rest[:i], start + i
	}
	return rest, 0
}

// PatchOperation is a step of a JSON patch, RFC 6902.
type PatchOperation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value string `json:"value,omitempty"`
}

// PatchOf returns the JSON patch that makes the changes: what an admission webhook answers. A change from nothing adds
// the member.
func PatchOf(changes []Change) []PatchOperation {
	patch := make([]PatchOperation, len(changes))
	for i, c := range changes {
		patch[i] = PatchOperation{Op: "replace", Path: c.Path, Value: c.To}
		switch {
		case c.To == "":
			patch[i].Op = "remove"
		case c.From == "":
			patch[i].Op = "add" // of a member that is there already, it is a replace
		}
	}
	return patch
}

// ErrNotThere means that a change is about something that is not in the object.
var ErrNotThere = errors.New("what is to be changed is not there")

// ApplyJSON returns a JSON text with changes made to it: only the bytes of the texts that change are others, and
// what is removed is gone with its comma. Without changes it is raw itself, else a copy. Raw must be JSON, as
// json.Unmarshal takes it; of members that are there twice the last one counts, as it does there. A change whose
// path leads nowhere is an [ErrNotThere].
func ApplyJSON(raw []byte, changes []Change) ([]byte, error) {
	if len(changes) == 0 {
		return raw, nil
	}
	edits := make([]edit, len(changes))
	locate(raw, skipSpace(raw, 0), changes, 0, edits)
	for i, c := range changes {
		e := &edits[i]
		if e.end == 0 {
			return nil, fmt.Errorf("%s: %w", c.Path, ErrNotThere)
		}
		if c.To == "" {
			*e = e.member(raw)
			continue
		}
		e.text = quote(c.To)
	}
	slices.SortFunc(edits, func(a, b edit) int { return a.start - b.start })
	size := len(raw)
	for _, e := range edits {
		size += len(e.text)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		out = append(append(out, raw[at:max(at, e.start)]...), e.text...)
		at = max(at, e.end)
	}
	return append(out, raw[at:]...), nil
}

// quote returns s as JSON.
func quote(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			text, _ := json.Marshal(s) // no string fails
			return string(text)
		}
	}
	return `"` + s + `"`
}

// edit replaces a part of a text.
type edit struct {
	start, end int
	text       string
	key        int // where the member's name begins
}

// member widens an edit from a value to its member, with the comma before or behind it.
func (e edit) member(raw []byte) edit {
	e.start = e.key
	before := e.start
	for before > 0 && isSpace(raw[before-1]) {
		before--
	}
	if before > 0 && raw[before-1] == ',' {
		e.start = before - 1
		return e
	}
	if behind := skipSpace(raw, e.end); behind < len(raw) && raw[behind] == ',' {
		e.end = skipSpace(raw, behind+1)
	}
	return e
}

// locate finds the values that changes are about, below the value that begins at a place and that their paths have
// come to as far as depth. It notes them in edits, and returns where the value ends.
func locate(raw []byte, at int, changes []Change, depth int, edits []edit) (end int) {
	if at >= len(raw) || raw[at] != '{' && raw[at] != '[' {
		return skipValue(raw, at)
	}
	object := raw[at] == '{'
	at = skipSpace(raw, at+1)
	for i := 0; at < len(raw) && raw[at] != '}' && raw[at] != ']'; i++ {
		name, text := at, []byte(nil)
		if object {
			at = skipValue(raw, at)
			text = raw[name:at]
			at = skipSpace(raw, at)
			if at >= len(raw) || raw[at] != ':' {
				return len(raw)
			}
			at = skipSpace(raw, at+1)
		}
		value := at
		at = 0
		for from := 0; from < len(changes); {
			step, next, n := group(changes[from:], depth)
			if object && isString(text, step) || !object && place(step) == i {
				here := edits[from : from+n]
				clear(here) // of members that are there twice the last one counts
				if next > 0 {
					at = locate(raw, value, changes[from:from+n], next, here)
				} else {
					at = skipValue(raw, value)
					here[n-1] = edit{start: value, end: at, key: name}
				}
			}
			from += n
		}
		if at == 0 {
			at = skipValue(raw, value)
		}
		if at = skipSpace(raw, at); at < len(raw) && raw[at] == ',' {
			at = skipSpace(raw, at+1)
		}
	}
	return min(at+1, len(raw))
}

// isString reports whether a JSON string is s.
func isString(text []byte, s string) bool {
	if bytes.IndexByte(text, '\\') < 0 {
		return len(text) == len(s)+2 && string(text[1:len(s)+1]) == s
	}
	var unquoted string
	return json.Unmarshal(text, &unquoted) == nil && unquoted == s
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipSpace(raw []byte, at int) int {
	for at < len(raw) && isSpace(raw[at]) {
		at++
	}
	return at
}

// skipValue returns where the JSON value at a place ends.
func skipValue(raw []byte, at int) int {
	if at >= len(raw) {
		return at
	}
	switch raw[at] {
	case '"':
		return skipString(raw, at)
	case '{', '[':
		for depth := 0; at < len(raw); at++ {
			switch c := raw[at]; {
			case c <= ' ': // most of an indented text
			case c == '"':
				at = skipString(raw, at) - 1
			case c == '{' || c == '[':
				depth++
			case c == '}' || c == ']':
				if depth--; depth == 0 {
					return at + 1
				}
			}
		}
		return at
	}
	for at < len(raw) && !isSpace(raw[at]) && raw[at] != ',' && raw[at] != '}' && raw[at] != ']' {
		at++
	}
	return at
}

func skipString(raw []byte, at int) int {
	for at++; at < len(raw); {
		i := bytes.IndexByte(raw[at:], '"')
		if i < 0 {
			return len(raw)
		}
		at += i + 1
		escapes := 0
		for raw[at-2-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return at
		}
	}
	return len(raw)
}
