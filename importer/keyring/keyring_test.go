package keyring_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
)

func ExampleKeyring_Credentials() {
	config, err := keyring.Parse(keyring.TypeDockerConfigJSON, map[string][]byte{
		keyring.KeyDockerConfigJSON: []byte(`{"auths": {
			"quay.io": {"username": "all", "password": "p"},
			"https://quay.io/v2/org/": {"auth": "b3JnOnM6dA=="},
			"https://index.docker.io/v1/": {"username": "hub", "password": "p"}
		}}`),
	})
	ring := keyring.New(config)
	for _, repository := range []string{"quay.io/other/app", "quay.io/org/app", "docker.io/library/nodejs", "ghcr.io/x"} {
		c, ok := ring.Credentials(repository)
		fmt.Println(repository, c, ok)
	}
	fmt.Println(err)
	// Output:
	// quay.io/other/app user all true
	// quay.io/org/app user org true
	// docker.io/library/nodejs user hub true
	// ghcr.io/x anonymous false
	// <nil>
}

func ExampleKeyring_Problem() {
	config, err := keyring.ParseConfig([]byte(`{"auths": {
		"ghcr.io": {"auth": "Z2hwX1NFQ1JFVFRPS0VO"},
		"quay.io": {"auth": "Ym9iOnNlY3JldA"},
		"quay.io/org": {"auth": "*"}
	}}`))
	fmt.Println(err)
	ring := keyring.New(config)
	for _, repository := range []string{"ghcr.io/org/app", "quay.io/org/app", "example.com/app"} {
		c, ok := ring.Credentials(repository)
		fmt.Println(repository, c, ok, ring.Problem(repository) != nil)
	}
	// Output:
	// the credentials for "ghcr.io" cannot be read: auth must be "user:password" in base64: it has no colon
	// ghcr.io/org/app anonymous false true
	// quay.io/org/app user bob true false
	// example.com/app anonymous false false
}

func ExampleParse() {
	_, err := keyring.Parse("Opaque", nil)
	fmt.Println(err)
	_, err = keyring.Parse(keyring.TypeDockercfg, map[string][]byte{keyring.KeyDockercfg: []byte(`{"quay.io": "secret"}`)})
	fmt.Println(err)
	_, err = keyring.Parse(keyring.TypeDockercfg, map[string][]byte{keyring.KeyDockercfg: []byte(`bob:secret`)})
	fmt.Println(err)
	// Output:
	// a secret of type "Opaque" is not a pull secret: kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg are
	// .dockercfg: the credentials for "quay.io" cannot be read: it must be an object whose members are texts
	// .dockercfg: the Docker configuration cannot be read as JSON
}

func ExampleNew() {
	first := keyring.Config{Auths: map[string]keyring.Entry{"*.example.com": {Username: "first"}}}
	second := keyring.Config{Auths: map[string]keyring.Entry{
		"*.example.com": {Username: "second"}, "registry.example.com:5000": {Username: "port"},
	}}
	ring := keyring.New(first, second)
	fmt.Println(ring.Credentials("registry.example.com/app"))
	fmt.Println(ring.Credentials("registry.example.com:5000/app"))
	// Output:
	// user first true
	// user port true
}

func ExampleConfig_Helper() {
	config, err := keyring.ParseConfig([]byte(`{"credsStore": "desktop", "credHelpers": {"https://gcr.io/": "gcloud"}}`))
	fmt.Println(err)
	for _, repository := range []string{"gcr.io/project/app", "docker.io/library/nodejs", "quay.io/org/app"} {
		fmt.Println(config.Helper(repository))
	}
	// Output:
	// <nil>
	// gcloud gcr.io
	// desktop https://index.docker.io/v1/
	// desktop quay.io
}

