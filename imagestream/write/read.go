package write

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Env returns what a transition knows without reading anything: the settings, and the time.
func (e *Engine) Env() imagestream.Env {
	now := time.Now
	if e.Now != nil {
		now = e.Now
	}
	return imagestream.Env{Settings: e.Settings, Now: now()}
}

// maxReads is how many streams are read at a time.
const maxReads = 8

// read fetches what a transition needs.
func (e *Engine) read(ctx context.Context, needs imagestream.Needs) (imagestream.Env, error) {
	env := e.Env()
	streams, err := readEach(
		ctx,
		needs.Streams,
		func(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
			stream, err := e.Store.GetImageStream(ctx, key)
			if errors.Is(err, imagestream.ErrNotFound) {
				return nil, nil
			}
			if err != nil {
				return nil, fmt.Errorf("get image stream %s: %w", key, err)
			}
			return stream, nil
		},
	)
	if err != nil {
		return imagestream.Env{}, err
	}
	readable, err := readEach(ctx, needs.Layers, func(ctx context.Context, key imagestream.Key) (bool, error) {
		if e.Authorizer == nil {
			return false, nil
		}
		ok, err := e.Authorizer.MayGetLayers(ctx, key)
		if err != nil {
			return false, fmt.Errorf("check permission to get imagestreams/layers of %s: %w", key, err)
		}
		return ok, nil
	})
	if err != nil {
		return imagestream.Env{}, err
	}
	env.Streams = make(map[imagestream.Key]*imagestream.ImageStream, len(streams))
	for i, key := range needs.Streams {
		if streams[i] != nil {
			env.Streams[key] = streams[i]
		}
	}
	env.Readable = make(map[imagestream.Key]bool, len(readable))
	for i, key := range needs.Layers {
		env.Readable[key] = readable[i]
	}
	return env, nil
}

// readEach calls read for every key, maxReads at a time, and returns the answers in order, or the error of the
// first key in order that failed.
func readEach[T any](
	ctx context.Context,
	keys []imagestream.Key,
	read func(context.Context, imagestream.Key) (T, error),
) ([]T, error) {
	answers, errs := make([]T, len(keys)), make([]error, len(keys))
	slots := make(chan struct{}, maxReads)
	var wg sync.WaitGroup
	for i, key := range keys {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			answers[i], errs[i] = read(ctx, key)
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}
