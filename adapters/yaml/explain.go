package yaml

import (
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/lookup"
)

// decide remembers what was decided about a reference, and tells those who asked; at is where it stands, nil if its
// path leads there.
func (d *document) decide(decision lookup.Decision, at *goyaml.Node) {
	d.seen.decided(decision)
	if !d.explain {
		return
	}
	if at == nil {
		at = d.find(decision.Path)
	}
	if d.looked == nil {
		d.looked = map[string]bool{}
	}
	d.looked[decision.Path] = true
	place := Place{Path: decision.Path}
	place.Line, place.Column = d.position(at)
	d.out.Decisions = append(d.out.Decisions, Decision{place, decision})
}

// stays tells that a reference stays that was not looked up.
func (d *document) stays(path, name string, why lookup.Why, at *goyaml.Node) {
	d.decide(lookup.Decision{Reference: lookup.Reference{Path: path, Name: name}, Why: why}, at)
}

// explainOthers tells of every text that could name an image and was not looked at, below a node. If nothing there was
// decided at all, it tells of the object of that kind itself.
func (d *document) explainOthers(n *goyaml.Node, path, kind string, why lookup.Why) {
	if !d.explain || n == nil {
		return
	}
	before := len(d.out.Decisions)
	d.others(n, path, why)
	told := len(d.out.Decisions) > before || why == lookup.WhyNoKind && len(d.looked) > 0
	if !told && why != lookup.WhyPlace {
		if at := child(n, "kind"); at != nil {
			n = at
		}
		d.decide(lookup.Decision{Reference: lookup.Reference{Path: path, Kind: kind}, Why: why}, n)
	}
}

func (d *document) others(n *goyaml.Node, path string, why lookup.Why) {
	if n = followed(n); d.looked[path] {
		return
	}
	switch n.Kind {
	case goyaml.SequenceNode:
		for i, item := range n.Content {
			d.others(item, path+"/"+strconv.Itoa(i), why)
		}
	case goyaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := n.Content[i], followed(n.Content[i+1])
			if isMerge(key) {
				continue
			}
			name, _ := keyOf(key)
			at := path + "/" + escape(name)
			if value.Kind != goyaml.ScalarNode {
				d.others(value, at, why)
			} else if text, ok := scalar(value).(string); ok && text != "" && namesImage(n, name) && !d.looked[at] {
				d.stays(at, text, why, value)
			}
		}
	}
}

// namesImage reports whether a member of a mapping looks as if it named an image.
func namesImage(n *goyaml.Node, name string) bool {
	switch name {
	case "image", "imageName", "newName":
		return true
	case "repository":
		return child(n, "tag") != nil
	}
	return strings.HasSuffix(name, "Image")
}
