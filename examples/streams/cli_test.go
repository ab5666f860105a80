package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/tagevent"
)

// contains checks that what the program writes has a text, and not another one.
func contains(t *testing.T, out, want, not string) {
	t.Helper()
	if !strings.Contains(out, want) {
		t.Errorf("it writes\n%s\nwithout %q", out, want)
	}
	if not != "" && strings.Contains(out, not) {
		t.Errorf("it writes\n%s\nwith %q", out, not)
	}
}

func TestHintsAreTrue(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "empty")
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:v1")
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:ref", "--reference")
	streams(t, dir, "-n", "other", "create", "there")
	for _, c := range []struct{ args, want, not string }{
		{"describe app:v1", "'streams import app:v1' imports it, and 'streams explain app:v1' tells why", "did you mean"},
		{"describe app:ref", "'streams explain app:ref' tells why it has no image", "imports it"},
		{"get istag app:v1", "tells why it has no image", "did you mean"},
		{"get istag empty:v1", `the stream "empty" has no tags`, "namespace \"default\" has no streams"},
		{"history empty:v1", `the stream "empty" has no tags`, "has no streams"},
		{"get images sha256:12", "'streams get images' lists", "did you mean"},
		{"describe other/ther", `did you mean "other/there"?`, "has no streams"},
		{"describe other/nothing-like-it", "'streams get' lists", "has no streams"},
		{"-n none describe app", `the namespace "none" has no streams`, ""},
		{"rollback ap:v1", `did you mean "app"?`, "shows how far"},
		{"describe app@sha256:12", "shows the images that it had", "did you mean"},
	} {
		contains(t, streams(t, dir, strings.Fields(c.args)...), c.want, c.not)
	}
}

func TestUsageErrorsEndWith2AndNameTheArgument(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "app")
	for args, want := range map[string]string{
		"history":                         "STREAM:TAG",
		"history app":                     `"app"`,
		"history app:v1 v2":               `"v2"`,
		"history app:v1:v2":               `"v1:v2"`,
		"describe App:v1":                 `"App:v1"`,
		"describe app -o png":             "--output=png",
		"history app:v1 -o png":           "--output=png",
		"get is/app istag/app:v1":         `"istag/app:v1"`,
		"get no/app":                      `"no/app"`,
		"describe a_/b/c":                 `"a_/b/c"`,
		"untag :":                         `":"`,
		"untag App:v1":                    `"App"`,
		"delete :":                        `":"`,
		"delete App":                      `"App"`,
		"explain App":                     `"App"`,
		"history App -o svg":              `"App"`,
		"describe @":                      `""`,
		"describe Bad/app":                `"Bad/app"`,
		"import quay.io/org/app:v1":       `"quay.io/org/app:v1"`,
		"import Bad/app:v1":               `"Bad/app:v1"`,
		"get pods":                        `"pods"`,
		"get is app -A":                   `"app"`,
		"get -o table":                    "--output=table",
		"import":                          "STREAM[:TAG]",
		"import app:v1 app:v2":            `"app:v2"`,
		"import app:v1 --import-mode=all": "--import-mode=all",
		"import app@sha256:12":            `"app@sha256:12"`,
		"tag":                             "SOURCE and DEST",
		"tag quay.io/org/app:v1":          "SOURCE and DEST",
		"tag --nope":                      "--nope",
		"tag --delete":                    "STREAM:TAG",
		"create":                          "NAME",
		"create app b":                    `"b"`,
		"untag":                           "STREAM:TAG",
		"untag app":                       `"app"`,
		"pin app":                         `"app"`,
		"pin app:v1 sha256:1 more":        `"more"`,
		"pin app:v1 --for=-1h":            "--for=-1h0m0s",
		"pin app:v1 --for=0":              "--for=0s",
		"pin app:v1 --for=soon":           "--for",
		"rollback app:v1 --events=-1":     "--events=-1",
		"rollback app:v1 --events=0":      "--events=0",
		"rollback app:v1 --events=1 --to=sha256:1": "--to=sha256:1",
		"resume":                     "STREAM:TAG",
		"unpin app":                  `"app"`,
		"explain":                    "STREAM:TAG",
		"delete":                     "STREAM",
		"set-lookup is/app":          `"is/app"`,
		"set-lookup app --enabled=x": "--enabled",
		"apply":                      "--filename",
		"apply x.yaml":               `"x.yaml"`,
		"export -o xml":              "--output=xml",
		"run now":                    `"now"`,
		"run --interval=0":           "--interval=0s",
		"histroy app:v1":             `"histroy"; did you mean "history"?`,
		"xyzzy":                      `"xyzzy"`,
		"help xyzzy":                 `"xyzzy"`,
		"completion tcsh":            `"tcsh"`,
		"completion bash now":        `"now"`,
		"-n Bad_NS get":              "--namespace=Bad_NS",
	} {
		out := streams(t, dir, strings.Fields(args)...)
		if first, _, _ := strings.Cut(out, "\n"); !strings.Contains(first, want) || !strings.HasPrefix(first, "error: ") {
			t.Errorf("%s: the first line is %q, without %q", args, first, want)
		}
		contains(t, out, "(exit status 2)", "")
	}
}

