package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	sigsyaml "sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/lookup"
)

const exact = "quay.io/org/nodejs@sha256:e4b43f9fba6ff7cbc96f6cb7b3d17952978f582b41926a5597c36b29e5f5486e"

var _, exactID, _ = strings.Cut(exact, "@")

// world is a directory with streams, and files of its own.
func world(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "streams"), os.DirFS("testdata/streams")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func contents(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// wants runs the program and compares how it ends, and that what it prints has some texts.
func wants(t *testing.T, dir, args string, code int, texts ...string) string {
	t.Helper()
	got := program(t, dir, "", strings.Fields(args)...)
	end := fmt.Sprintf("(exit status %d)\n", code)
	if code == 0 && strings.Contains(got, "(exit status") || code != 0 && !strings.HasSuffix(got, end) {
		t.Errorf("rewrite %s does not end with %d:\n%s", args, code, got)
	}
	for _, text := range texts {
		if !strings.Contains(got, text) {
			t.Errorf("rewrite %s does not say %q:\n%s", args, text, got)
		}
	}
	return got
}

func podOf(image string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {namespace: shop}\nspec: {containers: [{image: '" + image + "'}]}\n"
}

// corpus has inputs that broke something, beside the repository.
const corpus = "../../../shared/cases/rewrite"

// TestCorpus runs every file there. The right answers are those of its README.
func TestCorpus(t *testing.T) {
	tests := map[string]func(t *testing.T, dir, name, text string){
		"kustomization-empty-digest.yaml": func(t *testing.T, dir, name, text string) {
			wants(t, dir, "-streams streams -namespace shop --in-place -f "+name, exitDone)
			want := strings.NewReplacer("newName: nodejs", "newName: quay.io/org/nodejs", `digest: ""`,
				`digest: "`+exactID+`"`).Replace(text)
			if got := contents(t, dir, name); got != want {
				t.Errorf("became\n%s", got)
			}
		},
		"kustomization-tags.yaml": func(t *testing.T, dir, name, text string) {
			wants(t, dir, "-streams streams -namespace shop --in-place -f "+name, exitDone,
				name+":6:11: nodejs stays: the value is not a text to those who read it: put it in quotes: newTag: 1.10\n",
				name+":16:14: nodejs:20 stays: a tagSuffix cannot be added to a digest: tagSuffix: -x\n")
			want := strings.Replace(text, "newName: nodejs\n  newTag: 20\n",
				"newName: quay.io/org/nodejs\n  digest: "+exactID+"\n", 1)
			if got := contents(t, dir, name); got != want {
				t.Errorf("became\n%s\nwant\n%s", got, want)
			}
		},
		"values-shapes.yaml": func(t *testing.T, dir, name, text string) {
			for letter, says := range map[string]string{
				"a": ":1:4: it is neither a text nor a mapping", "b": ":2:4: it is neither a text nor a mapping",
				"c": ":3:30: nodejs stays: the value is not a text", "d": ":4:38: docker.io/nodejs:20 stays: it is not resolved",
				"e": "+e: {registry: \"quay.io\", repository: org/nodejs, tag: \"20\", digest: \"" + exactID + "\"}",
				"f": ":6:17: nodejs:20 stays: the tag is not said here", "g": ":7:4: it is neither a text nor a mapping",
				"g[0]": "+g: [" + exact + "]", "h": ":8:4: it is neither a text nor a mapping",
			} {
				wants(t, dir, "-streams streams -namespace shop -f "+name+" -values "+letter, exitDone, says)
			}
			for _, path := range []string{"imag", "z", "a.b", "g[7]"} {
				wants(t, dir, "-streams streams -f "+name+" -values a -values "+path, exitError,
					"paths that lead to nothing in any file: "+path+"\n")
			}
		},
		"yaml12.yaml": func(t *testing.T, dir, name, text string) {
			wants(t, dir, "-streams streams -namespace shop --in-place -f "+name, exitDone)
			if got := contents(t, dir, name); got != strings.Replace(text, "nodejs:20", exact, 1) {
				t.Errorf("became\n%s", got)
			}
		},
		"rollout.yaml": func(t *testing.T, dir, name, text string) {
			got := wants(t, dir, "-streams streams --explain -f "+name, exitDone,
				"nodejs:20\n  objects of this kind are not looked at\n")
			if strings.Count(got, name) != 1 {
				t.Errorf("more than one line:\n%s", got)
			}
			wants(t, dir, "-streams streams --known-kinds --in-place -f "+name, exitDone)
			if got := contents(t, dir, name); got != strings.Replace(text, "nodejs:20", exact, 1) {
				t.Errorf("became\n%s", got)
			}
		},
		"pod-places.yaml": func(t *testing.T, dir, name, text string) {
			got := wants(t, dir, "-streams streams --explain -f "+name, exitDone)
			if strings.Count(got, "nodejs:20\n  this place is not looked at\n") != 2 {
				t.Errorf("not a line for each place:\n%s", got)
			}
			wants(t, dir, "-streams streams --ephemeral-containers --image-volumes --in-place -f "+name, exitDone)
			if got := contents(t, dir, name); got != strings.ReplaceAll(text, "nodejs:20", exact) {
				t.Errorf("became\n%s", got)
			}
		},
		"key-twice.yaml": func(t *testing.T, dir, name, text string) {
			for _, mode := range []string{"", "--check", "--in-place", "--explain"} {
				wants(t, dir, "-streams streams -f "+name+" "+mode, exitSkipped,
					name+":7:3: skipped: a key stands twice in a mapping: selector\n")
			}
			if got := contents(t, dir, name); got != text {
				t.Errorf("became\n%s", got)
			}
		},
		"bom-second.yaml": func(t *testing.T, dir, name, text string) {
			wants(t, dir, "-streams streams -namespace shop --in-place -f "+name, exitDone)
			if got := contents(t, dir, name); got != strings.ReplaceAll(text, "nodejs:20", exact) ||
				!strings.Contains(got, "\uFEFF") {
				t.Errorf("became\n%s", got)
			}
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(filepath.Join(corpus, name))
			if err != nil {
				t.Skip(err)
			}
			test(t, world(t, map[string]string{name: string(text)}), name, string(text))
		})
	}
	files, _ := filepath.Glob(filepath.Join(corpus, "*"))
	for _, file := range files {
		if tests[filepath.Base(file)] == nil {
			t.Errorf("%s has no test", file)
		}
	}
}

