package rest

import (
	"fmt"
	"iter"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
)

// fieldSelector is a list of requirements on name and namespace.
type fieldSelector []fieldRequirement

type fieldRequirement struct {
	namespace, not bool
	value          string
}

func parseFields(resource, s string) (fieldSelector, error) {
	var selector fieldSelector
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		r := fieldRequirement{}
		field, value, ok := strings.Cut(part, "=")
		field, r.not = strings.CutSuffix(field, "!")
		r.value = strings.TrimPrefix(value, "=")
		switch {
		case !ok:
			return nil, badRequest(
				resource,
				imagestream.Key{},
				fmt.Sprintf("field selector %q: %q must have =, == or !=", s, part),
			)
		case field == "metadata.namespace":
			r.namespace = true
		case field != "metadata.name":
			return nil, badRequest(resource, imagestream.Key{}, fmt.Sprintf(
				"field selector %q: field %q is not supported: use metadata.name or metadata.namespace", s, field))
		}
		selector = append(selector, r)
	}
	return selector, nil
}

func (s fieldSelector) matches(m *imagestream.ObjectMeta) bool {
	for _, r := range s {
		have := m.Name
		if r.namespace {
			have = m.Namespace
		}
		if (have == r.value) == r.not {
			return false
		}
	}
	return true
}

// name returns the one name that s allows; empty if it allows several.
func (s fieldSelector) name() string {
	for _, r := range s {
		if !r.namespace && !r.not {
			return r.value
		}
	}
	return ""
}

// watched returns the changes of objects that fields choose, each after visit has seen it. An object keeps its
// name and namespace, so that a change is seen whole or not at all.
func watched[T any](
	changes iter.Seq2[imagestream.Change[T], error],
	fields fieldSelector,
	meta func(*T) *imagestream.ObjectMeta,
	visit func(*T),
) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) {
		for change, err := range changes {
			if err == nil && change.Type != imagestream.Bookmark {
				if !fields.matches(meta(change.Object)) {
					continue
				}
				visit(change.Object)
			}
			if !yield(change, err) {
				return
			}
		}
	}
}
