package view

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Writer writes through views: whoever writes a tag writes its stream, by the rules of
// [imagestream.PrepareUpdateInternal].
type Writer struct {
	// Streams has the store, the registries, the clock. Its Attempts do not count here.
	Streams imagestream.Writer
	// Attempts is how often a write is tried when others write too; 0 is until the context ends.
	Attempts Attempts
}

// Attempts are numbers of tries, for each kind of write; 0 is until the context ends.
type Attempts struct {
	Create, Update, Delete int
	// UpdateImageTag is for updates of image tags.
	UpdateImageTag int
	Push           int
}

// RealAttempts are the counts of the real system.
var RealAttempts = Attempts{Create: 10, Update: 4, Delete: 10, UpdateImageTag: 1, Push: 10}

// WriteOptions say how a write is done.
type WriteOptions struct {
	// DryRun computes the answer, and stores nothing.
	DryRun bool
	// Preconditions of a deletion: the uid is the stream's. A resource version is ignored.
	Preconditions imagestream.Preconditions
}

// once returns a Writer of streams that tries one time, and stores nothing in a dry run.
func (w *Writer) once(opts WriteOptions) *imagestream.Writer {
	streams := w.Streams
	streams.Attempts, streams.WriteUnchanged = 1, true
	if opts.DryRun {
		streams.Store = DryRun(streams.Store)
	}
	return &streams
}

func (w *Writer) now() time.Time {
	if w.Streams.Now != nil {
		return w.Streams.Now()
	}
	return time.Now()
}

func (w *Writer) reader() *Reader {
	return &Reader{
		Source: w.Streams.Store, InternalRegistry: w.Streams.Settings.InternalRegistry, ExternalRegistry: w.Streams.Settings.ExternalRegistry, Now: w.now,
	}
}

// DryRunUID is the uid of an object that a dry run would have created.
const DryRunUID = "dry-run"

// DryRun returns a store that reads from s, checks writes of image streams as s would, and keeps nothing of
// them.
func DryRun(s imagestream.Store) imagestream.Store { return dryRun{s} }

type dryRun struct{ imagestream.Store }

func (d dryRun) CreateImageStream(ctx context.Context, s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	_, err := d.GetImageStream(ctx, s.Key())
	if err == nil {
		return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageStreams, s.Key(), "")
	}
	if !errors.Is(err, imagestream.ErrNotFound) {
		return nil, err
	}
	c := s.Clone()
	c.Metadata.UID = DryRunUID
	return c, nil
}

func (d dryRun) UpdateImageStream(ctx context.Context, s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	old, err := d.GetImageStream(ctx, s.Key())
	if err != nil {
		return nil, err
	}
	if err := imagestream.CheckUpdate(old, s); err != nil {
		return nil, err
	}
	return s.Clone(), nil
}

// retry calls write until it succeeds, or fails otherwise than by a race, or has been called limit times;
// then the error is exhausted, or the last one if that is nil.
func retry(ctx context.Context, limit int, exhausted error, write func() (raced bool, err error)) error {
	for attempt := 1; ; attempt++ {
		raced, err := write()
		if err == nil || !raced {
			return err
		}
		if attempt == limit {
			if exhausted != nil {
				return exhausted
			}
			return err
		}
		if err := pause(ctx, limit, attempt); err != nil {
			return err
		}
	}
}

// pause waits before the next attempt, if there is no limit to them: few are made at once, as in the real
// system.
func pause(ctx context.Context, limit, attempt int) error {
	if limit > 0 {
		return ctx.Err()
	}
	return imagestream.Pause(ctx, attempt, nil)
}

// isRace reports whether err means that somebody else wrote first.
func isRace(err error) bool {
	return errors.Is(err, imagestream.ErrConflict) || errors.Is(err, imagestream.ErrAlreadyExists)
}

func timeout(resource string, key imagestream.Key) error {
	return imagestream.NewError(imagestream.ReasonServerTimeout, resource, key, "others kept changing the image stream: try again")
}

// accept checks namespace and name of a new object, and sets what a server sets.
func accept(m *imagestream.ObjectMeta, resource, namespace string, now imagestream.Time) error {
	switch {
	case m.GenerateName != "" && m.Name == "":
		return imagestream.NewError(imagestream.ReasonInternalError, resource, imagestream.Key{Namespace: namespace, Name: m.GenerateName}, "names of tags are not generated: give metadata.name")
	case m.Namespace != "" && m.Namespace != namespace:
		return imagestream.NewError(imagestream.ReasonBadRequest, resource, imagestream.Key{Namespace: namespace, Name: m.Name}, fmt.Sprintf("the request is for the namespace %q", namespace))
	}
	m.Namespace = namespace
	m.CreationTimestamp = now
	return nil
}

// withTagDefaults returns a copy of t with its defaults; nil stays nil.
func withTagDefaults(t *imagestream.TagReference) *imagestream.TagReference {
	if t == nil {
		return nil
	}
	c := imagestream.WithDefaults(&imagestream.ImageStream{Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{*t}}})
	return &c.Spec.Tags[0]
}

