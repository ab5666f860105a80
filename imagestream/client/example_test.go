package client_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
)

var (
	ctx = context.Background()
	app = imagestream.Key{Namespace: "shop", Name: "app"}
)

// open returns a client on fakes, whose registry has quay.io/org/app with the tags v1 and v2.
func open() (*client.Client, *fakes.Registry) {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) {
		c.Push("org/app", fakes.Image{Layer: "one"}, "v1")
		c.Push("org/app", fakes.Image{Layer: "two"}, "v2")
	})
	clock := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	streams := on(&fakes.Store{}, registry)
	streams.API.(*rest.Server).Engine.Now = func() time.Time { return clock }
	streams.Now = func() time.Time { return clock }
	return streams, registry
}

// on returns a client on a store, with an internal registry.
func on(store imagestream.Store, registry importer.Registry) *client.Client {
	streams := client.New(store, registry)
	streams.API.(*rest.Server).Engine.Settings.InternalRegistry = "registry.local"
	return streams
}

func storeOf(streams *client.Client) *fakes.Store {
	return streams.API.(*rest.Server).Engine.Store.(*fakes.Store)
}

// imported is open, with stream shop/app, whose tag prod pointed at v1 first and points at v2 now.
func imported() *client.Client {
	streams, _ := open()
	for _, version := range []string{"v1", "v2"} {
		streams.Tag(ctx, app, "prod", "quay.io/org/app:"+version, client.TagOptions{})
		streams.Import(ctx, app)
	}
	return streams
}

// short is the beginning of an image's name.
func short(image string) string { return image[:14] }

func latest(s *imagestream.ImageStream, tag string) string {
	event, ok := s.LatestEvent(tag)
	if !ok {
		return "nothing"
	}
	return short(event.Image)
}

func Example() {
	streams, registry := open()
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{Scheduled: true})
	streams.Alias(ctx, app, "prod", "v1")
	streams.Import(ctx, app)
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "patched"}, "v1") })
	streams.Import(ctx, app)
	history, _ := streams.History(ctx, app, "prod")
	for _, event := range history.Items {
		fmt.Println(short(event.Image))
	}
	s, err := streams.Rollback(ctx, app, "prod", edit.Target{Events: 1})
	fmt.Println(latest(s, "prod"), err)
	// Output:
	// sha256:5638ee9
	// sha256:55ff6b9
	// sha256:55ff6b9 <nil>
}

func ExampleClient_Create() {
	streams, _ := open()
	s := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	created, err := streams.Create(ctx, s)
	fmt.Println(created.Status.DockerImageRepository, err)
	_, err = streams.Create(ctx, s)
	fmt.Println(errors.Is(err, imagestream.ErrAlreadyExists))
	// Output:
	// registry.local/shop/app <nil>
	// true
}

func ExampleClient_Get() {
	streams, _ := open()
	_, err := streams.Get(ctx, app)
	fmt.Println(err)
	// Output: imagestreams.image.openshift.io "app" not found in namespace "shop"
}

func ExampleClient_List() {
	streams := imported()
	streams.Tag(ctx, imagestream.Key{Namespace: "shop", Name: "db"}, "v1", "quay.io/org/app:v1", client.TagOptions{})
	for s, err := range streams.List(ctx, rest.ListOptions{Namespace: "shop"}) {
		fmt.Println(s.Key(), err)
	}
	// Output:
	// shop/app <nil>
	// shop/db <nil>
}

func ExampleClient_Watch() {
	streams := imported()
	for change, err := range streams.Watch(ctx, rest.WatchOptions{}) {
		fmt.Println(change.Type, change.Object.Key(), err)
		break
	}
	// Output: ADDED shop/app <nil>
}

func ExampleClient_Update() {
	streams := imported()
	s, err := streams.Update(ctx, app, func(s *imagestream.ImageStream) (*imagestream.ImageStream, error) {
		next := s.Clone()
		next.Metadata.Labels = map[string]string{"team": "checkout"}
		return next, nil
	})
	fmt.Println(s.Metadata.Labels, err)
	// Output: map[team:checkout] <nil>
}

func ExampleClient_Delete() {
	streams := imported()
	fmt.Println(streams.Delete(ctx, app), streams.Delete(ctx, app))
	// Output: <nil> imagestreams.image.openshift.io "app" not found in namespace "shop"
}

func ExampleClient_Tag() {
	streams, _ := open()
	s, err := streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{ReferencePolicy: imagestream.ReferencePolicyLocal})
	fmt.Println(s.Spec.Tags[0].From.Name, s.Spec.Tags[0].ReferencePolicy.Type, err)
	_, err = streams.Tag(ctx, app, "v2", "Not A Spec", client.TagOptions{})
	fmt.Println(errors.Is(err, imagestream.ErrInvalid))
	// Output:
	// quay.io/org/app:v1 Local <nil>
	// true
}

