package cluster

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	imageclient "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const group = "image.openshift.io"

var apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}

// TestBehindTheClustersServer installs the manifests in a cluster, with the server beside it in the place of the pod
// that no kubelet runs, as the service account of the manifests. People then use image streams through the cluster.
func TestBehindTheClustersServer(t *testing.T) {
	etcd, root := startCluster(t)
	core := kubernetes.NewForConfigOrDie(root)
	eventually(t, "the cluster is ready", func(ctx context.Context) error {
		return core.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	apiService := install(t, etcd, root)
	eventually(t, "the API is available", func(ctx context.Context) error { return available(ctx, root, apiService) })
	allow(t, core)

	alice := imageclient.NewForConfigOrDie(as(root, "alice"))
	t.Run("Create", func(t *testing.T) {
		s := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
		if _, err := alice.ImageStreams("shop").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		_, err := alice.ImageStreams("nowhere").Create(t.Context(), s, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) {
			t.Errorf("%v; alice may do nothing in the namespace nowhere", err)
		}
		_, err = imageclient.NewForConfigOrDie(root).ImageStreams("nowhere").Create(t.Context(), s, metav1.CreateOptions{})
		if !apierrors.IsNotFound(err) || !strings.Contains(err.Error(), `"nowhere"`) {
			t.Errorf("%v; want that there is no such namespace", err)
		}
	})
	t.Run("Permissions", func(t *testing.T) { permissions(t, root, alice) })
	t.Run("Watch", func(t *testing.T) { watches(t, alice) })
	t.Run("Apply", func(t *testing.T) {
		patch := []byte(`{"apiVersion":"image.openshift.io/v1","kind":"ImageStream","metadata":{"name":"app"},` +
			`"spec":{"lookupPolicy":{"local":true}}}`)
		s, err := alice.ImageStreams("shop").Patch(
			t.Context(), "app", types.ApplyPatchType, patch, metav1.PatchOptions{FieldManager: "alice"})
		if err != nil || !s.Spec.LookupPolicy.Local || len(s.ManagedFields) == 0 {
			t.Errorf("%+v, %v; want the lookup policy and who owns it", s, err)
		}
	})
	t.Run("Commands", func(t *testing.T) { commands(t, root) })
}

// commands runs the real kubectl and oc against the cluster.
func commands(t *testing.T, root *restclient.Config) {
	file := kubeconfig(t, as(root, "alice"), "shop")
	eventually(t, "the cluster has the API's schemas", func(context.Context) error {
		_, err := run(t, binary(t, "kubectl"), "explain", "imagestreams.spec.tags", "--kubeconfig", file)
		return err
	})
	for _, tc := range []struct{ args, want string }{
		{"kubectl get imagestreams", "app"},
		{"kubectl explain imagestreams.spec.tags", "KIND:"},
		{"kubectl auth can-i get imagestreams/layers", "yes"},
		{"oc get is", "IMAGE REPOSITORY"},
		{"oc describe is/app", "Image Lookup:"},
		{"oc tag --source=docker quay.io/org/app:v1 app:v1", "Tag app:v1 set to quay.io/org/app:v1."},
		{"oc set image-lookup app --enabled=false", "imagestream.image.openshift.io/app image lookup updated"},
	} {
		args := strings.Fields(tc.args)
		out, err := run(t, binary(t, args[0]), append(args[1:], "--kubeconfig", file)...)
		if err != nil || !strings.Contains(out, tc.want) {
			t.Errorf("%s: %v\n%s\nwant %q", tc.args, err, out, tc.want)
		}
	}
	bob := kubeconfig(t, as(root, "bob"), "shop")
	out, err := run(t, binary(t, "oc"), "get", "is", "--kubeconfig", bob)
	if err == nil || !strings.Contains(out, `User "bob" cannot list resource "imagestreams"`) {
		t.Errorf("bob: %v\n%s", err, out)
	}
}

// install applies the manifests as root, starts the server that they describe, and returns the APIService's name.
func install(t *testing.T, etcd string, root *restclient.Config) string {
	t.Helper()
	client := dynamic.NewForConfigOrDie(root)
	port := freePort(t)
	var service, account, apiService *unstructured.Unstructured
	var others []*unstructured.Unstructured
	for _, object := range manifests(t) {
		switch object.GetKind() {
		case "Service":
			service = object
			// Nothing routes to pods here: the name of the service stands for this machine.
			object.Object["spec"] = map[string]any{"type": "ExternalName", "externalName": "localhost"}
		case "ServiceAccount":
			account = object
		case "APIService":
			apiService = object
		default:
			others = append(others, object)
		}
	}
	if service == nil || account == nil || apiService == nil {
		t.Fatal("the manifests lack a Service, a ServiceAccount or an APIService")
	}
	core := kubernetes.NewForConfigOrDie(root)
	namespace(t, core, account.GetNamespace())
	for _, object := range append(others, account, service) {
		create(t, client, object)
	}
	ca := newAuthority(t, "imagestreams-ca")
	name := service.GetName() + "." + service.GetNamespace() + ".svc"
	cert, key := ca.pair(t, name, x509.ExtKeyUsageServerAuth)
	spec := apiService.Object["spec"].(map[string]any)
	delete(spec, "insecureSkipTLSVerify")
	spec["caBundle"] = base64.StdEncoding.EncodeToString(ca.pem)
	spec["service"].(map[string]any)["port"] = int64(port)

	token, err := core.CoreV1().ServiceAccounts(account.GetNamespace()).
		CreateToken(t.Context(), account.GetName(), &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	own := kubeconfig(t, as(root, token.Status.Token), account.GetNamespace())
	start(
		t, binary(t, "apiserver"), "--in-cluster", "--etcd="+etcd, fmt.Sprint("--listen=127.0.0.1:", port),
		"--tls-cert-file="+cert, "--tls-private-key-file="+key,
		"--authentication-kubeconfig="+own, "--authorization-kubeconfig="+own,
	)
	ready := kubernetes.NewForConfigOrDie(&restclient.Config{
		Host: fmt.Sprint("https://localhost:", port), BearerToken: root.BearerToken,
		TLSClientConfig: restclient.TLSClientConfig{CAData: ca.pem, ServerName: name},
	})
	eventually(t, "the server is ready", func(ctx context.Context) error {
		return ready.RESTClient().Get().AbsPath("/readyz").Do(ctx).Error()
	})
	create(t, client, apiService)
	return apiService.GetName()
}

// manifests returns the objects that adapters/apiserver ships.
func manifests(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "adapters", "apiserver", "manifests", "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no manifests: %v", err)
	}
	var all []*unstructured.Unstructured
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, documents(t, bytes.NewReader(data))...)
	}
	return all
}

