package imagestreams_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestREADME runs the README's program, compares its other lines of Go with the examples that run (a piece that begins
// with the name of a file is from there), and looks for its two commands.
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
	for i, block := range blocks {
		code, _, found := strings.Cut(block, "```")
		if !found || code == "" {
			t.Fatal("the README has Go code that does not end")
		}
		if i == 0 {
			runProgram(t, string(readme), code)
			continue
		}
		name, source := "example_test.go", source
		if first, rest, _ := strings.Cut(code, "\n"); strings.HasPrefix(first, "// ") {
			name, code = strings.TrimPrefix(first, "// "), rest // of another module
			if source, err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
		}
		for line := range strings.Lines(code) {
			if line = strings.TrimRight(line, "\n"); !strings.Contains(string(source), line) {
				t.Errorf("%s does not have the README's line\n%s", name, line)
			}
		}
	}
	for _, command := range []string{"make demo", "make test"} {
		if !strings.Contains(string(readme), "\n"+command) {
			t.Errorf("the README does not say %s", command)
		}
	}
}

// TestREADMEPins compares the versions that users are told to get with those that adapters/openshift is built with.
func TestREADMEPins(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile("adapters/openshift/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	pins := regexp.MustCompile(`(?m)^go get (\S+)@(v\S+)$`).FindAllStringSubmatch(string(readme), -1)
	if len(pins) < 2 {
		t.Errorf("the README has %d pins", len(pins))
	}
	for _, pin := range pins {
		if !strings.Contains(string(mod), pin[1]+" "+pin[2]+"\n") {
			t.Errorf("the README says %q; adapters/openshift is built with another version", pin[0])
		}
	}
}

// runProgram runs a program, and looks for what it prints in the README.
func runProgram(t *testing.T, readme, code string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("go", "run", file).CombinedOutput()
	if err != nil {
		t.Fatalf("the README's program: %v\n%s", err, out)
	}
	if text := strings.TrimSpace(string(out)); !strings.Contains(readme, "It prints `"+text+"`") {
		t.Errorf("the README does not say that its program prints %s", text)
	}
}

// TestSECURITY looks for every test that SECURITY.md names.
func TestSECURITY(t *testing.T) {
	text, err := os.ReadFile("SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	defined := map[string]bool{}
	err = filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllSubmatch(source, -1) {
			defined[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`\b(?:Test|Fuzz)\w+`).FindAllString(string(text), -1)
	if len(named) < 20 {
		t.Errorf("SECURITY.md names %d tests", len(named))
	}
	for _, name := range named {
		if !defined[name] {
			t.Errorf("SECURITY.md names the test %s, which is not there", name)
		}
	}
}
