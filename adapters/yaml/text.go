package yaml

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	goyaml "go.yaml.in/yaml/v3"
)

const bom = "\xEF\xBB\xBF"

// isUTF16 reports whether a file says so with a byte order mark, as the parser looks for it.
func isUTF16(src []byte) bool {
	return bytes.HasPrefix(src, []byte{0xFE, 0xFF}) || bytes.HasPrefix(src, []byte{0xFF, 0xFE})
}

// The bounds of what is read.
const (
	maxFile      = 64 << 20
	maxDocument  = 16 << 20
	maxDocuments = 100_000
	maxDepth     = 10_000
	maxValues    = 1_000_000 // of a document of JSON
	maxMarks     = 4_000_000 // that could part values of a document of YAML
)

// boundError is a document beyond a bound.
type boundError struct {
	problem Problem
	detail  string
}

func (e boundError) Error() string { return e.detail }

// whole returns what is wrong with a file as a whole.
func whole(src []byte) (problem Problem, detail string) {
	switch {
	case isUTF16(src), bytes.IndexByte(src, 0) >= 0: // no text of YAML has a byte 0 in UTF-8
		return ProblemEncoding, ""
	case len(src) > maxFile:
		return ProblemSize, fmt.Sprintf("%d bytes in a file", maxFile)
	}
	return "", ""
}

// chunk is the part of a file that has one document, or several if they are JSON.
type chunk struct {
	text   []byte
	start  int   // in the file
	line   int   // of its beginning, from 1
	count  int   // of its lines
	marked bool  // it begins with "---"
	minor  int   // where "%YAML 1.2" has its 2; 0 if that stands nowhere
	boms   []int // where byte order marks stand that are not at the beginning
	// roots are its documents. Their lines count from base, what is before it in what was parsed at once.
	roots []*goyaml.Node
	err   error
	base  int
	lines []int // where its lines begin; made when it is needed
	runes []int // how many characters there are before each step'th byte
}

// split cuts a file where documents begin and end: at lines of "---" and "...". Each part can be parsed alone.
func split(src []byte) iter.Seq[*chunk] {
	return func(yield func(*chunk) bool) {
		c := &chunk{line: 1}
		bare := true   // only comments and directives so far, which belong to what follows
		empty := false // only a marker and comments so far
		number := 1
		next := func(end int) bool {
			c.text, c.count = src[c.start:end:end], number-c.line
			more := yield(c)
			c, bare, empty = &chunk{start: end, line: number}, true, false
			return more
		}
		for at := 0; at < len(src); {
			end := at + lineLength(src[at:])
			line := bytes.TrimPrefix(src[at:end], []byte(bom))
			hasBOM := len(line) < end-at // one may stand before each document
			if hasBOM && bare && at > c.start && !next(at) {
				return
			}
			if isMarker(line, "---") {
				if !bare && !next(at) {
					return
				}
				bare, empty = false, isBlank(line[len("---"):])
				c.marked = at == c.start && !hasBOM
			} else if empty {
				if hasBOM {
					c.boms = append(c.boms, at-c.start)
				}
				empty = isBlank(line)
			} else if bare {
				bare = isBlank(line) || line[0] == '%'
				if m := laterVersion.FindSubmatchIndex(line); m != nil {
					c.minor = end - len(line) + m[2] - c.start
				}
			}
			number++
			at = end
			if isMarker(line, "...") && !next(at) {
				return
			}
		}
		if c.start < len(src) {
			next(len(src))
		}
	}
}

// isBlank reports whether a line has no more than a comment.
func isBlank(line []byte) bool {
	text := bytes.TrimLeft(line, " \t")
	return len(text) == 0 || text[0] == '#' || lineBreak(text) > 0
}

// laterVersion is a directive of a version that the parser refuses, though it reads its documents.
var laterVersion = regexp.MustCompile(`^%YAML[ \t]+1\.([02-9])[ \t]*(#.*)?\r?\n?$`)

// marks counts what could part values: an upper bound of what the parser makes of the text.
func (c *chunk) marks() int {
	n := 0
	for _, mark := range [...]string{",", ":", "[", "{", "\n", "\r"} {
		n += bytes.Count(c.text, []byte(mark))
	}
	return n
}

