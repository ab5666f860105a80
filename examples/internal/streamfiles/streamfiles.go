// Package streamfiles reads image streams from files: what "oc get imagestreams -o yaml" prints, or people keep in git.
package streamfiles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
)

// MaxFile is how many bytes of a file are read.
const MaxFile = 64 << 20

// ErrLarge means that a file has more than [MaxFile] bytes.
var ErrLarge = fmt.Errorf("it has more than %d bytes", MaxFile)

// Read reads the image streams of all files of YAML and JSON in a directory and below it. Objects of other kinds are
// skipped. What is not a regular file is an error.
func Read(dir, namespace string) (lookup.Streams, error) {
	streams := lookup.Streams{}
	err := Each(dir, func(object map[string]any) error { return add(streams, object, namespace) })
	if err != nil {
		return nil, err
	}
	if len(streams) == 0 {
		return nil, fmt.Errorf("%s has no image streams: objects of kind ImageStream of %s are wanted", dir,
			imagestream.APIVersion)
	}
	return streams, nil
}

// Each calls visit with every object of all files of YAML and JSON in a directory and below it, or of one file. A
// list is its items; those of a list of one kind need not say their own. What is not a regular file is an error;
// errors name the file.
func Each(path string, visit func(object map[string]any) error) error {
	files, skipped, err := Find(path)
	if err != nil {
		return err
	}
	if len(skipped) > 0 {
		return fmt.Errorf("read %s: it is not a regular file", skipped[0])
	}
	for _, file := range files {
		text, err := ReadFile(file)
		if err != nil {
			return err
		}
		if err := eachDocument(text, visit); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
	}
	return nil
}

func eachDocument(text []byte, visit func(object map[string]any) error) error {
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var object any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := eachObject(object, visit); err != nil {
			return err
		}
	}
}

func eachObject(object any, visit func(object map[string]any) error) error {
	m, ok := object.(map[string]any)
	if !ok {
		return nil
	}
	kind, _ := m["kind"].(string)
	items, ok := m["items"].([]any)
	one, isList := strings.CutSuffix(kind, "List")
	if !ok || !isList {
		return visit(m)
	}
	for _, item := range items {
		if object, ok := item.(map[string]any); ok && object["kind"] == nil && one != "" {
			object["apiVersion"], object["kind"] = m["apiVersion"], one
		}
		if err := eachObject(item, visit); err != nil {
			return err
		}
	}
	return nil
}

// ReadFile reads a file of at most [MaxFile] bytes.
func ReadFile(name string) ([]byte, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return ReadAll(name, file)
}

// ReadAll reads at most [MaxFile] bytes. Name is what the error calls it.
func ReadAll(name string, from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, MaxFile+1))
	if err == nil && len(text) > MaxFile {
		err = fmt.Errorf("read %s: %w", name, ErrLarge)
	}
	return text, err
}

// Find returns the files of YAML and JSON in a directory and below it, in order; a file is itself. What begins with
// a dot is left out. Skipped are those that are not regular files, such as pipes, which are not to be opened.
func Find(path string) (files, skipped []string, err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil && isDir(target) {
		path = filepath.Clean(path) + string(filepath.Separator) // a link to a directory is the directory
	}
	root := path
	err = filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case file == root && !entry.IsDir():
		case file != root && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return filepath.SkipDir
			}
			return nil
		case entry.IsDir() || !HasFormat(file):
			return nil
		}
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() {
			skipped = append(skipped, file)
			return nil
		}
		files = append(files, file)
		return nil
	})
	return files, skipped, err
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// HasFormat reports whether a file is one of YAML or JSON by its name. A kustomization needs no extension.
func HasFormat(file string) bool {
	name := filepath.Base(file)
	return slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(name)) || name == "Kustomization" ||
		name == "kustomization"
}

// add adds an object, if it is an image stream.
func add(streams lookup.Streams, m map[string]any, namespace string) error {
	if m["kind"] != "ImageStream" || m["apiVersion"] != imagestream.APIVersion && m["apiVersion"] != "v1" {
		return nil
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	stream := &imagestream.ImageStream{}
	if err := json.Unmarshal(text, stream); err != nil {
		return fmt.Errorf("image stream %v: %w", m["metadata"], err)
	}
	if stream.Metadata.Namespace == "" {
		stream.Metadata.Namespace = namespace
	}
	streams[stream.Key()] = stream
	return nil
}
