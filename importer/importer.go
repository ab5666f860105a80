// Package importer imports images from registries into image streams.
//
// An [Importer] does it all. Under it lie pure functions and one that talks to a [Registry]:
//
//	NeedsImport, ScheduledImport  which tags of a stream are to be imported, as an ImageStreamImport
//	NewPlan                       what to ask the registry, each question once
//	Fetch                         the questions answered, several at a time
//	Apply                         the answers in the stream: history, conditions, generations
//
// # What is asked
//
// Entries of an import that name the same repository form a group; the first of them decides whether it is
// insecure and how its references are spelled. In a group each tag, or digest, with its mode and platform is
// asked once. A tag whose image may be known is asked by HEAD: one that the stream has already, or another tag of the
// repository in the same import; if the digest is known, nothing else is asked, and what has a digest is read
// once. A registry that does not know HEAD is noticed. A manifest list in mode Legacy is replaced by the image
// for the platform; what was chosen is kept in a [Memo], since the stream knows only the choice. In mode
// PreserveOriginal the list is kept and all its images are read.
//
// Of a repository the tags are listed, and the first of them by [pullspec.PrioritizeTags] imported. Mirrors
// are asked before the repository itself (package importer/registries), with the credentials that a
// [Keyring] has for each (package importer/keyring). If these are wrong for an image, everything is asked again
// without any, as the real system does. Requests to a host are limited, repeated and counted by the
// wrappers in importer/polite.
//
// # What is written
//
// A success sets the tag's source, policy and history; a failure sets its condition ImportSuccess to False,
// with the generation that it accounts for. An import that changes nothing writes nothing. If somebody else
// writes meanwhile, the answers are applied again to the fresh stream; nothing is fetched twice. Rules: op
// import.run.
//
// # Differences from OpenShift
//
// Questions are asked concurrently, and once; the real importer asks one after the other, two a second, and
// everything anew each time. A conflict is no failure.
package importer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer/registries"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Importer imports images into the streams of a Store. It is safe for concurrent use; its fields are not to
// be changed once it is.
type Importer struct {
	Registry Registry
	// Engine has the store, its clock and its settings.
	Engine *write.Engine
	// Concurrency is how many requests are made at a time; 0 is 8.
	Concurrency int
	// Platform, Registries and MaxTags are those of [PlanOptions].
	Platform   Platform
	Registries *registries.Registries
	MaxTags    int
	// Secrets returns the credentials of a namespace. Nil leaves credentials to the Registry.
	Secrets func(ctx context.Context, namespace string) (Keyring, error)
	// Unrestricted imports from registries that are not allowed, as users may who may create images. The stream must allow
	// them all the same.
	Unrestricted bool
	// Refetch asks for everything again, whatever is known already, as the real system does.
	Refetch bool
	Trace   *Trace

	mu    sync.Mutex
	memo  Memo
	sizes LayerSizes
}

// Platform is the architecture and operating system of an image.
type Platform struct{ Architecture, OS string }

// Import does what imp asks for and returns it with its answer. If imp.Spec.Import is false, nothing is
// written.
//
// An image that cannot be imported is no error; its status tells. An error is of class
// [imagestream.ErrInvalid] with the wrong fields of imp, or means that the store failed, or that ctx ended.
func (i *Importer) Import(ctx context.Context, imp *imagestream.ImageStreamImport) (*imagestream.ImageStreamImport, error) {
	key := imagestream.Key{Namespace: imp.Metadata.Namespace, Name: imp.Metadata.Name}
	imp = withDefaults(imp)
	if errs := Validate(imp); len(errs) > 0 {
		return nil, imagestream.NewInvalid("imagestreamimports", key, errs)
	}
	if errs := i.forbidden(imp); len(errs) > 0 {
		return nil, imagestream.NewInvalid("imagestreamimports", key, errs)
	}
	stream, err := i.Engine.Store.GetImageStream(ctx, key)
	if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
		return nil, err
	}
	if err := checkPreconditions(stream, imp); err != nil {
		return nil, err
	}
	plan := NewPlan(imp, stream, PlanOptions{Platform: i.Platform, Registries: i.Registries, MaxTags: i.MaxTags})
	answers, err := i.fetch(ctx, plan, stream, key.Namespace)
	if err != nil {
		return nil, err
	}
	done := imp.Clone()
	if !imp.Spec.Import {
		done.Status = imagestream.ImageStreamImportStatus{Images: plan.Statuses(answers), Repository: plan.RepositoryStatus(answers)}
		cut(done)
		return done, nil
	}
	if err := i.createImages(ctx, targetsOf(imp, plan, answers)); err != nil {
		return nil, err
	}
	stored, err := i.write(ctx, key, imp, plan, answers)
	if err != nil {
		return nil, err
	}
	done.Status = imagestream.ImageStreamImportStatus{Import: stored, Images: plan.Statuses(answers), Repository: plan.RepositoryStatus(answers)}
	cut(done)
	share(done)
	return done, nil
}

