package apiserver_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/openshift/client-go/image/clientset/versioned"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestDiscovery compares the resources and verbs with those of the clientset without a server.
func TestDiscovery(t *testing.T) {
	api := rest.New(&fakes.Store{}, nil)
	client, err := versioned.NewForConfig(apiserver.NewTestServer(t, api))
	if err != nil {
		t.Fatal(err)
	}
	verbs := func(c versioned.Interface) map[string][]string {
		list, err := c.Discovery().ServerResourcesForGroupVersion(imagestream.APIVersion)
		if err != nil {
			t.Fatal(err)
		}
		all := map[string][]string{}
		for _, r := range list.APIResources {
			kind := r.Kind
			if strings.Contains(r.Name, "/") {
				kind = "" // the clientset's say that of the resource
			}
			all[r.Name] = append([]string{kind, map[bool]string{true: "namespaced"}[r.Namespaced]}, slices.Sorted(slices.Values(r.Verbs))...)
		}
		return all
	}
	got, want := verbs(client), verbs(openshift.Clientset(api))
	if !maps.EqualFunc(got, want, slices.Equal) {
		t.Errorf("the server has\n%v, want\n%v", got, want)
	}
}

// TestReadyIfTheStoreAnswers is what a cluster asks before it sends requests.
func TestReadyIfTheStoreAnswers(t *testing.T) {
	var down atomic.Bool
	store := &fakes.Store{Fail: func(string, imagestream.Key) error {
		if down.Load() {
			return errors.New("the store is down")
		}
		return nil
	}}
	r := newRaw(t, apiserver.NewTestServer(t, rest.New(store, nil)))
	for path, want := range map[string]string{"/readyz/imagestreams": "ok", "/livez": "ok"} {
		if code, body := r.do("GET", path, "", nil); code != 200 || body != want {
			t.Errorf("%s: %d %s, want %s", path, code, body, want)
		}
	}
	down.Store(true)
	if code, body := r.do("GET", "/readyz/imagestreams", "", nil); code != 500 || !strings.Contains(body, "the store is down") {
		t.Errorf("without a store: %d %s, want 500 and the reason", code, body)
	}
	if code, body := r.do("GET", "/livez", "", nil); code != 200 {
		t.Errorf("without a store: %d %s; the server lives", code, body)
	}
}

// TestOpenAPI looks for what "oc explain is.spec.tags" and server-side apply need.
func TestOpenAPI(t *testing.T) {
	client := newClient(t)
	get := func(path string, into any) {
		t.Helper()
		data, err := client.ImageV1().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(data, into)
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	type schema struct {
		Description string            `json:"description"`
		Properties  map[string]schema `json:"properties"`
		Keys        []string          `json:"x-kubernetes-list-map-keys"`
		MergeKey    string            `json:"x-kubernetes-patch-merge-key"`
		Kinds       []any             `json:"x-kubernetes-group-version-kind"`
	}
	var v3 struct {
		Components struct{ Schemas map[string]schema }
		Paths      map[string]any
	}
	get("/openapi/v3/apis/image.openshift.io/v1", &v3)
	var v2 struct{ Definitions map[string]schema }
	get("/openapi/v2", &v2)
	for version, all := range map[string]map[string]schema{"v3": v3.Components.Schemas, "v2": v2.Definitions} {
		for name := range all {
			if strings.Contains(name, "/") {
				t.Errorf("%s: a schema is named %q, like a type of Go", version, name)
			}
		}
		tags := all["com.github.openshift.api.image.v1.ImageStreamSpec"].Properties["tags"]
		if !strings.HasPrefix(tags.Description, "tags map arbitrary string values") || tags.MergeKey != "name" {
			t.Errorf("%s: spec.tags is %+v", version, tags)
		}
		if len(all["com.github.openshift.api.image.v1.ImageStream"].Kinds) != 1 {
			t.Errorf("%s: an image stream has the kinds %v", version, all["com.github.openshift.api.image.v1.ImageStream"].Kinds)
		}
	}
	if _, ok := v3.Paths["/apis/image.openshift.io/v1/namespaces/{namespace}/imagestreams/{name}/layers"]; !ok {
		t.Error("v3 has no layers")
	}
}

// TestTables looks at what "oc get" shows.
func TestTables(t *testing.T) {
	client := newClient(t)
	create(t, client, "shop", "app")
	for path, columns := range map[string]string{
		"imagestreams": "Name,Image Repository,Tags,Updated", "imagestreams/app": "Name,Image Repository,Tags,Updated",
		"imagestreamtags": "Name,Image Reference,Updated,Image Name", "imagetags": "",
	} {
		var table metav1.Table
		data, err := client.ImageV1().RESTClient().Get().AbsPath("/apis/image.openshift.io/v1/namespaces/shop/"+path).
			SetHeader("Accept", "application/json;as=Table;g=meta.k8s.io;v=v1").DoRaw(t.Context())
		if err == nil {
			err = json.Unmarshal(data, &table)
		}
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, c := range table.ColumnDefinitions {
			names = append(names, c.Name)
		}
		if got := strings.Join(names, ","); columns != "" && got != columns || got == "" || table.Kind != "Table" {
			t.Errorf("%s: a %s with %s", path, table.Kind, got)
		}
		if strings.HasPrefix(path, "imagestreams") && (len(table.Rows) != 1 || len(table.Rows[0].Object.Raw) == 0) {
			t.Errorf("%s: rows %+v", path, table.Rows)
		}
	}
}

// TestNamespaces are those that hold streams, those that were created, and default.
func TestNamespaces(t *testing.T) {
	client := newClient(t)
	core := client.ImageV1().RESTClient()
	list := func() string {
		data, err := core.Get().AbsPath("/api/v1/namespaces").DoRaw(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var objects struct {
			Items []struct{ Metadata struct{ Name string } }
		}
		if err := json.Unmarshal(data, &objects); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range objects.Items {
			names = append(names, o.Metadata.Name)
		}
		return strings.Join(names, " ")
	}
	create(t, client, "shop", "app")
	body := []byte(`{"kind":"Namespace","apiVersion":"v1","metadata":{"name":"tools"}}`)
	for _, want := range []string{"", `namespaces "tools" already exists`} {
		err := core.Post().AbsPath("/api/v1/namespaces").SetHeader("Content-Type", jsonType).Body(body).Do(t.Context()).Error()
		if (err == nil) != (want == "") || err != nil && !apierrors.IsAlreadyExists(err) {
			t.Errorf("create tools: %v, want %q", err, want)
		}
	}
	if got := list(); got != "default shop tools" {
		t.Errorf("there are %s", got)
	}
	for name, ok := range map[string]bool{"shop": true, "tools": true, "default": false, "none": false} {
		if err := core.Delete().AbsPath("/api/v1/namespaces/" + name).Do(t.Context()).Error(); (err == nil) != ok {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	if got := list(); got != "default" {
		t.Errorf("afterwards there are %s", got)
	}
	left, err := client.ImageV1().ImageStreams("").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(left.Items) != 0 {
		t.Errorf("streams are left: %+v, %v", left, err)
	}
}
