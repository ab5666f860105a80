package foreign_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/internal/foreign"
)

func ExampleText() {
	answer := "denied:\n\x1b[31mbob\u202e sent s3cret to https://bob:pw@cdn.example.com/blob?X-Signature=abc"
	fmt.Println(foreign.Text(answer, foreign.MaxText, "s3cret"))
	// Output: denied: [31mbob sent *** to https://cdn.example.com/blob
}

func TestText(t *testing.T) {
	const secret = `p@ss/"wörd"<&>`
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", ""},
		{"blanks", " \t\r\n\u2028\x00 ", ""},
		{"not UTF-8", "a\xff\xfeb", "a?b"},
		{"escape sequences", "\x1b]0;title\x07text", "]0;title text"},
		{"isolates and marks", "a\u2066b\u2069c\u200fd\ufeffe\u00adf", "a b c d e f"},
		{"long", strings.Repeat("ä", 100), strings.Repeat("ä", 30) + "..."},
		{"signed", `got "https://s3.example.com/a?X-Amz-Signature=1&b=2", then /v2/blob?_state=x.`,
			`got "https://s3.example.com/a", then /v2/blob`},
		{"a question", "why? and/or what?", "why? and/or what?"},
		{"user of a URL", "ftp://u:p@h/x and //u:p@h", "ftp://h/x and //u:p@h"},
		{"as it is", "sent " + secret, "sent ***"},
		{"basic", "Basic " + base64.StdEncoding.EncodeToString([]byte(secret)), "Basic ***"},
		{"query", "a=" + url.QueryEscape(secret), "a=***"},
		{"lower hex", "a=" + strings.ToLower(url.QueryEscape(secret)), "a=***"},
		{"path", "/" + url.PathEscape(secret), "/***"},
		{"html", "<p>p@ss/&#34;wörd&#34;&lt;&amp;&gt;</p>", "<p>***</p>"},
		{"json", `{"h":"p@ss/\"wörd\"\u003c\u0026\u003e"}`, `{"h":"***"}`},
	} {
		limit := 63
		if got := foreign.Text(tc.in, max(limit, len(tc.want)), secret, ""); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestShortSecrets strikes out a password of a letter only where it stands alone: errors stay readable.
func TestShortSecrets(t *testing.T) {
	const want = "***: happy people, ***, ppp xp p2 (***) ***"
	if got := foreign.Text("p: happy people, p, ppp xp p2 (p) p", 99, "p"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTextIsSafe tries any text with a secret in it anywhere.
func TestTextIsSafe(t *testing.T) { rapid.Check(t, textIsSafe) }

func FuzzTextIsSafe(f *testing.F) { f.Fuzz(rapid.MakeFuzz(textIsSafe)) }

func textIsSafe(t *rapid.T) {
	piece := rapid.OneOf(rapid.String(), rapid.StringMatching(`[/?:@a-c\x00\n ]{0,12}`))
	secret := rapid.StringMatching(`[a-zA-Z0-9+/=]{4,12}`).Draw(t, "secret")
	limit := rapid.IntRange(8, 80).Draw(t, "limit")
	in := piece.Draw(t, "before") + secret + piece.Draw(t, "after") + secret
	got := foreign.Text(in, limit, secret)
	switch {
	case len(got) > limit:
		t.Fatalf("%d bytes, want at most %d: %q", len(got), limit, got)
	case !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Fatalf("%q is not printable", got)
	case strings.Contains(got, secret):
		t.Fatalf("%q tells %q", got, secret)
	case foreign.Text(got, limit, secret) != got:
		t.Fatalf("%q changes to %q when it is made fit again", got, foreign.Text(got, limit, secret))
	}
}
