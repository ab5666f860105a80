package lookup_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

// known is what shop/nodejs, its image, and nothing else is.
func known(local bool) *lookup.Known {
	return &lookup.Known{
		Streams: map[imagestream.Key]*imagestream.ImageStream{{Namespace: "shop", Name: "nodejs"}: nodejs(local),
			{Namespace: "shop", Name: "none"}: nil},
		Images: map[string]*imagestream.Image{image: {Metadata: imagestream.ObjectMeta{Name: image}}},
	}
}

func mustPolicy(t testing.TB, c *lookup.Config) *lookup.Policy {
	t.Helper()
	p, errs := lookup.NewPolicy(c)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return p
}

func parse(text string) map[string]any {
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		panic(err)
	}
	return object
}

func ExamplePolicy_Review() {
	policy, _ := lookup.NewPolicy(nil)
	req := &lookup.Request{Namespace: "shop", Object: pod("nodejs:20", nil)}
	fmt.Println(policy.Review(req, &lookup.Known{}).Needs.Streams)
	for _, c := range policy.Review(req, known(true)).Changes {
		fmt.Println(c.From, c.To[:28], c.Why)
	}
	// Output:
	// [shop/nodejs]
	// nodejs:20 quay.io/org/nodejs@sha256:1f Newest
}

func ExamplePolicy_Review_explain() {
	policy, _ := lookup.NewPolicy(nil)
	req := &lookup.Request{Namespace: "shop", Object: pod("nodejs:20", nil), Options: lookup.Options{Explain: true}}
	for _, d := range policy.Review(req, known(false)).Decisions {
		fmt.Println(d.Field, d.Name, "stays because", d.Why.Message(), d.Tried)
	}
	// Output: spec.containers[0].image nodejs:20 stays because the image stream is not for local lookup: set spec.lookupPolicy.local [{shop/nodejs 20}]
}

func ExampleNewPolicy() {
	_, errs := lookup.NewPolicy(&lookup.Config{ResolutionRules: []lookup.ResolutionRule{{}}})
	fmt.Println(errs)
	policy, errs := lookup.NewPolicy(&lookup.Config{ExecutionRules: []lookup.ExecutionRule{{Name: "ours",
		MatchRegistries: []string{"quay.io"}}}})
	review := policy.Review(&lookup.Request{Namespace: "shop", Object: pod("docker.io/library/nginx", nil)}, known(true))
	fmt.Println(review.Refused.Errors, len(errs))
	// Output:
	// image.openshift.io/ImagePolicy.resolutionRules[0].targetResource.resource: name a resource, or "*" for all of the group
	// spec.containers[0].image: "docker.io/library/nginx": no rule lets the image in, or one rejects it 0
}

func ExampleNewRules() {
	rules, err := lookup.NewRules([]lookup.ExecutionRule{{
		Name: "denied", Reject: true, OnResources: []lookup.GroupResource{{Resource: "pods"}},
		MatchImageAnnotations: []lookup.ValueCondition{{Key: "images.openshift.io/deny-execution", Value: "true"}},
	}})
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Annotations: map[string]string{"images.openshift.io/deny-execution": "true"}}}
	pods := lookup.GroupResource{Resource: "pods"}
	fmt.Println(rules.Covers(pods), rules.Accept(lookup.Attributes{Resource: pods, Image: image}), err)
	// Output: true false <nil>
}

func ExampleReferences() {
	build := parse(`{"apiVersion":"build.openshift.io/v1","kind":"Build","spec":{"strategy":{"dockerStrategy":{"from":{"kind":"ImageStreamTag","name":"nodejs:20"}}}}}`)
	references, err := lookup.References(build, nil, lookup.Options{})
	fmt.Println(references[0].Field, references[0].Kind, references[0].Name, err)
	// Output: spec.strategy.dockerStrategy.from.name ImageStreamTag nodejs:20 <nil>
}

