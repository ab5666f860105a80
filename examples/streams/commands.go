package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/describe"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.create(), a.tag(), a.untag(), a.imports(), a.get(), a.describe(), a.explain(), a.history(), a.rollback(), a.resume(), a.pin(), a.unpin(),
	}
}

// args wants so many arguments, and says which.
func args(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{fmt.Errorf("want %s, got %d arguments", what, len(args))}
		}
		return nil
	}
}

func (a *app) create() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an empty image stream",
		Example: "  # Create app, whose tags workloads may use by their short names\n  streams create app --lookup-local",
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.oc().CreateImageStream(cmd.Context(), a.typed(cmd, args))
		},
	}
	f := cmd.Flags()
	f.Bool("lookup-local", false, "let short names in workloads of the namespace mean this stream")
	f.String("dry-run", "none", "none, client or server: only say what would be done")
	f.StringP("output", "o", "", "json or name")
	return cmd
}

func (a *app) tag() *cobra.Command {
	cmd := &cobra.Command{
		Use: "tag [--source=KIND] SOURCE DEST [DEST ...]", Short: "Let tags come from an image, or from another tag",
		Long: `Let tags come from a source: an image of a registry, the image that another tag has now, or, with --alias, another
tag whatever it points at.`,
		Example: `  # Let app:v1 come from a registry
  streams tag quay.io/org/app:v1 app:v1

  # Let app:prod be what app:v1 is now
  streams tag app:v1 app:prod

  # Let app:latest follow app:v1
  streams tag --alias app:v1 app:latest`,
		ValidArgsFunction: a.completeNames,
		RunE:              func(cmd *cobra.Command, args []string) error { return a.oc().Tag(cmd.Context(), a.typed(cmd, args)) },
	}
	f := cmd.Flags()
	f.String("source", "", "what the source is: imagestreamtag, istag, imagestreamimage, isimage or docker")
	f.Bool("alias", false, "follow the source tag")
	f.Bool("reference", false, "never import: the pull spec stands for itself")
	f.Bool("scheduled", false, "import again and again")
	f.Bool("insecure", false, "allow plain HTTP and certificates that cannot be checked")
	f.String("reference-policy", "source", "source or local: whose pull spec others get")
	f.String("import-mode", "", "Legacy or PreserveOriginal: one image of a manifest list, or all")
	f.BoolP("delete", "d", false, "delete the tags")
	return cmd
}

func (a *app) untag() *cobra.Command {
	return &cobra.Command{
		Use: "untag STREAM:TAG [STREAM:TAG ...]", Short: "Delete tags with their history",
		Example:           "  streams untag app:v1",
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				if _, _, err := a.streamTag(arg); err != nil {
					return err
				}
			}
			c := a.typed(cmd, args)
			c.Flags["delete"] = []string{"true"}
			return a.oc().Tag(cmd.Context(), c)
		},
	}
}

func (a *app) imports() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import STREAM[:TAG]", Aliases: []string{"import-image"}, Short: "Import tags from their registries",
		Long: "Import a tag from its registry now, or with --all every tag that comes from one, and describe what came of it.",
		Example: `  # Look again at where app:v1 comes from
  streams import app:v1

  # Create app from a registry
  streams import app:v1 --from=quay.io/org/app:v1 --confirm`,
		ValidArgsFunction: a.completeNames,
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.oc().ImportImage(cmd.Context(), a.typed(cmd, args))
		},
	}
	f := cmd.Flags()
	f.String("from", "", "where the tag comes from, if it has no source yet")
	f.Bool("confirm", false, "create the stream if there is none")
	f.Bool("all", false, "import every tag")
	f.Bool("scheduled", false, "import again and again")
	f.Bool("insecure", false, "allow plain HTTP and certificates that cannot be checked")
	f.String("reference-policy", "source", "source or local: whose pull spec others get")
	f.String("import-mode", "Legacy", "Legacy or PreserveOriginal: one image of a manifest list, or all")
	f.Bool("dry-run", false, "look, and store nothing")
	return cmd
}

func (a *app) get() *cobra.Command {
	var output string
	var everywhere, noHeaders bool
	cmd := &cobra.Command{
		Use: "get [is|istag|itag|images] [NAME]", Short: "List streams, tags or images",
		Example:           "  streams get\n  streams get istag -o wide\n  streams get is app -o json",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.completeNames,
		Args:              cobra.MaximumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			kind, name := "is", ""
			if len(args) > 0 {
				kind = args[0]
			}
			if len(args) > 1 {
				name = args[1]
			}
			namespace := a.namespace
			if everywhere {
				namespace = ""
			}
			table, items, err := a.list(cmd, kind, namespace, name)
			if err != nil {
				return err
			}
			switch output {
			case "", "wide":
				return table.Print(a.out, describe.PrintOptions{Wide: output == "wide", NoHeaders: noHeaders})
			case "json":
				encoder := json.NewEncoder(a.out)
				encoder.SetIndent("", "    ")
				return encoder.Encode(items)
			}
			return usageError{fmt.Errorf("--output=%s: want wide or json", output)}
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "wide or json")
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "of all namespaces")
	cmd.Flags().BoolVar(&noHeaders, "no-headers", false, "leave out the first line")
	return cmd
}