// forbidden are the names of an import that may not be imported from.
func (i *Importer) forbidden(imp *imagestream.ImageStreamImport) (errs imagestream.ErrorList) {
	if i.Unrestricted {
		return nil
	}
	allowed := imagestream.NewAllowlist(i.Engine.Settings.AllowedRegistries, i.Engine.Settings.InternalRegistry)
	check := func(field, name string, insecure bool) {
		if !IsAllowed(allowed, name, insecure) {
			errs = append(errs, &imagestream.FieldError{
				Type: imagestream.FieldForbidden, Field: field, Value: name, Detail: "its registry is not among those that may be imported from",
			})
		}
	}
	if spec := imp.Spec.Repository; spec != nil {
		check("spec.repository.from.name", spec.From.Name, spec.ImportPolicy.Insecure)
	}
	for n, spec := range imp.Spec.Images {
		check(fmt.Sprintf("spec.images[%d].from.name", n), spec.From.Name, spec.ImportPolicy.Insecure)
	}
	return errs
}

// fetch asks the plan's questions, and again without credentials if these were wrong for an image.
func (i *Importer) fetch(ctx context.Context, plan *Plan, stream *imagestream.ImageStream, namespace string) (*Answers, error) {
	known, err := i.known(ctx, stream)
	if err != nil {
		return nil, err
	}
	asked, _ := ctx.Value(traceKey{}).(*Trace)
	opts := FetchOptions{
		Concurrency: i.Concurrency, Refetch: i.Refetch, Known: known, Memo: i.Memo(), Sizes: &i.sizes, Now: i.now(), Trace: traces(i.Trace, asked),
	}
	if i.Secrets != nil {
		if opts.Keyring, err = i.Secrets(ctx, namespace); err != nil {
			return nil, fmt.Errorf("read the secrets of namespace %s: %w", namespace, err)
		}
	}
	answers, err := Fetch(ctx, i.Registry, plan, opts)
	if err != nil {
		return nil, err
	}
	i.learn(answers)
	if opts.Keyring == nil || !slices.ContainsFunc(answers.Images, isWrongPassword) {
		return answers, nil
	}
	opts.Anonymous = true
	again, err := Fetch(ctx, i.Registry, plan, opts)
	if err != nil {
		return nil, err
	}
	i.learn(again)
	for n, a := range again.Images {
		if StatusOf(a.Err).Reason == imagestream.ReasonUnauthorized {
			again.Images[n] = Answer{Err: answers.Images[n].Err}
		}
	}
	return again, nil
}

// isWrongPassword reports whether credentials were there, and were wrong: without them the image may be public.
func isWrongPassword(a Answer) bool {
	var failure *RegistryError
	return errors.As(a.Err, &failure) && failure.WrongPassword && StatusOf(a.Err).Reason == imagestream.ReasonUnauthorized
}

