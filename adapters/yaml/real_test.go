package yaml_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/lookup"
)

var _, id20, _ = strings.Cut(node20, "@")

const kustomizationHead = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nimages:\n"

// outcome is what a file becomes, its reports as "line:column Problem detail", its decisions as "line:column path
// name Why".
func outcome(t *testing.T, text string, opts lookup.Options, values ...string) (got string, reports,
	decisions []string) {
	t.Helper()
	w := mustNew(&lookup.Resolver{Source: shop, Options: opts}, yaml.Options{Namespace: "shop", Values: values})
	res := rewrite(t, w, text)
	for _, r := range res.Reports {
		reports = append(reports, strings.TrimSuffix(fmt.Sprintf("%d:%d %s %s", r.Line, r.Column, r.Problem, r.Detail), " "))
	}
	for _, d := range res.Decisions {
		decisions = append(decisions,
			fmt.Sprintf("%d:%d %s %s %s", d.Line, d.Column, d.Place.Path, d.Name+strings.TrimPrefix(d.Kind, "DockerImage"),
				d.Why))
	}
	return string(res.Bytes), reports, decisions
}

// TestDigestThatIsThereIsFilled never writes a key that is there already, in whatever form.
func TestDigestThatIsThereIsFilled(t *testing.T) {
	entry := func(rest string) string { return "- name: app\n  newName: nodejs\n  newTag: \"20\"\n" + rest }
	filled := func(rest string) string {
		return "- name: app\n  newName: registry.test/shop/nodejs\n  newTag: \"20\"\n" + rest
	}
	for name, test := range map[string]struct {
		in, want string
		report   yaml.Problem
	}{
		"empty":            {entry("  digest: \"\" # d\n"), filled("  digest: \"" + id20 + "\" # d\n"), ""},
		"single":           {entry("  digest: ''\n"), filled("  digest: '" + id20 + "'\n"), ""},
		"nothing":          {entry("  digest:\n"), filled("  digest: \"" + id20 + "\"\n"), ""},
		"nothing, comment": {entry("  digest:   # d\n"), filled("  digest: \"" + id20 + "\"   # d\n"), ""},
		"nothing, CRLF":    {entry("  digest:\r\n"), filled("  digest: \"" + id20 + "\"\r\n"), ""},
		"nothing, end":     {entry("  digest:"), filled("  digest: \"" + id20 + "\""), ""},
		"tilde":            {entry("  digest: ~\n"), filled("  digest: " + id20 + "\n"), ""},
		"null":             {entry("  digest: Null\n"), filled("  digest: " + id20 + "\n"), ""},
		"quoted key":       {entry("  \"digest\" :\n"), filled("  \"digest\" : \"" + id20 + "\"\n"), ""},
		"before the tag": {"- name: app\n  digest:\n  newName: nodejs\n  newTag: \"20\"\n",
			"- name: app\n  digest: \"" + id20 + "\"\n  newName: registry.test/shop/nodejs\n  newTag: \"20\"\n", ""},
		"flow": {"- {name: app, newName: nodejs, newTag: '20', digest: }\n",
			"- {name: app, newName: registry.test/shop/nodejs, newTag: '20', digest: \"" + id20 + "\" }\n", ""},
		"flow, first": {"- {digest: , name: app, newName: nodejs, newTag: '20'}\n",
			"- {digest: \"" + id20 + "\" , name: app, newName: registry.test/shop/nodejs, newTag: '20'}\n", ""},
		"flow, 1.2 only": {"- {digest:, name: app, newName: nodejs, newTag: '20'}\n", "", yaml.ProblemNotText},
		"JSON": {"- {\"name\":\"app\",\"newName\":\"nodejs\",\"newTag\":\"20\",\"digest\":null}\n",
			"- {\"name\":\"app\",\"newName\":\"registry.test/shop/nodejs\",\"newTag\":\"20\",\"digest\":" + id20 + "}\n", ""},
		"flow, no colon": {"- {name: app, newName: nodejs, newTag: '20', digest}\n", "", yaml.ProblemMember},
		"anchor":         {entry("  digest: &d\n"), "", yaml.ProblemMember},
		"complex key":    {entry("  ? digest\n  :\n"), "", yaml.ProblemMember},
		"block":          {entry("  digest: |-\n\n"), "", yaml.ProblemBlock},
		"number":         {entry("  digest: 12\n"), "", ""},
		"float":          {entry("  digest: 1.5\n"), "", yaml.ProblemNotText},
		"mapping":        {entry("  digest: {}\n"), "", yaml.ProblemNotText},
		"merged":         {entry("  <<: {digest: \"\"}\n"), filled("  <<: {digest: \"" + id20 + "\"}\n"), ""},
		"shared":         {"- &a {name: x, digest: ''}\n- {<<: *a, newName: nodejs, newTag: '20'}\n", "", yaml.ProblemShared},
		"there":          {entry("  digest: " + id20 + "\n"), "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			in, want := kustomizationHead+test.in, kustomizationHead+test.want
			if test.want == "" {
				want = in
			}
			res := rewrite(t, rewriter(yaml.Options{}), in)
			if string(res.Bytes) != want {
				t.Errorf("got\n%s\nwant\n%s", res.Bytes, want)
			}
			if strings.Count(string(res.Bytes), "digest") != 1 {
				t.Errorf("digest stands there more than once:\n%s", res.Bytes)
			}
			if (test.report == "") != (len(res.Reports) == 0) || test.report != "" && res.Reports[0].Problem != test.report {
				t.Errorf("reports %+v", res.Reports)
			}
			if again := rewrite(t, rewriter(yaml.Options{}), want); string(again.Bytes) != want {
				t.Errorf("the second time\n%s", again.Bytes)
			}
		})
	}
	json := `{"kind":"Kustomization","apiVersion":"kustomize.config.k8s.io/v1","images":[{"name":"a","newName":"nodejs","newTag":"20","digest":null}]}`
	want := strings.NewReplacer(`"nodejs"`, `"registry.test/shop/nodejs"`, "null", `"`+id20+`"`).Replace(json)
	if got, reports, _ := outcome(t, json, lookup.Options{}); got != want || reports != nil {
		t.Errorf("JSON became\n%s\n%v", got, reports)
	}
}

