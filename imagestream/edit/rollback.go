package edit

import (
	"fmt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

// Rollback returns s with tag asking for what it pointed at n events ago: 1 is the event before the newest.
// It is the change that "oc tag app@<digest> app:<tag>" makes: the tag's source becomes that image of the
// stream, and its policies and annotations go back to what they are without flags. So it is imported no more,
// and stays. The history moves when the change is stored by the rules of [imagestream.PrepareUpdate]: nothing
// of it is lost.
//
// S is not changed; the result shares with it what did not change. It is an error if the tag has no such
// event, or if that has no image name.
func Rollback(s *imagestream.ImageStream, tag string, n int) (*imagestream.ImageStream, error) {
	h, _ := s.History(tag)
	switch {
	case len(h.Items) < 2:
		return nil, fmt.Errorf("%s: the tag %s has pointed at nothing else: there is nothing to go back to", s.Key(), tag)
	case n < 1 || n >= len(h.Items):
		return nil, fmt.Errorf("%s: the tag %s can go back 1 to %d events, not %d", s.Key(), tag, len(h.Items)-1, n)
	}
	return rollback(s, tag, h.Items[n].Image)
}

// RollbackTo is [Rollback] to an image that the tag once pointed at, or points at now, by its name or a
// prefix of that.
func RollbackTo(s *imagestream.ImageStream, tag, image string) (*imagestream.ImageStream, error) {
	h, _ := s.History(tag)
	found := ""
	for _, e := range h.Items {
		if e.Image == "" || !pullspec.MatchImageID(e.Image, image) || e.Image == found {
			continue
		}
		if found != "" {
			return nil, fmt.Errorf("%s: the tag %s held %s and %s: give more of the image's name than %s", s.Key(), tag, found, e.Image, image)
		}
		found = e.Image
	}
	if found == "" {
		return nil, fmt.Errorf("%s: the tag %s never held the image %s", s.Key(), tag, image)
	}
	return rollback(s, tag, found)
}

func rollback(s *imagestream.ImageStream, tag, image string) (*imagestream.ImageStream, error) {
	if image == "" {
		return nil, fmt.Errorf("%s: the tag %s did not point at an image then, only at a pull spec: tag that", s.Key(), tag)
	}
	return WithTag(s, imagestream.TagReference{
		Name:            tag,
		From:            &imagestream.ObjectReference{Kind: imagestream.KindImageStreamImage, Name: pullspec.JoinImage(s.Metadata.Name, image)},
		ImportPolicy:    imagestream.TagImportPolicy{ImportMode: imagestream.ImportModeLegacy},
		ReferencePolicy: imagestream.TagReferencePolicy{Type: imagestream.ReferencePolicySource},
	}), nil
}
