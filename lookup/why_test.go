package lookup_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

func ExampleWhy_Message() {
	fmt.Println(lookup.WhyNotLocal, "-", lookup.WhyNotLocal.Message())
	// Output: NotLocal - the image stream is not for local lookup: set spec.lookupPolicy.local
}

func ExampleStreams() {
	streams := lookup.Streams{{Namespace: "shop", Name: "nodejs"}: nodejs(true)}
	changes, err := (&lookup.Resolver{Source: streams}).Changes(context.Background(), pod("nodejs:20", nil), "")
	fmt.Println(changes[0].To[:28], "assumed:", changes[0].Assumed, err)
	// Output: quay.io/org/nodejs@sha256:1f assumed: true <nil>
}

func ExamplePath_Check() {
	fmt.Println(lookup.Path{Path: "sidecars[*].image"}.Check())
	fmt.Println(lookup.Path{Path: "a..b"}.Check())
	// Output:
	// <nil>
	// path "a..b": names separated by dots, with [*] or [0] for items of lists, are wanted: sidecars[*].image
}

func ExamplePath_Steps() {
	fmt.Printf("%q\n", lookup.Path{Path: "sidecars[*].image"}.Steps())
	// Output: ["sidecars" "[*]" "image"]
}

// TestEveryWhyIsACodeWithASentence reads the codes from the source, so that none is forgotten.
func TestEveryWhyIsACodeWithASentence(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "why.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	sentences := map[string]lookup.Why{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Why") {
			return true
		}
		text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		why := lookup.Why(text)
		if "Why"+text != spec.Names[0].Name || !regexp.MustCompile(`^[A-Z][A-Za-z]{2,14}$`).MatchString(text) {
			t.Errorf("%s is %q", spec.Names[0].Name, text)
		}
		message := why.Message()
		if other, twice := sentences[message]; twice || message == text || !strings.Contains(message, " ") ||
			strings.HasSuffix(message, ".") {
			t.Errorf("%s: %q, as %s", why, message, other)
		}
		sentences[message] = why
		return true
	})
	if len(sentences) < 28 {
		t.Errorf("%d codes", len(sentences))
	}
	if got := lookup.Why("Later").Message(); got != "Later" {
		t.Errorf("an unknown code says %q", got)
	}
}

// explain reviews an object and returns "name why" for each decision.
func explain(t *testing.T, object string, opts lookup.Options, registry string) []string {
	t.Helper()
	opts.Explain = true
	k := known(true)
	k.InternalRegistry = registry
	review := mustPolicy(t, nil).Review(&lookup.Request{Namespace: "shop", Object: parse(object), Options: opts}, k)
	if !review.Needs.IsEmpty() {
		t.Fatalf("needs %+v", review.Needs)
	}
	list := []string{}
	if review.Skipped != "" {
		list = append(list, "object "+string(review.Skipped))
	}
	for _, d := range review.Decisions {
		list = append(list, d.Name+" "+string(d.Why))
	}
	return list
}

