package openshift_test

import (
	"context"
	"errors"
	"iter"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestClientsetKeepsTheContract runs the suite of the verbs through the typed clientset and back. The typed clients of
// tags have no patch.
func TestClientsetKeepsTheContract(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		if strings.HasSuffix(t.Name(), "/TagPatch") {
			t.Skip("no typed client can express it")
		}
		registry := &fakes.Registry{}
		server := rest.New(&fakes.Store{}, registry)
		return resttest.Subject{API: throughClient{openshift.Clientset(server).ImageV1()}, Registry: registry}
	})
}

// throughClient is the verbs on a typed client, as far as one can express them.
type throughClient struct{ client typedv1.ImageV1Interface }

// forth makes an object of the library one of the API's.
func forth[T openshift.Theirs, O openshift.Ours](o *O) *T { return openshift.ToAPI[T](o) }

// back makes the answer of a typed client one of the verbs'.
func back[O openshift.Ours, T openshift.Theirs](o *T, err error) (*O, error) {
	if err != nil {
		return nil, err
	}
	return openshift.FromAPI[O](o)
}

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

type getter[T openshift.Theirs, O openshift.Ours] struct {
	in func(namespace string) gets[T]
}

func (g getter[T, O]) Get(ctx context.Context, key imagestream.Key) (*O, error) {
	return back[O](g.in(key.Namespace).Get(ctx, key.Name, metav1.GetOptions{}))
}

type creator[T openshift.Theirs, O openshift.Ours] struct {
	in func(namespace string) creates[T]
}

func (c creator[T, O]) Create(ctx context.Context, namespace string, o *O, opts rest.CreateOptions) (*O, error) {
	return back[O](c.in(namespace).Create(ctx, forth[T](o), metav1.CreateOptions{DryRun: dry(opts.DryRun)}))
}

type deleter struct {
	in func(namespace string) deletes
}

func (d deleter) Delete(ctx context.Context, key imagestream.Key, opts rest.DeleteOptions) error {
	theirs := metav1.DeleteOptions{DryRun: dry(opts.DryRun), Preconditions: &metav1.Preconditions{}}
	if uid := types.UID(opts.Preconditions.UID); uid != "" {
		theirs.Preconditions.UID = &uid
	}
	if version := opts.Preconditions.ResourceVersion; version != "" {
		theirs.Preconditions.ResourceVersion = &version
	}
	return d.in(key.Namespace).Delete(ctx, key.Name, theirs)
}

type lister[L openshift.Theirs, O openshift.Ours] struct {
	in func(namespace string) lists[L]
}

func (l lister[L, O]) List(ctx context.Context, opts rest.ListOptions) (*O, error) {
	return back[O](l.in(opts.Namespace).List(ctx, metav1.ListOptions{
		LabelSelector: opts.Labels.String(), FieldSelector: opts.Fields, Limit: int64(opts.Limit), Continue: opts.Continue,
	}))
}

// updater gets, changes and updates until nobody else writes in between. A typed client sends a tag that it cannot get
// as a new one.
type updater[T openshift.Theirs, O openshift.Ours] struct {
	in   func(namespace string) (gets[T], updates[T])
	tags func(name string) *O // nil for objects, which must exist
}

func (u updater[T, O]) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[O], opts rest.UpdateOptions,
) (*O, bool, error) {
	if opts.OrCreate {
		return nil, false, imagestream.NewError(imagestream.ReasonMethodNotAllowed, "", key, "a typed client cannot")
	}
	reads, writes := u.in(key.Namespace)
	for {
		old, err := back[O](reads.Get(ctx, key.Name, metav1.GetOptions{}))
		created := u.tags != nil && errors.Is(err, imagestream.ErrNotFound)
		if created {
			old, err = u.tags(key.Name), nil
		}
		if err != nil {
			return nil, false, err
		}
		next, err := change(old)
		if err != nil {
			return nil, false, err
		}
		if next == nil || u.tags == nil && nameOf(next) != key.Name {
			return nil, false, imagestream.NewError(imagestream.ReasonBadRequest, "", key, "a typed client cannot")
		}
		stored, err := back[O](writes.Update(ctx, forth[T](next), metav1.UpdateOptions{DryRun: dry(opts.DryRun)}))
		if !apierrors.IsConflict(err) || versionOf(next) != versionOf(old) {
			return stored, created, err
		}
	}
}

