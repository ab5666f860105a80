package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

// file is a file that was rewritten.
type file struct {
	name  string
	bytes []byte
	*yaml.Result
}

func (f *file) changed() bool { return !bytes.Equal(f.bytes, f.Bytes) }

// rewrite rewrites all files, and writes them when all could be.
func (o *options) rewrite(ctx context.Context, in io.Reader, out, errOut io.Writer) (int, error) {
	names, skipped, err := o.names()
	if err != nil {
		return 0, err
	}
	code := exitDone
	for _, name := range skipped {
		code = exitSkipped
		fmt.Fprintf(errOut, "%s: skipped: it is not a regular file\n", name)
	}
	source, lock, err := o.source()
	if err != nil {
		return 0, err
	}
	w, err := o.rewriter(source)
	if err != nil {
		return 0, err
	}
	var files []*file
	for _, name := range names {
		f := &file{name: name}
		f.bytes, err = read(name, in)
		if errors.Is(err, streamfiles.ErrLarge) && name != stdin {
			code = exitSkipped
			fmt.Fprintf(errOut, "%s: skipped: %v\n", name, streamfiles.ErrLarge)
			continue
		} else if err != nil {
			return 0, err
		}
		if f.Result, err = w.Rewrite(ctx, f.bytes); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, f)
		code = max(code, o.report(f, errOut))
	}
	if unmatched := w.Unmatched(); len(unmatched) > 0 {
		return 0, fmt.Errorf("paths that lead to nothing in any file: %s", strings.Join(unmatched, ", "))
	}
	if err := o.lacking(lock, files); err != nil {
		return 0, err
	}
	if changed, err := o.write(ctx, w.Lock(), names, files, out); err != nil {
		return 0, err
	} else if changed && o.check {
		code = max(code, exitChanges)
	}
	return code, nil
}

// rewriter returns what rewrites the files.
func (o *options) rewriter(source lookup.Source) (*yaml.Rewriter, error) {
	options := o.lookup
	options.Uncovered, options.Namespaces, options.Paths = true, o.search, o.paths
	options.Explain = o.explain || o.require || o.locked
	resolver := &lookup.Resolver{Source: source, InternalRegistry: o.registry, Options: options}
	return yaml.New(resolver, yaml.Options{Namespace: o.namespace, Values: o.values, Triggers: o.triggers})
}

// report tells what stays in a file and what was skipped, and returns how the program ends for it.
func (o *options) report(f *file, errOut io.Writer) int {
	code := exitDone
	for _, r := range f.Reports {
		fmt.Fprintf(errOut, "%s:%d:%d: %s\n", f.name, r.Line, r.Column, r)
		switch {
		case r.Problem.Skips():
			code = max(code, exitSkipped)
		case r.To != "":
			code = max(code, exitStays)
		}
	}
	if !o.require {
		return code
	}
	for _, d := range f.Decisions {
		if d.To == "" && isShort(d.Name) {
			code = max(code, exitStays)
			fmt.Fprintf(errOut, "%s:%d:%d: %s stays: %s\n", f.name, d.Line, d.Column, d.Name, d.Why.Message())
		}
	}
	return code
}

// isShort reports whether a reference is a short name, or was meant as one: "my.app" reads as a host.
func isShort(name string) bool {
	ref, err := pullspec.Parse(name)
	return err == nil && ref.ID == "" && ref.Namespace == "" && (ref.Registry == "" || ref.Name == "")
}

// lacking returns an error for the references of which the lock that is repeated says nothing.
func (o *options) lacking(lock *yaml.Lock, files []*file) error {
	if lock == nil || o.allowUnlocked {
		return nil
	}
	var errs []error
	for _, f := range files {
		for _, d := range lock.Lacking(f.Decisions) {
			errs = append(errs, fmt.Errorf("%s:%d:%d: %s says nothing about %s", f.name, d.Line, d.Column, o.lock, d.Name))
		}
	}
	return errors.Join(errs...)
}

// source returns where streams are looked up, and the lock if it is that.
func (o *options) source() (lookup.Source, *yaml.Lock, error) {
	if !o.locked {
		streams, err := streamfiles.Read(o.streams, o.namespace)
		return streams, nil, err
	}
	lock, err := readLock(o.lock)
	if err != nil {
		return nil, nil, err
	}
	return lock.Source(), lock, nil
}

func readLock(name string) (*yaml.Lock, error) {
	if err := regular(name); err != nil {
		return nil, err
	}
	text, err := streamfiles.ReadFile(name)
	if err != nil {
		return nil, err
	}
	lock, err := yaml.ParseLock(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return lock, nil
}

// names returns the files to rewrite, each once, and those that are not to be opened.
func (o *options) names() (names, skipped []string, err error) {
	have := map[string]bool{}
	for _, name := range o.files {
		if name == stdin {
			if len(o.files) > 1 || o.inPlace {
				return nil, nil, errors.New("-f - is standard input: it stands alone, and cannot be written in place")
			}
			return []string{stdin}, nil, nil
		}
		found, odd, err := streamfiles.Find(name)
		if err != nil {
			return nil, nil, err
		}
		if len(found) == 1 && found[0] == name && !streamfiles.HasFormat(name) {
			const wanted = "a file that ends in .yaml, .yml or .json is wanted, or a directory, or - for standard input"
			return nil, nil, fmt.Errorf("-f %s: %s", name, wanted)
		}
		skipped = append(skipped, odd...)
		for _, file := range found {
			if !have[file] {
				have[file] = true
				names = append(names, file)
			}
		}
	}
	if len(names)+len(skipped) == 0 {
		return nil, nil, fmt.Errorf("%s has no files that end in .yaml, .yml or .json", &o.files)
	}
	return names, skipped, nil
}

const stdin = "-"

func read(name string, in io.Reader) ([]byte, error) {
	if name == stdin {
		return streamfiles.ReadAll("standard input", in)
	}
	return streamfiles.ReadFile(name)
}

// write writes what the options ask for: the lock first, so that it has what decided whatever was written after it,
// then explanations, files, or a diff. It reports whether something changed.
func (o *options) write(
	ctx context.Context, lock *yaml.Lock, names []string, files []*file, out io.Writer,
) (changed bool, err error) {
	targets := map[*file]*target{}
	have := map[string]bool{} // a file and a link to it are one
	for _, f := range files {
		changed = changed || f.changed()
		if !o.inPlace || !f.changed() {
			continue
		}
		t, err := prepare(f.name)
		if err != nil {
			return false, err
		}
		if !have[t.path] {
			have[t.path], targets[f] = true, t
		}
	}
	if o.inPlace {
		clearAll(names)
	}
	if o.lock != "" && !o.locked && !o.check {
		if err := o.writeLock(lock); err != nil {
			return false, err
		}
	}
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if t := targets[f]; t != nil {
			if err := t.replace(f.bytes, f.Bytes); err != nil {
				return false, err
			}
		}
		if err := o.print(f, out); err != nil {
			return false, err
		}
	}
	return changed, nil
}

// writeLock adds to the lock file: what was rewritten before decided nothing this time.
func (o *options) writeLock(lock *yaml.Lock) error {
	var before []byte
	older, err := readLock(o.lock)
	switch {
	case err == nil:
		before, lock = older.Bytes(), older.With(lock)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if after := lock.Bytes(); !bytes.Equal(before, after) {
		t, err := prepare(o.lock)
		if err != nil {
			return err
		}
		return t.replace(nil, after)
	}
	return nil
}
