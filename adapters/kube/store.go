package kube

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream"
)

// GetImageStream implements [imagestream.Reader].
func (s *Store) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return s.streams.get(ctx, key)
}

// GetImage implements [imagestream.Reader].
func (s *Store) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return s.images.get(ctx, imagestream.Key{Name: name})
}

func (k kind[T]) get(ctx context.Context, key imagestream.Key) (*T, error) {
	name, ok := k.kubeName(key)
	if !ok { // what cannot be stored is not there
		return nil, k.missing(ctx, key)
	}
	u, err := k.in(key.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, k.failure(ctx, key, err)
	}
	return k.decode(u)
}

func (k kind[T]) missing(ctx context.Context, key imagestream.Key) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return k.fail(imagestream.ReasonNotFound, key, "")
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if err := stream.CheckUnversioned(); err != nil {
		return nil, err
	}
	return s.streams.create(ctx, stream)
}

// CreateImage implements [imagestream.Store].
func (s *Store) CreateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return s.images.create(ctx, image)
}

func (k kind[T]) create(ctx context.Context, o *T) (*T, error) {
	u, err := k.encode(o)
	if err != nil {
		return nil, err
	}
	key := k.key(o)
	u, err = k.in(key.Namespace).Create(ctx, u, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return nil, k.failure(ctx, key, err)
	}
	return k.decode(u)
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return s.streams.update(ctx, stream)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return s.images.update(ctx, image)
}

func (k kind[T]) update(ctx context.Context, o *T) (*T, error) {
	key, m := k.key(o), k.meta(o)
	if _, ok := k.kubeName(key); !ok {
		return nil, k.missing(ctx, key)
	}
	if !isVersion(m.ResourceVersion) { // the cluster would refuse it in another way
		now, err := k.get(ctx, key)
		if err != nil {
			return nil, err
		}
		stored := k.meta(now)
		return nil, m.Preconditions().Check(k.resource, key, stored.UID, stored.ResourceVersion)
	}
	u, err := k.encode(o)
	if err != nil {
		return nil, err
	}
	u.SetResourceVersion(m.ResourceVersion)
	u.SetUID(types.UID(m.UID))
	u, err = k.in(key.Namespace).Update(ctx, u, metav1.UpdateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		return nil, k.failure(ctx, key, err)
	}
	return k.decode(u)
}

// DeleteImageStream implements [imagestream.Store].
func (s *Store) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	return s.streams.delete(ctx, key, only)
}

// DeleteImage implements [imagestream.Store].
func (s *Store) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	return s.images.delete(ctx, imagestream.Key{Name: name}, only)
}

func (k kind[T]) delete(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	name, ok := k.kubeName(key)
	if !ok {
		return k.missing(ctx, key)
	}
	err := k.in(key.Namespace).Delete(ctx, name, metav1.DeleteOptions{Preconditions: preconditions(only)})
	if err != nil {
		return k.failure(ctx, key, err)
	}
	return nil
}
