package importer

import (
	"cmp"
	"fmt"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/importer/registries"
)

// Annotations of a spec tag that choose the image of a manifest list.
const (
	PreferArchAnnotation = "importer.image.openshift.io/prefer-arch"
	PreferOSAnnotation   = "importer.image.openshift.io/prefer-os"
)

// Question asks for one manifest.
type Question struct {
	// Repository is the repository to ask, with Docker's defaults filled in.
	Repository reference.Named
	// Spelling is the pull spec of the repository as the import spells it. Pull specs of the images begin with it.
	Spelling pullspec.Reference
	Insecure bool
	Ref      Ref
	Mode     imagestream.ImportModeType
	Platform manifest.Platform
	// Preferred reports whether annotations of the tag choose the platform.
	Preferred bool
	// Texts asks for an image with the texts of manifest and configuration, which the store does not keep.
	Texts bool
}

// String returns the pull spec as the import spells it.
func (q Question) String() string {
	r := q.Spelling
	r.Tag, r.ID = q.Ref.Tag, q.Ref.Digest.String()
	return r.Exact()
}

// Plan has the questions of an import, each once, in the order of the import.
type Plan struct {
	Questions []Question
	// Repository is the repository whose tags are asked for: each is this question with the tag. It may be nil.
	Repository *Question
	// MaxTags is how many of the tags are asked for; less than 0 is all.
	MaxTags int

	options PlanOptions
	// entries has the index of the question for each image of the import, or what is wrong with the image.
	entries []planned
	// repositoryError is what is wrong with the repository of the import.
	repositoryError error
}

type planned struct {
	question int
	tag      string // of the status
	err      error
}

// questionKey is equal for equal questions.
type questionKey struct {
	group    string
	ref      Ref
	mode     imagestream.ImportModeType
	platform manifest.Platform
}

// PlanOptions are the options of [NewPlan]. The zero value is valid.
type PlanOptions struct {
	// Platform is the platform of images from manifest lists, if the tag chooses none; empty is linux and amd64.
	Platform manifest.Platform
	// Registries has mirrors, and blocked and insecure registries. It may be nil.
	Registries *registries.Registries
	// MaxTags is how many tags of a repository are imported: 0 is 50, less than 0 is all.
	MaxTags int
}

// defaultMaxTags is the number of the real system.
const defaultMaxTags = 50

