package imagestream_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// docker is a spec tag that comes from a registry.
func docker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}}
}

// follows is a spec tag that comes from another tag.
func follows(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from}}
}

func app(tags ...imagestream.TagReference) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}, Spec: imagestream.ImageStreamSpec{Tags: tags},
	}
}

func ExamplePrepareCreate() {
	created, errs := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), follows("latest", "v1")), imagestream.Env{
		Now: now, Settings: imagestream.Settings{InternalRegistry: "registry.local:5000"},
	})
	fmt.Println(created.Metadata.Generation, created.Metadata.CreationTimestamp, created.Status.DockerImageRepository, len(errs))
	for _, t := range created.Spec.Tags {
		fmt.Println(t.Name, *t.Generation, t.ImportPolicy.ImportMode, t.ReferencePolicy.Type)
	}

	_, errs = imagestream.PrepareCreate(app(docker("v1", "quay.io/org/App")), imagestream.Env{Now: now})
	fmt.Println(errs[0].Type, errs[0].Field)
	// Output:
	// 1 2026-01-02T03:04:05Z registry.local:5000/shop/app 0
	// latest 1 Legacy Source
	// v1 1 Legacy Source
	// FieldValueInvalid spec.tags[v1].from.name
}

func ExamplePrepareCreateInternal() {
	s := app(docker("v1", "quay.io/org/app:v1"))
	s.Status.Tags = []tagevent.History{{Tag: "v1", Items: []tagevent.Event{{DockerImageReference: "quay.io/org/app@sha256:1", Image: "sha256:1"}}}}
	s.Status.Tags[0].Items[0].DockerImageReference = "quay.io/org/app:v1"
	created, _ := imagestream.PrepareCreateInternal(s, imagestream.Env{Now: now})
	fmt.Println(len(created.Status.Tags))
	created, _ = imagestream.PrepareCreate(s, imagestream.Env{Now: now})
	fmt.Println(len(created.Status.Tags))
	// Output:
	// 1
	// 0
}

func ExamplePrepareUpdate() {
	env := imagestream.Env{Now: now}
	old, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), docker("v2", "quay.io/org/app:v2")), env)
	next := old.Clone()
	next.Spec.Tags[1].From.Name = "quay.io/org/app:v2.1"
	updated, errs := imagestream.PrepareUpdate(old, next, env)
	fmt.Println(updated.Metadata.Generation, *updated.Spec.Tags[0].Generation, *updated.Spec.Tags[1].Generation, len(errs))
	// Output: 2 1 2 0
}

func ExamplePrepareUpdateInternal() {
	env := imagestream.Env{Now: now}
	old, _ := imagestream.PrepareCreate(app(docker("v1", "quay.io/org/app:v1"), follows("latest", "v1")), env)
	// An importer found out what v1 is; latest follows.
	next, _ := old.Push("v1", tagevent.Event{
		Created: tagevent.TimeOf(now), DockerImageReference: "quay.io/org/app:v1", Image: "sha256:1", Generation: 1,
	})

	updated, _ := imagestream.PrepareUpdateInternal(old, next, env)
	latest, ok := updated.LatestEvent("latest")
	fmt.Println(latest.Image, ok)
	// Output: sha256:1 true
}

func ExamplePrepareStatusUpdate() {
	env := imagestream.Env{Now: now}
	old, _ := imagestream.PrepareCreate(app(), env)
	next, _ := old.Push("pushed", tagevent.Event{DockerImageReference: "quay.io/org/app", Image: "sha256:1"})
	updated, _ := imagestream.PrepareStatusUpdate(old, next, env)
	latest, _ := updated.LatestEvent("pushed")
	fmt.Println(latest.Generation)
	// Output: 1
}

func ExampleImageStream_UpdateNeeds() {
	env := imagestream.Env{Now: now}
	old, _ := imagestream.PrepareCreate(app(), env)
	next := old.Clone()
	next.Spec.Tags = []imagestream.TagReference{follows("base", "base:v1"), follows("tools", "tools:v2")}
	next.Spec.Tags[1].From.Namespace = "platform"
	needs := old.UpdateNeeds(next)
	fmt.Println(needs.Streams, needs.Layers)
	// Output: [platform/tools shop/base] [platform/tools]
}

func ExampleImageStream_CreateNeeds() {
	fmt.Println(app(follows("a", "b")).CreateNeeds().Streams)
	fmt.Println(app(follows("a", "other:b")).CreateNeeds().Streams)
	// Output:
	// []
	// [shop/other]
}

func ExampleTagReference_Changed() {
	old, next := docker("v1", "quay.io/org/app:v1"), docker("v1", "quay.io/org/app:v1")
	next.ImportPolicy.Scheduled = true
	fmt.Println(old.Changed(next, "shop"))
	next.From.Name = "quay.io/org/app:v2"
	fmt.Println(old.Changed(next, "shop"))
	// Output:
	// false
	// true
}

