package view_test

import (
	"context"
	"fmt"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/view"
)

func ExampleDryRun() {
	store := &fakes.Store{}
	writer := imagestream.Writer{Store: view.DryRun(store)}
	s, err := writer.Create(context.Background(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}})
	fmt.Println(s.Key(), err)
	_, err = store.GetImageStream(context.Background(), s.Key())
	fmt.Println(err)
	// Output:
	// shop/app <nil>
	// imagestreams.image.openshift.io "app" not found in namespace "shop"
}
