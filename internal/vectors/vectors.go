// Package vectors loads conformance vectors and compares answers with them.
//
// A vector is one line of a .jsonl file, or of a .jsonl.gz file: {id, op, note, env, in, want or wantAny}. It
// holds an input and what the real system answered.
package vectors

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
)

// Case is one vector. The rule it tests lies in Op, Env and In; ID and Note are for people.
type Case struct {
	ID   string          `json:"id"`
	Op   string          `json:"op"`
	Note string          `json:"note"`
	Env  json.RawMessage `json:"env"`
	In   json.RawMessage `json:"in"`
	// Want is the answer; where the real system has several, WantAny lists them and Want is nil.
	Want    json.RawMessage   `json:"want"`
	WantAny []json.RawMessage `json:"wantAny"`
}

// All yields the cases of every .jsonl and .jsonl.gz file of fsys, files in name order. It ends with the
// first error.
func All(fsys fs.FS) iter.Seq2[Case, error] {
	return func(yield func(Case, error) bool) {
		names, err := fs.Glob(fsys, "*.jsonl*")
		if err != nil {
			yield(Case{}, err)
			return
		}
		slices.Sort(names)
		for _, name := range names {
			if !load(fsys, name, yield) {
				return
			}
		}
	}
}

func load(fsys fs.FS, name string, yield func(Case, error) bool) bool {
	fail := func(err error) bool {
		yield(Case{}, fmt.Errorf("vectors %s: %w", name, err))
		return false
	}
	f, err := fsys.Open(name)
	if err != nil {
		return fail(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return fail(err)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		var c Case
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			return fail(fmt.Errorf("line %d: %w", n, err))
		}
		if c.Op == "" || c.Want == nil && c.WantAny == nil {
			return fail(fmt.Errorf("line %d: a case has an op, and want or wantAny", n))
		}
		if !yield(c, nil) {
			return false
		}
	}
	if err := lines.Err(); err != nil {
		return fail(err)
	}
	return true
}
