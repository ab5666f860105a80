package imagestream

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/tagevent"
)

// Time is a moment to the second, in UTC; the zero Time encodes as null. It is [tagevent.Time].
type Time = tagevent.Time

// TypeMeta names the kind of an object and its API version, image.openshift.io/v1.
type TypeMeta struct {
	Kind       string `json:"kind,omitempty"`
	APIVersion string `json:"apiVersion,omitempty"`
}

// APIVersion is the API that the types of this package belong to.
const APIVersion = "image.openshift.io/v1"

// ListMeta is the metadata of a list.
type ListMeta struct {
	SelfLink        string `json:"selfLink,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	// Continue asks for the next page of the list; empty on the last one.
	Continue           string `json:"continue,omitempty"`
	RemainingItemCount *int64 `json:"remainingItemCount,omitempty"`
}

// ObjectMeta is the Kubernetes metadata of an object. It survives a round trip whole: members that are not
// listed here are kept in Unknown.
type ObjectMeta struct {
	Name                       string               `json:"name,omitempty"`
	GenerateName               string               `json:"generateName,omitempty"`
	Namespace                  string               `json:"namespace,omitempty"`
	SelfLink                   string               `json:"selfLink,omitempty"`
	UID                        string               `json:"uid,omitempty"`
	ResourceVersion            string               `json:"resourceVersion,omitempty"`
	Generation                 int64                `json:"generation,omitempty"`
	CreationTimestamp          Time                 `json:"creationTimestamp,omitzero"`
	DeletionTimestamp          *Time                `json:"deletionTimestamp,omitempty"`
	DeletionGracePeriodSeconds *int64               `json:"deletionGracePeriodSeconds,omitempty"`
	Labels                     map[string]string    `json:"labels,omitempty"`
	Annotations                map[string]string    `json:"annotations,omitempty"`
	OwnerReferences            []OwnerReference     `json:"ownerReferences,omitempty"`
	Finalizers                 []string             `json:"finalizers,omitempty"`
	ManagedFields              []ManagedFieldsEntry `json:"managedFields,omitempty"`

	// Unknown holds the members that are none of the above, as they came.
	Unknown map[string]json.RawMessage `json:"-"`
}

// knownMeta is ObjectMeta without its methods.
type knownMeta ObjectMeta

// UnmarshalJSON reads the members of m; those that it does not know go to Unknown.
func (m *ObjectMeta) UnmarshalJSON(b []byte) error {
	strict := json.NewDecoder(bytes.NewReader(b))
	strict.DisallowUnknownFields()
	known := knownMeta(*m)
	if strict.Decode(&known) == nil {
		*m = ObjectMeta(known)
		return nil
	}
	known = knownMeta(*m)
	err := json.Unmarshal(b, &known)
	if err != nil {
		return err
	}
	var all map[string]json.RawMessage
	if err = json.Unmarshal(b, &all); err != nil {
		return err
	}
	maps.DeleteFunc(all, func(name string, _ json.RawMessage) bool {
		return slices.ContainsFunc(metaMembers, func(known string) bool { return strings.EqualFold(known, name) })
	})
	for name, raw := range all {
		// As it will be written, so that what was stored and read again is equal.
		if all[name], err = json.Marshal(raw); err != nil {
			return err
		}
	}
	if len(all) > 0 {
		known.Unknown = all
	}
	*m = ObjectMeta(known)
	return nil
}

// metaMembers are the members of ObjectMeta; a test compares them with its tags.
var metaMembers = []string{
	"name",
	"generateName",
	"namespace",
	"selfLink",
	"uid",
	"resourceVersion",
	"generation",
	"creationTimestamp",
	"deletionTimestamp",
	"deletionGracePeriodSeconds",
	"labels",
	"annotations",
	"ownerReferences",
	"finalizers",
	"managedFields",
}

// OwnerReference names an object that this one belongs to.
type OwnerReference struct {
	APIVersion         string `json:"apiVersion"`
	Kind               string `json:"kind"`
	Name               string `json:"name"`
	UID                string `json:"uid"`
	Controller         *bool  `json:"controller,omitempty"`
	BlockOwnerDeletion *bool  `json:"blockOwnerDeletion,omitempty"`
}

// ManagedFieldsEntry tells which members of an object a writer owns. It is kept, not interpreted.
type ManagedFieldsEntry struct {
	Manager     string `json:"manager,omitempty"`
	Operation   string `json:"operation,omitempty"`
	APIVersion  string `json:"apiVersion,omitempty"`
	Time        *Time  `json:"time,omitempty"`
	FieldsType  string `json:"fieldsType,omitempty"`
	FieldsV1    Raw    `json:"fieldsV1,omitempty"`
	Subresource string `json:"subresource,omitempty"`
}

// ObjectReference names another object: the source of a tag, as a rule.
type ObjectReference struct {
	Kind            string `json:"kind,omitempty"`
	Namespace       string `json:"namespace,omitempty"`
	Name            string `json:"name,omitempty"`
	UID             string `json:"uid,omitempty"`
	APIVersion      string `json:"apiVersion,omitempty"`
	ResourceVersion string `json:"resourceVersion,omitempty"`
	FieldPath       string `json:"fieldPath,omitempty"`
}

// LocalObjectReference names something in the same namespace or object.
type LocalObjectReference struct {
	Name string `json:"name,omitempty"`
}

// Raw is JSON that is kept as it came. Nil is null, and null decodes to nil.
type Raw []byte

// MarshalJSON returns r itself, or null.
func (r Raw) MarshalJSON() ([]byte, error) {
	if len(r) == 0 {
		return []byte("null"), nil
	}
	return r, nil
}

// UnmarshalJSON keeps a copy of b.
func (r *Raw) UnmarshalJSON(b []byte) error {
	if r == nil {
		return errors.New("decode into a nil *Raw")
	}
	if string(b) == "null" {
		*r = nil
	} else {
		*r = slices.Clone(b)
	}
	return nil
}
