package follow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/follow"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func ExampleImageStreams() {
	ctx, cancel := context.WithCancel(context.Background())
	store := &fakes.Store{}
	stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	if _, err := store.CreateImageStream(ctx, stream); err != nil {
		fmt.Println(err)
	}
	queue := make(chan imagestream.Key)
	done := make(chan error)
	go func() {
		done <- follow.ImageStreams(ctx, store, func(key imagestream.Key, s *imagestream.ImageStream) {
			queue <- key
		}, follow.Options{})
	}()
	fmt.Println(<-queue)
	if err := store.DeleteImageStream(ctx, stream.Key(), imagestream.Preconditions{}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(<-queue)
	cancel()
	fmt.Println(<-done)
	// Output:
	// shop/app
	// shop/app
	// context canceled
}

func ExampleImages() {
	ctx, cancel := context.WithCancel(context.Background())
	store := &fakes.Store{}
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:1"}}
	if _, err := store.CreateImage(ctx, image); err != nil {
		fmt.Println(err)
	}
	err := follow.Images(ctx, rest.Reader(rest.New(store, nil)), func(key imagestream.Key, i *imagestream.Image) {
		fmt.Println(key.Name, i.Metadata.ResourceVersion)
		cancel()
	}, follow.Options{})
	fmt.Println(err)
	// Output:
	// sha256:1 1
	// context canceled
}

// flaky is a store whose watches of streams end, and whose lists and watches fail, when a test wants.
type flaky struct {
	*fakes.Store
	mu       sync.Mutex
	cut      context.CancelCauseFunc
	failing  error
	requests int
}

var errEnd = errors.New("the watch is to end without an error")

func (f *flaky) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failing = err
}

func (f *flaky) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cut != nil {
		f.cut(err)
	}
}

func (f *flaky) request() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.requests++
	return f.failing
}

func (f *flaky) counted() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.requests
	f.requests = 0
	return n
}

func (f *flaky) ListImageStreams(
	ctx context.Context, opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	if err := f.request(); err != nil {
		return nil, err
	}
	opts.Limit = min(opts.Limit, 2)
	return f.Store.ListImageStreams(ctx, opts)
}

func (f *flaky) WatchImageStreams(
	ctx context.Context, opts imagestream.WatchOptions,
) iter.Seq2[imagestream.Change[imagestream.ImageStream], error] {
	return func(yield func(imagestream.Change[imagestream.ImageStream], error) bool) {
		if err := f.request(); err != nil {
			yield(imagestream.Change[imagestream.ImageStream]{}, err)
			return
		}
		ctx, cut := context.WithCancelCause(ctx)
		defer cut(nil)
		f.mu.Lock()
		f.cut = cut
		f.mu.Unlock()
		for change, err := range f.Store.WatchImageStreams(ctx, opts) {
			if err != nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			if errors.Is(err, errEnd) {
				return
			}
			if !yield(change, err) {
				return
			}
		}
	}
}

// versions are the streams that a store has.
func versions(t fatal, store *fakes.Store) map[imagestream.Key]string {
	list, err := store.ListImageStreams(context.Background(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := map[imagestream.Key]string{}
	for _, s := range list.Items {
		all[s.Key()] = s.Metadata.ResourceVersion
	}
	return all
}

type fatal interface{ Fatal(...any) }

// TestFollowModel: whatever happens to the watch, in the end each stream was told as it is, and each that is gone as
// gone; and no version is told twice.
func TestFollowModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { rapid.Check(struct{ rapid.TB }{t}, followModel) }) // no bubble has a deadline
}