// create creates an object of the manifests: its kind's plural is as the convention has it.
func create(t *testing.T, client dynamic.Interface, object *unstructured.Unstructured) {
	t.Helper()
	resource, _ := meta.UnsafeGuessKindToResource(object.GroupVersionKind())
	_, err := client.Resource(resource).Namespace(object.GetNamespace()).
		Create(t.Context(), object, metav1.CreateOptions{FieldValidation: metav1.FieldValidationStrict})
	if err != nil {
		t.Fatalf("%s %s: %v", object.GetKind(), object.GetName(), err)
	}
}

func available(ctx context.Context, root *restclient.Config, apiService string) error {
	object, err := dynamic.NewForConfigOrDie(root).Resource(apiServices).Get(ctx, apiService, metav1.GetOptions{})
	if err != nil {
		return err
	}
	conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
	for _, c := range conditions {
		if c := c.(map[string]any); c["type"] == "Available" && c["status"] == "True" {
			return nil
		}
	}
	return fmt.Errorf("conditions %v", conditions)
}

// allow makes the namespaces shop and other: alice may do everything to image streams in shop, carol in other, and carol
// may read those of shop without their layers.
func allow(t *testing.T, core kubernetes.Interface) {
	t.Helper()
	namespace(t, core, "shop")
	namespace(t, core, "other")
	for _, grant := range []struct {
		namespace, user  string
		verbs, resources []string
	}{
		{"shop", "alice", []string{"*"}, []string{"*"}},
		{"other", "carol", []string{"*"}, []string{"*"}},
		{"shop", "carol", []string{"get"}, []string{"imagestreams", "imagestreamtags"}},
	} {
		name := metav1.ObjectMeta{Name: grant.user}
		role := &rbacv1.Role{ObjectMeta: name, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{group}, Verbs: grant.verbs, Resources: grant.resources},
		}}
		if _, err := core.RbacV1().Roles(grant.namespace).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		binding := &rbacv1.RoleBinding{
			ObjectMeta: name, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: grant.user},
			Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: grant.user}},
		}
		if _, err := core.RbacV1().RoleBindings(grant.namespace).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
}

