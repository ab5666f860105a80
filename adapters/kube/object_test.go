package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/internal/fill"
	"github.com/imagestreams/imagestreams/tagevent"
)

// settle gives filled metadata the texts that a cluster takes, and removes what is the cluster's to set.
func settle(m *imagestream.ObjectMeta, name string) {
	m.Name, m.Namespace, m.UID, m.ResourceVersion = name, "", "", ""
	m.Finalizers = []string{"example.com/a", "example.com/b"}
	m.OwnerReferences[1].Controller = nil
	for i := range m.OwnerReferences {
		m.OwnerReferences[i].APIVersion = "example.com/v1"
	}
	m.Annotations["not a key"] = "kept elsewhere"
	m.Unknown = map[string]json.RawMessage{"new": json.RawMessage(`{"z":1,"a":18446744073709551617}`)}
}

// free removes finalizers, so that what a test has stored can be deleted.
func free(t *testing.T, name string, image bool) {
	t.Helper()
	ctx := context.Background()
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	var err error
	if image {
		_, err = raw(t, configOf(shared)).Resource(images).
			Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	} else {
		_, err = raw(t, configOf(shared)).Resource(streams).Namespace("shop").
			Patch(ctx, name, types.MergePatchType, patch, metav1.PatchOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEveryMember stores objects of which every member is set: the definitions know them all.
func TestEveryMember(t *testing.T) {
	s := open(t)
	stream := new(imagestream.ImageStream)
	fill.Value(stream)
	settle(&stream.Metadata, "full_name")
	stream.Metadata.Namespace = "shop"
	stream.TypeMeta = imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion}
	created, err := s.CreateImageStream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { free(t, "full--name", false) })
	want := stream.Clone()
	want.Metadata.UID, want.Metadata.ResourceVersion = created.Metadata.UID, created.Metadata.ResourceVersion
	if !created.Same(want) {
		t.Errorf("created\n%+v, want\n%+v", created, want)
	}
	if got, err := s.GetImageStream(t.Context(), want.Key()); err != nil || !got.Same(want) {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, want)
	}

	image := new(imagestream.Image)
	fill.Value(image)
	settle(&image.Metadata, "sha256:0a")
	image.Signatures[0].Metadata.Unknown = image.Metadata.Unknown
	image.TypeMeta = imagestream.TypeMeta{Kind: "Image", APIVersion: imagestream.APIVersion}
	image.DockerImageMetadata = imagestream.Raw(
		`{"kind":"DockerImage","Size":9007199254740993,"Config":{"Env":["A=1"]}}`,
	)
	createdImage, err := s.CreateImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { free(t, "sha256-0a", true) })
	wantImage := image.Clone()
	wantImage.Metadata.UID = createdImage.Metadata.UID
	wantImage.Metadata.ResourceVersion = createdImage.Metadata.ResourceVersion
	if !reflect.DeepEqual(createdImage, wantImage) {
		t.Errorf("created\n%+v, want\n%+v", createdImage, wantImage)
	}
	if got, err := s.GetImage(t.Context(), "sha256:0a"); err != nil || !reflect.DeepEqual(got, wantImage) {
		t.Errorf("got\n%+v, %v, want\n%+v", got, err, wantImage)
	}
}

// TestJSONOfOthers comes back as it was.
func TestJSONOfOthers(t *testing.T) {
	s := open(t)
	for _, text := range []string{`{"z":1.0,"a":18446744073709551617,"a":"<&>\u2028"}`, `"text"`, `[]`, ``} {
		image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1"}}
		image.DockerImageMetadata = imagestream.Raw(text)
		created, err := s.CreateImage(t.Context(), image)
		if err != nil || string(created.DockerImageMetadata) != text {
			t.Errorf("%s is %s, %v", text, created.DockerImageMetadata, err)
		}
		if err := s.DeleteImage(t.Context(), "sha256:1", imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
	}
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1"}}
	image.DockerImageMetadata = imagestream.Raw("{")
	if _, err := s.CreateImage(t.Context(), image); err == nil || !strings.Contains(err.Error(), "dockerImageMetadata") {
		t.Errorf("what is not JSON: %v", err)
	}
}

// realStreams returns the streams of OpenShift's own library, with something in their histories.
func realStreams(t *testing.T) []*imagestream.ImageStream {
	files, err := filepath.Glob("../../../shared/data/imagestreams/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("the real image streams are not on this machine")
	}
	var all []*imagestream.ImageStream
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		s := new(imagestream.ImageStream)
		if err := json.Unmarshal(text, s); err != nil {
			t.Fatal(err)
		}
		s.TypeMeta = imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion} // some are of v1
		s.Metadata.Namespace = "shop"
		s.Metadata.Name = strings.TrimSuffix(filepath.Base(name), ".json")
		for i, tag := range s.Spec.Tags {
			s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: tag.Name, Items: []tagevent.Event{{
				Created: tagevent.TimeOf(time.Unix(int64(1_700_000_000+i), 0)), Generation: 1,
				DockerImageReference: "quay.io/org/app@sha256:1", Image: "sha256:1",
			}}})
		}
		all = append(all, s)
	}
	return all
}

