package imagestream

import (
	"cmp"
	"fmt"
	"strconv"
)

// Preconditions of a write. Empty ones hold always.
type Preconditions struct {
	UID             string
	ResourceVersion string
}

// Preconditions returns those under which an object with the metadata m replaces what is stored: one without a
// resource version was never read, and replaces nothing.
func (m *ObjectMeta) Preconditions() Preconditions {
	return Preconditions{UID: m.UID, ResourceVersion: cmp.Or(m.ResourceVersion, "none")}
}

// Check reports whether p holds for a stored object with that uid and resource version. If not, the error is of
// class [ErrConflict].
func (p Preconditions) Check(resource string, key Key, uid, resourceVersion string) error {
	switch {
	case p.UID != "" && p.UID != uid:
		return NewError(ReasonConflict, resource, key,
			fmt.Sprintf("its uid is %s, not %s: it was deleted and created again; get it and try again", uid, p.UID))
	case p.ResourceVersion != "" && p.ResourceVersion != resourceVersion:
		return NewError(ReasonConflict, resource, key,
			fmt.Sprintf("its resourceVersion is %s, not %s: get it and apply the change again", resourceVersion, p.ResourceVersion))
	}
	return nil
}

// CheckUnversioned reports whether s, which is to be created, has no resource version. One that has is a
// failure without a reason. "0" and a text that is not a number pass. See conformance case stream-0038.
func (s *ImageStream) CheckUnversioned() error {
	if v, err := strconv.ParseUint(s.Metadata.ResourceVersion, 10, 64); err == nil && v != 0 {
		return NewError("", ResourceImageStreams, s.Key(),
			"a new image stream has no resourceVersion: remove it, or update the image stream that has it")
	}
	return nil
}

// CheckUpdate reports whether next can replace s, which is what is stored: same name and namespace
// ([ReasonBadRequest]), same uid if it has one (class [ErrConflict]), and the stored resource version: none
// is of class [ErrInvalid], another one of [ErrConflict], and a text that is not a number a failure without a
// reason. See conformance cases stream-0072 to stream-0077.
func (s *ImageStream) CheckUpdate(next *ImageStream) error {
	return checkUpdate(ResourceImageStreams, s.Key(), &s.Metadata, &next.Metadata)
}

// CheckUpdate is [ImageStream.CheckUpdate] for images.
func (i *Image) CheckUpdate(next *Image) error {
	return checkUpdate(ResourceImages, Key{Name: i.Metadata.Name}, &i.Metadata, &next.Metadata)
}

func checkUpdate(resource string, key Key, o, m *ObjectMeta) error {
	fail := func(reason StatusReason, message string) error { return NewError(reason, resource, key, message) }
	switch {
	case m.Name != o.Name || m.Namespace != "" && m.Namespace != o.Namespace:
		return fail(ReasonBadRequest, fmt.Sprintf("the object in the request is %s", Key{m.Namespace, m.Name}))
	case m.UID != "" && m.UID != o.UID:
		return Preconditions{UID: m.UID}.Check(resource, key, o.UID, "")
	case m.ResourceVersion == "" || m.ResourceVersion == "0":
		return ErrorList{{
			Type: FieldInvalid, Field: "metadata.resourceVersion", Value: m.ResourceVersion,
			Detail: "an update says which version it changes: get the object and keep its resourceVersion",
		}}.Of(resource, key)

	case m.ResourceVersion == o.ResourceVersion:
		return nil
	}
	if _, err := strconv.ParseUint(m.ResourceVersion, 10, 64); err != nil {
		return fail("", fmt.Sprintf("resourceVersion %q is not a version of this store", m.ResourceVersion))
	}
	return fail(ReasonConflict, "")
}
