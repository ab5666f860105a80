// Package importer imports images from registries into image streams.
//
// An [Importer] imports into the streams of a Store. Its parts can be used alone:
//
//	NeedsImport, ScheduledImport  return which tags of a stream must be imported, as an ImageStreamImport
//	NewPlan                       returns the questions to ask registries, each once
//	Fetch                         asks them, several at a time
//	Apply                         returns the stream with the answers: history, conditions, generations
//
// # Questions
//
// Images of an import that name the same repository form a group. The first of a group decides whether the
// repository is insecure and how references to it are spelled. Each tag or digest of a group is asked for once
// for a mode and a platform.
//
// A tag is asked by HEAD if its image may be known: to the stream, or from another tag of the same import. A
// known digest needs no other request. What is known depends on the repository, the mode, the platform and
// the options, so that the answer is always the one that [FetchOptions.Refetch] gives. A manifest list in mode
// Legacy is replaced by the image for the platform, and a [Memo] remembers the choice. In mode
// PreserveOriginal the list is kept and all its images are read.
//
// The tags of a repository are listed, and the first of them by [pullspec.PrioritizeTags] are imported. Mirrors
// (package importer/registries) are asked before the repository itself, each with the credentials that a
// [CredentialFinder] has for it (package importer/keyring). If credentials are wrong for an image, everything is
// asked again without any.
//
// [Bounds] limit what one import takes. Package importer/polite limits, repeats and counts requests.
//
// # Answers
//
// A success sets the source, the policy and the history of its tag. A failure sets the condition ImportSuccess to
// False, with the generation that it accounts for; [Failures] returns it as a [TagError]. An import that changes
// nothing writes nothing. If somebody else writes meanwhile, the answers are applied to the new version of the
// stream, and nothing is fetched again. A stream that is deleted meanwhile stays deleted. If a tag of the import was
// removed meanwhile, or asks for something else now, the import is a conflict and writes nothing.
//
// # Differences from OpenShift
//
// The real importer asks one question after the other, two a second, and everything anew each time; a conflict
// fails its import. [Importer.FailAlone] and [Importer.NoAttestations] change answers, and are off by default.
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

// Importer imports images into the streams of a Store. Registry and Engine must be set. It is safe for concurrent
// use, and its fields must not change while it is used.
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
	// Secrets returns the credentials of a namespace. If it is nil, the Registry uses its own.
	Secrets func(ctx context.Context, namespace string) (CredentialFinder, error)
	// Unrestricted skips the check of allowed registries, as for users who may create images. The rules for the
	// stream itself still hold.
	Unrestricted bool
	// Refetch asks for everything again, as the real system does.
	Refetch bool
	// FailAlone fails only the tags of an image that the API or the store refuses. By default the first such
	// image fails the whole import with class [imagestream.ErrInvalid], as in OpenShift.
	FailAlone bool
	// NoAttestations is that of [FetchOptions].
	NoAttestations bool
	Trace          *Trace

	mu    sync.Mutex
	memo  Memo
	sizes LayerSizes
}

// Import does what imp asks for and returns it with its answer. If imp.Spec.Import is false, it writes nothing.
// Its stages are [Importer.Begin], [Session.Fetch] and [Session.Write].
//
// An image that cannot be imported is not an error; its status says why, and [Failure] returns it as an error.
// The error of Import is of class [imagestream.ErrInvalid] with the wrong fields of imp, or of class
// [imagestream.ErrNotFound] or [imagestream.ErrConflict] if the stream is not the one that imp names, if it is
// deleted meanwhile, or if one of the tags is changed meanwhile. Otherwise it is that of the store, of Secrets or of ctx.
func (i *Importer) Import(
	ctx context.Context, imp *imagestream.ImageStreamImport,
) (*imagestream.ImageStreamImport, error) {
	s, err := i.Begin(ctx, imp)
	if err != nil {
		return nil, err
	}
	if err := s.Fetch(ctx); err != nil {
		return nil, err
	}
	return s.Write(ctx)
}

// forbidden returns an error for each name in a registry that imports are not allowed from.
func (i *Importer) forbidden(imp *imagestream.ImageStreamImport) (errs imagestream.ErrorList) {
	if i.Unrestricted {
		return nil
	}
	allowed := i.Engine.Settings.Allowlist()
	check := func(field, name string, insecure bool) {
		if !IsAllowed(allowed, name, insecure) {
			errs = append(errs, &imagestream.FieldError{
				Type: imagestream.FieldForbidden, Field: field, Value: name,
				Detail: "imports from its registry are not allowed: it is not in the list of allowed registries",
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

// refuseNew returns old with a condition for each tag that only next has: that err refuses it. If there is none,
// it returns old itself.
func refuseNew(
	old, next *imagestream.ImageStream, err *imagestream.StatusError, now time.Time,
) *imagestream.ImageStream {
	refused := old
	for _, h := range next.Status.Tags {
		if _, known := old.History(h.Tag); !known {
			if refused == old {
				c := *old
				c.Status.Tags = slices.Clone(old.Status.Tags)
				refused = &c
			}
			condition := tagevent.Condition{
				Type: tagevent.ImportSuccess, Status: tagevent.ConditionFalse, LastTransitionTime: tagevent.TimeOf(now),
				Reason: string(err.Reason), Message: err.Error(), Generation: old.Metadata.Generation + 1,
			}
			refused.Status.Tags = append(refused.Status.Tags,
				tagevent.History{Tag: h.Tag, Conditions: []tagevent.Condition{condition}})
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

// share replaces the images of all entries with a target by the first of the same name, without texts. That is the
// one that was stored.
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

// Memo returns what was chosen from manifest lists so far, for [Importer.Remember] of another process.
func (i *Importer) Memo() Memo {
	i.mu.Lock()
	defer i.mu.Unlock()
	return maps.Clone(i.memo)
}

// maxMemo is how many choices are kept. When there are more, the importer forgets all, which costs a request for
// each list.
const maxMemo = 1 << 14

// Remember adds the choices of m.
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

// known returns the images that the stream's tags point at now, or would without their pins, as far as the store
// has them. They need not be fetched if the registry still has the same.
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
