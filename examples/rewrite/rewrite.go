package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/imagestreams/imagestreams/adapters/yaml"
	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/lookup"
)

const stdin = "-"

// file is a file that was rewritten.
type file struct {
	name  string
	bytes []byte
	*yaml.Result
}

func (f *file) changed() bool { return !bytes.Equal(f.bytes, f.Bytes) }

// rewrite rewrites all files, and writes them when all could be.
func (o *options) rewrite(ctx context.Context, rest []string, in io.Reader, out, errOut io.Writer) (int, error) {
	source, err := o.source(rest)
	if err != nil {
		return 0, err
	}
	names, err := o.names()
	if err != nil {
		return 0, err
	}
	resolver := &lookup.Resolver{Source: source, InternalRegistry: o.registry, Options: lookup.Options{Uncovered: true, Namespaces: o.search, Explain: o.explain}}
	w := yaml.New(resolver, yaml.Options{Namespace: o.namespace, Values: o.values})
	code := exitDone
	var files []*file
	for _, name := range names {
		f := &file{name: name}
		if f.bytes, err = read(name, in); err != nil {
			return 0, err
		}
		if f.Result, err = w.Rewrite(ctx, f.bytes); err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, f)
		for _, r := range f.Reports {
			fmt.Fprintf(errOut, "%s:%d:%d: %s\n", name, r.Line, r.Column, r)
			if r.To != "" {
				code = exitStays
			}
		}
	}
	if err := o.write(files, out); err != nil {
		return 0, err
	}
	if o.lock != "" && !o.locked && !o.check {
		if err := o.writeLock(w.Lock()); err != nil {
			return 0, err
		}
	}
	if o.check && slices.ContainsFunc(files, (*file).changed) {
		code = exitChanges
	}
	return code, nil
}

// writeLock adds to the lock file: what was rewritten before decided nothing this time.
func (o *options) writeLock(lock *yaml.Lock) error {
	before, err := os.ReadFile(o.lock)
	switch {
	case err == nil:
		older, err := yaml.ParseLock(before)
		if err != nil {
			return fmt.Errorf("%s: %w", o.lock, err)
		}
		lock = older.With(lock)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return replace(o.lock, lock.Bytes())
}

// source returns where streams are looked up.
func (o *options) source(rest []string) (lookup.Source, error) {
	switch {
	case len(rest) > 0:
		return nil, fmt.Errorf("%q: files are named with -f", rest)
	case len(o.files) == 0:
		return nil, errors.New("-f says which files to rewrite")
	case o.inPlace && (o.check || o.explain):
		return nil, errors.New("--check and --explain write nothing: leave them out, or --in-place")
	case o.locked && o.lock == "":
		return nil, errors.New("--locked needs --lock FILE, which says what to repeat")
	case o.locked:
		text, err := os.ReadFile(o.lock)
		if err != nil {
			return nil, err
		}
		lock, err := yaml.ParseLock(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.lock, err)
		}
		return lock.Source(), nil
	case o.streams == "":
		return nil, errors.New("-streams says where the image streams are")
	}
	return streamfiles.Read(o.streams, o.namespace)
}

// names returns the files to rewrite.
func (o *options) names() ([]string, error) {
	var names []string
	for _, name := range o.files {
		if name == stdin {
			if len(o.files) > 1 || o.inPlace {
				return nil, errors.New("-f - is standard input: it stands alone, and cannot be written in place")
			}
			return []string{stdin}, nil
		}
		found, err := streamfiles.Find(name)
		if err != nil {
			return nil, err
		}
		names = append(names, found...)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no files that end in .yaml, .yml or .json", &o.files)
	}
	return names, nil
}

func read(name string, in io.Reader) ([]byte, error) {
	if name == stdin {
		return io.ReadAll(in)
	}
	return os.ReadFile(name)
}

// write writes what the options ask for: explanations, files, or a diff.
func (o *options) write(files []*file, out io.Writer) error {
	for _, f := range files {
		var err error
		switch {
		case o.explain:
			err = explain(out, f)
		case f.name == stdin && !o.check:
			_, err = out.Write(f.Bytes)
		case !f.changed():
		case o.inPlace:
			if err = replace(f.name, f.Bytes); err == nil {
				_, err = fmt.Fprintf(out, "%s: %d changed\n", f.name, len(f.Changes))
			}
		default:
			err = diff(out, f)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// explain tells of every reference in a file.
func explain(out io.Writer, f *file) error {
	for _, d := range f.Decisions {
		fmt.Fprintf(out, "%s:%d:%d: %s", f.name, d.Line, d.Column, d.Name)
		if d.To != "" {
			fmt.Fprintf(out, "\n  -> %s", d.To)
		}
		fmt.Fprintf(out, "\n  %s", d.Why.Message())
		for i, tried := range d.Tried {
			text := "; looked up "
			if i > 0 {
				text = ", "
			}
			fmt.Fprintf(out, "%s%s:%s", text, tried.Stream, tried.Tag)
		}
		if _, err := fmt.Fprintln(out); err != nil {
			return err
		}
	}
	return nil
}

// diff prints the lines that change. Lines stay where they are, so none has to be looked for.
func diff(out io.Writer, f *file) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "--- %s\n+++ %s\n", f.name, f.name)
	old, changed := bytes.SplitAfter(f.bytes, []byte("\n")), bytes.SplitAfter(f.Bytes, []byte("\n"))
	for at := 0; at < len(old); at++ {
		end := at
		for end < len(old) && !bytes.Equal(old[end], changed[end]) {
			end++
		}
		if end == at {
			continue
		}
		span := fmt.Sprint(at + 1)
		if end-at > 1 {
			span += fmt.Sprintf(",%d", end-at)
		}
		fmt.Fprintf(&text, "@@ -%s +%s @@\n", span, span)
		lines(&text, "-", old[at:end])
		lines(&text, "+", changed[at:end])
		at = end
	}
	_, err := out.Write(text.Bytes())
	return err
}

func lines(text *bytes.Buffer, mark string, lines [][]byte) {
	for _, line := range lines {
		text.WriteString(mark)
		text.Write(line)
		if !bytes.HasSuffix(line, []byte("\n")) {
			text.WriteString("\n\\ No newline at end of file\n")
		}
	}
}

// replace writes a file as a whole or not at all, and keeps its mode.
func replace(name string, text []byte) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	mode := os.FileMode(0o644)
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	temp, err := os.CreateTemp(filepath.Dir(name), ".rewrite-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return err
	}
	return os.Rename(temp.Name(), name)
}
