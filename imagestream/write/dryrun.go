package write

import (
	"context"
	"errors"

	"github.com/imagestreams/imagestreams/imagestream"
)

// DryRunUID is the uid of an object that a dry run would have created.
const DryRunUID = "dry-run"

// store returns where streams are written to.
func (e *Engine) store(dryRun bool) imagestream.Store {
	if dryRun {
		return dryStore{e.Store}
	}
	return e.Store
}

// dryStore checks writes of image streams as its Store would, and keeps nothing of them.
type dryStore struct{ imagestream.Store }

func (d dryStore) CreateImageStream(ctx context.Context, s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	_, err := d.GetImageStream(ctx, s.Key())
	if err == nil {
		return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageStreams, s.Key(), "")
	}
	if !errors.Is(err, imagestream.ErrNotFound) {
		return nil, err
	}
	if err := s.CheckUnversioned(); err != nil {
		return nil, err
	}
	c := s.Clone()
	c.Metadata.UID = DryRunUID
	return c, nil
}

func (d dryStore) UpdateImageStream(ctx context.Context, s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	old, err := d.GetImageStream(ctx, s.Key())
	if err != nil {
		return nil, err
	}
	if err := old.CheckUpdate(s); err != nil {
		return nil, err
	}
	return s.Clone(), nil
}
