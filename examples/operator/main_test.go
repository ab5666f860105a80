package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// start runs an operator until the test ends.
func start(t *testing.T, operator *Operator) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- operator.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-ended })
}

// build pushes an image to quay.io and imports it, as a cluster does, and returns its name.
func build(t *testing.T, cluster versioned.Interface, registry *fakes.Registry, layer string) string {
	t.Helper()
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: layer}, "stable") })
	if err := importStable(t.Context(), cluster, "app"); err != nil {
		t.Fatal(err)
	}
	return newest(get(t, cluster), "stable")
}

func get(t *testing.T, cluster versioned.Interface) *imagev1.ImageStream {
	t.Helper()
	stream, err := cluster.ImageV1().ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// until waits until a tag points at an image, and returns the stream then.
func until(t *testing.T, cluster versioned.Interface, tag, image string) *imagev1.ImageStream {
	t.Helper()
	changes, err := cluster.ImageV1().ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		if stream, ok := change.Object.(*imagev1.ImageStream); ok && newest(stream, tag) == image {
			return stream
		}
	}
	t.Fatalf("%s does not come to point at %s", tag, image)
	return nil
}

func TestOperatorPromotes(t *testing.T) {
	registry := &fakes.Registry{}
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, registry))
	start(t, &Operator{Client: cluster})

	if err := create(t.Context(), cluster, "app"); err != nil {
		t.Fatal(err)
	}
	first := build(t, cluster, registry, "build 1") // pushed, and imported
	until(t, cluster, "prod", first)                // promoted by the operator, watched

	stream := until(t, cluster, "prod", build(t, cluster, registry, "build 2"))
	prod := stream.Status.Tags[0]
	if prod.Tag != "prod" || len(prod.Items) != 2 || prod.Items[1].Image != first {
		t.Errorf("the history of prod is %+v", prod)
	}
	if stream.Generation != 5 { // created, and twice imported and promoted
		t.Errorf("the generation is %d", stream.Generation)
	}
}

// TestOperatorEnds before it has begun: no goroutine of it is left.
func TestOperatorEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		operator := &Operator{Client: openshift.Clientset(rest.New(&fakes.Store{}, nil))}
		if err := operator.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
}

// TestOperatorUndoesOthers lets somebody tag prod by hand.
func TestOperatorUndoesOthers(t *testing.T) {
	registry := &fakes.Registry{}
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, registry))
	start(t, &Operator{Client: cluster})
	if err := create(t.Context(), cluster, "app"); err != nil {
		t.Fatal(err)
	}
	first := build(t, cluster, registry, "build 1")
	second := build(t, cluster, registry, "build 2")
	until(t, cluster, "prod", second)
	_, err := cluster.ImageV1().ImageStreamTags("shop").Update(t.Context(), &imagev1.ImageStreamTag{
		ObjectMeta: metav1.ObjectMeta{Name: "app:prod"},
		Tag: &imagev1.TagReference{
			From: &corev1.ObjectReference{Kind: "ImageStreamImage", Name: "app@" + first},
		},
	}, metav1.UpdateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	until(t, cluster, "prod", second)
}

// busy is a cluster in which somebody else changes the stream before the first update of a tag.
type busy struct {
	versioned.Interface
	late *atomic.Bool
}

func (c busy) ImageV1() typedv1.ImageV1Interface { return busyV1{c.Interface.ImageV1(), c.late} }

type busyV1 struct {
	typedv1.ImageV1Interface
	late *atomic.Bool
}

func (c busyV1) ImageStreamTags(namespace string) typedv1.ImageStreamTagInterface {
	return busyTags{c.ImageV1Interface.ImageStreamTags(namespace), c.ImageStreams(namespace), c.late}
}

type busyTags struct {
	typedv1.ImageStreamTagInterface
	streams typedv1.ImageStreamInterface
	late    *atomic.Bool
}

func (c busyTags) Update(
	ctx context.Context, tag *imagev1.ImageStreamTag, opts metav1.UpdateOptions,
) (*imagev1.ImageStreamTag, error) {
	if !c.late.Swap(true) {
		stream, err := c.streams.Get(ctx, "app", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		stream.Labels = map[string]string{"team": "web"}
		if _, err := c.streams.Update(ctx, stream, metav1.UpdateOptions{}); err != nil {
			return nil, err
		}
	}
	return c.ImageStreamTagInterface.Update(ctx, tag, opts)
}

func TestOperatorMeetsConflicts(t *testing.T) {
	registry := &fakes.Registry{}
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, registry))
	failures := make(chan error, 10)
	start(t, &Operator{Client: busy{cluster, &atomic.Bool{}}, Report: func(_, _, _ string, err error) {
		if err != nil {
			failures <- err
		}
	}})
	if err := create(t.Context(), cluster, "app"); err != nil {
		t.Fatal(err)
	}
	stream := until(t, cluster, "prod", build(t, cluster, registry, "build 1"))
	if err := <-failures; !apierrors.IsConflict(err) || stream.Labels["team"] != "web" {
		t.Errorf("the first update: %v; the labels are %v", err, stream.Labels)
	}
}

func TestStory(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), nil, &out); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(out.String(), "shop/app: prod is now sha256:"); n != 2 ||
		!strings.Contains(out.String(), "prod has pointed at 2 images") {
		t.Errorf("told:\n%s", &out)
	}
}

// TestKubeconfig looks whom the program asks, and that it ends when it is told to.
func TestKubeconfig(t *testing.T) {
	asked := make(chan string, 100)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.URL.Path:
		default:
		}
		http.Error(w, "no", http.StatusForbidden)
	}))
	defer server.Close()
	config := clientcmdapi.NewConfig()
	config.Clusters["here"] = &clientcmdapi.Cluster{Server: server.URL}
	config.Contexts["here"] = &clientcmdapi.Context{Cluster: "here"}
	config.CurrentContext = "here"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, file); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, []string{"-kubeconfig", file, "-namespace", "shop"}, io.Discard) }()
	if got := <-asked; got != "/apis/image.openshift.io/v1/namespaces/shop/imagestreams" {
		t.Errorf("it asks for %s", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

func TestCommandLine(t *testing.T) {
	nothing := filepath.Join(t.TempDir(), "none")
	broken := filepath.Join(t.TempDir(), "broken")
	if err := os.WriteFile(broken, []byte("]"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"-kubeconfig", nothing}, {"-kubeconfig", broken}, {"-namespace", "shop"}, {"word"}, {"-none"},
	} {
		if err := run(t.Context(), args, &strings.Builder{}); err == nil {
			t.Errorf("%q is accepted", args)
		}
	}
}
