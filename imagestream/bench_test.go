package imagestream_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// large returns a stream of n tags with ten events each, as a store would hold it.
func large(n int) *imagestream.ImageStream {
	s := app()
	s.Metadata.UID, s.Metadata.ResourceVersion, s.Metadata.Generation, s.Metadata.CreationTimestamp = "u", "1", 5, tagevent.TimeOf(now)
	for i := range n {
		name := fmt.Sprintf("v%05d", i)
		tag := docker(name, "registry.example.com/org/app:"+name)
		generation := int64(3)
		tag.Generation = &generation
		s.Spec.Tags = append(s.Spec.Tags, tag)
		h := tagevent.History{Tag: name}
		for e := range 10 {
			image := fmt.Sprintf("sha256:%064x", i*10+e)
			h.Items = append(h.Items, tagevent.Event{
				Created: tagevent.TimeOf(now) - tagevent.Time(e*3600), DockerImageReference: "registry.example.com/org/app@" + image, Image: image, Generation: 3,
			})
		}
		s.Status.Tags = append(s.Status.Tags, h)
	}
	return s.WithDefaults()
}

var sizes = []int{10, 100, 1000, 10000}

func BenchmarkUpdateOneTag(b *testing.B) {
	for _, n := range sizes {
		old := large(n)
		next := old.Clone()
		next.Spec.Tags[n/2].From.Name = "registry.example.com/org/app:moved"
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := imagestream.PrepareUpdate(old, next, imagestream.Env{Now: now}); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}

func BenchmarkPushOneTag(b *testing.B) {
	for _, n := range sizes {
		old := large(n)
		next, _ := old.Push(old.Spec.Tags[n/2].Name, at(1))
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, errs := imagestream.PrepareUpdateInternal(old, next, imagestream.Env{Now: now}); len(errs) > 0 {
					b.Fatal(errs)
				}
			}
		})
	}
}

func BenchmarkClone(b *testing.B) {
	for _, n := range sizes {
		s := large(n)
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Clone()
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, n := range sizes {
		text, err := json.Marshal(large(n))
		if err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				var s imagestream.ImageStream
				if err := json.Unmarshal(text, &s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	for _, n := range sizes {
		s := large(n)
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
