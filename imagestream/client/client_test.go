package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
)

// TestManyHands does different things to one stream from 32 goroutines, on a store that is slow and has
// conflicts of its own. Nobody sees one, and what was acknowledged is there in the end.
func TestManyHands(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		random := rand.New(rand.NewPCG(1, 2))
		chance := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return random.IntN(n)
		}
		injected := 0
		store := &fakes.Store{
			Delay: func(string, imagestream.Key) time.Duration { return time.Duration(chance(5)) * time.Millisecond },
			Fail: func(op string, key imagestream.Key) error {
				if op == "UpdateImageStream" && chance(4) == 0 {
					mu.Lock()
					injected++
					mu.Unlock()
					return imagestream.NewError(imagestream.ReasonConflict, imagestream.ResourceImageStreams, key, "injected")
				}
				return nil
			},
		}
		registry := &fakes.Registry{}
		registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
		streams := on(store, registry)
		ctx := t.Context()
		if _, err := streams.Tag(ctx, app, "base", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
			t.Fatal(err)
		}
		if _, err := streams.Import(ctx, app); err != nil {
			t.Fatal(err)
		}

		const hands, rounds = 32, 4
		image := func(hand, round int) *imagestream.Image {
			return &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%062d%02d", hand, round)}}
		}
		var wg sync.WaitGroup
		for hand := range hands {
			tag := fmt.Sprintf("t%02d", hand)
			wg.Go(func() {
				for round := range rounds {
					var err error
					switch hand % 8 {
					case 0:
						_, err = streams.Tag(ctx, app, tag, fmt.Sprintf("quay.io/org/app:%d", round), client.TagOptions{})
					case 1:
						if _, err = streams.Alias(ctx, app, tag, "base"); err == nil && round < rounds-1 {
							err = streams.Untag(ctx, app, tag)
						}
					case 2, 3:
						_, err = streams.Push(ctx, app, tag, image(hand, round))
					case 4:
						_, err = streams.Push(ctx, app, "shared", image(hand, round))
					case 5:
						if _, err = streams.Pin(ctx, app, "base", "", client.PinOptions{}); err == nil {
							_, err = streams.SetLookup(ctx, app, true)
						}
					case 6:
						_, err = streams.Import(ctx, app, "base")
					case 7:
						var s *imagestream.ImageStream
						if s, err = streams.Get(ctx, app); err == nil {
							err = describe.ImageStream(io.Discard, s, time.Now())
						}
					}
					if err != nil {
						t.Errorf("%s, round %d: %v", tag, round, err)
					}
				}
			})
		}
		wg.Wait()
		s, err := streams.Get(ctx, app)
		if err != nil {
			t.Fatal(err)
		}
		if injected == 0 {
			t.Error("no conflict was injected: this tests nothing")
		}
		shared, _ := s.History("shared")
		for hand := range hands {
			tag := fmt.Sprintf("t%02d", hand)
			spec, inSpec := s.SpecTag(tag)
			history, _ := s.History(tag)
			switch hand % 8 {
			case 0:
				if !inSpec || spec.From.Name != fmt.Sprintf("quay.io/org/app:%d", rounds-1) {
					t.Errorf("%s was set, and its spec is %+v", tag, spec)
				}
			case 1:
				if !inSpec || len(history.Items) == 0 || history.Items[0].Image != mustLatest(t, s, "base") {
					t.Errorf("%s follows base, and has %+v", tag, history.Items)
				}
			case 2, 3:
				var got, want []string
				for round := range rounds {
					want = append([]string{image(hand, round).Metadata.Name}, want...)
				}
				for _, e := range history.Items {
					got = append(got, e.Image)
				}
				if !slices.Equal(got, want) {
					t.Errorf("pushes to %s: %q\nwant %q", tag, got, want)
				}
			case 4:
				for round := range rounds {
					name := image(hand, round).Metadata.Name
					n := 0
					for _, e := range shared.Items {
						if e.Image == name {
							n++
						}
					}
					if n != 1 {
						t.Errorf("the push of %s to a shared tag is %d times in its history", name, n)
					}
				}
			}
		}
		if pins, err := s.Pins(); err != nil || len(pins) != 1 || !s.Spec.LookupPolicy.Local {
			t.Errorf("pins %v (%v), local lookup %t", pins, err, s.Spec.LookupPolicy.Local)
		}
	})
}

