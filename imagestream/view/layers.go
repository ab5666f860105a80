package view

import (
	"fmt"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// LayersNeeds returns the names of the images that the histories of s hold, sorted and without repeats. The
// images of manifest lists among them are needed too: see [ChildNames].
func LayersNeeds(s *imagestream.ImageStream) []string {
	names := map[string]bool{}
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			if e.Image != "" {
				names[e.Image] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// ChildNames returns the names of the images of a manifest list.
func ChildNames(image *imagestream.Image) []string {
	names := make([]string, len(image.DockerImageManifests))
	for i, m := range image.DockerImageManifests {
		names[i] = m.Digest
	}
	return names
}

// Media types of configurations.
const (
	mediaTypeDockerConfig = "application/vnd.docker.container.image.v1+json"
	mediaTypeOCIConfig    = "application/vnd.oci.image.config.v1+json"
)

// Layers returns the layers of s, given the images that exist, by name. Wrong images, with a layer without a
// name or a configuration without an ID, are errors at the paths of the result.
func Layers(
	s *imagestream.ImageStream,
	images map[string]*imagestream.Image,
) (*imagestream.ImageStreamLayers, imagestream.ErrorList) {
	l := layers{
		images: images,
		view: &imagestream.ImageStreamLayers{
			TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamLayers", APIVersion: imagestream.APIVersion}, Metadata: s.Metadata,
			Blobs: map[string]imagestream.ImageLayerData{}, Images: map[string]imagestream.ImageBlobReferences{},
		},
	}
	for _, h := range s.WithDefaults().Status.Tags {
		for _, e := range h.Items {
			if e.Image != "" {
				l.add(e.Image)
			}
		}
	}
	if errs := l.validate(); len(errs) > 0 {
		return nil, errs
	}
	return l.view, nil
}

type layers struct {
	images map[string]*imagestream.Image
	view   *imagestream.ImageStreamLayers
}

// add puts an image and what it consists of into the view, once. The images of a list come after it.
func (l *layers) add(name string) {
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if _, done := l.view.Images[name]; done {
			continue
		}
		image := l.images[name]
		if image == nil {
			l.view.Images[name] = imagestream.ImageBlobReferences{ImageMissing: true}
			continue
		}
		l.view.Images[name] = l.references(image)
		queue = append(queue, ChildNames(image)...)
	}
}

func (l *layers) references(image *imagestream.Image) imagestream.ImageBlobReferences {
	var refs imagestream.ImageBlobReferences
	for _, layer := range image.DockerImageLayers {
		refs.Layers = append(refs.Layers, layer.Name)
		size := layer.LayerSize
		l.blob(layer.Name, imagestream.ImageLayerData{LayerSize: &size, MediaType: layer.MediaType})
	}
	configType := map[string]string{
		manifest.MediaTypeDockerManifest: mediaTypeDockerConfig, manifest.MediaTypeOCIManifest: mediaTypeOCIConfig,
	}[image.DockerImageManifestMediaType]
	if configType != "" {
		metadata, err := manifest.Metadata(image)
		if err != nil {
			metadata.ID = ""
		}
		refs.Config = &metadata.ID
		l.blob(metadata.ID, imagestream.ImageLayerData{MediaType: configType})
	}
	refs.Manifests = ChildNames(image)
	mediaType := image.DockerImageManifestMediaType
	if mediaType == "" {
		mediaType = manifest.MediaTypeDockerManifest
	}
	l.blob(image.Metadata.Name, imagestream.ImageLayerData{MediaType: mediaType})
	return refs
}

// blob describes a blob, unless it is described already.
func (l *layers) blob(name string, data imagestream.ImageLayerData) {
	if _, ok := l.view.Blobs[name]; !ok {
		l.view.Blobs[name] = data
	}
}

func (l *layers) validate() (errs imagestream.ErrorList) {
	for _, name := range slices.Sorted(maps.Keys(l.view.Images)) {
		refs := l.view.Images[name]
		add := func(field, detail string) {
			errs = append(
				errs,
				&imagestream.FieldError{Type: imagestream.FieldInvalid, Field: "images[" + name + "]." + field, Detail: detail},
			)
		}
		if len(refs.Manifests) > 0 {
			if len(refs.Layers) > 0 {
				add("layers", "a manifest list has no layers of its own")
			}
			if refs.Config != nil {
				add("config", "a manifest list has no configuration")
			}
			for i, child := range refs.Manifests {
				if child == "" {
					add(fmt.Sprintf("manifests[%d]", i), "an image of a manifest list has a digest")
				}
			}
			continue
		}
		for i, layer := range refs.Layers {
			if layer == "" {
				add(fmt.Sprintf("layers[%d]", i), "a layer has a name")
			}
		}
		if refs.Config != nil && *refs.Config == "" {
			add("config", "a configuration has an ID")
		}
	}
	return errs
}

// FindImage returns the name of the image that id names among those of a stream: by its whole name, or a
// prefix of that, or of the hexadecimal part of a digest. Of several, the first in name order counts.
func FindImage(l *imagestream.ImageStreamLayers, id string) (string, bool) {
	for _, name := range slices.Sorted(maps.Keys(l.Images)) {
		if pullspec.MatchImageID(name, id) {
			return name, true
		}
	}
	return "", false
}

// NewImageStreamImage returns the view of an image of s under the name <stream>@<id>. An image whose texts
// cannot be read is an error.
func NewImageStreamImage(
	s *imagestream.ImageStream,
	id string,
	image *imagestream.Image,
	env imagestream.Env,
) (*imagestream.ImageStreamImage, error) {
	complete, err := readable(image, env)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageStreamImage{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamImage", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{
			Namespace: s.Metadata.Namespace, Name: pullspec.JoinImage(s.Metadata.Name, id),
			CreationTimestamp: image.Metadata.CreationTimestamp, Annotations: s.Metadata.Annotations,
		},
		Image: *complete,
	}, nil
}
