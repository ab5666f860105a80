// Package api pins the public API of every module in text, one exported declaration a line, so that a change of it is seen
// in the diff. "go test ./internal/api -update" rewrites the lists.
package api

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the lists")

const root = "../.."

func TestAPI(t *testing.T) {
	want := map[string]bool{}
	for _, dir := range packages(t) {
		name := strings.ReplaceAll(dir, "/", "_") + ".txt"
		if dir == "." {
			name = "imagestreams.txt"
		}
		got := strings.Join(declarations(t, filepath.Join(root, dir)), "\n") + "\n"
		want[name] = true
		if *update {
			if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		pinned, err := os.ReadFile(name)
		if err != nil || string(pinned) != got {
			t.Errorf("the API of %s is not what %s pins (go test ./internal/api -update rewrites it)%s", dir, name, firstDifference(string(pinned), got))
		}
	}
	lists, err := filepath.Glob("*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		if !want[list] {
			t.Errorf("%s pins a package that is not there", list)
		}
	}
}

func firstDifference(pinned, got string) string {
	a, b := strings.Split(pinned, "\n"), strings.Split(got, "\n")
	for i := range max(len(a), len(b)) {
		x, y := "nothing", "nothing"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			return fmt.Sprintf(":\n-%s\n+%s", x, y)
		}
	}
	return ""
}

// packages lists the directories, below the root, of packages that others can import.
func packages(t *testing.T) []string {
	t.Helper()
	seen := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			switch name := d.Name(); {
			case path == root:
			case name == "internal", name == "examples", name == "testdata", strings.HasPrefix(name, "."):
				return fs.SkipDir
			}
			return nil
		}
		if strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			dir, err := filepath.Rel(root, filepath.Dir(path))
			seen[filepath.ToSlash(dir)] = true
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var dirs []string
	for dir := range seen {
		dirs = append(dirs, dir)
	}
	slices.Sort(dirs)
	return dirs
}

// declarations lists what the package in dir exports.
func declarations(t *testing.T, dir string) []string {
	t.Helper()
	files := token.NewFileSet()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(files, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			lines = append(lines, list(decl)...)
		}
	}
	slices.Sort(lines)
	return lines
}

func list(decl ast.Decl) (lines []string) {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		if d.Name.IsExported() && (d.Recv == nil || ast.IsExported(receiver(d.Recv.List[0].Type))) {
			f := *d
			f.Body, f.Doc = nil, nil
			lines = append(lines, text(&f))
		}
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			switch s := spec.(type) {
			case *ast.TypeSpec:
				if s.Name.IsExported() {
					lines = append(lines, listType(s)...)
				}
			case *ast.ValueSpec:
				for _, name := range s.Names {
					if name.IsExported() {
						lines = append(lines, strings.TrimSpace(d.Tok.String()+" "+name.Name+" "+text(s.Type)))
					}
				}
			}
		}
	}
	return lines
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

func listType(s *ast.TypeSpec) []string {
	name := s.Name.Name
	if s.TypeParams != nil {
		name += "[" + text(s.TypeParams.List[0].Names[0]) + " " + text(s.TypeParams.List[0].Type) + "]"
	}
	members := func(kind string, list *ast.FieldList) []string {
		lines := []string{"type " + name + " " + kind}
		for _, field := range list.List {
			if len(field.Names) == 0 {
				lines = append(lines, "type "+name+" "+kind+", "+text(field.Type))
			}
			for _, n := range field.Names {
				if n.IsExported() {
					lines = append(lines, "type "+name+" "+kind+", "+n.Name+" "+strings.TrimPrefix(text(field.Type), "func"))
				}
			}
		}
		return lines
	}
	switch t := s.Type.(type) {
	case *ast.StructType:
		return members("struct", t.Fields)
	case *ast.InterfaceType:
		return members("interface", t.Methods)
	}
	if s.Assign.IsValid() {
		name += " ="
	}
	return []string{"type " + name + " " + text(s.Type)}
}

func text(node ast.Node) string {
	if node == nil || node == ast.Expr(nil) {
		return ""
	}
	var b bytes.Buffer
	if err := printer.Fprint(&b, token.NewFileSet(), node); err != nil {
		return ""
	}
	return strings.Join(strings.Fields(b.String()), " ")
}
