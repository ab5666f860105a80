package pullspec

import (
	"strings"
)

// IsDigest reports whether s is a digest as the API reads it: sha256, sha384 or sha512, a colon, and exactly
// 64, 96 or 128 hexadecimal digits in either case. (go-digest refuses upper case.) See conformance case
// reference-2780.
func IsDigest(s string) bool {
	const algorithm = len("sha256:")
	if len(s) < algorithm {
		return false
	}
	var digits int
	switch s[:algorithm] {
	case "sha256:":
		digits = 64
	case "sha384:":
		digits = 96
	case "sha512:":
		digits = 128
	}
	if digits == 0 || len(s) != algorithm+digits {
		return false
	}
	for i := algorithm; i < len(s); i += 8 {
		if !isHex(s[i : i+8]) {
			return false
		}
	}
	return true
}

// isHex reports whether the 8 bytes of s are hexadecimal digits. It looks at all of them at once: adding
// 0x80-c to a byte below 0x80 sets its highest bit if the byte is c or above.
func isHex(s string) bool {
	_ = s[7]
	const each, high = 0x0101010101010101, 0x8080808080808080
	x := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
	if x&high != 0 {
		return false
	}
	lower := x | 0x20*each
	digits := (x + (0x80-'0')*each) &^ (x + (0x80-'9'-1)*each)
	letters := (lower + (0x80-'a')*each) &^ (lower + (0x80-'f'-1)*each)
	return (digits|letters)&high == high
}

// MatchImageID reports whether id names image: id is a prefix of image, or image is a digest and id is a
// prefix of its hexadecimal part. Case counts. The empty id matches every image. See conformance case
// names-0808.
func MatchImageID(image, id string) bool {
	if strings.HasPrefix(image, id) {
		return true
	}
	return IsDigest(image) && strings.HasPrefix(image[strings.IndexByte(image, ':')+1:], id)
}

// SplitTag cuts the name of an image stream tag at its first colon. No tag, or an empty one, is "latest"; ok
// tells whether there was a colon.
//
// SplitTag("app:v1") is "app", "v1", true. SplitTag("app") is "app", "latest", false.
func SplitTag(name string) (stream, tag string, ok bool) {
	stream, tag, ok = strings.Cut(name, ":")
	if tag == "" {
		tag = DefaultTag
	}
	return stream, tag, ok
}

// SplitImage cuts the name of an image stream image at its first "@"; ok tells whether there was one.
//
// SplitImage("app@sha256:1f") is "app", "sha256:1f", true.
func SplitImage(name string) (stream, id string, ok bool) {
	return strings.Cut(name, "@")
}

// JoinTag returns stream:tag. An empty tag is "latest". Nothing is checked.
func JoinTag(stream, tag string) string {
	if tag == "" {
		tag = DefaultTag
	}
	return stream + ":" + tag
}

// JoinImage returns stream@id. Nothing is checked.
func JoinImage(stream, id string) string { return stream + "@" + id }

// ParseTag reads the name of an image stream tag: exactly one colon, something on both sides, no "@". An
// error is a *[ParseError].
func ParseTag(name string) (stream, tag string, err error) {
	stream, tag, _ = strings.Cut(name, ":")
	if stream == "" || tag == "" || strings.Contains(tag, ":") || strings.Contains(name, "@") {
		return "", "", &ParseError{name, "the name of an image stream tag is <image stream>:<tag>, with one colon and no @"}
	}
	return stream, tag, nil
}

// ParseImage reads the name of an image stream image: exactly one "@", something on both sides. An error is a
// *[ParseError].
func ParseImage(name string) (stream, id string, err error) {
	stream, id, _ = strings.Cut(name, "@")
	if stream == "" || id == "" || strings.Contains(id, "@") {
		return "", "", &ParseError{name, "the name of an image stream image is <image stream>@<image>, with one @"}
	}
	return stream, id, nil
}

// IsPathSegment reports whether name can be the name of an API object at all: not ".", "..", and without "/"
// and "%". The empty name passes.
func IsPathSegment(name string) bool {
	return name != "." && name != ".." && !strings.ContainsAny(name, "/%")
}

// IsStreamName reports whether name can be the name of an image stream: runs of a-z and 0-9, joined by single
// ".", "_" or "-". There is no limit of its own; namespace, "/" and name have 255 bytes together. See
// conformance case names-2112.
func IsStreamName(name string) bool {
	separated := true
	for i := range len(name) {
		switch c := name[i]; {
		case classes[c]&lower != 0:
			separated = false
		case (c == '.' || c == '_' || c == '-') && !separated:
			separated = true
		default:
			return false
		}
	}
	return !separated
}
