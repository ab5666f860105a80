package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

// WaitOptions say what [Client.Wait] does not take for an end.
type WaitOptions struct {
	// Recover goes on waiting for a tag whose import failed, until it succeeds.
	Recover bool
	// Appear waits for a stream, or a tag, that is not there yet.
	Appear bool
}

// Wait waits until tags point at what their specs ask for, and returns what each points at then; without tags,
// every tag of the spec. A tag that follows others of the stream waits for the last of them, too.
//
// A tag whose import failed is an error of class [importer.ErrFailed], one that the stream does not have, or
// ceases to have, of class [imagestream.ErrNotFound]; [WaitOptions] wait on for both. The condition of the tag
// has what came of an import; the error has no TagError. It watches this one stream,
// and reads it again only if the watch ends.
func (c *Client) Wait(
	ctx context.Context,
	stream imagestream.Key,
	opts WaitOptions,
	tags ...string,
) (map[string]tagevent.Event, error) {
	if c.API == nil {
		return nil, ErrNoAPI
	}
	w := wait{stream: stream, opts: opts, tags: tags}
	for {
		list, err := c.API.ImageStreams().
			List(ctx, rest.ListOptions{Namespace: stream.Namespace, Fields: "metadata.name=" + stream.Name})
		if err != nil {
			return nil, w.fail(err)
		}
		var s *imagestream.ImageStream
		if len(list.Items) > 0 {
			s = &list.Items[0]
		}
		if events, done, err := w.outcome(s); done {
			return events, err
		}
		events, done, err := w.watch(ctx, c.API.ImageStreams(), list.Metadata.ResourceVersion)
		switch {
		case done:
			return events, err
		case !errors.Is(err, imagestream.ErrGone):
			return nil, w.fail(err)
		}
	}
}

// fail says what was waited for.
func (w *wait) fail(err error) error {
	if len(w.tags) == 0 {
		return fmt.Errorf("wait for the tags of image stream %s: %w", w.stream, err)
	}
	return fmt.Errorf("wait for %s of image stream %s: %w", strings.Join(w.tags, ", "), w.stream, err)
}

// wait is a wait on its way.
type wait struct {
	stream imagestream.Key
	opts   WaitOptions
	tags   []string
}

// watch watches the stream from a version on until the tags are done. An error of class ErrGone means that it must
// be read again.
func (w *wait) watch(
	ctx context.Context,
	streams rest.ImageStreams,
	version string,
) (_ map[string]tagevent.Event, done bool, err error) {
	for change, err := range streams.Watch(ctx, rest.WatchOptions{
		Namespace: w.stream.Namespace, Fields: "metadata.name=" + w.stream.Name, ResourceVersion: version,
	}) {
		if err != nil {
			return nil, false, err
		}
		s := change.Object
		switch change.Type {
		case imagestream.Bookmark:
			continue
		case imagestream.Deleted:
			s = nil
		}
		if events, done, err := w.outcome(s); done {
			return events, true, err
		}
	}
	return nil, false, errors.New("the watch ended")
}

// outcome tells what came of the tags of a stream, nil if it does not exist, if that is decided.
func (w *wait) outcome(s *imagestream.ImageStream) (_ map[string]tagevent.Event, done bool, err error) {
	if s == nil {
		return nil, !w.opts.Appear, imagestream.NewError(
			imagestream.ReasonNotFound,
			imagestream.ResourceImageStreams,
			w.stream,
			"",
		)
	}
	tags := w.tags
	if len(tags) == 0 {
		for _, t := range s.Spec.Tags {
			tags = append(tags, t.Name)
		}
	}
	events, waiting := map[string]tagevent.Event{}, false
	for _, tag := range tags {
		ready, err := w.tag(s, tag)
		if err != nil {
			return nil, true, err
		}
		event, ok := s.LatestEvent(tag)
		if !ok || !ready {
			waiting = true
			continue
		}
		events[tag] = event
	}
	return events, !waiting, nil
}

// tag reports whether a tag points at what its spec, and those of the tags that it follows, ask for. An error ends
// the wait.
func (w *wait) tag(s *imagestream.ImageStream, tag string) (ready bool, err error) {
	for _, name := range followed(s, tag) {
		switch state := inspect.TagState(s, name); state.Phase {
		case inspect.Missing:
			if !w.opts.Appear {
				return false, tagNotFound(w.stream, name, "")
			}
			return false, nil
		case inspect.Failed:
			if !w.opts.Recover {
				return false, fmt.Errorf(
					"tag %s: %w: %s: %s",
					tagKey(w.stream, name),
					importer.ErrFailed,
					state.Reason,
					state.Message,
				)
			}
			return false, nil
		case inspect.Pending:
			ready = false
		case inspect.Done:
			ready = true
		}
		if !ready {
			return false, nil
		}
	}
	return ready, nil
}

// followed returns tag behind the tags that it follows, which may not be there.
func followed(s *imagestream.ImageStream, tag string) []string {
	chain := inspect.Follow(s, tag)
	names := slices.Clone(chain.Path)
	if chain.End == inspect.EndsNowhere {
		last, _ := s.SpecTag(chain.Last())
		if target, ok := s.TrackedTag(last); ok {
			names = append(names, target)
		}
	}
	if len(names) == 0 {
		return []string{tag}
	}
	slices.Reverse(names)
	return names
}
