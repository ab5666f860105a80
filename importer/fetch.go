package importer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/opencontainers/go-digest"
	"golang.org/x/sync/errgroup"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/tagevent"
)

const (
	defaultConcurrency = 8
	// maxConfig bounds an image's configuration, in bytes.
	maxConfig = 8 << 20
)

// Memo is what was chosen from manifest lists: the digest of the image, by the list's digest and the
// platform, "sha256:…/linux/amd64". It can be kept as JSON.
type Memo map[string]digest.Digest

func memoKey(list digest.Digest, p Platform) string {
	return list.String() + "/" + orElse(p.OS, "linux") + "/" + orElse(p.Architecture, "amd64")
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// Answer is what came of a [Question]: an image, or an error.
type Answer struct {
	// Image has its pull spec, as the question spells it.
	Image *imagestream.Image
	// Manifests are the images of a list that was kept.
	Manifests []imagestream.Image
	// Known tells that the image is one of the known ones, and was not fetched.
	Known bool
	// Chosen is what was taken from a manifest list.
	Chosen Memo
	Err    error
}

// Answers has one answer for each question of a plan.
type Answers []Answer

// FetchOptions say how a plan is fetched. The zero value is fine.
type FetchOptions struct {
	// Concurrency is how many questions are asked at a time; 0 is 8.
	Concurrency int
	// Known are images, by name, that need not be fetched if they are still the answer.
	Known map[string]*imagestream.Image
	// Memo is what was chosen from manifest lists before.
	Memo Memo
	// Now is the creation time of an image that stands for a list.
	Now   time.Time
	Trace *Trace
}

// Trace is told about an import. It may be nil, and so may each of its functions. They may be called from
// several goroutines at a time.
type Trace struct {
	// Planned is called once, before anything is asked.
	Planned func(questions int)
	// Answered is called for each question that is done.
	Answered func(q Question, a Answer)
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

// Fetch asks registry the questions of a plan. What a registry fails at is in the answers; an error is that
// of ctx.
func Fetch(ctx context.Context, registry Registry, plan *Plan, opts FetchOptions) (Answers, error) {
	opts.Trace.planned(len(plan.Questions))
	answers := make(Answers, len(plan.Questions))
	repositories := newRepositories(registry)
	limit := opts.Concurrency
	if limit <= 0 {
		limit = defaultConcurrency
	}
	var g errgroup.Group
	g.SetLimit(limit)
	for i, q := range plan.Questions {
		g.Go(func() error {
			f := fetcher{question: q, opts: &opts}
			a, err := f.answer(ctx, repositories)
			if err != nil {
				a = Answer{Err: err}
			}
			answers[i] = a
			opts.Trace.answered(q, a)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	return answers, ctx.Err()
}

type fetcher struct {
	question   Question
	opts       *FetchOptions
	repository Repository
}

func (f *fetcher) answer(ctx context.Context, repositories *repositories) (Answer, error) {
	var err error
	if f.repository, err = repositories.get(ctx, f.question); err != nil {
		return Answer{}, err
	}
	if f.mayBeKnown() {
		if a, ok := f.known(ctx); ok {
			return a, nil
		}
	}
	m, err := f.manifest(ctx, f.question.Ref)
	if err != nil {
		return Answer{}, err
	}
	switch {
	case !m.IsList():
		image, err := f.image(ctx, m)
		return Answer{Image: image}, err
	case f.question.Mode == imagestream.ImportModePreserveOriginal:
		return f.list(ctx, m)
	default:
		return f.choose(ctx, m)
	}
}

// mayBeKnown reports whether it is worth asking for the digest alone.
func (f *fetcher) mayBeKnown() bool { return len(f.opts.Known) > 0 }

// known asks for the digest, and returns the known image of it. Whatever goes wrong here goes wrong again, or
// right, when the manifest itself is asked for.
func (f *fetcher) known(ctx context.Context) (Answer, bool) {
	d := f.question.Ref.Digest
	if d == "" {
		head, err := f.repository.Head(ctx, f.question.Ref)
		if err != nil || head.Digest == "" {
			return Answer{}, false
		}
		d = head.Digest
	}
	if f.question.Mode != imagestream.ImportModePreserveOriginal {
		if chosen, ok := f.opts.Memo[memoKey(d, f.question.Platform)]; ok {
			d = chosen
		}
	}
	image := f.opts.Known[d.String()]
	if image == nil || f.question.Mode == imagestream.ImportModePreserveOriginal && len(image.DockerImageManifests) > 0 {
		return Answer{}, false
	}
	image = image.Clone()
	image.DockerImageReference = f.pullSpec(d)
	return Answer{Image: image, Known: true}, true
}

func (f *fetcher) pullSpec(d digest.Digest) string {
	r := f.question.Spelling
	r.ID = d.String()
	return r.Exact()
}

func (f *fetcher) manifest(ctx context.Context, ref Ref) (*manifest.Manifest, error) {
	sent, err := f.repository.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	if ref.Digest != "" {
		if got := ref.Digest.Algorithm().FromBytes(sent.Bytes); got != ref.Digest {
			return nil, f.invalid(OperationManifest, ref.String(), fmt.Errorf("the registry sent %s", got))
		}
	}
	m, err := manifest.Parse(sent.MediaType, sent.Bytes)
	if err != nil {
		return nil, f.invalid(OperationManifest, ref.String(), err)
	}
	return m, nil
}

func (f *fetcher) invalid(op Operation, ref string, err error) error {
	return &RegistryError{Operation: op, Class: ClassInvalid, Repository: f.question.Repository.Name(), Reference: ref, Err: err}
}

// image reads the configuration of m and returns its image.
func (f *fetcher) image(ctx context.Context, m *manifest.Manifest) (*imagestream.Image, error) {
	config, err := f.repository.Blob(ctx, m.Config.Digest, maxConfig)
	if err != nil {
		return nil, err
	}
	image, err := manifest.Image(m, config)
	if err != nil {
		return nil, f.invalid(OperationBlob, m.Config.Digest.String(), err)
	}
	image.DockerImageReference = f.pullSpec(m.Digest)
	return image, nil
}

// choose returns the image of a list for the platform.
func (f *fetcher) choose(ctx context.Context, list *manifest.Manifest) (Answer, error) {
	p := f.question.Platform
	child, ok := list.Select(manifest.Platform{Architecture: p.Architecture, OS: p.OS})
	if !ok {
		return Answer{}, f.invalid(OperationManifest, f.question.Ref.String(), errors.New("the manifest list is empty"))
	}
	chosen := Memo{memoKey(list.Digest, p): child.Digest}
	if image := f.opts.Known[child.Digest.String()]; image != nil {
		image = image.Clone()
		image.DockerImageReference = f.pullSpec(child.Digest)
		return Answer{Image: image, Known: true, Chosen: chosen}, nil
	}
	m, err := f.manifest(ctx, Ref{Digest: child.Digest})
	if err != nil {
		return Answer{}, err
	}
	if m.IsList() {
		return Answer{}, f.invalid(OperationManifest, child.Digest.String(), errors.New("a manifest list in a manifest list"))
	}
	image, err := f.image(ctx, m)
	return Answer{Image: image, Chosen: chosen}, err
}

// list returns the image that stands for a list, with all images of it. A list in the list counts as the
// image for the platform.
func (f *fetcher) list(ctx context.Context, list *manifest.Manifest) (Answer, error) {
	a := Answer{}
	for _, child := range list.Children {
		m, err := f.manifest(ctx, Ref{Digest: child.Digest})
		if err != nil {
			return Answer{}, err
		}
		var image *imagestream.Image
		if m.IsList() {
			var inner Answer
			inner, err = f.choose(ctx, m)
			image = inner.Image
		} else {
			image, err = f.image(ctx, m)
		}
		if err != nil {
			return Answer{}, err
		}
		image = image.Clone()
		image.DockerImageReference = f.pullSpec(child.Digest)
		a.Manifests = append(a.Manifests, *image)
	}
	image, err := manifest.ListImage(list, tagevent.TimeOf(f.opts.Now))
	if err != nil {
		return Answer{}, err
	}
	image.DockerImageReference = f.pullSpec(list.Digest)
	a.Image = image
	return a, nil
}
