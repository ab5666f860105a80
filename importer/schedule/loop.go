package schedule

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// Loop keeps the streams of a store imported, as a cluster's controllers do: what a stream waits for at once, when it is created
// or changes, and its scheduled tags by a [Scheduler]. Only Importer must be set.
type Loop struct {
	// Importer imports, into the streams of its Writer's Store. Its Writer's clock must go as time does.
	Importer *importer.Importer
	// Options are those of the Scheduler.
	Options Options
	// Namespace is that of the streams; "" is all.
	Namespace string
	// Workers is how many streams are imported at a time; 0 is 4. Each makes as many requests at a time as the Importer says; a
	// polite.Limit around its Registry holds what all of them make to a host.
	Workers int
	// Imported, if not nil, is called after each import, one at a time: done is its answer, nil after an error of the store.
	Imported func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error)
}

const (
	defaultWorkers = 4
	// atOnce is how many tags are handed out at once: those of one stream are imported together.
	atOnce = 64
)

// Run goes on until ctx ends, whose error it returns, or the store fails to list its streams. Nothing of it is left then.
func (l *Loop) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	r := &running{
		Loop: l, scheduler: New(l.Options), streams: map[imagestream.Key]*imagestream.ImageStream{}, waiting: map[imagestream.Key]time.Time{},
		busy: map[imagestream.Key]bool{}, changes: make(chan change), results: make(chan result), free: cmp.Or(max(l.Workers, 0), defaultWorkers),
	}
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	failed := make(chan error, 1)
	all.Go(func() { failed <- r.watch(ctx) })
	for {
		r.start(ctx, &all)
		timer := time.NewTimer(r.pause())
		select {
		case err := <-failed:
			timer.Stop()
			return err
		case c := <-r.changes:
			r.changed(c)
		case done := <-r.results:
			r.imported(done)
		case <-timer.C:
		}
		timer.Stop()
	}
}

// running is a loop that runs. All but watch and work is done by one goroutine.
type running struct {
	*Loop
	scheduler *Scheduler
	streams   map[imagestream.Key]*imagestream.ImageStream
	waiting   map[imagestream.Key]time.Time // streams that need an import, and from when on it is tried
	busy      map[imagestream.Key]bool      // those whose needs are being imported
	changes   chan change
	results   chan result
	turns     []Turn // handed out, and not begun
	free      int
}

// change is a stream that was written, or all that there are.
type change struct {
	key    imagestream.Key
	stream *imagestream.ImageStream // nil if it is gone
	all    map[imagestream.Key]*imagestream.ImageStream
}

// job is an import: of a turn, or of what a stream needs.
type job struct {
	key    imagestream.Key
	turn   Turn
	needed bool
	imp    *imagestream.ImageStreamImport
}

// result is what came of a job.
type result struct {
	job
	done *imagestream.ImageStreamImport
	errs map[string]error // of the registries, by their words
	err  error
}

func (r *running) now() time.Time {
	if now := r.Importer.Engine.Now; now != nil {
		return now()
	}
	return time.Now()
}