// TestNullDigestOfValuesIsFilled is the same for Helm's values.
func TestNullDigestOfValuesIsFilled(t *testing.T) {
	for in, want := range map[string]string{
		"image: {repository: nodejs, tag: '20', digest: ~}\n": "image: {repository: registry.test/shop/nodejs, tag: '20', digest: " + id20 + "}\n",
		"image:\n  digest:\n  repository: nodejs\n  tag: '20'\n": "image:\n  digest: \"" + id20 +
			"\"\n  repository: registry.test/shop/nodejs\n  tag: '20'\n",
		`{"image":{"repository":"nodejs","tag":20,"digest":null}}`: `{"image":{"repository":"registry.test/shop/nodejs","tag":20,"digest":"` + id20 + `"}}`,
	} {
		if got, reports, _ := outcome(t, in, lookup.Options{}, "image"); got != want || reports != nil {
			t.Errorf("%s became\n%s\n%v", in, got, reports)
		}
	}
}

// TestTagsThatAreNoIntegers are never the image of another tag. Examples/rewrite compares what they are with
// sigs.k8s.io/yaml, which kustomize and Helm read with.
func TestTagsThatAreNoIntegers(t *testing.T) {
	source := world{namespaces: []string{"shop"}, tags: []string{
		"latest", "1.1", "1.10", "20", "0", "2020-01-01", "80000000000", "8e10", "0x14", "16", "020", "1000", "1_000",
		"yes", "true", "on",
		"999999", "1000000", "v1", "1.2.3", "1e3", "-1", "~",
	}}
	for text, tag := range map[string]string{
		"20": "20", "0": "0", "999999": "999999", "2020-01-01": "2020-01-01", "v1": "v1", "1.2.3": "1.2.3",
		"'1.10'": "1.10", "\"0x14\"": "0x14", "!!str 1.10": "1.10", "'yes'": "yes",
		"1.10": "", "8e10": "", "0x14": "", "020": "", "0o20": "", "0b1": "", "1_000": "", "1e3": "", "-1": "", "+1": "",
		".5": "", "1.": "",
		".inf": "", ".NaN": "", "1000000": "", "20230101": "", "true": "", "yes": "", "On": "", "n": "", "{}": "", "[20]": "",
	} {
		_, id, _ := strings.Cut(source.exact("shop", "nodejs", tag), "@")
		kustomization := kustomizationHead + "- name: a\n  newName: nodejs\n  newTag: " + text + "\n"
		values := "web:\n  repository: nodejs\n  tag: " + text + "\n  digest: \"\"\n"
		for in, line := range map[string]int{kustomization: 6, values: 3} {
			res := rewrite(t, rewriterOf(source, yaml.Options{Values: []string{"web"}}), in)
			switch {
			case tag != "" && !strings.Contains(string(res.Bytes), id):
				t.Errorf("%s is not the tag %s:\n%s\n%v", text, tag, res.Bytes, res.Reports)
			case tag != "":
			case string(res.Bytes) != in || len(res.Reports) != 1:
				t.Errorf("%s became\n%s\n%v", text, res.Bytes, res.Reports)
			case res.Reports[0].Problem != yaml.ProblemNotText || res.Reports[0].Line != line:
				t.Errorf("%s is reported as %d %v", text, res.Reports[0].Line, res.Reports[0])
			case text[0] != '{' && text[0] != '[' && !strings.Contains(res.Reports[0].String(), text):
				t.Errorf("%s is not named: %s", text, res.Reports[0])
			}
		}
	}
}

