package prune_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/tagevent"
)

// image returns an image of one layer, or a list.
func image(n int, parts ...int) imagestream.Image {
	i := imagestream.Image{
		DockerImageManifestMediaType: manifest.MediaTypeOCIManifest, DockerImageMetadata: imagestream.Raw(`{"Size":100}`),
	}
	i.Metadata.Name, i.Metadata.CreationTimestamp = digest("a", n), old
	i.DockerImageLayers = []imagestream.ImageLayer{{Name: digest("b", n), LayerSize: 10}}
	for _, part := range parts {
		i.DockerImageManifestMediaType, i.DockerImageLayers = manifest.MediaTypeOCIIndex, nil
		i.DockerImageManifests = append(i.DockerImageManifests, imagestream.ImageManifest{Digest: digest("a", part)})
	}
	return i
}

func event(created tagevent.Time, n int) tagevent.Event {
	name := digest("a", n)
	return tagevent.Event{Created: created, Image: name, DockerImageReference: "r.io/x/s@" + name, Generation: 1}
}

func streams(s ...imagestream.ImageStream) []imagestream.ImageStream { return s }
func images(i ...imagestream.Image) []imagestream.Image              { return i }
func workloads(w ...map[string]any) []map[string]any                 { return w }

// stream returns the stream x/s with a tag v1 of these images.
func stream(images ...int) imagestream.ImageStream {
	s := imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "x", Name: "s", CreationTimestamp: old}}
	h := tagevent.History{Tag: "v1"}
	for _, n := range images {
		h.Items = append(h.Items, event(old, n))
	}
	s.Status.Tags = []tagevent.History{h}
	return s
}

func pod(image string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Pod", "metadata": map[string]any{"namespace": "z", "name": "p"},
		"spec":   map[string]any{"containers": []any{map[string]any{"image": image}}},
		"status": map[string]any{"phase": "Running"},
	}
}

var hour = time.Hour

// TestSafeMends has what the real system gets wrong, and what becomes of it under Safe.
func TestSafeMends(t *testing.T) {
	without := image(2)
	without.DockerImageMetadata = nil
	bySpec := stream(1)
	from := &imagestream.ObjectReference{Kind: "ImageStreamImage", Name: "s@" + digest("a", 2)[7:20]}
	bySpec.Spec.Tags = []imagestream.TagReference{{Name: "kept", From: from}}
	build := map[string]any{
		"apiVersion": "build.openshift.io/v1", "kind": "BuildConfig",
		"metadata": map[string]any{"namespace": "x", "name": "b"},
		"spec": map[string]any{"source": map[string]any{"images": []any{map[string]any{
			"from": map[string]any{"kind": "ImageStreamImage", "name": "s@" + digest("a", 2)},
		}}}},
	}
	lost := pod("r.io/x/s@" + digest("a", 2)) // its node does not answer
	lost["status"] = map[string]any{"phase": "Unknown"}
	lost["metadata"].(map[string]any)["creationTimestamp"] = "2025-01-01T00:00:00Z"
	mounts := pod("r.io/x/t")
	mounts["spec"].(map[string]any)["volumes"] = []any{
		map[string]any{"name": "data", "image": map[string]any{"reference": "r.io/x/s@" + digest("a", 2)}},
	}
	for _, tc := range []struct {
		name       string
		in         prune.Input
		real, safe string // what becomes of events, then of images
	}{
		{
			"pod that may run",
			prune.Input{Streams: streams(stream(1, 2)), Images: images(image(1), image(2)), Workloads: workloads(lost)},
			"Revision Old, InStream Unused", "Revision ImageInUse, InStream InStream",
		},
		{
			"volume of an image",
			prune.Input{Streams: streams(stream(1, 2)), Images: images(image(1), image(2)), Workloads: workloads(mounts)},
			"Revision Old, InStream Unused", "Revision ImageInUse, InStream InStream",
		},
		{
			"index in an index",
			prune.Input{Streams: streams(stream(3)), Images: images(image(1), image(2, 1), image(3, 2))},
			"Revision, Unused PartOfList InStream", "Revision, PartOfList PartOfList InStream",
		},
		{
			"an image of a list runs, the list is old",
			prune.Input{
				Streams: streams(stream(1, 3)), Images: images(image(1), image(2), image(3, 2)),
				Workloads: workloads(pod("r.io/x/s@" + digest("a", 2))),
			},
			"Revision Old, InStream Unused Unused", "Revision PartInUse, InStream ImageInUse InStream",
		},
		{
			"image without metadata",
			prune.Input{Streams: streams(stream(1, 2, 3)), Images: images(image(1), without, image(3), image(4))},
			"Unreadable, InStream InStream InStream Unreadable", "Revision Unreadable Old, InStream InStream Unused Unused",
		},
		{
			"pruning does not roll back",
			prune.Input{
				Streams: streams(stream(9, 2)), Images: images(image(2)),
				Workloads: workloads(pod("r.io/x/s@" + digest("a", 2))),
			},
			"NoImage ImageInUse, InStream", "StaysNewest ImageInUse, InStream",
		},
		{
			"digest from elsewhere",
			prune.Input{Images: images(image(1)), Workloads: workloads(pod("app@" + digest("a", 1)))},
			", Unused", ", ImageInUse",
		},
		{
			"spec tag by digest", prune.Input{Streams: streams(bySpec), Images: images(image(1), image(2))},
			"Revision, InStream Unused", "Revision, InStream ImageInUse",
		},
		{
			"source image of a build",
			prune.Input{Streams: streams(stream(1, 2)), Images: images(image(1), image(2)), Workloads: workloads(build)},
			"Revision Old, InStream Unused", "Revision ImageInUse, InStream InStream",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.in.Now = now
			for want, safe := range map[string]bool{tc.real: false, tc.safe: true} {
				plan, err := prune.Decide(tc.in, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 1, Safe: safe})
				if err != nil {
					t.Fatal(err)
				}
				if got := reasons(plan); got != want {
					t.Errorf("safe %v: got %q, want %q", safe, got, want)
				}
			}
		})
	}
}

