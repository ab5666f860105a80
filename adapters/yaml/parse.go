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
			size  int
			done  chan struct{}
		}
		var jobs []job
		var running sync.WaitGroup
		defer running.Wait()
		held := 0 // bytes that are parsed, or wait to be read
		first := func() bool {
			j := jobs[0]
			jobs = jobs[1:]
			<-j.done
			held -= j.size
			for _, c := range j.batch {
				if !yield(c) {
					return false
				}
			}
			return true
		}
		for batch := range batches(chunks) {
			j := job{batch, 0, make(chan struct{})}
			for _, c := range batch {
				j.size += len(c.text)
			}
			for len(jobs) > 0 && held+j.size > maxDocument {
				if !first() {
					return
				}
			}
			held += j.size
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
		if c.err != nil {
			continue
		}
		if len(c.text) > maxDocument {
			c.err = boundError{ProblemSize, fmt.Sprintf("%d bytes in a document", maxDocument)}
			continue
		}
		var ok bool
		if c.roots, ok, c.err = parseJSON(c.text); ok || c.err != nil {
			continue
		}
		if len(c.text) > maxMarks && c.marks() > maxMarks {
			c.err = boundError{ProblemSize, fmt.Sprintf("%d commas, colons, brackets and lines in a document", maxMarks)}
			continue
		}
		c.base, c.roots = 0, nil
		c.err = decode(bytes.NewReader(c.parsable()), func(n *goyaml.Node) { c.roots = append(c.roots, n) })
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
		texts[i] = bytes.NewReader(c.parsable())
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

// decode calls do for every document of a text. Should the parser panic, that is an error of the text: it runs in
// goroutines, where nobody else could catch it.
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

// parseJSON reads documents of JSON, between markers and comments of YAML. Of its nodes the line is 0, and the
// column the byte at which they begin. A text that is not JSON is not ok; a text beyond a bound is an error.
func parseJSON(text []byte) (roots []*goyaml.Node, ok bool, err error) {
	begin := beginOfJSON(text)
	if begin < 0 {
		return nil, false, nil
	}
	decoder := json.NewDecoder(bytes.NewReader(text[begin:]))
	decoder.UseNumber()
	var open []*goyaml.Node
	for n := 0; ; n++ {
		at := begin + int(decoder.InputOffset())
		token, err := decoder.Token()
		if err != nil {
			done := errors.Is(err, io.EOF) || endOfJSON(text[at:])
			return roots, done && len(open) == 0, nil
		}
		if n > 2*maxValues {
			return nil, false, boundError{ProblemSize, fmt.Sprintf("%d values in a document", maxValues)}
		}
		if token == json.Delim('}') || token == json.Delim(']') {
			open = open[:len(open)-1]
			continue
		}
		at += bytes.IndexFunc(text[at:], func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
		node := nodeOf(token, at)
		if len(open) == 0 {
			roots = append(roots, node)
		} else {
			parent := open[len(open)-1]
			parent.Content = append(parent.Content, node)
		}
		if node.Kind != goyaml.ScalarNode {
			if open = append(open, node); len(open) > maxDepth {
				return nil, false, boundError{ProblemDepth, ""}
			}
		}
	}
}

// nodeOf returns the node of a token of JSON.
func nodeOf(token json.Token, at int) *goyaml.Node {
	n := &goyaml.Node{Kind: goyaml.ScalarNode, Column: at}
	switch token := token.(type) {
	case json.Delim:
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
	return n
}

// beginOfJSON returns where JSON may begin, behind byte order marks, comments and a marker; -1 if there is none.
func beginOfJSON(text []byte) int {
	for at, marked := 0, false; at < len(text); {
		if bytes.HasPrefix(text[at:], []byte(bom)) {
			at += len(bom)
		}
		line := text[at : at+lineLength(text[at:])]
		blank := bytes.TrimLeft(line, " \t\r\n")
		switch {
		case len(blank) == 0 || blank[0] == '#':
			at += len(line)
		case !marked && isMarker(line, "---"):
			marked = true
			at += len("---")
		case blank[0] == '{' || blank[0] == '[':
			return at
		default:
			return -1
		}
	}
	return -1
}

// endOfJSON reports whether nothing follows but comments and the end of a document of YAML.
func endOfJSON(text []byte) bool {
	for at := 0; at < len(text); {
		line := text[at : at+lineLength(text[at:])]
		blank := bytes.TrimLeft(line, " \t\r\n")
		if len(blank) > 0 && blank[0] != '#' && !isMarker(line, "...") {
			return false
		}
		at += len(line)
	}
	return true
}
