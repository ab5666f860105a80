package yaml_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// world is a source in which every stream of some namespaces is there, with some tags, each with an image of its own.
type world struct {
	namespaces, tags []string // "*" is every namespace
	moved            string   // makes other images
}

func digest(text string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(text))) }

func (w world) exact(namespace, name, tag string) string {
	return "registry.test/" + namespace + "/" + name + "@" + digest(namespace+"/"+name+":"+tag+w.moved)
}

func (w world) GetImageStream(_ context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if !slices.Contains(w.namespaces, key.Namespace) && !slices.Contains(w.namespaces, "*") ||
		strings.HasPrefix(key.Name, "no") && key.Name != "nodejs" {
		return nil, imagestream.NewError(imagestream.ReasonNotFound, "imagestreams", key, "not found")
	}
	s := &imagestream.ImageStream{}
	s.Metadata.Namespace, s.Metadata.Name = key.Namespace, key.Name
	s.Spec.LookupPolicy.Local = true
	if key.Name == "app" {
		s.Spec.DockerImageRepository = "registry.test/apps/app"
		return s, nil
	}
	for _, tag := range w.tags {
		exact := w.exact(key.Namespace, key.Name, tag)
		_, id, _ := strings.Cut(exact, "@")
		s.Status.Tags = append(s.Status.Tags,
			tagevent.History{Tag: tag, Items: []tagevent.Event{{Image: id, DockerImageReference: exact, Generation: 2}}})
	}
	return s, nil
}

func (w world) GetImage(_ context.Context, name string) (*imagestream.Image, error) {
	i := &imagestream.Image{DockerImageReference: "registry.test/images@" + name}
	i.Metadata.Name = name
	return i, nil
}

var shop = world{namespaces: []string{"shop"}, tags: []string{"latest", "20"}}

func rewriter(opts yaml.Options) *yaml.Rewriter { return rewriterOf(shop, opts) }

func mustNew(resolver *lookup.Resolver, opts yaml.Options) *yaml.Rewriter {
	w, err := yaml.New(resolver, opts)
	if err != nil {
		panic(err)
	}
	return w
}

func rewriterOf(source world, opts yaml.Options) *yaml.Rewriter {
	if opts.Namespace == "" {
		opts.Namespace = "shop"
	}
	return mustNew(&lookup.Resolver{Source: source}, opts)
}

func rewrite(t testing.TB, w *yaml.Rewriter, text string) *yaml.Result {
	t.Helper()
	before := bytes.Clone([]byte(text))
	src := []byte(text)
	res, err := w.Rewrite(t.Context(), src)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(src, before) {
		t.Fatal("the argument was changed")
	}
	return res
}

var (
	node20 = shop.exact("shop", "nodejs", "20")
	newest = shop.exact("shop", "nodejs", "latest")
)

// pod is a Pod with what stands under its containers.
func pod(containers string) string {
	return "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n" + containers
}

