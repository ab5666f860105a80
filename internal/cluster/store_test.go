package cluster

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
)

// TestStoreInTheCluster keeps streams with adapters/kube, as a service account that has the role which the adapter ships.
func TestStoreInTheCluster(t *testing.T) {
	_, root := startCluster(t)
	core := kubernetes.NewForConfigOrDie(root)
	eventually(t, "the cluster is ready", func(ctx context.Context) error {
		return core.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	free := dynamic.NewForConfigOrDie(root)
	for _, object := range append(documents(t, bytes.NewReader(kube.Definitions())), documents(t, bytes.NewReader(kube.Roles()))...) {
		create(t, free, object)
	}
	namespace(t, core, "shop")
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "keeper"}}
	if _, err := core.CoreV1().ServiceAccounts("shop").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "keeper"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "imagestreams-keeper"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: "shop", Name: "keeper"}},
	}
	if _, err := core.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token, err := core.CoreV1().ServiceAccounts("shop").
		CreateToken(t.Context(), "keeper", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := kube.New(as(root, token.Status.Token))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the definitions are served", func(ctx context.Context) error {
		_, err := store.ListImageStreams(ctx, imagestream.ListOptions{})
		return err
	})

	streams := client.New(store, nil)
	app := imagestream.Key{Namespace: "shop", Name: "app"}
	const name = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
	image := &imagestream.Image{
		Metadata: imagestream.ObjectMeta{Name: name}, DockerImageReference: "registry.test/shop/app@" + name,
	}
	if _, err := streams.Push(t.Context(), app, "v1", image); err != nil {
		t.Fatal(err)
	}
	s, err := streams.Get(t.Context(), app)
	if latest, _ := s.LatestEvent("v1"); err != nil || latest.Image != name {
		t.Fatalf("%+v, %v; want what was pushed", s, err)
	}
	out, err := run(t, binary(t, "kubectl"), "get", "is", "--kubeconfig", kubeconfig(t, root, "shop"))
	if err != nil || !strings.Contains(out, "app") || !strings.Contains(out, "v1") {
		t.Errorf("kubectl get is: %v\n%s", err, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for change, err := range store.WatchImageStreams(ctx, imagestream.WatchOptions{}) {
		if err != nil || change.Object.Key() != app {
			t.Errorf("the watch says %+v, %v", change, err)
		}
		break
	}
	_, err = streams.Create(t.Context(), &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "nowhere", Name: "app"},
	})
	if !errors.Is(err, imagestream.ErrNotFound) || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("%v; want that there is no namespace", err)
	}
	others, err := kube.New(as(root, "bob"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := others.GetImageStream(t.Context(), app); !errors.Is(err, imagestream.ErrForbidden) {
		t.Errorf("bob gets %v", err)
	}
}

// documents returns the objects of YAML documents.
func documents(t *testing.T, text io.Reader) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	decoder := yaml.NewYAMLOrJSONDecoder(text, 4096)
	for {
		object := &unstructured.Unstructured{}
		switch err := decoder.Decode(&object.Object); {
		case errors.Is(err, io.EOF):
			return all
		case err != nil:
			t.Fatal(err)
		case len(object.Object) > 0:
			all = append(all, object)
		}
	}
}