func ExampleResolver_ChangesJSON() {
	resolver := lookup.Resolver{Source: store(&testing.T{}, true)}
	raw := []byte(`{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"shop"},"spec":{"containers":[{"image":"nodejs:20"}]}}`)
	changes, err := resolver.ChangesJSON(context.Background(), raw, "")
	fmt.Println(changes[0].Path, err)
	// Output: /spec/containers/0/image <nil>
}

// TestOptions looks where the real system does not.
func TestOptions(t *testing.T) {
	const exact = "quay.io/org/nodejs@" + image
	for name, tc := range map[string]struct {
		object string
		opts   lookup.Options
		path   string
	}{
		"ephemeral containers": {
			`{"apiVersion":"v1","kind":"Pod","spec":{"ephemeralContainers":[{"image":"nodejs:20"}]}}`,
			lookup.Options{EphemeralContainers: true}, "/spec/ephemeralContainers/0/image",
		},
		"image volumes": {
			`{"apiVersion":"v1","kind":"Pod","spec":{"volumes":[{"name":"v"},{"image":{"reference":"nodejs:20"}}]}}`,
			lookup.Options{ImageVolumes: true}, "/spec/volumes/1/image/reference",
		},
		"pod templates": {
			`{"apiVersion":"v1","kind":"PodTemplate","template":{"spec":{"containers":[{"image":"nodejs:20"}]}}}`,
			lookup.Options{Uncovered: true}, "/template/spec/containers/0/image",
		},
		"build configs": {
			`{"apiVersion":"build.openshift.io/v1","kind":"BuildConfig","spec":{"strategy":{"dockerStrategy":{"from":{"kind":"DockerImage","name":"nodejs:20"}}}}}`,
			lookup.Options{Uncovered: true}, "/spec/strategy/dockerStrategy/from/name",
		},
		"another kind": {
			`{"apiVersion":"shop.example/v1","kind":"Shop","spec":{"parts":[{"run":{"im/a~ge":"nodejs:20"}}]}}`,
			lookup.Options{Uncovered: true,
				Paths: []lookup.Path{{Group: "shop.example", Kind: "Shop", Path: "spec.parts[*].run.im/a~ge"}}},
			"/spec/parts/0/run/im~1a~0ge",
		},
		"one of a list": {
			`{"apiVersion":"v1","kind":"Pod","spec":{"extra":["a",{"image":"nodejs:20"}]}}`,
			lookup.Options{Paths: []lookup.Path{{Kind: "Pod", Path: "spec.extra[1].image"},
				{Kind: "Pod", Path: "spec.extra[0].image"}}},
			"/spec/extra/1/image",
		},
	} {
		object := parse(tc.object)
		review := mustPolicy(t, nil).Review(&lookup.Request{Namespace: "shop", Object: object}, known(true))
		if len(review.Changes) > 0 {
			t.Errorf("%s: without the option %+v", name, review.Changes)
		}
		review = mustPolicy(t, nil).Review(&lookup.Request{Namespace: "shop", Object: object, Options: tc.opts}, known(true))
		if len(review.Changes) != 1 || review.Changes[0].Path != tc.path || review.Changes[0].To != exact {
			t.Errorf("%s: %+v, needs %+v", name, review.Changes, review.Needs)
			continue
		}
		raw, err := lookup.ApplyJSON([]byte(tc.object), review.Changes)
		if want := strings.Replace(tc.object, "nodejs:20", exact, 1); err != nil || string(raw) != want {
			t.Errorf("%s: %s, %v\nwant %s", name, raw, err, want)
		}
	}
}

