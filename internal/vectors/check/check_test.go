package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

// TestVectors runs every op that has a runner. What the library does not answer yet is listed by the command.
func TestVectors(t *testing.T) {
	ops, all, cases := map[string]bool{}, map[string]bool{}, 0
	for c, err := range vectors.All(committed()) {
		if err != nil {
			t.Fatal(err)
		}
		cases++
		all[c.Op] = true
		run, ok := runners[c.Op]
		if !ok {
			continue
		}
		ops[c.Op] = true
		if problems := check(c, run); len(problems) > 0 {
			t.Errorf("%s %s (%s)\n\t%s", c.Op, c.ID, c.Note, strings.Join(problems, "\n\t"))
		}
	}
	for op := range runners {
		if !ops[op] {
			t.Errorf("%s has a runner and no case", op)
		}
	}
	readme, err := os.ReadFile("../README.md")
	want := fmt.Sprintf("holds %d,%03d cases of %d operations", cases/1000, cases%1000, len(all))
	if err != nil || !strings.Contains(string(readme), want) {
		t.Errorf("README.md does not say that testdata %s, %v", want, err)
	}
}

// TestImportsAreTheSameWithHead runs the imports as the library makes them by default: by HEAD where the digest may be known, and
// several at a time. Where children of lists or configurations have faults, the answers could differ; in the cases they do not.
func TestImportsAreTheSameWithHead(t *testing.T) {
	mode := importMode{concurrency: 8}
	runs := map[string]runner{"import.run": runImport(mode), "import.sequence": runImports(mode)}
	cases := 0
	for c, err := range vectors.All(committed()) {
		if err != nil {
			t.Fatal(err)
		}
		if run, ok := runs[c.Op]; ok {
			cases++
			if problems := check(c, run); len(problems) > 0 {
				t.Errorf("%s %s (%s)\n\t%s", c.Op, c.ID, c.Note, strings.Join(problems, "\n\t"))
			}
		}
	}
	if cases < 500 {
		t.Errorf("%d imports", cases)
	}
}

func TestCheckReports(t *testing.T) {
	type list struct{ Items []int }
	sum := func(c *call) (any, error) {
		var in list
		if err := c.in(&in); err != nil {
			return nil, err
		}
		total := 0
		for _, n := range in.Items {
			total += n
		}
		return object{"sum": total}, nil
	}
	good := vectors.Case{
		ID: "sum-1", Op: "sum", In: json.RawMessage(`{"items":[1,2]}`), Want: json.RawMessage(`{"sum":3,"absent":null,"empty":[]}`),
	}
	with := func(change func(*vectors.Case)) vectors.Case {
		c := good
		change(&c)
		return c
	}
	runs := 0
	for _, tc := range []struct {
		name string
		c    vectors.Case
		run  runner
		want string // a part of the only problem; "" for none
	}{
		{"right", good, sum, ""},
		{"right by wantAny", with(func(c *vectors.Case) {
			c.Want, c.WantAny = nil, []json.RawMessage{[]byte(`{"sum":4}`), []byte(`{"sum":3.0}`)}
		}), sum, ""},
		{"wrong answer", with(func(c *vectors.Case) { c.Want = []byte(`{"sum":4}`) }), sum, "sum: want 4, got 3"},
		{"missing member", with(func(c *vectors.Case) { c.Want = []byte(`{"sum":3,"list":[{"a":1}]}`) }), sum, `list: want [{"a":1}], got nothing`},
		{"empty string is a value", with(func(c *vectors.Case) { c.Want = []byte(`{"sum":3,"text":""}`) }), sum, `text: want "", got nothing`},
		{"a null in a patch counts", with(func(c *vectors.Case) { c.Want = []byte(`{"sum":3,"patch":{"a":null}}`) }), func(c *call) (any, error) {
			return object{"sum": 3, "patch": object{}}, nil
		}, "patch.a: a null on one side only"},
		{"outside wantAny", with(func(c *vectors.Case) {
			c.Want, c.WantAny = nil, []json.RawMessage{[]byte(`{"sum":4}`), []byte(`{"sum":5}`)}
		}), sum, "outside all 2 answers"},
		{"changed argument", good, func(c *call) (any, error) {
			var in list
			if err := c.in(&in); err != nil {
				return nil, err
			}
			in.Items[0] = 7
			return object{"sum": 3}, nil
		}, "arguments in in were changed"},
		{"unstable second run", good, func(c *call) (any, error) {
			runs++
			return object{"sum": 3, "list": make([]int, runs-1)}, nil
		}, "gave other bytes"},
		{"keyed by its id", good, func(c *call) (any, error) {
			if c.ID == "sum-1" {
				return object{"sum": 3}, nil
			}
			return sum(&call{Case: vectors.Case{In: []byte(`{}`)}})
		}, "under another id, gave other bytes"},
		{"panic", good, func(*call) (any, error) { panic("broken") }, "panic: broken"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			problems := strings.Join(check(tc.c, tc.run), "\n")
			if tc.want == "" && problems != "" || !strings.Contains(problems, tc.want) {
				t.Errorf("problems %q, want %q", problems, tc.want)
			}
		})
	}
}

