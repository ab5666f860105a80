// Package pullspec reads and writes the strings by which images are named: pull specs like
// "quay.io/org/app:v1@sha256:…", names of image stream tags like "app:v1" and of image stream images like
// "app@sha256:…", digests, and tags in order of priority.
//
// It follows the API server to the letter, which reads pull specs more widely in some places, and more
// strictly in others, than github.com/distribution/reference. Nothing here allocates unless the result needs
// a new string.
//
// # Pull specs
//
//	[host/]component(/component)*[:tag][@digest]
//
// All classes are ASCII, nothing is trimmed, host and path have 255 bytes together at most.
//
//   - host: labels of letters, digits and inner dashes, joined by ".", then optionally ":" and digits. Upper
//     case is fine; underscores and IPv6 literals are not.
//   - component: runs of a-z and 0-9, joined by one ".", one or two "_", or any number of "-".
//   - tag: a letter, digit or "_", then up to 127 of these, "." and "-".
//   - digest: see [IsDigest].
//
// The parts go to the fields of a [Reference] like this.
//
//  1. A path of one part that contains a "." or begins with "localhost" is a registry: Registry is then the
//     whole text, tag and digest included, and Name is empty.
//  2. Of several parts, the first is the registry if it contains "." or ":" or equals "localhost".
//  3. Of what remains, the part before the first "/" is the Namespace and the rest is the Name, which may
//     contain slashes. Without a slash all of it is the Name.
//
// See conformance cases reference-1 to reference-6 and names-2118 to names-2121.
//
// # Names
//
// There are two readers for names of image stream tags, as in the API. [SplitTag] cuts at the first colon and
// takes "latest" where there is no tag; it never fails. [ParseTag] wants exactly one colon and both sides.
// [SplitImage] and [ParseImage] are the same for "name@id".
//
// # Differences from OpenShift
//
// [PrioritizeTags] sorts stably. That is the server's order wherever that order is defined: it leaves ties
// (1.0.0+a against 1.0.0+b) to an unstable sort.
package pullspec

import (
	"net"
	"net/url"
	"strings"
)

// Reference is a pull spec in parts. Fields that are not there are empty. References compare with ==;
// [Reference.Equal] compares what they mean.
type Reference struct {
	// Registry is the host, with port if it has one.
	Registry string
	// Namespace is the first part of the repository's path, if the path has two parts or more.
	Namespace string
	// Name is the rest of the repository's path.
	Name string
	Tag  string
	// ID is a digest in anything that [Parse] returns, and may be any image name otherwise.
	ID string
}

// DefaultTag is the tag of a pull spec or a name that has none.
const DefaultTag = "latest"

const (
	hub        = "docker.io"
	hubIndex   = "index.docker.io"
	hubV2      = "registry-1.docker.io"
	hubLibrary = "library"
)

// IsDockerHub reports whether the registry is one of Docker Hub's three names. An empty registry is not.
func (r Reference) IsDockerHub() bool {
	return r.Registry == hub || r.Registry == hubIndex || r.Registry == hubV2
}

// NameString returns name with id or tag: "app@sha256:…", "app:v1" or "app". An ID that is not a digest follows
// a colon; beside an ID the tag is dropped. An empty name gives "".
func (r Reference) NameString() string {
	sep, rest := r.suffix()
	if r.Name == "" || rest == "" {
		return r.Name
	}
	return r.Name + sep + rest
}

// suffix returns what stands behind the name, and what comes between.
func (r Reference) suffix() (sep, rest string) {
	switch {
	case r.ID != "" && IsDigest(r.ID):
		return "@", r.ID
	case r.ID != "":
		return ":", r.ID
	case r.Tag != "":
		return ":", r.Tag
	}
	return "", ""
}

// Exact returns the pull spec as it stands, without any default. It is "" if the name is empty.
func (r Reference) Exact() string {
	if r.Name == "" {
		return ""
	}
	sep, rest := r.suffix()
	var b strings.Builder
	b.Grow(len(r.Registry) + len(r.Namespace) + len(r.Name) + len(sep) + len(rest) + 2)
	for _, prefix := range [...]string{r.Registry, r.Namespace} {
		if prefix != "" {
			b.WriteString(prefix)
			b.WriteByte('/')
		}
	}
	b.WriteString(r.Name)
	b.WriteString(sep)
	b.WriteString(rest)
	return b.String()
}

// String returns the pull spec with the namespace "library" where Docker Hub implies it. A pull spec without
// a registry gets nothing.
func (r Reference) String() string { return r.withLibrary().Exact() }

func (r Reference) withLibrary() Reference {
	if r.Namespace == "" && r.IsDockerHub() {
		r.Namespace = hubLibrary
	}
	return r
}

// RepositoryName returns namespace and name, without registry, tag and ID.
func (r Reference) RepositoryName() string {
	return Reference{Namespace: r.Namespace, Name: r.Name}.Exact()
}

// AsRepository returns r without tag and ID.
func (r Reference) AsRepository() Reference {
	r.Tag, r.ID = "", ""
	return r
}

// Minimal returns r without the tag "latest".
func (r Reference) Minimal() Reference {
	if r.Tag == DefaultTag {
		r.Tag = ""
	}
	return r
}

// DockerClientDefaults returns r with what a Docker client would add: registry docker.io, namespace library
// on Docker Hub, tag latest (beside an ID too).
func (r Reference) DockerClientDefaults() Reference {
	if r.Registry == "" {
		r.Registry = hub
	}
	r = r.withLibrary()
	if r.Tag == "" {
		r.Tag = DefaultTag
	}
	return r
}

// DaemonMinimal returns r in the shortest form that a Docker daemon understands: docker.io for all names of
// Docker Hub, no namespace library there, no tag latest.
func (r Reference) DaemonMinimal() Reference {
	if r.IsDockerHub() {
		r.Registry = hub
		if r.Namespace == hubLibrary {
			r.Namespace = ""
		}
	}
	return r.Minimal()
}

// AsV2 returns r with the host that serves Docker Hub's v2 API. The empty registry stays empty.
func (r Reference) AsV2() Reference {
	if r.Registry == hub || r.Registry == hubIndex {
		r.Registry = hubV2
	}
	return r
}

// MostSpecific returns r with a tag or an ID but not both: a digest wins over the tag, any other ID becomes
// the tag where there is none.
func (r Reference) MostSpecific() Reference {
	switch {
	case r.ID == "":
	case IsDigest(r.ID):
		r.Tag = ""
	case r.Tag == "":
		r.Tag, r.ID = r.ID, ""
	}
	return r
}

// RegistryURL returns the URL of the registry that serves r over https. Without a registry it is "https:".
func (r Reference) RegistryURL() string {
	u := url.URL{Scheme: "https", Host: r.AsV2().Registry}
	return u.String()
}

// RegistryHostPort returns host and port of the registry that serves r, by default port 443, or 80 if
// insecure. The empty registry is docker.io, while docker.io itself is registry-1.docker.io. A registry with
// more than one colon gives two empty strings. See conformance case reference-1753.
func (r Reference) RegistryHostPort(insecure bool) (host, port string) {
	registry := r.AsV2().Registry
	switch {
	case registry == "":
		registry = hub
	case strings.Contains(registry, ":"):
		host, port, _ = net.SplitHostPort(registry)
		return host, port
	}
	if insecure {
		return registry, "80"
	}
	return registry, "443"
}

// Equal reports whether r and o are the same once Docker's defaults are filled in. Tags count beside IDs, and
// docker.io and index.docker.io differ.
func (r Reference) Equal(o Reference) bool {
	return r.DockerClientDefaults() == o.DockerClientDefaults()
}
