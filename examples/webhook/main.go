// Webhook is a mutating admission webhook that puts exact images in the place of short names, as OpenShift's API
// servers do by themselves.
//
//	webhook -streams DIR -cert FILE -key FILE [-addr :8443] [-policy FILE] [-registry HOST] [-reload 10s]
//
// It answers admission.k8s.io/v1 reviews at /mutate with a JSON patch, and GET /healthz and /readyz; ready it is
// until it is told to end, and while its certificate has not expired. DIR has image streams as "oc get imagestreams
// -o yaml" prints them; they are read again when a file there changes, and stay as they were if that cannot be
// read. A certificate that was replaced is served at the next handshake. A controller would give lookup.Resolver a
// cluster's client (adapters/openshift) or a store instead.
//
// # What it is not told
//
// Of a namespace it knows no more than the name: annotations there that ignore rules of the policy are not read. Of
// images it knows what the histories of image streams say: rules of the policy that ask for their labels see none.
//
// # Bounds
//
// A review has at most 7 MiB, one object 1,000 images, and a patch 2 MiB; an object beyond is denied with code 413.
// All bodies together have 256 MiB, and a review beyond is answered with 503; of these 8 MiB are reviewed at a
// time, and a review that waits for longer than 10 seconds is answered with 503, too. What cannot be decided, and
// what is not exactly one review, is an HTTP error: the webhook's failurePolicy says what the API server makes of
// it.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
)

// softMemory is from where on memory is given back at once.
const softMemory = 640 << 20

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(softMemory)
	}
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(2)
	}
}

// options are what the command line says.
type options struct {
	streams, cert, key, addr, policy, registry string
	reload                                     time.Duration
}

func parseOptions(args []string) (*options, error) {
	var o options
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	flags.StringVar(&o.streams, "streams", "", "`directory` of image streams in YAML or JSON")
	flags.StringVar(&o.cert, "cert", "", "`file` with the server's certificate in PEM")
	flags.StringVar(&o.key, "key", "", "`file` with its key in PEM")
	flags.StringVar(&o.addr, "addr", ":8443", "`address` to listen at")
	flags.StringVar(&o.policy, "policy", "", "`file` with an ImagePolicyConfig; without it the policy is that of clusters")
	flags.StringVar(&o.registry, "registry", "", "`host` of the registry that the streams are served from")
	flags.DurationVar(&o.reload, "reload", 10*time.Second, "`time` between looks at the files of image streams")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	host, err := pullspec.Parse(o.registry + "/namespace/name")
	switch {
	case flags.NArg() > 0:
		return nil, fmt.Errorf("%q: only flags are wanted", flags.Args())
	case o.streams == "" || o.cert == "" || o.key == "":
		return nil, errors.New("-streams, -cert and -key are needed: webhook -streams DIR -cert FILE -key FILE")
	case o.registry != "" && (err != nil || host.Registry != o.registry):
		return nil, fmt.Errorf("-registry %q: a host is wanted: registry.example.com:5000", o.registry)
	case o.reload < time.Second:
		return nil, fmt.Errorf("-reload %v: a second or more is wanted", o.reload)
	}
	return &o, nil
}

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	streams, err := readStreams(o.streams)
	if err != nil {
		return err
	}
	var policy *lookup.Policy
	if o.policy != "" {
		if policy, err = readPolicy(o.policy); err != nil {
			return err
		}
		if names := blind(policy); len(names) > 0 {
			log.Printf("webhook: rules that ask for labels of images, which are not known: %q", names)
		}
	}
	cert, err := readCertificate(o.cert, o.key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", o.addr)
	if err != nil {
		return err
	}
	log.Printf("webhook: https://%s/mutate", listener.Addr())
	go streams.watch(ctx, o.reload, func(text string) { log.Printf("webhook: %s", text) })
	h := newHook(func() *lookup.Resolver {
		return &lookup.Resolver{Source: streams.now(), InternalRegistry: o.registry, Policy: policy}
	}, func() error {
		if ctx.Err() != nil {
			return errors.New("the server is ending")
		}
		return cert.expired(time.Now())
	})
	config := &tls.Config{GetCertificate: cert.forHandshake, NextProtos: []string{"http/1.1"}}
	return serve(ctx, h.server(), tls.NewListener(listener, config))
}

// readPolicy reads an ImagePolicyConfig.
func readPolicy(file string) (*lookup.Policy, error) {
	text, err := streamfiles.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var config lookup.Config
	if err := yaml.UnmarshalStrict(text, &config); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	policy, errs := lookup.NewPolicy(&config)
	if len(errs) > 0 {
		return nil, fmt.Errorf("%s: %w", file, errs.Err())
	}
	return policy, nil
}

// blind returns the names of rules that ask for what is not known of images.
func blind(policy *lookup.Policy) []string {
	var names []string
	for _, rule := range policy.Config().ExecutionRules {
		if len(rule.MatchDockerImageLabels)+len(rule.MatchImageLabels) > 0 {
			names = append(names, rule.Name)
		}
	}
	return names
}

// serve serves until ctx ends, and lets those finish who are being served.
func serve(ctx context.Context, server *http.Server, listener net.Listener) error {
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		last, cancel := context.WithTimeout(context.Background(), readTimeout+time.Second)
		defer cancel()
		stopped <- server.Shutdown(last)
	})
	err := server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) && !stop() {
		return <-stopped
	}
	return err
}