// TestImagesThatAreNoTexts are so to kubectl as well, which reads YAML 1.1: a date is a text, yes is not.
func TestImagesThatAreNoTexts(t *testing.T) {
	w := world{namespaces: []string{"shop"}, tags: []string{"latest"}}
	for text, changes := range map[string]int{"2020-01-01": 1, "yes": 0, "On": 0, "1.10": 0, "'yes'": 1, "!!str on": 1} {
		in := pod("  - image: " + text + "\n")
		if res := rewrite(t, rewriterOf(w, yaml.Options{}), in); len(res.Changes) != changes {
			t.Errorf("%s: %d changes, %v", text, len(res.Changes), res.Reports)
		}
	}
}

func TestSuffixOfTagIsReported(t *testing.T) {
	in := kustomizationHead + "- name: d\n  newName: nodejs\n  newTag: \"20\"\n  tagSuffix: -x\n"
	got, reports, _ := outcome(t, in, lookup.Options{})
	if want := []string{"7:14 Suffix tagSuffix: -x"}; got != in || !slices.Equal(reports, want) {
		t.Errorf("%v\n%s", reports, got)
	}
}

// TestBoundsHoldOnEveryPath has what is too deep, too large or too much, as JSON and as YAML, in objects, lists,
// values.
func TestBoundsHoldOnEveryPath(t *testing.T) {
	deep := func(n int, begin, end string) string { return strings.Repeat(begin, n) + strings.Repeat(end, n) }
	const million = 1_000_000
	many := strings.Repeat("0,", million)
	for name, test := range map[string]struct {
		in      string
		problem yaml.Problem
	}{
		"JSON, two million lists": {`{"image":` + deep(2*million, "[", "]") + `}`, yaml.ProblemDepth},
		"JSON, objects":           {`{"image":` + deep(million, `{"a":`, "}") + `}`, yaml.ProblemDepth},
		"JSON, unclosed":          {`{"image":` + strings.Repeat("[", 2*million), yaml.ProblemDepth},
		"JSON, 10,001":            {`{"image":` + deep(10_000, "[", "]") + `}`, yaml.ProblemDepth},
		"JSON after a marker":     {"---\n" + `{"image":` + deep(2*million, "[", "]") + `}`, yaml.ProblemDepth},
		"YAML, flow":              {`image: ` + deep(20_000, "[", "]"), yaml.ProblemSyntax},
		"YAML, flow, no JSON":     {`{image: ` + deep(20_000, "[", "]") + "}", yaml.ProblemSyntax},
		"YAML, block":             {"image:\n" + deep(20_000, "- ", ""), yaml.ProblemSyntax},
		"YAML, deep by aliases":   {deepByAliases(5, 4_000), yaml.ProblemDepth},
		"JSON, values":            {`{"image":[` + many + many + `0]}`, yaml.ProblemSize},
		"YAML, values":            {"image: [" + strings.Repeat("0,", 5*million) + "]", yaml.ProblemSize},
		"YAML, a document":        {"image: " + strings.Repeat("x", 16<<20), yaml.ProblemSize},
		"a file":                  {"a: " + strings.Repeat("x", 64<<20), yaml.ProblemSize},
		"documents":               {strings.Repeat("---\na\n", 100_001), yaml.ProblemSize},
	} {
		t.Run(name, func(t *testing.T) {
			res := rewrite(t, rewriter(yaml.Options{Values: []string{"image"}}), test.in)
			if len(res.Reports) != 1 || res.Reports[0].Problem != test.problem || !res.Reports[0].Problem.Skips() {
				t.Errorf("%d reports", len(res.Reports))
				for _, r := range res.Reports[:min(3, len(res.Reports))] {
					t.Errorf("%.200s", r)
				}
			}
			if string(res.Bytes) != test.in {
				t.Error("it changed")
			}
		})
	}
	within := `{"kind":"Pod","apiVersion":"v1","x":` + deep(9_999, "[", "]") +
		`,"spec":{"containers":[{"image":"nodejs"}]}}`
	if res := rewrite(t, rewriter(yaml.Options{}), within); len(res.Changes) != 1 || len(res.Reports) > 0 {
		t.Errorf("10,000 levels: %d changes, %v", len(res.Changes), res.Reports)
	}
}

