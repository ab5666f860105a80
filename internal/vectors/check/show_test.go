package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

func TestShow(t *testing.T) {
	for id, parts := range map[string][]string{
		"stream-0068":   {"stream-0068, op stream.update\n", "\nrules: stream.md; go doc ./imagestream\n", "\nenv\n{", "\nin\n{", "\nwant\n{\n  \"stream\""},
		"table-v0001":   {"op table.", "rules: describe.md, section 4; go doc ./imagestream/describe"},
		"tagevent-0100": {"rules: tagevent.md"},
	} {
		var out bytes.Buffer
		if err := show(&out, committed(), id); err != nil {
			t.Error(err)
		}
		for _, part := range parts {
			if !strings.Contains(out.String(), part) {
				t.Errorf("show %s prints\n%s\nwithout %q", id, &out, part)
			}
		}
	}
	if err := show(&bytes.Buffer{}, committed(), "stream-68"); err == nil || !strings.Contains(err.Error(), `"stream-68"`) {
		t.Errorf("a case that is not there gives %v", err)
	}
}

// TestShowEveryAnswer: a case with several right answers shows them all.
func TestShowEveryAnswer(t *testing.T) {
	for c, err := range vectors.All(committed()) {
		if err != nil {
			t.Fatal(err)
		}
		if n := len(c.WantAny); n > 1 {
			var out bytes.Buffer
			if err := print(&out, c); err != nil || strings.Count(out.String(), "\nwant ") != n {
				t.Errorf("%s has %d answers, %v:\n%s", c.ID, n, err, &out)
			}
			return
		}
	}
	t.Error("no case has several answers")
}

// TestAreas: every op says where its rules are, and the package is there if the op is answered.
func TestAreas(t *testing.T) {
	seen := map[string]bool{}
	for c, err := range vectors.All(committed()) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[c.Op] {
			continue
		}
		seen[c.Op] = true
		a := areaOf(c.Op)
		if a.document == "" {
			t.Errorf("nothing says where the rules of %s are", c.Op)
		}
		if _, err := os.Stat("../../../" + a.dir); runners[c.Op] != nil && err != nil {
			t.Errorf("the package with the rules of %s: %v", c.Op, err)
		}
	}
}
