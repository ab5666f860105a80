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

// areas are the packages whose documentation has the rules, by the part of an op's name before its first dot.
var areas = map[string]string{
	"describe":    "imagestream/describe",
	"image":       "imagestream/manifest",
	"imagetag":    "imagestream/view",
	"import":      "importer",
	"isimage":     "imagestream/view",
	"istag":       "imagestream/view",
	"layers":      "imagestream/view",
	"lookup":      "lookup",
	"mapping":     "imagestream/view",
	"names":       "imagestream/pullspec",
	"needsimport": "importer",
	"occreate":    "imagestream/oc",
	"ocimport":    "imagestream/oc",
	"octag":       "imagestream/oc",
	"policy":      "lookup",
	"print":       "imagestream/describe",
	"prune":       "imagestream/prune",
	"reference":   "imagestream/pullspec",
	"schedule":    "importer/schedule",
	"stream":      "imagestream",
	"table":       "imagestream/describe",
	"tagevent":    "tagevent",
	"trigger":     "lookup/trigger",
}

func areaOf(op string) string {
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
	if dir := areaOf(c.Op); dir != "" {
		fmt.Fprintf(&text, "rules: go doc ./%s\n", dir)
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