// write applies the answers to the stream, and again if somebody else wrote meanwhile. If the stream then has more than its
// limits allow, the tags that are new are told so.
func (i *Importer) write(ctx context.Context, key imagestream.Key, imp *imagestream.ImageStreamImport, plan *Plan, answers *Answers) (*imagestream.ImageStream, error) {
	apply := func(old *imagestream.ImageStream) *imagestream.ImageStream {
		return Apply(old, imp, plan, answers, tagevent.TimeOf(i.now()))
	}
	stored, err := i.Engine.Write(ctx, write.Request{
		Key: key, Rules: write.AsImport, OrCreate: true,
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) { return apply(old), nil },
	})
	var invalid *imagestream.StatusError
	if !errors.As(err, &invalid) || !invalid.Errors.ExceedsLimits() {
		return stored, wrapSources(err)
	}
	_, told := i.Engine.Write(ctx, write.Request{
		Key: key, Rules: write.AsImport,
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			return refuseNew(old, apply(old), invalid, tagevent.TimeOf(i.now())), nil
		},
	})
	if told != nil && !errors.Is(told, imagestream.ErrNotFound) {
		return nil, told
	}
	return nil, err
}

// wrapSources returns err as the API answers an import whose stream has tags that cannot be verified or resolved: see
// [imagestream.ErrorList.Wrapped].
func wrapSources(err error) error {
	var invalid *imagestream.StatusError
	if !errors.As(err, &invalid) {
		return err
	}
	wrapped := *invalid
	if wrapped.Errors = invalid.Errors.Wrapped(); slices.Equal(wrapped.Errors, invalid.Errors) {
		return err
	}
	return &wrapped
}

// refuseNew returns old with the condition, for each tag that only next has, that it was refused; old itself if there is none.
func refuseNew(old, next *imagestream.ImageStream, err *imagestream.StatusError, now imagestream.Time) *imagestream.ImageStream {
	refused := old
	for _, h := range next.Status.Tags {
		if _, known := old.History(h.Tag); !known {
			if refused == old {
				c := *old
				c.Status.Tags = slices.Clone(old.Status.Tags)
				refused = &c
			}
			refused.Status.Tags = append(refused.Status.Tags, tagevent.History{Tag: h.Tag, Conditions: []tagevent.Condition{{
				Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, LastTransitionTime: now,
				Reason: string(err.Reason), Message: err.Error(), Generation: old.Metadata.Generation + 1,
			}}})
		}
	}
	return refused
}

// cut removes the texts of manifests that were not asked for.
func cut(imp *imagestream.ImageStreamImport) {
	blank := func(image *imagestream.Image, include bool) {
		if image != nil && !include {
			image.DockerImageManifest, image.DockerImageConfig = "", ""
		}
	}
	for n := range imp.Status.Images {
		blank(imp.Status.Images[n].Image, imp.Spec.Images[n].IncludeManifest)
	}
	if found := imp.Status.Repository; found != nil {
		for n := range found.Images {
			blank(found.Images[n].Image, imp.Spec.Repository.IncludeManifest)
		}
	}
}

// share lets the entries of an import that have a target and the same image report the image of the first of them, which is the
// one that was stored: without texts.
func share(imp *imagestream.ImageStreamImport) {
	first := map[string]*imagestream.Image{}
	do := func(status *imagestream.ImageImportStatus) {
		if status.Image == nil {
			return
		}
		for n := range status.Manifests {
			status.Manifests[n].DockerImageManifest, status.Manifests[n].DockerImageConfig = "", ""
		}
		image := status.Image
		if have := first[image.Metadata.Name]; have != nil {
			status.Image = have.Clone()
			return
		}
		image.DockerImageManifest, image.DockerImageConfig = "", ""
		first[image.Metadata.Name] = image
	}
	if imp.Status.Repository != nil {
		for n := range imp.Status.Repository.Images {
			do(&imp.Status.Repository.Images[n])
		}
	}
	for n := range imp.Status.Images {
		if imp.Spec.Images[n].To != nil {
			do(&imp.Status.Images[n])
		}
	}
}

func (i *Importer) now() time.Time {
	if i.Engine.Now != nil {
		return i.Engine.Now()
	}
	return time.Now()
}

// Memo returns what was chosen from manifest lists so far. It can be kept, and given to [Importer.Remember]
// of another process.
func (i *Importer) Memo() Memo {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.memo)
}

