package yaml

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"runtime"
	"strconv"
	"strings"
	"sync"

	goyaml "go.yaml.in/yaml/v3"
)

// maxBatch is how many bytes are parsed at once.
const maxBatch = 64 << 10

// batches groups chunks that are parsed at once.
func batches(chunks iter.Seq[*chunk]) iter.Seq[[]*chunk] {
	return func(yield func([]*chunk) bool) {
		var batch []*chunk
		size := 0
		for c := range chunks {
			if size > 0 && (!c.marked || size+len(c.text) > maxBatch) {
				if !yield(batch) {
					return
				}
				batch, size = nil, 0
			}
			batch = append(batch, c)
			size += len(c.text)
		}
		if size > 0 {
			yield(batch)
		}
	}
}

// parsed parses chunks on all processors, and returns them in order. When it is left, nothing is being parsed any more.
func parsed(chunks iter.Seq[*chunk]) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		type job struct {
			batch []*chunk
			done  chan struct{}
		}
		var jobs []job
		var running sync.WaitGroup
		defer running.Wait()
		first := func() bool {
			j := jobs[0]
			jobs = jobs[1:]
			<-j.done
			for _, c := range j.batch {
				if !yield(c) {
					return false
				}
			}
			return true
		}
		for batch := range batches(chunks) {
			j := job{batch, make(chan struct{})}
			jobs = append(jobs, j)
			running.Go(func() {
				parse(batch)
				close(j.done)
			})
			if len(jobs) > runtime.GOMAXPROCS(0) && !first() {
				return
			}
		}
		for len(jobs) > 0 {
			if !first() {
				return
			}
		}
	}
}

// parse parses chunks, of which all but the first begin with a marker. The parser's anchors hold beyond the end of a
// document; where that matters, or there is an error, each chunk is parsed alone.
func parse(batch []*chunk) {
	if len(batch) > 1 && !hasAliases(batch) && parseTogether(batch) == nil {
		return
	}
	for _, c := range batch {
		var ok bool
		if c.roots, ok = parseJSON(c.text); ok {
			continue
		}
		c.base, c.roots = 0, nil
		c.err = decode(bytes.NewReader(c.text), func(n *goyaml.Node) { c.roots = append(c.roots, n) })
	}
}

func hasAliases(batch []*chunk) bool {
	anchor, alias := false, false
	for _, c := range batch {
		anchor = anchor || bytes.IndexByte(c.text, '&') >= 0
		alias = alias || bytes.IndexByte(c.text, '*') >= 0
	}
	return anchor && alias
}

func parseTogether(batch []*chunk) error {
	texts := make([]io.Reader, len(batch))
	lines := 0
	for i, c := range batch {
		texts[i] = bytes.NewReader(c.text)
		c.base = lines
		lines += c.count
	}
	i := 0
	return decode(io.MultiReader(texts...), func(n *goyaml.Node) {
		for i+1 < len(batch) && n.Line > batch[i+1].base {
			i++
		}
		batch[i].roots = append(batch[i].roots, n)
	})
}

// decode calls do for every document of a text. Should the parser panic, that is an error of the text: it runs in goroutines, where
// nobody else could catch it.
func decode(text io.Reader, do func(*goyaml.Node)) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("the parser broke down: %v", p)
		}
	}()
	for decoder := goyaml.NewDecoder(text); ; {
		var document goyaml.Node
		err := decoder.Decode(&document)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, root := range document.Content {
			do(root)
		}
	}
}

// parseJSON reads documents of JSON. Of its nodes the line is 0, and the column the byte at which they begin.
func parseJSON(text []byte) ([]*goyaml.Node, bool) {
	blank := bytes.TrimLeft(text, " \t\r\n")
	if len(blank) == 0 || blank[0] != '{' && blank[0] != '[' {
		return nil, false
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var roots, open []*goyaml.Node
	for {
		at := int(decoder.InputOffset())
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return roots, len(open) == 0
		}
		if err != nil {
			return nil, false
		}
		at += bytes.IndexFunc(text[at:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
		n := &goyaml.Node{Kind: goyaml.ScalarNode, Column: at}
		switch token := token.(type) {
		case json.Delim:
			if token == '}' || token == ']' {
				open = open[:len(open)-1]
				continue
			}
			n.Kind = goyaml.MappingNode
			if token == '[' {
				n.Kind = goyaml.SequenceNode
			}
		case string:
			n.Tag, n.Value, n.Style = "!!str", token, goyaml.DoubleQuotedStyle
		case bool:
			n.Tag, n.Value = "!!bool", strconv.FormatBool(token)
		case json.Number:
			n.Tag, n.Value = "!!int", token.String()
		default:
			n.Tag, n.Value = "!!null", "null"
		}
		if len(open) == 0 {
			roots = append(roots, n)
		} else {
			parent := open[len(open)-1]
			parent.Content = append(parent.Content, n)
		}
		if n.Kind != goyaml.ScalarNode {
			open = append(open, n)
		}
	}
}
