package describe

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// The graph's measures, in pixels.
const (
	graphMargin = 16
	graphHead   = 52
	nodeWidth   = 190
	nodeHeight  = 34
	nodeGap     = 56 // between columns
	rowGap      = 10
)

// Graph draws what the tags of s come from, as an SVG: sources (registries, other streams, images, pushes) on the
// left, and to the right of each what follows it, tag by tag. A tag that waits for its import has a dashed border,
// one whose import failed a thick one and a "!". Tags that follow each other in a circle have no source; the first
// of them stands on the left, and an arrow leads back to it.
//
// The picture needs nothing from outside, and has a title and a description in words. The error is that of w.
func Graph(w io.Writer, s *imagestream.ImageStream) error {
	g := &graph{stream: index(s), row: 0}
	g.build()
	title := "What the tags of image stream " + s.Key().String() + " come from"
	columns := 1
	for _, n := range g.nodes {
		columns = max(columns, n.column+1)
	}
	width := float64(2*graphMargin + columns*nodeWidth + (columns-1)*nodeGap)
	width = max(width, 400)
	height := float64(graphHead + max(g.row, 1)*(nodeHeight+rowGap) + graphMargin)

	p := &picture{}
	p.printf(
		`<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="#595959"/></marker></defs>` + "\n",
	)
	p.text(graphMargin, 28, ` font-size="16" font-weight="bold"`, fit(title, (width-2*graphMargin)*12/16))
	if len(g.nodes) == 0 {
		p.text(graphMargin, graphHead+16, "", "no tags")
	}
	var words []string
	for _, n := range g.nodes {
		if n.from != nil {
			p.edge(n)
		}
	}
	for _, n := range g.nodes {
		p.node(n)
		if n.tag != "" {
			words = append(words, n.words)
		}
	}
	if len(words) == 0 {
		words = []string{"It has no tags."}
	}
	return p.write(w, pictureID("graph", s), title, strings.Join(words, " "), width, height)
}

// node is a source or a tag.
type node struct {
	tag           string // "" for a source
	label, detail string
	full          string // the whole label, and what is to be known besides
	words         string
	state         inspect.Phase
	column, row   int
	from          *node
	back          bool // the edge from from closes a circle
}

// graph lays nodes out: each has one origin, so they are trees, but for circles.
type graph struct {
	stream
	nodes    []*node
	row      int
	children map[string][]string // by key of the origin, in tag order
	placed   map[string]*node
}

// tagOrigin is what a tag comes from: a tag of the stream, or a source.
type tagOrigin struct {
	tag, source string
}

func (g *graph) build() {
	g.children, g.placed = map[string][]string{}, map[string]*node{}
	names := g.names()
	origins := map[string]tagOrigin{}
	var roots []string
	for _, name := range names {
		o := g.originOf(name)
		origins[name] = o
		if o.tag != "" {
			g.children["tag "+o.tag] = append(g.children["tag "+o.tag], name)
			continue
		}
		key := "source " + o.source
		if len(g.children[key]) == 0 {
			roots = append(roots, o.source)
		}
		g.children[key] = append(g.children[key], name)
	}
	for _, source := range roots {
		root := &node{label: source, full: source, row: g.row}
		g.nodes = append(g.nodes, root)
		g.placeChildren(root, "source "+source)
	}
	for _, name := range names { // what is left goes round
		if g.placed[name] == nil {
			first := g.tagNode(name, nil)
			g.placeChildren(first, "tag "+name)
			first.from, first.back = g.placed[origins[name].tag], true
		}
	}
}

// placeChildren places what comes from n, below each other, to its right.
func (g *graph) placeChildren(n *node, key string) {
	row := g.row
	for _, name := range g.children[key] {
		if g.placed[name] == nil {
			g.placeChildren(g.tagNode(name, n), "tag "+name)
		}
	}
	if g.row == row {
		g.row++
	}
}