// TestNamespaces searches further namespaces, in order, for what the own one does not have.
func TestNamespaces(t *testing.T) {
	k := known(true)
	k.Streams[imagestream.Key{Namespace: "web", Name: "nodejs"}] = nil
	req := &lookup.Request{Namespace: "web", Object: pod("nodejs:20", nil),
		Options: lookup.Options{Namespaces: []string{"team", "shop"}, Explain: true}}
	policy := mustPolicy(t, nil)
	if needs := policy.Review(req, k).Needs; len(needs.Streams) != 1 || needs.Streams[0].Namespace != "team" {
		t.Fatalf("needs %+v", needs)
	}
	k.Streams[imagestream.Key{Namespace: "team", Name: "nodejs"}] = nil
	review := policy.Review(req, k)
	if len(review.Changes) != 1 || review.Changes[0].Stream.Namespace != "shop" || len(review.Decisions) != 1 ||
		len(review.Decisions[0].Tried) != 3 {
		t.Errorf("changes %+v, decisions %+v", review.Changes, review.Decisions)
	}
	req.Object = pod("python:3", nil)
	for _, namespace := range []string{"web", "team", "shop"} {
		k.Streams[imagestream.Key{Namespace: namespace, Name: "python"}] = nil
	}
	if d := policy.Review(req, k).Decisions; len(d) != 1 || d[0].Why != lookup.WhyNoStream || d[0].To != "" {
		t.Errorf("decisions %+v", d)
	}
}

// TestReasons has a decision of every kind.
func TestReasons(t *testing.T) {
	strict := &lookup.Config{ResolveImages: lookup.Required}
	rules := &lookup.Config{ExecutionRules: []lookup.ExecutionRule{{Name: "none", Reject: true}}}
	rewrite := &lookup.Config{ResolveImages: lookup.AttemptRewrite,
		ResolutionRules: []lookup.ResolutionRule{{TargetResource: lookup.GroupResource{Resource: "*"}}}}
	for _, tc := range []struct {
		reference string
		local     bool
		config    *lookup.Config
		registry  string
		want      lookup.Why
	}{
		{"nodejs:20", true, nil, "", lookup.WhyNewest},
		{"nodejs:failed", true, nil, "reg.int:5000", lookup.WhyRepository},
		{"nodejs:failed", true, nil, "", lookup.WhyNoImage},
		{"nodejs:20", false, nil, "", lookup.WhyNotLocal},
		{"none:20", true, nil, "", lookup.WhyNoStream},
		{"a b", true, nil, "", lookup.WhyUnreadable},
		{"quay.io/org/app", true, nil, "", lookup.WhyFull},
		{"reg.int:5000/shop/nodejs:20", true, nil, "reg.int:5000", lookup.WhyInternal},
		{"my.app:20", true, nil, "", lookup.WhyHost},
		{"reg.int:5000/shop/a/b", true, nil, "reg.int:5000", lookup.WhyName},
		{"app@" + image, true, nil, "", lookup.WhyDigest},
		{"nodejs:gone", true, nil, "", lookup.WhyImageGone},
		{"quay.io/org/app", true, strict, "", lookup.WhyRequired},
		{"nodejs:20", true, rules, "", lookup.WhyRefused},
		{"app:v1@" + image, true, rewrite, "", lookup.WhyExact},
		{"app@" + image, true, rewrite, "", lookup.WhySame},
		{"reg.int:5000/shop/nodejs:failed", true, nil, "reg.int:5000", lookup.WhySame},
	} {
		k := known(tc.local)
		k.InternalRegistry = tc.registry
		k.Images["sha256:gone"] = nil
		review := mustPolicy(t, tc.config).Review(&lookup.Request{Namespace: "shop", Object: pod(tc.reference, nil),
			Options: lookup.Options{Explain: true}}, k)
		if !review.Needs.IsEmpty() || len(review.Decisions) != 1 || review.Decisions[0].Why != tc.want {
			t.Errorf("%q: %+v, needs %+v; want %q", tc.reference, review.Decisions, review.Needs, tc.want)
			continue
		}
		if d := review.Decisions[0]; d.Refused != (review.Refused != nil) || (d.To != "") != (len(review.Changes) > 0) {
			t.Errorf("%q: decided %+v, and the review has %+v, %v", tc.reference, d, review.Changes, review.Refused)
		}
	}
}

