package openshift

import (
	"context"
	"errors"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	listvalidation "k8s.io/apimachinery/pkg/apis/meta/internalversion/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	imagev1 "github.com/openshift/api/image/v1"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// at is what a typed client is for.
type at struct{ resource, namespace string }

// key returns the key of a request, which must have a name.
func (a at) key(name string) (imagestream.Key, error) {
	key := imagestream.Key{Namespace: a.namespace, Name: name}
	if name == "" {
		return key, a.badRequest("the name of the object is empty")
	}
	return key, nil
}

func (a at) badRequest(message string) error {
	key := imagestream.Key{Namespace: a.namespace}
	return Error(imagestream.NewError(imagestream.ReasonBadRequest, a.resource, key, message))
}

func (a at) notFound(name string) error {
	key := imagestream.Key{Namespace: a.namespace, Name: name}
	return Error(imagestream.NewError(imagestream.ReasonNotFound, a.resource, key, ""))
}

func (a at) kind() schema.GroupVersionKind {
	return imagev1.GroupVersion.WithKind(kindOf(a.resource))
}

// checked returns the failure of options that are not right.
func checked(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return Error(apierrors.NewInvalid(schema.GroupKind{Group: metav1.GroupName, Kind: kind}, "", errs))
}

// sent returns an object of a caller as the library's, with its kind, as it goes over the wire. They share memory, since
// a verb neither changes nor keeps its arguments.
func sent[O Ours, T Theirs](a at, object *T) (*O, error) {
	if object == nil {
		return nil, a.badRequest("there is no object")
	}
	typed := *object
	any(&typed).(runtime.Object).GetObjectKind().SetGroupVersionKind(a.kind())
	ours, err := converted[O](sharing, &typed)
	if err != nil {
		return nil, a.badRequest(err.Error())
	}
	return ours, nil
}

// returned gives a caller an object without its kind, as typed clients do, or an empty one beside the error. The object
// is the verb's answer, which nobody else has.
func returned[T Theirs, O Ours](object *O, err error) (*T, error) {
	if err != nil || object == nil {
		return new(T), Error(err)
	}
	typed, err := converted[T](sharing, object)
	if err != nil {
		return new(T), err
	}
	any(typed).(runtime.Object).GetObjectKind().SetGroupVersionKind(schema.GroupVersionKind{})
	return typed, nil
}

// refused is the result of a call that failed before it asked for anything.
func refused[T Theirs](err error) (*T, error) { return new(T), err }

type getting[T Theirs, O Ours] struct {
	at
	verbs rest.Getter[O]
}

func (c getting[T, O]) Get(ctx context.Context, name string, _ metav1.GetOptions) (*T, error) {
	key, err := c.key(name)
	if err != nil {
		return refused[T](err)
	}
	return returned[T](c.verbs.Get(ctx, key))
}

type creating[T Theirs, O Ours] struct {
	at
	verbs rest.Creator[O]
}

func (c creating[T, O]) Create(ctx context.Context, object *T, opts metav1.CreateOptions) (*T, error) {
	if err := checked("CreateOptions", validation.ValidateCreateOptions(&opts)); err != nil {
		return refused[T](err)
	}
	ours, err := sent[O](c.at, object)
	if err != nil {
		return refused[T](err)
	}
	return returned[T](c.verbs.Create(ctx, c.namespace, ours, rest.CreateOptions{DryRun: len(opts.DryRun) > 0}))
}

type updating[T Theirs, O Ours] struct {
	at
	verbs rest.Updater[O]
}

func (c updating[T, O]) Update(ctx context.Context, object *T, opts metav1.UpdateOptions) (*T, error) {
	return c.replace(ctx, c.verbs, "", object, opts)
}

// replace updates an object, or that part of it, by verbs.
func (c updating[T, O]) replace(
	ctx context.Context, verbs rest.Updater[O], part string, object *T, opts metav1.UpdateOptions,
) (*T, error) {
	if err := checked("UpdateOptions", validation.ValidateUpdateOptions(&opts)); err != nil {
		return refused[T](err)
	}
	ours, err := sent[O](c.at, object)
	if err != nil {
		return refused[T](err)
	}
	key, err := c.key(any(object).(metav1.Object).GetName())
	if err != nil {
		return refused[T](err)
	}
	change := managed[T](c.at, part, opts.FieldManager, rest.Replace(ours))
	stored, _, err := verbs.Update(ctx, key, change, rest.UpdateOptions{DryRun: len(opts.DryRun) > 0})
	return returned[T](stored, err)
}

type deleting struct {
	at
	verbs rest.Deleter
}

func (c deleting) Delete(ctx context.Context, name string, opts metav1.DeleteOptions) error {
	key, err := c.key(name)
	if err != nil {
		return err
	}
	ours, err := deleteOptions(opts)
	if err != nil {
		return err
	}
	return Error(c.verbs.Delete(ctx, key, ours))
}

func deleteOptions(opts metav1.DeleteOptions) (rest.DeleteOptions, error) {
	ours := rest.DeleteOptions{DryRun: len(opts.DryRun) > 0}
	if only := opts.Preconditions; only != nil {
		if only.UID != nil {
			ours.Preconditions.UID = string(*only.UID)
		}
		if only.ResourceVersion != nil {
			ours.Preconditions.ResourceVersion = *only.ResourceVersion
		}
	}
	return ours, checked("DeleteOptions", validation.ValidateDeleteOptions(&opts))
}

type listing[L Theirs, OL Ours] struct {
	at
	verbs rest.Lister[OL]
}

func (c listing[L, OL]) List(ctx context.Context, opts metav1.ListOptions) (*L, error) {
	stored, err := c.list(ctx, opts)
	list, err := returned[L](stored, err)
	if exact := opts.ResourceVersion; err == nil && opts.ResourceVersionMatch == metav1.ResourceVersionMatchExact &&
		any(list).(metav1.ListInterface).GetResourceVersion() != exact {
		gone := apierrors.NewResourceExpired("the list of resourceVersion " + exact + " is no longer there")
		return refused[L](Error(gone))
	}
	return list, err
}

func (c listing[L, OL]) list(ctx context.Context, opts metav1.ListOptions) (*OL, error) {
	ours, err := c.listOptions(opts)
	if err != nil {
		return nil, err
	}
	limited, cancel := within(ctx, opts.TimeoutSeconds)
	defer cancel()
	list, err := c.verbs.List(limited, ours)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		err = errors.Join(apierrors.NewTimeoutError("the list took longer than the request allows", 0), err)
	}
	return list, err
}