// TestRealStreams are stored, read and listed as they are, and kubectl shows what oc shows of them.
func TestRealStreams(t *testing.T) {
	s := open(t)
	var stored []imagestream.ImageStream
	for _, stream := range realStreams(t) {
		created, err := s.CreateImageStream(t.Context(), stream)
		if err != nil {
			t.Fatalf("%s: %v", stream.Key(), err)
		}
		want := stream.Clone()
		want.Metadata.UID, want.Metadata.ResourceVersion = created.Metadata.UID, created.Metadata.ResourceVersion
		if !created.Same(want) {
			t.Errorf("%s was created otherwise", stream.Key())
		}
		stored = append(stored, *created)
	}
	slices.SortFunc(stored, func(a, b imagestream.ImageStream) int { return a.Key().Compare(b.Key()) })
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{Namespace: "shop"})
	if err != nil ||
		!slices.EqualFunc(list.Items, stored, func(a, b imagestream.ImageStream) bool { return a.Same(&b) }) {
		t.Errorf("listed %d streams, %v, want the %d that were created", len(list.Items), err, len(stored))
	}

	table := tableOf(t, streams.Resource)
	slices.SortFunc(stored, func(a, b imagestream.ImageStream) int {
		return strings.Compare(kubeName(a.Metadata.Name), kubeName(b.Metadata.Name))
	})
	want := describe.ImageStreams(stored, time.Now())
	for i, column := range want.Columns {
		if table.ColumnDefinitions[i].Name != column.Name {
			t.Errorf("column %d is %q, want %q", i, table.ColumnDefinitions[i].Name, column.Name)
		}
	}
	if len(table.Rows) != len(stored) {
		t.Fatalf("the table has %d rows of %d", len(table.Rows), len(stored))
	}
	for i, row := range table.Rows {
		want.Rows[i][0] = kubeName(stored[i].Metadata.Name)
		if !reflect.DeepEqual(row.Cells[:3], want.Rows[i][:3]) || !strings.HasSuffix(fmt.Sprint(row.Cells[3]), "d") {
			t.Errorf("row %v, want %v", row.Cells, want.Rows[i])
		}
	}
}

func kubeName(stream string) string { return strings.ReplaceAll(stream, "_", "--") }

// tableOf asks as kubectl get does.
func tableOf(t *testing.T, resource string) metav1.Table {
	t.Helper()
	client, err := rest.HTTPClientFor(configOf(shared))
	if err != nil {
		t.Fatal(err)
	}
	url := shared.URL + "/apis/" + kube.Group + "/" + kube.Version + "/" + resource
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var table metav1.Table
	if err := json.NewDecoder(resp.Body).Decode(&table); err != nil {
		t.Fatal(err)
	}
	return table
}

// made returns a stream as somebody writes it for kubectl.
func made(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": kube.Group + "/" + kube.Version, "kind": "ImageStream",
		"metadata": map[string]any{"name": name, "namespace": "shop"},
		"spec":     map[string]any{"tags": []any{map[string]any{"name": "v1"}}},
	}}
}

// TestKubectl has a stream that others make and change, with what clusters use metadata for.
func TestKubectl(t *testing.T) {
	s := open(t)
	client := raw(t, configOf(shared)).Resource(streams).Namespace("shop")
	if _, err := client.Create(t.Context(), made("node--js"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	patch := `{"metadata":{"labels":{"team":"a"},"annotations":{"who":"kubectl"},"finalizers":["example.com/hold"],
		"ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"c","uid":"u"}]}}`
	_, err := client.Patch(t.Context(), "node--js", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	key := imagestream.Key{Namespace: "shop", Name: "node_js"}
	stream, err := s.GetImageStream(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	m := stream.Metadata
	if m.Name != key.Name || m.Labels["team"] != "a" || m.Annotations["who"] != "kubectl" || len(m.Finalizers) != 1 ||
		m.CreationTimestamp.Time().Year() < 2026 || len(m.OwnerReferences) != 1 || len(stream.Spec.Tags) != 1 {
		t.Errorf("kubectl made %+v", stream)
	}
	updated, err := bump(t.Context(), s, stream, 1)
	if err != nil || len(updated.Metadata.Finalizers) != 1 || len(updated.Metadata.OwnerReferences) != 1 ||
		updated.Metadata.Labels["team"] != "a" {
		t.Errorf("an update loses what others have set: %+v, %v", updated, err)
	}
	// A finalizer delays the deletion, and the watch tells when it is over.
	if err := s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{}); err != nil {
		t.Fatal(err)
	}
	stream, err = s.GetImageStream(t.Context(), key)
	if err != nil || stream.Metadata.DeletionTimestamp == nil ||
		stream.Metadata.DeletionTimestamp.Time().Year() < 2026 {
		t.Fatalf("with a finalizer: %+v, %v", stream, err)
	}
	next := stream.Clone()
	next.Metadata.Finalizers = nil
	if _, err := s.UpdateImageStream(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GetImageStream(t.Context(), key); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("without its finalizer: %v", err)
	}
	from := imagestream.WatchOptions{ResourceVersion: stream.Metadata.ResourceVersion}
	for change, err := range s.WatchImageStreams(t.Context(), from) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Type == imagestream.Deleted {
			break
		}
	}
}

// TestDefinitionsRefuse what the store could not read.
func TestDefinitionsRefuse(t *testing.T) {
	client := raw(t, configOf(shared)).Resource(streams).Namespace("shop")
	for name, spoil := range map[string]func(*unstructured.Unstructured){
		"a name that is none of ours": func(u *unstructured.Unstructured) { u.SetName("a---b") },
		"a tag without a name": func(u *unstructured.Unstructured) {
			u.Object["spec"] = map[string]any{"tags": []any{map[string]any{}}}
		},
		"a list that is none": func(u *unstructured.Unstructured) { u.Object["spec"] = map[string]any{"tags": "v1"} },
		"a time that is none": func(u *unstructured.Unstructured) {
			u.Object["objectMetadata"] = map[string]any{"creationTimestamp": "yesterday"}
		},
	} {
		u := made("refused")
		spoil(u)
		if _, err := client.Create(t.Context(), u, metav1.CreateOptions{}); err == nil {
			t.Errorf("%s was stored", name)
		}
	}
}
