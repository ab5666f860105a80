package oc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/importer"
)

var importFlags = map[string]flagKind{
	"from":             textFlag,
	"confirm":          boolFlag,
	"all":              boolFlag,
	"scheduled":        boolFlag,
	"insecure":         boolFlag,
	"reference-policy": textFlag,
	"import-mode":      textFlag,
	"dry-run":          boolFlag,
}

// ImportPlan is an "import-image" command whose target was read.
type ImportPlan struct {
	namespace, target string
	name, tag         string
	flags             flags
	policy            imagestream.TagReferencePolicyType
	mode              imagestream.ImportModeType
}

// PlanImport reads an "import-image" command. An error is of class [ErrUsage].
func PlanImport(cmd Command) (*ImportPlan, error) {
	f, err := parseFlags(cmd.Flags, importFlags)
	if err != nil {
		return nil, err
	}
	if len(cmd.Args) == 0 {
		return nil, usage("a target is required: import-image STREAM[:TAG]")
	}
	p := &ImportPlan{namespace: cmd.Namespace, target: cmd.Args[0], flags: f}
	target, err := pullspec.Parse(p.target)
	switch {
	case err != nil:
		return nil, usage("target %v; want STREAM[:TAG]", err)
	case target.ID != "":
		return nil, usage("target %q: an image cannot be imported into; want STREAM[:TAG]", p.target)
	case target.Tag != "" && f.bool("all"):
		return nil, usage("target %q: --all takes a stream without a tag", p.target)
	}
	p.name, p.tag = target.Name, target.Tag
	if p.tag == "" && !f.bool("all") {
		p.tag = pullspec.DefaultTag
	}
	// Upstream quirk (ocimport-v0057): "SOURCE" is let through, and then sent as an empty policy.
	switch policy := f.text("reference-policy"); {
	case strings.EqualFold(policy, "local"):
		p.policy = imagestream.ReferencePolicyLocal
	case policy == "" || policy == "source":
		p.policy = imagestream.ReferencePolicySource
	case !strings.EqualFold(policy, "source"):
		return nil, usage("--reference-policy=%s: want source or local", policy)
	}
	switch p.mode = imagestream.ImportModeType(f.text("import-mode")); p.mode {
	case "":
		p.mode = imagestream.ImportModeLegacy
	case imagestream.ImportModeLegacy, imagestream.ImportModePreserveOriginal:
	default:
		return nil, usage("--import-mode=%s: want Legacy or PreserveOriginal", p.mode)
	}
	return p, nil
}

// Needs returns the stream that must be read before [ImportPlan.Import].
func (p *ImportPlan) Needs() imagestream.Key {
	return imagestream.Key{Namespace: p.namespace, Name: p.name}
}

// Import returns the import that the command asks for. The stream is the one that Needs names, nil if it does
// not exist. Arguments stay as they are. An error means that nothing is sent.
func (p *ImportPlan) Import(stream *imagestream.ImageStream) (*imagestream.ImageStreamImport, error) {
	all, confirm, from := p.flags.bool("all"), p.flags.bool("confirm"), p.flags.text("from")
	if stream == nil {
		if !confirm {
			return nil, imagestream.NewError(
				imagestream.ReasonNotFound,
				imageStreams,
				p.Needs(),
				"use --confirm to create it, and --from for where it comes from",
			)
		}
		if from == "" {
			from = p.target
		}
		stream = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: p.name, Namespace: p.namespace}}
		if all {
			return p.repository(stream, from), nil
		}
		return p.images(stream, p.image(stream, p.tag, from, nil)), nil
	}
	if all {
		return p.all(stream, from, confirm)
	}
	tag, spec, err := p.follow(stream)
	if err != nil {
		return nil, err
	}
	if spec == nil {
		if from == "" && tag == pullspec.DefaultTag {
			from = stream.Spec.DockerImageRepository
		}
		if from == "" {
			return nil, fmt.Errorf(
				"image stream %q has no tag %q to import again: use --from for where it comes from",
				p.name,
				p.tag,
			)
		}
		return p.images(stream, p.image(stream, tag, from, nil)), nil
	}
	switch {
	case spec.From == nil:
		return nil, fmt.Errorf("tag %q of image stream %q has no source: set one with the command tag", tag, p.name)
	case spec.From.Kind != "" && spec.From.Kind != imagestream.KindDockerImage:
		return nil, fmt.Errorf("tag %q of image stream %q is an %s, which is not imported", tag, p.name, spec.From.Kind)
	case from != "" && from != spec.From.Name:
		return nil, fmt.Errorf(
			"tag %q of image stream %q comes from %q, not from %q: change that with the command tag",
			tag,
			p.name,
			spec.From.Name,
			from,
		)
	}
	return p.images(stream, p.image(stream, tag, spec.From.Name, spec)), nil
}

