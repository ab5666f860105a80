package yaml

import (
	"context"
	"encoding/json"
	"strconv"
	"strings"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

const kustomizeGroup = "kustomize.config.k8s.io"

// isKustomization reports whether a document without a kind is a kustomization: an image with a new name or tag says so.
func isKustomization(object map[string]any) bool {
	images, _ := object["images"].([]any)
	for _, item := range images {
		image, _ := item.(map[string]any)
		if image["name"] != nil && (image["newName"] != nil || image["newTag"] != nil) {
			return true
		}
	}
	return false
}

// named is an image that is named outside of an object, in one text or in parts.
type named struct {
	path      string
	at        *goyaml.Node // where it is reported
	reference string
	// texts returns what is written for a new reference, or why that cannot be.
	texts func(to pullspec.Reference) ([]newText, Problem)
}

// kustomization rewrites the images that a kustomization puts in the place of others.
func (d *document) kustomization(ctx context.Context, object map[string]any) error {
	namespace, _ := object["namespace"].(string)
	if namespace == "" {
		namespace = d.opts.Namespace
	}
	var list []named
	images := followed(child(d.root, "images"))
	if images == nil || images.Kind != goyaml.SequenceNode {
		return nil
	}
	for i, image := range images.Content {
		image = followed(image)
		if image.Kind != goyaml.MappingNode {
			continue
		}
		name, hasName := textOf(image, "newName")
		tag, hasTag := textOf(image, "newTag")
		if digest, _ := textOf(image, "digest"); digest != "" || !hasName && !hasTag {
			continue
		}
		at := child(image, "newName")
		n := named{path: "/images/" + strconv.Itoa(i), at: at, reference: name + ":" + tag}
		switch {
		case !hasName:
			n.reference, _ = textOf(image, "name")
			n.reference += ":" + tag
			n.at = child(image, "newTag")
			n.texts = func(pullspec.Reference) ([]newText, Problem) { return nil, ProblemNoName }
		case !hasTag:
			n.reference = name
			n.texts = func(pullspec.Reference) ([]newText, Problem) { return nil, ProblemNoTag }
		default:
			key, value := member(image, "newTag")
			n.texts = func(to pullspec.Reference) ([]newText, Problem) {
				texts := []newText{{at, repositoryOf(to)}}
				if to.ID != "" {
					texts = append(texts, newText{key, "digest"}, newText{value, to.ID})
				}
				return texts, ""
			}
		}
		list = append(list, n)
	}
	return d.names(ctx, namespace, list)
}

// helmValues rewrites the images that are named in a document without a kind.
func (d *document) helmValues(ctx context.Context) error {
	var list []named
	for _, path := range d.opts.Values {
		each(d.root, steps(path), "", func(path string, n *goyaml.Node) {
			if image, ok := valueOf(path, n); ok {
				list = append(list, image)
			}
		})
	}
	return d.names(ctx, d.opts.Namespace, list)
}

// valueOf returns the image that a text or a mapping of Helm values names.
func valueOf(path string, n *goyaml.Node) (named, bool) {
	if n.Kind == goyaml.ScalarNode {
		text, ok := scalar(n).(string)
		return named{path: path, at: n, reference: text, texts: func(to pullspec.Reference) ([]newText, Problem) {
			return []newText{{n, to.Exact()}}, ""
		}}, ok && text != ""
	}
	if n.Kind != goyaml.MappingNode {
		return named{}, false
	}
	name, _ := textOf(n, "repository")
	host, hasHost := textOf(n, "registry")
	tag, hasTag := textOf(n, "tag")
	if digest, _ := textOf(n, "digest"); digest != "" || name == "" {
		return named{}, false
	}
	image := named{path: path, at: child(n, "repository"), reference: name}
	if host != "" {
		image.reference = host + "/" + name
	}
	if !hasTag || tag == "" {
		image.texts = func(pullspec.Reference) ([]newText, Problem) { return nil, ProblemNoTag }
		return image, true
	}
	image.reference += ":" + tag
	image.texts = func(to pullspec.Reference) ([]newText, Problem) {
		var texts []newText
		repository := repositoryOf(to)
		if hasHost {
			texts = append(texts, newText{child(n, "registry"), to.Registry})
			repository = strings.TrimPrefix(repository, to.Registry+"/")
		}
		texts = append(texts, newText{image.at, repository})
		if to.ID == "" {
			return texts, ""
		}
		if _, has := textOf(n, "digest"); !has {
			return nil, ProblemNoDigest
		}
		return append(texts, newText{child(n, "digest"), to.ID}), ""
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
		decision.Path = n.path
		d.explain(decision, n.at)
	}
	if review.Refused != nil {
		d.report(Report{Problem: ProblemRefused, Detail: review.Refused.Error()}, d.root)
		return nil
	}
	for _, c := range review.Changes {
		n := list[number(c.Path)]
		c.Path = n.path
		to, err := pullspec.Parse(c.To)
		if err != nil {
			d.report(Report{Place: Place{Path: n.path}, From: c.From, To: c.To, Problem: ProblemMember}, n.at)
			continue
		}
		texts, problem := n.texts(to)
		if problem == ProblemNoTag {
			c.To = ""
		}
		if problem != "" {
			d.report(Report{Place: Place{Path: n.path}, From: c.From, To: c.To, Problem: problem}, n.at)
			continue
		}
		d.want(c, n.at, texts)
	}
	return nil
}

// repositoryOf returns a reference without tag and digest.
func repositoryOf(r pullspec.Reference) string { return r.AsRepository().Exact() }

// textOf returns a member that is a text. A whole number is one, too: its digits stand for themselves.
func textOf(n *goyaml.Node, name string) (string, bool) {
	switch value := valueAt(n, name).(type) {
	case string:
		return value, true
	case json.Number:
		i, err := value.Int64()
		text := strconv.FormatInt(i, 10)
		return text, err == nil && text == child(n, name).Value
	}
	return "", false
}

func valueAt(n *goyaml.Node, name string) any {
	value := child(n, name)
	if value == nil || value.Kind != goyaml.ScalarNode {
		return nil
	}
	return scalar(value)
}

// steps splits a path at dots and before brackets.
func steps(path string) []string {
	return strings.Split(strings.TrimPrefix(strings.ReplaceAll(path, "[", ".["), "."), ".")
}

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
