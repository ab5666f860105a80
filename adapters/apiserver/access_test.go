package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// as returns a typed client of a user with that token.
func as(t *testing.T, server *restclient.Config, token string) typedv1.ImageV1Interface {
	t.Helper()
	own := restclient.CopyConfig(server)
	own.BearerToken = token
	client, err := versioned.NewForConfig(own)
	if err != nil {
		t.Fatal(err)
	}
	return client.ImageV1()
}

// access has alice, who may do everything in shop and nothing but look at base, and bob, who may get the layers of base.
var access = &apiserver.Access{
	Users: []apiserver.User{
		{Name: "alice", Token: "token-of-alice", Groups: []string{"shops"}},
		{Name: "bob", TokenSHA256: "800480042268218663feef3ea54d81ed3f976c98c38d5fd7afbe22810ec16334", Groups: []string{"shops"}},
		{Name: "root", Token: "token-of-root", Groups: []string{"system:masters"}},
	},
	Rules: []apiserver.Rule{
		{Groups: []string{"shops"}, Namespaces: []string{"shop"}, Resources: []string{"*"}, Verbs: []string{"*"}},
		{Groups: []string{"shops"}, Namespaces: []string{"base"}, Resources: []string{"imagestreams"}, Verbs: []string{"get"}},
		{Users: []string{"bob"}, Namespaces: []string{"base"}, Resources: []string{"imagestreams/layers"}, Verbs: []string{"get"}},
	},
}

