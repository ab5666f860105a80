// Package manifest reads image manifests, of Docker schema 2 and OCI, with their lists and indexes, and makes
// image metadata from them.
//
// # Media types
//
// The Content-Type of a manifest, without parameters, decides how it is read; the mediaType inside must fit.
// Docker manifests and lists must state theirs, OCI ones may leave it out. An OCI manifest that has
// "manifests", and an index that has "config" or "layers", is refused: it could be read as the other. What comes
// as anything else is read as Docker schema 1, which must be signed; signatures are not verified. See
// conformance cases import-32 and import-83.
//
// # Hostile texts
//
// [Parse] refuses a manifest with a digest that is none or a negative size, and [Image] one of schema 1 with such a
// layer: what a registry says is not asked for before it was looked at. Stored images may hold anything: sizes that
// are negative count as nothing, and sums end at the largest number that there is. [PrepareImageCreate] takes no
// layer with a negative size, or with a control character in its name, since names are printed.
//
// # Platforms
//
// [Manifest.Select] takes the image of a list for a platform: the first of that architecture and operating
// system, else the first for linux/amd64, else the first.
//
// # Metadata
//
// [Image] fills an image from its manifest and configuration: layers in the order of the manifest, the
// configuration as a DockerImage, whose Id is the digest of the configuration, and whose Size is that of the
// configuration and of each different layer. Creation times are kept to the second. What a DockerImage has no
// member for is not kept. See conformance cases image.metadata-v1 to image.metadata-v10.
package manifest

import (
	"crypto/sha256"
	_ "crypto/sha512" // go-digest knows only the algorithms that are linked in
	"encoding/json"
	"fmt"
	"mime"

	"github.com/opencontainers/go-digest"
)

var _ = sha256.New // for the same reason

// The media types that are read.
const (
	MediaTypeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	MediaTypeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	MediaTypeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	MediaTypeOCIIndex       = "application/vnd.oci.image.index.v1+json"
)

// MediaTypes are the media types to ask a registry for.
func MediaTypes() []string {
	return []string{
		MediaTypeDockerManifest,
		MediaTypeDockerList,
		MediaTypeOCIManifest,
		MediaTypeOCIIndex,
		mediaTypeSchema1Signed,
		MediaTypeSchema1,
	}
}

// Descriptor names a blob or a manifest.
type Descriptor struct {
	MediaType string        `json:"mediaType"`
	Digest    digest.Digest `json:"digest"`
	Size      int64         `json:"size"`
}

// Child is an image of a list.
type Child struct {
	Descriptor
	Platform Platform `json:"platform"`
	// Annotations are what the list says of the image.
	Annotations map[string]string `json:"annotations,omitempty"`
}

// Platform is what an image runs on. It may be empty.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// Manifest is a manifest that was read: either of one image, with a configuration and layers, or a list of
// images.
type Manifest struct {
	// MediaType is one of [MediaTypes].
	MediaType string
	// Digest is that of the text.
	Digest digest.Digest
	// Raw is the text.
	Raw []byte
	// Config and Layers are an image's.
	Config Descriptor
	Layers []Descriptor
	// Children are a list's.
	Children []Child
}

// IsList reports whether m lists images, and is none itself.
func (m *Manifest) IsList() bool { return isList(m.MediaType) }

func isList(mediaType string) bool {
	return mediaType == MediaTypeDockerList || mediaType == MediaTypeOCIIndex
}

// Parse reads the text of a manifest that came with a Content-Type.
func Parse(contentType string, raw []byte) (*Manifest, error) {
	m, err := read(contentType, raw)
	if err != nil {
		return nil, err
	}
	return m, m.check()
}

