// Package storetest checks that an [imagestream.Store] keeps its contract.
//
//	func TestStore(t *testing.T) {
//		storetest.Run(t, func(t *testing.T) imagestream.Store { return open(t) })
//	}
package storetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Run checks a store. Open makes one that is empty; it is called for each part of the suite.
func Run(t *testing.T, open func(t *testing.T) imagestream.Store) {
	for _, part := range []struct {
		name string
		run  func(*testing.T, imagestream.Store)
	}{
		{"Create", testCreate},
		{"Get", testGet},
		{"Update", testUpdate},
		{"Delete", testDelete},
		{"Images", testImages},
		{"Ownership", testOwnership},
		{"Text", testText},
		{"List", testList},
		{"Pages", testPages},
		{"Watch", testWatch},
		{"WatchSelected", testWatchSelected},
		{"WatchFromTheStart", testWatchFromTheStart},
		{"WatchOneName", testWatchOneName},
		{"WatchFarBehind", testWatchFarBehind},
		{"ConcurrentWriters", testConcurrentWriters},
		{"Cancelled", testCancelled},
	} {
		t.Run(part.name, func(t *testing.T) { part.run(t, open(t)) })
	}
}

// patience bounds what a broken store can make the suite wait for.
const patience = 30 * time.Second

func stream(namespace, name string) *imagestream.ImageStream {
	return &imagestream.ImageStream{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion},
		Metadata: imagestream.ObjectMeta{
			Namespace: namespace, Name: name, Generation: 1,
			Labels: map[string]string{"app": name}, Annotations: map[string]string{"a": "1"},
		},
		Spec: imagestream.ImageStreamSpec{Tags: []imagestream.TagReference{
			{
				Name: "v1",
				From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage, Name: "quay.io/org/" + name + ":v1"},
			},
		}},
		Status: imagestream.ImageStreamStatus{Tags: []tagevent.History{
			{
				Tag: "v1",
				Items: []tagevent.Event{
					{Created: 1, DockerImageReference: "quay.io/org/" + name + "@sha256:1", Image: "sha256:1", Generation: 1},
				},
			},
		}},
	}
}

func mustCreate(t *testing.T, s imagestream.Store, o *imagestream.ImageStream) *imagestream.ImageStream {
	t.Helper()
	created, err := s.CreateImageStream(t.Context(), o)
	if err != nil {
		t.Fatalf("CreateImageStream(%s): %v", o.Key(), err)
	}
	return created
}

func mustUpdate(t *testing.T, s imagestream.Store, o *imagestream.ImageStream) *imagestream.ImageStream {
	t.Helper()
	updated, err := s.UpdateImageStream(t.Context(), o)
	if err != nil {
		t.Fatalf("UpdateImageStream(%s): %v", o.Key(), err)
	}
	return updated
}

func wantClass(t *testing.T, what string, err, class error) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("%s: error %v, want one of the class %q", what, err, class)
	}
}

func wantStored(t *testing.T, s imagestream.Store, want *imagestream.ImageStream) {
	t.Helper()
	got, err := s.GetImageStream(t.Context(), want.Key())
	if err != nil || !got.Same(want) {
		t.Errorf("GetImageStream(%s) = %+v, %v\nwant %+v", want.Key(), got, err, want)
	}
}

