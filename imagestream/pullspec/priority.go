package pullspec

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// PrioritizeTags returns tags in the order in which they are worth importing, and in which they are shown to
// people.
//
//  1. "latest";
//  2. minor versions, "5.1", "v5.1" or "5.1-word", read as 5.1.0 and 5.1.0-word;
//  3. semantic versions, with or without a leading "v";
//  4. everything else, in byte order.
//
// Within 2 and 3 the higher version comes first, by the rules of semantic versions, where build metadata does
// not count; of equal versions the one without "v". What looks like a version and is none (leading zeros, an
// underscore, a number of more than 64 bits) falls to 4. Repeated tags are kept, ties keep their order, tags
// is not changed. See conformance cases names-2115 to names-2117.
func PrioritizeTags(tags []string) []string {
	ranked := make([]rankedTag, len(tags))
	for i, tag := range tags {
		ranked[i] = rank(tag)
	}
	slices.SortStableFunc(ranked, rankedTag.compare)
	sorted := make([]string, len(tags))
	for i, r := range ranked {
		sorted[i] = r.tag
	}
	return sorted
}

type tagClass int

const (
	classLatest tagClass = iota
	classMinor
	classFull
	classOther
)

type rankedTag struct {
	class    tagClass
	tag      string
	version  version
	prefixed bool
}

func rank(tag string) rankedTag {
	if tag == DefaultTag {
		return rankedTag{class: classLatest, tag: tag}
	}
	text, prefixed := strings.CutPrefix(tag, "v")
	if v, ok := parseMinor(text); ok {
		return rankedTag{classMinor, tag, v, prefixed}
	}
	if v, ok := parseVersion(text); ok {
		return rankedTag{classFull, tag, v, prefixed}
	}
	return rankedTag{class: classOther, tag: tag}
}

func (r rankedTag) compare(o rankedTag) int {
	if c := cmp.Compare(r.class, o.class); c != 0 {
		return c
	}
	switch r.class {
	case classLatest:
		return 0
	case classOther:
		return cmp.Compare(r.tag, o.tag)
	}
	if c := o.version.compare(r.version); c != 0 {
		return c
	}
	switch {
	case r.prefixed == o.prefixed:
		return 0
	case o.prefixed:
		return -1
	}
	return 1
}

// version is a semantic version without its build metadata.
type version struct {
	numbers    [3]uint64
	prerelease string
}

// parseMinor reads 5.1 as 5.1.0 and 5.1-word as 5.1.0-word.
func parseMinor(s string) (v version, ok bool) {
	numbers, suffix, hasSuffix := strings.Cut(s, "-")
	if hasSuffix && (suffix == "" || strings.ContainsAny(suffix, ".-+")) {
		return v, false
	}
	major, minor, ok := strings.Cut(numbers, ".")
	if !ok {
		return v, false
	}
	return parseParts([3]string{major, minor, "0"}, suffix, hasSuffix)
}

func parseVersion(s string) (v version, ok bool) {
	core, build, hasBuild := strings.Cut(s, "+")
	if hasBuild && !isIdentifiers(build, false) {
		return v, false
	}
	numbers, prerelease, hasPrerelease := strings.Cut(core, "-")
	major, rest, _ := strings.Cut(numbers, ".")
	minor, patch, ok := strings.Cut(rest, ".")
	if !ok {
		return v, false
	}
	return parseParts([3]string{major, minor, patch}, prerelease, hasPrerelease)
}

func parseParts(numbers [3]string, prerelease string, hasPrerelease bool) (v version, ok bool) {
	for i, s := range numbers {
		if v.numbers[i], ok = parseNumber(s); !ok {
			return v, false
		}
	}
	v.prerelease = prerelease
	return v, !hasPrerelease || isIdentifiers(prerelease, true)
}

// parseNumber reads a decimal number of up to 64 bits without leading zeros.
func parseNumber(s string) (uint64, bool) {
	if s == "" || len(s) > 1 && s[0] == '0' || !isNumeric(s) {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil
}

func isNumeric(s string) bool {
	return strings.Trim(s, "0123456789") == ""
}

// isIdentifiers reports whether s is a list of identifiers joined by dots. In a prerelease a number must be
// one that parseNumber reads.
func isIdentifiers(s string, prerelease bool) bool {
	for identifier := range strings.SplitSeq(s, ".") {
		if identifier == "" {
			return false
		}
		for i := range len(identifier) {
			if c := identifier[i]; classes[c]&(lower|upper) == 0 && c != '-' {
				return false
			}
		}
		if prerelease && isNumeric(identifier) {
			if _, ok := parseNumber(identifier); !ok {
				return false
			}
		}
	}
	return true
}

func (v version) compare(o version) int {
	if c := slices.Compare(v.numbers[:], o.numbers[:]); c != 0 {
		return c
	}
	switch {
	case v.prerelease == o.prerelease:
		return 0
	case v.prerelease == "":
		return 1
	case o.prerelease == "":
		return -1
	}
	return slices.CompareFunc(strings.Split(v.prerelease, "."), strings.Split(o.prerelease, "."), compareIdentifiers)
}

// compareIdentifiers puts numbers before words, numbers in numeric and words in byte order.
func compareIdentifiers(a, b string) int {
	aNumeric, bNumeric := isNumeric(a), isNumeric(b)
	switch {
	case aNumeric && bNumeric:
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	case aNumeric:
		return -1
	case bNumeric:
		return 1
	}
	return cmp.Compare(a, b)
}
