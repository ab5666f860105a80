package etcd

import (
	"context"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/imagestream"
)

// GetImageStream implements [imagestream.Reader].
func (s *Store) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return get(ctx, s, s.streams, key)
}

// GetImage implements [imagestream.Reader].
func (s *Store) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return get(ctx, s, s.images, imagestream.Key{Name: name})
}

func get[T any](ctx context.Context, s *Store, k kind[T], key imagestream.Key) (*T, error) {
	name, err := k.etcdKey(key)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Get(ctx, name)
	if err != nil {
		return nil, k.failure(ctx, key, 0, err)
	}
	if len(resp.Kvs) == 0 {
		return nil, k.fail(imagestream.ReasonNotFound, key, "")
	}
	return k.decode(resp.Kvs[0])
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if err := stream.CheckUnversioned(); err != nil {
		return nil, err
	}
	return create(ctx, s, s.streams, stream)
}

// CreateImage implements [imagestream.Store].
func (s *Store) CreateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return create(ctx, s, s.images, image)
}

func create[T any](ctx context.Context, s *Store, k kind[T], o *T) (*T, error) {
	key := k.key(o)
	name, err := k.etcdKey(key)
	if err != nil {
		return nil, err
	}
	uid := newUID()
	value, err := k.encode(o, uid)
	if err != nil {
		return nil, err
	}
	resp, err := s.client.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(name), "=", 0)).
		Then(clientv3.OpPut(name, value)).
		Commit()
	if err != nil {
		return nil, k.failure(ctx, key, len(value), err)
	}
	if !resp.Succeeded {
		return nil, k.fail(imagestream.ReasonAlreadyExists, key, "")
	}
	return k.written(o, uid, resp.Header.Revision), nil
}

// written returns o as it was stored.
func (k kind[T]) written(o *T, uid string, revision int64) *T {
	c := k.clone(o)
	m := k.meta(c)
	m.UID, m.ResourceVersion = uid, formatVersion(revision)
	return c
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return update(ctx, s, s.streams, stream)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return update(ctx, s, s.images, image)
}

func update[T any](ctx context.Context, s *Store, k kind[T], o *T) (*T, error) {
	var uid string
	revision, err := swap(ctx, s, k, k.key(o), k.meta(o).Preconditions(), func(name, now string) (clientv3.Op, int, error) {
		uid = now
		value, err := k.encode(o, uid)
		return clientv3.OpPut(name, value), len(value), err
	})
	if err != nil {
		return nil, err
	}
	return k.written(o, uid, revision), nil
}

// DeleteImageStream implements [imagestream.Store].
func (s *Store) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	return remove(ctx, s, s.streams, key, only)
}

// DeleteImage implements [imagestream.Store].
func (s *Store) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	return remove(ctx, s, s.images, imagestream.Key{Name: name}, only)
}

func remove[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	key imagestream.Key,
	only imagestream.Preconditions,
) error {
	if only != (imagestream.Preconditions{}) {
		_, err := swap(
			ctx,
			s,
			k,
			key,
			only,
			func(name, _ string) (clientv3.Op, int, error) { return clientv3.OpDelete(name), 0, nil },
		)
		return err
	}
	name, err := k.etcdKey(key)
	if err != nil {
		return err
	}
	resp, err := s.client.Delete(ctx, name)
	if err != nil {
		return k.failure(ctx, key, 0, err)
	}
	if resp.Deleted == 0 {
		return k.fail(imagestream.ReasonNotFound, key, "")
	}
	return nil
}

// swap does what op says with an object for which preconditions hold, in one transaction, and returns its revision.
// Op is told the object's uid, and returns the size of its value.
func swap[T any](ctx context.Context, s *Store, k kind[T], key imagestream.Key, only imagestream.Preconditions,
	op func(name, uid string) (do clientv3.Op, size int, err error),
) (int64, error) {
	name, err := k.etcdKey(key)
	if err != nil {
		return 0, err
	}
	uid, size := only.UID, 0
	conditions, certain := guess(name, only)
	for {
		var then []clientv3.Op
		if certain {
			var do clientv3.Op
			if do, size, err = op(name, uid); err != nil {
				return 0, err
			}
			then = append(then, do)
		}
		resp, err := s.client.Txn(ctx).If(conditions...).Then(then...).Else(clientv3.OpGet(name)).Commit()
		if err != nil {
			return 0, k.failure(ctx, key, size, err)
		}
		if resp.Succeeded {
			return resp.Header.Revision, nil
		}
		kvs := resp.Responses[0].GetResponseRange().Kvs
		if len(kvs) == 0 {
			return 0, k.fail(imagestream.ReasonNotFound, key, "")
		}
		now, err := k.decode(kvs[0])
		if err != nil {
			return 0, err
		}
		m := k.meta(now)
		if err := only.Check(k.resource, key, m.UID, m.ResourceVersion); err != nil {
			return 0, err
		}
		uid = m.UID
		conditions, certain = []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(name), "=", kvs[0].ModRevision)}, true
	}
}

// guess returns conditions under which preconditions hold. They are certain if they can be compared without a look at
// the object; otherwise they never hold. Certain ones may still fail where the preconditions hold: a value can be in
// another order.
func guess(name string, only imagestream.Preconditions) (conditions []clientv3.Cmp, certain bool) {
	revision, ok := parseVersion(only.ResourceVersion)
	if !ok || revision == 0 || only.UID == "" {
		return []clientv3.Cmp{clientv3.Compare(clientv3.ModRevision(name), "=", -1)}, false
	}
	after, before := uidRange(only.UID)
	return []clientv3.Cmp{
		clientv3.Compare(clientv3.ModRevision(name), "=", revision),
		clientv3.Compare(clientv3.Value(name), ">", after),
		clientv3.Compare(clientv3.Value(name), "<", before),
	}, true
}
