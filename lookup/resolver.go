package lookup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Source is where a [Resolver] reads. Errors of class [imagestream.ErrNotFound] mean that there is none; any
// other ends the lookup. An [imagestream.Reader] is one. It must be safe for concurrent use.
type Source interface {
	GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error)
	GetImage(ctx context.Context, name string) (*imagestream.Image, error)
}

// ErrNoImages is what a [Source] returns, bare or wrapped, that has image streams and no images. A [Resolver] then
// resolves from the streams alone, and marks what it decided so as assumed.
var ErrNoImages = errors.New("images are not known, only image streams")

// Streams is a [Source] of image streams alone, such as those that a file has.
type Streams map[imagestream.Key]*imagestream.ImageStream

// GetImageStream implements [Source].
func (s Streams) GetImageStream(_ context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if stream, ok := s[key]; ok {
		return stream, nil
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, "imagestreams", key, "not found")
}

// GetImage implements [Source]: it returns [ErrNoImages].
func (s Streams) GetImage(context.Context, string) (*imagestream.Image, error) {
	return nil, ErrNoImages
}

// Resolver reviews objects: it reads what a [Policy] needs to know, each stream and image once for an object, several
// at a time. Only Source must be set. It is safe for concurrent use, and its fields are not to be changed once it is
// used.
type Resolver struct {
	Source Source
	// InternalRegistry is the host of the registry that streams are served from, "" if there is none.
	InternalRegistry string
	// Policy is the image policy; nil is that of clusters.
	Policy  *Policy
	Options Options
	// Keep is how long what was read is kept for other objects; 0 keeps nothing.
	Keep time.Duration
	// Now is the clock that Keep goes by; nil is time.Now.
	Now func() time.Time

	mu      sync.Mutex
	streams map[imagestream.Key]kept[*imagestream.ImageStream]
	images  map[string]kept[*imagestream.Image]
}

// kept is something that was read, until a time.
type kept[T any] struct {
	object T
	until  time.Time
}

// Changes returns what the references of a new object become, object being in namespace if it does not say. Object is
// not changed; see [Apply]. An object that the policy refuses is an error, a *imagestream.StatusError.
func (r *Resolver) Changes(ctx context.Context, object map[string]any, namespace string) ([]Change, error) {
	metadata, _ := object["metadata"].(map[string]any)
	if own, _ := metadata["namespace"].(string); own != "" {
		namespace = own
	}
	review, err := r.Review(ctx, &Request{Namespace: namespace, Object: object, Options: r.Options})
	if err != nil {
		return nil, err
	}
	if review.Refused != nil {
		return nil, review.Refused
	}
	return review.Changes, nil
}

// Renew looks the short names of an object up again, those that its annotation remembers and those that it has: the
// result is the object as it is to be now, with the annotation, or object itself if nothing changes. A short name that
// cannot be looked up any more stays the image that it became; a reference that somebody has edited since is theirs, see
// [RestoreShortNames]. Errors are those of [Resolver.Changes] and of an annotation that cannot be read.
func (r *Resolver) Renew(ctx context.Context, object map[string]any, namespace string) (map[string]any, error) {
	names, err := ShortNames(object)
	if err != nil {
		return nil, err
	}
	restored, err := RestoreShortNames(object)
	if err != nil {
		return nil, err
	}
	changes, err := r.Changes(ctx, restored, namespace)
	if err != nil {
		return nil, err
	}
	return renewed(object, restored, names, changes)
}

// ChangesJSON is Changes for an object as JSON. See [ApplyJSON].
func (r *Resolver) ChangesJSON(ctx context.Context, raw []byte, namespace string) ([]Change, error) {
	var object map[string]any
	if err := json.Unmarshal(raw, &object); err != nil {
		return nil, err
	}
	return r.Changes(ctx, object, namespace)
}

// Review says what becomes of an object, as [Policy.Review] does; a refusal is not an error. An object that changes is
// then reviewed as it will be, as the real system does, and may be refused for that; its changes are in the review
// all the same. Errors are those of the source, and that of ctx.
func (r *Resolver) Review(ctx context.Context, req *Request) (Review, error) {
	policy := r.Policy
	if policy == nil {
		policy = defaultPolicy
	}
	known := &Known{
		InternalRegistry: r.InternalRegistry,
		Streams:          map[imagestream.Key]*imagestream.ImageStream{}, Images: map[string]*imagestream.Image{},
	}
	admitted, err := r.review(ctx, policy, req, known)
	if err != nil || admitted.Refused != nil || !policy.mayRefuse() {
		return admitted, err
	}
	validated := *req
	validated.Validate, validated.Object = true, Apply(req.Object, admitted.Changes)
	after, err := r.review(ctx, policy, &validated, known)
	admitted.Refused = after.Refused
	return admitted, err
}

