// Stranger builds a small program that imports this project as somebody else would: from module zips in a
// file proxy, with the versions that the go.mod files name and without their replacements.
//
//	stranger ROOT
package main

import (
	"archive/zip"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

const (
	prefix  = "github.com/imagestreams/imagestreams"
	version = "v0.1.0"
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "stranger:", err)
		os.Exit(1)
	}
}

func run(root string) error {
	dir, err := os.MkdirTemp("", "stranger")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	proxy, program := filepath.Join(dir, "proxy"), filepath.Join(dir, "program")

	modules, err := findModules(root)
	if err != nil {
		return err
	}
	for _, m := range modules {
		if err := publish(proxy, m); err != nil {
			return fmt.Errorf("publish %s: %w", m.path, err)
		}
	}
	if err := write(root, program, modules); err != nil {
		return err
	}
	for _, args := range [][]string{{"mod", "tidy"}, {"run", "."}} {
		cmd := exec.Command("go", args...)
		cmd.Dir = program
		cmd.Env = append(
			os.Environ(),
			"GOWORK=off",
			"GOFLAGS=-mod=mod -modcacherw",
			"GONOSUMDB="+prefix,
			"GOMODCACHE="+filepath.Join(dir, "cache"),
			"GOPROXY=file://"+filepath.ToSlash(proxy)+",file://"+filepath.ToSlash(cacheProxy())+","+env("GOPROXY"),
		)
		cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		if err := cmd.Run(); err != nil {
			return fmt.Errorf("go %s in a stranger's module: %w", strings.Join(args, " "), err)
		}
	}
	return nil
}

func env(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// cacheProxy is what the go command has downloaded already.
func cacheProxy() string { return filepath.Join(env("GOMODCACHE"), "cache", "download") }

type localModule struct {
	path, dir string
	file      *modfile.File
}

// testServers are the modules of ours, under internal, that nobody imports and that a module's tests need all the same.
var testServers = []string{"etcdserver", "kubeserver"}

// isTestServer reports whether dir has one of testServers.
func isTestServer(root, dir string) bool {
	return filepath.Dir(dir) == filepath.Join(root, "internal") && slices.Contains(testServers, filepath.Base(dir))
}

// findModules lists the modules that others can import, and testServers.
func findModules(root string) ([]localModule, error) {
	var modules []localModule
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != filepath.Join(root, "internal") && !isTestServer(root, path) &&
			(filepath.Dir(path) == filepath.Join(root, "internal") || d.Name() == "bin" || d.Name() == "internal" || d.Name() == "examples" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return fs.SkipDir
		}
		if d.Name() != "go.mod" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := modfile.Parse(path, text, nil)
		if err != nil {
			return err
		}
		modules = append(modules, localModule{file.Module.Mod.Path, filepath.Dir(path), file})
		return nil
	})
	return modules, err
}

// publish puts m into the file proxy.
func publish(proxy string, m localModule) error {
	for _, r := range m.file.Require {
		if strings.HasPrefix(r.Mod.Path, prefix) && r.Mod.Version != version {
			return fmt.Errorf("it requires %s %s, and all modules have the version %s", r.Mod.Path, r.Mod.Version, version)
		}
	}
	escaped, err := module.EscapePath(m.path)
	if err != nil {
		return err
	}
	base := filepath.Join(proxy, filepath.FromSlash(escaped), "@v")
	if err := os.MkdirAll(base, 0o755); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(m.dir, "go.mod"))
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"list": version + "\n", version + ".info": fmt.Sprintf("{%q:%q}", "Version", version), version + ".mod": string(text),
	} {
		if err := os.WriteFile(filepath.Join(base, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	out, err := os.Create(filepath.Join(base, version+".zip"))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := modzip.CreateFromDir(out, module.Version{Path: m.path, Version: version}, m.dir); err != nil {
		return err
	}
	return checkZip(out.Name())
}

// checkZip refuses an archive without a licence.
func checkZip(name string) error {
	z, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer z.Close()
	if !slices.ContainsFunc(z.File, func(f *zip.File) bool { return strings.HasSuffix(f.Name, "/LICENSE") }) {
		return fmt.Errorf("%s has no LICENSE", name)
	}
	return nil
}

// write makes a module whose program imports every package of every module.
func write(root, dir string, modules []localModule) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var imports []string
	built := 0
	mod := "module example.com/stranger\n\ngo 1.26\n"
	for _, m := range modules {
		if isTestServer(root, m.dir) {
			continue
		}
		mod += fmt.Sprintf("\nrequire %s %s\n", m.path, version)
		packages, err := importable(m)
		if err != nil {
			return err
		}
		imports = append(imports, packages...)
		built++
	}
	program := "package main\n\nimport (\n"
	for _, path := range imports {
		program += fmt.Sprintf("\t_ %q\n", path)
	}
	program += fmt.Sprintf(
		")\n\nfunc main() { println(%q) }\n",
		fmt.Sprintf("a stranger's program builds on %d packages of %d modules", len(imports), built),
	)
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(mod), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o644)
}

func importable(m localModule) ([]string, error) {
	cmd := exec.Command("go", "list", "-f", `{{if ne .Name "main"}}{{if .GoFiles}}{{.ImportPath}}{{end}}{{end}}`, "./...")
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("list the packages of %s: %w", m.path, err)
	}
	return slices.DeleteFunc(strings.Fields(string(out)), func(path string) bool {
		return strings.Contains(path, "/internal")
	}), nil
}
