package yaml_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

func mustPolicy(t *testing.T, c *lookup.Config) *lookup.Policy {
	t.Helper()
	policy, errs := lookup.NewPolicy(c)
	if len(errs) > 0 {
		t.Fatal(errs)
	}
	return policy
}

// TestLockRepeats rewrites all files by what a lock says, after every tag has moved.
func TestLockRepeats(t *testing.T) {
	everything := mustPolicy(t, &lookup.Config{ResolutionRules: []lookup.ResolutionRule{
		{TargetResource: lookup.GroupResource{Group: "build.openshift.io", Resource: "*"}, Policy: lookup.AttemptRewrite},
		{TargetResource: lookup.GroupResource{Resource: "*"}, Policy: lookup.AttemptRewrite, LocalNames: true},
		{TargetResource: lookup.GroupResource{Group: "apps", Resource: "*"}, Policy: lookup.AttemptRewrite, LocalNames: true},
	}})
	build := `apiVersion: build.openshift.io/v1
kind: Build
metadata: {namespace: shop}
spec:
  source: {images: [{from: {kind: ImageStreamTag, name: "nodejs:20"}}, {from: {kind: ImageStreamTag, name: "nodejs:20", namespace: shop}}]}
  strategy: {dockerStrategy: {from: {kind: ImageStreamImage, name: nodejs@` + strings.TrimPrefix(digest("shop/nodejs:20"), "sha256:")[:12] + `}}}
---
apiVersion: v1
kind: Pod
metadata: {annotations: {alpha.image.policy.openshift.io/resolve-names: "*"}}
spec: {containers: [{image: quay.io/org/nodejs:20}, {image: "x:1@` + digest("x") + `"}]}
`
	files, _ := filepath.Glob("testdata/nasty/*")
	sources := [][]byte{[]byte(build)}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, src)
	}
	for _, policy := range []*lookup.Policy{nil, everything} {
		opts := yaml.Options{Namespace: "shop"}
		first := mustNew(&lookup.Resolver{Source: shop, Policy: policy}, opts)
		var want [][]byte
		for _, src := range sources {
			want = append(want, rewrite(t, first, string(src)).Bytes)
		}
		if policy != nil && !bytes.Contains(want[0], []byte("kind: DockerImage, name: \""+node20)) {
			t.Errorf("the build became\n%s", want[0])
		}
		lock, err := yaml.ParseLock(first.Lock().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if again := lock.Bytes(); !bytes.Equal(again, first.Lock().Bytes()) {
			t.Errorf("the lock became\n%s", again)
		}
		later := shop
		later.moved = "moved"
		moved, locked := mustNew(&lookup.Resolver{Source: later, Policy: policy}, opts),
			mustNew(&lookup.Resolver{Source: lock.Source(), Policy: policy}, opts)
		differ := false
		for i, src := range sources {
			differ = differ || !bytes.Equal(rewrite(t, moved, string(src)).Bytes, want[i])
			if got := rewrite(t, locked, string(src)).Bytes; !bytes.Equal(got, want[i]) {
				t.Errorf("by the lock\n%s\nwant\n%s", got, want[i])
			}
		}
		if !differ {
			t.Error("moving the tags made no difference")
		}
	}
}

