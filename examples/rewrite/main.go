// Rewrite puts exact images into manifests: what a cluster does with short names when an object is created, for files, where
// the change can be seen and reviewed.
//
//	rewrite -streams DIR -f manifests/             print a diff
//	rewrite -streams DIR -f manifests/ --in-place  write the files
//	rewrite -streams DIR -f manifests/ --check     print a diff, and end with 1 if there is one
//	rewrite -streams DIR -f manifests/ --explain   tell of every reference what was tried and why it stays or changes
//	kustomize build | rewrite -streams DIR -f -    from standard input to standard output
//
// DIR has image streams as "oc get imagestreams -o yaml" prints them. Only the bytes of image values change; -f takes files
// and directories, and may stand more than once. With --lock FILE what decided is written beside the files; with --locked it
// is read from there, in place of the streams, and the files become what they became then.
//
// It ends with 0 if all went well, 1 if --check found something to change, 2 if it could not do its work, and 3 if a reference
// must change and cannot by its bytes alone, which is told with its line.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// How the program ends.
const (
	exitDone = iota
	exitChanges
	exitError
	exitStays
)

// list is a flag that may stand more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// options are what the command line says.
type options struct {
	streams, namespace, registry, lock string
	files, values, search              list
	inPlace, check, explain, locked    bool
}

// run runs the program.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	var o options
	flags := flag.NewFlagSet("rewrite", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.StringVar(&o.streams, "streams", "", "`directory` of image streams in YAML or JSON")
	flags.Var(&o.files, "f", "`file` or directory to rewrite; - is standard input, to standard output")
	flags.StringVar(&o.namespace, "namespace", "default", "`namespace` of objects and streams that do not say")
	flags.Var(&o.search, "search", "`namespace` to search for short names after the object's own")
	flags.StringVar(&o.registry, "registry", "", "`host` of the registry that the streams are served from")
	flags.Var(&o.values, "values", "`path` of an image in Helm values: web.image, sidecars[*].image")
	flags.StringVar(&o.lock, "lock", "", "`file` of what decided; it is written, or with -locked read")
	flags.BoolVar(&o.locked, "locked", false, "repeat what the lock says")
	flags.BoolVar(&o.inPlace, "in-place", false, "write the files")
	flags.BoolVar(&o.check, "check", false, "end with 1 if something would change")
	flags.BoolVar(&o.explain, "explain", false, "tell of every reference why it stays or changes")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitDone
	} else if err != nil {
		return exitError
	}
	code, err := o.rewrite(ctx, flags.Args(), in, out, errOut)
	if err != nil {
		fmt.Fprintln(errOut, "rewrite:", err)
		return exitError
	}
	return code
}
