package apiserver_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/spf13/pflag"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// cluster answers what a server asks the cluster that it stands behind. Alice may do everything but get layers of base;
// there is the namespace shop alone.
func cluster(t *testing.T) *restclient.Config {
	answer := func(w http.ResponseWriter, code int, object any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		if err := json.NewEncoder(w).Encode(object); err != nil {
			t.Error(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authenticationv1.TokenReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Errorf("a token review: %v", err)
		}
		review.TypeMeta = metav1.TypeMeta{Kind: "TokenReview", APIVersion: "authentication.k8s.io/v1"}
		if name, ok := strings.CutPrefix(review.Spec.Token, "token-of-"); ok {
			review.Status.Authenticated, review.Status.User.Username = true, name
		}
		answer(w, http.StatusCreated, review)
	})
	mux.HandleFunc("POST /apis/authorization.k8s.io/v1/subjectaccessreviews", func(w http.ResponseWriter, r *http.Request) {
		var review authorizationv1.SubjectAccessReview
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			t.Errorf("an access review: %v", err)
		}
		review.TypeMeta = metav1.TypeMeta{Kind: "SubjectAccessReview", APIVersion: "authorization.k8s.io/v1"}
		asked := review.Spec.ResourceAttributes
		review.Status.Allowed = review.Spec.User == "alice" &&
			(asked == nil || asked.Subresource != "layers" || asked.Namespace != "base")
		answer(w, http.StatusCreated, review)
	})
	shop := corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"},
		ObjectMeta: metav1.ObjectMeta{Name: "shop", ResourceVersion: "1"}, Status: corev1.NamespaceStatus{Phase: "Active"},
	}
	mux.HandleFunc("GET /api/v1/namespaces", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("watch") == "" {
			answer(w, http.StatusOK, corev1.NamespaceList{
				TypeMeta: metav1.TypeMeta{Kind: "NamespaceList", APIVersion: "v1"},
				ListMeta: metav1.ListMeta{ResourceVersion: "1"}, Items: []corev1.Namespace{shop},
			})
			return
		}
		if r.URL.Query().Get("sendInitialEvents") != "" {
			answer(w, http.StatusUnprocessableEntity, metav1.Status{Status: "Failure", Reason: "Invalid", Code: 422})
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusOK)
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-r.Context().Done()
	})
	mux.HandleFunc("GET /api/v1/namespaces/{name}", func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("name") == "shop" {
			answer(w, http.StatusOK, shop)
			return
		}
		status := apierrors.NewNotFound(corev1.Resource("namespaces"), r.PathValue("name")).ErrStatus
		status.TypeMeta = metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}
		answer(w, http.StatusNotFound, status)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return &restclient.Config{Host: server.URL}
}

// TestInCluster lets a cluster say who is who, who may do what and which namespaces there are.
func TestInCluster(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := apiserver.WriteKubeconfig(kubeconfig, cluster(t), "default"); err != nil {
		t.Fatal(err)
	}
	options := apiserver.NewOptions()
	flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
	options.AddFlags(flags)
	if err := flags.Parse([]string{
		"--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
		"--authentication-skip-lookup", "--audit-log-path", filepath.Join(t.TempDir(), "audit.log"),
	}); err != nil {
		t.Fatal(err)
	}
	var err error
	if options.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	config, err := options.Config()
	if err != nil {
		t.Fatal(err)
	}
	api := rest.New(&fakes.Store{}, nil)
	api.Engine.Authorizer = config.Authorizer()
	config.API = api
	server, err := config.New()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	named := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	alice, bob := as(t, config.Client(), "token-of-alice"), as(t, config.Client(), "token-of-bob")
	if _, err := alice.ImageStreams("shop").Create(t.Context(), named, metav1.CreateOptions{}); err != nil {
		t.Errorf("alice creates a stream: %v", err)
	}
	if _, err := bob.ImageStreams("shop").Create(t.Context(), named, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("bob creates a stream: %v, want Forbidden", err)
	}
	_, err = as(t, config.Client(), "nobody's").ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("nobody gets a stream: %v, want Unauthorized", err)
	}
	_, err = alice.ImageStreams("none").Create(t.Context(), named, metav1.CreateOptions{})
	if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `namespaces "none"`) {
		t.Errorf("alice creates a stream in a namespace that is not there: %v", err)
	}
	tag := &imagev1.ImageStreamTag{ObjectMeta: metav1.ObjectMeta{Name: "app:v1"}, Tag: &imagev1.TagReference{
		From: &corev1.ObjectReference{Kind: "ImageStreamTag", Namespace: "base", Name: "base:v1"},
	}}
	_, err = alice.ImageStreamTags("shop").Create(t.Context(), tag, metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "imagestreams/layers") {
		t.Errorf("alice tags what she may not read: %v, want the missing permission", err)
	}
	_, err = alice.RESTClient().Get().AbsPath("/api/v1/namespaces/shop").DoRaw(t.Context())
	if !apierrors.IsNotFound(err) {
		t.Errorf("namespaces are the cluster's, and the server answers %v", err)
	}
}

// TestPriorityAndFairness is off, and a flag turns it on for a server behind a cluster's, which has its settings.
func TestPriorityAndFairness(t *testing.T) {
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := apiserver.WriteKubeconfig(kubeconfig, cluster(t), "default"); err != nil {
		t.Fatal(err)
	}
	for _, on := range []bool{false, true} {
		options := listening(t, net.IPv4(127, 0, 0, 1))
		options.Access = nil
		flags := pflag.NewFlagSet("test", pflag.ContinueOnError)
		options.AddFlags(flags)
		if err := flags.Parse([]string{
			"--authentication-kubeconfig", kubeconfig, "--authorization-kubeconfig", kubeconfig,
			"--authentication-skip-lookup", fmt.Sprintf("--enable-priority-and-fairness=%t", on),
		}); err != nil {
			t.Fatal(err)
		}
		config, err := options.Config()
		if err != nil {
			t.Errorf("on %t: %v", on, err)
		} else if got := config.Generic.FlowControl != nil; got != on {
			t.Errorf("priority and fairness is on: %t, want %t", got, on)
		}
	}
}
