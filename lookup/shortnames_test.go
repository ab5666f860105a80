package lookup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// points makes the tag of the stream shop/nodejs point at image n; 0 removes the stream.
func points(t fatal, store *fakes.Store, tag string, n int) {
	ctx := context.Background()
	key := imagestream.Key{Namespace: "shop", Name: "nodejs"}
	s, err := store.GetImageStream(ctx, key)
	if errors.Is(err, imagestream.ErrNotFound) {
		s, err = store.CreateImageStream(ctx, &imagestream.ImageStream{
			Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "nodejs"},
			Spec:     imagestream.ImageStreamSpec{LookupPolicy: imagestream.ImageLookupPolicy{Local: true}},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		if err := store.DeleteImageStream(ctx, key, imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		return
	}
	image := fmt.Sprintf("sha256:%064d", n)
	_, err = store.CreateImage(ctx, &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: image}})
	if err != nil && !errors.Is(err, imagestream.ErrAlreadyExists) {
		t.Fatal(err)
	}
	s.Status.Tags = slices.DeleteFunc(s.Status.Tags, func(h tagevent.History) bool { return h.Tag == tag })
	s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: tag, Items: []tagevent.Event{{
		Image: image, DockerImageReference: "quay.io/org/nodejs@" + image,
	}}})
	if _, err := store.UpdateImageStream(ctx, s); err != nil {
		t.Fatal(err)
	}
}

type fatal interface{ Fatal(...any) }

func exact(n int) string { return fmt.Sprintf("quay.io/org/nodejs@sha256:%064d", n) }

// workload is a deployment of containers, "name=image" each.
func workload(containers ...string) map[string]any {
	var list []any
	for _, c := range containers {
		name, image, _ := strings.Cut(c, "=")
		one := map[string]any{"image": image}
		if name != "" {
			one["name"] = name
		}
		list = append(list, one)
	}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web"},
		"spec": map[string]any{"template": map[string]any{"spec": map[string]any{"containers": list}}},
	}
}

func containers(object map[string]any) []any {
	spec := object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)
	return spec["containers"].([]any)
}

func images(object map[string]any) []string {
	var all []string
	for _, c := range containers(object) {
		all = append(all, c.(map[string]any)["image"].(string))
	}
	return all
}

// copyOf returns an object that shares nothing.
func copyOf(object map[string]any) map[string]any {
	text, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	c := map[string]any{}
	if err := json.Unmarshal(text, &c); err != nil {
		panic(err)
	}
	return c
}

func ExampleResolver_Renew() {
	ctx := context.Background()
	store := &fakes.Store{}
	move := func(n int) { points(failing{}, store, "20", n) }
	resolver := &lookup.Resolver{Source: store}

	move(1)
	deployment, err := resolver.Renew(ctx, workload("web=nodejs:20"), "shop")
	fmt.Println(images(deployment)[0] == exact(1), err)
	names, err := lookup.ShortNames(deployment)
	fmt.Println(names[0].Path, names[0].From, err)

	move(2)
	deployment, err = resolver.Renew(ctx, deployment, "shop")
	fmt.Println(images(deployment)[0] == exact(2), err)
	restored, err := lookup.RestoreShortNames(deployment)
	fmt.Println(images(restored)[0], err)
	// Output:
	// true <nil>
	// /spec/template/spec/containers/name=web/image nodejs:20 <nil>
	// true <nil>
	// nodejs:20 <nil>
}

func ExampleWithShortNames() {
	change := lookup.Change{
		Path: "/spec/template/spec/containers/0/image", From: "nodejs:20", To: "quay.io/org/nodejs@sha256:1",
	}
	deployment, err := lookup.WithShortNames(workload("web=nodejs:20"), []lookup.Change{change})
	fmt.Println(images(deployment)[0], err)
	names, err := lookup.ShortNames(deployment)
	fmt.Println(names[0].From, err)
	// Output:
	// quay.io/org/nodejs@sha256:1 <nil>
	// nodejs:20 <nil>
}

type failing struct{}

func (failing) Fatal(args ...any) { panic(fmt.Sprint(args...)) }