func TestMessagesSayTheCommandThatWasTyped(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string][2]string{
		"import":       {"see 'streams import --help'", "import-image"},
		"import-image": {"see 'streams import-image --help'", "streams import "},
		"xyzzy":        {"see 'streams --help'", "streams streams"},
		"completion x": {"see 'streams completion --help'", ""},
		"untag app":    {"see 'streams untag --help'", "tag --delete"},
	} {
		contains(t, streams(t, dir, strings.Fields(args)...), want[0], want[1])
	}
}

func TestObjectsAndLists(t *testing.T) {
	dir := t.TempDir()
	type object struct {
		Kind, APIVersion string
		Items            []object
	}
	read := func(args ...string) object {
		t.Helper()
		var o object
		out := streams(t, dir, args...)
		if err := json.Unmarshal([]byte(out), &o); err != nil {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
		return o
	}
	streams(t, dir, "create", "app")
	streams(t, dir, "tag", "quay.io/org/other:v1", "other:v1", "--reference")
	if o := read("get", "is", "app", "-o", "json"); o.Kind != "ImageStream" || o.APIVersion != "image.openshift.io/v1" {
		t.Errorf("one stream is a %+v", o)
	}
	if o := read("get", "is", "-o", "json"); o.Kind != "List" || o.APIVersion != "v1" || len(o.Items) != 2 ||
		o.Items[1].Kind != "ImageStream" {
		t.Errorf("two streams are a %+v", o)
	}
	if o := read("get", "is", "other", "app", "-o", "json"); o.Kind != "List" || len(o.Items) != 2 {
		t.Errorf("two streams by name are a %+v", o)
	}
	if o := read("get", "is/app", "-o", "json"); o.Kind != "ImageStream" {
		t.Errorf("is/app is a %+v", o)
	}
	if o := read("get", "itag", "-o", "json"); o.Kind != "List" || len(o.Items) != 1 || o.Items[0].Kind != "ImageTag" {
		t.Errorf("image tags are a %+v", o)
	}
	if o := read("get", "images", "-o", "json"); o.Kind != "List" || o.Items == nil {
		t.Errorf("no images are a %+v, want a List with items", o)
	}
	if o := read("describe", "other", "-o", "json"); o.Kind != "ImageStream" {
		t.Errorf("a stream is described as a %+v", o)
	}
	contains(t, streams(t, dir, "get", "is", "app", "-o", "yaml"), "kind: ImageStream\n", "kind: List")
	contains(t, streams(t, dir, "get", "is", "-o", "yaml"), "kind: List\n", "")
	contains(t, streams(t, dir, "describe", "app", "-o", "yaml"), "kind: ImageStream\n", "")
	contains(t, streams(t, dir, "history", "other:v1", "-o", "yaml"), "tag: v1\n", "error")
	contains(t, streams(t, dir, "history", "other:v1", "-o", "json"), `"tag": "v1"`, "error")
}

func TestGetOfAllNamespacesNamesThem(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "app")
	streams(t, dir, "-n", "shop", "tag", "quay.io/org/app:v1", "app:v1")
	for args, want := range map[string]string{
		"get -A": "NAMESPACE   NAME   IMAGE REPOSITORY   TAGS   UPDATED\ndefault     app                              " +
			"\nshop        app",
		"get itag -A": "NAMESPACE   NAME",
	} {
		contains(t, streams(t, dir, strings.Fields(args)...), want, "error")
	}
	contains(t, streams(t, dir, "get"), "NAME", "NAMESPACE")
}

