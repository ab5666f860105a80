package real

import (
	"context"
	"iter"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

// WithoutTags is a registry that lists no tags, as the real system sees it if it is set to import no tags of a
// repository.
type WithoutTags struct{ importer.Registry }

// Repository implements [importer.Registry].
func (w WithoutTags) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	r, err := w.Registry.Repository(ctx, name, access)
	return withoutTags{r}, err
}

type withoutTags struct{ importer.Repository }

func (withoutTags) Tags(context.Context) iter.Seq2[string, error] {
	return func(func(string, error) bool) {}
}
