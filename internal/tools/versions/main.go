// Versions lets all modules that stand on k8s.io have the same version of each dependency, so that its packages are
// compiled once for all of them: one version of a package below them that differs costs minutes.
//
//	versions ROOT           brings each dependency to the newest version that one of the modules names
//	versions -check ROOT    says where they differ, and fails if they do
//
// The modules of oc and kube-apiserver stand apart: they need what these were made with.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/semver"
)

// costly is required, by itself or by way of others, by the modules that this is about.
const costly = "k8s.io/client-go"

// apart are the directories of modules that have versions of their own.
var apart = []string{"internal/clients/oc", "internal/cluster/kubeapiserver"}

// rounds is how often versions are brought together: what one module needs may bring newer ones of others.
const rounds = 5

func main() {
	check := flag.Bool("check", false, "only say where versions differ")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(flag.Arg(0), *check); err != nil {
		fmt.Fprintln(os.Stderr, "versions:", err)
		os.Exit(1)
	}
}

func run(root string, check bool) error {
	for range rounds {
		behind, err := differences(root)
		if err != nil || len(behind) == 0 {
			return err
		}
		if check {
			var wrong []error
			for _, dir := range slices.Sorted(maps.Keys(behind)) {
				wrong = append(wrong, fmt.Errorf("%s is behind other modules: \"make versions\" brings it to %s", dir,
					strings.Join(behind[dir], " ")))
			}
			return errors.Join(wrong...)
		}
		for _, dir := range slices.Sorted(maps.Keys(behind)) {
			for _, args := range [][]string{append([]string{"get"}, behind[dir]...), {"mod", "tidy"}} {
				cmd := exec.Command("go", args...)
				cmd.Dir, cmd.Stdout, cmd.Stderr = filepath.Join(root, dir), os.Stdout, os.Stderr
				cmd.Env = append(os.Environ(), "GOWORK=off")
				if err := cmd.Run(); err != nil {
					return fmt.Errorf("go %s in %s: %w", args[0], dir, err)
				}
			}
		}
	}
	return fmt.Errorf("versions still differ after %d rounds", rounds)
}

// differences returns what each module would have to take, as "path@version", by its directory.
func differences(root string) (map[string][]string, error) {
	files := map[string]*modfile.File{}
	newest := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != root:
			return fs.SkipDir
		case d.Name() != "go.mod":
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil || slices.Contains(apart, filepath.ToSlash(dir)) {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := modfile.Parse(path, text, nil)
		if err != nil || !slices.ContainsFunc(file.Require, func(r *modfile.Require) bool { return r.Mod.Path == costly }) {
			return err
		}
		files[dir] = file
		for _, r := range file.Require {
			if semver.Compare(r.Mod.Version, cmp.Or(newest[r.Mod.Path], r.Mod.Version)) >= 0 {
				newest[r.Mod.Path] = r.Mod.Version
			}
		}
		return nil
	})
	behind := map[string][]string{}
	for dir, file := range files {
		for _, r := range file.Require {
			if version := newest[r.Mod.Path]; version != r.Mod.Version {
				behind[dir] = append(behind[dir], r.Mod.Path+"@"+version)
			}
		}
	}
	return behind, err
}
