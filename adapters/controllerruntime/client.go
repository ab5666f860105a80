// Package controllerruntime is a controller-runtime client on the verbs of image.openshift.io/v1: a reconciler that
// is written on client.Client meets the real rules of image streams in its tests, without a cluster.
//
//	scheme := runtime.NewScheme()
//	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
//	utilruntime.Must(imagev1.Install(scheme))
//	next := fake.NewClientBuilder().WithScheme(scheme).Build()
//	c := controllerruntime.NewClient(rest.New(&fakes.Store{}, registry), next)
//
// [NewClient] answers for the objects of image.openshift.io/v1, and passes everything else to another client. It
// translates into the typed clientset of adapters/openshift and adds no rule.
//
// # What it does
//
// An object is of a type of openshift/api, an unstructured.Unstructured, a PartialObjectMetadata, or of another Go
// type that the scheme knows under the same kind. The kinds are ImageStream, ImageStreamTag, ImageTag,
// ImageStreamImage, ImageStreamMapping, ImageStreamImport, Image and ImageSignature, with the verbs that a cluster
// has for each. Any other verb fails as on a cluster: apierrors.IsMethodNotSupported holds, and errors.Is with
// imagestream.ErrUnsupported.
//
// Options mean what they mean on a cluster: namespaces, selectors of labels and of the fields metadata.name and
// metadata.namespace, limits and continue tokens, dry runs, preconditions, field owners, raw options. Patches are
// JSON, merge, strategic merge and apply patches; tags keep no owners of fields, and have no apply patches. Apply
// takes the apply configurations of openshift/client-go, and those of client.ApplyConfigurationFromUnstructured. The
// subresource status has get, update, patch and apply; layers and secrets have get. A list of secrets is not a
// client.Object, so that it is got into an Unstructured.
//
// Errors satisfy apimachinery's IsNotFound and the like, and errors.Is with the classes of package imagestream. A
// call that fails leaves the object as it was. An object that a call returns shares no memory with anything.
//
// The kind and version of a typed object are those that controller-runtime's own client leaves: none after Get,
// Create and List, those of before after Update and Patch.
//
// # Differences from a client of a cluster
//
// An object is emptied before it is filled: a field that the answer does not have is empty afterwards. Field
// validation is not asked for: an unknown field of an unstructured object is ignored. The client reads its own
// writes; there is no cache in it.
package controllerruntime

