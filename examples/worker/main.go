// Worker keeps the image streams of a store imported: what streams need at once, and scheduled tags again and again.
// Any number of workers can run on one store in etcd. They divide the work, and what one leaves undone another does.
//
//	worker -store bolt:streams.db
//	worker -store etcd:10.0.0.1:2379,10.0.0.2:2379 [-etcd-ca FILE] [-etcd-cert FILE -etcd-key FILE] [-etcd-user NAME]
//
// Every worker knows all streams. Before it imports tags of a stream from a registry it claims them: a key in etcd that
// is bound to the worker's lease. With the claim it sees the record of these tags: when each is due again. A tag that
// another worker has imported is not due, and one that another is importing waits. When the import is done, one
// transaction writes the new record and removes the claim. So a tag is imported once in its interval, give or take a
// twentieth, by which intervals are spread.
//
// A worker that is killed leaves its claims until its lease ends, -lease at most. Then others import what it has begun
// and not recorded: only such a tag is asked for twice. A worker that does not reach etcd ends its imports before its
// lease ends, and a write of one that was stopped for longer is refused: it looks at its claim between the read and the
// write of a stream. Records have times of the workers' clocks, which must agree to much less than the interval.
//
// A store in a file, bolt:FILE, has one worker. It needs no claims, and keeps its records in FILE.turns. In both cases
// a worker that is started again goes on where the last one ended. A shorter -interval holds for each tag from its
// next turn on.
//
// # Credentials
//
// Those of registries come from -docker-config, or from where docker has them. The password of -etcd-user is in the
// environment variable ETCD_PASSWORD. The user must be able to read and write what begins with /imagestreams/ and
// /imagestreams-worker/; with -namespace NAME it is enough to have /imagestreams/images/, and what begins with
// /imagestreams/imagestreams/, /imagestreams-worker/turns/ and /imagestreams-worker/claims/ and goes on with NAME and a
// zero byte.
//
// # How it ends
//
// At SIGTERM or an interrupt it begins no import, gives those that are under way the time of -drain, gives the rest
// back, so that other workers need not wait for its lease, and ends with 0. A second signal ends it at once. It ends
// with 2 if the command line is wrong, and with 1 if the store cannot be opened or read at the beginning. Later
// failures of the store are logged, counted and tried again.
//
// # What it serves
//
// GET /metrics has counters for Prometheus, /healthz is 200 while the worker runs, and /readyz is 200 while it can
// claim tags: it has a lease and is not ending.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/imagestreams/imagestreams/adapters/oci"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/polite"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the next signal ends the program
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

var errUsage = errors.New("usage")

// options are what the command line says.
type options struct {
	kind, where     string // of the store
	etcd            etcdOptions
	namespace, name string
	addr            string
	interval, drain time.Duration
	perHost         int
	dockerConfig    string
	authorities     string
}

func parse(args []string, errOut io.Writer) (*options, error) {
	var o options
	host, _ := os.Hostname()
	flags := flag.NewFlagSet("worker", flag.ContinueOnError)
	flags.SetOutput(errOut)
	store := flags.String("store", "", "the `store` of the streams: bolt:FILE or etcd:HOST:PORT[,HOST:PORT]")
	flags.StringVar(&o.etcd.authorities, "etcd-ca", "", "`file` of certificate authorities of etcd, in PEM")
	flags.StringVar(&o.etcd.cert, "etcd-cert", "", "`file` of the certificate that etcd asks for, in PEM")
	flags.StringVar(&o.etcd.key, "etcd-key", "", "`file` of its key, in PEM")
	flags.StringVar(&o.etcd.user, "etcd-user", "", "`name` of the user of etcd; ETCD_PASSWORD has the password")
	flags.DurationVar(&o.etcd.lease, "lease", 15*time.Second,
		"how long tags that a killed worker has claimed stay claimed, in whole seconds; etcd may make it longer")
	flags.StringVar(&o.name, "name", fmt.Sprintf("%s-%d", host, os.Getpid()), "`name` of this worker in claims and logs")
	flags.StringVar(&o.namespace, "namespace", "", "the only `namespace` whose streams are imported")
	flags.DurationVar(&o.interval, "interval", 15*time.Minute,
		"how long after an import a scheduled tag is imported again")
	flags.DurationVar(&o.drain, "drain", 20*time.Second, "how long imports may go on when the worker is told to end")
	flags.IntVar(&o.perHost, "per-host", 4, "how many streams are imported from one registry at a time")
	flags.StringVar(&o.dockerConfig, "docker-config", "", "`file` with credentials of registries, as docker has them")
	flags.StringVar(&o.authorities, "ca", "",
		"`file` of certificate authorities of registries to trust besides the system's, in PEM")
	flags.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`address` to serve /metrics, /healthz and /readyz at")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil, err
	} else if err != nil {
		return nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	var known bool
	o.kind, o.where, known = strings.Cut(*store, ":")
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %w", errUsage, fmt.Errorf(format, args...))
	}
	switch {
	case flags.NArg() > 0:
		return nil, wrong("%q: only flags are wanted", flags.Args())
	case !known || o.where == "" || o.kind != "bolt" && o.kind != "etcd":
		return nil, wrong("-store %q: want bolt:FILE or etcd:HOST:PORT[,HOST:PORT]", *store)
	case o.interval < time.Second:
		return nil, wrong("-interval %v: want a second or more, such as 15m", o.interval)
	case o.etcd.lease < time.Second || o.etcd.lease%time.Second != 0:
		return nil, wrong("-lease %v: want whole seconds, such as 15s", o.etcd.lease)
	case o.drain < 0:
		return nil, wrong("-drain %v: want a time, such as 20s, or 0", o.drain)
	case o.perHost < 1:
		return nil, wrong("-per-host %d: want 1 or more", o.perHost)
	case o.name == "":
		return nil, wrong("-name is empty: want a name that no other worker has")
	case (o.etcd.cert == "") != (o.etcd.key == ""):
		return nil, wrong("-etcd-cert and -etcd-key go together")
	case o.kind != "etcd" && o.etcd.isSet():
		return nil, wrong("-etcd-ca, -etcd-cert, -etcd-key and -etcd-user go with -store etcd:HOST:PORT")
	}
	return &o, nil
}