func namespace(t *testing.T, core kubernetes.Interface, name string) {
	t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := core.CoreV1().Namespaces().Create(t.Context(), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// permissions are the cluster's, user by user, and so is the one question that the rules ask.
func permissions(t *testing.T, root *restclient.Config, alice imageclient.ImageV1Interface) {
	bob, carol := imageclient.NewForConfigOrDie(as(root, "bob")), imageclient.NewForConfigOrDie(as(root, "carol"))
	if _, err := bob.ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("bob gets %v", err)
	}
	if _, err := carol.ImageStreams("shop").Get(t.Context(), "app", metav1.GetOptions{}); err != nil {
		t.Errorf("carol may get image streams: %v", err)
	}
	const image = "sha256:00000000000000000000000000000000000000000000000000000000000000aa"
	mapping := &imagev1.ImageStreamMapping{
		ObjectMeta: metav1.ObjectMeta{Name: "app"}, Tag: "v0",
		Image: imagev1.Image{ObjectMeta: metav1.ObjectMeta{Name: image}, DockerImageReference: "registry.test/shop/app@" + image},
	}
	if _, err := alice.ImageStreamMappings("shop").Create(t.Context(), mapping, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tracker := func() *imagev1.ImageStream {
		return &imagev1.ImageStream{
			ObjectMeta: metav1.ObjectMeta{Name: "copy"},
			Spec: imagev1.ImageStreamSpec{Tags: []imagev1.TagReference{
				{Name: "v0", From: &corev1.ObjectReference{Kind: "ImageStreamTag", Namespace: "shop", Name: "app:v0"}},
			}},
		}
	}
	_, err := carol.ImageStreams("other").Create(t.Context(), tracker(), metav1.CreateOptions{})
	if err == nil || !strings.Contains(err.Error(), "shop/app") {
		t.Errorf("%v; carol may not get the layers of shop/app", err)
	}
	if _, err := carol.ImageStreams("other").Get(t.Context(), "copy", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("%v; want nothing stored", err)
	}
	s, err := imageclient.NewForConfigOrDie(root).ImageStreams("other").Create(t.Context(), tracker(), metav1.CreateOptions{})
	if err != nil || len(s.Status.Tags) != 1 || s.Status.Tags[0].Items[0].Image != image {
		t.Errorf("%+v, %v; root may get the layers", s, err)
	}
}

// watches sees a change through the cluster's server.
func watches(t *testing.T, alice imageclient.ImageV1Interface) {
	now, err := alice.ImageStreams("shop").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	w, err := alice.ImageStreams("shop").Watch(t.Context(), metav1.ListOptions{ResourceVersion: now.ResourceVersion})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	patch := []byte(`{"metadata":{"labels":{"team":"web"}}}`)
	if _, err := alice.ImageStreams("shop").
		Patch(t.Context(), "app", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case event, ok := <-w.ResultChan():
			if !ok {
				t.Fatal("the watch ended")
			}
			if s, ok := event.Object.(*imagev1.ImageStream); ok && s.Labels["team"] == "web" {
				return
			}
		case <-ctx.Done():
			t.Fatal("the change was not seen")
		}
	}
}

// kubeconfig writes a file with which a program reaches the cluster.
func kubeconfig(t *testing.T, config *restclient.Config, namespace string) string {
	t.Helper()
	const name = "cluster"
	c := clientcmdapi.NewConfig()
	c.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	c.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: config.BearerToken}
	c.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	c.CurrentContext = name
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*c, file); err != nil {
		t.Fatal(err)
	}
	return file
}