func testCreate(t *testing.T, s imagestream.Store) {
	sent := stream("ns", "app")
	sent.Metadata.ResourceVersion = "77"
	if created, err := s.CreateImageStream(t.Context(), sent); err == nil {
		t.Errorf("a stream with a resource version was created: %+v", created.Metadata)
	}
	_, err := s.GetImageStream(t.Context(), sent.Key())
	wantClass(t, "get what was refused", err, imagestream.ErrNotFound)
	sent.Metadata.ResourceVersion = ""
	before := sent.Clone()
	created := mustCreate(t, s, sent)
	if !reflect.DeepEqual(sent, before) {
		t.Errorf("the argument was changed: %+v", sent)
	}
	m := &created.Metadata
	if m.UID == "" || m.ResourceVersion == "" {
		t.Errorf("uid %q and resource version %q are the store's to set", m.UID, m.ResourceVersion)
	}
	want := before.Clone()
	want.Metadata.UID, want.Metadata.ResourceVersion = m.UID, m.ResourceVersion
	if !created.Same(want) {
		t.Errorf("created %+v\nwant %+v", created, want)
	}
	wantStored(t, s, created)
	_, err = s.CreateImageStream(t.Context(), stream("ns", "app"))
	wantClass(t, "create twice", err, imagestream.ErrAlreadyExists)
	wantStored(t, s, created)
	if other := mustCreate(
		t,
		s,
		stream("other", "app"),
	); other.Metadata.UID == m.UID ||
		other.Metadata.ResourceVersion == m.ResourceVersion {
		t.Errorf("two streams have the uid %s or the version %s", m.UID, m.ResourceVersion)
	}
}

func testGet(t *testing.T, s imagestream.Store) {
	mustCreate(t, s, stream("ns", "app"))
	for _, key := range []imagestream.Key{{Namespace: "ns", Name: "ap"}, {Namespace: "n", Name: "app"}, {Name: "app"}, {Namespace: "ns"}, {}} {
		_, err := s.GetImageStream(t.Context(), key)
		wantClass(t, "get "+key.String(), err, imagestream.ErrNotFound)
	}
}

func testUpdate(t *testing.T, s imagestream.Store) {
	created := mustCreate(t, s, stream("ns", "app"))
	wantStored(t, s, created)
	next := created.Clone()
	next.Metadata.Generation = 2
	next.Metadata.UID = ""
	updated := mustUpdate(t, s, next)
	if updated.Metadata.UID != created.Metadata.UID ||
		updated.Metadata.ResourceVersion == created.Metadata.ResourceVersion ||
		updated.Metadata.Generation != 2 {
		t.Errorf("updated to %+v from %+v", updated.Metadata, created.Metadata)
	}
	wantStored(t, s, updated)

	_, err := s.UpdateImageStream(t.Context(), next)
	wantClass(t, "update of an old version", err, imagestream.ErrConflict)
	unversioned := updated.Clone()
	unversioned.Metadata.ResourceVersion = ""
	_, err = s.UpdateImageStream(t.Context(), unversioned)
	wantClass(t, "update without a version", err, imagestream.ErrConflict)
	alien := updated.Clone()
	alien.Metadata.UID = "another"
	_, err = s.UpdateImageStream(t.Context(), alien)
	wantClass(t, "update of another uid", err, imagestream.ErrConflict)
	_, err = s.UpdateImageStream(t.Context(), stream("ns", "missing"))
	wantClass(t, "update of nothing", err, imagestream.ErrNotFound)
	wantStored(t, s, updated)
}

func testDelete(t *testing.T, s imagestream.Store) {
	created := mustCreate(t, s, stream("ns", "app"))
	key := created.Key()
	wantClass(
		t,
		"delete another uid",
		s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{UID: "another"}),
		imagestream.ErrConflict,
	)
	wantClass(
		t,
		"delete another version",
		s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{ResourceVersion: "another"}),
		imagestream.ErrConflict,
	)
	wantStored(t, s, created)
	only := imagestream.Preconditions{UID: created.Metadata.UID, ResourceVersion: created.Metadata.ResourceVersion}
	if err := s.DeleteImageStream(t.Context(), key, only); err != nil {
		t.Fatal(err)
	}
	_, err := s.GetImageStream(t.Context(), key)
	wantClass(t, "get what was deleted", err, imagestream.ErrNotFound)
	wantClass(
		t,
		"delete twice",
		s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{}),
		imagestream.ErrNotFound,
	)
	_, err = s.UpdateImageStream(t.Context(), created)
	wantClass(t, "update what was deleted", err, imagestream.ErrNotFound)
	if again := mustCreate(
		t,
		s,
		stream("ns", "app"),
	); again.Metadata.UID == created.Metadata.UID ||
		again.Metadata.ResourceVersion == created.Metadata.ResourceVersion {
		t.Errorf("created again with the same uid %s or version %s", again.Metadata.UID, again.Metadata.ResourceVersion)
	}
}

