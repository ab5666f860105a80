package oc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

var tagFlags = map[string]flagKind{
	"source":           textFlag,
	"delete":           boolFlag,
	"alias":            boolFlag,
	"reference":        boolFlag,
	"scheduled":        boolFlag,
	"insecure":         boolFlag,
	"reference-policy": textFlag,
	"import-mode":      textFlag,
}

// TagPlan is a "tag" command whose source was read.
type TagPlan struct {
	namespace string
	flags     flags
	kind      string
	typed     string // the source as it was typed
	source    pullspec.Reference
	dests     []string
}

// PlanTag reads a "tag" command. An error is of class [ErrUsage].
func PlanTag(cmd Command, resources []Resource) (*TagPlan, error) {
	f, err := parseFlags(cmd.Flags, tagFlags)
	if err != nil {
		return nil, err
	}
	p := &TagPlan{namespace: cmd.Namespace, flags: f, dests: cmd.Args}
	if f.bool("delete") {
		return p, nil
	}
	if len(cmd.Args) == 0 {
		return nil, usage("a source and at least one destination are required: tag SOURCE DEST [DEST...]")
	}
	p.typed, p.dests = cmd.Args[0], cmd.Args[1:]
	if p.source, err = pullspec.Parse(p.typed); err != nil {
		return nil, usage("source %v", err)
	}
	if f.given("source") {
		return p, p.takeKind(f.text("source"), resources)
	}
	switch {
	case p.source.Registry != "":
		p.kind = imagestream.KindDockerImage
	case p.source.ID != "":
		p.kind = imagestream.KindImageStreamImage
	case p.source.Tag != "":
		p.kind = imagestream.KindImageStreamTag
	default:
		p.kind = imagestream.KindDockerImage
	}
	return p, nil
}

// takeKind reads --source.
func (p *TagPlan) takeKind(word string, resources []Resource) error {
	kind := word
	if r, ok := findResource(resources, word); ok {
		kind = r.Kind
	}
	switch strings.ToLower(kind) {
	case "docker", "dockerimage":
		p.kind = imagestream.KindDockerImage
		return nil
	case "imagestreamtag", "istag":
		p.kind = imagestream.KindImageStreamTag
	case "imagestreamimage", "isimage":
		p.kind = imagestream.KindImageStreamImage
	default:
		return usage("--source=%s: want imagestreamtag, istag, imagestreamimage, isimage or docker", word)
	}
	if p.source.Namespace == "library" {
		p.source.Namespace = p.namespace
	}
	switch {
	case p.source.Registry != "":
		return usage(
			"source %q: an %s has no registry: leave %q out, or use --source=docker",
			p.typed,
			p.kind,
			p.source.Registry,
		)
	case p.kind == imagestream.KindImageStreamTag && p.source.Tag == "":
		return usage("source %q: --source=%s requires a tag: %s:TAG", p.typed, word, p.typed)
	case p.kind == imagestream.KindImageStreamImage && p.source.ID == "":
		return usage("source %q: --source=%s requires an image: %s@ID", p.typed, word, p.source.NameString())
	}
	return nil
}

// Needs returns the stream that must be read before [TagPlan.Steps], if there is one: that of the source, when
// the image is wanted that it has now.
func (p *TagPlan) Needs() (imagestream.Key, bool) {
	if p.kind != imagestream.KindImageStreamTag || p.flags.bool("alias") {
		return imagestream.Key{}, false
	}
	key := imagestream.Key{Namespace: p.source.Namespace, Name: p.source.Name}
	if key.Namespace == "" {
		key.Namespace = p.namespace
	}
	return key, true
}

// TagStep is one destination of a "tag" command.
type TagStep struct {
	// Namespace and Name are those of the image stream tag that is written, Stream and Tag the name's parts.
	Namespace, Name, Stream, Tag string
	// Object is what is written; nil if the tag is deleted.
	Object *imagestream.ImageStreamTag
	// Message is what is printed then.
	Message string
	// Err says what is wrong with the destination. The steps before it are carried out, it is not.
	Err error
}

