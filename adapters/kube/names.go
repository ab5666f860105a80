package kube

import (
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// The separators of names that Kubernetes does not allow are written as dashes: the first one as one dash, the second
// one as two, and so on. Dots stay. It can be undone, since separators stand alone between letters and digits.
const (
	streamSeparators = "-_"
	imageSeparators  = ":-_+"
)

func isWord(c byte) bool { return 'a' <= c && c <= 'z' || '0' <= c && c <= '9' }

// toKube returns the name that an object has in Kubernetes; false if it cannot have one there.
func toKube(name, separators string) (string, bool) {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if isWord(c) {
			b.WriteByte(c)
			continue
		}
		if i == 0 || i == len(name)-1 || !isWord(name[i-1]) {
			return "", false
		}
		if c == '.' {
			b.WriteByte(c)
			continue
		}
		at := strings.IndexByte(separators, c)
		if at < 0 {
			return "", false
		}
		b.WriteString(strings.Repeat("-", at+1))
	}
	return b.String(), 0 < b.Len() && b.Len() <= validation.DNS1123SubdomainMaxLength
}

// fromKube is the inverse of toKube.
func fromKube(kube, separators string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(kube); {
		if c := kube[i]; isWord(c) || c == '.' {
			b.WriteByte(c)
			i++
			continue
		}
		dashes := len(kube[i:]) - len(strings.TrimLeft(kube[i:], "-"))
		if dashes == 0 || dashes > len(separators) {
			return "", false
		}
		b.WriteByte(separators[dashes-1])
		i += dashes
	}
	name := b.String()
	again, ok := toKube(name, separators)
	return name, ok && again == kube
}
