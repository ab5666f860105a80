package importer_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/manifest"
	"github.com/imagestreams/imagestreams/importer"
)

// child names a manifest of a repository as a list has it.
func child(c fakes.Contents, path string, d digest.Digest, os, architecture string) manifest.Child {
	m := c[path].Manifests[d]
	return manifest.Child{
		Descriptor: manifest.Descriptor{MediaType: m.MediaType, Digest: d, Size: int64(len(m.Raw))},
		Platform:   manifest.Platform{OS: os, Architecture: architecture},
	}
}

// pushIndex puts an index of children into a repository.
func pushIndex(c fakes.Contents, path string, children []manifest.Child, tags ...string) digest.Digest {
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": manifest.MediaTypeOCIIndex,
		"manifests": children})
	if err != nil {
		panic(err)
	}
	d := digest.FromBytes(raw)
	c[path].Manifests[d] = fakes.StoredManifest{MediaType: manifest.MediaTypeOCIIndex, Raw: string(raw)}
	for _, tag := range tags {
		c[path].Tags[tag] = d
	}
	return d
}

// shelf fills quay.io with what shortcuts could confuse: images, a list and parts of it, a list of lists, an empty
// list, in org/app whole and in org/torn without some children and configurations. It returns all digests.
func shelf(c fakes.Contents) []digest.Digest {
	const path = "org/app"
	amd := c.Push(path, fakes.Image{Layer: "amd"}, "amd")
	arm := c.Push(path, fakes.Image{Layer: "arm", Architecture: "arm64"}, "arm")
	both := pushIndex(c, path, []manifest.Child{child(c, path, amd, "linux", "amd64"),
		child(c, path, arm, "linux", "arm64")}, "both", "latest")
	bare := pushIndex(c, path, []manifest.Child{child(c, path, arm, "", "")}, "bare")
	nested := pushIndex(c, path, []manifest.Child{child(c, path, both, "linux", "amd64"),
		child(c, path, arm, "linux", "arm64")}, "nested")
	empty := pushIndex(c, path, []manifest.Child{}, "empty")
	note := child(c, path, arm, "unknown", "unknown")
	noted := pushIndex(c, path, []manifest.Child{note, child(c, path, arm, "", ""),
		child(c, path, arm, "linux", "arm64")}, "noted")
	torn := &fakes.Repository{Tags: map[string]digest.Digest{}, Manifests: map[digest.Digest]fakes.StoredManifest{},
		Blobs: map[digest.Digest]string{}}
	for tag, d := range c[path].Tags {
		torn.Tags[tag] = d
	}
	for _, d := range []digest.Digest{arm, both, nested, empty, noted} {
		torn.Manifests[d] = c[path].Manifests[d]
	}
	c["org/torn"] = torn
	return []digest.Digest{amd, arm, both, bare, nested, empty, noted}
}

// TestShortcutsAnswerAsRefetch imports into two worlds with one registry: one asks for everything each time, the
// other takes what it knows. With any history, mode, platform and source, by tag, by digest and of a whole
// repository, both give the same answers, streams and images.
func TestShortcutsAnswerAsRefetch(t *testing.T) { rapid.Check(t, shortcutsAnswerAsRefetch) }

