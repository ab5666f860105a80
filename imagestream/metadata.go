package imagestream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// The Kubernetes rules for metadata, as far as image streams are subject to them.

const (
	maxAnnotations = 256 << 10 // bytes of keys and values together
	maxLabel       = 63
	maxDNSLabel    = 63
	maxSubdomain   = 253
	maxManager     = 128
	maxSubresource = 256
)

func isAlphanumeric(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// isLabelName reports whether s has 1 to 63 letters, digits, "-", "_" and ".", with a letter or digit at both
// ends.
func isLabelName(s string) bool {
	if s == "" || len(s) > maxLabel || !isAlphanumeric(s[0]) || !isAlphanumeric(s[len(s)-1]) {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlphanumeric(c) && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

func isLabelValue(s string) bool { return s == "" || isLabelName(s) }

// isLabelKey reports whether s is a label name, with a domain and a slash in front or without.
func isLabelKey(s string) bool {
	prefix, name, ok := strings.Cut(s, "/")
	if !ok {
		return isLabelName(s)
	}
	return isSubdomain(prefix) && isLabelName(name)
}

func isDNSLabel(s string) bool { return len(s) <= maxDNSLabel && isDNSWord(s) }

// isDNSWord reports whether s has lower-case letters, digits and inner dashes.
func isDNSWord(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

// isSubdomain reports whether s is words joined by dots. A word of it has no length limit of its own.
func isSubdomain(s string) bool {
	if len(s) > maxSubdomain {
		return false
	}
	for word := range strings.SplitSeq(s, ".") {
		if !isDNSWord(word) {
			return false
		}
	}
	return true
}

// nameRule tells whether a name, or what begins one, will do.
type nameRule func(string) bool

// streamNameRule is the rule for new names of streams; pathSegmentRule the one that the API has for any
// object.
func streamNameRule(name string) bool {
	return pullspec.IsPathSegment(name) && pullspec.IsStreamName(name)
}

func pathSegmentRule(name string) bool { return pullspec.IsPathSegment(name) }

const streamNameDetail = "an image stream's name is lower-case letters and digits, joined by single dots, dashes or underscores"

// validateMetadata applies the rules for all objects. What is wrong with a key of a map or an entry of a list
// is reported at the map or the list. See conformance cases stream-0020 to stream-0037.
func validateMetadata(m *ObjectMeta, rule nameRule, namespaced bool) (errs ErrorList) {
	if m.GenerateName != "" && !rule(m.GenerateName) {
		errs.add(FieldInvalid, "metadata.generateName", m.GenerateName, streamNameDetail)
	}
	if m.Name == "" {
		errs.add(FieldRequired, "metadata.name", nil, "give the image stream a name")
	} else if !rule(m.Name) {
		errs.add(FieldInvalid, "metadata.name", m.Name, streamNameDetail)
	}
	switch {
	case !namespaced:
	case m.Namespace == "":
		errs.add(FieldRequired, "metadata.namespace", nil, "an image stream belongs to a namespace")
	case !isDNSLabel(m.Namespace):
		errs.add(
			FieldInvalid,
			"metadata.namespace",
			m.Namespace,
			"a namespace is lower-case letters, digits and inner dashes, at most 63",
		)
	}
	if m.Generation < 0 {
		errs.add(FieldInvalid, "metadata.generation", m.Generation, "a generation is never negative")
	}
	validateLabels(&errs, m.Labels)
	validateAnnotations(&errs, m.Annotations)
	validateOwners(&errs, m.OwnerReferences)
	validateFinalizers(&errs, m.Finalizers)
	validateManagedFields(&errs, m.ManagedFields)
	return errs
}

func validateLabels(errs *ErrorList, labels map[string]string) {
	for _, key := range slices.Sorted(maps.Keys(labels)) {
		if problem := checkKey(key); problem != "" {
			errs.add(FieldInvalid, "metadata.labels", key, problem)
		}
		if problem := checkValue(labels[key]); problem != "" {
			errs.add(FieldInvalid, "metadata.labels", labels[key], problem)
		}
	}
}

func validateAnnotations(errs *ErrorList, annotations map[string]string) {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		if problem := checkKey(strings.ToLower(key)); problem != "" {
			errs.add(FieldInvalid, "metadata.annotations", key, problem)
		}
		size += len(key) + len(annotations[key])
	}
	if size > maxAnnotations {
		errs.add(fieldTooLong, "metadata.annotations", nil,
			fmt.Sprintf("annotations have %d bytes at most, keys and values together, not %d", maxAnnotations, size))
	}
}

func validateOwners(errs *ErrorList, owners []OwnerReference) {
	const path = "metadata.ownerReferences"
	controllers := 0
	for _, o := range owners {
		group, version, versioned := strings.Cut(o.APIVersion, "/")
		if !versioned {
			group, version = "", group
		}
		if version == "" || strings.Contains(version, "/") {
			errs.add(FieldInvalid, path+".apiVersion", o.APIVersion, "an API version is group/version, or version alone")
		}
		for _, member := range [...]struct{ name, value string }{{"kind", o.Kind}, {"name", o.Name}, {"uid", o.UID}} {
			if member.value == "" {
				errs.add(FieldInvalid, path+"."+member.name, nil, "an owner has a kind, a name and a uid")
			}
		}
		if group == "" && version == "v1" && o.Kind == "Event" {
			errs.add(FieldInvalid, path, o.Kind, "an Event cannot own anything")
		}
		if o.Controller != nil && *o.Controller {
			controllers++
		}
	}
	if controllers > 1 {
		errs.add(FieldInvalid, path, nil, "only one owner can have controller: true")
	}
}

func validateFinalizers(errs *ErrorList, finalizers []string) {
	const path = "metadata.finalizers"
	for i, f := range finalizers {
		if !isLabelKey(f) {
			errs.add(FieldInvalid, path, f, "a finalizer is written like a label key")
		}
		if !strings.Contains(f, "/") && f != "kubernetes" && f != "orphan" && f != "foregroundDeletion" {
			errs.add(
				FieldInvalid,
				fmt.Sprintf("%s[%d]", path, i),
				f,
				"a finalizer of your own has a domain in front: example.com/"+f,
			)
		}
	}
	if slices.Contains(finalizers, "orphan") && slices.Contains(finalizers, "foregroundDeletion") {
		errs.add(FieldInvalid, path, nil, "orphan and foregroundDeletion exclude each other")
	}
}

func validateManagedFields(errs *ErrorList, entries []ManagedFieldsEntry) {
	for i, e := range entries {
		path := fmt.Sprintf("metadata.managedFields[%d]", i)
		if e.Operation != "Apply" && e.Operation != "Update" {
			errs.add(FieldInvalid, path+".operation", e.Operation, "an operation is Apply or Update")
		}
		if e.FieldsType != "" && e.FieldsType != "FieldsV1" {
			errs.add(FieldInvalid, path+".fieldsType", e.FieldsType, "the type of fields is FieldsV1")
		}
		if len(e.Manager) > maxManager {
			errs.add(
				fieldTooLong,
				path+".manager",
				nil,
				fmt.Sprintf("a manager has %d bytes at most, not %d", maxManager, len(e.Manager)),
			)
		}
		if strings.ContainsFunc(e.Manager, func(r rune) bool { return !unicode.IsPrint(r) }) {
			errs.add(FieldInvalid, path+".manager", e.Manager, "a manager is printable characters")
		}
		if len(e.Subresource) > maxSubresource {
			errs.add(
				fieldTooLong,
				path+".subresource",
				nil,
				fmt.Sprintf("a subresource has %d bytes at most, not %d", maxSubresource, len(e.Subresource)),
			)
		}
	}
}

func (l *ErrorList) add(t FieldErrorType, field string, value any, detail string) {
	*l = append(*l, &FieldError{Type: t, Field: field, Value: value, Detail: detail})
}
