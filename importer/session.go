package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

// Session is an import under way. [Importer.Begin] returns it; Fetch and then Write must be called. After a failure
// Write may be called again, and fetches nothing. It is not for concurrent use.
type Session struct {
	importer *Importer
	imp      *imagestream.ImageStreamImport
	key      imagestream.Key
	began    *imagestream.ImageStream // nil if there is no stream yet
	plan     *Plan
	known    KnownImages
	answers  *Answers

	// Trace follows this import, besides the Importer's Trace. It must be set before Fetch.
	Trace *Trace
}

// Begin checks an import, reads its stream and the images that are known, and plans the questions. Errors are those
// of [Importer.Import].
func (i *Importer) Begin(ctx context.Context, imp *imagestream.ImageStreamImport) (*Session, error) {
	s := &Session{importer: i, key: imagestream.Key{Namespace: imp.Metadata.Namespace, Name: imp.Metadata.Name},
		imp: withDefaults(imp)}
	errs := Validate(s.imp)
	if len(errs) == 0 {
		errs = i.forbidden(s.imp)
	}
	if len(errs) > 0 {
		return nil, errs.Of("imagestreamimports", s.key)
	}
	stream, err := i.Engine.Store.GetImageStream(ctx, s.key)
	if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
		return nil, err
	}
	if err := checkPreconditions(stream, s.imp); err != nil {
		return nil, err
	}
	if s.known, err = i.known(ctx, stream); err != nil {
		return nil, err
	}
	s.began = stream
	s.plan = NewPlan(s.imp, stream, PlanOptions{Platform: i.Platform, Registries: i.Registries, MaxTags: i.MaxTags})
	return s, nil
}

// Fetch asks the registries. If credentials are wrong for an image, it asks again without any. An error is that of
// ctx or of [Importer.Secrets].
func (s *Session) Fetch(ctx context.Context) error {
	i := s.importer
	opts := FetchOptions{
		Concurrency: i.Concurrency, Bounds: i.Bounds, Refetch: i.Refetch, NoAttestations: i.NoAttestations,
		Known: s.known, Memo: i.Memo(),
		Sizes: &i.sizes, Now: i.now(), Trace: traces(i.Trace, s.Trace),
	}
	if i.Secrets != nil {
		ring, err := i.Secrets(ctx, s.key.Namespace)
		if err != nil {
			return fmt.Errorf("read the pull secrets of namespace %s: %w", s.key.Namespace, err)
		}
		opts.Keyring = ring
	}
	answers, err := Fetch(ctx, i.Registry, s.plan, opts)
	if err != nil {
		return err
	}
	i.learn(answers)
	if s.answers = answers; opts.Keyring == nil || !slices.ContainsFunc(answers.Images, isWrongPassword) {
		return nil
	}
	opts.Anonymous = true
	again, err := Fetch(ctx, i.Registry, s.plan, opts)
	if err != nil {
		return err
	}
	i.learn(again)
	for n, a := range again.Images {
		if StatusOf(a.Err).Reason == imagestream.ReasonUnauthorized {
			again.Images[n] = Answer{Err: answers.Images[n].Err}
		}
	}
	s.answers = again
	return nil
}

// isWrongPassword reports whether the credentials for an image are wrong. Without them the image may be public.
func isWrongPassword(a Answer) bool {
	var failure *RegistryError
	return errors.As(a.Err, &failure) && failure.WrongPassword &&
		StatusOf(a.Err).Reason == imagestream.ReasonUnauthorized
}

// Write stores the images and the stream, and returns the import with its answer. If the import's spec.import is
// false, it writes nothing. Errors are those of [Importer.Import].
func (s *Session) Write(ctx context.Context) (*imagestream.ImageStreamImport, error) {
	done := s.imp.Clone()
	if s.imp.Spec.Import {
		if err := s.createImages(ctx); err != nil {
			return nil, err
		}
		stored, err := s.writeStream(ctx)
		if err != nil {
			return nil, err
		}
		done.Status.Import = stored
	}
	done.Status.Images, done.Status.Repository = s.plan.Statuses(s.answers), s.plan.RepositoryStatus(s.answers)
	cut(done)
	if s.imp.Spec.Import {
		share(done)
	}
	return done, nil
}

