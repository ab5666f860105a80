package oc

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Creation is what a "create" command sends and prints.
type Creation struct {
	// Request is sent, unless ClientOnly.
	Request    Request
	ClientOnly bool
	// Message is printed, unless JSON: then it is the answer, or the object that would have been sent.
	Message string
	JSON    bool
}

var createFlags = map[string]flagKind{"save-config": boolFlag, "dry-run": textFlag, "output": textFlag}

func withFlags(more map[string]flagKind, all map[string]flagKind) map[string]flagKind {
	known := maps.Clone(all)
	maps.Copy(known, more)
	return known
}

var (
	createStreamFlags = withFlags(map[string]flagKind{"lookup-local": boolFlag}, createFlags)
	createTagFlags    = withFlags(map[string]flagKind{
		"annotation": listFlag, "from": textFlag, "from-image": textFlag, "reference": boolFlag, "reference-policy": textFlag,
		"scheduled": boolFlag, "insecure": boolFlag,
	}, createFlags)
)

// PlanCreateImageStream reads a "create imagestream" command. An error is of class [ErrUsage].
func PlanCreateImageStream(cmd Command) (*Creation, error) {
	f, err := parseFlags(cmd.Flags, createStreamFlags)
	if err != nil {
		return nil, err
	}
	if len(cmd.Args) != 1 {
		return nil, usage("exactly one NAME is wanted, got %d", len(cmd.Args))
	}
	s := &imagestream.ImageStream{TypeMeta: typeMeta("ImageStream"), Metadata: imagestream.ObjectMeta{Name: cmd.Args[0]}}
	s.Spec.LookupPolicy.Local = f.bool("lookup-local")
	return newCreation(cmd, f, imageStreams, "imagestream", s, &s.Metadata)
}

// PlanCreateImageStreamTag reads a "create imagestreamtag" command. An error is of class [ErrUsage].
func PlanCreateImageStreamTag(cmd Command) (*Creation, error) {
	f, err := parseFlags(cmd.Flags, createTagFlags)
	if err != nil {
		return nil, err
	}
	tag := &imagestream.TagReference{
		Reference:    f.bool("reference"),
		ImportPolicy: imagestream.TagImportPolicy{Scheduled: f.bool("scheduled"), Insecure: f.bool("insecure")},
	}
	switch policy := f.text("reference-policy"); strings.ToLower(policy) {
	case "source":
		tag.ReferencePolicy.Type = imagestream.ReferencePolicySource
	case "local":
		tag.ReferencePolicy.Type = imagestream.ReferencePolicyLocal
	case "":
	default:
		return nil, usage("--reference-policy=%s: want source or local", policy)
	}
	if len(cmd.Args) != 1 {
		return nil, usage("exactly one NAME is wanted, STREAM:TAG, got %d", len(cmd.Args))
	}
	if tag.Annotations, err = parseAnnotations(f.values["annotation"]); err != nil {
		return nil, err
	}
	if tag.From, err = parseFrom(f.text("from"), f.text("from-image")); err != nil {
		return nil, err
	}
	t := &imagestream.ImageStreamTag{
		TypeMeta: typeMeta("ImageStreamTag"), Tag: tag,
		Metadata: imagestream.ObjectMeta{Name: cmd.Args[0], Annotations: maps.Clone(tag.Annotations)},
	}
	creation, err := newCreation(cmd, f, imageStreamTags, "imagestreamtag", t, &t.Metadata)
	if err != nil {
		return nil, err
	}
	// The real client has one map for both, so that what --save-config adds is in the tag, too (occreate-v0028).
	if f.bool("save-config") {
		tag.Annotations = maps.Clone(t.Metadata.Annotations)
	}
	return creation, nil
}

// lastAppliedAnnotation holds the object as it was sent last.
const lastAppliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration"

