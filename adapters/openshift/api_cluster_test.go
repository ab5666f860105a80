package openshift_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	"github.com/openshift/client-go/image/clientset/versioned/fake"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// requests are what a generated fake was asked for.
func requests(c *fake.Clientset) string {
	var all []string
	for _, action := range c.Actions() {
		all = append(all, strings.Trim(action.GetVerb()+" "+action.GetResource().Resource+"/"+action.GetSubresource(), "/"))
	}
	c.ClearActions()
	return strings.Join(all, ", ")
}

func labelled(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
	next := s.Clone()
	next.Metadata.Labels = map[string]string{"a": "b"}
	return next, nil
}

func newTag(name string) *imagestream.ImageStreamTag {
	return &imagestream.ImageStreamTag{Metadata: imagestream.ObjectMeta{Name: name}, Tag: &imagestream.TagReference{
		From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"},
	}}
}

func TestAPIRequests(t *testing.T) {
	cluster := fake.NewSimpleClientset(app("app", nil))
	api, ctx := openshift.API(cluster), t.Context()
	for _, tc := range []struct {
		name, want string
		do         func() error
	}{
		{"get", "get imagestreams", func() error { _, err := api.ImageStreams().Get(ctx, key); return err }},
		{"update", "get imagestreams, update imagestreams", func() error {
			_, _, err := api.ImageStreams().Update(ctx, key, labelled, rest.UpdateOptions{})
			return err
		}},
		{"update of nothing", "get imagestreams", func() error {
			same := func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) { return s, nil }
			_, _, err := api.ImageStreams().Update(ctx, key, same, rest.UpdateOptions{})
			return err
		}},
		{"update of a status", "get imagestreams, update imagestreams/status", func() error {
			_, err := api.ImageStreams().UpdateStatus(ctx, key, labelled, rest.UpdateOptions{})
			return err
		}},
		{"creating update", "get imagestreams, create imagestreams", func() error {
			fresh := imagestream.Key{Namespace: "shop", Name: "fresh"}
			stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: "fresh"}}
			_, created, err := api.ImageStreams().Update(ctx, fresh, rest.Replace(stream), rest.UpdateOptions{OrCreate: true})
			if !created {
				t.Error("it is not created")
			}
			return err
		}},
		{"a tag of no stream", "get imagestreams, create imagestreamtags", func() error {
			none := imagestream.Key{Namespace: "shop", Name: "none:v1"}
			_, _, err := api.ImageStreamTags().Update(ctx, none, rest.Replace(newTag("none:v1")), rest.UpdateOptions{})
			return err
		}},
		{"delete", "delete imagestreams", func() error { return api.ImageStreams().Delete(ctx, key, rest.DeleteOptions{}) }},
	} {
		if err := tc.do(); err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if got := requests(cluster); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

// TestAPIConflictsThatStay: a cluster may call a conflict what no fresh object resolves.
func TestAPIConflictsThatStay(t *testing.T) {
	cluster := fake.NewSimpleClientset(app("app", nil))
	cluster.PrependReactor("update", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, nil, apierrors.NewConflict(imagev1.Resource("imagestreams"), "app", errors.New("never"))
	})
	_, _, err := openshift.API(cluster).ImageStreams().Update(t.Context(), key, labelled, rest.UpdateOptions{})
	if !errors.Is(err, imagestream.ErrConflict) || !apierrors.IsConflict(err) {
		t.Errorf("update: %v", err)
	}
	const twice = "get imagestreams, update imagestreams, get imagestreams, update imagestreams"
	if got := requests(cluster); got != twice {
		t.Errorf("it asked for %s", got)
	}
}

func TestAPIFailures(t *testing.T) {
	cluster := fake.NewSimpleClientset(app("app", nil))
	api := openshift.API(cluster)
	broken := errors.New("the cluster is away")
	var answer error
	cluster.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, answer })
	for _, tc := range []struct{ answer, is error }{
		{apierrors.NewForbidden(imagev1.Resource("imagestreams"), "app", errors.New("ask")), imagestream.ErrForbidden},
		{apierrors.NewResourceExpired("too old"), imagestream.ErrGone},
		{apierrors.NewMethodNotSupported(imagev1.Resource("imagestreams"), "get"), imagestream.ErrUnsupported},
		{broken, broken},
	} {
		answer = tc.answer
		_, errGet := api.ImageStreams().Get(t.Context(), key)
		_, errList := api.Images().List(t.Context(), rest.ListOptions{})
		_, _, errTag := api.ImageTags().Update(t.Context(),
			imagestream.Key{Namespace: "shop", Name: "app:v1"}, rest.Replace(&imagestream.ImageTag{}), rest.UpdateOptions{})
		_, errSecrets := api.ImageStreams().Secrets(t.Context(), key)
		_, errLayers := api.ImageStreams().Layers(t.Context(), key)
		errDelete := api.ImageSignatures().Delete(t.Context(), imagestream.Key{Name: "a@b"}, rest.DeleteOptions{})
		for what, err := range map[string]error{
			"get": errGet, "list": errList, "tag": errTag, "secrets": errSecrets, "layers": errLayers, "delete": errDelete,
		} {
			if !errors.Is(err, tc.is) {
				t.Errorf("%s answered with %v: %v", what, tc.answer, err)
			}
		}
	}
}

