package openshift

import (
	"context"

	imagev1 "github.com/openshift/api/image/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/types"

	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Patch patches a tag with a JSON, merge or strategic merge patch, as a cluster does. The generated interfaces of
// tags do not have it: a caller asks for it by a type assertion. Tags keep no owners of fields, so that an apply
// patch is not supported.
func (c parts[T, L, O, OL]) Patch(
	ctx context.Context, name string, format types.PatchType, data []byte, opts metav1.PatchOptions,
	subresources ...string,
) (*T, error) {
	here := c.getting.at
	switch {
	case len(subresources) > 0:
		return refused[T](here.badRequest("there is no such subresource to patch: tags have none"))
	case format == types.ApplyPatchType:
		return refused[T](Error(apierrors.NewMethodNotSupported(imagev1.Resource(here.resource), "apply")))
	}
	return c.patch(ctx, c.updating.verbs, "", name, format, data, opts)
}

// patch patches an object, or that part of it, by verbs.
func (c parts[T, L, O, OL]) patch(
	ctx context.Context, verbs rest.Updater[O], part, name string, format types.PatchType, data []byte,
	opts metav1.PatchOptions,
) (*T, error) {
	here := c.getting.at
	if err := checked("PatchOptions", validation.ValidatePatchOptions(&opts, format)); err != nil {
		return refused[T](err)
	}
	key, err := here.key(name)
	if err != nil {
		return refused[T](err)
	}
	change := applied[T, O](here, part, name, data, opts)
	if format != types.ApplyPatchType {
		change = managed[T](here, part, opts.FieldManager, patched[T, O](here, name, format, data))
	}
	stored, _, err := verbs.Update(ctx, key, change, rest.UpdateOptions{
		DryRun: len(opts.DryRun) > 0, OrCreate: format == types.ApplyPatchType && part == "",
	})
	return returned[T](stored, err)
}
