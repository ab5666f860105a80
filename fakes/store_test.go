package fakes_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/storetest"
	"github.com/imagestreams/imagestreams/imagestream"
)

func ExampleStore() {
	var store fakes.Store
	ctx := context.Background()
	created, _ := store.CreateImageStream(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}})
	fmt.Println(created.Metadata.UID, created.Metadata.ResourceVersion)

	_, err := store.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: "api"})
	fmt.Println(err, errors.Is(err, imagestream.ErrNotFound))
	// Output:
	// 00000000-0000-4000-8000-000000000001 1
	// imagestreams.image.openshift.io "api" not found in namespace "shop" true
}

func ExampleStore_fail() {
	store := fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" {
			return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "somebody was faster")
		}
		return nil
	}}
	ctx := context.Background()
	created, _ := store.CreateImageStream(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}})
	_, err := store.UpdateImageStream(ctx, created)
	fmt.Println(err)
	// Output: Operation cannot be fulfilled on imagestreams.image.openshift.io "app" in namespace "shop": somebody was faster
}

func TestStore(t *testing.T) {
	storetest.Run(t, func(*testing.T) imagestream.Store { return &fakes.Store{} })
}

func TestWatchTooFarBehindIsGone(t *testing.T) {
	store := fakes.Store{History: 3}
	s, err := store.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "ns", Name: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	first := s.Metadata.ResourceVersion
	for range 10 {
		s.Metadata.Generation++
		if s, err = store.UpdateImageStream(t.Context(), s); err != nil {
			t.Fatal(err)
		}
	}
	for _, err = range store.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: first}) {
	}
	if !errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a watch ten changes behind a history of three: %v", err)
	}
	for _, err = range store.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: "9999"}) {
	}
	if err == nil || errors.Is(err, imagestream.ErrGone) {
		t.Errorf("a version that is not there yet: %v", err)
	}
}

func TestUnchangedUpdateKeepsTheVersion(t *testing.T) {
	var store fakes.Store
	created, err := store.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "ns", Name: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	updated, err := store.UpdateImageStream(t.Context(), created)
	if err != nil || updated.Metadata.ResourceVersion != created.Metadata.ResourceVersion {
		t.Errorf("version %s, %v, want %s still", updated.Metadata.ResourceVersion, err, created.Metadata.ResourceVersion)
	}
}

// TestHistoryBytes keeps the history of large streams small, in one that changes often and in many that change once.
func TestHistoryBytes(t *testing.T) {
	const size, limit = 100_000, 2_000_000
	before := heap()
	store := &fakes.Store{HistoryBytes: limit}
	var streams []*imagestream.ImageStream
	text := func(n int) map[string]string {
		return map[string]string{"text": strings.Repeat(string(rune('a'+n%20)), size)}
	}
	for i := range 20 {
		s, err := store.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "ns", Name: fmt.Sprint("s", i), Annotations: text(i)}})
		if err != nil {
			t.Fatal(err)
		}
		s.Metadata.Annotations = nil
		streams = append(streams, s)
	}
	for n := range 200 {
		i := n % len(streams)
		if n > 100 {
			i = 0
		}
		streams[i].Metadata.Annotations = text(n)
		s, err := store.UpdateImageStream(t.Context(), streams[i])
		if err != nil {
			t.Fatal(err)
		}
		streams[i] = s
		streams[i].Metadata.Annotations = nil
	}
	// The streams take 2 MB, and the history as much again; a history by number alone would take 22 MB.
	if held := heap() - before; held > 20*size+2*limit {
		t.Errorf("%d bytes are held", held)
	}
	newest := streams[0].Metadata.ResourceVersion
	at, err := strconv.Atoi(newest)
	if err != nil {
		t.Fatal(err)
	}
	for change, err := range store.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: strconv.Itoa(at - 5)}) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Object.Metadata.ResourceVersion == newest {
			break
		}
	}
	runtime.KeepAlive(store)
}
