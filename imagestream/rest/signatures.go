package rest

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

type signatures struct{ *Server }

// splitSignature reads the name <image>@<name> of a signature.
func splitSignature(key imagestream.Key) (image imagestream.Key, err error) {
	name, id, err := pullspec.ParseImage(key.Name)
	if err != nil || name == "" || id == "" {
		return imagestream.Key{}, badRequest(imagestream.ResourceImageSignatures, key,
			fmt.Sprintf("%q: the name of an image signature must be <image>@<name>", key.Name))
	}
	return imagestream.Key{Name: name}, nil
}

func (r signatures) Create(
	ctx context.Context,
	_ string,
	object *imagestream.ImageSignature,
	opts CreateOptions,
) (*imagestream.ImageSignature, error) {
	if object == nil {
		return nil, noObject(imagestream.ResourceImageSignatures, "")
	}
	key := imagestream.Key{Name: object.Metadata.Name}
	image, err := splitSignature(key)
	if err != nil {
		return nil, err
	}
	added := object.Clone()
	added.TypeMeta = imagestream.TypeMeta{}
	stored, _, err := images(r).Update(ctx, image, func(old *imagestream.Image) (*imagestream.Image, error) {
		for _, s := range old.Signatures {
			if s.Metadata.Name == key.Name || bytes.Equal(s.Content, added.Content) {
				return nil, imagestream.NewError(imagestream.ReasonAlreadyExists, imagestream.ResourceImageSignatures, key, "")
			}
		}
		next := *old
		next.Signatures = append(slices.Clone(old.Signatures), *added)
		return &next, nil
	}, UpdateOptions{DryRun: opts.DryRun})
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(
		stored.Signatures,
		func(s imagestream.ImageSignature) bool { return s.Metadata.Name == key.Name },
	)
	if i < 0 {
		return nil, imagestream.NewError(
			imagestream.ReasonInternalError,
			imagestream.ResourceImageSignatures,
			key,
			"the image was stored without its new signature",
		)
	}
	answer := stored.Signatures[i].Clone()
	answer.TypeMeta = imagestream.TypeMeta{Kind: "ImageSignature", APIVersion: imagestream.APIVersion}
	return answer, nil
}

func (r signatures) Delete(ctx context.Context, key imagestream.Key, opts DeleteOptions) error {
	image, err := splitSignature(key)
	if err != nil {
		return err
	}
	_, _, err = images(r).Update(ctx, image, func(old *imagestream.Image) (*imagestream.Image, error) {
		i := slices.IndexFunc(old.Signatures, func(s imagestream.ImageSignature) bool { return s.Metadata.Name == key.Name })
		if i < 0 {
			return nil, imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageSignatures, key, "")
		}
		m := &old.Signatures[i].Metadata
		if err := opts.Preconditions.Check(imagestream.ResourceImageSignatures, key, m.UID, m.ResourceVersion); err != nil {
			return nil, err
		}
		next := *old
		next.Signatures = slices.Delete(slices.Clone(old.Signatures), i, i+1)
		return &next, nil
	}, UpdateOptions{DryRun: opts.DryRun})
	return err
}
