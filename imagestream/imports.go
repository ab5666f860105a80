package imagestream

// ImageStreamImport asks for images to be imported into a stream, and holds the answer.
type ImageStreamImport struct {
	TypeMeta
	Metadata ObjectMeta              `json:"metadata"`
	Spec     ImageStreamImportSpec   `json:"spec"`
	Status   ImageStreamImportStatus `json:"status"`
}

// ImageStreamImportSpec is what to import.
type ImageStreamImportSpec struct {
	// Import tells whether the stream is changed. If not, the answer is a look at the registry.
	Import     bool                  `json:"import"`
	Repository *RepositoryImportSpec `json:"repository,omitempty"`
	Images     []ImageImportSpec     `json:"images,omitempty"`
}

// RepositoryImportSpec asks for the tags of a repository.
type RepositoryImportSpec struct {
	From            ObjectReference    `json:"from"`
	ImportPolicy    TagImportPolicy    `json:"importPolicy"`
	ReferencePolicy TagReferencePolicy `json:"referencePolicy"`
	IncludeManifest bool               `json:"includeManifest,omitempty"`
}

// ImageImportSpec asks for one image.
type ImageImportSpec struct {
	From ObjectReference `json:"from"`
	// To is the tag to import into; nil only looks.
	To              *LocalObjectReference `json:"to,omitempty"`
	ImportPolicy    TagImportPolicy       `json:"importPolicy"`
	ReferencePolicy TagReferencePolicy    `json:"referencePolicy"`
	IncludeManifest bool                  `json:"includeManifest,omitempty"`
}

// ImageStreamImportStatus is what came of an import.
type ImageStreamImportStatus struct {
	// Import is the stream as it was stored.
	Import     *ImageStream            `json:"import,omitempty"`
	Repository *RepositoryImportStatus `json:"repository,omitempty"`
	// Images has one answer for each of the request's images, in its order.
	Images []ImageImportStatus `json:"images,omitempty"`
}

// RepositoryImportStatus is what came of a repository's import.
type RepositoryImportStatus struct {
	Status Status              `json:"status"`
	Images []ImageImportStatus `json:"images,omitempty"`
	// AdditionalTags are the tags that were not imported.
	AdditionalTags []string `json:"additionalTags,omitempty"`
}

// ImageImportStatus is what came of one image's import.
type ImageImportStatus struct {
	Status Status `json:"status"`
	Image  *Image `json:"image,omitempty"`
	Tag    string `json:"tag,omitempty"`
	// Manifests are the images of a manifest list.
	Manifests []Image `json:"manifests,omitempty"`
}
