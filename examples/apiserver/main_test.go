package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	typedv1 "github.com/openshift/client-go/image/clientset/versioned/typed/image/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	restclient "k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
	"github.com/imagestreams/imagestreams/internal/registryserver"
)

// TestMain is the program itself where a test says so.
func TestMain(m *testing.M) {
	if os.Getenv("APISERVER_MAIN") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// start runs the program until the test ends, or stop is called, and returns how the kubeconfig reaches it.
func start(t *testing.T, args ...string) (client *restclient.Config, stop func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	errOut := &bytes.Buffer{}
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, append(args, "-listen=127.0.0.1:0", "-kubeconfig", file, "-namespace=shop"), in, errOut)
		in.Close()
		ended <- err
	}()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the program ends with %v", err)
		}
	})
	t.Cleanup(stop)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		cancel()
		t.Fatalf("the program did not start: %v", <-ended)
	}
	if want := fmt.Sprintf(" is ready: oc --kubeconfig %s create is app\n", file); !strings.HasSuffix(line, want) {
		t.Errorf("the program says %q, want %q", line, want)
	}
	return load(t, file), stop
}

// load returns the client that a kubeconfig describes, which only its owner can read.
func load(t *testing.T, file string) *restclient.Config {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the kubeconfig has the mode %o", mode)
	}
	loaded := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		&clientcmd.ClientConfigLoadingRules{ExplicitPath: file}, &clientcmd.ConfigOverrides{})
	if namespace, _, err := loaded.Namespace(); err != nil || namespace != "shop" {
		t.Errorf("the kubeconfig is for the namespace %q, %v", namespace, err)
	}
	client, err := loaded.ClientConfig()
	if err != nil {
		t.Fatal(err)
	}
	client.QPS = -1
	return client
}

func streamsOf(t *testing.T, client *restclient.Config) typedv1.ImageStreamInterface {
	t.Helper()
	set, err := versioned.NewForConfig(client)
	if err != nil {
		t.Fatal(err)
	}
	return set.ImageV1().ImageStreams("shop")
}

