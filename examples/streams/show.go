package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/tagevent"
)

func (a *app) describe() *cobra.Command {
	var output string
	var reasons bool
	const what = "STREAM, STREAM:TAG or STREAM@IMAGE"
	streamsAlone := a.complete(1, withStreams, noTag)
	cmd := &cobra.Command{
		Use: "describe STREAM|STREAM:TAG|STREAM@IMAGE", Short: "Show everything about a stream, or the image of a tag",
		Long: "Show everything about a stream, the image of a tag, or an image that a stream holds, by its digest or the " +
			"beginning of it.",
		Example: "  streams describe app\n  streams describe app:v1\n  streams describe app@sha256:8c3e\n" +
			"  streams describe app -o svg >app.svg",
		Annotations: map[string]string{readsOnly: "yes"},
		ValidArgsFunction: completeUnless("output", "svg", streamsAlone,
			completeUnless("reasons", "true", streamsAlone, a.complete(1, withStreams, anyTag))),
		Args: args(1, 1, what),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "json", "yaml", "svg"); err != nil {
				return err
			}
			if reasons && (output != "" || strings.ContainsAny(args[0], ":@")) {
				return usageError{fmt.Errorf("--reasons goes with the text of a stream; 'streams explain %s' explains a tag",
					args[0])}
			}
			switch {
			case strings.Contains(args[0], "@"):
				return a.describeImage(cmd, args[0], output)
			case strings.Contains(args[0], ":"):
				return a.describeTag(cmd, args[0], output)
			}
			return a.describeStream(cmd, args[0], output, reasons)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "",
		"json or yaml: the object; svg draws what the tags of a stream come from")
	cmd.Flags().BoolVar(&reasons, "reasons", false, "tell below why each tag points where it does")
	return cmd
}

func (a *app) describeStream(cmd *cobra.Command, arg, output string, reasons bool) error {
	key, err := a.stream(arg, arg)
	if err != nil {
		return err
	}
	s, err := a.streams.Get(cmd.Context(), key)
	switch {
	case err != nil:
		return err
	case output == "svg":
		return describe.Graph(a.out, s)
	case output != "":
		s.TypeMeta = imagestream.TypeMeta{Kind: "ImageStream", APIVersion: imagestream.APIVersion}
		return encode(a.out, output, s)
	}
	now := time.Now()
	if err := describe.ImageStream(a.out, s, now); err != nil {
		return err
	}
	if err := printPins(a.out, s, now); err != nil || !reasons {
		return err
	}
	if _, err := fmt.Fprint(a.out, "\nReasons:\n\n"); err != nil {
		return err
	}
	return describe.Reasons(a.out, s)
}

func (a *app) describeTag(cmd *cobra.Command, arg, output string) error {
	key, tag, err := a.streamTag(arg)
	if err != nil {
		return err
	}
	if output == "svg" {
		return usageError{fmt.Errorf("--output=svg draws a stream: %q is a tag", arg)}
	}
	t, err := a.streams.API.ImageStreamTags().Get(cmd.Context(), imagestream.Key{Namespace: key.Namespace,
		Name: pullspec.JoinTag(key.Name, tag)})
	if err != nil {
		return err
	}
	if output != "" {
		t.TypeMeta = imagestream.TypeMeta{Kind: "ImageStreamTag", APIVersion: imagestream.APIVersion}
		return encode(a.out, output, t)
	}
	now := time.Now()
	if err := describe.ImageStreamTag(a.out, t, now); err != nil {
		return err
	}
	s, err := a.streams.Get(cmd.Context(), key)
	if err != nil {
		return err
	}
	return printPin(a.out, s, tag, now)
}

