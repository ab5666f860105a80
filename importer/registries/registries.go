// Package registries reads a cluster's configuration of registries: which are mirrored, blocked, insecure, and
// allowed for imports.
//
// The configuration is that of ImageDigestMirrorSet, ImageContentSourcePolicy, ImageTagMirrorSet and
// image.config.openshift.io. It becomes the entries of a registries.conf, by these rules:
//
//   - Several lists of mirrors for one source become one list, which keeps the order of each.
//   - The entry for a reference is the one with the longest location that is the repository of the reference or a path
//     above it. Its mirrors are tried first, those for digests or those for tags; then the source is tried.
//   - Insecure and blocked scopes hold for the entries in them. An entry without mirrors in a mirrored scope has the
//     mirrors of the first such scope, outer scopes first.
//   - A host is blocked or insecure if an entry with exactly that location is. A blocked host with mirrors is not
//     blocked.
//
// Everything here is pure. See conformance case import-102 for mirrors.
//
// # Differences from OpenShift
//
// An import cannot see any. The field mirrorSourcePolicy is read and has no effect, as in the real importer.
package registries

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Rule is an entry of a mirror set: where else the images of a source are.
type Rule struct {
	// Source is a registry, or a repository or path in one.
	Source string `json:"source"`
	// Mirrors are registries, repositories or paths in the order in which they are tried.
	Mirrors []string `json:"mirrors"`
	// MirrorSourcePolicy has no effect.
	MirrorSourcePolicy string `json:"mirrorSourcePolicy,omitempty"`
}

// Configuration is what a cluster says of its registries.
type Configuration struct {
	// ICSP and IDMS are the rules for references with a digest, of ImageContentSourcePolicies and
	// ImageDigestMirrorSets.
	ICSP []Rule `json:"icsp"`
	IDMS []Rule `json:"idms"`
	// ITMS are the rules for references with a tag, of ImageTagMirrorSets.
	ITMS []Rule `json:"itms"`
	// InsecureRegistries and BlockedRegistries are scopes: hosts, paths in them, or "*.example.com".
	InsecureRegistries []string `json:"insecureRegistries"`
	BlockedRegistries  []string `json:"blockedRegistries"`
	// AllowedRegistries are the registries that imports are allowed from. An empty list allows all.
	AllowedRegistries []imagestream.RegistryLocation `json:"allowedRegistries"`
}

// Registries answers questions about a [Configuration]. The zero value has no rules. It is safe for concurrent use.
type Registries struct {
	entries []*entry
	allowed []imagestream.RegistryLocation
}

// entry is an entry of a registries.conf.
type entry struct {
	location          string // "" for a wildcard
	prefix            string
	mirrors           []mirror
	insecure, blocked bool
}

type mirror struct {
	location string
	byDigest bool // for references with a digest; else for those without
}

// New returns the Registries of a configuration.
func New(c Configuration) *Registries {
	r := &Registries{allowed: c.AllowedRegistries}
	var mirrored []*entry // in the order in which their mirrors are inherited
	for _, kind := range []struct {
		rules    []Rule
		byDigest bool
	}{{slices.Concat(c.IDMS, c.ICSP), true}, {c.ITMS, false}} {
		for _, set := range merge(kind.rules) {
			e := r.entry(set.Source)
			for _, location := range set.Mirrors {
				e.mirrors = append(e.mirrors, mirror{location, kind.byDigest})
			}
			if !slices.Contains(mirrored, e) {
				mirrored = append(mirrored, e)
			}
		}
	}
	for _, scope := range slices.Concat(c.InsecureRegistries, c.BlockedRegistries) {
		r.entry(scope)
	}
	for _, e := range r.entries {
		e.insecure = slices.ContainsFunc(c.InsecureRegistries, func(scope string) bool { return isIn(e.prefix, scope) })
		e.blocked = slices.ContainsFunc(c.BlockedRegistries, func(scope string) bool { return isIn(e.prefix, scope) })
	}
	for _, e := range r.entries {
		if len(e.mirrors) > 0 {
			continue
		}
		if i := slices.IndexFunc(mirrored, func(outer *entry) bool { return isIn(e.prefix, outer.prefix) }); i >= 0 {
			for _, m := range mirrored[i].mirrors {
				e.mirrors = append(e.mirrors, mirror{m.location + e.prefix[len(mirrored[i].prefix):], m.byDigest})
			}
		}
	}
	return r
}

