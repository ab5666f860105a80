package apiserver

import (
	"context"
	"crypto/sha1"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	registry "k8s.io/apiserver/pkg/registry/rest"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// namespaces is the resource namespaces of a server that stands alone. A namespace exists if it holds image streams or
// secrets, if it was created, or if it is "default". Streams can be created in any; what was created and holds nothing is
// forgotten when the server ends.
type namespaces struct {
	streams rest.ImageStreams
	secrets *Secrets // nil if the server has none
	now     func() time.Time

	mu      sync.Mutex
	created map[string]*corev1.Namespace
}

var namespaceResource = corev1.Resource("namespaces")

func (*namespaces) New() runtime.Object     { return &corev1.Namespace{} }
func (*namespaces) NewList() runtime.Object { return &corev1.NamespaceList{} }
func (*namespaces) Destroy()                {}
func (*namespaces) NamespaceScoped() bool   { return false }
func (*namespaces) GetSingularName() string { return "namespace" }
func (*namespaces) ShortNames() []string    { return []string{"ns"} }

func newNamespace(name string, uid types.UID) *corev1.Namespace {
	n := &corev1.Namespace{}
	n.Name, n.UID, n.ResourceVersion = name, uid, "1"
	n.Labels = map[string]string{corev1.LabelMetadataName: name}
	n.Status.Phase = corev1.NamespaceActive
	return n
}

// implied returns the namespace that exists because it holds something.
func implied(name string) *corev1.Namespace {
	return newNamespace(name, types.UID(uuid.NewHash(sha1.New(), uuid.NameSpaceURL, []byte("namespaces/"+name), 5).String()))
}

func (s *namespaces) known(name string) *corev1.Namespace {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.created[name].DeepCopy()
}

func (s *namespaces) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	if n := s.known(name); n != nil {
		return n, nil
	}
	if name == metav1.NamespaceDefault || slices.Contains(s.secrets.namespaces(), name) {
		return implied(name), nil
	}
	list, err := s.streams.List(ctx, rest.ListOptions{Namespace: name, Limit: 1})
	switch {
	case err != nil:
		return nil, openshift.Error(err)
	case len(list.Items) == 0:
		return nil, apierrors.NewNotFound(namespaceResource, name)
	}
	return implied(name), nil
}

func (s *namespaces) List(ctx context.Context, opts *metainternal.ListOptions) (runtime.Object, error) {
	all := map[string]*corev1.Namespace{metav1.NamespaceDefault: implied(metav1.NamespaceDefault)}
	page := rest.ListOptions{Limit: 500}
	for {
		list, err := s.streams.List(ctx, page)
		if err != nil {
			return nil, openshift.Error(err)
		}
		for i := range list.Items {
			if name := list.Items[i].Metadata.Namespace; all[name] == nil {
				all[name] = implied(name)
			}
		}
		if page.Continue = list.Metadata.Continue; page.Continue == "" {
			break
		}
	}
	for _, name := range s.secrets.namespaces() {
		all[name] = implied(name)
	}
	s.mu.Lock()
	maps.Copy(all, s.created)
	s.mu.Unlock()
	list := &corev1.NamespaceList{ListMeta: metav1.ListMeta{ResourceVersion: "1"}}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if isChosen(opts, &all[name].ObjectMeta) {
			list.Items = append(list.Items, *all[name].DeepCopy())
		}
	}
	return list, nil
}

func (s *namespaces) Create(
	ctx context.Context, object runtime.Object, validate registry.ValidateObjectFunc, opts *metav1.CreateOptions,
) (runtime.Object, error) {
	asked := object.(*corev1.Namespace)
	if err := validate(ctx, asked.DeepCopy()); err != nil {
		return nil, err
	}
	if wrong := validation.ValidateNamespaceName(asked.Name, false); len(wrong) > 0 {
		errs := field.ErrorList{field.Invalid(field.NewPath("metadata", "name"), asked.Name, strings.Join(wrong, ", "))}
		return nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Namespace").GroupKind(), asked.Name, errs)
	}
	if _, err := s.Get(ctx, asked.Name, nil); !apierrors.IsNotFound(err) {
		if err == nil {
			err = apierrors.NewAlreadyExists(namespaceResource, asked.Name)
		}
		return nil, err
	}
	n := newNamespace(asked.Name, types.UID(uuid.NewString()))
	n.CreationTimestamp = metav1.NewTime(s.now().Truncate(time.Second))
	maps.Copy(n.Labels, asked.Labels)
	n.Annotations = maps.Clone(asked.Annotations)
	if len(opts.DryRun) > 0 {
		return n, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.created[n.Name] != nil {
		return nil, apierrors.NewAlreadyExists(namespaceResource, n.Name)
	}
	if s.created == nil {
		s.created = map[string]*corev1.Namespace{}
	}
	s.created[n.Name] = n.DeepCopy()
	return n, nil
}

// Delete deletes a namespace with its streams and secrets.
func (s *namespaces) Delete(
	ctx context.Context, name string, validate registry.ValidateObjectFunc, opts *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	object, err := s.Get(ctx, name, nil)
	if err != nil {
		return nil, false, err
	}
	if err := validate(ctx, object); err != nil {
		return nil, false, err
	}
	if err := isTheOne(namespaceResource, &object.(*corev1.Namespace).ObjectMeta, opts); err != nil {
		return nil, false, err
	}
	if name == metav1.NamespaceDefault {
		return nil, false, apierrors.NewForbidden(namespaceResource, name, errors.New("this namespace may not be deleted"))
	}
	if opts != nil && len(opts.DryRun) > 0 {
		return object, true, nil
	}
	list, err := s.streams.List(ctx, rest.ListOptions{Namespace: name})
	if err != nil {
		return nil, false, openshift.Error(err)
	}
	for i := range list.Items {
		key := imagestream.Key{Namespace: name, Name: list.Items[i].Metadata.Name}
		if err := s.streams.Delete(ctx, key, rest.DeleteOptions{}); err != nil && !errors.Is(err, imagestream.ErrNotFound) {
			return nil, false, openshift.Error(err)
		}
	}
	if s.secrets != nil {
		if err := s.secrets.remove(name, "", ""); err != nil {
			return nil, false, err
		}
	}
	s.mu.Lock()
	delete(s.created, name)
	s.mu.Unlock()
	return object, true, nil
}

func (s *namespaces) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	list, ok := object.(*corev1.NamespaceList)
	if !ok {
		list = &corev1.NamespaceList{Items: []corev1.Namespace{*object.(*corev1.Namespace)}}
	}
	table := newTable(options, list.ListMeta, "Name", "Status", "Age")
	for i := range list.Items {
		n := &list.Items[i]
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells:  []any{n.Name, string(n.Status.Phase), ageOf(n.CreationTimestamp, s.now())},
			Object: runtime.RawExtension{Object: n},
		})
	}
	return table, nil
}
