package prune

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Objects are the image streams and images that a run changes.
//
// Errors are of the classes of package imagestream: ErrNotFound for what does not exist, ErrConflict for what
// somebody else has changed.
type Objects interface {
	// UpdateStatus calls change with a stream as it is stored, and writes the status, labels and annotations of
	// what it returns. If that is its argument, nothing need be written. After a conflict it may begin again,
	// as often as it likes. It returns the stream as it is stored then.
	UpdateStatus(ctx context.Context, key imagestream.Key,
		change func(old *imagestream.ImageStream) (*imagestream.ImageStream, error)) (*imagestream.ImageStream, error)
	// GetImage, ListImageStreams, UpdateImage and DeleteImage are those of an [imagestream.Store]. Only
	// Options.Safe calls the first three.
	GetImage(ctx context.Context, name string) (*imagestream.Image, error)
	ListImageStreams(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageStreamList, error)
	UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error)
	DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error
}

// Registry is where images are kept. Deleting an object that is gone is not an error.
//
// Names come from the cluster's objects, where they may be any text: an implementation that puts them into paths
// checks that namespace and name of a stream are path segments, and digests are digests.
type Registry interface {
	// DeleteLayerLink takes a layer, or a configuration, from the repository of a stream.
	DeleteLayerLink(ctx context.Context, stream imagestream.Key, digest string) error
	// DeleteManifestLink takes a manifest from the repository of a stream.
	DeleteManifestLink(ctx context.Context, stream imagestream.Key, digest string) error
	// DeleteBlob removes a blob: a layer, a configuration or a manifest. No repository has it any more.
	DeleteBlob(ctx context.Context, digest string) error
}

// Op is a kind of step.
type Op string

// The steps of a run.
const (
	UpdateStream       Op = "update stream"
	DeleteLayerLink    Op = "delete layer link"
	DeleteManifestLink Op = "delete manifest link"
	FinishStream       Op = "finish stream" // takes PruningAnnotation away
	MarkImage          Op = "mark image"    // writes PruningAnnotation
	DeleteBlob         Op = "delete blob"
	DeleteImage        Op = "delete image"
)

// Step is one thing that a run does.
type Step struct {
	Op Op
	// Stream is whose status, or whose repository, changes.
	Stream imagestream.Key
	// Digest is the layer, manifest, blob or image.
	Digest string
	// Events is how many of them an update removes.
	Events int
}

// String returns the step with what it is about.
func (s Step) String() string {
	text := string(s.Op)
	if s.Stream != (imagestream.Key{}) {
		text += " " + s.Stream.String()
	}
	if s.Digest != "" {
		text += " " + s.Digest
	}
	return text
}

// Steps yields what a run does if nothing fails and nobody else writes meanwhile, in its order.
func (p *Plan) Steps() iter.Seq[Step] {
	return func(yield func(Step) bool) {
		for at := range p.Streams {
			for _, step := range p.streamSteps(&p.Streams[at]) {
				if !yield(step) {
					return
				}
			}
		}
		for _, image := range removals(p.Images) {
			for _, step := range p.imageSteps(image) {
				if !yield(step) {
					return
				}
			}
		}
	}
}

func (p *Plan) streamSteps(s *StreamPlan) (steps []Step) {
	for _, r := range s.rounds {
		var update, layers, manifests []Step
		if r.next != nil {
			update = []Step{{Op: UpdateStream, Stream: s.Stream, Events: r.removed}}
		}
		for _, l := range r.links.layers {
			layers = append(layers, Step{Op: DeleteLayerLink, Stream: s.Stream, Digest: l})
		}
		for _, m := range r.links.manifests {
			manifests = append(manifests, Step{Op: DeleteManifestLink, Stream: s.Stream, Digest: m})
		}
		if p.opts.Safe {
			steps = slices.Concat(steps, update, manifests, layers)
		} else {
			steps = slices.Concat(steps, layers, update, manifests)
		}
		if r.finish {
			steps = append(steps, Step{Op: FinishStream, Stream: s.Stream})
		}
	}
	return steps
}

