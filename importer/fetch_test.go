package importer_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/registries"
)

// importOf asks for tags of quay.io/org/app.
func importOf(mode imagestream.ImportModeType, tags ...string) *imagestream.ImageStreamImport {
	imp := &imagestream.ImageStreamImport{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"},
		Spec: imagestream.ImageStreamImportSpec{Import: true}}
	for _, tag := range tags {
		imp.Spec.Images = append(imp.Spec.Images, imagestream.ImageImportSpec{
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: "quay.io/org/app:" + tag},
			ImportPolicy: imagestream.TagImportPolicy{ImportMode: mode},
		})
	}
	return imp
}

func names(n int) []string {
	var tags []string
	for i := range n {
		tags = append(tags, fmt.Sprint("v", i))
	}
	return tags
}

// TestCancelledLeavesNothing ends an import in the midst of it: it returns at once, and no goroutine of it is left,
// or synctest would say so.
func TestCancelledLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for _, tag := range names(100) {
			w.push("org/app", []fakes.Image{{Layer: tag}, {Architecture: "arm64", Layer: tag}}, tag)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		w.registry.Fail = func(importer.Operation, string, importer.Ref) error {
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
			return nil
		}
		begin := time.Now()
		done, err := w.importer.Import(ctx, importOf(imagestream.ImportModePreserveOriginal, names(100)...))
		if !errors.Is(err, context.DeadlineExceeded) || done != nil || time.Since(begin) != time.Second {
			t.Errorf("%v, %v after %v", done, err, time.Since(begin))
		}
		if _, err := w.store.GetImageStream(t.Context(),
			imagestream.Key{Namespace: "shop", Name: "app"}); !errors.Is(err, imagestream.ErrNotFound) {
			t.Errorf("something was written: %v", err)
		}
	})
}

// TestRegistriesWithoutHead do not know HEAD, or do not say digests: that is noticed, and each tag asked for with GET.
func TestRegistriesWithoutHead(t *testing.T) {
	for name, edit := range map[string]func(*fakes.Host){
		"no HEAD": func(h *fakes.Host) { h.NoHead = true }, "no digest": func(h *fakes.Host) { h.NoDigest = true },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.importer.Concurrency = 1
			w.registry.EditHost("quay.io", edit)
			for _, tag := range names(10) {
				w.push("org/app", []fakes.Image{{Layer: tag}}, tag)
			}
			done, err := w.importer.Import(t.Context(), importOf("", names(10)...))
			if err == nil {
				err = importer.Failure(done)
			}
			counts := map[importer.Operation]int{}
			for _, r := range w.registry.Requests() {
				counts[r.Operation]++
			}
			if err != nil || counts[importer.OperationHead] != 1 || counts[importer.OperationManifest] != 10 {
				t.Errorf("%v, %v", counts, err)
			}
		})
	}
}

// TestLyingHead names a digest that is another image's: what is sent by the tag counts.
func TestLyingHead(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2")
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		for d, m := range c["org/app"].Manifests {
			m.Raw += "\n"
			c["org/app"].Manifests[d] = m
		}
	})
	done, err := w.importer.Import(t.Context(), importOf("", "v1", "v2"))
	if err == nil {
		err = importer.Failure(done)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range done.Status.Images {
		w.registry.Edit("quay.io", func(c fakes.Contents) {
			if _, filed := c["org/app"].Manifests[c["org/app"].Tags[s.Tag]]; !filed ||
				s.Image.Metadata.Name == c["org/app"].Tags[s.Tag].String() {
				t.Errorf("%s is called by the digest that the registry says", s.Tag)
			}
		})
	}
}

func TestRepositoryByMirror(t *testing.T) {
	w := newWorld()
	w.registry.Edit("mirror.example.com", func(c fakes.Contents) {
		c.Push("cache/app", fakes.Image{Layer: "one"},
			"v1")
	})
	w.importer.Registries = registries.New(registries.Configuration{ITMS: []registries.Rule{{Source: "quay.io/org",
		Mirrors: []string{"broken.example.com/x", "mirror.example.com/cache"}}}})
	done, err := w.importer.Import(t.Context(), importOf("", "v1"))
	if err == nil {
		err = importer.Failure(done)
	}
	if err != nil || done.Status.Images[0].Image.DockerImageReference[:len("quay.io/org/app@")] != "quay.io/org/app@" {
		t.Errorf("%+v, %v", done, err)
	}
}

