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

// Limit bounds the requests to each host, at a time and a second. It obeys Retry-After: before that time no request
// is made; it waits, or fails at once if the time is long. It is safe for concurrent use, and its fields must not
// change while it is used.
type Limit struct {
	Registry importer.Registry
	// PerHost is how many requests are made to a host at a time; 0 is 8.
	PerHost int
	// PerSecond is how many requests are made to a host in a second, after a first Burst of them; 0 is no limit.
	PerSecond float64
	Burst     int
	// MaxWait is how long a request may wait for Retry-After; 0 is a minute. A request that would wait longer is not
	// made. It fails as the one with Retry-After did, with the time that is left.
	MaxWait time.Duration
	// Now is the clock; nil is time.Now. Wait waits for a time or until the context ends; nil waits by time.Now.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error

	mu    sync.Mutex
	hosts map[string]*host
}

const (
	defaultPerHost = 8
	defaultMaxWait = time.Minute
)

// host is the state of a host.
type host struct {
	slots chan struct{}

	mu sync.Mutex
	// next is when the next request is due by PerSecond. No request is made before quiet, because of the failure asked.
	next, quiet time.Time
	asked       *importer.RegistryError
}

// Repository implements [importer.Registry].
func (l *Limit) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
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
			refused.Operation, refused.Repository, refused.Reference = r.Operation, r.Repository, r.Reference
			refused.RetryAfter = d
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

// turn returns how long to wait, with the failure that asks for it if there is one. It takes the turn if that is 0.
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