// named keeps the items with a name, all of them without one.
func named[T any](items []T, name string, nameOf func(*T) string) []T {
	var kept []T
	for i := range items {
		if name == "" || nameOf(&items[i]) == name {
			kept = append(kept, items[i])
		}
	}
	return kept
}

// list returns objects and their table.
func (a *app) list(cmd *cobra.Command, kind, namespace, name string) (describe.Table, any, error) {
	ctx, now := cmd.Context(), time.Now()
	missing := func(n int, resource string) error {
		if n == 0 && name != "" {
			return imagestream.NewError(imagestream.ReasonNotFound, resource, imagestream.Key{Namespace: a.namespace, Name: name}, "")
		}
		return nil
	}
	switch kind {
	case "is", "imagestream", "imagestreams":
		var streams []imagestream.ImageStream
		for s, err := range a.streams.List(ctx, rest.ListOptions{Namespace: namespace}) {
			if err != nil {
				return describe.Table{}, nil, err
			}
			streams = append(streams, *s)
		}
		streams = named(streams, name, func(s *imagestream.ImageStream) string { return s.Metadata.Name })
		return describe.ImageStreams(streams, now), streams, missing(len(streams), "imagestreams")
	case "istag", "imagestreamtag", "imagestreamtags":
		list, err := a.streams.API.ImageStreamTags().List(ctx, rest.ListOptions{Namespace: namespace})
		if err != nil {
			return describe.Table{}, nil, err
		}
		tags := named(list.Items, name, func(t *imagestream.ImageStreamTag) string { return t.Metadata.Name })
		return describe.ImageStreamTags(tags, now), tags, missing(len(tags), "imagestreamtags")
	case "itag", "imagetag", "imagetags":
		list, err := a.streams.API.ImageTags().List(ctx, rest.ListOptions{Namespace: namespace})
		if err != nil {
			return describe.Table{}, nil, err
		}
		tags := named(list.Items, name, func(t *imagestream.ImageTag) string { return t.Metadata.Name })
		return describe.ImageTags(tags, now), tags, missing(len(tags), "imagetags")
	case "image", "images":
		var images []imagestream.Image
		for i, err := range imagestream.All(ctx, a.store.ListImages, imagestream.ListOptions{}) {
			if err != nil {
				return describe.Table{}, nil, err
			}
			images = append(images, *i)
		}
		images = named(images, name, func(i *imagestream.Image) string { return i.Metadata.Name })
		return describe.Images(images), images, missing(len(images), "images")
	}
	return describe.Table{}, nil, usageError{fmt.Errorf("%q: want is, istag, itag or images; 'streams get is %s' gets a stream", kind, kind)}
}

func (a *app) describe() *cobra.Command {
	var output string
	var reasons bool
	cmd := &cobra.Command{
		Use: "describe STREAM|STREAM:TAG", Short: "Show everything about a stream, or the image of a tag",
		Example:           "  streams describe app\n  streams describe app:v1\n  streams describe app -o svg >app.svg",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.completeNames,
		Args:              args(1, "STREAM or STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if output != "" && output != "svg" {
				return usageError{fmt.Errorf("--output=%s: want svg", output)}
			}
			if reasons && (output != "" || strings.Contains(args[0], ":")) {
				return usageError{fmt.Errorf("--reasons goes with the text of a stream; 'streams explain %s' explains a tag", args[0])}
			}
			if strings.Contains(args[0], ":") && output == "" {
				key, tag, err := a.streamTag(args[0])
				if err != nil {
					return err
				}
				t, err := a.streams.API.ImageStreamTags().Get(cmd.Context(), imagestream.Key{Namespace: key.Namespace, Name: key.Name + ":" + tag})
				if err != nil {
					return err
				}
				return describe.ImageStreamTag(a.out, t, time.Now())
			}
			s, err := a.streams.Get(cmd.Context(), a.key(args[0]))
			switch {
			case err != nil:
				return err
			case output == "svg":
				return describe.Graph(a.out, s)
			}
			if err := describe.ImageStream(a.out, s, time.Now()); err != nil || !reasons {
				return err
			}
			if _, err := fmt.Fprint(a.out, "\nReasons:\n\n"); err != nil {
				return err
			}
			return describe.Reasons(a.out, s)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "svg draws what the tags come from")
	cmd.Flags().BoolVar(&reasons, "reasons", false, "tell below why each tag points where it does")
	return cmd
}

