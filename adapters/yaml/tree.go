package yaml

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/lookup"
)

// maxAliased is how many nodes a document may have by its aliases.
const maxAliased = 100_000

// names are the members that package lookup reads, and those of a kustomization. The others are not made: a document is
// mostly of them. What is in a reference of a build is read whole.
var names = set("apiVersion", "kind", "metadata", "namespace", "name", "annotations", lookup.ResolveNamesAnnotation,
	"ownerReferences", "controller", "items", "spec", "template", "jobTemplate", "initContainers", "containers",
	"ephemeralContainers", "image", "volumes", "reference", "source", "strategy", "customStrategy", "dockerStrategy",
	"sourceStrategy", reference, "images", "newName", "newTag")

// reference is the member of a build that is a reference.
const reference = "from"

func set(names ...string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// tree reads a document as encoding/json would have it, with aliases and merge keys followed.
type tree struct {
	names map[string]bool // the members that are wanted; nil is all
	// extra counts how often texts are read beside where they stand.
	extra   map[*goyaml.Node]int
	aliased int
	depth   int // of aliases that are followed
	level   int // of mappings and lists that are open
	open    map[*goyaml.Node]bool
	problem Problem
	// at is where the problem is, and detail more of it.
	at     *goyaml.Node
	detail string
}

// uses returns at how many places of the tree a text is.
func (t *tree) uses(n *goyaml.Node) int { return 1 + t.extra[n] }

func (t *tree) fail(problem Problem, at *goyaml.Node, detail string) {
	if t.problem == "" {
		t.problem, t.at, t.detail = problem, at, detail
	}
}

// read returns the value of a node, nil if it is not wanted. It counts once there is no problem.
func (t *tree) read(n *goyaml.Node, wanted bool) any {
	if t.problem != "" {
		return nil
	}
	if t.depth > 0 {
		if t.aliased++; t.aliased > maxAliased {
			t.fail(ProblemAliases, n, "")
			return nil
		}
	}
	t.level++
	defer func() { t.level-- }()
	if t.level > maxDepth {
		t.fail(ProblemDepth, n, "")
		return nil
	}
	switch n.Kind {
	case goyaml.AliasNode:
		return t.alias(n, wanted)
	case goyaml.SequenceNode:
		var list []any
		if wanted {
			list = make([]any, len(n.Content))
		}
		for i, item := range n.Content {
			if value := t.read(item, wanted); wanted {
				list[i] = value
			}
		}
		return list
	case goyaml.MappingNode:
		return t.mapping(n, wanted)
	}
	if t.depth > 0 {
		if t.extra == nil {
			t.extra = map[*goyaml.Node]int{}
		}
		t.extra[n]++
	}
	if !wanted {
		return nil
	}
	return scalar(n)
}

// alias follows an alias.
func (t *tree) alias(n *goyaml.Node, wanted bool) any {
	if t.open[n.Alias] {
		t.fail(ProblemAliases, n, "*"+n.Value+" is part of itself")
		return nil
	}
	if t.open == nil {
		t.open = map[*goyaml.Node]bool{}
	}
	t.open[n.Alias] = true
	t.depth++
	value := t.read(n.Alias, wanted)
	t.depth--
	delete(t.open, n.Alias)
	return value
}

func (t *tree) mapping(n *goyaml.Node, wanted bool) map[string]any {
	if key := duplicate(n); key != nil {
		t.fail(ProblemDuplicate, key, followed(key).Value)
	}
	var m map[string]any
	if wanted {
		m = make(map[string]any, min(len(n.Content)/2, 8))
	}
	var merged *goyaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if isMerge(key) {
			merged = value
			continue
		}
		t.read(key, false)
		name, ok := keyOf(key)
		wants := wanted && ok && (t.names == nil || t.names[name])
		outer := t.names
		if name == reference {
			t.names = nil
		}
		child := t.read(value, wants)
		t.names = outer
		if wants {
			m[name] = child
		}
	}
	for _, from := range mergedFrom(merged) {
		if followed(from).Kind != goyaml.MappingNode {
			t.fail(ProblemSyntax, from, "what is merged must be a mapping, or a list of mappings")
			continue
		}
		more, _ := t.read(from, wanted).(map[string]any)
		for name, child := range more {
			if _, own := m[name]; !own {
				m[name] = child
			}
		}
	}
	return m
}