// reasons returns the reasons of a plan: events, a comma, images.
func reasons(p *prune.Plan) string {
	var events, images []string
	for _, s := range p.Streams {
		if s.Whole.Reason != "" {
			events = append(events, string(s.Whole.Reason))
			continue
		}
		for _, e := range s.Events {
			events = append(events, string(e.Reason))
		}
	}
	for _, i := range p.Images {
		images = append(images, string(i.Reason))
	}
	return strings.Join(events, " ") + ", " + strings.Join(images, " ")
}

func TestErrorsNameWhatIsWrong(t *testing.T) {
	limit := limitRange("5 GB")
	bad := image(1)
	bad.DockerImageMetadata = imagestream.Raw(`{"Size":"big"}`)
	for _, tc := range []struct {
		name string
		in   prune.Input
		want string
	}{
		{"pull spec", prune.Input{Workloads: workloads(pod("Bad Ref"))}, `Pod z/p: spec.containers[0].image "Bad Ref": `},
		{"many", prune.Input{Workloads: workloads(pod("A b"), pod("B b"), pod("C b"), pod("D b"), pod("E b"))}, "and 2 more"},
		{
			"limit", prune.Input{Workloads: workloads(limit)},
			`LimitRange x/l: spec.limits[0].max.storage "5 GB" is not a quantity`,
		},
		{"metadata", prune.Input{Images: images(bad)}, "dockerImageMetadata of image " + digest("a", 1)},
	} {
		_, err := prune.Decide(tc.in, prune.Options{OverSizeLimit: true})
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want one line with %q", tc.name, err, tc.want)
		}
	}
}

// TestConflict lets somebody push while a run reads: the run decides anew, and the push stays.
func TestConflict(t *testing.T) {
	for _, safe := range []bool{false, true} {
		store := &fakes.Store{}
		s := stream(1, 2, 3)
		if _, err := store.CreateImageStream(t.Context(), &s); err != nil {
			t.Fatal(err)
		}
		in := prune.Input{Now: now, Streams: streams(s), Images: images(image(1), image(2), image(3))}
		plan, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 1, Safe: safe})
		if err != nil {
			t.Fatal(err)
		}
		pushed := event(young, 9)
		once := true
		store.Fail = func(op string, key imagestream.Key) error {
			if op != "UpdateImageStream" || !once {
				return nil
			}
			once = false
			have, err := store.GetImageStream(t.Context(), s.Key())
			if err != nil {
				return err
			}
			have.Status.Tags[0], _ = have.Status.Tags[0].Push(pushed)
			_, err = store.UpdateImageStream(t.Context(), have)
			return err
		}
		if err := plan.Run(t.Context(), objects{store}, noRegistry{}, nil).Err(); err != nil || once {
			t.Errorf("safe %v: error %v, pushed %v", safe, err, !once)
		}
		have, err := store.GetImageStream(t.Context(), s.Key())
		if err != nil {
			t.Fatal(err)
		}
		if items := have.Status.Tags[0].Items; len(items) != 1 && len(items) != 2 || items[0] != pushed {
			t.Errorf("safe %v: history %v", safe, items)
		}
	}
}

// TestGoneMeanwhile deletes a stream before its turn: it is no error.
func TestGoneMeanwhile(t *testing.T) {
	for _, safe := range []bool{false, true} {
		s := stream(1)
		in := prune.Input{Now: now, Streams: streams(s)}
		plan, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, Safe: safe})
		if err != nil {
			t.Fatal(err)
		}
		store := &fakes.Store{}
		if err := plan.Run(t.Context(), objects{store}, noRegistry{}, nil).Err(); err != nil {
			t.Errorf("safe %v: %v", safe, err)
		}
	}
}

