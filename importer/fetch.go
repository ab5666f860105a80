package importer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

const defaultConcurrency = 8

// Answer is the answer to a [Question]: an image or an error.
type Answer struct {
	// Image has its pull spec in the spelling of the question.
	Image *imagestream.Image
	// Manifests are the images of a list in mode PreserveOriginal.
	Manifests []imagestream.Image
	// Known reports whether the image is a known one and was not fetched.
	Known bool
	// Chosen has the choice from a manifest list.
	Chosen Memo
	Err    error
}

// Answers are the answers to a [Plan].
type Answers struct {
	// Images has the answer to each question.
	Images     []Answer
	Repository RepositoryAnswer
}

// RepositoryAnswer is the answer for the repository of a [Plan].
type RepositoryAnswer struct {
	// Tags are the imported tags by priority, and Images their answers.
	Tags   []string
	Images []Answer
	// Additional are the other tags.
	Additional []string
	Err        error
}

// FetchOptions are the options of [Fetch]. The zero value is valid.
type FetchOptions struct {
	// Concurrency is how many requests are made to one host at a time; 0 is 8. Hosts do not wait for each other.
	Concurrency int
	// Bounds limit what the import takes from registries.
	Bounds Bounds
	// Refetch reads everything, whatever is known.
	Refetch bool
	// NoAttestations never imports an attestation for a platform: an entry of a manifest list whose platform is
	// unknown/unknown, or which has the annotation vnd.docker.reference.type. A list that has no image for the
	// platform or for linux/amd64, and none without a platform, fails with the platforms that it has. By default
	// its first entry is imported, as in OpenShift.
	NoAttestations bool
	// Known are images that need not be read if they are still the answer.
	Known KnownImages
	// Memo has earlier choices from manifest lists.
	Memo Memo
	// Sizes has sizes of layers of schema 1; Fetch adds what it reads. It may be nil.
	Sizes *LayerSizes
	// Keyring finds credentials. Where it finds none, or if it is nil, the registry may use its own.
	Keyring CredentialFinder
	// Anonymous uses no credentials at all.
	Anonymous bool
	// Now is the creation time of images of lists.
	Now   time.Time
	Trace *Trace
}

// CredentialFinder finds the credentials for a repository, such as "quay.io/org/app" or "docker.io/library/nodejs".
// Package importer/keyring has one. Implementations must be safe for concurrent use.
type CredentialFinder interface {
	Credentials(repository string) (Credentials, bool)
}

// Trace follows an import. A Trace and each of its functions may be nil. The functions are called from several
// goroutines at a time.
type Trace struct {
	// Planned is called with the number of questions: at the beginning, and when the tags of a repository are known.
	Planned func(questions int)
	// Answered is called for each answer.
	Answered func(q Question, a Answer)
}

// traces returns a trace that calls two.
func traces(a, b *Trace) *Trace {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	return &Trace{
		Planned:  func(questions int) { a.planned(questions); b.planned(questions) },
		Answered: func(q Question, answer Answer) { a.answered(q, answer); b.answered(q, answer) },
	}
}

func (t *Trace) planned(n int) {
	if t != nil && t.Planned != nil {
		t.Planned(n)
	}
}

func (t *Trace) answered(q Question, a Answer) {
	if t != nil && t.Answered != nil {
		t.Answered(q, a)
	}
}

// Fetch asks registry the questions of a plan. A failure of the registry is in the answers; an error is that of ctx.
func Fetch(ctx context.Context, registry Registry, plan *Plan, opts FetchOptions) (*Answers, error) {
	if opts.Concurrency <= 0 {
		opts.Concurrency = defaultConcurrency
	}
	opts.Bounds = opts.Bounds.withDefaults()
	within, cancel := context.WithTimeout(ctx, opts.Bounds.Time)
	defer cancel()
	s := &run{plan: plan, opts: &opts, repositories: newRepositories(registry, &opts),
		budget: newBudget(opts.Bounds.Bytes, "the import", nil)}
	opts.Trace.planned(len(plan.Questions))
	answers := &Answers{Images: s.ask(within, plan.Questions)}
	if plan.Repository != nil && plan.repositoryError == nil {
		answers.Repository = s.repository(within, answers.Images)
	}
	return answers, ctx.Err()
}

