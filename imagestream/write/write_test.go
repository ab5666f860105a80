package write_test

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
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/tagevent"
)

// docker is a spec tag that comes from a registry, follows one that comes from another tag.
func docker(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}}
}

func follows(tag, from string) imagestream.TagReference {
	return imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindImageStreamTag, Name: from}}
}

func app(tags ...imagestream.TagReference) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}, Spec: imagestream.ImageStreamSpec{Tags: tags},
	}
}

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

// TestEngineKeepsEveryWrite lets many writers change one stream in a store that waits in every call, on a fake clock.
func TestEngineKeepsEveryWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &fakes.Store{Fail: func(string, imagestream.Key) error { time.Sleep(time.Millisecond); return nil }}
		var conflicts atomic.Int32
		w := write.Engine{Store: store, Trace: &write.Trace{
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

func TestEngineGivesUpWhenTold(t *testing.T) {
	always := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" {
			return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
		}
		return nil
	}}
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		w := write.Engine{Store: always, Attempts: 4, Trace: &write.Trace{
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

func TestEngineAsksOnceForEachStream(t *testing.T) {
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
		w := write.Engine{Store: store, Authorizer: tc.a}
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
	if _, err := (&write.Engine{Store: store}).Create(t.Context(), app(tags...)); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("without an authorizer: %v", err)
	}
}

func TestEngineReportsAFailingStore(t *testing.T) {
	broken := errors.New("disk full")
	store := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "GetImageStream" && key.Name == "other" {
			return broken
		}
		return nil
	}}
	w := write.Engine{Store: store}
	if _, err := w.Create(t.Context(), app(follows("a", "other:b"))); !errors.Is(err, broken) {
		t.Errorf("error %v, want the store's", err)
	}
	if _, err := w.Update(t.Context(), app().Key(), label("a", "b")); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
}

func TestEngineFollowsChains(t *testing.T) {
	for _, chains := range []bool{false, true} {
		w := write.Engine{Store: &fakes.Store{}, Settings: imagestream.Settings{FollowChains: chains}}
		if _, err := w.Create(t.Context(), app(docker("z", "quay.io/org/app:v1"), follows("a", "m"), follows("m", "z"))); err != nil {
			t.Fatal(err)
		}
		s, err := w.Write(t.Context(), write.Request{Key: app().Key(), Rules: write.AsImport, Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			next, _ := old.Push("z", tagevent.Event{DockerImageReference: "quay.io/org/app:v1", Image: "sha256:1", Generation: 1})
			return next, nil
		}})
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
	w := write.Engine{Store: store}
	created, err := w.Create(t.Context(), app(docker("v1", "quay.io/org/app:v1")))
	if err != nil {
		t.Fatal(err)
	}
	same, err := w.Update(t.Context(), created.Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) { return old, nil })
	if err != nil || writes != 0 || !same.Same(created) {
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
	w := write.Engine{Store: store}
	var seen []bool
	got, err := w.Write(t.Context(), write.Request{Key: app().Key(), Rules: write.AsTag, OrCreate: true, Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		seen = append(seen, old != nil)
		if old == nil {
			return app(), nil
		}
		return label("upserted", "yes")(old)
	}})
	if err != nil || len(seen) != 2 || seen[0] || !seen[1] || got.Metadata.Labels["upserted"] != "yes" {
		t.Errorf("saw %v, got %+v, %v", seen, got, err)
	}
}

// storeWith returns a store that has app, and counts its calls.
func storeWith(t *testing.T) (*fakes.Store, map[string]int) {
	t.Helper()
	calls := map[string]int{}
	store := &fakes.Store{}
	if _, err := (&write.Engine{Store: store}).Create(t.Context(), app()); err != nil {
		t.Fatal(err)
	}
	store.Fail = func(op string, _ imagestream.Key) error { calls[op]++; return nil }
	return store, calls
}

func TestCallersOwnErrorEndsAWrite(t *testing.T) {
	for _, class := range []imagestream.StatusReason{imagestream.ReasonConflict, imagestream.ReasonAlreadyExists, imagestream.ReasonNotFound} {
		store, calls := storeWith(t)
		own := imagestream.NewError(class, "widgets", imagestream.Key{Name: "mine"}, "from the caller")
		_, err := (&write.Engine{Store: store}).Write(t.Context(), write.Request{
			Key: app().Key(), OrCreate: true, Change: func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return nil, own },
		})
		if !errors.Is(err, own) || calls["GetImageStream"] != 1 {
			t.Errorf("%s: %v after %d reads, want the caller's own error after one", class, err, calls["GetImageStream"])
		}
	}
}

func TestStaleStreamEndsAWrite(t *testing.T) {
	store, calls := storeWith(t)
	stale, _ := store.GetImageStream(t.Context(), app().Key())
	w := write.Engine{Store: store}
	if _, err := w.Update(t.Context(), app().Key(), label("a", "b")); err != nil {
		t.Fatal(err)
	}
	clear(calls)
	_, err := w.Update(t.Context(), app().Key(), func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return stale, nil })
	var retried *write.ConflictError
	if !errors.Is(err, imagestream.ErrConflict) || errors.As(err, &retried) || calls["GetImageStream"] != 1 {
		t.Errorf("%v after %d reads, want a conflict after one", err, calls["GetImageStream"])
	}
}

