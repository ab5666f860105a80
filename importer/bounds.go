package importer

import (
	"cmp"
	"fmt"
	"sync/atomic"
	"time"
)

// Bounds limit what one import takes from registries. A zero field means its default. A manifest may always have
// 4 MiB, a configuration 8 MiB and a repository 100,000 tags.
type Bounds struct {
	// Children is how many images a manifest list may have in mode PreserveOriginal; 0 is 256.
	Children int
	// ListBytes is how many bytes may be read for one such list, and Bytes for one import; 0 is 32 MiB and 512 MiB.
	// The requests under way when the limit is reached, [FetchOptions.Concurrency] for each host, come on top.
	ListBytes, Bytes int64
	// ListTime is how long one such list may take, and Time one import; 0 is 10 minutes and an hour. What is
	// answered in time is imported. Where credentials are wrong and everything is asked again without them, both
	// rounds have these limits.
	ListTime, Time time.Duration
	// Failures is how many requests in a row a host may leave unanswered before the import gives it up; 0 is 16. The
	// remaining questions for the host then fail as the last one did.
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

// budget counts the bytes that are read.
type budget struct {
	limit  int64
	what   string
	within *budget // the whole that it is part of, or nil
	taken  atomic.Int64
}

func newBudget(limit int64, what string, within *budget) *budget {
	return &budget{limit: limit, what: what, within: within}
}

// take counts n bytes, and returns an error if they are too many.
func (b *budget) take(n int64) error {
	if b == nil {
		return nil
	}
	if b.taken.Add(n) > b.limit {
		return fmt.Errorf("%s has more than %d bytes", b.what, b.limit)
	}
	return b.within.take(n)
}
