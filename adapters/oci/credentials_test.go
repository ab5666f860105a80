package oci_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/importer"
)

func ExamplePullSecret() {
	credentials, err := oci.PullSecret([]byte(`{"auths": {
		"quay.io": {"username": "robot", "password": "p"},
		"https://index.docker.io/v1/": {"username": "hub", "password": "p"}
	}}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, host := range []string{"quay.io", "registry-1.docker.io", "ghcr.io"} {
		c, err := credentials(context.Background(), host)
		fmt.Println(host, c, err)
	}
	_, err = oci.PullSecret([]byte("no JSON"))
	fmt.Println(err)
	// Output:
	// quay.io user robot <nil>
	// registry-1.docker.io user hub <nil>
	// ghcr.io anonymous <nil>
	// .dockerconfigjson: the Docker configuration cannot be read as JSON
}

// TestDockerConfig reads files as importer/keyring does: by paths, with entries that cannot be read.
func TestDockerConfig(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.json")
	write := func(text string) func(context.Context, string) (importer.Credentials, error) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		find, err := oci.DockerConfig(config)
		if err != nil {
			t.Fatal(err)
		}
		return find
	}
	find := write(`{"auths": {
		"quay.io/other": {"username": "other", "password": "p"}, "quay.io/org": {"username": "org", "password": "p"},
		"https://index.docker.io/v1/": {"auth": "aHViOnA"}, "ghcr.io": {"auth": "Z2hwX1NFQ1JFVFRPS0VO"}, "gcr.io": {}
	}}`)
	for repository, want := range map[string]string{
		"quay.io/other/app": "other", "quay.io/org/app": "org", "quay.io/third/app": "", "quay.io": "",
		"docker.io/library/x":  "hub",
		"registry-1.docker.io": "hub", "gcr.io/x": "",
	} {
		if c, err := find(t.Context(), repository); err != nil || c.Username != want {
			t.Errorf("%s: %v, %v, want %q", repository, c, err, want)
		}
	}
	if c, err := find(t.Context(), "ghcr.io/org/app"); err == nil || !c.IsAnonymous() ||
		strings.Contains(err.Error(), "ghp_") {
		t.Errorf("an entry that cannot be read: %v, %v", c, err)
	}
	if err := os.WriteFile(config, []byte("password: hunter2"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := oci.DockerConfig(config); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a file that is not JSON: %v", err)
	}
	if _, err := oci.DockerConfig(filepath.Join(dir, "missing")); err == nil {
		t.Error("a named file that is missing is not an error")
	}
	t.Setenv("DOCKER_CONFIG", filepath.Join(dir, "missing"))
	if find, err := oci.DockerConfig(""); err != nil {
		t.Errorf("docker's own file that is missing: %v", err)
	} else if c, err := find(t.Context(), "quay.io/x"); err != nil || !c.IsAnonymous() {
		t.Errorf("of a file that is missing: %v, %v", c, err)
	}
}

// TestCredentialHelpers asks the programs that a configuration names, and shows nothing of what they say.
func TestCredentialHelpers(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("no shell for the helpers")
	}
	dir := t.TempDir()
	for name, script := range map[string]string{
		"good":  `read server; echo "{\"ServerURL\":\"$server\",\"Username\":\"for $server\",\"Secret\":\"s\"}"`,
		"token": `echo '{"Username":"<token>","Secret":"it"}'`,
		"none":  `echo "credentials not found in native keychain"; exit 1`,
		"bad":   `echo "the password is hunter2"; echo hunter2 >&2; exit 1`,
		"text":  `echo hunter2`,
		"flood": `head -c 1000000 /dev/zero`,
	} {
		if err := os.WriteFile(filepath.Join(dir, "docker-credential-"+name), []byte("#!/bin/sh\n"+script+"\n"),
			0o700); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	config := filepath.Join(dir, "config.json")
	text := `{"auths": {"none.io": {"username": "file", "password": "p"}, "good.io": {}},
		"credsStore": "none", "credHelpers": {
		"good.io": "good", "https://index.docker.io/v1/": "good", "token.io": "token", "bad.io": "bad", "text.io": "text",
		"flood.io": "flood", "missing.io": "missing", "path.io": "../good"
	}}`
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	find, err := oci.DockerConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	for repository, want := range map[string]string{
		"good.io/a": "user for good.io", "docker.io/library/x": "user for https://index.docker.io/v1/",
		"token.io/a": "identity token",
		"none.io/a":  "user file", "nobody.io/a": "anonymous",
		"bad.io/a":     "the credential helper docker-credential-bad failed",
		"text.io/a":    "docker-credential-text did not answer in JSON",
		"flood.io/a":   "docker-credential-flood did not answer in JSON",
		"missing.io/a": "docker-credential-missing is not installed",
		"path.io/a":    "must not have a path",
	} {
		c, err := find(t.Context(), repository)
		got := c.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) || strings.Contains(got, "hunter2") {
			t.Errorf("%s: %s, want %s", repository, got, want)
		}
	}
}

// TestCases runs the corpus of configurations that broke something, where it is beside the repository, as a file and
// as a secret.
func TestCases(t *testing.T) {
	corpus, err := os.ReadFile("../../../shared/cases/keyring.jsonl")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("the corpus is not here")
	} else if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.json")
	for lines := bufio.NewScanner(bytes.NewReader(corpus)); lines.Scan(); {
		var c struct {
			Case, Repository string
			Config           json.RawMessage
			Want             []string
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(config, c.Config, 0o600); err != nil {
			t.Fatal(err)
		}
		file, fileErr := oci.DockerConfig(config)
		secret, secretErr := oci.PullSecret(c.Config)
		if fileErr != nil || secretErr != nil {
			t.Errorf("%s: %v, %v", c.Case, fileErr, secretErr)
			continue
		}
		for _, find := range []func(context.Context, string) (importer.Credentials, error){file, secret} {
			got, err := find(t.Context(), c.Repository)
			switch {
			case c.Want == nil && (err == nil || strings.Contains(err.Error(), "ghp_") ||
				strings.Contains(err.Error(), "Z2hwX")):
				t.Errorf("%s: %v", c.Case, err)
			case c.Want != nil && (err != nil || got.Username != c.Want[0] || got.Password != c.Want[1]):
				t.Errorf("%s: %#v, %v", c.Case, got, err)
			}
		}
	}
}