func (g *graph) tagNode(name string, from *node) *node {
	n := &node{tag: name, label: name, row: g.row, from: from}
	if from != nil {
		n.column = from.column + 1
	}
	state := inspect.TagState(g.ImageStream, name)
	n.state = state.Phase
	switch event, ok := g.LatestEvent(name); {
	case n.state == inspect.Failed:
		n.detail = "! " + state.Reason
	case n.state == inspect.Pending:
		n.detail = "waits for its import"
	case ok:
		n.detail = imageName(event.Image, event.DockerImageReference)
	}
	n.full = name + ": " + n.detail
	if state.Message != "" {
		n.full += ": " + state.Message
	}
	o := g.originOf(name)
	n.words = fmt.Sprintf("%s comes from %s, %s.", name, cmp.Or(o.tag, o.source), cmp.Or(n.detail, "nothing"))
	g.nodes = append(g.nodes, n)
	g.placed[name] = n
	return n
}

// originOf says what a tag comes from.
func (g *graph) originOf(name string) tagOrigin {
	spec := g.spec[name]
	switch {
	case spec == nil:
		return tagOrigin{source: "pushes"}
	case spec.From == nil:
		return tagOrigin{source: "nothing"}
	}
	if tag, ok := g.TrackedTag(*spec); ok {
		if g.spec[tag] != nil || g.status[tag] != nil {
			return tagOrigin{tag: tag}
		}
		return tagOrigin{source: "tag " + tag + ", which is not there"}
	}
	text := spec.From.Name
	if ns := spec.From.Namespace; ns != "" && ns != g.Metadata.Namespace {
		text = ns + "/" + text
	}
	if spec.From.Kind == imagestream.KindImageStreamImage {
		stream, id, _ := pullspec.SplitImage(text)
		text = stream + "@" + shortID(id)
	}
	return tagOrigin{source: text}
}

func (n *node) x() float64 { return graphMargin + float64(n.column*(nodeWidth+nodeGap)) }
func (n *node) y() float64 { return graphHead + float64(n.row*(nodeHeight+rowGap)) }

func (p *picture) edge(n *node) {
	x1, y1 := n.from.x()+nodeWidth, n.from.y()+nodeHeight/2
	x2, y2 := n.x(), n.y()+nodeHeight/2
	path := fmt.Sprintf(
		"M%s %sC%s %s %s %s %s %s",
		number(x1),
		number(y1),
		number(x1+nodeGap/2),
		number(y1),
		number(x2-nodeGap/2),
		number(y2),
		number(x2-1),
		number(y2),
	)
	if n.back { // out at the bottom, in at the bottom
		x1, y1 = n.from.x()+nodeWidth*3/4, n.from.y()+nodeHeight
		x2, y2 = n.x()+nodeWidth/4, n.y()+nodeHeight
		path = fmt.Sprintf("M%s %sv%dH%sV%s", number(x1), number(y1), rowGap/2, number(x2), number(y2+1))
	}
	p.printf(`<path d="%s" fill="none" stroke="#595959" marker-end="url(#arrow)"/>`+"\n", path)
}

func (p *picture) node(n *node) {
	border := `stroke="#1a1a1a"`
	switch n.state {
	case inspect.Pending:
		border = `stroke="#1a1a1a" stroke-dasharray="4 3"`
	case inspect.Failed:
		border = `stroke="#a33800" stroke-width="3"`
	}
	fill, radius := "#ffffff", 4
	if n.tag == "" {
		fill, radius, border = "#eeeeee", nodeHeight/2, `stroke="#767676"`
	}
	p.printf("<g><title>%s</title>\n", escape(n.full))
	p.printf(
		`<rect x="%s" y="%s" width="%d" height="%d" rx="%d" fill="%s" %s/>`+"\n",
		number(n.x()),
		number(n.y()),
		nodeWidth,
		nodeHeight,
		radius,
		fill,
		border,
	)
	if n.detail == "" {
		p.text(n.x()+12, n.y()+nodeHeight/2+4, "", fit(n.label, nodeWidth-24))
	} else {
		p.text(n.x()+10, n.y()+15, ` font-weight="bold"`, fit(n.label, nodeWidth-24))
		p.text(n.x()+10, n.y()+28, ` font-size="11" fill="#404040"`, fit(n.detail, nodeWidth-20))
	}
	p.printf("</g>\n")
}
