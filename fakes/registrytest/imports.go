package registrytest

import (
	"slices"
	"testing"

	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
)

// RunImports imports from a registry into streams: tags, manifest lists, digests, whole repositories, what is not
// there; again when nothing changed, and when a tag moved. Start makes a registry that holds contents; [Subject.Push]
// must be set.
func RunImports(t *testing.T, start func(t *testing.T, contents fakes.Contents) Subject) {
	contents := fakes.Contents{}
	one := contents.Push("org/app", fakes.Image{Layer: "one"}, "v1")
	children := []fakes.Image{{Layer: "amd"}, {Architecture: "arm64", Layer: "arm"}}
	amd, arm := contents.Push("org/app", children[0]), contents.Push("org/app", children[1])
	list := contents.PushList("org/app", children, "v2", "arm")
	contents.Push("org/many", fakes.Image{Layer: "many"}, "latest", "1.9", "1.10", "test")
	s := &importSuite{
		Subject:  start(t, contents),
		importer: importer.Importer{Engine: &write.Engine{Store: &fakes.Store{}}, MaxTags: 2},
	}
	s.importer.Registry = s.Registry

	t.Run("Images", func(t *testing.T) {
		arm64 := s.image("org/app:arm", "arm", "")
		if _, err := s.importer.Engine.Create(t.Context(), &imagestream.ImageStream{
			Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
			Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{{
				Name: "arm", From: &arm64.From, Annotations: map[string]string{importer.PreferArchAnnotation: "arm64"},
			}}},
		}); err != nil {
			t.Fatal(err)
		}
		done := s.run(t, []imagestream.ImageImportSpec{
			s.image(
				"org/app:v1",
				"v1",
				"",
			),
			s.image("org/app:v2", "v2", ""),
			arm64,
			s.image("org/app:v2", "whole", imagestream.ImportModePreserveOriginal),
			s.image(
				"org/app@"+one.String(),
				"digest",
				"",
			),
			s.image("org/app:nowhere", "nowhere", ""),
			s.image("org/nothing:v1", "nothing", ""),
		}, "")
		s.have(
			t,
			done,
			map[string][]digest.Digest{
				"v1":      {one},
				"v2":      {amd},
				"arm":     {arm},
				"whole":   {list},
				"digest":  {one},
				"nowhere": nil,
				"nothing": nil,
			},
		)
		if m := done.Status.Images[3].Manifests; len(m) != 2 || m[0].Metadata.Name != amd.String() ||
			m[1].Metadata.Name != arm.String() {
			t.Errorf("the list has the images %v", m)
		}
		if r := done.Status.Images[5].Status.Reason; r != imagestream.ReasonNotFound {
			t.Errorf("a tag that is not there: %v", r)
		}
	})
	t.Run("Unchanged", func(t *testing.T) {
		specs := []imagestream.ImageImportSpec{
			s.image("org/app:v1", "v1", ""),
			s.image("org/app:v2", "v2", ""),
			s.image("org/app:v2", "whole", imagestream.ImportModePreserveOriginal),
		}
		before, after := s.run(t, specs, ""), s.run(t, specs, "")
		if before.Status.Import.Metadata.ResourceVersion != after.Status.Import.Metadata.ResourceVersion {
			t.Error("an import that changes nothing writes")
		}
	})
	t.Run("Moved", func(t *testing.T) {
		moved := fakes.Contents{}
		two := moved.Push("org/app", fakes.Image{Layer: "two"}, "v1")
		s.Push(t, moved)
		done := s.run(t, []imagestream.ImageImportSpec{s.image("org/app:v1", "v1", "")}, "")
		s.have(t, done, map[string][]digest.Digest{"v1": {two, one}, "v2": {amd}})
	})
	t.Run("Repository", func(t *testing.T) {
		done := s.run(t, nil, s.Host+"/org/many")
		found := done.Status.Repository
		if found.Status.Status != imagestream.StatusSuccess || len(found.Images) != 2 || found.Images[0].Tag != "latest" ||
			found.Images[1].Tag != "1.10" ||
			!slices.Equal(found.AdditionalTags, []string{"1.9", "test"}) {
			t.Errorf("the repository gives %+v", found)
		}
		missing := s.run(t, nil, s.Host+"/org/nothing").Status.Repository
		if missing.Status.Status != imagestream.StatusFailure || len(missing.Images) > 0 {
			t.Errorf("a repository that is not there gives %+v", missing)
		}
	})
}

type importSuite struct {
	Subject
	importer importer.Importer
}

func (s *importSuite) image(from, tag string, mode imagestream.ImportModeType) imagestream.ImageImportSpec {
	return imagestream.ImageImportSpec{
		From: imagestream.ObjectReference{
			Kind: imagestream.KindDockerImage,
			Name: s.Host + "/" + from,
		},
		To:           &imagestream.LocalObjectReference{Name: tag},
		ImportPolicy: imagestream.TagImportPolicy{ImportMode: mode, Insecure: s.Access.Insecure},
	}
}

// run imports images, and a repository if it has a name, into shop/app.
func (s *importSuite) run(
	t *testing.T,
	images []imagestream.ImageImportSpec,
	repository string,
) *imagestream.ImageStreamImport {
	t.Helper()
	imp := &imagestream.ImageStreamImport{
		Metadata: imagestream.ObjectMeta{
			Namespace: "shop",
			Name:      "app",
		},
		Spec: imagestream.ImageStreamImportSpec{Import: true, Images: images},
	}
	if repository != "" {
		imp.Spec.Repository = &imagestream.RepositoryImportSpec{
			From:         imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: repository},
			ImportPolicy: imagestream.TagImportPolicy{Insecure: s.Access.Insecure},
		}
	}
	done, err := s.importer.Import(t.Context(), imp)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// have checks the histories of tags, newest first; a tag without one has a condition.
func (s *importSuite) have(t *testing.T, done *imagestream.ImageStreamImport, want map[string][]digest.Digest) {
	t.Helper()
	for tag, digests := range want {
		h, _ := done.Status.Import.History(tag)
		var got []digest.Digest
		for _, e := range h.Items {
			got = append(got, digest.Digest(e.Image))
		}
		if !slices.Equal(got, digests) || (len(h.Conditions) > 0) != (len(digests) == 0) {
			t.Errorf("%s has %v and %v, want %v", tag, got, h.Conditions, digests)
		}
	}
}
