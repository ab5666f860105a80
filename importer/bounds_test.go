package importer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
)

// pushLong puts an index of so many images into org/app of quay.io. Only the first has of them are there, each with a
// configuration of size bytes.
func (w *world) pushLong(images, has, size int) (index digest.Digest, children []digest.Digest) {
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		var list []manifest.Child
		for i := range images {
			d := digest.FromString(fmt.Sprint("missing ", i))
			if i < has {
				d = c.Push("org/app", fakes.Image{Layer: fmt.Sprint(i),
					Labels: map[string]string{"long": strings.Repeat("x", size)}})
			}
			children = append(children, d)
			list = append(list, manifest.Child{
				Descriptor: manifest.Descriptor{MediaType: manifest.MediaTypeOCIManifest, Digest: d,
					Size: 1}, Platform: manifest.Platform{OS: "linux", Architecture: "amd64"},
			})
		}
		if c["org/app"] == nil {
			c.Push("org/app", fakes.Image{Layer: "other"})
		}
		index = pushIndex(c, "org/app", list, "v1")
	})
	return index, children
}

// importWhole imports a tag with all its images, and returns what came of it and how many requests it took.
func (w *world) importWhole(t *testing.T) (imagestream.ImageImportStatus, int) {
	t.Helper()
	done, err := w.importer.Import(t.Context(), importOf(imagestream.ImportModePreserveOriginal, "v1"))
	if err != nil {
		t.Fatal(err)
	}
	return done.Status.Images[0], len(w.registry.Requests()) - 1 // but the ping
}

func TestAListHasBoundedChildren(t *testing.T) {
	w := newWorld()
	w.pushLong(20_000, 0, 0)
	status, requests := w.importWhole(t)
	if !strings.Contains(status.Status.Message, "has 20000 images: at most 256 are imported") || requests != 1 {
		t.Errorf("%d requests, %+v", requests, status.Status)
	}
	w.importer.Bounds.Children = 3
	for n, want := range map[int]string{3: imagestream.StatusSuccess, 4: imagestream.StatusFailure} {
		w.pushLong(n, n, 0)
		if status, _ := w.importWhole(t); status.Status.Status != want {
			t.Errorf("%d images of at most 3: %+v", n, status.Status)
		}
	}
}

// TestTheFirstFailureOfAListDecides has lists of images that are not there: the first of them is what fails, always,
// and few others are asked for.
func TestTheFirstFailureOfAListDecides(t *testing.T) {
	for _, has := range []int{0, 1, 40} {
		w := newWorld()
		_, children := w.pushLong(250, has, 0)
		status, requests := w.importWhole(t)
		if !strings.Contains(status.Status.Message, children[has].String()) ||
			status.Status.Reason != imagestream.ReasonNotFound {
			t.Errorf("%d are there: %+v", has, status.Status)
		}
		if most := 1 + 2*has + 2*8; requests > most {
			t.Errorf("%d are there: %d requests, want at most %d", has, requests, most)
		}
	}
}

// TestAHangingListEndsWithItsFirstFailure has 160 images that hang, each request for 30 seconds: that is once 30
// seconds.
func TestAHangingListEndsWithItsFirstFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		index, children := w.pushLong(160, 160, 0)
		w.importer.Registry = &hanging{Registry: &w.registry, after: 30 * time.Second,
			hangs: func(ref importer.Ref) bool { return ref.Tag == "" && ref.Digest != index }}
		begin := time.Now()
		status, _ := w.importWhole(t)
		if took := time.Since(begin); took != 30*time.Second ||
			!strings.Contains(status.Status.Message, children[0].String()) {
			t.Errorf("after %v %+v", took, status.Status)
		}
	})
}

// hanging lets requests for manifests hang and fail after a time, as a client with a timeout has it.
type hanging struct {
	importer.Registry
	after time.Duration
	hangs func(importer.Ref) bool
}

type hangingRepository struct {
	importer.Repository
	*hanging
	name string
}

func (h *hanging) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	r, err := h.Registry.Repository(ctx, name, access)
	return &hangingRepository{r, h, name.Name()}, err
}

