package importer

import (
	"context"
	"sync"
)

// repositories has every repository of an import once, however many questions it is asked.
type repositories struct {
	registry Registry

	mu     sync.Mutex
	opened map[repositoryKey]*opened
}

type repositoryKey struct {
	name     string
	insecure bool
}

type opened struct {
	once       sync.Once
	repository Repository
	err        error
}

func newRepositories(registry Registry) *repositories {
	return &repositories{registry: registry, opened: map[repositoryKey]*opened{}}
}

func (r *repositories) get(ctx context.Context, q Question) (Repository, error) {
	key := repositoryKey{q.Repository.Name(), q.Insecure}
	r.mu.Lock()
	o := r.opened[key]
	if o == nil {
		o = &opened{}
		r.opened[key] = o
	}
	r.mu.Unlock()
	o.once.Do(func() {
		o.repository, o.err = r.registry.Repository(ctx, q.Repository, Access{Insecure: q.Insecure})
	})
	return o.repository, o.err
}