func (a *app) describeImage(cmd *cobra.Command, arg, output string) error {
	stream, id, _ := pullspec.SplitImage(arg)
	key, err := a.stream(stream, arg)
	switch {
	case err != nil:
		return err
	case id == "":
		return usageError{fmt.Errorf("%q: want STREAM@IMAGE", arg)}
	case output == "svg":
		return usageError{fmt.Errorf("--output=svg draws a stream: %q is an image", arg)}
	}
	s, err := a.streams.Get(cmd.Context(), key)
	if err != nil {
		return err
	}
	whole, err := imageOf(s, id)
	if err != nil {
		return err
	}
	i, err := a.streams.API.ImageStreamImages().Get(cmd.Context(), imagestream.Key{Namespace: key.Namespace,
		Name: pullspec.JoinImage(key.Name, whole)})
	if err != nil {
		return err
	}
	if output != "" {
		i.TypeMeta = imagestream.TypeMeta{Kind: "ImageStreamImage", APIVersion: imagestream.APIVersion}
		return encode(a.out, output, i)
	}
	return describe.ImageStreamImage(a.out, i, time.Now())
}

// imageOf returns the name of the image of s that begins with id.
func imageOf(s *imagestream.ImageStream, id string) (string, error) {
	names := map[string]bool{}
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			if e.Image != "" && pullspec.MatchImageID(e.Image, id) {
				names[e.Image] = true
			}
		}
	}
	if len(names) > 1 {
		return "", usageError{fmt.Errorf("%q: the names of %d images of %s begin with it: give more of the digest", id,
			len(names), s.Metadata.Name)}
	}
	for name := range names {
		return name, nil
	}
	key := imagestream.Key{Namespace: s.Metadata.Namespace, Name: pullspec.JoinImage(s.Metadata.Name, id)}
	return "", imagestream.NewError(imagestream.ReasonNotFound, "imagestreamimages", key, "")
}

// tagHistory is a history as the API has it, with the pin of the tag.
type tagHistory struct {
	tagevent.History
	Pin *imagestream.TagPin `json:"pin,omitempty"`
}

func (a *app) history() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "history STREAM:TAG", Short: "Show what a tag pointed at, newest first",
		Example: "  streams history app:v1\n  streams history app:v1 -o json\n  streams history app -o svg " +
			">history.svg",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.complete(1, onlyTags, anyTag),
		Args:              args(1, 1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOutput(output, "json", "yaml", "svg"); err != nil {
				return err
			}
			if output == "svg" {
				name, _, _ := strings.Cut(args[0], ":")
				key, err := a.stream(name, args[0])
				if err != nil {
					return err
				}
				s, err := a.streams.Get(cmd.Context(), key)
				if err != nil {
					return err
				}
				return describe.Timeline(a.out, s, time.Now())
			}
			return a.showHistory(cmd, args[0], output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "",
		"json or yaml: events, conditions and pin; svg draws the history of the whole stream")
	return cmd
}

func (a *app) showHistory(cmd *cobra.Command, arg, output string) error {
	key, tag, err := a.streamTag(arg)
	if err != nil {
		return err
	}
	h, err := a.streams.History(cmd.Context(), key, tag)
	if err != nil {
		return err
	}
	s, err := a.streams.Get(cmd.Context(), key)
	if err != nil {
		return err
	}
	if output != "" {
		shown := tagHistory{History: h}
		if pin, ok := pinsOf(s)[tag]; ok {
			shown.Pin = &pin
		}
		return encode(a.out, output, shown)
	}
	now := time.Now()
	t := describe.Table{Columns: []describe.Column{
		{Name: "Events ago", Type: "number"}, {Name: "Since"}, {Name: "Image"}, {Name: "Pull spec", Priority: 1},
	}}
	for i, e := range h.Items {
		t.Rows = append(t.Rows, []any{int64(i), describe.Age(now.Sub(e.Created.Time())) + " ago", e.Image,
			e.DockerImageReference})
	}
	if err := t.Print(a.out, describe.PrintOptions{}); err != nil {
		return err
	}
	return printPin(a.out, s, tag, now)
}
