package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/examples/internal/pems"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
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

	mu   sync.Mutex
	held map[place]bool // claims of this process
}

func openEtcd(
	ctx context.Context, endpoints []string, o etcdOptions, name string, failed func(error),
) (backend, error) {
	config, err := o.config(endpoints)
	if err != nil {
		return nil, err
	}
	client, err := clientv3.New(config)
	if err != nil {
		return nil, err
	}
	c := &cluster{client: client, name: name, held: map[place]bool{}, streams: etcd.New(client, etcd.Options{}),
		leases: &leases{client: client, length: o.lease, failed: failed}}
	ctx, cancel := context.WithTimeout(ctx, openWait)
	defer cancel()
	if err := c.each(ctx, c.read); err != nil {
		return nil, errors.Join(fmt.Errorf("read the records of imports: %w", err), client.Close())
	}
	if err := c.leases.get(ctx); err != nil {
		return nil, errors.Join(err, client.Close())
	}
	return c, nil
}

// each calls do with the key, the value and the revision of each record.
func (c *cluster) each(ctx context.Context, do func(key string, value []byte, revision int64) error) error {
	const page = 500
	from, end := turnsPrefix, clientv3.GetPrefixRangeEnd(turnsPrefix)
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

// hold marks a place as claimed by this process, and reports whether it was not.
func (c *cluster) hold(p place) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held[p] {
		return false
	}
	c.held[p] = true
	return true
}

func (c *cluster) release(p place) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.held, p)
}

// Claim implements [schedule.Ledger].
func (c *cluster) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	p := placeOf(turn)
	if due, others := c.get(p).Divide(stream, turn, time.Now()); len(due) == 0 {
		return &schedule.Claim{Others: others}, nil
	}
	if !c.hold(p) {
		return c.elsewhere(p, stream, turn), nil
	}
	claim, err := c.take(ctx, p, stream, turn)
	if err != nil || len(claim.Tags) == 0 {
		c.release(p)
	}
	return claim, err
}

// elsewhere is the answer to a turn of which the due tags are claimed.
func (c *cluster) elsewhere(p place, stream *imagestream.ImageStream, turn schedule.Turn) *schedule.Claim {
	now, record := time.Now(), c.get(p)
	due, others := record.Divide(stream, turn, now)
	maps.Copy(others, record.Hold(stream, due, now.Add(c.leases.length/3)))
	return &schedule.Claim{Others: others}
}

// refresh notes the record of a place as etcd has it.
func (c *cluster) refresh(p place, kvs []*mvccpb.KeyValue) error {
	if len(kvs) == 0 {
		c.remove(p)
		return nil
	}
	return c.read(p.key(), kvs[0].Value, kvs[0].ModRevision)
}

