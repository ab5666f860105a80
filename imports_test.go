package imagestreams_test

import (
	"bytes"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/imagestreams/imagestreams"

const (
	reference = "github.com/distribution/reference"
	digest    = "github.com/opencontainers/go-digest"
	sync      = "golang.org/x/sync"
)

// graph is the house: what each package of the root module may import beyond the standard library. Tests may
// import anything of the module, go-cmp and rapid.
var graph = map[string][]string{
	"":                     {},
	"tagevent":             {},
	"imagestream/pullspec": {},
	"imagestream":          {"tagevent", "imagestream/pullspec"},
	"imagestream/manifest": {"imagestream", "imagestream/pullspec", "tagevent", digest},
	"imagestream/write":    {"imagestream"},
	"imagestream/view":     {"imagestream", "imagestream/inspect", "imagestream/manifest", "imagestream/pullspec", "tagevent"},
	"imagestream/cache":    {"imagestream", "imagestream/pullspec"},
	"imagestream/follow":   {"imagestream"},
	"imagestream/inspect":  {"imagestream", "imagestream/pullspec", "tagevent"},
	"imagestream/edit":     {"imagestream", "imagestream/inspect", "imagestream/pullspec", "tagevent"},
	"imagestream/prune":    {"imagestream", "imagestream/describe", "imagestream/manifest", "imagestream/pullspec", "tagevent", "internal/podspec"},
	"imagestream/describe": {"imagestream", "imagestream/pullspec", "imagestream/manifest", "tagevent", "imagestream/inspect"},
	"imagestream/rest": {
		"imagestream", "imagestream/edit", "imagestream/manifest", "imagestream/pullspec", "imagestream/view", "imagestream/write", "importer",
		"tagevent",
	},
	"imagestream/client": {
		"imagestream", "imagestream/edit", "imagestream/inspect", "imagestream/pullspec", "imagestream/rest", "imagestream/write", "importer",
		"tagevent",
	},
	"imagestream/oc": {
		"imagestream", "imagestream/pullspec", "imagestream/inspect", "imagestream/edit", "imagestream/describe", "imagestream/rest", "importer",
		"internal/podspec", "imagestream/prune",
	},
	"lookup/trigger": {"lookup", "imagestream", "imagestream/pullspec", "tagevent", "internal/podspec"},
	"lookup":         {"imagestream", "imagestream/pullspec", "imagestream/manifest", "tagevent", "internal/podspec"},
	"importer": {
		"imagestream", "imagestream/pullspec", "imagestream/manifest", "imagestream/write", "importer/registries", "internal/foreign", "tagevent",
		reference, digest, sync + "/errgroup",
	},
	"importer/keyring":       {"importer", "internal/foreign"},
	"importer/polite":        {"importer", reference, digest},
	"importer/registries":    {"imagestream", "imagestream/pullspec", reference},
	"importer/schedule":      {"imagestream", "imagestream/pullspec", "importer", "tagevent"},
	"fakes":                  {"imagestream", "imagestream/manifest", "importer", reference, digest},
	"fakes/resttest":         {"fakes", "imagestream", "imagestream/rest", "importer", "tagevent"},
	"fakes/storetest":        {"imagestream", "tagevent"},
	"fakes/registrytest":     {"imagestream", "imagestream/write", "importer", "fakes", reference, digest},
	"internal/foreign":       {},
	"internal/podspec":       {},
	"internal/real":          {"imagestream", "importer", "lookup/trigger", "internal/podspec", reference},
	"internal/utf8path":      {},
	"internal/fill":          {},
	"internal/vectors":       {},
	"internal/vectors/check": nil, // anything of the module
}

// impure are the packages, and the files of pure ones, that may know contexts, clocks, randomness or locks, and of
// which kind. "context" alone is a port's or a report's.
var impure = map[string][]string{
	"imagestream/store.go":     {"context"}, // the ports
	"imagestream/prune/run.go": {"context"}, // carries a decision out, step by step
	"imagestream/write":        {"context", "sync", "math/rand/v2", "time.Now"},
	"imagestream/rest":         {"context", "math/rand/v2"}, // generated names
	"imagestream/client":       {"context", "time.Now"},
	"imagestream/oc":           {"context", "time.Now"},
	"imagestream/cache":        {"context", "sync", "math/rand/v2", "time.Now"},
	"imagestream/follow":       {"context", "math/rand/v2"},
	"importer":                 {"context", "sync", "sync/atomic", "time.Now"},
	"importer/polite":          {"context", "sync", "math/rand/v2", "time.Now"},
	"importer/schedule":        {"context", "sync", "time.Now"},
	"lookup/resolver.go":       {"context", "sync", "time.Now"},
	"fakes":                    {"context", "sync", "time.Now"},
	"fakes/storetest":          {"context", "sync"},
	"fakes/registrytest":       {"context", "sync"},
	"fakes/resttest":           {"context", "sync"},
}

// TestPurity holds everything else to values: no context, clock, randomness or lock.
func TestPurity(t *testing.T) {
	used := map[string]bool{}
	for dir, files := range goFiles(t) {
		if strings.HasPrefix(dir, "internal/") {
			continue
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, what := range impurities(t, file) {
				allowed := false
				for _, place := range []string{dir, filepath.ToSlash(file)} {
					if slices.Contains(impure[place], what) {
						allowed, used[place+" "+what] = true, true
					}
				}
				if !allowed {
					t.Errorf("%s uses %s", file, what)
				}
			}
		}
	}
	for place, kinds := range impure {
		for _, what := range kinds {
			if !used[place+" "+what] {
				t.Errorf("%s may use %s, and does not", place, what)
			}
		}
	}
}

// impurities lists which of the things that are no values a file uses.
func impurities(t *testing.T, file string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range parsed.Imports {
		switch path := strings.Trim(spec.Path.Value, `"`); path {
		case "context", "sync", "sync/atomic", "math/rand", "math/rand/v2", "crypto/rand":
			found = append(found, path)
		}
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if call, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := call.X.(*ast.Ident); ok && pkg.Name == "time" && slices.Contains([]string{"Now", "Since", "Until", "After", "Sleep"}, call.Sel.Name) {
				found = append(found, "time.Now")
			}
		}
		return true
	})
	return found
}

