package apiserver_test

import (
	"context"
	"fmt"
	"log"
	"net"
	"os"
	"path/filepath"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// aTest stands for the testing.TB of a test, which an example does not have.
type aTest struct{ cleanups []func() }

func (*aTest) Helper()                           {}
func (*aTest) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
func (*aTest) Errorf(format string, args ...any) { log.Printf(format, args...) }
func (t *aTest) Cleanup(f func())                { t.cleanups = append(t.cleanups, f) }

func (t *aTest) end() {
	for _, f := range t.cleanups {
		f()
	}
}

func ExampleNewTestServer() {
	t := &aTest{} // your testing.TB
	defer t.end()
	client, err := versioned.NewForConfig(apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil)))
	if err != nil {
		log.Fatal(err)
	}
	streams := client.ImageV1().ImageStreams("shop")
	app := &imagev1.ImageStream{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	made, err := streams.Create(context.Background(), app, metav1.CreateOptions{})
	fmt.Println(made.Namespace, made.Name, made.Generation, err)
	_, err = streams.Create(context.Background(), app, metav1.CreateOptions{})
	fmt.Println(err)
	// Output:
	// shop app 1 <nil>
	// imagestreams.image.openshift.io "app" already exists
}

func ExampleTestServer() {
	access := &apiserver.Access{
		Users: []apiserver.User{{Name: "alice", Token: "secret"}},
		Rules: []apiserver.Rule{{
			Users: []string{"alice"}, Namespaces: []string{"shop"}, Resources: []string{"*"}, Verbs: []string{"get"},
		}},
	}
	api := rest.New(&fakes.Store{}, nil)
	api.Engine.Authorizer = access.Authorizer()

	t := &aTest{} // your testing.TB
	defer t.end()
	config := apiserver.TestServer{API: api, Access: access}.Start(t)
	config.BearerToken = "secret"
	client, err := versioned.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	err = client.ImageV1().ImageStreams("shop").Delete(context.Background(), "app", metav1.DeleteOptions{})
	fmt.Println(err)
	// Output:
	// imagestreams.image.openshift.io "app" is forbidden: User "alice" cannot delete resource "imagestreams" in API group "image.openshift.io" in the namespace "shop"
}

func ExampleOptions() {
	options := apiserver.NewOptions() // options.AddFlags has the flags
	options.Access = &apiserver.Access{
		Users: []apiserver.User{{Name: "root", Token: "secret", Groups: []string{"system:masters"}}},
	}
	var err error
	if options.Serving.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		log.Fatal(err)
	}
	config, err := options.Config()
	if err != nil {
		log.Fatal(err)
	}
	api := rest.New(&fakes.Store{}, nil)
	api.Engine.Authorizer = config.Authorizer()
	config.API = api
	server, err := config.New()
	if err != nil {
		log.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Run(ctx) }()

	here := config.Client()
	here.BearerToken = "secret"
	client, err := versioned.NewForConfig(here)
	if err != nil {
		log.Fatal(err)
	}
	list, err := client.ImageV1().ImageStreams("").List(ctx, metav1.ListOptions{})
	fmt.Println(len(list.Items), err)
	stop()
	fmt.Println(<-ended)
	// Output:
	// 0 <nil>
	// <nil>
}

func ExampleWriteKubeconfig() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	t := &aTest{} // your testing.TB
	defer t.end()
	config := apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil))
	file := filepath.Join(dir, "kubeconfig") // for oc --kubeconfig
	fmt.Println(apiserver.WriteKubeconfig(file, config, "shop"))
	info, err := os.Stat(file)
	fmt.Println(info.Mode(), err)
	// Output:
	// <nil>
	// -rw------- <nil>
}

func ExampleReadAccess() {
	file, err := os.CreateTemp("", "access")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(file.Name())
	fmt.Fprint(file, `
users:
- name: alice
  tokenSHA256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b
rules:
- users: [alice]
  namespaces: [shop]
  resources: [imagestreams, imagestreams/layers]
  verbs: [get]
`)
	access, err := apiserver.ReadAccess(file.Name())
	fmt.Println(access.Users[0].Name, access.Rules[0].Resources, err)
	// Output: alice [imagestreams imagestreams/layers] <nil>
}

func ExampleOpenSecrets() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	secrets, err := apiserver.OpenSecrets(filepath.Join(dir, "secrets"))
	if err != nil {
		log.Fatal(err)
	}
	finder, err := secrets.Finder(context.Background(), "shop")
	if err != nil {
		log.Fatal(err)
	}
	_, found := finder.Credentials("quay.io/org/app")
	fmt.Println(found)
	// Output: false
}
