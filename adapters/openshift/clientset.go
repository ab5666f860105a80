package openshift

import (
	"errors"
	"net/http"
	"net/url"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/clientset/versioned/scheme"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/discovery"
	fakediscovery "k8s.io/client-go/discovery/fake"
	clientrest "k8s.io/client-go/rest"
	clienttesting "k8s.io/client-go/testing"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Clientset returns openshift/client-go's typed clientset on api, for code that is written on one: controllers,
// generated informers and listers, and tests, which see the real rules instead of what a generated fake does.
//
// Each method translates into a verb of api. Options mean what they mean on a cluster: dry runs, preconditions,
// selectors, limits, resource versions, bookmarks, initial events, timeouts. Patches are JSON, merge, strategic
// merge and apply patches; the fields that managers own are kept from the first apply on. The clients of tags have a
// Patch, as a cluster has, which the generated interfaces leave out. Errors are those of [Error]. Objects are the
// caller's own. A failed call returns an empty object beside its error, as a clientset of a cluster does.
//
// Discovery knows image.openshift.io/v1 alone. There is no server: RESTClient returns a client whose requests fail.
func Clientset(api rest.API) versioned.Interface { return clientset{api} }

type clientset struct{ api rest.API }

func (c clientset) ImageV1() typedv1.ImageV1Interface { return imageV1(c) }

func (c clientset) Discovery() discovery.DiscoveryInterface {
	return &fakediscovery.FakeDiscovery{Fake: &clienttesting.Fake{Resources: []*metav1.APIResourceList{resources()}}}
}

// resources is what discovery tells.
func resources() *metav1.APIResourceList {
	all := &metav1.APIResourceList{GroupVersion: imagestream.APIVersion}
	whole := metav1.Verbs{"create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"}
	tags := metav1.Verbs{"create", "delete", "get", "list", "patch", "update"}
	for _, r := range []struct {
		name       string
		namespaced bool
		verbs      metav1.Verbs
	}{
		{imagestream.ResourceImages, false, whole},
		{imagestream.ResourceImageSignatures, false, metav1.Verbs{"create", "delete"}},
		{imagestream.ResourceImageStreamImages, true, metav1.Verbs{"get"}},
		{imagestream.ResourceImageStreamImports, true, metav1.Verbs{"create"}},
		{imagestream.ResourceImageStreamMappings, true, metav1.Verbs{"create"}},
		{imagestream.ResourceImageStreams, true, whole},
		{imagestream.ResourceImageStreams + "/layers", true, metav1.Verbs{"get"}},
		{imagestream.ResourceImageStreams + "/secrets", true, metav1.Verbs{"get"}},
		{imagestream.ResourceImageStreams + "/status", true, metav1.Verbs{"get", "patch", "update"}},
		{imagestream.ResourceImageStreamTags, true, tags},
		{imagestream.ResourceImageTags, true, tags},
	} {
		all.APIResources = append(all.APIResources, metav1.APIResource{
			Name: r.name, Namespaced: r.namespaced, Kind: kindOf(r.name), Verbs: r.verbs,
		})
	}
	return all
}

// imageV1 is the clientset's one group.
type imageV1 struct{ api rest.API }

var errNoServer = errors.New("this clientset has no server to send requests to: use its typed methods")

var negotiator = runtime.NewClientNegotiator(scheme.Codecs.WithoutConversion(), imagev1.GroupVersion)

type noServer struct{}

func (noServer) RoundTrip(*http.Request) (*http.Response, error) { return nil, errNoServer }

func (c imageV1) RESTClient() clientrest.Interface {
	version := imagev1.GroupVersion
	config := clientrest.ClientContentConfig{GroupVersion: version, Negotiator: negotiator}
	base := &url.URL{Scheme: "http", Host: "imagestreams.invalid"}
	transport := &http.Client{Transport: noServer{}}
	client, err := clientrest.NewRESTClient(base, "/apis/"+version.String(), config, nil, transport)
	if err != nil {
		panic(err) // the base and the configuration are constant
	}
	return client
}

func (c imageV1) Images() typedv1.ImageInterface {
	verbs := c.api.Images()
	here := at{resource: imagestream.ResourceImages}
	return imageObjects{
		parts: partsOf[imagev1.Image, imagev1.ImageList, imagestream.Image, imagestream.ImageList](here, verbs),
		watch: verbs,
		items: func(l *imagestream.ImageList) ([]imagestream.Image, string) {
			return l.Items, l.Metadata.ResourceVersion
		},
		meta: func(i *imagestream.Image) *imagestream.ObjectMeta { return &i.Metadata },
	}
}

func (c imageV1) ImageSignatures() typedv1.ImageSignatureInterface {
	verbs := c.api.ImageSignatures()
	here := at{resource: imagestream.ResourceImageSignatures}
	return signatures{creating[imagev1.ImageSignature, imagestream.ImageSignature]{here, verbs}, deleting{here, verbs}}
}

type signatures struct {
	creating[imagev1.ImageSignature, imagestream.ImageSignature]
	deleting
}

func (c imageV1) ImageStreams(namespace string) typedv1.ImageStreamInterface {
	verbs := c.api.ImageStreams()
	here := at{imagestream.ResourceImageStreams, namespace}
	return streams{verbs: verbs, streamObjects: streamObjects{
		parts: partsOf[
			imagev1.ImageStream, imagev1.ImageStreamList, imagestream.ImageStream, imagestream.ImageStreamList,
		](here, verbs),
		watch:  verbs,
		status: statusUpdater{verbs},
		items: func(l *imagestream.ImageStreamList) ([]imagestream.ImageStream, string) {
			return l.Items, l.Metadata.ResourceVersion
		},
		meta: func(s *imagestream.ImageStream) *imagestream.ObjectMeta { return &s.Metadata },
	}}
}

func (c imageV1) ImageStreamImages(namespace string) typedv1.ImageStreamImageInterface {
	here := at{imagestream.ResourceImageStreamImages, namespace}
	return getting[imagev1.ImageStreamImage, imagestream.ImageStreamImage]{here, c.api.ImageStreamImages()}
}

func (c imageV1) ImageStreamImports(namespace string) typedv1.ImageStreamImportInterface {
	here := at{imagestream.ResourceImageStreamImports, namespace}
	return creating[imagev1.ImageStreamImport, imagestream.ImageStreamImport]{here, c.api.ImageStreamImports()}
}

func (c imageV1) ImageStreamMappings(namespace string) typedv1.ImageStreamMappingInterface {
	return mappings{at{imagestream.ResourceImageStreamMappings, namespace}, c.api.ImageStreamMappings()}
}

func (c imageV1) ImageStreamTags(namespace string) typedv1.ImageStreamTagInterface {
	return partsOf[
		imagev1.ImageStreamTag, imagev1.ImageStreamTagList, imagestream.ImageStreamTag, imagestream.ImageStreamTagList,
	](at{imagestream.ResourceImageStreamTags, namespace}, c.api.ImageStreamTags())
}

func (c imageV1) ImageTags(namespace string) typedv1.ImageTagInterface {
	return partsOf[imagev1.ImageTag, imagev1.ImageTagList, imagestream.ImageTag, imagestream.ImageTagList](
		at{imagestream.ResourceImageTags, namespace}, c.api.ImageTags())
}
