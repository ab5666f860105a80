// Package registrytest checks that an [importer.Registry] keeps its contract.
package registrytest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"

	"github.com/distribution/reference"
	"github.com/opencontainers/go-digest"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/importer"
)

// Subject is a registry with the contents that it was asked to have.
type Subject struct {
	Registry importer.Registry
	// Host is where the contents are: the repository org/app is Host/org/app.
	Host string
	// Access is how they are reached.
	Access importer.Access
	// Push adds contents to the registry, for [RunImports]: tags that are there move.
	Push func(t *testing.T, contents fakes.Contents)
}

// tags is how many tags the largest repository has: enough for several pages.
const tags = 130

// Run checks a registry. Start makes one that holds contents, which are what real registries accept: every
// digest is right and every blob is there.
func Run(t *testing.T, start func(t *testing.T, contents fakes.Contents) Subject) {
	contents := fakes.Contents{}
	image := contents.Push("org/app", fakes.Image{Layer: "app"}, "v1", "latest")
	list := contents.PushList("org/app", []fakes.Image{{Layer: "a"}, {Architecture: "arm64", Layer: "b"}}, "multi")
	for i := range tags {
		contents.Push("org/many/deep", fakes.Image{Layer: "one"}, fmt.Sprintf("t%03d", i))
	}
	s := suite{Subject: start(t, contents), contents: contents}

	t.Run("Manifest", func(t *testing.T) { s.manifests(t, image, list) })
	t.Run("Head", func(t *testing.T) { s.heads(t, image, list) })
	t.Run("Tags", s.tags)
	t.Run("Blob", s.blobs)
	t.Run("NotFound", s.notFound)
	t.Run("Cancelled", s.cancelled)
	t.Run("Concurrent", func(t *testing.T) { s.concurrent(t, image) })
}

type suite struct {
	Subject
	contents fakes.Contents
}

func (s *suite) repository(t *testing.T, path string) importer.Repository {
	t.Helper()
	name, err := reference.ParseNormalizedNamed(s.Host + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Registry.Repository(t.Context(), name, s.Access)
	if err != nil {
		t.Fatalf("Repository(%s): %v", name, err)
	}
	return r
}

func (s *suite) manifests(t *testing.T, image, list digest.Digest) {
	r := s.repository(t, "org/app")
	for _, tc := range []struct {
		ref  importer.Ref
		want digest.Digest
	}{
		{importer.Ref{Tag: "v1"}, image}, {importer.Ref{Digest: image}, image}, {importer.Ref{Tag: "wrong", Digest: image},
			image},
		{importer.Ref{Tag: "multi"}, list}, {importer.Ref{Digest: list}, list},
	} {
		got, err := r.Manifest(t.Context(), tc.ref)
		if err != nil {
			t.Errorf("Manifest(%s): %v", tc.ref, err)
			continue
		}
		stored := s.contents["org/app"].Manifests[tc.want]
		if got.Digest != tc.want || string(got.Bytes) != stored.Raw || !strings.HasPrefix(got.MediaType, stored.MediaType) {
			t.Errorf("Manifest(%s) = %s, %s, %q; want %s, %s, %q", tc.ref, got.Digest, got.MediaType, got.Bytes, tc.want,
				stored.MediaType, stored.Raw)
		}
	}
}

func (s *suite) heads(t *testing.T, image, list digest.Digest) {
	r := s.repository(t, "org/app")
	for ref, want := range map[importer.Ref]digest.Digest{
		{Tag: "latest"}: image, {Tag: "multi"}: list, {Digest: image}: image,
	} {
		got, err := r.Head(t.Context(), ref)
		stored := s.contents["org/app"].Manifests[want]
		if err != nil || got.Digest != want || !strings.HasPrefix(got.MediaType, stored.MediaType) ||
			got.Size != int64(len(stored.Raw)) {
			t.Errorf("Head(%s) = %+v, %v; want %s, %s, %d bytes", ref, got, err, want, stored.MediaType, len(stored.Raw))
		}
	}
}

func (s *suite) tags(t *testing.T) {
	var got []string
	for tag, err := range s.repository(t, "org/many/deep").Tags(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, tag)
	}
	slices.Sort(got)
	if len(got) != tags || len(slices.Compact(got)) != tags || got[0] != "t000" {
		t.Errorf("%d tags, want %d different ones: %q", len(got), tags, got)
	}
	n := 0
	for _, err := range s.repository(t, "org/many/deep").Tags(t.Context()) {
		if n++; n == 3 || err != nil {
			break
		}
	}
	if n != 3 {
		t.Errorf("a caller who stops after 3 tags got %d", n)
	}
}

