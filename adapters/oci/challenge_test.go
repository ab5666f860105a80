package oci

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseChallenges(t *testing.T) {
	type params = map[string]string
	for _, tc := range []struct {
		header string
		want   []challenge
	}{
		{"", nil},
		{" , ,", nil},
		{`Basic realm="x"`, []challenge{{"basic", params{"realm": "x"}}}},
		{"Negotiate", []challenge{{"negotiate", nil}}},
		{`Negotiate, Basic realm="x"`, []challenge{{"negotiate", nil}, {"basic", params{"realm": "x"}}}},
		{`Negotiate YII==, NTLM, bEARER Realm="https://a/b",SERVICE="s"`, []challenge{
			{"negotiate", nil}, {"ntlm", nil}, {"bearer", params{"realm": "https://a/b", "service": "s"}}}},
		{`Basic realm="a, Bearer realm=b", Bearer realm=c`, []challenge{
			{"basic", params{"realm": "a, Bearer realm=b"}}, {"bearer", params{"realm": "c"}}}},
		{`Bearer realm=https://a/token?x=1,scope=repository:a/b:pull,push`, []challenge{
			{"bearer", params{"realm": "https://a/token?x=1", "scope": "repository:a/b:pull"}}, {"push", nil}}},
		{`Bearer realm="a" service="b"`, []challenge{{"bearer", params{"realm": "a", "service": "b"}}}},
		{`Bearer realm = "a\"b\\" , scope=""`, []challenge{{"bearer", params{"realm": `a"b\`, "scope": ""}}}},
		{`Bearer realm="a", realm="b"`, []challenge{{"bearer", params{"realm": "a"}}}},
		{`Bearer realm="not closed, Basic`, []challenge{{"bearer", params{"realm": "not closed, Basic"}}}},
		{`realm="x", Basic`, []challenge{{"realm", nil}, {"x", nil}, {"basic", nil}}}, // nonsense does not hide what follows
		{"\x00\"Basic", []challenge{{"basic", nil}}},
	} {
		if got := parseChallenges(tc.header); !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%s\n got  %v\n want %v", tc.header, got, tc.want)
		}
	}
}

// TestChallengesAreBounded reads headers that are too long.
func TestChallengesAreBounded(t *testing.T) {
	var many http.Header = map[string][]string{"Www-Authenticate": {
		strings.Repeat("Basic, ", 10_000), strings.Repeat("Negotiate, ", 10_000),
	}}
	if got := challengesOf(many); len(got) != maxChallenges {
		t.Errorf("%d challenges", len(got))
	}
	var params strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&params, "p%d=x,", i)
	}
	got := parseChallenges("Bearer " + params.String())
	if len(got) != 1 || len(got[0].params) != maxChallengeParams {
		t.Errorf("%d challenges, the first with %d parameters", len(got), len(got[0].params))
	}
}

// TestChallengesAreReadBack reads challenges as they are drawn, in one header and in several, whatever the case of
// names.
func TestChallengesAreReadBack(t *testing.T) { rapid.Check(t, challengesAreReadBack) }

func challengesAreReadBack(t *rapid.T) {
	token := rapid.StringMatching(`[a-z][a-z0-9-]{0,6}`)
	drawn := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) challenge {
		c := challenge{scheme: token.Draw(t, "scheme")}
		for _, name := range rapid.SliceOfNDistinct(token, 0, 4, rapid.ID[string]).Draw(t, "names") {
			c.set(name, rapid.StringMatching(`[ -~]{0,8}`).Draw(t, "value"))
		}
		return c
	}), 1, 5).Draw(t, "challenges")
	header := http.Header{}
	var line []string
	for _, c := range drawn {
		line = append(line, drawCase(t, write(t, c)))
		if rapid.Bool().Draw(t, "new header") {
			header.Add("WWW-Authenticate", strings.Join(line, ", "))
			line = nil
		}
	}
	header.Add("WWW-Authenticate", strings.Join(line, ","))
	if got := challengesOf(header); !reflect.DeepEqual(got, drawn) {
		t.Fatalf("%q\n got  %v\n want %v", header, got, drawn)
	}
}

// write writes a challenge, with each value quoted or, where it can be, not.
func write(t *rapid.T, c challenge) string {
	text := c.scheme
	for i, name := range slices.Sorted(maps.Keys(c.params)) {
		value := c.params[name]
		if strings.ContainsAny(value, `"\,= `) || value == "" || rapid.Bool().Draw(t, "quoted") {
			value = `"` + strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(value) + `"`
		}
		text += []string{" ", ", "}[min(i, 1)] + name + "=" + value
	}
	return text
}

// drawCase may write the scheme and the first name in capitals; values have none.
func drawCase(t *rapid.T, text string) string {
	i := strings.Index(text, "=")
	if i < 0 {
		i = len(text)
	}
	if rapid.Bool().Draw(t, "capitals") {
		return strings.ToUpper(text[:i]) + text[i:]
	}
	return text
}

// FuzzChallenges reads any header: schemes and names are in lower case, everything is bounded, and what was read is
// read again from what it is written as.
func FuzzChallenges(f *testing.F) {
	f.Add(`Negotiate YII==, Basic realm="a, b", Bearer realm=https://a/b,scope="repository:a/b:pull"`)
	f.Add(`Bearer realm="a\"" service="b", =, "x`)
	f.Fuzz(func(t *testing.T, header string) {
		got := parseChallenges(header)
		if len(got) > maxChallenges {
			t.Fatalf("%d challenges", len(got))
		}
		var again []string
		for _, c := range got {
			if c.scheme == "" || c.scheme != strings.ToLower(c.scheme) || len(c.params) > maxChallengeParams {
				t.Fatalf("%q: %v", header, c)
			}
			text := c.scheme
			for i, name := range slices.Sorted(maps.Keys(c.params)) {
				if name != strings.ToLower(name) || len(c.params[name]) > len(header) {
					t.Fatalf("%q: %v", header, c)
				}
				value := strings.NewReplacer(`"`, `\"`, `\`, `\\`).Replace(c.params[name])
				text += []string{" ", ", "}[min(i, 1)] + name + `="` + value + `"`
			}
			again = append(again, text)
		}
		joined := strings.Join(again, ", ")
		if len(joined) > maxChallengeBytes {
			return
		}
		if reread := parseChallenges(joined); !reflect.DeepEqual(reread, got) {
			t.Fatalf("%q\n was  %v\n then %v\n from %q", header, got, reread, joined)
		}
	})
}