func (w *Writer) allowlist() imagestream.Allowlist {
	return imagestream.NewAllowlist(w.Streams.Settings.AllowedRegistries, w.Streams.Settings.InternalRegistry)
}

// exempting returns the allowlist for an update of a spec tag: where it comes from already stays allowed.
func (w *Writer) exempting(old *imagestream.TagReference) imagestream.Allowlist {
	list := w.allowlist()
	if old != nil && old.From != nil && old.From.Kind == imagestream.KindDockerImage {
		list = list.WithRepositories(old.From.Name)
	}
	return list
}

func isInsecure(m *imagestream.ObjectMeta) bool {
	return m.Annotations[imagestream.InsecureRepositoryAnnotation] == "true"
}

// streamKey splits the name of a new tag. The stream's name must be one that can be read.
func streamKey(resource string, m *imagestream.ObjectMeta) (imagestream.Key, string, error) {
	stream, tag, ok := pullspec.SplitTag(m.Name)
	switch {
	case !ok:
		return imagestream.Key{}, "", imagestream.NewError(imagestream.ReasonUnknown, resource, imagestream.Key{Namespace: m.Namespace, Name: m.Name}, "the name is <image stream>:<tag>")
	case stream == "" || !pullspec.IsPathSegment(stream):
		return imagestream.Key{}, "", imagestream.NewError(imagestream.ReasonBadRequest, resource, imagestream.Key{Namespace: m.Namespace, Name: m.Name}, fmt.Sprintf("%q cannot be the name of an image stream", stream))
	}
	return imagestream.Key{Namespace: m.Namespace, Name: stream}, tag, nil
}

// create adds a spec tag, nil for none, to a stream that may not exist yet.
func (w *Writer) create(ctx context.Context, resource string, key imagestream.Key, tag string, spec *imagestream.TagReference, opts WriteOptions) (*imagestream.ImageStream, error) {
	var stored *imagestream.ImageStream
	name := imagestream.Key{Namespace: key.Namespace, Name: pullspec.JoinTag(key.Name, tag)}
	err := retry(ctx, w.Attempts.Create, timeout(resource, name), func() (raced bool, err error) {
		taken := false
		var unborn *imagestream.ImageStream
		streams := w.once(opts)
		stored, err = streams.UpsertInternal(ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next := old
			if next == nil {
				next = newStream(key)
			}
			if _, taken = next.SpecTag(tag); taken {
				return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, resource, name, "")
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
		}, imagestream.PrepareCreate)
		if unborn != nil {
			// Upstream quirk (op istag.create): a stream without a creation time counts as one that does not
			// exist, and its resource version makes creating it fail.
			stored, err = streams.Create(ctx, unborn)
		}
		return isRace(err) && !taken, err
	})
	return stored, err
}

var errUnborn = errors.New("the image stream has no creation time")

func newStream(key imagestream.Key) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
	}
}

// CreateImageStreamTag adds the spec tag of t to its stream, which is created if it does not exist. Errors
// are of class [imagestream.ErrInvalid] with the wrong fields, [imagestream.ErrAlreadyExists] if the spec has
// the tag, or have a reason that says what is wrong with the request. Source: op istag.create.
func (w *Writer) CreateImageStreamTag(ctx context.Context, namespace string, t *imagestream.ImageStreamTag, opts WriteOptions) (*imagestream.ImageStreamTag, error) {
	m := t.Metadata.Clone()
	if err := accept(&m, resourceTags, namespace, imagestream.Time(0)); err != nil {
		return nil, err
	}
	spec := withTagDefaults(t.Tag)
	if errs := w.validateNewTag(&m, spec); len(errs) > 0 {
		return nil, imagestream.NewInvalid(resourceTags, imagestream.Key{Namespace: namespace, Name: m.Name}, errs)
	}
	key, tag, err := streamKey(resourceTags, &m)
	if err != nil {
		return nil, err
	}
	s, err := w.create(ctx, resourceTags, key, tag, spec, opts)
	if err != nil {
		return nil, err
	}
	return w.answerTag(ctx, s, tag)
}

func (w *Writer) validateNewTag(m *imagestream.ObjectMeta, spec *imagestream.TagReference) imagestream.ErrorList {
	errs := imagestream.ValidateMetadata(m, true)
	if spec == nil {
		return errs
	}
	errs = append(errs, imagestream.ValidateTag(*spec, "tag", isInsecure(m), w.allowlist())...)
	if spec.Annotations != nil && !maps.Equal(spec.Annotations, m.Annotations) {
		errs = append(errs, &imagestream.FieldError{
			Type: imagestream.FieldInvalid, Field: "tag.annotations", Detail: "these are the annotations in metadata, or none",
		})
	}
	return errs
}

