// Trigger is a controller that keeps objects at what their tags say: a tag moves, and the Deployments, StatefulSets,
// DaemonSets, CronJobs, DeploymentConfigs and BuildConfigs that follow it get its new image, or build from it.
//
//	trigger                      tells a story, in memory
//	trigger -kubeconfig FILE     works on a cluster that has image streams, in place of its own controller
//
// With -at-once and -at-once-per-namespace it lets only so many objects roll out at a time. It prints what it does, and
// why an object has to wait.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/openshift/client-go/image/clientset/versioned"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "trigger:", err)
		os.Exit(2)
	}
}

// run does what the command line says.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("trigger", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "`file` that says how to reach the cluster")
	namespace := flags.String("namespace", "", "the only `namespace` whose objects are looked at")
	var opts trigger.Options
	flags.IntVar(&opts.AtOnce, "at-once", 0, "how many objects may roll out at a time; 0 is any number")
	flags.IntVar(&opts.AtOncePerNamespace, "at-once-per-namespace", 0, "the same for each namespace")
	flags.DurationVar(
		&opts.Settle,
		"settle",
		10*time.Minute,
		"how long a step is held back that was undone, or comes again",
	)
	flags.StringVar(
		&opts.Settings.InternalRegistry,
		"registry",
		"",
		"`host` of the registry that the streams are served from",
	)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q: only flags are wanted", flags.Args())
	case opts.AtOnce < 0 || opts.AtOncePerNamespace < 0 || opts.Settle <= 0:
		return errors.New("-at-once and -at-once-per-namespace must be 0 or more, -settle more than 0")
	case *kubeconfig == "" && *namespace != "":
		return errors.New("-namespace goes with -kubeconfig")
	case *kubeconfig == "":
		return tell(ctx, out, opts)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	objects, err := dynamic.NewForConfig(config)
	if err != nil {
		return err
	}
	streams, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	c := &Controller{
		Streams: &openshift.Reader{Client: streams}, Objects: &Cluster{Client: objects, Namespace: *namespace},
		Options: opts,
		Wrote:   func(u trigger.Update, err error) { reportUpdate(out, u, err) },
		Planned: func(round trigger.Round) { reportWaiting(out, round) },
	}
	if err := c.Run(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// reportUpdate prints what came of an update.
func reportUpdate(out io.Writer, u trigger.Update, err error) {
	switch {
	case errors.Is(err, imagestream.ErrConflict): // it is planned again
	case err != nil:
		fmt.Fprintf(out, "%s: %v\n", u.ID, err)
	case u.Build != nil:
		fmt.Fprintf(out, "%s: build from %s\n", u.ID, u.Build.TriggeredByImage.Name)
	}
	for _, c := range u.Changes {
		if err == nil {
			fmt.Fprintf(out, "%s: %s: %s -> %s\n", u.ID, c.Path, c.From, c.To)
		}
	}
}

// reportWaiting prints who waits after a round.
func reportWaiting(out io.Writer, round trigger.Round) {
	for _, w := range round.Waiting {
		if w.Why == lookup.WhyBusy {
			continue
		}
		fmt.Fprintf(out, "%s waits: %s", w.ID, w.Why.Message())
		if w.Tag != "" {
			fmt.Fprintf(out, ": %s", w.Tag)
		}
		if w.Err != nil {
			fmt.Fprintf(out, ": %v", w.Err)
		}
		if len(w.Path) > 0 {
			fmt.Fprintf(out, ": %v", w.Path)
		}
		fmt.Fprintln(out)
	}
}
