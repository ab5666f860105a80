package yaml

import (
	"cmp"
	"context"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/lookup"
)

// document is one that is being rewritten.
type document struct {
	*Rewriter
	*chunk
	root   *goyaml.Node
	out    *Result
	tree   tree
	wants  []want
	edits  []edit
	looked map[string]bool // where decisions are, to explain the others
}

// want is a change that is to be made, at one text or at several that change together.
type want struct {
	change Change
	at     *goyaml.Node
	texts  []newText
}

// newText is a text in the document, nil if it is not there, and what it becomes; "" if it must go. What is null
// without a letter is written behind its key.
type newText struct {
	node *goyaml.Node
	text string
	key  *goyaml.Node
}

func (d *document) rewrite(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	value := d.tree.read(d.root, true)
	if d.tree.problem != "" {
		d.report(Report{Problem: d.tree.problem, Detail: d.tree.detail}, d.tree.at)
		return nil
	}
	object, ok := value.(map[string]any)
	if !ok {
		d.explainOthers(d.root, "", "", lookup.WhyNotObject)
		return nil
	}
	kind, _ := object["kind"].(string)
	apiVersion, _ := object["apiVersion"].(string)
	group, _, _ := strings.Cut(apiVersion, "/")
	var err error
	kustomizes := group == kustomizeGroup && (kind == "Kustomization" || kind == "Component")
	switch {
	case kustomizes || kind == "" && isKustomization(object):
		err = d.kustomization(ctx, object)
	case kind == "":
		err = d.helmValues(ctx)
	default:
		err = d.object(ctx, object, "")
	}
	d.settle()
	return err
}

// object rewrites an object, or the items of a list, at path.
func (d *document) object(ctx context.Context, object map[string]any, path string) error {
	kind, _ := object["kind"].(string)
	if one, isList := strings.CutSuffix(kind, "List"); isList {
		if items, ok := object["items"].([]any); ok {
			return d.items(ctx, items, object["apiVersion"], one, path+"/items/")
		}
	}
	isHelmRelease := d.isHelmRelease(object)
	if isHelmRelease {
		if err := d.helmRelease(ctx, object, path); err != nil {
			return err
		}
	}
	if !d.matchPaths(object, path) && isHelmRelease {
		return nil
	}
	review, err := d.resolver.Review(ctx, &lookup.Request{
		Namespace: d.namespaceOf(object), Object: object, Options: d.resolver.Options,
	})
	if err != nil {
		return err
	}
	if d.opts.Triggers && review.Refused == nil {
		if err := d.follow(ctx, object, path, &review); err != nil {
			return err
		}
	}
	for _, decision := range review.Decisions {
		decision.Path = path + decision.Path
		d.decide(decision, nil)
	}
	if review.Refused != nil {
		problem := ProblemRefused
		if len(review.Refused.Errors) == 0 {
			problem = ProblemObject
		}
		d.report(Report{Place: Place{Path: path}, Problem: problem, Detail: review.Refused.Error()}, d.find(path))
		return nil
	}
	for changes := review.Changes; len(changes) > 0; {
		n := together(changes)
		d.wantObject(path, changes[:n])
		changes = changes[n:]
	}
	why := review.Skipped
	if why == "" {
		why = lookup.WhyPlace
	}
	d.explainOthers(d.find(path), path, kind, why)
	return nil
}

// namespaceOf returns the namespace of an object.
func (d *document) namespaceOf(object map[string]any) string {
	metadata, _ := object["metadata"].(map[string]any)
	namespace, _ := metadata["namespace"].(string)
	return cmp.Or(namespace, d.opts.Namespace)
}

// matchPaths notes which of the caller's paths lead to something in an object, and reports whether any is for its kind.
func (d *document) matchPaths(object map[string]any, at string) bool {
	some := false
	kind, _ := object["kind"].(string)
	apiVersion, _ := object["apiVersion"].(string)
	group, _, grouped := strings.Cut(apiVersion, "/")
	for _, p := range d.resolver.Options.Paths {
		if p.Kind == kind && (p.Group == group && grouped || p.Group == "" && !grouped) {
			some = true
			each(d.find(at), p.Steps(), at, func(string, *goyaml.Node) { d.match(pathName(p)) })
		}
	}
	return some
}

// items rewrites the objects of a list. Those of a list of one kind need not say their own.
func (d *document) items(ctx context.Context, items []any, apiVersion any, kind, path string) error {
	for i, item := range items {
		at := path + strconv.Itoa(i)
		object, ok := item.(map[string]any)
		if !ok {
			d.explainOthers(d.find(at), at, "", lookup.WhyNotObject)
			continue
		}
		if _, has := object["kind"]; !has && kind != "" {
			object = maps.Clone(object)
			object["apiVersion"], object["kind"] = apiVersion, kind
		}
		if err := d.object(ctx, object, at); err != nil {
			return err
		}
	}
	return nil
}

