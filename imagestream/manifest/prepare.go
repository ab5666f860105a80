package manifest

import (
	"fmt"
	"maps"
	"regexp"
	"strings"
	"unicode"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Annotations of images and signatures that have a meaning here.
const (
	// BlobStoredAnnotation "true" says that the texts of manifest and configuration are in the registry, and
	// not in the image.
	BlobStoredAnnotation = "image.openshift.io/manifestBlobStored"
	// ManagedAnnotation "true" says that the image is in the internal registry.
	ManagedAnnotation = "openshift.io/image.managed"
	// managedSignatureAnnotation is a mark of the server on a signature; clients cannot set it.
	managedSignatureAnnotation = "image.openshift.io/managed-signature"
)

// PrepareImageCreate returns image as it is stored when it is created: completed from its texts, with the
// images of a manifest list. Texts that cannot be read are no errors; layers that cannot be are. See
// conformance cases image.create-v1 to image.create-v3.
func PrepareImageCreate(image *imagestream.Image, env imagestream.Env) (*imagestream.Image, imagestream.ErrorList) {
	// Complete goes as far as it can.
	c, _ := Complete(image, tagevent.TimeOf(env.Now))
	if c.DockerImageManifest != "" {
		if list, ok := SubManifests(c); ok {
			c.DockerImageManifests = list
		}
	}
	c.TypeMeta = imagestream.TypeMeta{Kind: "Image", APIVersion: imagestream.APIVersion}
	m := &c.Metadata
	m.Namespace, m.SelfLink, m.Generation = "", "", 0
	m.DeletionTimestamp, m.DeletionGracePeriodSeconds = nil, nil
	m.CreationTimestamp = tagevent.TimeOf(env.Now)
	strip(c)
	if errs := append(ValidateImage(c, ""), validateLayers(c.DockerImageLayers)...); len(errs) > 0 {
		return nil, errs
	}
	return c, nil
}

// strip drops texts that are stored elsewhere, and marks that only servers set.
func strip(image *imagestream.Image) {
	if image.Metadata.Annotations[BlobStoredAnnotation] == "true" {
		image.DockerImageManifest, image.DockerImageConfig = "", ""
	}
	signatures := make([]imagestream.ImageSignature, len(image.Signatures))
	copy(signatures, image.Signatures)
	for i := range signatures {
		if _, ok := signatures[i].Metadata.Annotations[managedSignatureAnnotation]; ok {
			signatures[i].Metadata.Annotations = maps.Clone(signatures[i].Metadata.Annotations)
			delete(signatures[i].Metadata.Annotations, managedSignatureAnnotation)
		}
	}
	if len(signatures) > 0 {
		image.Signatures = signatures
	}
}

// PrepareImageUpdate returns next as it is stored when it replaces old. Metadata of the image and layers stay
// the old ones. A new manifest must be the one that the image is named by, a new configuration the one that
// the manifest names; others are left out, the old ones kept. Names, uid and resource version are compared by
// [imagestream.Image.CheckUpdate]. See conformance cases image.update-v1 and image.update-v2.
func PrepareImageUpdate(old, next *imagestream.Image, env imagestream.Env) (*imagestream.Image, imagestream.ErrorList) {
	c := *next
	c.Metadata = old.Metadata.Carry(&next.Metadata)
	c.DockerImageMetadata, c.DockerImageMetadataVersion = old.DockerImageMetadata, old.DockerImageMetadataVersion
	c.DockerImageLayers = old.DockerImageLayers
	if len(old.DockerImageSignatures) > 0 {
		c.DockerImageSignatures = old.DockerImageSignatures
	}
	if text := c.DockerImageManifest; text != "" && text != old.DockerImageManifest {
		if d, ok := Digest(old.DockerImageManifestMediaType, text); !ok || d.String() != old.Metadata.Name {
			c.DockerImageManifest = old.DockerImageManifest
		}
	}
	if text := c.DockerImageConfig; text != "" && text != old.DockerImageConfig {
		d, ok := ConfigDigest(c.DockerImageManifestMediaType, c.DockerImageManifest)
		if !ok || d.Validate() != nil || d.Algorithm().FromString(text) != d {
			c.DockerImageConfig = old.DockerImageConfig
		}
	}
	done, _ := Complete(&c, tagevent.TimeOf(env.Now))
	strip(done)
	errs := append(ValidateImage(done, ""), old.Metadata.ValidateUpdate(&done.Metadata)...)
	if len(errs) > 0 {
		return nil, errs
	}
	return done, nil
}

// validateLayers returns what is wrong with the layers of a new image. The real system takes anything for a layer's
// name and size.
func validateLayers(layers []imagestream.ImageLayer) (errs imagestream.ErrorList) {
	for i, l := range layers {
		path := fmt.Sprintf("dockerImageLayers[%d].", i)
		if strings.ContainsFunc(l.Name, unicode.IsControl) {
			errs = append(errs, &imagestream.FieldError{
				Type:   imagestream.FieldInvalid,
				Field:  path + "name",
				Value:  l.Name,
				Detail: "a layer's name is a digest, without control characters",
			})
		}
		if l.LayerSize < 0 {
			errs = append(errs, &imagestream.FieldError{
				Type: imagestream.FieldInvalid, Field: path + "size", Value: l.LayerSize, Detail: "a size is not negative",
			})
		}
	}
	return errs
}

// anyDigest is what the API takes for a digest, anywhere in a text.
var anyDigest = regexp.MustCompile(`[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}`)

// ValidateImage returns what is wrong with an image, at paths that begin with prefix, "" or "image.".
func ValidateImage(image *imagestream.Image, prefix string) (errs imagestream.ErrorList) {
	add := func(t imagestream.FieldErrorType, field string, value any, detail string) {
		errs = append(errs, &imagestream.FieldError{Type: t, Field: prefix + field, Value: value, Detail: detail})
	}
	for _, e := range image.Metadata.Validate(false) {
		add(e.Type, e.Field, e.Value, e.Detail)
	}
	if image.DockerImageReference == "" {
		add(imagestream.FieldRequired, "dockerImageReference", nil, "an image has a pull spec")
	} else if _, err := pullspec.Parse(image.DockerImageReference); err != nil {
		add(imagestream.FieldInvalid, "dockerImageReference", image.DockerImageReference, pullspec.Reason(err))
	}
	for i := range image.Signatures {
		validateSignature(&image.Signatures[i], func(t imagestream.FieldErrorType, field string, value any, detail string) {
			add(t, fmt.Sprintf("signatures[%d].%s", i, field), value, detail)
		})
	}
	if len(image.DockerImageManifests) > 0 && len(image.DockerImageLayers) > 0 {
		add(imagestream.FieldInvalid, "dockerImageLayers", nil, "a manifest list has no layers of its own")
	}
	for i, m := range image.DockerImageManifests {
		path := fmt.Sprintf("dockerImageManifests[%d].", i)
		if !anyDigest.MatchString(m.Digest) {
			add(imagestream.FieldInvalid, path+"digest", m.Digest, "a digest is sha256, a colon and 64 hexadecimal digits")
		}
		if kind, sub, ok := strings.Cut(m.MediaType, "/"); !ok || kind == "" || sub == "" {
			add(imagestream.FieldInvalid, path+"mediaType", m.MediaType, "a media type is type/subtype")
		}
		if m.Architecture == "" {
			add(imagestream.FieldRequired, path+"architecture", nil, "an image of a manifest list is for an architecture")
		}
		if m.OS == "" {
			add(imagestream.FieldRequired, path+"os", nil, "an image of a manifest list is for an operating system")
		}
		if m.ManifestSize < 0 {
			add(imagestream.FieldInvalid, path+"size", m.ManifestSize, "a size is not negative")
		}
	}
	return errs
}

func validateSignature(
	s *imagestream.ImageSignature,
	add func(t imagestream.FieldErrorType, field string, value any, detail string),
) {
	named := s.Metadata
	if stream, id, err := pullspec.ParseImage(named.Name); err != nil || stream == "" || id == "" {
		add(imagestream.FieldInvalid, "metadata.name", named.Name, "the name of a signature is <image>@<name>")
		named.Name = "any"
	}
	for _, e := range named.Validate(false) {
		add(e.Type, e.Field, e.Value, e.Detail)
	}
	if len(s.Metadata.Labels) > 0 {
		add(imagestream.FieldForbidden, "metadata.labels", nil, "a signature has no labels")
	}
	if len(s.Metadata.Annotations) > 0 {
		add(imagestream.FieldForbidden, "metadata.annotations", nil, "a signature has no annotations")
	}
	if s.Type == "" {
		add(imagestream.FieldRequired, "type", nil, "a signature has a type")
	}
	if len(s.Content) == 0 {
		add(imagestream.FieldRequired, "content", nil, "a signature has content")
	}
}
