package openshift_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/fakes/resttest"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func ExampleAPI() {
	ctx := context.Background()
	registry := &fakes.Registry{}
	registry.Edit("quay.io", func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: "one"}, "v1") })
	cluster := openshift.Clientset(rest.New(&fakes.Store{}, registry)) // or versioned.NewForConfig(config)

	streams := &client.Client{API: openshift.API(cluster)}
	_, err := streams.Tag(ctx, key, "v1", "quay.io/org/app:v1", client.TagOptions{})
	fmt.Println(err)
	_, err = streams.Import(ctx, key)
	fmt.Println(err)
	history, err := streams.History(ctx, key, "v1")
	fmt.Println(len(history.Items), err)
	_, err = streams.Pin(ctx, key, "v1", "", client.PinOptions{})
	fmt.Println(errors.Is(err, imagestream.ErrUnsupported))
	// Output:
	// <nil>
	// <nil>
	// 1 <nil>
	// true
}

// TestAPIAndClientsetKeepTheContract is the round trip: verbs on a typed clientset on verbs.
func TestAPIAndClientsetKeepTheContract(t *testing.T) {
	resttest.Run(t, func(*testing.T) resttest.Subject {
		registry := &fakes.Registry{}
		server := rest.New(&fakes.Store{}, registry)
		return resttest.Subject{API: openshift.API(openshift.Clientset(server)), Registry: registry}
	})
}
