package etcd

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"

	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/imagestream"
)

// ListImageStreams implements [imagestream.Reader].
func (s *Store) ListImageStreams(
	ctx context.Context,
	opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	items, meta, err := list(ctx, s, s.streams, query{namespace: opts.Namespace, labels: opts.Labels}, opts)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageStreamList{
		TypeMeta: imagestream.TypeMeta{
			Kind:       "ImageStreamList",
			APIVersion: imagestream.APIVersion,
		},
		Metadata: meta,
		Items:    items,
	}, nil
}

// ListImages implements [imagestream.Reader].
func (s *Store) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	items, meta, err := list(ctx, s, s.images, query{labels: opts.Labels}, opts)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageList", APIVersion: imagestream.APIVersion}, Metadata: meta, Items: items,
	}, nil
}

// list reads a page of what q says; opts have its limit and where it goes on.
func list[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	q query,
	opts imagestream.ListOptions,
) ([]T, imagestream.ListMeta, error) {
	for attempt := 1; ; attempt++ {
		items, meta, err := listOnce(ctx, s, k, q, opts)
		if opts.Continue != "" || attempt == maxRestarts || !errors.Is(err, errOvertaken) {
			return items, meta, k.listFailure(ctx, err)
		}
	}
}

const (
	// maxRestarts is how often a list of one page is begun.
	maxRestarts = 5
	// A portion is what one request of a list asks for: as many values as have about portionSize bytes, by the size of
	// those before.
	firstPortion, maxPortion = 100, 5000
	portionSize              = 4 << 20
)

// errOvertaken means that a compaction overtook a list.
var errOvertaken = errors.New("a compaction overtook the list")

func (k kind[T]) listFailure(ctx context.Context, err error) error {
	switch {
	case err == nil || errors.Is(err, ErrFormat):
		return err
	case errors.Is(err, errOvertaken):
		return k.fail(imagestream.ReasonExpired, imagestream.Key{}, "the list cannot be continued any more: begin it again")
	}
	return k.failure(ctx, imagestream.Key{}, 0, err)
}

func listOnce[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	q query,
	opts imagestream.ListOptions,
) ([]T, imagestream.ListMeta, error) {
	var items []T
	var meta imagestream.ListMeta
	r, err := k.begin(s, q, opts.Continue)
	if err != nil {
		return nil, meta, err
	}
	var last string
	for more := true; more; {
		full := opts.Limit > 0 && len(items) == opts.Limit
		if full && q.all() {
			meta.Continue, meta.RemainingItemCount = newToken(r.revision, last), &r.remaining
			break
		}
		var kvs []*mvccpb.KeyValue
		limit := 0
		if q.all() {
			limit = max(opts.Limit-len(items), 0)
		}
		if kvs, more, err = r.next(ctx, limit); err != nil {
			return nil, meta, err
		}
		if q.all() {
			items = slices.Grow(items, len(kvs))
		}
		for i, kv := range kvs {
			kvs[i] = nil // its memory is free once it is decoded
			o, err := k.decode(kv)
			if err != nil {
				return nil, meta, err
			}
			if !k.matches(o, q) {
				continue
			}
			if opts.Limit > 0 && len(items) == opts.Limit {
				meta.Continue, more = newToken(r.revision, last), false
				break
			}
			items, last = append(items, *o), string(kv.Key)
		}
	}
	meta.ResourceVersion = formatVersion(r.revision)
	return items, meta, nil
}

// ranging reads a range of keys at one revision, portion by portion.
type ranging struct {
	client     *clientv3.Client
	begin, end string
	revision   int64 // 0 before the first portion of a new list
	portion    int
	remaining  int64 // how many values follow the last portion
}

// begin returns where a list begins, or goes on.
func (k kind[T]) begin(s *Store, q query, token string) (*ranging, error) {
	r := &ranging{client: s.client, portion: firstPortion}
	r.begin, r.end = k.keyRange(q)
	if token == "" {
		return r, nil
	}
	number, after, _ := strings.Cut(token, ".")
	revision, ok := parseVersion(number)
	last, err := base64.RawURLEncoding.DecodeString(after)
	if !ok || revision == 0 || err != nil || string(last) < r.begin || string(last) >= r.end {
		return nil, errOvertaken
	}
	r.revision, r.begin = revision, string(last)+"\x00"
	return r, nil
}

// newToken says where a list goes on: after that key, at that revision.
func newToken(revision int64, last string) string {
	return formatVersion(revision) + "." + base64.RawURLEncoding.EncodeToString([]byte(last))
}

// next reads a portion, of at most limit values if that is not 0, and reports whether more follow.
func (r *ranging) next(ctx context.Context, limit int) (kvs []*mvccpb.KeyValue, more bool, err error) {
	n := r.portion
	if limit > 0 {
		n = min(n, limit)
	}
	resp, err := r.client.Get(
		ctx,
		r.begin,
		clientv3.WithRange(r.end),
		clientv3.WithLimit(int64(n)),
		clientv3.WithRev(r.revision),
	)
	if errors.Is(err, rpctypes.ErrCompacted) || errors.Is(err, rpctypes.ErrFutureRev) {
		return nil, false, errOvertaken
	}
	if err != nil {
		return nil, false, err
	}
	if r.revision == 0 {
		r.revision = resp.Header.Revision
	}
	if len(resp.Kvs) == 0 {
		return nil, false, nil
	}
	size := 0
	for _, kv := range resp.Kvs {
		size += len(kv.Value)
	}
	r.begin = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	r.remaining = resp.Count - int64(len(resp.Kvs))
	r.portion = max(1, min(maxPortion, portionSize/(size/len(resp.Kvs)+1)))
	return resp.Kvs, resp.More, nil
}
