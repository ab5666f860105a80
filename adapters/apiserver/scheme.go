package apiserver

import (
	"encoding/json"
	"fmt"

	imagev1 "github.com/openshift/api/image/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// What handlers call the internal version is the version v1 itself, so that nothing is converted on the way.
var (
	scheme = newScheme(true)
	codecs = serializer.NewCodecFactory(scheme)
)

// newScheme returns the types that the server speaks, as their internal version too if that is asked for.
func newScheme(internal bool) *runtime.Scheme {
	s := runtime.NewScheme()
	register := func(version schema.GroupVersion, types ...runtime.Object) {
		s.AddKnownTypes(version, types...)
		if internal {
			s.AddKnownTypes(schema.GroupVersion{Group: version.Group, Version: runtime.APIVersionInternal}, types...)
		}
		metav1.AddToGroupVersion(s, version)
		utilruntime.Must(s.SetVersionPriority(version))
	}
	register(
		imagev1.GroupVersion,
		&imagev1.Image{}, &imagev1.ImageList{}, &imagev1.ImageSignature{},
		&imagev1.ImageStream{}, &imagev1.ImageStreamList{}, &imagev1.ImageStreamLayers{}, &imagev1.SecretList{},
		&imagev1.ImageStreamTag{}, &imagev1.ImageStreamTagList{}, &imagev1.ImageTag{}, &imagev1.ImageTagList{},
		&imagev1.ImageStreamImage{}, &imagev1.ImageStreamMapping{}, &imagev1.ImageStreamImport{},
	)
	register(corev1.SchemeGroupVersion, &corev1.Namespace{}, &corev1.NamespaceList{}, &corev1.Secret{}, &corev1.SecretList{})
	register(authorizationv1.SchemeGroupVersion, &authorizationv1.SelfSubjectAccessReview{})
	return s
}

// checked refuses objects with parts that should be JSON and are not: protobuf carries them as bytes, which nobody looks
// at before who owns the fields is worked out, and that panics.
type checked struct{ runtime.NegotiatedSerializer }

func (c checked) DecoderToVersion(decoder runtime.Decoder, version runtime.GroupVersioner) runtime.Decoder {
	whole := c.NegotiatedSerializer.DecoderToVersion(decoder, version)
	if _, ok := decoder.(*protobuf.Serializer); ok {
		return checkedDecoder{whole}
	}
	return whole
}

type checkedDecoder struct{ runtime.Decoder }

func (d checkedDecoder) Decode(
	data []byte, defaults *schema.GroupVersionKind, into runtime.Object,
) (runtime.Object, *schema.GroupVersionKind, error) {
	object, kind, err := d.Decoder.Decode(data, defaults, into)
	if err == nil {
		if _, err = json.Marshal(object); err != nil {
			return nil, kind, fmt.Errorf("a part of the object is not JSON: %w", err)
		}
	}
	return object, kind, err
}