func (a *app) history() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use: "history STREAM:TAG", Short: "Show what a tag pointed at, newest first",
		Example:           "  streams history app:v1\n  streams history app -o svg >history.svg",
		Annotations:       map[string]string{readsOnly: "yes"},
		ValidArgsFunction: a.completeNames,
		Args:              args(1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch output {
			case "svg":
				name, _, _ := strings.Cut(args[0], ":")
				s, err := a.streams.Get(cmd.Context(), a.key(name))
				if err != nil {
					return err
				}
				return describe.Timeline(a.out, s, time.Now())
			case "":
			default:
				return usageError{fmt.Errorf("--output=%s: want svg", output)}
			}
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			h, err := a.streams.History(cmd.Context(), key, tag)
			if err != nil {
				return err
			}
			t := describe.Table{Columns: []describe.Column{{Name: "Events ago", Type: "number"}, {Name: "Since"}, {Name: "Image"}, {Name: "Pull spec", Priority: 1}}}
			for i, e := range h.Items {
				t.Rows = append(t.Rows, []any{int64(i), describe.Age(time.Since(e.Created.Time())) + " ago", e.Image, e.DockerImageReference})
			}
			return t.Print(a.out, describe.PrintOptions{})
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "svg draws the history of the whole stream")
	return cmd
}

func (a *app) rollback() *cobra.Command {
	var target edit.Target
	cmd := &cobra.Command{
		Use: "rollback STREAM:TAG", Short: "Let a tag point at what it pointed at before",
		Long:              "Let a tag point at the image before, or at an older one. It does not follow its source any more: 'streams resume' restores that.",
		Example:           "  streams rollback app:v1\n  streams rollback app:v1 --events=3\n  streams rollback app:v1 --to=sha256:8c3e",
		ValidArgsFunction: a.completeNames,
		Args:              args(1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			s, err := a.streams.Rollback(cmd.Context(), key, tag, target)
			if err != nil {
				return fmt.Errorf("%w; 'streams history %s' shows how far it goes", err, args[0])
			}
			return a.pointsAt(args[0], s, tag, "rolled back to")
		},
	}
	cmd.Flags().IntVar(&target.Events, "events", 0, "go back that many events")
	cmd.Flags().StringVar(&target.Image, "to", "", "go back to that image, by its digest or the beginning of it")
	return cmd
}

func (a *app) resume() *cobra.Command {
	return &cobra.Command{
		Use: "resume STREAM:TAG", Short: "Let a tag that was rolled back come from its source again",
		Example:           "  streams resume app:v1",
		ValidArgsFunction: a.completeNames,
		Args:              args(1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			s, err := a.streams.Resume(cmd.Context(), key, tag)
			if err != nil {
				return err
			}
			spec, _ := s.SpecTag(tag)
			_, err = fmt.Fprintf(a.out, "Tag %s comes from %s again.\n", args[0], spec.From.Name)
			return err
		},
	}
}

// pointsAt says where a tag is now.
func (a *app) pointsAt(arg string, s *imagestream.ImageStream, tag, verb string) error {
	event, _ := s.LatestEvent(tag)
	_, err := fmt.Fprintf(a.out, "Tag %s %s %s.\n", arg, verb, event.Image)
	return err
}

func (a *app) pin() *cobra.Command {
	var reason string
	var lasting time.Duration
	cmd := &cobra.Command{
		Use: "pin STREAM:TAG [IMAGE]", Short: "Keep a tag where it is, whatever is imported or pushed",
		Example:           "  streams pin app:v1\n  streams pin app:v1 sha256:8c3e --reason='v2 loses orders' --for=48h",
		ValidArgsFunction: a.completeNames,
		Args:              cobra.RangeArgs(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			opts := client.PinOptions{Reason: reason}
			if cmd.Flags().Changed("for") {
				opts.Until = time.Now().Add(lasting)
			}
			s, err := a.streams.Pin(cmd.Context(), key, tag, strings.Join(args[1:], ""), opts)
			if err != nil {
				return err
			}
			return a.pointsAt(args[0], s, tag, "pinned to")
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for those who ask later")
	cmd.Flags().DurationVar(&lasting, "for", 0, "how long, such as 48h; for ever without it")
	return cmd
}

func (a *app) unpin() *cobra.Command {
	return &cobra.Command{
		Use: "unpin STREAM:TAG", Short: "Let a pinned tag go to where it would be",
		Example:           "  streams unpin app:v1",
		ValidArgsFunction: a.completeNames,
		Args:              args(1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			s, err := a.streams.Unpin(cmd.Context(), key, tag)
			if err != nil {
				return err
			}
			return a.pointsAt(args[0], s, tag, "goes to")
		},
	}
}
