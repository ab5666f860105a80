package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
)

func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		a.create(), a.apply(), a.export(), a.delete(), a.setLookup(), a.tag(), a.untag(), a.imports(), a.runLoop(), a.get(),
		a.describe(),
		a.explain(), a.history(), a.rollback(), a.resume(), a.pin(), a.unpin(),
	}
}

// args wants least to most arguments, any number for a most below 0, and says which.
func args(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < least:
			return usageError{fmt.Errorf("an argument is missing: want %s", what)}
		case most >= 0 && len(args) > most:
			return usageError{fmt.Errorf("unexpected argument %q: want %s", args[most], what)}
		}
		return nil
	}
}

func (a *app) create() *cobra.Command {
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Create an empty image stream",
		Example: "  # Create app, whose tags workloads may use by their short names\n  streams create app --lookup-local",
		Args:    args(1, 1, "NAME"), ValidArgsFunction: cobra.NoFileCompletions,
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
		Long: `Let tags come from a source: an image of a registry, the image that another tag has now, or, with --alias,
another tag whatever it points at.`,
		Example: `  # Let app:v1 come from a registry
  streams tag quay.io/org/app:v1 app:v1

  # Let app:prod be what app:v1 is now
  streams tag app:v1 app:prod

  # Let app:latest follow app:v1
  streams tag --alias app:v1 app:latest`,
		ValidArgsFunction: a.complete(-1, onlyTags, anyTag),
		Args: func(cmd *cobra.Command, typed []string) error {
			if gone, _ := cmd.Flags().GetBool("delete"); gone {
				return args(1, -1, "STREAM:TAG")(cmd, typed)
			}
			return args(2, -1, "SOURCE and DEST, STREAM:TAG")(cmd, typed)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			args = slices.Clone(args)
			var err error
			if args[0], err = a.wholeImage(cmd.Context(), args[0]); err != nil {
				return err
			}
			return a.oc().Tag(cmd.Context(), a.typed(cmd, args))
		},
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
		ValidArgsFunction: a.complete(-1, onlyTags, anyTag),
		Args:              args(1, -1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				name, _, withTag := strings.Cut(arg, ":")
				if !withTag {
					return usageError{fmt.Errorf("%q: want STREAM:TAG", arg)}
				}
				if _, err := a.stream(name, arg); err != nil {
					return err
				}
			}
			for _, arg := range args {
				if err := a.deleteTag(cmd, arg); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

// deleteTag deletes one tag, also one whose name could not be set.
func (a *app) deleteTag(cmd *cobra.Command, arg string) error {
	if key, tag, err := a.streamTag(arg); err == nil {
		c := a.typed(cmd, []string{pullspec.JoinTag(key.String(), tag)})
		c.Flags = oc.Flags{"delete": {"true"}}
		return a.oc().Tag(cmd.Context(), c)
	}
	name, tag, _ := strings.Cut(arg, ":")
	key := a.key(name)
	if err := a.streams.Untag(cmd.Context(), key, tag); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "Deleted tag %s:%s.\n", key, tag)
	return err
}

// wholeImage completes the digest of a source STREAM@IMAGE, if its stream holds the image.
func (a *app) wholeImage(ctx context.Context, source string) (string, error) {
	stream, id, ok := pullspec.SplitImage(source)
	if !ok || id == "" || pullspec.IsDigest(id) {
		return source, nil
	}
	s, err := a.streams.Get(ctx, a.key(stream))
	if err != nil {
		return source, nil // not a stream of the file: the command tells what it is
	}
	whole, err := imageOf(s, id)
	if err != nil {
		return source, err
	}
	return pullspec.JoinImage(stream, whole), nil
}

func (a *app) imports() *cobra.Command {
	cmd := &cobra.Command{
		Use: "import STREAM[:TAG]", Aliases: []string{"import-image"}, Short: "Import tags from their registries",
		Long: "Import a tag from its registry now, or with --all every tag that comes from one, and describe what came of " +
			"it.",
		Example: `  # Look again at where app:v1 comes from
  streams import app:v1

  # Create app from a registry
  streams import app:v1 --from=quay.io/org/app:v1 --confirm`,
		ValidArgsFunction: completeUnless("all", "true", a.complete(1, withStreams, noTag),
			a.complete(1, withStreams, importableTag)),
		Args: args(1, 1, "STREAM[:TAG]"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.typed(cmd, args)
			if name, target, ok := strings.Cut(args[0], "/"); ok {
				stream, _, _ := pullspec.SplitTag(target)
				if _, err := a.stream(name+"/"+stream, args[0]); err != nil {
					return usageError{fmt.Errorf("%q: want STREAM[:TAG] or NAMESPACE/STREAM[:TAG]", args[0])}
				}
				c.Namespace, c.Args = name, []string{target}
			}
			err := a.oc().ImportImage(cmd.Context(), c)
			if !errors.Is(err, oc.ErrUsage) {
				a.warnAfterImport(cmd, args[0])
			}
			return err
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

func (a *app) delete() *cobra.Command {
	return &cobra.Command{
		Use: "delete STREAM|STREAM:TAG ...", Short: "Delete streams, or tags, with their histories",
		Long: "Delete streams, or tags, with their histories. The images stay; example prune removes those " +
			"that nobody needs.",
		Example:           "  streams delete app\n  streams delete app:v1 app:v2",
		ValidArgsFunction: a.complete(-1, withStreams, anyTag),
		Args:              args(1, -1, "STREAM or STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, arg := range args {
				name, _, _ := strings.Cut(arg, ":")
				if _, err := a.stream(name, arg); err != nil {
					return err
				}
			}
			for _, arg := range args {
				if strings.Contains(arg, ":") {
					if err := a.deleteTag(cmd, arg); err != nil {
						return err
					}
					continue
				}
				if err := a.streams.Delete(cmd.Context(), a.key(arg)); err != nil {
					return err
				}
				if _, err := fmt.Fprintf(a.out, "imagestream.image.openshift.io %q deleted\n", arg); err != nil {
					return err
				}
			}
			return nil
		},
	}
}

func (a *app) setLookup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "set-lookup [STREAM ...]", Short: "Let short names in workloads mean streams, or list which do",
		Example:           "  streams set-lookup app\n  streams set-lookup app --enabled=false\n  streams set-lookup --list",
		ValidArgsFunction: completeUnless("all", "true", cobra.NoFileCompletions, a.complete(-1, withStreams, noTag)),
		RunE: func(cmd *cobra.Command, args []string) error {
			args = slices.Clone(args)
			for i, arg := range args {
				if !pullspec.IsStreamName(arg) {
					return usageError{fmt.Errorf("%q: want STREAM", arg)}
				}
				args[i] = "imagestreams/" + arg
			}
			return a.oc().SetImageLookup(cmd.Context(), a.typed(cmd, args))
		},
	}
	f := cmd.Flags()
	f.Bool("enabled", true, "whether short names mean the streams")
	f.Bool("all", false, "all streams of the namespace")
	f.Bool("list", false, "list instead, as without arguments")
	f.String("dry-run", "none", "none, client or server: only say what would be done")
	f.StringP("output", "o", "", "name: print the names alone")
	return cmd
}

func (a *app) rollback() *cobra.Command {
	var target edit.Target
	cmd := &cobra.Command{
		Use: "rollback STREAM:TAG", Short: "Let a tag point at what it pointed at before",
		Long: "Let a tag point at the image before, or at an older one. It does not follow its source any " +
			"more: 'streams resume' restores that.",
		Example: "  streams rollback app:v1\n  streams rollback app:v1 --events=3\n  streams rollback app:v1 " +
			"--to=sha256:8c3e",
		ValidArgsFunction: a.complete(1, onlyTags, tagWithPast),
		Args:              args(1, 1, "STREAM:TAG"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			if target.Events < 0 || cmd.Flags().Changed("events") && target.Events == 0 {
				return usageError{fmt.Errorf("--events=%d: want a number above 0", target.Events)}
			}
			if target.Events > 0 && target.Image != "" {
				return usageError{fmt.Errorf("--events=%d and --to=%s exclude each other", target.Events, target.Image)}
			}
			s, err := a.streams.Rollback(cmd.Context(), key, tag, target)
			if errors.Is(err, imagestream.ErrInvalid) {
				return fmt.Errorf("%w; 'streams history %s' shows how far it goes", err, args[0])
			}
			if err != nil {
				return err
			}
			return a.pointsAt(args[0], s, tag, "rolled back to")
		},
	}
	cmd.Flags().IntVar(&target.Events, "events", 0, "go back that many events")
	cmd.Flags().StringVar(&target.Image, "to", "", "go back to that image, by its digest or the beginning of it")
	_ = cmd.RegisterFlagCompletionFunc("to", a.completeImages)
	return cmd
}

func (a *app) resume() *cobra.Command {
	return &cobra.Command{
		Use: "resume STREAM:TAG", Short: "Let a tag that was rolled back come from its source again",
		Example:           "  streams resume app:v1",
		ValidArgsFunction: a.complete(1, onlyTags, rolledBackTag),
		Args:              args(1, 1, "STREAM:TAG"),
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

// warnAfterImport tells which of the tags that were imported a pin holds back.
func (a *app) warnAfterImport(cmd *cobra.Command, arg string) {
	name, tag, _ := pullspec.SplitTag(arg)
	s, err := a.streams.Get(cmd.Context(), a.key(name))
	if dryRun, _ := cmd.Flags().GetBool("dry-run"); err != nil || dryRun {
		return
	}
	tags := []string{inspect.Follow(s, tag).Last()}
	if all, _ := cmd.Flags().GetBool("all"); all {
		tags = tagsOf(s)
	}
	a.warnHeldBack(s, tags)
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
		ValidArgsFunction: a.completePin,
		Args:              args(1, 2, "STREAM:TAG and perhaps an IMAGE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, tag, err := a.streamTag(args[0])
			if err != nil {
				return err
			}
			opts := client.PinOptions{Reason: reason}
			if cmd.Flags().Changed("for") {
				if lasting <= 0 {
					return usageError{fmt.Errorf("--for=%s: want a duration above 0, such as 48h; leave it out to pin for ever",
						lasting)}
				}
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
		ValidArgsFunction: a.complete(1, onlyTags, pinnedTag),
		Args:              args(1, 1, "STREAM:TAG"),
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
