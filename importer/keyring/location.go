package keyring

import (
	"errors"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// location is a registry and a path in it.
type location struct {
	host, path string
	rank       int // of several names of the same registry, the lowest counts first
}

func (l location) name() string {
	if l.path == "" {
		return l.host
	}
	return l.host + "/" + l.path
}

// hub are the names of Docker Hub, and hubServer is the one that Docker's helpers know it by.
var hub = []string{"docker.io", "index.docker.io", "registry-1.docker.io"}

const hubServer = "https://index.docker.io/v1/"

// newLocation returns a location in which all names of a registry are one.
func newLocation(host, path string) location {
	l := location{host: strings.ToLower(host), path: path}
	if i := slices.Index(hub, l.host); i >= 0 {
		l.host, l.rank = hub[0], i
	}
	return l
}

// repositoryLocation returns where a repository is.
func repositoryLocation(repository string) location {
	host, path, _ := strings.Cut(repository, "/")
	return newLocation(host, path)
}

// locationOf returns the location that a configuration means. The error does not show it: it may have a password.
func locationOf(written string) (location, error) {
	withScheme := strings.TrimSpace(written)
	if !strings.HasPrefix(withScheme, "https://") && !strings.HasPrefix(withScheme, "http://") {
		withScheme = "https://" + withScheme
	}
	u, err := url.Parse(withScheme)
	if err != nil || u.Host == "" {
		return location{}, errors.New(`the location must be a registry, or a path in one, as "quay.io/org"`)
	}
	p := u.Path
	if strings.HasPrefix(p, "/v1/") || strings.HasPrefix(p, "/v2/") || p == "/v1" || p == "/v2" {
		p = p[len("/v1"):]
	}
	return newLocation(u.Host, strings.TrimPrefix(p, "/")), nil
}

// Helper returns the program that keeps the credentials for a repository, as "osxkeychain", and the server that it
// knows the registry by. An empty program means that c has what there is.
func (c Config) Helper(repository string) (program, server string) {
	registry := repositoryLocation(repository).host
	server, program = registry, c.CredsStore
	if registry == hub[0] {
		server = hubServer
	}
	best := len(hub)
	for _, written := range slices.Sorted(maps.Keys(c.CredHelpers)) {
		l, err := locationOf(written)
		if err == nil && l.path == "" && l.host == registry && l.rank < best {
			program, best = c.CredHelpers[written], l.rank
		}
	}
	return program, server
}
