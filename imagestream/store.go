package imagestream

import (
	"cmp"
	"context"
	"iter"
)

// Key names an image stream.
type Key struct{ Namespace, Name string }

// String returns namespace/name.
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then by name, in byte order.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// Reader reads image streams and images. A store is one; so is a cluster's API, or what an informer keeps of
// it.
//
// Ownership: what a method returns belongs to the caller, who may change it; an implementation keeps no
// memory that is reachable from it.
//
// Errors: an object that does not exist is an error of class [ErrNotFound]; a continue token or a resource
// version that is too old, one of class [ErrGone]. When ctx ends, the error is that of ctx. Any other error
// means that the reader failed, and says nothing about the object.
//
// Resource versions are opaque: they compare for equality, nothing else. All objects of a reader have their
// versions from one sequence, so that one can be given to Watch.
//
// Implementations are safe for concurrent use.
type Reader interface {
	// GetImageStream returns the stream of that key. A read that begins after a write has returned sees that
	// write, unless the implementation says that it reads a copy.
	GetImageStream(ctx context.Context, key Key) (*ImageStream, error)
	// ListImageStreams returns a page of streams, ordered by namespace, then by name. All pages of one list
	// show one state; its resource version is in the metadata, the same on each page. Metadata.Continue is
	// empty on the last page.
	ListImageStreams(ctx context.Context, opts ListOptions) (*ImageStreamList, error)
	// WatchImageStreams yields what happens to streams after opts.ResourceVersion, without a gap and in the
	// order of the writes; the changes of one stream never change places. It goes on until the caller stops,
	// or ends with an error: that of ctx, one of class ErrGone if the version is too old or the watcher too
	// slow, or a failure. After ErrGone the caller lists again and watches from there.
	WatchImageStreams(ctx context.Context, opts WatchOptions) iter.Seq2[Change[ImageStream], error]

	// GetImage, ListImages and WatchImages do the same for images, which belong to no namespace and are
	// ordered by name.
	GetImage(ctx context.Context, name string) (*Image, error)
	ListImages(ctx context.Context, opts ListOptions) (*ImageList, error)
	WatchImages(ctx context.Context, opts WatchOptions) iter.Seq2[Change[Image], error]
}

// Store reads and writes image streams and images. It is dumb on purpose: it applies no rule of image
// streams, and stores what it is given. The rules are the transitions, [PrepareCreate] and its like; package
// write puts both together.
//
// Ownership: a method neither changes nor keeps the object it is given, and returns the object as stored, the
// caller's own.
//
// Versions: each write gives the object a new resource version, different from every earlier one. A write of
// an object that would store the same bytes as before may keep the version and write nothing.
//
// Errors, beyond those of [Reader]: [ErrAlreadyExists], [ErrConflict], [ErrTooLarge] for an object that the
// store cannot hold. A write that returns one of these classes has written nothing. After any other error,
// that of ctx among them, it may have been written or not.
type Store interface {
	Reader

	// CreateImageStream stores a new stream. The store sets uid and resource version; one in the argument is
	// an error, that of [ImageStream.CheckUnversioned].
	CreateImageStream(ctx context.Context, stream *ImageStream) (*ImageStream, error)
	// UpdateImageStream replaces a stream if its stored resource version is the argument's, and a uid in the
	// argument is the stored one. Otherwise the error is of class ErrConflict; an argument without resource
	// version is always one. The stored uid stays.
	UpdateImageStream(ctx context.Context, stream *ImageStream) (*ImageStream, error)
	// DeleteImageStream removes a stream. A precondition that does not hold is an ErrConflict.
	DeleteImageStream(ctx context.Context, key Key, only Preconditions) error

	// CreateImage, UpdateImage and DeleteImage do the same for images. A resource version of a new image is
	// ignored.
	CreateImage(ctx context.Context, image *Image) (*Image, error)
	UpdateImage(ctx context.Context, image *Image) (*Image, error)
	DeleteImage(ctx context.Context, name string, only Preconditions) error
}

// ListOptions say which objects a list has. The zero value is all of them on one page.
type ListOptions struct {
	// Namespace restricts the list to one namespace. Images have none and ignore it.
	Namespace string
	Labels    Selector
	// Limit is how many objects a page has at most; 0 is all.
	Limit int
	// Continue is the token of the page before; empty for the first page. The other options must be those of
	// that page.
	Continue string
}

// WatchOptions say what a watch reports.
type WatchOptions struct {
	Namespace string
	// Name restricts the watch to the objects of one name; empty is all.
	Name   string
	Labels Selector
	// ResourceVersion is that of a list, or of an object: the watch reports what happened after it. Empty
	// starts with an Added for every object that is there, as if the watch were as old as the store.
	ResourceVersion string
}

// Change is one thing that happened.
type Change[T any] struct {
	Type ChangeType
	// Object is the object as written, or as it was last if it is gone. It is the receiver's own. Its
	// resource version is that of the change, also of a deletion; a watch can go on from there.
	Object *T
}

// ChangeType is what happened to an object.
type ChangeType string

// The types of change, by the names of the API. An object that begins or ceases to match the labels of a
// watch is added or deleted there. A bookmark is no change: its object has nothing but a resource version
// that the watch has reached. Not every reader sends them.
const (
	Added    ChangeType = "ADDED"
	Modified ChangeType = "MODIFIED"
	Deleted  ChangeType = "DELETED"
	Bookmark ChangeType = "BOOKMARK"
)

// All yields every object of a list, page by page, and ends with the first error. List is a [Reader]'s
// ListImageStreams or ListImages.
func All[T any, L interface{ page() ([]T, string) }](
	ctx context.Context,
	list func(context.Context, ListOptions) (L, error),
	opts ListOptions,
) iter.Seq2[*T, error] {
	return func(yield func(*T, error) bool) {
		for {
			l, err := list(ctx, opts)
			if err != nil {
				yield(nil, err)
				return
			}
			items, next := l.page()
			for i := range items {
				if !yield(&items[i], nil) {
					return
				}
			}
			if opts.Continue = next; next == "" {
				return
			}
		}
	}
}

func (l *ImageStreamList) page() ([]ImageStream, string) { return l.Items, l.Metadata.Continue }

func (l *ImageList) page() ([]Image, string) { return l.Items, l.Metadata.Continue }

// Authorizer knows who may do what. It speaks for one caller.
//
// Implementations are safe for concurrent use.
type Authorizer interface {
	// MayGetLayers reports whether the caller may get imagestreams/layers of that stream, which is what it
	// takes to let a tag come from there. It answers for streams that do not exist, too. An error means that
	// nobody knows; it is not a no.
	MayGetLayers(ctx context.Context, stream Key) (bool, error)
}