func (s *suite) blobs(t *testing.T) {
	r := s.repository(t, "org/app")
	for d, want := range s.contents["org/app"].Blobs {
		size := int64(len(want))
		got, err := r.Blob(t.Context(), d, size)
		if err != nil || string(got) != want {
			t.Errorf("Blob(%s) = %q, %v, want %q", d, got, err, want)
		}
		if n, err := r.BlobSize(t.Context(), d); err != nil || n != size {
			t.Errorf("BlobSize(%s) = %d, %v, want %d", d, n, err, size)
		}
		_, err = r.Blob(t.Context(), d, size-1)
		wantFailure(t, err, importer.OperationBlob, importer.ClassInvalid)
	}
}

func (s *suite) notFound(t *testing.T) {
	missing := digest.FromString("missing")
	r := s.repository(t, "org/app")
	_, err := r.Manifest(t.Context(), importer.Ref{Tag: "missing"})
	wantFailure(t, err, importer.OperationManifest, importer.ClassNotFound)
	var failure *importer.RegistryError
	if errors.As(err, &failure) && !slices.Contains(failure.Codes, "MANIFEST_UNKNOWN") {
		t.Errorf("a missing manifest has the codes %q", failure.Codes)
	}
	_, err = r.Manifest(t.Context(), importer.Ref{Digest: missing})
	wantFailure(t, err, importer.OperationManifest, importer.ClassNotFound)
	_, err = r.Head(t.Context(), importer.Ref{Tag: "missing"})
	wantFailure(t, err, importer.OperationHead, importer.ClassNotFound)
	_, err = r.Blob(t.Context(), missing, 1<<20)
	wantFailure(t, err, importer.OperationBlob, importer.ClassNotFound)
	_, err = r.BlobSize(t.Context(), missing)
	wantFailure(t, err, importer.OperationBlobSize, importer.ClassNotFound)
	for _, err = range s.repository(t, "org/nothing").Tags(t.Context()) {
	}
	wantFailure(t, err, importer.OperationTags, importer.ClassNotFound)
	_, err = s.repository(t, "org/nothing").Manifest(t.Context(), importer.Ref{Tag: "v1"})
	wantFailure(t, err, importer.OperationManifest, importer.ClassNotFound)
}

func (s *suite) cancelled(t *testing.T) {
	r := s.repository(t, "org/app")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := r.Manifest(ctx, importer.Ref{Tag: "v1"})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Manifest under a context that is cancelled: %v", err)
	}
	for _, err = range r.Tags(ctx) {
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Tags under a context that is cancelled: %v", err)
	}
}

func (s *suite) concurrent(t *testing.T, image digest.Digest) {
	r := s.repository(t, "org/app")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if got, err := r.Manifest(t.Context(), importer.Ref{Tag: "v1"}); err != nil || got.Digest != image {
				t.Errorf("Manifest(v1) = %s, %v, want %s", got.Digest, err, image)
			}
		})
	}
	wg.Wait()
}

// maxError is how many bytes an error may have: three texts of 1 KB, 16 codes, and what was asked for.
const maxError = 6 << 10

// wantFailure checks that err is a whole RegistryError of that operation and class, fit to be shown.
func wantFailure(t *testing.T, err error, op importer.Operation, class importer.Class) {
	t.Helper()
	var failure *importer.RegistryError
	switch {
	case !errors.As(err, &failure):
		t.Errorf("%s: error %v, want a *importer.RegistryError", op, err)
	case failure.Operation != op || failure.Class != class || failure.Repository == "":
		t.Errorf("%s: %+v, want class %s and a repository", op, failure, class)
	case class != importer.ClassInvalid && failure.StatusCode == 0:
		t.Errorf("%s: %v has no status code", op, failure)
	case len(failure.Error()) > maxError || strings.ContainsFunc(failure.Error(),
		func(r rune) bool { return !unicode.IsPrint(r) }):
		t.Errorf("%s: %d bytes, or not one printable line: %q", op, len(failure.Error()), failure.Error())
	}
}