// deepByAliases is n mappings, each nested and with the one before at its end.
func deepByAliases(n, depth int) string {
	text := "a0: &a0 1\n"
	for i := range n {
		text += fmt.Sprintf("a%d: &a%d %s*a%d %s\n", i+1, i+1, strings.Repeat("[", depth), i, strings.Repeat("]", depth))
	}
	return text + "image: x\n"
}

// TestOneBadDocumentStopsNoOther has a document beyond a bound between good ones.
func TestOneBadDocumentStopsNoOther(t *testing.T) {
	good := pod("  - image: nodejs:20\n")
	in := good + "---\n" + `{"image":` + strings.Repeat("[", 20_000) + "\n---\n" + good
	res := rewrite(t, rewriter(yaml.Options{}), in)
	if len(res.Changes) != 2 || len(res.Reports) != 1 || res.Reports[0].Line != 6 {
		t.Errorf("%d changes, reports %v", len(res.Changes), res.Reports)
	}
}

func TestEverythingIsExplained(t *testing.T) {
	for name, test := range map[string]struct {
		in        string
		opts      lookup.Options
		values    []string
		decisions []string
	}{
		"unknown kind": {"apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: nodejs:20}]}}}\n",
			lookup.Options{}, nil, []string{"3:47 /spec/template/spec/containers/0/image nodejs:20 Uncovered"}},
		"unknown kind without images": {"apiVersion: x/v1\nkind: Thing\n# image\n", lookup.Options{}, nil,
			[]string{"2:7  Thing Uncovered"}},
		"controller": {"apiVersion: apps/v1\nkind: ReplicaSet\nmetadata: {ownerReferences: [{controller: true}]}\nspec: {template: {spec: {containers: [{image: nodejs:20}]}}}\n",
			lookup.Options{}, nil, []string{"4:47 /spec/template/spec/containers/0/image nodejs:20 Controller"}},
		"places": {pod("  - image: nodejs:20\n  ephemeralContainers: [{image: nodejs:20}]\n  volumes: [{image: {reference: nodejs:20}}]\n"), lookup.Options{}, nil,
			[]string{"5:12 /spec/containers/0/image nodejs:20 Newest",
				"6:33 /spec/ephemeralContainers/0/image nodejs:20 Place", "7:33 /spec/volumes/0/image/reference nodejs:20 Place"}},
		"places of others": {"metadata: {annotations: {x/sidecarImage: 'nodejs:20'}}\n" + pod("  - image: 20\n"),
			lookup.Options{}, nil,
			[]string{"6:12 /spec/containers/0/image  NotText", "1:42 /metadata/annotations/x~1sidecarImage nodejs:20 Place"}},
		"top-level list": {"- apiVersion: v1\n  kind: Pod\n  spec: {containers: [{image: nodejs:20}]}\n", lookup.Options{},
			nil,
			[]string{"3:31 /0/spec/containers/0/image nodejs:20 NotObject"}},
		"top-level list of texts": {"- image\n", lookup.Options{}, nil, []string{"1:1   NotObject"}},
		"text":                    {"image\n", lookup.Options{}, nil, []string{"1:1   NotObject"}},
		"item that is no object": {"kind: List\napiVersion: v1\nitems: [image, {kind: Pod, apiVersion: v1, spec: {containers: [{image: none}]}}]\n", lookup.Options{}, nil,
			[]string{"3:9 /items/0  NotObject", "3:72 /items/1/spec/containers/0/image none NoStream"}},
		"values without paths": {"web: {image: nodejs:20}\ndb: {image: {repository: nodejs, tag: x}}\n", lookup.Options{},
			nil,
			[]string{"1:14 /web/image nodejs:20 NoKind", "2:26 /db/image/repository nodejs NoKind"}},
		"values beside paths": {"web: {image: nodejs:20}\ndb: {image: nodejs:20}\n", lookup.Options{}, []string{"web.image"},
			[]string{"1:14 /web/image nodejs:20 Newest", "2:13 /db/image nodejs:20 NoKind"}},
		"kustomization": {kustomizationHead +
			"- {name: a, newName: nodejs, newTag: x, digest: 'sha256:1'}\nhelmCharts: [{valuesInline: {image: nodejs}}]\n",
			lookup.Options{}, nil,
			[]string{"4:22 /images/0 nodejs:x@sha256:1 Digest", "5:37 /helmCharts/0/valuesInline/image nodejs Place"}},
	} {
		t.Run(name, func(t *testing.T) {
			test.opts.Explain = true
			_, _, decisions := outcome(t, test.in, test.opts, test.values...)
			if !slices.Equal(decisions, test.decisions) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(decisions, "\n"), strings.Join(test.decisions, "\n"))
			}
			test.opts.Explain = false
			if _, _, decisions := outcome(t, test.in, test.opts, test.values...); decisions != nil {
				t.Errorf("nobody asked for %v", decisions)
			}
		})
	}
}