func testImages(t *testing.T, s imagestream.Store) {
	image := &imagestream.Image{
		Metadata:             imagestream.ObjectMeta{Name: "sha256:1", Namespace: "ignored"},
		DockerImageReference: "quay.io/org/app@sha256:1",
	}
	created, err := s.CreateImage(t.Context(), image)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.CreateImage(t.Context(), image)
	wantClass(t, "create an image twice", err, imagestream.ErrAlreadyExists)
	next := created.Clone()
	next.DockerImageReference = "mirror.io/org/app@sha256:1"
	updated, err := s.UpdateImage(t.Context(), next)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.UpdateImage(t.Context(), next)
	wantClass(t, "update an old version of an image", err, imagestream.ErrConflict)
	got, err := s.GetImage(t.Context(), "sha256:1")
	if err != nil || !reflect.DeepEqual(got, updated) || got.DockerImageReference != next.DockerImageReference {
		t.Errorf("GetImage = %+v, %v, want %+v", got, err, updated)
	}
	list, err := s.ListImages(t.Context(), imagestream.ListOptions{Namespace: "ignored"})
	if err != nil || len(list.Items) != 1 {
		t.Errorf("ListImages = %+v, %v, want one image", list, err)
	}
	if err := s.DeleteImage(t.Context(), "sha256:1", imagestream.Preconditions{}); err != nil {
		t.Error(err)
	}
	_, err = s.GetImage(t.Context(), "sha256:1")
	wantClass(t, "get an image that was deleted", err, imagestream.ErrNotFound)
	var types []imagestream.ChangeType
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for change, err := range s.WatchImages(ctx, imagestream.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}) {
		if err != nil {
			t.Fatal(err)
		}
		if change.Type == imagestream.Bookmark {
			continue
		}
		if types = append(types, change.Type); len(types) == 2 {
			break
		}
	}
	if !slices.Equal(types, []imagestream.ChangeType{imagestream.Modified, imagestream.Deleted}) {
		t.Errorf("watched %v", types)
	}
}

// spoil changes what a stream reaches.
func spoil(s *imagestream.ImageStream) {
	s.Metadata.Name += "!"
	s.Metadata.Labels["app"] = "spoilt"
	s.Metadata.Annotations["a"] = "spoilt"
	s.Spec.Tags[0].From.Name = "spoilt"
	s.Status.Tags[0].Items[0].Image = "spoilt"
}

func testOwnership(t *testing.T, s imagestream.Store) {
	sent := stream("ns", "app")
	created := mustCreate(t, s, sent)
	want := created.Clone()
	spoil(sent)
	spoil(created)
	wantStored(t, s, want)

	next := want.Clone()
	next.Metadata.Generation = 2
	updated := mustUpdate(t, s, next)
	want = updated.Clone()
	spoil(next)
	spoil(updated)
	wantStored(t, s, want)

	got, err := s.GetImageStream(t.Context(), want.Key())
	if err != nil {
		t.Fatal(err)
	}
	spoil(got)
	wantStored(t, s, want)

	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("ListImageStreams = %v, %v", list, err)
	}
	spoil(&list.Items[0])
	wantStored(t, s, want)
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{}) {
		if err != nil {
			t.Fatal(err)
		}
		spoil(change.Object)
		break
	}
	wantStored(t, s, want)
}

