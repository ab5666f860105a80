package importer

import (
	"context"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

// createImages stores the images that were fetched for tags, those of a list before the list. An image that exists
// stays as it is.
func (s *Session) createImages(ctx context.Context) error {
	created := map[string]error{} // what came of each image
	for _, a := range s.targets() {
		if a.Image == nil || a.Known {
			continue
		}
		err := s.createImagesOf(ctx, a, created)
		if s.importer.FailAlone && (errors.Is(err, imagestream.ErrInvalid) || errors.Is(err, imagestream.ErrTooLarge)) {
			*a = Answer{Err: err}
		} else if err != nil {
			return err
		}
	}
	return nil
}

// targets returns the answers that tags get their images from, in order.
func (s *Session) targets() []*Answer {
	var targets []*Answer
	for n := range s.answers.Repository.Images {
		targets = append(targets, &s.answers.Repository.Images[n])
	}
	for n, spec := range s.imp.Spec.Images {
		if e := s.plan.entries[n]; spec.To != nil && e.err == nil {
			targets = append(targets, &s.answers.Images[e.question])
		}
	}
	return targets
}

func (s *Session) createImagesOf(ctx context.Context, a *Answer, created map[string]error) error {
	for n := range a.Manifests {
		if err := s.createImage(ctx, &a.Manifests[n], created); err != nil {
			return err
		}
	}
	return s.createImage(ctx, a.Image, created)
}

func (s *Session) createImage(ctx context.Context, image *imagestream.Image, created map[string]error) error {
	name := image.Metadata.Name
	if err, done := created[name]; done {
		return err
	}
	stored, errs := manifest.PrepareImageCreate(image, imagestream.Env{Now: s.importer.now()})
	if len(errs) > 0 {
		created[name] = errs.Of(imagestream.ResourceImages, imagestream.Key{Name: name})
		return created[name]
	}
	stored.DockerImageManifest, stored.DockerImageConfig = "", ""
	_, err := s.importer.Engine.Store.CreateImage(ctx, stored)
	if err != nil && !errors.Is(err, imagestream.ErrAlreadyExists) {
		created[name] = fmt.Errorf("create image %s: %w", name, err)
		return created[name]
	}
	created[name] = nil
	return nil
}