// parsable returns the text as the parser takes it: to it a byte order mark that is not at the beginning is a letter.
func (c *chunk) parsable() []byte {
	if c.minor == 0 && len(c.boms) == 0 {
		return c.text
	}
	text, from := make([]byte, 0, len(c.text)), 0
	for _, at := range c.boms {
		text = append(text, c.text[from:at]...)
		from = at + len(bom)
	}
	text = append(text, c.text[from:]...)
	if c.minor > 0 { // before the first marker, and so before all byte order marks
		text[c.minor] = '1'
	}
	return text
}

// isMarker reports whether a line begins with a document marker.
func isMarker(line []byte, marker string) bool {
	if !bytes.HasPrefix(line, []byte(marker)) {
		return false
	}
	rest := line[len(marker):]
	return len(rest) == 0 || rest[0] == ' ' || rest[0] == '\t' || lineBreak(rest) > 0
}

// lineLength returns how long the first line is, with its break. Lines break as they do for the parser: at LF, CR,
// CRLF, NEL, LS and PS.
func lineLength(b []byte) int {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		end = len(b)
	}
	for at := 0; ; at++ {
		i := bytes.IndexByte(b[at:end], '\r')
		for _, lead := range [...]byte{0xC2, 0xE2} {
			if j := bytes.IndexByte(b[at:end], lead); j >= 0 && (i < 0 || j < i) {
				i = j
			}
		}
		if i < 0 {
			return end
		}
		at += i
		if n := lineBreak(b[at:]); n > 0 {
			return at + n
		}
	}
}

// lineBreak returns how long the line break is that b begins with, 0 if it begins with none.
func lineBreak(b []byte) int {
	switch {
	case len(b) == 0:
	case b[0] == '\n':
		return 1
	case b[0] == '\r':
		if len(b) > 1 && b[1] == '\n' {
			return 2
		}
		return 1
	case b[0] == 0xC2 && len(b) > 1 && b[1] == 0x85:
		return 2
	case b[0] == 0xE2 && len(b) > 2 && b[1] == 0x80 && (b[2] == 0xA8 || b[2] == 0xA9):
		return 3
	}
	return 0
}

// mayHave reports whether a document may have a key with one of the words in it. That stands there as it is, unless it
// is written with escapes or in base 64.
func (c *chunk) mayHave(words []string) bool {
	for _, word := range words {
		if bytes.Contains(c.text, []byte(word)) {
			return true
		}
	}
	return bytes.IndexByte(c.text, '\\') >= 0 ||
		bytes.Contains(c.text, []byte("!!")) || bytes.Contains(c.text, []byte("!<")) ||
		bytes.Contains(c.text, []byte("%TAG"))
}

var errorLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax returns the report of an error of the parser.
func (c *chunk) syntax() Report {
	text := c.err.Error()
	r := Report{Place: Place{Line: c.line, Column: 1}, Problem: ProblemSyntax}
	if bound, ok := errors.AsType[boundError](c.err); ok {
		r.Problem, r.Detail = bound.problem, bound.detail
		return r
	}
	if m := errorLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if n, err := strconv.Atoi(m[1]); err == nil {
			r.Line += n - 1
		}
	}
	r.Detail = text
	return r
}

// step is how many bytes apart characters are counted, so that a place in a long line is found without reading it all.
const step = 1024

// table makes the tables of lines and of characters.
func (c *chunk) table() {
	if c.lines != nil {
		return
	}
	c.lines = make([]int, 0, c.count)
	for at := 0; at < len(c.text); at += lineLength(c.text[at:]) {
		c.lines = append(c.lines, at)
	}
	if bytes.HasPrefix(c.text, []byte(bom)) {
		c.lines[0] = len(bom)
	}
	for _, at := range c.boms {
		line, _ := slices.BinarySearch(c.lines, at)
		c.lines[line] += len(bom)
	}
	n := 0
	c.runes = make([]int, 0, len(c.text)/step+1)
	for at := 0; at < len(c.text); at += step {
		c.runes = append(c.runes, n)
		n += runeStarts(c.text[at:min(at+step, len(c.text))])
	}
}

// runeStarts counts the characters that begin in b, in UTF-8.
func runeStarts(b []byte) int {
	n := 0
	for _, x := range b {
		if utf8.RuneStart(x) {
			n++
		}
	}
	return n
}

// runesBefore counts the characters before a byte.
func (c *chunk) runesBefore(at int) int {
	if at >= len(c.text) {
		at = len(c.text) - 1
	}
	return c.runes[at/step] + runeStarts(c.text[at/step*step:at])
}