// NewPlan returns the questions of imp, which must be valid. Stream is the stream that it imports into, or nil;
// annotations of its tags may choose a platform.
func NewPlan(imp *imagestream.ImageStreamImport, stream *imagestream.ImageStream, opts PlanOptions) *Plan {
	if opts.Registries == nil {
		opts.Registries = &registries.Registries{}
	}
	p := &Plan{options: opts, MaxTags: cmp.Or(opts.MaxTags, defaultMaxTags)}
	groups := map[string]Question{}
	index := map[questionKey]int{}
	for _, spec := range imp.Spec.Images {
		entry := planned{}
		q, group, err := p.newQuestion(spec.From.Name, spec.ImportPolicy)
		if err != nil {
			entry.err = err
			if _, blocked := err.(*blockedError); !blocked {
				entry.tag = pullspec.DefaultTag
			}
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
		key := questionKey{group, q.Ref, q.Mode, q.Platform}
		p.choosePlatform(&q)
		at, ok := index[key]
		if !ok {
			at = len(p.Questions)
			index[key] = at
			p.Questions = append(p.Questions, q)
		}
		if spec.IncludeManifest && (!imp.Spec.Import || spec.To == nil) {
			p.Questions[at].Texts = true
		}
		entry.question = at
		p.entries = append(p.entries, entry)
	}
	if spec := imp.Spec.Repository; spec != nil {
		q, _, err := p.newQuestion(spec.From.Name, spec.ImportPolicy)
		if err != nil {
			p.repositoryError = err
		}
		q.Ref = Ref{}
		q.Texts = spec.IncludeManifest && !imp.Spec.Import
		p.choosePlatform(&q)
		p.Repository = &q
		for i := range p.Questions {
			if other := &p.Questions[i]; err == nil && other.Repository.Name() == q.Repository.Name() {
				other.Texts = other.Texts || q.Texts // its answer may be the repository's, too
			}
		}
	}
	return p
}

// choosePlatform fills in what the tag does not choose.
func (p *Plan) choosePlatform(q *Question) {
	q.Preferred = q.Platform != manifest.Platform{}
	q.Platform.Architecture = cmp.Or(q.Platform.Architecture, p.options.Platform.Architecture)
	q.Platform.OS = cmp.Or(q.Platform.OS, p.options.Platform.OS)
}

// blockedError is the error of an image in a blocked registry.
type blockedError struct{ name string }

func (e *blockedError) Error() string {
	return fmt.Sprintf("the registry of %s is blocked by the configuration of the cluster", e.name)
}

// newQuestion returns the question that a name asks, and the group that it belongs to.
func (p *Plan) newQuestion(name string, policy imagestream.TagImportPolicy) (q Question, group string, err error) {
	r, err := pullspec.Parse(name)
	if err != nil {
		return q, "", err
	}
	if p.options.Registries.IsBlocked(r) {
		return q, "", &blockedError{name}
	}
	full := r.DockerClientDefaults()
	if q.Repository, err = repositoryOf(r); err != nil {
		return q, "", fmt.Errorf("%q does not name a repository of a registry: %w", name, err)
	}
	q.Spelling = r.AsRepository()
	q.Insecure = policy.Insecure || p.options.Registries.IsInsecure(reference.Domain(q.Repository))
	q.Mode = policy.ImportMode
	if r.ID != "" {
		q.Ref.Digest = digest.Digest(r.ID)
		if err := q.Ref.Digest.Validate(); err != nil {
			return q, "", fmt.Errorf("the digest of %q must be in lower case: %w", name, err)
		}
	} else {
		q.Ref.Tag = full.Tag
	}
	return q, full.RegistryURL() + "/" + full.RepositoryName(), nil
}

// repositoryOf returns the name that a registry has for the repository of a pull spec.
func repositoryOf(r pullspec.Reference) (reference.Named, error) {
	return reference.ParseNormalizedNamed(r.DockerClientDefaults().AsRepository().Exact())
}

// preferred returns the platform that annotations of the spec tag choose.
func preferred(stream *imagestream.ImageStream, spec imagestream.ImageImportSpec, tag string) manifest.Platform {
	if stream == nil {
		return manifest.Platform{}
	}
	if spec.To != nil {
		tag = spec.To.Name
	}
	t, _ := stream.SpecTag(tag)
	return platformOf(t)
}

func platformOf(t imagestream.TagReference) manifest.Platform {
	return manifest.Platform{Architecture: t.Annotations[PreferArchAnnotation], OS: t.Annotations[PreferOSAnnotation]}
}

// Statuses returns the status of each image of the import.
func (p *Plan) Statuses(answers *Answers) []imagestream.ImageImportStatus {
	statuses := make([]imagestream.ImageImportStatus, len(p.entries))
	for i := range p.entries {
		statuses[i] = p.status(i, answers)
	}
	return statuses
}

func (p *Plan) status(i int, answers *Answers) imagestream.ImageImportStatus {
	e := p.entries[i]
	if e.err != nil {
		return statusOf(e.tag, Answer{Err: e.err})
	}
	return statusOf(e.tag, answers.Images[e.question])
}

// statusOf returns the status of an answer. An answer without image and error needs credentials that were then left
// out.
func statusOf(tag string, a Answer) imagestream.ImageImportStatus {
	if a.Err != nil {
		return imagestream.ImageImportStatus{Tag: tag, Status: StatusOf(a.Err)}
	}
	s := imagestream.ImageImportStatus{Tag: tag, Status: imagestream.Status{Status: imagestream.StatusSuccess}}
	if a.Image != nil {
		s.Image = a.Image.Clone()
	}
	for i := range a.Manifests {
		s.Manifests = append(s.Manifests, *a.Manifests[i].Clone())
	}
	return s
}

// RepositoryStatus returns the status of the repository of the import, or nil.
func (p *Plan) RepositoryStatus(answers *Answers) *imagestream.RepositoryImportStatus {
	if p.Repository == nil {
		return nil
	}
	found := answers.Repository
	s := &imagestream.RepositoryImportStatus{Status: imagestream.Status{Status: imagestream.StatusSuccess},
		AdditionalTags: found.Additional}
	if err := cmp.Or(p.repositoryError, found.Err); err != nil {
		s.Status = statusOfList(err)
		return s
	}
	for i, tag := range found.Tags {
		status := statusOf(tag, found.Images[i])
		if status.Status.Status != imagestream.StatusSuccess {
			s.Status = imagestream.Status{Status: imagestream.StatusFailure, Reason: "ImportFailed",
				Message: "one or more images could not be imported"}
		}
		s.Images = append(s.Images, status)
	}
	return s
}

// withDefaults returns imp with the defaults of the API: modes, policies, and the tag of the source as the target.
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
	if spec := imp.Spec.Repository; spec != nil {
		spec.ImportPolicy.ImportMode = cmp.Or(spec.ImportPolicy.ImportMode, imagestream.ImportModeLegacy)
		spec.ReferencePolicy.Type = cmp.Or(spec.ReferencePolicy.Type, imagestream.ReferencePolicySource)
	}
	return imp
}

