package importer_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
)

// TestAnImageThatCannotBeStoredFailsAlone has lists that the API refuses beside a good tag: by default nothing is
// imported, as in OpenShift; with FailAlone the good tag is, and the others have a condition that accounts for them.
func TestAnImageThatCannotBeStoredFailsAlone(t *testing.T) {
	whole := imagestream.ImportModePreserveOriginal
	for name, tc := range map[string]struct {
		edit func(*manifest.Child)
		full bool // the store cannot hold the list
		want imagestream.StatusReason
	}{
		"no platform": {edit: func(c *manifest.Child) { c.Platform = manifest.Platform{} },
			want: imagestream.ReasonInvalid},
		"no operating system": {edit: func(c *manifest.Child) { c.Platform.OS = "" }, want: imagestream.ReasonInvalid},
		"no media type":       {edit: func(c *manifest.Child) { c.MediaType = "" }, want: imagestream.ReasonInvalid},
		"an odd media type":   {edit: func(c *manifest.Child) { c.MediaType = "a b" }, want: imagestream.ReasonInvalid},
		"too large":           {edit: func(*manifest.Child) {}, want: imagestream.ReasonTooLarge, full: true},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.registry.Edit("quay.io", func(c fakes.Contents) {
				listed := child(c, "org/app", c.Push("org/app", fakes.Image{Layer: "good"}, "good"), "linux", "amd64")
				tc.edit(&listed)
				list := pushIndex(c, "org/app", []manifest.Child{listed}, "bad")
				w.store.Fail = func(op string, key imagestream.Key) error {
					if tc.full && op == "CreateImage" && key.Name == list.String() {
						return imagestream.NewError(imagestream.ReasonTooLarge, imagestream.ResourceImages, key, "")
					}
					return nil
				}
			})
			w.create(t, func(tag *imagestream.TagReference) { tag.ImportPolicy.ImportMode = whole }, "bad", "good")
			imp := importOf(whole, "bad", "good")
			if _, err := w.importer.Import(t.Context(), imp); !errors.Is(err, imagestream.ErrInvalid) &&
				!errors.Is(err, imagestream.ErrTooLarge) {
				t.Errorf("by default the import ends with %v", err)
			}
			w.importer.FailAlone = true
			done, err := w.importer.Import(t.Context(), imp)
			if err != nil {
				t.Fatal(err)
			}
			if s := done.Status.Images[0].Status; s.Reason != tc.want || done.Status.Images[0].Image != nil {
				t.Errorf("the bad tag has the status %+v", s)
			}
			bad, _ := done.Status.Import.History("bad")
			good, _ := done.Status.Import.History("good")
			if len(bad.Items) != 0 || len(bad.Conditions) != 1 || bad.Conditions[0].Reason != string(tc.want) ||
				len(good.Items) != 1 {
				t.Errorf("bad has %+v, good %+v", bad, good)
			}
			if need := importer.NeedsImport(done.Status.Import); need.Needed {
				t.Errorf("it waits for %+v", need.Import)
			}
		})
	}
}

// attested pushes an index as buildx makes it: images with an attestation for each, in the order of platforms; "?"
// names none.
func attested(w *world, tag string, platforms ...string) map[string]digest.Digest {
	digests := map[string]digest.Digest{}
	w.registry.Edit("quay.io", func(c fakes.Contents) {
		var children []manifest.Child
		for _, p := range platforms {
			os, architecture, _ := strings.Cut(p, "/")
			digests[p] = c.Push("org/app", fakes.Image{OS: os, Architecture: architecture, Layer: p})
			if p == "?" {
				os = ""
			}
			listed := child(c, "org/app", digests[p], os, architecture)
			if p == "linux/attestation" {
				listed = child(c, "org/app", digests[p], "linux", "amd64")
				listed.Annotations = map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
			}
			children = append(children, listed)
		}
		pushIndex(c, "org/app", children, tag)
	})
	return digests
}

func TestNoAttestationIsChosen(t *testing.T) {
	for _, tc := range []struct {
		platforms, real, strict string
		message                 string
	}{
		{"unknown/unknown linux/amd64 linux/arm64", "linux/amd64", "linux/amd64", ""},
		{"linux/attestation linux/amd64", "linux/attestation", "linux/amd64", ""},
		{"unknown/unknown ?", "unknown/unknown", "?", ""},
		{"linux/arm64 unknown/unknown", "linux/arm64", "", "no image for linux/amd64: it has images for linux/arm64"},
		{"unknown/unknown linux/arm64 linux/s390x", "unknown/unknown", "",
			"no image for linux/amd64: it has images for linux/arm64, linux/s390x"},
		{"unknown/unknown", "unknown/unknown", "", "only attestations"},
	} {
		for _, strict := range []bool{false, true} {
			w := newWorld()
			digests := attested(w, "v1", strings.Fields(tc.platforms)...)
			w.importer.NoAttestations = strict
			done, err := w.importer.Import(context.Background(), importOf("", "v1"))
			if err != nil {
				t.Fatal(err)
			}
			want, got := digests[tc.real].String(), done.Status.Images[0]
			if strict {
				want = digests[tc.strict].String()
			}
			switch {
			case strict && tc.strict == "":
				if !strings.Contains(got.Status.Message, tc.message) || got.Image != nil {
					t.Errorf("%s: %+v, want %q", tc.platforms, got, tc.message)
				}
			case got.Image == nil || got.Image.Metadata.Name != want:
				t.Errorf("%s, strict %v: %v, want %s", tc.platforms, strict, got.Status, want)
			}
		}
	}
}