// runtime and test dependencies of the root module; nothing else may stand in its go.mod.
var (
	runtimeModules = []string{reference, digest, sync}
	testModules    = []string{"github.com/google/go-cmp", "pgregory.net/rapid"}
)

func TestPackageGraph(t *testing.T) {
	found := map[string]bool{}
	for dir, files := range goFiles(t) {
		allowed, ok := graph[dir]
		if !ok {
			t.Errorf("package %q is not in the graph", dir)
			continue
		}
		found[dir] = true
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range parsed.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				local, ours := strings.CutPrefix(path, module+"/")
				switch first, _, _ := strings.Cut(path, "/"); {
				case !strings.Contains(first, "."): // the standard library
				case strings.HasSuffix(file, "_test.go") && (ours || slices.ContainsFunc(slices.Concat(testModules, runtimeModules), func(m string) bool {
					return path == m || strings.HasPrefix(path, m+"/")
				})):
				case ours && (allowed == nil || slices.Contains(allowed, local)):
				case slices.Contains(allowed, path):
				default:
					t.Errorf("%s imports %s, which the graph does not allow", file, path)
				}
			}
		}
	}
	for dir := range graph {
		if !found[dir] {
			t.Errorf("the graph has package %q, which is not there", dir)
		}
	}
}

// goFiles lists the Go files of every package of this module, by directory.
func goFiles(t *testing.T) map[string][]string {
	t.Helper()
	files := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." {
			if _, err := os.Stat(filepath.Join(path, "go.mod")); err == nil || strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" {
				return fs.SkipDir
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		if dir := filepath.ToSlash(filepath.Dir(path)); strings.HasSuffix(path, ".go") && dir != "internal/api" {
			if dir == "." {
				dir = ""
			}
			files[dir] = append(files[dir], path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestAllowedModules reads the two require blocks of go.mod: what users get, then what the tests need.
func TestAllowedModules(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var blocks [][]string
	for line := range strings.Lines(string(text)) {
		switch fields := strings.Fields(line); {
		case len(fields) > 0 && fields[0] == "require":
			blocks = append(blocks, nil)
		case len(fields) >= 2 && strings.HasPrefix(fields[1], "v") && len(blocks) > 0:
			blocks[len(blocks)-1] = append(blocks[len(blocks)-1], fields[0])
		}
	}
	want := [][]string{runtimeModules, testModules}
	if !slices.EqualFunc(blocks, want, slices.Equal) {
		t.Errorf("go.mod requires %q, want the blocks %q: what needs more goes into a nested module", blocks, want)
	}
}

// TestDependencies asks the go command what each public package is really built from.
func TestDependencies(t *testing.T) {
	for dir := range graph {
		if strings.HasPrefix(dir, "internal/") {
			continue
		}
		cmd := exec.Command("go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", "./"+dir)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("go list -deps ./%s: %v\n%s", dir, err, &stderr)
		}
		for _, path := range strings.Fields(string(out)) {
			if !slices.ContainsFunc(append(runtimeModules, module), func(m string) bool { return path == m || strings.HasPrefix(path, m+"/") }) {
				t.Errorf("./%s is built from %s", dir, path)
			}
		}
	}
}