// run is one fetch.
type run struct {
	plan         *Plan
	opts         *FetchOptions
	repositories *repositories
	budget       *budget
}

// ask asks questions, several at a time of each host.
func (s *run) ask(ctx context.Context, questions []Question) []Answer {
	answers := make([]Answer, len(questions))
	tags := map[string]int{} // how many tags of a repository are asked for
	for _, q := range questions {
		if q.Ref.Digest == "" {
			tags[q.Repository.Name()]++
		}
	}
	byHost := map[string][]int{}
	var hosts []string
	for i, q := range questions {
		host := reference.Domain(q.Repository)
		if byHost[host] == nil {
			hosts = append(hosts, host)
		}
		byHost[host] = append(byHost[host], i)
	}
	each(len(hosts), -1, func(h int) {
		of := byHost[hosts[h]]
		each(len(of), s.opts.Concurrency, func(n int) {
			q := questions[of[n]]
			f := fetcher{run: s, question: q, sharing: tags[q.Repository.Name()] > 1, budget: s.budget}
			answers[of[n]] = f.answer(ctx)
			s.opts.Trace.answered(q, answers[of[n]])
		})
	})
	return answers
}

// repository asks for the tags of the plan's repository, and for the images of the first ones. It does not repeat
// questions of the plan.
func (s *run) repository(ctx context.Context, answers []Answer) (found RepositoryAnswer) {
	q := *s.plan.Repository
	tags, err := s.tags(ctx, q)
	if err != nil {
		found.Err = err
		return found
	}
	first := len(tags)
	if s.plan.MaxTags > 0 {
		first = min(first, s.plan.MaxTags)
	}
	found.Tags = slices.Clip(tags[:first])
	found.Images = make([]Answer, first)
	var questions []Question
	var places []int
	for i, tag := range found.Tags {
		q.Ref = Ref{Tag: tag}
		if !pullspec.IsTag(tag) {
			found.Images[i].Err = fmt.Errorf("%s: the registry lists a tag that is not valid", q)
		} else if a, ok := s.asked(q, answers); ok {
			found.Images[i] = a
		} else {
			questions, places = append(questions, q), append(places, i)
		}
	}
	s.opts.Trace.planned(len(questions))
	for i, a := range s.ask(ctx, questions) {
		found.Images[places[i]] = a
	}
	for _, tag := range tags[first:] {
		q.Ref = Ref{Tag: tag}
		if a, ok := s.asked(q, answers); ok && a.Err == nil {
			a.Manifests = nil
			found.Tags, found.Images = append(found.Tags, tag), append(found.Images, a)
		} else {
			found.Additional = append(found.Additional, tag)
		}
	}
	return found
}

// tags returns the tags of a repository by priority. Mirrors are not asked.
func (s *run) tags(ctx context.Context, q Question) ([]string, error) {
	source, err := s.repositories.open(ctx, q.Repository, q.Insecure)
	if err != nil {
		return nil, err
	}
	var tags []string
	err = s.repositories.limited(ctx, source, OperationTags, "", func() error {
		for tag, err := range source.repository.Tags(ctx) {
			if err != nil {
				return err
			}
			if err := s.budget.take(int64(len(tag))); err != nil {
				return source.invalid(OperationTags, "", err)
			}
			if tags = append(tags, cmp.Or(tag, pullspec.DefaultTag)); len(tags) > maxListed {
				return source.invalid(OperationTags, "", fmt.Errorf("the repository has more than %d tags", maxListed))
			}
		}
		return nil
	})
	if err != nil {
		return nil, s.inTime(ctx, source.invalid(OperationTags, "", nil), err)
	}
	slices.Sort(tags)
	return pullspec.PrioritizeTags(slices.Compact(tags)), nil
}

