package apiserver

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	metainternal "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/apiserver/pkg/endpoints/request"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestBookmarksTellWhatWasPassed watches one namespace while others change: every minute the watch says how far it is, if
// that is news.
func TestBookmarksTellWhatWasPassed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakes.Store{}
		create := func(namespace, name string) string {
			s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: namespace, Name: name}}
			made, err := store.CreateImageStream(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			return made.Metadata.ResourceVersion
		}
		first := create("shop", "a")
		streams := newStreams(rest.New(store, nil).ImageStreams(), context.Background())
		ctx, cancel := context.WithCancel(request.WithNamespace(t.Context(), "shop"))
		defer cancel()
		w, err := streams.Watch(ctx, &metainternal.ListOptions{ResourceVersion: first, AllowWatchBookmarks: true})
		if err != nil {
			t.Fatal(err)
		}
		create("tools", "b")
		last := create("tools", "c")
		begin := time.Now()
		event := <-w.ResultChan()
		got, ok := event.Object.(*imagev1.ImageStream)
		if !ok || event.Type != watch.Bookmark || got.ResourceVersion != last ||
			got.Name != "" || time.Since(begin) != bookmarkInterval {
			t.Errorf("after %v comes %s %+v, want a bookmark of version %s", time.Since(begin), event.Type, event.Object, last)
		}
		time.Sleep(10 * bookmarkInterval)
		synctest.Wait()
		select {
		case event := <-w.ResultChan():
			t.Errorf("without news comes %s %+v", event.Type, event.Object)
		default:
		}
		create("shop", "d")
		if event := <-w.ResultChan(); event.Type != watch.Added {
			t.Errorf("then comes %s", event.Type)
		}
		w.Stop()
		if _, open := <-w.ResultChan(); open {
			t.Error("a watch that was stopped goes on")
		}
	})
}
