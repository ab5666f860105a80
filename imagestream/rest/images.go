package rest

import (
	"context"
	"errors"
	"iter"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

type images struct{ *Server }

func (r images) Get(ctx context.Context, key imagestream.Key) (*imagestream.Image, error) {
	return r.store().GetImage(ctx, key.Name)
}

func (r images) List(ctx context.Context, opts ListOptions) (*imagestream.ImageList, error) {
	fields, err := parseFields(imagestream.ResourceImages, opts.Fields)
	if err != nil {
		return nil, err
	}
	page := imagestream.ListOptions{Labels: opts.Labels, Limit: opts.Limit, Continue: opts.Continue}
	if len(fields) > 0 {
		page.Limit, page.Continue = 0, ""
	}
	list, err := r.store().ListImages(ctx, page)
	if err != nil {
		return nil, err
	}
	list.Items = slices.DeleteFunc(list.Items, func(i imagestream.Image) bool { return !fields.matches(&i.Metadata) })
	return list, nil
}

func (r images) Watch(ctx context.Context, opts WatchOptions) iter.Seq2[imagestream.Change[imagestream.Image], error] {
	fields, err := parseFields(imagestream.ResourceImages, opts.Fields)
	if err != nil {
		return failed[imagestream.Image](err)
	}
	name := fields.name()
	changes := r.store().
		WatchImages(ctx, imagestream.WatchOptions{Name: name, Labels: opts.Labels, ResourceVersion: opts.ResourceVersion})
	return watched(
		changes,
		fields,
		func(i *imagestream.Image) *imagestream.ObjectMeta { return &i.Metadata },
		func(*imagestream.Image) {},
	)
}

func (r images) Create(
	ctx context.Context,
	_ string,
	object *imagestream.Image,
	opts CreateOptions,
) (*imagestream.Image, error) {
	if object == nil {
		return nil, noObject(imagestream.ResourceImages, "")
	}
	next := *object
	return named(&next.Metadata, func() (*imagestream.Image, error) { return r.create(ctx, &next, opts.DryRun) })
}

func (r images) create(ctx context.Context, image *imagestream.Image, dryRun bool) (*imagestream.Image, error) {
	prepared, errs := manifest.PrepareImageCreate(image, r.engine().Env())
	key := imagestream.Key{Name: image.Metadata.Name}
	if len(errs) > 0 {
		return nil, errs.Of(imagestream.ResourceImages, key)
	}
	if !dryRun {
		return r.store().CreateImage(ctx, prepared)
	}
	_, err := r.store().GetImage(ctx, key.Name)
	switch {
	case err == nil:
		return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImages, key, "")
	case !errors.Is(err, imagestream.ErrNotFound):
		return nil, err
	}
	prepared = prepared.Clone()
	prepared.Metadata.UID = write.DryRunUID
	return prepared, nil
}

func (r images) Update(
	ctx context.Context,
	key imagestream.Key,
	change Change[imagestream.Image],
	opts UpdateOptions,
) (stored *imagestream.Image, created bool, err error) {
	err = r.engine().Retry(ctx, key, r.attempts(imagestream.ResourceImages, "update"), func() (overtaken bool, err error) {
		old, err := r.store().GetImage(ctx, key.Name)
		if opts.OrCreate && errors.Is(err, imagestream.ErrNotFound) {
			next, err := change.apply(imagestream.ResourceImages, key, nil)
			if err != nil {
				return false, err
			}
			if next.Metadata.Name != key.Name {
				return false, wrongName(imagestream.ResourceImages, key, next.Metadata.Name)
			}
			created = true
			stored, err = r.create(ctx, next, opts.DryRun)
			return errors.Is(err, imagestream.ErrAlreadyExists), err
		}
		if err != nil {
			return false, err
		}
		created = false
		stored, overtaken, err = r.replace(ctx, old, change, opts.DryRun)
		return overtaken, err
	})
	if err != nil {
		return nil, false, err
	}
	return stored, created, nil
}

// replace updates an image once.
func (r images) replace(
	ctx context.Context,
	old *imagestream.Image,
	change Change[imagestream.Image],
	dryRun bool,
) (_ *imagestream.Image, overtaken bool, err error) {
	next, err := change.apply(imagestream.ResourceImages, imagestream.Key{Name: old.Metadata.Name}, old)
	if err != nil {
		return nil, false, err
	}
	if next == old {
		return old, false, nil
	}
	if err := old.CheckUpdate(next); err != nil {
		return nil, false, err
	}
	prepared, errs := manifest.PrepareImageUpdate(old, next, r.engine().Env())
	if len(errs) > 0 {
		return nil, false, errs.Of(imagestream.ResourceImages, imagestream.Key{Name: old.Metadata.Name})
	}
	if dryRun {
		return prepared.Clone(), false, nil
	}
	stored, err := r.store().UpdateImage(ctx, prepared)
	return stored, errors.Is(err, imagestream.ErrConflict), err
}

func (r images) Delete(ctx context.Context, key imagestream.Key, opts DeleteOptions) error {
	if !opts.DryRun {
		return r.store().DeleteImage(ctx, key.Name, opts.Preconditions)
	}
	stored, err := r.store().GetImage(ctx, key.Name)
	if err != nil {
		return err
	}
	m := &stored.Metadata
	return opts.Preconditions.Check(imagestream.ResourceImages, key, m.UID, m.ResourceVersion)
}