// TestReviewIsPure compares arguments before and after, for an object and a configuration that use everything.
func TestReviewIsPure(t *testing.T) {
	config := &lookup.Config{
		ResolveImages:  lookup.AttemptRewrite,
		ExecutionRules: []lookup.ExecutionRule{{Name: "a", MatchImageAnnotations: []lookup.ValueCondition{{Key: "x"}}}},
	}
	object := pod("nodejs:20", map[string]any{lookup.ResolveNamesAnnotation: "*"})
	k, objectBefore, configBefore := known(true), pod("nodejs:20", map[string]any{lookup.ResolveNamesAnnotation: "*"}),
		*config
	k.Streams[imagestream.Key{Namespace: "shop", Name: "nodejs"}].Spec.Tags = []imagestream.TagReference{{Name: "20",
		Annotations: map[string]string{"x": "y"}}}
	policy := mustPolicy(t, config)
	req := &lookup.Request{Namespace: "shop", Object: object}
	first := policy.Review(req, k)
	if first.Refused == nil {
		t.Error("the tag's annotation does not count")
	}
	if diff := cmp.Diff(first, policy.Review(req, k),
		cmp.Comparer(func(a, b error) bool { return fmt.Sprint(a) == fmt.Sprint(b) })); diff != "" {
		t.Errorf("a second review differs:\n%s", diff)
	}
	if !reflect.DeepEqual(object, objectBefore) || !reflect.DeepEqual(*config, configBefore) ||
		len(k.Images[image].Metadata.Annotations) > 0 {
		t.Error("arguments were changed")
	}
}

// counting counts reads.
type counting struct {
	lookup.Source
	streams, images atomic.Int64
}

func (c *counting) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	c.streams.Add(1)
	return c.Source.GetImageStream(ctx, key)
}

func (c *counting) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	c.images.Add(1)
	return c.Source.GetImage(ctx, name)
}

func threeContainers(images ...string) map[string]any {
	containers := make([]any, len(images))
	for i, image := range images {
		containers[i] = map[string]any{"name": fmt.Sprint("c", i), "image": image, "ports": []any{}}
	}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "Deployment", "metadata": map[string]any{"name": "web", "namespace": "shop"},
		"spec": map[string]any{"replicas": 2.0,
			"template": map[string]any{"metadata": map[string]any{}, "spec": map[string]any{"containers": containers}}},
	}
}

// TestReads counts what a Resolver reads: each stream and image once for an object, and not again while it is kept.
func TestReads(t *testing.T) {
	clock := time.Unix(1000, 0)
	for _, keep := range []time.Duration{0, time.Minute} {
		source := &counting{Source: store(t, true)}
		r := &lookup.Resolver{Source: source, Keep: keep, Now: func() time.Time { return clock }}
		want := int64(0)
		for _, wait := range []time.Duration{0, 30 * time.Second, 31 * time.Second} {
			clock = clock.Add(wait)
			if changes, err := r.Changes(t.Context(), threeContainers("nodejs:20", "nodejs:20", "nodejs:local"),
				""); err != nil || len(changes) != 3 {
				t.Fatalf("%d changes, %v", len(changes), err)
			}
			if keep == 0 || wait != 30*time.Second {
				want++
			}
			if source.streams.Load() != want || source.images.Load() != want {
				t.Errorf("keeping %v, after %v: %d streams and %d images were read, want %d of each", keep, wait,
					source.streams.Load(), source.images.Load(), want)
			}
		}
		if _, err := r.Changes(t.Context(), threeContainers("quay.io/org/app:v1", "app@"+image), ""); err != nil ||
			source.streams.Load() != want {
			t.Errorf("what cannot change was looked up: %d reads, %v", source.streams.Load(), err)
		}
	}
}

// TestRefusedIsAnError of Changes, with the fields.
func TestRefusedIsAnError(t *testing.T) {
	policy := mustPolicy(t, &lookup.Config{ResolveImages: lookup.Required})
	r := &lookup.Resolver{Source: store(t, true), Policy: policy}
	_, err := r.Changes(t.Context(), pod("python:3", nil), "")
	var status *imagestream.StatusError
	if !errors.As(err, &status) || len(status.Errors) != 1 || status.Errors[0].Field != "spec.containers[0].image" {
		t.Errorf("error %v", err)
	}
	if _, err := r.ChangesJSON(t.Context(), []byte("{"), ""); err == nil {
		t.Error("half an object was taken")
	}
}

