package controllerruntime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	imagev1 "github.com/openshift/api/image/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/imagestreams/imagestreams/adapters/openshift"
)

func (c *streamClient) Status() client.SubResourceWriter { return c.SubResource("status") }

func (c *streamClient) SubResource(name string) client.SubResourceClient {
	return &subresource{c, c.next.SubResource(name), name}
}

// subresource is the client of the subresources of that name.
type subresource struct {
	client *streamClient
	next   client.SubResourceClient
	name   string
}

const statusPart = "status"

// check returns why a verb that only the status has cannot be done.
func (s *subresource) check(r *resource, name, verb string) error {
	parts := r.verbs(s.client.typed, "").subresources
	switch {
	case parts[s.name].get == nil:
		return s.notThere(r, name, verb)
	case s.name != statusPart:
		return r.unsupported(verb, s.name)
	}
	return nil
}

// notThere is the failure of a subresource that a resource does not have.
func (s *subresource) notThere(r *resource, name, verb string) error {
	resource := imagev1.Resource(r.name + "/" + s.name)
	return openshift.Error(apierrors.NewGenericServerResponse(http.StatusNotFound, verb, resource, name, "", 0, true))
}

func (s *subresource) Get(
	ctx context.Context, obj, part client.Object, opts ...client.SubResourceGetOption,
) error {
	r := s.client.of(obj)
	if r == nil {
		return s.next.Get(ctx, obj, part, opts...)
	}
	if onlyMetadata(obj) {
		return errors.New("can not get subresource using only metadata")
	}
	found := r.verbs(s.client.typed, obj.GetNamespace()).subresources[s.name]
	if found.get == nil {
		return s.notThere(r, obj.GetName(), "get")
	}
	got, err := found.get(ctx, obj.GetName(), *new(client.SubResourceGetOptions).ApplyOptions(opts).AsGetOptions())
	if err != nil {
		return err
	}
	return fillAs(part, got, found.kind)
}

func (s *subresource) Create(
	ctx context.Context, obj, part client.Object, opts ...client.SubResourceCreateOption,
) error {
	r := s.client.of(obj)
	if r == nil {
		return s.next.Create(ctx, obj, part, opts...)
	}
	if r.verbs(s.client.typed, "").subresources[s.name].get == nil {
		return s.notThere(r, obj.GetName(), "create")
	}
	return r.unsupported("create", s.name)
}

func (s *subresource) Update(ctx context.Context, obj client.Object, opts ...client.SubResourceUpdateOption) error {
	r := s.client.of(obj)
	if r == nil {
		return s.next.Update(ctx, obj, opts...)
	}
	if onlyMetadata(obj) {
		return errors.New("cannot update status using only metadata -- did you mean to patch?")
	}
	if err := s.check(r, obj.GetName(), "update"); err != nil {
		return err
	}
	options := new(client.SubResourceUpdateOptions).ApplyOptions(opts)
	body := obj
	if options.SubResourceBody != nil {
		body = options.SubResourceBody
	}
	named := body
	if body.GetName() == "" || body.GetNamespace() == "" {
		named = body.DeepCopyObject().(client.Object) // the body stays as it is if the call fails
		named.SetName(cmp.Or(body.GetName(), obj.GetName()))
		named.SetNamespace(cmp.Or(body.GetNamespace(), obj.GetNamespace()))
	}
	if named.GetName() != obj.GetName() {
		text := fmt.Sprintf("the name of the body is %q, and the object is %q", named.GetName(), obj.GetName())
		return openshift.Error(apierrors.NewBadRequest(text))
	}
	sent, err := r.typedOf(named)
	if err != nil {
		return err
	}
	defer keepKind(body)()
	got, err := r.verbs(s.client.typed, obj.GetNamespace()).updateStatus(ctx, sent, *options.AsUpdateOptions())
	return r.fill(body, got, err)
}

func (s *subresource) Patch(
	ctx context.Context, obj client.Object, patch client.Patch, opts ...client.SubResourcePatchOption,
) error {
	r := s.client.of(obj)
	if r == nil {
		return s.next.Patch(ctx, obj, patch, opts...)
	}
	if err := s.check(r, obj.GetName(), "patch"); err != nil {
		return err
	}
	options := new(client.SubResourcePatchOptions).ApplyOptions(opts)
	body := obj
	if options.SubResourceBody != nil {
		body = options.SubResourceBody
	}
	return s.client.patch(ctx, r, obj, body, patch, *options.AsPatchOptions(), s.name)
}

func (s *subresource) Apply(
	ctx context.Context, obj runtime.ApplyConfiguration, opts ...client.SubResourceApplyOption,
) error {
	r, namespace, name := configured(obj)
	if r == nil {
		return s.next.Apply(ctx, obj, opts...)
	}
	if err := s.check(r, name, "patch"); err != nil {
		return err
	}
	options := new(client.SubResourceApplyOptions).ApplyOpts(opts)
	body := obj
	if options.SubResourceBody != nil {
		body = options.SubResourceBody
	}
	return s.client.apply(ctx, r, namespace, name, obj, body, *options.AsPatchOptions(), s.name)
}