func ExampleImageStream_Push() {
	s, changed := app().Push("v1", tagevent.Event{Image: "sha256:1", DockerImageReference: "quay.io/org/app"})
	fmt.Println(changed, len(s.Status.Tags))
	// Output: true 1
}

func ExampleImageStream_PushToTrackers() {
	s := app(docker("v1", "quay.io/org/app:v1"), follows("stable", "app:v1"), follows("latest", "stable"))
	s, n := s.PushToTrackers("v1", tagevent.Event{Image: "sha256:1", DockerImageReference: "quay.io/org/app"})
	fmt.Println(n, s.Status.Tags[0].Tag)
	// Output: 1 stable
}

func ExampleImageStream_FindImage() {
	s, _ := app().Push("v1", tagevent.Event{Image: "sha256:1a", DockerImageReference: "quay.io/org/app:v1"})
	s, _ = s.Push("v2", tagevent.Event{Image: "sha256:1b", DockerImageReference: "quay.io/org/app:v2"})
	event, _ := s.FindImage("sha256:1b", tagevent.TimeOf(now))
	fmt.Println(event.DockerImageReference)
	_, err := s.FindImage("sha256:1", tagevent.TimeOf(now))
	fmt.Println(err)
	// Output:
	// quay.io/org/app:v2
	// Operation cannot be fulfilled on imagestreams.image.openshift.io "app" in namespace "shop": several images begin with sha256:1: give more digits
}

func ExampleImageStream_TrackedTag() {
	s := app()
	fmt.Println(s.TrackedTag(follows("a", "app:")))
	fmt.Println(s.LocalTag(follows("a", "app:")))
	fmt.Println(s.TrackedTag(follows("a", "other:v1")))
	// Output:
	// latest true
	//  true
	// v1 false
}

func ExampleSettings_Allowlist() {
	list := imagestream.Settings{AllowedRegistries: []imagestream.RegistryLocation{{DomainName: "*.example.com"}, {DomainName: "docker.io"}}, InternalRegistry: "registry.local:5000"}.Allowlist()
	for _, spec := range []string{"eu.example.com/app", "nodejs:20", "registry.local:5000/shop/app", "quay.io/org/app"} {
		fmt.Println(spec, list.AllowsOver(spec, false))
	}
	// Output:
	// eu.example.com/app true
	// nodejs:20 true
	// registry.local:5000/shop/app true
	// quay.io/org/app false
}

func ExampleParseSelector() {
	s, err := imagestream.ParseSelector("app in (web, api), !legacy, build>7")
	fmt.Println(s, err)
	fmt.Println(s.Matches(map[string]string{"app": "web", "build": "8"}), s.Matches(map[string]string{"app": "web", "legacy": ""}))
	_, err = imagestream.ParseSelector("app ~ web")
	fmt.Println(err)
	// Output:
	// app in (api,web),!legacy,build>7 <nil>
	// true false
	// label selector "app ~ web": after "app" comes =, ==, !=, in, notin, < or >, not "~ web"
}

func ExamplePreconditions_Check() {
	stored := app()
	stored.Metadata.ResourceVersion = "7"
	read := stored.Clone()
	read.Metadata.ResourceVersion = "6"
	only := read.Metadata.Preconditions()
	fmt.Println(only.Check(imagestream.ResourceImageStreams, stored.Key(), stored.Metadata.UID, stored.Metadata.ResourceVersion))
	// Output: Operation cannot be fulfilled on imagestreams.image.openshift.io "app" in namespace "shop": its resourceVersion is 7, not 6: get it and apply the change again
}

func ExampleImageStream_CheckUpdate() {
	old := app()
	old.Metadata.ResourceVersion = "7"
	next := old.Clone()
	next.Metadata.ResourceVersion = "6"
	err := old.CheckUpdate(next)
	fmt.Println(errors.Is(err, imagestream.ErrConflict))
	next.Metadata.ResourceVersion = ""
	fmt.Println(old.CheckUpdate(next))
	// Output:
	// true
	// ImageStream.image.openshift.io "app" is invalid in namespace "shop": metadata.resourceVersion: an update says which version it changes: get the object and keep its resourceVersion
}

func ExampleImageStream_CheckUnversioned() {
	s := app()
	s.Metadata.ResourceVersion = "7"
	fmt.Println(s.CheckUnversioned())
	// Output: imagestreams.image.openshift.io "app" in namespace "shop": a new image stream has no resourceVersion: remove it, or update the image stream that has it
}

