package oc_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/tagevent"
)

// pruned is a store whose images are pruned, and a registry that writes down what it loses.
type pruned struct {
	imagestream.Store
	address string
	lost    []string
}

func (p *pruned) DeleteLayerLink(_ context.Context, _ imagestream.Key, d string) error {
	return p.lose(d)
}

func (p *pruned) DeleteManifestLink(_ context.Context, _ imagestream.Key, d string) error {
	return p.lose(d)
}
func (p *pruned) DeleteBlob(_ context.Context, d string) error { return p.lose(d) }

func (p *pruned) lose(d string) error {
	p.lost = append(p.lost, d)
	return nil
}

// newPruned returns a store with a stream of two images, each of one layer, and the command on it.
func newPruned() (*pruned, *oc.Pruning) {
	ctx := context.Background()
	p := &pruned{Store: &fakes.Store{}}
	old := tagevent.TimeOf(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "web", CreationTimestamp: old}}
	h := tagevent.History{Tag: "v1"}
	for _, name := range []string{"sha256:" + strings.Repeat("1", 64), "sha256:" + strings.Repeat("2", 64)} {
		i := &imagestream.Image{
			DockerImageReference: "registry.local:5000/shop/web@" + name, DockerImageMetadata: imagestream.Raw(`{}`),
		}
		i.Metadata = imagestream.ObjectMeta{Name: name, CreationTimestamp: old}
		i.Metadata.Annotations = map[string]string{"openshift.io/image.managed": "true"}
		i.DockerImageLayers = []imagestream.ImageLayer{{Name: "layer of " + name[7:10], LayerSize: 5e6}}
		if _, err := p.CreateImage(ctx, i); err != nil {
			panic(err)
		}
		h.Items = append(h.Items, tagevent.Event{
			Created: old, Image: name, DockerImageReference: i.DockerImageReference, Generation: 1,
		})
	}
	s.Status.Tags = []tagevent.History{h}
	if _, err := p.CreateImageStream(ctx, s); err != nil {
		panic(err)
	}
	return p, &oc.Pruning{
		API: rest.New(p.Store, nil), Now: func() time.Time { return old.Time().AddDate(1, 0, 0) },
		Registry: func(address string) (prune.Registry, error) {
			p.address = address
			return p, nil
		},
	}
}

func ExamplePruning_PruneImages() {
	ctx := context.Background()
	_, pruning := newPruned()
	pruning.Out = os.Stdout
	flags := oc.Flags{"keep-tag-revisions": {"1"}}
	err := pruning.PruneImages(ctx, oc.Command{Flags: flags})
	fmt.Println(err)

	flags["confirm"] = []string{"true"}
	err = pruning.PruneImages(ctx, oc.Command{Flags: flags})
	fmt.Println(err)
	// Output:
	// WHAT    WHERE            IMAGE          FREES   WHY
	// event   shop/web:v1 #1   222222222222           goes: is old, and nobody uses it
	// image                    222222222222   5MB     goes: is in no history
	// 1 event, 1 image and 2 blobs would be removed, freeing 5MB. Nothing was; --confirm does it.
	// <nil>
	// 1 event, 1 image and 2 blobs removed, freeing 5MB.
	// <nil>
}

func ExamplePlanPruneImages() {
	plan, err := oc.PlanPruneImages(oc.Command{Flags: oc.Flags{"keep-younger-than": {"24h"}, "all": {"false"}}})
	fmt.Println(*plan.Options.KeepYoungerThan, plan.Options.KeepTagRevisions, plan.Options.ManagedOnly, plan.Confirm, err)

	_, err = oc.PlanPruneImages(oc.Command{Flags: oc.Flags{"keep-younger-than": {"a day"}}})
	fmt.Println(err)
	// Output:
	// 24h0m0s 3 true false <nil>
	// --keep-younger-than=a day: want a duration such as 60m, not less than 0
}

