package resttest

import (
	"context"
	"errors"
	"slices"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// seen is what a watch reports, without bookmarks.
type seen struct {
	change imagestream.ChangeType
	name   string
}

// collect reads n changes of a watch.
func (s *suite) collect(opts rest.WatchOptions, n int) []seen {
	s.Helper()
	var got []seen
	for change, err := range s.API.ImageStreams().Watch(s.ctx(), opts) {
		if err != nil {
			s.Errorf("after %v the watch ended: %v", got, err)
			return got
		}
		if change.Type != imagestream.Bookmark {
			got = append(got, seen{change.Type, change.Object.Metadata.Name})
		}
		if len(got) == n {
			break
		}
	}
	return got
}

func (s *suite) label(name, key, value string) {
	s.Helper()
	if _, _, err := s.API.ImageStreams().
		Update(s.ctx(), shop(name), withLabel(key, value), rest.UpdateOptions{}); err != nil {
		s.Fatal(err)
	}
}

func watch(s *suite) {
	streams := s.API.ImageStreams()
	s.create(newStream("before"))
	list, err := streams.List(s.ctx(), rest.ListOptions{})
	if err != nil {
		s.Fatal(err)
	}
	opts := rest.WatchOptions{ResourceVersion: list.Metadata.ResourceVersion}
	done := make(chan []seen, 1)
	go func() {
		var got []seen
		defer func() { done <- got }() // also if the watch fails, which ends this goroutine
		got = s.collect(opts, 3)
	}()
	s.create(newStream("app"))
	s.label("app", "a", "b")
	if err := streams.Delete(s.ctx(), shop("app"), rest.DeleteOptions{}); err != nil {
		s.Fatal(err)
	}
	want := []seen{{imagestream.Added, "app"}, {imagestream.Modified, "app"}, {imagestream.Deleted, "app"}}
	if got := <-done; !slices.Equal(got, want) {
		s.Errorf("watched %v, want %v", got, want)
	}
	if got := s.collect(opts, 3); !slices.Equal(got, want) {
		s.Errorf("a watch that begins later sees %v, want %v", got, want)
	}
}

func watchSelected(s *suite) {
	a := s.create(newStream("a"))
	s.create(newStream("b"))
	labels, err := imagestream.ParseSelector("watched=yes")
	if err != nil {
		s.Fatal(err)
	}
	s.label("a", "watched", "yes")
	s.label("b", "watched", "no")
	s.label("b", "watched", "yes")
	s.label("a", "watched", "no")
	from := a.Metadata.ResourceVersion
	want := []seen{{imagestream.Added, "a"}, {imagestream.Added, "b"}, {imagestream.Deleted, "a"}}
	if got := s.collect(
		rest.WatchOptions{Namespace: "shop", Labels: labels, ResourceVersion: from},
		3,
	); !slices.Equal(
		got,
		want,
	) {
		s.Errorf("by label: %v, want %v", got, want)
	}
	want = []seen{{imagestream.Added, "b"}, {imagestream.Modified, "b"}, {imagestream.Modified, "b"}}
	if got := s.collect(
		rest.WatchOptions{Namespace: "shop", Fields: "metadata.name=b", ResourceVersion: from},
		3,
	); !slices.Equal(
		got,
		want,
	) {
		s.Errorf("by name: %v, want %v", got, want)
	}
	want = []seen{{imagestream.Added, "b"}}
	if got := s.collect(rest.WatchOptions{Namespace: "shop", Fields: "metadata.name=b"}, 1); !slices.Equal(got, want) {
		s.Errorf("by name from the start: %v, want %v", got, want)
	}
}

func watchEnds(s *suite) {
	s.create(newStream("app"))
	ctx, cancel := context.WithCancel(s.ctx())
	var ended error
	for change, err := range s.API.ImageStreams().Watch(ctx, rest.WatchOptions{}) {
		if err != nil {
			ended = err
			break
		}
		if change.Type == imagestream.Added {
			cancel()
		}
	}
	cancel()
	if !errors.Is(ended, context.Canceled) {
		s.Errorf("a watch whose context ends yields %v", ended)
	}
	var refused error
	for _, err := range s.API.ImageStreams().Watch(s.ctx(), rest.WatchOptions{Fields: "spec.x=1"}) {
		refused = err
		break
	}
	s.fails("watch by a field that is not there", refused, imagestream.ReasonBadRequest)
}