// offset returns the byte at which a node begins.
func (c *chunk) offset(n *goyaml.Node) int {
	if n.Line == 0 {
		return n.Column
	}
	c.table()
	line := n.Line - c.base - 1
	if line < 0 || line >= len(c.lines) {
		return len(c.text)
	}
	want := c.runesBefore(c.lines[line]) + n.Column - 1
	i, exact := slices.BinarySearch(c.runes, want)
	if !exact {
		i--
	}
	have := c.runes[i]
	for at := i * step; at < len(c.text); at++ {
		if utf8.RuneStart(c.text[at]) {
			if have == want {
				return at
			}
			have++
		}
	}
	return len(c.text)
}

// position returns line and column of a node in the file.
func (c *chunk) position(n *goyaml.Node) (line, column int) {
	switch {
	case n == nil:
		return c.line, 1
	case n.Line > 0:
		return c.line + n.Line - c.base - 1, n.Column
	}
	c.table()
	i, exact := slices.BinarySearch(c.lines, n.Column)
	if !exact {
		i--
	}
	return c.line + i, 1 + c.runesBefore(n.Column) - c.runesBefore(c.lines[i])
}

// span returns where in the chunk a text stands, with its quotes.
func (c *chunk) span(n *goyaml.Node) (from, to int, problem Problem) {
	if n.Kind != goyaml.ScalarNode || n.Style&goyaml.TaggedStyle != 0 && n.Tag != "!!str" {
		return 0, 0, ProblemTag
	}
	if n.Style&(goyaml.LiteralStyle|goyaml.FoldedStyle) != 0 {
		return 0, 0, ProblemBlock
	}
	from = c.offset(n)
	for from < len(c.text) && (c.text[from] == '&' || c.text[from] == '!') {
		for from < len(c.text) && c.text[from] != ' ' && c.text[from] != '\t' && lineBreak(c.text[from:]) == 0 {
			from++
		}
		for from < len(c.text) && (c.text[from] == ' ' || c.text[from] == '\t') {
			from++
		}
	}
	to, ok := scalarEnd(c.text[from:], n)
	if !ok {
		return 0, 0, ProblemBlock
	}
	return from, from + to, ""
}

// scalarEnd returns the length of a scalar on one line, at the beginning of b.
func scalarEnd(b []byte, n *goyaml.Node) (int, bool) {
	line := b[:lineLength(b)]
	switch {
	case n.Style&goyaml.SingleQuotedStyle != 0:
		text := "'" + strings.ReplaceAll(n.Value, "'", "''") + "'"
		return len(text), bytes.HasPrefix(line, []byte(text))
	case n.Style&goyaml.DoubleQuotedStyle == 0:
		return len(n.Value), n.Value != "" && bytes.HasPrefix(line, []byte(n.Value))
	case len(line) == 0 || line[0] != '"':
		return 0, false
	}
	for i := 1; i < len(line); i++ {
		switch line[i] {
		case '\\':
			i++
		case '"':
			return i + 1, true
		}
	}
	return 0, false
}

// plainText are texts that are texts without quotes, wherever they stand.
var plainText = regexp.MustCompile(
	`^([A-Za-z][A-Za-z0-9._-]*:[A-Za-z0-9]|[A-Za-z0-9][A-Za-z0-9._-]*[/@])[A-Za-z0-9._/@:-]*[A-Za-z0-9_-]$`)

// quote writes a text as the one was written that it replaces; in double quotes if that is nothing.
func quote(old []byte, text string) string {
	switch {
	case len(old) == 0 || old[0] == '"':
	case old[0] == '\'':
		if isPrintable(text) {
			return "'" + strings.ReplaceAll(text, "'", "''") + "'"
		}
	default:
		if plainText.MatchString(text) || text == "digest" || text == "DockerImage" {
			return text
		}
	}
	quoted, _ := json.Marshal(text)
	return string(quoted)
}

func isPrintable(text string) bool {
	return strings.IndexFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// edit replaces a part of a file.
type edit struct {
	from, to int
	text     string
}

// apply makes edits. A part that is replaced twice is so by the same text.
func apply(src []byte, edits []edit) []byte {
	if len(edits) == 0 {
		return src
	}
	slices.SortStableFunc(edits, func(a, b edit) int { return cmp.Compare(a.from, b.from) })
	size := len(src)
	for _, e := range edits {
		size += len(e.text)
	}
	out := make([]byte, 0, size)
	at := 0
	for _, e := range edits {
		if e.from >= at {
			out = append(append(out, src[at:e.from]...), e.text...)
			at = e.to
		}
	}
	return append(out, src[at:]...)
}