func TestUsersMayDoWhatRulesAllow(t *testing.T) {
	registry := &fakes.Registry{}
	api := rest.New(&fakes.Store{}, registry)
	api.Engine.Authorizer = access.Authorizer()
	server := apiserver.TestServer{API: api, Access: access}.Start(t)
	root, alice, bob := as(t, server, "token-of-root"), as(t, server, "token-of-alice"), as(t, server, "token-of-bob")

	named := func(name string) *imagev1.ImageStream {
		return &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}}
	}
	push := &imagev1.ImageStreamMapping{
		ObjectMeta: metav1.ObjectMeta{Name: "base"}, Tag: "v1",
		Image: imagev1.Image{
			ObjectMeta:           metav1.ObjectMeta{Name: "sha256:" + strings.Repeat("0", 64)},
			DockerImageReference: "quay.io/org/base@sha256:" + strings.Repeat("0", 64),
		},
	}
	if _, err := root.ImageStreams("base").Create(t.Context(), named("base"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := root.ImageStreamMappings("base").Create(t.Context(), push, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.ImageStreams("shop").Create(t.Context(), named("app"), metav1.CreateOptions{}); err != nil {
		t.Errorf("alice creates a stream in shop: %v", err)
	}
	if _, err := alice.ImageStreams("base").Get(t.Context(), "base", metav1.GetOptions{}); err != nil {
		t.Errorf("alice gets a stream of base: %v", err)
	}
	_, err := alice.ImageStreams("base").Create(t.Context(), named("app"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("alice creates a stream in base: %v, want Forbidden", err)
	}
	_, err = alice.ImageStreams("").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("alice lists all streams: %v, want Forbidden", err)
	}
	if _, err := alice.ImageStreams("base").Layers(t.Context(), "base", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("alice gets layers of base: %v, want Forbidden", err)
	}
	if _, err := bob.ImageStreams("base").Layers(t.Context(), "base", metav1.GetOptions{}); err != nil {
		t.Errorf("bob gets layers of base: %v", err)
	}

	tag := func(name string) *imagev1.ImageStreamTag {
		return &imagev1.ImageStreamTag{ObjectMeta: metav1.ObjectMeta{Name: name}, Tag: &imagev1.TagReference{
			From: &corev1.ObjectReference{Kind: "ImageStreamTag", Namespace: "base", Name: "base:v1"},
		}}
	}
	_, err = alice.ImageStreamTags("shop").Create(t.Context(), tag("app:alice"), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "imagestreams/layers") {
		t.Errorf("alice tags what she may not read: %v, want the missing permission", err)
	}
	if _, err := bob.ImageStreamTags("shop").Create(t.Context(), tag("app:bob"), metav1.CreateOptions{}); err != nil {
		t.Errorf("bob tags what he may read: %v", err)
	}
	stored, err := root.ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil || len(stored.Spec.Tags) != 1 || stored.Spec.Tags[0].Name != "bob" {
		t.Errorf("stored %+v, %v", stored.Spec.Tags, err)
	}
	for _, token := range []string{"", "token-of-nobody", "token-of-alice0", strings.Repeat("x", 100_000)} {
		if _, err := as(t, server, token).ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{}); err == nil ||
			len(token) < 100 && !apierrors.IsUnauthorized(err) {
			t.Errorf("a token of %d bytes: %v, want Unauthorized", len(token), err)
		}
	}
}

// TestPathsThatAreNoResources are for those who are known, and some of them for the group system:masters alone.
func TestPathsThatAreNoResources(t *testing.T) {
	server := apiserver.TestServer{API: rest.New(&fakes.Store{}, nil), Access: access}.Start(t)
	for path, forAlice := range map[string]int{
		"/": 200, "/apis": 200, "/version": 200, "/openapi/v3": 200, "/healthz": 200, "/livez": 200, "/readyz": 200,
		"/metrics": 403, "/debug/pprof/": 403, "//metrics": 403,
	} {
		for token, want := range map[string]int{"": 401, "token-of-nobody": 401, "token-of-alice": forAlice} {
			own := restclient.CopyConfig(server)
			own.BearerToken = token
			if code, _ := newRaw(t, own).do("GET", path, "", nil); code != want {
				t.Errorf("GET %s with the token %q: %d, want %d", path, token, code, want)
			}
		}
	}
}

func TestAccessFile(t *testing.T) {
	const users = "users: [{name: a, token: b}]\n"
	for _, text := range []string{users, "---\n" + users, "# who\n---\n" + users + "---\n# no more\n", ""} {
		file := filepath.Join(t.TempDir(), "access.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if read, err := apiserver.ReadAccess(file); err != nil || len(read.Users) != 1 && text != "" {
			t.Errorf("%q: %+v, %v", text, read, err)
		}
	}
}

func TestAccessFileThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		"users: [{name: a}]":  "set token or tokenSHA256",
		"users: [{token: a}]": "users[0]: give the user a name",
		"users: [{name: a, token: topsecret, tokenSHA256: y}]":              "not both",
		"users: [{name: a, tokenSHA256: zz}]":                               "64 hexadecimal digits",
		"users: [{name: a, token: topsecret}, {name: b, token: topsecret}]": `"a" and "b" have the same token`,
		"user: []":                                               `unknown field "user"`,
		"users: [{name: a, token: *topsecret}]":                  `a value that begins with "*" stands in quotes`,
		"users: [{name: a, topsecret}]":                          "users[0] has a field that is none of name, token",
		"users: [{name: a, token: !!int topsecret}]":             "without YAML's tags",
		"users: [{name: a, token:topsecret}]":                    `write a space behind ":"`,
		"users: [{name: a, token: b}]\n---\nrulez: []":           "a second document",
		"rules: [{users: [a], namespaces: [b], resources: [c]}]": "rules[0].verbs is empty",
		"rules: [{namespaces: [b], resources: [c], verbs: [d]}]": "rules[0].users is empty",
		"rules: [{users: [a], resources: [c], verbs: [d]}]":      "rules[0].namespaces is empty",
		"rules: [{users: [a], namespaces: [c], verbs: [d]}]":     "rules[0].resources is empty",
	} {
		file := filepath.Join(t.TempDir(), "access.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := apiserver.ReadAccess(file); err == nil || strings.Contains(err.Error(), "topsecret") || !strings.Contains(err.Error(), want) ||
			!strings.HasPrefix(err.Error(), file) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}

// TestUsersAskWhatTheyMayDo is "oc auth can-i".
func TestUsersAskWhatTheyMayDo(t *testing.T) {
	server := apiserver.TestServer{API: rest.New(&fakes.Store{}, nil), Access: access}.Start(t)
	server.BearerToken = "token-of-bob"
	client, err := kubernetes.NewForConfig(server)
	if err != nil {
		t.Fatal(err)
	}
	ask := func(spec authorizationv1.SelfSubjectAccessReviewSpec) (*authorizationv1.SelfSubjectAccessReview, error) {
		review := &authorizationv1.SelfSubjectAccessReview{Spec: spec}
		return client.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), review, metav1.CreateOptions{})
	}
	for verb, want := range map[string]bool{"get": true, "delete": false} {
		review, err := ask(authorizationv1.SelfSubjectAccessReviewSpec{
			ResourceAttributes: &authorizationv1.ResourceAttributes{
				Verb: verb, Namespace: "base", Group: "image.openshift.io", Resource: "imagestreams", Subresource: "layers",
			},
		})
		if err != nil || review.Status.Allowed != want {
			t.Errorf("bob may %s layers of base: %+v, %v; want %t", verb, review.Status, err, want)
		}
	}
	review, err := ask(authorizationv1.SelfSubjectAccessReviewSpec{
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Verb: "get", Path: "/version"},
	})
	if err != nil || !review.Status.Allowed {
		t.Errorf("bob may get /version: %+v, %v", review.Status, err)
	}
	if _, err := ask(authorizationv1.SelfSubjectAccessReviewSpec{}); !apierrors.IsBadRequest(err) {
		t.Errorf("bob asks nothing: %v, want BadRequest", err)
	}
}
