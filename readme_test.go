package imagestreams_test

import (
	"os"
	"strings"
	"testing"
)

// TestREADME compares the README's lines of Go with the examples that run.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(readme), "```go\n")[1:]
	if len(blocks) < 2 {
		t.Fatalf("the README has %d pieces of Go code", len(blocks))
	}
	for _, block := range blocks {
		code, _, found := strings.Cut(block, "```")
		if !found || code == "" {
			t.Fatal("the README has Go code that does not end")
		}
		for line := range strings.Lines(code) {
			line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), " // nodejs")
			if !strings.Contains(string(source), line) {
				t.Errorf("example_test.go does not have the README's line\n%s", line)
			}
		}
	}
	for _, command := range []string{"make demo", "make test"} {
		if !strings.Contains(string(readme), "\n"+command) {
			t.Errorf("the README does not say %s", command)
		}
	}
}