func TestStoreThatFails(t *testing.T) {
	broken := errors.New("the disk is full")
	store := &fakes.Store{Fail: func(string, imagestream.Key) error { return broken }}
	in := prune.Input{Now: now, Streams: streams(stream(1)), Images: images(image(2))}
	plan, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, Safe: true})
	if err != nil {
		t.Fatal(err)
	}
	err = plan.Run(t.Context(), objects{store}, noRegistry{}, nil).Err()
	for _, want := range []string{"read image stream x/s", "no image is removed: list image streams"} {
		if !errors.Is(err, broken) || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
	}
}

// TestManyErrors fails more often than anybody reads.
func TestManyErrors(t *testing.T) {
	var in prune.Input
	in.Now = now
	for n := range 10 {
		in.Images = append(in.Images, image(n))
	}
	plan, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour})
	if err != nil {
		t.Fatal(err)
	}
	result := plan.Run(t.Context(), objects{&fakes.Store{}}, failingRegistry{}, nil)
	if text := result.Err().Error(); strings.Count(text, "\n") != 10 || !strings.HasSuffix(text, "\nand 10 more") {
		t.Errorf("20 errors are told as\n%s", text)
	}
	if len(result.Done) > 0 {
		t.Errorf("done: %v", result.Done)
	}
}

type failingRegistry struct{ noRegistry }

func (failingRegistry) DeleteBlob(context.Context, string) error { return errors.New("out of order") }

func TestSizeLimits(t *testing.T) {
	for limit, exceeds := range map[string]bool{
		"99": true, "100": false, "0.1k": false, "0.09k": true, "1Ki": false, "1e2": false, "9e1": true, "99.9": true,
		"1E": false, "100000m": false, "99999m": true, "0.0000001G": false, "1E-1": true, ".1k": false, "100.": false,
	} {
		in := prune.Input{
			Now: now, Streams: streams(stream(1)), Images: images(image(1)), Workloads: workloads(limitRange(limit)),
		}
		plan, err := prune.Decide(in, prune.Options{OverSizeLimit: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := plan.Streams[0].Events[0].Remove; got != exceeds {
			t.Errorf("an image of 100 bytes exceeds %s: %v, want %v", limit, got, exceeds)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{10_000, 30_000, 100_000} {
		in := large(n)
		b.Run(fmt.Sprintf("images=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 3, Safe: true}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// large returns a cluster of n images with ten layers and 1.5 KB of metadata each, a tenth as many streams, and
// a fifth as many pods.
func large(n int) prune.Input {
	in := prune.Input{Now: now}
	name := func(kind byte, n int) string { return fmt.Sprintf("sha256:%c%063x", kind, n) }
	env := strings.Repeat(`"PATH=/usr/local/bin:/usr/bin",`, 40)
	for i := range n {
		image := imagestream.Image{DockerImageManifestMediaType: manifest.MediaTypeOCIManifest}
		image.Metadata.Name, image.Metadata.CreationTimestamp = name('a', i), old
		image.DockerImageMetadata = imagestream.Raw(`{"kind":"DockerImage","apiVersion":"1.0","Id":"` + name('c', i) +
			`","Created":"2025-01-01T00:00:00Z","Size":1000,"Config":{"Env":[` + env + `"A=B"],"Labels":{"a":"b"}}}`)
		for l := range 10 {
			layer := i*10 + l
			if l < 4 {
				layer = l // the base
			}
			known := imagestream.ImageLayer{Name: name('b', layer), LayerSize: 1000}
			image.DockerImageLayers = append(image.DockerImageLayers, known)
		}
		in.Images = append(in.Images, image)
	}
	for i := range n / 10 {
		var s imagestream.ImageStream
		s.Metadata.Namespace, s.Metadata.Name, s.Metadata.CreationTimestamp = fmt.Sprint("ns", i%100), fmt.Sprint("s", i), old
		h := tagevent.History{Tag: "v1"}
		for j := range 9 {
			image := name('a', i*10+j)
			h.Items = append(h.Items, tagevent.Event{Created: old, Image: image, DockerImageReference: "r.io/org/app@" + image})
		}
		s.Status.Tags = []tagevent.History{h}
		in.Streams = append(in.Streams, s)
	}
	for i := range n / 5 {
		at := i % (n / 10)
		in.Workloads = append(in.Workloads, pod(fmt.Sprintf("r.io/ns%d/s%d@%s", at%100, at, name('a', at*10+5))))
	}
	return in
}

// TestMemory bounds what a decision allocates, for each image: 1 GB for 100,000 images is 10 KB.
func TestMemory(t *testing.T) {
	bytesFor := func(n int) uint64 {
		in := large(n)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := prune.Decide(in, prune.Options{KeepYoungerThan: &hour, KeepTagRevisions: 3, Safe: true}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	small, big := bytesFor(1000), bytesFor(4000)
	if perImage := big / 4000; perImage > 10000 {
		t.Errorf("%d bytes for an image", perImage)
	}
	if big > 5*small {
		t.Errorf("%d bytes for 1,000 images and %d for 4,000: that is not linear", small, big)
	}
}
