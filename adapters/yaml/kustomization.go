package yaml

import (
	"cmp"
	"context"
	"strconv"

	goyaml "go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

const kustomizeGroup = "kustomize.config.k8s.io"

// isKustomization reports whether a document without a kind is a kustomization: an image with a new name or tag
// says so.
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

// kustomization rewrites the images that a kustomization puts in the place of others.
func (d *document) kustomization(ctx context.Context, object map[string]any) error {
	namespace, _ := object["namespace"].(string)
	var list []named
	if images := followed(child(d.root, "images")); images != nil && images.Kind == goyaml.SequenceNode {
		for i, image := range images.Content {
			if n, ok := d.kustomized("/images/"+strconv.Itoa(i), followed(image)); ok {
				list = append(list, n)
			}
		}
	}
	err := d.names(ctx, cmp.Or(namespace, d.opts.Namespace), list)
	d.explainOthers(d.root, "", "", lookup.WhyPlace)
	return err
}

// kustomized returns the image that an entry of a kustomization names, if it names one that can be written.
func (d *document) kustomized(path string, image *goyaml.Node) (named, bool) {
	name, tag := wordOf(image, "newName"), wordOf(image, "newTag")
	digest, suffix := wordOf(image, "digest"), wordOf(image, "tagSuffix")
	if name.text == "" && !tag.has() {
		return named{}, false
	}
	from := cmp.Or(name.text, wordOf(image, "name").text)
	at := name.value
	if at == nil {
		at = tag.value
	}
	n := named{path: path, at: at, reference: from}
	if d.notTexts(n, name, tag, digest, suffix) {
		return named{}, false
	}
	if tag.text != "" {
		n.reference += ":" + tag.text
	}
	switch {
	case digest.text != "":
		d.stays(path, n.reference+"@"+digest.text, lookup.WhyDigest, n.at)
		return named{}, false
	case suffix.text != "":
		d.stays(path, n.reference+suffix.text, lookup.WhyPlace, n.at)
		d.report(Report{
			Place: Place{Path: path}, From: n.reference, Problem: ProblemSuffix, Detail: "tagSuffix: " + suffix.text,
		}, suffix.value)
		return named{}, false
	}
	n.texts = func(to pullspec.Reference) ([]newText, Problem) {
		texts := []newText{{node: name.value, text: repositoryOf(to)}}
		switch {
		case name.text == "":
			return nil, ProblemNoName
		case tag.text == "":
			return nil, ProblemNoTag
		case to.ID == "":
			return texts, ""
		case digest.has():
			return append(texts, digest.become(to.ID)), ""
		}
		return append(texts, newText{node: tag.key, text: "digest"}, tag.become(to.ID)), ""
	}
	return n, true
}
