package controllerruntime

import (
	"context"

	imagev1 "github.com/openshift/api/image/v1"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
)

// resource is a resource of image.openshift.io/v1.
type resource struct {
	kind, name string
	scope      meta.RESTScope
	object     func() client.Object
	verbs      func(c typedv1.ImageV1Interface, namespace string) verbs
}

// verbs are what a resource answers, in its own Go types. What it does not is nil.
type verbs struct {
	get          func(context.Context, string, metav1.GetOptions) (client.Object, error)
	list         func(context.Context, metav1.ListOptions) (client.ObjectList, error)
	watch        func(context.Context, metav1.ListOptions) (watch.Interface, error)
	create       func(context.Context, client.Object, metav1.CreateOptions) (client.Object, error)
	update       func(context.Context, client.Object, metav1.UpdateOptions) (client.Object, error)
	updateStatus func(context.Context, client.Object, metav1.UpdateOptions) (client.Object, error)
	patch        patchFunc
	delete       func(context.Context, string, metav1.DeleteOptions) error
	deleteAll    func(context.Context, metav1.DeleteOptions, metav1.ListOptions) error
	subresources map[string]getPart
}

type patchFunc func(
	context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string,
) (client.Object, error)

// getPart is a subresource that can be got, and its kind.
type getPart struct {
	kind schema.GroupVersionKind
	get  func(context.Context, string, metav1.GetOptions) (runtime.Object, error)
}

// resourceOf returns the resource of a kind; nil if it is none of these.
func resourceOf(kind schema.GroupVersionKind) *resource {
	if kind.GroupVersion() != imagev1.GroupVersion {
		return nil
	}
	return resources[kind.Kind]
}

func (r *resource) groupVersionKind() schema.GroupVersionKind {
	return imagev1.GroupVersion.WithKind(r.kind)
}

// unsupported is the failure of a verb that the resource does not have.
func (r *resource) unsupported(verb string, subresources ...string) error {
	name := r.name
	for _, s := range subresources {
		name += "/" + s
	}
	return openshift.Error(apierrors.NewMethodNotSupported(imagev1.Resource(name), verb))
}

// unlisted is the list type of what cannot be listed.
type unlisted = *metav1.PartialObjectMetadataList

// resources are all of them by their kinds.
var resources = map[string]*resource{
	"Image": newResource[imagev1.Image, *imagev1.Image, *imagev1.ImageList](
		"Image", imagestream.ResourceImages, meta.RESTScopeRoot,
		func(c typedv1.ImageV1Interface, _ string) any { return c.Images() }),
	"ImageSignature": newResource[imagev1.ImageSignature, *imagev1.ImageSignature, unlisted](
		"ImageSignature", imagestream.ResourceImageSignatures, meta.RESTScopeRoot,
		func(c typedv1.ImageV1Interface, _ string) any { return c.ImageSignatures() }),
	"ImageStream": newResource[imagev1.ImageStream, *imagev1.ImageStream, *imagev1.ImageStreamList](
		"ImageStream", imagestream.ResourceImageStreams, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageStreams(ns) }),
	"ImageStreamImage": newResource[imagev1.ImageStreamImage, *imagev1.ImageStreamImage, unlisted](
		"ImageStreamImage", imagestream.ResourceImageStreamImages, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageStreamImages(ns) }),
	"ImageStreamImport": newResource[imagev1.ImageStreamImport, *imagev1.ImageStreamImport, unlisted](
		"ImageStreamImport", imagestream.ResourceImageStreamImports, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageStreamImports(ns) }),
	"ImageStreamMapping": newResource[imagev1.ImageStreamMapping, *imagev1.ImageStreamMapping, unlisted](
		"ImageStreamMapping", imagestream.ResourceImageStreamMappings, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageStreamMappings(ns) }),
	"ImageStreamTag": newResource[imagev1.ImageStreamTag, *imagev1.ImageStreamTag, *imagev1.ImageStreamTagList](
		"ImageStreamTag", imagestream.ResourceImageStreamTags, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageStreamTags(ns) }),
	"ImageTag": newResource[imagev1.ImageTag, *imagev1.ImageTag, *imagev1.ImageTagList](
		"ImageTag", imagestream.ResourceImageTags, meta.RESTScopeNamespace,
		func(c typedv1.ImageV1Interface, ns string) any { return c.ImageTags(ns) }),
}