func TestReasonsSayWhatIsTrue(t *testing.T) {
	const registry = "reg.int:5000"
	container := func(image string) string {
		return `{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":` + image + `}]}}`
	}
	for object, want := range map[string][]string{
		container(`"reg.int:5000/shop/nodejs:20"`): {"reg.int:5000/shop/nodejs:20 Internal"},
		container(`"reg.int:5000/shop/none:20"`):   {"reg.int:5000/shop/none:20 NoStream"},
		container(`"other.int/shop/nodejs:20"`):    {"other.int/shop/nodejs:20 Full"},
		container(`"shop/nodejs:20"`):              {"shop/nodejs:20 Full"},
		container(`"my.app"`):                      {"my.app Host"},
		container(`"my.app:20"`):                   {"my.app:20 Host"},
		container(`"localhost"`):                   {"localhost Host"},
		container(`20`):                            {" NotText"},
		container(`["nodejs"]`):                    {" NotText"},
		`{"apiVersion":"build.openshift.io/v1","kind":"Build","spec":{"strategy":{"sourceStrategy":{"from":{"kind":"ImageStreamTag","name":"nodejs:20"}}}}}`: {"nodejs:20 Tag"},
		`{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"` + lookup.ResolveNamesAnnotation +
			`":"*"}},"spec":{"containers":[{"image":"my.app"}]}}`: {"my.app Host"},
		`{"apiVersion":"v1","kind":"Pod","spec":{"ephemeralContainers":[{"image":"nodejs:20"}],"volumes":[{"image":{"reference":"nodejs:20"}}]}}`: {"nodejs:20 Place", "nodejs:20 Place"},
		`{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"ownerReferences":[{"controller":true}]}}`:                                       {"object Controller"},
		`{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout"}`:                                                                                  {"object Uncovered"},
		`{"apiVersion":"v1","kind":"PodTemplate"}`:                                                                                                {"object Uncovered"},
	} {
		if diff := cmp.Diff(want, explain(t, object, lookup.Options{}, registry)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", object, diff)
		}
	}
}

// TestKnownKinds has an object of every kind that Options.KnownKinds knows, with an image at every place.
func TestKnownKinds(t *testing.T) {
	pod := `{"initContainers":[{"image":"nodejs:20"}],"containers":[{"image":"nodejs:20"}]}`
	task := `{"steps":[{"image":"nodejs:20"}],"stepTemplate":{"image":"nodejs:20"},"sidecars":[{"image":"nodejs:20"}]}`
	pipeline := `{"tasks":[{"taskSpec":` + task + `}],"finally":[{"taskSpec":` + task + `}]}`
	template := `{"initContainers":[{"image":"nodejs:20"}],"container":{"image":"nodejs:20"},"containerSet":{"containers":[{"image":"nodejs:20"}]},` +
		`"script":{"image":"nodejs:20"},"sidecars":[{"image":"nodejs:20"}]}`
	workflow := `{"templates":[` + template + `],"templateDefaults":` + template + `}`
	machine := `{"volumes":[{"name":"a"},{"containerDisk":{"image":"nodejs:20"}}],"domain":{"firmware":{"kernelBoot":{"container":{"image":"nodejs:20"}}}}}`
	for kind, spec := range map[string]string{
		"argoproj.io/v1alpha1 Rollout":                    `{"template":{"spec":` + pod + `}}`,
		"argoproj.io/v1alpha1 CronWorkflow":               `{"workflowSpec":` + workflow + `}`,
		"argoproj.io/v1alpha1 Workflow":                   workflow,
		"argoproj.io/v1alpha1 WorkflowTemplate":           workflow,
		"argoproj.io/v1alpha1 ClusterWorkflowTemplate":    workflow,
		"serving.knative.dev/v1 Service":                  `{"template":{"spec":` + pod + `}}`,
		"serving.knative.dev/v1 Configuration":            `{"template":{"spec":` + pod + `}}`,
		"serving.knative.dev/v1 Revision":                 pod,
		"sources.knative.dev/v1 ContainerSource":          `{"template":{"spec":` + pod + `}}`,
		"tekton.dev/v1 Task":                              task,
		"tekton.dev/v1beta1 ClusterTask":                  task,
		"tekton.dev/v1 TaskRun":                           `{"taskSpec":` + task + `}`,
		"tekton.dev/v1 Pipeline":                          pipeline,
		"tekton.dev/v1 PipelineRun":                       `{"pipelineSpec":` + pipeline + `}`,
		"tekton.dev/v1 StepAction":                        `{"image":"nodejs:20"}`,
		"kubevirt.io/v1 VirtualMachine":                   `{"template":{"spec":` + machine + `}}`,
		"kubevirt.io/v1 VirtualMachineInstance":           machine,
		"kubevirt.io/v1 VirtualMachineInstanceReplicaSet": `{"template":{"spec":` + machine + `}}`,
		"pool.kubevirt.io/v1alpha1 VirtualMachinePool": `{"virtualMachineTemplate":{"spec":{"template":{"spec":` +
			machine + `}}}}`,
	} {
		t.Run(kind, func(t *testing.T) {
			apiVersion, name, _ := strings.Cut(kind, " ")
			text := `{"apiVersion":"` + apiVersion + `","kind":"` + name + `","metadata":{"namespace":"shop"},"spec":` + spec +
				`}`
			resolver := lookup.Resolver{Source: store(t, true), Options: lookup.Options{KnownKinds: true}}
			changes, err := resolver.ChangesJSON(t.Context(), []byte(text), "")
			if err != nil {
				t.Fatal(err)
			}
			changed, err := lookup.ApplyJSON([]byte(text), changes)
			if want := strings.ReplaceAll(text, "nodejs:20", "quay.io/org/nodejs@"+image); err != nil ||
				string(changed) != want {
				t.Errorf("%v, became %s", err, changed)
			}
			resolver.Options = lookup.Options{Uncovered: true}
			if changes, err := resolver.ChangesJSON(t.Context(), []byte(text), ""); err != nil || len(changes) > 0 {
				t.Errorf("without the option: %v, %v", changes, err)
			}
		})
	}
}