// TestAllocations holds the review of an object to what it must cost.
func TestAllocations(t *testing.T) {
	policy, k := mustPolicy(t, nil), known(true)
	resolves := &lookup.Request{Namespace: "shop", Object: threeContainers("nodejs:20", "nodejs:20", "nodejs:20")}
	changes := policy.Review(resolves, k).Changes
	if len(changes) != 3 {
		t.Fatalf("%d changes", len(changes))
	}
	nothing := &lookup.Request{Namespace: "shop", Object: threeContainers("quay.io/org/app:v1", "none:20", "app@"+image)}
	for _, tc := range []struct {
		name string
		most float64
		run  func()
	}{
		{"three changes", 8, func() { policy.Review(resolves, k) }},
		{"applied to a tree", 28, func() { lookup.Apply(resolves.Object, changes) }},
		{"nothing to change", 0, func() { policy.Review(nothing, k) }},
	} {
		if n := testing.AllocsPerRun(100, tc.run); n > tc.most {
			t.Errorf("%s: %.0f allocations, at most %.0f", tc.name, n, tc.most)
		}
	}
}

// FuzzReview checks that no object is too odd: what changes are texts that are there, and become pull specs, unless
// a build names a tag that none can have.
func FuzzReview(f *testing.F) {
	f.Add(`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"nodejs:20"}]}}`)
	f.Add(`{"apiVersion":"build.openshift.io/v1","kind":"Build","spec":{"source":{"images":[{},7]},"strategy":{"dockerStrategy":{"from":{"kind":"ImageStreamTag","name":"nodejs:failed"}}}}}`)
	f.Add(`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"annotations":{"alpha.image.policy.openshift.io/resolve-names":"*"}},"spec":{"template":{"spec":{"initContainers":[null],"containers":{"a":1}}}}}`)
	policy, _ := lookup.NewPolicy(&lookup.Config{ResolveImages: lookup.AttemptRewrite})
	resolver := &lookup.Resolver{Source: store(f, true), Policy: policy, InternalRegistry: "reg.int:5000",
		Options: lookup.Options{
			EphemeralContainers: true, ImageVolumes: true, Uncovered: true,
			Paths: []lookup.Path{{Kind: "Pod", Path: "spec.x[*].y"}},
		}}
	f.Fuzz(func(t *testing.T, text string) {
		var object map[string]any
		if json.Unmarshal([]byte(text), &object) != nil {
			return
		}
		changes, err := resolver.Changes(context.Background(), object, "shop")
		if err != nil {
			return
		}
		for _, c := range changes {
			odd := c.Why == lookup.WhyRepository && !pullspec.IsTag(c.Tag)
			if c.To != "" && !odd && !strings.HasSuffix(c.Path, "/kind") && !pullspec.IsValid(c.To) {
				t.Errorf("%q becomes %q", c.From, c.To)
			}
		}
		raw, err := lookup.ApplyJSON([]byte(text), changes)
		if err != nil {
			t.Fatalf("%v: %+v", err, changes)
		}
		var changed map[string]any
		if err := json.Unmarshal(raw, &changed); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(lookup.Apply(object, changes), changed); diff != "" {
			t.Errorf("tree (-) and bytes (+) differ:\n%s", diff)
		}
	})
}

func BenchmarkReview(b *testing.B) {
	policy, k := mustPolicy(b, nil), known(true)
	for name, images := range map[string][]string{
		"three=resolve": {"nodejs:20", "nodejs:20", "nodejs:20"},
		"three=stay":    {"quay.io/org/app:v1", "none:20", "app@" + image},
	} {
		b.Run(name, func(b *testing.B) {
			req := &lookup.Request{Namespace: "shop", Object: threeContainers(images...)}
			b.ReportAllocs()
			for b.Loop() {
				policy.Review(req, k)
			}
		})
	}
}

var _ lookup.Source = (*fakes.Store)(nil)
