// Package keyring finds the credentials of pull secrets for repositories.
//
// A secret has credentials by location: a registry, a path in it, or one with globs in its host, as "*.example.com/org". A
// location counts for a repository if each part of its host matches that of the repository, the port is the same, and its path is
// a prefix, in letters, of that of the repository. Of several the last by name counts, so that longer paths come first. What is
// on Docker Hub and has none counts as index.docker.io. Rules: op import.run.
package keyring

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/importer"
)

// ExcludeAnnotation, if "true" on a secret, leaves it out of imports.
const ExcludeAnnotation = "openshift.io/image.excludeSecret"

// The types of pull secrets, and the members of their data that have the credentials.
const (
	TypeDockerConfigJSON = "kubernetes.io/dockerconfigjson"
	TypeDockercfg        = "kubernetes.io/dockercfg"
	KeyDockerConfigJSON  = ".dockerconfigjson"
	KeyDockercfg         = ".dockercfg"
)

// Entry is what a secret has for a location.
type Entry struct {
	Username string `json:"username"`
	Password string `json:"password"`
	// Auth is user name and password joined by a colon, in base 64; it counts where they are empty.
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// Config is a secret's content, of type dockerconfigjson.
type Config struct {
	Auths map[string]Entry `json:"auths"`
}

// Parse reads the content of a pull secret of a type. No error tells what is in it.
func Parse(secretType string, data map[string][]byte) (Config, error) {
	var c Config
	var err error
	switch secretType {
	case TypeDockerConfigJSON:
		err = json.Unmarshal(data[KeyDockerConfigJSON], &c)
	case TypeDockercfg:
		err = json.Unmarshal(data[KeyDockercfg], &c.Auths)
	default:
		return Config{}, fmt.Errorf("a secret of type %q is no pull secret: %s and %s are", secretType, TypeDockerConfigJSON, TypeDockercfg)
	}
	if err != nil {
		return Config{}, fmt.Errorf("the pull secret's %s cannot be read as JSON", secretType)
	}
	return c, nil
}

// Keyring is an [importer.Keyring]. The zero Keyring has no credentials. It is safe for concurrent use.
type Keyring struct {
	locations   []string // the last by name first
	credentials map[string]importer.Credentials
}

var _ importer.Keyring = (*Keyring)(nil)

// New returns the keyring of secrets. Of those with the same location the first counts.
func New(configs ...Config) *Keyring {
	k := &Keyring{credentials: map[string]importer.Credentials{}}
	for _, c := range configs {
		for _, written := range slices.Sorted(maps.Keys(c.Auths)) {
			location, ok := locationOf(written)
			if _, have := k.credentials[location]; !ok || have {
				continue
			}
			k.credentials[location] = c.Auths[written].credentials()
			k.locations = append(k.locations, location)
		}
	}
	slices.Sort(k.locations)
	slices.Reverse(k.locations)
	return k
}

func (e Entry) credentials() importer.Credentials {
	c := importer.Credentials{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if c.Username == "" && c.Password == "" {
		if text, err := base64.StdEncoding.DecodeString(e.Auth); err == nil {
			c.Username, c.Password, _ = strings.Cut(string(text), ":")
			c.Password = strings.Trim(c.Password, "\x00")
		}
	}
	return c
}

// locationOf returns host and path of a location as it is written in a secret.
func locationOf(written string) (string, bool) {
	if !strings.HasPrefix(written, "https://") && !strings.HasPrefix(written, "http://") {
		written = "https://" + written
	}
	u, err := url.Parse(written)
	if err != nil {
		return "", false
	}
	p := u.Path
	if strings.HasPrefix(p, "/v1/") || strings.HasPrefix(p, "/v2/") || p == "/v1" || p == "/v2" {
		p = p[len("/v1"):]
	}
	if p == "/" {
		p = ""
	}
	return u.Host + p, true
}

// hub is the location of Docker Hub.
const hub = "index.docker.io"

// Credentials returns the credentials for a repository, as "quay.io/org/app", and whether there are any.
func (k *Keyring) Credentials(repository string) (importer.Credentials, bool) {
	for _, location := range k.locations {
		if matches(location, repository) {
			return k.credentials[location], true
		}
	}
	if host, _, _ := strings.Cut(repository, "/"); host == "docker.io" || host == hub {
		c, ok := k.credentials[hub]
		return c, ok
	}
	return importer.Credentials{}, false
}

func matches(location, repository string) bool {
	wantHost, wantPath, _ := strings.Cut(location, "/")
	host, repositoryPath, _ := strings.Cut(repository, "/")
	wantName, wantPort, _ := strings.Cut(wantHost, ":")
	name, port, _ := strings.Cut(host, ":")
	wantParts, parts := strings.Split(wantName, "."), strings.Split(name, ".")
	if wantPort != port || len(wantParts) != len(parts) || !strings.HasPrefix(repositoryPath, wantPath) {
		return false
	}
	for i, want := range wantParts {
		if ok, err := path.Match(want, parts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
