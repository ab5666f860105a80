package yaml

import (
	"cmp"
	"context"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

// named is an image that is named outside of an object, in one text or in parts.
type named struct {
	path      string
	at        *goyaml.Node // where it is reported
	reference string
	asked     bool // a path of the caller names it
	// texts returns what is written for a new reference, or why that cannot be.
	texts func(to pullspec.Reference) ([]newText, Problem)
}

// helmValues rewrites the images that are named in a document without a kind.
func (d *document) helmValues(ctx context.Context) error {
	err := d.names(ctx, d.opts.Namespace, d.asked(d.root, ""))
	d.explainOthers(d.root, "", "", lookup.WhyNoKind)
	return err
}

// asked returns the images that the caller's paths name below a node.
func (d *document) asked(n *goyaml.Node, prefix string) []named {
	var list []named
	for i, steps := range d.values {
		each(n, steps, prefix, func(path string, n *goyaml.Node) {
			d.match(d.opts.Values[i])
			if image, ok := d.valueOf(path, n); ok {
				image.asked = true
				list = append(list, image)
			}
		})
	}
	return list
}

const helmGroup = "helm.toolkit.fluxcd.io"

func (d *document) isHelmRelease(object map[string]any) bool {
	apiVersion, _ := object["apiVersion"].(string)
	return d.resolver.Options.KnownKinds && object["kind"] == "HelmRelease" && strings.HasPrefix(apiVersion, helmGroup+"/")
}

// helmRelease rewrites the values of a Flux HelmRelease.
func (d *document) helmRelease(ctx context.Context, object map[string]any, path string) error {
	release := d.find(path)
	spec, _ := object["spec"].(map[string]any)
	target, _ := spec["targetNamespace"].(string)
	var list []named
	if values := find(release, "/spec/values"); values != nil {
		list = d.asked(values, path+"/spec/values")
		have := map[string]bool{}
		for _, n := range list {
			have[n.path] = true
		}
		d.detect(values, path+"/spec/values", have, func(n named) { list = append(list, n) })
	}
	err := d.names(ctx, cmp.Or(target, d.namespaceOf(object)), list)
	d.explainOthers(release, path, "HelmRelease", lookup.WhyPlace)
	return err
}

// detect calls add for the images that values name by the usual members, but for paths that it has already.
func (d *document) detect(n *goyaml.Node, path string, have map[string]bool, add func(named)) {
	if n = followed(n); have[path] {
		return
	}
	switch n.Kind {
	case goyaml.ScalarNode:
		if text, _ := scalar(n).(string); text != "" && strings.HasSuffix(path, "/image") {
			have[path] = true
			add(textNamed(path, n, text))
		}
	case goyaml.SequenceNode:
		for i, item := range n.Content {
			d.detect(item, path+"/"+strconv.Itoa(i), have, add)
		}
	case goyaml.MappingNode:
		if wordOf(n, "repository").text != "" && child(n, "tag") != nil {
			have[path] = true
			if image, ok := d.valueOf(path, n); ok {
				add(image)
			}
			return
		}
		var merged *goyaml.Node
		for i := 0; i+1 < len(n.Content); i += 2 {
			if isMerge(n.Content[i]) {
				merged = n.Content[i+1]
			} else if name, ok := keyOf(n.Content[i]); ok {
				d.detect(n.Content[i+1], path+"/"+escape(name), have, add)
			}
		}
		for _, from := range mergedFrom(merged) {
			d.detect(from, path, have, add)
		}
	}
}

func textNamed(path string, n *goyaml.Node, text string) named {
	return named{path: path, at: n, reference: text, texts: func(to pullspec.Reference) ([]newText, Problem) {
		return []newText{{node: n, text: to.Exact()}}, ""
	}}
}

// valueOf returns the image that a text or a mapping of Helm values names. What is neither is reported.
func (d *document) valueOf(path string, n *goyaml.Node) (named, bool) {
	repository := wordOf(n, "repository")
	switch {
	case n.Kind == goyaml.ScalarNode:
		text, ok := tagText(n)
		if ok && text != "" {
			return textNamed(path, n, text), true
		}
		d.stays(path, n.Value, lookup.WhyNotText, n)
		if !ok && n.ShortTag() != "!!null" {
			d.report(Report{Place: Place{Path: path}, From: n.Value, Problem: ProblemNotText}, n)
		}
		return named{}, false
	case n.Kind == goyaml.MappingNode && len(n.Content) == 0:
		d.stays(path, "", lookup.WhyNotText, n)
		return named{}, false
	case !repository.has():
		d.stays(path, "", lookup.WhyPlace, n)
		d.report(Report{Place: Place{Path: path}, Problem: ProblemShape}, n)
		return named{}, false
	}
	return d.mappingOf(path, n, repository)
}

// mappingOf returns the image that a mapping with a repository names.
func (d *document) mappingOf(path string, n *goyaml.Node, repository word) (named, bool) {
	registry, tag, digest := wordOf(n, "registry"), wordOf(n, "tag"), wordOf(n, "digest")
	image := named{path: path, at: repository.value, reference: repository.text}
	if d.notTexts(image, repository, registry, tag, digest) {
		return named{}, false
	}
	if registry.text != "" {
		image.reference = registry.text + "/" + repository.text
	}
	if tag.text != "" {
		image.reference += ":" + tag.text
	}
	if digest.text != "" || repository.text == "" {
		why := lookup.WhyDigest
		if digest.text == "" {
			why = lookup.WhyNotText
		}
		d.stays(path, image.reference, why, image.at)
		return named{}, false
	}
	image.texts = func(to pullspec.Reference) ([]newText, Problem) {
		var texts []newText
		written := repositoryOf(to)
		if registry.has() && registry.value.ShortTag() != "!!null" {
			texts = append(texts, newText{node: registry.value, text: to.Registry})
			written = strings.TrimPrefix(written, to.Registry+"/")
		}
		texts = append(texts, newText{node: repository.value, text: written})
		switch {
		case tag.text == "":
			return nil, ProblemNoTag
		case to.ID == "":
			return texts, ""
		case !digest.has():
			return nil, ProblemNoDigest
		}
		return append(texts, digest.become(to.ID)), ""
	}
	return image, true
}

// names looks up references as if they were the images of a pod, and wants them changed.
func (d *document) names(ctx context.Context, namespace string, list []named) error {
	if len(list) == 0 {
		return nil
	}
	containers := make([]any, len(list))
	for i, n := range list {
		containers[i] = map[string]any{"image": n.reference}
	}
	pod := map[string]any{"apiVersion": "v1", "kind": "Pod", "spec": map[string]any{"containers": containers}}
	review, err := d.resolver.Review(ctx, &lookup.Request{Namespace: namespace, Object: pod, Options: d.resolver.Options})
	if err != nil {
		return err
	}
	number := func(path string) int {
		i, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(path, "/spec/containers/"), "/image"))
		return i
	}
	for _, decision := range review.Decisions {
		n := list[number(decision.Path)]
		decision.Path, decision.Field = n.path, ""
		d.decide(decision, n.at)
		if n.asked && decision.To == "" && review.Refused == nil && !isDone(decision.Why) {
			d.report(Report{
				Place: Place{Path: n.path}, From: n.reference, Problem: ProblemStays, Detail: decision.Why.Message(),
			}, n.at)
		}
	}
	if review.Refused != nil {
		d.report(Report{Problem: ProblemRefused, Detail: review.Refused.Error()}, d.root)
		return nil
	}
	for _, c := range review.Changes {
		d.seen.note(c)
		d.wantNamed(c, list[number(c.Path)])
	}
	return nil
}

