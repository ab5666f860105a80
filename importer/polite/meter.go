package polite

import (
	"context"
	"errors"
	"maps"
	"sync"

	"github.com/distribution/reference"

	"github.com/imagestreams/imagestreams/importer"
)

// ErrBudget is the cause of a failure by the budget of a [Meter].
var ErrBudget = errors.New("the budget of requests is used up")

// Meter counts requests and refuses those over a budget. It is safe for concurrent use, and its fields must not
// change while it is used.
type Meter struct {
	Registry importer.Registry
	// Budget is how many requests may be made to each host until [Meter.Reset]; 0 is no limit.
	Budget int

	mu    sync.Mutex
	hosts map[string]map[importer.Operation]int
}

// Repository implements [importer.Registry].
func (m *Meter) Repository(
	ctx context.Context, name reference.Named, access importer.Access,
) (importer.Repository, error) {
	repository, err := m.Registry.Repository(ctx, name, access)
	if err != nil {
		return nil, err
	}
	return &around{repository, name, m.do}, nil
}

func (m *Meter) do(_ context.Context, r Request, ask func() error) error {
	if !m.count(r) {
		return &importer.RegistryError{
			Operation: r.Operation, Class: importer.ClassTooManyRequests, Repository: r.Repository,
			Reference: r.Reference, Err: ErrBudget,
		}
	}
	return ask()
}

// count counts a request, and reports whether it is within the budget.
func (m *Meter) count(r Request) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hosts == nil {
		m.hosts = map[string]map[importer.Operation]int{}
	}
	counts := m.hosts[r.Host]
	if counts == nil {
		counts = map[importer.Operation]int{}
		m.hosts[r.Host] = counts
	}
	if m.Budget > 0 {
		total := 0
		for _, n := range counts {
			total += n
		}
		if total >= m.Budget {
			return false
		}
	}
	counts[r.Operation]++
	return true
}

// Counts returns how many requests were made, by host and operation.
func (m *Meter) Counts() map[string]map[importer.Operation]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := make(map[string]map[importer.Operation]int, len(m.hosts))
	for host, operations := range m.hosts {
		counts[host] = maps.Clone(operations)
	}
	return counts
}

// Reset sets all counts to 0.
func (m *Meter) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hosts = nil
}
