package manifest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
)

// The media types of schema 1, and of its layers.
const (
	MediaTypeSchema1       = "application/vnd.docker.distribution.manifest.v1+json"
	mediaTypeSchema1Signed = "application/vnd.docker.distribution.manifest.v1+prettyjws"
	mediaTypeSchema1Layer  = "application/vnd.docker.container.image.rootfs.diff+x-gtar"
)

// raw is the text of a stored manifest, of any kind, as the API server reads it.
type raw struct {
	SchemaVersion int    `json:"schemaVersion"`
	MediaType     string `json:"mediaType"`
	FSLayers      []struct {
		BlobSum string `json:"blobSum"`
	} `json:"fsLayers"`
	History []struct {
		V1Compatibility string `json:"v1Compatibility"`
	} `json:"history"`
	Layers []struct {
		MediaType string `json:"mediaType"`
		Size      int64  `json:"size"`
		Digest    string `json:"digest"`
	} `json:"layers"`
	Config struct {
		Digest string `json:"digest"`
	} `json:"config"`
}

// Complete returns image with what its own texts, dockerImageManifest and dockerImageConfig, say of it:
// layers with the base first, media type, metadata. An image without a manifest, or one that has all that,
// stays as it is, but for its layers' order. Image is not changed. Now is the creation time of a manifest
// list.
//
// A text that cannot be read is an error; the image that comes with it has what was found before. See
// conformance cases image.metadata-v1 to image.metadata-v10.
func Complete(image *imagestream.Image, now imagestream.Time) (*imagestream.Image, error) {
	c := *image
	metadata := storedMetadata(image)
	c.DockerImageMetadataVersion = orElse(c.DockerImageMetadataVersion, "1.0")
	err := complete(&c, &metadata, now)
	if setErr := setMetadata(&c, metadata); setErr != nil {
		return &c, setErr
	}
	return &c, err
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// storedMetadata reads the metadata that an image has, as far as it can be read.
func storedMetadata(image *imagestream.Image) DockerImage {
	d, err := Metadata(image)
	if err != nil {
		d = DockerImage{}
	}
	if d.ContainerConfig == nil {
		d.ContainerConfig = &Config{}
	}
	return d
}

// complete fills c and its metadata.
func complete(c *imagestream.Image, metadata *DockerImage, now imagestream.Time) error {
	if c.DockerImageManifest == "" {
		return nil
	}
	if len(c.DockerImageLayers) > 0 {
		orderLayers(c)
		if metadata.Size > 0 && c.DockerImageManifestMediaType != "" {
			return nil
		}
	}
	var m raw
	if err := json.Unmarshal([]byte(c.DockerImageManifest), &m); err != nil {
		return fmt.Errorf("manifest of image %s: %w", c.Metadata.Name, err)
	}
	if isList(m.MediaType) {
		metadata.ID, metadata.Created = c.Metadata.Name, now
		return nil
	}
	if len(c.DockerImageLayers) == 0 {
		if err := readLayers(c, &m); err != nil {
			return err
		}
	}
	switch m.SchemaVersion {
	case 1:
		return readSchema1(c, metadata, &m)
	case 2:
		return readSchema2(c, metadata, &m)
	}
	return unknownSchema(c, &m)
}

func unknownSchema(c *imagestream.Image, m *raw) error {
	return fmt.Errorf("manifest of image %s has the schema version %d: it is 1 or 2", c.Metadata.Name, m.SchemaVersion)
}

// orderLayers turns layers that have the base last round, by the annotation, or by what the media type lets
// one guess.
func orderLayers(c *imagestream.Image) {
	order, ok := c.Metadata.Annotations[LayersOrderAnnotation]
	if !ok {
		switch c.DockerImageManifestMediaType {
		case MediaTypeSchema1, mediaTypeSchema1Signed:
		case MediaTypeDockerManifest, MediaTypeOCIManifest:
			order = "descending"
		default:
			return
		}
	}
	if order == "descending" {
		c.DockerImageLayers = slices.Clone(c.DockerImageLayers)
		slices.Reverse(c.DockerImageLayers)
	}
	setAscending(c)
}

func setAscending(c *imagestream.Image) {
	annotations := maps.Clone(c.Metadata.Annotations)
	if annotations == nil {
		annotations = map[string]string{}
	}
	annotations[LayersOrderAnnotation] = "ascending"
	c.Metadata.Annotations = annotations
}

func readLayers(c *imagestream.Image, m *raw) error {
	var layers []imagestream.ImageLayer
	switch m.SchemaVersion {
	case 1:
		if len(m.History) != len(m.FSLayers) {
			return fmt.Errorf(
				"manifest of image %s has %d layers and a history of %d",
				c.Metadata.Name,
				len(m.FSLayers),
				len(m.History),
			)
		}
		for i, l := range m.FSLayers {
			var v1 struct {
				Size int64 `json:"size"`
			}
			if json.Unmarshal([]byte(m.History[i].V1Compatibility), &v1) != nil {
				v1.Size = 0
			}
			layers = append(
				layers,
				imagestream.ImageLayer{Name: l.BlobSum, LayerSize: v1.Size, MediaType: mediaTypeSchema1Layer},
			)
		}
		slices.Reverse(layers)
	case 2:
		for _, l := range m.Layers {
			layers = append(layers, imagestream.ImageLayer{Name: l.Digest, LayerSize: l.Size, MediaType: l.MediaType})
		}
	default:
		return unknownSchema(c, m)
	}
	c.DockerImageLayers = layers
	setAscending(c)
	return nil
}

func readSchema1(c *imagestream.Image, metadata *DockerImage, m *raw) error {
	c.DockerImageManifestMediaType = MediaTypeSchema1
	if len(m.History) == 0 {
		return fmt.Errorf("manifest of image %s has no history", c.Metadata.Name)
	}
	var v1 configuration
	if err := json.Unmarshal([]byte(m.History[0].V1Compatibility), &v1); err != nil {
		return fmt.Errorf("history of image %s: %w", c.Metadata.Name, err)
	}
	*metadata = v1.metadata()
	metadata.Size = sizeOf(c.DockerImageLayers, nil)
	return nil
}

func readSchema2(c *imagestream.Image, metadata *DockerImage, m *raw) error {
	c.DockerImageManifestMediaType = orElse(orElse(m.MediaType, c.DockerImageManifestMediaType), MediaTypeDockerManifest)
	if c.DockerImageConfig == "" {
		return fmt.Errorf("image %s has a manifest and no configuration", c.Metadata.Name)
	}
	var config imageConfiguration
	if err := json.Unmarshal([]byte(c.DockerImageConfig), &config); err != nil {
		return fmt.Errorf("configuration of image %s: %w", c.Metadata.Name, err)
	}
	*metadata = config.metadata()
	metadata.ID = m.Config.Digest
	metadata.Size = addSizes(
		int64(len(c.DockerImageConfig)),
		sizeOf(c.DockerImageLayers, map[string]bool{m.Config.Digest: true}),
	)
	return nil
}

// sizeOf adds up the sizes of layers, each once, and none that is counted already.
func sizeOf(layers []imagestream.ImageLayer, counted map[string]bool) (size int64) {
	if counted == nil {
		counted = map[string]bool{}
	}
	for _, l := range layers {
		if !counted[l.Name] {
			counted[l.Name] = true
			size = addSizes(size, l.LayerSize)
		}
	}
	return size
}

// addSizes adds a size to a sum. A negative one counts as nothing, and the sum ends at the largest number.
func addSizes(sum, size int64) int64 {
	if size <= 0 {
		return sum
	}
	if sum > math.MaxInt64-size {
		return math.MaxInt64
	}
	return sum + size
}

// SubManifests returns the images of the list that an image's own text is, and whether it is one. Their
// digests are as they stand there. See conformance cases image.create-v1 to image.create-v3.
func SubManifests(image *imagestream.Image) ([]imagestream.ImageManifest, bool) {
	m, err := read(image.DockerImageManifestMediaType, []byte(image.DockerImageManifest))
	if err != nil || !m.IsList() {
		return nil, false
	}
	return subManifests(m), true
}

func subManifests(m *Manifest) []imagestream.ImageManifest {
	var list []imagestream.ImageManifest
	for _, c := range m.Children {
		list = append(list, imagestream.ImageManifest{
			Digest: c.Digest.String(), MediaType: c.MediaType, ManifestSize: c.Size,
			Architecture: c.Platform.Architecture, OS: c.Platform.OS, Variant: c.Platform.Variant,
		})
	}
	return list
}

// Digest returns what the text of a manifest of a media type is called: its digest, or for schema 1, which an
// empty media type is too, that of its payload without signatures. It is not ok for lists, for other media
// types, and for a text that does not fit. Signatures are not verified. See conformance cases image.update-v1
// and image.update-v2.
func Digest(mediaType, text string) (_ digest.Digest, ok bool) {
	switch mediaType {
	case MediaTypeDockerManifest, MediaTypeOCIManifest:
		m, err := read(mediaType, []byte(text))
		if err != nil {
			return "", false
		}
		return m.Digest, true
	case MediaTypeSchema1, "":
		payload, ok := signedPayload(text)
		return digest.FromBytes(payload), ok
	}
	return "", false
}

// ConfigDigest returns which configuration the text of a manifest of a media type, schema 2 or OCI, names.
func ConfigDigest(mediaType, text string) (_ digest.Digest, ok bool) {
	if mediaType != MediaTypeDockerManifest && mediaType != MediaTypeOCIManifest {
		return "", false
	}
	m, err := read(mediaType, []byte(text))
	if err != nil {
		return "", false
	}
	return m.Config.Digest, true
}

// signedPayload returns the payload of a text with JSON web signatures: the first bytes of the text, and a
// tail, which every signature names alike.
func signedPayload(text string) ([]byte, bool) {
	var signed struct {
		Signatures []struct {
			Protected string `json:"protected"`
		} `json:"signatures"`
	}
	if err := json.Unmarshal([]byte(text), &signed); err != nil || len(signed.Signatures) == 0 {
		return nil, false
	}
	var payload []byte
	for i, s := range signed.Signatures {
		head, err := base64.RawURLEncoding.DecodeString(s.Protected)
		if err != nil {
			return nil, false
		}
		var protected struct {
			FormatLength int    `json:"formatLength"`
			FormatTail   string `json:"formatTail"`
		}
		if err := json.Unmarshal(
			head,
			&protected,
		); err != nil || protected.FormatLength < 0 ||
			protected.FormatLength > len(text) {
			return nil, false
		}
		tail, err := base64.RawURLEncoding.DecodeString(protected.FormatTail)
		if err != nil {
			return nil, false
		}
		this := append([]byte(text[:protected.FormatLength]), tail...)
		if i > 0 && !bytes.Equal(payload, this) {
			return nil, false
		}
		payload = this
	}
	return payload, true
}