// TestStreamsAloneResolve resolves everything that streams can say, and marks it.
func TestStreamsAloneResolve(t *testing.T) {
	const exact = "quay.io/org/nodejs@" + image
	build := `{"apiVersion":"build.openshift.io/v1","kind":"Build","metadata":{"namespace":"shop"},"spec":{"strategy":{"sourceStrategy":{"from":`
	everything := mustPolicy(t,
		&lookup.Config{ResolveImages: lookup.AttemptRewrite, ResolutionRules: []lookup.ResolutionRule{
			{TargetResource: lookup.GroupResource{Resource: "*"}, LocalNames: true},
			{TargetResource: lookup.GroupResource{Group: "build.openshift.io", Resource: "*"}},
		}})
	for name, tc := range map[string]struct {
		object  string
		policy  *lookup.Policy
		want    string
		assumed bool
	}{
		"short name": {`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"nodejs:20"}]}}`, nil, exact,
			true},
		"image not there": {`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"nodejs:gone"}]}}`, nil,
			"quay.io/org/nodejs:sha256:gone", true},
		"image stream tag": {build + `{"kind":"ImageStreamTag","name":"nodejs:20"}}}}}`, everything, exact, true},
		"image stream image": {build + `{"kind":"ImageStreamImage","name":"nodejs@sha256:1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f"}}}}}`, everything, exact,
			true},
		"unknown image": {build + `{"kind":"ImageStreamImage","name":"nodejs@sha256:2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f2f"}}}}}`, everything, "", false},
		"digest": {`{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"image":"x/y:1@` + image + `"}]}}`,
			everything, "x/y@" + image, true},
	} {
		resolver := lookup.Resolver{
			Source: lookup.Streams{{Namespace: "shop", Name: "nodejs"}: nodejs(true)}, Policy: tc.policy,
			Options: lookup.Options{Explain: true},
		}
		review, err := resolver.Review(t.Context(),
			&lookup.Request{Namespace: "shop", Object: parse(tc.object), Options: resolver.Options})
		got := ""
		assumed := false
		for _, c := range review.Changes {
			if strings.HasSuffix(c.Path, "image") || strings.HasSuffix(c.Path, "name") {
				got, assumed = c.To, c.Assumed
			}
		}
		if err != nil || got != tc.want || assumed != tc.assumed || len(review.Decisions) != 1 ||
			review.Decisions[0].Assumed != tc.assumed {
			t.Errorf("%s becomes %q, assumed %v, %v; decisions %+v", name, got, assumed, err, review.Decisions)
		}
	}
	known := lookup.Resolver{Source: store(t, true)}
	if changes, err := known.Changes(t.Context(), pod("nodejs:20", nil), ""); err != nil || changes[0].Assumed {
		t.Errorf("with images: %+v, %v", changes, err)
	}
}

