package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
)

// storage says where streams are kept.
type storage struct {
	db            string
	etcd          []string
	prefix        string
	ca, cert, key string
}

const (
	// lockWait is how long another program may hold the file.
	lockWait = 5 * time.Second
	// dialWait is how long etcd may take to answer first.
	dialWait = 10 * time.Second
)

// open opens the store; the caller closes it.
func (s *storage) open(ctx context.Context) (imagestream.Store, func() error, error) {
	if len(s.etcd) > 0 {
		return s.openEtcd(ctx)
	}
	s.db = cmp.Or(s.db, "streams.db")
	store, err := bolt.Open(ctx, s.db, bolt.Options{Wait: lockWait})
	if err != nil {
		return nil, nil, err
	}
	return store, store.Close, nil
}

func (s *storage) openEtcd(ctx context.Context) (imagestream.Store, func() error, error) {
	security, err := s.tls()
	if err != nil {
		return nil, nil, err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: s.etcd, TLS: security, DialTimeout: dialWait,
		DialKeepAliveTime: dialWait, DialKeepAliveTimeout: dialWait / 2,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("-etcd: %w", err)
	}
	store := etcd.New(client, etcd.Options{Prefix: s.prefix})
	limited, cancel := context.WithTimeout(ctx, dialWait)
	defer cancel()
	if _, err := store.ListImageStreams(limited, imagestream.ListOptions{Limit: 1}); err != nil {
		return nil, nil, errors.Join(fmt.Errorf("-etcd=%v does not answer: %w", s.etcd, err), client.Close())
	}
	return store, client.Close, nil
}

// tls returns how to speak to etcd; nil is without TLS.
func (s *storage) tls() (*tls.Config, error) {
	if s.ca == "" && s.cert == "" && s.key == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.ca != "" {
		authorities, err := pems.Read(s.ca)
		if err != nil {
			return nil, fmt.Errorf("-etcd-ca: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		for _, authority := range authorities {
			config.RootCAs.AddCert(authority)
		}
	}
	if s.cert != "" || s.key != "" {
		pair, err := tls.LoadX509KeyPair(s.cert, s.key)
		if err != nil {
			return nil, fmt.Errorf("-etcd-cert and -etcd-key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}
