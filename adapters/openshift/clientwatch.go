package openshift

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// Watch reports until it is stopped, ctx ends or the time of the request is over. A failure is its last event.
func (c objects[T, L, O, OL, C]) Watch(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	opts.Watch = true
	chosen, err := c.listing.listOptions(opts)
	if err != nil {
		return nil, err
	}
	chosen.Limit, chosen.Continue = 0, ""
	ctx, cancel := within(ctx, opts.TimeoutSeconds)
	w := &clientWatch{events: make(chan watch.Event), stop: cancel, ctx: ctx, bookmarks: opts.AllowWatchBookmarks}
	go func() {
		defer cancel()
		defer close(w.events)
		if err := c.report(w, chosen, opts); err != nil && ctx.Err() == nil {
			w.send(watch.Error, statusObject(err))
		}
	}()
	return w, nil
}

// clientWatch is a running watch. Its goroutine ends with its context.
type clientWatch struct {
	events    chan watch.Event
	stop      context.CancelFunc
	ctx       context.Context
	bookmarks bool
}

func (w *clientWatch) ResultChan() <-chan watch.Event { return w.events }

// Stop ends the watch, and waits for nothing.
func (w *clientWatch) Stop() { w.stop() }

// send returns whether anybody still watches.
func (w *clientWatch) send(what watch.EventType, object runtime.Object) bool {
	if what == watch.Bookmark && !w.bookmarks {
		return true
	}
	select {
	case w.events <- watch.Event{Type: what, Object: object}:
		return true
	case <-w.ctx.Done():
		return false
	}
}

// report sends the events of a watch until it ends.
func (c objects[T, L, O, OL, C]) report(w *clientWatch, chosen rest.ListOptions, opts metav1.ListOptions) error {
	from := opts.ResourceVersion
	if from == "0" {
		from = ""
	}
	if initial := opts.SendInitialEvents; initial != nil && (*initial || from == "") {
		version, err := c.begin(w, chosen, *initial)
		if err != nil {
			return err
		}
		from = version
	}
	watchOptions := rest.WatchOptions{
		Namespace: chosen.Namespace, Labels: chosen.Labels, Fields: chosen.Fields, ResourceVersion: from,
	}
	for change, err := range c.watch.Watch(w.ctx, watchOptions) {
		if err != nil {
			return err
		}
		object, err := returned[T](change.Object, nil)
		if err != nil || !w.send(watch.EventType(change.Type), any(object).(runtime.Object)) {
			return err
		}
	}
	return nil
}

// begin returns the version that a watch goes on from which asks for initial events, or for none, and sends them.
func (c objects[T, L, O, OL, C]) begin(w *clientWatch, chosen rest.ListOptions, initial bool) (string, error) {
	list, err := c.listing.verbs.List(w.ctx, chosen)
	if err != nil {
		return "", err
	}
	items, version := c.items(list)
	if !initial {
		return version, nil
	}
	for i := range items {
		object, err := returned[T](&items[i], nil)
		if err != nil || !w.send(watch.Added, any(object).(runtime.Object)) {
			return version, err
		}
	}
	end := new(T)
	object := any(end).(metav1.Object)
	object.SetResourceVersion(version)
	object.SetAnnotations(map[string]string{metav1.InitialEventsAnnotationKey: "true"})
	w.send(watch.Bookmark, any(end).(runtime.Object))
	return version, nil
}

// statusObject returns a failure as the last event of a watch has it.
func statusObject(err error) *metav1.Status {
	var known apierrors.APIStatus
	if !errors.As(Error(err), &known) {
		known = apierrors.NewInternalError(err)
	}
	status := known.Status()
	return &status
}