// Validate returns the wrong fields of an import.
func Validate(imp *imagestream.ImageStreamImport) (errs imagestream.ErrorList) {
	add := func(t imagestream.FieldErrorType, field, value, detail string) {
		errs = append(errs, &imagestream.FieldError{Type: t, Field: field, Value: value, Detail: detail})
	}
	if imp.Metadata.Namespace == "" {
		add(imagestream.FieldRequired, "metadata.namespace", "", "name the namespace of the image stream")
	}
	switch name := imp.Metadata.Name; {
	case name == "":
		add(imagestream.FieldRequired, "metadata.name", "", "name the image stream to import into")
	case !pullspec.IsStreamName(name):
		add(imagestream.FieldInvalid, "metadata.name", name,
			"the name must be lower-case letters and digits, joined by single dots, dashes or underscores")
	}
	mode := func(path string, mode imagestream.ImportModeType) {
		switch mode {
		case "", imagestream.ImportModeLegacy, imagestream.ImportModePreserveOriginal:
		default:
			add(imagestream.FieldInvalid, path+".importPolicy.importMode", string(mode),
				"the import mode must be Legacy or PreserveOriginal")
		}
	}
	if spec := imp.Spec.Repository; spec != nil {
		const path = "spec.repository"
		r, err := pullspec.Parse(spec.From.Name)
		switch {
		case spec.From.Kind != imagestream.KindDockerImage:
			add(imagestream.FieldInvalid, path+".from.kind", spec.From.Kind, "the kind must be DockerImage")
		case spec.From.Name == "":
			add(imagestream.FieldRequired, path+".from.name", "", "name the repository to import")
		case err != nil:
			add(imagestream.FieldInvalid, path+".from.name", spec.From.Name, pullspec.Reason(err))
		case r.Tag != "" || r.ID != "":
			add(imagestream.FieldInvalid, path+".from.name", spec.From.Name,
				"a repository must not have a tag or a digest: name single images under spec.images")
		}
		mode(path, spec.ImportPolicy.ImportMode)
	} else if len(imp.Spec.Images) == 0 {
		add(imagestream.FieldInvalid, "spec.images", "", "name at least one image to import")
	}
	for i, spec := range imp.Spec.Images {
		path := fmt.Sprintf("spec.images[%d]", i)
		if spec.From.Kind != imagestream.KindDockerImage {
			add(imagestream.FieldInvalid, path+".from.kind", spec.From.Kind, "the kind must be DockerImage")
			continue
		}
		if spec.To != nil && spec.To.Name == "" {
			add(imagestream.FieldInvalid, path+".to.name", "", "name the tag to import into, or leave out the field to")
		}
		switch _, err := pullspec.Parse(spec.From.Name); {
		case spec.From.Name == "":
			add(imagestream.FieldRequired, path+".from.name", "", "name the image to import")
		case spec.From.Name == "*":
			continue // it is valid for old clients, and its import fails
		case err != nil:
			add(imagestream.FieldInvalid, path+".from.name", spec.From.Name, pullspec.Reason(err))
		}
		mode(path, spec.ImportPolicy.ImportMode)
	}
	return errs
}

// IsAllowed reports whether list allows imports from the registry of a pull spec. A pull spec that cannot be parsed
// counts as docker.io.
func IsAllowed(list imagestream.Allowlist, name string, insecure bool) bool {
	if _, err := pullspec.Parse(name); err != nil {
		name = "docker.io/library/unknown"
	}
	return list.AllowsOver(name, insecure)
}
