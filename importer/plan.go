package importer

import (
	"cmp"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Annotations of a spec tag that choose the image of a manifest list.
const (
	PreferArchAnnotation = "importer.image.openshift.io/prefer-arch"
	PreferOSAnnotation   = "importer.image.openshift.io/prefer-os"
)

// Question is one manifest to ask for.
type Question struct {
	// Repository is the name to ask by, Docker's defaults filled in.
	Repository reference.Named
	// Spelling is the pull spec of the repository as the import spells it; the images' references begin with
	// it.
	Spelling pullspec.Reference
	Insecure bool
	Ref      Ref
	Mode     imagestream.ImportModeType
	Platform Platform
}

// String returns the reference as it was asked for.
func (q Question) String() string {
	r := q.Spelling
	r.Tag, r.ID = q.Ref.Tag, q.Ref.Digest.String()
	return r.Exact()
}

// Plan is what an import asks registries for: each question once, in the order of the import.
type Plan struct {
	Questions []Question
	// entries has one member for each image of the import: the index of its question, or what is wrong with
	// it.
	entries []planned
}

type planned struct {
	question int
	tag      string // reported with the answer
	err      error
}

// questionKey is what makes two questions the same.
type questionKey struct {
	group    string
	ref      Ref
	mode     imagestream.ImportModeType
	platform Platform
}

// NewPlan returns what imp asks for. Stream is where it imports to, nil if it does not exist: annotations of
// its tags may prefer a platform, and standard is the platform for all others. Imp must be valid.
func NewPlan(imp *imagestream.ImageStreamImport, stream *imagestream.ImageStream, standard Platform) *Plan {
	p := &Plan{}
	groups := map[string]Question{}
	index := map[questionKey]int{}
	for _, spec := range imp.Spec.Images {
		entry := planned{}
		q, group, err := newQuestion(spec)
		if err != nil {
			entry.err, entry.tag = err, pullspec.DefaultTag
			p.entries = append(p.entries, entry)
			continue
		}
		if first, ok := groups[group]; ok {
			q.Repository, q.Spelling, q.Insecure = first.Repository, first.Spelling, first.Insecure
		} else {
			groups[group] = q
		}
		if q.Ref.Digest == "" {
			entry.tag = q.Ref.Tag
			q.Platform = preferred(stream, spec, q.Ref.Tag)
		}
		q.Platform.Architecture = cmp.Or(q.Platform.Architecture, standard.Architecture)
		q.Platform.OS = cmp.Or(q.Platform.OS, standard.OS)
		key := questionKey{group, q.Ref, q.Mode, q.Platform}
		at, ok := index[key]
		if !ok {
			at = len(p.Questions)
			index[key] = at
			p.Questions = append(p.Questions, q)
		}
		entry.question = at
		p.entries = append(p.entries, entry)
	}
	return p
}

// newQuestion returns the question that an entry asks, and the group that it belongs to.
func newQuestion(spec imagestream.ImageImportSpec) (q Question, group string, err error) {
	r, err := pullspec.Parse(spec.From.Name)
	if err != nil {
		return q, "", err
	}
	full := r.DockerClientDefaults()
	q.Repository, err = reference.ParseNormalizedNamed(full.AsRepository().Exact())
	if err != nil {
		return q, "", fmt.Errorf("%q is no repository that a registry has: %w", spec.From.Name, err)
	}
	q.Spelling = r.AsRepository()
	q.Insecure = spec.ImportPolicy.Insecure
	q.Mode = spec.ImportPolicy.ImportMode
	if r.ID != "" {
		q.Ref.Digest = digest.Digest(r.ID)
		if err := q.Ref.Digest.Validate(); err != nil {
			return q, "", fmt.Errorf("%q: registries know digests in lower case only: %w", spec.From.Name, err)
		}
	} else {
		q.Ref.Tag = full.Tag
	}
	return q, full.RegistryURL() + "/" + full.RepositoryName(), nil
}

// preferred returns the platform that the annotations of the spec tag prefer.
func preferred(stream *imagestream.ImageStream, spec imagestream.ImageImportSpec, tag string) Platform {
	if stream == nil {
		return Platform{}
	}
	if spec.To != nil {
		tag = spec.To.Name
	}
	t, _ := stream.SpecTag(tag)
	return Platform{t.Annotations[PreferArchAnnotation], t.Annotations[PreferOSAnnotation]}
}

// Statuses returns what to report for each image of the import.
func (p *Plan) Statuses(answers Answers) []imagestream.ImageImportStatus {
	statuses := make([]imagestream.ImageImportStatus, len(p.entries))
	for i := range p.entries {
		statuses[i] = p.status(i, answers)
	}
	return statuses
}

func (p *Plan) status(i int, answers Answers) imagestream.ImageImportStatus {
	e := p.entries[i]
	if e.err != nil {
		return imagestream.ImageImportStatus{Tag: e.tag, Status: StatusOf(e.err)}
	}
	a := answers[e.question]
	if a.Err != nil {
		return imagestream.ImageImportStatus{Tag: e.tag, Status: StatusOf(a.Err)}
	}
	s := imagestream.ImageImportStatus{Tag: e.tag, Status: imagestream.Status{Status: imagestream.StatusSuccess}}
	s.Image = shownImage(a.Image)
	for k := range a.Manifests {
		s.Manifests = append(s.Manifests, *shownImage(&a.Manifests[k]))
	}
	return s
}

// shownImage is an image without the texts of manifest and configuration.
func shownImage(image *imagestream.Image) *imagestream.Image {
	c := image.Clone()
	c.DockerImageManifest, c.DockerImageConfig = "", ""
	return c
}

// withDefaults returns imp with what the API fills in: modes and policies, and the source's tag as the target
// where there is no target.
func withDefaults(imp *imagestream.ImageStreamImport) *imagestream.ImageStreamImport {
	imp = imp.Clone()
	for i := range imp.Spec.Images {
		spec := &imp.Spec.Images[i]
		spec.ImportPolicy.ImportMode = cmp.Or(spec.ImportPolicy.ImportMode, imagestream.ImportModeLegacy)
		spec.ReferencePolicy.Type = cmp.Or(spec.ReferencePolicy.Type, imagestream.ReferencePolicySource)
		if r, err := pullspec.Parse(spec.From.Name); spec.To == nil && err == nil && r.Tag != "" {
			spec.To = &imagestream.LocalObjectReference{Name: r.Tag}
		}
	}
	return imp
}

// Validate returns what is wrong with an import. Source: op import.run.
func Validate(imp *imagestream.ImageStreamImport) (errs imagestream.ErrorList) {
	add := func(t imagestream.FieldErrorType, field, value, detail string) {
		errs = append(errs, &imagestream.FieldError{Type: t, Field: field, Value: value, Detail: detail})
	}
	if imp.Metadata.Namespace == "" {
		add(imagestream.FieldRequired, "metadata.namespace", "", "an import is for a namespace")
	}
	switch name := imp.Metadata.Name; {
	case name == "":
		add(imagestream.FieldRequired, "metadata.name", "", "an import is for an image stream of that name")
	case !pullspec.IsStreamName(name):
		add(imagestream.FieldInvalid, "metadata.name", name, "an image stream's name is lower-case letters and digits, joined by single dots, dashes or underscores")
	}
	if imp.Spec.Repository != nil {
		add(imagestream.FieldInvalid, "spec.repository", imp.Spec.Repository.From.Name, "whole repositories cannot be imported yet: list the tags under spec.images")
	} else if len(imp.Spec.Images) == 0 {
		add(imagestream.FieldInvalid, "spec.images", "", "name at least one image to import")
	}
	for i, spec := range imp.Spec.Images {
		path := fmt.Sprintf("spec.images[%d]", i)
		if spec.From.Kind != imagestream.KindDockerImage {
			add(imagestream.FieldInvalid, path+".from.kind", spec.From.Kind, "only a DockerImage can be imported")
			continue
		}
		if spec.To != nil && spec.To.Name == "" {
			add(imagestream.FieldInvalid, path+".to.name", "", "name the tag to import into, or leave out to")
		}
		if spec.From.Name == "" {
			add(imagestream.FieldRequired, path+".from.name", "", "name the image to import")
		} else if _, err := pullspec.Parse(spec.From.Name); err != nil {
			add(imagestream.FieldInvalid, path+".from.name", spec.From.Name, pullspec.Reason(err))
		}
		switch spec.ImportPolicy.ImportMode {
		case "", imagestream.ImportModeLegacy, imagestream.ImportModePreserveOriginal:
		default:
			add(imagestream.FieldInvalid, path+".importPolicy.importMode", string(spec.ImportPolicy.ImportMode), "the import mode is Legacy or PreserveOriginal")
		}
	}
	return errs
}

// IsAllowed reports whether a name may be imported from. What is no pull spec counts as docker.io. Source: op
// import.allowed.
func IsAllowed(list imagestream.Allowlist, name string, insecure bool) bool {
	transport := imagestream.TransportSecure
	if insecure {
		transport = imagestream.TransportInsecure
	}
	if _, err := pullspec.Parse(name); err != nil {
		name = "docker.io/library/unknown"
	}
	return list.Allows(name, transport)
}
