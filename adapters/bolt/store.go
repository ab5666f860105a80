package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// GetImageStream implements [imagestream.Reader].
func (s *Store) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return get(ctx, s, streamKind, key)
}

// GetImage implements [imagestream.Reader].
func (s *Store) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return get(ctx, s, imageKind, imagestream.Key{Name: name})
}

func get[T any](ctx context.Context, s *Store, k kind[T], key imagestream.Key) (o *T, err error) {
	name, err := k.recordKey(key)
	if err != nil {
		return nil, err
	}
	err = s.view(ctx, func(tx *bbolt.Tx) (err error) {
		record := tx.Bucket(k.bucket).Get(name)
		switch {
		case record == nil && s.incomplete != "":
			return refused(k.bucket, name, s.incomplete)
		case record == nil:
			return k.fail(imagestream.ReasonNotFound, key, "")
		}
		o, err = k.decode(name, record)
		return err
	})
	return o, err
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if err := stream.CheckUnversioned(); err != nil {
		return nil, err
	}
	return create(ctx, s, streamKind, stream)
}

// CreateImage implements [imagestream.Store].
func (s *Store) CreateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return create(ctx, s, imageKind, image)
}

func create[T any](ctx context.Context, s *Store, k kind[T], o *T) (*T, error) {
	key := k.key(o)
	name, err := k.recordKey(key)
	if err != nil {
		return nil, err
	}
	u := newUID()
	record, err := k.encode(o, u)
	if err != nil {
		return nil, err
	}
	version, err := s.commit(ctx, func(b *batch) (change, error) {
		if b.tx.Bucket(k.bucket).Get(name) != nil {
			return change{}, k.fail(imagestream.ReasonAlreadyExists, key, "")
		}
		return b.put(k.bucket, name, nil, record)
	})
	if err != nil {
		return nil, err
	}
	created := k.clone(o)
	k.stamp(created, version, u)
	return created, nil
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return update(ctx, s, streamKind, stream)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return update(ctx, s, imageKind, image)
}

// stored returns the record that a write replaces, if the preconditions hold.
func (k kind[T]) stored(b *batch, key imagestream.Key, name []byte, only imagestream.Preconditions) ([]byte, error) {
	old, err := b.get(k.bucket, name)
	if err == nil && old == nil {
		err = k.fail(imagestream.ReasonNotFound, key, "")
	}
	if err == nil {
		err = only.Check(k.resource, key, recordUID(old).String(), formatVersion(recordVersion(old)))
	}
	return old, err
}

func update[T any](ctx context.Context, s *Store, k kind[T], o *T) (*T, error) {
	key := k.key(o)
	name, err := k.recordKey(key)
	if err != nil {
		return nil, err
	}
	record, err := k.encode(o, uid{})
	if err != nil {
		return nil, err
	}
	only := k.meta(o).Preconditions()
	var u uid
	version, err := s.commit(ctx, func(b *batch) (change, error) {
		old, err := k.stored(b, key, name, only)
		if err != nil {
			return change{}, err
		}
		u = recordUID(old)
		copy(record[uidAt:], u[:])
		if bytes.Equal(old[headerSize:], record[headerSize:]) && jsonSound(old) {
			return change{version: recordVersion(old)}, nil
		}
		if jsonSound(old) && binary.BigEndian.Uint64(old[shapeAt:]) != k.shape {
			if _, err := k.parse(old); err != nil {
				return change{}, refused(k.bucket, name, err.Error())
			}
		}
		return b.put(k.bucket, name, old, record)
	})
	if err != nil {
		return nil, err
	}
	updated := k.clone(o)
	k.stamp(updated, version, u)
	return updated, nil
}

// DeleteImageStream implements [imagestream.Store].
func (s *Store) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	return remove(ctx, s, streamKind, key, only)
}

// DeleteImage implements [imagestream.Store].
func (s *Store) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	return remove(ctx, s, imageKind, imagestream.Key{Name: name}, only)
}

func remove[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	key imagestream.Key,
	only imagestream.Preconditions,
) error {
	name, err := k.recordKey(key)
	if err != nil {
		return err
	}
	_, err = s.commit(ctx, func(b *batch) (change, error) {
		old, err := k.stored(b, key, name, only)
		if err != nil {
			return change{}, err
		}
		return b.put(k.bucket, name, old, nil)
	})
	return err
}
