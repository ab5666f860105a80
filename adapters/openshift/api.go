package openshift

import (
	"context"
	"errors"
	"fmt"
	"iter"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// API returns the verbs of image.openshift.io/v1 on a clientset, which is a cluster's or any other, so that the
// methods of package client and the words of package oc work there:
//
//	streams := &client.Client{API: openshift.API(clientset)}
//
// Each verb is one request. An update, which takes a function, is two: a get, and a PUT with the version that was got.
// If somebody else writes in between, it pauses and begins again, until its context ends; a conflict about anything but
// the version is returned. The old object of a tag's update is made from its stream, which the caller must be allowed to
// get; a tag of a stream that does not exist is created with a POST, and so is what UpdateOptions.OrCreate creates. A
// watch goes on when the cluster ends it.
//
// Rules, defaults, permissions and imports are the cluster's. Errors are those of [Error]. A cluster keeps no pins: a
// write that would set one is of class [imagestream.ErrUnsupported], and nothing is written. Pins that are there stay as
// they are, and can be removed.
func API(clientset versioned.Interface) rest.API { return cluster{clientset.ImageV1()} }

// cluster is an API on a typed client.
type cluster struct{ client typedv1.ImageV1Interface }

// The verbs of typed clients, one by one.
type (
	gets[T any] interface {
		Get(context.Context, string, metav1.GetOptions) (*T, error)
	}
	creates[T any] interface {
		Create(context.Context, *T, metav1.CreateOptions) (*T, error)
	}
	updates[T any] interface {
		Update(context.Context, *T, metav1.UpdateOptions) (*T, error)
	}
	deletes interface {
		Delete(context.Context, string, metav1.DeleteOptions) error
	}
	lists[L any] interface {
		List(context.Context, metav1.ListOptions) (*L, error)
	}
	watches interface {
		Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
	}
)

func dry(yes bool) []string {
	if yes {
		return []string{metav1.DryRunAll}
	}
	return nil
}

var errNoAnswer = errors.New("the typed client returned neither an object nor an error")

// answered returns what a typed client answered to a request about key, with the kind that typed clients leave out.
func answered[O Ours, T Theirs](
	ctx context.Context, kind, resource string, key imagestream.Key, object *T, err error,
) (*O, error) {
	if err == nil && object == nil {
		err = errNoAnswer
	}
	if err != nil {
		return nil, failure(ctx, err, resource, key)
	}
	shown := *object
	any(&shown).(runtime.Object).GetObjectKind().SetGroupVersionKind(imagev1.GroupVersion.WithKind(kind))
	return converted[O](sharing, &shown)
}

type getter[T Theirs, O Ours] struct {
	resource string
	in       func(namespace string) gets[T]
}

func (g getter[T, O]) Get(ctx context.Context, key imagestream.Key) (*O, error) {
	object, err := g.in(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{})
	return answered[O](ctx, kindOf(g.resource), g.resource, key, object, err)
}

type creator[T Theirs, O Ours] struct {
	resource string
	in       func(namespace string) creates[T]
}

func (c creator[T, O]) Create(ctx context.Context, namespace string, object *O, opts rest.CreateOptions) (*O, error) {
	if object == nil {
		return nil, noObject(c.resource, namespace)
	}
	sent := ToAPI[T](object)
	key := imagestream.Key{Namespace: namespace, Name: any(sent).(metav1.Object).GetName()}
	stored, err := c.in(namespace).Create(ctx, sent, metav1.CreateOptions{DryRun: dry(opts.DryRun)})
	return answered[O](ctx, kindOf(c.resource), c.resource, key, stored, err)
}

type deleter struct {
	resource string
	in       func(namespace string) deletes
}

func (d deleter) Delete(ctx context.Context, key imagestream.Key, opts rest.DeleteOptions) error {
	theirs := metav1.DeleteOptions{DryRun: dry(opts.DryRun)}
	if opts.Preconditions != (imagestream.Preconditions{}) {
		theirs.Preconditions = &metav1.Preconditions{}
	}
	if uid := types.UID(opts.Preconditions.UID); uid != "" {
		theirs.Preconditions.UID = &uid
	}
	if version := opts.Preconditions.ResourceVersion; version != "" {
		theirs.Preconditions.ResourceVersion = &version
	}
	if err := d.in(key.Namespace).Delete(ctx, key.Name, theirs); err != nil {
		return failure(ctx, err, d.resource, key)
	}
	return nil
}

type lister[L Theirs, OL Ours] struct {
	resource string
	in       func(namespace string) lists[L]
}

func (l lister[L, OL]) List(ctx context.Context, opts rest.ListOptions) (*OL, error) {
	list, err := l.in(opts.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: opts.Labels.String(), FieldSelector: opts.Fields, Limit: int64(opts.Limit), Continue: opts.Continue,
	})
	key := imagestream.Key{Namespace: opts.Namespace}
	return answered[OL](ctx, kindOf(l.resource)+"List", l.resource, key, list, err)
}

