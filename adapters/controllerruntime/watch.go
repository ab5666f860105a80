package controllerruntime

import (
	"context"
	"reflect"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Watch reports objects of the Go type that the items of the list have.
func (c *streamClient) Watch(
	ctx context.Context, list client.ObjectList, opts ...client.ListOption,
) (watch.Interface, error) {
	r := c.of(list)
	if r == nil {
		return c.next.Watch(ctx, list, opts...)
	}
	all := new(client.ListOptions).ApplyOptions(opts)
	if all.Raw = all.Raw.DeepCopy(); all.Raw == nil {
		all.Raw = &metav1.ListOptions{}
	}
	all.Raw.Watch = true
	verb := r.verbs(c.typed, all.Namespace).watch
	if verb == nil {
		return nil, r.unsupported("watch")
	}
	fresh, err := c.itemOf(r, list)
	if err != nil {
		return nil, err
	}
	events, err := verb(ctx, *all.AsListOptions())
	if err != nil || reflect.TypeOf(fresh()) == reflect.TypeOf(r.object()) {
		return events, err
	}
	w := &convertedWatch{source: events, events: make(chan watch.Event), stopped: make(chan struct{})}
	go w.run(ctx, func(got runtime.Object) (runtime.Object, error) {
		target := fresh()
		return target, r.fill(target, got, nil)
	})
	return w, nil
}

// itemOf returns what makes an empty item of a list of the resource.
func (c *streamClient) itemOf(r *resource, list client.ObjectList) (func() runtime.Object, error) {
	switch list.(type) {
	case runtime.Unstructured:
		return func() runtime.Object { return &unstructured.Unstructured{} }, nil
	case *metav1.PartialObjectMetadataList:
		return func() runtime.Object { return &metav1.PartialObjectMetadata{} }, nil
	}
	item, err := c.Scheme().New(r.groupVersionKind())
	if err != nil {
		return nil, err
	}
	typed := reflect.TypeOf(item).Elem()
	return func() runtime.Object { return reflect.New(typed).Interface().(runtime.Object) }, nil
}

// convertedWatch is a watch whose objects become others. Its goroutine ends when it is stopped, or ctx or its source
// ends.
type convertedWatch struct {
	source  watch.Interface
	events  chan watch.Event
	once    sync.Once
	stopped chan struct{}
}

func (w *convertedWatch) ResultChan() <-chan watch.Event { return w.events }

func (w *convertedWatch) Stop() {
	w.once.Do(func() { close(w.stopped) })
	w.source.Stop()
}

func (w *convertedWatch) run(ctx context.Context, convert func(runtime.Object) (runtime.Object, error)) {
	defer close(w.events)
	defer w.source.Stop()
	for event := range w.source.ResultChan() {
		if event.Type != watch.Error {
			object, err := convert(event.Object)
			if event.Object = object; err != nil {
				status := apierrors.NewInternalError(err).Status()
				event = watch.Event{Type: watch.Error, Object: &status}
			}
		}
		select {
		case w.events <- event:
		case <-w.stopped:
			return
		case <-ctx.Done():
			return
		}
	}
}