// together returns how many changes from the first on are about one reference: that of a build has several members.
func together(changes []lookup.Change) int {
	parent := path.Dir(changes[0].Path)
	n := 1
	for n < len(changes) && strings.HasSuffix(parent, "/from") && path.Dir(changes[n].Path) == parent {
		n++
	}
	return n
}

// wantObject wants the changes of one reference of the object at a path.
func (d *document) wantObject(prefix string, changes []lookup.Change) {
	main := 0
	texts := make([]newText, len(changes))
	for i, c := range changes {
		texts[i] = newText{node: d.find(prefix + c.Path), text: c.To}
		if path.Base(c.Path) == "name" {
			main = i
		}
	}
	c := changes[main]
	d.seen.note(c)
	c.Path = prefix + c.Path
	d.want(c, texts[main].node, texts)
}

// want wants a reference at a node changed.
func (d *document) want(c lookup.Change, at *goyaml.Node, texts []newText) {
	change := Change{
		Place: Place{Path: c.Path}, From: c.From, To: c.To, Why: c.Why, Stream: c.Stream, Tag: c.Tag, Image: c.Event.Image,
		Assumed: c.Assumed,
	}
	d.wants = append(d.wants, want{change, at, texts})
}

// find returns what is at a path of the document.
func (d *document) find(path string) *goyaml.Node { return find(d.root, path) }

// settle makes the changes that can be made by the bytes of texts alone, and reports the others.
func (d *document) settle() {
	problems := d.problems()
	done := len(d.out.Changes)
	for i, w := range d.wants {
		if problems[i] != "" {
			d.report(Report{Place: w.change.Place, From: w.change.From, To: w.change.To, Problem: problems[i]}, w.at)
			continue
		}
		w.change.Line, w.change.Column = d.position(w.at)
		d.out.Changes = append(d.out.Changes, w.change)
		for _, t := range w.texts {
			if t.node.Value != t.text {
				d.edits = append(d.edits, d.edit(t))
			}
		}
	}
	slices.SortStableFunc(d.out.Changes[done:], func(a, b Change) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}

// problems returns for each change that is wanted why it cannot be made, "" if it can. A text that is shared
// changes only if all who share it want the same, and none of them has a problem with another text.
func (d *document) problems() []Problem {
	problems := make([]Problem, len(d.wants))
	var shares map[*goyaml.Node][]int
	if len(d.tree.extra) > 0 {
		shares = map[*goyaml.Node][]int{}
		for i, w := range d.wants {
			for _, t := range w.texts {
				shares[t.node] = append(shares[t.node], i)
			}
		}
	}
	var stay func(i int, problem Problem)
	stay = func(i int, problem Problem) {
		if problems[i] != "" {
			return
		}
		problems[i] = problem
		for _, t := range d.wants[i].texts {
			others := shares[t.node]
			delete(shares, t.node)
			for _, other := range others {
				stay(other, ProblemShared)
			}
		}
	}
	for i, w := range d.wants {
		for _, t := range w.texts {
			if problem := d.problem(t); problem != "" {
				stay(i, problem)
			}
		}
	}
	for i, w := range d.wants {
		for _, t := range w.texts {
			sharing := shares[t.node]
			if uses := d.tree.uses(t.node); uses > 1 && (len(sharing) != uses || !d.same(t, sharing)) {
				stay(i, ProblemShared)
			}
		}
	}
	return problems
}

// same reports whether all changes want the same for a text.
func (d *document) same(t newText, changes []int) bool {
	return !slices.ContainsFunc(changes, func(i int) bool {
		return slices.ContainsFunc(d.wants[i].texts, func(other newText) bool {
			return other.node == t.node && other.text != t.text
		})
	})
}

// problem returns why a text cannot be changed, whatever else shares it.
func (d *document) problem(t newText) Problem {
	if t.node == nil || t.node.Value != t.text && t.text == "" {
		return ProblemMember
	}
	if d.isUnwritten(t) {
		if _, ok := d.colonBehind(t.key); ok {
			return ""
		}
	}
	if isNull(t.node) && t.node.Value == "" {
		return ProblemMember
	}
	_, _, problem := d.span(t.node)
	return problem
}

// edit returns the edit that writes a text which has no problem.
func (d *document) edit(t newText) edit {
	if d.isUnwritten(t) {
		at, _ := d.colonBehind(t.key)
		return edit{d.start + at, d.start + at, " " + quote(nil, t.text)}
	}
	from, to, _ := d.span(t.node)
	old := d.text[from:to]
	if t.node.Line == 0 {
		old = nil // JSON has but one kind of quotes
	}
	return edit{d.start + from, d.start + to, quote(old, t.text)}
}

// report adds a report about a node.
func (d *document) report(r Report, at *goyaml.Node) {
	r.Line, r.Column = d.position(at)
	d.out.Reports = append(d.out.Reports, r)
}
