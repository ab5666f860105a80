package oc

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
)

// patched returns s with a strategic merge patch merged into it.
func patched(s *imagestream.ImageStream, patch json.RawMessage) (*imagestream.ImageStream, error) {
	fail := func(err error) error {
		return imagestream.NewError(imagestream.ReasonBadRequest, imageStreams, s.Key(), "patch: "+err.Error())
	}
	var change map[string]any
	if err := json.Unmarshal(patch, &change); err != nil {
		return nil, fail(err)
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	var tree map[string]any
	if err := json.Unmarshal(raw, &tree); err != nil {
		return nil, err
	}
	tree, err = merge(tree, change, "")
	if err != nil {
		return nil, fail(err)
	}
	if raw, err = json.Marshal(tree); err != nil {
		return nil, fail(err)
	}
	next := new(imagestream.ImageStream)
	if err := json.Unmarshal(raw, next); err != nil {
		return nil, fail(err)
	}
	return next, nil
}

// merge returns object with the members of patch, those that are null removed. Path is where object is.
func merge(object, patch map[string]any, path string) (map[string]any, error) {
	merged := maps.Clone(object)
	if merged == nil {
		merged = map[string]any{}
	}
	for _, name := range slices.Sorted(maps.Keys(patch)) {
		if strings.HasPrefix(name, "$") {
			return nil, fmt.Errorf("%s%s: directives are not supported", path, name)
		}
		var err error
		switch value := patch[name].(type) {
		case nil:
			delete(merged, name)
		case map[string]any:
			below, _ := merged[name].(map[string]any)
			merged[name], err = merge(below, value, path+name+".")
		case []any:
			below, _ := merged[name].([]any)
			merged[name], err = mergeTags(below, value, path+name)
		default:
			merged[name] = value
		}
		if err != nil {
			return nil, err
		}
	}
	return merged, nil
}

// mergeTags merges the list spec.tags, the one list that is merged, by the names of its tags.
func mergeTags(tags, patch []any, path string) ([]any, error) {
	if path != "spec.tags" {
		return nil, fmt.Errorf("%s: the list cannot be patched: update the object instead", path)
	}
	merged := slices.Clone(tags)
	for i, value := range patch {
		change, _ := value.(map[string]any)
		name, named := change["name"].(string)
		if !named {
			return nil, fmt.Errorf("spec.tags[%d].name: a patch names the tag that it changes", i)
		}
		at := slices.IndexFunc(merged, func(have any) bool {
			tag, _ := have.(map[string]any)
			return tag["name"] == name
		})
		if at < 0 {
			at = len(merged)
			merged = append(merged, map[string]any{})
		}
		have, _ := merged[at].(map[string]any)
		tag, err := merge(have, change, fmt.Sprintf("spec.tags[%s].", name))
		if err != nil {
			return nil, err
		}
		merged[at] = tag
	}
	return merged, nil
}
