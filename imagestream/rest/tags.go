package rest

import (
	"context"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// tags is what image stream tags and image tags have in common. Errors speak of image stream tags for both, as
// the real system's do.
type tags struct {
	*Server
	resource string
}

// errorResource is the resource that errors about tags name.
const errorResource = imagestream.ResourceImageStreamTags

// split reads the name <stream>:<tag> of an existing tag.
func split(key imagestream.Key) (stream imagestream.Key, tag string, err error) {
	name, tag, err := pullspec.ParseTag(key.Name)
	if err == nil && !pullspec.IsPathSegment(name) {
		err = fmt.Errorf("%q cannot be the name of an image stream", name)
	}
	if err != nil {
		return imagestream.Key{}, "", badRequest(errorResource, key, err.Error())
	}
	return imagestream.Key{Namespace: key.Namespace, Name: name}, tag, nil
}

// splitNew reads the name of a new tag. The stream's name must be one that can be read.
func splitNew(resource string, m *imagestream.ObjectMeta) (stream imagestream.Key, tag string, err error) {
	key := imagestream.Key{Namespace: m.Namespace, Name: m.Name}
	name, tag, ok := pullspec.SplitTag(m.Name)
	switch {
	case !ok:
		return imagestream.Key{}, "", imagestream.NewError(
			imagestream.StatusReason(""),
			resource,
			key,
			"the name must be <image stream>:<tag>",
		)
	case name == "" || !pullspec.IsPathSegment(name):
		return imagestream.Key{}, "", badRequest(resource, key, fmt.Sprintf("%q cannot be the name of an image stream", name))
	}
	return imagestream.Key{Namespace: m.Namespace, Name: name}, tag, nil
}

// accept checks namespace and name of a new object whose name cannot be generated, and sets what a server sets.
func accept(m *imagestream.ObjectMeta, resource, namespace string) error {
	if m.GenerateName != "" && m.Name == "" {
		return imagestream.NewError(imagestream.ReasonInternalError, resource, imagestream.Key{Namespace: namespace},
			fmt.Sprintf("no name is generated here from generateName %q: set metadata.name", m.GenerateName))
	}
	m.CreationTimestamp = 0
	return inNamespace(m, resource, namespace)
}

// withDefaults returns a copy of t with its defaults; nil stays nil.
func withDefaults(t *imagestream.TagReference) *imagestream.TagReference {
	if t == nil {
		return nil
	}
	c := (&imagestream.ImageStream{Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{*t}}}).WithDefaults()
	return &c.Spec.Tags[0]
}

func (s *Server) allowlist() imagestream.Allowlist {
	return s.engine().Settings.Allowlist()
}

// exempting returns the allowlist for an update of a spec tag: where it comes from already stays allowed.
func (s *Server) exempting(old *imagestream.TagReference) imagestream.Allowlist {
	list := s.allowlist()
	if old != nil && old.From != nil && old.From.Kind == imagestream.KindDockerImage {
		list = list.WithRepositories(old.From.Name)
	}
	return list
}

func isInsecure(m *imagestream.ObjectMeta) bool {
	return m.Annotations[imagestream.InsecureRepositoryAnnotation] == "true"
}

func newStream(key imagestream.Key) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}
}

// latestImage returns the image that a tag points at; nil if there is none.
func (s *Server) latestImage(
	ctx context.Context,
	stream *imagestream.ImageStream,
	tag string,
) (*imagestream.Image, error) {
	latest, ok := stream.LatestEvent(tag)
	if !ok || latest.Image == "" {
		return nil, nil
	}
	image, err := s.store().GetImage(ctx, latest.Image)
	if errors.Is(err, imagestream.ErrNotFound) {
		return nil, nil
	}
	return image, err
}

// errUnborn means that a stream that is stored has no creation time.
var errUnborn = errors.New("the image stream has no creation time")

// create adds a spec tag, nil for none, to a stream that may not exist yet.
func (r tags) create(
	ctx context.Context,
	key imagestream.Key,
	tag string,
	spec *imagestream.TagReference,
	dryRun bool,
) (*imagestream.ImageStream, error) {
	name := imagestream.Key{Namespace: key.Namespace, Name: pullspec.JoinTag(key.Name, tag)}
	var unborn *imagestream.ImageStream
	stored, err := r.engine().Write(ctx, write.Request{
		Key: key, Rules: write.AsTag, OrCreate: true, DryRun: dryRun, Attempts: r.attempts(r.resource, "create"),
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next := old
			if next == nil {
				next = newStream(key)
			}
			if _, taken := next.SpecTag(tag); taken {
				return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, r.resource, name, "")
			}
			if spec != nil {
				t := *spec
				t.Name = tag
				next = edit.WithTag(next, t)
			}
			if old != nil && old.Metadata.CreationTimestamp.IsZero() {
				unborn = next
				return nil, errUnborn
			}
			return next, nil
		},
	})
	if errors.Is(err, errUnborn) {
		// Upstream quirk: a stream without a creation time counts as one that does not exist, and its resource
		// version makes creating it fail.
		return r.engine().CreateBy(ctx, write.AsUser, unborn, dryRun)
	}
	return stored, gaveUp(err, timeout(r.resource, name))
}

func timeout(resource string, key imagestream.Key) *imagestream.StatusError {
	return imagestream.NewError(imagestream.ReasonServerTimeout, resource, key, "")
}

