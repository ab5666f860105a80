package apiserver

import (
	"context"
	"errors"
	"fmt"

	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/endpoints/request"
	registry "k8s.io/apiserver/pkg/registry/rest"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// resource is what the handlers ask of any resource.
type resource[T openshift.Theirs] struct {
	kind       schema.GroupVersionKind
	singular   string
	short      []string
	categories []string
	namespaced bool
}

func (r resource[T]) New() runtime.Object     { return objectOf(new(T)) }
func (r resource[T]) Destroy()                {}
func (r resource[T]) NamespaceScoped() bool   { return r.namespaced }
func (r resource[T]) GetSingularName() string { return r.singular }
func (r resource[T]) ShortNames() []string    { return r.short }
func (r resource[T]) Categories() []string    { return r.categories }

// key returns the key of the object that a request names.
func (r resource[T]) key(ctx context.Context, name string) imagestream.Key {
	key := imagestream.Key{Name: name}
	if r.namespaced {
		key.Namespace = request.NamespaceValue(ctx)
	}
	return key
}

// objectOf returns a pointer to a type of the API as the object that it is.
func objectOf[T any](t *T) runtime.Object { return any(t).(runtime.Object) }

// received returns an object that the handlers decoded, which has no kind, as the library's.
func received[O openshift.Ours, T openshift.Theirs](r resource[T], object runtime.Object) (*O, error) {
	decoded, ok := any(object).(*T)
	if !ok || decoded == nil {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("the request has a %T, want a %s", object, r.kind.Kind))
	}
	whole := *decoded
	objectOf(&whole).GetObjectKind().SetGroupVersionKind(r.kind)
	ours, err := openshift.FromAPI[O](&whole)
	if err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return ours, nil
}

// sent returns what a verb returned as the handlers want it.
func sent[T openshift.Theirs, O openshift.Ours](object *O, err error) (runtime.Object, error) {
	if err != nil {
		return nil, openshift.Error(err)
	}
	return objectOf(openshift.ToAPI[T](object)), nil
}

type getting[T openshift.Theirs, O openshift.Ours] struct {
	resource[T]
	verbs rest.Getter[O]
}

func (s getting[T, O]) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	return sent[T](s.verbs.Get(ctx, s.key(ctx, name)))
}

type creating[T openshift.Theirs, O openshift.Ours] struct {
	resource[T]
	verbs rest.Creator[O]
	// managed says whether the object keeps who owns its fields.
	managed bool
}

func (s creating[T, O]) Create(
	ctx context.Context, object runtime.Object, validate registry.ValidateObjectFunc, opts *metav1.CreateOptions,
) (runtime.Object, error) {
	if err := validate(ctx, object.DeepCopyObject()); err != nil {
		return nil, err
	}
	ours, err := received[O](s.resource, object)
	if err != nil {
		return nil, err
	}
	if !s.managed {
		metaOf(ours).ManagedFields = nil
	}
	namespace := s.key(ctx, "").Namespace
	return sent[T](s.verbs.Create(ctx, namespace, ours, rest.CreateOptions{DryRun: len(opts.DryRun) > 0}))
}

// metaOf returns the metadata of an object that can be written.
func metaOf[O openshift.Ours](object *O) *imagestream.ObjectMeta {
	switch o := any(object).(type) {
	case *imagestream.ImageStream:
		return &o.Metadata
	case *imagestream.ImageStreamTag:
		return &o.Metadata
	case *imagestream.ImageTag:
		return &o.Metadata
	case *imagestream.Image:
		return &o.Metadata
	case *imagestream.ImageSignature:
		return &o.Metadata
	case *imagestream.ImageStreamImport:
		return &o.Metadata
	case *imagestream.ImageStreamMapping:
		return &o.Metadata
	}
	panic(fmt.Sprintf("%T is not written", object))
}

type updating[T openshift.Theirs, O openshift.Ours] struct {
	resource[T]
	verbs rest.Updater[O]
	// managed says whether the object keeps who owns its fields.
	managed bool
	// exists says whether an old object that is not nil exists.
	exists func(*O) bool
}