// observer watches the objects of a lister.
type observer[T, L Theirs, O, OL Ours] struct {
	lister[L, OL]
	in    func(namespace string) watches
	items func(*OL) ([]O, imagestream.ListMeta)
}

func (w observer[T, L, O, OL]) Watch(
	ctx context.Context, opts rest.WatchOptions,
) iter.Seq2[imagestream.Change[O], error] {
	return watcher[O]{
		resource: w.resource,
		open:     w.in(opts.Namespace).Watch,
		list: func() ([]O, string, error) {
			list, err := w.List(ctx, rest.ListOptions{Namespace: opts.Namespace, Labels: opts.Labels, Fields: opts.Fields})
			if err != nil {
				return nil, "", err
			}
			items, meta := w.items(list)
			return items, meta.ResourceVersion, nil
		},
		read: func(o runtime.Object) (*O, string, error) {
			object, ok := any(o).(*T)
			if !ok {
				return nil, "", errOtherType
			}
			ours, err := answered[O](ctx, kindOf(w.resource), w.resource, imagestream.Key{}, object, nil)
			return ours, any(object).(metav1.Object).GetResourceVersion(), err
		},
	}.watch(ctx, opts)
}

// typedClient is what the typed clients of objects and tags have in common.
type typedClient[T, L any] interface {
	gets[T]
	creates[T]
	updates[T]
	deletes
	lists[L]
}

// basics are the verbs that objects and tags have in common, but for updates.
type basics[T, L Theirs, O, OL Ours] struct {
	getter[T, O]
	creator[T, O]
	deleter
	lister[L, OL]
}

func basicsOf[T, L Theirs, O, OL Ours, C typedClient[T, L]](resource string, in func(string) C) basics[T, L, O, OL] {
	return basics[T, L, O, OL]{
		getter[T, O]{resource, func(ns string) gets[T] { return in(ns) }},
		creator[T, O]{resource, func(ns string) creates[T] { return in(ns) }},
		deleter{resource, func(ns string) deletes { return in(ns) }},
		lister[L, OL]{resource, func(ns string) lists[L] { return in(ns) }},
	}
}

func (c cluster) ImageStreamImages() rest.ImageStreamImages {
	return getter[imagev1.ImageStreamImage, imagestream.ImageStreamImage]{
		imagestream.ResourceImageStreamImages,
		func(ns string) gets[imagev1.ImageStreamImage] { return c.client.ImageStreamImages(ns) },
	}
}

func (c cluster) ImageStreamImports() rest.ImageStreamImports {
	return creator[imagev1.ImageStreamImport, imagestream.ImageStreamImport]{
		imagestream.ResourceImageStreamImports,
		func(ns string) creates[imagev1.ImageStreamImport] { return c.client.ImageStreamImports(ns) },
	}
}

func (c cluster) ImageStreamMappings() rest.ImageStreamMappings { return pushes(c) }

type pushes struct{ client typedv1.ImageV1Interface }