func TestMatching(t *testing.T) {
	for _, test := range []struct {
		location, repository string
		want                 bool
	}{
		{"quay.io", "quay.io/org/app", true},
		{"quay.io", "quay.io", true},
		{"QUAY.io", "quay.io/org/app", true},
		{" quay.io ", "quay.io/org/app", true},
		{"http://quay.io/v1", "quay.io/org/app", true},
		{"quay.io/org", "quay.io/org/app", true},
		{"quay.io/org/", "quay.io/org/app", true},
		{"quay.io/org", "quay.io", false},          // the password of a path is not that of the whole registry
		{"quay.io/org", "quay.io/organ/app", true}, // a prefix in letters, as in the kubelet
		{"quay.io/org/app", "quay.io/org", false},
		{"*.io", "quay.io/org/app", true},
		{"*.quay.io", "quay.io/org/app", false},
		{"*", "quay.io/org/app", false},
		{"quay.io:443", "quay.io/org/app", false},
		{"[::1]:5000", "[::1]:5000/org/app", true},
		{"qu*.io", "quay.io/org/app", true},
		{"[.io", "quay.io/org/app", false},
		{"quay.io", "ghcr.io/org/app", false},
		{"quay.io.example.com", "quay.io/org/app", false},
	} {
		ring := keyring.New(keyring.Config{Auths: map[string]keyring.Entry{test.location: {Username: "u", Password: "p"}}})
		if _, ok := ring.Credentials(test.repository); ok != test.want {
			t.Errorf("%s for %s: %v", test.location, test.repository, ok)
		}
	}
}

// TestDockerHubIsOne finds credentials under each name of Docker Hub for each other.
func TestDockerHubIsOne(t *testing.T) {
	names := []string{"docker.io", "index.docker.io", "registry-1.docker.io"}
	for _, name := range names {
		for _, format := range []string{"%s", "http://%s", "https://%s", "https://%s/", "%s/v1/", "https://%s/v1/",
			"https://%s/v2", "%s/org"} {
			location := fmt.Sprintf(format, name)
			ring := keyring.New(keyring.Config{Auths: map[string]keyring.Entry{location: {Username: "hub"}}})
			for _, asked := range names {
				if c, _ := ring.Credentials(asked + "/org/app"); c.Username != "hub" {
					t.Errorf("%s has no credentials for %s", location, asked)
				}
			}
		}
	}
	old := keyring.Config{Auths: map[string]keyring.Entry{"https://index.docker.io/v1/": {Username: "old"}}}
	ring := keyring.New(old, keyring.Config{Auths: map[string]keyring.Entry{"docker.io": {Username: "new"}}})
	if c, _ := ring.Credentials("docker.io/org/app"); c.Username != "new" {
		t.Errorf("got %v, want those of docker.io, which is its name", c)
	}
}

func TestEntries(t *testing.T) {
	for _, tc := range []struct {
		name, entry, want string // user:password, or "" for none
		problem           bool
	}{
		{"padded", `{"auth": "Ym9iOnNlY3JldCE="}`, "bob:secret!", false},
		{"unpadded", `{"auth": "Ym9iOnNlY3JldCE"}`, "bob:secret!", false},
		{"blanks", `{"auth": "\n Ym9iOnNlY3JldCE= \t"}`, "bob:secret!", false},
		{"padded with zeros by Docker", `{"auth": "Ym9iOnNlY3JldAAA"}`, "bob:secret", false},
		{"blank auth", `{"auth": " ", "username": "u", "password": "p"}`, "u:p", false},
		{"auth wins", `{"auth": "Ym9iOnNlY3JldA==", "username": "u", "password": "p"}`, "bob:secret", false},
		{"bad auth beside good fields", `{"auth": "?", "username": "u", "password": "p"}`, "", true},
		{"no colon", `{"auth": "Z2hwX1NFQ1JFVFRPS0VO"}`, "", true},
		{"no password", `{"auth": "Ym9iOg=="}`, "bob:", false},
		{"no user", `{"auth": "OnNlY3JldA=="}`, ":secret", false},
		{"empty", `{}`, "", false},
		{"null", `null`, "", false},
		{"other members", `{"email": "x@y", "username": "u", "password": "p"}`, "u:p", false},
		{"a number", `{"auth": 5}`, "", true},
		{"a list", `["secret"]`, "", true},
		{"a text", `"secret"`, "", true},
	} {
		config, err := keyring.ParseConfig(fmt.Appendf(nil, `{"auths": {"quay.io/org": %s, "ghcr.io": {"username": "g"}}}`,
			tc.entry))
		ring := keyring.New(config)
		c, ok := ring.Credentials("quay.io/org/app")
		if got := c.Username + ":" + c.Password; ok != (tc.want != "") || ok && got != tc.want {
			t.Errorf("%s: got %q, %v", tc.name, got, ok)
		}
		if (err != nil) != tc.problem || (ring.Problem("quay.io/org/app") != nil) != tc.problem {
			t.Errorf("%s: errors %v and %v", tc.name, err, ring.Problem("quay.io/org/app"))
		}
		if _, ok := ring.Credentials("ghcr.io/x"); !ok {
			t.Errorf("%s: the entry hides another one", tc.name)
		}
	}
}

