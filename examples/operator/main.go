// Operator is a small controller on openshift/client-go: it promotes tags of image streams. The tag prod of a stream
// that is annotated with example.com/promote: stable=prod is kept at the image that its tag stable points at.
//
//	operator                   tells a story, in memory
//	operator -kubeconfig FILE  works on a cluster that has image streams
//
// Its test runs the same code on the clientset without a cluster, and sees the rules of a real one: imports, histories,
// generations and conflicts.
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

	"github.com/openshift/client-go/image/clientset/versioned"
	"k8s.io/client-go/tools/clientcmd"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "operator:", err)
		os.Exit(2)
	}
}

// run does what the command line says.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("operator", flag.ContinueOnError)
	kubeconfig := flags.String("kubeconfig", "", "`file` that says how to reach the cluster")
	namespace := flags.String("namespace", "", "the only `namespace` whose streams are looked at")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q: only flags are wanted", flags.Args())
	case *kubeconfig == "" && *namespace != "":
		return errors.New("-namespace goes with -kubeconfig")
	case *kubeconfig == "":
		return tell(ctx, out)
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		return err
	}
	operator := &Operator{Client: client, Namespace: *namespace, Report: func(stream, tag, image string, err error) {
		if err != nil {
			fmt.Fprintf(out, "%s: %v\n", stream, err)
			return
		}
		fmt.Fprintf(out, "%s: %s is now %s\n", stream, tag, image)
	}}
	if err := operator.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}
