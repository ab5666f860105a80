package clients

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/imagestreams/imagestreams/imagestream/oc"
)

func TestTranscriptIsWrittenAsItIsRead(t *testing.T) {
	const text = `# It begins.
% push a/b:c A
$ oc tag a b
out

more
2> err
exit 1
$ oc nothing

# It goes on,
# in two lines.
$ oc get is
x

# It ends.
`
	s := parseScript(text)
	if got := s.String(); got != text {
		t.Error(cmp.Diff(text, got))
	}
	want := []step{
		{text: "# It begins.", prompt: "%", command: "push a/b:c A"},
		{prompt: "$", command: "oc tag a b", want: "out\n\nmore\n2> err\nexit 1"},
		{prompt: "$", command: "oc nothing"},
		{text: "# It goes on,\n# in two lines.", prompt: "$", command: "oc get is", want: "x"},
	}
	if diff := cmp.Diff(want, s.steps, cmp.AllowUnexported(step{})); diff != "" {
		t.Error(diff)
	}
	r := result{stdout: "out \n\nmore\n\n", stderr: "err\n", exit: 1}
	if diff := cmp.Diff(want[1].want, r.lines()); diff != "" {
		t.Error(diff)
	}
}

func TestCommandsAreRead(t *testing.T) {
	const all = "default"
	for typed, want := range map[string]command{
		"oc tag -d a:1 -n shop":     {[]string{"tag", "a:1"}, "shop", oc.Flags{"delete": {"true"}}},
		"oc tag x a:1 --source tag": {[]string{"tag", "x", "a:1"}, all, oc.Flags{"source": {"tag"}}},
		"kubectl get is -A -o wide": {
			[]string{"get", "is"}, all, oc.Flags{"all-namespaces": {"true"}, "output": {"wide"}},
		},
		"oc import-image a --from=q/b:1 --confirm": {
			[]string{"import-image", "a"}, all, oc.Flags{"from": {"q/b:1"}, "confirm": {"true"}},
		},
		"oc set image-lookup a --enabled=false": {
			[]string{"set", "image-lookup", "a"}, all, oc.Flags{"enabled": {"false"}},
		},
	} {
		typedWords, ok := words(typed)
		got, isCommand := parse(typedWords)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(command{})); !ok || !isCommand || diff != "" {
			t.Errorf("%s: %v, %v\n%s", typed, ok, isCommand, diff)
		}
	}
	for _, typed := range []string{"oc get is | cat", "ls -l", "oc apply -f x.yaml", "oc --context a get is"} {
		if typedWords, ok := words(typed); ok {
			if c, ok := parse(typedWords); ok {
				t.Errorf("%s is read as %v", typed, c)
			}
		}
	}
}
