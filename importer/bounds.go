package importer

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"
)

// Bounds are what an import may take from registries. A zero field means its default. Besides, a manifest has at most 4 MiB, a
// configuration 8 MiB, and a repository 100,000 tags.
type Bounds struct {
	// Children is how many images a manifest list may have that is imported with all of them; 0 is 256.
	Children int
	// ListBytes is how much may be read for one such list, Bytes for one import; 0 is 32 MiB and 512 MiB. What is
	// being read when that is reached adds to it: a configuration for each of [FetchOptions.Concurrency].
	ListBytes, Bytes int64
	// ListTime is how long the images of one such list may take, Time one import; 0 is 10 minutes and an hour. What
	// was answered in time is imported.
	ListTime, Time time.Duration
	// Failures is how often in a row a host may fail to answer before the import asks it no more; 0 is 16. What is
	// not asked fails as the last question did.
	Failures int
}

func (b Bounds) withDefaults() Bounds {
	return Bounds{
		Children:  cmp.Or(b.Children, 256),
		ListBytes: cmp.Or(b.ListBytes, 32<<20), Bytes: cmp.Or(b.Bytes, 512<<20),
		ListTime: cmp.Or(b.ListTime, 10*time.Minute), Time: cmp.Or(b.Time, time.Hour),
		Failures: cmp.Or(b.Failures, 16),
	}
}

// budget counts bytes that are read.
type budget struct {
	limit  int64
	what   string
	within *budget // that it is a part of; nil if there is none
	taken  atomic.Int64
}

func newBudget(limit int64, what string, within *budget) *budget {
	return &budget{limit: limit, what: what, within: within}
}

// take counts n bytes. An error says that they are too many.
func (b *budget) take(n int64) error {
	if b == nil {
		return nil
	}
	if b.taken.Add(n) > b.limit {
		return fmt.Errorf("%s takes more than %d bytes", b.what, b.limit)
	}
	return b.within.take(n)
}
