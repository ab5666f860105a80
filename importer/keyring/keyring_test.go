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
		keyring.KeyDockerConfigJSON: []byte(`{"auths": {"quay.io": {"username": "all", "password": "p"}, "https://quay.io/v2/org/": {"auth": "b3JnOnM6dA=="}, "https://index.docker.io/v1/": {"username": "hub", "password": "p"}}}`),
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

func ExampleParse() {
	_, err := keyring.Parse("Opaque", nil)
	fmt.Println(err)
	_, err = keyring.Parse(keyring.TypeDockercfg, map[string][]byte{keyring.KeyDockercfg: []byte(`{"quay.io": "secret"}`)})
	fmt.Println(err)
	// Output:
	// a secret of type "Opaque" is no pull secret: kubernetes.io/dockerconfigjson and kubernetes.io/dockercfg are
	// the pull secret's kubernetes.io/dockercfg cannot be read as JSON
}

func ExampleNew() {
	first := keyring.Config{Auths: map[string]keyring.Entry{"*.example.com": {Username: "first"}}}
	second := keyring.Config{Auths: map[string]keyring.Entry{"*.example.com": {Username: "second"}, "registry.example.com:5000": {Username: "port"}}}
	ring := keyring.New(first, second)
	fmt.Println(ring.Credentials("registry.example.com/app"))
	fmt.Println(ring.Credentials("registry.example.com:5000/app"))
	// Output:
	// user first true
	// user port true
}

func TestMatching(t *testing.T) {
	for _, test := range []struct {
		location, repository string
		want                 bool
	}{
		{"quay.io", "quay.io/org/app", true},
		{"http://quay.io/v1", "quay.io/org/app", true},
		{"quay.io/org", "quay.io/org/app", true},
		{"quay.io/org", "quay.io/organ/app", true}, // a prefix in letters, as in the kubelet
		{"quay.io/org/app", "quay.io/org", false},
		{"*.io", "quay.io/org/app", true},
		{"*.quay.io", "quay.io/org/app", false},
		{"*", "quay.io/org/app", false},
		{"quay.io:443", "quay.io/org/app", false},
		{"qu*.io", "quay.io/org/app", true},
		{"[.io", "quay.io/org/app", false},
		{"index.docker.io", "docker.io/library/nodejs", true},
		{"docker.io", "docker.io/library/nodejs", true},
		{"quay.io", "ghcr.io/org/app", false},
	} {
		ring := keyring.New(keyring.Config{Auths: map[string]keyring.Entry{test.location: {Username: "u", Password: "p"}}})
		if _, ok := ring.Credentials(test.repository); ok != test.want {
			t.Errorf("%s for %s: %v", test.location, test.repository, ok)
		}
	}
}

// TestNothingTellsSecrets prints what there is in every way.
func TestNothingTellsSecrets(t *testing.T) {
	ring := keyring.New(keyring.Config{Auths: map[string]keyring.Entry{"quay.io": {Username: "bob", Password: "hunter2", IdentityToken: "tok3n"}}})
	c, _ := ring.Credentials("quay.io/x")
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	all := fmt.Sprintf("%v %+v %#v %s %s", c, c, c, c, text)
	if strings.Contains(all, "hunter2") || strings.Contains(all, "tok3n") {
		t.Errorf("it tells: %s", all)
	}
	var _ importer.Keyring = ring
}
