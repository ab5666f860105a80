// Package lookup turns short names in workloads into exact images: what a cluster does at admission, for
// anybody, and to be seen.
//
// # Which references are looked up
//
// A container image that is a single name with an optional tag, "nodejs:20", is looked up among the image
// streams of the object's namespace. The same goes for the internal registry's host. With the annotation
// [ResolveNamesAnnotation] "*" on the object or its pod template, every reference without a digest is, by its
// last name and tag alone.
//
// # What they become
//
//  1. The stream is not there: the reference stays.
//  2. The tag's newest event has an image: the reference becomes repository@image, by the tag's reference
//     policy. This takes a stream with spec.lookupPolicy.local, or the annotation; and the image must exist.
//  3. The tag has no image: under the same condition the reference becomes the stream's repository with the
//     tag, if the stream has one.
//
// Objects with a controller stay: who made them has looked up already. Rules: op lookup.rewrite.
//
// # How
//
// [Candidates] lists what could be looked up, [Decide] answers for one stream, [Apply] makes the changed
// object; a [Resolver] reads the streams in between. Objects are JSON trees, as encoding/json makes them, so
// any version of any API will do.
//
// # Differences from OpenShift
//
// Not done yet: Builds, updates, the image policy configuration and its rules.
package lookup

import (
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/internal/podspec"
)

// ResolveNamesAnnotation makes every name of a workload a name of an image stream, if it is "*".
const ResolveNamesAnnotation = "alpha.image.policy.openshift.io/resolve-names"

// Candidate is a reference that a stream may answer.
type Candidate struct {
	// Path is a JSON pointer to the reference in its object.
	Path string
	// Image is the reference as it stands there.
	Image string
	// Stream and Tag are what it means.
	Stream imagestream.Key
	Tag    string
	// Forced tells that the annotation asks for it; Short that the reference is a name alone.
	Forced, Short bool
}

// Change is a reference that becomes another one.
type Change struct {
	// Path is a JSON pointer to the reference.
	Path     string `json:"path"`
	From, To string
	// Why tells what decided.
	Why string
}

// Candidates lists the references of object that a stream may answer, in the order in which they stand there.
// Namespace is the one that object is in, for objects that do not say; internalRegistry is the host of the
// registry that streams are served from, "" if there is none.
func Candidates(object map[string]any, namespace, internalRegistry string) []Candidate {
	if hasController(object) {
		return nil
	}
	metadata, _ := object["metadata"].(map[string]any)
	if own, _ := metadata["namespace"].(string); own != "" {
		namespace = own
	}
	force := podspec.Annotation(object, ResolveNamesAnnotation) == "*" ||
		podspec.Annotation(podspec.Template(object), ResolveNamesAnnotation) == "*"
	var candidates []Candidate
	for at := range podspec.Images(object) {
		if c, ok := candidate(at, namespace, internalRegistry, force); ok {
			candidates = append(candidates, c)
		}
	}
	return candidates
}

func candidate(at podspec.Location, namespace, internalRegistry string, force bool) (Candidate, bool) {
	r, err := pullspec.Parse(at.Image)
	short := r.Registry == "" && r.Namespace == "" && r.Name != ""
	internal := internalRegistry != "" && r.Registry == internalRegistry
	if err != nil || r.ID != "" || r.Name == "" || strings.Contains(r.Name, "/") || !force && !short && !internal {
		return Candidate{}, false
	}
	if !force && r.Namespace != "" {
		namespace = r.Namespace
	}
	tag := r.Tag
	if tag == "" {
		tag = pullspec.DefaultTag
	}
	return Candidate{
		Path: at.Path, Image: at.Image, Stream: imagestream.Key{Namespace: namespace, Name: r.Name}, Tag: tag,
		Forced: force, Short: force || short,
	}, true
}

func hasController(object map[string]any) bool {
	metadata, _ := object["metadata"].(map[string]any)
	owners, _ := metadata["ownerReferences"].([]any)
	for _, o := range owners {
		owner, _ := o.(map[string]any)
		if controller, _ := owner["controller"].(bool); controller {
			return true
		}
	}
	return false
}

// Answer is what a stream makes of a candidate.
type Answer struct {
	// To is the new reference; "" if the old one stays.
	To string
	// Image is the image that must exist for the answer to hold; "" if none must.
	Image string
	// Why tells what decided.
	Why string
}

// Decide returns what stream, nil if it does not exist, makes of a candidate.
func Decide(c Candidate, stream *imagestream.ImageStream, internalRegistry string) Answer {
	if stream == nil {
		return Answer{Why: "there is no image stream " + c.Stream.String()}
	}
	local := c.Forced || stream.Spec.LookupPolicy.Local
	repository, _ := imagestream.Repositories(stream, imagestream.Env{InternalRegistry: internalRegistry})
	current := *stream
	current.Status.DockerImageRepository = repository
	event, ok := current.LatestEvent(c.Tag)
	name := pullspec.JoinTag(c.Stream.Name, c.Tag)
	switch {
	case !local && (c.Short || !ok || event.Image == ""):
		return Answer{Why: "the image stream " + c.Stream.String() + " is not for local lookup: set spec.lookupPolicy.local"}
	case !local:
		return Answer{Why: "it is a full reference already"}
	case !ok || event.Image == "":
		r, err := pullspec.Parse(repository)
		if err != nil {
			return Answer{Why: "the tag " + name + " has no image, and the image stream no repository"}
		}
		r.Tag, r.ID = c.Tag, ""
		return Answer{To: r.Exact(), Why: "the tag " + name + " has no image yet: it will be in the image stream's repository"}
	case !c.Short:
		return Answer{Why: "it is a full reference already"}
	}
	r, err := pullspec.Parse(current.EventPullSpec(c.Tag, event))
	if err != nil {
		return Answer{Why: "the newest event of " + name + " has no pull spec that can be read"}
	}
	r.Tag, r.ID = "", event.Image
	return Answer{To: r.Exact(), Image: event.Image, Why: "the newest image of " + name}
}

// Apply returns object with changes made to it. It copies what it changes and shares the rest; without
// changes it is object itself.
func Apply(object map[string]any, changes []Change) map[string]any {
	for _, c := range changes {
		changed, _ := set(object, strings.Split(strings.TrimPrefix(c.Path, "/"), "/"), c.To).(map[string]any)
		if changed != nil {
			object = changed
		}
	}
	return object
}

// set returns a copy of node with the text at the end of path replaced. A path that leads nowhere changes
// nothing.
func set(node any, path []string, text string) any {
	if len(path) == 0 {
		return text
	}
	switch node := node.(type) {
	case map[string]any:
		child, ok := node[path[0]]
		if !ok {
			return node
		}
		c := make(map[string]any, len(node))
		for key, value := range node {
			c[key] = value
		}
		c[path[0]] = set(child, path[1:], text)
		return c
	case []any:
		i := index(path[0], len(node))
		if i < 0 {
			return node
		}
		c := append([]any(nil), node...)
		c[i] = set(node[i], path[1:], text)
		return c
	}
	return node
}

// index reads a position in a list of n; -1 if it is none.
func index(s string, n int) int {
	i := 0
	for _, c := range s {
		if c < '0' || c > '9' || i >= n {
			return -1
		}
		i = i*10 + int(c-'0')
	}
	if s == "" || i >= n {
		return -1
	}
	return i
}