func shortcutsAnswerAsRefetch(t *rapid.T) {
	quick, slow := newWorld(), newWorld()
	slow.importer.Refetch, slow.importer.Registry = true, &quick.registry
	var digests []digest.Digest
	quick.registry.Edit("quay.io", func(c fakes.Contents) { digests = shelf(c) })
	worlds := []*world{quick, slow}
	key := imagestream.Key{Namespace: "shop", Name: "app"}
	for _, w := range worlds {
		preferring := func(tag *imagestream.TagReference) {
			if tag.Name == "wants-arm" {
				tag.Annotations = map[string]string{importer.PreferArchAnnotation: "arm64"}
			}
		}
		stream := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		for _, name := range []string{"wants-arm", "plain"} {
			tag := imagestream.TagReference{Name: name,
				From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/app:both"}}
			preferring(&tag)
			stream.Spec.Tags = append(stream.Spec.Tags, tag)
		}
		if _, err := w.writer.Create(context.Background(), stream); err != nil {
			t.Fatal(err)
		}
	}
	tags := []string{"amd", "arm", "both", "latest", "bare", "nested", "empty", "noted", "gone"}
	for step := range rapid.IntRange(2, 6).Draw(t, "steps") {
		if step > 0 && rapid.Bool().Draw(t, "moves") {
			tag, to := rapid.SampledFrom(tags).Draw(t, "moved"), rapid.SampledFrom(digests).Draw(t, "to")
			quick.registry.Edit("quay.io", func(c fakes.Contents) { c["org/app"].Tags[tag] = to })
		}
		imp := drawImport(t, key, tags, digests)
		var dones []*imagestream.ImageStreamImport
		alone, strict := rapid.Bool().Draw(t, "alone"), rapid.Bool().Draw(t, "no attestations")
		for _, w := range worlds {
			w.importer.FailAlone, w.importer.NoAttestations = alone, strict
			w.now = w.now.Add(time.Minute)
			done, err := w.importer.Import(context.Background(), imp)
			if err != nil {
				done = &imagestream.ImageStreamImport{}
				done.Status.Images = []imagestream.ImageImportStatus{{Tag: err.Error()}}
			}
			dones = append(dones, done)
		}
		if diff := cmp.Diff(dones[1], dones[0]); diff != "" {
			t.Fatalf("step %d, the answer (-refetched +with shortcuts):\n%s", step, diff)
		}
		var images []*imagestream.ImageList
		for _, w := range worlds {
			list, err := w.store.ListImages(context.Background(), imagestream.ListOptions{})
			if err != nil {
				t.Fatal(err)
			}
			images = append(images, list)
		}
		if diff := cmp.Diff(images[1].Items, images[0].Items); diff != "" {
			t.Fatalf("step %d, the images (-refetched +with shortcuts):\n%s", step, diff)
		}
	}
}

// drawImport draws an import of tags, digests, and now and then the whole repository.
func drawImport(
	t *rapid.T, key imagestream.Key, tags []string, digests []digest.Digest,
) *imagestream.ImageStreamImport {
	imp := &imagestream.ImageStreamImport{Metadata: imagestream.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	imp.Spec.Import = rapid.IntRange(0, 4).Draw(t, "look") > 0
	mode := func() imagestream.TagImportPolicy {
		return imagestream.TagImportPolicy{ImportMode: rapid.SampledFrom([]imagestream.ImportModeType{"",
			imagestream.ImportModePreserveOriginal}).Draw(t, "mode")}
	}
	for range rapid.IntRange(1, 4).Draw(t, "images") {
		from := "quay.io/org/" + rapid.SampledFrom([]string{"app", "app", "torn"}).Draw(t, "repository")
		if rapid.IntRange(0, 2).Draw(t, "by digest") == 0 {
			from += "@" + rapid.SampledFrom(digests).Draw(t, "digest").String()
		} else {
			from += ":" + rapid.SampledFrom(tags).Draw(t, "tag")
		}
		spec := imagestream.ImageImportSpec{
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: from}, ImportPolicy: mode(),
			IncludeManifest: rapid.Bool().Draw(t, "texts"),
		}
		if to := rapid.SampledFrom([]string{"", "wants-arm", "plain", "new"}).Draw(t, "to"); to != "" {
			spec.To = &imagestream.LocalObjectReference{Name: to}
		}
		imp.Spec.Images = append(imp.Spec.Images, spec)
	}
	if rapid.IntRange(0, 3).Draw(t, "repository") == 0 {
		imp.Spec.Repository = &imagestream.RepositoryImportSpec{
			From: imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: "quay.io/org/app"}, ImportPolicy: mode(),
			IncludeManifest: rapid.Bool().Draw(t, "texts"),
		}
	}
	return imp
}