func mustLatest(t *testing.T, s *imagestream.ImageStream, tag string) string {
	t.Helper()
	event, ok := s.LatestEvent(tag)
	if !ok {
		t.Fatalf("%s has no image", tag)
	}
	return event.Image
}

// TestWait follows a tag to each of its ends.
func TestWait(t *testing.T) {
	for _, tc := range []struct {
		name  string
		tag   string // waited for
		while func(ctx context.Context, streams *client.Client, registry *fakes.Registry)
		want  error // nil: it is imported
	}{
		{"imported", "v1", func(ctx context.Context, streams *client.Client, _ *fakes.Registry) {
			streams.SetLookup(ctx, app, true) // another change of the stream ends nothing
			streams.Tag(ctx, imagestream.Key{Namespace: "shop", Name: "other"}, "v1", "quay.io/org/app:v9", client.TagOptions{})
			streams.Import(ctx, app)
		}, nil},
		{"failed", "v9", func(ctx context.Context, streams *client.Client, _ *fakes.Registry) { streams.Import(ctx, app) }, importer.ErrFailed},
		{"untagged", "v1", func(ctx context.Context, streams *client.Client, _ *fakes.Registry) { streams.Untag(ctx, app, "v1") }, imagestream.ErrNotFound},
		{"deleted", "v1", func(ctx context.Context, streams *client.Client, _ *fakes.Registry) { streams.Delete(ctx, app) }, imagestream.ErrNotFound},
		{"no such tag", "v7", nil, imagestream.ErrNotFound},
		{"cancelled", "v1", nil, context.DeadlineExceeded},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				streams, registry := open()
				reads := 0
				storeOf(streams).Fail = func(op string, _ imagestream.Key) error {
					if op == "WatchImageStreams" {
						reads++
					}
					return nil
				}
				for _, version := range []string{"v1", "v9"} {
					if _, err := streams.Tag(ctx, app, version, "quay.io/org/app:"+version, client.TagOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				type result struct {
					image string
					err   error
				}
				done := make(chan result, 1)
				go func() {
					events, err := streams.Wait(ctx, app, client.WaitOptions{}, tc.tag)
					done <- result{events[tc.tag].Image, err}
				}()
				synctest.Wait()
				if tc.while != nil {
					tc.while(ctx, streams, registry)
				}
				got := <-done
				if !errors.Is(got.err, tc.want) || (got.image != "") != (tc.want == nil) {
					t.Errorf("image %q, error %v; want %v", got.image, got.err, tc.want)
				}
				if reads > 1 {
					t.Errorf("watched %d times", reads)
				}
			})
		})
	}
}

// TestWaitGoesOnAfterGone has a store whose watches break off for being too old.
func TestWaitGoesOnAfterGone(t *testing.T) {
	streams, _ := open()
	store := storeOf(streams)
	breaks := 3
	store.Fail = func(op string, _ imagestream.Key) error {
		if op != "WatchImageStreams" {
			return nil
		}
		if breaks--; breaks >= 0 {
			return imagestream.NewError(imagestream.ReasonGone, imagestream.ResourceImageStreams, imagestream.Key{}, "too old")
		}
		_, err := streams.Import(ctx, app)
		return err
	}
	if _, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
		t.Fatal(err)
	}
	if events, err := streams.Wait(ctx, app, client.WaitOptions{}); err != nil || events["v1"].Image == "" || breaks != -1 {
		t.Errorf("events %+v, error %v after %d breaks", events, err, 3-breaks)
	}
}

