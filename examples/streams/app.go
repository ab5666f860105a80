package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/util/validation"

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
	in          io.Reader
	out, errOut io.Writer
	// terminal tells whether errOut is one, which shows progress.
	terminal bool

	file, namespace, authorities string

	command string // the command as it was typed, for the hint after an error
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
	flags.StringVar(&a.authorities, "ca", "", "certificate authorities of registries to trust besides the system's, a "+
		"PEM file")
	root.Args = func(_ *cobra.Command, args []string) error { return a.unknown(root, args) }
	root.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	root.AddCommand(a.commands()...)
	for _, cmd := range root.Commands() {
		run := cmd.RunE
		cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.opened(cmd, args, run) }
		completeEnums(cmd)
	}
	_ = root.RegisterFlagCompletionFunc("namespace", a.completeNamespaces)
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	usageOfAll(root)
	cmd, err := root.ExecuteContextC(ctx)
	a.command = cmd.CommandPath()
	if word := cmd.CalledAs(); cmd != root && word != "" {
		a.command = cmd.Parent().CommandPath() + " " + word
	}
	return err
}

// opened runs a command with the file open.
func (a *app) opened(cmd *cobra.Command, args []string, run func(*cobra.Command, []string) error) error {
	if len(validation.IsDNS1123Label(a.namespace)) > 0 {
		return usageError{fmt.Errorf("--namespace=%s: want %s", a.namespace, namespaceRule)}
	}
	if err := a.open(cmd.Context(), cmd.Annotations[readsOnly] != ""); err != nil {
		return err
	}
	err := run(cmd, args)
	return errors.Join(a.hint(cmd.Context(), err), a.store.Close())
}

// unknown is the error of a word that is not a command.
func (a *app) unknown(root *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	root.SuggestionsMinimumDistance = 2
	if near := root.SuggestionsFor(args[0]); len(near) > 0 {
		return usageError{fmt.Errorf("unknown command %q; did you mean %q?", args[0], near[0])}
	}
	return usageError{fmt.Errorf("unknown command %q; 'streams help' lists the commands", args[0])}
}

// usageOfAll makes usage errors of the complaints about arguments, also of the commands that cobra adds.
func usageOfAll(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			err := check(cmd, args)
			if err != nil && !errors.Is(err, oc.ErrUsage) {
				return usageError{err}
			}
			return err
		}
	}
	switch cmd.Name() {
	case "completion":
		cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	case "help":
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if found, _, err := cmd.Root().Find(args); len(args) > 0 && (err != nil || found == cmd.Root()) {
				return usageError{fmt.Errorf("unknown command %q; 'streams help' lists the commands", args[0])}
			}
			return nil
		}
	}
	for _, below := range cmd.Commands() {
		usageOfAll(below)
	}
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
		return fmt.Errorf("there is no file %s: create a stream in it with 'streams -db %s create NAME', or name another "+
			"file with -db", a.file, a.file)
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

const namespaceRule = "lower-case letters, digits and dashes, 63 at most, no dash at an end"

// stream reads STREAM, or NAMESPACE/STREAM, which is an argument or a part of it.
func (a *app) stream(name, arg string) (imagestream.Key, error) {
	key := a.key(name)
	switch {
	case !pullspec.IsStreamName(key.Name):
		return key, usageError{fmt.Errorf("%q: %q cannot be a stream: want lower-case letters and digits, joined by single "+
			"dots, dashes or underscores", arg, key.Name)}
	case len(validation.IsDNS1123Label(key.Namespace)) > 0:
		return key, usageError{fmt.Errorf("%q: %q cannot be a namespace: want %s", arg, key.Namespace, namespaceRule)}
	}
	return key, nil
}

// streamTag reads STREAM:TAG, or NAMESPACE/STREAM:TAG.
func (a *app) streamTag(arg string) (key imagestream.Key, tag string, err error) {
	name, tag, ok := strings.Cut(arg, ":")
	key, err = a.stream(name, arg)
	switch {
	case !ok || tag == "" || name == "":
		return key, "", usageError{fmt.Errorf("%q: want STREAM:TAG", arg)}
	case err != nil:
		return key, "", err
	case !pullspec.IsTag(tag):
		return key, "", usageError{fmt.Errorf("%q: %q cannot be a tag: want letters, digits, \"_\", \".\" and \"-\"", arg,
			tag)}
	}
	return key, tag, nil
}

func (a *app) key(name string) imagestream.Key {
	if namespace, stream, ok := strings.Cut(name, "/"); ok {
		return imagestream.Key{Namespace: namespace, Name: stream}
	}
	return imagestream.Key{Namespace: a.namespace, Name: name}
}
