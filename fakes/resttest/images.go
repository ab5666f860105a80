package resttest

import (
	"context"
	"errors"
	"slices"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
)

func images(s *suite) {
	images := s.API.Images()
	first := newImage(1)
	first.Metadata.Labels = map[string]string{"kind": "base"}
	created, err := images.Create(s.ctx(), "", &first, rest.CreateOptions{})
	if err != nil || created.Metadata.UID == "" || created.Metadata.ResourceVersion == "" ||
		created.Metadata.CreationTimestamp.IsZero() {
		s.Fatalf("created %+v, %v", created, err)
	}
	_, err = images.Create(s.ctx(), "", &first, rest.CreateOptions{})
	s.failsAbout("create again", err, imagestream.ReasonAlreadyExists, "images", digestOf(1))
	second := newImage(2)
	if _, err := images.Create(s.ctx(), "", &second, rest.CreateOptions{DryRun: true}); err != nil {
		s.Error(err)
	}
	_, err = images.Get(s.ctx(), imagestream.Key{Name: digestOf(2)})
	s.fails("get what a dry run created", err, imagestream.ReasonNotFound)
	nameless := imagestream.Image{}
	_, err = images.Create(s.ctx(), "", &nameless, rest.CreateOptions{})
	s.fails("create without a name", err, imagestream.ReasonInvalid)
	updated, isNew, err := images.Update(
		s.ctx(),
		imagestream.Key{Name: digestOf(1)},
		func(old *imagestream.Image) (*imagestream.Image, error) {
			next := old.Clone()
			next.Metadata.Annotations = map[string]string{"checked": "yes"}
			return next, nil
		},
		rest.UpdateOptions{},
	)
	if err != nil || isNew || updated.Metadata.Annotations["checked"] != "yes" {
		s.Errorf("updated to %+v, created %t, %v", updated, isNew, err)
	}
	_, _, err = images.Update(s.ctx(), imagestream.Key{Name: digestOf(1)}, rest.Replace(created), rest.UpdateOptions{})
	s.fails("update of an old version", err, imagestream.ReasonConflict)
	labels, err := imagestream.ParseSelector("kind=base")
	if err != nil {
		s.Fatal(err)
	}
	if list, err := images.List(s.ctx(), rest.ListOptions{Labels: labels}); err != nil || len(list.Items) != 1 {
		s.Errorf("list %+v, %v", list, err)
	}
	if err := images.Delete(s.ctx(), imagestream.Key{Name: digestOf(1)}, rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	var types []imagestream.ChangeType
	for change, err := range images.Watch(s.ctx(), rest.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}) {
		if err != nil {
			s.Fatal(err)
		}
		if change.Type != imagestream.Bookmark {
			types = append(types, change.Type)
		}
		if len(types) == 2 {
			break
		}
	}
	if !slices.Equal(types, []imagestream.ChangeType{imagestream.Modified, imagestream.Deleted}) {
		s.Errorf("watched %v", types)
	}
}