// Steps returns what the command does, a step for each destination. The stream is the one that Needs names,
// nil if it needs none. Arguments stay as they are. An error means that nothing is done.
func (p *TagPlan) Steps(stream *imagestream.ImageStream) ([]TagStep, error) {
	kind, source, err := p.resolve(stream)
	if err != nil {
		return nil, err
	}
	names := make([]imagestream.Key, len(p.dests)) // Name is stream:tag, as typed
	for i, dest := range p.dests {
		if names[i], err = splitDest(dest, p.namespace); err != nil {
			return nil, err
		}
	}
	if err := p.validate(kind, source, names); err != nil {
		return nil, err
	}
	steps := make([]TagStep, len(names))
	for i, name := range names {
		steps[i] = p.step(kind, source, name)
	}
	return steps, nil
}

// resolve returns kind and pull spec of what the tags will come from.
func (p *TagPlan) resolve(stream *imagestream.ImageStream) (kind string, source pullspec.Reference, err error) {
	if _, needed := p.Needs(); !needed {
		return p.kind, p.source, nil
	}
	source = p.source
	event, ok := stream.LatestEvent(source.Tag)
	if !ok {
		return "", source, fmt.Errorf("source %q has no image yet: import it first, or use --alias to follow it", p.typed)
	}
	if event.Image != "" {
		source.ID, source.Tag = event.Image, ""
		return imagestream.KindImageStreamImage, source, nil
	}
	from, err := pullspec.Parse(event.DockerImageReference)
	if err != nil {
		return "", source, fmt.Errorf("the image of %q: %w", p.typed, err)
	}
	return imagestream.KindDockerImage, from, nil
}

func splitDest(dest, namespace string) (imagestream.Key, error) {
	switch first, rest, found := strings.Cut(dest, "/"); {
	case !found:
		return imagestream.Key{Namespace: namespace, Name: dest}, nil
	case first == "" || rest == "" || strings.Contains(rest, "/"):
		return imagestream.Key{}, usage("destination %q: want STREAM:TAG or NAMESPACE/STREAM:TAG", dest)
	default:
		return imagestream.Key{Namespace: first, Name: rest}, nil
	}
}

func (p *TagPlan) validate(kind string, source pullspec.Reference, dests []imagestream.Key) error {
	f := p.flags
	policy, mode := f.text("reference-policy"), f.text("import-mode")
	switch {
	case len(dests) == 0:
		return usage("at least one destination is required: STREAM:TAG")
	case f.bool("delete") && f.bool("alias"):
		return usage("--alias and --delete exclude each other")
	case f.given("reference-policy") && policy != "source" && policy != "local":
		return usage("--reference-policy=%s: want source or local", policy)
	}
	if f.bool("delete") {
		for _, name := range [...]string{"source", "scheduled", "insecure", "import-mode"} {
			if value := f.text(name); value != "" && value != "false" {
				return usage("--%s and --delete exclude each other", name)
			}
		}
		return nil
	}
	fetched := f.bool("scheduled") || f.bool("insecure")
	switch {
	case fetched && kind != imagestream.KindDockerImage:
		return usage("--scheduled and --insecure go with an image of a registry; the source is an %s", kind)
	case fetched && f.bool("alias"):
		return usage("--alias excludes --scheduled and --insecure: what follows a tag is not imported")
	case mode != "" && mode != string(imagestream.ImportModeLegacy) && mode != string(imagestream.ImportModePreserveOriginal):
		return usage("--import-mode=%s: want Legacy or PreserveOriginal", mode)
	}
	if f.bool("alias") {
		for _, dest := range dests {
			switch stream, _, ok := strings.Cut(dest.Name, ":"); {
			case dest.Namespace != p.namespace:
				return usage("destination %q: --alias follows a tag of the same stream, and the project is %q", dest, p.namespace)
			case !ok:
				return usage("destination %q: want STREAM:TAG", dest.Name)
			case stream != source.Name:
				return usage("destination %q: --alias follows a tag of the same stream, %q", dest.Name, source.Name)
			}
		}
	}
	return nil
}

