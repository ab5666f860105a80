package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
)

// lease is a lease of this worker. Its context ends before etcd lets others take what is bound to it.
type lease struct {
	id    clientv3.LeaseID
	ctx   context.Context
	end   context.CancelCauseFunc
	timer *time.Timer
}

// leases keep one lease alive, and get another one when that is lost.
type leases struct {
	client *clientv3.Client
	length time.Duration // that is asked for
	failed func(error)

	mu    sync.Mutex
	now   *lease
	lasts time.Duration // what now was granted for
	err   error
}

var errNoLease = errors.New("the worker has no lease of etcd yet")

// lease returns the lease, or why there is none.
func (ls *leases) lease() (*lease, error) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	switch {
	case ls.now != nil && ls.now.ctx.Err() == nil:
		return ls.now, nil
	case ls.err != nil:
		return nil, ls.err
	}
	return nil, errNoLease
}

// get gets a lease, or notes why there is none.
func (ls *leases) get(ctx context.Context) error {
	l, length, err := ls.grant(ctx)
	if err != nil {
		err = fmt.Errorf("get a lease from etcd: %w", err)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.now, ls.lasts, ls.err = l, length, err
	return err
}

// keep keeps the lease until ctx ends, and gives it back then. If it is lost, keep gets another one.
func (ls *leases) keep(ctx context.Context) {
	for {
		if l, err := ls.lease(); err == nil {
			err = ls.renew(ctx, l, ls.lasts)
			l.end(err)
			ls.revoke(l)
			if ctx.Err() == nil {
				ls.failed(err)
			}
		}
		if ctx.Err() != nil {
			return
		}
		if err := ls.get(ctx); err != nil && ctx.Err() == nil {
			ls.failed(err)
			wait(ctx, min(time.Second, ls.length/4))
		}
	}
}

// usable is the part of a lease's length in which it is used. It counts from before the lease was asked for, and etcd
// counts from later on, so that the rest is for what takes time to end.
func usable(length time.Duration) time.Duration { return length * 9 / 10 }

func (ls *leases) grant(ctx context.Context) (*lease, time.Duration, error) {
	asking, cancel := context.WithTimeout(ctx, ls.length)
	defer cancel()
	asked := time.Now()
	resp, err := ls.client.Grant(asking, int64(ls.length/time.Second))
	if err != nil {
		return nil, 0, err
	}
	l := &lease{id: resp.ID}
	l.ctx, l.end = context.WithCancelCause(context.Background())
	length := time.Duration(resp.TTL) * time.Second
	l.timer = time.AfterFunc(time.Until(asked.Add(usable(length))), func() { l.end(errLost) })
	return l, length, nil
}

// renew renews a lease until it is lost or ctx ends, and says why.
func (ls *leases) renew(ctx context.Context, l *lease, length time.Duration) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(l.ctx, func() { cancel(context.Cause(l.ctx)) })()
	defer l.timer.Stop()
	pause := length / 4
	for wait(ctx, pause) {
		asked := time.Now()
		asking, cancel := context.WithTimeout(ctx, length/4)
		resp, err := ls.client.KeepAliveOnce(asking, l.id)
		cancel()
		switch {
		case err == nil && resp.TTL > 0:
			length, pause = time.Duration(resp.TTL)*time.Second, time.Duration(resp.TTL)*time.Second/4
			if !l.timer.Reset(time.Until(asked.Add(usable(length)))) {
				return errLost
			}
		case err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound):
			return errLost
		default: // while it lasts it is tried again
			pause = length / 20
		}
	}
	return context.Cause(ctx)
}

// revoke gives a lease back. If that fails, etcd ends it in time.
func (ls *leases) revoke(l *lease) {
	ctx, cancel := context.WithTimeout(context.Background(), ls.length/4)
	defer cancel()
	_, _ = ls.client.Revoke(ctx, l.id)
}

// wait waits for a time, and reports whether ctx has not ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
