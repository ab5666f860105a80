package main

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/internal/real"
)

// caseStore is the store of a case: what env holds, and somebody else who interferes with writes of streams.
type caseStore struct {
	stored
	UID, RV   string
	target    imagestream.Key // the stream that the case writes
	interfere []interference
	touches   int
	bumped    int
	written   bool
	// attempt is how far an attempt to write a stream has come: it was read, or read again, as a store does
	// when it writes.
	attempt int
}

// GetImageStream lets somebody else write before a stream is read a second time: a store would read it then.
func (s *caseStore) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if key == s.target {
		switch s.attempt {
		case 1:
			s.others(key)
			s.attempt = 2
		default:
			s.attempt = 1
		}
	}
	return s.stored.GetImageStream(ctx, key)
}

// refused lets somebody else write whom the case has write before an attempt, if that was to create a stream
// and ended before it reached the store, for the stream was wrong.
func (s *caseStore) refused(err error) {
	var status *imagestream.StatusError
	if errors.As(err, &status) && status.Reason == imagestream.ReasonInvalid &&
		status.Resource == imagestream.ResourceImageStreams &&
		s.attempt == 1 &&
		s.find(s.target) < 0 {
		s.others(s.target)
	}
}

// server is the API on s, with the attempts of the real system.
func (s *caseStore) server() *rest.Server {
	return &rest.Server{Attempts: real.Attempts, Engine: &write.Engine{
		Store: s, Authorizer: s, Settings: s.env().Settings, Now: func() time.Time { return s.Now },
		Pause: func(int) time.Duration { return 0 },
	}}
}

// begin lets somebody else write before a write, unless that has happened in this attempt.
func (s *caseStore) begin(key imagestream.Key) {
	if s.attempt != 2 {
		s.others(key)
	}
	s.attempt = 0
}

// interference is what somebody else does right before a write.
type interference struct {
	Touch  int
	Delete bool
	Stream *imagestream.ImageStream
}

func (s *caseStore) find(key imagestream.Key) int {
	for i, stream := range s.Streams {
		if stream.Key() == key {
			return i
		}
	}
	return -1
}

// others lets somebody else write first, if the case says so.
func (s *caseStore) others(key imagestream.Key) {
	at := s.find(key)
	if s.touches == 0 && len(s.interfere) > 0 {
		next := s.interfere[0]
		s.interfere = s.interfere[1:]
		switch {
		case next.Delete:
			if at >= 0 {
				s.Streams = append(append([]*imagestream.ImageStream(nil), s.Streams[:at]...), s.Streams[at+1:]...)
				s.written = true
			}
			return
		case next.Stream != nil:
			c := next.Stream.Clone()
			s.bump(c)
			s.put(at, c)
			return
		}
		s.touches = next.Touch
	}
	if s.touches > 0 {
		s.touches--
		if at >= 0 {
			c := s.Streams[at].Clone()
			s.bump(c)
			s.put(at, c)
		}
	}
}

// bump gives s a version that nobody has seen.
func (s *caseStore) bump(stream *imagestream.ImageStream) {
	s.stamp(&stream.Metadata)
}

func (s *caseStore) stamp(m *imagestream.ObjectMeta) {
	s.bumped++
	m.ResourceVersion = strconv.Itoa(500000 + s.bumped)
}

func (s *caseStore) put(at int, stream *imagestream.ImageStream) {
	streams := append([]*imagestream.ImageStream(nil), s.Streams...)
	if at < 0 {
		streams = append(streams, stream)
	} else {
		streams[at] = stream
	}
	s.Streams, s.written = streams, true
}

func (s *caseStore) CreateImageStream(
	_ context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	s.begin(stream.Key())
	if err := stream.CheckUnversioned(); err != nil {
		return nil, err
	}
	if s.find(stream.Key()) >= 0 {
		return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageStreams, stream.Key(), "")
	}
	c := stream.Clone()
	c.Metadata.UID = s.UID
	s.bump(c)
	s.put(-1, c)
	return c.Clone(), nil
}

func (s *caseStore) UpdateImageStream(
	_ context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	s.begin(stream.Key())
	at := s.find(stream.Key())
	if at < 0 {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, stream.Key(), "")
	}
	old := s.Streams[at]
	if stream.Metadata.ResourceVersion != old.Metadata.ResourceVersion || stream.Metadata.UID != old.Metadata.UID {
		return nil, imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, stream.Key(), "")
	}
	c := stream.Clone()
	if c.Same(old) {
		return c, nil
	}
	s.bump(c)
	s.put(at, c)
	return c.Clone(), nil
}

