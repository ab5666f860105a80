package controllerruntime_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestClientKeepsTheContract runs the suite of the verbs through the client and back.
func TestClientKeepsTheContract(t *testing.T) {
	resttest.Run(t, func(t *testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		api := rest.New(&fakes.Store{}, registry)
		return resttest.Subject{API: throughClient{newClient(api)}, Registry: registry}
	})
}

// throughClient is the verbs on a controller-runtime client, as far as one can express them.
type throughClient struct{ client client.WithWatch }

// theirs is an object of the API.
type theirs[T any] interface {
	*T
	client.Object
}

// theirList is a list of the API.
type theirList[L any] interface {
	*L
	client.ObjectList
}

type verbs[T, L openshift.Theirs, O, OL openshift.Ours, P theirs[T], PL theirList[L]] struct {
	client client.WithWatch
	tags   bool // an update may create
}

func (v verbs[T, L, O, OL, P, PL]) Get(ctx context.Context, key imagestream.Key) (*O, error) {
	got := new(T)
	if err := v.client.Get(ctx, client.ObjectKey{Namespace: key.Namespace, Name: key.Name}, P(got)); err != nil {
		return nil, err
	}
	return openshift.FromAPI[O](got)
}

// errNothing is what a verb says to no object, which a client of controller-runtime cannot be given.
var errNothing = imagestream.NewError(imagestream.ReasonBadRequest, "", imagestream.Key{}, "there is no object to create")

// place makes an object one of a namespace. An object that names another is left for the client to refuse.
func place(o client.Object, namespace string) error {
	if o.GetNamespace() != "" && o.GetNamespace() != namespace {
		const why = "a client sends to the object's namespace"
		return imagestream.NewError(imagestream.ReasonBadRequest, "", imagestream.Key{}, why)
	}
	o.SetNamespace(namespace)
	return nil
}

func (v verbs[T, L, O, OL, P, PL]) Create(
	ctx context.Context, namespace string, o *O, opts rest.CreateOptions,
) (*O, error) {
	if o == nil {
		return nil, errNothing
	}
	sent := P(openshift.ToAPI[T](o))
	if err := place(sent, namespace); err != nil {
		return nil, err
	}
	if err := v.client.Create(ctx, sent, &client.CreateOptions{DryRun: dry(opts.DryRun)}); err != nil {
		return nil, err
	}
	return openshift.FromAPI[O](sent)
}

func dry(yes bool) []string {
	if yes {
		return []string{metav1.DryRunAll}
	}
	return nil
}

func (v verbs[T, L, O, OL, P, PL]) Delete(ctx context.Context, key imagestream.Key, opts rest.DeleteOptions) error {
	only := &metav1.Preconditions{}
	if uid := types.UID(opts.Preconditions.UID); uid != "" {
		only.UID = &uid
	}
	if version := opts.Preconditions.ResourceVersion; version != "" {
		only.ResourceVersion = &version
	}
	o := P(new(T))
	o.SetNamespace(key.Namespace)
	o.SetName(key.Name)
	return v.client.Delete(ctx, o, &client.DeleteOptions{DryRun: dry(opts.DryRun), Preconditions: only})
}

func listOptions(namespace string, selector imagestream.Selector, chosen string) (*client.ListOptions, error) {
	byLabels, err := labels.Parse(selector.String())
	if err != nil {
		return nil, err
	}
	byFields, err := fields.ParseSelector(chosen)
	if err != nil {
		return nil, openshift.Error(apierrors.NewBadRequest(err.Error()))
	}
	return &client.ListOptions{Namespace: namespace, LabelSelector: byLabels, FieldSelector: byFields}, nil
}

func (v verbs[T, L, O, OL, P, PL]) List(ctx context.Context, opts rest.ListOptions) (*OL, error) {
	options, err := listOptions(opts.Namespace, opts.Labels, opts.Fields)
	if err != nil {
		return nil, err
	}
	options.Limit, options.Continue = int64(opts.Limit), opts.Continue
	list := new(L)
	if err := v.client.List(ctx, PL(list), options); err != nil {
		return nil, err
	}
	return openshift.FromAPI[OL](list)
}

// Update gets, changes and updates until nobody else writes in between.
func (v verbs[T, L, O, OL, P, PL]) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[O], opts rest.UpdateOptions,
) (*O, bool, error) {
	dryRun := dry(opts.DryRun)
	return v.update(ctx, key, change, opts, func(o P) error {
		return v.client.Update(ctx, o, &client.UpdateOptions{DryRun: dryRun})
	})
}

func (v verbs[T, L, O, OL, P, PL]) update(
	ctx context.Context, key imagestream.Key, change rest.Change[O], opts rest.UpdateOptions, write func(P) error,
) (*O, bool, error) {
	cannot := imagestream.NewError(imagestream.ReasonMethodNotAllowed, "", key, "a client cannot")
	if opts.OrCreate {
		return nil, false, cannot
	}
	for {
		old, created, err := v.old(ctx, key)
		if err != nil {
			return nil, false, err
		}
		next, err := change(old)
		if err != nil {
			return nil, false, err
		}
		if next == nil {
			return nil, false, imagestream.NewError(imagestream.ReasonBadRequest, "", key, "there is no object")
		}
		sent := P(openshift.ToAPI[T](next))
		if !v.tags && sent.GetName() != key.Name {
			const why = "a client sends to the object's name"
			return nil, false, imagestream.NewError(imagestream.ReasonBadRequest, "", key, why)
		}
		version := sent.GetResourceVersion()
		if err := place(sent, key.Namespace); err != nil {
			return nil, false, err
		}
		switch err := write(sent); {
		case err == nil:
			stored, err := openshift.FromAPI[O](sent)
			return stored, created, err
		case !apierrors.IsConflict(err) || old == nil || version != P(openshift.ToAPI[T](old)).GetResourceVersion():
			return nil, false, err
		}
	}
}