// mute is a clientset of somebody's test that returns neither objects nor errors.
type mute struct{ versioned.Interface }

type muteV1 struct{ typedv1.ImageV1Interface }

type muteStreams struct{ typedv1.ImageStreamInterface }

type mutePushes struct {
	typedv1.ImageStreamMappingInterface
}

func (mute) ImageV1() typedv1.ImageV1Interface { return muteV1{} }

func (muteV1) ImageStreams(string) typedv1.ImageStreamInterface { return muteStreams{} }

func (muteV1) ImageStreamMappings(string) typedv1.ImageStreamMappingInterface { return mutePushes{} }

func (muteStreams) Get(context.Context, string, metav1.GetOptions) (*imagev1.ImageStream, error) {
	return nil, nil
}

func (muteStreams) Secrets(context.Context, string, metav1.GetOptions) (*imagev1.SecretList, error) {
	return nil, nil
}

func (mutePushes) Create(
	context.Context, *imagev1.ImageStreamMapping, metav1.CreateOptions,
) (*metav1.Status, error) {
	return nil, nil
}

func TestAPIOnAMuteClient(t *testing.T) {
	api := openshift.API(mute{})
	_, errGet := api.ImageStreams().Get(t.Context(), key)
	_, errSecrets := api.ImageStreams().Secrets(t.Context(), key)
	pushed := &imagestream.ImageStreamMapping{}
	errPush := api.ImageStreamMappings().Create(t.Context(), "shop", pushed, rest.CreateOptions{})
	for what, err := range map[string]error{"get": errGet, "secrets": errSecrets, "push": errPush} {
		if err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

func TestAPIKeepsNoPins(t *testing.T) {
	pinned := app("app", nil)
	pinned.Annotations = map[string]string{imagestream.PinsAnnotation: "{}"}
	cluster := fake.NewSimpleClientset(pinned)
	api := openshift.API(cluster)
	refused := func(what string, err error, sent string) {
		t.Helper()
		if got := requests(cluster); !errors.Is(err, imagestream.ErrUnsupported) || got != sent {
			t.Errorf("%s: %v, after %q", what, err, got)
		}
	}
	_, err := (&client.Client{API: api}).Pin(t.Context(), key, "v1", "", client.PinOptions{})
	refused("pin", err, "get imagestreams")
	created := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
		Name: "other", Annotations: map[string]string{imagestream.PinsAnnotation: "{}"},
	}}
	_, err = api.ImageStreams().Create(t.Context(), "shop", created, rest.CreateOptions{})
	refused("create", err, "")
	other := imagestream.Key{Namespace: "shop", Name: "other"}
	_, _, err = api.ImageStreams().Update(t.Context(), other, rest.Replace(created), rest.UpdateOptions{OrCreate: true})
	refused("creating update", err, "get imagestreams")

	if _, _, err := api.ImageStreams().Update(t.Context(), key, labelled, rest.UpdateOptions{}); err != nil {
		t.Errorf("a label beside a pin that is there: %v", err)
	}
	without := func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := s.Clone()
		next.Metadata.Annotations = nil
		return next, nil
	}
	if _, _, err := api.ImageStreams().Update(t.Context(), key, without, rest.UpdateOptions{}); err != nil {
		t.Errorf("removing a pin: %v", err)
	}
}

// TestAPIUpdatesOfTagsAreNotLost lets many writers change one tag by functions, of a stream that nobody has created.
func TestAPIUpdatesOfTagsAreNotLost(t *testing.T) {
	const writers = 12
	server := rest.New(&fakes.Store{}, nil)
	api := openshift.API(openshift.Clientset(server))
	var wg sync.WaitGroup
	var created atomic.Int32
	for i := range writers {
		wg.Go(func() {
			change := func(old *imagestream.ImageStreamTag) (*imagestream.ImageStreamTag, error) {
				next := newTag("app:v1")
				if old != nil && old.Tag != nil {
					next = old.Clone()
				}
				next.Metadata.ResourceVersion = "" // as a caller does who knows no versions
				annotations := map[string]string{fmt.Sprint("writer", i): "was here"}
				for name, value := range next.Metadata.Annotations {
					annotations[name] = value
				}
				next.Metadata.Annotations, next.Tag.Annotations = annotations, nil
				return next, nil
			}
			_, isNew, err := api.ImageStreamTags().Update(t.Context(),
				imagestream.Key{Namespace: "shop", Name: "app:v1"}, change, rest.UpdateOptions{})
			if err != nil {
				t.Error(err)
			}
			if isNew {
				created.Add(1)
			}
		})
	}
	wg.Wait()
	stream, err := server.ImageStreams().Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	if tag, _ := stream.SpecTag("v1"); len(tag.Annotations) != writers || created.Load() != 1 {
		t.Errorf("%d of %d writers are there, %d created the tag", len(tag.Annotations), writers, created.Load())
	}
}

