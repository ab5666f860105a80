package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/polite"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// unlucky is a loop in a world in which things go wrong, by the clock of the test.
type unlucky struct {
	t        *testing.T
	store    fakes.Store
	registry fakes.Registry
	engine   write.Engine
	loop     schedule.Loop
	lists    atomic.Int64
	watches  atomic.Int64
	// failing, if not nil, fails operations of the store, and watchFails each watch before its first change.
	failing    atomic.Pointer[func(op string, key imagestream.Key) error]
	watchFails atomic.Pointer[error]

	mu       sync.Mutex
	imported map[string][]time.Duration // when which stream was imported, without an error
	errs     []string                   // of imports
	failed   []string                   // of the store
	begin    time.Time
	stop     func()
}

// watching counts the watches of a store, and fails them.
type watching struct {
	imagestream.Store
	*unlucky
}

func (w watching) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	w.watches.Add(1)
	if err := w.watchFails.Load(); err != nil {
		return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
			yield(imagestream.Change[imagestream.ImageStream]{}, *err)
		}
	}
	return w.Store.WatchImageStreams(ctx, opts)
}

func newUnlucky(t *testing.T) *unlucky {
	u := &unlucky{t: t, imported: map[string][]time.Duration{}}
	u.store.Fail = func(op string, key imagestream.Key) error {
		if op == "ListImageStreams" {
			u.lists.Add(1)
		}
		if f := u.failing.Load(); f != nil {
			return (*f)(op, key)
		}
		return nil
	}
	u.engine.Store = watching{&u.store, u}
	u.loop = schedule.Loop{
		Importer: &importer.Importer{Registry: &u.registry,
			Engine: &u.engine}, Options: schedule.Options{Interval: 15 * time.Minute, Jitter: -1},
		Imported: func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error) {
			u.mu.Lock()
			defer u.mu.Unlock()
			if err != nil {
				u.errs = append(u.errs, stream.Name+": "+err.Error())
			} else if importer.Failure(done) == nil {
				u.imported[stream.Name] = append(u.imported[stream.Name], time.Since(u.begin))
			}
		},
		Failed: func(err error) {
			u.mu.Lock()
			defer u.mu.Unlock()
			u.failed = append(u.failed, err.Error())
		},
	}
	return u
}

// run starts the loop; the test ends it.
func (u *unlucky) run() {
	ctx, stop := context.WithCancel(u.t.Context())
	ended := make(chan error)
	u.begin = time.Now()
	go func() { ended <- u.loop.Run(ctx) }()
	u.stop = func() {
		stop()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			u.t.Errorf("it ended with %v", err)
		}
	}
	synctest.Wait()
}

func (u *unlucky) push(host string, tags ...string) {
	u.registry.Edit(host, func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: host}, tags...) })
}

// create makes a stream with the tag v1 of a host.
func (u *unlucky) create(name, host string, scheduled bool) {
	u.t.Helper()
	s := streamOf(name, map[string]string{"v1": host + "/org/app:v1"})
	s.Spec.Tags[0].ImportPolicy.Scheduled = scheduled
	if _, err := (&write.Engine{Store: &u.store}).Create(u.t.Context(), s); err != nil {
		u.t.Fatal(err)
	}
}

// times returns when a stream was imported, and forgets it.
func (u *unlucky) times(name string) []time.Duration {
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	times := u.imported[name]
	delete(u.imported, name)
	return times
}

// reports returns the failures of the store.
func (u *unlucky) reports() []string {
	synctest.Wait()
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.failed...)
}

// asked returns how many requests were made to a host but pings, and forgets them.
func (u *unlucky) asked(host string) (n int) {
	synctest.Wait()
	for _, r := range u.registry.Requests() {
		if strings.HasPrefix(r.Repository, host+"/") && r.Operation != importer.OperationPing {
			n++
		}
	}
	return n
}

func (u *unlucky) fail(f func(op string, key imagestream.Key) error) {
	if f == nil {
		u.failing.Store(nil)
		return
	}
	u.failing.Store(&f)
}

func failWrites(op string, _ imagestream.Key) error {
	if op == "UpdateImageStream" || op == "CreateImage" {
		return errors.New("the disk is full")
	}
	return nil
}

// busy answers 429 with a Retry-After.
func busy(host, seconds string, times int) fakes.Fault {
	return fakes.Fault{Host: host, Kind: "manifest", Status: 429, Body: "slow down",
		Header: http.Header{"Retry-After": {seconds}}, Times: times}
}