// TestShapesOfValues reports what a path names and nobody understands, also to those who ask for no explanation.
func TestShapesOfValues(t *testing.T) {
	for in, want := range map[string]string{
		`x: {name: nodejs, tag: "20"}`:                         "1:4 Shape",
		`x: {image: nodejs, tag: "20", digest: ""}`:            "1:4 Shape",
		`x: {repository: nodejs, tag: 1.10, digest: ""}`:       "1:30 NotText tag: 1.10",
		`x: {repository: 1.5, tag: "20", digest: ""}`:          "1:17 NotText repository: 1.5",
		`x: {repository: nodejs, tag: "20", digest: {}}`:       "1:44 NotText digest: a mapping",
		`x: {registry: docker.io, repository: nodejs, tag: x}`: "1:38 Stays it is neither a short name nor a pull spec of the internal registry",
		`x: {repository: nodejs, tag: none, digest: ""}`:       "1:17 Stays the tag has no image, and the image stream no repository",
		`x: {repository: "nodejs:20"}`:                         "1:17 NoTag",
		`x: [nodejs:20]`:                                       "1:4 Shape",
		`x: {imageName: nodejs, imageTag: "20"}`:               "1:4 Shape",
		`x: 20`:                                                "",
		`x: 1.5`:                                               "1:4 NotText",
		`x: yes`:                                               "1:4 NotText",
		`x: none`:                                              "1:4 Stays there is no such image stream",
		`x: my.app:20`:                                         "1:4 Stays it reads as the host of a registry: a name with a dot can never be a short name",
		`x: {repository: nodejs, tag: "20", digest: sha256:1}`: "",
		`x: `:   "",
		`x: ""`: "",
		`x: {}`: "",
	} {
		got, reports, _ := outcome(t, in, lookup.Options{}, "x")
		if text := strings.Join(reports, ";"); text != want && !(want == "" && in == "x: 20") || got != in && in != "x: 20" {
			t.Errorf("%s: %q, want %q; became %s", in, text, want, got)
		}
	}
}

func TestPathsThatMatchNothing(t *testing.T) {
	resolver := &lookup.Resolver{Source: shop, Options: lookup.Options{Paths: []lookup.Path{
		{Group: "x.io", Kind: "Thing", Path: "spec.image"}, {Group: "x.io", Kind: "Thing", Path: "spec.imag"},
		{Kind: "Pod", Path: "spec.image"},
	}}}
	w := mustNew(resolver, yaml.Options{Values: []string{"web.image", "web.imag", "list[*].ref", "list[7].ref"}})
	rewrite(t, w, "web: {image: nodejs}\n")
	rewrite(t, w, "web: {image: nodejs}\nlist: [{ref: null}]\n---\nkind: List\napiVersion: v1\nitems:\n- {kind: Thing, apiVersion: x.io/v1, spec: {image: nodejs}}\n")
	if want := []string{"web.imag", "list[7].ref", "x.io/Thing:spec.imag",
		"/Pod:spec.image"}; !slices.Equal(w.Unmatched(), want) {
		t.Errorf("%q, want %q", w.Unmatched(), want)
	}
}