func (p *Plan) imageSteps(i *ImagePlan) (steps []Step) {
	if p.opts.Safe && !p.opts.KeepRegistry && !i.image.marked() {
		steps = append(steps, Step{Op: MarkImage, Digest: i.Name})
	}
	for _, b := range i.Blobs {
		steps = append(steps, Step{Op: DeleteBlob, Digest: b})
	}
	return append(steps, Step{Op: DeleteImage, Digest: i.Name})
}

// removals returns the images that go, in the order of removal.
func removals(plans []ImagePlan) []*ImagePlan {
	var order []*ImagePlan
	for at := range plans {
		if plans[at].Remove {
			order = append(order, &plans[at])
		}
	}
	slices.SortFunc(order, func(a, b *ImagePlan) int { return a.turn - b.turn })
	return order
}

// Result is what a run did.
type Result struct {
	// Done counts the steps that succeeded.
	Done map[Op]int
	// Events is how many events were removed.
	Events int
	// Freed is how many bytes of blobs were removed, as far as their sizes are known.
	Freed int64
	// Errors are what failed, in order. What does not depend on it was done all the same.
	Errors []error
}

// maxShownErrors is how many errors stand in a text.
const maxShownErrors = 10

// Err returns the first errors as one, and how many more there are; nil if there are none.
func (r *Result) Err() error {
	shown := slices.Clone(r.Errors[:min(len(r.Errors), maxShownErrors)])
	if more := len(r.Errors) - len(shown); more > 0 {
		shown = append(shown, fmt.Errorf("and %d more", more))
	}
	return errors.Join(shown...)
}

// Trace is called while a run goes on. Nil members are not called.
type Trace struct {
	// Step is called after every step, with its error.
	Step func(step Step, err error)
}

// Run removes what the plan says. Streams are read anew, and decided about anew; what becomes of images is
// decided anew when all streams are done. It goes on after an error, as far as that is safe, and ends when ctx
// does. A nil Trace is none.
//
// A run that was interrupted is continued by a new plan and its run.
func (p *Plan) Run(ctx context.Context, objects Objects, registry Registry, trace *Trace) *Result {
	r := &run{
		cluster: p.cluster, planned: p.cluster, ctx: ctx, objects: objects, registry: registry, trace: trace,
		result: &Result{Done: map[Op]int{}},
	}
	if p.opts.Safe {
		r.runSafely()
	} else {
		r.run()
	}
	err := ctx.Err()
	told := func(e error) bool { return errors.Is(e, err) }
	if err != nil && !slices.ContainsFunc(r.result.Errors, told) {
		r.fail(err)
	}
	return r.result
}

type run struct {
	*cluster          // what is known: what the plan knows, and what was met since
	planned  *cluster // what the plan knows
	ctx      context.Context
	objects  Objects
	registry Registry
	trace    *Trace
	result   *Result
}

func (r *run) fail(err error) { r.result.Errors = append(r.result.Errors, err) }

// do counts a step that was taken, or keeps its error.
func (r *run) do(step Step, err error) bool {
	if r.trace != nil && r.trace.Step != nil {
		r.trace.Step(step, err)
	}
	if err != nil {
		r.fail(fmt.Errorf("%s: %w", step, err))
		return false
	}
	r.result.Done[step.Op]++
	r.result.Events += step.Events
	return true
}

func (r *run) deleteLayerLink(s imagestream.Key, digest string) bool {
	return r.do(Step{Op: DeleteLayerLink, Stream: s, Digest: digest}, r.registry.DeleteLayerLink(r.ctx, s, digest))
}

func (r *run) deleteManifestLink(s imagestream.Key, digest string) bool {
	return r.do(Step{Op: DeleteManifestLink, Stream: s, Digest: digest}, r.registry.DeleteManifestLink(r.ctx, s, digest))
}

