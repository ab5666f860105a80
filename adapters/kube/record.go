package kube

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/client-go/dynamic"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/internal/utf8path"
	"github.com/imagestreams/imagestreams/tagevent"
)

// kind is what the store has to know of a type.
type kind[T any] struct {
	resource   string
	name       string // of the kind
	separators string // of names
	spaced     bool   // whether objects belong to a namespace
	client     dynamic.NamespaceableResourceInterface
	newest     *newest
	maxPause   time.Duration // of a watch that was interrupted, and patience with it
	patience   time.Duration
	types      func(*T) *imagestream.TypeMeta
	meta       func(*T) *imagestream.ObjectMeta
	form       func(*T) (any, error)            // what is encoded of an object
	read       func(map[string]any) (*T, error) // the inverse of form
	summary    func(*T) map[string]any          // nil if there is none
}

func streamKind(client dynamic.NamespaceableResourceInterface, newest *newest) kind[imagestream.ImageStream] {
	return kind[imagestream.ImageStream]{
		resource: imagestream.ResourceImageStreams, name: "ImageStream", separators: streamSeparators, spaced: true,
		client: client, newest: newest, maxPause: maxPause, patience: patience,
		types:   func(o *imagestream.ImageStream) *imagestream.TypeMeta { return &o.TypeMeta },
		meta:    func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata },
		summary: summary,
		form:    func(o *imagestream.ImageStream) (any, error) { return o, nil },
		read: func(m map[string]any) (*imagestream.ImageStream, error) {
			o := new(imagestream.ImageStream)
			return o, fromMap(m, o)
		},
	}
}

func imageKind(client dynamic.NamespaceableResourceInterface, newest *newest) kind[imagestream.Image] {
	return kind[imagestream.Image]{
		resource: imagestream.ResourceImages, name: "Image", separators: imageSeparators,
		client: client, newest: newest, maxPause: maxPause, patience: patience,
		types: func(o *imagestream.Image) *imagestream.TypeMeta { return &o.TypeMeta },
		meta:  func(o *imagestream.Image) *imagestream.ObjectMeta { return &o.Metadata },
		form:  formOf, read: readImage,
	}
}

// The members of a resource that are not those of the object.
const (
	memberMetadata       = "metadata"
	memberObjectMetadata = "objectMetadata"
	memberSummary        = "summary"
)

// summary returns the cells that oc get imagestreams has for a stream, with a time where oc has an age.
func summary(s *imagestream.ImageStream) map[string]any {
	row := describe.ImageStreams([]imagestream.ImageStream{*s}, time.Time{}).Rows[0]
	cells := map[string]any{"repository": row[1], "tags": row[2]}
	if tags := tagevent.ByAge(s.Status.Tags); len(tags) > 0 {
		h, _ := s.History(tags[0])
		if latest, ok := h.Latest(); ok && !latest.Created.IsZero() {
			cells["updated"] = latest.Created.String()
		}
	}
	return cells
}

// objectMetadata is the member of that name.
type objectMetadata struct {
	Generation        int64            `json:"generation,omitempty"`
	CreationTimestamp imagestream.Time `json:"creationTimestamp,omitzero"`
	More              string           `json:"more,omitempty"`
}

// key returns the key of o; images belong to no namespace.
func (k kind[T]) key(o *T) imagestream.Key {
	m := k.meta(o)
	if !k.spaced {
		return imagestream.Key{Name: m.Name}
	}
	return imagestream.Key{Namespace: m.Namespace, Name: m.Name}
}

// kubeName returns the name of an object in the cluster; false if it cannot be there.
func (k kind[T]) kubeName(key imagestream.Key) (string, bool) {
	if k.spaced && len(validation.IsDNS1123Label(key.Namespace)) > 0 {
		return "", false
	}
	return toKube(key.Name, k.separators)
}

// in returns the client for a namespace; that of all if there is none.
func (k kind[T]) in(namespace string) dynamic.ResourceInterface {
	if !k.spaced || namespace == "" {
		return k.client
	}
	return k.client.Namespace(namespace)
}

// encode returns the resource of o, without uid and resourceVersion, or an error that says why it cannot be stored.
func (k kind[T]) encode(o *T) (*unstructured.Unstructured, error) {
	key, m, t := k.key(o), k.meta(o), k.types(o)
	name, ok := k.kubeName(key)
	if !ok {
		return nil, k.badName(key)
	}
	known := t.APIVersion == "" || t.APIVersion == "v1" || t.APIVersion == imagestream.APIVersion
	if !known || t.Kind != "" && t.Kind != k.name {
		return nil, k.fail(imagestream.ReasonBadRequest, key,
			fmt.Sprintf("its kind is %q and its apiVersion %q: the store holds %s of %s",
				t.Kind, t.APIVersion, k.name, imagestream.APIVersion))
	}
	if path := utf8path.Of(o); path != "" {
		return nil, k.fail(imagestream.ReasonBadRequest, key, path+" is not valid UTF-8: JSON cannot hold it")
	}
	object, err := k.members(o)
	if err == nil {
		object[memberMetadata], object[memberObjectMetadata], err = split(m)
	}
	if err != nil {
		return nil, k.fail(imagestream.ReasonBadRequest, key, err.Error())
	}
	if k.summary != nil {
		object[memberSummary] = k.summary(o)
	}
	object["apiVersion"], object["kind"] = Group+"/"+Version, k.name
	u := &unstructured.Unstructured{Object: object}
	u.SetName(name)
	u.SetNamespace(key.Namespace)
	return u, nil
}