// follow returns the tag to import into, and its spec, nil if it has none.
func (p *ImportPlan) follow(stream *imagestream.ImageStream) (string, *imagestream.TagReference, error) {
	chain := inspect.Follow(stream, p.tag)
	switch chain.End {
	case inspect.EndsInCircle:
		return "", nil, fmt.Errorf(
			"tag %q of image stream %q follows itself, by way of %s",
			p.tag,
			p.name,
			strings.Join(chain.Path, ", "),
		)
	case inspect.EndsElsewhere:
		return "", nil, fmt.Errorf(
			"tag %q of image stream %q follows a tag of another stream: import that one",
			p.tag,
			p.name,
		)
	case inspect.EndsNowhere:
		return p.tag, nil, nil
	}
	spec, _ := stream.SpecTag(chain.Last())
	return chain.Last(), &spec, nil
}

// all imports the repository of a stream, or every tag from a registry.
func (p *ImportPlan) all(
	stream *imagestream.ImageStream,
	from string,
	confirm bool,
) (*imagestream.ImageStreamImport, error) {
	if from == "" {
		from = stream.Spec.DockerImageRepository
	}
	if from != stream.Spec.DockerImageRepository && !confirm {
		return nil, fmt.Errorf(
			"image stream %q is imported from %q: use --confirm to import from %q instead",
			p.name,
			stream.Spec.DockerImageRepository,
			from,
		)
	}
	if from != "" {
		return p.repository(stream, from), nil
	}
	var images []imagestream.ImageImportSpec
	for _, spec := range stream.Spec.Tags {
		if spec.From != nil && spec.From.Kind == imagestream.KindDockerImage {
			images = append(images, p.image(stream, spec.Name, spec.From.Name, &spec))
		}
	}
	if len(images) == 0 {
		return nil, fmt.Errorf(
			"image stream %q has no tag that comes from a registry: use --from and --confirm to import a repository",
			p.name,
		)
	}
	slices.SortStableFunc(
		images,
		func(a, b imagestream.ImageImportSpec) int { return strings.Compare(a.To.Name, b.To.Name) },
	)
	return p.images(stream, images...), nil
}

func (p *ImportPlan) images(
	stream *imagestream.ImageStream,
	images ...imagestream.ImageImportSpec,
) *imagestream.ImageStreamImport {
	imp := p.newImport(stream)
	imp.Spec.Images = images
	return imp
}

func (p *ImportPlan) repository(stream *imagestream.ImageStream, from string) *imagestream.ImageStreamImport {
	imp := p.newImport(stream)
	imp.Spec.Repository = &imagestream.RepositoryImportSpec{
		From:            imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from},
		ImportPolicy:    p.importPolicy(stream, nil),
		ReferencePolicy: imagestream.TagReferencePolicy{Type: p.policy},
	}
	return imp
}

func (p *ImportPlan) newImport(stream *imagestream.ImageStream) *imagestream.ImageStreamImport {
	return &imagestream.ImageStreamImport{
		TypeMeta: typeMeta("ImageStreamImport"),
		Metadata: imagestream.ObjectMeta{
			Name:            p.name,
			Namespace:       p.namespace,
			ResourceVersion: stream.Metadata.ResourceVersion,
		},
		Spec: imagestream.ImageStreamImportSpec{Import: !p.flags.bool("dry-run")},
	}
}