func (h *hangingRepository) Manifest(ctx context.Context, ref importer.Ref) (importer.SentManifest, error) {
	if !h.hangs(ref) {
		return h.Repository.Manifest(ctx, ref)
	}
	select {
	case <-time.After(h.after):
		return importer.SentManifest{}, &importer.RegistryError{
			Operation: importer.OperationManifest, Class: importer.ClassUnavailable, Repository: h.name,
			Reference: ref.String(), Err: errors.New("no answer"),
		}
	case <-ctx.Done():
		return importer.SentManifest{}, ctx.Err()
	}
}

// TestBytesAreBounded reads lists and imports of configurations that are too many, and not much more than the bound
// of them.
func TestBytesAreBounded(t *testing.T) {
	const size = 1 << 16
	bounds := importer.Bounds{ListBytes: 10 * size, Bytes: 25 * size}
	w := newWorld()
	w.importer.Bounds = bounds
	w.pushLong(100, 100, size)
	status, requests := w.importWhole(t)
	if !strings.Contains(status.Status.Message, fmt.Sprintf("the manifest list has more than %d bytes",
		bounds.ListBytes)) {
		t.Errorf("a list: %+v", status.Status)
	}
	if most := 1 + 2*(10+8); requests > most {
		t.Errorf("a list of 10 configurations takes %d requests, want at most %d", requests, most)
	}

	w = newWorld()
	w.importer.Bounds = bounds
	tags := names(100)
	for _, tag := range tags {
		w.registry.Edit("quay.io", func(c fakes.Contents) {
			c.Push("org/app", fakes.Image{Layer: tag, Labels: map[string]string{"long": strings.Repeat("x", size)}},
				tag)
		})
	}
	done, err := w.importer.Import(t.Context(), importOf("", tags...))
	if err != nil {
		t.Fatal(err)
	}
	failed := importer.Failures(done)
	blobs := 0
	for _, r := range w.registry.Requests() {
		if r.Operation == importer.OperationBlob {
			blobs++
		}
	}
	if len(failed) < 70 || len(failed) > 80 || failed[0].Class != importer.ClassInvalid || blobs > 25+8 {
		t.Errorf("of 100 configurations in an import of 25 %d failed, after %d blobs", len(failed), blobs)
	}
}

// TestAListTakesLittleMemory measures what the greatest list that is read leaves behind and allocates.
func TestAListTakesLittleMemory(t *testing.T) {
	w := newWorld()
	w.importer.Bounds.ListBytes = 4 << 20
	w.pushLong(40, 40, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	status, _ := w.importWhole(t)
	runtime.ReadMemStats(&after)
	if status.Status.Status != imagestream.StatusFailure {
		t.Errorf("a list of 40 MiB: %+v", status.Status)
	}
	if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 60 {
		t.Errorf("a list of 40 MiB, of which 4 may be read and 8 be under way, allocates %d MiB, want at most 60", mib)
	}
}

// TestAManifestIsBounded has one of more than 4 MiB.
func TestAManifestIsBounded(t *testing.T) {
	w := newWorld()
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		d := c.Push("org/app", fakes.Image{Layer: "one"}, "v1")
		m := c["org/app"].Manifests[d]
		m.Raw += strings.Repeat(" ", 4<<20)
		c["org/app"].Manifests[d] = m
	})
	if status, _ := w.importWhole(t); !strings.Contains(status.Status.Message, "more than 4194304 bytes") {
		t.Errorf("%+v", status.Status)
	}
}

// TestAnImportTakesBoundedTime has a tag that hangs for ever: what was answered in time is imported.
func TestAnImportTakesBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.push("org/app", []fakes.Image{{Layer: "one"}}, "v0", "v1")
		w.importer.Registry = &hanging{Registry: &w.registry, after: 1000 * time.Hour,
			hangs: func(ref importer.Ref) bool { return ref.Tag == "v1" }}
		w.importer.Refetch = true
		begin := time.Now()
		done, err := w.importer.Import(t.Context(), importOf("", "v0", "v1"))
		if err != nil {
			t.Fatal(err)
		}
		failed := importer.Failures(done)
		if time.Since(begin) != time.Hour || len(failed) != 1 || failed[0].Class != importer.ClassUnavailable ||
			!strings.Contains(failed[0].Message, "v1: unavailable: the import took longer than 1h0m0s") {
			t.Errorf("after %v: %v", time.Since(begin), failed)
		}
	})
}

