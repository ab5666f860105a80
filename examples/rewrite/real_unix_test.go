//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// TestNothingIsWrittenIfSomethingCannotBe finds it out before the first file.
func TestNothingIsWrittenIfSomethingCannotBe(t *testing.T) {
	files := map[string]string{"m/a.yaml": podOf("nodejs:20"), "m/z.yaml": podOf("nodejs:20"), "m/list.json": "x"}
	for name, test := range map[string]struct {
		prepare func(dir string) error
		args    string
		says    string
	}{
		"lock in no directory": {nil, "--lock none/images.lock", "none"},
		"lock is a directory":  {nil, "--lock m", "m is not a regular file"},
		"lock is another file": {nil, "--lock m/list.json", "read lock"},
		"lock is a pipe": {func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "p"), 0o600) },
			"--lock p", "p is not a regular file"},
		"a file with two names": {func(dir string) error {
			return os.Link(filepath.Join(dir, "m/z.yaml"),
				filepath.Join(dir, "z"))
		}, "", "m/z.yaml has 2 hard links"},
		"leftover is a directory": {func(dir string) error {
			return os.MkdirAll(filepath.Join(dir, "m/.rewrite-z.yaml/x"),
				0o755)
		}, "", ".rewrite-z.yaml"},
		"a path that leads nowhere": {nil, "-values web.image", "lead to nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := world(t, files)
			if test.prepare != nil {
				if err := test.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			wants(t, dir, "-streams streams -f m/a.yaml -f m/z.yaml --in-place "+test.args, exitError, test.says)
			for name, before := range files {
				if got := contents(t, dir, name); got != before {
					t.Errorf("%s became\n%s", name, got)
				}
			}
		})
	}
}

func TestOwnerModeAndLinksAreKept(t *testing.T) {
	dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20"), "far/b.yaml": podOf("nodejs:20")})
	a, b := filepath.Join(dir, "m/a.yaml"), filepath.Join(dir, "far/b.yaml")
	err := errors.Join(os.Symlink("../far/b.yaml", filepath.Join(dir, "m/b.yaml")), os.Chmod(b, 0o640))
	if os.Getuid() == 0 {
		err = errors.Join(err, os.Chown(a, 1234, 2345))
	}
	if err = errors.Join(err, os.Chmod(a, 0o750|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "-streams streams -f m --in-place", exitDone, "m/a.yaml: 1 changed", "m/b.yaml: 1 changed")
	after, err := os.Stat(a)
	if err != nil {
		t.Fatal(err)
	}
	was, is := before.Sys().(*syscall.Stat_t), after.Sys().(*syscall.Stat_t)
	if after.Mode() != before.Mode() || was.Uid != is.Uid || was.Gid != is.Gid || contents(t, a) != podOf(exact) {
		t.Errorf("%v %d %d became %v %d %d", before.Mode(), was.Uid, was.Gid, after.Mode(), is.Uid, is.Gid)
	}
	info, err := os.Lstat(filepath.Join(dir, "m/b.yaml"))
	if err != nil || info.Mode()&os.ModeSymlink == 0 || contents(t, b) != podOf(exact) {
		t.Errorf("the link became %v, %v", info, err)
	}
	if info, err := os.Stat(b); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestFileAndALinkToItAreOne writes it once.
func TestFileAndALinkToItAreOne(t *testing.T) {
	dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20")})
	if err := os.Symlink("a.yaml", filepath.Join(dir, "m/b.yaml")); err != nil {
		t.Fatal(err)
	}
	wants(t, dir, "-streams streams -f m --in-place", exitDone, "m/a.yaml: 1 changed")
	if got := contents(t, dir, "m/a.yaml"); got != podOf(exact) {
		t.Errorf("became\n%s", got)
	}
}

// TestPipesAreSkippedWithAWord never opens one: that would wait for ever.
func TestPipesAreSkippedWithAWord(t *testing.T) {
	dir := world(t, map[string]string{"m/a.yaml": podOf("nodejs:20")})
	if err := errors.Join(syscall.Mkfifo(filepath.Join(dir, "m/p.yaml"), 0o600),
		os.Symlink("nowhere", filepath.Join(dir, "m/l.yaml"))); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"--check", "--in-place", ""} {
		wants(t, dir, "-streams streams -f m "+mode, exitSkipped, "m/p.yaml: skipped: it is not a regular file\n",
			"m/l.yaml: skipped: it is not a regular file\n")
	}
	wants(t, dir, "-streams streams -f m/p.yaml", exitSkipped, "m/p.yaml: skipped")
	if contents(t, dir, "m/a.yaml") != podOf(exact) {
		t.Error("the other file was not written")
	}
	wants(t, dir, "-streams m -f m", exitError, "m/l.yaml: it is not a regular file")
}
