package storetest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/imagestreams/imagestreams/imagestream"
)

// seen is what a watch reports of a stream.
type seen struct {
	change     imagestream.ChangeType
	name       string
	generation int64
}

// collect watches until it has seen n changes.
func collect(t *testing.T, s imagestream.Store, opts imagestream.WatchOptions, n int) []seen {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var got []seen
	for change, err := range s.WatchImageStreams(ctx, opts) {
		if err != nil {
			t.Fatalf("the watch ended with %v after %v", err, got)
		}
		if change.Type == imagestream.Bookmark {
			continue
		}
		m := &change.Object.Metadata
		if m.ResourceVersion == "" {
			t.Errorf("a change of %s has no resource version", m.Name)
		}
		if got = append(got, seen{change.Type, m.Name, m.Generation}); len(got) == n {
			break
		}
	}
	return got
}

func testWatch(t *testing.T, s imagestream.Store) {
	a := mustCreate(t, s, stream("ns", "a"))
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	from := list.Metadata.ResourceVersion
	done := make(chan []seen)
	go func() { done <- collect(t, s, imagestream.WatchOptions{ResourceVersion: from}, 4) }()

	mustCreate(t, s, stream("ns", "b"))
	for generation := int64(2); generation <= 3; generation++ {
		a = a.Clone()
		a.Metadata.Generation = generation
		a = mustUpdate(t, s, a)
	}
	if err := s.DeleteImageStream(t.Context(), a.Key(), imagestream.Preconditions{}); err != nil {
		t.Fatal(err)
	}
	want := []seen{
		{imagestream.Added, "b", 1},
		{imagestream.Modified, "a", 2},
		{imagestream.Modified, "a", 3},
		{imagestream.Deleted, "a", 3},
	}
	if got := <-done; !slices.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
	if got := collect(t, s, imagestream.WatchOptions{ResourceVersion: from}, 4); !slices.Equal(got, want) {
		t.Errorf("a watch that comes later sees %v, want %v", got, want)
	}
	if got := collect(
		t,
		s,
		imagestream.WatchOptions{ResourceVersion: a.Metadata.ResourceVersion},
		1,
	); !slices.Equal(
		got,
		want[3:],
	) {
		t.Errorf("a watch from an object's version sees %v, want %v", got, want[3:])
	}
}

func testWatchSelected(t *testing.T, s imagestream.Store) {
	labels, err := imagestream.ParseSelector("watched=yes")
	if err != nil {
		t.Fatal(err)
	}
	a := mustCreate(t, s, stream("ns", "a"))
	mustCreate(t, s, stream("other", "b"))
	label := func(value string, generation int64) {
		a = a.Clone()
		a.Metadata.Labels = map[string]string{"watched": value}
		a.Metadata.Generation = generation
		a = mustUpdate(t, s, a)
	}
	from := a.Metadata.ResourceVersion
	label("yes", 2)
	label("yes", 3)
	label("no", 4)
	label("yes", 5)
	got := collect(t, s, imagestream.WatchOptions{Namespace: "ns", Labels: labels, ResourceVersion: from}, 4)
	var types []imagestream.ChangeType
	for _, c := range got {
		types = append(types, c.change)
	}
	if want := []imagestream.ChangeType{
		imagestream.Added,
		imagestream.Modified,
		imagestream.Deleted,
		imagestream.Added,
	}; !slices.Equal(
		types,
		want,
	) {
		t.Errorf("watched %v, want %v", got, want)
	}
}

func testWatchOneName(t *testing.T, s imagestream.Store) {
	a := mustCreate(t, s, stream("ns", "a"))
	b := mustCreate(t, s, stream("ns", "b"))
	mustCreate(t, s, stream("other", "b"))
	update := func(object *imagestream.ImageStream) {
		next := object.Clone()
		next.Metadata.Generation++
		mustUpdate(t, s, next)
	}
	update(a)
	update(b)
	want := []seen{{imagestream.Modified, "b", 2}}
	if got := collect(
		t,
		s,
		imagestream.WatchOptions{Namespace: "ns", Name: "b", ResourceVersion: b.Metadata.ResourceVersion},
		1,
	); !slices.Equal(
		got,
		want,
	) {
		t.Errorf("a watch of b sees %v, want %v", got, want)
	}
	want = []seen{{imagestream.Added, "b", 2}}
	if got := collect(t, s, imagestream.WatchOptions{Namespace: "ns", Name: "b"}, 1); !slices.Equal(got, want) {
		t.Errorf("a watch of b from the start sees %v, want %v", got, want)
	}
}

func testWatchFromTheStart(t *testing.T, s imagestream.Store) {
	mustCreate(t, s, stream("ns", "b"))
	mustCreate(t, s, stream("ns", "a"))
	got := collect(t, s, imagestream.WatchOptions{Namespace: "ns"}, 2)
	slices.SortFunc(got, func(a, b seen) int { return int(a.name[0]) - int(b.name[0]) })
	if want := []seen{{imagestream.Added, "a", 1}, {imagestream.Added, "b", 1}}; !slices.Equal(got, want) {
		t.Errorf("watched %v, want %v", got, want)
	}
}

// testWatchFarBehind lets a watch begin long ago: it sees every change, or is told that it cannot.
func testWatchFarBehind(t *testing.T, s imagestream.Store) {
	const updates = 40
	created := mustCreate(t, s, stream("ns", "app"))
	next := created
	for n := range updates {
		next = next.Clone()
		next.Metadata.Generation++
		next.Metadata.Annotations["text"] = strings.Repeat(string(rune('a'+n%26)), 100_000)
		next = mustUpdate(t, s, next)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	due := int64(2)
	for change, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{ResourceVersion: created.Metadata.ResourceVersion}) {
		if errors.Is(err, imagestream.ErrGone) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		if change.Type == imagestream.Bookmark {
			continue
		}
		if change.Object.Metadata.Generation != due {
			t.Fatalf("watched generation %d where %d was due", change.Object.Metadata.Generation, due)
		}
		if due++; due > updates+1 {
			return
		}
	}
}
