package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/importer"
)

const (
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
	maxFile     = 16 << 20
)

func (a *app) apply() *cobra.Command {
	var files []string
	cmd := &cobra.Command{
		Use: "apply -f FILE", Short: "Create or change the streams of a file",
		Long: `Create the streams of a file of YAML or JSON, or change those that there are as oc does: what the file
sets is set, what an earlier one set and this one does not is removed, and anything else stays. Nothing is written if
a file cannot be read.`,
		Example: "  streams apply -f app.yaml\n  streams export | streams -db other.db apply -f -",
		Args:    args(0, 0, "-f FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if len(files) == 0 {
				return usageError{errors.New("--filename is missing: want -f FILE, or -f - for the standard input")}
			}
			var objects []map[string]any
			for _, file := range files {
				more, err := a.readStreams(file, cmd.Flags().Changed("namespace"))
				if err != nil {
					return err
				}
				objects = append(objects, more...)
			}
			if len(objects) == 0 {
				return fmt.Errorf("%s: it has no image streams", files[0])
			}
			for _, object := range objects {
				key := keyOf(object)
				verb, err := a.applyOne(cmd.Context(), key, object)
				if err != nil {
					return err
				}
				if _, err := fmt.Fprintf(a.out, "imagestream.image.openshift.io/%s %s\n", key.Name, verb); err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringArrayVarP(&files, "filename", "f", nil, "the file, - is the standard input")
	return cmd
}

// readStreams reads the image streams of a file.
func (a *app) readStreams(name string, explicit bool) ([]map[string]any, error) {
	in := a.in
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, maxFile+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", name, err)
	case len(text) > maxFile:
		return nil, fmt.Errorf("%s: it is longer than %d bytes", name, maxFile)
	}
	documents, err := split(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	var streams []map[string]any
	for i, document := range documents {
		more, err := a.streamsOf(document, explicit)
		if err != nil {
			return nil, fmt.Errorf("%s: document %d: %w", name, i+1, err)
		}
		streams = append(streams, more...)
	}
	return streams, nil
}

// split returns the documents of YAML, or of JSON, as JSON, without empty ones.
func split(text []byte) (documents []json.RawMessage, err error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if bytes.HasPrefix(text, []byte("{")) {
		decoder := json.NewDecoder(bytes.NewReader(text))
		for {
			var document json.RawMessage
			if err := decoder.Decode(&document); errors.Is(err, io.EOF) {
				return documents, nil
			} else if err != nil {
				return nil, fmt.Errorf("document %d: %w", len(documents)+1, err)
			}
			documents = append(documents, document)
		}
	}
	reader := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return documents, nil
		}
		if err == nil {
			document, err = yaml.YAMLToJSONStrict(document)
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", len(documents)+1, err)
		}
		if !bytes.Equal(bytes.TrimSpace(document), []byte("null")) {
			documents = append(documents, document)
		}
	}
}

// streamsOf returns the streams of a document: one, or those of a list. It takes the names that the group had
// before it had one, as oc does.
func (a *app) streamsOf(document json.RawMessage, explicit bool) ([]map[string]any, error) {
	var head struct {
		imagestream.TypeMeta
		Items []json.RawMessage `json:"items"`
	}
	if err := json.Unmarshal(document, &head); err != nil {
		return nil, err
	}
	ours := head.APIVersion == "v1" || head.APIVersion == imagestream.APIVersion
	switch {
	case head.Kind == "List" && head.APIVersion == "v1", head.Kind == "ImageStreamList" && ours:
		var streams []map[string]any
		for i, item := range head.Items {
			if head.Kind == "ImageStreamList" {
				item = withKind(item, head.APIVersion)
			}
			more, err := a.streamsOf(item, explicit)
			if err != nil {
				return nil, fmt.Errorf("items[%d]: %w", i, err)
			}
			streams = append(streams, more...)
		}
		return streams, nil
	case head.Kind != "ImageStream" || !ours:
		return nil, fmt.Errorf("kind %q of apiVersion %q: want ImageStream of %s or v1, or a List of them", head.Kind,
			head.APIVersion, imagestream.APIVersion)
	}
	decoder := json.NewDecoder(bytes.NewReader(document))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(new(imagev1.ImageStream)); err != nil {
		return nil, err
	}
	object := map[string]any{}
	if err := json.Unmarshal(document, &object); err != nil {
		return nil, err
	}
	withoutNulls(object)
	object["apiVersion"] = imagestream.APIVersion
	return []map[string]any{object}, a.inNamespace(object, explicit)
}

// withKind is an item of a typed list, which need not say what it is.
func withKind(item json.RawMessage, version string) json.RawMessage {
	object := map[string]any{}
	if json.Unmarshal(item, &object) != nil || object["kind"] != nil {
		return item
	}
	object["kind"], object["apiVersion"] = "ImageStream", version
	whole, err := json.Marshal(object)
	if err != nil {
		return item
	}
	return whole
}

