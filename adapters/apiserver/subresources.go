package apiserver

import (
	"context"

	imagev1 "github.com/openshift/api/image/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/endpoints/request"
	registry "k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// status is the subresource imagestreams/status.
type status struct {
	resource[imagev1.ImageStream]
	getting[imagev1.ImageStream, imagestream.ImageStream]
	updating[imagev1.ImageStream, imagestream.ImageStream]
	tables[imagev1.ImageStream, imagestream.ImageStream]
}

func newStatus(s streams, verbs rest.ImageStreams) status {
	r := s.resource
	return status{
		resource: r,
		getting:  s.getting,
		updating: updating[imagev1.ImageStream, imagestream.ImageStream]{
			r, statusUpdater{verbs}, true, func(*imagestream.ImageStream) bool { return true },
		},
		tables: streamTables,
	}
}

// GetResetFields returns what an update of a status leaves as it is.
func (status) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set { return without("spec") }

// statusUpdater is the updater of statuses.
type statusUpdater struct{ verbs rest.ImageStreams }

func (u statusUpdater) Update(
	ctx context.Context, key imagestream.Key, change rest.Change[imagestream.ImageStream], opts rest.UpdateOptions,
) (*imagestream.ImageStream, bool, error) {
	opts.OrCreate = false
	stored, err := u.verbs.UpdateStatus(ctx, key, change, opts)
	return stored, false, err
}

// layersGetter is the getter of layers.
type layersGetter struct{ verbs rest.ImageStreams }

func (g layersGetter) Get(ctx context.Context, key imagestream.Key) (*imagestream.ImageStreamLayers, error) {
	return g.verbs.Layers(ctx, key)
}

// newLayers returns the subresource imagestreams/layers.
func newLayers(verbs rest.ImageStreams) registry.Storage {
	return getting[imagev1.ImageStreamLayers, imagestream.ImageStreamLayers]{
		resourceOf[imagev1.ImageStreamLayers]("ImageStreamLayers", "", ""), layersGetter{verbs},
	}
}

// streamSecrets is the subresource imagestreams/secrets.
type streamSecrets struct{ verbs rest.ImageStreams }

func (streamSecrets) New() runtime.Object { return &imagev1.SecretList{} }
func (streamSecrets) Destroy()            {}

func (s streamSecrets) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	key := imagestream.Key{Namespace: request.NamespaceValue(ctx), Name: name}
	ours, err := s.verbs.Secrets(ctx, key)
	if err != nil {
		return nil, openshift.Error(err)
	}
	theirs := &imagev1.SecretList{Items: make([]corev1.Secret, len(ours.Items))}
	theirs.ResourceVersion = ours.Metadata.ResourceVersion
	for i, s := range ours.Items {
		theirs.Items[i] = corev1.Secret{Type: corev1.SecretType(s.Type), Data: s.Data}
		m := &theirs.Items[i].ObjectMeta
		m.Name, m.Namespace, m.UID = s.Metadata.Name, s.Metadata.Namespace, types.UID(s.Metadata.UID)
		m.ResourceVersion, m.Labels, m.Annotations = s.Metadata.ResourceVersion, s.Metadata.Labels, s.Metadata.Annotations
		m.CreationTimestamp = metav1.NewTime(s.Metadata.CreationTimestamp.Time())
	}
	return theirs, nil
}

// mappings is the resource imagestreammappings.
type mappings struct {
	resource[imagev1.ImageStreamMapping]
	verbs rest.ImageStreamMappings
}

func newMappings(verbs rest.ImageStreamMappings) mappings {
	return mappings{resourceOf[imagev1.ImageStreamMapping]("ImageStreamMapping", "imagestreammapping", ""), verbs}
}

// Create records a push, and returns that it succeeded.
func (s mappings) Create(
	ctx context.Context, object runtime.Object, validate registry.ValidateObjectFunc, opts *metav1.CreateOptions,
) (runtime.Object, error) {
	if err := validate(ctx, object.DeepCopyObject()); err != nil {
		return nil, err
	}
	ours, err := received[imagestream.ImageStreamMapping](s.resource, object)
	if err != nil {
		return nil, err
	}
	ours.Metadata.ManagedFields = nil
	dryRun := rest.CreateOptions{DryRun: len(opts.DryRun) > 0}
	if err := s.verbs.Create(ctx, request.NamespaceValue(ctx), ours, dryRun); err != nil {
		return nil, openshift.Error(err)
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

// ProducesMIMETypes returns none beyond those of any resource.
func (mappings) ProducesMIMETypes(string) []string { return nil }

// ProducesObject returns the answer to a push, for the description of the API.
func (mappings) ProducesObject(string) any { return metav1.Status{} }
