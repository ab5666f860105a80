package openshift

import (
	"context"
	"encoding/json"
	"errors"

	imagev1 "github.com/openshift/api/image/v1"
	applyv1 "github.com/openshift/client-go/image/applyconfigurations/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// objects has the verbs of what a Store keeps.
type objects[T, L Theirs, O, OL Ours, C any] struct {
	parts[T, L, O, OL]
	watch  rest.Watcher[O]
	status rest.Updater[O] // nil if there is no such subresource
	items  func(*OL) (items []O, version string)
	meta   func(*O) *imagestream.ObjectMeta
}

func (c objects[T, L, O, OL, C]) DeleteCollection(
	ctx context.Context, opts metav1.DeleteOptions, which metav1.ListOptions,
) error {
	ours, err := deleteOptions(opts)
	if err != nil {
		return err
	}
	list, err := c.list(ctx, which)
	if err != nil {
		return Error(err)
	}
	items, _ := c.items(list)
	for i := range items {
		m := c.meta(&items[i])
		err := c.deleting.verbs.Delete(ctx, imagestream.Key{Namespace: m.Namespace, Name: m.Name}, ours)
		if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
			return Error(err)
		}
	}
	return nil
}

func (c objects[T, L, O, OL, C]) Patch(
	ctx context.Context, name string, format types.PatchType, data []byte, opts metav1.PatchOptions,
	subresources ...string,
) (*T, error) {
	verbs, part := c.updating.verbs, ""
	switch {
	case len(subresources) == 1 && subresources[0] == "status" && c.status != nil:
		verbs, part = c.status, "status"
	case len(subresources) > 0:
		return refused[T](c.getting.badRequest("there is no such subresource to patch: only streams have one, status"))
	}
	return c.patch(ctx, verbs, part, name, format, data, opts)
}

func (c objects[T, L, O, OL, C]) Apply(ctx context.Context, object *C, opts metav1.ApplyOptions) (*T, error) {
	return c.apply(ctx, object, opts)
}

func (c objects[T, L, O, OL, C]) apply(
	ctx context.Context, object *C, opts metav1.ApplyOptions, subresources ...string,
) (*T, error) {
	if object == nil {
		return nil, errors.New("object provided to Apply must not be nil")
	}
	name := any(object).(interface{ GetName() *string }).GetName()
	if name == nil {
		return nil, errors.New("obj.Name must be provided to Apply")
	}
	data, err := json.Marshal(object)
	if err != nil {
		return refused[T](err)
	}
	return c.Patch(ctx, *name, types.ApplyPatchType, data, opts.ToPatchOptions(), subresources...)
}

// streamObjects is what streams have in common with images.
type streamObjects = objects[
	imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
	applyv1.ImageStreamApplyConfiguration,
]

// imageObjects is what images have in common with streams.
type imageObjects = objects[
	imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList, applyv1.ImageApplyConfiguration,
]

type streams struct {
	streamObjects
	verbs rest.ImageStreams
}

// statusUpdater is the updater of statuses.
type statusUpdater struct{ verbs rest.ImageStreams }

func (u statusUpdater) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, bool, error) {
	stored, err := u.verbs.UpdateStatus(ctx, key, change, opts)
	return stored, false, err
}

func (c streams) UpdateStatus(
	ctx context.Context, object *imagev1.ImageStream, opts metav1.UpdateOptions,
) (*imagev1.ImageStream, error) {
	return c.replace(ctx, c.status, "status", object, opts)
}

func (c streams) ApplyStatus(
	ctx context.Context, object *applyv1.ImageStreamApplyConfiguration, opts metav1.ApplyOptions,
) (*imagev1.ImageStream, error) {
	return c.apply(ctx, object, opts, "status")
}

func (c streams) Secrets(ctx context.Context, name string, _ metav1.GetOptions) (*imagev1.SecretList, error) {
	key, err := c.getting.key(name)
	if err != nil {
		return &imagev1.SecretList{}, err
	}
	stored, err := c.verbs.Secrets(ctx, key)
	if err != nil {
		return &imagev1.SecretList{}, Error(err)
	}
	list, err := converted[corev1.SecretList](sharing, stored)
	if err != nil {
		return &imagev1.SecretList{}, err
	}
	list.TypeMeta = metav1.TypeMeta{}
	return (*imagev1.SecretList)(list), nil
}

func (c streams) Layers(ctx context.Context, name string, _ metav1.GetOptions) (*imagev1.ImageStreamLayers, error) {
	key, err := c.getting.key(name)
	if err != nil {
		return refused[imagev1.ImageStreamLayers](err)
	}
	return returned[imagev1.ImageStreamLayers](c.verbs.Layers(ctx, key))
}

type mappings struct {
	at
	verbs rest.ImageStreamMappings
}

func (c mappings) Create(
	ctx context.Context, object *imagev1.ImageStreamMapping, opts metav1.CreateOptions,
) (*metav1.Status, error) {
	if err := checked("CreateOptions", validation.ValidateCreateOptions(&opts)); err != nil {
		return &metav1.Status{}, err
	}
	ours, err := sent[imagestream.ImageStreamMapping](c.at, object)
	if err != nil {
		return &metav1.Status{}, err
	}
	if err := c.verbs.Create(ctx, c.namespace, ours, rest.CreateOptions{DryRun: len(opts.DryRun) > 0}); err != nil {
		return &metav1.Status{}, Error(err)
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// Apply fails as on a cluster, whose mappings can only be created.
func (c mappings) Apply(
	context.Context, *applyv1.ImageStreamMappingApplyConfiguration, metav1.ApplyOptions,
) (*imagev1.ImageStreamMapping, error) {
	err := apierrors.NewMethodNotSupported(imagev1.Resource(c.resource), "patch")
	return refused[imagev1.ImageStreamMapping](Error(err))
}
