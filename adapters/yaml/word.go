package yaml

import (
	"regexp"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/lookup"
)

// word is a member of a mapping that should be a text.
type word struct {
	name       string
	key, value *goyaml.Node // nil if it is not there
	text       string       // "" if it is null, or no text
	odd        bool         // it is neither null nor a text
}

func (w word) has() bool { return w.value != nil }

// become returns what writes another text there.
func (w word) become(text string) newText { return newText{node: w.value, text: text, key: w.key} }

// wordOf returns a member of a mapping, its own or a merged one.
func wordOf(n *goyaml.Node, name string) word {
	w := word{name: name}
	if n.Kind != goyaml.MappingNode {
		return w
	}
	if w.key, w.value = member(n, name); w.value == nil {
		// "{digest:}" is the key "digest:" to those who read YAML 1.1, and digest to others.
		w.key, w.value = member(n, name+":")
		w.odd = w.value != nil
		return w
	}
	if isNull(w.value) {
		return w
	}
	text, ok := tagText(w.value)
	w.text, w.odd = text, !ok
	return w
}

func isNull(n *goyaml.Node) bool { return n.Kind == goyaml.ScalarNode && n.ShortTag() == "!!null" }

// notTexts reports the first word that should be a text and is none, and whether there is one.
func (d *document) notTexts(n named, words ...word) bool {
	for _, w := range words {
		if w.odd {
			d.stays(n.path, n.reference, lookup.WhyNotText, n.at)
			d.report(Report{
				Place: Place{Path: n.path}, From: n.reference, Problem: ProblemNotText, Detail: w.name + ": " + written(w.value),
			}, w.value)
			return true
		}
	}
	return false
}

// written returns a value as it stands in the file, for people.
func written(n *goyaml.Node) string {
	switch n.Kind {
	case goyaml.MappingNode:
		return "a mapping"
	case goyaml.SequenceNode:
		return "a list"
	}
	return n.Value
}

// wholeNumber is a number that kustomize and Helm print as it stands. Helm prints others as floats do: 1e+06.
var wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,5})$`)

// tagText returns a value as the text that kustomize and Helm make of it; false if that is another text, or none.
func tagText(n *goyaml.Node) (string, bool) {
	if n.Kind != goyaml.ScalarNode {
		return "", false
	}
	switch n.ShortTag() {
	case "!!int":
		return n.Value, wholeNumber.MatchString(n.Value)
	case "!!null":
		return "", false
	}
	text, ok := scalar(n).(string)
	return text, ok
}

// isOldBool reports whether YAML 1.1, which kubectl, kustomize and Helm read, takes a plain text for a truth value.
func isOldBool(n *goyaml.Node) bool {
	const notPlain = goyaml.DoubleQuotedStyle | goyaml.SingleQuotedStyle | goyaml.LiteralStyle | goyaml.FoldedStyle
	if n.Style&(notPlain|goyaml.TaggedStyle) != 0 || len(n.Value) > 3 {
		return false
	}
	switch strings.ToLower(n.Value) {
	case "y", "yes", "on", "n", "no", "off":
		return true
	}
	return false
}

// isUnwritten reports whether a text is null without a letter: "digest:".
func (d *document) isUnwritten(t newText) bool {
	n := t.node
	return t.key != nil && n.Line > 0 && n.Value == "" && n.Anchor == "" && n.Style == 0 && isNull(n)
}

// colonBehind returns where in the chunk the value of a key begins, behind the colon that follows it on its line.
func (d *document) colonBehind(key *goyaml.Node) (int, bool) {
	_, at, problem := d.span(key)
	if problem != "" {
		return 0, false
	}
	for at < len(d.text) && (d.text[at] == ' ' || d.text[at] == '\t') {
		at++
	}
	return at + 1, at < len(d.text) && d.text[at] == ':'
}