func TestOptionsThatMeanNothing(t *testing.T) {
	for want, try := range map[string]func() (*yaml.Rewriter, error){
		`namespace "Bad NS"`: func() (*yaml.Rewriter,
			error) {
			return yaml.New(&lookup.Resolver{}, yaml.Options{Namespace: "Bad NS"})
		},
		`namespace "-"`: func() (*yaml.Rewriter, error) {
			return yaml.New(&lookup.Resolver{Options: lookup.Options{Namespaces: []string{"a", "-"}}}, yaml.Options{})
		},
		`path "a..b"`: func() (*yaml.Rewriter, error) {
			return yaml.New(&lookup.Resolver{}, yaml.Options{Values: []string{"a..b"}})
		},
		`path "a["`: func() (*yaml.Rewriter, error) {
			return yaml.New(&lookup.Resolver{Options: lookup.Options{Paths: []lookup.Path{{Path: "a["}}}}, yaml.Options{})
		},
	} {
		if w, err := try(); err == nil || w != nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
}

// TestHelmReleases are rewritten by paths below their values, and by the usual members.
func TestHelmReleases(t *testing.T) {
	in := "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {name: web, namespace: flux}\nspec:\n  targetNamespace: shop\n  values:\n" +
		"    web:\n      image: {repository: nodejs, tag: '20', digest: ''}\n    jobs:\n    - image: nodejs:20\n    - ref: nodejs:20\n    - image: quay.io/x/y\n"
	exact := strings.NewReplacer("repository: nodejs", "repository: registry.test/shop/nodejs", "digest: ''",
		"digest: '"+id20+"'", "image: nodejs:20", "image: "+node20)
	if got, reports, _ := outcome(t, in, lookup.Options{KnownKinds: true}); got != exact.Replace(in) || reports != nil {
		t.Errorf("became\n%s\n%v", got, reports)
	}
	got, reports, _ := outcome(t, in, lookup.Options{KnownKinds: true}, "jobs[1].ref", "jobs[2].image")
	want := strings.Replace(exact.Replace(in), "ref: nodejs:20", "ref: "+node20, 1)
	if got != want || !slices.Equal(reports,
		[]string{"12:14 Stays it is neither a short name nor a pull spec of the internal registry"}) {
		t.Errorf("by paths it became\n%s\n%v", got, reports)
	}
	got, _, decisions := outcome(t, in, lookup.Options{Explain: true})
	if got != in || len(decisions) != 3 || decisions[0] != "8:27 /spec/values/web/image/repository nodejs Uncovered" {
		t.Errorf("without the option\n%s\n%v", got, decisions)
	}
}

// TestHelmReleasesShareAndAreNamedTwice has values that are merged, and members that a path names as well.
func TestHelmReleasesShareAndAreNamedTwice(t *testing.T) {
	in := "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nspec:\n  chartRef: {image: nodejs:20}\n  values:\n" +
		"    base: &base {image: nodejs:20}\n    web: {<<: *base, x: 1}\n    own: {<<: *base, image: nodejs}\n"
	opts := lookup.Options{KnownKinds: true, Uncovered: true, Paths: []lookup.Path{
		{Group: "helm.toolkit.fluxcd.io", Kind: "HelmRelease", Path: "spec.chartRef.image"},
	}}
	w := mustNew(&lookup.Resolver{Source: shop, Options: opts}, yaml.Options{Namespace: "shop", Values: []string{"own.image"}})
	res := rewrite(t, w, in)
	want := strings.NewReplacer("chartRef: {image: nodejs:20", "chartRef: {image: "+node20, "image: nodejs}", "image: "+newest+"}")
	if string(res.Bytes) != want.Replace(in) || len(res.Changes) != 2 || len(res.Reports) != 2 || len(w.Unmatched()) > 0 {
		t.Errorf("became\n%s\n%d changes, %v, %q", res.Bytes, len(res.Changes), res.Reports, w.Unmatched())
	}
	for _, r := range res.Reports {
		if r.Problem != yaml.ProblemShared {
			t.Errorf("%+v", r)
		}
	}
}

// TestKnownKindsInFiles reads members that no other kind has.
func TestKnownKindsInFiles(t *testing.T) {
	in := "apiVersion: kubevirt.io/v1\nkind: VirtualMachine\nspec: {template: {spec: {volumes: [{containerDisk: {image: nodejs:20}}]}}}\n" +
		"---\napiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: nodejs:20}]}}}\n"
	if got, _, _ := outcome(t, in, lookup.Options{KnownKinds: true}); got != strings.ReplaceAll(in, "nodejs:20", node20) {
		t.Errorf("became\n%s", got)
	}
	if got, _, _ := outcome(t, in, lookup.Options{}); got != in {
		t.Errorf("without the option\n%s", got)
	}
}

// TestBeginningsOfDocuments has byte order marks, markers, directives and comments before documents of YAML and JSON.
func TestBeginningsOfDocuments(t *testing.T) {
	const mark = "\uFEFF"
	yamlPod, jsonPod := pod("  - image: nodejs:20\n"),
		`{"apiVersion":"v1","kind":"Pod","metadata":{"name":"\ud83d\ude00"},"spec":{"containers":[{"image":"nodejs:20"}]}}`+"\n"
	for name, in := range map[string]string{
		"mark before a second document": yamlPod + "...\n" + mark + yamlPod,
		"mark and marker":               yamlPod + mark + "---\n" + yamlPod,
		"marks before each": mark + yamlPod + "...\n" + mark + "# c\n---\n" + yamlPod + mark + "--- # c\n" +
			yamlPod,
		"comment, then mark":          yamlPod + "...\n# c\n\n" + mark + yamlPod,
		"mark before JSON":            mark + jsonPod + "...\n" + mark + jsonPod,
		"marker before JSON":          "---\n" + jsonPod + "---\n" + jsonPod,
		"marker on the line of JSON":  "--- " + jsonPod,
		"marker, comments, JSON, end": "# c\n--- # c\n\n# c\n" + jsonPod + "# c\n...\n",
		"mark, marker, JSON":          mark + "---\n" + jsonPod + mark + "---\n" + jsonPod,
		"YAML 1.2":                    "%YAML 1.2\n---\n" + yamlPod,
		"YAML 1.2 twice":              "# c\n%YAML 1.2 # c\n---\n" + yamlPod + "...\n%YAML  1.2\r\n---\n" + yamlPod,
		"YAML 1.0, CRLF":              "%YAML 1.0\r\n---\r\n" + strings.ReplaceAll(yamlPod, "\n", "\r\n"),
		"YAML 1.2, mark":              mark + "%YAML 1.2\n---\n" + yamlPod,
	} {
		t.Run(name, func(t *testing.T) {
			want := strings.ReplaceAll(in, "nodejs:20", node20)
			res := rewrite(t, rewriter(yaml.Options{}), in)
			if string(res.Bytes) != want || len(res.Reports) > 0 {
				t.Errorf("got\n%q\nwant\n%q\n%v", res.Bytes, want, res.Reports)
			}
			for _, c := range res.Changes {
				line := strings.TrimPrefix(strings.Split(in, "\n")[c.Line-1], mark)
				if at := string([]rune(line)[c.Column-1:]); !strings.HasPrefix(strings.TrimPrefix(at, `"`), "nodejs:20") {
					t.Errorf("%d:%d is %s", c.Line, c.Column, at)
				}
			}
		})
	}
	in := "%YAML 2.0\n---\n" + yamlPod
	if got, reports, _ := outcome(t, in, lookup.Options{}); got != in || len(reports) != 1 ||
		!strings.Contains(reports[0], "Syntax") {
		t.Errorf("YAML 2.0: %v", reports)
	}
}

// TestEveryProblemIsACodeWithASentence reads the codes from the source, so that none is forgotten.
func TestEveryProblemIsACodeWithASentence(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "result.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, skips := 0, 0
	ast.Inspect(file, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Problem") {
			return true
		}
		text, _ := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		problem := yaml.Problem(text)
		n++
		if problem.Skips() {
			skips++
		}
		if "Problem"+text != spec.Names[0].Name || !regexp.MustCompile(`^[A-Z][A-Za-z]{2,14}$`).MatchString(text) {
			t.Errorf("%s is %q", spec.Names[0].Name, text)
		}
		if message := problem.Message(); message == text || !strings.Contains(message, " ") {
			t.Errorf("%s: %q", problem, message)
		}
		return true
	})
	if n < 19 || skips != 7 || yaml.Problem("Later").Message() != "Later" {
		t.Errorf("%d problems, %d of them skip", n, skips)
	}
}