func TestBadLocks(t *testing.T) {
	for text, want := range map[string]string{
		"":                                  "read lock: EOF",
		`{"version":0}`:                     "version is 0",
		`{"version":1,"image":[]}`:          `unknown field "image"`,
		`{"version":1,"images":[{}]}`:       "images[0].reference",
		`{"version":1,"images":[]} trailer`: "read lock: there is more after it",
	} {
		if _, err := yaml.ParseLock([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestRefusedObjectStays(t *testing.T) {
	policy := mustPolicy(t, &lookup.Config{ResolveImages: lookup.RequiredRewrite})
	w := mustNew(&lookup.Resolver{Source: shop, Policy: policy},
		yaml.Options{Namespace: "shop", Values: []string{"image"}})
	in := pod("  - image: nodejs\n  - image: none\n") + "---\nimage: none\n---\n" + pod("  - image: nodejs\n")
	res := rewrite(t, w, in)
	if want := strings.TrimSuffix(in, "image: nodejs\n") + "image: " + newest + "\n"; string(res.Bytes) != want {
		t.Errorf("got\n%s", res.Bytes)
	}
	if len(res.Reports) != 2 || res.Reports[0].Problem != yaml.ProblemRefused ||
		!strings.Contains(res.Reports[0].Detail, "spec.containers[1].image") || res.Reports[1].Line != 8 {
		t.Errorf("reports %+v", res.Reports)
	}
}

func TestFailingSourceEndsIt(t *testing.T) {
	broken := errors.New("broken")
	for _, in := range []string{pod("  - image: nodejs\n"), "web: {image: nodejs}\n",
		"images: [{name: x, newName: nodejs, newTag: '20'}]\n"} {
		w := mustNew(&lookup.Resolver{Source: failing{broken}},
			yaml.Options{Namespace: "shop", Values: []string{"web.image"}})
		if res, err := w.Rewrite(t.Context(), []byte(in)); !errors.Is(err, broken) || res != nil {
			t.Errorf("%s: %v, %v", in, res, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := rewriter(yaml.Options{}).Rewrite(ctx, deployments(100)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

type failing struct{ err error }

func (f failing) GetImageStream(context.Context, imagestream.Key) (*imagestream.ImageStream, error) {
	return nil, f.err
}
func (f failing) GetImage(context.Context, string) (*imagestream.Image, error) { return nil, f.err }

// TestCustomPaths looks where only the caller knows that images are.
func TestCustomPaths(t *testing.T) {
	resolver := &lookup.Resolver{Source: shop, Options: lookup.Options{Uncovered: true, ImageVolumes: true, Explain: true,
		Paths: []lookup.Path{{Group: "example.com", Kind: "Shop", Path: "spec.windows[*].glass"}}}}
	in := "apiVersion: example.com/v1\nkind: Shop\nspec:\n  windows:\n  - glass: nodejs:20\n    pane: *p\n"
	in = strings.Replace(in, "*p", "p", 1) + "---\n" + pod("  - name: x\n") +
		"  volumes:\n  - image: {reference: nodejs}\n"
	res := rewrite(t, mustNew(resolver, yaml.Options{Namespace: "shop"}), in)
	if want := strings.NewReplacer("nodejs:20", node20, "nodejs", newest).Replace(in); string(res.Bytes) != want {
		t.Errorf("got\n%s", res.Bytes)
	}
	if len(res.Decisions) != 3 || res.Decisions[0].Line != 5 {
		t.Errorf("decisions %+v", res.Decisions)
	}
}

// TestManyDocuments are in several batches, which one with an error does not spoil.
func TestManyDocuments(t *testing.T) {
	good := deployments(500)
	src := bytes.Replace(good, []byte("name: web-77\n"), []byte("name: {{ web-77\n"), 1)
	res := rewrite(t, rewriter(yaml.Options{}), string(src))
	if len(res.Changes) != 998 || len(res.Reports) != 1 {
		t.Fatalf("%d changes, reports %v", len(res.Changes), res.Reports)
	}
	for _, c := range res.Changes {
		if line := bytes.Split(src, []byte("\n"))[c.Line-1]; !strings.HasPrefix(string(line[c.Column-1:]), "nodejs:20") {
			t.Fatalf("change at %d:%d of %s", c.Line, c.Column, line)
		}
	}
}

// TestCost holds the limits of memory: a quarter of parsing and emitting, and nothing but the cutting of files without
// images.
func TestCost(t *testing.T) {
	src := deployments(200)
	none := bytes.ReplaceAll(src, []byte("image"), []byte("inage"))
	w := rewriter(yaml.Options{})
	allocated := func(do func()) (bytes, count uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc, after.Mallocs - before.Mallocs
	}
	rewriting, rewrites := allocated(func() { rewrite(t, w, string(src)) })
	_, parses := allocated(func() {
		if err := eachNode(src, func(*goyaml.Node) error { return nil }); err != nil {
			t.Error(err)
		}
	})
	emitting, _ := allocated(func() {
		encoder := goyaml.NewEncoder(&bytes.Buffer{})
		if err := eachNode(src, func(n *goyaml.Node) error { return encoder.Encode(n) }); err != nil {
			t.Error(err)
		}
	})
	skipping, skips := allocated(func() { rewrite(t, w, string(none)) })
	t.Logf("rewrite %d B, %d allocations; parse %d allocations; parse and emit %d B; without images %d B, %d allocations", rewriting, rewrites, parses, emitting, skipping, skips)
	if rewriting > emitting/4 {
		t.Errorf("rewriting takes %d B, a quarter of parsing and emitting is %d", rewriting, emitting/4)
	}
	if rewrites > parses*5/4 {
		t.Errorf("rewriting takes %d allocations, parsing alone %d", rewrites, parses)
	}
	if skips > 200+50 {
		t.Errorf("200 documents without images take %d allocations", skips)
	}
	one, _ := allocated(func() { rewrite(t, w, string(oneLine(500))) })
	four, _ := allocated(func() { rewrite(t, w, string(oneLine(2000))) })
	if four > 5*one {
		t.Errorf("four times the file takes %d B, was %d", four, one)
	}
}

// TestLockKnowsWhatStayed tells what a lock says nothing about.
func TestLockKnowsWhatStayed(t *testing.T) {
	resolver := &lookup.Resolver{Source: shop, Options: lookup.Options{Explain: true, Namespaces: []string{"other"}}}
	first := mustNew(resolver, yaml.Options{Namespace: "shop"})
	in := pod("  - image: nodejs:20\n  - image: none\n  - image: quay.io/x/y\n")
	rewrite(t, first, in)
	lock, err := yaml.ParseLock(first.Lock().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	want := []yaml.Stayed{{Namespace: "other", Name: "none", Tag: "latest"},
		{Namespace: "shop", Name: "none", Tag: "latest"}}
	if len(lock.Images) != 1 || !slices.Equal(lock.Stays, want) {
		t.Fatalf("lock %+v", lock)
	}
	resolver.Source = lock.Source()
	second := mustNew(resolver, yaml.Options{Namespace: "shop"})
	if lacking := lock.Lacking(rewrite(t, second, in).Decisions); lacking != nil {
		t.Errorf("the same file lacks %+v", lacking)
	}
	lacking := lock.Lacking(rewrite(t, second,
		pod("  - image: nodejs:20\n  - image: nodejs:22\n  - image: nothing\n")).Decisions)
	if len(lacking) != 2 || lacking[0].Name != "nodejs:22" || lacking[1].Name != "nothing" {
		t.Errorf("lacking %+v", lacking)
	}
}

// TestReportOfAnImageThatIsNotSet has a subject.
func TestReportOfAnImageThatIsNotSet(t *testing.T) {
	r := yaml.Report{To: "quay.io/x/y:z", Problem: yaml.ProblemMember}
	want := "the image that is not set stays, it should become quay.io/x/y:z: "
	if got := r.String(); !strings.HasPrefix(got, want) {
		t.Errorf("%q, want one that begins with %q", got, want)
	}
}