// inNamespace puts an object where it belongs: into the namespace that it names, or else into that of the command.
func (a *app) inNamespace(object map[string]any, explicit bool) error {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	if name == "" {
		return errors.New("metadata.name is missing")
	}
	namespace, _ := metadata["namespace"].(string)
	if namespace == "" {
		metadata["namespace"] = a.namespace
	} else if explicit && namespace != a.namespace {
		return usageError{fmt.Errorf("image stream %q has the namespace %q: --namespace=%s does not match it", name,
			namespace, a.namespace)}
	}
	return nil
}

func keyOf(object map[string]any) imagestream.Key {
	metadata, _ := object["metadata"].(map[string]any)
	name, _ := metadata["name"].(string)
	namespace, _ := metadata["namespace"].(string)
	return imagestream.Key{Namespace: namespace, Name: name}
}

// withoutNulls removes members that are null: they say nothing.
func withoutNulls(value any) {
	switch value := value.(type) {
	case map[string]any:
		for name, member := range value {
			if member == nil {
				delete(value, name)
			}
			withoutNulls(member)
		}
	case []any:
		for _, item := range value {
			withoutNulls(item)
		}
	}
}

// applyOne creates or changes a stream, and tells which.
func (a *app) applyOne(ctx context.Context, key imagestream.Key, object map[string]any) (verb string, err error) {
	modified, err := remembering(object)
	if err != nil {
		return "", err
	}
	var before string
	stored, err := a.streams.Update(ctx, key, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		before = s.Metadata.ResourceVersion
		return merged(s, modified)
	})
	switch {
	case err == nil && stored.Metadata.ResourceVersion == before:
		return "unchanged", nil
	case !errors.Is(err, imagestream.ErrNotFound):
		return "configured", err
	}
	s := new(imagestream.ImageStream)
	if err := json.Unmarshal(modified, s); err != nil {
		return "", err
	}
	_, err = a.streams.Create(ctx, s)
	return "created", err
}

// remembering returns an object as JSON, with the annotation that the next apply compares with.
func remembering(object map[string]any) ([]byte, error) {
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if annotations == nil {
		annotations = map[string]any{}
	}
	metadata["annotations"] = annotations
	delete(annotations, lastApplied)
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	annotations[lastApplied] = string(text) + "\n"
	return json.Marshal(object)
}

// merged returns what a file makes of a stream, as the real client patches it.
func merged(s *imagestream.ImageStream, modified []byte) (*imagestream.ImageStream, error) {
	current, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	schema, err := strategicpatch.NewPatchMetaFromStruct(imagev1.ImageStream{})
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateThreeWayMergePatch([]byte(s.Metadata.Annotations[lastApplied]), modified, current,
		schema, true)
	if err != nil {
		return nil, err
	}
	text, err := strategicpatch.StrategicMergePatch(current, patch, imagev1.ImageStream{})
	if err != nil {
		return nil, err
	}
	next := new(imagestream.ImageStream)
	return next, json.Unmarshal(text, next)
}

func (a *app) export() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "export [STREAM ...]", Short: "Write streams as they were asked for, for apply",
		Long: `Write streams, all of the namespace or those that are named, as they were asked for: without namespace,
history, pins and what else the file has added. 'streams apply' makes such streams of it.`,
		Example:           "  streams export app >app.yaml\n  streams export -o json",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.complete(-1, withStreams, noTag),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "yaml", "json"); err != nil {
				return err
			}
			found, err := a.list(cmd.Context(), "is", a.namespace)
			if err == nil {
				found, err = found.named("is", a.namespace, args)
			}
			if err != nil {
				return err
			}
			for i, item := range found.items {
				if found.items[i], err = askedFor(item.(*imagestream.ImageStream)); err != nil {
					return err
				}
			}
			if len(args) == 1 {
				return encode(a.out, output, found.items[0])
			}
			return encode(a.out, output, listOf(found.items))
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "yaml", "yaml or json")
	return cmd
}

// askedFor is a stream without what was not asked for.
func askedFor(s *imagestream.ImageStream) (map[string]any, error) {
	c := s.Clone()
	c.Metadata = imagestream.ObjectMeta{Name: c.Metadata.Name, Labels: c.Metadata.Labels,
		Annotations: c.Metadata.Annotations}
	for _, name := range []string{lastApplied, imagestream.PinsAnnotation, edit.RolledBackAnnotation,
		importer.CheckAnnotation} {
		delete(c.Metadata.Annotations, name)
	}
	for i := range c.Spec.Tags {
		c.Spec.Tags[i].Generation = nil
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	object := map[string]any{}
	err = json.Unmarshal(text, &object)
	withoutNulls(object)
	delete(object, "status")
	return object, err
}