func ExampleStatusError() {
	_, errs := imagestream.PrepareCreate(app(imagestream.TagReference{Name: "v1", From: &imagestream.ObjectReference{Kind: "Image"}}), imagestream.Env{})
	var err error = errs.Of(imagestream.ResourceImageStreams, imagestream.Key{Namespace: "shop", Name: "app"})
	var status *imagestream.StatusError
	if errors.As(err, &status) && errors.Is(err, imagestream.ErrInvalid) {
		s := status.Status()
		fmt.Println(s.Code, s.Reason, s.Details.Causes[0].Type, s.Details.Causes[0].Field)
	}
	busy := &imagestream.StatusError{Reason: imagestream.ReasonTooManyRequests, RetryAfter: 1500 * time.Millisecond}
	fmt.Println(busy.Status().Code, busy.Status().Details.RetryAfterSeconds)
	// Output:
	// 422 Invalid FieldValueInvalid spec.tags[v1].from.name
	// 429 2
}

func ExampleImageStream_Repositories() {
	fmt.Println(app().Repositories(imagestream.Env{Settings: imagestream.Settings{InternalRegistry: "registry.local:5000", ExternalRegistry: "apps.example.com"}}))
	// Output: registry.local:5000/shop/app apps.example.com/shop/app
}

func ExampleImageStream_WithDefaults() {
	s := app(docker("b", "q/b"), docker("a", "q/a"), docker("b", "q/c")).WithDefaults()
	for _, t := range s.Spec.Tags {
		fmt.Println(t.Name, t.From.Name, t.ImportPolicy.ImportMode, t.ReferencePolicy.Type)
	}
	// Output:
	// a q/a Legacy Source
	// b q/c Legacy Source
}

func ExampleImageStream_Same() {
	a, b := app(), app()
	a.Metadata.Labels = map[string]string{}
	fmt.Println(a.Same(b))
	// Output: true
}

func ExampleAll() {
	ctx, store := context.Background(), &fakes.Store{}
	for _, name := range []string{"b", "a", "c"} {
		_, _ = store.CreateImageStream(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}})
	}
	_, _ = store.CreateImage(ctx, &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1a"}})
	for s, err := range imagestream.All(ctx, store.ListImageStreams, imagestream.ListOptions{Limit: 2}) {
		fmt.Println(s.Key(), err)
	}
	for i, err := range imagestream.All(ctx, store.ListImages, imagestream.ListOptions{}) {
		fmt.Println(i.Metadata.Name, err)
	}
	// Output:
	// shop/a <nil>
	// shop/b <nil>
	// shop/c <nil>
	// sha256:1a <nil>
}

func ExampleTagReference_Validate() {
	tag := docker("v1", "quay.io/org/App")
	tag.ReferencePolicy.Type = imagestream.ReferencePolicySource
	for _, e := range tag.Validate("tag", false, imagestream.Allowlist{}) {
		fmt.Println(e.Type, e.Field)
	}
	// Output: FieldValueInvalid tag.from.name
}

func ExampleObjectMeta_Validate() {
	errs := (&imagestream.ObjectMeta{Name: "app", Labels: map[string]string{"a b": ""}}).Validate(false)
	fmt.Println(errs[0].Field)
	old := &imagestream.ObjectMeta{Name: "app", UID: "1"}
	next := old.Carry(&imagestream.ObjectMeta{Name: "api"})
	fmt.Println(next.UID, old.ValidateUpdate(&next)[0].Field)
	// Output:
	// metadata.labels
	// 1 metadata.name
}

func ExampleLabelSelector_Selector() {
	sel, err := imagestream.LabelSelector{
		MatchLabels:      map[string]string{"app": "shop"},
		MatchExpressions: []imagestream.LabelSelectorRequirement{{Key: "tier", Operator: "NotIn", Values: []string{"db"}}},
	}.Selector()

	fmt.Println(sel, sel.Matches(map[string]string{"app": "shop"}), sel.Matches(map[string]string{"app": "shop", "tier": "db"}), err)
	_, err = imagestream.LabelSelector{MatchExpressions: []imagestream.LabelSelectorRequirement{{Key: "tier", Operator: "In"}}}.Selector()
	fmt.Println(err)
	// Output:
	// app in (shop),tier notin (db) true false <nil>
	// matchExpressions[0]: In takes one value at least
}

func ExampleErrorList_ExceedsLimits() {
	one := int64(1)
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	for _, tag := range []string{"v1", "v2"} {
		stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag},
		})
	}
	_, errs := imagestream.PrepareCreate(stream, imagestream.Env{Settings: imagestream.Settings{Limits: imagestream.Limits{ImageTags: &one}}})
	fmt.Println(errs.ExceedsLimits())
	// Output: true
}

func ExampleErrorList_Wrapped() {
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "App"}}
	stream.Spec.Tags = []imagestream.TagReference{{
		Name: "v1", From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: "base:v1"},
	}}
	_, errs := imagestream.PrepareCreateInternal(stream, imagestream.Env{})
	for _, list := range []imagestream.ErrorList{errs, errs.Wrapped()} {
		fmt.Println(list[0].Type, list[0].Field, list[1].Type, list[1].Field)
	}
	// Output:
	// FieldValueNotFound spec.tags[v1].from.name FieldValueInvalid metadata.name
	// InternalError [] FieldValueInvalid metadata.name
}