// TestPublishedFilesAreApplied applies every file that operators and libraries of streams publish, twice.
func TestPublishedFilesAreApplied(t *testing.T) {
	files, err := filepath.Glob("../../../shared/data/imagestreams/*.json")
	if err != nil || len(files) == 0 {
		t.Skip("the published files are not there")
	}
	dir := t.TempDir()
	for _, file := range files {
		out := streams(t, dir, "apply", "-f", file)
		if strings.Contains(out, "error") || !strings.HasPrefix(out, "imagestream.image.openshift.io/") {
			t.Errorf("%s: %s", file, out)
		}
		if out := streams(t, dir, "apply", "-f", file); !strings.HasSuffix(out, " unchanged\n") {
			t.Errorf("%s, again: %s", file, out)
		}
	}
	t.Logf("%d files", len(files))
}

// write puts a text into a file of its own.
func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const twoStreams = `apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ImageStream
  metadata: {name: one, labels: {a: b}}
  spec:
    tags:
    - {name: v1, from: {kind: DockerImage, name: "quay.io/org/one:v1"}}
    - {name: v2, from: {kind: DockerImage, name: "quay.io/org/one:v2"}}
- apiVersion: image.openshift.io/v1
  kind: ImageStream
  metadata: {name: two}
`

func TestApplyRemovesWhatAnEarlierFileSet(t *testing.T) {
	dir := t.TempDir()
	contains(t, streams(t, dir, "apply", "-f", write(t, twoStreams)),
		"imagestream.image.openshift.io/one created\nimagestream.image.openshift.io/two created\n", "error")
	streams(t, dir, "tag", "quay.io/org/one:v3", "one:v3")
	less := strings.Replace(strings.Replace(twoStreams,
		"    - {name: v1, from: {kind: DockerImage, name: \"quay.io/org/one:v1\"}}\n", "", 1), "a: b", "a: c", 1)
	contains(t, streams(t, dir, "apply", "-f", write(t, less)),
		"one configured\nimagestream.image.openshift.io/two unchanged\n", "error")
	out := streams(t, dir, "export", "one")
	contains(t, out, "quay.io/org/one:v2", "quay.io/org/one:v1")
	contains(t, out, "quay.io/org/one:v3", "")
	contains(t, out, "a: c", "a: b")
}

func TestApplyReadsAllBeforeItWrites(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"another kind", twoStreams + "---\nkind: Pod\napiVersion: v1\n",
			`document 2: kind "Pod" of apiVersion "v1": want ImageStream`},
		{"another version", "kind: ImageStream\napiVersion: image.openshift.io/v2\nmetadata: {name: x}\n",
			`"image.openshift.io/v2"`},
		{"a field that is not there", "kind: ImageStream\napiVersion: v1\nmetadata: {name: x}\nspec: {tag: []}\n",
			`unknown field "tag"`},
		{"no name", "kind: ImageStream\napiVersion: v1\n", "metadata.name is missing"},
		{"a key twice", twoStreams + "---\nkind: List\nkind: List\napiVersion: v1\n", "document 2"},
		{"no document", "# nothing\n", "it has no image streams"},
		{"half of JSON", `{"kind": "List"`, "document 1"},
	} {
		dir := t.TempDir()
		out := streams(t, dir, "apply", "-f", write(t, c.text))
		contains(t, out, c.want, "")
		contains(t, out, "(exit status 1)", "created")
		contains(t, streams(t, dir, "get"), "NAME", "one")
	}
	dir := t.TempDir()
	text := "kind: ImageStream\napiVersion: v1\nmetadata: {name: x, namespace: shop}\n"
	contains(t, streams(t, dir, "-n", "other", "apply", "-f", write(t, text)), "--namespace=other does not match",
		"created")
	contains(t, streams(t, dir, "apply", "-f", write(t, text)), "x created", "error")
	contains(t, streams(t, dir, "-n", "shop", "get"), "x", "error")
}

func TestExportIsWhatApplyMakes(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	streams(t, from, "apply", "-f", write(t, twoStreams))
	streams(t, from, "set-lookup", "two")
	for _, output := range []string{"yaml", "json"} {
		exported := streams(t, from, "export", "-o", output)
		contains(t, exported, "List", "uid")
		contains(t, exported, "local", "last-applied")
		streams(t, to, "apply", "-f", write(t, exported))
		if again := streams(t, to, "export", "-o", output); again != exported {
			t.Errorf("exported\n%s\napplied and exported\n%s", exported, again)
		}
	}
}

