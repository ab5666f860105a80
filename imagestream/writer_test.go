package imagestream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
)

func label(key, value string) func(*imagestream.ImageStream) (*imagestream.ImageStream, error) {
	return func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := old.Clone()
		if next.Metadata.Labels == nil {
			next.Metadata.Labels = map[string]string{}
		}
		next.Metadata.Labels[key] = value
		return next, nil
	}
}

// TestWriterKeepsEveryWrite lets many writers change one stream in a store that waits in every call, on a fake clock.
func TestWriterKeepsEveryWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakes.Store{Fail: func(string, imagestream.Key) error { time.Sleep(time.Millisecond); return nil }}
		var conflicts atomic.Int32
		w := imagestream.Writer{Store: store, Trace: &imagestream.Trace{
			Conflict: func(imagestream.Key, int, time.Duration) { conflicts.Add(1) },
		}}
		if _, err := w.Create(t.Context(), app()); err != nil {
			t.Fatal(err)
		}
		key := app().Key()
		var wg sync.WaitGroup
		for i := range 32 {
			wg.Go(func() {
				if _, err := w.Update(t.Context(), key, label(fmt.Sprintf("w%d", i), "done")); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		got, err := store.GetImageStream(t.Context(), key)
		if err != nil || len(got.Metadata.Labels) != 32 {
			t.Errorf("%d of 32 writes are there, %v", len(got.Metadata.Labels), err)
		}
		if conflicts.Load() == 0 {
			t.Error("there was no conflict: the test shows nothing")
		}
	})
}

func TestWriterGivesUpWhenTold(t *testing.T) {
	always := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" {
			return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
		}
		return nil
	}}
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w := imagestream.Writer{Store: always, Attempts: 4, Trace: &imagestream.Trace{
			Conflict: func(_ imagestream.Key, attempt int, wait time.Duration) {
				if attempts++; attempts != attempt || wait <= 0 || wait > time.Second {
					t.Errorf("attempt %d waits %v", attempt, wait)
				}
			},
		}}
		if _, err := w.Create(t.Context(), app()); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Update(t.Context(), app().Key(), label("a", "b")); !errors.Is(err, imagestream.ErrConflict) || attempts != 3 {
			t.Errorf("after %d conflicts with pauses: %v", attempts, err)
		}
		w.Attempts, w.Trace = 0, nil
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := w.Update(ctx, app().Key(), label("a", "b")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("without a limit it ended with %v", err)
		}
	})
}

// authorizer allows what it lists, and counts questions.
type authorizer struct {
	allowed map[imagestream.Key]bool
	err     error
	asked   atomic.Int32
}

func (a *authorizer) MayGetLayers(_ context.Context, key imagestream.Key) (bool, error) {
	a.asked.Add(1)
	return a.allowed[key], a.err
}

func TestWriterAsksOnceForEachStream(t *testing.T) {
	reads := map[imagestream.Key]*atomic.Int32{{Namespace: "platform", Name: "base"}: {}, {Namespace: "shop", Name: "tools"}: {}}
	store := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "GetImageStream" && reads[key] != nil {
			reads[key].Add(1)
		}
		return nil
	}}
	for key := range reads {
		if _, err := store.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}); err != nil {
			t.Fatal(err)
		}
	}
	var tags []imagestream.TagReference
	for i := range 5 {
		foreign, local := follows(fmt.Sprintf("f%d", i), fmt.Sprintf("base:v%d", i)), follows(fmt.Sprintf("l%d", i), fmt.Sprintf("tools:v%d", i))
		foreign.From.Namespace = "platform"
		tags = append(tags, foreign, local)
	}
	broken := errors.New("the cluster is away")
	for _, tc := range []struct {
		name string
		a    *authorizer
		want error
	}{
		{"denied", &authorizer{}, imagestream.ErrInvalid},
		{"failing", &authorizer{err: broken}, broken},
		{"allowed", &authorizer{allowed: map[imagestream.Key]bool{{Namespace: "platform", Name: "base"}: true}}, nil},
	} {
		w := imagestream.Writer{Store: store, Authorizer: tc.a}
		_, err := w.Create(t.Context(), app(tags...))
		if !errors.Is(err, tc.want) || tc.want == nil && err != nil {
			t.Errorf("%s: %v", tc.name, err)
		}
		if tc.a.asked.Load() != 1 {
			t.Errorf("%s: asked %d times, want once", tc.name, tc.a.asked.Load())
		}
	}
	for key, n := range reads {
		if n.Load() != 3 {
			t.Errorf("%s was read %d times by three writes", key, n.Load())
		}
	}
	if _, err := (&imagestream.Writer{Store: store}).Create(t.Context(), app(tags...)); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("without an authorizer: %v", err)
	}
}

func TestWriterReportsAFailingStore(t *testing.T) {
	broken := errors.New("disk full")
	store := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "GetImageStream" && key.Name == "other" {
			return broken
		}
		return nil
	}}
	w := imagestream.Writer{Store: store}
	if _, err := w.Create(t.Context(), app(follows("a", "other:b"))); !errors.Is(err, broken) {
		t.Errorf("error %v, want the store's", err)
	}
	if _, err := w.Update(t.Context(), app().Key(), label("a", "b")); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
}

func TestWriterFollowsChains(t *testing.T) {
	for _, chains := range []bool{false, true} {
		w := imagestream.Writer{Store: &fakes.Store{}, Settings: imagestream.Settings{FollowChains: chains}}
		if _, err := w.Create(t.Context(), app(docker("z", "quay.io/org/app:v1"), follows("a", "m"), follows("m", "z"))); err != nil {
			t.Fatal(err)
		}
		s, err := w.UpdateInternal(t.Context(), app().Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next, _ := imagestream.Push(old, "z", at(1))
			return next, nil
		})
		if want := map[bool]int{false: 2, true: 3}[chains]; err != nil || len(s.Status.Tags) != want {
			t.Errorf("chains %v: %d tags have the event, %v, want %d", chains, len(s.Status.Tags), err, want)
		}
	}
}

func TestUnchangedUpdateIsNotWritten(t *testing.T) {
	writes := 0
	store := &fakes.Store{Fail: func(op string, _ imagestream.Key) error {
		if op == "UpdateImageStream" {
			writes++
		}
		return nil
	}}
	w := imagestream.Writer{Store: store}
	created, err := w.Create(t.Context(), app(docker("v1", "quay.io/org/app:v1")))
	if err != nil {
		t.Fatal(err)
	}
	same, err := w.Update(t.Context(), created.Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) { return old, nil })
	if err != nil || writes != 0 || !imagestream.Equal(same, created) {
		t.Errorf("%d writes, %v, %+v", writes, err, same)
	}
}

func TestUpsertTakesOverFromWhoWasFaster(t *testing.T) {
	store := &fakes.Store{}
	raced := false
	store.Fail = func(op string, _ imagestream.Key) error {
		if op == "CreateImageStream" && !raced {
			raced = true
			_, err := store.CreateImageStream(context.Background(), app())
			return err
		}
		return nil
	}
	w := imagestream.Writer{Store: store}
	var seen []bool
	got, err := w.UpsertInternal(t.Context(), app().Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		seen = append(seen, old != nil)
		if old == nil {
			return app(), nil
		}
		return label("upserted", "yes")(old)
	}, imagestream.PrepareCreate)
	if err != nil || len(seen) != 2 || seen[0] || !seen[1] || got.Metadata.Labels["upserted"] != "yes" {
		t.Errorf("saw %v, got %+v, %v", seen, got, err)
	}
}