// asked returns the answer to a question if the plan has it, in the spelling of q.
func (s *run) asked(q Question, answers []Answer) (Answer, bool) {
	for i, other := range s.plan.Questions {
		if other.Repository.Name() == q.Repository.Name() && other.Ref == q.Ref && other.Mode == q.Mode &&
			!other.Preferred {
			return answers[i].spelled(q.Spelling), true
		}
	}
	return Answer{}, false
}

// spelled returns an answer with another spelling of the repository.
func (a Answer) spelled(repository pullspec.Reference) Answer {
	respell := func(image *imagestream.Image) *imagestream.Image {
		c := *image
		if r, err := pullspec.Parse(image.DockerImageReference); err == nil {
			repository.ID = r.ID
			c.DockerImageReference = repository.Exact()
		}
		return &c
	}
	if a.Image != nil {
		a.Image = respell(a.Image)
	}
	a.Manifests = slices.Clone(a.Manifests)
	for i := range a.Manifests {
		a.Manifests[i] = *respell(&a.Manifests[i])
	}
	return a
}

// maxListed is how many tags a repository may have.
const maxListed = 100_000

// fetcher answers one question.
type fetcher struct {
	*run
	budget   *budget
	question Question
	sharing  bool // other questions for the repository may have the same answer
	// source is where the manifest is.
	source *opened
}

func (f *fetcher) answer(ctx context.Context) Answer {
	a, err := f.fromSources(ctx, f.question.Ref.Digest != "", f.fetch)
	if err != nil {
		asked := &RegistryError{Operation: OperationManifest, Repository: f.question.Repository.Name(),
			Reference: f.question.Ref.String()}
		return Answer{Err: f.inTime(ctx, asked, err)}
	}
	return a
}

// inTime returns err. If that is the end of the import's time, it returns a failure of what was asked.
func (s *run) inTime(ctx context.Context, asked *RegistryError, err error) error {
	if ctx.Err() == nil || !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	asked.Class, asked.Err = ClassUnavailable, fmt.Errorf("the import took longer than %v", s.opts.Bounds.Time)
	return asked
}

// fromSources asks the mirrors of the repository and then the repository, until one has the manifest. A later failure
// of that one is final.
func (f *fetcher) fromSources(
	ctx context.Context, byDigest bool, fetch func(context.Context) (Answer, bool, error),
) (Answer, error) {
	names, unusable := f.plan.options.Registries.Sources(f.question.Repository.Name(), byDigest)
	var failures []error
	for _, name := range names {
		source, err := f.repositories.named(ctx, name, f.question.Insecure)
		if err == nil {
			f.source = source
			var a Answer
			var has bool
			if a, has, err = fetch(ctx); err == nil || has {
				return a, err
			}
		}
		if ctx.Err() != nil {
			return Answer{}, err
		}
		failures = append(failures, err)
	}
	if len(failures) == 1 && unusable == nil {
		return Answer{}, failures[0]
	}
	return Answer{}, &sourcesError{f.question.String(), failures, unusable}
}

// sourcesError is the error of a manifest that neither a mirror nor the repository has; the failure of the repository
// is the last. Its status is an internal error, whatever the failures are, as in the real system.
type sourcesError struct {
	name     string
	failures []error
	unusable error // a mirror that gives no valid repository
}

func (e *sourcesError) Error() string {
	text := errors.Join(append(slices.Clone(e.failures), e.unusable)...).Error()
	return fmt.Sprintf("%s is neither in a mirror nor in its repository: %s", e.name,
		strings.ReplaceAll(text, "\n", "; "))
}

func (e *sourcesError) Unwrap() []error { return e.failures }

