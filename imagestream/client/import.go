package client

import (
	"context"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
)

// New returns a client of its own API: a [*rest.Server] that keeps streams in store and imports from registry. Nil
// imports nothing. Settings, authorizer and clock are fields of its Engine: API.(*rest.Server).Engine.Settings. It
// imports as people want it, where the real system does otherwise: an image that cannot be stored fails its own
// tags alone, and an attestation is not taken for an image.
func New(store imagestream.Store, registry importer.Registry) *Client {
	server := rest.New(store, registry)
	if server.Importer != nil {
		server.Importer.FailAlone, server.Importer.NoAttestations = true, true
	}
	return &Client{API: server}
}

// Import imports tags now, also those that are up to date, and returns the answer; without tags, every one that
// comes from a registry. A tag that follows others of the stream stands for the last of them. A tag that somebody
// changes meanwhile is imported from where it comes then.
//
// What could not be imported is an error of class [importer.ErrFailed], and stands in the answer and in the tag's
// conditions; the rest is imported. [errors.As] finds the [*importer.TagError] of the first tag,
// [importer.Failures] of the answer those of all. A tag that does not come from a registry is of class
// [imagestream.ErrInvalid], and an API that cannot import is of class [imagestream.ErrUnsupported]; nothing is
// imported then.
func (c *Client) Import(
	ctx context.Context,
	stream imagestream.Key,
	tags ...string,
) (*imagestream.ImageStreamImport, error) {
	done, err := retry(ctx, stream, func() (*imagestream.ImageStreamImport, error) {
		s, err := c.Get(ctx, stream)
		if err != nil {
			return nil, err
		}
		names, err := importable(s, tags)
		if err != nil {
			return nil, err
		}
		return c.API.ImageStreamImports().
			Create(ctx, stream.Namespace, importer.ImportOf(s, names...), rest.CreateOptions{})
	})
	if err != nil {
		return nil, err
	}
	return done, importer.Failure(done)
}

// notImportable says why there is nothing to import for a tag.
func notImportable(s *imagestream.ImageStream, tag string) string {
	if edit.Remembered(s)[tag].Source != nil {
		return "the tag was rolled back to an image: Resume lets it come from its registry again"
	}
	return "the tag does not come from a registry: there is nothing to import"
}

// importable returns the names of the tags to import: the ends of the chains that tags begin, or all that come
// from a registry.
func importable(s *imagestream.ImageStream, tags []string) ([]string, error) {
	var names []string
	if len(tags) == 0 {
		for _, t := range s.Spec.Tags {
			if importer.IsImportable(t) {
				names = append(names, t.Name)
			}
		}
		if len(names) == 0 {
			return nil, imagestream.ErrorList{
				{
					Type:   imagestream.FieldInvalid,
					Field:  "spec.tags",
					Detail: "no tag comes from a registry: there is nothing to import",
				},
			}.Of(imagestream.ResourceImageStreams, s.Key())

		}
		return names, nil
	}
	for _, tag := range tags {
		last := inspect.Follow(s, tag).Last()
		t, ok := s.SpecTag(last)
		switch {
		case !ok:
			return nil, tagNotFound(s.Key(), tag, "the spec has no such tag")
		case !importer.IsImportable(t):
			return nil, invalidTag(s.Key(), tag, "from", "", notImportable(s, last))
		}
		names = append(names, last)
	}
	return names, nil
}
