// Prune removes images and history that nobody needs any more, in the words of "oc adm prune images".
//
//	prune -f cluster/                                        show what would go, and why
//	prune -f cluster/ -db shop.db                            the same for the streams and images of a store
//	prune -f cluster/ -db shop.db -ca ca.pem --confirm       remove it, in the store and in the registry
//
// -f takes files and directories of YAML or JSON, and may stand more than once: image streams, images, and whatever
// uses images, as "oc get -o yaml" prints them. With -db streams and images are those of a store, a file as the
// example "streams" keeps it, and only the rest is read from -f. The objects of all namespaces are needed: what uses
// an image and is not there does not protect it.
//
// It is safe by default: --safe=false decides and removes as the real client does, mistakes included. A safe run that
// was interrupted, even killed, is finished by the next one.
//
// The registry is that of the newest image that was pushed to it, or --registry-url. The environment variable
// REGISTRY_TOKEN is sent to it as a bearer token. It must be OpenShift's, or one that has /admin/blobs/ as well.
//
// It ends with 0 if all went well, 1 if something failed, 2 if the command line is wrong.
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
	"time"

	"golang.org/x/term"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/oc"
	"github.com/imagestreams/imagestreams/imagestream/prune"
	"github.com/imagestreams/imagestreams/imagestream/rest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	a := &app{out: os.Stdout, errOut: os.Stderr, terminal: term.IsTerminal(int(os.Stderr.Fd()))}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// How the program ends.
const (
	exitDone = iota
	exitError
	exitUsage
)

// list is a flag that may stand more than once.
type list []string

func (l *list) String() string     { return strings.Join(*l, ",") }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

// app is one call of the program.
type app struct {
	out, errOut io.Writer
	terminal    bool

	files         list
	db, authority string
	store         imagestream.Store
	workloads     []map[string]any
}

const lockWait = 5 * time.Second

// run runs the program and tells its error.
func (a *app) run(ctx context.Context, args []string) int {
	cmd, err := a.parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return exitDone
	}
	if err == nil {
		err = a.prune(ctx, cmd)
	}
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, oc.ErrUsage) || errors.Is(err, errUsage):
		fmt.Fprintln(a.errOut, "prune:", err)
		return exitUsage
	}
	fmt.Fprintln(a.errOut, "prune:", err)
	if ctx.Err() != nil {
		fmt.Fprintln(a.errOut, "prune: interrupted; give the command again to finish it")
	}
	return exitError
}

var errUsage = errors.New("usage")

// parse reads the command line. What is not the program's own is the command's.
func (a *app) parse(args []string) (oc.Command, error) {
	own := map[string]bool{"f": true, "db": true, "ca": true}
	flags := flag.NewFlagSet("prune", flag.ContinueOnError)
	flags.SetOutput(a.errOut)
	flags.Var(&a.files, "f", "`file` or directory of objects in YAML or JSON")
	flags.StringVar(&a.db, "db", "", "`file` of the store whose streams and images are pruned")
	flags.StringVar(&a.authority, "ca", "", "`file` of certificate authorities of the registry, in PEM")
	flags.Bool("confirm", false, "remove, not only show")
	flags.Bool("safe", true, "mend what is wrong with the real client's rules")
	flags.Bool("all", true, "images that were not pushed to the registry, too")
	flags.Bool("prune-over-size-limit", false, "remove what exceeds a LimitRange, in the place of what is old")
	flags.Bool("prune-registry", true, "remove layers and manifests from the registry, too")
	flags.Bool("ignore-invalid-refs", false, "ignore pull specs that cannot be read")
	flags.String("keep-tag-revisions", "", "how `many` of the newest events of each tag stay (default 3)")
	flags.String("keep-younger-than", "", "the `age` up to which everything stays (default 60m)")
	flags.String("registry-url", "", "`host` of the registry")
	flags.String("namespace", "", "the only `namespace` whose streams are pruned; images stay then")
	flags.String("output", "", "wide shows what stays, too")
	if err := flags.Parse(args); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			err = fmt.Errorf("%w: %w", errUsage, err)
		}
		return oc.Command{}, err
	}
	cmd := oc.Command{Args: flags.Args(), Flags: oc.Flags{"safe": {flags.Lookup("safe").Value.String()}}}
	flags.Visit(func(f *flag.Flag) {
		if !own[f.Name] {
			cmd.Flags[f.Name] = []string{f.Value.String()}
		}
	})
	switch confirm := flags.Lookup("confirm").Value.String(); {
	case len(a.files) == 0 && a.db == "":
		return cmd, fmt.Errorf("%w: -f says where the objects are, or -db which store", errUsage)
	case confirm == "true" && a.db == "":
		return cmd, fmt.Errorf("%w: --confirm needs -db FILE: files are only read", errUsage)
	}
	return cmd, nil
}

// prune carries the command out.
func (a *app) prune(ctx context.Context, cmd oc.Command) (err error) {
	a.store = &fakes.Store{}
	if a.db != "" {
		readOnly := cmd.Flags["confirm"] == nil
		var store *bolt.Store
		if store, err = bolt.Open(ctx, a.db, bolt.Options{Wait: lockWait, ReadOnly: readOnly}); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		a.store = store
	}
	if err := a.readFiles(ctx); err != nil {
		return err
	}
	p := &progress{out: a.errOut}
	pruning := &oc.Pruning{
		API: rest.New(a.store, nil), Registry: a.registry, Out: a.out,
		Workloads: func(context.Context, string) ([]map[string]any, error) { return a.workloads, nil },
	}
	if a.terminal {
		pruning.Planned = p.planned
		pruning.Trace = &prune.Trace{Step: p.step}
		defer p.done()
	}
	return pruning.PruneImages(ctx, cmd)
}

// progress shows on a terminal how far a run has come.
type progress struct {
	out         io.Writer
	total, next int
}

func (p *progress) planned(plan *prune.Plan) {
	for range plan.Steps() {
		p.total++
	}
}

func (p *progress) step(s prune.Step, err error) {
	p.next++
	if err != nil {
		fmt.Fprintf(p.out, "\r\x1b[K%s: %v\n", s, err)
	}
	fmt.Fprintf(p.out, "\r\x1b[K%d/%d: %.60s", p.next, max(p.total, p.next), s)
}

func (p *progress) done() { fmt.Fprint(p.out, "\r\x1b[K") }