// watch tells all changes: first all that there is, and again when it was too slow.
func (r *running) watch(ctx context.Context) error {
	for {
		version, err := r.list(ctx)
		if err != nil {
			return cmp.Or(ctx.Err(), err)
		}
		opts := imagestream.WatchOptions{Namespace: r.Namespace, ResourceVersion: version}
		for c, err := range r.Importer.Engine.Store.WatchImageStreams(ctx, opts) {
			if err != nil {
				break
			}
			told := change{key: c.Object.Key(), stream: c.Object}
			switch c.Type {
			case imagestream.Deleted:
				told.stream = nil
			case imagestream.Added, imagestream.Modified:
			default:
				continue
			}
			if !r.tell(ctx, told) {
				break
			}
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *running) list(ctx context.Context) (version string, err error) {
	all := map[imagestream.Key]*imagestream.ImageStream{}
	opts := imagestream.ListOptions{Namespace: r.Namespace}
	for {
		page, err := r.Importer.Engine.Store.ListImageStreams(ctx, opts)
		if err != nil {
			return "", err
		}
		for i := range page.Items {
			all[page.Items[i].Key()] = &page.Items[i]
		}
		if opts.Continue = page.Metadata.Continue; opts.Continue == "" {
			r.tell(ctx, change{all: all})
			return page.Metadata.ResourceVersion, nil
		}
	}
}

func (r *running) tell(ctx context.Context, c change) bool {
	select {
	case r.changes <- c:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *running) changed(c change) {
	if c.all == nil {
		r.set(c.key, c.stream)
		return
	}
	for key := range r.streams {
		if c.all[key] == nil {
			r.set(key, nil)
		}
	}
	for key, stream := range c.all {
		r.set(key, stream)
	}
}

// set takes in what a stream is now, nil if it is gone.
func (r *running) set(key imagestream.Key, stream *imagestream.ImageStream) {
	if stream == nil {
		delete(r.streams, key)
		delete(r.waiting, key)
		r.scheduler.Remove(key)
		return
	}
	r.streams[key] = stream
	r.scheduler.Set(stream, r.now())
	if importer.NeedsImport(stream).Import == nil {
		delete(r.waiting, key)
	} else if _, ok := r.waiting[key]; !ok {
		r.waiting[key] = r.now()
	}
}

// start starts imports, as many as there are workers free.
func (r *running) start(ctx context.Context, all *sync.WaitGroup) {
	for r.free > 0 {
		j, ok := r.next()
		if !ok {
			return
		}
		r.free--
		all.Go(func() { r.work(ctx, j) })
	}
}

// next returns the next import: what a stream waits for comes before what is scheduled.
func (r *running) next() (job, bool) {
	now := r.now()
	var first imagestream.Key
	found := false
	for key, from := range r.waiting {
		if !r.busy[key] && !from.After(now) && (!found || key.Compare(first) < 0) {
			first, found = key, true
		}
	}
	if found {
		r.busy[first] = true
		delete(r.waiting, first)
		need := importer.NeedsImport(r.streams[first]).Import
		need.Metadata.ResourceVersion = "" // whatever it has become
		return job{key: first, needed: true, imp: need}, true
	}
	if len(r.turns) == 0 {
		r.turns = r.scheduler.Due(now, atOnce)
	}
	for len(r.turns) > 0 {
		turn := r.turns[0]
		r.turns = r.turns[1:]
		if stream := r.streams[turn.Stream]; stream != nil {
			if imp := turn.Import(stream); imp != nil {
				return job{key: turn.Stream, turn: turn, imp: imp}, true
			}
		}
	}
	return job{}, false
}

// work imports.
func (r *running) work(ctx context.Context, j job) {
	var mu sync.Mutex
	res := result{job: j, errs: map[string]error{}}
	trace := &importer.Trace{Answered: func(_ importer.Question, a importer.Answer) {
		if a.Err != nil {
			mu.Lock()
			defer mu.Unlock()
			res.errs[a.Err.Error()] = a.Err
		}
	}}
	res.done, res.err = r.Importer.Import(importer.WithTrace(ctx, trace), j.imp)
	select {
	case r.results <- res:
	case <-ctx.Done():
	}
}

// imported takes in what came of an import.
func (r *running) imported(res result) {
	r.free++
	now := r.now()
	if res.needed {
		delete(r.busy, res.key)
		if stream := r.streams[res.key]; stream != nil && res.err != nil && !errors.Is(res.err, imagestream.ErrInvalid) {
			r.waiting[res.key] = now.Add(firstRetry)
		}
	}
	for _, tag := range res.turn.Tags {
		r.scheduler.Done(res.key, tag, res.failure(tag), now)
	}
	if r.Imported != nil {
		r.Imported(res.key, res.done, res.err)
	}
}

// failure returns why a tag was not imported, nil if it was.
func (res *result) failure(tag string) error {
	if res.err != nil {
		return res.err
	}
	for i, image := range res.imp.Spec.Images {
		if image.To.Name != tag {
			continue
		}
		if s := res.done.Status.Images[i].Status; s.Status != imagestream.StatusSuccess {
			return cmp.Or(res.errs[s.Message], importer.ErrFailed)
		}
	}
	return nil
}

// pause returns how long nothing is to be done.
func (r *running) pause() time.Duration {
	const longest = time.Hour
	if r.free == 0 {
		return longest
	}
	now := r.now()
	pause := longest
	if next, ok := r.scheduler.Next(); ok {
		pause = min(pause, next.Sub(now))
	}
	for key, from := range r.waiting {
		if !r.busy[key] {
			pause = min(pause, from.Sub(now))
		}
	}
	return max(pause, 0)
}