// within returns ctx, ended after the seconds of a request.
func within(ctx context.Context, seconds *int64) (context.Context, context.CancelFunc) {
	if seconds == nil || *seconds <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Duration(*seconds)*time.Second)
}

// listOptions returns the options of a list or watch, of which those of watches are left to the caller.
func (a at) listOptions(opts metav1.ListOptions) (rest.ListOptions, error) {
	if opts.ShardSelector != "" {
		return rest.ListOptions{}, a.badRequest("a shardSelector is not supported: leave it out")
	}
	var checkable metainternal.ListOptions
	if err := metainternal.Convert_v1_ListOptions_To_internalversion_ListOptions(&opts, &checkable, nil); err != nil {
		return rest.ListOptions{}, a.badRequest(err.Error())
	}
	if err := checked("ListOptions", listvalidation.ValidateListOptions(&checkable, true)); err != nil {
		return rest.ListOptions{}, err
	}
	if checkable.FieldSelector != nil {
		for _, r := range checkable.FieldSelector.Requirements() {
			if r.Field != "metadata.name" && r.Field != "metadata.namespace" {
				return rest.ListOptions{}, a.badRequest("field label not supported: " + r.Field)
			}
		}
	}
	labels, err := imagestream.ParseSelector(opts.LabelSelector)
	if err != nil {
		return rest.ListOptions{}, a.badRequest(err.Error())
	}
	return rest.ListOptions{
		Namespace: a.namespace, Labels: labels, Fields: opts.FieldSelector, Limit: int(opts.Limit), Continue: opts.Continue,
	}, nil
}

// parts has the verbs of tags, which are parts of streams.
type parts[T, L Theirs, O, OL Ours] struct {
	getting[T, O]
	creating[T, O]
	updating[T, O]
	deleting
	listing[L, OL]
}

// partsOf returns parts on the verbs of a resource.
func partsOf[T, L Theirs, O, OL Ours](here at, verbs interface {
	rest.Getter[O]
	rest.Creator[O]
	rest.Updater[O]
	rest.Deleter
	rest.Lister[OL]
}) parts[T, L, O, OL] {
	return parts[T, L, O, OL]{
		getting[T, O]{here, verbs}, creating[T, O]{here, verbs}, updating[T, O]{here, verbs},
		deleting{here, verbs}, listing[L, OL]{here, verbs},
	}
}
