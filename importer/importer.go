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
	// Concurrency and Bounds are those of [FetchOptions].
	Concurrency int
	Bounds      Bounds
	// Platform, Registries and MaxTags are those of [PlanOptions].
	Platform   manifest.Platform
	Registries *registries.Registries
	MaxTags    int
	// Secrets returns the credentials of a namespace. Nil leaves credentials to the Registry.
	Secrets func(ctx context.Context, namespace string) (CredentialFinder, error)
	// Unrestricted imports from registries that are not allowed, as users may who may create images. The stream must allow
	// them all the same.
	Unrestricted bool
	// Refetch asks for everything again, whatever is known already, as the real system does.
	Refetch bool
	// FailAlone lets an image that the store or the API refuses fail its own tags. By default the first of
	// them fails the whole import with class [imagestream.ErrInvalid], as in OpenShift.
	FailAlone bool
	// NoAttestations never takes an attestation for the image of a manifest list; see [FetchOptions].
	NoAttestations bool
	Trace          *Trace

	mu    sync.Mutex
	memo  Memo
	sizes LayerSizes
}

// Import does what imp asks for and returns it with its answer. If imp.Spec.Import is false, nothing is
// written. It is [Importer.Begin], [Session.Fetch] and [Session.Write].
//
// An image that cannot be imported is not an error: its status tells, and [Failure] makes an error of it. An
// error is of class [imagestream.ErrInvalid] with the wrong fields of imp, of class [imagestream.ErrNotFound]
// if the stream that the import began with is deleted meanwhile, or means that the store failed, or that ctx
// ended.
func (i *Importer) Import(ctx context.Context, imp *imagestream.ImageStreamImport) (*imagestream.ImageStreamImport, error) {
	s, err := i.Begin(ctx, imp)
	if err != nil {
		return nil, err
	}
	if err := s.Fetch(ctx); err != nil {
		return nil, err
	}
	return s.Write(ctx)
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

// refuseNew returns old with the condition, for each tag that only next has, that it was refused; old itself if there is none.
func refuseNew(old, next *imagestream.ImageStream, err *imagestream.StatusError, now time.Time) *imagestream.ImageStream {
	refused := old
	for _, h := range next.Status.Tags {
		if _, known := old.History(h.Tag); !known {
			if refused == old {
				c := *old
				c.Status.Tags = slices.Clone(old.Status.Tags)
				refused = &c
			}
			refused.Status.Tags = append(refused.Status.Tags, tagevent.History{Tag: h.Tag, Conditions: []tagevent.Condition{{
				Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, LastTransitionTime: tagevent.TimeOf(now),
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