// take claims a place, if nobody has it and tags are due by the record that is there.
func (c *cluster) take(
	ctx context.Context, p place, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	l, err := c.leases.lease()
	if err != nil {
		return nil, err
	}
	work, end := context.WithCancelCause(ctx)
	unlink := context.AfterFunc(l.ctx, func() { end(context.Cause(l.ctx)) })
	turnKey, claimKey := turnsPrefix+p.key(), claimsPrefix+p.key()
	give := func(claim *schedule.Claim, err error) (*schedule.Claim, error) {
		unlink()
		end(nil)
		return claim, err
	}
	for {
		record := c.get(p)
		due, others := record.Divide(stream, turn, time.Now())
		if len(due) == 0 {
			return give(&schedule.Claim{Others: others}, nil)
		}
		resp, err := c.client.Txn(work).
			If(clientv3.Compare(clientv3.CreateRevision(claimKey), "=", 0),
				clientv3.Compare(clientv3.ModRevision(turnKey), "=", record.revision)).
			Then(clientv3.OpPut(claimKey, c.name, clientv3.WithLease(l.id))).
			Else(clientv3.OpGet(turnKey), clientv3.OpGet(claimKey)).
			Commit()
		if err != nil {
			return give(nil, fmt.Errorf("claim %s at %s: %w", p.stream, p.host, err))
		}
		if resp.Succeeded {
			h := &held{cluster: c, lease: l, place: p, revision: resp.Header.Revision, end: end}
			return &schedule.Claim{Tags: due, Others: others, Context: context.WithValue(work, heldKey{}, h),
				Finish: func(states map[string]schedule.TagState) error {
					defer give(nil, nil)
					defer c.release(p)
					return h.finish(stream, states)
				}}, nil
		}
		if err := c.refresh(p, resp.Responses[0].GetResponseRange().Kvs); err != nil {
			return give(nil, err)
		}
		for _, kv := range resp.Responses[1].GetResponseRange().Kvs {
			if clientv3.LeaseID(kv.Lease) != l.id {
				return give(c.elsewhere(p, stream, turn), nil)
			}
			// This process made the claim and did not hear of it: the answer was lost.
			orphan := &held{cluster: c, lease: l, place: p, revision: kv.CreateRevision}
			if err := orphan.finish(stream, nil); err != nil {
				return give(nil, err)
			}
		}
	}
}

// errLost is the error of a claim that is another worker's by now, or nobody's.
var errLost = errors.New("the claim was lost: the worker's lease ended")

// held is a claim of this process. It is the key in etcd of that revision.
type held struct {
	*cluster
	lease    *lease
	place    place
	revision int64
	end      context.CancelCauseFunc // of the import
}

type heldKey struct{}

func (h *held) mine() clientv3.Cmp {
	return clientv3.Compare(clientv3.CreateRevision(claimsPrefix+h.place.key()), "=", h.revision)
}

// check returns an error if the claim is no longer this process's, and ends the import then.
func (h *held) check(ctx context.Context) error {
	resp, err := h.client.Txn(ctx).If(h.mine()).Commit()
	if err == nil && !resp.Succeeded {
		err = errLost
		h.end(err)
	}
	return err
}

// finish ends the claim, and writes the states of the tags in the same transaction. It tries as long as a lease lasts.
func (h *held) finish(stream *imagestream.ImageStream, states map[string]schedule.TagState) error {
	ctx, cancel := context.WithTimeout(h.lease.ctx, h.leases.length)
	defer cancel()
	turnKey := turnsPrefix + h.place.key()
	remove := clientv3.OpDelete(claimsPrefix + h.place.key())
	if states == nil {
		_, err := h.client.Txn(ctx).If(h.mine()).Then(remove).Commit()
		return err
	}
	next := h.get(h.place).With(stream, states)
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	for {
		resp, err := h.client.Txn(ctx).
			If(h.mine()).Then(clientv3.OpPut(turnKey, string(value)), remove).Else(clientv3.OpGet(turnKey)).Commit()
		switch {
		case err == nil && resp.Succeeded:
			h.set(h.place, known{next, resp.Header.Revision})
			return nil
		case err == nil:
			kvs := resp.Responses[0].GetResponseRange().Kvs
			if len(kvs) == 0 || string(kvs[0].Value) != string(value) { // else an answer was lost
				return errLost
			}
			return h.refresh(h.place, kvs)
		case ctx.Err() != nil || !wait(ctx, 100*time.Millisecond):
			return err
		}
	}
}

// fenced is a store that takes an import's write of a stream only while the import's claim holds. The importer has
// read the stream before and writes it by compare-and-swap: if a later claim wrote meanwhile, the write is refused, too.
type fenced struct{ imagestream.Store }

// UpdateImageStream implements [imagestream.Store].
func (f fenced) UpdateImageStream(
	ctx context.Context, stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if h, ok := ctx.Value(heldKey{}).(*held); ok {
		if err := h.check(ctx); err != nil {
			return nil, err
		}
	}
	return f.Store.UpdateImageStream(ctx, stream)
}