func (r *run) deleteBlob(digest string) bool {
	return r.do(Step{Op: DeleteBlob, Digest: digest}, r.registry.DeleteBlob(r.ctx, digest))
}

// run is the real system's.
func (r *run) run() {
	var left []*imagestream.ImageStream
	for _, s := range r.streams {
		if r.ctx.Err() != nil {
			return
		}
		if s := r.stream(s); s != nil {
			left = append(left, s)
		}
	}
	if name := r.blocked(); name != "" {
		r.fail(fmt.Errorf("image %s has no metadata: no image is removed", name))
		return
	}
	for _, p := range removals(r.planImages(left, nil)) {
		if r.ctx.Err() != nil {
			return
		}
		r.image(p)
	}
}

// stream prunes a stream and returns what the decision about images goes by: nil if it is gone. A stream whose
// update failed counts as pruned. See conformance cases prune-v0034 to prune-v0036.
func (r *run) stream(s *imagestream.ImageStream) *imagestream.ImageStream {
	if r.stays(s) {
		return s
	}
	key := s.Key()
	var last round
	unlinked := map[string]bool{}
	_, err := r.objects.UpdateStatus(r.ctx, key, func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		s = old
		if last = r.decide(old); last.next == nil {
			return old, nil
		}
		for _, l := range last.links.layers {
			if !unlinked[l] {
				unlinked[l] = r.deleteLayerLink(key, l)
			}
		}
		return last.next, nil
	})
	if last.next == nil {
		if errors.Is(err, imagestream.ErrNotFound) {
			return nil
		}
		if err != nil {
			r.fail(fmt.Errorf("read image stream %s: %w", key, err))
		}
		return s
	}
	step := Step{Op: UpdateStream, Stream: key, Events: last.removed}
	if errors.Is(err, imagestream.ErrNotFound) {
		r.do(step, nil)
		return nil
	}
	if r.do(step, err) {
		for _, m := range last.links.manifests {
			r.deleteManifestLink(key, m)
		}
	}
	return last.next
}

// image removes an image with its blobs. It stays if none of them could be deleted. See conformance cases
// prune-v0037 to prune-v0039.
func (r *run) image(p *ImagePlan) {
	var deleted []string
	for _, b := range p.Blobs {
		if r.deleteBlob(b) {
			deleted = append(deleted, b)
		}
	}
	r.result.Freed += p.image.bytesOf(deleted)
	if len(p.Blobs) == 0 || len(deleted) > 0 {
		r.deleteImage(p.Name, imagestream.Preconditions{})
	}
}

// deleteImage deletes an image. One that is gone is not an error, and is not counted.
func (r *run) deleteImage(name string, only imagestream.Preconditions) bool {
	err := r.objects.DeleteImage(r.ctx, name, only)
	if errors.Is(err, imagestream.ErrNotFound) {
		return true
	}
	return r.do(Step{Op: DeleteImage, Digest: name}, err)
}

// runSafely is run under Options.Safe.
func (r *run) runSafely() {
	for _, s := range r.streams {
		if r.ctx.Err() != nil {
			return
		}
		if !r.stays(s) {
			r.streamSafely(s)
		}
	}
	if r.opts.Namespace != "" || r.ctx.Err() != nil {
		return
	}
	plans, err := r.planAgain()
	if err != nil {
		r.fail(fmt.Errorf("no image is removed: %w", err))
		return
	}
	sweep := r.newSweep()
	needed := map[string]bool{} // images of lists that had to stay
	for _, p := range removals(plans) {
		if r.ctx.Err() != nil {
			return
		}
		if needed[p.Name] || sweep.doubtful(p.image) || !r.imageSafely(p, sweep) {
			for _, m := range p.image.DockerImageManifests {
				needed[m.Digest] = true
			}
		}
	}
}

// maxRounds ends a run on a store that forgets what is written.
const maxRounds = 1000