func TestConflictErrorKeepsItsCause(t *testing.T) {
	always := &fakes.Store{Fail: func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" {
			return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "")
		}
		return nil
	}}
	none := func(int) time.Duration { return 0 }
	w := write.Engine{Store: always, Pause: none, Attempts: 3}
	if _, err := w.Create(t.Context(), app()); err != nil {
		t.Fatal(err)
	}
	_, err := w.Update(t.Context(), app().Key(), label("a", "b"))
	var retried *write.ConflictError
	if !errors.As(err, &retried) || retried.Attempts != 3 || retried.Cause != nil || !errors.Is(err, imagestream.ErrConflict) {
		t.Errorf("after the last attempt: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	w = write.Engine{Store: always, Pause: func(attempt int) time.Duration {
		if attempt == 7 {
			cancel()
		}
		return 0
	}}
	_, err = w.Update(ctx, app().Key(), label("a", "b"))
	if !errors.As(err, &retried) || retried.Attempts != 7 || !errors.Is(err, context.Canceled) || !errors.Is(err, imagestream.ErrConflict) {
		t.Errorf("after the context ended: %v", err)
	}
}

func TestDryRunStoresNothing(t *testing.T) {
	store, calls := storeWith(t)
	w := write.Engine{Store: store}
	dry := write.Request{Key: app().Key(), DryRun: true, Change: label("a", "b")}
	if got, err := w.Write(t.Context(), dry); err != nil || got.Metadata.Labels["a"] != "b" || calls["UpdateImageStream"] != 0 {
		t.Errorf("update: %+v, %v, %d writes", got, err, calls["UpdateImageStream"])
	}
	other := app()
	other.Metadata.Name = "other"
	if got, err := w.CreateBy(t.Context(), write.AsUser, other, true); err != nil || got.Metadata.UID != write.DryRunUID || calls["CreateImageStream"] != 0 {
		t.Errorf("create: %+v, %v, %d writes", got, err, calls["CreateImageStream"])
	}
	if _, err := w.CreateBy(t.Context(), write.AsUser, app(), true); !errors.Is(err, imagestream.ErrAlreadyExists) {
		t.Errorf("creating what is there: %v", err)
	}
}

func ExampleEngine_Update() {
	engine := &write.Engine{Store: &fakes.Store{}}
	created, err := engine.Create(context.Background(), app(docker("v1", "quay.io/org/app:v1")))
	fmt.Println(created.Metadata.Generation, err)
	updated, err := engine.Update(context.Background(), app().Key(), func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := *old
		next.Spec.LookupPolicy.Local = true
		return &next, nil
	})
	fmt.Println(updated.Spec.LookupPolicy.Local, updated.Metadata.Generation, err)
	// Output:
	// 1 <nil>
	// true 2 <nil>
}

func ExampleEngine_Write() {
	engine := &write.Engine{Store: &fakes.Store{}}
	stored, err := engine.Write(context.Background(), write.Request{
		Key: app().Key(), Rules: write.AsTag, OrCreate: true,
		Change: func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
			if old == nil {
				old = app()
			}
			next := *old
			next.Spec.Tags = append(next.Spec.Tags[:len(next.Spec.Tags):len(next.Spec.Tags)], docker("v1", "quay.io/org/app:v1"))
			return &next, nil
		},
	})
	fmt.Println(stored.Key(), stored.Spec.Tags[0].Name, err)
	// Output: shop/app v1 <nil>
}

func ExampleEngine_Create() {
	engine := &write.Engine{Store: &fakes.Store{}}
	created, err := engine.Create(context.Background(), app(docker("v1", "quay.io/org/app:v1")))
	fmt.Println(created.Metadata.Generation, err)
	_, err = engine.Create(context.Background(), app())
	fmt.Println(err)
	// Output:
	// 1 <nil>
	// imagestreams.image.openshift.io "app" already exists in namespace "shop"
}

func ExampleEngine_CreateBy() {
	engine := &write.Engine{Store: &fakes.Store{}}
	created, err := engine.CreateBy(context.Background(), write.AsImport, app(), true)
	fmt.Println(created.Metadata.UID, err)
	// Output: dry-run <nil>
}

func ExampleEngine_Env() {
	engine := &write.Engine{Settings: imagestream.Settings{InternalRegistry: "registry.local"}}
	fmt.Println(app().Repositories(engine.Env()))
	// Output: registry.local/shop/app
}

func ExampleEngine_Retry() {
	engine := &write.Engine{Pause: func(int) time.Duration { return 0 }}
	tries := 0
	err := engine.Retry(context.Background(), app().Key(), 3, func() (overtaken bool, err error) {
		tries++
		return tries < 3, imagestream.ErrConflict
	})
	fmt.Println(tries, err)
	// Output: 3 changed by somebody else meanwhile
}
