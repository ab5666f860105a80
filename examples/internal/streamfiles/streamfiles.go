// Package streamfiles reads image streams from files: what "oc get imagestreams -o yaml" prints, or people keep in git.
package streamfiles

import (
	"bytes"
	"context"
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
)

// Streams are image streams by their keys. They are a lookup.Source, in which every image that a stream has in its history
// exists.
type Streams struct {
	streams map[imagestream.Key]*imagestream.ImageStream
	images  map[string]*imagestream.Image
}

// Read reads all files of YAML and JSON in a directory and below it. Objects of other kinds are skipped.
func Read(dir, namespace string) (*Streams, error) {
	files, err := Find(dir)
	if err != nil {
		return nil, err
	}
	s := &Streams{map[imagestream.Key]*imagestream.ImageStream{}, map[string]*imagestream.Image{}}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		for decoder := yaml.NewDecoder(bytes.NewReader(text)); ; {
			var object any
			if err := decoder.Decode(&object); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			if err := s.add(object, namespace); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
		}
	}
	if len(s.streams) == 0 {
		return nil, fmt.Errorf("%s has no image streams: objects of kind ImageStream of %s are wanted", dir, imagestream.APIVersion)
	}
	return s, nil
}

// Find returns the files of YAML and JSON in a directory and below it, in order; a file is itself. What begins with a dot
// is skipped.
func Find(path string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(path, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case file == path && !entry.IsDir():
			files = append(files, file)
		case file != path && strings.HasPrefix(entry.Name(), "."):
			if entry.IsDir() {
				return filepath.SkipDir
			}
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(file)):
			files = append(files, file)
		}
		return nil
	})
	return files, err
}

func (s *Streams) add(object any, namespace string) error {
	m, _ := object.(map[string]any)
	kind, _ := m["kind"].(string)
	if items, ok := m["items"].([]any); ok && strings.HasSuffix(kind, "List") {
		for _, item := range items {
			if err := s.add(item, namespace); err != nil {
				return err
			}
		}
		return nil
	}
	if kind != "ImageStream" || m["apiVersion"] != imagestream.APIVersion {
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
	s.streams[stream.Key()] = stream
	for _, h := range stream.Status.Tags {
		for _, e := range h.Items {
			image := &imagestream.Image{DockerImageReference: e.DockerImageReference}
			image.Metadata.Name = e.Image
			s.images[e.Image] = image
		}
	}
	return nil
}

// GetImageStream implements lookup.Source.
func (s *Streams) GetImageStream(_ context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if stream, ok := s.streams[key]; ok {
		return stream, nil
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, "imagestreams", key, "no file has it")
}

// GetImage implements lookup.Source.
func (s *Streams) GetImage(_ context.Context, name string) (*imagestream.Image, error) {
	if image, ok := s.images[name]; ok {
		return image, nil
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, "images", imagestream.Key{Name: name}, "no file has it")
}
