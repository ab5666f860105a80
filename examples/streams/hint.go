package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

// hint adds to an error what to type instead.
func (a *app) hint(ctx context.Context, err error) error {
	err = withInsecure(err)
	var status *imagestream.StatusError
	if !errors.As(err, &status) || status.Reason != imagestream.ReasonNotFound {
		return err
	}
	if instead := a.instead(ctx, status); instead != "" {
		return fmt.Errorf("%w; %s", err, instead)
	}
	return err
}

// withInsecure names the flag that lets a registry without TLS be asked.
func withInsecure(err error) error {
	if err != nil && strings.Contains(err.Error(), "HTTP response to an HTTPS client") {
		return fmt.Errorf("%w: use --insecure with tag or import", err)
	}
	return err
}

// instead says what to type instead of something that was not found; "" is nothing.
func (a *app) instead(ctx context.Context, status *imagestream.StatusError) string {
	if status.Key.Namespace == "" {
		return "'streams get images' lists what there is"
	}
	key, tag := status.Key, ""
	if stream, image, ok := pullspec.SplitImage(key.Name); ok {
		return fmt.Sprintf("'streams describe %s' shows the images that it had, and %q is none of them", stream, image)
	}
	key.Name, tag, _ = strings.Cut(key.Name, ":")
	s, err := a.streams.Get(ctx, key)
	if err == nil {
		return a.insteadOfTag(s, tag, status.Message)
	}
	names, err := a.names(ctx, key.Namespace)
	if err != nil {
		return ""
	}
	near := nearest(key.Name, names)
	switch {
	case near != "" && tag != "":
		return a.didYouMean(key.Namespace, pullspec.JoinTag(near, tag))
	case near != "":
		return a.didYouMean(key.Namespace, near)
	case status.Message != "": // it says what to type
		return ""
	case len(names) == 0:
		return fmt.Sprintf("the namespace %q has no streams: create one with 'streams create NAME', or name another one "+
			"with -n", key.Namespace)
	}
	return "'streams get' lists what there is"
}

func (a *app) didYouMean(namespace, name string) string {
	if namespace != a.namespace {
		name = namespace + "/" + name
	}
	return fmt.Sprintf("did you mean %q?", name)
}

// insteadOfTag says what to type instead of a tag of s.
func (a *app) insteadOfTag(s *imagestream.ImageStream, tag, message string) string {
	name, tags := s.Metadata.Name, tagsOf(s)
	if slices.Contains(tags, tag) && !importableTag(s, tag) {
		return fmt.Sprintf("'streams explain %s' tells why it has no image", pullspec.JoinTag(name, tag))
	}
	if slices.Contains(tags, tag) {
		return fmt.Sprintf("'streams import %[1]s' imports it, and 'streams explain %[1]s' tells why it has no image",
			pullspec.JoinTag(name, tag))
	}
	if near := nearest(tag, tags); tag != "" && near != "" {
		return a.didYouMean(s.Metadata.Namespace, pullspec.JoinTag(name, near))
	}
	switch {
	case message != "" || tag == "":
		return ""
	case len(tags) == 0:
		return fmt.Sprintf("the stream %q has no tags: 'streams tag SOURCE %s' sets one", name, pullspec.JoinTag(name, tag))
	}
	return fmt.Sprintf("'streams describe %s' shows its tags", name)
}

// names are the streams of a namespace.
func (a *app) names(ctx context.Context, namespace string) (names []string, err error) {
	for s, err := range a.streams.List(ctx, rest.ListOptions{Namespace: namespace}) {
		if err != nil {
			return nil, err
		}
		names = append(names, s.Metadata.Name)
	}
	return names, nil
}

// tagsOf are the tags of a stream, asked for or there.
func tagsOf(s *imagestream.ImageStream) []string {
	var tags []string
	for _, t := range s.Spec.Tags {
		tags = append(tags, t.Name)
	}
	for _, h := range s.Status.Tags {
		if !slices.Contains(tags, h.Tag) {
			tags = append(tags, h.Tag)
		}
	}
	return pullspec.PrioritizeTags(tags)
}

// nearest returns the name that takes the fewest edits to get to, if these are few.
func nearest(name string, names []string) string {
	best, most := "", len(name)/3+1
	for _, candidate := range names {
		if d := distance(name, candidate); d <= most {
			best, most = candidate, d-1
		}
	}
	return best
}

// distance is that of Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}
