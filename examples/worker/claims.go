package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

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
var errLost = errors.New("the worker's lease ended, and its claims with it")

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

// fenced is a store that takes an import's write of a stream only while the import's claim holds. The importer has read
// the stream before, and writes it by compare-and-swap: if a later claim writes after the check, the write is refused,
// too.
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