// isDone reports whether a reference stays because it is as it should be.
func isDone(why lookup.Why) bool {
	return why == lookup.WhyDigest || why == lookup.WhySame || why == lookup.WhyDecided
}

// wantNamed wants an image changed that is named outside of an object.
func (d *document) wantNamed(c lookup.Change, n named) {
	c.Path = n.path
	to, err := pullspec.Parse(c.To)
	texts, problem := []newText(nil), ProblemMember
	if err == nil {
		texts, problem = n.texts(to)
	}
	if problem == "" {
		d.want(c, n.at, texts)
		return
	}
	if problem == ProblemNoTag {
		c.To = ""
	}
	d.report(Report{Place: Place{Path: n.path}, From: c.From, To: c.To, Problem: problem}, n.at)
}

// repositoryOf returns a reference without tag and digest.
func repositoryOf(r pullspec.Reference) string { return r.AsRepository().Exact() }

// each calls do for every node that a path leads to.
func each(n *goyaml.Node, steps []string, path string, do func(string, *goyaml.Node)) {
	n = followed(n)
	if len(steps) == 0 {
		do(path, n)
		return
	}
	if n.Kind == goyaml.SequenceNode {
		for i, item := range n.Content {
			if number := strconv.Itoa(i); steps[0] == "[*]" || steps[0] == "["+number+"]" {
				each(item, steps[1:], path+"/"+number, do)
			}
		}
	} else if value := child(n, steps[0]); value != nil {
		each(value, steps[1:], path+"/"+escape(steps[0]), do)
	}
}