// duplicate returns a key that is the same as one before it; nil if there is none. Keys are the same if their texts
// are, as they would be in JSON.
func duplicate(n *goyaml.Node) *goyaml.Node {
	const few = 16
	var seen map[string]bool
	if len(n.Content)/2 > few {
		seen = make(map[string]bool, len(n.Content)/2)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := followed(n.Content[i])
		if key.Kind != goyaml.ScalarNode {
			continue // a list or mapping as a key is no member of any object
		}
		if seen != nil {
			if seen[key.Value] {
				return n.Content[i]
			}
			seen[key.Value] = true
			continue
		}
		for j := 0; j < i; j += 2 {
			if other := followed(n.Content[j]); other.Kind == goyaml.ScalarNode && other.Value == key.Value {
				return n.Content[i]
			}
		}
	}
	return nil
}

// isMerge reports whether a key is the merge key.
func isMerge(key *goyaml.Node) bool {
	return key.Kind == goyaml.ScalarNode && key.Value == "<<" && key.ShortTag() == "!!merge"
}

// mergedFrom returns the mappings that are merged; of a member in several the first counts.
func mergedFrom(n *goyaml.Node) []*goyaml.Node {
	if n == nil {
		return nil
	}
	if n.Kind == goyaml.SequenceNode {
		return n.Content
	}
	return []*goyaml.Node{n}
}

// keyOf returns the name that a key is.
func keyOf(n *goyaml.Node) (string, bool) {
	if n.Kind == goyaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != goyaml.ScalarNode {
		return "", false
	}
	if n.Tag == "!!binary" {
		text, ok := scalar(n).(string)
		return text, ok
	}
	return n.Value, true
}

// scalar returns a text, a truth value, nil, or a number that nobody reads, as those do who read YAML 1.1: a date is a
// text to them.
func scalar(n *goyaml.Node) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		value, err := strconv.ParseBool(strings.ToLower(n.Value))
		if err != nil {
			return n.Value
		}
		return value
	case "!!int", "!!float":
		return json.Number(n.Value)
	case "!!binary":
		if text, err := base64.StdEncoding.DecodeString(n.Value); err == nil {
			return string(text)
		}
	case "!!str":
		if isOldBool(n) {
			return n.Value[0]|0x20 == 'y' || strings.ToLower(n.Value) == "on"
		}
	}
	return n.Value
}

// find returns what a JSON pointer leads to, nil if that is nothing.
func find(n *goyaml.Node, pointer string) *goyaml.Node {
	for pointer != "" && n != nil {
		end := 1
		for end < len(pointer) && pointer[end] != '/' {
			end++
		}
		n, pointer = child(n, unescape(pointer[1:end])), pointer[end:]
	}
	return followed(n)
}

// followed is the node that an alias stands for.
func followed(n *goyaml.Node) *goyaml.Node {
	if n != nil && n.Kind == goyaml.AliasNode {
		return n.Alias
	}
	return n
}

// child returns a member of a mapping or an item of a list.
func child(n *goyaml.Node, step string) *goyaml.Node {
	n = followed(n)
	switch n.Kind {
	case goyaml.SequenceNode:
		if i, err := strconv.Atoi(step); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	case goyaml.MappingNode:
		_, value := member(n, step)
		return value
	}
	return nil
}

// member returns key and value of a member of a mapping, its own or a merged one.
func member(n *goyaml.Node, name string) (key, value *goyaml.Node) {
	var merged *goyaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if isMerge(n.Content[i]) {
			merged = n.Content[i+1]
		} else if own, ok := keyOf(n.Content[i]); ok && own == name {
			return followed(n.Content[i]), followed(n.Content[i+1])
		}
	}
	for _, from := range mergedFrom(merged) {
		if from = followed(from); from.Kind == goyaml.MappingNode {
			if key, value = member(from, name); key != nil {
				return key, value
			}
		}
	}
	return nil, nil
}

var (
	escapes   = strings.NewReplacer("~", "~0", "/", "~1")
	unescapes = strings.NewReplacer("~1", "/", "~0", "~")
)

func escape(s string) string { return escapes.Replace(s) }

func unescape(s string) string {
	if !strings.Contains(s, "~") {
		return s
	}
	return unescapes.Replace(s)
}
