package main

import (
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/edit"
	"github.com/imagestreams/imagestreams/imagestream/inspect"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

const noFiles = cobra.ShellCompDirectiveNoFileComp

// enums are the values that flags take, by command, or for all commands.
var enums = map[string][]string{
	"import-mode":        {"Legacy", "PreserveOriginal"},
	"reference-policy":   {"source", "local"},
	"source":             {"imagestreamtag", "istag", "imagestreamimage", "isimage", "docker"},
	"create dry-run":     {"none", "client", "server"},
	"create output":      {"json", "name"},
	"set-lookup dry-run": {"none", "client", "server"},
	"set-lookup output":  {"name"},
	"get output":         {"wide", "json", "yaml"},
	"describe output":    {"json", "yaml", "svg"},
	"history output":     {"json", "yaml", "svg"},
	"export output":      {"yaml", "json"},
}

// completeEnums completes the flags of a command that take one of a few values.
func completeEnums(cmd *cobra.Command) {
	for flag, values := range enums {
		word, name, only := strings.Cut(flag, " ")
		if !only {
			name = flag
		}
		if (!only || word == cmd.Name()) && cmd.Flags().Lookup(name) != nil {
			_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(values, noFiles))
		}
	}
}

// Whether a command takes streams, or tags alone.
const (
	onlyTags    = false
	withStreams = true
)

// accepts tells whether a command would take a tag of s.
type accepts func(s *imagestream.ImageStream, tag string) bool

func anyTag(*imagestream.ImageStream, string) bool { return true }

func noTag(*imagestream.ImageStream, string) bool { return false }

func importableTag(s *imagestream.ImageStream, tag string) bool {
	spec, ok := s.SpecTag(inspect.Follow(s, tag).Last())
	return ok && importer.IsImportable(spec)
}

func pinnedTag(s *imagestream.ImageStream, tag string) bool {
	_, ok := pinsOf(s)[tag]
	return ok
}

func rolledBackTag(s *imagestream.ImageStream, tag string) bool {
	_, err := edit.Resume(s, tag)
	return err == nil
}

func tagWithPast(s *imagestream.ImageStream, tag string) bool {
	_, err := edit.Rollback(s, tag, edit.Target{}, tagevent.TimeOf(time.Now()))
	return err == nil
}

func tagWithImage(s *imagestream.ImageStream, tag string) bool {
	_, ok := s.LatestEvent(tag)
	return ok
}

type completer = func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective)

// complete completes so many arguments, or any number for less than 0: streams, and behind a colon the tags that
// the command accepts. Where it takes tags alone, streams are completed with the colon.
func (a *app) complete(most int, streamsToo bool, accepted accepts) completer {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most || !a.openForCompletion(cmd) {
			return nil, noFiles
		}
		defer a.store.Close()
		return a.completed(cmd, args, typed, streamsToo, accepted)
	}
}

// completeUnless completes otherwise if a flag has that value.
func completeUnless(flag, value string, otherwise, usual completer) completer {
	return func(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
		if cmd.Flag(flag).Value.String() == value {
			return otherwise(cmd, args, typed)
		}
		return usual(cmd, args, typed)
	}
}

// openForCompletion reports whether there is a file to complete from.
func (a *app) openForCompletion(cmd *cobra.Command) bool {
	if _, err := os.Stat(a.file); err != nil {
		return false
	}
	return a.open(cmd.Context(), true) == nil
}

func (a *app) completed(cmd *cobra.Command, args []string, typed string, streamsToo bool, accepted accepts,
) ([]string, cobra.ShellCompDirective) {
	var names []string
	stream, _, withTag := strings.Cut(typed, ":")
	if withTag {
		s, err := a.streams.Get(cmd.Context(), a.key(stream))
		if err != nil {
			return nil, noFiles
		}
		for _, tag := range acceptedTags(s, accepted) {
			names = append(names, pullspec.JoinTag(stream, tag))
		}
		return without(names, args), noFiles
	}
	for s, err := range a.streams.List(cmd.Context(), rest.ListOptions{Namespace: a.namespace}) {
		if err != nil {
			return nil, noFiles
		}
		switch hasTags := len(acceptedTags(s, accepted)) > 0; {
		case streamsToo:
			names = append(names, s.Metadata.Name)
		case hasTags:
			names = append(names, s.Metadata.Name+":")
		}
	}
	return without(names, args), noFiles | cobra.ShellCompDirectiveNoSpace
}

func acceptedTags(s *imagestream.ImageStream, accepted accepts) []string {
	return slices.DeleteFunc(tagsOf(s), func(tag string) bool { return !accepted(s, tag) })
}

// without leaves out what is typed already.
func without(names, typed []string) []string {
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(typed, name) })
}

// completeGet completes a kind, and then names of that kind.
func (a *app) completeGet(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		var words []string
		for _, kind := range kinds {
			words = append(words, kind[0])
		}
		return words, noFiles
	}
	if everywhere, _ := cmd.Flags().GetBool("all-namespaces"); everywhere || kindOf(args[0]) == "" ||
		!a.openForCompletion(cmd) {
		return nil, noFiles
	}
	defer a.store.Close()
	found, err := a.list(cmd.Context(), kindOf(args[0]), a.namespace)
	if err != nil {
		return nil, noFiles
	}
	var names []string
	for _, key := range found.keys {
		if strings.HasPrefix(key.Name, typed) {
			names = append(names, key.Name)
		}
	}
	return without(names, args[1:]), noFiles
}

// completePin completes a tag, and then an image of its stream.
func (a *app) completePin(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 {
		return a.complete(1, onlyTags, tagWithImage)(cmd, args, typed)
	}
	if len(args) > 1 {
		return nil, noFiles
	}
	return a.completeImages(cmd, args, typed)
}

// completeImages completes an image of the stream that the first argument names.
func (a *app) completeImages(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 0 || !a.openForCompletion(cmd) {
		return nil, noFiles
	}
	defer a.store.Close()
	stream, _, _ := strings.Cut(args[0], ":")
	s, err := a.streams.Get(cmd.Context(), a.key(stream))
	if err != nil {
		return nil, noFiles
	}
	var images []string
	for _, h := range s.Status.Tags {
		for _, e := range h.Items {
			if e.Image != "" && strings.HasPrefix(e.Image, typed) && !slices.Contains(images, e.Image) {
				images = append(images, e.Image)
			}
		}
	}
	return images, noFiles
}

func (a *app) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	if !a.openForCompletion(cmd) {
		return nil, noFiles
	}
	defer a.store.Close()
	var namespaces []string
	for s, err := range a.streams.List(cmd.Context(), rest.ListOptions{}) {
		if err != nil {
			return nil, noFiles
		}
		if !slices.Contains(namespaces, s.Metadata.Namespace) {
			namespaces = append(namespaces, s.Metadata.Namespace)
		}
	}
	return namespaces, noFiles
}
