package imagestreams_test

import (
	"os"
	"strings"
	"testing"
)

// TestREADME compares the README's ten lines with the example that runs.
func TestREADME(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(readme), "```go\n")
	code, _, found := strings.Cut(code, "```")
	if !found || code == "" {
		t.Fatal("the README has no Go code")
	}
	for line := range strings.Lines(code) {
		line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), " // nodejs")
		if !strings.Contains(string(source), line) {
			t.Errorf("example_test.go does not have the README's line\n%s", line)
		}
	}
	for _, command := range []string{"make demo", "make test"} {
		if !strings.Contains(string(readme), "\n"+command) {
			t.Errorf("the README does not say %s", command)
		}
	}
}