func metaOf[O any](o *O) imagestream.ObjectMeta {
	switch o := any(o).(type) {
	case *imagestream.ImageStream:
		return o.Metadata
	case *imagestream.Image:
		return o.Metadata
	case *imagestream.ImageStreamTag:
		return o.Metadata
	case *imagestream.ImageTag:
		return o.Metadata
	}
	return imagestream.ObjectMeta{}
}

func nameOf[O any](o *O) string    { return metaOf(o).Name }
func versionOf[O any](o *O) string { return metaOf(o).ResourceVersion }

type watching[T openshift.Theirs, O openshift.Ours] struct {
	in func(namespace string) watches
}

func (w watching[T, O]) Watch(ctx context.Context, opts rest.WatchOptions) iter.Seq2[imagestream.Change[O], error] {
	return func(yield func(imagestream.Change[O], error) bool) {
		events, err := w.in(opts.Namespace).Watch(ctx, metav1.ListOptions{
			LabelSelector: opts.Labels.String(), FieldSelector: opts.Fields, ResourceVersion: opts.ResourceVersion,
		})
		if err != nil {
			yield(imagestream.Change[O]{}, err)
			return
		}
		defer events.Stop()
		for event := range events.ResultChan() {
			if event.Type == watch.Error {
				yield(imagestream.Change[O]{}, openshift.Error(apierrors.FromObject(event.Object)))
				return
			}
			object, err := openshift.FromAPI[O](any(event.Object).(*T))
			if !yield(imagestream.Change[O]{Type: imagestream.ChangeType(event.Type), Object: object}, err) {
				return
			}
		}
		yield(imagestream.Change[O]{}, ctx.Err())
	}
}

type verbs[T, L openshift.Theirs, O, OL openshift.Ours] struct {
	getter[T, O]
	creator[T, O]
	updater[T, O]
	deleter
	lister[L, OL]
}

// client is what the typed clients of objects and tags have in common.
type client[T, L any] interface {
	gets[T]
	creates[T]
	updates[T]
	deletes
	lists[L]
}

func verbsOf[T, L openshift.Theirs, O, OL openshift.Ours, C client[T, L]](
	in func(string) C, tags func(string) *O,
) verbs[T, L, O, OL] {
	return verbs[T, L, O, OL]{
		getter[T, O]{func(ns string) gets[T] { return in(ns) }},
		creator[T, O]{func(ns string) creates[T] { return in(ns) }},
		updater[T, O]{func(ns string) (gets[T], updates[T]) { return in(ns), in(ns) }, tags},
		deleter{func(ns string) deletes { return in(ns) }},
		lister[L, OL]{func(ns string) lists[L] { return in(ns) }},
	}
}

type clientStreams struct {
	verbs[imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList]
	watching[imagev1.ImageStream, imagestream.ImageStream]
	client typedv1.ImageV1Interface
}

func (c throughClient) ImageStreams() rest.ImageStreams {
	return clientStreams{
		verbsOf[imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList](
			c.client.ImageStreams, nil),
		watching[imagev1.ImageStream, imagestream.ImageStream]{func(ns string) watches { return c.client.ImageStreams(ns) }},
		c.client,
	}
}

// statusUpdates is the update of a status.
type statusUpdates struct{ typedv1.ImageStreamInterface }

func (s statusUpdates) Update(
	ctx context.Context, o *imagev1.ImageStream, opts metav1.UpdateOptions,
) (*imagev1.ImageStream, error) {
	return s.UpdateStatus(ctx, o, opts)
}

