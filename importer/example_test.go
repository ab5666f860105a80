package importer_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

func ExampleImporter() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(&testing.T{}, nil, "v1", "v2")

	imp := importer.NeedsImport(stream).Import
	done, err := w.importer.Import(context.Background(), imp)
	for _, image := range done.Status.Images {
		fmt.Println(strings.TrimSpace(fmt.Sprint(image.Tag, " ", image.Status.Status, " ", image.Status.Message)))
	}
	latest, _ := done.Status.Import.LatestEvent("v1")
	fmt.Println(latest.Image[:14], latest.Generation, err)
	again := importer.NeedsImport(done.Status.Import).Needed
	fmt.Println(again)
	// Output:
	// v1 Success
	// v2 Failure manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// sha256:55ff6b9 2 <nil>
	// false
}

func ExampleFetch() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(&testing.T{}, nil, "v1", "v2")
	imp := importer.NeedsImport(stream).Import
	plan := importer.NewPlan(imp, stream, importer.PlanOptions{})
	answers, err := importer.Fetch(context.Background(), &w.registry, plan, importer.FetchOptions{})
	for i, q := range plan.Questions {
		fmt.Println(q, answers.Images[i].Err)
	}
	fmt.Println(len(plan.Statuses(answers)), err)
	// Output:
	// quay.io/org/app:v1 <nil>
	// quay.io/org/app:v2 manifest of quay.io/org/app:v2: not found: HTTP 404: MANIFEST_UNKNOWN
	// 2 <nil>
}

func ExampleIsScheduled() {
	tag := imagestream.TagReference{Name: "v1", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
		Name: "quay.io/org/app:v1"}}
	fmt.Println(importer.IsImportable(tag), importer.IsScheduled(tag, tagevent.Event{}))
	tag.ImportPolicy.Scheduled = true
	fmt.Println(importer.IsScheduled(tag, tagevent.Event{}))
	tag.Reference = true
	fmt.Println(importer.IsImportable(tag), importer.IsScheduled(tag, tagevent.Event{}))
	// Output:
	// true false
	// true
	// false false
}

func ExampleValidate() {
	imp := &imagestream.ImageStreamImport{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	imp.Spec.Images = []imagestream.ImageImportSpec{{From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/App"}}}
	fmt.Println(importer.Validate(imp))
	// Output: spec.images[0].from.name: "quay.io/org/App": a repository is lower-case letters and digits, joined by one of . _ __ or dashes, in parts joined by /, with the registry's host in front if it is not Docker Hub
}

func ExampleScheduledImport() {
	w := newWorld()
	stream := w.create(&testing.T{}, func(t *imagestream.TagReference) { t.ImportPolicy.Scheduled = t.Name == "v1" },
		"v1", "v2")
	stream.Metadata.Annotations = map[string]string{importer.CheckAnnotation: "2026-01-01T00:00:00Z"}
	stream.Status.Tags = []tagevent.History{
		{Tag: "v1", Items: []tagevent.Event{{Image: "sha256:1", Generation: 1}}}, {Tag: "v2",
			Items: []tagevent.Event{{Image: "sha256:1", Generation: 1}}},
	}
	need, scheduled := importer.ScheduledImport(stream)
	imp := need.Import
	fmt.Println(scheduled, len(imp.Spec.Images), imp.Spec.Images[0].From.Name)
	// Output: true 1 quay.io/org/app:v1
}

func ExampleStatusOf() {
	s := importer.StatusOf(&importer.RegistryError{
		Operation: importer.OperationManifest, Class: importer.ClassUnauthorized, Repository: "quay.io/org/app",
		Reference:  "v1",
		StatusCode: 401, Codes: []string{"UNAUTHORIZED"},
	})
	fmt.Println(s.Reason, s.Code, s.Message)
	// Output: Unauthorized 401 manifest of quay.io/org/app:v1: unauthorized: HTTP 401: UNAUTHORIZED
}

func ExampleCredentials() {
	c := importer.Credentials{Username: "deploy", Password: "secret"}
	fmt.Printf("%v %+v %#v\n", c, c, c)
	// Output: user deploy user deploy importer.Credentials(user deploy)
}

func ExampleApply() {
	imp := &imagestream.ImageStreamImport{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	imp.Spec.Images = []imagestream.ImageImportSpec{{
		From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
			Name: "quay.io/org/app:v1"}, To: &imagestream.LocalObjectReference{Name: "v1"},
	}}
	plan := importer.NewPlan(imp, nil, importer.PlanOptions{})
	answers := &importer.Answers{Images: []importer.Answer{{Image: &imagestream.Image{
		Metadata: imagestream.ObjectMeta{Name: "sha256:1"}, DockerImageReference: "quay.io/org/app@sha256:1",
	}}}}
	stream := importer.Apply(nil, imp, plan, answers, start)
	fmt.Println(plan.Questions[0], stream.Status.Tags[0].Items[0].DockerImageReference)
	// Output: quay.io/org/app:v1 quay.io/org/app@sha256:1
}