func (r *run) streamSafely(listed *imagestream.ImageStream) {
	key := listed.Key()
	for range maxRounds {
		var last round
		change := func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if err := r.learn(old); err != nil {
				return nil, err
			}
			if last = r.decideSafely(old, listed); last.next == nil {
				return old, nil
			}
			return last.next, nil
		}
		stored, err := r.objects.UpdateStatus(r.ctx, key, change)
		switch {
		case errors.Is(err, imagestream.ErrNotFound):
			return
		case last.next != nil && !r.do(Step{Op: UpdateStream, Stream: key, Events: last.removed}, err):
			return
		case err != nil:
			r.fail(fmt.Errorf("read image stream %s: %w", key, err))
			return
		}
		if !r.opts.KeepRegistry && !r.unlink(stored) || !last.more {
			return
		}
	}
}

// unlink deletes the links of the images that stand in the annotation of s, and takes them from there.
func (r *run) unlink(s *imagestream.ImageStream) bool {
	images := pending(s)
	if len(images) == 0 {
		return true
	}
	ok := true
	links := r.pendingLinks(s)
	for _, m := range links.manifests {
		ok = r.ctx.Err() == nil && r.deleteManifestLink(s.Key(), m) && ok
	}
	for _, l := range links.layers {
		ok = r.ctx.Err() == nil && r.deleteLayerLink(s.Key(), l) && ok
	}
	if !ok {
		return false
	}
	_, err := r.objects.UpdateStatus(r.ctx, s.Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		return withoutPending(old, images), nil
	})
	return r.do(Step{Op: FinishStream, Stream: s.Key()}, err)
}

// planAgain decides about images by the streams as they are now.
func (r *run) planAgain() ([]ImagePlan, error) {
	var streams []*imagestream.ImageStream
	for opts := (imagestream.ListOptions{}); ; {
		page, err := r.objects.ListImageStreams(r.ctx, opts)
		if err != nil {
			return nil, fmt.Errorf("list image streams: %w", err)
		}
		for at := range page.Items {
			streams = append(streams, &page.Items[at])
		}
		if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
			break
		}
	}
	if err := r.learn(streams...); err != nil {
		return nil, err
	}
	now := newUses(true, r.used.start)
	for _, s := range streams {
		now.addStream(s)
	}
	for id, by := range r.used.anywhere {
		now.note(now.anywhere, id, by)
	}
	return r.planImages(streams, now.anywhere), nil
}

// imageSafely marks an image, deletes the blobs that no other image has, then the image. It reports whether
// nothing can need the images of its list any more.
func (r *run) imageSafely(p *ImagePlan, sweep *sweep) bool {
	stored := p.image.Image
	if !r.opts.KeepRegistry && !p.image.marked() {
		marked := *stored
		marked.Metadata.Annotations = maps.Clone(stored.Metadata.Annotations)
		if marked.Metadata.Annotations == nil {
			marked.Metadata.Annotations = map[string]string{}
		}
		marked.Metadata.Annotations[PruningAnnotation] = r.now.String()
		var err error
		if stored, err = r.objects.UpdateImage(r.ctx, &marked); errors.Is(err, imagestream.ErrNotFound) {
			stored = p.image.Image
		} else if !r.do(Step{Op: MarkImage, Digest: p.Name}, err) {
			return false
		}
	}
	if !r.opts.KeepRegistry {
		var deleted []string
		blobs := sweep.last(p.image)
		for _, b := range blobs {
			if r.ctx.Err() == nil && r.deleteBlob(r.blobs[b]) {
				deleted = append(deleted, r.blobs[b])
			}
		}
		r.result.Freed += p.image.bytesOf(deleted)
		if len(deleted) < len(blobs) {
			return true
		}
	}
	if !r.deleteImage(p.Name, imagestream.Preconditions{ResourceVersion: stored.Metadata.ResourceVersion}) {
		if r.opts.KeepRegistry {
			return false
		}
		sweep.doubt(p.image)
		return true
	}
	sweep.gone(p.image)
	return true
}
