package lookup

import (
	"context"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Source is where a [Resolver] reads. Errors of class [imagestream.ErrNotFound] mean that there is none; any
// other ends the lookup. An [imagestream.Reader] is one.
type Source interface {
	GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error)
	GetImage(ctx context.Context, name string) (*imagestream.Image, error)
}

// Resolver looks references up. It keeps nothing between calls, and is safe for concurrent use if its source
// is.
type Resolver struct {
	Source Source
	// InternalRegistry is the host of the registry that streams are served from, "" if there is none.
	InternalRegistry string
}

// Changes returns what the references of object become, object being in namespace if it does not say. Each
// stream and image is read once. Object is not changed; see [Apply].
func (r *Resolver) Changes(ctx context.Context, object map[string]any, namespace string) ([]Change, error) {
	streams := map[imagestream.Key]*imagestream.ImageStream{}
	images := map[string]bool{}
	var changes []Change
	for _, c := range Candidates(object, namespace, r.InternalRegistry) {
		stream, ok := streams[c.Stream]
		if !ok {
			found, err := r.Source.GetImageStream(ctx, c.Stream)
			switch {
			case err == nil:
				stream = found
			case !errors.Is(err, imagestream.ErrNotFound):
				return nil, fmt.Errorf("look up %s: get image stream %s: %w", c.Image, c.Stream, err)
			}
			streams[c.Stream] = stream
		}
		a := Decide(c, stream, r.InternalRegistry)
		if a.Image != "" {
			exists, ok := images[a.Image]
			if !ok {
				_, err := r.Source.GetImage(ctx, a.Image)
				if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
					return nil, fmt.Errorf("look up %s: get image %s: %w", c.Image, a.Image, err)
				}
				exists = err == nil
				images[a.Image] = exists
			}
			if !exists {
				continue
			}
		}
		if a.To != "" && a.To != c.Image {
			changes = append(changes, Change{Path: c.Path, From: c.Image, To: a.To, Why: a.Why})
		}
	}
	return changes, nil
}
