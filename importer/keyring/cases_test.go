package keyring_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"unicode"

	"github.com/imagestreams/imagestreams/importer/keyring"
)

// TestCases runs the corpus of configurations that broke something, where it is beside the repository.
func TestCases(t *testing.T) {
	corpus, err := os.ReadFile("../../../shared/cases/keyring.jsonl")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the corpus is not here")
	} else if err != nil {
		t.Fatal(err)
	}
	n := 0
	for lines := bufio.NewScanner(bytes.NewReader(corpus)); lines.Scan(); n++ {
		var c struct {
			Case, Repository string
			Config           json.RawMessage
			Want             []string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		config, err := keyring.ParseConfig(c.Config)
		ring := keyring.New(config)
		got, _ := ring.Credentials(c.Repository)
		problem := ring.Problem(c.Repository)
		switch {
		case c.Want == nil && (err == nil || problem == nil):
			t.Errorf("%s: errors %v and %v, want both", c.Case, err, problem)
		case c.Want == nil:
			tellsNothing(t, c.Config, err)
			tellsNothing(t, c.Config, problem)
		case err != nil || problem != nil || got.Username != c.Want[0] || got.Password != c.Want[1]:
			t.Errorf("%s: got %q, %q, errors %v and %v; want %q", c.Case, got.Username, got.Password, err, problem, c.Want)
		}
	}
	if n < 12 {
		t.Errorf("%d cases", n)
	}
}

// tellsNothing checks that an error shows no part of what entries hold, as it is or decoded, and can be printed.
func tellsNothing(t *testing.T, config []byte, err error) {
	t.Helper()
	var c struct{ Auths map[string]map[string]any }
	if err == nil || json.Unmarshal(config, &c) != nil {
		return
	}
	text := err.Error()
	if len(text) > 9<<10 || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("an error of %d bytes: %q", len(text), text)
	}
	for location, entry := range c.Auths {
		text = strings.ReplaceAll(text, location, "")
		for _, value := range entry {
			secret, _ := value.(string)
			decoded, _ := base64.StdEncoding.DecodeString(secret)
			for _, s := range []string{secret, string(decoded)} {
				if len(s) >= 8 && strings.Contains(text, s) && !strings.Contains(location, s) && !strings.Contains(wording, s) {
					t.Errorf("%q tells %q", text, s)
				}
			}
		}
	}
}

// wording are the words of errors.
const wording = `; the credentials for "" cannot be read: auth must be "user:password" in base64: it has no colon;` +
	`the location must be a registry, or a path in one, as "quay.io/org"; it must be an object whose members are texts` +
	`; there are more; the Docker configuration cannot be read as JSON`

// FuzzParseConfig reads any text: errors tell nothing of it, what is found is what an entry says, and what is found is
// found again in a configuration that is written from what was read.
func FuzzParseConfig(f *testing.F) {
	for _, seed := range []string{
		`{"auths": {"quay.io": {"auth": "Ym9iOnNlY3JldA"}, "quay.io/a": {"auth": "*"}}}`,
		`{"auths": {"https://index.docker.io/v1/": {"username": "u", "password": "p"}}, "credsStore": "x"}`,
		`{"auths": {"quay.io": {"auth": "Z2hwX1NFQ1JFVFRPS0VO"}, "[::1]:5": {"identitytoken": "t"}}}`,
		`{"auths": {"https://u:password@quay.io:x/": 5, "*.io/%zz": null}, "credHelpers": {"quay.io": "y"}}`,
	} {
		f.Add([]byte(seed), "quay.io/a/b")
	}
	f.Fuzz(func(t *testing.T, text []byte, repository string) {
		config, err := keyring.ParseConfig(text)
		tellsNothing(t, text, err)
		ring := keyring.New(config)
		got, ok := ring.Credentials(repository)
		problem := ring.Problem(repository)
		tellsNothing(t, text, problem)
		if ok && (problem != nil || got.IsAnonymous()) || !ok && !got.IsAnonymous() {
			t.Errorf("%#v, %v, and the problem %v", got, ok, problem)
		}
		config.Helper(repository)
		written, marshalErr := json.Marshal(config)
		if marshalErr != nil {
			t.Fatal(marshalErr)
		}
		again, _ := keyring.ParseConfig(written)
		if c, found := keyring.New(again).Credentials(repository); ok && (c != got || !found) {
			t.Errorf("%#v became %#v, %v", got, c, found)
		}
	})
}
