package importer

import (
	"context"
	"errors"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/tagevent"
)

// maxConfig bounds an image's configuration, in bytes.
const maxConfig = 8 << 20

// image reads the configuration of m and returns its image.
func (f *fetcher) image(ctx context.Context, m *manifest.Manifest) (*imagestream.Image, error) {
	if m.IsSchema1() {
		return f.schema1(ctx, m)
	}
	config, err := once(ctx, f.source, cacheKey{OperationBlob, m.Config.Digest}, func() (config []byte, err error) {
		err = f.repositories.limited(ctx, func() (err error) {
			config, err = f.source.repository.Blob(ctx, m.Config.Digest, maxConfig)
			return err
		})
		return config, err
	})
	if err != nil {
		return nil, err
	}
	image, err := manifest.Image(m, config)
	if err != nil {
		return nil, f.invalid(OperationBlob, m.Config.Digest.String(), err)
	}
	return f.spelled(image, m.Digest), nil
}

// schema1 returns the image of a manifest of schema 1. If that does not tell the sizes of its layers, the registry is asked.
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
	err = f.repositories.limited(ctx, func() (err error) {
		size, err = f.source.repository.BlobSize(ctx, d)
		return err
	})
	if err == nil {
		f.opts.Sizes.set(f.source.name, d, size)
	}
	return size, err
}

// choose returns the image of a list for a platform.
func (f *fetcher) choose(ctx context.Context, list *manifest.Manifest, p Platform) (Answer, error) {
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
		return Answer{}, f.invalid(OperationManifest, child.Digest.String(), errors.New("a manifest list in a manifest list"))
	}
	image, err := f.image(ctx, m)
	return Answer{Image: image, Chosen: chosen}, err
}

// list returns the image that stands for a list, with all images of it. A list in the list counts as the
// image for the platform.
func (f *fetcher) list(ctx context.Context, list *manifest.Manifest) (Answer, error) {
	children := make([]Answer, len(list.Children))
	errs := make([]error, len(list.Children))
	var g errgroup.Group
	g.SetLimit(f.opts.Concurrency)
	for i, c := range list.Children {
		g.Go(func() error {
			child := &fetcher{session: f.session, question: f.question}
			child.question.Ref, child.question.Texts = Ref{Digest: c.Digest}, true
			children[i], errs[i] = child.fromSources(ctx, true, child.child)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	a := Answer{}
	for i, c := range list.Children {
		if errs[i] != nil {
			return Answer{}, errs[i]
		}
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