// backend is a store, and the ledger of the workers on it.
type backend interface {
	schedule.Ledger
	// store is the store as imports use it.
	store() imagestream.Store
	// keep does what has to be done all the time, until ctx ends.
	keep(ctx context.Context)
	// ready says why nothing can be claimed now, or nil.
	ready() error
	// places returns what there are records of, and forget removes one, unless it changed since.
	places(ctx context.Context) ([]place, error)
	forget(ctx context.Context, p place) error
	close() error
}

// run works until ctx ends.
func run(ctx context.Context, args []string, out, errOut io.Writer) (err error) {
	o, err := parse(args, errOut)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	logger := log.New(errOut, "worker "+o.name+": ", log.LstdFlags)
	m := newMetrics()
	failed := func(err error) {
		m.storeFailures.Inc()
		logger.Print(err)
	}
	registry, err := newRegistry(o)
	if err != nil {
		return err
	}
	b, err := open(ctx, o, failed)
	if ctx.Err() != nil && err != nil {
		return nil // told to end before it has begun
	} else if err != nil {
		return fmt.Errorf("%s:%s: %w", o.kind, o.where, err)
	}
	defer func() { err = errors.Join(err, b.close()) }()
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s serves http://%s/metrics\n", o.name, listener.Addr())
	engine := &write.Engine{Store: b.store(), Authorizer: everything{}}
	loop := &schedule.Loop{
		Importer:  &importer.Importer{Registry: registry, Engine: engine, Trace: m.trace()},
		Options:   schedule.Options{Interval: o.interval},
		Namespace: o.namespace, PerHost: o.perHost, Drain: o.drain,
		Ledger: &counted{b, m},
		Imported: func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error) {
			if err = m.imported(done, err); err != nil {
				logger.Printf("import of image stream %s: %v", stream, err)
			}
		},
		Failed: failed,
	}
	return work(ctx, loop, b, m.server(ctx, b.ready), listener, failed)
}

// everything lets tags come from streams of every namespace: whoever wrote them to the store was allowed to.
type everything struct{}

func (everything) MayGetLayers(context.Context, imagestream.Key) (bool, error) { return true, nil }

func newRegistry(o *options) (importer.Registry, error) {
	opts := oci.Options{UserAgent: "imagestreams-worker (" + o.name + ")"}
	var err error
	if opts.Credentials, err = oci.DockerConfig(o.dockerConfig); err != nil {
		return nil, err
	}
	if o.authorities != "" {
		if opts.RootCAs, err = pems.Read(o.authorities); err != nil {
			return nil, err
		}
	}
	registry, err := oci.New(opts)
	if err != nil {
		return nil, err
	}
	return &polite.Limit{Registry: registry}, nil
}

func open(ctx context.Context, o *options, failed func(error)) (backend, error) {
	if o.kind == "bolt" {
		return openFile(ctx, o.where, o.namespace)
	}
	c, err := openEtcd(ctx, strings.Split(o.where, ","), o.etcd, o.name, o.namespace, failed)
	if err != nil {
		return nil, err
	}
	return c, nil
}
