package imagestream

import (
	"fmt"
	"strconv"
)

// CheckCreate reports whether a request to create stream in a namespace can be meant so: the stream names no
// other namespace. Otherwise it is a failure with [ReasonBadRequest]. See conformance case stream-0030.
func CheckCreate(stream *ImageStream, namespace string) error {
	if ns := stream.Metadata.Namespace; ns != "" && ns != namespace {
		return NewError(ReasonBadRequest, ResourceImageStreams, stream.Key(),
			fmt.Sprintf("the request is for the namespace %q", namespace))
	}
	return nil
}

// CheckUnversioned reports whether a stream that is to be created has no resource version. One that has is a
// failure without a reason. "0" and what is no number pass. See conformance case stream-0038.
func CheckUnversioned(stream *ImageStream) error {
	if v, err := strconv.ParseUint(stream.Metadata.ResourceVersion, 10, 64); err == nil && v != 0 {
		return NewError(ReasonUnknown, ResourceImageStreams, stream.Key(),
			"a new image stream has no resourceVersion: remove it, or update the image stream that has it")
	}
	return nil
}

// CheckUpdate reports whether next can replace old, which is what is stored: same name and namespace
// ([ReasonBadRequest]), same uid if it has one (class [ErrConflict]), and the stored resource version: none
// is of class [ErrInvalid], another one of [ErrConflict], and what is no number at all a failure without a
// reason. See conformance cases stream-0072 to stream-0077.
func CheckUpdate(old, next *ImageStream) error {
	return checkUpdate(ResourceImageStreams, old.Key(), &old.Metadata, &next.Metadata)
}

// CheckImageUpdate is [CheckUpdate] for images.
func CheckImageUpdate(old, next *Image) error {
	return checkUpdate(ResourceImages, Key{Name: old.Metadata.Name}, &old.Metadata, &next.Metadata)
}

func checkUpdate(resource string, key Key, o, m *ObjectMeta) error {
	fail := func(reason StatusReason, message string) error { return NewError(reason, resource, key, message) }
	switch {
	case m.Name != o.Name || m.Namespace != "" && m.Namespace != o.Namespace:
		return fail(ReasonBadRequest, fmt.Sprintf("the object in the request is %s", Key{m.Namespace, m.Name}))
	case m.UID != "" && m.UID != o.UID:
		return fail(ReasonConflict, fmt.Sprintf("its uid is %s, not %s: it was deleted and created again; get it and try again", o.UID, m.UID))
	case m.ResourceVersion == "" || m.ResourceVersion == "0":
		return NewInvalid(resource, key, ErrorList{{
			Type: FieldInvalid, Field: "metadata.resourceVersion", Value: m.ResourceVersion,
			Detail: "an update says which version it changes: get the object and keep its resourceVersion",
		}})
	case m.ResourceVersion == o.ResourceVersion:
		return nil
	}
	if _, err := strconv.ParseUint(m.ResourceVersion, 10, 64); err != nil {
		return fail(ReasonUnknown, fmt.Sprintf("resourceVersion %q is no version", m.ResourceVersion))
	}
	return fail(ReasonConflict, "")
}