// TestForeignPlatformsAreShownPlainly has a list whose platforms are made to confuse a terminal.
func TestForeignPlatformsAreShownPlainly(t *testing.T) {
	w := newWorld()
	attested(w, "v1", "li\nnux/\x1b[31m", "linux/"+strings.Repeat("x", 100))
	w.importer.NoAttestations = true
	done, err := w.importer.Import(t.Context(), importOf("", "v1"))
	if err != nil {
		t.Fatal(err)
	}
	if m := done.Status.Images[0].Status.Message; !strings.HasSuffix(m, "images for ?/?, linux/?") {
		t.Errorf("message %q", m)
	}
}

// TestAnImportOfAStreamHonoursInsecureRepository imports a stream whose annotation says that its registry is insecure.
func TestAnImportOfAStreamHonoursInsecureRepository(t *testing.T) {
	for value, want := range map[string]bool{"true": true, "false": false, "": false} {
		w := newWorld()
		w.registry.EditHost("quay.io", func(h *fakes.Host) { h.SelfSigned = true })
		w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
		stream := w.create(t, nil, "v1")
		stream.Metadata.Annotations = map[string]string{imagestream.InsecureRepositoryAnnotation: value}
		imp := importer.ImportOf(stream, "v1")
		if got := imp.Spec.Images[0].ImportPolicy.Insecure; got != want {
			t.Errorf("%q: insecure is %v", value, got)
		}
		done, err := w.importer.Import(t.Context(), imp)
		if err == nil {
			err = importer.Failure(done)
		}
		if (err == nil) != want {
			t.Errorf("%q: the import gives %v", value, err)
		}
	}
}

// TestADeletedStreamStaysDeleted deletes the stream, or puts another one in its place, while its import fetches.
func TestADeletedStreamStaysDeleted(t *testing.T) {
	key := imagestream.Key{Namespace: "shop", Name: "app"}
	for name, again := range map[string]bool{"deleted": false, "created anew": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
			w.create(t, nil, "v1")
			meanwhile := func() {
				if err := w.store.DeleteImageStream(t.Context(), key, imagestream.Preconditions{}); err != nil {
					t.Error(err)
				}
				if again {
					w.create(t, nil, "other")
				}
			}
			w.registry.Fail = func(op importer.Operation, _ string, _ importer.Ref) error {
				if op == importer.OperationBlob {
					meanwhile()
				}
				return nil
			}
			if done, err := w.importer.Import(t.Context(), importOf("", "v1")); !errors.Is(err,
				imagestream.ErrNotFound) || done != nil {
				t.Errorf("the import gives %v", err)
			}
			stream, err := w.store.GetImageStream(t.Context(), key)
			switch {
			case !again && !errors.Is(err, imagestream.ErrNotFound):
				t.Errorf("the stream is back: %v, %v", stream, err)
			case again && (err != nil || len(stream.Status.Tags) > 0 || len(stream.Spec.Tags) != 1):
				t.Errorf("the import of the old stream is in the new one: %+v, %v", stream, err)
			}
		})
	}
}

// TestADeletedStreamStaysDeletedAtAConflict deletes the stream between the read and the write of its import.
func TestADeletedStreamStaysDeletedAtAConflict(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
	stream := w.create(t, nil, "v1")
	gone := false
	w.store.Fail = func(op string, key imagestream.Key) error {
		if op == "UpdateImageStream" && !gone {
			gone = true
			return w.store.DeleteImageStream(context.Background(), key, imagestream.Preconditions{})
		}
		return nil
	}
	if _, err := w.importer.Import(t.Context(), importOf("", "v1")); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("the import gives %v", err)
	}
	if _, err := w.store.GetImageStream(t.Context(), stream.Key()); !errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("the stream is back: %v", err)
	}
}

// TestAnImportWithoutAStreamCreatesOne does so also if somebody else creates the stream meanwhile: then it imports
// into that.
func TestAnImportWithoutAStreamCreatesOne(t *testing.T) {
	for name, meanwhile := range map[string]bool{"nobody": false, "somebody": true} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1")
			w.registry.Fail = func(op importer.Operation, _ string, _ importer.Ref) error {
				if meanwhile && op == importer.OperationBlob {
					w.create(t, nil, "other")
				}
				return nil
			}
			done, err := w.importer.Import(t.Context(), importOf("", "v1"))
			if err != nil {
				t.Fatal(err)
			}
			var tags []string
			for _, tag := range done.Status.Import.Spec.Tags {
				tags = append(tags, tag.Name)
			}
			want := []string{"v1"}
			if meanwhile {
				want = []string{"other", "v1"}
			}
			if diff := cmp.Diff(want, tags); diff != "" {
				t.Errorf("tags (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAnImportReadsItsStreamTwice counts what an import costs the store.
func TestAnImportReadsItsStreamTwice(t *testing.T) {
	w := newWorld()
	w.push("org/app", []fakes.Image{{Layer: "one"}}, "v1", "v2", "v3")
	stream := w.create(t, nil, "v1", "v2", "v3")
	ops := map[string]int{}
	w.store.Fail = func(op string, _ imagestream.Key) error {
		ops[op]++
		return nil
	}
	for _, want := range []map[string]int{
		{"GetImageStream": 2, "CreateImage": 1, "UpdateImageStream": 1}, // one image for all three
		{"GetImageStream": 2, "GetImage": 1},
	} {
		clear(ops)
		if _, err := w.importer.Import(t.Context(), importer.ImportOf(stream, "v1", "v2", "v3")); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, ops); diff != "" {
			t.Errorf("the store is asked (-want +got):\n%s", diff)
		}
	}
}
