package apiserver_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// newCore returns a client of the namespaces and secrets of a server.
func newCore(t *testing.T, secrets *apiserver.Secrets) typedcorev1.CoreV1Interface {
	t.Helper()
	config := apiserver.TestServer{API: rest.New(&fakes.Store{}, nil), Secrets: secrets}.Start(t)
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client.CoreV1()
}

func TestPreconditionsOfDeletions(t *testing.T) {
	core := newCore(t, &apiserver.Secrets{})
	shop := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "shop"}}
	namespace, err := core.Namespaces().Create(t.Context(), shop, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "quay"}}
	made, err := core.Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	old, other := "0", types.UID("other")
	for _, only := range []metav1.Preconditions{{ResourceVersion: &old}, {UID: &other}} {
		opts := metav1.DeleteOptions{Preconditions: &only}
		if err := core.Secrets("shop").Delete(t.Context(), "quay", opts); !apierrors.IsConflict(err) {
			t.Errorf("delete a secret if it is another: %v, want a conflict", err)
		}
		if err := core.Namespaces().Delete(t.Context(), "shop", opts); !apierrors.IsConflict(err) {
			t.Errorf("delete a namespace if it is another: %v, want a conflict", err)
		}
	}
	same := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &made.UID, ResourceVersion: &made.ResourceVersion}}
	if err := core.Secrets("shop").Delete(t.Context(), "quay", same); err != nil {
		t.Errorf("delete a secret if it is the one: %v", err)
	}
	same.Preconditions = &metav1.Preconditions{UID: &namespace.UID}
	if err := core.Namespaces().Delete(t.Context(), "shop", same); err != nil {
		t.Errorf("delete a namespace if it is the one: %v", err)
	}
}

// TestNamespaceOfASecret starts again with the secrets of a namespace without streams. It goes, and they go with it.
func TestNamespaceOfASecret(t *testing.T) {
	secrets := &apiserver.Secrets{}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "quay"}}
	if _, err := newCore(t, secrets).Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	core := newCore(t, secrets)
	all, err := core.Namespaces().List(t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 2 || all.Items[1].Name != "shop" {
		t.Errorf("there are %+v, %v", all.Items, err)
	}
	if err := core.Namespaces().Delete(t.Context(), "shop", metav1.DeleteOptions{}); err != nil {
		t.Errorf("delete the namespace: %v", err)
	}
	if left, err := core.Secrets("").List(t.Context(), metav1.ListOptions{}); err != nil || len(left.Items) != 0 {
		t.Errorf("secrets are left: %d, %v", len(left.Items), err)
	}
}

// TestSecretsOfNoNamespace are none: who forgets to name one must not get everybody's.
func TestSecretsOfNoNamespace(t *testing.T) {
	secrets := &apiserver.Secrets{}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "quay"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"quay.io":{"auth":"dTpw"}}}`},
	}
	if _, err := newCore(t, secrets).Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for namespace, want := range map[string]bool{"shop": true, "other": false, "": false} {
		found, err := secrets.Finder(t.Context(), namespace)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := found.Credentials("quay.io/org/app"); ok != want {
			t.Errorf("the namespace %q has credentials: %v, want %v", namespace, ok, want)
		}
		list, err := secrets.List(t.Context(), namespace)
		if err != nil || len(list) > 0 != want {
			t.Errorf("the namespace %q has %d secrets, %v", namespace, len(list), err)
		}
		for _, s := range list {
			if s.Metadata.CreationTimestamp.Time().IsZero() {
				t.Errorf("the secret %q was created at no time", s.Metadata.Name)
			}
		}
	}
}

// TestFilesThatAreNotReplaced are those that are no files; what a link names is replaced, and the link stays.
func TestFilesThatAreNotReplaced(t *testing.T) {
	dir := t.TempDir()
	real, link, loop := filepath.Join(dir, "real"), filepath.Join(dir, "link"), filepath.Join(dir, "stdout")
	for name, target := range map[string]string{link: real, loop: os.DevNull} {
		if err := os.Symlink(target, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(real, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	client := &restclient.Config{Host: "https://127.0.0.1:1"}
	for _, name := range []string{loop, dir} {
		if err := apiserver.WriteKubeconfig(name, client, "shop"); err == nil || !strings.Contains(err.Error(), "no regular file") {
			t.Errorf("replace %s: %v", name, err)
		}
	}
	if err := apiserver.WriteKubeconfig(link, client, "shop"); err != nil {
		t.Fatal(err)
	}
	if target, err := os.Readlink(link); err != nil || target != real {
		t.Errorf("the link is %q, %v", target, err)
	}
	if info, err := os.Stat(real); err != nil || info.Size() == 0 || info.Mode().Perm() != 0o600 {
		t.Errorf("what the link names is %+v, %v", info, err)
	}
}