// TestEditedReferences: what somebody edits after a rewrite is theirs.
func TestEditedReferences(t *testing.T) {
	store := &fakes.Store{}
	points(t, store, "20", 1)
	resolver := &lookup.Resolver{Source: store}
	first, err := resolver.Renew(t.Context(), workload("web=nodejs:20", "side=nodejs:20", "=nodejs:20"), "shop")
	if err != nil {
		t.Fatal(err)
	}
	points(t, store, "20", 2)
	for _, tc := range []struct {
		what string
		edit func(object map[string]any)
		want []string
	}{
		{"nothing", func(map[string]any) {}, []string{exact(2), exact(2), exact(2)}},
		{"another image", func(o map[string]any) { containers(o)[0].(map[string]any)["image"] = "quay.io/mine:1" },
			[]string{"quay.io/mine:1", exact(2), exact(2)}},
		{"the short name", func(o map[string]any) { containers(o)[0].(map[string]any)["image"] = "nodejs:20" },
			[]string{exact(2), exact(2), exact(2)}},
		{"another short name", func(o map[string]any) { containers(o)[0].(map[string]any)["image"] = "nodejs:18" },
			[]string{"nodejs:18", exact(2), exact(2)}},
		{"the order", func(o map[string]any) { slices.Reverse(containers(o)[:2]) },
			[]string{exact(2), exact(2), exact(2)}},
		{"a new name", func(o map[string]any) { containers(o)[0].(map[string]any)["name"] = "other" },
			[]string{exact(1), exact(2), exact(2)}},
		{"two of a name", func(o map[string]any) { containers(o)[1].(map[string]any)["name"] = "web" },
			[]string{exact(1), exact(1), exact(2)}},
		{"no annotation", func(o map[string]any) { delete(o["metadata"].(map[string]any), "annotations") },
			[]string{exact(1), exact(1), exact(1)}},
	} {
		edited := copyOf(first)
		tc.edit(edited)
		before := copyOf(edited)
		got, err := resolver.Renew(t.Context(), edited, "shop")
		if err != nil || cmp.Diff(tc.want, images(got)) != "" || cmp.Diff(before, edited) != "" {
			t.Errorf("%s: %v, images %s", tc.what, err, cmp.Diff(tc.want, images(got)))
			t.Errorf("the argument changed: %s", cmp.Diff(before, edited))
		}
		again, err := resolver.Renew(t.Context(), got, "shop")
		if err != nil || fmt.Sprintf("%p", again) != fmt.Sprintf("%p", got) {
			t.Errorf("%s: a second pass changes it: %v\n%s", tc.what, err, cmp.Diff(got, again))
		}
	}
	points(t, store, "20", 0)
	got, err := resolver.Renew(t.Context(), first, "shop")
	if err != nil || cmp.Diff(first, got) != "" {
		t.Errorf("without the stream: %v\n%s", err, cmp.Diff(first, got))
	}
}

// TestReferencesOfManyMembers are put back as a whole or not at all.
func TestReferencesOfManyMembers(t *testing.T) {
	build := func(from map[string]any) map[string]any {
		return map[string]any{
			"kind": "Build", "apiVersion": "build.openshift.io/v1", "metadata": map[string]any{"name": "web"},
			"spec": map[string]any{"strategy": map[string]any{"sourceStrategy": map[string]any{"from": from}}},
		}
	}
	store := &fakes.Store{}
	points(t, store, "20", 1)
	policy, errs := lookup.NewPolicy(&lookup.Config{ResolutionRules: []lookup.ResolutionRule{{
		TargetResource: lookup.GroupResource{Group: "build.openshift.io", Resource: "builds"}, Policy: lookup.AttemptRewrite,
	}}})
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	resolver := &lookup.Resolver{Source: store, Policy: policy}
	object := build(map[string]any{"kind": "ImageStreamTag", "name": "nodejs:20", "namespace": "shop"})
	first, err := resolver.Renew(t.Context(), object, "shop")
	if err != nil {
		t.Fatal(err)
	}
	from := func(o map[string]any) map[string]any {
		for _, step := range []string{"spec", "strategy", "sourceStrategy", "from"} {
			o = o[step].(map[string]any)
		}
		return o
	}
	if diff := cmp.Diff(map[string]any{"kind": "DockerImage", "name": exact(1)}, from(first)); diff != "" {
		t.Fatalf("the first pass (-want +got):\n%s", diff)
	}
	restored, err := lookup.RestoreShortNames(first)
	if err != nil || cmp.Diff(object, restored) != "" {
		t.Errorf("restored: %v\n%s", err, cmp.Diff(object, restored))
	}
	points(t, store, "20", 2)
	second, err := resolver.Renew(t.Context(), first, "shop")
	if err != nil || from(second)["name"] != exact(2) {
		t.Errorf("the second pass: %v, %v", from(second), err)
	}
	edited := copyOf(first)
	from(edited)["name"] = "quay.io/mine:1"
	left, err := lookup.RestoreShortNames(edited)
	if err != nil || cmp.Diff(from(edited), from(left)) != "" {
		t.Errorf("an edited name: %v, %v", from(left), err)
	}
	points(t, store, "20", 0)
	if got, err := resolver.Renew(t.Context(), first, "shop"); err != nil || cmp.Diff(first, got) != "" {
		t.Errorf("without the stream: %v\n%s", err, cmp.Diff(first, got))
	}
}