func TestOnlyTheBytesOfImagesChange(t *testing.T) {
	_, id20, _ := strings.Cut(node20, "@")
	for name, test := range map[string]struct{ in, want string }{
		"plain": {pod("  - image: nodejs:20 # keep\n    name: x\n"),
			pod("  - image: " + node20 + " # keep\n    name: x\n")},
		"no tag": {pod("  - image: nodejs"), pod("  - image: " + newest)},
		"double": {pod("  - {image:  \"nodejs:20\"  }\n"), pod("  - {image:  \"" + node20 + "\"  }\n")},
		"single": {pod("  - 'image' : 'nodejs:20'\n"), pod("  - 'image' : '" + node20 + "'\n")},
		"escape": {pod("  - \"\\x69mage\": \"n\\u006fdejs:20\"\n"), pod("  - \"\\x69mage\": \"" + node20 + "\"\n")},
		"CRLF": {strings.ReplaceAll(pod("  - image: nodejs:20\n    name: é\n"), "\n", "\r\n"),
			strings.ReplaceAll(pod("  - image: "+node20+"\n    name: é\n"), "\n", "\r\n")},
		"lone CR": {strings.ReplaceAll(pod("  - image: nodejs:20\n"), "\n", "\r"),
			strings.ReplaceAll(pod("  - image: "+node20+"\n"), "\n", "\r")},
		"NEL, LS, PS": {"# a\u0085# b\u2028# c\u2029" + pod("  - image: nodejs:20\n"), "# a\u0085# b\u2028# c\u2029" +
			pod("  - image: "+node20+"\n")},
		"BOM": {"\uFEFFkind: Pod\napiVersion: v1\nspec: {containers: [{image: nodejs:20}]}\n",
			"\uFEFFkind: Pod\napiVersion: v1\nspec: {containers: [{image: " + node20 + "}]}\n"},
		"BOM, one line": {"\uFEFF{kind: Pod, apiVersion: v1, spec: {containers: [{image: nodejs:20}]}}",
			"\uFEFF{kind: Pod, apiVersion: v1, spec: {containers: [{image: " + node20 + "}]}}"},
		"BOM behind a marker": {"---\n\uFEFF" + pod("  - image: nodejs:20\n") + "--- # c\n\n# é\n\uFEFFkind: Pod\napiVersion: v1\nspec: {containers: [{image: nodejs:20}]}\n",
			"---\n\uFEFF" + pod("  - image: "+node20+"\n") + "--- # c\n\n# é\n\uFEFFkind: Pod\napiVersion: v1\nspec: {containers: [{image: " + node20 + "}]}\n"},
		"BOM behind a marker, one line": {"a: b\n---\n\uFEFF{kind: Pod, apiVersion: v1, spec: {containers: [{name: é, image: nodejs:20}]}}",
			"a: b\n---\n\uFEFF{kind: Pod, apiVersion: v1, spec: {containers: [{name: é, image: " + node20 + "}]}}"},
		"BOM behind a marker, JSON": {"---\n\uFEFF{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"spec\": {\"containers\": [{\"image\": \"nodejs:20\"}]}}\n",
			"---\n\uFEFF{\"kind\": \"Pod\", \"apiVersion\": \"v1\", \"spec\": {\"containers\": [{\"image\": \"" + node20 + "\"}]}}\n"},
		"non-ASCII": {pod("  - {name: \"日本\\t語\", image: nodejs:20}\n"),
			pod("  - {name: \"日本\\t語\", image: " + node20 + "}\n")},
		"anchor": {pod("  - image: &i nodejs:20\n  - image: *i\n"),
			pod("  - image: &i " + node20 + "\n  - image: *i\n")},
		"flow anchor": {pod("    [{image: &i   nodejs:20}]\n"), pod("    [{image: &i   " + node20 + "}]\n")},
		"tag":         {pod("  - image: !!str nodejs:20\n"), pod("  - image: !!str " + node20 + "\n")},
		"tag, anchor": {pod("  - image: !!str &a 'nodejs:20'\n"), pod("  - image: !!str &a '" + node20 + "'\n")},
		"container":   {pod("  - &c\n    image: nodejs:20\n  - *c\n"), pod("  - &c\n    image: " + node20 + "\n  - *c\n")},
		"merge": {pod("  - &c\n    image: nodejs:20\n  - <<: *c\n    name: y\n"),
			pod("  - &c\n    image: " + node20 + "\n  - <<: *c\n    name: y\n")},
		"documents": {pod("  - image: nodejs:20\n") + "---\n" + pod("  - image: nodejs:20\n") + "...\n# c\n---\n" +
			pod("  - image: x/y\n"),
			pod("  - image: "+node20+"\n") + "---\n" + pod("  - image: "+node20+"\n") + "...\n# c\n---\n" +
				pod("  - image: x/y\n")},
		"directives": {"%YAML 1.1\n---\n" + pod("  - image: nodejs:20\n") + "...\n%YAML 1.1\n---\n" +
			pod("  - image: nodejs:20\n"),
			"%YAML 1.1\n---\n" + pod("  - image: "+node20+"\n") + "...\n%YAML 1.1\n---\n" + pod("  - image: "+node20+"\n")},
		"namespace": {"metadata: {namespace: elsewhere}\n" + pod("  - image: nodejs:20\n"),
			"metadata: {namespace: elsewhere}\n" + pod("  - image: nodejs:20\n")},
		"repository": {pod("  - image: app:v1\n"), pod("  - image: registry.test/apps/app:v1\n")},
		"list": {"kind: List\napiVersion: v1\nitems:\n- apiVersion: batch/v1\n  kind: CronJob\n  spec: {jobTemplate: {spec: {template: {spec: {initContainers: [{image: 'nodejs'}]}}}}}\n- 1\n",
			"kind: List\napiVersion: v1\nitems:\n- apiVersion: batch/v1\n  kind: CronJob\n  spec: {jobTemplate: {spec: {template: {spec: {initContainers: [{image: '" + newest + "'}]}}}}}\n- 1\n"},
		"list of a kind": {"kind: PodList\napiVersion: v1\nitems:\n- spec: {containers: [{image: nodejs}]}\n",
			"kind: PodList\napiVersion: v1\nitems:\n- spec: {containers: [{image: " + newest + "}]}\n"},
		"JSON":         {"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\n\t\"spec\":{\"containers\":[{\"name\":\"\\ud83d\\ude00\u2028\",\"image\" :\"node\\u006as\"},{\"image\":\"nodejs:20\"}]}}", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\n\t\"spec\":{\"containers\":[{\"name\":\"\\ud83d\\ude00\u2028\",\"image\" :\"" + newest + "\"},{\"image\":\"" + node20 + "\"}]}}"},
		"several JSON": {"{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"image\":\"nodejs\"}]}}\n{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"image\":\"nodejs\"}]}}", "{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"image\":\"" + newest + "\"}]}}\n{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"spec\":{\"containers\":[{\"image\":\"" + newest + "\"}]}}"},
		"kustomization": {"kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nimages:\n- name: org/x\n  newName: nodejs # n\n  newTag: \"20\" # t\n- {name: y, newName: app, newTag: v1}\n",
			"kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1beta1\nimages:\n- name: org/x\n  newName: registry.test/shop/nodejs # n\n  digest: \"" + id20 + "\" # t\n- {name: y, newName: registry.test/apps/app, newTag: v1}\n"},
		"kustomization without kind": {"images:\n- name: org/x\n  newName: nodejs\n  newTag: 20\n",
			"images:\n- name: org/x\n  newName: registry.test/shop/nodejs\n  digest: " + id20 + "\n"},
		"values, a text": {"web:\n  image: nodejs:20\nother: nodejs:20\n", "web:\n  image: " + node20 +
			"\nother: nodejs:20\n"},
		"values, a mapping": {"web:\n  image:\n    registry: \"\"\n    repository: nodejs\n    tag: 20\n    digest: ''\n",
			"web:\n  image:\n    registry: \"registry.test\"\n    repository: shop/nodejs\n    tag: 20\n    digest: '" + id20 +
				"'\n"},
		"values, no host": {"web:\n  image:\n    registry:\n    repository: nodejs\n    tag: '20'\n    digest: \"\"\n",
			"web:\n  image:\n    registry:\n    repository: registry.test/shop/nodejs\n    tag: '20'\n    digest: \"" + id20 +
				"\"\n"},
		"values, a list": {"sidecars: [{ref: nodejs}, {ref: 'nodejs:20'}, {ref: }]\n", "sidecars: [{ref: " + newest +
			"}, {ref: '" + node20 + "'}, {ref: }]\n"},
		"template":        {pod("  - image: {{ .Values.image }}\n  - image: \"{{ .Values.image }}\"\n  - image: nodejs:{{ .Values.tag }}\n"), ""},
		"no text":         {pod("  - image: 20\n  - image: null\n  - image: [nodejs]\n  - image: {a: nodejs}\n"), ""},
		"not an object":   {"- image: nodejs\n--- nodejs\n--- {image: nodejs}\n", ""},
		"text in a block": {"apiVersion: v1\nkind: ConfigMap\ndata:\n  pod: |\n    kind: Pod\n    image: nodejs:20\n", ""},
		"empty":           {"", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if test.want == "" {
				test.want = test.in
			}
			w := rewriter(yaml.Options{Values: []string{"web.image", "sidecars[*].ref"}})
			res := rewrite(t, w, test.in)
			if string(res.Bytes) != test.want {
				t.Errorf("got\n%s\nwant\n%s", res.Bytes, test.want)
			}
			for _, r := range res.Reports {
				t.Errorf("%d:%d %s: %s", r.Line, r.Column, r.Path, r)
			}
			if (test.in != test.want) != (len(res.Changes) > 0) {
				t.Errorf("%d changes", len(res.Changes))
			}
			if again := rewrite(t, w, test.want); string(again.Bytes) != test.want {
				t.Errorf("the second time\n%s", again.Bytes)
			}
		})
	}
}