// TestErrorsSayWhat checks the classes of errors and that they name what they are about.
func TestErrorsSayWhat(t *testing.T) {
	streams := imported()
	none := imagestream.Key{Namespace: "shop", Name: "none"}
	for _, tc := range []struct {
		name  string
		err   func() error
		class error
		about string
	}{
		{"import of nothing", func() error { _, err := streams.Import(ctx, none); return err }, imagestream.ErrNotFound, `"none" not found in namespace "shop"`},
		{"import of no tag", func() error { _, err := streams.Import(ctx, app, "x"); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"import without a registry", func() error {
			streams := client.New(&fakes.Store{}, nil)
			if _, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil {
				return err
			}
			_, err := streams.Import(ctx, app)
			return err
		}, rest.ErrNoImporter, "Server.Importer"},
		{"import that the API cannot do", func() error { _, err := client.New(storeOf(streams), nil).Import(ctx, app); return err }, imagestream.ErrUnsupported, "Server.Importer"},
		{"no API", func() error { _, err := new(client.Client).Import(ctx, app); return err }, client.ErrNoAPI, "Client.API"},
		{"no store", func() error { _, err := client.New(nil, nil).Get(ctx, app); return err }, rest.ErrNoStore, "Store"},
		{"tag without a name", func() error { _, err := streams.Tag(ctx, app, "", "quay.io/a", client.TagOptions{}); return err }, imagestream.ErrInvalid, "spec.tags[].name"},
		{"tag with a blank", func() error { _, err := streams.Tag(ctx, app, "bad tag", "quay.io/a", client.TagOptions{}); return err }, imagestream.ErrInvalid, `"bad tag"`},
		{"tag with a colon", func() error { _, err := streams.Alias(ctx, app, "a:b", "prod"); return err }, imagestream.ErrInvalid, `"a:b"`},
		{"alias of no tag", func() error { _, err := streams.Alias(ctx, app, "y", "a/b"); return err }, imagestream.ErrInvalid, `"a/b"`},
		{"pin in the past", func() error {
			_, err := streams.Pin(ctx, app, "prod", "", client.PinOptions{Until: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)})
			return err
		}, imagestream.ErrInvalid, `"2025-01-01T00:00:00Z"`},
		{"resume", func() error { _, err := streams.Resume(ctx, app, "prod"); return err }, imagestream.ErrInvalid, "not rolled back"},
		{"copy of nothing", func() error { _, err := streams.Copy(ctx, app, "y", app, "x"); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"copy from nowhere", func() error { _, err := streams.Copy(ctx, app, "y", none, "x"); return err }, imagestream.ErrNotFound, `"none" not found in namespace "shop"`},
		{"alias of itself", func() error { _, err := streams.Alias(ctx, app, "y", "y"); return err }, imagestream.ErrInvalid, "spec.tags[y]"},
		{"pin of no tag", func() error { _, err := streams.Pin(ctx, app, "x", "", client.PinOptions{}); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"pin of no tag to an image", func() error { _, err := streams.Pin(ctx, app, "x", "sha256:", client.PinOptions{}); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"pin of no name", func() error { _, err := streams.Pin(ctx, app, "", "sha256:", client.PinOptions{}); return err }, imagestream.ErrInvalid, "spec.tags[].name"},
		{"pin of a name with a blank", func() error { _, err := streams.Pin(ctx, app, "bad tag", "sha256:", client.PinOptions{}); return err }, imagestream.ErrInvalid, `"bad tag"`},
		{"pin to no image", func() error { _, err := streams.Pin(ctx, app, "prod", "ffff", client.PinOptions{}); return err }, imagestream.ErrNotFound, "ffff"},
		{"pin to several images", func() error { _, err := streams.Pin(ctx, app, "prod", "sha256:", client.PinOptions{}); return err }, imagestream.ErrInvalid, "several"},
		{"unpin", func() error { _, err := streams.Unpin(ctx, app, "prod"); return err }, imagestream.ErrInvalid, "spec.tags[prod]"},
		{"rollback", func() error { _, err := streams.Rollback(ctx, app, "x", edit.Target{}); return err }, imagestream.ErrNotFound, `"app:x"`},
		{"rollback too far", func() error { _, err := streams.Rollback(ctx, app, "prod", edit.Target{Events: 9}); return err }, imagestream.ErrInvalid, "9 events"},
		{"history", func() error { _, err := streams.History(ctx, app, "x"); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"history of no stream", func() error { _, err := streams.History(ctx, none, "x"); return err }, imagestream.ErrNotFound, `"none" not found in namespace "shop"`},
		{"untag", func() error { return streams.Untag(ctx, app, "x") }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"push of no image", func() error { _, err := streams.Push(ctx, app, "x", &imagestream.Image{}); return err }, imagestream.ErrInvalid, "image"},
		{"update", func() error {
			_, err := streams.Update(ctx, app, func(*imagestream.ImageStream) (*imagestream.ImageStream, error) { return nil, io.EOF })
			return err
		}, io.EOF, "EOF"},
	} {
		if err := tc.err(); !errors.Is(err, tc.class) || !strings.Contains(err.Error(), tc.about) {
			t.Errorf("%s: %v; want the class %v, about %q", tc.name, err, tc.class, tc.about)
		}
	}
	if _, err := streams.Get(ctx, none); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("a failed call created the stream: %v", err)
	}
}

// TestImportFollowsAliases imports the end of a chain, once.
func TestImportFollowsAliases(t *testing.T) {
	streams := imported()
	if _, err := streams.Alias(ctx, app, "stable", "prod"); err != nil {
		t.Fatal(err)
	}
	answer, err := streams.Import(ctx, app, "stable", "prod")
	if err != nil || len(answer.Spec.Images) != 1 || answer.Spec.Images[0].To.Name != "prod" {
		t.Errorf("imported %+v, %v", answer.Spec.Images, err)
	}
	if _, err := streams.Alias(ctx, app, "lonely", "nothing"); err != nil {
		t.Fatal(err)
	}
	if _, err := streams.Import(ctx, app, "lonely"); !errors.Is(err, imagestream.ErrInvalid) {
		t.Errorf("an alias that ends nowhere: %v", err)
	}
}

// TestWaitOptions: an alias fails with what it follows, a failed tag may recover, and what is not there may appear.
func TestWaitOptions(t *testing.T) {
	for _, tc := range []struct {
		name string
		tag  string
		opts client.WaitOptions
		want error // nil: it is imported in the end
	}{
		{"alias of a failed tag", "latest", client.WaitOptions{}, importer.ErrFailed},
		{"alias of a tag that recovers", "latest", client.WaitOptions{Recover: true}, nil},
		{"a tag that appears", "later", client.WaitOptions{Appear: true}, nil},
		{"a tag that is not there", "later", client.WaitOptions{Recover: true}, imagestream.ErrNotFound},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx := t.Context()
				streams, registry := open()
				streams.Tag(ctx, app, "v9", "quay.io/org/app:v9", client.TagOptions{})
				streams.Alias(ctx, app, "latest", "v9")
				streams.Import(ctx, app)
				done := make(chan error, 1)
				go func() {
					events, err := streams.Wait(ctx, app, tc.opts, tc.tag)
					if err == nil && events[tc.tag].Image == "" {
						err = errors.New("it ended without an image")
					}
					done <- err
				}()
				synctest.Wait()
				registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "nine"}, "v9") })
				streams.Tag(ctx, app, "later", "quay.io/org/app:v1", client.TagOptions{})
				streams.Import(ctx, app)
				if err := <-done; !errors.Is(err, tc.want) {
					t.Errorf("ended with %v, want %v", err, tc.want)
				}
			})
		})
	}
}

