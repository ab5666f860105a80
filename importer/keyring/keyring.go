// Package keyring reads Docker configurations and pull secrets, and finds the credentials in them for repositories.
//
// It is the only reader of such files here; adapters/oci uses it, too.
//
// # What is read
//
// A configuration has entries by location: a registry, a path in it, or one with globs in its host, as
// "*.example.com/org". Scheme, "/v1" and "/v2" before the path, and a slash at the end do not count; docker.io,
// index.docker.io and registry-1.docker.io are one registry. An auth, if there is one, wins over user name and
// password. It is "user:password" in base64, with or without padding, and blanks around it are ignored.
//
// An entry that cannot be read is an [EntryError], which names the location and never shows what is in it. It hides
// no other entry. An entry without any credentials, as Docker writes it for what a helper program keeps, counts as
// not there.
//
// # What is found
//
// A location counts for a repository if each part of its host matches that of the repository, the port is the same,
// and its path is a prefix, in letters, of that of the repository. Of several the last by name counts, so that longer
// paths come first. See conformance cases import-151 and import-211.
//
// # Differences from OpenShift
//
// The kubelet gives up a whole secret for one entry that cannot be read, and lets index.docker.io count only where
// nothing else matches.
package keyring

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/importer"
)

// Keyring is an [importer.CredentialFinder]. The zero Keyring has no credentials. It is safe for concurrent use.
type Keyring struct {
	entries []located // the last by name first; a location that cannot be read has no host
}

// located is an entry with its place.
type located struct {
	location
	credentials importer.Credentials
	problem     *EntryError
}

var _ importer.CredentialFinder = (*Keyring)(nil)

// New returns the keyring of configurations. Of entries with the same location the first counts that can be read.
func New(configs ...Config) *Keyring {
	var all []located
	for _, c := range configs {
		all = append(all, c.entries()...)
	}
	// Of what is left in the order of the configurations, docker.io comes before its other names.
	slices.SortStableFunc(all, func(a, b located) int { return cmp.Compare(a.rank, b.rank) })
	slices.SortStableFunc(all, func(a, b located) int {
		if d := cmp.Compare(b.name(), a.name()); d != 0 {
			return d
		}
		return cmp.Compare(unreadable(a), unreadable(b))
	})
	same := func(a, b located) bool { return a.host != "" && a.name() == b.name() }
	return &Keyring{slices.CompactFunc(all, same)}
}

func unreadable(e located) int {
	if e.problem != nil {
		return 1
	}
	return 0
}

// Credentials returns the credentials for a repository, as "quay.io/org/app", and whether there are any. A host alone
// is a repository without a path.
func (k *Keyring) Credentials(repository string) (importer.Credentials, bool) {
	if e, ok := k.find(repository); ok && e.problem == nil {
		return e.credentials, true
	}
	return importer.Credentials{}, false
}

// Problem returns an [EntryError] if [Keyring.Credentials] has none for a repository because an entry for it cannot be
// read, else nil.
func (k *Keyring) Problem(repository string) error {
	if e, ok := k.find(repository); ok && e.problem != nil {
		return e.problem
	}
	return nil
}

// find returns the first entry for a repository that can be read; if there is none, the first that cannot.
func (k *Keyring) find(repository string) (found located, ok bool) {
	place := repositoryLocation(repository)
	for _, e := range k.entries {
		switch {
		case !e.matches(place):
		case e.problem == nil:
			return e, true
		case !ok:
			found, ok = e, true
		}
	}
	return found, ok
}

// matches reports whether a location counts for a repository.
func (l location) matches(repository location) bool {
	if l.host == "" || !strings.HasPrefix(repository.path, l.path) {
		return false
	}
	if l.host == repository.host {
		return true
	}
	wantName, wantPort, _ := strings.Cut(l.host, ":")
	name, port, _ := strings.Cut(repository.host, ":")
	wantParts, parts := strings.Split(wantName, "."), strings.Split(name, ".")
	if wantPort != port || len(wantParts) != len(parts) {
		return false
	}
	for i, want := range wantParts {
		if ok, err := path.Match(want, parts[i]); err != nil || !ok {
			return false
		}
	}
	return true
}