func TestDeleteAndSetLookup(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:v1", "app:v2")
	contains(t, streams(t, dir, "set-lookup", "app"), "imagestream.image.openshift.io/app image lookup updated\n", "error")
	contains(t, streams(t, dir, "set-lookup", "--list"), "app   true", "error")
	contains(t, streams(t, dir, "set-lookup", "app", "--list"), "true", "error")
	contains(t, streams(t, dir, "set-lookup", "app", "--enabled=false"), "updated", "error")
	contains(t, streams(t, dir, "set-lookup"), "app   false", "error")
	contains(t, streams(t, dir, "delete", "app:v1"), "Deleted tag default/app:v1.", "error")
	contains(t, streams(t, dir, "get", "itag"), "app:v2", "\napp:v1")
	contains(t, streams(t, dir, "delete", "app", "App"), `"App"`, "deleted")
	contains(t, streams(t, dir, "untag", "app:v2", "App:v1"), `"App:v1"`, "Deleted")
	contains(t, streams(t, dir, "delete", "ap"), `did you mean "app"?`, "deleted\n")
	contains(t, streams(t, dir, "delete", "app"), `imagestream.image.openshift.io "app" deleted`, "error")
	contains(t, streams(t, dir, "get"), "NAME", "app")
}

// TestPlainRegistry imports from one that has no TLS.
func TestPlainRegistryGetsTheFlagThatHelps(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	dir := t.TempDir()
	host := strings.TrimPrefix(server.URL, "http://")
	out := streams(t, dir, "import", "app:v1", "--from="+host+"/org/app:v1", "--confirm")
	contains(t, out, "--insecure", "")
	contains(t, out, "(exit status 1)", "")
	out = streams(t, dir, "import", "app:v1", "--from="+host+"/org/app:v1", "--confirm", "--insecure")
	contains(t, out, "(exit status 1)", "--insecure")
}

// TestImportGoesIntoTheNamespaceThatIsTyped has a stream of the same name in the other one.
func TestImportGoesIntoTheNamespaceThatIsTyped(t *testing.T) {
	server := httptest.NewServer(nil)
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	dir := t.TempDir()
	streams(t, dir, "create", "app")
	out := streams(t, dir, "import", "shop/app:v1", "--confirm", "--from="+host+"/org/app:v1")
	contains(t, out, "Namespace:\t\tshop", "Namespace:\t\tdefault")
	contains(t, streams(t, dir, "get", "itag"), "NAME", "app:v1")
}

func TestImportsThatAllFailEndWith1(t *testing.T) {
	server := httptest.NewServer(nil)
	host := strings.TrimPrefix(server.URL, "http://")
	server.Close()
	dir := t.TempDir()
	streams(t, dir, "tag", host+"/org/app:v1", "app:v1", "app:v2")
	for _, args := range []string{
		"import app:v1", "import --all app", "import app:v1 --dry-run", "import new --confirm --all --from=" + host +
			"/org/app",
		"import other:v1 --confirm --from=" + host + "/org/app:v1",
	} {
		contains(t, streams(t, dir, strings.Fields(args)...), "(exit status 1)", "")
	}
}

