package apiserver_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	restclient "k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// raw sends requests as they are.
type raw struct {
	t      *testing.T
	config *restclient.Config
	client *http.Client
}

func newRaw(t *testing.T, config *restclient.Config) *raw {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(config.CAData)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &raw{t, config, &http.Client{Transport: transport}}
}

// do returns the code and the body of an answer.
func (r *raw) do(method, path, contentType string, body io.Reader) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.config.Host+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+r.config.BearerToken)
	req.Header.Set("Content-Type", contentType)
	answer, err := r.client.Do(req)
	if err != nil {
		r.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, 1<<20))
	if err != nil {
		r.t.Fatal(err)
	}
	return answer.StatusCode, string(text)
}

const (
	streamsPath = "/apis/image.openshift.io/v1/namespaces/shop/imagestreams"
	jsonType    = "application/json"
)

// TestHostileRequests get the API's errors.
func TestHostileRequests(t *testing.T) {
	config := apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil))
	r := newRaw(t, config)
	stream := func(rest string) string {
		return `{"kind":"ImageStream","apiVersion":"image.openshift.io/v1","metadata":{"name":"app"}` + rest + `}`
	}
	if code, body := r.do("POST", streamsPath, jsonType, strings.NewReader(stream(""))); code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	deep := `{"spec":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_001)
	for _, tc := range []struct {
		name, method, path, contentType, body string
		code                                  int
		says                                  string
	}{
		{"no JSON", "POST", "", jsonType, "{", 400, "BadRequest"},
		{"another kind", "POST", "", jsonType, `{"kind":"Pod","apiVersion":"v1"}`, 400, "BadRequest"},
		{"another version", "POST", "", jsonType, `{"kind":"ImageStream","apiVersion":"image.openshift.io/v9"}`, 400, "BadRequest"},
		{"unknown field", "POST", "?fieldValidation=Strict", jsonType, stream(`,"sepc":{}`), 400, `unknown field \"sepc\"`},
		{"a field twice", "POST", "?fieldValidation=Strict", jsonType, stream(`,"spec":{},"spec":{}`), 400, "duplicate field"},
		{"a wrong type", "POST", "", jsonType, stream(`,"spec":3`), 400, "BadRequest"},
		{"a deep body", "POST", "", jsonType, deep, 400, "BadRequest"},
		{"a deep patch", "PATCH", "/app", "application/merge-patch+json", deep, 400, "BadRequest"},
		{"an oversized body", "POST", "", jsonType, stream(`,"x":"` + strings.Repeat("x", 4<<20) + `"`), 413, "RequestEntityTooLarge"},
		{"another namespace", "POST", "", jsonType, strings.Replace(stream(""), `"name"`, `"namespace":"other","name"`, 1), 400, "namespace"},
		{"a media type", "POST", "", "text/csv", stream(""), 415, "UnsupportedMediaType"},
		{"a patch type", "PATCH", "/app", "text/csv", "{}", 415, "UnsupportedMediaType"},
		{"a JSON patch that copies", "PATCH", "/app", "application/json-patch+json", copies(), 422, "Invalid"},
		{"an update without version", "PUT", "/app", jsonType, stream(""), 422, "Invalid"},
		{"a stale update", "PUT", "/app", jsonType, strings.Replace(stream(""), `"name"`, `"resourceVersion":"999","name"`, 1), 409, "Conflict"},
		{"another name", "PUT", "/app", jsonType, strings.Replace(stream(""), "app", "other", 1), 400, "BadRequest"},
		{"a status of nothing", "PUT", "/none/status", jsonType, strings.Replace(stream(""), "app", "none", 1), 404, "NotFound"},
		{"a bad token of a page", "GET", "?limit=1&continue=xyz", "", "", 410, "begin it again"},
		{"a bad selector", "GET", "?labelSelector=a%20b%20c", "", "", 400, "BadRequest"},
		{"a bad field", "GET", "?fieldSelector=spec.x%3D1", "", "", 400, "BadRequest"},
		{"a bad version", "GET", "?watch=1&resourceVersion=abc", "", "", 200, `"type":"ERROR"`},
		{"no such path", "GET", "/app/nothing", "", "", 404, "NotFound"},
		{"no such verb", "PUT", "", jsonType, stream(""), 405, "MethodNotAllowed"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			code, body := r.do(tc.method, streamsPath+tc.path, tc.contentType, strings.NewReader(tc.body))
			if code != tc.code || !strings.Contains(body, tc.says) {
				t.Errorf("%d %.500s, want %d and %q", code, body, tc.code, tc.says)
			}
		})
	}
	code, body := r.do("GET", streamsPath+"/app", "", nil)
	if code != 200 || !strings.Contains(body, `"generation":1`) {
		t.Errorf("afterwards the stream is %d %s", code, body)
	}
}

