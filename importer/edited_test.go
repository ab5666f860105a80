package importer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

var shopApp = imagestream.Key{Namespace: "shop", Name: "app"}

// update changes the stream shop/app.
func (w *world) update(t *testing.T, change func(s *imagestream.ImageStream)) *imagestream.ImageStream {
	t.Helper()
	s, err := w.writer.Update(t.Context(), shopApp, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := old.Clone()
		change(next)
		return next, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fetched is an import of tags that has been fetched, and not written.
func (w *world) fetched(t *testing.T, imp *imagestream.ImageStreamImport) *importer.Session {
	t.Helper()
	session, err := w.importer.Begin(t.Context(), imp)
	if err == nil {
		err = session.Fetch(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// TestEditedTags are not overwritten by an import that was under way. It is a conflict, and the edit stays.
func TestEditedTags(t *testing.T) {
	scheduled := func(t *imagestream.TagReference) { t.ImportPolicy.Scheduled = true }
	for name, change := range map[string]func(s *imagestream.ImageStream){
		"another source": func(s *imagestream.ImageStream) { s.Spec.Tags[0].From.Name = "quay.io/org/theirs:v1" },
		"another kind of source": func(s *imagestream.ImageStream) {
			s.Spec.Tags[0].From = &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "v2"}
			s.Spec.Tags[0].ImportPolicy.Scheduled = false
		},
		"no source":     func(s *imagestream.ImageStream) { s.Spec.Tags[0].From = nil },
		"removed":       func(s *imagestream.ImageStream) { s.Spec.Tags = s.Spec.Tags[1:] },
		"reference":     func(s *imagestream.ImageStream) { s.Spec.Tags[0].Reference = true },
		"not scheduled": func(s *imagestream.ImageStream) { s.Spec.Tags[0].ImportPolicy.Scheduled = false },
		"another platform": func(s *imagestream.ImageStream) {
			s.Spec.Tags[0].Annotations = map[string]string{importer.PreferArchAnnotation: "arm64"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2")
			session := w.fetched(t, importer.ImportOf(w.create(t, scheduled, "v1", "v2"), "v1", "v2"))
			edited := w.update(t, change)
			_, err := session.Write(t.Context())
			if !errors.Is(err, imagestream.ErrConflict) || !strings.Contains(err.Error(), "tag v1") {
				t.Errorf("the import gives %v", err)
			}
			now, err := w.store.GetImageStream(t.Context(), shopApp)
			if err != nil || !now.Same(edited) {
				t.Errorf("the edit became %+v, %v\nwant %+v", now, err, edited)
			}
		})
	}
}

// TestRolledBackTag stays rolled back, though its import was under way.
func TestRolledBackTag(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	w.importAll(t, importer.NeedsImport(w.create(t, nil, "v1")))
	w.push("org/app", []fakes.Image{{Layer: "two"}}, "v1")
	stream, err := w.store.GetImageStream(t.Context(), shopApp)
	if err != nil {
		t.Fatal(err)
	}
	w.importAll(t, importer.Need{Import: importer.ImportOf(stream, "v1")})
	w.push("org/app", []fakes.Image{{Layer: "three"}}, "v1")
	session := w.fetched(t, importer.ImportOf(stream, "v1"))
	back := w.update(t, func(s *imagestream.ImageStream) {
		next, err := edit.Rollback(s, "v1", edit.Target{}, tagevent.TimeOf(w.now))
		if err != nil {
			t.Fatal(err)
		}
		*s = *next
	})
	if _, err := session.Write(t.Context()); !errors.Is(err, imagestream.ErrConflict) {
		t.Errorf("the import gives %v", err)
	}
	if now, err := w.store.GetImageStream(t.Context(), shopApp); err != nil || !now.Same(back) {
		t.Errorf("the roll-back became %+v, %v", now, err)
	}
}

// TestEditsBesideAnImport do not keep it from being written: those of other tags, and the same import of somebody else.
func TestEditsBesideAnImport(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2", "new")
	imp := importer.ImportOf(w.create(t, nil, "v1", "v2"), "v1")
	imp.Spec.Images = append(imp.Spec.Images, importOf("", "new").Spec.Images...)
	imp.Spec.Images[0].ImportPolicy.Scheduled = true
	one, other := w.fetched(t, imp), w.fetched(t, imp)
	w.update(t, func(s *imagestream.ImageStream) {
		s.Spec.Tags[1].From.Name = "quay.io/org/theirs:v2"
		s.Metadata.Labels = map[string]string{"touched": "yes"}
	})
	for _, session := range []*importer.Session{one, other} {
		if _, err := session.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	s, err := w.store.GetImageStream(t.Context(), shopApp)
	if err != nil {
		t.Fatal(err)
	}
	v1, _ := s.SpecTag("v1")
	v2, _ := s.SpecTag("v2")
	if len(s.Status.Tags) != 2 || v2.From.Name != "quay.io/org/theirs:v2" || !v1.ImportPolicy.Scheduled {
		t.Errorf("there is %+v", s)
	}
	session := w.fetched(t, importer.ImportOf(s, "v1"))
	w.update(t, func(s *imagestream.ImageStream) {
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: "x", From: &imagestream.ObjectReference{
			Kind: imagestream.KindDockerImage, Name: "quay.io/org/theirs:x"}})
	})
	if _, err := session.Write(t.Context()); err != nil {
		t.Errorf("beside a new tag: %v", err)
	}
}