func TestWhatCannotChangeAloneIsReported(t *testing.T) {
	for name, test := range map[string]struct {
		in      string
		problem yaml.Problem
		where   string // line:column path
	}{
		"folded":     {pod("  - image: >-\n      nodejs:20\n"), yaml.ProblemBlock, "5:12 /spec/containers/0/image"},
		"literal":    {pod("  - image: |-\n      nodejs:20\n"), yaml.ProblemBlock, "5:12 /spec/containers/0/image"},
		"two lines":  {pod("  - image: \"nodejs\\\n      :20\"\n"), yaml.ProblemBlock, "5:12 /spec/containers/0/image"},
		"tag before": {pod("  - image: !!str\n      nodejs:20\n"), yaml.ProblemBlock, "5:12 /spec/containers/0/image"},
		"binary":     {pod("  - image: !!binary bm9kZWpz\n"), yaml.ProblemTag, "5:12 /spec/containers/0/image"},
		"own tag":    {pod("  - image: !mine nodejs\n"), yaml.ProblemTag, "5:12 /spec/containers/0/image"},
		"duplicate":  {pod("  - image: nodejs\n    image: nodejs\n"), yaml.ProblemDuplicate, "6:5 "},
		"JSON duplicate": {`{"kind":"Pod","apiVersion":"v1",
"spec":{"containers":[{"image":"nodejs","image":"nodejs"}]}}`, yaml.ProblemDuplicate, "2:41 "},
		"shared with a name": {pod("  - image: nodejs\n    name: &n nodejs\n  - image: *n\n"), yaml.ProblemShared,
			"6:11 /spec/containers/1/image"},
		"merged from outside": {"x: &x {image: nodejs}\n" + pod("  - <<: *x\n"), yaml.ProblemShared,
			"1:15 /spec/containers/0/image"},
		"shared across spaces": {"kind: List\napiVersion: v1\nitems:\n- {kind: Pod, apiVersion: v1, spec: {containers: [{image: &i nodejs}]}}\n- {kind: Pod, apiVersion: v1, metadata: {namespace: other}, spec: {containers: [{image: *i}]}}\n", yaml.ProblemShared, "4:59 /items/0/spec/containers/0/image"},
		"endless":              {pod("  - &c {image: nodejs, c: *c}\n"), yaml.ProblemAliases, "5:27 "},
		"many": {"a: &a [1,1,1,1,1,1,1,1,1,1]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n" +
			"e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nimage: x\n", yaml.ProblemAliases, ""},
		"syntax":          {"a: b\n---\n" + pod("  - image: nodejs\n") + " }}\n", yaml.ProblemSyntax, ""},
		"helm":            {"{{- if .Values.image }}\nkind: Pod\n{{- end }}\n", yaml.ProblemSyntax, ""},
		"bad merge":       {pod("  - image: nodejs\n    <<: x\n"), yaml.ProblemSyntax, "6:9 "},
		"UTF-16":          {"\xFE\xFF\x00a", yaml.ProblemEncoding, "1:1 "},
		"UTF-16, no mark": {"i\x00m\x00a\x00g\x00e\x00:\x00", yaml.ProblemEncoding, "1:1 "},
		"template":        {"apiVersion: v1\nkind: ReplicationController\nspec: {image: x}\n", yaml.ProblemObject, "1:1 "},
		"new name":        {"kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1\nimages:\n- name: nodejs\n  newTag: '20'\n", yaml.ProblemNoName, "5:11 /images/0"},
		"new tag":         {"kind: Kustomization\napiVersion: kustomize.config.k8s.io/v1\nimages:\n- name: org/x\n  newName: nodejs\n", yaml.ProblemNoTag, "5:12 /images/0"},
		"no digest":       {"web:\n  image:\n    repository: nodejs\n    tag: '20'\n", yaml.ProblemNoDigest, "3:17 /web/image"},
		"no tag":          {"web:\n  image:\n    repository: nodejs\n    digest: ''\n", yaml.ProblemNoTag, "3:17 /web/image"},
	} {
		t.Run(name, func(t *testing.T) {
			res := rewrite(t, rewriter(yaml.Options{Values: []string{"web.image"}}), test.in)
			if len(res.Reports) == 0 || res.Reports[0].Problem != test.problem {
				t.Fatalf("reports %+v in\n%s", res.Reports, test.in)
			}
			r := res.Reports[0]
			if where := fmt.Sprintf("%d:%d %s", r.Line, r.Column, r.Path); test.where != "" && where != test.where {
				t.Errorf("reported at %s, want %s: %s", where, test.where, r)
			}
			if name != "shared with a name" && string(res.Bytes) != test.in {
				t.Errorf("changed to\n%s", res.Bytes)
			}
		})
	}
}