func (c pushes) Create(
	ctx context.Context, namespace string, mapping *imagestream.ImageStreamMapping, opts rest.CreateOptions,
) error {
	if mapping == nil {
		return noObject(imagestream.ResourceImageStreamMappings, namespace)
	}
	status, err := c.client.ImageStreamMappings(namespace).
		Create(ctx, ToAPI[imagev1.ImageStreamMapping](mapping), metav1.CreateOptions{DryRun: dry(opts.DryRun)})
	switch {
	case err == nil && status == nil:
		err = errNoAnswer
	case err == nil && status.Status == metav1.StatusFailure:
		err = errors.New("the cluster answers that the push failed: " + status.Message)
	}
	if err != nil {
		key := imagestream.Key{Namespace: namespace, Name: mapping.Metadata.Name}
		return failure(ctx, err, imagestream.ResourceImageStreamMappings, key)
	}
	return nil
}

func (c cluster) ImageSignatures() rest.ImageSignatures {
	const resource = imagestream.ResourceImageSignatures
	return struct {
		creator[imagev1.ImageSignature, imagestream.ImageSignature]
		deleter
	}{
		creator[imagev1.ImageSignature, imagestream.ImageSignature]{
			resource, func(string) creates[imagev1.ImageSignature] { return c.client.ImageSignatures() },
		},
		deleter{resource, func(string) deletes { return c.client.ImageSignatures() }},
	}
}

type clusterStreams struct {
	basics[imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList]
	observer[imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList]
	client typedv1.ImageV1Interface
}

func (c cluster) ImageStreams() rest.ImageStreams {
	all := basicsOf[
		imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
	](imagestream.ResourceImageStreams, c.client.ImageStreams)
	return clusterStreams{all, observer[
		imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
	]{
		all.lister, func(ns string) watches { return c.client.ImageStreams(ns) },
		func(l *imagestream.ImageStreamList) ([]imagestream.ImageStream, imagestream.ListMeta) {
			return l.Items, l.Metadata
		},
	}, c.client}
}

func (c clusterStreams) List(ctx context.Context, opts rest.ListOptions) (*imagestream.ImageStreamList, error) {
	return c.basics.List(ctx, opts)
}

func (c clusterStreams) Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	layers, err := c.client.ImageStreams(key.Namespace).Layers(ctx, key.Name, metav1.GetOptions{})
	return answered[imagestream.ImageStreamLayers](
		ctx, "ImageStreamLayers", imagestream.ResourceImageStreams+"/layers", key, layers, err)
}

func (c clusterStreams) Secrets(ctx context.Context, key imagestream.Key) (*rest.SecretList, error) {
	list, err := c.client.ImageStreams(key.Namespace).Secrets(ctx, key.Name, metav1.GetOptions{})
	if err == nil && list == nil {
		err = errNoAnswer
	}
	if err != nil {
		return nil, failure(ctx, err, imagestream.ResourceImageStreams+"/secrets", key)
	}
	ours, err := converted[rest.SecretList](sharing, (*corev1.SecretList)(list))
	if err != nil {
		return nil, err
	}
	ours.TypeMeta = imagestream.TypeMeta{Kind: "SecretList", APIVersion: "v1"}
	return ours, nil
}

func (c cluster) Images() rest.Images {
	in := func(string) typedv1.ImageInterface { return c.client.Images() }
	all := basicsOf[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList](
		imagestream.ResourceImages, in)
	return clusterImages{all, observer[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList]{
		all.lister, func(string) watches { return c.client.Images() },
		func(l *imagestream.ImageList) ([]imagestream.Image, imagestream.ListMeta) { return l.Items, l.Metadata },
	}, c.client}
}

type clusterImages struct {
	basics[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList]
	observer[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList]
	client typedv1.ImageV1Interface
}

func (c clusterImages) List(ctx context.Context, opts rest.ListOptions) (*imagestream.ImageList, error) {
	return c.basics.List(ctx, opts)
}

// keepsPins refuses a stream with pins that old, nil for none, does not have.
func keepsPins(key imagestream.Key, old, next *imagestream.ImageStream) error {
	var had string
	if old != nil {
		had = old.Metadata.Annotations[imagestream.PinsAnnotation]
	}
	if has := next.Metadata.Annotations[imagestream.PinsAnnotation]; has == "" || has == had {
		return nil
	}
	const text = "a cluster does not keep the pins of annotation %s: a stream in a Store of your own can have them"
	return Error(imagestream.NewError(imagestream.ReasonMethodNotAllowed, imagestream.ResourceImageStreams, key,
		fmt.Sprintf(text, imagestream.PinsAnnotation)))
}
