package apiserver

import (
	"context"
	"errors"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// bookmarkInterval is how often a watch says where it stands, if it has passed changes that it did not report.
const bookmarkInterval = time.Minute

type watching[T, L openshift.Theirs, O, OL openshift.Ours] struct {
	resource[T]
	list   rest.Lister[OL]
	verbs  rest.Watcher[O]
	items  func(*OL) (items []O, version string)
	shared *shared[T, O]
	// ended ends every watch when the server shuts down.
	ended context.Context
}

// Watch reports until it is stopped, ctx ends or the server shuts down. A failure is its last event.
func (s watching[T, L, O, OL]) Watch(ctx context.Context, opts *metainternal.ListOptions) (watch.Interface, error) {
	chosen, err := s.listOptions(ctx, opts)
	if err != nil {
		return nil, err
	}
	chosen.Limit, chosen.Continue = 0, ""
	ctx, cancel := context.WithCancel(ctx)
	release := context.AfterFunc(s.ended, cancel)
	w := &running{events: make(chan watch.Event), stop: cancel, ctx: ctx, bookmarks: opts.AllowWatchBookmarks}
	if w.bookmarks {
		go w.bookmark(s.New, bookmarkInterval)
	}
	go func() {
		defer release()
		defer w.end()
		if err := s.report(w, chosen, opts); err != nil && ctx.Err() == nil {
			w.send(watch.Error, statusOf(err))
		}
	}()
	return w, nil
}

// running is a watch. Its goroutines end with its context.
type running struct {
	events    chan watch.Event
	stop      context.CancelFunc
	ctx       context.Context
	bookmarks bool

	mu sync.Mutex
	// reached is the version of the last change that the watch has passed, told the last that its client knows.
	reached, told string
	over          bool
}

func (w *running) ResultChan() <-chan watch.Event { return w.events }

// Stop ends the watch, and waits for nothing.
func (w *running) Stop() { w.stop() }

// end closes the channel when nobody sends.
func (w *running) end() {
	w.stop()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	close(w.events)
}

// send returns whether anybody still watches.
func (w *running) send(what watch.EventType, object runtime.Object) bool {
	select {
	case w.events <- watch.Event{Type: what, Object: object}:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// pass sends a change, unless it is none of this watch, and remembers its version.
func (w *running) pass(what watch.EventType, object runtime.Object, version string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.reached = version; object == nil {
		return true
	}
	w.told = version
	return w.send(what, object)
}

// bookmark tells a client now and then which version the watch has reached.
func (w *running) bookmark(empty func() runtime.Object, every time.Duration) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-ticker.C:
		}
		w.mu.Lock()
		if w.reached != w.told && !w.over {
			w.told = w.reached
			w.send(watch.Bookmark, bookmarkOf(empty(), w.reached))
		}
		w.mu.Unlock()
	}
}

func bookmarkOf(object runtime.Object, version string) runtime.Object {
	object.(metav1.Object).SetResourceVersion(version)
	return object
}

// report sends the events of a watch until it ends.
func (s watching[T, L, O, OL]) report(w *running, chosen rest.ListOptions, opts *metainternal.ListOptions) error {
	from := opts.ResourceVersion
	if from == "0" {
		from = ""
	}
	if initial := opts.SendInitialEvents; initial != nil && (*initial || from == "") {
		version, err := s.begin(w, chosen, *initial)
		if err != nil {
			return err
		}
		from = version
	}
	which := rest.WatchOptions{
		Namespace: chosen.Namespace, Labels: chosen.Labels, Fields: chosen.Fields, ResourceVersion: from,
	}
	only := ""
	if w.bookmarks && from != "" && chosen.Labels.IsEmpty() && chosen.Fields == "" {
		only, which.Namespace = chosen.Namespace, "" // what it skips says how far the watch is
	}
	for change, err := range s.verbs.Watch(w.ctx, which) {
		if err != nil {
			return err
		}
		m := *metaOf(change.Object)
		var object runtime.Object
		if change.Type != imagestream.Bookmark && (only == "" || m.Namespace == only) {
			object = s.shared.of(change, time.Now())
		}
		if !w.pass(watch.EventType(change.Type), object, m.ResourceVersion) {
			return nil
		}
	}
	return nil
}

// begin returns the version that a watch goes on from which asks for initial events, or for none, and sends them.
func (s watching[T, L, O, OL]) begin(w *running, chosen rest.ListOptions, initial bool) (string, error) {
	list, err := s.list.List(w.ctx, chosen)
	if err != nil {
		return "", err
	}
	items, version := s.items(list)
	if !initial {
		return version, nil
	}
	for i := range items {
		if !w.send(watch.Added, objectOf(openshift.ToAPI[T](&items[i]))) {
			return version, nil
		}
	}
	if w.bookmarks {
		end := bookmarkOf(s.New(), version)
		end.(metav1.Object).SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
		w.pass(watch.Bookmark, end, version)
	}
	return version, nil
}

// statusOf returns a failure as the last event of a watch has it.
func statusOf(err error) *metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(openshift.Error(err), &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	return &status
}
