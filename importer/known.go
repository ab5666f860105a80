package importer

import (
	"cmp"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Memo has the images that were chosen from manifest lists: the digest of the image by the digest of the list, the
// platform and the rule, "sha256:…/linux/amd64". It can be stored as JSON.
type Memo map[string]digest.Digest

func (o *FetchOptions) memoKey(list digest.Digest, p manifest.Platform) string {
	key := list.String() + "/" + cmp.Or(p.OS, "linux") + "/" + cmp.Or(p.Architecture, "amd64")
	if o.NoAttestations {
		key += "/no-attestations"
	}
	return key
}

// KnownImages are images that were imported before, by pull spec with Docker's defaults filled in:
// "docker.io/library/nodejs@sha256:…". An image is known for its own repository only.
type KnownImages map[string]*imagestream.Image

// add adds an image that was imported from the repository of a pull spec. Lists are left out: a list never answers a
// question for an image, and in mode PreserveOriginal its images must be read anyway.
func (k KnownImages) add(pullSpec string, image *imagestream.Image) {
	if image == nil || len(image.DockerImageMetadata) == 0 || len(image.DockerImageManifests) > 0 {
		return
	}
	switch image.DockerImageManifestMediaType {
	case manifest.MediaTypeDockerManifest, manifest.MediaTypeOCIManifest, manifest.MediaTypeSchema1:
	default:
		return
	}
	r, err := pullspec.Parse(pullSpec)
	if err != nil {
		return
	}
	if repository, err := repositoryOf(r); err == nil {
		k[repository.Name()+"@"+image.Metadata.Name] = image
	}
}

// known returns the answer for a digest if no further request is needed. It depends on everything that the answer
// depends on: the repository, the mode, the platform, and whether texts are wanted.
func (f *fetcher) known(d digest.Digest) (Answer, bool) {
	if image := f.knownImage(d); image != nil {
		return Answer{Image: image, Known: true}, true // in both modes: it is not a list
	}
	if f.question.Mode == imagestream.ImportModePreserveOriginal {
		return Answer{}, false
	}
	chosen, ok := f.opts.Memo[f.opts.memoKey(d, f.question.Platform)]
	if !ok {
		return Answer{}, false
	}
	image := f.knownImage(chosen)
	return Answer{Image: image, Known: true}, image != nil
}

// knownImage returns the known image of a digest as a fetch returns it, or nil.
func (f *fetcher) knownImage(d digest.Digest) *imagestream.Image {
	if f.opts.Refetch || f.question.Texts {
		return nil
	}
	image := f.opts.Known[f.question.Repository.Name()+"@"+d.String()]
	if image == nil {
		return nil
	}
	fetched := &imagestream.Image{
		TypeMeta:                     image.TypeMeta,
		Metadata:                     imagestream.ObjectMeta{Name: image.Metadata.Name},
		DockerImageMetadata:          image.DockerImageMetadata,
		DockerImageMetadataVersion:   image.DockerImageMetadataVersion,
		DockerImageManifestMediaType: image.DockerImageManifestMediaType,
		DockerImageLayers:            image.DockerImageLayers,
	}
	if order, ok := image.Metadata.Annotations[manifest.LayersOrderAnnotation]; ok {
		fetched.Metadata.Annotations = map[string]string{manifest.LayersOrderAnnotation: order}
	}
	return f.spelled(fetched, d)
}
