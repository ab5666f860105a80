package importer_test

import (
	"context"
	"testing"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/registries"
)

// slowToOpen opens the repositories of one host only when the context of the first contact has ended.
type slowToOpen struct {
	importer.Registry
	host    string
	opening chan struct{}
}

func (r *slowToOpen) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	if reference.Domain(name) == r.host && r.opening != nil {
		close(r.opening)
		r.opening = nil
		<-ctx.Done()
	}
	return r.Registry.Repository(ctx, name, access)
}

// TestOpenedForACancelledImage has a mirror whose first contact was made for an image of a list, which another image of
// the list then cancelled. The mirror is there for all other questions.
func TestOpenedForACancelledImage(t *testing.T) {
	fake := &fakes.Registry{}
	opening := make(chan struct{})
	registry := &slowToOpen{fake, "m2.example.com", opening}
	one, two := fakes.Image{Layer: "one"}, fakes.Image{Layer: "two", Architecture: "arm64"}
	fake.Edit("m1.example.com", func(c fakes.Contents) {
		c.PushList("org/app", []fakes.Image{one, two}, "list")
		delete(c["org/app"].Manifests, fakes.Contents{}.Push("x", two)) // so that the next mirror is asked
	})
	fake.Edit("m2.example.com", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "three"}, "v2") })
	fake.Edit("quay.io", func(c fakes.Contents) {
		c["org/app"] = &fakes.Repository{Tags: map[string]digest.Digest{"v2": digest.FromString("missing")}}
	})
	fake.Fail = func(op importer.Operation, repository string, ref importer.Ref) error {
		if op != importer.OperationBlob || repository != "m1.example.com/org/app" {
			return nil
		}
		<-opening
		return &importer.RegistryError{Operation: op, Class: importer.ClassInvalid, Repository: repository}
	}
	mirrors := []registries.Rule{{Source: "quay.io/org", Mirrors: []string{"m1.example.com/org", "m2.example.com/org"}}}
	imp := &imagestream.ImageStreamImport{Spec: imagestream.ImageStreamImportSpec{
		Images: []imagestream.ImageImportSpec{{
			From:         imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:list"},
			ImportPolicy: imagestream.TagImportPolicy{ImportMode: imagestream.ImportModePreserveOriginal},
		}},
		Repository: &imagestream.RepositoryImportSpec{
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app"},
		},
	}}
	plan := importer.NewPlan(imp, nil, importer.PlanOptions{
		Registries: registries.New(registries.Configuration{IDMS: mirrors, ITMS: mirrors}),
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	answers, err := importer.Fetch(ctx, registry, plan, importer.FetchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if answers.Images[0].Err == nil {
		t.Error("the list was imported")
	}
	if found := answers.Repository; found.Err != nil || len(found.Images) != 1 || found.Images[0].Err != nil {
		t.Errorf("the repository: %+v", found)
	}
}
