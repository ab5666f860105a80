package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/client"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/imagestream/rest"
	"github.com/imagestreams/imagestreams/importer"
)

// app is one call of the program.
type app struct {
	out, errOut io.Writer
	// terminal tells whether errOut is one, which shows progress.
	terminal bool

	file, namespace, authorities string

	command string // the command that runs, for the hint after an error
	store   *bolt.Store
	streams *client.Client
}

const lockWait = 5 * time.Second

func (a *app) run(ctx context.Context, args []string) error {
	root := &cobra.Command{
		Use:   "streams",
		Short: "Keep image streams in a file",
		Long: `Keep image streams in a file, and do with them what oc does with those of a cluster.

An image stream is a named, virtual repository: tags that you ask for, and what these tags really pointed at over
time. Images stay in their registries.`,
		Example: `  # Let app:v1 come from a registry, and import it
  streams -db shop.db tag quay.io/org/app:v1 app:v1
  streams -db shop.db import app:v1

  # See what it points at, and what it pointed at before
  streams -db shop.db describe app
  streams -db shop.db history app:v1

  # Go back
  streams -db shop.db rollback app:v1`,
		SilenceErrors: true, SilenceUsage: true,
	}
	root.SetOut(a.out)
	root.SetErr(a.errOut)
	root.SetArgs(oneDash(args))
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{err} })
	flags := root.PersistentFlags()
	flags.StringVar(&a.file, "db", defaultFile(), "the file that keeps the streams; $STREAMS_DB is the default")
	flags.StringVarP(&a.namespace, "namespace", "n", "default", "the namespace, or project, that commands are about")
	flags.StringVar(&a.authorities, "ca", "", "certificate authorities of registries to trust besides the system's, a PEM file")
	root.AddCommand(a.commands()...)
	for _, cmd := range root.Commands() {
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error {
			a.command = cmd.Name()
			if err := a.open(cmd.Context(), cmd.Annotations[readsOnly] != ""); err != nil {
				return err
			}
			err := run(cmd, args)
			return errors.Join(a.hint(cmd.Context(), err), a.store.Close())
		}
	}
	cmd, err := root.ExecuteContextC(ctx)
	if a.command == "" && cmd != nil {
		a.command = cmd.Name()
	}
	return err
}

// oneDash lets "-db" be written as "--db" is, which is how the README says it.
func oneDash(args []string) []string {
	args = slices.Clone(args)
	for i, arg := range args {
		if arg == "-db" || strings.HasPrefix(arg, "-db=") {
			args[i] = "-" + arg
		}
	}
	return args
}

func defaultFile() string { return cmp.Or(os.Getenv("STREAMS_DB"), "streams.db") }

// usageError is an error about what was typed.
type usageError struct{ error }

func (e usageError) Unwrap() error        { return e.error }
func (e usageError) Is(target error) bool { return target == oc.ErrUsage }

// readsOnly marks commands that write nothing.
const readsOnly = "reads-only"

// open opens the file: for reading if nothing is written, so that several can look at a time.
func (a *app) open(ctx context.Context, readOnly bool) (err error) {
	a.store, err = bolt.Open(ctx, a.file, bolt.Options{Wait: lockWait, ReadOnly: readOnly})
	if readOnly && errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("there is no file %s: create a stream in it with 'streams -db %s create NAME', or name another file with -db", a.file, a.file)
	}
	if err != nil {
		return err
	}
	opts := oci.Options{}
	if opts.Credentials, err = oci.DockerConfig(""); err == nil && a.authorities != "" {
		opts.RootCAs, err = pems.Read(a.authorities)
	}
	var registry importer.Registry
	if err == nil {
		registry, err = oci.New(opts)
	}
	if err != nil {
		return errors.Join(err, a.store.Close())
	}
	a.streams = client.New(a.store, registry)
	server := a.streams.API.(*rest.Server)
	server.Engine.Authorizer, server.Importer.Trace = everything{}, a.progress()
	return nil
}

// everything lets tags come from streams of every namespace: who can read the file can read them all.
type everything struct{}

func (everything) MayGetLayers(context.Context, imagestream.Key) (bool, error) { return true, nil }

