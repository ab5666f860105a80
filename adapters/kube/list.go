package kube

import (
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/imagestreams/imagestreams/imagestream"
)

// ListImageStreams implements [imagestream.Reader].
func (s *Store) ListImageStreams(
	ctx context.Context,
	opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	q := query{namespace: opts.Namespace, labels: opts.Labels}
	items, meta, err := s.streams.list(ctx, q, opts.Limit, opts.Continue)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageStreamList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamList", APIVersion: imagestream.APIVersion},
		Metadata: meta, Items: items,
	}, nil
}

// ListImages implements [imagestream.Reader].
func (s *Store) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	items, meta, err := s.images.list(ctx, query{labels: opts.Labels}, opts.Limit, opts.Continue)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageList", APIVersion: imagestream.APIVersion},
		Metadata: meta, Items: items,
	}, nil
}

// query says which objects are meant.
type query struct {
	namespace, name string // "" is any
	labels          imagestream.Selector
}

// options returns what asks a cluster for the objects of q.
func (k kind[T]) options(q query) (metav1.ListOptions, error) {
	opts := metav1.ListOptions{LabelSelector: q.labels.String()}
	if k.spaced && q.namespace != "" && len(validation.IsDNS1123Label(q.namespace)) > 0 {
		return opts, k.badNamespace(imagestream.Key{Namespace: q.namespace, Name: q.name})
	}
	if q.name != "" {
		name, ok := toKube(q.name, k.separators)
		if !ok {
			return opts, k.badName(imagestream.Key{Namespace: q.namespace, Name: q.name})
		}
		opts.FieldSelector = fields.OneTermEqualSelector("metadata.name", name).String()
	}
	return opts, nil
}

const (
	// portion is how many objects one request of a list on one page asks for.
	portion = 500
	// maxRestarts is how often a list on one page is begun.
	maxRestarts = 5
)

// list reads a page of what q says, or everything without a limit.
func (k kind[T]) list(ctx context.Context, q query, limit int, token string) ([]T, imagestream.ListMeta, error) {
	if limit > 0 || token != "" {
		return k.page(ctx, q, limit, token)
	}
	for attempt := 1; ; attempt++ {
		items, meta, err := k.all(ctx, q)
		if attempt == maxRestarts || !errors.Is(err, imagestream.ErrGone) {
			return items, meta, err
		}
	}
}

// all reads everything that q says, in the order of [imagestream.Key].
func (k kind[T]) all(ctx context.Context, q query) (items []T, meta imagestream.ListMeta, err error) {
	for {
		var some []T
		if some, meta, err = k.page(ctx, q, portion, meta.Continue); err != nil {
			return nil, imagestream.ListMeta{}, err
		}
		if items = append(items, some...); meta.Continue == "" {
			break
		}
	}
	slices.SortFunc(items, func(a, b T) int { return k.key(&a).Compare(k.key(&b)) })
	return items, imagestream.ListMeta{ResourceVersion: meta.ResourceVersion}, nil
}

// page reads what one request answers.
func (k kind[T]) page(ctx context.Context, q query, limit int, token string) ([]T, imagestream.ListMeta, error) {
	var meta imagestream.ListMeta
	opts, err := k.options(q)
	if err != nil {
		return nil, meta, err
	}
	opts.Limit, opts.Continue = int64(limit), token
	list, err := k.in(q.namespace).List(ctx, opts)
	if err != nil {
		if err = k.failure(ctx, imagestream.Key{}, err); token != "" && reasonIs(err, imagestream.ReasonBadRequest) {
			err = k.fail(imagestream.ReasonExpired, imagestream.Key{}, "the list cannot be continued: begin it again")
		}
		return nil, meta, err
	}
	items := make([]T, len(list.Items))
	for i := range list.Items {
		o, err := k.decode(&list.Items[i])
		if err != nil {
			return nil, meta, err
		}
		items[i], list.Items[i].Object = *o, nil // its memory is free once it is decoded
	}
	if token == "" {
		k.newest.is(list.GetResourceVersion())
	}
	meta = imagestream.ListMeta{
		ResourceVersion: list.GetResourceVersion(), Continue: list.GetContinue(),
		RemainingItemCount: list.GetRemainingItemCount(),
	}
	return items, meta, nil
}

func reasonIs(err error, reason imagestream.StatusReason) bool {
	var status *imagestream.StatusError
	return errors.As(err, &status) && status.Reason == reason
}