func (s *caseStore) DeleteImageStream(context.Context, imagestream.Key, imagestream.Preconditions) error {
	return errors.New("no op deletes a stream")
}

func (s *caseStore) CreateImage(_ context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	if _, err := s.GetImage(context.Background(), image.Metadata.Name); err == nil {
		return nil, imagestream.NewError(
			imagestream.ReasonAlreadyExists,
			imagestream.ResourceImages,
			imagestream.Key{Name: image.Metadata.Name},
			"",
		)
	}
	c := image.Clone()
	c.Metadata.UID = s.UID
	s.stamp(&c.Metadata)
	s.Images = append(append([]*imagestream.Image(nil), s.Images...), c)
	return c.Clone(), nil
}

func (s *caseStore) UpdateImage(context.Context, *imagestream.Image) (*imagestream.Image, error) {
	return nil, errors.New("no op of a stream updates an image")
}

func (s *caseStore) DeleteImage(context.Context, string, imagestream.Preconditions) error {
	return errors.New("no op deletes an image")
}

func (s *caseStore) ListImages(context.Context, imagestream.ListOptions) (*imagestream.ImageList, error) {
	return nil, errors.New("no op lists images")
}

func (s *caseStore) WatchImageStreams(
	context.Context,
	imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return func(func(imagestream.Change[imagestream.ImageStream], error) bool) {}
}

func (s *caseStore) WatchImages(
	context.Context,
	imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return func(func(imagestream.Change[imagestream.Image], error) bool) {}
}

// MayGetLayers says what the case allows.
func (s *caseStore) MayGetLayers(_ context.Context, key imagestream.Key) (bool, error) {
	return s.allows(key), nil
}

// version shows versions given meanwhile as env.rv.
func (s *caseStore) version(m *imagestream.ObjectMeta) {
	if n, err := strconv.Atoi(m.ResourceVersion); err == nil && n > 500000 && n <= 500000+s.bumped {
		m.ResourceVersion = s.RV
	}
}

// shownStream is the stream of that key as a later read shows it, nil if there is none.
func (s *caseStore) shownStream(key imagestream.Key) any {
	at := s.find(key)
	if at < 0 {
		return nil
	}
	c := s.Streams[at].WithDefaults().Clone()
	c.Status.DockerImageRepository, c.Status.PublicDockerImageRepository = c.Repositories(s.env())
	s.version(&c.Metadata)
	c.Status.Tags = shownHistories(c.Status.Tags)
	return c
}

type writeInput struct {
	Namespace, Name string
	DryRun          bool
	Concurrent      []interference
	Preconditions   struct{ UID string }
}

// write runs a write of a case. Write returns what the answer has beside the stream.
func writeRunner[T any](
	f func(ctx context.Context, api rest.API, in writeInput, object *T) (answer object, m *imagestream.ObjectMeta, err error),
	key func(in writeInput, object *T) imagestream.Key,
) runner {
	return func(c *call) (any, error) {
		var args struct {
			stored
			UID, RV string
		}
		var in writeInput
		var body struct{ Object *T }
		if err := errors.Join(c.env(&args), c.in(&in), c.in(&body)); err != nil {
			return nil, err
		}
		s := &caseStore{
			stored:    args.stored,
			UID:       args.UID,
			RV:        args.RV,
			interfere: in.Concurrent,
			target:    key(in, body.Object),
		}
		answer, m, err := f(context.Background(), s.server(), in, body.Object)
		if err != nil {
			s.refused(err)
			shown, err := failure(err)
			if failed, ok := shown.(object); ok && s.written {
				failed["stream"] = s.shownStream(key(in, body.Object))
			}
			return shown, err
		}
		if m != nil {
			s.version(m)
			if m.UID == write.DryRunUID {
				m.UID = s.UID
			}
		}
		answer["stream"] = s.shownStream(key(in, body.Object))
		return answer, nil
	}
}

func keyOf(namespace, name string) imagestream.Key {
	for i := range name {
		if name[i] == ':' {
			return imagestream.Key{Namespace: namespace, Name: name[:i]}
		}
	}
	return imagestream.Key{Namespace: namespace, Name: name}
}

func tagKey(in writeInput, t *imagestream.ImageStreamTag) imagestream.Key {
	if t != nil && in.Name == "" {
		return keyOf(in.Namespace, t.Metadata.Name)
	}
	return keyOf(in.Namespace, in.Name)
}