// TestRetryAfterOfAFirstImportIsObeyed lets the first import of a tag, scheduled or not, be refused for ten minutes.
func TestRetryAfterOfAFirstImportIsObeyed(t *testing.T) {
	for _, scheduled := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			u := newUnlucky(t)
			u.push("quay.io", "v1")
			u.registry.SetFaults(busy("quay.io", "600", 2))
			u.create("app", "quay.io", scheduled)
			u.create("late", "quay.io", scheduled)
			u.run()
			defer u.stop()
			u.asked("quay.io")
			time.Sleep(9*time.Minute + 59*time.Second)
			if n := u.asked("quay.io"); n > 0 {
				t.Errorf("scheduled %v: %d requests before the ten minutes are over", scheduled, n)
			}
			time.Sleep(time.Second)
			if app := u.times("app"); len(app) != 1 || app[0] != 10*time.Minute {
				t.Errorf("scheduled %v: imported at %v", scheduled, app)
			}
		})
	}
}

// TestAFailedTagIsTriedAgainByClass has tags that are not scheduled: one whose registry is out of order for half an
// hour is imported afterwards, one that is not there is asked for once. With NoRetry both are, as in the real system.
func TestAFailedTagIsTriedAgainByClass(t *testing.T) {
	for _, noRetry := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			u := newUnlucky(t)
			u.loop.Options.NoRetry = noRetry
			u.push("down.example.com", "v1")
			u.push("gone.example.com", "other")
			u.registry.SetFaults(fakes.Fault{Host: "down.example.com", Kind: "manifest", Status: 503,
				Body: "out of order"})
			u.create("down", "down.example.com", false)
			u.create("gone", "gone.example.com", false)
			u.run()
			defer u.stop()
			time.Sleep(30 * time.Minute)
			n := u.asked("down.example.com")
			u.registry.SetFaults()
			time.Sleep(24 * time.Hour)
			synctest.Wait()
			imported, gone := u.times("down"), u.asked("gone.example.com")
			switch {
			case noRetry && (n != 1 || len(imported) > 0):
				t.Errorf("NoRetry: asked %d times, imported at %v", n, imported)
			case !noRetry && (n != 5 || len(imported) != 1 || imported[0] != 31*time.Minute):
				t.Errorf("asked %d times in half an hour, imported at %v", n,
					imported) // after 0, 1, 3, 7, 15 and 31 minutes
			}
			if gone > 0 {
				t.Errorf("a tag that is not there is asked for %d times more", gone)
			}
		})
	}
}

// TestAFailedTagIsTriedAgainAfterARestart ends the loop while a registry is out of order, and starts another one.
func TestAFailedTagIsTriedAgainAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1")
		u.registry.SetFaults(fakes.Fault{Kind: "manifest", Status: 503, Body: "out of order"})
		u.create("app", "quay.io", false)
		u.run()
		u.stop()
		u.registry.SetFaults()
		u.run()
		defer u.stop()
		time.Sleep(15 * time.Minute)
		if n := len(u.times("app")); n != 1 {
			t.Errorf("imported %d times", n)
		}
	})
}

// TestAHostThatWaitsOrHangsDelaysNobody has good streams beside those of k hosts that hang, or ask to be left alone
// for an hour through polite.Limit: the good ones keep their schedule to the second, whatever k is.
func TestAHostThatWaitsOrHangsDelaysNobody(t *testing.T) {
	for _, trouble := range []string{"hangs", "waits"} {
		for _, bad := range []int{0, 1, 10, 100} {
			t.Run(fmt.Sprintf("%s/%d", trouble, bad), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					u := newUnlucky(t)
					u.loop.Importer.Registry = &polite.Limit{Registry: &u.registry}
					var faults []fakes.Fault
					for i := range bad {
						host := fmt.Sprintf("bad-%d.example.com", i)
						u.push(host, "v1")
						if trouble == "hangs" {
							u.registry.EditHost(host, func(h *fakes.Host) { h.Latency = 10 * time.Minute })
						} else {
							faults = append(faults, busy(host, "3600", 0))
						}
						for n := range 10 {
							u.create(fmt.Sprintf("bad-%d-%d", i, n), host, true)
						}
					}
					u.registry.SetFaults(faults...)
					u.push("quay.io", "v1")
					for n := range 6 {
						u.create(fmt.Sprint("good-", n), "quay.io", true)
					}
					u.run()
					time.Sleep(time.Hour)
					for n := range 6 {
						if got := u.times(fmt.Sprint("good-", n)); fmt.Sprint(got) != "[0s 15m0s 30m0s 45m0s 1h0m0s]" {
							t.Errorf("good-%d is imported at %v", n, got)
						}
					}
					u.stop()
				})
			})
		}
	}
}

// TestAHostHasItsShare counts the imports that are under way at a host that hangs.
func TestAHostHasItsShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.loop.PerHost = 3
		var under, most atomic.Int64
		u.registry.Fail = func(op importer.Operation, _ string, _ importer.Ref) error {
			if op == importer.OperationManifest {
				most.Store(max(most.Load(), under.Add(1)))
				time.Sleep(time.Minute)
				under.Add(-1)
			}
			return nil
		}
		u.push("quay.io", "v1")
		for n := range 20 {
			u.create(fmt.Sprint("app-", n), "quay.io", false)
		}
		u.run()
		defer u.stop()
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		if most.Load() != 3 {
			t.Errorf("%d imports at a time, want 3", most.Load())
		}
		for n := range 20 {
			if len(u.times(fmt.Sprint("app-", n))) != 1 {
				t.Errorf("app-%d is not imported", n)
			}
		}
	})
}

