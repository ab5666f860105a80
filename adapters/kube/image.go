package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// imageForm is an image as it is stored: JSON of others is text, since a cluster sorts the members of JSON and rounds
// its numbers.
type imageForm struct {
	imagestream.Image
	DockerImageMetadata string          `json:"dockerImageMetadata,omitempty"`
	Signatures          []signatureForm `json:"signatures,omitempty"`
}

type signatureForm struct {
	imagestream.ImageSignature
	Metadata string `json:"metadata,omitempty"`
}

// formOf returns the form of an image.
func formOf(image *imagestream.Image) (any, error) {
	form := imageForm{Image: *image}
	if len(image.DockerImageMetadata) > 0 {
		var text bytes.Buffer
		if err := json.Compact(&text, image.DockerImageMetadata); err != nil {
			return nil, fmt.Errorf("dockerImageMetadata: %w", err)
		}
		form.DockerImageMetadata = text.String()
	}
	for i := range image.Signatures {
		text, err := json.Marshal(image.Signatures[i].Metadata)
		if err != nil {
			return nil, fmt.Errorf("signatures[%d].metadata: %w", i, err)
		}
		form.Signatures = append(form.Signatures, signatureForm{image.Signatures[i], string(text)})
	}
	return form, nil
}

// readImage returns the image of a form.
func readImage(m map[string]any) (*imagestream.Image, error) {
	var form imageForm
	if err := fromMap(m, &form); err != nil {
		return nil, err
	}
	image := form.Image
	if text := form.DockerImageMetadata; text != "" {
		if !json.Valid([]byte(text)) {
			return nil, errors.New("dockerImageMetadata is not JSON")
		}
		image.DockerImageMetadata = imagestream.Raw(text)
	}
	for i, s := range form.Signatures {
		if s.Metadata != "" {
			if err := json.Unmarshal([]byte(s.Metadata), &s.ImageSignature.Metadata); err != nil {
				return nil, fmt.Errorf("signatures[%d].metadata: %w", i, err)
			}
		}
		image.Signatures = append(image.Signatures, s.ImageSignature)
	}
	return &image, nil
}
