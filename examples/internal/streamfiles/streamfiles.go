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
	files, skipped, err := Find(dir)
	if err != nil {
		return nil, err
	}
	if len(skipped) > 0 {
		return nil, fmt.Errorf("read %s: it is not a regular file", skipped[0])
	}
	streams := lookup.Streams{}
	for _, file := range files {
		text, err := ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := add(streams, text, namespace); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	if len(streams) == 0 {
		return nil, fmt.Errorf("%s has no image streams: objects of kind ImageStream of %s are wanted", dir,
			imagestream.APIVersion)
	}
	return streams, nil
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

// add adds the image streams of a text.
func add(streams lookup.Streams, text []byte, namespace string) error {
	for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var object any
		if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := addObject(streams, object, namespace); err != nil {
			return err
		}
	}
}

func addObject(streams lookup.Streams, object any, namespace string) error {
	m, _ := object.(map[string]any)
	kind, _ := m["kind"].(string)
	if items, ok := m["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		for _, item := range items {
			if err := addObject(streams, item, namespace); err != nil {
				return err
			}
		}
		return nil
	}
	if kind != "ImageStream" || m["apiVersion"] != imagestream.APIVersion && m["apiVersion"] != "v1" {
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