// progress shows on a terminal how an import goes on.
func (a *app) progress() *importer.Trace {
	if !a.terminal {
		return nil
	}
	var mu sync.Mutex
	total, done := 0, 0
	return &importer.Trace{
		Planned: func(questions int) {
			mu.Lock()
			defer mu.Unlock()
			total = questions
		},
		Answered: func(q importer.Question, answer importer.Answer) {
			mu.Lock()
			defer mu.Unlock()
			done++
			fmt.Fprintf(a.errOut, "\r\x1b[Kimporting %d/%d: %s", done, total, q)
			if done == total {
				fmt.Fprint(a.errOut, "\r\x1b[K")
			}
		},
	}
}

// hint adds to an error what to type instead.
func (a *app) hint(ctx context.Context, err error) error {
	var status *imagestream.StatusError
	if !errors.As(err, &status) || status.Reason != imagestream.ReasonNotFound {
		return err
	}
	name := status.Key.Name
	stream, tag, _ := strings.Cut(name, ":")
	var names []string
	if s, getErr := a.streams.Get(ctx, imagestream.Key{Namespace: a.namespace, Name: stream}); getErr == nil && tag != "" {
		for _, t := range tagsOf(s) {
			names = append(names, pullspec.JoinTag(stream, t))
		}
	} else {
		names = a.names(ctx)
	}
	switch near := nearest(name, names); {
	case near != "":
		return fmt.Errorf("%w; did you mean %q?", err, near)
	case status.Message != "": // it says what to type
		return err
	case len(names) == 0:
		return fmt.Errorf("%w; the namespace %q has no streams: create one with 'streams create NAME', or name another one with -n", err, a.namespace)
	default:
		return fmt.Errorf("%w; 'streams get' lists what there is", err)
	}
}

// names are the streams of the namespace.
func (a *app) names(ctx context.Context) (names []string) {
	for s, err := range a.streams.List(ctx, rest.ListOptions{Namespace: a.namespace}) {
		if err != nil {
			return names
		}
		names = append(names, s.Metadata.Name)
	}
	return names
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

// typed is an oc command as it was typed.
func (a *app) typed(cmd *cobra.Command, args []string) oc.Command {
	c := oc.Command{Namespace: a.namespace, Args: args, Flags: oc.Flags{}}
	global := cmd.InheritedFlags()
	cmd.Flags().Visit(func(f *pflag.Flag) {
		if global.Lookup(f.Name) != nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			c.Flags[f.Name] = list.GetSlice()
		} else {
			c.Flags[f.Name] = []string{f.Value.String()}
		}
	})
	return c
}

func (a *app) oc() *oc.Commands {
	return &oc.Commands{Server: oc.Local{API: a.streams.API}, Out: a.out, Warnings: a.errOut, NoCircles: true}
}

// streamTag reads STREAM:TAG, or NAMESPACE/STREAM:TAG.
func (a *app) streamTag(arg string) (key imagestream.Key, tag string, err error) {
	name, tag, ok := strings.Cut(arg, ":")
	if !ok || name == "" || tag == "" {
		return key, "", usageError{fmt.Errorf("%q: want STREAM:TAG", arg)}
	}
	return a.key(name), tag, nil
}

func (a *app) key(name string) imagestream.Key {
	if namespace, stream, ok := strings.Cut(name, "/"); ok {
		return imagestream.Key{Namespace: namespace, Name: stream}
	}
	return imagestream.Key{Namespace: a.namespace, Name: name}
}

// completeNames completes streams, and behind a colon their tags.
func (a *app) completeNames(cmd *cobra.Command, args []string, typed string) ([]string, cobra.ShellCompDirective) {
	if _, err := os.Stat(filepath.Clean(a.file)); err != nil || a.open(cmd.Context(), true) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	defer a.store.Close()
	stream, _, withTag := strings.Cut(typed, ":")
	if !withTag {
		return a.names(cmd.Context()), cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
	s, err := a.streams.Get(cmd.Context(), a.key(stream))
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, tag := range tagsOf(s) {
		names = append(names, pullspec.JoinTag(stream, tag))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