// entry returns the entry of a scope, and adds it if there is none.
func (r *Registries) entry(scope string) *entry {
	for _, e := range r.entries {
		if e.prefix == scope {
			return e
		}
	}
	e := &entry{prefix: scope, location: scope}
	if strings.HasPrefix(scope, "*.") {
		e.location = ""
	}
	r.entries = append(r.entries, e)
	return e
}

// isIn reports whether a scope equals another one or lies in it.
func isIn(scope, outer string) bool {
	if domain, ok := strings.CutPrefix(outer, "*"); ok && strings.HasPrefix(domain, ".") {
		host, _, _ := strings.Cut(scope, "/")
		host, _, _ = strings.Cut(host, ":")
		return scope == outer || strings.HasSuffix(host, domain)
	}
	rest, ok := strings.CutPrefix(scope, outer)
	return ok && (rest == "" || rest[0] == '/')
}

// merge returns one rule for each source, sorted by source.
func merge(rules []Rule) []Rule {
	lists := map[string][][]string{}
	for _, rule := range rules {
		if !slices.ContainsFunc(rule.Mirrors, func(m string) bool { return m != rule.Source }) {
			continue
		}
		lists[rule.Source] = append(lists[rule.Source], rule.Mirrors)
	}
	var merged []Rule
	for source, mirrors := range lists {
		order := inOrder(mirrors)
		if last := len(order) - 1; order[last] == source {
			order = order[:last] // the source is tried last in any case
		}
		merged = append(merged, Rule{Source: source, Mirrors: order})
	}
	slices.SortFunc(merged, func(a, b Rule) int { return cmp.Compare(a.Source, b.Source) })
	return merged
}

// inOrder returns the members of lists in one order that keeps the order of each list where it can. Of the members
// that may come next it takes the first by name, and in a cycle the first of all.
func inOrder(lists [][]string) []string {
	before := map[string]map[string]bool{} // the members that must come before each one
	edge := func(from, to string) {
		for _, name := range []string{from, to} {
			if before[name] == nil {
				before[name] = map[string]bool{}
			}
		}
		if from != to {
			before[to][from] = true
		}
	}
	for _, list := range lists {
		for i := range list {
			edge(list[max(0, i-1)], list[i])
		}
	}
	var names []string
	for name := range before {
		names = append(names, name)
	}
	slices.Sort(names)
	var order []string
	for len(names) > 0 {
		next := max(0, slices.IndexFunc(names, func(name string) bool { return len(before[name]) == 0 }))
		order = append(order, names[next])
		for _, later := range before {
			delete(later, names[next])
		}
		names = slices.Delete(names, next, next+1)
	}
	return order
}

// Sources returns the repositories to try for a reference to repository, in order. The last one is repository itself,
// which must have a host, as in "docker.io/library/nodejs". If a mirror gives a repository name that is not valid,
// Sources returns only repository, and an error.
func (r *Registries) Sources(repository string, byDigest bool) ([]string, error) {
	var e *entry
	for _, candidate := range r.entries {
		if candidate.location != "" && isIn(repository, candidate.location) &&
			(e == nil || len(candidate.location) > len(e.location)) {
			e = candidate
		}
	}
	if e == nil {
		return []string{repository}, nil
	}
	var sources []string
	for _, m := range e.mirrors {
		if m.byDigest != byDigest {
			continue
		}
		source := m.location + repository[len(e.location):]
		if _, err := reference.ParseNamed(source); err != nil {
			return []string{repository}, fmt.Errorf("mirror %s of %s gives %q, which is not a valid repository: %w",
				m.location, e.location, source, err)
		}
		sources = append(sources, source)
	}
	return append(sources, repository), nil
}

// IsBlocked reports whether the registry of a reference, as the reference spells it, is blocked.
func (r *Registries) IsBlocked(ref pullspec.Reference) bool {
	host := cmp.Or(ref.Registry, "docker.io")
	return slices.ContainsFunc(r.entries, func(e *entry) bool {
		return e.location == host && e.blocked &&
			len(e.mirrors) == 0
	})
}

// IsInsecure reports whether a host may be asked without a valid certificate and without TLS.
func (r *Registries) IsInsecure(host string) bool {
	return slices.ContainsFunc(r.entries, func(e *entry) bool { return e.location == host && e.insecure })
}

// Allowlist returns the registries that imports are allowed from. The internal registry is always one of them.
func (r *Registries) Allowlist(internalRegistry string) imagestream.Allowlist {
	return imagestream.Settings{AllowedRegistries: r.allowed, InternalRegistry: internalRegistry}.Allowlist()
}
