package manifest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
)

// LayersOrderAnnotation tells the order of an image's layers; it is always "ascending", the base first.
const LayersOrderAnnotation = "image.openshift.io/dockerLayersOrder"

// DockerImage is what an image's dockerImageMetadata holds.
type DockerImage struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	// ID is the digest of the configuration.
	ID              string           `json:"Id"`
	Parent          string           `json:"Parent,omitempty"`
	Comment         string           `json:"Comment,omitempty"`
	Created         imagestream.Time `json:"Created,omitzero"`
	Container       string           `json:"Container,omitempty"`
	ContainerConfig *Config          `json:"ContainerConfig"`
	DockerVersion   string           `json:"DockerVersion,omitempty"`
	Author          string           `json:"Author,omitempty"`
	Config          *Config          `json:"Config,omitempty"`
	Architecture    string           `json:"Architecture,omitempty"`
	// Size is in bytes: the configuration and each different layer.
	Size int64 `json:"Size,omitempty"`
}

// Config is how a container of an image is started.
type Config struct {
	Hostname        string              `json:"Hostname,omitempty"`
	Domainname      string              `json:"Domainname,omitempty"`
	User            string              `json:"User,omitempty"`
	Memory          int64               `json:"Memory,omitempty"`
	MemorySwap      int64               `json:"MemorySwap,omitempty"`
	CPUShares       int64               `json:"CpuShares,omitempty"`
	CPUSet          string              `json:"Cpuset,omitempty"`
	AttachStdin     bool                `json:"AttachStdin,omitempty"`
	AttachStdout    bool                `json:"AttachStdout,omitempty"`
	AttachStderr    bool                `json:"AttachStderr,omitempty"`
	PortSpecs       []string            `json:"PortSpecs,omitempty"`
	ExposedPorts    map[string]struct{} `json:"ExposedPorts,omitempty"`
	Tty             bool                `json:"Tty,omitempty"`
	OpenStdin       bool                `json:"OpenStdin,omitempty"`
	StdinOnce       bool                `json:"StdinOnce,omitempty"`
	Env             []string            `json:"Env,omitempty"`
	Cmd             []string            `json:"Cmd,omitempty"`
	DNS             []string            `json:"Dns,omitempty"`
	Image           string              `json:"Image,omitempty"`
	Volumes         map[string]struct{} `json:"Volumes,omitempty"`
	VolumesFrom     string              `json:"VolumesFrom,omitempty"`
	WorkingDir      string              `json:"WorkingDir,omitempty"`
	Entrypoint      []string            `json:"Entrypoint,omitempty"`
	NetworkDisabled bool                `json:"NetworkDisabled,omitempty"`
	SecurityOpts    []string            `json:"SecurityOpts,omitempty"`
	OnBuild         []string            `json:"OnBuild,omitempty"`
	Labels          map[string]string   `json:"Labels,omitempty"`
}

// configuration is the members of an image's configuration that a DockerImage takes over.
type configuration struct {
	ID              string           `json:"id"`
	Parent          string           `json:"parent"`
	Comment         string           `json:"comment"`
	Created         imagestream.Time `json:"created"`
	Container       string           `json:"container"`
	ContainerConfig Config           `json:"container_config"`
	DockerVersion   string           `json:"docker_version"`
	Author          string           `json:"author"`
	Config          *Config          `json:"config"`
	Architecture    string           `json:"architecture"`
	// Size is not taken over, but if it is not a number, the API cannot read the text.
	Size int64 `json:"size"`
}

// imageConfiguration is a configuration of schema 2, with the members that are not taken over either.
type imageConfiguration struct {
	configuration
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
	History []struct {
		Created    imagestream.Time `json:"created"`
		Author     string           `json:"author"`
		CreatedBy  string           `json:"created_by"`
		Comment    string           `json:"comment"`
		EmptyLayer bool             `json:"empty_layer"`
	} `json:"history"`
	OS         string   `json:"os"`
	OSVersion  string   `json:"os.version"`
	OSFeatures []string `json:"os.features"`
}