// read is Parse without a look at digests.
func read(contentType string, raw []byte) (*Manifest, error) {
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		mediaType = contentType
	}
	switch mediaType {
	case MediaTypeDockerManifest, MediaTypeDockerList, MediaTypeOCIManifest, MediaTypeOCIIndex:
	default:
		return readSigned(mediaType, raw)
	}
	var text struct {
		MediaType string          `json:"mediaType"`
		Config    json.RawMessage `json:"config"`
		Layers    json.RawMessage `json:"layers"`
		Manifests json.RawMessage `json:"manifests"`
	}
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("manifest of the media type %s: %w", mediaType, err)
	}
	oci := mediaType == MediaTypeOCIManifest || mediaType == MediaTypeOCIIndex
	if text.MediaType != mediaType && !(oci && text.MediaType == "") {
		return nil, fmt.Errorf("manifest came as %s and says that it is %q", mediaType, text.MediaType)
	}
	m := &Manifest{MediaType: mediaType, Digest: digest.FromBytes(raw), Raw: raw}
	if m.IsList() {
		if oci && (text.Config != nil || text.Layers != nil) {
			return nil, fmt.Errorf("index has config or layers, as an image has")
		}
		if text.Manifests != nil {
			err = json.Unmarshal(text.Manifests, &m.Children)
		}
	} else {
		if oci && text.Manifests != nil {
			return nil, fmt.Errorf("image manifest has manifests, as an index has")
		}
		if text.Config == nil {
			return nil, fmt.Errorf("image manifest has no config")
		}
		if err = json.Unmarshal(text.Config, &m.Config); err == nil && text.Layers != nil {
			err = json.Unmarshal(text.Layers, &m.Layers)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("manifest of the media type %s: %w", mediaType, err)
	}
	return m, nil
}

// readSigned reads a manifest of any other media type as one of schema 1, which must be signed.
func readSigned(mediaType string, raw []byte) (*Manifest, error) {
	payload, ok := signedPayload(string(raw))
	if !ok {
		return nil, fmt.Errorf(
			"manifest of the media type %q: neither Docker schema 2 nor OCI, and not signed as schema 1 is",
			mediaType,
		)
	}
	return &Manifest{MediaType: MediaTypeSchema1, Digest: digest.FromBytes(payload), Raw: raw}, nil
}

// Verify checks that a manifest that came with a Content-Type is that of a digest: of its bytes, or, for schema 1, of
// its payload without signatures.
func Verify(contentType string, raw []byte, d digest.Digest) error {
	if err := d.Validate(); err != nil {
		return fmt.Errorf("digest %q: %w", d, err)
	}
	got := d.Algorithm().FromBytes(raw)
	if got == d {
		return nil
	}
	if m, err := read(contentType, raw); err == nil && m.MediaType == MediaTypeSchema1 {
		payload, _ := signedPayload(string(raw))
		if got = d.Algorithm().FromBytes(payload); got == d {
			return nil
		}
	}
	return fmt.Errorf("the registry sent %s", got)
}

// IsSchema1 reports whether m is of schema 1: it has no configuration, and is all that there is to know of its image.
func (m *Manifest) IsSchema1() bool { return m.MediaType == MediaTypeSchema1 }

// check refuses digests that nothing could be asked by, and sizes that are none.
func (m *Manifest) check() error {
	if m.IsSchema1() {
		return nil
	}
	if m.IsList() {
		for i, c := range m.Children {
			if err := c.check(fmt.Sprintf("manifests[%d]", i)); err != nil {
				return err
			}
		}
		return nil
	}
	if err := m.Config.check("config"); err != nil {
		return err
	}
	for i, l := range m.Layers {
		if err := l.check(fmt.Sprintf("layers[%d]", i)); err != nil {
			return err
		}
	}
	return nil
}

// check refuses a descriptor that nothing could be asked by, or whose size is none.
func (d *Descriptor) check(path string) error {
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("%s.digest %q: %w", path, d.Digest, err)
	}
	if d.Size < 0 {
		return fmt.Errorf("%s.size %d: a size is not negative", path, d.Size)
	}
	return nil
}

// Select returns the image of a list for p, by the rule in the package comment, and whether the list has any
// image at all. Empty members of p are amd64 and linux. The variant does not count.
func (m *Manifest) Select(p Platform) (Child, bool) {
	standard := Platform{Architecture: "amd64", OS: "linux"}
	if p.Architecture == "" {
		p.Architecture = standard.Architecture
	}
	if p.OS == "" {
		p.OS = standard.OS
	}
	for _, want := range [...]Platform{p, standard} {
		for _, c := range m.Children {
			if c.Platform.Architecture == want.Architecture && c.Platform.OS == want.OS {
				return c, true
			}
		}
	}
	if len(m.Children) == 0 {
		return Child{}, false
	}
	return m.Children[0], true
}