func signatures(s *suite) {
	image := newImage(1)
	if _, err := s.API.Images().Create(s.ctx(), "", &image, rest.CreateOptions{}); err != nil {
		s.Fatal(err)
	}
	name := digestOf(1) + "@one"
	signature := &imagestream.ImageSignature{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageSignature", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Name: name}, Type: "atomic", Content: []byte("signed"),
	}
	created, err := s.API.ImageSignatures().Create(s.ctx(), "", signature, rest.CreateOptions{})
	if err != nil || created.Metadata.Name != name || string(created.Content) != "signed" {
		s.Fatalf("created %+v, %v", created, err)
	}
	_, err = s.API.ImageSignatures().Create(s.ctx(), "", signature, rest.CreateOptions{})
	s.fails("create again", err, imagestream.ReasonAlreadyExists)
	if stored, err := s.API.Images().
		Get(s.ctx(), imagestream.Key{Name: digestOf(1)}); err != nil ||
		len(stored.Signatures) != 1 {
		s.Errorf("the image is %+v, %v; want one signature", stored, err)
	}
	other := rest.DeleteOptions{Preconditions: imagestream.Preconditions{UID: "other"}}
	s.fails(
		"delete another signature of that name",
		s.API.ImageSignatures().Delete(s.ctx(), imagestream.Key{Name: name}, other),
		imagestream.ReasonConflict,
	)
	if err := s.API.ImageSignatures().Delete(s.ctx(), imagestream.Key{Name: name}, rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	s.fails(
		"delete again",
		s.API.ImageSignatures().Delete(s.ctx(), imagestream.Key{Name: name}, rest.DeleteOptions{}),
		imagestream.ReasonNotFound,
	)
	signature.Metadata.Name = "unsigned"
	if _, err := s.API.ImageSignatures().Create(s.ctx(), "", signature, rest.CreateOptions{}); err == nil {
		s.Error("a signature of no image was created")
	}
}

func secrets(s *suite) {
	_, err := s.API.ImageStreams().Secrets(s.ctx(), shop("app"))
	s.fails("secrets of no stream", err, imagestream.ReasonNotFound)
	s.create(newStream("app"))
	if list, err := s.API.ImageStreams().Secrets(s.ctx(), shop("app")); err != nil || list == nil {
		s.Errorf("secrets %+v, %v", list, err)
	}
}

// ownership changes what the API was given and what it returned.
func ownership(s *suite) {
	sent := newStream("app", docker("v1", "quay.io/org/app:v1"))
	sent.Metadata.Labels = map[string]string{"a": "b"}
	before := sent.Clone()
	created := s.create(sent)
	if !sent.Same(before) {
		s.Errorf("creating changed the argument to %+v", sent)
	}
	sent.Metadata.Labels["a"] = "changed"
	created.Spec.Tags[0].From.Name = "changed"
	got := s.get("app")
	if got.Metadata.Labels["a"] != "b" || got.Spec.Tags[0].From.Name != "quay.io/org/app:v1" {
		s.Errorf("what the caller changed is stored: %+v", got)
	}
	got.Metadata.Labels["a"] = "changed"
	if again := s.get("app"); again.Metadata.Labels["a"] != "b" {
		s.Error("what the caller changed in a result is stored")
	}
	tag := newTag("app:v2", "quay.io/org/app:v2")
	tagBefore := tag.Clone()
	if _, _, err := s.API.ImageStreamTags().
		Update(s.ctx(), shop("app:v2"), rest.Replace(tag), rest.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
	if tag.Tag.Name != tagBefore.Tag.Name || tag.Metadata.Namespace != tagBefore.Metadata.Namespace ||
		tag.Tag.Generation != nil {
		s.Errorf("updating changed the argument to %+v", tag)
	}
}

func imports(s *suite) {
	if s.Registry == nil {
		s.Skip("the API imports from no registry")
	}
	s.Registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	imp := func(write bool, tags ...string) *imagestream.ImageStreamImport {
		i := &imagestream.ImageStreamImport{
			TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamImport", APIVersion: imagestream.APIVersion},
			Metadata: imagestream.ObjectMeta{Name: "app"}, Spec: imagestream.ImageStreamImportSpec{Import: write},
		}
		for _, tag := range tags {
			i.Spec.Images = append(i.Spec.Images, imagestream.ImageImportSpec{
				From: *docker("", "quay.io/org/app:"+tag).From, To: &imagestream.LocalObjectReference{Name: tag},
			})
		}
		return i
	}
	create := func(i *imagestream.ImageStreamImport) (*imagestream.ImageStreamImport, error) {
		return s.API.ImageStreamImports().Create(s.ctx(), "shop", i, rest.CreateOptions{})
	}
	looked, err := create(imp(false, "v1"))
	if err != nil || len(looked.Status.Images) != 1 || looked.Status.Images[0].Image == nil ||
		looked.Status.Import != nil {
		s.Fatalf("looked at %+v, %v", looked, err)
	}
	_, err = s.API.ImageStreams().Get(s.ctx(), shop("app"))
	s.fails("get what was only looked at", err, imagestream.ReasonNotFound)
	done, err := create(imp(true, "v1", "v9"))
	if err != nil || len(done.Status.Images) != 2 || done.Status.Import == nil {
		s.Fatalf("imported %+v, %v", done, err)
	}
	if !errors.Is(importer.Failure(done), importer.ErrFailed) ||
		done.Status.Images[1].Status.Reason != imagestream.ReasonNotFound {
		s.Errorf("a tag that is not there: %+v", done.Status.Images[1].Status)
	}
	stream := s.get("app")
	if latest, ok := stream.LatestEvent("v1"); !ok || latest.Image != done.Status.Images[0].Image.Metadata.Name {
		s.Errorf("the tag points at %+v", latest)
	}
	if h, ok := stream.History("v9"); !ok || len(h.Conditions) != 1 {
		s.Errorf("the tag that failed has the history %+v", h)
	}
	if !s.NoUIDs {
		stale := imp(true, "v1")
		stale.Metadata.UID = "somebody-else"
		_, err = create(stale)
		s.fails("import into another uid", err, imagestream.ReasonNotFound)
	}
	_, err = create(imp(true))
	s.fails("import of nothing", err, imagestream.ReasonInvalid)
}

func endedContext(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx())
	cancel()
	if _, err := s.API.ImageStreams().Get(ctx, shop("app")); !errors.Is(err, context.Canceled) {
		s.Errorf("get: %v", err)
	}
	if _, err := s.API.ImageStreams().List(ctx, rest.ListOptions{}); !errors.Is(err, context.Canceled) {
		s.Errorf("list: %v", err)
	}
	_, _, err := s.API.ImageStreamTags().
		Update(ctx, shop("app:v1"), rest.Replace(newTag("app:v1", "quay.io/org/app:v1")), rest.UpdateOptions{})
	if !errors.Is(err, context.Canceled) {
		s.Errorf("update: %v", err)
	}
}