// TestTaggedImageIsImported lets a tag come from Docker Hub, which a registry of the test mirrors. The server imports
// it by itself, and keeps it when it is started again.
func TestTaggedImageIsImported(t *testing.T) {
	dir := t.TempDir()
	registry, err := registryserver.Start(registryserver.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	contents := fakes.Contents{}
	digest := contents.Push("org/app", fakes.Image{Layer: "one"}, "v1")
	if err := registry.Push(t.Context(), contents); err != nil {
		t.Fatal(err)
	}
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	ca := file("ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: registry.CA.Raw})))
	mirrors := file("mirrors.yaml", "itms:\n- source: docker.io/org\n  mirrors: ["+registry.Host+"/org]\n")
	args := []string{"-db", filepath.Join(dir, "shop.db"), "-registry-ca", ca, "-mirrors", mirrors}

	client, stop := start(t, args...)
	set, err := versioned.NewForConfig(client)
	if err != nil {
		t.Fatal(err)
	}
	tag := &imagev1.ImageStreamTag{ObjectMeta: metav1.ObjectMeta{Name: "app:v1"}, Tag: &imagev1.TagReference{
		From: &corev1.ObjectReference{Kind: "DockerImage", Name: "docker.io/org/app:v1"},
	}}
	if _, err := set.ImageV1().ImageStreamTags("shop").Create(t.Context(), tag, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	changes, err := streamsOf(t, client).Watch(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for change := range changes.ResultChan() {
		stream, ok := change.Object.(*imagev1.ImageStream)
		if !ok {
			t.Fatalf("the watch ends with %+v", change.Object)
		}
		if tags := stream.Status.Tags; len(tags) == 1 && len(tags[0].Items) == 1 {
			if got := tags[0].Items[0].Image; got != digest.String() {
				t.Errorf("app:v1 is %s, want %s", got, digest)
			}
			break
		} else if len(tags) == 1 && len(tags[0].Conditions) > 0 {
			t.Fatalf("the import failed: %+v", tags[0].Conditions)
		}
	}
	changes.Stop()
	stop()

	again, _ := start(t, args...)
	stream, err := streamsOf(t, again).Get(t.Context(), "app", metav1.GetOptions{})
	if err != nil || len(stream.Status.Tags) != 1 || stream.Status.Tags[0].Items[0].Image != digest.String() {
		t.Errorf("after a start the stream is %+v, %v", stream, err)
	}
}

// TestOthersMayDoWhatRulesAllow has a second user from a file.
func TestOthersMayDoWhatRulesAllow(t *testing.T) {
	dir := t.TempDir()
	access := filepath.Join(dir, "access.yaml")
	rules := `
users:
- {name: alice, token: secret-of-alice}
rules:
- {users: [alice], namespaces: [shop], resources: [imagestreams], verbs: [get, list]}
`
	if err := os.WriteFile(access, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	admin, _ := start(t, "-db", filepath.Join(dir, "shop.db"), "-access-file", access)
	app := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	if _, err := streamsOf(t, admin).Create(t.Context(), app, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	alice := restclient.AnonymousClientConfig(admin)
	alice.BearerToken = "secret-of-alice"
	if _, err := streamsOf(t, alice).Get(t.Context(), "app", metav1.GetOptions{}); err != nil {
		t.Errorf("alice gets a stream: %v", err)
	}
	if err := streamsOf(t, alice).Delete(t.Context(), "app", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("alice deletes a stream: %v, want Forbidden", err)
	}
}

// TestSecretsAreKept stores a pull secret, and starts the server again.
func TestSecretsAreKept(t *testing.T) {
	db := filepath.Join(t.TempDir(), "shop.db")
	client, stop := start(t, "-db", db)
	core, err := kubernetes.NewForConfig(client)
	if err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "quay"}, Type: corev1.SecretTypeDockerConfigJson,
		StringData: map[string]string{corev1.DockerConfigJsonKey: `{"auths":{"quay.io":{"auth":"dTpw"}}}`},
	}
	if _, err := core.CoreV1().Secrets("shop").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stop()
	client, _ = start(t, "-db", db)
	if core, err = kubernetes.NewForConfig(client); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(db + ".secrets"); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file of secrets is %+v, %v", info, err)
	}
	kept, err := core.CoreV1().Secrets("shop").Get(t.Context(), "quay", metav1.GetOptions{})
	if err != nil || string(kept.Data[corev1.DockerConfigJsonKey]) != secret.StringData[corev1.DockerConfigJsonKey] {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

// TestEtcd keeps streams in a real etcd.
func TestEtcd(t *testing.T) {
	endpoint := etcdserver.Start(t, 1).Members[0].Endpoint
	client, stop := start(t, "-etcd", endpoint)
	app := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	made, err := streamsOf(t, client).Create(t.Context(), app, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stop()
	again, _ := start(t, "-etcd", endpoint)
	if kept, err := streamsOf(t, again).Get(t.Context(), "app", metav1.GetOptions{}); err != nil || kept.UID != made.UID {
		t.Errorf("kept %+v, %v", kept, err)
	}
}

// TestKilledServerLosesNoWrite kills the program while clients write, again and again. What it had answered is there
// when it is started again.
func TestKilledServerLosesNoWrite(t *testing.T) {
	dir := t.TempDir()
	db, file := filepath.Join(dir, "shop.db"), filepath.Join(dir, "kubeconfig")
	var acknowledged sync.Map // name to uid
	for round := range 3 {
		cmd := exec.Command(os.Args[0], "-db", db, "-kubeconfig", file, "-listen=127.0.0.1:0", "-namespace=shop")
		cmd.Env = append(os.Environ(), "APISERVER_MAIN=yes")
		out, err := cmd.StdoutPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
			t.Fatalf("round %d: the program did not start: %v, %v", round, err, cmd.Wait())
		}
		streams := streamsOf(t, load(t, file))
		acknowledged.Range(func(name, uid any) bool {
			kept, err := streams.Get(t.Context(), name.(string), metav1.GetOptions{})
			if err != nil || kept.UID != uid {
				t.Errorf("round %d: %s was created, and is %+v, %v", round, name, kept, err)
			}
			return true
		})
		written := make(chan struct{}, 4)
		var writers sync.WaitGroup
		for w := range 4 {
			writers.Go(func() {
				for n := 0; ; n++ {
					name := fmt.Sprintf("app-%d-%d-%d", round, w, n)
					app := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: name}}
					made, err := streams.Create(context.Background(), app, metav1.CreateOptions{})
					if err != nil {
						return // it was killed
					}
					acknowledged.Store(name, made.UID)
					if n == 20 {
						written <- struct{}{}
					}
				}
			})
		}
		for range 4 {
			<-written
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		writers.Wait()
		_ = cmd.Wait() // it was killed
	}
}

// TestManifests reads what is deployed in a cluster: the flags are the program's.
func TestManifests(t *testing.T) {
	dir := filepath.Join("..", "..", "adapters", "apiserver", "manifests")
	files, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil || len(files) != 4 {
		t.Fatalf("there are %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, document := range strings.Split(string(text), "\n---\n") {
			var meta metav1.PartialObjectMetadata
			if err := yaml.Unmarshal([]byte(document), &meta); err != nil || meta.Kind == "" || meta.Name == "" {
				t.Errorf("%s: %+v, %v", file, meta, err)
			}
		}
	}
	var deployment appsv1.Deployment
	text, err := os.ReadFile(filepath.Join(dir, "deployment.yaml"))
	if err == nil {
		err = yaml.UnmarshalStrict(text, &deployment)
	}
	if err != nil {
		t.Fatal(err)
	}
	f, err := parse(deployment.Spec.Template.Spec.Containers[0].Args, io.Discard)
	if err != nil || !f.inCluster || len(f.storage.etcd) != 1 || f.server.Serving.ServerCert.CertKey.CertFile == "" ||
		f.server.Serving.BindPort != int(deployment.Spec.Template.Spec.Containers[0].Ports[0].ContainerPort) {
		t.Errorf("the deployment's flags are %+v, %v", f, err)
	}
}

// TestKubeconfigThatCannotBeWritten ends the program, in order: it does not take the process with it.
func TestKubeconfigThatCannotBeWritten(t *testing.T) {
	dir := t.TempDir()
	db, missing := filepath.Join(dir, "shop.db"), filepath.Join(dir, "missing", "kubeconfig")
	cmd := exec.Command(os.Args[0], "-db", db, "-kubeconfig", missing, "-listen=127.0.0.1:0")
	cmd.Env = append(os.Environ(), "APISERVER_MAIN=yes")
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "apiserver: write the kubeconfig: open "+filepath.Dir(missing)) ||
		strings.Contains(string(out), "goroutine ") || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("the program ends with %v and says\n%.2000s", err, out)
	}
}

// TestFlagsThatDoNotFit end the program with words, and leave nothing open.
func TestFlagsThatDoNotFit(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	two := filepath.Join(dir, "two.yaml")
	if err := os.WriteFile(two, []byte("# ours\n---\ninsecureRegistries: [a.example]\n---\nblockedRegistries: [quay.io]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"choose one":                      {"-db", "x", "-etcd", "127.0.0.1:1"},
		"there are only flags":            {"serve"},
		"unknown flag: --dbb":             {"-dbb", "x"},
		"want a duration above 0":         {"-interval", "0", "-db", filepath.Join(dir, "a.db"), "-listen", "127.0.0.1:0"},
		"open " + missing:                 {"-mirrors", missing, "-db", filepath.Join(dir, "b.db"), "-listen", "127.0.0.1:0"},
		"leave it out with -in-cluster":   {"-in-cluster", "-kubeconfig", "x"},
		"-listen=nowhere":                 {"-listen", "nowhere"},
		"-access-file is for":             {"-in-cluster", "-access-file", "x"},
		"-etcd-ca: open " + missing:       {"-etcd", "127.0.0.1:1", "-etcd-ca", missing, "-listen", "127.0.0.1:0"},
		two + ": it has a second":         {"-mirrors", two, "-db", filepath.Join(dir, "c.db"), "-listen", "127.0.0.1:0"},
		"failed to read file path":        {"-audit-policy-file", missing, "-audit-log-path", "-", "-db", filepath.Join(dir, "d.db"), "-listen", "127.0.0.1:0"},
		"-etcd-prefix is about -etcd":     {"-db", "x", "-etcd-prefix", "/x/"},
		"-etcd-ca is about -etcd":         {"-etcd-ca", missing},
		"-client-ca-file is for":          {"-client-ca-file", missing},
		"-authorization-kubeconfig is":    {"-authorization-kubeconfig", missing},
		"-disable-admission-plugins is":   {"-disable-admission-plugins", "NamespaceLifecycle"},
		"leave out -namespace":            {"-in-cluster", "-namespace", "x"},
		"-listen says what -bind-address": {"-bind-address", "127.0.0.1", "-listen", "127.0.0.1:0"},
	} {
		err := run(t.Context(), args, io.Discard, io.Discard)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q in it", args, err, want)
		} else if errors.Is(err, net.ErrClosed) {
			t.Errorf("%v: %v, about what is closed twice", args, err)
		}
	}
}
