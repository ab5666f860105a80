package resttest

import (
	"errors"
	"fmt"
	"sync"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func tags(s *suite) {
	tags := s.API.ImageStreamTags()
	created, err := tags.Create(s.ctx(), "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{})
	if err != nil || created.Tag == nil || created.Tag.Name != "v1" || created.Tag.Generation == nil ||
		*created.Tag.Generation != 1 {
		s.Fatalf("created %+v, %v", created, err)
	}
	if stream := s.get("app"); len(stream.Spec.Tags) != 1 || stream.Metadata.UID != created.Metadata.UID {
		s.Errorf("the stream of a created tag is %+v", stream)
	}
	_, err = tags.Create(s.ctx(), "shop", newTag("app:v1", "quay.io/org/app:v1"), rest.CreateOptions{})
	s.failsAbout("create again", err, imagestream.ReasonAlreadyExists, "imagestreamtags", "app:v1")
	_, err = tags.Get(s.ctx(), shop("app:v1"))
	s.failsAbout("get a tag without an image", err, imagestream.ReasonNotFound, "imagestreamtags", "app:v1")
	s.push("app", "v1", newImage(1))
	got, err := tags.Get(s.ctx(), shop("app:v1"))
	if err != nil || got.Image.Metadata.Name != digestOf(1) || got.Image.DockerImageReference == "" ||
		got.Generation != 1 {
		s.Errorf("got %+v, %v", got, err)
	}
	for _, tc := range []struct {
		name    string
		created bool
	}{{"app:v1", false}, {"app:v2", true}, {"other:v1", true}} {
		updated, created, err := tags.Update(
			s.ctx(),
			shop(tc.name),
			rest.Replace(newTag(tc.name, "quay.io/org/app:new")),
			rest.UpdateOptions{},
		)
		if err != nil || created != tc.created || updated.Tag == nil || updated.Tag.From.Name != "quay.io/org/app:new" {
			s.Errorf("update %s: %+v, created %t, %v", tc.name, updated, created, err)
		}
	}
	if err := tags.Delete(s.ctx(), shop("app:v1"), rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	stream := s.get("app")
	if _, ok := stream.SpecTag("v1"); ok {
		s.Error("a deleted tag is in the spec")
	}
	if _, ok := stream.History("v1"); ok {
		s.Error("a deleted tag has a history")
	}
	err = tags.Delete(s.ctx(), shop("app:v1"), rest.DeleteOptions{})
	s.failsAbout("delete again", err, imagestream.ReasonNotFound, "imagestreamtags", "app:v1")
}

func tagRefusals(s *suite) {
	tags := s.API.ImageStreamTags()
	stream := s.create(newStream("app", docker("v1", "quay.io/org/app:v1")))
	for _, name := range []string{"app", "app:", ":v1", "app:a:b"} {
		_, err := tags.Get(s.ctx(), shop(name))
		s.fails("get "+name, err, imagestream.ReasonBadRequest)
	}
	_, err := tags.Get(s.ctx(), shop("none:v1"))
	s.fails("get a tag of no stream", err, imagestream.ReasonNotFound)
	_, err = tags.Create(s.ctx(), "shop", newTag("app:v2", "quay.io/org/App"), rest.CreateOptions{})
	s.failsAbout("create from a bad pull spec", err, imagestream.ReasonInvalid, "ImageStreamTag", "app:v2")
	old := newTag("app:v1", "quay.io/org/app:v2")
	old.Metadata.ResourceVersion = "1234567"
	_, _, err = tags.Update(s.ctx(), shop("app:v1"), rest.Replace(old), rest.UpdateOptions{})
	s.fails("update of another version", err, imagestream.ReasonConflict)
	labelled := newTag("app:v1", "quay.io/org/app:v2")
	labelled.Metadata.Labels = map[string]string{"a": "b"}
	_, _, err = tags.Update(s.ctx(), shop("app:v1"), rest.Replace(labelled), rest.UpdateOptions{})
	s.fails("update of labels", err, imagestream.ReasonInvalid)
	_, _, err = tags.Update(
		s.ctx(),
		shop("app:v9"),
		func(old *imagestream.ImageStreamTag) (*imagestream.ImageStreamTag, error) {
			next := *old
			next.Tag = nil
			return &next, nil
		},
		rest.UpdateOptions{},
	)
	s.fails("update of no tag without a source", err, imagestream.ReasonBadRequest)
	err = tags.Delete(
		s.ctx(),
		shop("app:v1"),
		rest.DeleteOptions{Preconditions: imagestream.Preconditions{UID: "somebody-else"}},
	)
	s.fails("delete of another uid", err, imagestream.ReasonConflict)
	foreign := newTag("app:foreign", "")
	foreign.Tag.From = &imagestream.ObjectReference{
		Kind:      imagestream.KindImageStreamTag,
		Namespace: "tools",
		Name:      "base:v1",
	}
	if _, _, err := tags.Update(s.ctx(), shop("app:foreign"), rest.Replace(foreign), rest.UpdateOptions{}); err == nil {
		s.Error("a tag follows a stream that is not there, of another namespace")
	}
	if got := s.get("app"); !got.Same(stream) {
		s.Errorf("a refused write changed the stream to %+v", got)
	}
}

// tagPatch updates tags by functions of what they are.
func tagPatch(s *suite) {
	tags := s.API.ImageStreamTags()
	s.create(newStream("app", docker("v1", "quay.io/org/app:v1")))
	updated, created, err := tags.Update(
		s.ctx(),
		shop("app:v1"),
		func(old *imagestream.ImageStreamTag) (*imagestream.ImageStreamTag, error) {
			if old == nil || old.Tag == nil || old.Tag.From.Name != "quay.io/org/app:v1" {
				return nil, fmt.Errorf("the old object is %+v", old)
			}
			next := old.Clone()
			next.Tag.ImportPolicy.Scheduled = true
			next.Metadata.Annotations = map[string]string{"why": "nightly"}
			return next, nil
		},
		rest.UpdateOptions{},
	)
	if err != nil || created || !updated.Tag.ImportPolicy.Scheduled || updated.Tag.Annotations["why"] != "nightly" {
		s.Errorf("patched to %+v, created %t, %v", updated, created, err)
	}
	_, created, err = tags.Update(
		s.ctx(),
		shop("app:v2"),
		func(old *imagestream.ImageStreamTag) (*imagestream.ImageStreamTag, error) {
			if old == nil || old.Tag != nil {
				return nil, fmt.Errorf("the old object of a tag that is not there yet is %+v", old)
			}
			next := old.Clone()
			source := docker("v2", "quay.io/org/app:v2")
			next.Tag = &source
			return next, nil
		},
		rest.UpdateOptions{},
	)
	if err != nil || !created {
		s.Errorf("a patch that creates: created %t, %v", created, err)
	}
	updated, created, err = tags.Update(
		s.ctx(),
		shop("other:v1"),
		func(old *imagestream.ImageStreamTag) (*imagestream.ImageStreamTag, error) {
			if old != nil {
				return nil, fmt.Errorf("the old object of a stream that is not there is %+v", old)
			}
			next := newTag("other:v1", "quay.io/org/app:v1")
			next.Metadata.Annotations = map[string]string{"why": "nightly"}
			return next, nil
		},
		rest.UpdateOptions{},
	)
	if err != nil || !created || updated.Tag.Annotations["why"] != "nightly" {
		s.Errorf("a patch that creates the stream: %+v, created %t, %v", updated, created, err)
	}
}

func imageTags(s *suite) {
	tags := s.API.ImageTags()
	source := docker("v1", "quay.io/org/app:v1")
	object := &imagestream.ImageTag{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageTag", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{Name: "app:v1"}, Spec: &source,
	}
	created, err := tags.Create(s.ctx(), "shop", object, rest.CreateOptions{})
	if err != nil || created.Spec == nil || created.Status != nil || created.Image != nil {
		s.Fatalf("created %+v, %v", created, err)
	}
	s.push("app", "v1", newImage(1))
	got, err := tags.Get(s.ctx(), shop("app:v1"))
	if err != nil || got.Status == nil || len(got.Status.Items) != 1 || got.Image == nil ||
		got.Image.Metadata.Name != digestOf(1) {
		s.Fatalf("got %+v, %v", got, err)
	}
	updated, isNew, err := tags.Update(
		s.ctx(),
		shop("app:v1"),
		func(old *imagestream.ImageTag) (*imagestream.ImageTag, error) {
			if old.Status == nil || len(old.Status.Items) != 1 {
				return nil, fmt.Errorf("the old object has the status %+v", old.Status)
			}
			next := old.Clone()
			next.Spec = nil
			return next, nil
		},
		rest.UpdateOptions{},
	)
	if err != nil || isNew || updated.Spec != nil || updated.Status == nil {
		s.Errorf("without its source it is %+v, created %t, %v", updated, isNew, err)
	}
	_, _, err = tags.Update(s.ctx(), shop("app:v1"), func(old *imagestream.ImageTag) (*imagestream.ImageTag, error) {
		next := old.Clone()
		next.Status = nil
		return next, nil
	}, rest.UpdateOptions{})
	s.fails("update of the status", err, imagestream.ReasonInvalid)
	if err := tags.Delete(s.ctx(), shop("app:v1"), rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	_, err = tags.Get(s.ctx(), shop("app:v1"))
	s.fails("get what is deleted", err, imagestream.ReasonNotFound)
}

func tagLists(s *suite) {
	stream := newStream("app", docker("b", "quay.io/org/app:b"), docker("a", "quay.io/org/app:a"))
	stream.Metadata.Labels = map[string]string{"team": "web"}
	s.create(stream)
	s.create(newStream("db", docker("x", "quay.io/org/db:x")))
	s.push("app", "b", newImage(1))
	s.push("db", "x", newImage(2))
	team, err := imagestream.ParseSelector("team=web")
	if err != nil {
		s.Fatal(err)
	}
	list, err := s.API.ImageStreamTags().List(s.ctx(), rest.ListOptions{Namespace: "shop"})
	if err != nil || len(list.Items) != 2 || list.Items[0].Metadata.Name != "app:b" ||
		list.Items[0].Image.Metadata.Name != digestOf(1) {
		s.Errorf("tags with an image: %+v, %v", list, err)
	}
	all, err := s.API.ImageTags().List(s.ctx(), rest.ListOptions{Namespace: "shop", Labels: team})
	if err != nil || len(all.Items) != 2 || all.Items[0].Metadata.Name != "app:a" || all.Items[1].Status == nil {
		s.Errorf("image tags of a label: %+v, %v", all, err)
	}
}

func push(s *suite) {
	s.create(newStream("app", docker("v1", "quay.io/org/app:v1"), follows("latest", "v1")))
	s.push("app", "v1", newImage(1))
	s.push("app", "v1", newImage(2))
	s.push("app", "new", newImage(1))
	stream := s.get("app")
	for tag, want := range map[string]int{"v1": 2, "latest": 2, "new": 1} {
		if latest, _ := stream.LatestEvent(tag); latest.Image != digestOf(want) {
			s.Errorf("%s points at %q, want image %d", tag, latest.Image, want)
		}
	}
	if stream.Metadata.Generation != 1 || len(stream.Spec.Tags) != 2 {
		s.Errorf("a push changed the spec: generation %d, %+v", stream.Metadata.Generation, stream.Spec.Tags)
	}
	if image, err := s.API.Images().
		Get(s.ctx(), imagestream.Key{Name: digestOf(1)}); err != nil ||
		image.Metadata.UID == "" {
		s.Errorf("the image of a push: %+v, %v", image, err)
	}
}

func pushRefusals(s *suite) {
	mapping := func(tag string, image imagestream.Image) error {
		return s.API.ImageStreamMappings().Create(s.ctx(), "shop", &imagestream.ImageStreamMapping{
			TypeMeta: imagestream.TypeMeta{Kind: "ImageStreamMapping", APIVersion: imagestream.APIVersion},
			Metadata: imagestream.ObjectMeta{Name: "app"}, Image: image, Tag: tag,
		}, rest.CreateOptions{})
	}
	s.failsAbout("push to no stream", mapping("v1", newImage(1)), imagestream.ReasonNotFound, "imagestreams", "app")
	if _, err := s.API.Images().
		Get(s.ctx(), imagestream.Key{Name: digestOf(1)}); !errors.Is(err, imagestream.ErrNotFound) {
		s.Errorf("a push to no stream left its image: %v", err)
	}
	s.create(newStream("app"))
	s.fails("push to no tag", mapping("", newImage(1)), imagestream.ReasonInvalid)
	s.fails("push of no image", mapping("v1", imagestream.Image{}), imagestream.ReasonInvalid)
}

func streamImages(s *suite) {
	s.create(newStream("app"))
	image := newImage(1)
	image.DockerImageLayers = []imagestream.ImageLayer{
		{Name: digestOf(7), LayerSize: 7, MediaType: "application/vnd.oci.image.layer.v1.tar+gzip"},
	}
	s.push("app", "v1", image)
	images := s.API.ImageStreamImages()
	for _, id := range []string{digestOf(1), digestOf(1)[:20]} {
		got, err := images.Get(s.ctx(), shop("app@"+id))
		if err != nil || got.Image.Metadata.Name != digestOf(1) {
			s.Errorf("get %s: %+v, %v", id, got, err)
		}
	}
	_, err := images.Get(s.ctx(), shop("app@sha256:ffff"))
	s.fails("get an image that is not there", err, imagestream.ReasonNotFound)
	_, err = images.Get(s.ctx(), shop("app:v1"))
	s.fails("get under a tag's name", err, imagestream.ReasonBadRequest)
	layers, err := s.API.ImageStreams().Layers(s.ctx(), shop("app"))
	if err != nil || len(layers.Images[digestOf(1)].Layers) != 1 || layers.Blobs[digestOf(7)].LayerSize == nil {
		s.Errorf("layers %+v, %v", layers, err)
	}
	_, err = s.API.ImageStreams().Layers(s.ctx(), shop("none"))
	s.fails("layers of no stream", err, imagestream.ReasonNotFound)
}

// concurrentTags lets many writers add a tag each to one stream that nobody has created.
func concurrentTags(s *suite) {
	const writers = 16
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() {
			name := fmt.Sprintf("app:v%02d", i)
			_, _, err := s.API.ImageStreamTags().
				Update(s.ctx(), shop(name), rest.Replace(newTag(name, "quay.io/org/"+name)), rest.UpdateOptions{})
			if err != nil {
				s.Errorf("%s: %v", name, err)
			}
		})
	}
	wg.Wait()
	if stream := s.get("app"); len(stream.Spec.Tags) != writers {
		s.Errorf("%d of %d tags are there", len(stream.Spec.Tags), writers)
	}
}