func (c clientStreams) UpdateStatus(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, error) {
	in := func(ns string) (gets[imagev1.ImageStream], updates[imagev1.ImageStream]) {
		return c.client.ImageStreams(ns), statusUpdates{c.client.ImageStreams(ns)}
	}
	u := updater[imagev1.ImageStream, imagestream.ImageStream]{in: in}
	stored, _, err := u.Update(ctx, key, change, opts)
	return stored, err
}

func (c clientStreams) Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	layers, err := c.client.ImageStreams(key.Namespace).Layers(ctx, key.Name, metav1.GetOptions{})
	return back[imagestream.ImageStreamLayers](layers, err)
}

func (c clientStreams) Secrets(ctx context.Context, key imagestream.Key) (*rest.SecretList, error) {
	list, err := c.client.ImageStreams(key.Namespace).Secrets(ctx, key.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	ours := &rest.SecretList{}
	for _, s := range list.Items {
		secret := rest.Secret{Metadata: imagestream.ObjectMeta{Name: s.Name}, Data: s.Data, Type: string(s.Type)}
		ours.Items = append(ours.Items, secret)
	}
	return ours, nil
}

func (c throughClient) ImageStreamTags() rest.ImageStreamTags {
	return verbsOf[
		imagev1.ImageStreamTag, imagev1.ImageStreamTagList, imagestream.ImageStreamTag, imagestream.ImageStreamTagList,
	](
		c.client.ImageStreamTags, func(name string) *imagestream.ImageStreamTag {
			return &imagestream.ImageStreamTag{Metadata: imagestream.ObjectMeta{Name: name}}
		})
}

func (c throughClient) ImageTags() rest.ImageTags {
	return verbsOf[imagev1.ImageTag, imagev1.ImageTagList, imagestream.ImageTag, imagestream.ImageTagList](
		c.client.ImageTags, func(name string) *imagestream.ImageTag {
			return &imagestream.ImageTag{Metadata: imagestream.ObjectMeta{Name: name}}
		})
}

func (c throughClient) ImageStreamImages() rest.ImageStreamImages {
	return getter[imagev1.ImageStreamImage, imagestream.ImageStreamImage]{func(ns string) gets[imagev1.ImageStreamImage] {
		return c.client.ImageStreamImages(ns)
	}}
}

func (c throughClient) ImageStreamMappings() rest.ImageStreamMappings { return clientMappings(c) }

type clientMappings struct{ client typedv1.ImageV1Interface }

func (c clientMappings) Create(
	ctx context.Context, namespace string, m *imagestream.ImageStreamMapping, opts rest.CreateOptions,
) error {
	theirs := forth[imagev1.ImageStreamMapping](m)
	dryRun := metav1.CreateOptions{DryRun: dry(opts.DryRun)}
	status, err := c.client.ImageStreamMappings(namespace).Create(ctx, theirs, dryRun)
	if err == nil && status.Status != metav1.StatusSuccess {
		return errors.New("the status is " + status.Status)
	}
	return err
}

func (c throughClient) ImageStreamImports() rest.ImageStreamImports {
	in := func(ns string) creates[imagev1.ImageStreamImport] { return c.client.ImageStreamImports(ns) }
	return creator[imagev1.ImageStreamImport, imagestream.ImageStreamImport]{in}
}

type clientImages struct {
	verbs[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList]
	watching[imagev1.Image, imagestream.Image]
}

func (c throughClient) Images() rest.Images {
	return clientImages{
		verbsOf[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList](
			func(string) typedv1.ImageInterface { return c.client.Images() }, nil),
		watching[imagev1.Image, imagestream.Image]{func(string) watches { return c.client.Images() }},
	}
}

func (c throughClient) ImageSignatures() rest.ImageSignatures {
	return clientSignatures{
		creator[imagev1.ImageSignature, imagestream.ImageSignature]{func(string) creates[imagev1.ImageSignature] {
			return c.client.ImageSignatures()
		}},
		deleter{func(string) deletes { return c.client.ImageSignatures() }},
	}
}

type clientSignatures struct {
	creator[imagev1.ImageSignature, imagestream.ImageSignature]
	deleter
}
