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
// asked once. A tag whose image the stream may have already is asked by HEAD; if the digest is known, nothing
// else is asked. A manifest list in mode Legacy is replaced by the image for the platform; what was chosen is
// kept in a [Memo], since the stream knows only the choice. In mode PreserveOriginal the list is kept and all
// its images are read.
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
// everything anew each time. A conflict is no failure. Not done yet: importing whole repositories
// (spec.repository), mirrors, blocked registries, pull secrets, limits on the import, and Docker schema 1.
package importer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Importer imports images into the streams of a Store. It is safe for concurrent use; its fields are not to
// be changed once it is.
type Importer struct {
	Registry Registry
	// Writer has the store, its clock and its limits.
	Writer *imagestream.Writer
	// Concurrency is how many questions are asked at a time; 0 is 8.
	Concurrency int
	// Platform is taken from manifest lists where the tag does not say; empty members are amd64 and linux.
	Platform Platform
	// Refetch asks for everything again, whatever is known already.
	Refetch bool
	Trace   *Trace

	mu   sync.Mutex
	memo Memo
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
		return nil, imagestream.NewInvalid("imagestreamimports", key.String(), errs)
	}
	stream, err := i.Writer.Store.GetImageStream(ctx, key)
	if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
		return nil, err
	}
	if err := checkPreconditions(stream, imp); err != nil {
		return nil, err
	}
	known, err := i.known(ctx, stream)
	if err != nil {
		return nil, err
	}
	plan := NewPlan(imp, stream, i.Platform)
	answers, err := Fetch(ctx, i.Registry, plan, FetchOptions{
		Concurrency: i.Concurrency, Known: known, Memo: i.Memo(), Now: i.now(), Trace: i.Trace,
	})
	if err != nil {
		return nil, err
	}
	i.learn(answers)

	done := imp.Clone()
	done.Status = imagestream.ImageStreamImportStatus{Images: plan.Statuses(answers)}
	if !imp.Spec.Import {
		return done, nil
	}
	if err := i.createImages(ctx, answers); err != nil {
		return nil, err
	}
	done.Status.Import, err = i.Writer.UpsertInternal(ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		return Apply(old, imp, plan, answers, tagevent.TimeOf(i.now())), nil
	}, imagestream.PrepareCreateInternal)
	if err != nil {
		return nil, err
	}
	return done, nil
}

func (i *Importer) now() time.Time {
	if i.Writer.Now != nil {
		return i.Writer.Now()
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

// Remember adds m to what was chosen so far.
func (i *Importer) Remember(m Memo) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.memo == nil {
		i.memo = Memo{}
	}
	maps.Copy(i.memo, m)
}

func (i *Importer) learn(answers Answers) {
	for _, a := range answers {
		if len(a.Chosen) > 0 {
			i.Remember(a.Chosen)
		}
	}
}

// known returns the images that the stream's tags point at now, or would without their pins, and that the
// store has whole: what is the same in the registry need not be fetched.
func (i *Importer) known(ctx context.Context, stream *imagestream.ImageStream) (map[string]*imagestream.Image, error) {
	known := map[string]*imagestream.Image{}
	if stream == nil || i.Refetch {
		return known, nil
	}
	names := map[string]bool{}
	for _, h := range stream.Status.Tags {
		if latest, ok := h.Latest(); ok {
			names[latest.Image] = true
		}
	}
	pins, _ := stream.Pins() // what cannot be read, the transition reports
	for _, pin := range pins {
		if pin.Held != nil {
			names[pin.Held.Image] = true
		}
	}
	delete(names, "")
	for name := range names {
		image, err := i.Writer.Store.GetImage(ctx, name)
		switch {
		case errors.Is(err, imagestream.ErrNotFound):
		case err != nil:
			return nil, fmt.Errorf("get image %s: %w", name, err)
		case len(image.DockerImageMetadata) > 0:
			known[name] = image
		}
	}
	return known, nil
}

// createImages stores the images that were fetched, those of lists first. One that is there already stays as
// it is.
func (i *Importer) createImages(ctx context.Context, answers Answers) error {
	done := map[string]bool{}
	create := func(image *imagestream.Image) error {
		if done[image.Metadata.Name] {
			return nil
		}
		done[image.Metadata.Name] = true
		stored := *image
		stored.DockerImageManifest, stored.DockerImageConfig = "", ""
		stored.Metadata.CreationTimestamp = tagevent.TimeOf(i.now())
		_, err := i.Writer.Store.CreateImage(ctx, &stored)
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
	name := m.Namespace + "/" + m.Name
	switch {
	case stream == nil && (m.ResourceVersion != "" || m.UID != ""):
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, name, "")
	case stream == nil:
	case m.ResourceVersion != "" && m.ResourceVersion != stream.Metadata.ResourceVersion:
		return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, name,
			"the import is for another version of it: get it and ask again")
	case m.UID != "" && m.UID != stream.Metadata.UID:
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, name, "the one with the uid "+m.UID+" is gone")
	}
	return nil
}