// oracle is what becomes of the documents of a file if they are parsed, and rewritten as objects.
func oracle(ctx context.Context, src []byte, resolver *lookup.Resolver) (documents []any, ok bool) {
	documents, ok = parse(src)
	for i, document := range documents {
		documents[i] = oracleObject(ctx, document, resolver)
	}
	return documents, ok
}

func oracleObject(ctx context.Context, document any, resolver *lookup.Resolver) any {
	object, ok := document.(map[string]any)
	if !ok {
		return document
	}
	kind, _ := object["kind"].(string)
	items, isList := object["items"].([]any)
	if one, has := strings.CutSuffix(kind, "List"); has && isList {
		for i, item := range items {
			member, ok := item.(map[string]any)
			if !ok {
				continue
			}
			_, own := member["kind"]
			if !own && one != "" {
				member["kind"], member["apiVersion"] = one, object["apiVersion"]
			}
			items[i] = oracleObject(ctx, member, resolver)
		}
		return object
	}
	changes, err := resolver.Changes(ctx, object, "shop")
	if err != nil {
		return object
	}
	return lookup.Apply(object, changes)
}

// parse reads a whole file by the library alone.
func parse(src []byte) (documents []any, ok bool) {
	defer func() {
		if recover() != nil {
			ok = false
		}
	}()
	for decoder := goyaml.NewDecoder(bytes.NewReader(src)); ; {
		var node goyaml.Node
		if err := decoder.Decode(&node); errors.Is(err, io.EOF) {
			return documents, true
		} else if err != nil {
			return nil, false
		}
		readOldBools(&node)
		var document any
		if err := node.Decode(&document); err != nil {
			return nil, false
		}
		documents = append(documents, plain(document))
	}
}

