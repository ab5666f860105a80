package imagestream

import "strings"

// apiGroup is the API group of every object here, [APIVersion] without the version.
const apiGroup = "image.openshift.io"

// The resources of the API, as requests and errors name them.
const (
	ResourceImageStreams        = "imagestreams"
	ResourceImageStreamTags     = "imagestreamtags"
	ResourceImageTags           = "imagetags"
	ResourceImageStreamImages   = "imagestreamimages"
	ResourceImageStreamMappings = "imagestreammappings"
	ResourceImageStreamImports  = "imagestreamimports"
	ResourceImages              = "images"
	ResourceImageSignatures     = "imagesignatures"
)

var kinds = map[string]string{
	ResourceImageStreams: "ImageStream", ResourceImageStreamTags: KindImageStreamTag, ResourceImageTags: "ImageTag",
	ResourceImageStreamImages: KindImageStreamImage, ResourceImageStreamMappings: "ImageStreamMapping",
	ResourceImageStreamImports: "ImageStreamImport", ResourceImages: "Image", ResourceImageSignatures: "ImageSignature",
}

// kindOf returns the kind of the objects of a resource, "ImageStream" of "imagestreams". A subresource,
// "imagestreams/layers", has the kind of its resource; a resource of another API is its own kind.
func kindOf(resource string) string {
	resource, _, _ = strings.Cut(resource, "/")
	if kind, ok := kinds[resource]; ok {
		return kind
	}
	return resource
}

// resourceOf returns the resource of a subresource, "imagestreams" of "imagestreams/layers".
func resourceOf(resource string) string {
	resource, _, _ = strings.Cut(resource, "/")
	return resource
}

// groupOf returns [apiGroup] for the API's own resources and their subresources, and "" for others.
func groupOf(resource string) string {
	resource, _, _ = strings.Cut(resource, "/")
	if _, ok := kinds[resource]; ok {
		return apiGroup
	}
	return ""
}
