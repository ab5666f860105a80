package controllerruntime

import (
	"context"
	"fmt"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	clientrest "k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// NewCache returns what makes controller-runtime's own cache of the objects of c: with it a whole manager runs
// without a server, its controllers, informers and field indexes too. The configuration that it is given may be
// empty.
//
//	manager.New(&rest.Config{}, manager.Options{
//		Scheme:         c.Scheme(),
//		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return c.RESTMapper(), nil },
//		NewCache:       controllerruntime.NewCache(c),
//		NewClient:      func(*rest.Config, client.Options) (client.Client, error) { return c, nil },
//		Metrics:        server.Options{BindAddress: "0"},
//	})
//
// The mapper must know the kinds that are cached: give the fake client one by WithRESTMapper. The cache has all
// namespaces and all objects of a kind: options that choose namespaces, labels or fields are an error. In such a
// manager GetAPIReader and event recorders still ask the server of the configuration, and leader election needs one.
func NewCache(c client.WithWatch) cache.NewCacheFunc {
	return func(config *clientrest.Config, opts cache.Options) (cache.Cache, error) {
		if err := checkCacheOptions(opts); err != nil {
			return nil, err
		}
		opts.NewInformer = func(
			_ toolscache.ListerWatcher, obj runtime.Object, resync time.Duration, indexers toolscache.Indexers,
		) toolscache.SharedIndexInformer {
			obj = obj.DeepCopyObject() // it may be what a reader of the cache is about to fill
			return toolscache.NewSharedIndexInformer(&listWatcher{client: c, object: obj}, obj, resync, indexers)
		}
		return cache.New(config, opts)
	}
}

func checkCacheOptions(opts cache.Options) error {
	const wrong = "%s cannot be honoured: this cache has all namespaces and all objects of a kind"
	switch {
	case len(opts.DefaultNamespaces) > 0:
		return fmt.Errorf(wrong, "cache.Options.DefaultNamespaces")
	case opts.DefaultLabelSelector != nil:
		return fmt.Errorf(wrong, "cache.Options.DefaultLabelSelector")
	case opts.DefaultFieldSelector != nil:
		return fmt.Errorf(wrong, "cache.Options.DefaultFieldSelector")
	}
	for obj, by := range opts.ByObject {
		if len(by.Namespaces) > 0 || by.Label != nil || by.Field != nil {
			what := fmt.Sprintf("the choice of namespaces, labels or fields of %T in cache.Options.ByObject", obj)
			return fmt.Errorf(wrong, what)
		}
	}
	return nil
}

// listWatcher lists and watches the objects of one kind for an informer.
type listWatcher struct {
	client client.WithWatch
	object runtime.Object

	mu    sync.Mutex
	early watch.Interface // begun before the list that is to be watched from; nil if there is none
}

// IsWatchListSemanticsUnSupported tells reflectors that a watch does not begin with what is there: fake clients do
// not.
func (*listWatcher) IsWatchListSemanticsUnSupported() bool { return true }

func (l *listWatcher) newList() (list client.ObjectList, ours bool, err error) {
	kind, err := l.client.GroupVersionKindFor(l.object)
	if err != nil {
		return nil, false, err
	}
	ours = resourceOf(kind) != nil
	kind.Kind += "List"
	switch l.object.(type) {
	case runtime.Unstructured:
		list = &unstructured.UnstructuredList{}
	case *metav1.PartialObjectMetadata:
		list = &metav1.PartialObjectMetadataList{}
	default:
		made, err := l.client.Scheme().New(kind)
		if err != nil {
			return nil, false, err
		}
		typed, ok := made.(client.ObjectList)
		if !ok {
			return nil, false, fmt.Errorf("a %T is not a list", made)
		}
		return typed, ours, nil
	}
	list.GetObjectKind().SetGroupVersionKind(kind)
	return list, ours, nil
}

func (l *listWatcher) List(opts metav1.ListOptions) (runtime.Object, error) {
	return l.ListWithContext(context.Background(), opts)
}

func (l *listWatcher) Watch(opts metav1.ListOptions) (watch.Interface, error) {
	return l.WatchWithContext(context.Background(), opts)
}

// ListWithContext lists. The watches of a fake client begin when they are opened, whatever version they are to begin
// at: for the next client one is opened before the list, so that nothing is missed in between.
func (l *listWatcher) ListWithContext(ctx context.Context, opts metav1.ListOptions) (runtime.Object, error) {
	list, ours, err := l.newList()
	if err != nil {
		return nil, err
	}
	if !ours && opts.Continue == "" {
		early, err := l.client.Watch(ctx, list)
		if err != nil {
			return nil, err
		}
		l.keep(early)
	}
	page := &client.ListOptions{Raw: &opts, Limit: opts.Limit, Continue: opts.Continue}
	if err := l.client.List(ctx, list, page); err != nil {
		l.keep(nil)
		return nil, err
	}
	return list, nil
}

// keep keeps the watch that was begun early, and ends the one before.
func (l *listWatcher) keep(early watch.Interface) {
	if before := l.take(); before != nil {
		before.Stop()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.early = early
}

func (l *listWatcher) take() watch.Interface {
	l.mu.Lock()
	defer l.mu.Unlock()
	early := l.early
	l.early = nil
	return early
}

// WatchWithContext watches.
func (l *listWatcher) WatchWithContext(ctx context.Context, opts metav1.ListOptions) (watch.Interface, error) {
	if early := l.take(); early != nil {
		return early, nil
	}
	list, _, err := l.newList()
	if err != nil {
		return nil, err
	}
	return l.client.Watch(ctx, list, &client.ListOptions{Raw: &opts})
}
