package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup/trigger"
	"github.com/imagestreams/imagestreams/tagevent"
)

// The objects of the story: a build from nodejs:20 to web:latest, and two deployments that follow web:latest.
const (
	webBuild = `{"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig", "metadata": {"namespace": "shop", "name": "web"},
		"spec": {"triggers": [{"type": "ImageChange", "imageChange": {}}],
			"strategy": {"sourceStrategy": {"from": {"kind": "ImageStreamTag", "name": "nodejs:20"}}},
			"output": {"to": {"kind": "ImageStreamTag", "name": "web:latest"}}}}`
	deployment = `{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"namespace": "shop", "name": %q},
		"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:latest"}]}}}}`
)

// parse reads an object, and lets it follow web:latest if it is a deployment.
func parse(text string, args ...any) (Object, error) {
	var o Object
	if err := json.Unmarshal(fmt.Appendf(nil, text, args...), &o); err != nil {
		return nil, err
	}
	if o["kind"] == "BuildConfig" {
		return o, nil
	}
	return trigger.Set(o, trigger.Setting{FromImage: "web:latest"})
}

// push moves a tag of a stream in a store to an image.
func push(ctx context.Context, store imagestream.Store, name, tag, image string) error {
	key := imagestream.Key{Namespace: "shop", Name: name}
	event := tagevent.Event{Image: image, DockerImageReference: "registry.shop/shop/" + name + "@" + image}
	for {
		s, err := store.GetImageStream(ctx, key)
		if errors.Is(err, imagestream.ErrNotFound) {
			s, err = store.CreateImageStream(
				ctx,
				&imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: name}},
			)
		}
		if err != nil {
			return err
		}
		s, _ = s.Push(tag, event)
		if _, err = store.UpdateImageStream(ctx, s); !errors.Is(err, imagestream.ErrConflict) {
			return err
		}
	}
}

// gate lets somebody wait for the rounds of a controller.
type gate struct {
	mu     sync.Mutex
	rounds chan struct{}
}

// pass tells those who wait that a round is over.
func (g *gate) pass() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.rounds != nil {
		close(g.rounds)
		g.rounds = nil
	}
}

// wait waits until something is so. It asks again after each round.
func (g *gate) wait(ctx context.Context, so func() bool) error {
	for {
		g.mu.Lock()
		if g.rounds == nil {
			g.rounds = make(chan struct{})
		}
		over := g.rounds
		g.mu.Unlock()
		if so() {
			return nil
		}
		select {
		case <-over:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// tell tells the story: a base image moves, a build follows, and what it makes is rolled out; then one deployment is
// held.
func tell(ctx context.Context, out io.Writer, opts trigger.Options) error {
	ctx, cancel := context.WithCancel(ctx)
	store, rounds := &fakes.Store{}, &gate{}
	builds := 0
	objects := &Memory{Streams: store, Built: func(ctx context.Context, _ *trigger.BuildRequest) error {
		builds++
		return push(ctx, store, "web", "latest", fmt.Sprintf("sha256:%064x", builds))
	}}
	var mu sync.Mutex // of what is printed, and what was rolled out as printed
	ran := map[trigger.ID]string{}
	say := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "# %s\n", text)
	}
	c := &Controller{
		Streams: store,
		Objects: objects,
		Options: opts,
		Wrote: func(u trigger.Update, err error) {
			mu.Lock()
			defer mu.Unlock()
			reportUpdate(out, u, err)
			if err == nil && u.Build == nil {
				ran[u.ID] = u.Changes[0].To
			}
		},
		Planned: func(trigger.Round) { rounds.pass() },
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	err := scenes(ctx, store, objects, say, func(id trigger.ID, image string) error {
		return rounds.wait(ctx, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return ran[id] == image
		})
	})
	cancel()
	if stopped := <-ended; err == nil && !errors.Is(stopped, context.Canceled) {
		err = stopped
	}
	return err
}

// scenes are what happens. Runs waits until an object was rolled out with an image.
func scenes(
	ctx context.Context,
	store imagestream.Store,
	objects *Memory,
	say func(string),
	runs func(trigger.ID, string) error,
) error {
	web, admin := trigger.ID{
		Group:     "apps",
		Kind:      "Deployment",
		Namespace: "shop",
		Name:      "web",
	}, trigger.ID{
		Group:     "apps",
		Kind:      "Deployment",
		Namespace: "shop",
		Name:      "admin",
	}
	build := func(n int) string { return fmt.Sprintf("registry.shop/shop/web@sha256:%064x", n) }
	for _, object := range []struct {
		text string
		args []any
	}{{webBuild, nil}, {deployment, []any{"web"}}, {deployment, []any{"admin"}}} {
		o, err := parse(object.text, object.args...)
		if err != nil {
			return err
		}
		objects.Put(o)
	}
	say("nodejs:20 is there: web is built, and rolled out")
	if err := push(ctx, store, "nodejs", "20", fmt.Sprintf("sha256:%064x", 0x20)); err != nil {
		return err
	}
	if err := errors.Join(runs(web, build(1)), runs(admin, build(1))); err != nil {
		return err
	}
	say("admin is held; nodejs:20 moves")
	held, err := objects.Get(ctx, admin)
	if err != nil {
		return err
	}
	objects.Put(trigger.Hold(held, "the audit is not over"))
	if err := push(ctx, store, "nodejs", "20", fmt.Sprintf("sha256:%064x", 0x21)); err != nil {
		return err
	}
	if err := runs(web, build(2)); err != nil {
		return err
	}
	say("admin is released")
	if held, err = objects.Get(ctx, admin); err != nil {
		return err
	}
	objects.Put(trigger.Release(held))
	return runs(admin, build(2))
}
