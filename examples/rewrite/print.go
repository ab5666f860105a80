package main

import (
	"bytes"
	"fmt"
	"io"

	"github.com/imagestreams/imagestreams/adapters/yaml"
)

// print prints what became of a file.
func (o *options) print(f *file, out io.Writer) error {
	var err error
	switch {
	case o.explain:
		err = explain(out, f)
	case f.name == stdin && !o.check:
		_, err = out.Write(f.Bytes)
	case !f.changed():
	case o.inPlace:
		_, err = fmt.Fprintf(out, "%s: %d changed\n", f.name, len(f.Changes))
	default:
		err = diff(out, f)
	}
	return err
}

// explain tells of every reference in a file.
func explain(out io.Writer, f *file) error {
	for _, d := range f.Decisions {
		if _, err := fmt.Fprintf(out, "%s:%d:%d: %s\n", f.name, d.Line, d.Column, explanation(d)); err != nil {
			return err
		}
	}
	return nil
}

func explanation(d yaml.Decision) string {
	text := d.Name
	if text == "" {
		text = d.Kind
	}
	if d.To != "" {
		text += "\n  -> " + d.To
	}
	text += "\n  " + d.Why.Message()
	for i, tried := range d.Tried {
		separator := "; looked up "
		if i > 0 {
			separator = ", "
		}
		text += separator + tried.Stream.String() + ":" + tried.Tag
	}
	if d.Assumed {
		text += "; whether the image still exists is not known"
	}
	return text
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
