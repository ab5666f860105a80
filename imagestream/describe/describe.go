// Package describe shows image streams to people: the text of "oc describe", the tables of "oc get", and
// pictures.
//
// The functions take an object and a time. They ask nobody and know no clock. Texts are the real client's to
// the byte, cells of tables the real server's; ages are relative to the given time.
//
// # An image stream
//
// The head has name, namespace, age, labels, annotations, repository and lookup policy, then the number of
// different images and of tags. A block follows for every tag, in the order of [pullspec.PrioritizeTags]: its
// name, where it comes from, what its annotations say of it, whether it is being imported, why its last
// import failed, and its history, newest first.
//
// A spec tag that follows other spec tags of the same stream to an end has no block of its own; it stands in
// parentheses behind the last tag of that chain. See conformance case describe-v0001.
//
// # An image
//
// [Image] writes what the API knows (name, labels, layers, signatures), then what stands in the image itself:
// age, platform, and how it runs.
//
// # Reasons
//
// [Reasons] writes why each tag points where it does, to go below the text of a stream.
//
// # Tables
//
// [ImageStreams] and its like return a [Table], which encodes as the API's tables do, and prints as plain text.
//
// # Differences from OpenShift
//
// None that are known. Some of what the real client shows is odd: images without a name count as one
// together, and a pushed tag is called "no spec tag".
package describe

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// ImageStream writes what there is to say about s at the time now. The error is that of w.
func ImageStream(w io.Writer, s *imagestream.ImageStream, now time.Time) error {
	p := &printer{out: tabwriter.NewWriter(w, 0, 8, 1, '\t', 0), now: now}
	p.head(s)
	p.tags(s)
	if p.err != nil {
		return p.err
	}
	return p.out.Flush()
}

// printer writes lines and remembers the first error.
type printer struct {
	out *tabwriter.Writer
	now time.Time
	err error
}

func (p *printer) printf(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.out, format, args...)
	}
}

// field writes a label and a value; further lines of the value stand below it.
func (p *printer) field(label, value string) {
	if value == "" {
		value = "<none>"
	}
	p.printf("%s:", label)
	for line := range strings.SplitSeq(value, "\n") {
		p.printf("\t%s\n", line)
	}
}

// members writes a label and a map, a member a line, in key order.
func (p *printer) members(label string, m map[string]string) {
	if len(m) == 0 {
		p.field(label, "")
		return
	}
	for i, key := range slices.Sorted(maps.Keys(m)) {
		if i == 0 {
			p.field(label, key+"="+m[key])
		} else {
			p.printf("\t%s=%s\n", key, m[key])
		}
	}
}

func (p *printer) age(t imagestream.Time) string { return Age(p.now.Sub(t.Time())) + " ago" }

const descriptionAnnotation = "description"

func (p *printer) head(s *imagestream.ImageStream) {
	m := &s.Metadata
	p.field("Name", m.Name)
	if m.Namespace != "" {
		p.field("Namespace", m.Namespace)
	}
	if !m.CreationTimestamp.IsZero() {
		p.printf("Created:\t%s\n", p.age(m.CreationTimestamp))
	}
	p.members("Labels", m.Labels)
	p.described(m.Annotations)
	repository := s.Status.PublicDockerImageRepository
	if repository == "" {
		repository = s.Status.DockerImageRepository
	}
	p.field("Image Repository", repository)
	p.field("Image Lookup", fmt.Sprintf("local=%t", s.Spec.LookupPolicy.Local))
}

// described writes annotations, the description before the others.
func (p *printer) described(annotations map[string]string) {
	others := maps.Clone(annotations)
	if description := others[descriptionAnnotation]; description != "" {
		p.field("Description", description)
	}
	delete(others, descriptionAnnotation)
	p.members("Annotations", others)
}

// stream is what the tag blocks look up in a stream.
type stream struct {
	*imagestream.ImageStream
	spec   map[string]*imagestream.TagReference
	status map[string]*tagevent.History
}

func index(s *imagestream.ImageStream) stream {
	x := stream{s, map[string]*imagestream.TagReference{}, map[string]*tagevent.History{}}
	for i := range s.Spec.Tags {
		x.spec[s.Spec.Tags[i].Name] = &s.Spec.Tags[i]
	}
	for i := range s.Status.Tags {
		x.status[s.Status.Tags[i].Tag] = &s.Status.Tags[i]
	}
	return x
}

