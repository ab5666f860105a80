package fakes

import (
	"encoding/json"
	"fmt"
	"maps"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream/manifest"
)

// Contents is what a registry holds, by the path of the repository: "org/app".
type Contents map[string]*Repository

// Repository is what one repository holds. Nothing has to fit: a tag may point nowhere, a manifest may lie
// about its digest.
type Repository struct {
	Tags      map[string]digest.Digest         `json:"tags"`
	Manifests map[digest.Digest]StoredManifest `json:"manifests"`
	Blobs     map[digest.Digest]string         `json:"blobs"`
	// BlobSizes are blobs of which only the size is known.
	BlobSizes map[digest.Digest]int64 `json:"blobSizes,omitempty"`
}

// StoredManifest is a manifest with the media type that it is served as.
type StoredManifest struct {
	MediaType string `json:"mediaType"`
	Raw       string `json:"raw"`
}

// Image is a small image to push: complete, with a configuration and one layer, and different for different
// fields.
type Image struct {
	Architecture, OS string // amd64 and linux if empty
	// Labels are put into the configuration.
	Labels map[string]string
	// Layer is the content of the layer.
	Layer string
}

// Push puts image into the repository of that path and lets the tags point at it. It returns the digest of
// its manifest.
func (c Contents) Push(path string, image Image, tags ...string) digest.Digest {
	d, _ := c.push(path, image)
	c.tag(path, d, tags)
	return d
}

// PushList puts images and a list of them, an OCI index, into the repository of that path and lets the tags
// point at the list. It returns the digest of the list.
func (c Contents) PushList(path string, images []Image, tags ...string) digest.Digest {
	index := struct {
		SchemaVersion int              `json:"schemaVersion"`
		MediaType     string           `json:"mediaType"`
		Manifests     []manifest.Child `json:"manifests"`
	}{2, manifest.MediaTypeOCIIndex, nil}
	for _, image := range images {
		d, size := c.push(path, image)
		index.Manifests = append(index.Manifests, manifest.Child{
			Descriptor: manifest.Descriptor{MediaType: manifest.MediaTypeOCIManifest, Digest: d, Size: size},
			Platform:   manifest.Platform{Architecture: image.architecture(), OS: image.os()},
		})
	}
	raw := encode(index)
	d := digest.FromString(raw)
	c.repository(path).Manifests[d] = StoredManifest{manifest.MediaTypeOCIIndex, raw}
	c.tag(path, d, tags)
	return d
}

// Add adds more to the contents: tags that are there move.
func (c Contents) Add(more Contents) {
	for path, repository := range more {
		mine := c.repository(path)
		maps.Copy(mine.Tags, repository.Tags)
		maps.Copy(mine.Manifests, repository.Manifests)
		maps.Copy(mine.Blobs, repository.Blobs)
		if mine.BlobSizes == nil {
			mine.BlobSizes = map[digest.Digest]int64{}
		}
		maps.Copy(mine.BlobSizes, repository.BlobSizes)
	}
}

func (c Contents) repository(path string) *Repository {
	if c[path] == nil {
		c[path] = &Repository{
			Tags: map[string]digest.Digest{}, Manifests: map[digest.Digest]StoredManifest{}, Blobs: map[digest.Digest]string{},
		}
	}
	return c[path]
}

func (c Contents) tag(path string, d digest.Digest, tags []string) {
	for _, tag := range tags {
		c.repository(path).Tags[tag] = d
	}
}

func (c Contents) push(path string, image Image) (digest.Digest, int64) {
	config := encode(map[string]any{
		"architecture": image.architecture(), "os": image.os(), "created": "2026-01-01T00:00:00Z",
		"config": map[string]any{"Env": []string{"PATH=/usr/bin"}, "Cmd": []string{"/bin/app"}, "Labels": image.Labels},
		"rootfs": map[string]any{"type": "layers", "diff_ids": []digest.Digest{digest.FromString(image.Layer)}},
	})
	repository := c.repository(path)
	blob := func(mediaType, text string) manifest.Descriptor {
		d := digest.FromString(text)
		repository.Blobs[d] = text
		return manifest.Descriptor{MediaType: mediaType, Digest: d, Size: int64(len(text))}
	}
	raw := encode(struct {
		SchemaVersion int                   `json:"schemaVersion"`
		MediaType     string                `json:"mediaType"`
		Config        manifest.Descriptor   `json:"config"`
		Layers        []manifest.Descriptor `json:"layers"`
	}{
		2, manifest.MediaTypeOCIManifest,
		blob("application/vnd.oci.image.config.v1+json", config),
		[]manifest.Descriptor{blob("application/vnd.oci.image.layer.v1.tar", image.Layer)},
	})
	d := digest.FromString(raw)
	repository.Manifests[d] = StoredManifest{manifest.MediaTypeOCIManifest, raw}
	return d, int64(len(raw))
}

func (i Image) architecture() string { return orElse(i.Architecture, "amd64") }
func (i Image) os() string           { return orElse(i.OS, "linux") }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func encode(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("fakes: encode %T: %v", v, err)) // maps of strings and the like always encode
	}
	return string(text)
}
