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
		if record == nil {
			return k.fail(imagestream.ReasonNotFound, key, "")
		}
		o, err = k.decode(name, record)
		return err
	})
	return o, err
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	if err := imagestream.CheckUnversioned(stream); err != nil {
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
	version, err := s.commit(ctx, func(tx *bbolt.Tx) (change, error) {
		if tx.Bucket(k.bucket).Get(name) != nil {
			return change{}, k.fail(imagestream.ReasonAlreadyExists, key, "")
		}
		return put(tx, k.bucket, name, nil, record)
	})
	if err != nil {
		return nil, err
	}
	created := k.clone(o)
	k.stamp(created, version, u)
	return created, nil
}

// put writes a record, or removes it if it is nil, under the next version. Every version has its change.
func put(tx *bbolt.Tx, bucket, name, old, record []byte) (change, error) {
	meta := tx.Bucket(metaBucket)
	c := change{version: meta.Sequence() + 1, bucket: bucket, key: name, old: bytes.Clone(old), new: record}
	var err error
	if record == nil {
		err = tx.Bucket(bucket).Delete(name)
	} else {
		binary.BigEndian.PutUint64(record, c.version)
		err = tx.Bucket(bucket).Put(name, record)
	}
	if err != nil {
		return change{}, err
	}
	return c, meta.SetSequence(c.version)
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(ctx context.Context, stream *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return update(ctx, s, streamKind, stream)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return update(ctx, s, imageKind, image)
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
	only := preconditions(k.meta(o))
	var u uid
	version, err := s.commit(ctx, func(tx *bbolt.Tx) (change, error) {
		old := tx.Bucket(k.bucket).Get(name)
		if old == nil {
			return change{}, k.fail(imagestream.ReasonNotFound, key, "")
		}
		if err := k.check(key, old, only); err != nil {
			return change{}, err
		}
		u = recordUID(old)
		copy(record[versionSize:], u[:])
		if bytes.Equal(old[versionSize:], record[versionSize:]) {
			return change{version: recordVersion(old)}, nil
		}
		return put(tx, k.bucket, name, old, record)
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

func remove[T any](ctx context.Context, s *Store, k kind[T], key imagestream.Key, only imagestream.Preconditions) error {
	name, err := k.recordKey(key)
	if err != nil {
		return err
	}
	_, err = s.commit(ctx, func(tx *bbolt.Tx) (change, error) {
		old := tx.Bucket(k.bucket).Get(name)
		if old == nil {
			return change{}, k.fail(imagestream.ReasonNotFound, key, "")
		}
		if err := k.check(key, old, only); err != nil {
			return change{}, err
		}
		return put(tx, k.bucket, name, old, nil)
	})
	return err
}
