package apiserver

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/endpoints/request"
	registry "k8s.io/apiserver/pkg/registry/rest"
)

// secretStorage is the resource secrets.
type secretStorage struct {
	secrets *Secrets
	now     func() time.Time
}

func (secretStorage) New() runtime.Object     { return &corev1.Secret{} }
func (secretStorage) NewList() runtime.Object { return &corev1.SecretList{} }
func (secretStorage) Destroy()                {}
func (secretStorage) NamespaceScoped() bool   { return true }
func (secretStorage) GetSingularName() string { return "secret" }

func secretKey(ctx context.Context, name string) types.NamespacedName {
	return types.NamespacedName{Namespace: request.NamespaceValue(ctx), Name: name}
}

func (s secretStorage) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	secret, err := s.secrets.get(secretKey(ctx, name))
	if err != nil {
		return nil, err
	}
	return secret, nil
}

func (s secretStorage) List(ctx context.Context, opts *metainternal.ListOptions) (runtime.Object, error) {
	list := &corev1.SecretList{}
	for _, secret := range s.secrets.list(request.NamespaceValue(ctx)) {
		if isChosen(opts, &secret.ObjectMeta) {
			list.Items = append(list.Items, *secret)
		}
	}
	return list, nil
}

// isChosen says whether a list has an object with that metadata.
func isChosen(opts *metainternal.ListOptions, m *metav1.ObjectMeta) bool {
	if opts == nil {
		return true
	}
	named := fields.Set{"metadata.name": m.Name, "metadata.namespace": m.Namespace}
	return (opts.LabelSelector == nil || opts.LabelSelector.Matches(labels.Set(m.Labels))) &&
		(opts.FieldSelector == nil || opts.FieldSelector.Matches(named))
}

func (s secretStorage) Create(
	ctx context.Context, object runtime.Object, validate registry.ValidateObjectFunc, opts *metav1.CreateOptions,
) (runtime.Object, error) {
	secret := object.(*corev1.Secret).DeepCopy()
	if err := validate(ctx, secret.DeepCopy()); err != nil {
		return nil, err
	}
	secret.Namespace = request.NamespaceValue(ctx)
	if err := checkSecret(secret); err != nil {
		return nil, err
	}
	if len(opts.DryRun) > 0 {
		if _, err := s.secrets.get(secretKey(ctx, secret.Name)); err == nil {
			return nil, apierrors.NewAlreadyExists(secretResource, secret.Name)
		}
		return secret, nil
	}
	return stored(s.secrets.put(secret, "", s.now()))
}

// stored returns an interface without a value beside an error.
func stored(secret *corev1.Secret, err error) (runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return secret, nil
}

// checkSecret completes a secret, and returns what is wrong with it.
func checkSecret(secret *corev1.Secret) error {
	for name, text := range secret.StringData {
		if secret.Data == nil {
			secret.Data = map[string][]byte{}
		}
		secret.Data[name] = []byte(text)
	}
	secret.StringData = nil
	if secret.Type == "" {
		secret.Type = corev1.SecretTypeOpaque
	}
	errs := validation.ValidateObjectMeta(
		&secret.ObjectMeta, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"))
	size := 0
	for _, value := range secret.Data {
		size += len(value)
	}
	if size > maxSecret {
		errs = append(errs, field.TooLong(field.NewPath("data"), "", maxSecret))
	}
	for secretType, name := range map[corev1.SecretType]string{
		corev1.SecretTypeDockerConfigJson: corev1.DockerConfigJsonKey, corev1.SecretTypeDockercfg: corev1.DockerConfigKey,
	} {
		if secret.Type == secretType && !json.Valid(secret.Data[name]) {
			errs = append(errs, field.Invalid(field.NewPath("data").Key(name), "<secret contents redacted>", "must be valid JSON"))
		}
	}
	if len(errs) > 0 {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Secret").GroupKind(), secret.Name, errs)
	}
	return nil
}

func (s secretStorage) Update(
	ctx context.Context, name string, info registry.UpdatedObjectInfo,
	create registry.ValidateObjectFunc, update registry.ValidateObjectUpdateFunc,
	orCreate bool, opts *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	before, err := s.secrets.get(secretKey(ctx, name))
	created := apierrors.IsNotFound(err) && orCreate
	if err != nil && !created {
		return nil, false, err
	}
	if created {
		before = &corev1.Secret{}
	}
	after, err := info.UpdatedObject(ctx, before.DeepCopy())
	if err != nil {
		return nil, false, err
	}
	next := after.(*corev1.Secret)
	next.Namespace = request.NamespaceValue(ctx)
	if created {
		err = create(ctx, next.DeepCopy())
	} else {
		err = update(ctx, next.DeepCopy(), before)
	}
	if err == nil {
		err = checkSecret(next)
	}
	if err != nil {
		return nil, false, err
	}
	if asked := next.ResourceVersion; asked != "" && asked != before.ResourceVersion {
		return nil, false, apierrors.NewConflict(secretResource, name, errOldSecret)
	}
	if len(opts.DryRun) > 0 {
		return next, created, nil
	}
	object, err := stored(s.secrets.put(next, before.ResourceVersion, s.now()))
	return object, created, err
}

func (s secretStorage) Delete(
	ctx context.Context, name string, validate registry.ValidateObjectFunc, opts *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	key := secretKey(ctx, name)
	secret, err := s.secrets.get(key)
	if err == nil {
		err = validate(ctx, secret)
	}
	if err == nil {
		err = isTheOne(secretResource, &secret.ObjectMeta, opts)
	}
	if err == nil && (opts == nil || len(opts.DryRun) == 0) {
		version := ""
		if opts != nil && opts.Preconditions != nil {
			version = secret.ResourceVersion
		}
		err = s.secrets.remove(key.Namespace, key.Name, version)
	}
	return nil, err == nil, err
}

// isTheOne returns a conflict if an object is another than that which a request would delete.
func isTheOne(resource schema.GroupResource, m *metav1.ObjectMeta, opts *metav1.DeleteOptions) error {
	if opts == nil || opts.Preconditions == nil {
		return nil
	}
	only := opts.Preconditions
	if only.UID != nil && *only.UID != m.UID {
		return apierrors.NewConflict(resource, m.Name, fmt.Errorf("its uid is %s, not %s", m.UID, *only.UID))
	}
	if only.ResourceVersion != nil && *only.ResourceVersion != m.ResourceVersion {
		return apierrors.NewConflict(
			resource, m.Name, fmt.Errorf("its resourceVersion is %s, not %s", m.ResourceVersion, *only.ResourceVersion))
	}
	return nil
}

func (s secretStorage) ConvertToTable(_ context.Context, object, options runtime.Object) (*metav1.Table, error) {
	list, ok := object.(*corev1.SecretList)
	if !ok {
		list = &corev1.SecretList{Items: []corev1.Secret{*object.(*corev1.Secret)}}
	}
	table := newTable(options, list.ListMeta, "Name", "Type", "Data", "Age")
	for i := range list.Items {
		secret := &list.Items[i]
		table.Rows = append(table.Rows, metav1.TableRow{
			Cells:  []any{secret.Name, string(secret.Type), int64(len(secret.Data)), ageOf(secret.CreationTimestamp, s.now())},
			Object: runtime.RawExtension{Object: secret},
		})
	}
	return table, nil
}
