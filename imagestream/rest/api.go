package rest

import (
	"context"
	"iter"

	"github.com/imagestreams/imagestreams/imagestream"
)

// API is the verbs of image.openshift.io/v1.
//
// Ownership: what a verb returns is the caller's; an implementation keeps no memory that is reachable from it,
// and neither changes nor keeps an argument. The old object that an update's function gets is frozen.
//
// Errors: a failure that the API words is an [*imagestream.StatusError], with the reason and code that the real
// API gives. What does not exist is of class ErrNotFound, what does already of class ErrAlreadyExists, a wrong
// field of class ErrInvalid with the fields, a version or uid that is not the stored one of class ErrConflict, a
// version or a page that is too old of class ErrGone, what this implementation cannot do of class
// ErrUnsupported, before it does anything. When ctx ends, the error holds that of ctx. An error of an update's
// own function ends the update and is returned as it is.
//
// Reads: a read that begins after a write has returned sees that write, unless the implementation says that it
// reads a copy. Resource versions are opaque, and compare for equality.
//
// Implementations are safe for concurrent use.
type API interface {
	ImageStreams() ImageStreams
	ImageStreamTags() ImageStreamTags
	ImageTags() ImageTags
	ImageStreamImages() ImageStreamImages
	ImageStreamMappings() ImageStreamMappings
	ImageStreamImports() ImageStreamImports
	Images() Images
	ImageSignatures() ImageSignatures
}

// ImageStreams is the resource imagestreams, with the subresources status, layers and secrets.
type ImageStreams interface {
	Getter[imagestream.ImageStream]
	// List orders streams by namespace and name.
	Lister[imagestream.ImageStreamList]
	Watcher[imagestream.ImageStream]
	// Create stores a new stream by the rules of [imagestream.PrepareCreate]. A name is generated if the stream
	// has none but a generateName.
	Creator[imagestream.ImageStream]
	// Update follows [imagestream.PrepareUpdate]: the status stays, but for what the spec says of it. It creates
	// a stream only if UpdateOptions.OrCreate is set.
	Updater[imagestream.ImageStream]
	// Delete removes a stream with its histories. The images stay.
	Deleter

	// UpdateStatus follows [imagestream.PrepareStatusUpdate]: only the status changes.
	UpdateStatus(
		ctx context.Context,
		key imagestream.Key,
		change Change[imagestream.ImageStream],
		opts UpdateOptions,
	) (*imagestream.ImageStream, error)
	// Layers returns the images and layers that the stream's histories name.
	Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error)
	// Secrets returns the pull secrets of the stream's namespace that an import may use.
	Secrets(ctx context.Context, key imagestream.Key) (*SecretList, error)
}

// ImageStreamTags is the resource imagestreamtags; a name is <image stream>:<tag>.
type ImageStreamTags interface {
	// Get returns a tag that points at an image which exists; any other is of class ErrNotFound. A name of
	// another form has the reason BadRequest.
	Getter[imagestream.ImageStreamTag]
	// List has the tags that point at an image, ordered by namespace, stream and tag, without their images: an
	// image has a name and a pull spec alone. It ignores Limit and Continue.
	Lister[imagestream.ImageStreamTagList]
	// Create adds the spec tag of a tag to its stream. A tag that the spec has is of class ErrAlreadyExists.
	Creator[imagestream.ImageStreamTag]
	// Update replaces a spec tag, and its annotations by those of the metadata; created tells that the spec did
	// not have the tag.
	Updater[imagestream.ImageStreamTag]
	// Delete removes a tag, spec and history. A precondition's uid is the stream's; a resource version is
	// ignored.
	Deleter
}

// ImageTags is the resource imagetags; a name is <image stream>:<tag>.
type ImageTags interface {
	// Get returns a tag that the stream has in spec or status.
	Getter[imagestream.ImageTag]
	// List has the tags of spec and status, ordered by namespace, stream and tag, without their images. It
	// ignores Limit and Continue.
	Lister[imagestream.ImageTagList]
	// Create adds a spec tag to its stream. A tag that the spec has is of class ErrAlreadyExists.
	Creator[imagestream.ImageTag]
	// Update replaces a spec tag, or removes it where the new object has none; the status stays.
	Updater[imagestream.ImageTag]
	// Delete removes a tag, spec and history, as that of an image stream tag does.
	Deleter
}

// ImageStreamImages is the resource imagestreamimages; a name is <image stream>@<id>, where id is the name of an
// image of the stream's histories, or a prefix of it.
type ImageStreamImages interface {
	Getter[imagestream.ImageStreamImage]
}

// ImageStreamMappings is the resource imagestreammappings.
type ImageStreamMappings interface {
	// Create records what a registry says was pushed: the image, and that the tag points at it now, with the tags
	// that follow it directly. The stream must exist; its spec and generation do not change.
	//
	// The image is stored first, and stays whatever comes of the tag; one that exists is not touched. If others
	// write meanwhile, the push goes on as long as the tag still points where it did; otherwise it is of class
	// ErrConflict. A dry run is not honoured, as in the real system.
	Create(ctx context.Context, namespace string, mapping *imagestream.ImageStreamMapping, opts CreateOptions) error
}