func followModel(t *rapid.T) {
	ctx, cancel := context.WithCancel(context.Background())
	store := &flaky{Store: &fakes.Store{History: 5}}
	told := map[imagestream.Key]string{}
	ended := make(chan error, 1)
	go func() {
		ended <- follow.ImageStreams(ctx, store, func(key imagestream.Key, s *imagestream.ImageStream) {
			before, there := told[key]
			switch {
			case s == nil && !there:
				t.Errorf("%s is told as gone, and was not there", key)
			case s == nil:
				delete(told, key)
			case s.Metadata.ResourceVersion == before:
				t.Errorf("%s is told twice at version %s", key, before)
			default:
				told[key] = s.Metadata.ResourceVersion
			}
		}, follow.Options{})
	}()
	failures := []error{imagestream.ErrGone, errors.New("broken"), errEnd}
	keys := rapid.Map(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}), func(name string) imagestream.Key {
		return imagestream.Key{Namespace: "shop", Name: name}
	})
	t.Repeat(map[string]func(*rapid.T){
		"write": func(t *rapid.T) {
			key := keys.Draw(t, "key")
			s, err := store.GetImageStream(ctx, key)
			if errors.Is(err, imagestream.ErrNotFound) {
				s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
				_, err = store.CreateImageStream(ctx, s)
			} else if err == nil {
				s.Metadata.Generation++
				_, err = store.UpdateImageStream(ctx, s)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		"delete": func(t *rapid.T) {
			err := store.DeleteImageStream(ctx, keys.Draw(t, "key"), imagestream.Preconditions{})
			if err != nil && !errors.Is(err, imagestream.ErrNotFound) {
				t.Fatal(err)
			}
		},
		"cut":   func(t *rapid.T) { store.end(rapid.SampledFrom(failures).Draw(t, "failure")) },
		"fail":  func(t *rapid.T) { store.fail(rapid.SampledFrom(failures[:2]).Draw(t, "failure")) },
		"mend":  func(*rapid.T) { store.fail(nil) },
		"catch": func(*rapid.T) { synctest.Wait() },
		"settle": func(t *rapid.T) {
			store.fail(nil)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if diff := cmp.Diff(versions(t, store.Store), maps.Clone(told)); diff != "" {
				t.Fatalf("told (-stored +told):\n%s", diff)
			}
		},
	})
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// TestPauses: a source that fails at once is asked a few times a minute, whatever it fails with, and again as soon as
// it says.
func TestPauses(t *testing.T) {
	later := imagestream.NewError(imagestream.ReasonTooManyRequests, "", imagestream.Key{}, "")
	later.RetryAfter = 20 * time.Second
	for _, tc := range []struct {
		what     string
		fail     func(*flaky)
		at, most int // requests of the first hour
	}{
		{"broken", func(f *flaky) { f.fail(errors.New("broken")) }, 120, 260},
		{"gone", func(f *flaky) { f.fail(imagestream.ErrGone) }, 120, 260},
		{"later", func(f *flaky) { f.fail(later) }, 120, 190},
		{"ending", func(f *flaky) { f.Store.Fail = endWatches }, 120, 260},
		{"gone after each list", func(f *flaky) { f.Store.Fail = goneWatches }, 240, 520},
	} {
		t.Run(tc.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				store := &flaky{Store: &fakes.Store{}}
				tc.fail(store)
				failures := 0
				done := make(chan error, 1)
				nothing := func(imagestream.Key, *imagestream.ImageStream) {}
				go func() {
					done <- follow.ImageStreams(ctx, store, nothing, follow.Options{Failed: func(error) { failures++ }})
				}()
				time.Sleep(time.Hour)
				synctest.Wait()
				if n := store.counted(); n < tc.at || n > tc.most {
					t.Errorf("%d requests in an hour, want %d to %d", n, tc.at, tc.most)
				}
				if wanted := tc.what == "broken" || tc.what == "gone" || tc.what == "later"; wanted != (failures > 0) {
					t.Errorf("%d failures were told", failures)
				}
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					t.Errorf("it ended with %v", err)
				}
			})
		})
	}
}

func goneWatches(op string, _ imagestream.Key) error {
	if op == "WatchImageStreams" {
		return imagestream.ErrGone
	}
	return nil
}

// endWatches is for a wrapper that ends the watch without an error.
func endWatches(op string, _ imagestream.Key) error {
	if op == "WatchImageStreams" {
		return errEnd
	}
	return nil
}

// TestChosen: labels and namespaces choose, and what ceases to match is gone.
func TestChosen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		store := &fakes.Store{}
		selector, err := imagestream.ParseSelector("team=web")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		listed := 0
		done := make(chan error, 1)
		go func() {
			opts := follow.Options{Namespace: "shop", Labels: selector, Listed: func() { listed++ }}
			done <- follow.ImageStreams(ctx, store, func(key imagestream.Key, s *imagestream.ImageStream) {
				got = append(got, fmt.Sprint(key, " ", s != nil))
			}, opts)
		}()
		for _, namespace := range []string{"shop", "tools"} {
			s, err := store.CreateImageStream(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
				Namespace: namespace, Name: "app", Labels: map[string]string{"team": "web"},
			}})
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			s.Metadata.Labels = nil
			if _, err := store.UpdateImageStream(ctx, s); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if diff := cmp.Diff([]string{"shop/app true", "shop/app false"}, got); diff != "" || listed != 1 {
			t.Errorf("told after %d lists (-want +got):\n%s", listed, diff)
		}
		cancel()
		<-done
	})
}