// writeStream applies the answers to the stream, and again if somebody else writes meanwhile. If the stream exceeds
// its limits, each new tag gets a condition that says so.
func (s *Session) writeStream(ctx context.Context) (*imagestream.ImageStream, error) {
	engine := s.importer.Engine
	change := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		if err := cmp.Or(s.checkUID(old), s.checkTags(old)); err != nil {
			return nil, err
		}
		return Apply(old, s.imp, s.plan, s.answers, s.importer.now()), nil
	}
	stored, err := engine.Write(ctx, write.Request{Key: s.key, Rules: write.AsImport, OrCreate: true, Change: change})
	var invalid *imagestream.StatusError
	if !errors.As(err, &invalid) || !invalid.Errors.ExceedsLimits() {
		return stored, wrapSources(err)
	}
	refuse := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next, err := change(old)
		if err != nil {
			return nil, err
		}
		return refuseNew(old, next, invalid, s.importer.now()), nil
	}
	_, told := engine.Write(ctx, write.Request{Key: s.key, Rules: write.AsImport, Change: refuse})
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

// checkUID compares the stream to write with the one that the import began with: what was fetched for one stream
// must not be written to another one.
func (s *Session) checkUID(old *imagestream.ImageStream) error {
	if s.began == nil || old != nil && old.Metadata.UID == s.began.Metadata.UID {
		return nil
	}
	return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, s.key,
		"the image stream was deleted while its images were fetched")
}

// asked is what a spec tag asks an import for.
type asked struct {
	there     bool
	from      imagestream.ObjectReference
	reference bool
	policy    imagestream.TagImportPolicy
	platform  manifest.Platform
}

func askedOf(stream *imagestream.ImageStream, tag string) (a asked) {
	if stream == nil {
		return a
	}
	t, there := stream.SpecTag(tag)
	if !there {
		return a
	}
	a = asked{there: true, reference: t.Reference, policy: t.ImportPolicy, platform: platformOf(t)}
	a.policy.ImportMode = cmp.Or(a.policy.ImportMode, imagestream.ImportModeLegacy)
	if t.From != nil {
		a.from = *t.From
	}
	return a
}

// checkTags compares the spec tags that are to be written with those that the import began with: a tag that somebody
// changed or removed meanwhile must not get what was fetched for it before. It may have what this import gives it.
func (s *Session) checkTags(old *imagestream.ImageStream) error {
	if old == nil || s.began != nil && old.Metadata.ResourceVersion == s.began.Metadata.ResourceVersion {
		return nil
	}
	given := map[string]asked{}
	give := func(tag, from string, policy imagestream.TagImportPolicy) {
		source := imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}
		given[tag] = asked{there: true, from: source, policy: policy}
	}
	if spec := s.imp.Spec.Repository; spec != nil {
		for _, tag := range s.answers.Repository.Tags {
			give(tag, spec.From.Name+":"+tag, spec.ImportPolicy)
		}
	}
	for _, spec := range s.imp.Spec.Images {
		if spec.To != nil {
			give(spec.To.Name, spec.From.Name, spec.ImportPolicy)
		}
	}
	for _, tag := range slices.Sorted(maps.Keys(given)) {
		was, now, gives := askedOf(s.began, tag), askedOf(old, tag), given[tag]
		if gives.platform = was.platform; now != was && now != gives {
			return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, s.key,
				"tag "+tag+" was changed while its image was fetched: import it again")
		}
	}
	return nil
}

// checkPreconditions compares uid and resource version of an import with the stream. See conformance case import-85.
func checkPreconditions(stream *imagestream.ImageStream, imp *imagestream.ImageStreamImport) error {
	m := &imp.Metadata
	key := imagestream.Key{Namespace: m.Namespace, Name: m.Name}
	switch {
	case stream == nil && (m.ResourceVersion != "" || m.UID != ""):
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key, "")
	case stream == nil:
	case m.ResourceVersion != "" && m.ResourceVersion != stream.Metadata.ResourceVersion:
		return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key,
			"the import is for another resource version: get the image stream and import again")
	case m.UID != "" && m.UID != stream.Metadata.UID:
		return imagestream.NewError(imagestream.ReasonNotFound, imagestream.ResourceImageStreams, key,
			"the image stream with uid "+m.UID+" was deleted")
	}
	return nil
}