// ImageStreamImports is the resource imagestreamimports.
type ImageStreamImports interface {
	// Create imports what the import asks for, and returns it with its answer. An image that cannot be imported
	// is not an error: its status tells.
	Creator[imagestream.ImageStreamImport]
}

// Images is the resource images, which belong to no namespace.
type Images interface {
	Getter[imagestream.Image]
	// List orders images by name.
	Lister[imagestream.ImageList]
	Watcher[imagestream.Image]
	// Create follows [manifest.PrepareImageCreate]; its namespace is ignored.
	Creator[imagestream.Image]
	// Update follows [manifest.PrepareImageUpdate]. It creates an image only if UpdateOptions.OrCreate is set.
	Updater[imagestream.Image]
	Deleter
}

// ImageSignatures is the resource imagesignatures; a name is <image>@<name>.
type ImageSignatures interface {
	// Create adds a signature to its image. One of the same name, or with the same content, is of class
	// ErrAlreadyExists.
	Creator[imagestream.ImageSignature]
	// Delete removes a signature from its image.
	Deleter
}

// Getter gets one object.
type Getter[T any] interface {
	Get(ctx context.Context, key imagestream.Key) (*T, error)
}

// Lister lists objects.
type Lister[L any] interface {
	List(ctx context.Context, opts ListOptions) (*L, error)
}

// Watcher watches objects. The iterator reports what happens after opts.ResourceVersion, without a gap and in
// order, until the caller stops or an error ends it. After one of class ErrGone the caller lists again.
type Watcher[T any] interface {
	Watch(ctx context.Context, opts WatchOptions) iter.Seq2[imagestream.Change[T], error]
}

// Creator creates an object in a namespace, and returns it as stored. Nil, and an object that names another
// namespace, have the reason BadRequest.
type Creator[T any] interface {
	Create(ctx context.Context, namespace string, object *T, opts CreateOptions) (*T, error)
}

// Updater replaces the object of that key by what change makes of it, and returns it as stored. Created tells
// that it did not exist before.
type Updater[T any] interface {
	Update(
		ctx context.Context,
		key imagestream.Key,
		change Change[T],
		opts UpdateOptions,
	) (stored *T, created bool, err error)
}

// Deleter deletes the object of that key.
type Deleter interface {
	Delete(ctx context.Context, key imagestream.Key, opts DeleteOptions) error
}

// Change makes the new object of an update. The old one is frozen, and nil if the update may create and the
// object does not exist. The function may be called more than once.
type Change[T any] func(old *T) (*T, error)

// apply calls c. A function that returns neither an object nor an error is wrong.
func (c Change[T]) apply(resource string, key imagestream.Key, old *T) (*T, error) {
	next, err := c(old)
	if err == nil && next == nil {
		return nil, badRequest(resource, key, "the change returned no object: return the old one if nothing changes")
	}
	return next, err
}

// Replace returns the change that puts object in the place of whatever there is.
func Replace[T any](object *T) Change[T] { return func(*T) (*T, error) { return object, nil } }

// ListOptions say which objects a list has. The zero value is all of them on one page.
type ListOptions struct {
	// Namespace restricts the list to one namespace; empty is all.
	Namespace string
	// Labels choose by labels; those of a tag are its stream's.
	Labels imagestream.Selector
	// Fields chooses by metadata.name and metadata.namespace, with =, == and !=, joined by commas. Other fields
	// have the reason BadRequest.
	//
	// Upstream quirk: for tags it is applied to the stream first and then to the tag, so metadata.name=<anything>
	// chooses nothing: no stream and tag have the same name. See conformance case istag.list-v3.
	Fields string
	// Limit is how many objects a page has at most; 0 is all.
	Limit int
	// Continue is the token of the page before; empty for the first page. The other options must be those of
	// that page.
	Continue string
}

// WatchOptions say what a watch reports.
type WatchOptions struct {
	Namespace string
	Labels    imagestream.Selector
	// Fields is that of [ListOptions].
	Fields string
	// ResourceVersion is that of a list, or of an object. Empty starts with an Added for every object that is
	// there.
	ResourceVersion string
}

// CreateOptions say how an object is created.
type CreateOptions struct {
	// DryRun computes the answer and stores nothing.
	DryRun bool
}

// UpdateOptions say how an object is updated.
type UpdateOptions struct {
	// DryRun computes the answer and stores nothing.
	DryRun bool
	// OrCreate lets the update create a stream or an image that does not exist, as server-side apply does. An
	// update of a tag creates the stream without it.
	OrCreate bool
}

// DeleteOptions say how an object is deleted.
type DeleteOptions struct {
	// DryRun checks, and deletes nothing.
	DryRun bool
	// Preconditions that do not hold are of class ErrConflict.
	Preconditions imagestream.Preconditions
}

// Secret is a pull secret as the API's core group has it.
type Secret struct {
	imagestream.TypeMeta
	Metadata imagestream.ObjectMeta `json:"metadata"`
	// Data holds the docker configuration under the key that goes with Type.
	Data map[string][]byte `json:"data,omitempty"`
	Type string            `json:"type,omitempty"`
}

// SecretList is a list of secrets.
type SecretList struct {
	imagestream.TypeMeta
	Metadata imagestream.ListMeta `json:"metadata"`
	Items    []Secret             `json:"items"`
}
