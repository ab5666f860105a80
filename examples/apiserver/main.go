// Command apiserver serves image streams to oc, kubectl and every program that is written for OpenShift's image API.
//
//	apiserver -db shop.db -kubeconfig shop.kubeconfig
//	oc --kubeconfig shop.kubeconfig create is app
//
// It stands alone: streams are kept in a file, or in etcd with -etcd. It listens on the loopback interface, with a
// certificate and a token of its own, and writes the kubeconfig when it is ready. More users, and what they may do, are
// in the file that -access-file names. It imports what streams ask for, and scheduled tags again and again, with the
// credentials that docker has and with the pull secrets of the namespace. Everybody who may import does so with those of
// docker: -docker-config names a file with fewer. Pull secrets are kept in a file beside that of the streams; with -etcd
// they are kept in memory, and are to be created again after a start.
//
// With -in-cluster it stands behind a cluster's server, as the manifests in adapters/apiserver deploy it. All flags of
// k8s.io/apiserver are there; "apiserver -help" lists them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/pflag"

	"github.com/imagestreams/imagestreams/adapters/apiserver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, pflag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "apiserver:", err)
		os.Exit(1)
	}
}

// flags is what can be said on the command line.
type flags struct {
	server *apiserver.Options

	storage storage
	imports imports

	listen, kubeconfig, namespace string
	inCluster                     bool
}

func parse(args []string, errOut io.Writer) (*flags, error) {
	f := &flags{server: apiserver.NewOptions()}
	set := pflag.NewFlagSet("apiserver", pflag.ContinueOnError)
	set.SetOutput(errOut)
	set.SortFlags = false
	set.StringVar(&f.storage.db, "db", "", "the file that keeps the streams; streams.db without -etcd")
	set.StringSliceVar(&f.storage.etcd, "etcd", nil, "HOST:PORT of the members of an etcd cluster that keeps the streams")
	set.StringVar(&f.storage.prefix, "etcd-prefix", "", "what keys in etcd begin with; /imagestreams/ if empty")
	set.StringVar(&f.storage.ca, "etcd-ca", "", "PEM file with the authorities of etcd's certificates")
	set.StringVar(&f.storage.cert, "etcd-cert", "", "PEM file with the certificate to show to etcd")
	set.StringVar(&f.storage.key, "etcd-key", "", "PEM file with its key")
	set.StringVar(&f.listen, "listen", "127.0.0.1:8443", "address and port to listen on; port 0 is any that is free")
	set.StringVar(&f.kubeconfig, "kubeconfig", "", "the file to write with which oc and kubectl reach the server; "+
		"imagestreams.kubeconfig if empty")
	set.StringVar(&f.namespace, "namespace", "default", "the namespace of commands that name none")
	set.BoolVar(&f.inCluster, "in-cluster", false, "stand behind a cluster's server, which knows users and namespaces")
	f.imports.addFlags(set)
	f.server.AddFlags(set)
	if err := set.Parse(twoDashes(args)); err != nil {
		return nil, err
	}
	if set.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument %q: there are only flags", set.Arg(0))
	}
	return f, f.check(set)
}

// check completes the flags.
func (f *flags) check(set *pflag.FlagSet) error {
	switch {
	case f.storage.db != "" && len(f.storage.etcd) > 0:
		return errors.New("-db and -etcd name two stores: choose one")
	case f.inCluster && f.server.AccessFile != "":
		return errors.New("-access-file is for a server that stands alone, and -in-cluster for one that does not: choose one")
	case f.inCluster && f.kubeconfig != "":
		return errors.New("-kubeconfig is written by a server that stands alone: leave it out with -in-cluster")
	case f.inCluster && set.Changed("namespace"):
		return errors.New("-in-cluster writes no kubeconfig, and so no namespace into it: leave out -namespace")
	}
	if err := f.checkUnused(set); err != nil {
		return err
	}
	if set.Changed("secure-port") || set.Changed("bind-address") {
		if set.Changed("listen") {
			return errors.New("-listen says what -bind-address and -secure-port say: choose one")
		}
		return nil
	}
	if f.inCluster && !set.Changed("listen") {
		return nil // the stock defaults: all interfaces
	}
	listener, err := net.Listen("tcp", f.listen)
	if err != nil {
		return fmt.Errorf("-listen=%s: %w", f.listen, err)
	}
	f.server.Serving.Listener = listener
	return nil
}

// checkUnused refuses flags that would say nothing.
func (f *flags) checkUnused(set *pflag.FlagSet) (err error) {
	refuse := func(name, why string) {
		if err == nil && set.Changed(name) {
			err = fmt.Errorf("-%s is %s: add it, or leave out -%[1]s", name, why)
		}
	}
	if len(f.storage.etcd) == 0 {
		for _, name := range []string{"etcd-prefix", "etcd-ca", "etcd-cert", "etcd-key"} {
			refuse(name, "about -etcd")
		}
	}
	if !f.inCluster {
		cluster, o := pflag.NewFlagSet("", pflag.ContinueOnError), apiserver.NewOptions()
		o.Authentication.AddFlags(cluster)
		o.Authorization.AddFlags(cluster)
		o.Admission.AddFlags(cluster)
		cluster.VisitAll(func(flag *pflag.Flag) { refuse(flag.Name, "for a server with -in-cluster") })
	}
	return err
}

// twoDashes lets "-db" be written as "--db" is.
func twoDashes(args []string) []string {
	long := make([]string, len(args))
	for i, arg := range args {
		if long[i] = arg; len(arg) > 2 && arg[0] == '-' && arg[1] != '-' {
			long[i] = "-" + arg
		}
	}
	return long
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out, errOut io.Writer) error {
	f, err := parse(args, errOut)
	if err != nil {
		return err
	}
	store, closeStore, err := f.storage.open(ctx)
	if err != nil {
		return errors.Join(err, f.close())
	}
	err = f.serve(ctx, store, out, errOut)
	return errors.Join(err, closeStore())
}

// close gives back the port of a server that does not start.
func (f *flags) close() error {
	if f.server.Serving.Listener == nil {
		return nil
	}
	if err := f.server.Serving.Listener.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // the configuration has closed it
}