var oldBool = regexp.MustCompile(`^([yY]|yes|Yes|YES|on|On|ON|[nN]|no|No|NO|off|Off|OFF)$`)

// readOldBools makes truth values of what are some in YAML 1.1: to the library they are texts.
func readOldBools(n *goyaml.Node) {
	if n.Kind == goyaml.ScalarNode && n.Style == 0 && n.Tag == "!!str" && oldBool.MatchString(n.Value) {
		n.Tag, n.Value = "!!bool", strconv.FormatBool(strings.ContainsAny(n.Value[:1], "yY") || strings.EqualFold(n.Value, "on"))
	}
	for _, child := range n.Content {
		readOldBools(child)
	}
}

// plain makes a tree of what has no types but those of JSON.
func plain(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for name := range value {
			value[name] = plain(value[name])
		}
		return value
	case map[any]any:
		m := map[string]any{}
		for name := range value {
			text, ok := name.(string)
			if !ok {
				text = fmt.Sprintf("%T %v", name, name)
			}
			m[text] = plain(value[name])
		}
		return m
	case []any:
		for i := range value {
			value[i] = plain(value[i])
		}
		return value
	case string, bool, nil:
		return value
	}
	return fmt.Errorf("%T %v", value, value) // no text
}

// check compares a rewritten file with what the oracle says.
func check(t testing.TB, src []byte, source world) *yaml.Result {
	t.Helper()
	res := rewrite(t, rewriterOf(source, yaml.Options{}), string(src))
	if len(res.Reports) > 0 {
		return res
	}
	want, ok := oracle(t.Context(), src, &lookup.Resolver{Source: source})
	if !ok {
		return res
	}
	got, ok := parse(res.Bytes)
	if !ok {
		t.Fatalf("cannot be parsed any more:\n%s\nwas\n%s", res.Bytes, src)
	}
	for i := range got {
		if list, ok := got[i].(map[string]any); ok && strings.HasSuffix(fmt.Sprint(list["kind"]), "List") {
			got[i] = oracleObject(t.Context(), got[i], &lookup.Resolver{Source: world{}}) // for the kinds of its items
		}
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("%q\nbecame\n%q\nof which the documents are\n%v, want\n%v", src, res.Bytes, got, want)
	}
	if again := rewrite(t, rewriterOf(source, yaml.Options{}), string(res.Bytes)); len(again.Changes) > 0 {
		for _, c := range again.Changes {
			if c.Image != "" {
				t.Fatalf("the second time changes %s to %s", c.From, c.To)
			}
		}
	}
	return res
}