// TestWaitForAStreamThatAppears waits for every tag of a stream that does not exist yet.
func TestWaitForAStreamThatAppears(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		streams, _ := open()
		done := make(chan error, 1)
		go func() {
			events, err := streams.Wait(t.Context(), app, client.WaitOptions{Appear: true}, "v1", "v2")
			if err == nil && len(events) != 2 {
				err = fmt.Errorf("waited for two tags, got %v", events)
			}
			done <- err
		}()
		synctest.Wait()
		streams.Tag(t.Context(), app, "v1", "quay.io/org/app:v1", client.TagOptions{})
		streams.Import(t.Context(), app)
		streams.Tag(t.Context(), app, "v2", "quay.io/org/app:v2", client.TagOptions{})
		streams.Import(t.Context(), app)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestFollowersGoWithARollback: latest follows prod, which is rolled back, pinned and unpinned.
func TestFollowersGoWithARollback(t *testing.T) {
	streams := imported()
	if _, err := streams.Alias(ctx, app, "latest", "prod"); err != nil {
		t.Fatal(err)
	}
	check := func(what string, s *imagestream.ImageStream, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if prod, follower := latest(s, "prod"), latest(s, "latest"); prod != follower {
			t.Errorf("%s: prod is at %s, and latest, which follows it, at %s", what, prod, follower)
		}
	}
	s, err := streams.Rollback(ctx, app, "prod", edit.Target{})
	check("rollback", s, err)
	s, err = streams.Resume(ctx, app, "prod")
	check("resume", s, err)
	h, _ := streams.History(ctx, app, "prod")
	s, err = streams.Pin(ctx, app, "prod", h.Items[len(h.Items)-2].Image, client.PinOptions{})
	check("pin", s, err)
	s, err = streams.Unpin(ctx, app, "prod")
	check("unpin", s, err)
}

// TestAliasesMakeNoCircle: no order of two aliases closes a circle.
func TestAliasesMakeNoCircle(t *testing.T) {
	streams := imported()
	for tag, target := range map[string]string{"a": "b", "b": "c"} {
		if _, err := streams.Alias(ctx, app, tag, target); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := streams.Alias(ctx, app, "c", "a"); !errors.Is(err, imagestream.ErrInvalid) || !strings.Contains(err.Error(), "c, a, b") {
		t.Errorf("c follows a, which follows b, which follows c: %v", err)
	}
}

// TestUntagRemovesWhatCannotBeSet: tags that an older version let through.
func TestUntagRemovesWhatCannotBeSet(t *testing.T) {
	streams, _ := open()
	for _, tag := range []string{"", "bad tag", "a:b"} {
		if _, err := storeOf(streams).CreateImageStream(ctx, &imagestream.ImageStream{
			Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
			Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{{
				Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:v1"},
			}}},
		}); err != nil {
			t.Fatal(err)
		}
		if err := streams.Untag(ctx, app, tag); err != nil {
			t.Errorf("%q cannot be removed: %v", tag, err)
		}
		if s, err := streams.Get(ctx, app); err != nil || len(s.Spec.Tags) != 0 {
			t.Errorf("%q: left %+v, %v", tag, s.Spec.Tags, err)
		}
		if err := streams.Delete(ctx, app); err != nil {
			t.Fatal(err)
		}
	}
}

// TestTagBesideADelete: a tag that is set while its stream is deleted is there in the end.
func TestTagBesideADelete(t *testing.T) {
	streams, _ := open()
	store := storeOf(streams)
	if _, err := streams.Create(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}); err != nil {
		t.Fatal(err)
	}
	deleted := false
	store.Fail = func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" && !deleted {
			deleted = true
			return store.DeleteImageStream(ctx, key, imagestream.Preconditions{})
		}
		return nil
	}
	if s, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{}); err != nil || !deleted || len(s.Spec.Tags) != 1 {
		t.Errorf("deleted %t, then %+v, %v", deleted, s, err)
	}
}

// TestInsecureRepositoryIsHonoured: a stream with the annotation is imported over plain HTTP.
func TestInsecureRepositoryIsHonoured(t *testing.T) {
	streams, _ := open()
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
		Namespace: "shop", Name: "app", Annotations: map[string]string{imagestream.InsecureRepositoryAnnotation: "true"},
	}}
	streams.Create(ctx, s)
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
	done, err := streams.Import(ctx, app)
	if err != nil || !done.Spec.Images[0].ImportPolicy.Insecure {
		t.Errorf("imported %+v, %v", done.Spec.Images, err)
	}
}