// names returns every tag of spec and status, in order.
func (x stream) names() []string {
	names := slices.Collect(maps.Keys(x.status))
	for name := range x.spec {
		if x.status[name] == nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return pullspec.PrioritizeTags(names)
}

// images returns how many different images all histories have. Those without a name are one together, if they
// have a pull spec.
func (x stream) images() int {
	seen := map[string]bool{}
	for _, h := range x.status {
		for _, e := range h.Items {
			if e.Image != "" || e.DockerImageReference != "" {
				seen[e.Image] = true
			}
		}
	}
	return len(seen)
}

func (p *printer) tags(s *imagestream.ImageStream) {
	x := index(s)
	names := x.names()
	if len(names) == 0 {
		p.printf("Tags:\t<none>\n")
		return
	}
	p.printf("Unique Images:\t%d\n", x.images())
	p.printf("Tags:\t%d\n\n", len(names))

	aliases := map[string][]string{}
	var blocks []string
	chains := inspect.NewFollower(s)
	for _, name := range names {
		if c := chains.Follow(name); c.End == inspect.EndsHere && len(c.Path) > 1 {
			aliases[c.Last()] = append(aliases[c.Last()], name)
		} else {
			blocks = append(blocks, name)
		}
	}
	for i, name := range blocks {
		if i > 0 {
			p.printf("\n")
		}
		title := name
		if len(aliases[name]) > 0 {
			title += " (" + strings.Join(aliases[name], ", ") + ")"
		}
		p.printf("%s\n", title)
		p.tag(x, name)
	}
}

func (p *printer) tag(x stream, name string) {
	spec := x.spec[name]
	var history tagevent.History
	if h := x.status[name]; h != nil {
		history = *h
	}
	switch {
	case spec == nil:
		p.printf("  no spec tag\n")
	case spec.From == nil:
		p.printf("  tag without source image\n")
	default:
		p.printf("  %s\n", origin(spec, x.Metadata.Namespace))
		if spec.ImportPolicy.Insecure {
			p.printf("    will use insecure HTTPS or HTTP connections\n")
		}
	}
	if spec != nil && spec.ReferencePolicy.Type == imagestream.ReferencePolicyLocal {
		p.printf("    prefer registry pullthrough when referencing this tag\n")
	}
	p.printf("\n")
	if spec != nil {
		p.annotations(spec.Annotations)
		if spec.From != nil && !spec.Reference && spec.Generation != nil && *spec.Generation > history.ObservedGeneration() {
			p.printf("  ~ importing latest image ...\n")
		}
	}
	for _, c := range history.Conditions {
		if c.Type == tagevent.ImportSuccess && c.Status == tagevent.ConditionFalse {
			p.printf("  ! error: Import failed (%s): %s\n      %s\n", c.Reason, c.Message, p.age(c.LastTransitionTime))
		}
	}
	for i, e := range history.Items {
		mark := " "
		if i == 0 {
			mark = "*"
		}
		p.printf("  %s %s\n      %s", mark, e.DockerImageReference, p.age(e.Created))
		if r, err := pullspec.Parse(e.DockerImageReference); e.Image != "" && err == nil && r.ID != e.Image {
			p.printf("\t%s", e.Image)
		}
		p.printf("\n")
	}
}

// origin says where a spec tag comes from.
func origin(tag *imagestream.TagReference, namespace string) string {
	name := tag.From.Name
	if ns := tag.From.Namespace; ns != "" && ns != namespace {
		name = ns + "/" + name
	}
	scheduled := tag.ImportPolicy.Scheduled
	switch kind := tag.From.Kind; kind {
	case imagestream.KindImageStreamTag:
		return verb(tag.Reference, scheduled, "", "tagged from ") + name
	case imagestream.KindDockerImage:
		return verb(tag.Reference, scheduled, "registry ", "tagged from ") + name
	case imagestream.KindImageStreamImage:
		return verb(tag.Reference, false, "image ", "tagged from ") + name
	default:
		return verb(tag.Reference, false, kind+" ", "updates from "+kind+" ") + name
	}
}

// verb says how a tag hangs on its source. What names the kind of source; plain is for a tag that was set
// once.
func verb(reference, scheduled bool, what, plain string) string {
	switch {
	case reference:
		return "reference to " + what
	case scheduled:
		return "updates automatically from " + what
	}
	return plain
}

// annotations writes the annotations of a spec tag that are meant for people.
func (p *printer) annotations(a map[string]string) {
	commas := func(list string) string { return strings.ReplaceAll(list, ",", ", ") }
	printed := false
	for _, line := range [...]struct{ label, text string }{
		{"", a[descriptionAnnotation]}, {"Tags: ", commas(a["tags"])}, {"Supports: ", commas(a["supports"])},
		{"Example Repo: ", a["sampleRepo"]},
	} {
		if line.text != "" {
			p.printf("  %s%s\n", line.label, line.text)
			printed = true
		}
	}
	if printed {
		p.printf("\n")
	}
}
