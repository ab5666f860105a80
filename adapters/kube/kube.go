// Package kube is an imagestream.Store in a Kubernetes cluster: image streams and images are custom resources, kept
// by the cluster's own API. A controller needs nothing else to run.
//
//	store, err := kube.New(config) // a rest.Config of client-go
//	streams := client.New(store, registry)
//
// # Install
//
// The cluster, Kubernetes 1.25 or later, needs the definitions once, and the program a role:
//
//	kubectl apply -f definitions.yaml   # the text that Definitions returns
//	kubectl apply -f roles.yaml         # roles to bind: to keep streams, to read them
//
// The API group is imagestreams.github.io, not image.openshift.io: in an OpenShift cluster that one is served by
// OpenShift itself, and definitions of the same group would collide with it. So the store runs in any cluster, an
// OpenShift beside its own image streams too. Without the definitions every method returns an error of class
// [ErrDefinitions], and so do writes if the cluster has older definitions than the program.
//
// # Resources
//
// The resource imagestreams.imagestreams.github.io has the spec and the status of an image stream. The resource
// images.imagestreams.github.io belongs to no namespace and has the members of an image. Both have the form of
// image.openshift.io/v1, with these differences:
//
//   - metadata is the cluster's. Its labels, annotations, owner references, finalizers, uid and resourceVersion are
//     those of the stream: kubectl label and kubectl annotate change the stream, the cluster deletes a stream whose
//     owners are gone, and a stream with finalizers stays, with a deletionTimestamp, until they are removed.
//   - objectMetadata has what means something else in metadata: the stream's generation, where the cluster counts
//     writes, and its creationTimestamp. Its member more is the text of a JSON object, with metadata that a cluster
//     refuses or keeps for itself, such as the managed fields of the stream.
//   - summary is what kubectl get shows, in the columns of oc get imagestreams. It is written with every change and
//     never read.
//   - dockerImageMetadata and the metadata of signatures are texts of JSON. A cluster would sort their members and
//     round their numbers.
//
// The store returns objects with the kind and the apiVersion of image.openshift.io/v1. A stream that somebody makes
// with kubectl is read as it is: defaults and generations are set by package rest or client, when they change it.
//
// The status is not a subresource. With one, a cluster takes spec and status by two requests only, and every reader
// could see half of a change. One PUT writes all of a stream, so there is never a half one. It also means that no
// role can allow the status alone: let people read, and change streams through package rest or client, which apply
// the rules that the cluster does not know.
//
// # Names
//
// A name in Kubernetes has lower-case letters, digits, dots and dashes. The underscore in an image stream's name is
// written "--" there. In an image's name, "-" stands for the colon, so that the image sha256:0123 is the resource
// sha256-0123; "--", "---" and "----" stand for a dash, an underscore and a plus. The store's methods take and return
// the names of streams and images only. A name with other characters, such as a capital letter, or one that has more
// than 253 bytes there, cannot be stored: writing it is an error of class imagestream.ErrInvalid that says so.
//
// # What it promises
//
// Get, create, update and delete are one request each. An update is a PUT with resourceVersion and uid, so nobody's
// change is lost; without a version, one GET tells what is there, and the error says it. A get sees every write that
// returned before it began. Resource versions are the cluster's. An error that is not of one of the classes that
// imagestream.Store names leaves open whether a write was done: the store repeats no write whose outcome is unknown,
// and keeps client-go from doing it.
//
// A list on one page reads portions of 500 objects, all of one state, and begins again if the cluster forgets that
// state meanwhile. It is ordered by namespace and name. Pages of a list ([imagestream.ListOptions.Limit]) are one
// request each and come in the order of the cluster's keys, as those of any Kubernetes API do: that is another one
// where a namespace is the beginning of another one's name, followed by a dash, and for names with underscores.
//
// A watch goes on by itself when the cluster ends it, as it does from time to time, or a connection breaks: from the
// last version that it has reported, with no change lost or repeated. It ends with an error of class
// imagestream.ErrGone when the cluster no longer has the changes after that version, or has not come that far, since
// it was restored from a backup: the reader lists then, and watches from there. It ends with the failure if the
// cluster is out of reach for half a minute.
//
// A resource that has members which this program does not know was written by a newer one. It is refused, with an
// error of class [ErrFormat], since writing it back would lose what it has, and so is one that cannot be read.
// Unknown members of the stream's metadata are kept.
//
// # Limits
//
// Etcd takes 1.5 MiB for an object, the API server 3 MiB for a request, and all annotations of an object have 256
// KiB. That is a stream of about 1,600 tags with three images each. A larger object is an error of class
// imagestream.ErrTooLarge. A namespace must exist before its first stream.
package kube

import (
	_ "embed"
	"errors"
	"net/http"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/imagestream"
)

// The API of the resources.
const (
	Group   = "imagestreams.github.io"
	Version = "v1"
)

var (
	// ErrFormat is the class of errors about resources that this program cannot use.
	ErrFormat = errors.New("not a resource that this program can use")
	// ErrDefinitions is the class of errors about a cluster that does not have the definitions of this program.
	ErrDefinitions = errors.New("the cluster lacks the definitions of image streams: " +
		"kubectl apply -f the definitions.yaml of adapters/kube")
)

//go:embed definitions.yaml
var definitions []byte

//go:embed roles.yaml
var roles []byte

// Definitions returns the custom resource definitions that a cluster needs, the YAML documents of definitions.yaml.
func Definitions() []byte { return append([]byte(nil), definitions...) }

// Roles returns cluster roles to bind, the YAML documents of roles.yaml: imagestreams-keeper, imagestreams-images and
// imagestreams-reader.
func Roles() []byte { return append([]byte(nil), roles...) }

// Store is an [imagestream.Store] in a cluster. It is safe for concurrent use, and so are several stores on one
// cluster.
type Store struct {
	streams kind[imagestream.ImageStream]
	images  kind[imagestream.Image]
}

var _ imagestream.Store = (*Store)(nil)

// New returns the store that a cluster has. It sends nothing yet, and does not change config. If config does not
// limit requests (QPS), the store does not either, where client-go would send 5 a second: the cluster has limits of
// its own.
func New(config *rest.Config) (*Store, error) {
	c := rest.CopyConfig(config)
	if c.QPS == 0 && c.RateLimiter == nil {
		c.QPS = -1
	}
	c.Wrap(func(next http.RoundTripper) http.RoundTripper { return once{next} })
	client, err := dynamic.NewForConfig(c)
	if err != nil {
		return nil, err
	}
	resource := func(name string) dynamic.NamespaceableResourceInterface {
		return client.Resource(schema.GroupVersionResource{Group: Group, Version: Version, Resource: name})
	}
	newest := new(newest)
	return &Store{
		streams: streamKind(resource(imagestream.ResourceImageStreams), newest),
		images:  imageKind(resource(imagestream.ResourceImages), newest),
	}, nil
}

// once keeps client-go from repeating a write after an answer that leaves open whether it was done: the second answer
// would be a conflict with the first write.
type once struct{ next http.RoundTripper }

func (o once) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err == nil && req.Method != http.MethodGet && resp.StatusCode >= http.StatusInternalServerError {
		resp.Header.Del("Retry-After")
	}
	return resp, err
}
