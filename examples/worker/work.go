package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// betweenSweeps is how often records of streams that are gone are removed.
const betweenSweeps = time.Hour

// work runs the loop and what it needs until ctx ends, and ends them in order: the loop first, then what it needs, then
// the server, which tells meanwhile that the worker is not ready.
func work(
	ctx context.Context, loop *schedule.Loop, b backend, server *http.Server, listener net.Listener, failed func(error),
) error {
	after, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var all sync.WaitGroup
	defer all.Wait()
	all.Go(func() { b.keep(after) })
	all.Go(func() { sweepAgain(after, b, loop.Namespace, failed) })
	all.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed(fmt.Errorf("serve metrics: %w", err))
		}
	})
	defer server.Close()
	defer stop()
	if err := loop.Run(ctx); ctx.Err() == nil {
		return err
	}
	return nil
}

// sweepAgain sweeps now and again.
func sweepAgain(ctx context.Context, b backend, namespace string, failed func(error)) {
	ticker := time.NewTicker(betweenSweeps)
	defer ticker.Stop()
	for {
		if err := sweep(ctx, b, namespace); err != nil && ctx.Err() == nil {
			failed(fmt.Errorf("remove records of image streams that are gone: %w", err))
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sweep removes the records of streams that are gone. It reads the records first: a stream that is not there then
// either was deleted, or has no record that counts.
func sweep(ctx context.Context, b backend, namespace string) error {
	places, err := b.places(ctx)
	if err != nil || len(places) == 0 {
		return err
	}
	there := map[imagestream.Key]bool{}
	opts := imagestream.ListOptions{Namespace: namespace, Limit: 500}
	for stream, err := range imagestream.All(ctx, b.store().ListImageStreams, opts) {
		if err != nil {
			return err
		}
		there[stream.Key()] = true
	}
	for _, p := range places {
		if !there[p.stream] {
			if err := b.forget(ctx, p); err != nil {
				return err
			}
		}
	}
	return nil
}