// maxMemo is how many choices are kept. Beyond that the importer begins anew, which costs a request for each list.
const maxMemo = 1 << 14

// Remember adds m to what was chosen so far.
func (i *Importer) Remember(m Memo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.memo == nil || len(i.memo)+len(m) > maxMemo {
		i.memo = Memo{}
	}
	maps.Copy(i.memo, m)
}

func (i *Importer) learn(answers *Answers) {
	for _, a := range slices.Concat(answers.Images, answers.Repository.Images) {
		if len(a.Chosen) > 0 {
			i.Remember(a.Chosen)
		}
	}
}

// known returns the images that the stream's tags point at now, or would without their pins, and that the
// store has whole: what is the same in the registry need not be fetched.
func (i *Importer) known(ctx context.Context, stream *imagestream.ImageStream) (KnownImages, error) {
	known := KnownImages{}
	if stream == nil || i.Refetch {
		return known, nil
	}
	events := []tagevent.Event{}
	for _, h := range stream.Status.Tags {
		if latest, ok := h.Latest(); ok {
			events = append(events, latest)
		}
	}
	pins, _ := stream.Pins() // the transition reports a pin that cannot be read
	for _, pin := range pins {
		if pin.Held != nil {
			events = append(events, *pin.Held)
		}
	}
	images := map[string]*imagestream.Image{}
	for _, e := range events {
		if e.Image == "" {
			continue
		}
		image, read := images[e.Image]
		if !read {
			var err error
			image, err = i.Engine.Store.GetImage(ctx, e.Image)
			if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
				return nil, fmt.Errorf("get image %s: %w", e.Image, err)
			}
			images[e.Image] = image
		}
		known.add(e.DockerImageReference, image)
	}
	return known, nil
}

// targetsOf are the answers that a tag gets its image from, in order.
func targetsOf(imp *imagestream.ImageStreamImport, plan *Plan, answers *Answers) []Answer {
	targets := slices.Clone(answers.Repository.Images)
	for n, spec := range imp.Spec.Images {
		if e := plan.entries[n]; spec.To != nil && e.err == nil {
			targets = append(targets, answers.Images[e.question])
		}
	}
	return targets
}

// createImages stores the images that were fetched, those of lists first. One that is there already stays as
// it is.
func (i *Importer) createImages(ctx context.Context, answers []Answer) error {
	done := map[string]bool{}
	create := func(image *imagestream.Image) error {
		if done[image.Metadata.Name] {
			return nil
		}
		done[image.Metadata.Name] = true
		stored, errs := manifest.PrepareImageCreate(image, imagestream.Env{Now: i.now()})
		if len(errs) > 0 {
			return imagestream.NewInvalid(imagestream.ResourceImages, imagestream.Key{Name: image.Metadata.Name}, errs)
		}
		stored.DockerImageManifest, stored.DockerImageConfig = "", ""
		_, err := i.Engine.Store.CreateImage(ctx, stored)
		if err != nil && !errors.Is(err, imagestream.ErrAlreadyExists) {
			return fmt.Errorf("create image %s: %w", image.Metadata.Name, err)
		}
		return nil
	}
	for _, a := range answers {
		if a.Image == nil || a.Known {
			continue
		}
		for k := range a.Manifests {
			if err := create(&a.Manifests[k]); err != nil {
				return err
			}
		}
		if err := create(a.Image); err != nil {
			return err
		}
	}
	return nil
}

// checkPreconditions compares uid and resource version of an import with the stream. Source: op import.run.
func checkPreconditions(stream *imagestream.ImageStream, imp *imagestream.ImageStreamImport) error {
	m := &imp.Metadata
	key := imagestream.Key{Namespace: m.Namespace, Name: m.Name}
	switch {
	case stream == nil && (m.ResourceVersion != "" || m.UID != ""):
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "")
	case stream == nil:
	case m.ResourceVersion != "" && m.ResourceVersion != stream.Metadata.ResourceVersion:
		return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key,
			"the import is for another version of it: get it and ask again")
	case m.UID != "" && m.UID != stream.Metadata.UID:
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "the one with the uid "+m.UID+" is gone")
	}
	return nil
}