// newCreation reads the flags that all create commands have. Meta is the metadata of object.
func newCreation(
	cmd Command,
	f flags,
	resource, singular string,
	object any,
	meta *imagestream.ObjectMeta,
) (*Creation, error) {
	c := &Creation{Request: Request{Verb: Create, Resource: resource, Namespace: cmd.Namespace, Object: object}}
	name := meta.Name
	if name == "" {
		name = "<unknown>"
	}
	title := singular + "." + imageGroup + "/" + name
	dry := ""
	switch mode := f.text("dry-run"); mode {
	case "", "none":
	case "client":
		c.ClientOnly, dry = true, " (dry run)"
	case "server":
		c.Request.Query, dry = map[string]string{"dryRun": "All"}, " (server dry run)"
	default:
		return nil, usage("--dry-run=%s: want none, client or server", mode)
	}
	switch output := f.text("output"); output {
	case "":
		c.Message = title + " created" + dry + "\n"
	case "name":
		c.Message = title + "\n"
	case "json":
		c.JSON = true
	default:
		return nil, usage("--output=%s: want json or name", output)
	}
	if f.bool("save-config") {
		text, err := json.Marshal(object)
		if err != nil {
			return nil, err
		}
		annotations := maps.Clone(meta.Annotations)
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[lastAppliedAnnotation] = string(text) + "\n"
		meta.Annotations = annotations
	}
	return c, nil
}

// annotationKey is the grammar of a name of an environment variable, which the real client asks of keys.
var annotationKey = regexp.MustCompile(`^[-._a-zA-Z][-._a-zA-Z0-9]*$`)

// parseAnnotations reads --annotation, lists of key=value. The last value of a key counts.
func parseAnnotations(lists []string) (map[string]string, error) {
	annotations := map[string]string{}
	for _, list := range lists {
		if list == "" {
			continue
		}
		members, err := csv.NewReader(strings.NewReader(list)).Read()
		if err != nil {
			return nil, usage("--annotation=%s: %v", list, err)
		}
		for _, member := range members {
			key, value, ok := strings.Cut(member, "=")
			if !ok || !annotationKey.MatchString(key) || key == "." || strings.HasPrefix(key, "..") {
				return nil, usage(
					"--annotation=%s: want key=value, the key of letters, digits, \"-\", \"_\" and \".\", no digit first",
					member,
				)
			}
			annotations[key] = value
		}
	}
	return annotations, nil
}

// parseFrom reads --from and --from-image.
func parseFrom(from, image string) (*imagestream.ObjectReference, error) {
	switch {
	case from != "" && image != "":
		return nil, usage("--from and --from-image exclude each other")
	case image != "":
		return &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: image}, nil
	case from == "":
		return nil, nil
	}
	ref, err := pullspec.Parse(from)
	switch name, local := strings.CutPrefix(from, ":"); {
	case err != nil && local:
		return &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: name}, nil
	case err != nil:
		return nil, usage("--from %v", err)
	case ref.Registry != "":
		return nil, usage("--from=%s: an image stream tag has no registry; --from-image takes images of registries", from)
	case ref.ID != "":
		return &imagestream.ObjectReference{
			Kind:      imagestream.KindImageStreamImage,
			Namespace: ref.Namespace,
			Name:      pullspec.JoinImage(ref.Name, ref.ID),
		}, nil
	}
	return &imagestream.ObjectReference{
		Kind:      imagestream.KindImageStreamTag,
		Namespace: ref.Namespace,
		Name:      ref.NameString(),
	}, nil
}

// CreateImageStream carries out a "create imagestream" command. Errors are of class [ErrUsage], or the
// server's.
func (c *Commands) CreateImageStream(ctx context.Context, cmd Command) error {
	return c.create(ctx, cmd, PlanCreateImageStream)
}

// CreateImageStreamTag carries out a "create imagestreamtag" command. Errors are of class [ErrUsage], or the
// server's.
func (c *Commands) CreateImageStreamTag(ctx context.Context, cmd Command) error {
	return c.create(ctx, cmd, PlanCreateImageStreamTag)
}

func (c *Commands) create(ctx context.Context, cmd Command, plan func(Command) (*Creation, error)) error {
	creation, err := plan(cmd)
	if err != nil {
		return err
	}
	var answer json.RawMessage
	if creation.ClientOnly {
		answer, err = json.Marshal(creation.Request.Object)
	} else {
		answer, err = c.do(ctx, creation.Request)
	}
	if err != nil {
		return err
	}
	if !creation.JSON {
		return c.print(creation.Message)
	}
	var text bytes.Buffer
	if err := json.Indent(&text, answer, "", "    "); err != nil {
		return fmt.Errorf("the server's answer: %w", err)
	}
	text.WriteByte('\n')
	if c.Out == nil {
		return nil
	}
	_, err = io.Copy(c.Out, &text)
	return err
}