// TestPruneWithoutItsParts says which field is not set, before anything is removed.
func TestPruneWithoutItsParts(t *testing.T) {
	confirm := oc.Flags{"keep-tag-revisions": {"1"}, "confirm": {"true"}}
	if err := new(oc.Pruning).PruneImages(t.Context(), oc.Command{}); err == nil || !strings.Contains(err.Error(), "Pruning.API") {
		t.Errorf("%v; want that Pruning.API is not set", err)
	}
	p, pruning := newPruned()
	pruning.Registry = nil
	err := pruning.PruneImages(t.Context(), oc.Command{Flags: confirm})
	if err == nil || !strings.Contains(err.Error(), "Pruning.Registry") {
		t.Errorf("%v; want that Pruning.Registry is not set", err)
	}
	if images, err := p.ListImages(t.Context(), imagestream.ListOptions{}); err != nil || len(images.Items) != 2 {
		t.Errorf("%d images, %v; want both", len(images.Items), err)
	}
	confirm["prune-registry"] = []string{"false"}
	if err := pruning.PruneImages(t.Context(), oc.Command{Flags: confirm}); err != nil {
		t.Errorf("without the registry: %v", err)
	}
}

func TestPruneFlags(t *testing.T) {
	hour, day := time.Hour, 24*time.Hour
	for _, tc := range []struct {
		flags oc.Flags
		want  prune.Options
	}{
		{nil, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 3}},
		{oc.Flags{"keep-tag-revisions": {"0"}, "keep-younger-than": {"24h"}}, prune.Options{KeepYoungerThan: &day}},
		{oc.Flags{"prune-over-size-limit": {"true"}}, prune.Options{OverSizeLimit: true}},
		{oc.Flags{"prune-over-size-limit": {"false"}}, prune.Options{}},
		{oc.Flags{"all": {"true"}, "prune-registry": {"true"}}, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 3}},
		{
			oc.Flags{
				"all": {"false"}, "prune-registry": {"false"}, "namespace": {"shop"}, "ignore-invalid-refs": {"true"},
				"safe": {"true"},
			},
			prune.Options{
				KeepYoungerThan: &hour, KeepTagRevisions: 3, ManagedOnly: true, KeepRegistry: true, Namespace: "shop",
				IgnoreInvalidReferences: true, Safe: true,
			},
		},
	} {
		plan, err := oc.PlanPruneImages(oc.Command{Namespace: "default", Flags: tc.flags})
		if err != nil {
			t.Errorf("%v: %v", tc.flags, err)
		} else if diff := cmp.Diff(tc.want, plan.Options); diff != "" {
			t.Errorf("%v (-want +got):\n%s", tc.flags, diff)
		}
	}
	for _, cmd := range []oc.Command{
		{Args: []string{"web"}},
		{Flags: oc.Flags{"nope": {"true"}}},
		{Flags: oc.Flags{"confirm": {"maybe"}}},
		{Flags: oc.Flags{"keep-tag-revisions": {"-1"}}},
		{Flags: oc.Flags{"keep-younger-than": {"-1h"}}},
		{Flags: oc.Flags{"prune-over-size-limit": {"true"}, "keep-tag-revisions": {"3"}}},
		{Flags: oc.Flags{"prune-over-size-limit": {"false"}, "keep-younger-than": {"1h"}}},
		{Flags: oc.Flags{"output": {"json"}}},
	} {
		if _, err := oc.PlanPruneImages(cmd); !errors.Is(err, oc.ErrUsage) {
			t.Errorf("%v: error %v, want one of usage", cmd, err)
		}
	}
}

func TestPruneFindsTheRegistry(t *testing.T) {
	for url, want := range map[string]string{"": "registry.local:5000", "other:1": "other:1"} {
		p, pruning := newPruned()
		flags := oc.Flags{"confirm": {"true"}, "keep-tag-revisions": {"1"}}
		if url != "" {
			flags["registry-url"] = []string{url}
		}
		err := pruning.PruneImages(t.Context(), oc.Command{Flags: flags})
		if err != nil || p.address != want || len(p.lost) != 4 {
			t.Errorf("--registry-url=%q: registry %q loses %q, error %v", url, p.address, p.lost, err)
		}
	}
	p, pruning := newPruned()
	pruning.Registry = func(string) (prune.Registry, error) { return nil, errors.New("no token") }
	flags := oc.Flags{"confirm": {"true"}, "keep-tag-revisions": {"1"}}
	if err := pruning.PruneImages(t.Context(), oc.Command{Flags: flags}); err == nil || err.Error() != "no token" {
		t.Errorf("error %v", err)
	}
	flags["prune-registry"] = []string{"false"}
	if err := pruning.PruneImages(t.Context(), oc.Command{Flags: flags}); err != nil || len(p.lost) > 0 {
		t.Errorf("the registry is left alone: it loses %q, error %v", p.lost, err)
	}
}