func newResource[T any, P interface {
	*T
	client.Object
}, L client.ObjectList](
	kind, name string, scope meta.RESTScope, in func(typedv1.ImageV1Interface, string) any,
) *resource {
	return &resource{
		kind: kind, name: name, scope: scope, object: func() client.Object { return P(new(T)) },
		verbs: func(c typedv1.ImageV1Interface, namespace string) verbs { return verbsOf[P, L](in(c, namespace)) },
	}
}

// verbsOf returns what a typed client can do.
func verbsOf[P client.Object, L client.ObjectList](typed any) verbs {
	var v verbs
	if c, ok := typed.(interface {
		Get(context.Context, string, metav1.GetOptions) (P, error)
	}); ok {
		v.get = func(ctx context.Context, name string, opts metav1.GetOptions) (client.Object, error) {
			return c.Get(ctx, name, opts)
		}
	}
	if c, ok := typed.(interface {
		List(context.Context, metav1.ListOptions) (L, error)
	}); ok {
		v.list = func(ctx context.Context, opts metav1.ListOptions) (client.ObjectList, error) {
			return c.List(ctx, opts)
		}
	}
	if c, ok := typed.(interface {
		Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	}); ok {
		v.watch = c.Watch
	}
	if c, ok := typed.(interface {
		Create(context.Context, P, metav1.CreateOptions) (P, error)
	}); ok {
		v.create = func(ctx context.Context, obj client.Object, opts metav1.CreateOptions) (client.Object, error) {
			return c.Create(ctx, obj.(P), opts)
		}
	}
	if c, ok := typed.(interface {
		Create(context.Context, P, metav1.CreateOptions) (*metav1.Status, error)
	}); ok {
		v.create = func(ctx context.Context, obj client.Object, opts metav1.CreateOptions) (client.Object, error) {
			_, err := c.Create(ctx, obj.(P), opts)
			return nil, err
		}
	}
	if c, ok := typed.(interface {
		Update(context.Context, P, metav1.UpdateOptions) (P, error)
	}); ok {
		v.update = func(ctx context.Context, obj client.Object, opts metav1.UpdateOptions) (client.Object, error) {
			return c.Update(ctx, obj.(P), opts)
		}
	}
	if c, ok := typed.(interface {
		Patch(context.Context, string, types.PatchType, []byte, metav1.PatchOptions, ...string) (P, error)
	}); ok {
		v.patch = func(
			ctx context.Context, name string, format types.PatchType, data []byte, opts metav1.PatchOptions,
			parts ...string,
		) (client.Object, error) {
			return c.Patch(ctx, name, format, data, opts, parts...)
		}
	}
	if c, ok := typed.(interface {
		Delete(context.Context, string, metav1.DeleteOptions) error
	}); ok {
		v.delete = c.Delete
	}
	if c, ok := typed.(interface {
		DeleteCollection(context.Context, metav1.DeleteOptions, metav1.ListOptions) error
	}); ok {
		v.deleteAll = c.DeleteCollection
	}
	if c, ok := typed.(typedv1.ImageStreamInterface); ok {
		v.updateStatus = func(ctx context.Context, obj client.Object, opts metav1.UpdateOptions) (client.Object, error) {
			return c.UpdateStatus(ctx, obj.(*imagev1.ImageStream), opts)
		}
		v.subresources = partsOf(c)
	}
	return v
}

// partsOf returns the subresources of an image stream.
func partsOf(c typedv1.ImageStreamInterface) map[string]getPart {
	type options = metav1.GetOptions
	return map[string]getPart{
		"status": {
			imagev1.GroupVersion.WithKind("ImageStream"),
			func(ctx context.Context, name string, o options) (runtime.Object, error) { return c.Get(ctx, name, o) },
		},
		"layers": {
			imagev1.GroupVersion.WithKind("ImageStreamLayers"),
			func(ctx context.Context, name string, o options) (runtime.Object, error) {
				return c.Layers(ctx, name, o)
			},
		},
		"secrets": {
			corev1.SchemeGroupVersion.WithKind("SecretList"),
			func(ctx context.Context, name string, o options) (runtime.Object, error) {
				return c.Secrets(ctx, name, o)
			},
		},
	}
}
