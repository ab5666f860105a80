package imagestream

import (
	"strings"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// RegistryLocation allows images from registries: spec.allowedRegistriesForImport of OpenShift's image
// configuration.
type RegistryLocation struct {
	// DomainName is host or host:port, both with * for any run and ? for any one character. Without a port it
	// is 443, or 80 if Insecure.
	DomainName string `json:"domainName"`
	Insecure   bool   `json:"insecure,omitempty"`
}

// Allowlist decides from where images may come. The zero Allowlist allows everything.
type Allowlist struct {
	rules []hostRule
	// repositories are allowed whatever the rules say.
	repositories map[string]bool
	restricted   bool
}

type hostRule struct{ host, port string }

// Allowlist returns the list that has the allowed registries and, by the rule for secure locations, the internal
// registry. Without allowed registries it allows everything. A location with more than one colon, which OpenShift
// refuses as a configuration, allows nothing.
func (s Settings) Allowlist() Allowlist {
	if len(s.AllowedRegistries) == 0 {
		return Allowlist{}
	}
	a := Allowlist{restricted: true}
	if s.InternalRegistry != "" {
		a.rules = append(a.rules, newHostRule(RegistryLocation{DomainName: s.InternalRegistry}))
	}
	for _, l := range s.AllowedRegistries {
		if strings.Count(l.DomainName, ":") <= 1 {
			a.rules = append(a.rules, newHostRule(l))
		}
	}
	return a
}

func newHostRule(l RegistryLocation) hostRule {
	host, port, ok := strings.Cut(l.DomainName, ":")
	switch {
	case ok:
	case l.Insecure:
		port = "80"
	default:
		port = "443"
	}
	return hostRule{host, port}
}

// WithRepositories returns a list that also allows the repositories of these pull specs, whatever their
// registry. A text that is not a pull spec is ignored.
func (a Allowlist) WithRepositories(pullSpecs ...string) Allowlist {
	if !a.restricted || len(pullSpecs) == 0 {
		return a
	}
	repositories := make(map[string]bool, len(a.repositories)+len(pullSpecs))
	for r := range a.repositories {
		repositories[r] = true
	}
	for _, spec := range pullSpecs {
		if r, err := pullspec.Parse(spec); err == nil {
			repositories[repositoryOf(r)] = true
		}
	}
	a.repositories = repositories
	return a
}

func repositoryOf(r pullspec.Reference) string {
	return r.DockerClientDefaults().AsRepository().Exact()
}

// Allows reports whether an image may come from where spec says, over whatever transport works. A text that
// is not a pull spec is allowed nowhere, unless everything is. See conformance case names-1707.
func (a Allowlist) Allows(spec string) bool { return a.admits(spec, anyTransport) }

// AllowsOver is Allows for one transport: plain HTTP if insecure, and else TLS.
func (a Allowlist) AllowsOver(spec string, insecure bool) bool {
	if insecure {
		return a.admits(spec, plainHTTP)
	}
	return a.admits(spec, overTLS)
}

// transport is how a registry is going to be spoken to.
type transport int

const (
	overTLS transport = iota
	plainHTTP
	anyTransport
)

func (a Allowlist) admits(spec string, over transport) bool {
	if !a.restricted {
		return pullspec.IsValid(spec)
	}
	r, err := pullspec.Parse(spec)
	return err == nil && a.allows(r, over)
}

func (a Allowlist) allows(r pullspec.Reference, over transport) bool {
	if !a.restricted || a.repositories[repositoryOf(r)] {
		return true
	}
	host, port := hostPort(r, over)
	hosts := []string{host}
	if host == "index.docker.io" || host == "registry-1.docker.io" {
		hosts = []string{"docker.io", host}
	}
	for _, host := range hosts {
		for _, rule := range a.rules {
			if rule.matches(host, port) {
				return true
			}
		}
	}
	return false
}

// hostPort returns host and port under a transport. Any transport has no default port and knows no other name
// for docker.io.
func hostPort(r pullspec.Reference, over transport) (host, port string) {
	if over != anyTransport {
		return r.RegistryHostPort(over == plainHTTP)
	}
	registry := r.DockerClientDefaults().Registry
	if strings.Count(registry, ":") == 1 {
		host, port, _ = strings.Cut(registry, ":")
		return host, port
	}
	return registry, ""
}

func (h hostRule) matches(host, port string) bool {
	if !globMatch(h.host, host) {
		return false
	}
	if port == "" {
		return h.port == "80" || h.port == "443" || h.port == "*"
	}
	return globMatch(h.port, port)
}

// globMatch reports whether pattern, with * for any run and ? for any one character, is all of s. It takes
// time proportional to the product of their lengths at most.
func globMatch(pattern, s string) bool {
	p, i := 0, 0
	star, retry := -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, retry = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			retry++
			p, i = star+1, retry
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}
