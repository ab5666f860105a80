package imagestream

import "github.com/imagestreams/imagestreams/tagevent"

// Image is an image in a registry, with its metadata. Images belong to no namespace; their name is the digest
// of their manifest.
type Image struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata"`
	// DockerImageReference is the pull spec under which the image was first seen.
	DockerImageReference string `json:"dockerImageReference,omitempty"`
	// DockerImageMetadata is a DockerImage object: platform, creation time, configuration, size.
	DockerImageMetadata        Raw    `json:"dockerImageMetadata"`
	DockerImageMetadataVersion string `json:"dockerImageMetadataVersion,omitempty"`
	// DockerImageManifest is the manifest's text.
	DockerImageManifest string `json:"dockerImageManifest,omitempty"`
	// DockerImageLayers are the layers, the base first.
	DockerImageLayers            []ImageLayer     `json:"dockerImageLayers,omitempty"`
	Signatures                   []ImageSignature `json:"signatures,omitempty"`
	DockerImageSignatures        [][]byte         `json:"dockerImageSignatures,omitempty"`
	DockerImageManifestMediaType string           `json:"dockerImageManifestMediaType,omitempty"`
	// DockerImageConfig is the text of the image's configuration.
	DockerImageConfig string `json:"dockerImageConfig,omitempty"`
	// DockerImageManifests are the images of a manifest list.
	DockerImageManifests []ImageManifest `json:"dockerImageManifests,omitempty"`
}

// ImageList is a page of images.
type ImageList struct {
	TypeMeta
	Metadata ListMeta `json:"metadata"`
	Items    []Image  `json:"items"`
}

// ImageLayer is a layer of an image.
type ImageLayer struct {
	// Name is the layer's digest.
	Name string `json:"name"`
	// LayerSize is in bytes.
	LayerSize int64  `json:"size"`
	MediaType string `json:"mediaType"`
}

// ImageManifest is an image of a manifest list.
type ImageManifest struct {
	Digest       string `json:"digest"`
	MediaType    string `json:"mediaType"`
	ManifestSize int64  `json:"manifestSize"`
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// ImageSignature is a signature of an image.
type ImageSignature struct {
	TypeMeta
	Metadata      ObjectMeta           `json:"metadata"`
	Type          string               `json:"type"`
	Content       []byte               `json:"content"`
	Conditions    []SignatureCondition `json:"conditions,omitempty"`
	ImageIdentity string               `json:"imageIdentity,omitempty"`
	SignedClaims  map[string]string    `json:"signedClaims,omitempty"`
	Created       *Time                `json:"created,omitempty"`
	IssuedBy      *SignatureIssuer     `json:"issuedBy,omitempty"`
	IssuedTo      *SignatureSubject    `json:"issuedTo,omitempty"`
}

// SignatureCondition is a statement about a signature.
type SignatureCondition struct {
	Type               string                   `json:"type"`
	Status             tagevent.ConditionStatus `json:"status"`
	LastProbeTime      Time                     `json:"lastProbeTime"`
	LastTransitionTime Time                     `json:"lastTransitionTime"`
	Reason             string                   `json:"reason,omitempty"`
	Message            string                   `json:"message,omitempty"`
}

// SignatureIssuer is who issued a certificate or a key.
type SignatureIssuer struct {
	Organization string `json:"organization,omitempty"`
	CommonName   string `json:"commonName,omitempty"`
}

// SignatureSubject is whom a certificate or a key was issued to.
type SignatureSubject struct {
	Organization string `json:"organization,omitempty"`
	CommonName   string `json:"commonName,omitempty"`
	PublicKeyID  string `json:"publicKeyID"`
}
