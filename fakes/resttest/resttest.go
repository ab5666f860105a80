// Package resttest checks an implementation of the verbs of image.openshift.io/v1: a [rest.API]. The suite is for
// whoever writes one, over a Store, a cluster, a typed clientset or HTTP.
//
//	func TestAPI(t *testing.T) {
//		resttest.Run(t, func(t *testing.T) resttest.Subject {
//			registry := &fakes.Registry{}
//			return resttest.Subject{API: rest.New(openStore(t), registry), Registry: registry}
//		})
//	}
//
// Each test wants a fresh API that is empty. It uses the namespaces "shop" and "tools".
package resttest

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Subject is what the suite checks.
type Subject struct {
	API rest.API
	// Registry is what the API imports from; nil leaves imports out.
	Registry *fakes.Registry
	// NoUIDs says that the uid of a new object does not arrive, since a cluster's HTTP server drops it.
	NoUIDs bool
}

// Run runs the suite. It calls open for each test.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	for _, tc := range []struct {
		name string
		run  func(*suite)
	}{
		{"StreamLifecycle", streamLifecycle},
		{"StreamRefusals", streamRefusals},
		{"GeneratedNames", generatedNames},
		{"StreamUpdate", streamUpdate},
		{"UpdateIsRepeated", updateIsRepeated},
		{"UpdateOrCreate", updateOrCreate},
		{"NoObjects", noObjects},
		{"StatusUpdate", statusUpdate},
		{"DryRun", dryRun},
		{"Lists", lists},
		{"Pages", pages},
		{"Watch", watch},
		{"WatchSelected", watchSelected},
		{"WatchEnds", watchEnds},
		{"Tags", tags},
		{"TagRefusals", tagRefusals},
		{"TagPatch", tagPatch},
		{"ImageTags", imageTags},
		{"TagLists", tagLists},
		{"Push", push},
		{"PushRefusals", pushRefusals},
		{"StreamImages", streamImages},
		{"Images", images},
		{"Signatures", signatures},
		{"Secrets", secrets},
		{"Ownership", ownership},
		{"ConcurrentTags", concurrentTags},
		{"Imports", imports},
		{"EndedContext", endedContext},
	} {
		t.Run(tc.name, func(t *testing.T) { tc.run(&suite{t, open(t)}) })
	}
}

type suite struct {
	*testing.T
	Subject
}

func (s *suite) ctx() context.Context { return s.Context() }

func shop(name string) imagestream.Key { return imagestream.Key{Namespace: "shop", Name: name} }

func digestOf(n int) string { return fmt.Sprintf("sha256:%064d", n) }

func newStream(name string, tags ...imagestream.TagReference) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Name: name}, Spec: imagestream.ImageStreamSpec{Tags: tags},
	}
}

func docker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{
		Name: tag,
		From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from},
	}
}

func follows(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{
		Name: tag,
		From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from},
	}
}

func newTag(name, from string) *imagestream.ImageStreamTag {
	t := docker("", from)
	return &imagestream.ImageStreamTag{
		TypeMeta: imagestream.TypeMeta{Kind: imagestream.KindImageStreamTag, APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Name: name}, Tag: &t,
	}
}

func newImage(n int) imagestream.Image {
	return imagestream.Image{
		Metadata:             imagestream.ObjectMeta{Name: digestOf(n)},
		DockerImageReference: "quay.io/org/app@" + digestOf(n),
	}
}

// create stores a stream in the namespace shop.
func (s *suite) create(stream *imagestream.ImageStream) *imagestream.ImageStream {
	s.Helper()
	stored, err := s.API.ImageStreams().Create(s.ctx(), "shop", stream, rest.CreateOptions{})
	if err != nil {
		s.Fatalf("create %s: %v", stream.Metadata.Name, err)
	}
	return stored
}

// get reads a stream of the namespace shop.
func (s *suite) get(name string) *imagestream.ImageStream {
	s.Helper()
	stored, err := s.API.ImageStreams().Get(s.ctx(), shop(name))
	if err != nil {
		s.Fatalf("get %s: %v", name, err)
	}
	return stored
}

// push records a push to a tag of a stream of the namespace shop.
func (s *suite) push(stream, tag string, image imagestream.Image) {
	s.Helper()
	mapping := &imagestream.ImageStreamMapping{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamMapping", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Name: stream}, Image: image, Tag: tag,
	}
	if err := s.API.ImageStreamMappings().Create(s.ctx(), "shop", mapping, rest.CreateOptions{}); err != nil {
		s.Fatalf("push to %s:%s: %v", stream, tag, err)
	}
}

// fails checks that err is a failure of the API with that reason.
func (s *suite) fails(what string, err error, reason imagestream.StatusReason) {
	s.Helper()
	var status *imagestream.StatusError
	if !errors.As(err, &status) || status.Reason != reason {
		s.Errorf("%s: %v; want a StatusError with the reason %q", what, err, reason)
	}
}

// failsAbout checks a failure and what its status on the wire says it is about.
func (s *suite) failsAbout(what string, err error, reason imagestream.StatusReason, kind, name string) {
	s.Helper()
	s.fails(what, err, reason)
	var status *imagestream.StatusError
	if !errors.As(err, &status) {
		return
	}
	wire := status.Status()
	if wire.Details == nil || wire.Details.Name != name || wire.Details.Kind != kind || wire.Code != reason.Code() {
		s.Errorf("%s: its status is %+v with the details %+v; want one about %s %q", what, wire, wire.Details, kind, name)
	}
}
