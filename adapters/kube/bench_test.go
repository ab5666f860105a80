package kube_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// largeStream is a stream of about 20 KB of JSON.
func largeStream(name string) *imagestream.ImageStream {
	s := newStream("shop", name)
	for i := range 20 {
		tag := fmt.Sprint("v", i)
		s.Spec.Tags = append(s.Spec.Tags, imagestream.TagReference{
			Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:" + tag},
		})
		h := tagevent.History{Tag: tag}
		for n := range 3 {
			digest := fmt.Sprintf("sha256:%s%04d%04d", strings.Repeat("0a", 28), i, n)
			h.Items = append(h.Items, tagevent.Event{
				Created: 1, DockerImageReference: "quay.io/org/app@" + digest, Image: digest, Generation: 2,
			})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s
}

// BenchmarkStore compares the operations of the store with those of the raw dynamic client on the same stream.
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	s, client := open(b), raw(b, configOf(shared)).Resource(streams).Namespace("shop")
	stream, err := s.CreateImageStream(ctx, largeStream("app"))
	if err != nil {
		b.Fatal(err)
	}
	var object *unstructured.Unstructured
	run := func(name string, do func(n int) error) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				if err := do(n); err != nil {
					b.Fatal(err)
				}
				n++
			}
		})
	}
	run("get/raw", func(int) (err error) {
		object, err = client.Get(ctx, "app", metav1.GetOptions{})
		return err
	})
	run("get/store", func(int) error { return second(s.GetImageStream(ctx, stream.Key())) })
	run("update/raw", func(n int) (err error) {
		object.SetAnnotations(map[string]string{"n": fmt.Sprint("raw", n)})
		object, err = client.Update(ctx, object, metav1.UpdateOptions{})
		return err
	})
	if stream, err = s.GetImageStream(ctx, stream.Key()); err != nil {
		b.Fatal(err)
	}
	run("update/store", func(n int) (err error) {
		stream, err = bump(ctx, s, stream, n)
		return err
	})
}

// BenchmarkList compares lists of streams of 20 KB.
func BenchmarkList(b *testing.B) {
	ctx := context.Background()
	s, client := open(b), raw(b, configOf(shared)).Resource(streams)
	const n = 400
	for i := range n {
		if _, err := s.CreateImageStream(ctx, largeStream(fmt.Sprintf("s%04d", i))); err != nil {
			b.Fatal(err)
		}
	}
	run := func(name string, list func() (int, error)) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := list(); err != nil || got != n {
					b.Fatal(got, err)
				}
			}
		})
	}
	run("raw", func() (int, error) {
		list, err := client.List(ctx, metav1.ListOptions{})
		if err != nil {
			return 0, err
		}
		return len(list.Items), nil
	})
	for name, limit := range map[string]int{"one page": 0, "pages of 100": 100} {
		run("store/"+name, func() (int, error) {
			got := 0
			for _, err := range imagestream.All(ctx, s.ListImageStreams, imagestream.ListOptions{Limit: limit}) {
				if err != nil {
					return 0, err
				}
				got++
			}
			return got, nil
		})
	}
}