func TestAPISecrets(t *testing.T) {
	server := rest.New(&fakes.Store{}, nil)
	server.Secrets = func(context.Context, string) ([]rest.Secret, error) {
		return []rest.Secret{{
			Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "pull", Labels: map[string]string{"a": "b"}},
			Type:     "kubernetes.io/dockerconfigjson", Data: map[string][]byte{".dockerconfigjson": []byte("{}")},
		}}, nil
	}
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Name: "app"}}
	if _, err := server.ImageStreams().Create(t.Context(), "shop", stream, rest.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	want, errWant := server.ImageStreams().Secrets(t.Context(), key)
	got, err := openshift.API(openshift.Clientset(server)).ImageStreams().Secrets(t.Context(), key)
	if diff := cmp.Diff(want, got); err != nil || errWant != nil || len(got.Items) != 1 || diff != "" {
		t.Errorf("secrets: %v, %v\n%s", err, errWant, diff)
	}
}

// TestAPIIsTheServerToItsUsers does the same through the clientset and without it, by methods and by words of oc.
func TestAPIIsTheServerToItsUsers(t *testing.T) {
	story := func(through func(rest.API) rest.API) (*imagestream.ImageStream, string) {
		registry := &fakes.Registry{}
		server := rest.New(&fakes.Store{}, registry)
		now := func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
		server.Engine.Now = now
		api := through(server)
		streams := &client.Client{API: api, Now: now}
		var said strings.Builder
		words := &oc.Commands{Server: oc.Local{API: api}, Out: &said, Now: now}
		do := func(what string, err error) {
			if err != nil {
				fmt.Fprintln(&said, what, err)
			}
		}
		ctx := t.Context()
		push := func(layer string) {
			registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: layer}, "v1") })
		}
		push("one")
		command := func(args ...string) oc.Command { return oc.Command{Namespace: "shop", Args: args, Flags: oc.Flags{}} }
		do("tag", words.Tag(ctx, command("quay.io/org/app:v1", "app:v1")))
		do("import", words.ImportImage(ctx, command("app:v1")))
		_, err := streams.Alias(ctx, key, "latest", "v1")
		do("alias", err)
		push("two")
		_, err = streams.Import(ctx, key, "v1")
		do("import", err)
		_, err = streams.Copy(ctx, key, "kept", key, "v1")
		do("copy", err)
		_, err = streams.Rollback(ctx, key, "v1", edit.Target{Events: 1})
		do("rollback", err)
		_, err = streams.Resume(ctx, key, "v1")
		do("resume", err)
		_, err = streams.Import(ctx, key)
		do("import", err)
		_, err = streams.Tag(ctx, key, "gone", "quay.io/org/app:none", client.TagOptions{})
		do("tag", err)
		_, err = streams.Import(ctx, key, "gone")
		do("import", err)
		do("untag", streams.Untag(ctx, key, "kept"))
		_, err = streams.SetLookup(ctx, key, true)
		do("lookup", err)
		waiting, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		events, err := streams.Wait(waiting, key, client.WaitOptions{}, "latest")
		do("wait", err)
		fmt.Fprintln(&said, events["latest"].Image)
		do("alias", func() error { _, err := streams.Alias(ctx, key, "v1", "latest"); return err }())
		stream, err := streams.Get(ctx, key)
		if err != nil {
			t.Fatal(err)
		}
		stream.Metadata.UID = ""
		return stream, said.String()
	}
	want, wantSaid := story(func(api rest.API) rest.API { return api })
	got, said := story(func(api rest.API) rest.API { return openshift.API(openshift.Clientset(api)) })
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the stream differs (-server +API):\n%s", diff)
	}
	if diff := cmp.Diff(wantSaid, said); diff != "" {
		t.Errorf("what is said differs (-server +API):\n%s", diff)
	}
	if len(got.Spec.Tags) != 3 || len(said) < 200 {
		t.Errorf("too little was done: %+v\n%s", got.Spec.Tags, said)
	}
}
