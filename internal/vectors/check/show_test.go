package main

import (
	"bytes"
	"io/fs"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

func TestShow(t *testing.T) {
	for id, parts := range map[string][]string{
		"stream-0068":   {"stream-0068, op stream.update\n", "\nrules: go doc ./imagestream\n", "\nenv\n{", "\nin\n{", "\nwant\n{\n  \"stream\""},
		"table-v0001":   {"op table.", "rules: go doc ./imagestream/describe"},
		"tagevent-0100": {"rules: go doc ./tagevent"},
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

// TestAreas: every op says where its rules are, and the package is there.
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
		dir := areaOf(c.Op)
		if dir == "" {
			t.Errorf("nothing says where the rules of %s are", c.Op)
		}
		if _, err := os.Stat("../../../" + dir); err != nil {
			t.Errorf("the package with the rules of %s: %v", c.Op, err)
		}
	}
}

// caseReference is the beginning of a comment's words that name cases.
var (
	caseReference = regexp.MustCompile(`[Cc]onformance cases? ((?:[a-zA-Z.]+-v?\d+(?:,? (?:and|to) |, )?)+)`)
	caseID        = regexp.MustCompile(`[a-zA-Z.]+-v?\d+`)
)

// TestCasesThatCommentsName: "See conformance case ID" names a case that there is, in every Go file of the repository.
func TestCasesThatCommentsName(t *testing.T) {
	ids := map[string]bool{}
	for c, err := range vectors.All(committed()) {
		if err != nil {
			t.Fatal(err)
		}
		ids[c.ID] = true
	}
	named := 0
	root := os.DirFS("../../..")
	err := fs.WalkDir(root, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		text, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		flat := regexp.MustCompile(`\s*\n\s*//\s*`).ReplaceAllString(string(text), " ")
		for _, reference := range caseReference.FindAllStringSubmatch(flat, -1) {
			for _, id := range caseID.FindAllString(reference[1], -1) {
				named++
				if !ids[id] {
					t.Errorf("%s names the case %s, which is not there", path, id)
				}
			}
		}
		return nil
	})
	if err != nil || named < 50 {
		t.Errorf("%d cases are named, %v", named, err)
	}
}
