package imagestream

import "github.com/imagestreams/imagestreams/tagevent"

// ImageStream is a named, virtual repository: the tags that people asked for, and what these tags really
// pointed at over time. It carries no image data.
type ImageStream struct {
	TypeMeta
	Metadata ObjectMeta        `json:"metadata"`
	Spec     ImageStreamSpec   `json:"spec"`
	Status   ImageStreamStatus `json:"status"`
}

// Key returns namespace and name of s.
func (s *ImageStream) Key() Key { return Key{s.Metadata.Namespace, s.Metadata.Name} }

// ImageStreamList is a page of image streams.
type ImageStreamList struct {
	TypeMeta
	Metadata ListMeta      `json:"metadata"`
	Items    []ImageStream `json:"items"`
}

// ImageStreamSpec is what people asked for.
type ImageStreamSpec struct {
	LookupPolicy ImageLookupPolicy `json:"lookupPolicy"`
	// DockerImageRepository is a repository to import all tags from, without tag or digest.
	DockerImageRepository string         `json:"dockerImageRepository,omitempty"`
	Tags                  []TagReference `json:"tags,omitempty"`
}

// ImageLookupPolicy tells whether short names in workloads of the same namespace mean this stream.
type ImageLookupPolicy struct {
	Local bool `json:"local"`
}

// TagReference is a tag that somebody asked for: where it comes from, how it is imported, how it is referred
// to.
type TagReference struct {
	Name        string            `json:"name"`
	Annotations map[string]string `json:"annotations"`
	// From is where the tag comes from; nil for a tag that is only pushed to.
	From *ObjectReference `json:"from,omitempty"`
	// Reference means that the tag is never imported: its pull spec stands for itself.
	Reference bool `json:"reference,omitempty"`
	// Generation is the stream's generation when the tag was last changed. 0 asks for a new import.
	Generation      *int64             `json:"generation"`
	ImportPolicy    TagImportPolicy    `json:"importPolicy"`
	ReferencePolicy TagReferencePolicy `json:"referencePolicy"`
}

// The kinds that a tag's source can have.
const (
	KindDockerImage      = "DockerImage"
	KindImageStreamTag   = "ImageStreamTag"
	KindImageStreamImage = "ImageStreamImage"
)

// TagImportPolicy is how a tag is imported.
type TagImportPolicy struct {
	// Insecure allows plain HTTP and TLS without a valid certificate.
	Insecure bool `json:"insecure,omitempty"`
	// Scheduled asks for the tag to be imported again and again.
	Scheduled  bool           `json:"scheduled,omitempty"`
	ImportMode ImportModeType `json:"importMode,omitempty"`
}

// ImportModeType is what is imported of a manifest list. Empty means Legacy.
type ImportModeType string

// The import modes: Legacy takes the one image for the platform, PreserveOriginal the list and all its
// images.
const (
	ImportModeLegacy           ImportModeType = "Legacy"
	ImportModePreserveOriginal ImportModeType = "PreserveOriginal"
)

// TagReferencePolicy is how a tag is referred to by others.
type TagReferencePolicy struct {
	Type TagReferencePolicyType `json:"type"`
}

// TagReferencePolicyType is whose pull spec others get. Empty means Source.
type TagReferencePolicyType string

// The reference policies: Source is where the image came from, Local is the internal registry.
const (
	ReferencePolicySource TagReferencePolicyType = "Source"
	ReferencePolicyLocal  TagReferencePolicyType = "Local"
)

// ImageStreamStatus is what the tags of a stream really pointed at.
type ImageStreamStatus struct {
	// DockerImageRepository is the stream's repository in the internal registry, or
	// spec.dockerImageRepository without one.
	DockerImageRepository string `json:"dockerImageRepository"`
	// PublicDockerImageRepository is the same for clients outside.
	PublicDockerImageRepository string             `json:"publicDockerImageRepository,omitempty"`
	Tags                        []tagevent.History `json:"tags,omitempty"`
}

// ImageStreamTag is a tag of a stream with its newest image.
type ImageStreamTag struct {
	TypeMeta
	Metadata     ObjectMeta           `json:"metadata"`
	Tag          *TagReference        `json:"tag"`
	Generation   int64                `json:"generation"`
	LookupPolicy ImageLookupPolicy    `json:"lookupPolicy"`
	Conditions   []tagevent.Condition `json:"conditions,omitempty"`
	Image        Image                `json:"image"`
}

// ImageStreamTagList is a list of image stream tags.
type ImageStreamTagList struct {
	TypeMeta
	Metadata ListMeta         `json:"metadata"`
	Items    []ImageStreamTag `json:"items"`
}

// ImageTag is a tag of a stream with spec, history and newest image.
type ImageTag struct {
	TypeMeta
	Metadata ObjectMeta        `json:"metadata"`
	Spec     *TagReference     `json:"spec"`
	Status   *tagevent.History `json:"status"`
	Image    *Image            `json:"image"`
}

// ImageTagList is a list of image tags.
type ImageTagList struct {
	TypeMeta
	Metadata ListMeta   `json:"metadata"`
	Items    []ImageTag `json:"items"`
}

// ImageStreamImage is an image that a stream holds, or once held.
type ImageStreamImage struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata"`
	Image    Image      `json:"image"`
}

// ImageStreamMapping is a registry's word that an image was pushed to a tag.
type ImageStreamMapping struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata"`
	Image    Image      `json:"image"`
	Tag      string     `json:"tag"`
}

// ImageStreamLayers are the layers of all images that a stream holds.
type ImageStreamLayers struct {
	TypeMeta
	Metadata ObjectMeta `json:"metadata"`
	// Blobs are layers, configs and manifests by digest.
	Blobs map[string]ImageLayerData `json:"blobs"`
	// Images are the images by name.
	Images map[string]ImageBlobReferences `json:"images"`
}

// ImageLayerData is what is known of a blob.
type ImageLayerData struct {
	LayerSize *int64 `json:"size"`
	MediaType string `json:"mediaType"`
}

// ImageBlobReferences names the blobs of an image.
type ImageBlobReferences struct {
	ImageMissing bool     `json:"imageMissing"`
	Layers       []string `json:"layers"`
	Config       *string  `json:"config"`
	Manifests    []string `json:"manifests,omitempty"`
}
