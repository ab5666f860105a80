package etcd_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// TestUsers has a cluster with TLS, a user for all, and one for a namespace.
func TestUsers(t *testing.T) {
	cert, key := etcdserver.Certificate(t)
	text, err := os.ReadFile(cert)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AppendCertsFromPEM(text)
	cluster := etcdserver.Start(t, 1, "--cert-file="+cert, "--key-file="+key)
	as := func(user, password string) (*clientv3.Client, error) {
		client, err := clientv3.New(clientv3.Config{
			Endpoints: []string{"https://" + cluster.Members[0].Endpoint}, TLS: &tls.Config{RootCAs: trusted}, Username: user, Password: password,
			DialTimeout: 10 * time.Second,
		})
		if err == nil {
			t.Cleanup(func() { client.Close() })
		}
		return client, err
	}
	anyone, err := as("", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	shop := etcd.New(anyone, etcd.Options{})
	mustCreate(t, shop, "a")
	for _, step := range []func() error{
		func() error { return second(anyone.UserAdd(ctx, "root", "secret-of-root")) },
		func() error { return second(anyone.UserGrantRole(ctx, "root", "root")) },
		func() error { return second(anyone.UserAdd(ctx, "shop", "secret-of-shop")) },
		func() error { return second(anyone.RoleAdd(ctx, "shop")) },
		func() error {
			return second(anyone.RoleGrantPermission(ctx, "shop", "/imagestreams/imagestreams/shop\x00", "/imagestreams/imagestreams/shop\x01",
				clientv3.PermissionType(clientv3.PermReadWrite)))
		},
		func() error { return second(anyone.UserGrantRole(ctx, "shop", "shop")) },
		func() error { return second(anyone.AuthEnable(ctx)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	wantReason := func(what string, err error, reason imagestream.StatusReason) {
		t.Helper()
		var status *imagestream.StatusError
		if !errors.As(err, &status) || status.Reason != reason || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want the reason %s", what, err, reason)
		}
	}
	a := imagestream.Key{Namespace: "shop", Name: "a"}
	wantReason("get without a user", second(shop.GetImageStream(ctx, a)), imagestream.ReasonUnauthorized)
	client, err := as("shop", "secret-of-shop")
	if err != nil {
		t.Fatal(err)
	}
	shop = etcd.New(client, etcd.Options{})
	stream, err := shop.GetImageStream(ctx, a)
	if err == nil {
		_, err = bump(ctx, shop, stream, 1)
	}
	if err != nil {
		t.Error(err)
	}
	if list, err := shop.ListImageStreams(ctx, imagestream.ListOptions{Namespace: "shop"}); err != nil || len(list.Items) != 1 {
		t.Errorf("list of the user's namespace: %+v, %v", list, err)
	}
	wantReason("list of all", second(shop.ListImageStreams(ctx, imagestream.ListOptions{})), imagestream.ReasonForbidden)
	wantReason("create elsewhere", second(shop.CreateImageStream(ctx, newStream("other", "a"))), imagestream.ReasonForbidden)
	wantReason("watch of all", watchError(ctx, shop, stream.Metadata.ResourceVersion), imagestream.ReasonForbidden)
	for change, err := range shop.WatchImageStreams(ctx, imagestream.WatchOptions{Namespace: "shop", ResourceVersion: stream.Metadata.ResourceVersion}) {
		if err != nil || change.Object.Metadata.Annotations["n"] != "1" {
			t.Errorf("watched %+v, %v", change, err)
		}
		break
	}
	if _, err := as("shop", "secret-but-wrong"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("a wrong password: %v", err)
	}
}
