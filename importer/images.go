package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/tagevent"
)

// maxManifest and maxConfig bound a manifest and an image's configuration, in bytes.
const (
	maxManifest = 4 << 20
	maxConfig   = 8 << 20
)

// image reads the configuration of m and returns the image.
func (f *fetcher) image(ctx context.Context, m *manifest.Manifest) (*imagestream.Image, error) {
	if m.IsSchema1() {
		return f.schema1(ctx, m)
	}
	ref := m.Config.Digest.String()
	config, err := once(ctx, f.source, cacheKey{OperationBlob, m.Config.Digest}, func() (config []byte, err error) {
		err = f.repositories.limited(ctx, f.source, OperationBlob, ref, func() (err error) {
			if err := f.budget.take(0); err != nil {
				return f.invalid(OperationBlob, ref, err)
			}
			config, err = f.source.repository.Blob(ctx, m.Config.Digest, maxConfig)
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := f.budget.take(int64(len(config))); err != nil {
			return nil, f.invalid(OperationBlob, ref, err)
		}
		return config, nil
	})
	if err != nil {
		return nil, err
	}
	image, err := manifest.Image(m, config)
	if err != nil {
		return nil, f.invalid(OperationBlob, ref, err)
	}
	return f.spelled(image, m.Digest), nil
}

// schema1 returns the image of a manifest of schema 1. If the manifest has no sizes of layers, it asks the registry.
func (f *fetcher) schema1(ctx context.Context, m *manifest.Manifest) (*imagestream.Image, error) {
	image, err := manifest.Image(m, nil)
	if err != nil {
		return nil, f.invalid(OperationManifest, f.question.Ref.String(), err)
	}
	sum := int64(0)
	for _, layer := range image.DockerImageLayers {
		sum += layer.LayerSize
	}
	if sum == 0 && len(image.DockerImageLayers) > 0 {
		sizes := map[string]int64{}
		for _, layer := range image.DockerImageLayers {
			if sizes[layer.Name], err = f.layerSize(ctx, digest.Digest(layer.Name), sizes); err != nil {
				return nil, err
			}
		}
		if image, err = manifest.WithLayerSizes(image, sizes); err != nil {
			return nil, f.invalid(OperationManifest, f.question.Ref.String(), err)
		}
	}
	return f.spelled(image, m.Digest), nil
}

func (f *fetcher) layerSize(ctx context.Context, d digest.Digest, found map[string]int64) (size int64, err error) {
	if size, ok := found[d.String()]; ok {
		return size, nil
	}
	if size, ok := f.opts.Sizes.get(f.source.name, d); ok {
		return size, nil
	}
	if err := d.Validate(); err != nil {
		return 0, f.invalid(OperationBlobSize, d.String(), err)
	}
	err = f.repositories.limited(ctx, f.source, OperationBlobSize, d.String(), func() (err error) {
		size, err = f.source.repository.BlobSize(ctx, d)
		return err
	})
	if err == nil {
		f.opts.Sizes.set(f.source.name, d, size)
	}
	return size, err
}

// choose returns the image of a list for a platform.
func (f *fetcher) choose(ctx context.Context, list *manifest.Manifest, p manifest.Platform) (Answer, error) {
	child, err := f.opts.selectChild(list, p)
	if err != nil {
		return Answer{}, f.invalid(OperationManifest, f.question.Ref.String(), err)
	}
	chosen := Memo{f.opts.memoKey(list.Digest, p): child.Digest}
	if image := f.knownImage(child.Digest); image != nil {
		return Answer{Image: image, Known: true, Chosen: chosen}, nil
	}
	m, err := f.manifest(ctx, Ref{Digest: child.Digest})
	if err != nil {
		return Answer{}, err
	}
	if m.IsList() {
		return Answer{}, f.invalid(OperationManifest, child.Digest.String(),
			errors.New("the image of the manifest list is itself a manifest list"))
	}
	image, err := f.image(ctx, m)
	return Answer{Image: image, Chosen: chosen}, err
}

// list returns the image of a list, with all images in it. A list in the list is replaced by its image for the
// platform. The first image in the order of the list that fails decides, and the ones after it are cancelled.
func (f *fetcher) list(ctx context.Context, list *manifest.Manifest) (Answer, error) {
	bounds := f.opts.Bounds
	refuse := func(err error) error { return f.invalid(OperationManifest, list.Digest.String(), err) }
	if n := len(list.Children); n > bounds.Children {
		return Answer{}, refuse(fmt.Errorf("the manifest list has %d images: at most %d are imported", n,
			bounds.Children))
	}
	within, cancel := context.WithTimeout(ctx, bounds.ListTime)
	defer cancel()
	budget := newBudget(bounds.ListBytes, "the manifest list", f.budget)
	children := make([]Answer, len(list.Children))
	err := firstFailure(within, len(children), f.opts.Concurrency, func(ctx context.Context, i int) (err error) {
		child := &fetcher{run: f.run, question: f.question, budget: budget}
		child.question.Ref, child.question.Texts = Ref{Digest: list.Children[i].Digest}, true
		children[i], err = child.fromSources(ctx, true, child.child)
		return err
	})
	if err != nil && ctx.Err() == nil && within.Err() != nil && errors.Is(err, context.DeadlineExceeded) {
		failure := f.source.invalid(OperationManifest, list.Digest.String(),
			fmt.Errorf("the images of the manifest list took longer than %v", bounds.ListTime))
		failure.Class = ClassUnavailable
		return Answer{}, failure
	}
	if err != nil {
		return Answer{}, err
	}
	a := Answer{}
	for i, c := range list.Children {
		a.Manifests = append(a.Manifests, *f.spelled(children[i].Image, c.Digest))
	}
	image, err := manifest.ListImage(list, tagevent.TimeOf(f.opts.Now))
	if err != nil {
		return Answer{}, err
	}
	a.Image = f.spelled(image, list.Digest)
	return a, nil
}

// child asks one source for an image of a list.
func (f *fetcher) child(ctx context.Context) (a Answer, has bool, err error) {
	m, err := f.manifest(ctx, f.question.Ref)
	if err != nil {
		return Answer{}, false, err
	}
	if m.IsList() {
		a, err = f.choose(ctx, m, f.plan.options.Platform)
		return a, true, err
	}
	a.Image, err = f.image(ctx, m)
	return a, true, err
}
