package importer

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"golang.org/x/sync/errgroup"
)

// each calls do for each index below n, at most limit at a time, and returns when all have returned. It then panics
// in the caller's goroutine if one of them panicked, so that the caller can recover.
func each(n, limit int, do func(i int)) {
	var g errgroup.Group
	g.SetLimit(limit)
	var once sync.Once
	var panicked *Panic
	for i := range n {
		g.Go(func() error {
			defer func() {
				if v := recover(); v != nil {
					p, ok := v.(*Panic) // of a goroutine of this one
					if !ok {
						p = &Panic{v, debug.Stack()}
					}
					once.Do(func() { panicked = p })
				}
			}()
			do(i)
			return nil
		})
	}
	_ = g.Wait() // no function returns an error
	if panicked != nil {
		panic(panicked)
	}
}

// Panic is the value that [Fetch] panics with after a panic in one of its goroutines.
type Panic struct {
	Value any
	Stack []byte // of the goroutine
}

// Error returns the value.
func (p *Panic) Error() string { return fmt.Sprintf("panic: %v", p.Value) }

// firstFailure calls do for each index below n, at most limit at a time, and returns the error of the lowest index
// that fails. When one fails, those after it are cancelled or not begun, since they cannot decide any more.
func firstFailure(ctx context.Context, n, limit int, do func(ctx context.Context, i int) error) error {
	var mu sync.Mutex
	failed, failure := n, error(nil)
	running := map[int]context.CancelFunc{}
	begin := func(i int) (context.Context, bool) {
		mu.Lock()
		defer mu.Unlock()
		if i > failed {
			return nil, false
		}
		within, cancel := context.WithCancel(ctx)
		running[i] = cancel
		return within, true
	}
	end := func(i int, err error) {
		mu.Lock()
		defer mu.Unlock()
		running[i]()
		delete(running, i)
		if err == nil || i > failed {
			return
		}
		failed, failure = i, err
		for later, cancel := range running {
			if later > i {
				cancel()
			}
		}
	}
	each(n, limit, func(i int) {
		if within, ok := begin(i); ok {
			var err error
			defer func() { end(i, err) }()
			err = do(within, i)
		}
	})
	return failure
}
