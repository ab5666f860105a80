package oc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// TestClientAndWordsAgree: a method of the client and the words of oc that do the same leave the same stream.
func TestClientAndWordsAgree(t *testing.T) { rapid.Check(t, clientAndWordsAgree) }

func FuzzClientAndWordsAgree(f *testing.F) { f.Fuzz(rapid.MakeFuzz(clientAndWordsAgree)) }

// world is a store that is changed by methods, or by words.
type world struct {
	streams  *client.Client
	commands *oc.Commands
	clock    time.Time
}

func newWorld() *world {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) {
		for _, tag := range []string{"a", "b", "latest"} {
			c.Push("org/app", fakes.Image{Layer: tag}, tag)
		}
	})
	w := &world{streams: client.New(&fakes.Store{}, registry), clock: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	w.streams.API.(*rest.Server).Engine.Now = func() time.Time { return w.clock }
	w.commands = &oc.Commands{Server: oc.Local{API: w.streams.API}, NoCircles: true}
	return w
}

// state is what the world's streams are, without what the client remembers beyond what oc does.
func (w *world) state(t *rapid.T) map[string]any {
	state := map[string]any{}
	for s, err := range w.streams.List(context.Background(), rest.ListOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		delete(s.Metadata.Annotations, edit.RolledBackAnnotation)
		if len(s.Metadata.Annotations) == 0 {
			s.Metadata.Annotations = nil
		}
		s.Metadata.ResourceVersion = ""
		for i := range s.Spec.Tags {
			if len(s.Spec.Tags[i].Annotations) == 0 {
				s.Spec.Tags[i].Annotations = nil // empty is nil, in one writer's JSON or the other's
			}
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var tree any
		if err := json.Unmarshal(raw, &tree); err != nil {
			t.Fatal(err)
		}
		state[s.Key().String()] = tree
	}
	return state
}

func clientAndWordsAgree(t *rapid.T) {
	ctx := context.Background()
	methods, words := newWorld(), newWorld()
	streams := rapid.SampledFrom([]string{"app", "db"})
	names := rapid.SampledFrom([]string{"a", "b", "latest", "v1"})
	key := func(stream string) imagestream.Key { return imagestream.Key{Namespace: "shop", Name: stream} }
	typed := func(word string, args ...string) oc.Command {
		cmd := oc.Command{Namespace: "shop", Args: args, Flags: oc.Flags{}}
		if word != "" {
			cmd.Flags[word] = []string{"true"}
		}
		return cmd
	}
	did := ""
	both := func(what string, method, word error) {
		did = what
		if (method == nil) != (word == nil) {
			t.Fatalf("%s: the client says %v, the words say %v", what, method, word)
		}
	}
	t.Repeat(map[string]func(*rapid.T){
		"tag": func(t *rapid.T) {
			stream, tag, from := streams.Draw(t, "stream"), names.Draw(t, "tag"), "quay.io/org/app:"+names.Draw(t, "from")
			scheduled := rapid.Bool().Draw(t, "scheduled")
			_, err := methods.streams.Tag(ctx, key(stream), tag, from, client.TagOptions{Scheduled: scheduled})
			cmd := typed("", from, stream+":"+tag)
			if scheduled {
				cmd.Flags["scheduled"] = []string{"true"}
			}
			both("tag "+from+" "+stream+":"+tag, err, words.commands.Tag(ctx, cmd))
		},
		"copy": func(t *rapid.T) {
			stream, tag, from, fromTag := streams.Draw(t, "stream"), names.Draw(t, "tag"), streams.Draw(t, "from"), names.Draw(t, "from tag")
			_, err := methods.streams.Copy(ctx, key(stream), tag, key(from), fromTag)
			both("tag "+from+":"+fromTag+" "+stream+":"+tag, err, words.commands.Tag(ctx, typed("", from+":"+fromTag, stream+":"+tag)))
		},
		"alias": func(t *rapid.T) {
			stream, tag, target := streams.Draw(t, "stream"), names.Draw(t, "tag"), names.Draw(t, "target")
			_, err := methods.streams.Alias(ctx, key(stream), tag, target)
			both("tag --alias "+stream+":"+target+" "+tag, err, words.commands.Tag(ctx, typed("alias", stream+":"+target, stream+":"+tag)))
		},
		"track": func(t *rapid.T) {
			tag, fromTag := names.Draw(t, "tag"), names.Draw(t, "from tag")
			if s, err := methods.streams.Get(ctx, key("app")); err == nil {
				if _, ok := s.SpecTag(tag); ok {
					t.Skip("the words only create")
				}
			}
			_, err := methods.streams.Track(ctx, key("app"), tag, key("db"), fromTag)
			cmd := typed("", "app:"+tag)
			cmd.Flags["from"] = []string{"db:" + fromTag}
			both("create istag app:"+tag+" --from=db:"+fromTag, err, words.commands.CreateImageStreamTag(ctx, cmd))
		},
		"untag": func(t *rapid.T) {
			stream, tag := streams.Draw(t, "stream"), names.Draw(t, "tag")
			both("tag -d "+stream+":"+tag, methods.streams.Untag(ctx, key(stream), tag), words.commands.Tag(ctx, typed("delete", stream+":"+tag)))
		},
		"rollback": func(t *rapid.T) {
			stream, tag := streams.Draw(t, "stream"), names.Draw(t, "tag")
			h, err := methods.streams.History(ctx, key(stream), tag)
			if err != nil || len(h.Items) < 2 {
				t.Skip("there is nothing to go back to")
			}
			n := rapid.IntRange(1, len(h.Items)-1).Draw(t, "events")
			if h.Items[n].Image == "" {
				t.Skip("the words need an image")
			}
			source := stream + "@" + h.Items[n].Image
			if s, err := methods.streams.Get(ctx, key(stream)); err == nil {
				if spec, ok := s.SpecTag(tag); ok && spec.From != nil && spec.From.Name == source {
					t.Skip("the tag has that source, and was pushed away from it: the words change nothing then")
				}
			}
			_, err = methods.streams.Rollback(ctx, key(stream), tag, edit.Target{Events: n})
			both("tag "+source+" "+stream+":"+tag, err, words.commands.Tag(ctx, typed("", source, stream+":"+tag)))
		},
		"push and import": func(t *rapid.T) {
			stream, tag, layer := streams.Draw(t, "stream"), names.Draw(t, "tag"), rapid.IntRange(1, 3).Draw(t, "image")
			image := &imagestream.Image{
				Metadata:             imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%064d", layer)},
				DockerImageReference: fmt.Sprintf("quay.io/org/pushed@sha256:%064d", layer),
			}
			imports := rapid.Bool().Draw(t, "import")
			for _, w := range []*world{methods, words} {
				w.clock = w.clock.Add(time.Minute)
				if imports {
					w.streams.Import(ctx, key(stream)) // what fails, fails in both
				} else if _, err := w.streams.Push(ctx, key(stream), tag, image); err != nil {
					t.Fatal(err)
				}
			}
			did = "push or import"
		},
		"": func(t *rapid.T) {
			if diff := cmp.Diff(methods.state(t), words.state(t)); diff != "" {
				t.Fatalf("after %q (-client +words):\n%s", did, diff)
			}
		},
	})
}