// TestShortNamesThatCannotBeRead are errors that name the annotation; paths that lead elsewhere change nothing.
func TestShortNamesThatCannotBeRead(t *testing.T) {
	resolver := &lookup.Resolver{Source: &fakes.Store{}}
	for _, value := range []any{"", "{}", `[{"path":1}]`, 7} {
		object := workload("web=nodejs:20")
		object["metadata"].(map[string]any)["annotations"] = map[string]any{lookup.ShortNamesAnnotation: value}
		_, read := lookup.ShortNames(object)
		_, with := lookup.WithShortNames(object, nil)
		_, restored := lookup.RestoreShortNames(object)
		_, renewed := resolver.Renew(t.Context(), object, "shop")
		for _, err := range []error{read, with, restored, renewed} {
			if err == nil || !strings.Contains(err.Error(), lookup.ShortNamesAnnotation) {
				t.Errorf("%v: %v", value, err)
			}
		}
	}
	for _, path := range []string{
		"", "/", "kind", "/kind", "/metadata/name", "/spec", "/spec/template/spec/containers/9/image", "/status/x",
		"/spec/template/spec/containers/name=none/image", "/spec/a/b", "/spec/template/spec/containers/0/image/x",
	} {
		object := workload("web=nodejs:20")
		want := copyOf(object)
		names := []lookup.ShortName{{Path: path, From: "evil"}, {Path: path, From: "evil", To: "Deployment"}}
		text, err := json.Marshal(names)
		if err != nil {
			t.Fatal(err)
		}
		object["metadata"].(map[string]any)["annotations"] = map[string]any{lookup.ShortNamesAnnotation: string(text)}
		got, err := lookup.RestoreShortNames(object)
		if err != nil || cmp.Diff(want, got) != "" {
			t.Errorf("%q: %v\n%s", path, err, cmp.Diff(want, got))
		}
	}
}

// TestShortNamesModel: a reference that nobody edits always is what its short name means now, or meant last; one that
// somebody edits is what they made of it.
func TestShortNamesModel(t *testing.T) { rapid.Check(t, shortNamesModel) }

func shortNamesModel(t *rapid.T) {
	store := &fakes.Store{}
	resolver := &lookup.Resolver{Source: store}
	object := workload("a=nodejs:20", "b=nodejs:18", "c=quay.io/org/other:1")
	wanted := map[string]string{"a": "nodejs:20", "b": "nodejs:18", "c": "quay.io/org/other:1"}
	last := map[string]string{}     // what short names became, by container
	noted := map[string][2]string{} // the short name and the image of the last pass, by container
	tags := map[string]int{}
	next := 0
	name := rapid.SampledFrom([]string{"a", "b", "c"})
	t.Repeat(map[string]func(*rapid.T){
		"move": func(t *rapid.T) {
			tag := rapid.SampledFrom([]string{"20", "18"}).Draw(t, "tag")
			next++
			tags[tag] = next
			points(t, store, tag, next)
		},
		"remove": func(t *rapid.T) {
			if len(tags) > 0 {
				points(t, store, "", 0)
				clear(tags)
			}
		},
		"edit": func(t *rapid.T) {
			of := name.Draw(t, "container")
			image := rapid.SampledFrom([]string{"nodejs:20", "nodejs:18", "quay.io/org/mine:1", exact(1)}).Draw(t, "image")
			object = copyOf(object)
			for _, c := range containers(object) {
				if c := c.(map[string]any); c["name"] == of && c["image"] != image {
					c["image"], wanted[of] = image, image
					delete(last, of)
					if noted[of][1] == image { // an edit that ends where it began
						wanted[of], last[of] = noted[of][0], image
					}
				}
			}
		},
		"reorder": func(t *rapid.T) {
			object = copyOf(object)
			slices.Reverse(containers(object))
		},
		"renew": func(t *rapid.T) {
			before := copyOf(object)
			got, err := resolver.Renew(context.Background(), object, "shop")
			if err != nil || cmp.Diff(before, object) != "" {
				t.Fatalf("%v\n%s", err, cmp.Diff(before, object))
			}
			object = got
			for of, image := range wanted {
				if tag, short := strings.CutPrefix(image, "nodejs:"); short && tags[tag] > 0 {
					last[of] = exact(tags[tag])
				}
			}
			want := maps.Clone(wanted)
			maps.Copy(want, last)
			clear(noted)
			for of, image := range last {
				noted[of] = [2]string{wanted[of], image}
			}
			have := map[string]string{}
			for _, c := range containers(object) {
				have[c.(map[string]any)["name"].(string)] = c.(map[string]any)["image"].(string)
			}
			if diff := cmp.Diff(want, have); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
			restored, err := lookup.RestoreShortNames(object)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range containers(restored) {
				c := c.(map[string]any)
				if of := c["name"].(string); c["image"] != wanted[of] {
					t.Fatalf("%s is restored to %v, want %s", of, c["image"], wanted[of])
				}
			}
		},
	})
}
