package polite

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/importer"
)

// Recorded is an answer of a repository, in a form that JSON can keep. It has no credentials.
type Recorded struct {
	Request
	Tags     []string               `json:",omitempty"`
	Head     *importer.ManifestHead `json:",omitempty"`
	Manifest *importer.SentManifest `json:",omitempty"`
	Blob     []byte                 `json:",omitempty"`
	Size     int64                  `json:",omitempty"`
	// Failure is the failure without its cause, and Cause the text of the cause.
	Failure *importer.RegistryError `json:",omitempty"`
	Cause   string                  `json:",omitempty"`
}

func (a *Recorded) fail(err error) bool {
	var failure *importer.RegistryError
	if !errors.As(err, &failure) {
		return false
	}
	f := *failure
	if f.Err != nil {
		a.Cause, f.Err = f.Err.Error(), nil
	}
	a.Failure = &f
	return true
}

func (a *Recorded) err() error {
	if a.Failure == nil {
		return nil
	}
	f := *a.Failure
	if a.Cause != "" {
		f.Err = errors.New(a.Cause)
	}
	return &f
}

// Recorder records the answers of a registry. It is safe for concurrent use.
type Recorder struct {
	Registry importer.Registry

	mu      sync.Mutex
	answers []Recorded
}

// Answers returns the answers so far, in order.
func (r *Recorder) Answers() []Recorded {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]Recorded(nil), r.answers...)
}

func (r *Recorder) note(a Recorded, err error) {
	if err != nil && !a.fail(err) {
		return // a context that ended is not an answer
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answers = append(r.answers, a)
}

// Repository implements [importer.Registry].
func (r *Recorder) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	repository, err := r.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	return &recorded{repository, name, r}, nil
}

type recorded struct {
	importer.Repository
	name     reference.Named
	recorder *Recorder
}

func (r *recorded) answer(op importer.Operation, ref string) Recorded {
	return Recorded{Request: Request{reference.Domain(r.name), r.name.Name(), op, ref}}
}

func (r *recorded) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		a := r.answer(importer.OperationTags, "")
		var failure error
		defer func() { r.recorder.note(a, failure) }()
		for tag, err := range r.Repository.Tags(ctx) {
			if err == nil {
				a.Tags = append(a.Tags, tag)
			}
			failure = err
			if !yield(tag, err) {
				return
			}
		}
	}
}

func (r *recorded) Head(ctx context.Context, ref importer.Ref) (importer.ManifestHead, error) {
	head, err := r.Repository.Head(ctx, ref)
	a := r.answer(importer.OperationHead, ref.String())
	a.Head = &head
	r.recorder.note(a, err)
	return head, err
}

func (r *recorded) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	m, err := r.Repository.Manifest(ctx, ref)
	a := r.answer(importer.OperationManifest, ref.String())
	a.Manifest = &m
	r.recorder.note(a, err)
	return m, err
}

func (r *recorded) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	blob, err := r.Repository.Blob(ctx, d, limit)
	a := r.answer(importer.OperationBlob, d.String())
	a.Blob = blob
	r.recorder.note(a, err)
	return blob, err
}

func (r *recorded) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	size, err := r.Repository.BlobSize(ctx, d)
	a := r.answer(importer.OperationBlobSize, d.String())
	a.Size = size
	r.recorder.note(a, err)
	return size, err
}

// Replay returns a registry that repeats recorded answers. If a request was recorded several times, its answers come
// in that order, and the last one from then on. A request that was not recorded fails with class ClassUnsupported.
// The registry is safe for concurrent use.
func Replay(answers []Recorded) importer.Registry {
	p := &replay{answers: map[Request][]Recorded{}}
	for _, a := range answers {
		p.answers[a.Request] = append(p.answers[a.Request], a)
	}
	return p
}

type replay struct {
	mu      sync.Mutex
	answers map[Request][]Recorded
}

func (p *replay) Repository(ctx context.Context, name reference.Named, _ importer.Access) (importer.Repository, error) {
	return &replayed{p, name}, ctx.Err()
}

type replayed struct {
	replay *replay
	name   reference.Named
}

// next returns the next answer to a request.
func (r *replayed) next(ctx context.Context, op importer.Operation, ref string) (Recorded, error) {
	if err := ctx.Err(); err != nil {
		return Recorded{}, err
	}
	request := Request{reference.Domain(r.name), r.name.Name(), op, ref}
	r.replay.mu.Lock()
	defer r.replay.mu.Unlock()
	list := r.replay.answers[request]
	if len(list) == 0 {
		return Recorded{}, &importer.RegistryError{
			Operation: op, Class: importer.ClassUnsupported, Repository: r.name.Name(), Reference: ref,
			Err: fmt.Errorf("the recorded session does not have this request"),
		}
	}
	if len(list) > 1 {
		r.replay.answers[request] = list[1:]
	}
	return list[0], list[0].err()
}

func (r *replayed) Tags(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		a, err := r.next(ctx, importer.OperationTags, "")
		for _, tag := range a.Tags {
			if !yield(tag, nil) {
				return
			}
		}
		if err != nil {
			yield("", err)
		}
	}
}

func (r *replayed) Head(ctx context.Context, ref importer.Ref) (importer.ManifestHead, error) {
	a, err := r.next(ctx, importer.OperationHead, ref.String())
	if err != nil {
		return importer.ManifestHead{}, err
	}
	return *a.Head, nil
}

func (r *replayed) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	a, err := r.next(ctx, importer.OperationManifest, ref.String())
	if err != nil {
		return importer.SentManifest{}, err
	}
	return *a.Manifest, nil
}

func (r *replayed) Blob(ctx context.Context, d digest.Digest, limit int64) ([]byte, error) {
	a, err := r.next(ctx, importer.OperationBlob, d.String())
	if err == nil && int64(len(a.Blob)) > limit {
		err = &importer.RegistryError{
			Operation: importer.OperationBlob, Class: importer.ClassInvalid, Repository: r.name.Name(),
			Reference: d.String(), Err: fmt.Errorf("the blob has more than %d bytes", limit),
		}
	}
	return a.Blob, err
}

func (r *replayed) BlobSize(ctx context.Context, d digest.Digest) (int64, error) {
	a, err := r.next(ctx, importer.OperationBlobSize, d.String())
	return a.Size, err
}
