package openshift_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"github.com/openshift/client-go/image/informers/externalversions"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// told is what an informer tells its handlers.
type told struct{ what, name string }

// TestClientsetInformers runs a generated informer through its whole life: list, watch, resync, and a relist after its
// version has expired.
func TestClientsetInformers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := &expiring{Store: &fakes.Store{}}
		client := openshift.Clientset(rest.New(store, nil))
		streams := client.ImageV1().ImageStreams("shop")
		create(t, streams, tagged("before", "v1"))

		const resync = 10 * time.Minute
		factory := externalversions.NewSharedInformerFactory(client, resync)
		informer := factory.Image().V1().ImageStreams()
		var mutex sync.Mutex
		var got []told
		tell := func(what string) func(any) {
			return func(o any) {
				mutex.Lock()
				defer mutex.Unlock()
				got = append(got, told{what, o.(*imagev1.ImageStream).Name})
			}
		}
		_, err := informer.Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
			AddFunc: tell("add"), DeleteFunc: tell("delete"),
			UpdateFunc: func(old, next any) {
				what := "update"
				if old.(*imagev1.ImageStream).ResourceVersion == next.(*imagev1.ImageStream).ResourceVersion {
					what = "resync"
				}
				tell(what)(next)
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		expect := func(want ...told) {
			t.Helper()
			synctest.Wait()
			mutex.Lock()
			defer mutex.Unlock()
			if len(got) != len(want) {
				t.Errorf("told %v, want %v", got, want)
			}
			for i := range min(len(got), len(want)) {
				if got[i] != want[i] {
					t.Errorf("told %v, want %v", got, want)
					break
				}
			}
			got = nil
		}
		factory.Image().V1().Images().Informer()
		factory.Start(ctx.Done())
		factory.WaitForCacheSync(ctx.Done())
		expect(told{"add", "before"})

		s := create(t, streams, tagged("app", "v1"))
		synctest.Wait()
		s.Labels = map[string]string{"a": "b"}
		if _, err := streams.Update(ctx, s, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := streams.Delete(ctx, "before", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		expect(told{"add", "app"}, told{"update", "app"}, told{"delete", "before"})
		listed, err := informer.Lister().ImageStreams("shop").List(labels.SelectorFromSet(labels.Set{"a": "b"}))
		if err != nil || len(listed) != 1 || listed[0].Name != "app" {
			t.Errorf("listed %v, %v", listed, err)
		}

		time.Sleep(resync + time.Minute)
		expect(told{"resync", "app"})

		store.expire()
		create(t, streams, tagged("later"))
		time.Sleep(2 * time.Minute) // the reflector waits before it lists again, and tells what it knew once more
		synctest.Wait()
		mutex.Lock()
		slices.SortFunc(got, func(a, b told) int { return strings.Compare(a.name, b.name) }) // lists are told in any order
		mutex.Unlock()
		expect(told{"resync", "app"}, told{"add", "later"})
		if store.lists < 2 {
			t.Errorf("the informer listed %d times: its version had expired", store.lists)
		}
		cancel()
		factory.Shutdown()
	})
}

// expiring ends the watches of streams that run, because their version is gone.
type expiring struct {
	*fakes.Store
	cut   context.CancelCauseFunc
	lists int
}

func (e *expiring) expire() { e.cut(imagestream.ErrGone) }

func (e *expiring) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	e.lists++
	return e.Store.ListImageStreams(ctx, opts)
}

func (e *expiring) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	ctx, e.cut = context.WithCancelCause(ctx)
	return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
		for change, err := range e.Store.WatchImageStreams(ctx, opts) {
			if err != nil {
				expired := imagestream.ReasonExpired
				err = imagestream.NewError(expired, imagestream.ResourceImageStreams, imagestream.Key{}, err.Error())
			}
			if !yield(change, err) {
				return
			}
		}
	}
}

// nextEvent reads one event of a watch.
func nextEvent(t *testing.T, w watch.Interface) watch.Event {
	t.Helper()
	select {
	case e := <-w.ResultChan():
		return e
	case <-t.Context().Done():
		t.Fatal("the watch says nothing")
		return watch.Event{}
	}
}

func TestClientsetInitialEvents(t *testing.T) {
	_, streams := open()
	create(t, streams, tagged("a"))
	create(t, streams, tagged("b"))
	yes, no := true, false
	opts := metav1.ListOptions{
		SendInitialEvents: &yes, ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan, AllowWatchBookmarks: true,
	}
	w, err := streams.Watch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	for _, name := range []string{"a", "b"} {
		if e := nextEvent(t, w); e.Type != watch.Added || e.Object.(*imagev1.ImageStream).Name != name {
			t.Errorf("the event %+v, want %s added", e, name)
		}
	}
	end := nextEvent(t, w)
	o := end.Object.(*imagev1.ImageStream)
	marked := o.Annotations[metav1.InitialEventsAnnotationKey] == "true"
	if end.Type != watch.Bookmark || !marked || o.ResourceVersion == "" {
		t.Errorf("the initial events end with %+v", end)
	}
	create(t, streams, tagged("c"))
	if e := nextEvent(t, w); e.Type != watch.Added || e.Object.(*imagev1.ImageStream).Name != "c" {
		t.Errorf("afterwards: %+v", e)
	}
	opts.SendInitialEvents = &no
	opts.ResourceVersion = "0"
	later, err := streams.Watch(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	later.Stop()
	for range later.ResultChan() {
		t.Error("a watch without initial events sent one")
	}
	if _, err := streams.Watch(t.Context(), metav1.ListOptions{SendInitialEvents: &yes}); err == nil {
		t.Error("initial events without resourceVersionMatch are not refused")
	}
}

// TestClientsetWatchEnds: with its context, by Stop, and after the request's time.
func TestClientsetWatchEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, streams := open()
		ctx, cancel := context.WithCancel(t.Context())
		byContext, err := streams.Watch(ctx, metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		seconds := int64(30)
		byTime, err := streams.Watch(t.Context(), metav1.ListOptions{TimeoutSeconds: &seconds})
		if err != nil {
			t.Fatal(err)
		}
		stopped, err := streams.Watch(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		stopped.Stop()
		stopped.Stop()
		for name, w := range map[string]watch.Interface{"context": byContext, "time": byTime, "stop": stopped} {
			for e := range w.ResultChan() {
				t.Errorf("by %s: the event %+v", name, e)
			}
		}
	})
}