// mayRefuse reports whether the policy can refuse anything that it let in before it was changed.
func (p *Policy) mayRefuse() bool {
	return len(p.config.ExecutionRules) > 0 || p.config.ResolveImages.requires()
}

// review reads until nothing is needed any more.
func (r *Resolver) review(ctx context.Context, policy *Policy, req *Request, known *Known) (Review, error) {
	for {
		review := policy.Review(req, known)
		if review.Needs.IsEmpty() {
			return review, nil
		}
		if err := r.read(ctx, review.Needs, known); err != nil {
			return Review{}, err
		}
	}
}

// maxReads is how many objects are read at a time.
const maxReads = 8

// read adds what is needed to what is known: what is kept of it, and the rest by reading it.
func (r *Resolver) read(ctx context.Context, needs Needs, known *Known) error {
	now := r.now()
	streams := readKept(r, &r.streams, needs.Streams, known.Streams, now)
	images := readKept(r, &r.images, needs.Images, known.Images, now)
	reads := make([]func() error, 0, len(streams)+len(images))
	var mu sync.Mutex
	for _, key := range streams {
		reads = append(reads, func() error {
			return readOne(ctx, &mu, "image stream "+key.String(), key, known.Streams, r.Source.GetImageStream)
		})
	}
	for _, name := range images {
		reads = append(reads, func() error { return readOne(ctx, &mu, "image "+name, name, known.Images, r.Source.GetImage) })
	}
	if err := doAll(reads); errors.Is(err, ErrNoImages) {
		known.NoImages = true
		return r.read(ctx, Needs{Streams: needs.Streams}, known)
	} else if err != nil {
		return err
	}
	keep(r, &r.streams, streams, known.Streams, now)
	keep(r, &r.images, images, known.Images, now)
	return nil
}

// now is the time by which objects are kept.
func (r *Resolver) now() time.Time {
	switch {
	case r.Keep <= 0:
		return time.Time{}
	case r.Now != nil:
		return r.Now()
	}
	return time.Now()
}

// doAll calls functions, several at a time, and returns the first error in their order.
func doAll(do []func() error) error {
	if len(do) == 1 {
		return do[0]()
	}
	errs := make([]error, len(do))
	slots := make(chan struct{}, maxReads)
	var wg sync.WaitGroup
	for i := range do {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			errs[i] = do[i]()
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readOne reads an object, nil if it does not exist.
func readOne[K comparable, T any](
	ctx context.Context, mu *sync.Mutex, what string, key K, known map[K]*T, get func(context.Context, K) (*T, error),
) error {
	object, err := get(ctx, key)
	if errors.Is(err, imagestream.ErrNotFound) {
		object, err = nil, nil
	}
	if err != nil {
		return fmt.Errorf("get %s: %w", what, err)
	}
	mu.Lock()
	defer mu.Unlock()
	known[key] = object
	return nil
}

// readKept adds what is kept to what is known, and returns what is not.
func readKept[K comparable, T any](r *Resolver, cache *map[K]kept[*T], keys []K, known map[K]*T, now time.Time) []K {
	if r.Keep <= 0 {
		return keys
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []K
	for _, key := range keys {
		if have, ok := (*cache)[key]; ok && now.Before(have.until) {
			known[key] = have.object
		} else {
			rest = append(rest, key)
		}
	}
	return rest
}

// keep keeps what was read.
func keep[K comparable, T any](r *Resolver, cache *map[K]kept[*T], keys []K, known map[K]*T, now time.Time) {
	if r.Keep <= 0 || len(keys) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if *cache == nil || len(*cache)+len(keys) > maxKept {
		*cache = map[K]kept[*T]{}
	}
	for _, key := range keys {
		(*cache)[key] = kept[*T]{known[key], now.Add(r.Keep)}
	}
}

// maxKept is how many streams, and how many images, are kept: what is more begins anew.
const maxKept = 10_000