import (
	"context"
	"errors"
	"strings"

	imagev1 "github.com/openshift/api/image/v1"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// NewClient returns a client that answers for image.openshift.io/v1 by the verbs of api, and passes everything else
// to next, which must not be nil: controller-runtime's fake client in a test. Its scheme is that of next, which must
// know imagev1 for typed objects. Its RESTMapper knows the kinds of image.openshift.io/v1 first, and what next knows.
//
// The client is safe for concurrent use if next is.
func NewClient(api rest.API, next client.WithWatch) client.WithWatch {
	return &streamClient{openshift.Clientset(api).ImageV1(), next, mapperOver(next.RESTMapper())}
}

type streamClient struct {
	typed  typedv1.ImageV1Interface
	next   client.WithWatch
	mapper meta.RESTMapper
}

// mapperOver returns a mapper that knows the kinds of image.openshift.io/v1, and what next knows.
func mapperOver(next meta.RESTMapper) meta.RESTMapper {
	own := meta.NewDefaultRESTMapper([]schema.GroupVersion{imagev1.GroupVersion})
	for kind, r := range resources {
		plural := imagev1.GroupVersion.WithResource(r.name)
		singular := imagev1.GroupVersion.WithResource(strings.ToLower(kind))
		own.AddSpecific(imagev1.GroupVersion.WithKind(kind), plural, singular, r.scope)
	}
	return meta.FirstHitRESTMapper{MultiRESTMapper: meta.MultiRESTMapper{own, next}}
}

func (c *streamClient) Scheme() *runtime.Scheme     { return c.next.Scheme() }
func (c *streamClient) RESTMapper() meta.RESTMapper { return c.mapper }

func (c *streamClient) GroupVersionKindFor(obj runtime.Object) (schema.GroupVersionKind, error) {
	return c.next.GroupVersionKindFor(obj)
}

func (c *streamClient) IsObjectNamespaced(obj runtime.Object) (bool, error) {
	return apiutil.IsObjectNamespaced(obj, c.Scheme(), c.mapper)
}

// of returns the resource of an object or list; nil if it is for the next client.
func (c *streamClient) of(obj runtime.Object) *resource {
	kind, err := c.next.GroupVersionKindFor(obj)
	if err != nil {
		return nil
	}
	if meta.IsListType(obj) {
		kind.Kind = strings.TrimSuffix(kind.Kind, "List")
	}
	return resourceOf(kind)
}

func (c *streamClient) Get(
	ctx context.Context, key client.ObjectKey, obj client.Object, opts ...client.GetOption,
) error {
	r := c.of(obj)
	if r == nil {
		return c.next.Get(ctx, key, obj, opts...)
	}
	get := r.verbs(c.typed, key.Namespace).get
	if get == nil {
		return r.unsupported("get")
	}
	got, err := get(ctx, key.Name, *new(client.GetOptions).ApplyOptions(opts).AsGetOptions())
	return r.fill(obj, got, err)
}

// listOptions returns the options of a list, with the namespace. Raw options of the caller stay as they are.
func listOptions(opts *client.ListOptions) (string, metav1.ListOptions) {
	opts.Raw = opts.Raw.DeepCopy()
	return opts.Namespace, *opts.AsListOptions()
}

func (c *streamClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	r := c.of(list)
	if r == nil {
		return c.next.List(ctx, list, opts...)
	}
	namespace, options := listOptions(new(client.ListOptions).ApplyOptions(opts))
	verb := r.verbs(c.typed, namespace).list
	if verb == nil {
		return r.unsupported("list")
	}
	got, err := verb(ctx, options)
	return r.fillList(list, got, err)
}

func (c *streamClient) Create(ctx context.Context, obj client.Object, opts ...client.CreateOption) error {
	r := c.of(obj)
	if r == nil {
		return c.next.Create(ctx, obj, opts...)
	}
	if onlyMetadata(obj) {
		return errors.New("cannot create using only metadata")
	}
	create := r.verbs(c.typed, obj.GetNamespace()).create
	if create == nil {
		return r.unsupported("create")
	}
	sent, err := r.typedOf(obj)
	if err != nil {
		return err
	}
	got, err := create(ctx, sent, *new(client.CreateOptions).ApplyOptions(opts).AsCreateOptions())
	if got == nil {
		return err
	}
	return r.fill(obj, got, err)
}

func (c *streamClient) Update(ctx context.Context, obj client.Object, opts ...client.UpdateOption) error {
	r := c.of(obj)
	if r == nil {
		return c.next.Update(ctx, obj, opts...)
	}
	if onlyMetadata(obj) {
		return errors.New("cannot update using only metadata -- did you mean to patch?")
	}
	update := r.verbs(c.typed, obj.GetNamespace()).update
	if update == nil {
		return r.unsupported("update")
	}
	sent, err := r.typedOf(obj)
	if err != nil {
		return err
	}
	defer keepKind(obj)()
	got, err := update(ctx, sent, *new(client.UpdateOptions).ApplyOptions(opts).AsUpdateOptions())
	return r.fill(obj, got, err)
}

func (c *streamClient) Patch(
	ctx context.Context, obj client.Object, patch client.Patch, opts ...client.PatchOption,
) error {
	r := c.of(obj)
	if r == nil {
		return c.next.Patch(ctx, obj, patch, opts...)
	}
	return c.patch(ctx, r, obj, obj, patch, *new(client.PatchOptions).ApplyOptions(opts).AsPatchOptions())
}

// patch patches the object, or a subresource of it, by what the patch makes of body, and fills that.
func (c *streamClient) patch(
	ctx context.Context, r *resource, obj, body client.Object, patch client.Patch, opts metav1.PatchOptions,
	subresources ...string,
) error {
	verb := r.verbs(c.typed, obj.GetNamespace()).patch
	if verb == nil {
		return r.unsupported("patch")
	}
	data, err := patch.Data(body)
	if err != nil {
		return err
	}
	defer keepKind(body)()
	got, err := verb(ctx, obj.GetName(), patch.Type(), data, opts, subresources...)
	return r.fill(body, got, err)
}

func (c *streamClient) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	r := c.of(obj)
	if r == nil {
		return c.next.Delete(ctx, obj, opts...)
	}
	remove := r.verbs(c.typed, obj.GetNamespace()).delete
	if remove == nil {
		return r.unsupported("delete")
	}
	return remove(ctx, obj.GetName(), *new(client.DeleteOptions).ApplyOptions(opts).AsDeleteOptions())
}

// DeleteAllOf needs a namespace for objects that are in one, as a cluster does.
func (c *streamClient) DeleteAllOf(ctx context.Context, obj client.Object, opts ...client.DeleteAllOfOption) error {
	r := c.of(obj)
	if r == nil {
		return c.next.DeleteAllOf(ctx, obj, opts...)
	}
	all := new(client.DeleteAllOfOptions).ApplyOptions(opts)
	namespace, which := listOptions(&all.ListOptions)
	remove := r.verbs(c.typed, namespace).deleteAll
	if remove == nil || r.scope == meta.RESTScopeNamespace && namespace == "" {
		return r.unsupported("deletecollection")
	}
	return remove(ctx, *all.AsDeleteOptions(), which)
}