// Image returns the image that m and its configuration describe. Its name is the digest of the manifest; it
// has no pull spec yet. The configuration must be what m's config names: its digest is checked.
func Image(m *Manifest, config []byte) (*imagestream.Image, error) {
	if m.IsSchema1() {
		image := &imagestream.Image{DockerImageManifest: string(m.Raw)}
		image.Metadata.Name = m.Digest.String()
		var never imagestream.Time
		image, err := Complete(image, never)
		if err != nil {
			return nil, err
		}
		for i, l := range image.DockerImageLayers {
			d := Descriptor{Digest: digest.Digest(l.Name), Size: l.LayerSize}
			if err := d.check(fmt.Sprintf("layer %d", i)); err != nil {
				return nil, err
			}
		}
		return image, nil
	}
	if got := m.Config.Digest.Algorithm().FromBytes(config); got != m.Config.Digest {
		return nil, fmt.Errorf("configuration has the digest %s, and the manifest names %s", got, m.Config.Digest)
	}
	var c imageConfiguration
	if err := json.Unmarshal(config, &c); err != nil {
		return nil, fmt.Errorf("configuration %s: %w", m.Config.Digest, err)
	}
	image := newImage(m)
	image.Metadata.Annotations = map[string]string{LayersOrderAnnotation: "ascending"}
	image.DockerImageConfig = string(config)

	for _, l := range m.Layers {
		image.DockerImageLayers = append(image.DockerImageLayers, imagestream.ImageLayer{
			Name: l.Digest.String(), LayerSize: l.Size, MediaType: l.MediaType,
		})
	}
	metadata := c.metadata()
	metadata.ID = m.Config.Digest.String()
	metadata.Size = addSizes(int64(len(config)), sizeOf(image.DockerImageLayers, map[string]bool{metadata.ID: true}))
	return image, setMetadata(image, metadata)
}

// metadata returns the DockerImage of a configuration. A size in it does not count.
func (c *configuration) metadata() DockerImage {
	return DockerImage{
		ID: c.ID, Parent: c.Parent, Comment: c.Comment, Created: c.Created, Container: c.Container,
		ContainerConfig: &c.ContainerConfig, DockerVersion: c.DockerVersion, Author: c.Author, Config: c.Config,
		Architecture: c.Architecture,
	}
}

// ListImage returns the image that stands for the list m, made at the time now. It has no layers.
func ListImage(m *Manifest, now imagestream.Time) (*imagestream.Image, error) {
	image := newImage(m)
	image.DockerImageManifests = subManifests(m)
	return image, setMetadata(image, DockerImage{ID: m.Digest.String(), Created: now, ContainerConfig: &Config{}})
}

func newImage(m *Manifest) *imagestream.Image {
	image := &imagestream.Image{
		TypeMeta:                     imagestream.TypeMeta{Kind: "Image", APIVersion: imagestream.APIVersion},
		DockerImageMetadataVersion:   "1.0",
		DockerImageManifestMediaType: m.MediaType,
	}
	image.Metadata.Name = m.Digest.String()
	if !m.IsList() {
		image.DockerImageManifest = string(m.Raw)
	}
	return image
}

func setMetadata(image *imagestream.Image, d DockerImage) error {
	d.Kind, d.APIVersion = "DockerImage", "image.openshift.io/1.0"
	text, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("metadata of image %s: %w", image.Metadata.Name, err)
	}
	image.DockerImageMetadata = text
	return nil
}

// Metadata reads the dockerImageMetadata of image. An image without it is an error.
func Metadata(image *imagestream.Image) (DockerImage, error) {
	var d DockerImage
	if len(image.DockerImageMetadata) == 0 {
		return d, fmt.Errorf("image %s has no dockerImageMetadata", image.Metadata.Name)
	}
	if err := json.Unmarshal(image.DockerImageMetadata, &d); err != nil {
		return d, fmt.Errorf("dockerImageMetadata of image %s: %w", image.Metadata.Name, err)
	}
	return d, nil
}

// WithLayerSizes returns image, of schema 1, with the sizes of its layers, by their digests. It is not changed.
func WithLayerSizes(image *imagestream.Image, sizes map[string]int64) (*imagestream.Image, error) {
	c := *image
	c.DockerImageLayers = slices.Clone(image.DockerImageLayers)
	for i := range c.DockerImageLayers {
		c.DockerImageLayers[i].LayerSize = sizes[c.DockerImageLayers[i].Name]
	}
	metadata, err := Metadata(image)
	if err != nil {
		return nil, err
	}
	metadata.Size = 0
	for _, layer := range c.DockerImageLayers {
		metadata.Size = addSizes(metadata.Size, layer.LayerSize)
	}
	return &c, setMetadata(&c, metadata)
}