func ExampleClient_Copy() {
	streams := imported()
	s, err := streams.Copy(ctx, app, "frozen", app, "prod")
	fmt.Println(latest(s, "frozen"), err)
	// Output: sha256:93a1b20 <nil>
}

func ExampleClient_Alias() {
	streams := imported()
	s, err := streams.Alias(ctx, app, "stable", "prod")
	fmt.Println(latest(s, "stable"), err)
	// Output: sha256:93a1b20 <nil>
}

func ExampleClient_Track() {
	streams := imported()
	web := imagestream.Key{Namespace: "shop", Name: "web"}
	s, err := streams.Track(ctx, web, "base", app, "prod")
	fmt.Println(latest(s, "base"), err)
	_, err = streams.Track(ctx, imagestream.Key{Namespace: "other", Name: "web"}, "base", app, "prod")
	fmt.Println(errors.Is(err, imagestream.ErrInvalid)) // nobody gave leave
	// Output:
	// sha256:93a1b20 <nil>
	// true
}

func ExampleClient_Untag() {
	streams := imported()
	err := streams.Untag(ctx, app, "prod")
	s, _ := streams.Get(ctx, app)
	fmt.Println(len(s.Spec.Tags), len(s.Status.Tags), err)
	// Output: 0 0 <nil>
}

func ExampleClient_Push() {
	streams, _ := open()
	image := &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
	s, err := streams.Push(ctx, app, "dev", image)
	pull, _ := inspect.PullSpec(s, "dev", inspect.PullSpecOptions{Want: inspect.Recent})
	fmt.Println(pull.PullSpec, err)
	// Output: registry.local/shop/app@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08 <nil>
}

func ExampleClient_Import() {
	streams, _ := open()
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
	streams.Tag(ctx, app, "v9", "quay.io/org/app:v9", client.TagOptions{})
	answer, err := streams.Import(ctx, app)
	fmt.Println(latest(answer.Status.Import, "v1"), latest(answer.Status.Import, "v9"), errors.Is(err, importer.ErrFailed))
	_, err = streams.Import(ctx, app, "v1")
	fmt.Println(err)
	// Output:
	// sha256:55ff6b9 nothing true
	// <nil>
}

func ExampleNew() {
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	streams := client.New(&fakes.Store{}, registry)
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
	done, err := streams.Import(ctx, app, "v1")
	fmt.Println(done.Status.Images[0].Tag, short(done.Status.Images[0].Image.Metadata.Name), err)
	// Output: v1 sha256:55ff6b9 <nil>
}

func ExampleClient_Resume() {
	streams := imported()
	streams.Rollback(ctx, app, "prod", edit.Target{})
	s, err := streams.Resume(ctx, app, "prod")
	fmt.Println(s.Spec.Tags[0].From.Name, err)
	// Output: quay.io/org/app:v2 <nil>
}

func ExampleClient_Rollback() {
	streams := imported()
	s, err := streams.Rollback(ctx, app, "prod", edit.Target{Events: 1})
	fmt.Println(latest(s, "prod"), err)
	_, err = streams.Rollback(ctx, app, "prod", edit.Target{Events: 9})
	fmt.Println(errors.Is(err, imagestream.ErrInvalid))
	// Output:
	// sha256:55ff6b9 <nil>
	// true
}

func ExampleClient_Pin() {
	streams := imported()
	s, err := streams.Pin(ctx, app, "prod", "55ff6b9", client.PinOptions{Reason: "v2 loses orders"})
	fmt.Println(latest(s, "prod"), err)
	streams.Import(ctx, app) // finds v2, and does not move the tag
	s, _ = streams.Get(ctx, app)
	fmt.Println(latest(s, "prod"))
	// Output:
	// sha256:55ff6b9 <nil>
	// sha256:55ff6b9
}

func ExampleClient_Unpin() {
	streams := imported()
	streams.Pin(ctx, app, "prod", "55ff6b9", client.PinOptions{})
	s, err := streams.Unpin(ctx, app, "prod")
	fmt.Println(latest(s, "prod"), err)
	// Output: sha256:93a1b20 <nil>
}

func ExampleClient_SetLookup() {
	streams := imported()
	s, err := streams.SetLookup(ctx, app, true)
	fmt.Println(s.Spec.LookupPolicy.Local, err)
	// Output: true <nil>
}

func ExampleClient_History() {
	streams := imported()
	history, err := streams.History(ctx, app, "prod")
	for _, event := range history.Items {
		fmt.Println(short(event.Image), event.DockerImageReference[:16])
	}
	fmt.Println(err)
	// Output:
	// sha256:93a1b20 quay.io/org/app@
	// sha256:55ff6b9 quay.io/org/app@
	// <nil>
}

func ExampleClient_Wait() {
	streams, _ := open()
	streams.Tag(ctx, app, "v1", "quay.io/org/app:v1", client.TagOptions{})
	go streams.Import(ctx, app)
	events, err := streams.Wait(ctx, app, client.WaitOptions{}, "v1")
	fmt.Println(short(events["v1"].Image), err)
	// Output: sha256:55ff6b9 <nil>
}
