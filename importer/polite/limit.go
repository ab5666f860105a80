package polite

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

// Limit makes so many requests to a host at a time, and so many a second. When a host asks to be left alone for a time, by a
// Retry-After, nobody asks it before that: a request waits, or fails at once if the time is long. It is safe for concurrent use,
// and its fields must not change while it is used.
type Limit struct {
	Registry importer.Registry
	// PerHost is how many requests are made to a host at a time; 0 is 8.
	PerHost int
	// PerSecond is how many requests are made to a host in a second, after a first Burst of them; 0 is any number.
	PerSecond float64
	Burst     int
	// MaxWait is the longest that a request waits for a host that asks to be left alone; 0 is a minute. If the time is longer,
	// the request is not made, and the failure is the host's own, with the time that is left.
	MaxWait time.Duration
	// Now is the clock; nil is time.Now. Wait waits by it; nil waits until the context ends.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error

	mu    sync.Mutex
	hosts map[string]*host
}

const (
	defaultPerHost = 8
	defaultMaxWait = time.Minute
)

// host is what is known of a host.
type host struct {
	slots chan struct{}

	mu sync.Mutex
	// next is when the next request is due, if they are made at the rate; quiet is until when none is made, and asked the failure
	// that says so.
	next, quiet time.Time
	asked       *importer.RegistryError
}

// Repository implements [importer.Registry].
func (l *Limit) Repository(ctx context.Context, name reference.Named, access importer.Access) (importer.Repository, error) {
	repository, err := l.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	return &around{repository, name, l.do}, nil
}

func (l *Limit) host(name string) *host {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hosts == nil {
		l.hosts = map[string]*host{}
	}
	if l.hosts[name] == nil {
		n := l.PerHost
		if n <= 0 {
			n = defaultPerHost
		}
		l.hosts[name] = &host{slots: make(chan struct{}, n)}
	}
	return l.hosts[name]
}

func (l *Limit) now() time.Time {
	if l.Now != nil {
		return l.Now()
	}
	return time.Now()
}

func (l *Limit) do(ctx context.Context, r Request, ask func() error) error {
	h := l.host(r.Host)
	select {
	case h.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-h.slots }()
	pause := l.Wait
	if pause == nil {
		pause = wait
	}
	for {
		d, asked := l.turn(h)
		if d <= 0 {
			break
		}
		if asked != nil && d > cmp.Or(l.MaxWait, defaultMaxWait) {
			refused := *asked
			refused.Operation, refused.Repository, refused.Reference, refused.RetryAfter = r.Operation, r.Repository, r.Reference, d
			return &refused
		}
		if err := pause(ctx, d); err != nil {
			return err
		}
	}
	err := ask()
	var failure *importer.RegistryError
	if errors.As(err, &failure) && failure.RetryAfter > 0 {
		h.mu.Lock()
		defer h.mu.Unlock()
		if until := l.now().Add(failure.RetryAfter); until.After(h.quiet) {
			h.quiet, h.asked = until, failure
		}
	}
	return err
}

// turn returns how long to wait, and the failure that asks for it, if one does, or takes the turn.
func (l *Limit) turn(h *host) (wait time.Duration, asked *importer.RegistryError) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := l.now()
	if h.quiet.After(now) {
		return h.quiet.Sub(now), h.asked
	}
	if l.PerSecond <= 0 {
		return 0, nil
	}
	interval := time.Duration(float64(time.Second) / l.PerSecond)
	earliest := now.Add(-time.Duration(max(l.Burst, 1)-1) * interval)
	if h.next.Before(earliest) {
		h.next = earliest
	}
	if d := h.next.Sub(now); d > 0 {
		return d, nil
	}
	h.next = h.next.Add(interval)
	return 0, nil
}
