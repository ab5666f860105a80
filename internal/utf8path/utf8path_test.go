package utf8path_test

import (
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/utf8path"
)

func TestOf(t *testing.T) {
	good := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
		Name: "app", Annotations: map[string]string{"text": "\ufffd \\ufffd"}, Finalizers: []string{"a/b"},
	}}
	if path := utf8path.Of(good); path != "" {
		t.Errorf("%s is valid", path)
	}
	for want, spoil := range map[string]func(*imagestream.ImageStream){
		"metadata.name":                func(s *imagestream.ImageStream) { s.Metadata.Name = "a\xff" },
		`metadata.annotations["text"]`: func(s *imagestream.ImageStream) { s.Metadata.Annotations["text"] = "\xff" },
		`metadata.annotations["\xff"]`: func(s *imagestream.ImageStream) { s.Metadata.Annotations["\xff"] = "" },
		"metadata.finalizers[0]":       func(s *imagestream.ImageStream) { s.Metadata.Finalizers[0] = "\xff" },
		"spec.tags[0].from.name": func(s *imagestream.ImageStream) {
			s.Spec.Tags = []imagestream.TagReference{{From: &imagestream.ObjectReference{Name: "\xff"}}}
		},
	} {
		bad := good.Clone()
		spoil(bad)
		if path := utf8path.Of(bad); path != want {
			t.Errorf("found %q, want %q", path, want)
		}
	}
}