// target is the tag that an update is for.
type target struct {
	key    imagestream.Key // of the tag
	tag    string
	stream *imagestream.ImageStream // as stored, with defaults; nil if it does not exist
	spec   *imagestream.TagReference
}

func (t *target) fail(reason imagestream.StatusReason, message string) error {
	return imagestream.NewError(reason, errorResource, t.key, message)
}

// version checks the resource version that a client sent: none is the stored one.
func (t *target) version(m *imagestream.ObjectMeta) error {
	switch {
	case m.ResourceVersion == "":
	case t.stream == nil:
		return t.fail(imagestream.ReasonNotFound, "")
	case m.ResourceVersion != t.stream.Metadata.ResourceVersion:
		return t.fail(imagestream.ReasonConflict, "")
	}
	return nil
}

// meet fills the metadata of an object that is to replace a view: what a client cannot change is the view's, and
// so is who manages which field, which is not stored. Its name is compared by the validation.
func (t *target) meet(m, old *imagestream.ObjectMeta) error {
	if err := inNamespace(m, errorResource, t.key.Namespace); err != nil {
		return err
	}
	*m = old.Carry(m)
	m.ResourceVersion, m.SelfLink, m.ManagedFields = old.ResourceVersion, old.SelfLink, old.ManagedFields
	return nil
}

// update writes the stream of a tag with the spec tag that change makes; one that is nil removes it.
func (r tags) update(
	ctx context.Context,
	key imagestream.Key,
	opts UpdateOptions,
	change func(t *target) (*imagestream.TagReference, error),
) (
	stored *imagestream.ImageStream, tag string, created bool, err error,
) {
	stream, tag, err := split(key)
	if err != nil {
		return nil, "", false, err
	}
	creating := false
	stored, err = r.engine().Write(ctx, write.Request{
		Key: stream, Rules: write.AsTag, OrCreate: true, DryRun: opts.DryRun, Attempts: r.attempts(r.resource, "update"),
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			at := &target{key: key, tag: tag}
			next := old
			if old == nil {
				next = newStream(stream)
			} else {
				at.stream = old.WithDefaults()
				if spec, ok := at.stream.SpecTag(tag); ok {
					at.spec = &spec
				}
			}
			spec, err := change(at)
			if err != nil {
				return nil, err
			}
			created, creating = at.spec == nil, old == nil
			if spec == nil {
				return edit.WithoutSource(next, tag), nil
			}
			return edit.WithTag(next, *spec), nil
		},
	})
	return stored, tag, created, triedOnce(err, stream, creating)
}

// triedOnce returns what the real system answers to an update that it tries only once and that is overtaken: the
// conflict, or that the stream, which was to be created, exists.
func triedOnce(err error, stream imagestream.Key, creating bool) error {
	var conflict *write.ConflictError
	if !errors.As(err, &conflict) || conflict.Cause != nil || conflict.Attempts > 1 {
		return err
	}
	if creating {
		return imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageStreams, stream, "")
	}
	return conflict.Err
}

// sameMetadata reports what an update of a view may not change: everything, but for annotations where these
// are the tag's.
func sameMetadata(m, old *imagestream.ObjectMeta, annotations bool) imagestream.ErrorList {
	errs := old.ValidateUpdate(m)
	a, b := *m, *old
	a.Unknown, b.Unknown = nil, nil
	if !annotations {
		a.Annotations, b.Annotations = nil, nil
	}
	if !(&imagestream.ImageStream{Metadata: a}).Same(&imagestream.ImageStream{Metadata: b}) {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldInvalid, Field: "metadata",
			Detail: "only annotations can be changed through a tag: labels and other metadata belong to the image stream",
		})
	}
	return errs
}

// Delete removes the tag, with spec and history. What remains of the stream must be right.
func (r tags) Delete(ctx context.Context, key imagestream.Key, opts DeleteOptions) error {
	stream, tag, err := split(key)
	if err != nil {
		return err
	}
	writing := false
	_, err = r.engine().Write(ctx, write.Request{
		Key: stream, Rules: write.AsTag, DryRun: opts.DryRun, Attempts: r.attempts(r.resource, "delete"),
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			only := imagestream.Preconditions{UID: opts.Preconditions.UID}
			if err := only.Check(errorResource, key, old.Metadata.UID, ""); err != nil {
				return nil, err
			}
			next := edit.WithoutTag(old, tag)
			if writing = next != old; !writing {
				return nil, imagestream.NewError(imagestream.ReasonNotFound, errorResource, key, "")
			}
			return next, nil
		},
	})
	if writing && errors.Is(err, imagestream.ErrNotFound) {
		return nil // the stream was deleted meanwhile, and the tag with it
	}
	return gaveUp(err, timeout(r.resource, key))
}

// eachStream calls visit for every stream that opts choose.
func (s *Server) eachStream(
	ctx context.Context,
	opts ListOptions,
	visit func(*imagestream.ImageStream, fieldSelector) error,
) error {
	fields, err := parseFields(errorResource, opts.Fields)
	if err != nil {
		return err
	}
	for stream, err := range imagestream.All(ctx, s.store().ListImageStreams, imagestream.ListOptions{Namespace: opts.Namespace, Labels: opts.Labels}) {
		if err != nil {
			return err
		}
		if stream = stream.WithDefaults(); fields.matches(&stream.Metadata) {
			if err := visit(stream, fields); err != nil {
				return err
			}
		}
	}
	return nil
}