// old returns the object as it is, and whether an update creates it. A client gets only tags that have an image; a
// patch that changes nothing shows the others.
func (v verbs[T, L, O, OL, P, PL]) old(ctx context.Context, key imagestream.Key) (*O, bool, error) {
	old, err := v.Get(ctx, key)
	if !v.tags || !errors.Is(err, imagestream.ErrNotFound) {
		return old, false, err
	}
	probe := P(new(T))
	probe.SetNamespace(key.Namespace)
	probe.SetName(key.Name)
	nothing := client.RawPatch(types.MergePatchType, []byte(`{}`))
	switch err := v.client.Patch(ctx, probe, nothing, client.DryRunAll); {
	case err == nil:
		old, err := openshift.FromAPI[O](probe)
		return old, false, err
	case apierrors.IsNotFound(err):
		return nil, true, nil
	case !apierrors.IsBadRequest(err):
		return nil, false, err
	}
	probe = P(new(T))
	probe.SetNamespace(key.Namespace)
	probe.SetName(key.Name)
	old, err = openshift.FromAPI[O](probe)
	return old, true, err
}

func (v verbs[T, L, O, OL, P, PL]) Watch(
	ctx context.Context, opts rest.WatchOptions,
) iter.Seq2[imagestream.Change[O], error] {
	return func(yield func(imagestream.Change[O], error) bool) {
		options, err := listOptions(opts.Namespace, opts.Labels, opts.Fields)
		if err != nil {
			yield(imagestream.Change[O]{}, err)
			return
		}
		options.Raw = &metav1.ListOptions{ResourceVersion: opts.ResourceVersion}
		events, err := v.client.Watch(ctx, PL(new(L)), options)
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

type streamVerbs struct {
	verbs[
		imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
		*imagev1.ImageStream, *imagev1.ImageStreamList,
	]
}

func (c throughClient) ImageStreams() rest.ImageStreams {
	s := streamVerbs{}
	s.client = c.client
	return s
}

func (s streamVerbs) UpdateStatus(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, error) {
	dryRun := client.UpdateOptions{DryRun: dry(opts.DryRun)}
	stored, _, err := s.update(ctx, key, change, opts, func(o *imagev1.ImageStream) error {
		return s.client.Status().Update(ctx, o, &client.SubResourceUpdateOptions{UpdateOptions: dryRun})
	})
	return stored, err
}

// named is an image stream of which only the name is known.
func named(key imagestream.Key) *imagev1.ImageStream {
	return &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
}

func (s streamVerbs) Layers(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	layers := &imagev1.ImageStreamLayers{}
	if err := s.client.SubResource("layers").Get(ctx, named(key), layers); err != nil {
		return nil, err
	}
	return openshift.FromAPI[imagestream.ImageStreamLayers](layers)
}

func (s streamVerbs) Secrets(ctx context.Context, key imagestream.Key) (*rest.SecretList, error) {
	got := &unstructured.Unstructured{}
	if err := s.client.SubResource("secrets").Get(ctx, named(key), got); err != nil {
		return nil, err
	}
	list := &corev1.SecretList{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(got.Object, list); err != nil {
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
	return verbs[
		imagev1.ImageStreamTag, imagev1.ImageStreamTagList, imagestream.ImageStreamTag, imagestream.ImageStreamTagList,
		*imagev1.ImageStreamTag, *imagev1.ImageStreamTagList,
	]{c.client, true}
}

func (c throughClient) ImageTags() rest.ImageTags {
	return verbs[
		imagev1.ImageTag, imagev1.ImageTagList, imagestream.ImageTag, imagestream.ImageTagList,
		*imagev1.ImageTag, *imagev1.ImageTagList,
	]{c.client, true}
}

func (c throughClient) ImageStreamImages() rest.ImageStreamImages {
	return unlisted[imagev1.ImageStreamImage, imagestream.ImageStreamImage, *imagev1.ImageStreamImage](c.client)
}

func (c throughClient) ImageStreamImports() rest.ImageStreamImports {
	return unlisted[imagev1.ImageStreamImport, imagestream.ImageStreamImport, *imagev1.ImageStreamImport](c.client)
}

func (c throughClient) ImageSignatures() rest.ImageSignatures {
	return unlisted[imagev1.ImageSignature, imagestream.ImageSignature, *imagev1.ImageSignature](c.client)
}

// unlisted returns the verbs of what has no lists.
func unlisted[T openshift.Theirs, O openshift.Ours, P theirs[T]](c client.WithWatch) verbs[
	T, imagev1.ImageList, O, imagestream.ImageList, P, *imagev1.ImageList,
] {
	return verbs[T, imagev1.ImageList, O, imagestream.ImageList, P, *imagev1.ImageList]{client: c}
}

func (c throughClient) ImageStreamMappings() rest.ImageStreamMappings { return clientMappings(c) }

type clientMappings struct{ client client.WithWatch }

func (c clientMappings) Create(
	ctx context.Context, namespace string, m *imagestream.ImageStreamMapping, opts rest.CreateOptions,
) error {
	if m == nil {
		return errNothing
	}
	sent := openshift.ToAPI[imagev1.ImageStreamMapping](m)
	if err := place(sent, namespace); err != nil {
		return err
	}
	return c.client.Create(ctx, sent, &client.CreateOptions{DryRun: dry(opts.DryRun)})
}

func (c throughClient) Images() rest.Images {
	return verbs[
		imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList, *imagev1.Image, *imagev1.ImageList,
	]{client: c.client}
}
