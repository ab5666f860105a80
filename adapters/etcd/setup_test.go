package etcd_test

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// shared is a cluster of one member for tests that do it no harm.
var shared *etcdserver.Cluster

func TestMain(m *testing.M) {
	var err error
	if shared, err = etcdserver.Launch(1); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	shared.Close()
	os.Exit(code)
}

// connect returns a client of a cluster.
func connect(tb testing.TB, endpoints ...string) *clientv3.Client {
	tb.Helper()
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, DialKeepAliveTime: time.Second, DialKeepAliveTimeout: time.Second})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { client.Close() })
	return client
}

// counted counts the requests of a client, and calls before ahead of each.
type counted struct {
	clientv3.KV
	gets, txns, deletes, largest atomic.Int64
	before                       func()
}

func (c *counted) Get(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	if c.before != nil {
		c.before()
	}
	c.gets.Add(1)
	resp, err := c.KV.Get(ctx, key, opts...)
	if err == nil {
		size := int64(0)
		for _, kv := range resp.Kvs {
			size += int64(len(kv.Value))
		}
		c.largest.Store(max(c.largest.Load(), size))
	}
	return resp, err
}

func (c *counted) Delete(ctx context.Context, key string, opts ...clientv3.OpOption) (*clientv3.DeleteResponse, error) {
	c.deletes.Add(1)
	return c.KV.Delete(ctx, key, opts...)
}

func (c *counted) Txn(ctx context.Context) clientv3.Txn {
	c.txns.Add(1)
	return c.KV.Txn(ctx)
}

// take returns how many requests there were since it was called last.
func (c *counted) take() string {
	return fmt.Sprintf("%d get, %d txn, %d delete", c.gets.Swap(0), c.txns.Swap(0), c.deletes.Swap(0))
}

var stores atomic.Int64

func newPrefix() string { return fmt.Sprintf("/test%d/", stores.Add(1)) }

// open returns an empty store on the shared cluster, its prefix, and its client.
func open(tb testing.TB) (*etcd.Store, string, *clientv3.Client) {
	tb.Helper()
	client, prefix := connect(tb, shared.Endpoints()...), newPrefix()
	return etcd.New(client, etcd.Options{Prefix: prefix}), prefix, client
}

func newStream(namespace, name string) *imagestream.ImageStream {
	return &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: namespace, Name: name, Annotations: map[string]string{"n": "0"}}}
}

func mustCreate(tb testing.TB, s imagestream.Store, name string) *imagestream.ImageStream {
	tb.Helper()
	created, err := s.CreateImageStream(context.Background(), newStream("shop", name))
	if err != nil {
		tb.Fatal(err)
	}
	return created
}

// bump updates a stream's annotation n.
func bump(ctx context.Context, s imagestream.Store, old *imagestream.ImageStream, n any) (*imagestream.ImageStream, error) {
	next := old.Clone()
	next.Metadata.Annotations["n"] = fmt.Sprint(n)
	return s.UpdateImageStream(ctx, next)
}

func second[T any](_ T, err error) error { return err }

// watchError returns what a watch ends with.
func watchError(ctx context.Context, s imagestream.Store, version string) error {
	for _, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{ResourceVersion: version}) {
		if err != nil {
			return err
		}
	}
	return nil
}