var anyImage = regexp.MustCompile(`(?m)^([\s-]*image:\s*)(['"]?)([^\s'"#]+)(['"]?)`)

// TestFiles rewrites real manifests and our own: as they are, and with every image named by its short name.
func TestFiles(t *testing.T) {
	real, _ := filepath.Glob("../../../shared/data/manifests/*")
	own, _ := filepath.Glob("testdata/nasty/*")
	if len(own) < 5 {
		t.Fatalf("%d files in testdata/nasty", len(own))
	}
	for _, file := range append(real, own...) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			everywhere := world{namespaces: []string{"*"}, tags: shop.tags}
			t.Run("as it is", func(t *testing.T) { check(t, src, everywhere) })
			nothing := mustNew(&lookup.Resolver{Source: world{}}, yaml.Options{})
			if res := rewrite(t, nothing, string(src)); !bytes.Equal(res.Bytes, src) || len(res.Changes) > 0 {
				t.Error("it changed without streams")
			}
			if slices.Contains(real, file) {
				n := 0
				src = anyImage.ReplaceAllFunc(src, func(match []byte) []byte {
					n++
					return anyImage.ReplaceAll(match, []byte("${1}${2}short-"+strconv.Itoa(n)+":20${4}"))
				})
				if res := check(t, src, everywhere); len(res.Changes)+len(res.Reports) != n {
					t.Errorf("%d images, %d changes, %+v", n, len(res.Changes), res.Reports)
				}
			}
			onlyImages(t, src, rewrite(t, rewriterOf(everywhere, yaml.Options{}), string(src)))
		})
	}
}

// onlyImages writes the old references in the place of the new ones, which gives the old file.
func onlyImages(t *testing.T, src []byte, res *yaml.Result) {
	t.Helper()
	old := map[string]string{}
	for _, c := range res.Changes {
		old[c.To] = c.From
	}
	back := string(res.Bytes)
	for to, from := range old {
		back = strings.ReplaceAll(back, to, from)
	}
	if back != string(src) {
		t.Errorf("more changed than images:\n%s", res.Bytes)
	}
}

// TestLargeFile rewrites 5 MB of all that is nasty.
func TestLargeFile(t *testing.T) {
	files, _ := filepath.Glob("testdata/nasty/*.yaml")
	var all []byte
	for len(all) < 5<<20 {
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all = append(append(all, bytes.TrimPrefix(src, []byte("\uFEFF"))...), "\n---\n"...)
		}
	}
	w := rewriter(yaml.Options{})
	res := rewrite(t, w, string(all))
	onlyImages(t, all, res)
	if len(res.Changes) < 1000 || len(res.Reports) < 1000 {
		t.Errorf("%d changes, %d reports", len(res.Changes), len(res.Reports))
	}
	if again := rewrite(t, w, string(res.Bytes)); len(again.Changes) > 0 {
		t.Errorf("the second time %d changes", len(again.Changes))
	}
}

func FuzzRewrite(f *testing.F) {
	files, _ := filepath.Glob("testdata/nasty/*")
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Add([]byte(pod("  - image: &i nodejs:20\n  - <<: {image: *i}\n")))
	f.Add([]byte(pod("  - image: \"\\x6eodejs\"\n...\n---\n{kind: Pod, apiVersion: v1, spec: {containers: [image: nodejs]}}")))
	f.Add([]byte("kind: Pod\nspec:\n containers: [{image: y}]"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if len(src) > 1<<14 {
			t.Skip()
		}
		check(t, src, shop)
	})
}