// TestAListTakesBoundedTime has a list of which one image hangs for ever.
func TestAListTakesBoundedTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		_, children := w.pushLong(3, 3, 0)
		w.importer.Registry = &hanging{Registry: &w.registry, after: 1000 * time.Hour,
			hangs: func(ref importer.Ref) bool { return ref.Digest == children[1] }}
		begin := time.Now()
		status, _ := w.importWhole(t)
		if time.Since(begin) != 10*time.Minute || !strings.Contains(status.Status.Message, "took longer than 10m0s") {
			t.Errorf("after %v: %+v", time.Since(begin), status.Status)
		}
	})
}

// TestAHostThatDoesNotAnswerIsGivenUp asks for 1,000 tags of a host that refuses: it is asked 16 times and what was
// under way, and each tag fails in its own name, in words that are the same at the next import.
func TestAHostThatDoesNotAnswerIsGivenUp(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v0")
	w.registry.SetFaults(fakes.Fault{Kind: "manifest", Status: http.StatusServiceUnavailable, Body: "out of order"})
	var messages [2]string
	for n := range messages {
		w.registry.Requests()
		done, err := w.importer.Import(t.Context(), importOf("", names(1000)...))
		if err != nil {
			t.Fatal(err)
		}
		for i, e := range importer.Failures(done) {
			if want := fmt.Sprintf("quay.io/org/app:v%d: unavailable: HTTP 503: out of order",
				i); !strings.HasSuffix(e.Message, want) {
				t.Fatalf("%s, want %s", e.Message, want)
			}
		}
		messages[n] = importer.Failure(done).Error()
		if requests := len(w.registry.Requests()); requests > 16+8+1 {
			t.Errorf("%d requests", requests)
		}
	}
	if messages[0] != messages[1] {
		t.Error("the same failure has other words")
	}
}

// TestAHangingHostDelaysOnlyItsOwnImages imports 8 images of a good host beside those of k bad ones: each is answered
// at once, whatever k is.
func TestAHangingHostDelaysOnlyItsOwnImages(t *testing.T) {
	for _, bad := range []int{1, 10, 100} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			imp := importOf("")
			add := func(host, tag string) {
				imp.Spec.Images = append(imp.Spec.Images,
					imagestream.ImageImportSpec{From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
						Name: host + "/org/app:" + tag}})
			}
			for i := range bad {
				host := fmt.Sprintf("bad-%d.example.com", i)
				w.registry.EditHost(host, func(h *fakes.Host) { h.Latency = time.Minute })
				for _, tag := range names(8) {
					add(host, tag)
				}
			}
			for _, tag := range names(8) {
				w.push("org/app", []fakes.Image{{Layer: tag}}, tag)
				add("quay.io", tag)
			}
			begin := time.Now()
			var mu sync.Mutex
			good := 0
			w.importer.Trace = &importer.Trace{Answered: func(q importer.Question, a importer.Answer) {
				mu.Lock()
				defer mu.Unlock()
				if strings.HasPrefix(q.String(), "quay.io") && a.Err == nil && time.Since(begin) == 0 {
					good++
				}
			}}
			if _, err := w.importer.Import(t.Context(), imp); err != nil {
				t.Fatal(err)
			}
			if good != 8 {
				t.Errorf("beside %d bad hosts %d of 8 good images are answered at once", bad, good)
			}
		})
	}
}

// TestAPanicOfARegistryIsTheCallers lets a registry panic in a goroutine of the import: the caller can recover.
func TestAPanicOfARegistryIsTheCallers(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2")
	w.registry.Fail = func(importer.Operation, string, importer.Ref) error { panic("broken") }
	defer func() {
		if p, ok := recover().(*importer.Panic); !ok || p.Value != "broken" || len(p.Stack) == 0 ||
			p.Error() != "panic: broken" {
			t.Errorf("recovered %v", p)
		}
	}()
	_, err := w.importer.Import(t.Context(), importOf(imagestream.ImportModePreserveOriginal, "v1", "v2"))
	t.Errorf("it went on: %v", err)
}