// TestModesDoNotAnswerEachOther imports one list in one mode and then in the other, by each way that leads to it.
func TestModesDoNotAnswerEachOther(t *testing.T) {
	whole, legacy := imagestream.ImportModePreserveOriginal, imagestream.ImportModeLegacy
	var list, amd, arm digest.Digest
	for _, tc := range []struct {
		name          string
		first, second imagestream.ImportModeType
		from, to      string
		want          *digest.Digest
	}{
		{"whole, then its image", whole, legacy, ":v1", "v1", &amd},
		{"whole, then another tag's image", whole, legacy, ":v2", "v2", &amd},
		{"whole, then the image by digest", whole, legacy, "@", "v1", &amd},
		{"whole, then the image for another platform", whole, legacy, ":v1", "arm", &arm},
		{"an image, then whole", legacy, whole, ":v1", "v1", &list},
		{"an image, then whole by digest", legacy, whole, "@", "v1", &list},
		{"an image, then that for another platform", legacy, legacy, ":v1", "arm", &arm},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			w.registry.Edit("quay.io", func(c fakes.Contents) {
				amd, arm = c.Push("org/app", fakes.Image{Layer: "amd"}), c.Push("org/app",
					fakes.Image{Architecture: "arm64", Layer: "arm"})
				list = c.PushList("org/app", []fakes.Image{{Layer: "amd"}, {Architecture: "arm64", Layer: "arm"}},
					"v1", "v2")
			})
			w.create(t, func(tag *imagestream.TagReference) {
				tag.Annotations = map[string]string{importer.PreferArchAnnotation: "arm64"}
			}, "arm")
			for n, mode := range []imagestream.ImportModeType{tc.first, tc.second} {
				imp := importOf(mode, "v1")
				if n == 1 {
					imp.Spec.Images[0].From.Name = "quay.io/org/app" + tc.from
					if tc.from == "@" {
						imp.Spec.Images[0].From.Name += list.String()
					}
					imp.Spec.Images[0].To = &imagestream.LocalObjectReference{Name: tc.to}
				}
				done, err := w.importer.Import(t.Context(), imp)
				if err == nil {
					err = importer.Failure(done)
				}
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 {
					continue
				}
				if got, _ := done.Status.Import.LatestEvent(tc.to); got.Image != tc.want.String() {
					t.Errorf("%s is %s, want %s", tc.to, got.Image, *tc.want)
				}
			}
		})
	}
}

// TestWhatIsKnownSavesRequests repeats imports in each mode: what is known of the mode and the repository is asked by
// HEAD alone.
func TestWhatIsKnownSavesRequests(t *testing.T) {
	w := newWorld()
	w.registry.Edit("quay.io", func(c fakes.Contents) { shelf(c) })
	count := func(imp *imagestream.ImageStreamImport) map[importer.Operation]int {
		t.Helper()
		w.registry.Requests()
		if _, err := w.importer.Import(t.Context(), imp); err != nil {
			t.Fatal(err)
		}
		counts := map[importer.Operation]int{}
		for _, r := range w.registry.Requests() {
			counts[r.Operation]++
		}
		return counts
	}
	count(importOf("", "amd", "both"))
	if c := count(importOf("", "amd", "both")); c[importer.OperationHead] != 2 ||
		c[importer.OperationManifest]+c[importer.OperationBlob] != 0 {
		t.Errorf("the same again asks %v", c)
	}
	look := importOf("", "amd")
	look.Spec.Import, look.Spec.Images[0].IncludeManifest = false, true
	if c := count(look); c[importer.OperationManifest] != 1 || c[importer.OperationBlob] != 1 {
		t.Errorf("a look at the texts asks %v", c)
	}
	torn := importOf("", "both")
	torn.Spec.Images[0].From.Name = "quay.io/org/torn:both"
	done, err := w.importer.Import(t.Context(), torn)
	if err != nil || done.Status.Images[0].Status.Status != imagestream.StatusFailure {
		t.Errorf("a repository without the image of its list: %v, %v", done.Status.Images, err)
	}
	if names := slices.Sorted(func(yield func(string) bool) {
		for name := range w.importer.Memo() {
			if !yield(name[len("sha256:")+64:]) {
				return
			}
		}
	}); fmt.Sprint(names) != "[/linux/amd64]" {
		t.Errorf("the memo has %v", names)
	}
}
