package streamfiles_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
)

// TestItemsOfATypedList: an API server leaves out what the list says: kind and API version of its items.
func TestItemsOfATypedList(t *testing.T) {
	const text = `
kind: PodList
apiVersion: v1
items: [{metadata: {name: a}}, {kind: Other, apiVersion: x/v1, metadata: {name: b}}]
---
kind: List
apiVersion: v1
items:
- {kind: ImageStreamList, apiVersion: image.openshift.io/v1, items: [{metadata: {name: c}}]}
- {metadata: {name: d}}
`
	file := filepath.Join(t.TempDir(), "lists.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var got []string
	err := streamfiles.Each(file, func(object map[string]any) error {
		got = append(got, fmt.Sprint(object["apiVersion"], " ", object["kind"]))
		return nil
	})
	want := []string{"v1 Pod", "x/v1 Other", "image.openshift.io/v1 ImageStream", "<nil> <nil>"}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("objects %q, want %q; error %v", got, want, err)
	}
}
