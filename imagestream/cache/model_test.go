package cache_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"

	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/cache"
)

// TestNeverOlder has a feed that is late, is lost and comes back, while streams are written through the cache and past it: no get
// is older than what one before found, nor than a write through the cache, and indexes agree with that.
func TestNeverOlder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { rapid.Check(inBubble{t}, func(r *rapid.T) { neverOlder(t, r) }) })
}

// inBubble is a test without a deadline, which a bubble does not have.
type inBubble struct{ rapid.TB }

func neverOlder(t *testing.T, r *rapid.T) {
	store := newGated()
	c := cache.New(store, cache.Options{Indexes: cache.Indexes()})
	ctx, stop := context.WithCancel(t.Context())
	defer synctest.Wait()
	defer stop()
	go c.Run(ctx)
	synctest.Wait()
	undelivered, lost := 0, false
	var arrive func()            // lets the list that is under way arrive
	floor := map[string]uint64{} // the oldest state of each stream that may still be answered, by the store's own count
	exists := map[uint64]map[string]string{0: {}}
	newest := uint64(0)
	// note copies what there is after each write, so that an answer can be dated.
	note := func() {
		state := map[string]string{}
		list, err := store.Store.ListImageStreams(ctx, imagestream.ListOptions{})
		if err != nil {
			r.Fatal(err)
		}
		for i := range list.Items {
			state[list.Items[i].Metadata.Name] = list.Items[i].Metadata.ResourceVersion
		}
		if at, _ := strconv.ParseUint(list.Metadata.ResourceVersion, 10, 64); at > newest {
			newest, exists[at] = at, state
			undelivered++
		}
	}
	names := rapid.SampledFrom([]string{"a", "b", "c"})
	writer := func(r *rapid.T) (imagestream.Store, bool) {
		if rapid.Bool().Draw(r, "through the cache") {
			return c, true
		}
		return store.Store, false
	}
	write := func(r *rapid.T, do func(s imagestream.Store, name string) error) {
		name := names.Draw(r, "name")
		s, own := writer(r)
		before := newest
		if err := do(s, name); err == nil {
			note()
		}
		if own && newest > before {
			floor[name] = newest
		}
	}
	r.Repeat(map[string]func(*rapid.T){
		"create": func(r *rapid.T) {
			write(r, func(s imagestream.Store, name string) error {
				_, err := s.CreateImageStream(ctx, newStream(name, "sha256:"+strconv.FormatUint(newest%3, 10)))
				return err
			})
		},
		"update": func(r *rapid.T) {
			write(r, func(s imagestream.Store, name string) error {
				old, err := store.Store.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: name})
				if err != nil {
					return err
				}
				if rapid.Bool().Draw(r, "without a change") {
					_, err = s.UpdateImageStream(ctx, old)
					return err
				}
				old.Metadata.Generation++
				old.Status.Tags = newStream(name, "sha256:"+strconv.FormatUint(newest%3, 10)).Status.Tags
				_, err = s.UpdateImageStream(ctx, old)
				return err
			})
		},
		"delete": func(r *rapid.T) {
			write(r, func(s imagestream.Store, name string) error {
				return s.DeleteImageStream(ctx, imagestream.Key{Namespace: "shop", Name: name}, imagestream.Preconditions{})
			})
		},
		"deliver": func(r *rapid.T) {
			if lost {
				r.Skip()
			}
			n := rapid.IntRange(0, undelivered).Draw(r, "changes")
			store.deliver(n)
			undelivered -= n
		},
		"lose": func(r *rapid.T) {
			if lost {
				r.Skip()
			}
			store.fail <- errors.New("lost")
			synctest.Wait()
			lost = true
		},
		"list again": func(r *rapid.T) {
			if !lost || arrive != nil {
				r.Skip()
			}
			listed, goOn := make(chan struct{}), make(chan struct{})
			store.after.set(func() {
				close(listed)
				select {
				case <-goOn:
				case <-ctx.Done():
				}
			})
			<-listed
			undelivered = 0
			arrive = func() { close(goOn) }
		},
		"come back": func(r *rapid.T) {
			switch {
			case !lost:
				r.Skip()
			case arrive != nil:
				arrive()
			default:
				undelivered = 0
			}
			if err := c.Wait(ctx); err != nil {
				r.Fatal(err)
			}
			synctest.Wait()
			lost, arrive = false, nil
		},
		"get": func(r *rapid.T) {
			name := names.Draw(r, "name")
			at, fresh := ctx, rapid.Bool().Draw(r, "fresh")
			if fresh {
				at = cache.Fresh(ctx)
			}
			version := ""
			got, err := c.GetImageStream(at, imagestream.Key{Namespace: "shop", Name: name})
			if err == nil {
				version = got.Metadata.ResourceVersion
			}
			if fresh && version != exists[newest][name] {
				r.Fatalf("a fresh get finds version %q of %s, want %q", version, name, exists[newest][name])
			}
			floor[name] = oldestWith(r, exists, newest, floor[name], name, version)
		},
		"": func(r *rapid.T) {
			for _, image := range []string{"sha256:0", "sha256:1", "sha256:2"} {
				keys, err := c.Find(ctx, cache.ByImage, image)
				if lost != errors.Is(err, cache.ErrNotFed) {
					r.Fatal(err)
				}
				if lost {
					return
				}
				for _, name := range []string{"a", "b", "c"} {
					got, err := c.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: name})
					holds := err == nil && got.Status.Tags[0].Items[0].Image == image
					if found := slices.ContainsFunc(keys, func(k imagestream.Key) bool { return k.Name == name }); found != holds {
						r.Fatalf("the index says %t of %s and %s, a get %t", found, name, image, holds)
					}
				}
			}
		},
	})
}

// oldestWith returns the first state, from the floor on, in which a stream had that version, "" for none.
func oldestWith(r *rapid.T, exists map[uint64]map[string]string, newest, floor uint64, name, version string) uint64 {
	for at := floor; at <= newest; at++ {
		if state, ok := exists[at]; ok && state[name] == version {
			return at
		}
	}
	r.Fatalf("%s is answered at version %q, which is older than an answer or a write before: state %d of %d", name, version, floor, newest)
	return 0
}