func (p *ImportPlan) image(
	stream *imagestream.ImageStream,
	tag, from string,
	spec *imagestream.TagReference,
) imagestream.ImageImportSpec {
	return imagestream.ImageImportSpec{
		From:            imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from},
		To:              &imagestream.LocalObjectReference{Name: tag},
		ImportPolicy:    p.importPolicy(stream, spec),
		ReferencePolicy: imagestream.TagReferencePolicy{Type: p.policy},
	}
}

// importPolicy is that of the flags, of the stream's annotation, and of the tag.
func (p *ImportPlan) importPolicy(
	stream *imagestream.ImageStream,
	spec *imagestream.TagReference,
) imagestream.TagImportPolicy {
	policy := imagestream.TagImportPolicy{
		Insecure:   stream.Metadata.Annotations[imagestream.InsecureRepositoryAnnotation] == "true",
		Scheduled:  p.flags.bool("scheduled"),
		ImportMode: p.mode,
	}
	if p.flags.given("insecure") {
		policy.Insecure = p.flags.bool("insecure")
	}
	if spec != nil {
		policy.Insecure = policy.Insecure || spec.ImportPolicy.Insecure
		policy.Scheduled = policy.Scheduled || spec.ImportPolicy.Scheduled
	}
	return policy
}

// ImportImage carries out an "import-image" command and describes what came of it. Errors are of class
// [ErrUsage] or [importer.ErrFailed], or the server's.
func (c *Commands) ImportImage(ctx context.Context, cmd Command) error {
	plan, err := PlanImport(cmd)
	if err != nil {
		return err
	}
	stream, err := c.stream(ctx, plan.Needs())
	if err != nil {
		return err
	}
	imp, err := plan.Import(stream)
	if err != nil {
		return err
	}
	raw, err := c.do(ctx, Request{Verb: Create, Resource: imageStreamImports, Namespace: plan.namespace, Object: imp})
	if err != nil {
		return err
	}
	answer := new(imagestream.ImageStreamImport)
	if err := json.Unmarshal(raw, answer); err != nil {
		return fmt.Errorf("the server's import: %w", err)
	}
	failure := importer.Failure(answer)
	if c.Out != nil {
		now := time.Now
		if c.Now != nil {
			now = c.Now
		}
		if err := plan.report(c.Out, answer, failure != nil, now()); err != nil {
			return errors.Join(failure, err)
		}
	}
	return failure
}

// report writes what came of an import.
func (p *ImportPlan) report(w io.Writer, imp *imagestream.ImageStreamImport, failed bool, now time.Time) error {
	var text strings.Builder
	note := ""
	if failed {
		note = " with errors"
	}
	if p.flags.bool("dry-run") {
		note += " (dry run)"
	}
	fmt.Fprintf(&text, "imagestream.%s/%s imported%s\n\n", imageGroup, p.name, note)
	if s := imp.Status.Import; s != nil {
		if err := describe.ImageStream(&text, s, now); err != nil {
			return err
		}
		text.WriteByte('\n')
	}
	images := imp.Status.Images
	if r := imp.Status.Repository; r != nil {
		images = slices.Concat(images, r.Images)
	}
	for _, image := range images {
		if image.Image == nil {
			continue
		}
		if err := describe.Image(&text, image.Image, pullspec.JoinTag(p.name, image.Tag), now); err != nil {
			return err
		}
		text.WriteByte('\n')
	}
	if r := imp.Status.Repository; r != nil && len(r.AdditionalTags) > 0 {
		fmt.Fprintf(
			&text,
			"\ninfo: The remote repository contained %d additional tags which were not imported: %s\n",
			len(r.AdditionalTags),
			strings.Join(r.AdditionalTags, ", "),
		)
	}
	text.WriteByte('\n') // of the real client's printer
	_, err := io.WriteString(w, text.String())
	return err
}