// Update replaces an object by what info makes of the old one, again and again while others write.
func (s updating[T, O]) Update(
	ctx context.Context, name string, info registry.UpdatedObjectInfo,
	create registry.ValidateObjectFunc, update registry.ValidateObjectUpdateFunc,
	orCreate bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	change := func(old *O) (*O, error) {
		before := s.New()
		if old != nil {
			before = objectOf(openshift.ToAPI[T](old))
		}
		after, err := info.UpdatedObject(ctx, before)
		if err != nil {
			return nil, err
		}
		if old == nil || !s.exists(old) {
			err = create(ctx, after.DeepCopyObject())
		} else {
			err = update(ctx, after.DeepCopyObject(), before.DeepCopyObject())
		}
		if err != nil {
			return nil, err
		}
		next, err := received[O](s.resource, after)
		if err == nil && !s.managed {
			m := metaOf(next)
			if m.ManagedFields = nil; old != nil {
				m.ManagedFields = metaOf(old).ManagedFields
			}
		}
		return next, err
	}
	stored, created, err := s.verbs.Update(
		ctx, s.key(ctx, name), change, rest.UpdateOptions{DryRun: len(opts.DryRun) > 0, OrCreate: orCreate})
	object, err := sent[T](stored, err)
	return object, created, err
}

type deleting[T openshift.Theirs] struct {
	resource[T]
	verbs rest.Deleter
}

// Delete deletes an object. What checks the request sees an empty object.
func (s deleting[T]) Delete(
	ctx context.Context, name string, validate registry.ValidateObjectFunc, opts *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	if err := validate(ctx, s.New()); err != nil {
		return nil, false, err
	}
	err := s.verbs.Delete(ctx, s.key(ctx, name), deleteOptions(opts))
	return nil, err == nil, openshift.Error(err)
}

func deleteOptions(opts *metav1.DeleteOptions) rest.DeleteOptions {
	var ours rest.DeleteOptions
	if opts == nil {
		return ours
	}
	ours.DryRun = len(opts.DryRun) > 0
	if only := opts.Preconditions; only != nil {
		if only.UID != nil {
			ours.Preconditions.UID = string(*only.UID)
		}
		if only.ResourceVersion != nil {
			ours.Preconditions.ResourceVersion = *only.ResourceVersion
		}
	}
	return ours
}

type listing[T, L openshift.Theirs, OL openshift.Ours] struct {
	resource[T]
	verbs rest.Lister[OL]
}

func (s listing[T, L, OL]) NewList() runtime.Object { return objectOf(new(L)) }

func (s listing[T, L, OL]) List(ctx context.Context, opts *metainternal.ListOptions) (runtime.Object, error) {
	list, err := s.list(ctx, opts)
	if err != nil {
		return nil, openshift.Error(err)
	}
	theirs := openshift.ToAPI[L](list)
	if exact := opts.ResourceVersion; opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact &&
		any(theirs).(metav1.ListInterface).GetResourceVersion() != exact {
		return nil, apierrors.NewResourceExpired("the list of resourceVersion " + exact + " is no longer there")
	}
	return objectOf(theirs), nil
}

func (s listing[T, L, OL]) list(ctx context.Context, opts *metainternal.ListOptions) (*OL, error) {
	ours, err := s.listOptions(ctx, opts)
	if err != nil {
		return nil, err
	}
	return s.verbs.List(ctx, ours)
}

// listOptions returns which objects a request for a list or a watch asks for.
func (r resource[T]) listOptions(ctx context.Context, opts *metainternal.ListOptions) (rest.ListOptions, error) {
	ours := rest.ListOptions{Namespace: r.key(ctx, "").Namespace}
	if opts == nil {
		return ours, nil
	}
	ours.Limit, ours.Continue = int(opts.Limit), opts.Continue
	if opts.FieldSelector != nil {
		ours.Fields = opts.FieldSelector.String()
	}
	if opts.LabelSelector != nil {
		labels, err := imagestream.ParseSelector(opts.LabelSelector.String())
		if err != nil {
			return ours, apierrors.NewBadRequest(err.Error())
		}
		ours.Labels = labels
	}
	return ours, nil
}

// collecting deletes what a list has.
type collecting[T, L openshift.Theirs, O, OL openshift.Ours] struct {
	listing[T, L, OL]
	verbs rest.Deleter
	items func(*OL) []O
}

func (s collecting[T, L, O, OL]) DeleteCollection(
	ctx context.Context, validate registry.ValidateObjectFunc, opts *metav1.DeleteOptions,
	which *metainternal.ListOptions,
) (runtime.Object, error) {
	list, err := s.list(ctx, which)
	if err != nil {
		return nil, openshift.Error(err)
	}
	for _, item := range s.items(list) {
		if err := validate(ctx, s.New()); err != nil {
			return nil, err
		}
		m := metaOf(&item)
		err := s.verbs.Delete(ctx, imagestream.Key{Namespace: m.Namespace, Name: m.Name}, deleteOptions(opts))
		if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
			return nil, openshift.Error(err)
		}
	}
	return sent[L](list, nil)
}
