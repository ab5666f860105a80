package oci

import (
	"context"
	"sync"
	"time"
)

// patience is how long a question waits for the first one of its repository to be answered.
const patience = 2 * time.Second

// gate lets the questions of a repository wait for the first one, so that a token is asked for once. It opens with the
// first answer of any kind, or when somebody asks with a token that all others can use. A request that has waited long enough goes
// in without.
type gate struct {
	turn   chan struct{} // has a member while somebody is the first
	opened chan struct{}
	once   sync.Once
}

func newGate() *gate {
	return &gate{turn: make(chan struct{}, 1), opened: make(chan struct{})}
}

func (g *gate) open() { g.once.Do(func() { close(g.opened) }) }

// enter returns when a question may be asked. Leave is to be called when it is done.
func (g *gate) enter(ctx context.Context) (leave func(), err error) {
	free := func() {}
	select {
	case <-g.opened:
		return free, ctx.Err()
	default:
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-g.opened:
		return free, nil
	case g.turn <- struct{}{}:
		return func() { <-g.turn }, nil
	case <-timer.C:
		return free, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