// step plans one destination.
func (p *TagPlan) step(kind string, source pullspec.Reference, dest imagestream.Key) TagStep {
	stream, tag, ok := pullspec.SplitTag(dest.Name)
	s := TagStep{Namespace: dest.Namespace, Name: dest.Name, Stream: stream, Tag: tag}
	switch {
	case !ok:
		s.Err = usage("destination %q: want STREAM:TAG", dest.Name)
	case p.flags.bool("delete"):
		s.Name = pullspec.JoinTag(stream, tag)
		s.Message = fmt.Sprintf("Deleted tag %s/%s.\n", dest.Namespace, dest.Name)
	case !pullspec.IsTag(tag):
		s.Err = usage(
			"destination %q: %q cannot be a tag: want letters, digits, \"_\", \".\" and \"-\", 128 at most, none of the last two first",
			dest.Name,
			tag,
		)
	default:
		s.Object = p.object(kind, source, dest, tag)
		s.Message = p.message(source, dest)
	}
	return s
}

func (p *TagPlan) object(
	kind string,
	source pullspec.Reference,
	dest imagestream.Key,
	tag string,
) *imagestream.ImageStreamTag {
	f := p.flags
	from := &imagestream.ObjectReference{Kind: kind}
	var generation *int64
	if kind == imagestream.KindDockerImage {
		from.Name, generation = source.Exact(), new(int64)
	} else {
		from.Name, from.Namespace = source.NameString(), source.Namespace
		if from.Namespace == "" && dest.Namespace != p.namespace {
			from.Namespace = p.namespace
		}
	}
	policy := imagestream.ReferencePolicySource
	if f.text("reference-policy") == "local" {
		policy = imagestream.ReferencePolicyLocal
	}
	mode := imagestream.ImportModeLegacy
	if text := f.text("import-mode"); text != "" {
		mode = imagestream.ImportModeType(text)
	}
	return &imagestream.ImageStreamTag{
		TypeMeta: typeMeta("ImageStreamTag"),
		Metadata: imagestream.ObjectMeta{Name: dest.Name, Namespace: dest.Namespace},
		Tag: &imagestream.TagReference{
			Name:       tag,
			From:       from,
			Reference:  f.bool("reference"),
			Generation: generation,
			ImportPolicy: imagestream.TagImportPolicy{
				Insecure:   f.bool("insecure"),
				Scheduled:  f.bool("scheduled"),
				ImportMode: mode,
			},
			ReferencePolicy: imagestream.TagReferencePolicy{Type: policy},
		},
	}
}

func (p *TagPlan) message(source pullspec.Reference, dest imagestream.Key) string {
	name, exact := dest.Name, source.Exact()
	own := dest.Namespace == p.namespace
	if !own {
		name = dest.String()
	}
	switch {
	case p.flags.bool("alias"):
		return fmt.Sprintf("Tag %s set up to track %s.\n", name, exact)
	case p.flags.bool("scheduled") && own:
		return fmt.Sprintf("Tag %s set to import %s periodically.\n", name, exact)
	case p.flags.bool("scheduled"):
		return fmt.Sprintf("Tag %s set to %s periodically.\n", name, exact)
	}
	return fmt.Sprintf("Tag %s set to %s.\n", name, exact)
}

// Tag carries out a "tag" command. Errors are of class [ErrUsage], or the server's. Destinations before the one
// that failed are written.
func (c *Commands) Tag(ctx context.Context, cmd Command) error {
	plan, err := PlanTag(cmd, c.resources())
	if err != nil {
		return err
	}
	var stream *imagestream.ImageStream
	if key, ok := plan.Needs(); ok {
		if stream, err = c.stream(ctx, key); err != nil {
			return err
		}
		if stream == nil {
			return notFound(key)
		}
	}
	steps, err := plan.Steps(stream)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if s.Err != nil {
			return s.Err
		}
		if err := c.checkCircle(ctx, s); err != nil {
			return err
		}
		message := s.Message
		err := retryOnConflict(ctx, func() error {
			if s.Object != nil {
				return c.writeTag(ctx, s)
			}
			var err error
			message, err = c.deleteTag(ctx, s)
			return err
		})
		if err != nil {
			return err
		}
		if err := c.print(message); err != nil {
			return err
		}
	}
	return nil
}

