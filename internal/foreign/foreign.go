// Package foreign makes a text from outside fit to be shown: an answer of a registry, a name in somebody's file.
//
// Such a text ends up in errors, conditions, logs and terminals. [Text] returns it short, on one line, and printable:
// control characters, line breaks and bidirectional overrides become blanks. URLs lose their user and their query,
// which may be signed. Secrets are struck out, also where they are encoded as in a header, a URL, JSON or HTML.
package foreign

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	// MaxText is how many bytes of a message are shown, MaxCode how many of a short code or a name.
	MaxText = 1 << 10
	MaxCode = 64
	// struck stands where a secret was.
	struck = "***"
	// shortest is the number of bytes from which a secret is struck out inside of words, too.
	shortest = 4
)

var (
	userinfo = regexp.MustCompile(`://[^\s"'<>/?#]*@`)
	query    = regexp.MustCompile(`(/[^\s"'<>?]*)\?[^\s"'<>]+`)
)

// Text returns s fit to be shown, in at most limit bytes; "..." stands for what is left off. Empty secrets are ignored.
func Text(s string, limit int, secrets ...string) string {
	forms := formsOf(secrets)
	s = oneLine(strike(s, forms))
	s = userinfo.ReplaceAllString(s, "://")
	s = query.ReplaceAllString(s, "$1")
	s = strike(s, forms) // a secret may have been behind something that is gone now
	if len(s) > limit {
		s = strings.ToValidUTF8(s[:limit-len("...")], "") + "..."
	}
	return s
}

func oneLine(s string) string {
	isBlank := func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }
	return strings.Join(strings.FieldsFunc(strings.ToValidUTF8(s, "?"), isBlank), " ")
}

// formsOf returns secrets in each way that they are likely to be written, the longest first.
func formsOf(secrets []string) []string {
	var forms []string
	for _, s := range secrets {
		if s == "" {
			continue
		}
		quoted, _ := json.Marshal(s) // a string always can be
		escaped := url.QueryEscape(s)
		forms = append(forms, s, escaped, lowerHex(escaped), url.PathEscape(s), html.EscapeString(s),
			string(quoted[1:len(quoted)-1]),
			base64.RawStdEncoding.EncodeToString([]byte(s)), base64.RawURLEncoding.EncodeToString([]byte(s)))
	}
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	return slices.Compact(forms)
}

// lowerHex returns an escaped text with its escapes in lower case.
func lowerHex(escaped string) string {
	b := []byte(escaped)
	for i := 0; i+2 < len(b); i++ {
		if b[i] == '%' {
			copy(b[i+1:i+3], strings.ToLower(escaped[i+1:i+3]))
		}
	}
	return string(b)
}

func strike(s string, forms []string) string {
	for _, form := range forms {
		if len(form) >= shortest {
			s = strings.ReplaceAll(s, form, struck)
		} else {
			s = strikeWord(s, form)
		}
	}
	return s
}

// strikeWord strikes out word where no letter or digit is beside it.
func strikeWord(s, word string) string {
	var b strings.Builder
	done := 0
	for {
		i := strings.Index(s[done:], word)
		if i < 0 {
			return b.String() + s[done:]
		}
		begin, end := done+i, done+i+len(word)
		b.WriteString(s[done:begin])
		if begin > 0 && isWord(s[begin-1]) || end < len(s) && isWord(s[end]) {
			b.WriteString(word)
		} else {
			b.WriteString(struck)
		}
		done = end
	}
}

func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '_' || c >= 0x80
}