// TestTokens keeps the tokens of an entry beside its auth, as registries of Azure have them.
func TestTokens(t *testing.T) {
	config, err := keyring.ParseConfig([]byte(`{"auths": {
		"x.azurecr.io": {"auth": "MDAwMDo=", "identitytoken": "it"}, "y.io": {"registrytoken": "rt"}
	}}`))
	ring := keyring.New(config)
	azure, _ := ring.Credentials("x.azurecr.io/app")
	ready, _ := ring.Credentials("y.io/app")
	if err != nil || azure.IdentityToken != "it" || azure.Username != "0000" || ready.RegistryToken != "rt" {
		t.Errorf("got %#v and %#v, %v", azure, ready, err)
	}
}

// TestNothingTellsSecrets prints everything there is in every way.
func TestNothingTellsSecrets(t *testing.T) {
	secrets := []string{"hunter2", "tok3n", "aHVudGVy"}
	config, err := keyring.ParseConfig([]byte(`{"auths": {
		"quay.io": {"username": "bob", "password": "hunter2", "identitytoken": "tok3n"},
		"https://bob:hunter2@ghcr.io:x": {"auth": "aHVudGVyMg=="},
		"bob:hunter2@example.com": {"auth": "aHVudGVyMg=="},
		"https://a.example.com:x/?t=tok3n\u001b[2J": {"auth": "hunter2!"}
	}}`))
	if err == nil {
		t.Fatal("what cannot be read is not an error")
	}
	ring := keyring.New(config)
	c, _ := ring.Credentials("quay.io/x")
	text, marshalErr := json.Marshal(c)
	if marshalErr != nil {
		t.Fatal(marshalErr)
	}
	all := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, c, text) + fmt.Sprintf("%v %+v %#v %s", config, config, config,
		config) +
		fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, secret := range append(secrets, "\x1b") {
		if strings.Contains(all, secret) {
			t.Errorf("it tells %q: %s", secret, all)
		}
	}
	for _, location := range []string{`ghcr.io:x"`, `"example.com"`, `"https://a.example.com:x/ [2J"`} {
		if !strings.Contains(err.Error(), location) {
			t.Errorf("%v does not name %s", err, location)
		}
	}
	var _ importer.CredentialFinder = ring
}

// TestHugeConfig reads as many unreadable entries as there can be: the error stays short, and the work bounded.
func TestHugeConfig(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"auths": {"quay.io": {"username": "u"}`)
	for n := 0; b.Len() < 1<<20-64; n++ {
		fmt.Fprintf(&b, `,"quay.io/%d": 5, "ghcr.io/%d": 5`, n, n)
	}
	b.WriteString("}}")
	config, err := keyring.ParseConfig([]byte(b.String()))
	if err == nil || len(err.Error()) > 1<<10 || !strings.HasSuffix(err.Error(), "there are more") {
		t.Errorf("%v", err)
	}
	if c, _ := keyring.New(config).Credentials("quay.io/1"); c.Username != "u" {
		t.Errorf("got %v", c)
	}
	if _, err := keyring.ParseConfig(make([]byte, 2<<20)); err == nil || !strings.Contains(err.Error(), "1048576 bytes") {
		t.Errorf("%v", err)
	}
}