// fetch asks one source the question, and reports whether the source has the manifest.
func (f *fetcher) fetch(ctx context.Context) (a Answer, has bool, err error) {
	var m *manifest.Manifest
	if f.asksHead() && !f.source.noHead.Load() {
		if a, m, has = f.head(ctx); has && m == nil {
			return a, true, nil
		}
	}
	if m == nil {
		if m, err = f.manifest(ctx, f.question.Ref); err != nil {
			return Answer{}, false, err
		}
	}
	switch {
	case !m.IsList():
		a.Image, err = f.image(ctx, m)
	case f.question.Mode == imagestream.ImportModePreserveOriginal:
		a, err = f.list(ctx, m)
	default:
		a, err = f.choose(ctx, m, f.question.Platform)
	}
	return a, true, err
}

// asksHead reports whether to ask for the digest first: the image may be known, or another tag may have it.
func (f *fetcher) asksHead() bool {
	if f.opts.Refetch {
		return false
	}
	if d := f.question.Ref.Digest; d != "" {
		_, known := f.known(d)
		return known
	}
	return len(f.opts.Known) > 0 && !f.question.Texts || f.sharing
}

// head asks for the digest, and returns the known image, or the manifest by its digest. It returns no error, because
// the manifest is then read by its tag.
func (f *fetcher) head(ctx context.Context) (a Answer, m *manifest.Manifest, has bool) {
	var head ManifestHead
	err := f.repositories.limited(ctx, f.source, OperationHead, f.question.Ref.String(), func() (err error) {
		head, err = f.source.repository.Head(ctx, f.question.Ref)
		return err
	})
	var failure *RegistryError
	if err == nil && head.Digest == "" || errors.As(err, &failure) && failure.Class == ClassUnsupported {
		f.source.noHead.Store(true)
	}
	d := cmp.Or(f.question.Ref.Digest, head.Digest)
	if err != nil || d == "" {
		return Answer{}, nil, false
	}
	if a, ok := f.known(d); ok {
		return a, nil, true
	}
	m, err = f.manifest(ctx, Ref{Digest: d})
	return Answer{}, m, err == nil
}

// spelled returns an image with the pull spec of the question and a digest.
func (f *fetcher) spelled(image *imagestream.Image, d digest.Digest) *imagestream.Image {
	c := *image
	r := f.question.Spelling
	r.ID = d.String()
	c.DockerImageReference = r.Exact()
	return &c
}

// manifest reads a manifest from the source, by a digest once for all questions.
func (f *fetcher) manifest(ctx context.Context, ref Ref) (*manifest.Manifest, error) {
	return once(ctx, f.source, cacheKey{OperationManifest, ref.Digest}, func() (*manifest.Manifest, error) {
		var sent SentManifest
		err := f.repositories.limited(ctx, f.source, OperationManifest, ref.String(), func() (err error) {
			sent, err = f.source.repository.Manifest(ctx, ref)
			return err
		})
		if err != nil {
			return nil, err
		}
		if len(sent.Bytes) > maxManifest {
			return nil, f.invalid(OperationManifest, ref.String(),
				fmt.Errorf("the manifest has more than %d bytes", maxManifest))
		}
		if err := f.budget.take(int64(len(sent.Bytes))); err != nil {
			return nil, f.invalid(OperationManifest, ref.String(), err)
		}
		if ref.Digest != "" {
			if err := manifest.Verify(sent.MediaType, sent.Bytes, ref.Digest); err != nil {
				return nil, f.invalid(OperationManifest, ref.String(), err)
			}
		}
		m, err := manifest.Parse(sent.MediaType, sent.Bytes)
		if err != nil {
			return nil, f.invalid(OperationManifest, ref.String(), err)
		}
		return m, nil
	})
}

func (f *fetcher) invalid(op Operation, ref string, err error) error {
	return f.source.invalid(op, ref, err)
}