func ExampleImporter_repository() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1.9", "v1.10")
	w.push("org/app", []fakes.Image{{Layer: "two"}}, "latest", "test")
	w.importer.MaxTags = 2
	imp := importOf("")
	from := imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app"}
	imp.Spec.Repository = &imagestream.RepositoryImportSpec{From: from}
	done, err := w.importer.Import(context.Background(), imp)
	for _, s := range done.Status.Repository.Images {
		fmt.Println(s.Tag, s.Status.Status)
	}
	fmt.Println(done.Status.Repository.AdditionalTags, len(done.Status.Import.Spec.Tags), err)
	// Output:
	// latest Success
	// v1.10 Success
	// [v1.9 test] 2 <nil>
}

func ExampleImportOf() {
	stream := &imagestream.ImageStream{}
	for _, tag := range []string{"v1", "v2"} {
		stream.Spec.Tags = append(stream.Spec.Tags,
			imagestream.TagReference{Name: tag, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: "quay.io/org/app:" + tag}})
	}
	fmt.Println(importer.ImportOf(stream, "v2").Spec.Images[0].From.Name, importer.ImportOf(stream, "v3") == nil)
	// Output: quay.io/org/app:v2 true
}

func ExampleIsAllowed() {
	list := imagestream.Settings{AllowedRegistries: []imagestream.RegistryLocation{{DomainName: "*.example.com"}}, InternalRegistry: ""}.Allowlist()
	fmt.Println(importer.IsAllowed(list, "registry.example.com/org/app", false),
		importer.IsAllowed(list, "quay.io/org/app", false))
	// Output: true false
}

func ExampleRegistryError_Answered() {
	e := &importer.RegistryError{Operation: importer.OperationManifest, Repository: "quay.io/org/app", Reference: "v1"}
	e.Answered(http.StatusTooManyRequests, http.Header{"Retry-After": {"30"}}, []byte("slow down\n"), time.Now())
	fmt.Println(e, e.RetryAfter, e.IsTemporary())
	// Output: manifest of quay.io/org/app:v1: too many requests: HTTP 429: slow down 30s true
}

// BenchmarkImport imports n tags of a repository for the first time, and again when nothing changed.
func BenchmarkImport(b *testing.B) {
	for _, n := range []int{1, 10, 100, 1000} {
		w := newWorld()
		for _, tag := range names(n) {
			w.push("org/app", []fakes.Image{{Layer: tag}}, tag)
		}
		imp := importOf("", names(n)...)
		b.Run(fmt.Sprintf("first/tags=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				writer := write.Engine{Store: &fakes.Store{}}
				i := importer.Importer{Registry: &w.registry, Engine: &writer}
				if _, err := i.Import(b.Context(), imp); err != nil {
					b.Fatal(err)
				}
				w.registry.Requests()
			}
		})
		b.Run(fmt.Sprintf("unchanged/tags=%d", n), func(b *testing.B) {
			if _, err := w.importer.Import(b.Context(), imp); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := w.importer.Import(b.Context(), imp); err != nil {
					b.Fatal(err)
				}
				w.registry.Requests()
			}
		})
	}
}

func ExampleImporter_Begin() {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	w.importer.Trace = &importer.Trace{Answered: func(importer.Question, importer.Answer) { fmt.Println("told, too") }}
	session, err := w.importer.Begin(context.Background(), importOf("", "v1"))
	if err != nil {
		fmt.Println(err)
		return
	}
	session.Trace = &importer.Trace{
		Planned:  func(n int) { fmt.Println("asks for", n) },
		Answered: func(q importer.Question, a importer.Answer) { fmt.Println(q, a.Known, a.Err) },
	}
	if err := session.Fetch(context.Background()); err != nil {
		fmt.Println(err)
	}
	done, err := session.Write(context.Background())
	fmt.Println(len(done.Status.Import.Status.Tags), err)
	// Output:
	// asks for 1
	// told, too
	// quay.io/org/app:v1 false <nil>
	// 1 <nil>
}
