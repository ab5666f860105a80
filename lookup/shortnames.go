package lookup

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// ShortNamesAnnotation holds what references said before they were rewritten, so that a later pass can look them up
// again: a JSON list of [ShortName]. It is an annotation of the object itself, not of its pod template, so that it
// starts no rollout.
const ShortNamesAnnotation = "imagestreams.github.io/short-names"

// ShortName is a text in an object that was rewritten.
type ShortName struct {
	// Path is where it is: a JSON pointer, in which the item of a list is "name=web" if its member "name" is "web"
	// and no other item has that name, and a number otherwise. So a container is found again wherever it stands.
	Path string `json:"path"`
	// From is what it said, and To what it became; each is empty if there was, or is, no such member.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// ShortNames returns what the annotation of an object says, in the order of paths. None is nil; an annotation that
// cannot be read is an error.
func ShortNames(object map[string]any) ([]ShortName, error) {
	text, ok := annotationsOf(object)[ShortNamesAnnotation]
	if !ok {
		return nil, nil
	}
	var names []ShortName
	value, _ := text.(string)
	if err := json.Unmarshal([]byte(value), &names); err != nil {
		const advice = "mend it, or remove the annotation to keep the images as they are"
		return nil, fmt.Errorf("annotation %s is not a list of short names: %w; %s", ShortNamesAnnotation, err, advice)
	}
	slices.SortFunc(names, func(a, b ShortName) int { return cmp.Compare(a.Path, b.Path) })
	return names, nil
}

// WithShortNames is [Apply] with the annotation: object with changes made to it, and what was there before written
// down. Short names of before stay written down as long as they hold: the object still has what they became. It
// copies what it changes and shares the rest; if nothing changes it is object itself. An annotation that cannot be
// read is an error.
func WithShortNames(object map[string]any, changes []Change) (map[string]any, error) {
	names, err := ShortNames(object)
	if err != nil {
		return nil, err
	}
	all := map[string]ShortName{}
	for _, held := range holding(object, names) {
		for _, n := range held {
			all[n.name.Path] = n.name
		}
	}
	for _, c := range changes {
		path := namedPath(object, c.Path)
		from := c.From
		if before, ok := all[path]; ok {
			from = before.From // it was rewritten before, and is now once more
		}
		if all[path] = (ShortName{Path: path, From: from, To: c.To}); from == c.To {
			delete(all, path)
		}
	}
	return annotated(Apply(object, changes), slices.SortedFunc(maps.Values(all), func(a, b ShortName) int {
		return cmp.Compare(a.Path, b.Path)
	}))
}

// RestoreShortNames returns object with the short names of the annotation back in their places, and without the
// annotation. A reference that somebody has edited since is left as it is: it must still be what it became, in all of
// its members, or it is not touched, and neither is one whose container is gone or has another name. An edit that
// ends where it began cannot be told from none. If there is no annotation the result is object itself; one that
// cannot be read is an error.
//
// Who may write the annotation can say what a reference becomes, as who may write the object can. Kind, metadata and
// status are never changed by it.
func RestoreShortNames(object map[string]any) (map[string]any, error) {
	names, err := ShortNames(object)
	if err != nil {
		return nil, err
	}
	var back []Change
	for _, held := range holding(object, names) {
		for _, n := range held {
			back = append(back, Change{Path: n.pointer, From: n.name.To, To: n.name.From})
		}
	}
	return annotated(Apply(object, back), nil)
}

// renewed returns object, whose short names were restored and then resolved by changes, as it is to be. Those that
// changes do not decide stay what they became.
func renewed(object, restored map[string]any, names []ShortName, changes []Change) (map[string]any, error) {
	decided := map[string]bool{}
	for _, c := range changes {
		decided[parent(c.Path)] = true
	}
	changes = slices.Clip(changes)
	for _, held := range holding(object, names) {
		if decided[parent(held[0].pointer)] {
			continue
		}
		for _, n := range held {
			changes = append(changes, Change{Path: n.pointer, From: n.name.From, To: n.name.To})
		}
	}
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	result, err := WithShortNames(restored, changes)
	if err != nil || reflect.DeepEqual(result, object) {
		return object, err
	}
	return result, nil
}

// heldName is a short name whose place in an object is what it became.
type heldName struct {
	name    ShortName
	pointer string
}

// holding returns the short names that hold, those of one reference together: all of its members are what they
// became.
func holding(object map[string]any, names []ShortName) [][]heldName {
	var order []string
	groups := map[string][]heldName{}
	edited := map[string]bool{}
	for _, name := range names {
		of := parent(name.Path)
		pointer, text, ok := find(object, name.Path)
		if !ok || text != name.To {
			edited[of] = true
			continue
		}
		if groups[of] == nil {
			order = append(order, of)
		}
		groups[of] = append(groups[of], heldName{name, pointer})
	}
	var held [][]heldName
	for _, of := range order {
		if !edited[of] {
			held = append(held, groups[of])
		}
	}
	return held
}

func parent(path string) string { return path[:max(strings.LastIndexByte(path, '/'), 0)] }

// byName begins the step of a path that is an item of a list by its name.
const byName = "name="

// namedPath returns a JSON pointer with names in place of numbers, as far as items have them.
func namedPath(object map[string]any, pointer string) string {
	var node any = object
	steps := strings.Split(pointer, "/")
	for i, step := range steps[1:] {
		switch n := node.(type) {
		case map[string]any:
			node = n[unescape(step)]
		case []any:
			at := place(step)
			if at < 0 || at >= len(n) {
				return pointer
			}
			node = n[at]
			if name := itemName(node); name != "" && indexOf(n, name) == at {
				steps[i+1] = byName + escape(name)
			}
		}
	}
	return strings.Join(steps, "/")
}

// find follows a path to a text, and returns where that is as a JSON pointer. A last member that is not there is an
// empty text. What an object is, its metadata and its status have no short names.
func find(object map[string]any, path string) (pointer, text string, ok bool) {
	steps := strings.Split(path, "/")
	others := []string{"", "apiVersion", "kind", "metadata", "status"}
	if len(steps) < 2 || steps[0] != "" || slices.Contains(others, steps[1]) {
		return "", "", false
	}
	var node any = object
	for i, step := range steps[1:] {
		switch n := node.(type) {
		case map[string]any:
			member, there := n[unescape(step)]
			if !there {
				return strings.Join(steps, "/"), "", i == len(steps)-2
			}
			node = member
		case []any:
			at := place(step)
			if name, is := strings.CutPrefix(step, byName); is {
				at = indexOf(n, unescape(name))
			}
			if at < 0 || at >= len(n) {
				return "", "", false
			}
			steps[i+1], node = strconv.Itoa(at), n[at]
		default:
			return "", "", false
		}
	}
	text, ok = node.(string)
	return strings.Join(steps, "/"), text, ok
}

func itemName(item any) string {
	m, _ := item.(map[string]any)
	name, _ := m["name"].(string)
	return name
}

// indexOf returns the place of the one item of that name; -1 if there is none, or more than one.
func indexOf(list []any, name string) int {
	at := -1
	for i, item := range list {
		if itemName(item) == name {
			if at >= 0 {
				return -1
			}
			at = i
		}
	}
	return at
}

func annotationsOf(object map[string]any) map[string]any {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	return annotations
}

// annotated returns object with the annotation for these short names; without any there is none. It shares the rest.
func annotated(object map[string]any, names []ShortName) (map[string]any, error) {
	annotations := annotationsOf(object)
	old, had := annotations[ShortNamesAnnotation]
	if len(names) == 0 && !had {
		return object, nil
	}
	annotations = maps.Clone(annotations)
	if annotations == nil {
		annotations = map[string]any{}
	}
	delete(annotations, ShortNamesAnnotation)
	if len(names) > 0 {
		text, err := json.Marshal(names)
		if err != nil {
			return nil, err
		}
		if old == string(text) {
			return object, nil
		}
		annotations[ShortNamesAnnotation] = string(text)
	}
	object = maps.Clone(object)
	metadata, _ := object["metadata"].(map[string]any)
	if metadata = maps.Clone(metadata); metadata == nil {
		metadata = map[string]any{}
	}
	if metadata["annotations"] = annotations; len(annotations) == 0 {
		delete(metadata, "annotations")
	}
	object["metadata"] = metadata
	return object, nil
}
