package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
)

// etcdAccess says how etcd is reached.
type etcdAccess struct {
	ca, cert, key, user, passwordFile string
	patience                          time.Duration
}

func (a *etcdAccess) flags(flags *flag.FlagSet) {
	flags.StringVar(&a.ca, "etcd-ca", "", "trust the certificates in `FILE`, PEM, and no others")
	flags.StringVar(&a.cert, "etcd-cert", "", "show the certificate in `FILE`, PEM; needs -etcd-key")
	flags.StringVar(&a.key, "etcd-key", "", "the key of -etcd-cert is in `FILE`, PEM")
	flags.StringVar(&a.user, "etcd-user", "", "the `NAME` of etcd's user; needs -etcd-password-file")
	flags.StringVar(&a.passwordFile, "etcd-password-file", "", "the password of -etcd-user is the first line of `FILE`")
	flags.DurationVar(&a.patience, "etcd-timeout", 10*time.Second, "how long to wait for etcd's first answer")
}

// connect returns a client of a cluster that has answered.
func (a *etcdAccess) connect(ctx context.Context, endpoints []string) (*clientv3.Client, error) {
	config := clientv3.Config{
		Endpoints: endpoints, Context: ctx, DialTimeout: a.patience,
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 5 * time.Second,
		Logger: zap.NewNop(), // what is wrong is in the errors
	}
	var err error
	if config.TLS, err = a.tls(endpoints); err != nil {
		return nil, err
	}
	if config.Username, config.Password, err = a.login(); err != nil {
		return nil, err
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	limited, cancel := context.WithTimeout(ctx, a.patience)
	defer cancel()
	// Any answer will do: what the user may not read will be told when it is read.
	_, err = etcd.New(client, etcd.Options{}).GetImage(limited, "sha256:0")
	if err == nil || errors.Is(err, imagestream.ErrNotFound) || errors.Is(err, imagestream.ErrForbidden) {
		return client, nil
	}
	client.Close()
	return nil, a.explain(ctx, err)
}

// explain says what a failure to connect comes from, where its error does not.
func (a *etcdAccess) explain(ctx context.Context, err error) error {
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no etcd answered within %s: is it there, and does it want TLS (-etcd-ca, or https://HOST:PORT)?",
			a.patience)
	}
	return err
}

func (a *etcdAccess) tls(endpoints []string) (*tls.Config, error) {
	wanted := a.ca != "" || a.cert != "" || a.key != ""
	for _, endpoint := range endpoints {
		wanted = wanted || strings.HasPrefix(endpoint, "https://")
	}
	if !wanted {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if a.ca != "" {
		text, err := os.ReadFile(a.ca)
		if err != nil {
			return nil, fmt.Errorf("-etcd-ca: %w", err)
		}
		if config.RootCAs = x509.NewCertPool(); !config.RootCAs.AppendCertsFromPEM(text) {
			return nil, fmt.Errorf("-etcd-ca: %s has no certificate in PEM", a.ca)
		}
	}
	if (a.cert == "") != (a.key == "") {
		return nil, errors.New("-etcd-cert and -etcd-key need each other")
	}
	if a.cert != "" {
		pair, err := tls.LoadX509KeyPair(a.cert, a.key)
		if err != nil {
			return nil, fmt.Errorf("-etcd-cert and -etcd-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (a *etcdAccess) login() (user, password string, err error) {
	if (a.user == "") != (a.passwordFile == "") {
		return "", "", errors.New("-etcd-user and -etcd-password-file need each other")
	}
	if a.user == "" {
		return "", "", nil
	}
	text, err := os.ReadFile(a.passwordFile)
	if err != nil {
		return "", "", fmt.Errorf("-etcd-password-file: %w", err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return a.user, strings.TrimSuffix(line, "\r"), nil
}
