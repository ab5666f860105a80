package schedule_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// shared is a store with one stream of one scheduled tag, at a registry that takes its time.
func shared(t *testing.T, latency time.Duration) (*fakes.Store, *fakes.Registry, *book) {
	t.Helper()
	store, registry := &fakes.Store{}, &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{}, "v1") })
	registry.EditHost("quay.io", func(h *fakes.Host) { h.Latency = latency })
	stream := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"})
	if _, err := (&write.Engine{Store: store}).Create(t.Context(), stream); err != nil {
		t.Fatal(err)
	}
	return store, registry, newBook()
}

func isImported(t *testing.T, store imagestream.Store) bool {
	t.Helper()
	stream, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
	if err != nil {
		t.Fatal(err)
	}
	_, ok := stream.LatestEvent("v1")
	return ok
}

// TestDrain tells a loop to end while it imports. It ends when the import is done and recorded, or after Drain, and
// gives the turn back then.
func TestDrain(t *testing.T) {
	for drain, done := range map[time.Duration]bool{0: false, 10 * time.Second: false, 10 * time.Minute: true} {
		synctest.Test(t, func(t *testing.T) {
			store, registry, b := shared(t, 20*time.Second)
			p := b.start(t, store, registry, func(l *schedule.Loop) { l.Drain = drain })
			time.Sleep(5 * time.Second)
			begin := time.Now()
			p.stop()
			if err := <-p.run; !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
			took := time.Since(begin)
			if done && (took < 15*time.Second || took > 5*time.Minute) || !done && took != drain {
				t.Errorf("drain %v: it took %v", drain, took)
			}
			granted, recorded, held := b.counts()
			if isImported(t, store) != done || recorded > 0 != done {
				t.Errorf("drain %v: imported %v, recorded %d times", drain, isImported(t, store), recorded)
			}
			if held > 0 || granted != 1 {
				t.Errorf("drain %v: %d claims are left of %d", drain, held, granted)
			}
			p.kill()
		})
	}
}

// TestALostClaimIsNotWritten ends a claim while its import is under way. The import is told as a failure of the store,
// nothing is written, and the turn is asked for again.
func TestALostClaimIsNotWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry, b := shared(t, 20*time.Second)
		p := b.start(t, store, registry, nil)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		p.lose()
		synctest.Wait()
		const want = "image stream shop/app: the claim of the turn was lost: the lease ended"
		if told := b.told(); len(told) != 1 || !strings.Contains(told[0], want) {
			t.Errorf("it told %q", told)
		}
		if _, done, _ := b.counts(); isImported(t, store) || done > 0 {
			t.Error("it was written")
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if granted, done, _ := b.counts(); !isImported(t, store) || done != 1 {
			t.Errorf("it was not imported later: %d claims, %d done", granted, done)
		}
		p.die()
	})
}

// TestLedgerThatFails asks a ledger that fails for an hour, rarely, and tells of it. Afterwards it goes on.
func TestLedgerThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry, b := shared(t, 0)
		broken := &brokenLedger{}
		p := b.start(t, store, registry, func(l *schedule.Loop) { broken.Ledger, l.Ledger = l.Ledger, broken })
		time.Sleep(time.Hour)
		synctest.Wait()
		told := b.told()
		if n := len(told); n < 10 || n > 60 || !strings.Contains(told[0], "claim the turn: out of order") {
			t.Errorf("it told %d failures, %q", n, slices.Compact(told))
		}
		broken.works.Store(true)
		time.Sleep(3 * time.Minute)
		if !isImported(t, store) {
			t.Error("it did not go on")
		}
		p.die()
	})
}

type brokenLedger struct {
	schedule.Ledger
	works atomic.Bool
}

func (l *brokenLedger) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	if !l.works.Load() {
		return nil, errors.New("out of order")
	}
	return l.Ledger.Claim(ctx, stream, turn)
}

// TestRestartsDoNotDelay kills the only process every minute. The ledger lets the next one go on, so that a tag is
// imported each interval all the same.
func TestRestartsDoNotDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry, b := shared(t, 0)
		for range 4 * 60 {
			p := b.start(t, store, registry, nil)
			time.Sleep(time.Minute)
			p.die()
		}
		if _, n, _ := b.counts(); n < 15 || n > 17 {
			t.Errorf("%d imports in four hours", n)
		}
	})
}

// TestAConflictGivesTheClaimBack edits the tag while its import is under way. The turn is given back, and the tag is
// imported from its new source soon.
func TestAConflictGivesTheClaimBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry, b := shared(t, 20*time.Second)
		registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "theirs"}, "theirs") })
		p := b.start(t, store, registry, nil)
		time.Sleep(5 * time.Second)
		_, err := (&write.Engine{Store: store}).Update(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"},
			func(old *imagestream.ImageStream) (*imagestream.ImageStream, error) {
				next := old.Clone()
				next.Spec.Tags[0].From.Name = "quay.io/org/app:theirs"
				return next, nil
			})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		synctest.Wait()
		stream, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
		if err != nil {
			t.Fatal(err)
		}
		if h, _ := stream.History("v1"); stream.Spec.Tags[0].From.Name != "quay.io/org/app:theirs" || len(h.Items) != 1 {
			t.Errorf("there is %+v", stream)
		}
		if granted, done, held := b.counts(); granted < 2 || done == 0 || held > 0 {
			t.Errorf("%d claims, %d recorded, %d left", granted, done, held)
		}
		p.kill()
	})
}

// TestRepositoryIsImportedAgain asks for a second import of a stream's repository, as oc tag does by removing the
// annotation: a ledger that knows the first import does not keep the loop from it.
func TestRepositoryIsImportedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, registry, b := &fakes.Store{}, &fakes.Registry{}, newBook()
		push := func(tag string) {
			registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: tag}, tag) })
		}
		push("v1")
		engine := &write.Engine{Store: store}
		app := streamOf("app", nil)
		app.Spec.DockerImageRepository = "quay.io/org/app"
		if _, err := engine.Create(t.Context(), app); err != nil {
			t.Fatal(err)
		}
		p := b.start(t, store, registry, nil)
		defer p.die()
		has := func(tag string) bool {
			t.Helper()
			time.Sleep(time.Hour)
			now, err := store.GetImageStream(t.Context(), app.Key())
			if err != nil {
				t.Fatal(err)
			}
			_, ok := now.LatestEvent(tag)
			return ok
		}
		if !has("v1") {
			t.Fatal("v1 is not imported")
		}
		push("v2")
		now, err := store.GetImageStream(t.Context(), app.Key())
		if err != nil {
			t.Fatal(err)
		}
		delete(now.Metadata.Annotations, importer.CheckAnnotation)
		if _, err := store.UpdateImageStream(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if !has("v2") {
			t.Error("v2 is not imported")
		}
	})
}