// TestFailingImagesAreNoLackOfThem tells a source that fails from one that has no images.
func TestFailingImagesAreNoLackOfThem(t *testing.T) {
	broken := errors.New("broken")
	source := &brokenImages{lookup.Streams{{Namespace: "shop", Name: "nodejs"}: nodejs(true)}, broken}
	if _, err := (&lookup.Resolver{Source: source}).Changes(t.Context(), pod("nodejs:20", nil), ""); !errors.Is(err,
		broken) {
		t.Error(err)
	}
	source.err = fmt.Errorf("in a file: %w", lookup.ErrNoImages)
	if changes, err := (&lookup.Resolver{Source: source}).Changes(t.Context(), pod("nodejs:20", nil), ""); err != nil ||
		len(changes) != 1 {
		t.Error(changes, err)
	}
}

type brokenImages struct {
	lookup.Streams
	err error
}

func (b *brokenImages) GetImage(context.Context, string) (*imagestream.Image, error) {
	return nil, b.err
}

// TestManyContainersAreLinear reviews updates, and under rules, of which the time was the square of the containers:
// 200,000 took longer than a test may.
func TestManyContainersAreLinear(t *testing.T) {
	const n = 200_000
	many := func(tag string) map[string]any {
		containers := make([]any, n)
		for i := range containers {
			name := strconv.Itoa(i)
			containers[i] = map[string]any{"name": "c" + name, "image": "quay.io/x/" + name + ":" + tag}
		}
		return map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": containers}}
	}
	policy := mustPolicy(t, &lookup.Config{ExecutionRules: []lookup.ExecutionRule{{Name: "quay",
		MatchRegistries: []string{"quay.io"}}}})
	review := policy.Review(&lookup.Request{Namespace: "shop", Update: true, Object: many("2"), Old: many("1")},
		known(true))
	if review.Refused != nil || len(review.Changes) > 0 || !review.Needs.IsEmpty() {
		t.Errorf("%v", review.Refused)
	}
}

func TestPathsThatCannotBeFollowed(t *testing.T) {
	for path, ok := range map[string]bool{
		"a": true, "a.b": true, "a[*].b": true, "a[0][1].b": true, "spec.windows[*]": true,
		"": false, ".": false, ".a": false, "a.": false, "a..b": false, "a[": false, "a[]": false, "a[x]": false,
		"[*]": false, "a[*]b": false, "a]": false,
	} {
		if err := (lookup.Path{Path: path}).Check(); (err == nil) != ok {
			t.Errorf("%q: %v", path, err)
		}
	}
}

// TestRulesSeeTagsOfStreamsAlone judges by the annotations of a tag, which streams have, though its image is not known.
func TestRulesSeeTagsOfStreamsAlone(t *testing.T) {
	stream := nodejs(true)
	stream.Spec.Tags[0].Annotations = map[string]string{"deny": "true"}
	policy := mustPolicy(t, &lookup.Config{ExecutionRules: []lookup.ExecutionRule{
		{Name: "denied", Reject: true, MatchImageAnnotations: []lookup.ValueCondition{{Key: "deny", Value: "true"}}},
	}})
	resolver := lookup.Resolver{Source: lookup.Streams{{Namespace: "shop", Name: "nodejs"}: stream}, Policy: policy}
	for tag, refused := range map[string]bool{"local": true, "20": false} {
		review, err := resolver.Review(t.Context(), &lookup.Request{Namespace: "shop", Object: pod("nodejs:"+tag, nil)})
		if err != nil || (review.Refused != nil) != refused {
			t.Errorf("%s: %v, %v", tag, review.Refused, err)
		}
	}
}