func TestCompletionOffersOnlyWhatIsTaken(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "empty")
	streams(t, dir, "tag", "quay.io/org/app:v1", "app:v1")
	streams(t, dir, "tag", "app:v1", "app:alias", "--alias")
	streams(t, dir, "tag", "quay.io/org/app:ref", "app:ref", "--reference")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"get", ""}, "is\nistag\nitag\nimages\n"},
		{[]string{"get", "is", ""}, "app\nempty\n"},
		{[]string{"get", "is", "app", ""}, "empty\n"},
		{[]string{"get", "itag", "app:v"}, "app:v1\n"},
		{[]string{"get", "-A", "is", ""}, ":4\n"},
		{[]string{"create", ""}, ":4\n"},
		{[]string{"history", ""}, "app:\n"},
		{[]string{"history", "app:v1", ""}, ":4\n"},
		{[]string{"import", "app:"}, "app:alias\napp:v1\n"},
		{[]string{"import", "--all", "app:"}, ":4\n"},
		{[]string{"set-lookup", "--all", ""}, ":4\n"},
		{[]string{"describe", "--reasons", "app:"}, ":4\n"},
		{[]string{"describe", "-o", "svg", "app:"}, ":4\n"},
		{[]string{"unpin", ""}, ":6\n"},
		{[]string{"resume", "app:"}, ":4\n"},
		{[]string{"rollback", "app:"}, ":4\n"},
		{[]string{"untag", "app:v1", "app:"}, "app:alias\napp:ref\n"},
		{[]string{"delete", "app", ""}, "empty\n"},
		{[]string{"export", ""}, "app\nempty\n"},
		{[]string{"-n", ""}, "default\n"},
		{[]string{"import", "--import-mode", ""}, "Legacy\nPreserveOriginal\n"},
		{[]string{"tag", "--reference-policy", ""}, "source\nlocal\n"},
		{[]string{"get", "-o", ""}, "wide\njson\nyaml\n"},
		{[]string{"describe", "-o", ""}, "json\nyaml\nsvg\n"},
		{[]string{"history", "--output", ""}, "json\nyaml\nsvg\n"},
		{[]string{"export", "-o", ""}, "yaml\njson\n"},
		{[]string{"create", "--dry-run", ""}, "none\nclient\nserver\n"},
	} {
		out := streams(t, dir, append([]string{"__complete"}, c.args...)...)
		if got, _, _ := strings.Cut(out, ":4\n"); got != strings.TrimSuffix(c.want, ":4\n") &&
			!strings.HasPrefix(out, c.want) {
			t.Errorf("%q is completed by\n%swant\n%s", c.args, out, c.want)
		}
	}
}

// TestEnumsAreTaken gives every value that is offered to the command, which must not call it wrong.
func TestEnumsAreTaken(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "app")
	a := &app{}
	for _, cmd := range a.commands() {
		completeEnums(cmd)
		for _, flag := range []string{"output", "import-mode", "reference-policy", "dry-run"} {
			complete, ok := cmd.GetFlagCompletionFunc(flag)
			if !ok {
				continue
			}
			values, _ := complete(cmd, nil, "")
			for _, value := range values {
				args := map[string][]string{
					"create": {"x", "--dry-run=client"}, "tag": {"quay.io/org/app:v1", "app:v1"}, "import": {"nope"}, "get": {"is"},
					"describe": {"app"}, "history": {"app:v1"}, "export": {"app"}, "set-lookup": {"app"},
				}[cmd.Name()]
				run := &app{out: io.Discard, errOut: io.Discard}
				all := append(append([]string{cmd.Name()}, args...), "--"+flag+"="+value)
				if err := run.run(context.Background(), all); errors.Is(err, oc.ErrUsage) {
					t.Errorf("%q: %v", all, err)
				}
			}
		}
	}
}

func TestApplyReadsTheStandardInput(t *testing.T) {
	dir := t.TempDir()
	streams(t, dir, "create", "app")
	var out strings.Builder
	a := &app{in: strings.NewReader(twoStreams), out: &out, errOut: &out}
	if code := a.main(t.Context(), []string{"apply", "-f", "-"}); code != 0 {
		t.Errorf("it ends with %d", code)
	}
	contains(t, out.String(), "one created", "error")
	contains(t, streams(t, dir, "export"), "name: two", "error")
}

func TestPinsTellUntilWhen(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	held := tagevent.Event{DockerImageReference: "quay.io/org/app:v2"}
	for want, pin := range map[string]imagestream.TagPin{
		"pinned to sha256:12, for ever": {},
		"pinned to sha256:12, until 2026-01-02T03:04:06Z: why": {
			Until: tagevent.TimeOf(now.Add(time.Second)), Reason: "why",
		},
		"pinned to sha256:12, ended 2026-01-02T03:04:05Z; holds back quay.io/org/app:v2": {
			Until: tagevent.TimeOf(now), Held: &held,
		},
	} {
		pin.Event.Image = "sha256:12"
		if got := pinText(pin, now); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestUntagDeletesWhatCannotBeSet(t *testing.T) {
	dir := t.TempDir()
	text := `{kind: ImageStream, apiVersion: v1, metadata: {name: app}, spec: {tags: [
  {name: "a:b", from: {kind: DockerImage, name: x/y}}, {name: "", from: {kind: DockerImage, name: x/y}}]}}`
	contains(t, streams(t, dir, "apply", "-f", write(t, "# YAML\n"+text)), "app created", "error")
	contains(t, streams(t, dir, "untag", "app:a:b", "app:"), "Deleted tag default/app:a:b.", "error")
	contains(t, streams(t, dir, "get", "itag"), "NAME", "app:")
}
