package pullspec

import (
	"errors"
	"fmt"
	"strings"
)

// maxPath is the limit of registry, namespace and name together, in bytes.
const maxPath = 255

// maxTag is the limit of a tag, in bytes.
const maxTag = 128

// ParseError says which text is not a pull spec, or not the name of an image stream tag or image, and why.
type ParseError struct {
	Text   string
	Reason string
}

func (e *ParseError) Error() string { return fmt.Sprintf("%q: %s", e.Text, e.Reason) }

// Reason returns what err says without the text that it says it of, for messages that name the text already.
// An err that is no *[ParseError] is returned whole.
func Reason(err error) string {
	var p *ParseError
	if errors.As(err, &p) {
		return p.Reason
	}
	return err.Error()
}

// Parse reads a pull spec by the rules in the package comment. The fields of the result are parts of spec:
// nothing is copied. An error is a *[ParseError].
//
// Parse("quay.io/org/app:v1") is {quay.io org app v1 ""}.
func Parse(spec string) (Reference, error) {
	r, reason := parse(spec)
	if reason != "" {
		return Reference{}, &ParseError{Text: spec, Reason: reason}
	}
	return r, nil
}

// IsValid reports whether spec is a pull spec, that is, whether Parse would succeed.
func IsValid(spec string) bool {
	_, reason := parse(spec)
	return reason == ""
}

func parse(spec string) (r Reference, reason string) {
	path := spec
	if at := strings.IndexByte(spec, '@'); at >= 0 {
		path, r.ID = spec[:at], spec[at+1:]
		if !IsDigest(r.ID) {
			return r, "what follows @ must be a digest: sha256, sha384 or sha512, a colon, and 64, 96 or 128 hexadecimal digits"
		}
	}
	// The last slash and the colon behind it in one pass from the right.
	colon := -1
	slash := len(path) - 1
	for ; slash >= 0 && path[slash] != '/'; slash-- {
		if path[slash] == ':' {
			colon = slash
		}
	}
	if colon >= 0 {
		path, r.Tag = path[:colon], path[colon+1:]
		if !IsTag(r.Tag) {
			return r, "a tag is a letter, a digit or _, then at most 127 of letters, digits, _, . and -"
		}
	}
	if len(path) > maxPath {
		return r, "registry, namespace and name together have at most 255 bytes"
	}
	if slash < 0 {
		return parseSingle(spec, path, r)
	}

	first := strings.IndexByte(path, '/')
	head, rest := path[:first], path[first+1:]
	dots := strings.IndexByte(head, '.') >= 0 || strings.IndexByte(head, ':') >= 0
	if !isComponent(head) && !isHost(head) {
		return r, badPath
	}
	namespaceEnd := -1
	for from := 0; ; {
		n := strings.IndexByte(rest[from:], '/')
		if n < 0 {
			if !isComponent(rest[from:]) {
				return r, badPath
			}
			break
		}
		if !isComponent(rest[from : from+n]) {
			return r, badPath
		}
		if namespaceEnd < 0 {
			namespaceEnd = n
		}
		from += n + 1
	}
	switch {
	case !dots && head != "localhost":
		r.Namespace, r.Name = head, rest
	case namespaceEnd < 0:
		r.Registry, r.Name = head, rest
	default:
		r.Registry, r.Namespace, r.Name = head, rest[:namespaceEnd], rest[namespaceEnd+1:]
	}
	return r, ""
}

const badPath = "a repository is lower-case letters and digits, joined by one of . _ __ or dashes, in parts joined by /, " +
	"with the registry's host in front if it is not Docker Hub"

// parseSingle reads a path of one part, which names an image or a bare registry.
func parseSingle(spec, path string, r Reference) (Reference, string) {
	if !isComponent(path) {
		return r, badPath
	}
	if strings.IndexByte(path, '.') >= 0 || strings.HasPrefix(path, "localhost") {
		return Reference{Registry: spec, ID: r.ID}, ""
	}
	r.Name = path
	return r, ""
}

// Classes of ASCII bytes.
const (
	lower = 1 << iota // a-z 0-9
	upper             // A-Z
	word              // lower, upper, _
	tagByte
)

var classes = func() (c [256]uint8) {
	for b := range c {
		switch {
		case b >= '0' && b <= '9', b >= 'a' && b <= 'z':
			c[b] = lower | word | tagByte
		case b >= 'A' && b <= 'Z':
			c[b] = upper | word | tagByte
		case b == '_':
			c[b] = word | tagByte
		case b == '.', b == '-':
			c[b] = tagByte
		}
	}
	return c
}()

// IsTag reports whether tag can stand in a pull spec. Tags of image streams may be any text.
func IsTag(tag string) bool {
	if tag == "" || len(tag) > maxTag || classes[tag[0]]&word == 0 {
		return false
	}
	for i := 1; i < len(tag); i++ {
		if classes[tag[i]]&tagByte == 0 {
			return false
		}
	}
	return true
}

func isComponent(s string) bool {
	if s == "" || classes[s[0]]&lower == 0 || classes[s[len(s)-1]]&lower == 0 {
		return false
	}
	for i := 1; i < len(s); {
		if classes[s[i]]&lower != 0 {
			i++
			continue
		}
		separator := s[i]
		run := 1
		for s[i+run] == separator { // ends: the last byte is no separator
			run++
		}
		switch {
		case separator == '-', separator == '.' && run == 1, separator == '_' && run <= 2:
		default:
			return false
		}
		i += run
		if classes[s[i]]&lower == 0 {
			return false
		}
	}
	return true
}

func isHost(s string) bool {
	if colon := strings.IndexByte(s, ':'); colon >= 0 {
		port := s[colon+1:]
		if port == "" {
			return false
		}
		for i := range len(port) {
			if port[i] < '0' || port[i] > '9' {
				return false
			}
		}
		s = s[:colon]
	}
	labelStart := true
	for i := range len(s) {
		switch c := s[i]; {
		case classes[c]&(lower|upper) != 0:
			labelStart = false
		case c == '-' && !labelStart && i+1 < len(s) && s[i+1] != '.':
		case c == '.' && !labelStart:
			labelStart = true
		default:
			return false
		}
	}
	return !labelStart
}
