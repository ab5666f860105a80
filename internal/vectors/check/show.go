package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/imagestreams/imagestreams/internal/vectors"
)

//go:embed testdata/*.gz
var embedded embed.FS

// committed are the vectors of this repository.
func committed() fs.FS {
	dir, err := fs.Sub(embedded, "testdata")
	if err != nil {
		panic(err) // a path that is a constant
	}
	return dir
}

// area is where the rules of an op are written down: the document that came with the vectors, and the package
// whose documentation has them in this repository.
type area struct{ document, dir string }

// areas are by the part of an op's name before its first dot.
var areas = map[string]area{
	"describe":    {"describe.md", "imagestream/describe"},
	"image":       {"tagapi.md, section 9", "imagestream/manifest"},
	"imagetag":    {"tagapi.md, section 8", "imagestream/view"},
	"import":      {"import.md", "importer"},
	"isimage":     {"tagapi.md, section 11", "imagestream/view"},
	"istag":       {"tagapi.md, sections 3 to 7", "imagestream/view"},
	"layers":      {"tagapi.md, section 10", "imagestream/view"},
	"lookup":      {"lookup.md", "lookup"},
	"mapping":     {"tagapi.md, section 12", "imagestream/view"},
	"names":       {"names.md", "imagestream/pullspec"},
	"needsimport": {"import.md, section 8", "importer"},
	"occreate":    {"occommands.md", "imagestream/oc"},
	"ocimport":    {"occommands.md", "imagestream/oc"},
	"octag":       {"occommands.md", "imagestream/oc"},
	"policy":      {"lookup.md", "lookup"},
	"print":       {"tagapi.md, section 13", "imagestream/describe"},
	"prune":       {"prune.md", "imagestream/prune"},
	"reference":   {"lookup.md, section 1", "imagestream/pullspec"},
	"schedule":    {"import.md, section 9", "importer/schedule"},
	"stream":      {"stream.md", "imagestream"},
	"table":       {"describe.md, section 4", "imagestream/describe"},
	"tagevent":    {"tagevent.md", "tagevent"},
	"trigger":     {"trigger.md", "lookup/trigger"},
}

func areaOf(op string) area {
	prefix, _, _ := strings.Cut(op, ".")
	return areas[prefix]
}

// show prints the case of that id.
func show(w io.Writer, dir fs.FS, id string) error {
	for c, err := range vectors.All(dir) {
		if err != nil {
			return err
		}
		if c.ID == id {
			return print(w, c)
		}
	}
	return fmt.Errorf("there is no case %q: an id is written like stream-0068", id)
}

func print(w io.Writer, c vectors.Case) error {
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s, op %s\n", c.ID, c.Op)
	if c.Note != "" {
		fmt.Fprintf(&text, "%s\n", c.Note)
	}
	if a := areaOf(c.Op); a.dir != "" {
		fmt.Fprintf(&text, "rules: %s; go doc ./%s\n", a.document, a.dir)
	}
	parts := []struct {
		name string
		raw  json.RawMessage
	}{{"env", c.Env}, {"in", c.In}, {"want", c.Want}}
	for i, raw := range c.WantAny {
		parts = append(parts, struct {
			name string
			raw  json.RawMessage
		}{fmt.Sprintf("want %d of %d", i+1, len(c.WantAny)), raw})
	}
	for _, part := range parts {
		if part.raw == nil {
			continue
		}
		fmt.Fprintf(&text, "\n%s\n", part.name)
		if err := json.Indent(&text, part.raw, "", "  "); err != nil {
			return err
		}
		text.WriteByte('\n')
	}
	_, err := w.Write(text.Bytes())
	return err
}
