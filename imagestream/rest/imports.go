package rest

import (
	"context"

	"github.com/imagestreams/imagestreams/imagestream"
)

type imports struct{ *Server }

func (r imports) Create(
	ctx context.Context,
	namespace string,
	object *imagestream.ImageStreamImport,
	opts CreateOptions,
) (*imagestream.ImageStreamImport, error) {
	if r.Importer == nil {
		return nil, ErrNoImporter
	}
	if object == nil {
		return nil, noObject(imagestream.ResourceImageStreamImports, namespace)
	}
	imp := *object
	if err := inNamespace(&imp.Metadata, imagestream.ResourceImageStreamImports, namespace); err != nil {
		return nil, err
	}
	if opts.DryRun {
		imp.Spec.Import = false
	}
	done, err := r.Importer.Import(ctx, &imp)
	if err != nil {
		return nil, err
	}
	if done.Status.Import != nil {
		r.show(done.Status.Import)
	}
	return done, nil
}