// TestTagsAreWhatKustomizeAndHelmRead reads them with sigs.k8s.io/yaml, as these do.
func TestTagsAreWhatKustomizeAndHelmRead(t *testing.T) {
	for _, text := range strings.Fields(`20 0 7 999999 1000000 20230101 1.10 1.1 2020-01-01 2020-01-01T00 8e10 8e+10 1e3 553640e6 0x14 020 08 0o20 0b1 1_000
		+1 -1 .5 1. .inf -.Inf .NaN true True yes Yes y n no off OFF on ~ null Null v1 1.2.3 1.2.3-rc.1 '20' "1.10" latest infinity nan e5 0x 1e 12e`) {
		var read struct{ Tag any }
		if err := sigsyaml.Unmarshal([]byte("tag: "+text), &read); err != nil {
			read.Tag = err // infinity is nothing in JSON
		}
		want, _ := read.Tag.(string)
		if number, ok := read.Tag.(float64); ok && number >= 0 && number < 1e6 && number == float64(int(number)) &&
			fmt.Sprint(number) == text {
			want = text // Helm prints it so; that kustomize refuses it is said by kustomize
		}
		w, err := yaml.New(&lookup.Resolver{Source: lookup.Streams{}, Options: lookup.Options{Explain: true}},
			yaml.Options{Values: []string{"web"}})
		if err != nil {
			t.Fatal(err)
		}
		res, err := w.Rewrite(t.Context(), []byte("web: {repository: app, tag: "+text+"}"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range res.Decisions {
			if len(d.Tried) > 0 {
				got = d.Tried[0].Tag
			}
		}
		if read.Tag == nil {
			want = "latest" // no tag at all
		}
		if got != want {
			t.Errorf("%s is looked up as tag %q, and read as %v", text, got, read.Tag)
		}
	}
}

// TestKilledMidway kills the program after each file that it wrote. The lock has what decided it, the next run goes
// on, and nothing is left behind.
func TestKilledMidway(t *testing.T) {
	const n = 40
	files := map[string]string{}
	for i := range n {
		files[fmt.Sprintf("m/%02d.yaml", i)] = podOf("nodejs:20")
	}
	for _, after := range []int{1, 2, 7, n / 2, n - 1, n} {
		dir := world(t, files)
		cmd := exec.Command(os.Args[0], "-streams", "streams", "-f", "m", "--in-place", "--lock", "images.lock")
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "REWRITE_MAIN=yes")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for range after {
			lines.Scan()
		}
		cmd.Process.Kill()
		cmd.Wait()
		lock, err := yaml.ParseLock([]byte(contents(t, dir, "images.lock")))
		if err != nil || len(lock.Images) != 1 || lock.Images[0].Reference != exact {
			t.Fatalf("killed after %d files, the lock is %+v, %v", after, lock, err)
		}
		for name, before := range files {
			if got := contents(t, dir, name); got != before && got != podOf(exact) {
				t.Fatalf("killed after %d files, %s is\n%s", after, name, got)
			}
		}
		wants(t, dir, "-streams streams -f m --in-place --lock images.lock", exitDone)
		wants(t, dir, "-streams streams -f m --check", exitDone)
		if left, _ := filepath.Glob(filepath.Join(dir, "m", ".*")); len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// TestLeftoversAreClearedAway has what a run leaves that is killed between two system calls.
func TestLeftoversAreClearedAway(t *testing.T) {
	dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20"), "m/b.yaml": podOf(exact),
		"m/.rewrite-a.yaml": "half", "m/.rewrite-b.yaml": "half"})
	wants(t, dir, "-streams streams -f m", exitDone)
	if contents(t, dir, "m/.rewrite-a.yaml") != "half" {
		t.Error("a run that writes nothing removed a file")
	}
	wants(t, dir, "-streams streams -f m --in-place", exitDone, "m/a.yaml: 1 changed")
	if left, _ := filepath.Glob(filepath.Join(dir, "m", ".*")); len(left) > 0 ||
		contents(t, dir, "m/a.yaml") != podOf(exact) {
		t.Errorf("left behind: %v", left)
	}
}

// TestChangedByAnother is a file that somebody else wrote after it was read.
func TestChangedByAnother(t *testing.T) {
	name := filepath.Join(world(t, map[string]string{"a.yaml": "before"}), "a.yaml")
	target, err := prepare(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("meanwhile"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := target.replace([]byte("before"), []byte("after")); err == nil ||
		!strings.Contains(err.Error(), "changed by somebody else") {
		t.Error(err)
	}
	if got := contents(t, name); got != "meanwhile" {
		t.Errorf("it became %s", got)
	}
}

func TestSkippedDocumentsEndWithAnotherCode(t *testing.T) {
	for name, text := range map[string]string{
		"twice": "a: {image: x}\na: {image: x}\n", "syntax": "{{- if .Values.image }}\nimage: x\n{{- end }}\n",
		"version": "%YAML 2.0\n---\nimage: x\n",
		"deep":    `{"image":` + strings.Repeat("[", 20_000), "UTF-16": "\xFF\xFEi\x00",
		"no template": "apiVersion: v1\nkind: ReplicationController\nmetadata: {name: image}\n",
	} {
		dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20"), "m/b.yaml": text})
		wants(t, dir, "-streams streams -f m --check", exitSkipped, "m/b.yaml:", "skipped:", "+++ m/a.yaml")
		wants(t, dir, "-streams streams -f m --in-place", exitSkipped, "m/b.yaml:", "skipped:", "m/a.yaml: 1 changed")
		if contents(t, dir, "m/b.yaml") != text {
			t.Errorf("%s was written", name)
		}
	}
}

func TestRequireFailsIfAShortNameStays(t *testing.T) {
	dir := world(t, map[string]string{
		"good.yaml": podOf("nodejs:20") + "---\n" + podOf("quay.io/org/proxy:v1") + "---\n" + podOf("org/app"),
		"bad.yaml":  podOf("nodejs:22") + "---\n" + podOf("private") + "---\n" + podOf("my.app:20"),
		"kind.yaml": "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nspec: {template: {spec: {containers: [{image: nodejs:20}]}}}\n",
	})
	wants(t, dir, "-streams streams -f good.yaml --require", exitDone)
	got := wants(t, dir, "-streams streams -f bad.yaml --require", exitStays,
		"bad.yaml:4:29: nodejs:22 stays: the tag has no image", "private stays: the image stream is not for local lookup",
		"my.app:20 stays: it reads as the host")
	if strings.Contains(got, "whether") {
		t.Errorf("explains, too:\n%s", got)
	}
	wants(t, dir, "-streams streams -f bad.yaml", exitDone)
	wants(t, dir, "-streams streams -f kind.yaml --require", exitStays,
		"nodejs:20 stays: objects of this kind are not looked at")
}

func TestLockedFailsIfTheLockLacksOne(t *testing.T) {
	dir := world(t, map[string]string{"a.yaml": podOf("nodejs:20") + "---\n" + podOf("private"),
		"b.yaml": podOf("nodejs:22")})
	wants(t, dir, "-streams streams -f a.yaml --lock images.lock", exitDone)
	wants(t, dir, "--locked --lock images.lock -f a.yaml --check", exitChanges)
	wants(t, dir, "--locked --lock images.lock -f a.yaml -f b.yaml --in-place", exitError,
		"b.yaml:4:29: images.lock says nothing about nodejs:22")
	if !strings.Contains(contents(t, dir, "a.yaml"), "'nodejs:20'") {
		t.Error("a file was written")
	}
	wants(t, dir, "--locked --allow-unlocked --lock images.lock -f a.yaml -f b.yaml --in-place", exitDone)
	if got := contents(t, dir, "a.yaml"); got != podOf(exact)+"---\n"+podOf("private") {
		t.Errorf("became\n%s", got)
	}
}

// TestFlagsForKindsAndPaths has what the library can do and no flag did.
func TestFlagsForKindsAndPaths(t *testing.T) {
	const shopKind = "apiVersion: example.com/v1\nkind: Shop\nmetadata: {namespace: shop}\nspec: {windows: [{glass: nodejs:20}]}\n"
	const helm = "apiVersion: helm.toolkit.fluxcd.io/v2\nkind: HelmRelease\nmetadata: {namespace: shop}\n" +
		"spec: {values: {image: nodejs:20, job: {ref: nodejs:20}}}\n"
	for name, test := range map[string]struct {
		text, args, want string
	}{
		"a path":        {shopKind, "-path example.com/Shop:spec.windows[*].glass", strings.ReplaceAll(shopKind, "nodejs:20", exact)},
		"no path":       {shopKind, "", shopKind},
		"a HelmRelease": {helm, "--known-kinds", strings.Replace(helm, "nodejs:20", exact, 1)},
		"and its paths": {helm, "--known-kinds -values job.ref", strings.ReplaceAll(helm, "nodejs:20", exact)},
		"no kinds":      {helm, "", helm},
	} {
		dir := world(t, map[string]string{"a.yaml": test.text})
		wants(t, dir, "-streams streams -f a.yaml --in-place "+test.args, exitDone)
		if got := contents(t, dir, "a.yaml"); got != test.want {
			t.Errorf("%s: became\n%s", name, got)
		}
	}
}

func TestArgumentsThatMeanNothing(t *testing.T) {
	dir := world(t, map[string]string{"a.yaml": podOf("nodejs:20"), "a.txt": "image: nodejs\n", "m/a.txt": "x",
		"kustomization": "kind: Kustomization\n"})
	for args, says := range map[string]string{
		"-namespace|Bad NS|-f|a.yaml":    `namespace "Bad NS"`,
		"-search|a.b|-f|a.yaml":          `namespace "a.b"`,
		"-values|a..b|-f|a.yaml":         `path "a..b"`,
		"-values||-f|a.yaml":             `path ""`,
		"-values|a[|-f|a.yaml":           `path "a["`,
		"-path|a|-f|a.yaml":              "GROUP/KIND:PATH is wanted",
		"-path|x/Y:a..b|-f|a.yaml":       `path "a..b"`,
		"-path|x/Y:a.b|-f|a.yaml":        "lead to nothing in any file: x/Y:a.b",
		"-registry|a b|-f|a.yaml":        `-registry "a b"`,
		"-registry|shop|-f|a.yaml":       `-registry "shop"`,
		"-f|a.txt":                       "-f a.txt: a file that ends in .yaml",
		"-f|m":                           "m has no files that end in",
		"-f|a.yaml|more":                 `["more"]: files are named with -f`,
		"-allow-unlocked|-f|a.yaml":      "--allow-unlocked is for --locked",
		"-f|a.yaml|--in-place|--explain": "--check and --explain write nothing",
		"-f|a.yaml|--in-place=perhaps":   "invalid boolean value",
	} {
		got := program(t, dir, "", append([]string{"-streams", "streams"}, strings.Split(args, "|")...)...)
		if !strings.Contains(got, says) || !strings.HasSuffix(got, "(exit status 2)\n") {
			t.Errorf("rewrite %s:\n%s\nwant %s", args, got, says)
		}
	}
	wants(t, dir, "-streams streams -f kustomization", exitDone)
}

// TestLargeFileIsSkipped beside others.
func TestLargeFileIsSkipped(t *testing.T) {
	dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20"), "m/z.json": ""})
	if err := os.Truncate(filepath.Join(dir, "m/z.json"), 65<<20); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "-streams streams -f m --in-place", exitSkipped, "m/z.json: skipped: it has more than", "m/a.yaml: 1 changed")
}

// TestTooMuchStandardInput prints no half of it.
func TestTooMuchStandardInput(t *testing.T) {
	var out, errOut bytes.Buffer
	code := run(t.Context(), []string{"-streams", "testdata/streams", "-f", "-"}, endless{}, &out, &errOut)
	if code != exitError || out.Len() > 0 || !strings.Contains(errOut.String(), "standard input: it has more than") {
		t.Errorf("%d, %d bytes, %s", code, out.Len(), errOut.String())
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, strings.Repeat("#", min(len(p), 64<<10))), nil
}

// TestFlagsAreInTheManual keeps the package comment true.
func TestFlagsAreInTheManual(t *testing.T) {
	manual, _, _ := strings.Cut(contents(t, "main.go"), "package main")
	var o options
	usage := &bytes.Buffer{}
	flags := o.flags(usage)
	flags.PrintDefaults()
	for _, name := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(usage.String(), -1) {
		switch name[1] {
		case "namespace", "search", "registry": // said by the usage alone
			continue
		}
		if !strings.Contains(manual, "-"+name[1]) {
			t.Errorf("-%s is not in the manual", name[1])
		}
	}
}
