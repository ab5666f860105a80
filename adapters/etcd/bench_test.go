package etcd_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// largeStream is a stream of about 20 KB of JSON.
func largeStream(name string) *imagestream.ImageStream {
	s := newStream("shop", name)
	for i := range 20 {
		tag := fmt.Sprint("v", i)
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag}})
		h := tagevent.History{Tag: tag}
		for n := range 3 {
			digest := fmt.Sprintf("sha256:%s%04d%04d", strings.Repeat("0a", 28), i, n)
			h.Items = append(h.Items, tagevent.Event{Created: 1, DockerImageReference: "quay.io/org/app@" + digest, Image: digest, Generation: 2})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

// BenchmarkStore compares the operations of the store with the requests of the raw client that they take.
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	s, prefix, client := open(b)
	stream, err := s.CreateImageStream(ctx, largeStream("app"))
	if err != nil {
		b.Fatal(err)
	}
	text, err := json.Marshal(stream)
	if err != nil {
		b.Fatal(err)
	}
	raw := prefix + "raw"
	put, err := client.Put(ctx, raw, string(text))
	if err != nil {
		b.Fatal(err)
	}
	revision := put.Header.Revision
	run := func(name string, do func() error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	run("get/raw", func() error { return second(client.Get(ctx, raw)) })
	run("get/raw+json", func() error {
		resp, err := client.Get(ctx, raw)
		if err == nil {
			err = json.Unmarshal(resp.Kvs[0].Value, new(imagestream.ImageStream))
		}
		return err
	})
	run("get/store", func() error { return second(s.GetImageStream(ctx, stream.Key())) })
	n := 0
	run("update/raw", func() error {
		n++
		resp, err := client.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(raw), "=", revision)).
			Then(clientv3.OpPut(raw, string(text)+fmt.Sprint(n))).Else(clientv3.OpGet(raw)).Commit()
		if err == nil {
			revision = resp.Header.Revision
		}
		return err
	})
	run("update/store", func() (err error) {
		n++
		stream, err = bump(ctx, s, stream, n)
		return err
	})
}

// BenchmarkList compares lists of streams of 20 KB with what the raw client and the decoding take.
func BenchmarkList(b *testing.B) {
	ctx := context.Background()
	s, prefix, client := open(b)
	there := 0
	for _, n := range []int{1000, 10000} {
		for ; there < n; there++ {
			if _, err := s.CreateImageStream(ctx, largeStream(fmt.Sprintf("s%04d", there))); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprint(n, "/raw+json"), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp, err := client.Get(ctx, prefix, clientv3.WithPrefix())
				if err != nil {
					b.Fatal(err)
				}
				items := make([]imagestream.ImageStream, len(resp.Kvs))
				for i, kv := range resp.Kvs {
					if err := json.Unmarshal(kv.Value, &items[i]); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
		for name, limit := range map[string]int{"one page": 0, "pages of 100": 100} {
			b.Run(fmt.Sprint(n, "/store/", name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					got := 0
					for _, err := range imagestream.All(ctx, s.ListImageStreams, imagestream.ListOptions{Limit: limit}) {
						if err != nil {
							b.Fatal(err)
						}
						got++
					}
					if got != n {
						b.Fatalf("%d of %d streams", got, n)
					}
				}
			})
		}
	}
}
