package rest

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
)

// Server is an [API] on a Store. Only Engine must be set. It is safe for concurrent use, and its fields must not
// change while it is used.
type Server struct {
	// Engine has the Store, the authorizer, the settings and the clock.
	Engine *write.Engine
	// Importer imports; nil answers every import with [ErrNoImporter]. It must write to the same Store.
	Importer *importer.Importer
	// Secrets returns the secrets of a namespace; nil is none. ImageStreams.Secrets shows those of them that hold
	// a docker configuration.
	Secrets func(ctx context.Context, namespace string) ([]Secret, error)
	// Attempts returns how often a write of a resource is tried when others write too, by the name of the verb:
	// "create", "update" or "delete". Nil, and 0, are [write.Engine.Attempts].
	Attempts func(resource, verb string) int
}

var _ API = (*Server)(nil)

// New returns a Server that keeps streams in store and imports from registry, with the real system's answers. A nil
// registry imports nothing.
func New(store imagestream.Store, registry importer.Registry) *Server {
	s := &Server{Engine: &write.Engine{Store: store}}
	if registry != nil {
		s.Importer = &importer.Importer{Engine: s.Engine, Registry: registry}
	}
	return s
}

var (
	// ErrNoStore means that a server without a Store was asked for something.
	ErrNoStore = errors.New("there is no store to keep image streams in: set Server.Engine to a write.Engine with a Store")
	// ErrNoImporter means that a server without an Importer was asked to import.
	ErrNoImporter = fmt.Errorf("importing is %w: there is no importer; "+
		"set Server.Importer to import images from registries", imagestream.ErrUnsupported)
)

// ImageStreams returns the verbs of imagestreams.
func (s *Server) ImageStreams() ImageStreams { return streams{s} }

// ImageStreamTags returns the verbs of imagestreamtags.
func (s *Server) ImageStreamTags() ImageStreamTags {
	return streamTags{tags{s, imagestream.ResourceImageStreamTags}}
}

// ImageTags returns the verbs of imagetags.
func (s *Server) ImageTags() ImageTags { return imageTags{tags{s, imagestream.ResourceImageTags}} }

// ImageStreamImages returns the verbs of imagestreamimages.
func (s *Server) ImageStreamImages() ImageStreamImages { return streamImages{s} }

// ImageStreamMappings returns the verbs of imagestreammappings.
func (s *Server) ImageStreamMappings() ImageStreamMappings { return mappings{s} }

// ImageStreamImports returns the verbs of imagestreamimports.
func (s *Server) ImageStreamImports() ImageStreamImports { return imports{s} }

// Images returns the verbs of images.
func (s *Server) Images() Images { return images{s} }

// ImageSignatures returns the verbs of imagesignatures.
func (s *Server) ImageSignatures() ImageSignatures { return signatures{s} }

// engine returns what writes; without a Store, one whose Store answers with ErrNoStore.
func (s *Server) engine() *write.Engine {
	if s.Engine == nil || s.Engine.Store == nil {
		return &write.Engine{Store: noStore{}}
	}
	return s.Engine
}

func (s *Server) store() imagestream.Store { return s.engine().Store }

func (s *Server) attempts(resource, verb string) int {
	if s.Attempts == nil {
		return 0
	}
	return s.Attempts(resource, verb)
}

// gaveUp returns the error of a write: instead if others overtook it until its last attempt.
func gaveUp(err error, instead *imagestream.StatusError) error {
	var conflict *write.ConflictError
	if !errors.As(err, &conflict) || conflict.Cause != nil {
		return err
	}
	instead.Err = err
	return instead
}

// inNamespace checks the namespace of an object that a request is for, and sets it.
func inNamespace(m *imagestream.ObjectMeta, resource, namespace string) error {
	if m.Namespace != "" && m.Namespace != namespace {
		return badRequest(resource, imagestream.Key{Namespace: namespace, Name: m.Name}, fmt.Sprintf(
			"the object's namespace is %q: it must be the request's, %q", m.Namespace, namespace))
	}
	m.Namespace = namespace
	return nil
}

func noObject(resource, namespace string) error {
	return badRequest(resource, imagestream.Key{Namespace: namespace}, "there is no object to create")
}

func badRequest(resource string, key imagestream.Key, message string) error {
	return imagestream.NewError(imagestream.ReasonBadRequest, resource, key, message)
}

// noStore is the Store of a server that has none.
type noStore struct{}

func (noStore) GetImageStream(context.Context, imagestream.Key) (*imagestream.ImageStream, error) {
	return nil, ErrNoStore
}

func (noStore) ListImageStreams(context.Context, imagestream.ListOptions) (*imagestream.ImageStreamList, error) {
	return nil, ErrNoStore
}

func (noStore) WatchImageStreams(
	context.Context,
	imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return failed[imagestream.ImageStream](ErrNoStore)
}

func (noStore) CreateImageStream(context.Context, *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return nil, ErrNoStore
}

func (noStore) UpdateImageStream(context.Context, *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return nil, ErrNoStore
}

func (noStore) DeleteImageStream(context.Context, imagestream.Key, imagestream.Preconditions) error {
	return ErrNoStore
}

func (noStore) GetImage(context.Context, string) (*imagestream.Image, error) { return nil, ErrNoStore }

func (noStore) ListImages(context.Context, imagestream.ListOptions) (*imagestream.ImageList, error) {
	return nil, ErrNoStore
}

func (noStore) WatchImages(
	context.Context,
	imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	return failed[imagestream.Image](ErrNoStore)
}

func (noStore) CreateImage(context.Context, *imagestream.Image) (*imagestream.Image, error) {
	return nil, ErrNoStore
}

func (noStore) UpdateImage(context.Context, *imagestream.Image) (*imagestream.Image, error) {
	return nil, ErrNoStore
}

func (noStore) DeleteImage(context.Context, string, imagestream.Preconditions) error {
	return ErrNoStore
}

// failed is a watch that ends with err.
func failed[T any](err error) iter.Seq2[imagestream.Change[T], error] {
	return func(yield func(imagestream.Change[T], error) bool) { yield(imagestream.Change[T]{}, err) }
}
