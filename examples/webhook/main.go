// Webhook is a mutating admission webhook that puts exact images in the place of short names, as OpenShift's API servers do
// by themselves.
//
//	webhook -streams DIR -cert FILE -key FILE [-addr :8443] [-policy FILE] [-registry HOST]
//
// It answers admission.k8s.io/v1 reviews at /mutate with a JSON patch, and GET /healthz. DIR has image streams as "oc get
// imagestreams -o yaml" prints them; they are read when it starts. A controller would give lookup.Resolver a cluster's client
// (adapters/openshift) or a store instead.
//
// Of a namespace it knows no more than the name: annotations there that ignore rules of the policy are not read.
//
// What it cannot decide is an HTTP error: the webhook's failurePolicy says what the API server makes of it.
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
	"syscall"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/lookup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(2)
	}
}

// run serves until ctx ends.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("webhook", flag.ContinueOnError)
	streams := flags.String("streams", "", "`directory` of image streams in YAML or JSON")
	cert := flags.String("cert", "", "`file` with the server's certificate in PEM")
	key := flags.String("key", "", "`file` with its key in PEM")
	addr := flags.String("addr", ":8443", "`address` to listen at")
	policy := flags.String("policy", "", "`file` with an ImagePolicyConfig; without it the policy is that of clusters")
	registry := flags.String("registry", "", "`host` of the registry that the streams are served from")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *streams == "" || *cert == "" || *key == "" {
		return errors.New("-streams, -cert and -key are needed: webhook -streams DIR -cert FILE -key FILE")
	}
	source, err := streamfiles.Read(*streams, "default")
	if err != nil {
		return err
	}
	resolver := &lookup.Resolver{Source: source, InternalRegistry: *registry}
	if *policy != "" {
		if resolver.Policy, err = readPolicy(*policy); err != nil {
			return err
		}
	}
	pair, err := tls.LoadX509KeyPair(*cert, *key)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		return err
	}
	log.Printf("webhook: https://%s/mutate", listener.Addr())
	return serve(ctx, newServer(resolver), tls.NewListener(listener, &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"http/1.1"}}))
}

// readPolicy reads an ImagePolicyConfig.
func readPolicy(file string) (*lookup.Policy, error) {
	text, err := os.ReadFile(file)
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