func TestPruneSaysHowToIgnore(t *testing.T) {
	_, pruning := newPruned()
	pruning.Workloads = func(context.Context, string) ([]map[string]any, error) {
		containers := []any{map[string]any{"image": "Bad Ref"}}
		return []map[string]any{{
			"apiVersion": "v1", "kind": "ReplicationController",
			"metadata": map[string]any{"namespace": "shop", "name": "web"},
			"spec":     map[string]any{"template": map[string]any{"spec": map[string]any{"containers": containers}}},
		}}, nil
	}
	err := pruning.PruneImages(t.Context(), oc.Command{Flags: oc.Flags{"confirm": {"true"}}})
	for _, want := range []string{
		`ReplicationController shop/web: spec.template.spec.containers[0].image "Bad Ref"`, "--ignore-invalid-refs",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

// TestPruneWhereItCannotRead ends with the first list that fails, and says which.
func TestPruneWhereItCannotRead(t *testing.T) {
	for op, want := range map[string]string{
		"ListImageStreams": "list image streams: ", "ListImages": "list images: ", "": "list workloads: ",
	} {
		p, pruning := newPruned()
		p.Store.(*fakes.Store).Fail = func(got string, _ imagestream.Key) error {
			if got == op {
				return errors.New("broken")
			}
			return nil
		}
		pruning.Workloads = func(context.Context, string) ([]map[string]any, error) { return nil, errors.New("broken") }
		err := pruning.PruneImages(t.Context(), oc.Command{})
		if err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}

// TestPruneOneNamespace removes events of that one alone, and no image. Under --safe workloads of all namespaces count.
func TestPruneOneNamespace(t *testing.T) {
	for _, safe := range []string{"true", "false"} {
		for namespace, lost := range map[string]bool{"shop": true, "other": false} {
			p, pruning := newPruned()
			var asked []string
			pruning.Workloads = func(_ context.Context, namespace string) ([]map[string]any, error) {
				asked = append(asked, namespace)
				return nil, nil
			}
			flags := oc.Flags{"confirm": {"true"}, "keep-tag-revisions": {"1"}, "namespace": {namespace}, "safe": {safe}}
			if err := pruning.PruneImages(t.Context(), oc.Command{Flags: flags}); err != nil {
				t.Fatal(err)
			}
			images, err := p.ListImages(t.Context(), imagestream.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if len(images.Items) != 2 || (len(p.lost) > 0) != lost || (asked[0] == "") != (safe == "true") {
				t.Errorf("--namespace=%s --safe=%s: %d images left, %q lost, workloads of %q",
					namespace, safe, len(images.Items), p.lost, asked)
			}
		}
	}
}

// TestPruneOneNamespaceThatOthersUse: a spec tag elsewhere names an image of the namespace by its digest.
func TestPruneOneNamespaceThatOthersUse(t *testing.T) {
	for safe, events := range map[string]int{"true": 2, "false": 1} {
		p, pruning := newPruned()
		used := "web@sha256:" + strings.Repeat("2", 64)
		_, err := p.CreateImageStream(t.Context(), &imagestream.ImageStream{
			Metadata: imagestream.ObjectMeta{Namespace: "other", Name: "copy"},
			Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{{
				Name: "v1", From: &imagestream.ObjectReference{Kind: "ImageStreamImage", Namespace: "shop", Name: used},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		flags := oc.Flags{"confirm": {"true"}, "keep-tag-revisions": {"1"}, "namespace": {"shop"}, "safe": {safe}}
		if err := pruning.PruneImages(t.Context(), oc.Command{Flags: flags}); err != nil {
			t.Fatal(err)
		}
		s, err := p.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "web"})
		if err != nil {
			t.Fatal(err)
		}
		if got := len(s.Status.Tags[0].Items); got != events {
			t.Errorf("--safe=%s: %d events are left, want %d", safe, got, events)
		}
	}
}