// members returns the members of o but metadata, as they are stored.
func (k kind[T]) members(o *T) (map[string]any, error) {
	bare := *o
	*k.meta(&bare), *k.types(&bare) = imagestream.ObjectMeta{}, imagestream.TypeMeta{}
	form, err := k.form(&bare)
	if err != nil {
		return nil, err
	}
	return toMap(form)
}

// split returns what the cluster's metadata can hold of m, and the member with the rest.
func split(m *imagestream.ObjectMeta) (metadata, own map[string]any, err error) {
	rest := imagestream.ObjectMeta{
		SelfLink: m.SelfLink, ManagedFields: m.ManagedFields, Unknown: m.Unknown,
		DeletionTimestamp: m.DeletionTimestamp, DeletionGracePeriodSeconds: m.DeletionGracePeriodSeconds,
	}
	both := imagestream.ObjectMeta{
		GenerateName: m.GenerateName, Labels: m.Labels, OwnerReferences: m.OwnerReferences, Finalizers: m.Finalizers,
	}
	both.Annotations, rest.Annotations = map[string]string{}, map[string]string{}
	for name, value := range m.Annotations {
		if len(validation.IsQualifiedName(strings.ToLower(name))) == 0 {
			both.Annotations[name] = value
		} else {
			rest.Annotations[name] = value
		}
	}
	if metadata, err = toMap(both); err != nil {
		return nil, nil, err
	}
	text, err := json.Marshal(rest)
	if err != nil {
		return nil, nil, err
	}
	o := objectMetadata{Generation: m.Generation, CreationTimestamp: m.CreationTimestamp}
	if string(text) != "{}" {
		o.More = string(text)
	}
	own, err = toMap(o)
	return metadata, own, err
}

// toMap returns the JSON of an object as Kubernetes has it in memory.
func toMap(o any) (map[string]any, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var m map[string]any
	if err := utiljson.Unmarshal(text, &m); err != nil {
		return nil, err
	}
	return m, nil
}

// decode returns the object of a resource, or an error of class [ErrFormat].
func (k kind[T]) decode(u *unstructured.Unstructured) (*T, error) {
	name, ok := fromKube(u.GetName(), k.separators)
	if !ok {
		return nil, k.unusable(u, "its name is not that of an object of this store")
	}
	bare := maps.Clone(u.Object)
	own := objectMetadata{}
	ownMember, isOwn := bare[memberObjectMetadata]
	for _, member := range []string{"apiVersion", "kind", memberMetadata, memberObjectMetadata, memberSummary} {
		delete(bare, member)
	}
	o, err := k.read(bare)
	if err != nil {
		return nil, k.unusable(u, err.Error())
	}
	m := k.meta(o)
	if isOwn {
		if err := fromMap(ownMember, &own); err != nil {
			return nil, k.unusable(u, memberObjectMetadata+": "+err.Error())
		}
	} else { // made with kubectl
		own.CreationTimestamp = tagevent.TimeOf(u.GetCreationTimestamp().Time)
	}
	if own.More != "" {
		if err := json.Unmarshal([]byte(own.More), m); err != nil {
			return nil, k.unusable(u, memberObjectMetadata+".more: "+err.Error())
		}
	}
	*k.types(o) = imagestream.TypeMeta{Kind: k.name, APIVersion: imagestream.APIVersion}
	m.Name, m.Generation, m.CreationTimestamp = name, own.Generation, own.CreationTimestamp
	join(m, u)
	k.newest.see(m.ResourceVersion)
	return o, nil
}

// join adds to m what the cluster's metadata have of it.
func join(m *imagestream.ObjectMeta, u *unstructured.Unstructured) {
	m.Namespace, m.GenerateName = u.GetNamespace(), u.GetGenerateName()
	m.UID, m.ResourceVersion = string(u.GetUID()), u.GetResourceVersion()
	m.Labels, m.Finalizers = u.GetLabels(), u.GetFinalizers()
	annotations := u.GetAnnotations()
	if annotations == nil {
		annotations = m.Annotations
	} else {
		for name, value := range m.Annotations {
			if _, ok := annotations[name]; !ok {
				annotations[name] = value
			}
		}
	}
	m.Annotations = annotations
	m.OwnerReferences = nil
	for _, owner := range u.GetOwnerReferences() {
		m.OwnerReferences = append(m.OwnerReferences, imagestream.OwnerReference{
			APIVersion: owner.APIVersion, Kind: owner.Kind, Name: owner.Name, UID: string(owner.UID),
			Controller: owner.Controller, BlockOwnerDeletion: owner.BlockOwnerDeletion,
		})
	}
	if deleted := u.GetDeletionTimestamp(); deleted != nil {
		at := tagevent.TimeOf(deleted.Time)
		m.DeletionTimestamp, m.DeletionGracePeriodSeconds = &at, u.GetDeletionGracePeriodSeconds()
	}
}

// unusable says why a resource cannot be used.
func (k kind[T]) unusable(u *unstructured.Unstructured, why string) error {
	name := u.GetName()
	if k.spaced {
		name = u.GetNamespace() + "/" + name
	}
	if strings.Contains(why, "unknown field") {
		why = "it has what this program does not know: use a newer program: " + why
	}
	return fmt.Errorf("%w: %s.%s %q: %s", ErrFormat, k.resource, Group, name, why)
}

// fromMap reads an object of which every member must be known.
func fromMap(m, into any) error {
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// preconditions returns those of a deletion.
func preconditions(only imagestream.Preconditions) *metav1.Preconditions {
	if only == (imagestream.Preconditions{}) {
		return nil
	}
	p := new(metav1.Preconditions)
	if only.UID != "" {
		uid := types.UID(only.UID)
		p.UID = &uid
	}
	if only.ResourceVersion != "" {
		p.ResourceVersion = &only.ResourceVersion
	}
	return p
}
