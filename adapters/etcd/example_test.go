package etcd_test

import (
	"context"
	"fmt"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
)

func ExampleNew() {
	client, err := clientv3.New(clientv3.Config{Endpoints: shared.Endpoints()}) // TLS, Username and Password as well, as a rule
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.Close()
	store := etcd.New(client, etcd.Options{Prefix: "/example/"})

	ctx := context.Background()
	app := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}}
	created, err := store.CreateImageStream(ctx, app)
	fmt.Println(created.Metadata.UID != "", err)
	_, err = store.CreateImageStream(ctx, app)
	fmt.Println(err)
	// Output:
	// true <nil>
	// imagestreams.image.openshift.io "app" already exists in namespace "shop"
}
