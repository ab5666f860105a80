package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/imagestream"
)

// checkOutput refuses a value of --output that is not one of those; "" is the text for people.
func checkOutput(output string, wanted ...string) error {
	if output == "" || slices.Contains(wanted, output) {
		return nil
	}
	last := len(wanted) - 1
	return usageError{fmt.Errorf("--output=%s: want %s or %s", output, strings.Join(wanted[:last], ", "), wanted[last])}
}

// encode writes a value as JSON or YAML.
func encode(w io.Writer, output string, value any) error {
	if output == "yaml" {
		text, err := yaml.Marshal(value)
		if err == nil {
			_, err = w.Write(text)
		}
		return err
	}
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "    ")
	return encoder.Encode(value)
}

// list is the list that oc writes of any objects.
type list struct {
	imagestream.TypeMeta
	Metadata struct {
		ResourceVersion string `json:"resourceVersion"`
	} `json:"metadata"`
	Items []any `json:"items"`
}

func listOf(items []any) list {
	return list{TypeMeta: imagestream.TypeMeta{Kind: "List", APIVersion: "v1"}, Items: append([]any{}, items...)}
}
