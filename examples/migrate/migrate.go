package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/imagestreams/imagestreams/imagestream"
)

// object is an image stream or an image.
type object struct {
	stream *imagestream.ImageStream
	image  *imagestream.Image
}

func (o object) String() string {
	if o.stream != nil {
		return "image stream " + o.stream.Key().String()
	}
	return "image " + o.image.Metadata.Name
}

// plain returns o as any store could have it: with its kind, without uid and version.
func (o object) plain() object {
	types := func(kind string) imagestream.TypeMeta {
		return imagestream.TypeMeta{Kind: kind, APIVersion: imagestream.APIVersion}
	}
	if o.stream != nil {
		stream := o.stream.Clone()
		stream.TypeMeta, stream.Metadata.UID, stream.Metadata.ResourceVersion = types("ImageStream"), "", ""
		return object{stream: stream}
	}
	image := o.image.Clone()
	image.TypeMeta, image.Metadata.UID, image.Metadata.ResourceVersion = types("Image"), "", ""
	return object{image: image}
}

// MarshalJSON writes the v1 JSON of o.
func (o object) MarshalJSON() ([]byte, error) {
	if o.stream != nil {
		return json.Marshal(o.stream)
	}
	return json.Marshal(o.image)
}

// source yields all objects, images first, until yield fails. Damage is about objects that it could not yield.
type source interface {
	each(ctx context.Context, yield func(object) error) (damage, err error)
}

// target takes objects. It reports whether the object was there already, with the same content or with another one.
type target interface {
	put(ctx context.Context, o object) (outcome, error)
}

type outcome int

const (
	copied outcome = iota
	same
	different
)

// result is what became of the objects.
type result struct {
	copied, same int
	different    []string
	damage       error
}

func migrate(ctx context.Context, from source, to target) (result, error) {
	var done result
	damage, err := from.each(ctx, func(o object) error {
		o = o.plain()
		became, err := to.put(ctx, o)
		if err != nil {
			return fmt.Errorf("%s: %w", o, err)
		}
		switch became {
		case copied:
			done.copied++
		case same:
			done.same++
		case different:
			done.different = append(done.different, o.String())
		}
		return nil
	})
	done.damage = damage
	return done, err
}

// pageSize is how many objects are read at a time.
const pageSize = 200

type storeSource struct{ imagestream.Store }

func (s storeSource) each(ctx context.Context, yield func(object) error) (damage, err error) {
	images := func(opts imagestream.ListOptions) (items []imagestream.Image, next string, damage, err error) {
		list, err := s.ListImages(ctx, opts)
		if list == nil {
			return nil, "", nil, err
		}
		return list.Items, list.Metadata.Continue, err, nil
	}
	streams := func(opts imagestream.ListOptions) (items []imagestream.ImageStream, next string, damage, err error) {
		list, err := s.ListImageStreams(ctx, opts)
		if list == nil {
			return nil, "", nil, err
		}
		return list.Items, list.Metadata.Continue, err, nil
	}
	damage, err = pages(images, func(o *imagestream.Image) error { return yield(object{image: o}) })
	if err != nil {
		return damage, err
	}
	more, err := pages(streams, func(o *imagestream.ImageStream) error { return yield(object{stream: o}) })
	return errors.Join(damage, more), err
}

// pages yields what the pages of a list have. Damage, which a list can have beside its objects, does not end it.
func pages[T any](
	list func(imagestream.ListOptions) (items []T, next string, damage, err error), yield func(*T) error,
) (damage, err error) {
	for opts := (imagestream.ListOptions{Limit: pageSize}); ; {
		items, next, bad, err := list(opts)
		if err != nil {
			return damage, err
		}
		damage = errors.Join(damage, bad)
		for i := range items {
			if err := yield(&items[i]); err != nil {
				return damage, err
			}
		}
		if opts.Continue = next; next == "" {
			return damage, nil
		}
	}
}

type storeTarget struct{ imagestream.Store }

func (s storeTarget) put(ctx context.Context, o object) (outcome, error) {
	err := s.create(ctx, o)
	if !errors.Is(err, imagestream.ErrAlreadyExists) {
		return copied, err
	}
	there, err := s.get(ctx, o)
	if err != nil {
		return different, err
	}
	a, err := json.Marshal(there.plain())
	if err != nil {
		return different, err
	}
	b, err := json.Marshal(o)
	if err != nil || !bytes.Equal(a, b) {
		return different, err
	}
	return same, nil
}

func (s storeTarget) create(ctx context.Context, o object) (err error) {
	if o.stream != nil {
		_, err = s.CreateImageStream(ctx, o.stream)
	} else {
		_, err = s.CreateImage(ctx, o.image)
	}
	return err
}

func (s storeTarget) get(ctx context.Context, o object) (there object, err error) {
	if o.stream != nil {
		there.stream, err = s.GetImageStream(ctx, o.stream.Key())
	} else {
		there.image, err = s.GetImage(ctx, o.image.Metadata.Name)
	}
	return there, err
}

type jsonTarget struct{ io.Writer }

func (t jsonTarget) put(_ context.Context, o object) (outcome, error) {
	line, err := json.Marshal(o)
	if err == nil {
		_, err = t.Write(append(line, '\n'))
	}
	return copied, err
}

type jsonSource struct{ io.Reader }

func (s jsonSource) each(ctx context.Context, yield func(object) error) (damage, err error) {
	lines := json.NewDecoder(s)
	for n := 1; ; n++ {
		var text json.RawMessage
		err := lines.Decode(&text)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		var o object
		if err == nil {
			o, err = parse(text)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = yield(o)
		}
		if err != nil {
			return nil, fmt.Errorf("object %d: %w", n, err)
		}
	}
}

// parse reads the v1 JSON of an object, of which every member must be known: what is lost on the way is lost for good.
func parse(text []byte) (o object, err error) {
	var types imagestream.TypeMeta
	if err := json.Unmarshal(text, &types); err != nil {
		return o, err
	}
	strict := json.NewDecoder(bytes.NewReader(text))
	strict.DisallowUnknownFields()
	switch {
	case types.APIVersion != imagestream.APIVersion:
		return o, fmt.Errorf("its apiVersion is %q, want %s", types.APIVersion, imagestream.APIVersion)
	case types.Kind == "ImageStream":
		o.stream = new(imagestream.ImageStream)
		return o, strict.Decode(o.stream)
	case types.Kind == "Image":
		o.image = new(imagestream.Image)
		return o, strict.Decode(o.image)
	}
	return o, fmt.Errorf("its kind is %q, want ImageStream or Image", types.Kind)
}