// answerTag returns the tag as it is after a write: an image that does not exist is no error.
func (w *Writer) answerTag(ctx context.Context, s *imagestream.ImageStream, tag string) (*imagestream.ImageStreamTag, error) {
	image, err := w.image(ctx, s, tag)
	if err != nil {
		return nil, err
	}
	return NewImageStreamTag(s, tag, image, w.reader().env())
}

func (w *Writer) image(ctx context.Context, s *imagestream.ImageStream, tag string) (*imagestream.Image, error) {
	latest, ok := s.LatestEvent(tag)
	if !ok || latest.Image == "" {
		return nil, nil
	}
	image, err := w.Streams.Store.GetImage(ctx, latest.Image)
	if errors.Is(err, imagestream.ErrNotFound) {
		return nil, nil
	}
	return image, err
}

// CreateImageTag adds the spec of t to its stream, which is created if it does not exist. Errors are those of
// [Writer.CreateImageStreamTag]. Source: op imagetag.create.
func (w *Writer) CreateImageTag(ctx context.Context, namespace string, t *imagestream.ImageTag, opts WriteOptions) (*imagestream.ImageTag, error) {
	m := t.Metadata.Clone()
	if err := accept(&m, resourceTags, namespace, imagestream.Time(0)); err != nil {
		return nil, err
	}
	spec, errs := w.validateNewImageTag(&m, t.Spec)
	if len(errs) > 0 {
		return nil, imagestream.NewInvalid(resourceTags, imagestream.Key{Namespace: namespace, Name: m.Name}, errs)
	}
	key, tag, err := streamKey(resourceTags, &m)
	if err != nil {
		return nil, err
	}
	s, err := w.create(ctx, resourceTags, key, tag, spec, opts)
	if err != nil {
		return nil, err
	}
	return w.answerImageTag(ctx, s, tag)
}

func (w *Writer) validateNewImageTag(m *imagestream.ObjectMeta, spec *imagestream.TagReference) (*imagestream.TagReference, imagestream.ErrorList) {
	errs := imagestream.ValidateMetadata(m, true)
	if spec == nil {
		return nil, append(errs, &imagestream.FieldError{Type: imagestream.FieldRequired, Field: "spec", Detail: "say where the tag comes from"})
	}
	spec = withTagDefaults(spec)
	_, tag, ok := pullspec.SplitTag(m.Name)
	if ok && spec.Name == "" {
		spec.Name = tag
	}
	if !ok || spec.Name != tag {
		errs = append(errs, wrongTagName(spec.Name))
	}
	return spec, append(errs, imagestream.ValidateTag(*spec, "spec", isInsecure(m), w.allowlist())...)
}

func wrongTagName(name string) *imagestream.FieldError {
	return &imagestream.FieldError{
		Type: imagestream.FieldInvalid, Field: "spec.name", Value: name, Detail: "this is the tag in metadata.name, <image stream>:<tag>",
	}
}

func (w *Writer) answerImageTag(ctx context.Context, s *imagestream.ImageStream, tag string) (*imagestream.ImageTag, error) {
	image, err := w.image(ctx, s, tag)
	if err != nil {
		return nil, err
	}
	v, _, err := NewImageTag(s, tag, image, w.reader().env())
	return v, err
}

// DeleteTag removes a tag, <stream>:<tag>, with spec and history. Errors are of class
// [imagestream.ErrNotFound] if there is no such tag, [imagestream.ErrConflict] if the stream has another uid
// than the preconditions, or of class [imagestream.ErrInvalid], since what remains of the stream must be
// right. Source: ops istag.delete and imagetag.delete.
func (w *Writer) DeleteTag(ctx context.Context, namespace, name string, opts WriteOptions) error {
	stream, tag, err := pullspec.ParseTag(name)
	if err == nil && !pullspec.IsPathSegment(stream) {
		err = fmt.Errorf("%q cannot be the name of an image stream", stream)
	}
	if err != nil {
		return imagestream.NewError(imagestream.ReasonBadRequest, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, err.Error())
	}
	key := imagestream.Key{Namespace: namespace, Name: stream}
	return retry(ctx, w.Attempts.Delete, timeout(resourceTags, imagestream.Key{Namespace: namespace, Name: name}), func() (bool, error) {
		writing := false
		_, err := w.once(opts).UpdateInternal(ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if uid := opts.Preconditions.UID; uid != "" && uid != old.Metadata.UID {
				return nil, imagestream.NewError(imagestream.ReasonConflict, resourceTags, imagestream.Key{Namespace: namespace, Name: name},
					"the uid of its image stream is "+old.Metadata.UID)
			}
			next := edit.WithoutTag(old, tag)
			if next == old {
				return nil, imagestream.NewError(imagestream.ReasonNotFound, resourceTags, imagestream.Key{Namespace: namespace, Name: name}, "")
			}
			writing = true
			return next, nil
		})
		if writing && errors.Is(err, imagestream.ErrNotFound) {
			return false, nil
		}
		return writing && isRace(err), err
	})
}
