package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
)

// target is a file that is to be replaced as a whole or not at all.
type target struct {
	name string      // as it was asked for
	path string      // with links followed
	info fs.FileInfo // nil if it is not there
}

// regular returns an error for what is there and is not a regular file.
func regular(name string) error {
	if info, err := os.Stat(name); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a regular file", name)
	}
	return nil
}

// prepare finds out whether a file can be replaced, and owner, mode and links be kept. It clears away what a run
// that was killed left behind.
func prepare(name string) (*target, error) {
	t := &target{name: name, path: name}
	path, err := filepath.EvalSymlinks(name)
	switch {
	case err == nil:
		t.path = path
		if t.info, err = os.Stat(path); err != nil {
			return nil, err
		}
		if err := regular(path); err != nil {
			return nil, err
		}
		if n := links(t.info); n > 1 {
			return nil, fmt.Errorf("%s has %d hard links, which a new file would part: it is not written", name, n)
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := t.clear(); err != nil {
		return nil, err
	}
	temp, err := t.create()
	if err != nil {
		return nil, err
	}
	return t, errors.Join(temp.Close(), os.Remove(temp.Name()))
}

// temp is where the new text is written. The name is that of the file, so that the next run finds it.
func (t *target) temp() string {
	return filepath.Join(filepath.Dir(t.path), ".rewrite-"+filepath.Base(t.path))
}

// clear removes what a run that was killed left behind.
func (t *target) clear() error {
	if err := os.Remove(t.temp()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// clearAll removes what a run that was killed left beside files.
func clearAll(names []string) {
	for _, name := range names {
		if path, err := filepath.EvalSymlinks(name); err == nil {
			(&target{path: path}).clear()
		}
	}
}

// create makes the temporary file, with owner and mode of the file.
func (t *target) create() (*os.File, error) {
	mode := fs.FileMode(0o644)
	if t.info != nil {
		mode = t.info.Mode() & (fs.ModePerm | fs.ModeSetuid | fs.ModeSetgid | fs.ModeSticky)
	}
	temp, err := os.OpenFile(t.temp(), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if t.info != nil {
		if err = keepOwner(temp, t.info); err != nil {
			err = fmt.Errorf("%s: its owner cannot be kept: %w", t.name, err)
		}
	}
	if err = errors.Join(err, temp.Chmod(mode)); err != nil {
		temp.Close()
		os.Remove(temp.Name())
		return nil, err
	}
	return temp, nil
}

// replace writes the file, if it still has the text it had before.
func (t *target) replace(before, after []byte) error {
	if t.info != nil && before != nil {
		now, err := streamfiles.ReadFile(t.path)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, before) {
			return fmt.Errorf("%s was changed by somebody else: it is not written", t.name)
		}
	}
	temp, err := t.create()
	if err != nil {
		return err
	}
	_, err = temp.Write(after)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), t.path)
	}
	if err != nil {
		os.Remove(temp.Name())
		return err
	}
	return syncDir(filepath.Dir(t.path))
}