// checkCircle refuses a step that would let a tag follow itself, by way of others or not, if that is asked for.
func (c *Commands) checkCircle(ctx context.Context, s TagStep) error {
	if !c.NoCircles || s.Object == nil || s.Object.Tag.From.Kind != imagestream.KindImageStreamTag {
		return nil
	}
	stream, err := c.stream(ctx, imagestream.Key{Namespace: s.Namespace, Name: s.Stream})
	if err != nil {
		return err
	}
	from := s.Object.Tag.From
	name, target, _ := pullspec.SplitTag(from.Name)
	if from.Namespace != "" && from.Namespace != s.Namespace || name != s.Stream {
		return nil
	}
	if path := edit.Circle(stream, s.Tag, target); path != nil {
		return usage("destination %q: these tags would follow each other in a circle: %s", s.Name, strings.Join(path, ", "))
	}
	return nil
}

func notFound(key imagestream.Key) error {
	return imagestream.NewError(imagestream.ReasonNotFound, imageStreams, key, "")
}

func (c *Commands) writeTag(ctx context.Context, s TagStep) error {
	r := Request{Verb: Update, Resource: imageStreamTags, Namespace: s.Namespace, Name: s.Name, Object: s.Object}
	_, err := c.do(ctx, r)
	if !isOldServer(err) && !errors.Is(err, imagestream.ErrNotFound) {
		return err
	}
	r.Verb, r.Name = Create, ""
	if _, err = c.do(ctx, r); !isOldServer(err) {
		return err
	}
	return c.changeStream(ctx, s, func(stream *imagestream.ImageStream) *imagestream.ImageStream {
		return withOldTag(stream, *s.Object.Tag)
	})
}

// changeStream reads the stream of a step, and writes it changed.
func (c *Commands) changeStream(
	ctx context.Context,
	s TagStep,
	change func(*imagestream.ImageStream) *imagestream.ImageStream,
) error {
	stream, err := c.stream(ctx, imagestream.Key{Namespace: s.Namespace, Name: s.Stream})
	if err != nil {
		return err
	}
	if stream == nil {
		stream = &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: s.Stream}}
	}
	next := change(stream)
	next.TypeMeta = typeMeta("ImageStream")
	r := Request{Verb: Update, Resource: imageStreams, Namespace: s.Namespace, Name: s.Stream, Object: next}
	if next.Metadata.CreationTimestamp.IsZero() {
		r.Verb, r.Name = Create, ""
	}
	_, err = c.do(ctx, r)
	return err
}

// repositoryCheckAnnotation is what old servers marked imported streams with.
const repositoryCheckAnnotation = "openshift.io/image.dockerRepositoryCheck"

// withOldTag returns a changed copy of stream with tag. A tag that was written before there were generations
// makes an old server import again.
func withOldTag(stream *imagestream.ImageStream, tag imagestream.TagReference) *imagestream.ImageStream {
	next := stream.Clone()
	i := slices.IndexFunc(next.Spec.Tags, func(t imagestream.TagReference) bool { return t.Name == tag.Name })
	if i < 0 {
		next.Spec.Tags = append(next.Spec.Tags, tag)
		return next
	}
	if next.Spec.Tags[i].Generation == nil {
		delete(next.Metadata.Annotations, repositoryCheckAnnotation)
		tag.Generation = nil
	}
	next.Spec.Tags[i] = tag
	return next
}

// deleteTag deletes a tag and returns what there is to say then.
func (c *Commands) deleteTag(ctx context.Context, s TagStep) (message string, err error) {
	_, err = c.do(ctx, Request{Verb: Delete, Resource: imageStreamTags, Namespace: s.Namespace, Name: s.Name})
	if !isOldServer(err) {
		return s.Message, err
	}
	stream, err := c.stream(ctx, imagestream.Key{Namespace: s.Namespace, Name: s.Stream})
	if err != nil {
		return "", err
	}
	if stream == nil {
		return fmt.Sprintf("Image stream %q does not exist.\n", s.Stream), nil
	}
	next := stream.Clone()
	next.TypeMeta = typeMeta("ImageStream")
	next.Spec.Tags = slices.DeleteFunc(next.Spec.Tags, func(t imagestream.TagReference) bool { return t.Name == s.Tag })
	if len(next.Spec.Tags) == len(stream.Spec.Tags) {
		return "", fmt.Errorf("image stream %q has no tag %q in its spec", s.Stream, s.Tag)
	}
	_, err = c.do(ctx, Request{Verb: Update, Resource: imageStreams, Namespace: s.Namespace, Name: s.Stream, Object: next})
	return s.Message, err
}