func imageTagKey(in writeInput, t *imagestream.ImageTag) imagestream.Key {
	if t != nil && in.Name == "" {
		return keyOf(in.Namespace, t.Metadata.Name)
	}
	return keyOf(in.Namespace, in.Name)
}

func (in writeInput) key() imagestream.Key {
	return imagestream.Key{Namespace: in.Namespace, Name: in.Name}
}

// created is what the answer to a creation has.
func created[T any](v *T, meta func(*T) *imagestream.ObjectMeta, err error) (object, *imagestream.ObjectMeta, error) {
	if err != nil {
		return nil, nil, err
	}
	return object{"object": v}, meta(v), nil
}

// updated is what the answer to an update has.
func updated[T any](
	v *T,
	isNew bool,
	meta func(*T) *imagestream.ObjectMeta,
	err error,
) (object, *imagestream.ObjectMeta, error) {
	answer, m, err := created(v, meta, err)
	if err == nil {
		answer["created"] = isNew
	}
	return answer, m, err
}

func deleted(ctx context.Context, r rest.Deleter, in writeInput) (object, *imagestream.ObjectMeta, error) {
	err := r.Delete(
		ctx,
		in.key(),
		rest.DeleteOptions{DryRun: in.DryRun, Preconditions: imagestream.Preconditions{UID: in.Preconditions.UID}},
	)
	return object{"success": true}, nil, err
}

func tagMeta(t *imagestream.ImageStreamTag) *imagestream.ObjectMeta { return &t.Metadata }
func imageTagMeta(t *imagestream.ImageTag) *imagestream.ObjectMeta  { return &t.Metadata }

var writeOps = map[string]runner{
	"istag.create": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, t *imagestream.ImageStreamTag) (object, *imagestream.ObjectMeta, error) {
			v, err := api.ImageStreamTags().Create(ctx, in.Namespace, t, rest.CreateOptions{DryRun: in.DryRun})
			return created(v, tagMeta, err)
		},
		tagKey,
	),
	"istag.update": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, t *imagestream.ImageStreamTag) (object, *imagestream.ObjectMeta, error) {
			v, isNew, err := api.ImageStreamTags().Update(ctx, in.key(), rest.Replace(t), rest.UpdateOptions{DryRun: in.DryRun})
			return updated(v, isNew, tagMeta, err)
		},
		tagKey,
	),
	"imagetag.create": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, t *imagestream.ImageTag) (object, *imagestream.ObjectMeta, error) {
			v, err := api.ImageTags().Create(ctx, in.Namespace, t, rest.CreateOptions{DryRun: in.DryRun})
			return created(v, imageTagMeta, err)
		},
		imageTagKey,
	),
	"imagetag.update": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, t *imagestream.ImageTag) (object, *imagestream.ObjectMeta, error) {
			v, isNew, err := api.ImageTags().Update(ctx, in.key(), rest.Replace(t), rest.UpdateOptions{DryRun: in.DryRun})
			return updated(v, isNew, imageTagMeta, err)
		},
		imageTagKey,
	),
	"istag.delete": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, _ *imagestream.ImageStreamTag) (object, *imagestream.ObjectMeta, error) {
			return deleted(ctx, api.ImageStreamTags(), in)
		},
		tagKey,
	),
	"imagetag.delete": writeRunner(
		func(ctx context.Context, api rest.API, in writeInput, _ *imagestream.ImageTag) (object, *imagestream.ObjectMeta, error) {
			return deleted(ctx, api.ImageTags(), in)
		},
		imageTagKey,
	),
	"mapping.create": func(c *call) (any, error) {
		var args struct {
			stored
			UID, RV string
		}
		var in writeInput
		var body struct {
			Object *imagestream.ImageStreamMapping
		}
		if err := errors.Join(c.env(&args), c.in(&in), c.in(&body)); err != nil {
			return nil, err
		}
		key := imagestream.Key{Namespace: in.Namespace, Name: body.Object.Metadata.Name}
		s := &caseStore{stored: args.stored, UID: args.UID, RV: args.RV, interfere: in.Concurrent, target: key}
		answer := object{"success": true}
		if err := s.server().
			ImageStreamMappings().
			Create(context.Background(), in.Namespace, body.Object, rest.CreateOptions{}); err != nil {
			shown, err := failure(err)
			if err != nil {
				return nil, err
			}
			answer = shown.(object)
		}
		answer["stream"] = s.shownStream(key)
		if image, err := s.GetImage(context.Background(), body.Object.Image.Metadata.Name); err == nil {
			image = image.Clone()
			s.version(&image.Metadata)
			answer["image"] = image
		}
		return answer, nil
	},
}