// testText stores texts that encodings like to change.
func testText(t *testing.T, s imagestream.Store) {
	sent := stream("ns", "app")
	sent.Metadata.Annotations = map[string]string{
		"html": "<a href=\"x\">&amp;</a>", "lines": "a\r\n\tb\u2028c\u2029", "control": "\x00\x01\x1b\x7f",
		"replacement": "\ufffd \\ufffd", "wide": "\U0001f680 e\u0301 \u00e9", "": "no key", "empty": "",
	}
	created := mustCreate(t, s, sent)
	if !maps.Equal(created.Metadata.Annotations, sent.Metadata.Annotations) {
		t.Errorf("created with the annotations %q, want %q", created.Metadata.Annotations, sent.Metadata.Annotations)
	}
	wantStored(t, s, created)
	same := mustUpdate(t, s, created)
	wantStored(t, s, same)

	bad := stream("ns", "bad")
	bad.Metadata.Annotations = map[string]string{"text": "\xff"}
	if _, err := s.CreateImageStream(t.Context(), bad); err != nil {
		return // a store may refuse what is not UTF-8, but not store something else
	}
	got, err := s.GetImageStream(t.Context(), bad.Key())
	if err != nil || got.Metadata.Annotations["text"] != "\xff" {
		t.Errorf("a text that is not UTF-8 is stored as %+v, %v", got, err)
	}
}

// testConcurrentWriters lets writers count up one number with compare-and-swap: each success must build on
// the one before.
func testConcurrentWriters(t *testing.T, s imagestream.Store) {
	const writers, each = 8, 25
	created := mustCreate(t, s, stream("ns", "app"))
	key := created.Key()
	recorded := make([][]swap, writers)
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for len(recorded[w]) < each {
				old, err := s.GetImageStream(t.Context(), key)
				if err != nil {
					t.Error(err)
					return
				}
				from := old.Metadata.ResourceVersion
				old.Metadata.Generation++
				switch updated, err := s.UpdateImageStream(t.Context(), old); {
				case err == nil:
					recorded[w] = append(recorded[w], swap{from, updated.Metadata.ResourceVersion})
				case !errors.Is(err, imagestream.ErrConflict):
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	if problem := checkChain(created.Metadata.ResourceVersion, slices.Concat(recorded...)); problem != "" {
		t.Errorf("the writes are in no order: %s", problem)
	}
	got, err := s.GetImageStream(t.Context(), key)
	if err != nil || got.Metadata.Generation != 1+writers*each {
		t.Errorf("generation %d, %v, want %d: a write was lost", got.Metadata.Generation, err, 1+writers*each)
	}
	next := int64(2)
	for _, c := range collect(t, s, imagestream.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}, writers*each) {
		if c.generation != next {
			t.Fatalf("watched generation %d where %d was due", c.generation, next)
		}
		next++
	}
}

func testCancelled(t *testing.T, s imagestream.Store) {
	created := mustCreate(t, s, stream("ns", "app"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.GetImageStream(ctx, created.Key())
	wantClass(t, "get under a context that is cancelled", err, context.Canceled)
	_, err = s.CreateImageStream(ctx, stream("ns", "other"))
	wantClass(t, "create under a context that is cancelled", err, context.Canceled)
	for _, err = range s.WatchImageStreams(ctx, imagestream.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}) {
	}
	wantClass(t, "watch under a context that is cancelled", err, context.Canceled)
}

// swap is a compare-and-swap that succeeded, from one version to the next.
type swap struct{ from, to string }

// checkChain reports what keeps swaps from standing in one order, each beginning where the one before ended.
// Versions are opaque, so that is what it means that successful writes of a key happen one after the other.
func checkChain(first string, swaps []swap) (problem string) {
	next := make(map[string]string, len(swaps))
	for _, s := range swaps {
		if to, taken := next[s.from]; taken {
			return fmt.Sprintf("two writes replaced the version %s, by %s and %s", s.from, to, s.to)
		}
		next[s.from] = s.to
	}
	at := first
	for range swaps {
		to, ok := next[at]
		if !ok {
			return fmt.Sprintf("no write replaced the version %s, and there are more writes", at)
		}
		at = to
	}
	return ""
}
