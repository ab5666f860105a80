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
		streams := &client.Client{Writer: imagestream.Writer{Store: store, Settings: imagestream.Settings{InternalRegistry: "registry.local"}}, Registry: registry}
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
				streams.Writer.Store.(*fakes.Store).Fail = func(op string, _ imagestream.Key) error {
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
					event, err := streams.Wait(ctx, app, tc.tag)
					done <- result{event.Image, err}
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
	store := streams.Writer.Store.(*fakes.Store)
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
	if event, err := streams.Wait(ctx, app, "v1"); err != nil || event.Image == "" || breaks != -1 {
		t.Errorf("event %+v, error %v after %d breaks", event, err, 3-breaks)
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
			_, err := (&client.Client{Writer: streams.Writer}).Import(ctx, app)
			return err
		}, client.ErrNoRegistry, "Client.Registry"},
		{"copy of nothing", func() error { _, err := streams.Copy(ctx, app, "y", app, "x"); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"copy from nowhere", func() error { _, err := streams.Copy(ctx, app, "y", none, "x"); return err }, imagestream.ErrNotFound, `"none" not found in namespace "shop"`},
		{"alias of itself", func() error { _, err := streams.Alias(ctx, app, "y", "y"); return err }, imagestream.ErrInvalid, "spec.tags[y]"},
		{"pin of no tag", func() error { _, err := streams.Pin(ctx, app, "x", "", client.PinOptions{}); return err }, imagestream.ErrNotFound, `"app:x" not found in namespace "shop"`},
		{"pin to no image", func() error { _, err := streams.Pin(ctx, app, "prod", "ffff", client.PinOptions{}); return err }, imagestream.ErrNotFound, "ffff"},
		{"pin to several images", func() error { _, err := streams.Pin(ctx, app, "prod", "sha256:", client.PinOptions{}); return err }, imagestream.ErrInvalid, "several"},
		{"unpin", func() error { _, err := streams.Unpin(ctx, app, "prod"); return err }, imagestream.ErrInvalid, "spec.tags[prod]"},
		{"rollback", func() error { _, err := streams.Rollback(ctx, app, "x", 1); return err }, imagestream.ErrInvalid, "spec.tags[x]"},
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