func TestErrorsAreSets(t *testing.T) {
	c := vectors.Case{Want: json.RawMessage(`{"errors":[{"type":"Invalid","field":"a"},{"type":"Required","field":"b"}]}`)}
	got := `{"errors":[{"type":"Required","field":"b"},{"type":"Invalid","field":"a","text":"x"},{"type":"Required","field":"b"}]}`
	diffs, err := vectors.Match(c, []byte(got))
	if err != nil || len(diffs) > 0 {
		t.Errorf("order, repeats and texts count: %q, %v", diffs, err)
	}
	diffs, err = vectors.Match(c, []byte(`{"errors":[{"type":"Required","field":"a"},{"type":"Invalid","field":"b"}]}`))
	if err != nil || len(diffs) != 2 {
		t.Errorf("other errors give %q, %v", diffs, err)
	}
}

func TestRunAllAndReport(t *testing.T) {
	dir := t.TempDir()
	lines := `{"id":"1","op":"a","in":{},"want":{"x":1}}
{"id":"2","op":"a","in":{},"want":{"x":2}}

{"id":"3","op":"b","in":{},"want":{"x":1}}
`
	if err := os.WriteFile(filepath.Join(dir, "v.jsonl"), []byte(lines), 0o600); err != nil {
		t.Fatal(err)
	}
	runners := map[string]runner{"a": func(*call) (any, error) { return object{"x": 1}, nil }}
	for _, tc := range []struct {
		only    []string
		verbose bool
		want    string
		ok      bool
	}{
		{nil, false, "a 1/2\nb not done, 1 cases\n", false},
		{[]string{"b"}, true, "b not done, 1 cases\n", true},
		{[]string{"a"}, true, "a 1/2\n\t2 ()\n\tx: want 2, got 1\n", false},
	} {
		results, err := runAll(os.DirFS(dir), tc.only, runners)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if ok := report(&out, results, tc.verbose); ok != tc.ok || out.String() != tc.want {
			t.Errorf("report(%q) = %v\n%s\nwant %v\n%s", tc.only, ok, &out, tc.ok, tc.want)
		}
	}
	if _, err := runAll(os.DirFS(dir), []string{"nope"}, runners); err == nil || !strings.Contains(err.Error(), "nope") {
		t.Errorf("an op without a case gives %v", err)
	}
	if !report(&bytes.Buffer{}, []result{{op: "a", passed: 1, total: 1}}, false) {
		t.Error("all passed, and the report says no")
	}
}

func TestBrokenFilesAreErrors(t *testing.T) {
	for name, text := range map[string]string{
		"a.jsonl":    "{",
		"b.jsonl":    `{"id":"1","op":"a"}`,
		"c.jsonl.gz": "not gzip",
	} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := runAll(os.DirFS(dir), nil, nil); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: error %v, want one that names the file", name, err)
		}
	}
}
