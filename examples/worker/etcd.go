package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
)

// Keys in etcd. What follows them is the key of a place.
const (
	turnsPrefix  = "/imagestreams-worker/turns/"
	claimsPrefix = "/imagestreams-worker/claims/"
)

// openWait is how long etcd may take to answer at the beginning.
const openWait = 20 * time.Second

// etcdOptions say how etcd is reached.
type etcdOptions struct {
	authorities, cert, key, user string
	lease                        time.Duration
}

func (o *etcdOptions) isSet() bool { return o.authorities != "" || o.cert != "" || o.user != "" }

func (o *etcdOptions) config(endpoints []string) (clientv3.Config, error) {
	config := clientv3.Config{Endpoints: endpoints, Username: o.user, DialTimeout: openWait,
		DialKeepAliveTime: 5 * time.Second, DialKeepAliveTimeout: 3 * time.Second}
	if o.user != "" {
		config.Password = os.Getenv("ETCD_PASSWORD")
	}
	if o.authorities == "" && o.cert == "" {
		return config, nil
	}
	config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if o.authorities != "" {
		certs, err := pems.Read(o.authorities)
		if err != nil {
			return config, err
		}
		config.TLS.RootCAs = x509.NewCertPool()
		for _, cert := range certs {
			config.TLS.RootCAs.AddCert(cert)
		}
	}
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return config, err
		}
		config.TLS.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// cluster is a store in etcd, and the ledger that all workers on it share.
type cluster struct {
	records
	leases  *leases
	client  *clientv3.Client
	streams imagestream.Store
	name    string
	// turns is what the keys of the records of this worker's namespace begin with.
	turns string

	mu   sync.Mutex
	held map[place]bool // claims of this process
}

func openEtcd(
	ctx context.Context, endpoints []string, o etcdOptions, name, namespace string, failed func(error),
) (*cluster, error) {
	config, err := o.config(endpoints)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, err
	}
	c := &cluster{client: client, name: name, held: map[place]bool{}, streams: etcd.New(client, etcd.Options{}),
		leases: &leases{client: client, length: o.lease, failed: failed}, turns: turnsPrefix}
	if namespace != "" {
		c.turns += namespace + "\x00"
	}
	if err := c.begin(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return c, nil
}

// begin reads all records, and gets the first lease.
func (c *cluster) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	err := c.each(ctx, c.read)
	if err != nil {
		err = fmt.Errorf("read the records of imports: %w", err)
	} else {
		err = c.leases.get(ctx)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no endpoint has answered for %v: %w", openWait, err)
	}
	return err
}

// each calls do with the key, the value and the revision of each record.
func (c *cluster) each(ctx context.Context, do func(key string, value []byte, revision int64) error) error {
	const page = 500
	from, end := c.turns, clientv3.GetPrefixRangeEnd(c.turns)
	for {
		resp, err := c.client.Get(ctx, from, clientv3.WithRange(end), clientv3.WithLimit(page))
		if err != nil {
			return err
		}
		for _, kv := range resp.Kvs {
			if err := do(string(kv.Key[len(turnsPrefix):]), kv.Value, kv.ModRevision); err != nil {
				return err
			}
		}
		if !resp.More {
			return nil
		}
		from = string(resp.Kvs[len(resp.Kvs)-1].Key) + "\x00"
	}
}

func (c *cluster) store() imagestream.Store { return fenced{c.streams} }
func (c *cluster) close() error             { return c.client.Close() }
func (c *cluster) keep(ctx context.Context) { c.leases.keep(ctx) }

func (c *cluster) ready() error {
	_, err := c.leases.lease()
	return err
}

func (c *cluster) places(ctx context.Context) (all []place, err error) {
	err = c.each(ctx, func(key string, _ []byte, revision int64) error {
		p, err := parsePlace(key)
		p.revision = revision
		all = append(all, p)
		return err
	})
	return all, err
}

func (c *cluster) forget(ctx context.Context, p place) error {
	key := turnsPrefix + p.key()
	_, err := c.client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(key), "=", p.revision)).Then(clientv3.OpDelete(key)).Commit()
	c.remove(place{stream: p.stream, host: p.host})
	return err
}