// copies is a JSON patch that doubles an object again and again.
func copies() string {
	var b strings.Builder
	b.WriteString(`[{"op":"add","path":"/metadata/annotations","value":{"a":"` + strings.Repeat("x", 1000) + `"}}`)
	for i := range 40 {
		fmt.Fprintf(&b, `,{"op":"copy","from":"/metadata","path":"/metadata/annotations/b%d"}`, i)
	}
	return b.String() + "]"
}

// What goroutines run: watches of this package, or anything of a server.
var (
	watches = []string{"apiserver.watching[", "apiserver.(*running)"}
	servers = []string{"adapters/apiserver.", "k8s.io/apiserver/"}
)

// goroutines returns those that run one of these functions.
func goroutines(functions []string) []string {
	buffer := make([]byte, 16<<20)
	buffer = buffer[:runtime.Stack(buffer, true)]
	return slices.DeleteFunc(strings.Split(string(buffer), "\n\n"), func(stack string) bool {
		return !slices.ContainsFunc(functions, func(p string) bool { return strings.Contains(stack, p) })
	})
}

// settled waits until no more goroutines run these functions than before.
func settled(t *testing.T, functions []string, before int) {
	t.Helper()
	for begin := time.Now(); ; runtime.Gosched() {
		now := goroutines(functions)
		if len(now) <= before {
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("there were %d goroutines, and are %d:\n%s", before, len(now), strings.Join(now, "\n\n"))
		}
	}
}

// TestDroppedWatchesLeaveNothing drops the connections of 200 watches, and stops the server with another 200 open.
func TestDroppedWatchesLeaveNothing(t *testing.T) {
	atFirst := len(goroutines(servers))
	inner := &recorder{T: t}
	config := apiserver.NewTestServer(inner, rest.New(&fakes.Store{}, nil))
	watchAll := func() func() {
		transport := newRaw(t, config)
		ctx, cancel := context.WithCancel(t.Context())
		var opened sync.WaitGroup
		for range 200 {
			opened.Add(1)
			go func() {
				once := sync.OnceFunc(opened.Done)
				defer once()
				req, err := http.NewRequestWithContext(ctx, "GET", config.Host+streamsPath+"?watch=1&allowWatchBookmarks=1", nil)
				if err != nil {
					t.Error(err)
					return
				}
				req.Header.Set("Authorization", "Bearer "+config.BearerToken)
				answer, err := transport.client.Do(req)
				if err != nil {
					t.Error(err)
					return
				}
				defer answer.Body.Close()
				once()
				_, _ = io.Copy(io.Discard, answer.Body)
			}()
		}
		opened.Wait()
		return func() { cancel(); transport.client.CloseIdleConnections() }
	}
	drop := watchAll()
	if busy := len(goroutines(watches)); busy != 400 {
		t.Errorf("%d goroutines for 200 watches, each of which has two", busy)
	}
	drop()
	settled(t, watches, 0)
	drop = watchAll()
	inner.end()
	drop()
	settled(t, servers, atFirst)
}

// TestManyServersInOneProcess starts and stops servers side by side.
func TestManyServersInOneProcess(t *testing.T) {
	before := len(goroutines(servers))
	t.Run("servers", func(t *testing.T) {
		for i := range 20 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				client, err := versioned.NewForConfig(apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil)))
				if err != nil {
					t.Fatal(err)
				}
				create(t, client, "shop", fmt.Sprint("app", i))
				list, err := client.ImageV1().ImageStreams("").List(t.Context(), metav1.ListOptions{})
				if err != nil || len(list.Items) != 1 {
					t.Errorf("server %d has %d streams, %v", i, len(list.Items), err)
				}
			})
		}
	})
	settled(t, servers, before)
}

// TestProtobufWithoutJSON sends metadata of images that is no JSON, which protobuf carries as bytes.
func TestProtobufWithoutJSON(t *testing.T) {
	config := apiserver.NewTestServer(t, rest.New(&fakes.Store{}, nil))
	config.ContentType = "application/vnd.kubernetes.protobuf"
	client, err := versioned.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	create(t, client, "shop", "app")
	for metadata, ok := range map[string]bool{"not json": false, "{} {}": false, `{"Config":`: false, "": false, "{}": true} {
		id := "sha256:" + strings.Repeat("0", 64)
		image := imagev1.Image{
			ObjectMeta: metav1.ObjectMeta{Name: id}, DockerImageReference: "quay.io/org/app@" + id,
			DockerImageMetadata: apiruntime.RawExtension{Raw: []byte(metadata)},
		}
		push := &imagev1.ImageStreamMapping{ObjectMeta: metav1.ObjectMeta{Name: "app"}, Image: image, Tag: "v1"}
		_, pushed := client.ImageV1().ImageStreamMappings("shop").Create(t.Context(), push, metav1.CreateOptions{})
		image.Name = "sha256:" + strings.Repeat("1", 64)
		_, created := client.ImageV1().Images().Create(t.Context(), &image, metav1.CreateOptions{})
		for _, err := range []error{pushed, created} {
			if ok && err != nil || !ok && !apierrors.IsBadRequest(err) {
				t.Errorf("metadata %q: %v", metadata, err)
			}
		}
	}
}