// TestAStreamOfSeveralHostsIsNotHeldUpByOne has a stream with a tag of a host that hangs.
func TestAStreamOfSeveralHostsIsNotHeldUpByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1")
		u.push("bad.example.com", "v1")
		u.registry.EditHost("bad.example.com", func(h *fakes.Host) { h.Latency = time.Hour })
		stream := streamOf("app", map[string]string{"bad": "bad.example.com/org/app:v1", "good": "quay.io/org/app:v1"})
		if _, err := u.engine.Create(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		u.run()
		defer u.stop()
		if times := u.times("app"); len(times) != 1 || times[0] != 0 {
			t.Errorf("imported at %v", times)
		}
	})
}

// TestAPanicIsOneStreamsFailure has a registry that panics over one stream, and an interval that panics over another.
func TestAPanicIsOneStreamsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1")
		u.registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/poison", fakes.Image{Layer: "x"}, "v1") })
		u.registry.Fail = func(_ importer.Operation, repository string, _ importer.Ref) error {
			if strings.HasSuffix(repository, "/poison") {
				panic("what is this")
			}
			return nil
		}
		u.loop.Options.TagInterval = func(stream imagestream.Key, _ imagestream.TagReference) time.Duration {
			if stream.Name == "odd" {
				panic("no such interval")
			}
			return 0
		}
		poison := streamOf("poison", map[string]string{"v1": "quay.io/org/poison:v1"})
		if _, err := u.engine.Create(t.Context(), poison); err != nil {
			t.Fatal(err)
		}
		u.create("odd", "quay.io", true)
		u.create("good", "quay.io", true)
		u.run()
		defer u.stop()
		time.Sleep(time.Hour)
		if n := len(u.times("good")); n != 5 {
			t.Errorf("the good stream is imported %d times in an hour", n)
		}
		u.mu.Lock()
		defer u.mu.Unlock()
		text := strings.Join(u.errs, "\n")
		if !strings.Contains(text, "poison: panic: what is this") ||
			!strings.Contains(text, "odd: panic: no such interval") || len(u.errs) > 10 {
			t.Errorf("reported:\n%s", text)
		}
	})
}

// TestTheClockOnTheWallMayJump sets the clock of the store a day back and a day on.
func TestTheClockOnTheWallMayJump(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		var jump atomic.Int64
		u.engine.Now = func() time.Time { return time.Now().Add(time.Duration(jump.Load())) }
		u.push("quay.io", "v1")
		u.create("app", "quay.io", true)
		u.run()
		defer u.stop()
		for _, by := range []time.Duration{-24 * time.Hour, 48 * time.Hour, 0} {
			jump.Store(int64(by))
			time.Sleep(time.Hour)
			if n := len(u.times("app")); n < 4 || n > 5 {
				t.Errorf("with the clock moved by %v it is imported %d times in an hour", by, n)
			}
		}
	})
}

// TestAStreamThatIsCreatedAnewIsImportedAtOnce deletes a stream while its import fetches, and creates it again.
func TestAStreamThatIsCreatedAnewIsImportedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1")
		u.registry.EditHost("quay.io", func(h *fakes.Host) { h.Latency = 10 * time.Second })
		u.create("app", "quay.io", false)
		u.run()
		defer u.stop()
		time.Sleep(15 * time.Second)
		key := imagestream.Key{Namespace: "shop", Name: "app"}
		if err := u.store.DeleteImageStream(t.Context(), key, imagestream.Preconditions{}); err != nil {
			t.Fatal(err)
		}
		u.create("app", "quay.io", false)
		time.Sleep(30 * time.Second)
		times := u.times("app")
		stream, err := u.store.GetImageStream(t.Context(), key)
		if err != nil || len(times) != 1 || times[0] != 45*time.Second || len(stream.Status.Tags) != 1 {
			t.Errorf("imported at %v, %+v, %v", times, stream, err)
		}
	})
}

// TestARepositoryIsImportedWhole has a stream that follows a repository, besides a tag of its own.
func TestARepositoryIsImportedWhole(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1", "v2", "v3")
		stream := streamOf("app", map[string]string{"v1": "quay.io/org/app:v1"})
		stream.Spec.DockerImageRepository = "quay.io/org/app"
		if _, err := u.engine.Create(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
		u.run()
		defer u.stop()
		time.Sleep(time.Hour)
		got, err := u.store.GetImageStream(t.Context(), stream.Key())
		if n := len(u.times("app")); err != nil || len(got.Status.Tags) != 3 || n != 5 {
			t.Errorf("imported %d times: %+v, %v", n, got.Status, err)
		}
	})
}
