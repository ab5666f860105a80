package schedule

import (
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// betweenFresh is the time between two imports that are fetched while writes to the store fail. They would cost
// registries requests in vain, but one may succeed where those that wait cannot.
const betweenFresh = 10 * time.Minute

// storeState is the state of the store. While it fails nothing begins before until, and then one import at a time
// until one succeeds.
type storeState struct {
	failures backoff
	until    time.Time
	probed   bool      // a write that tries the store is under way
	fresh    time.Time // when an import was fetched last to try the store
	// successes counts imports; suspects has the streams that failed.
	successes int
	suspects  map[imagestream.Key]suspect
}

// suspect is a stream whose import the store failed. If it fails again after others succeeded, the failure is the
// stream's and not the store's, until it succeeds.
type suspect struct {
	successes int // of others, when it failed
	isWrong   bool
}

// failed handles a failure. One of many that were under way at the same time counts only if it is a probe.
func (s *storeState) failed(stream imagestream.Key, probe bool, now time.Time) {
	if s.suspects == nil {
		s.suspects = map[imagestream.Key]suspect{}
	}
	before, known := s.suspects[stream]
	isWrong := known && (before.isWrong || s.successes > before.successes)
	s.suspects[stream] = suspect{s.successes, isWrong}
	if isWrong || s.until.After(now) && !probe {
		return
	}
	s.until = now.Add(s.failures.next())
}

func (s *storeState) answered(stream imagestream.Key) {
	delete(s.suspects, stream)
	s.successes++
	s.failures, s.until, s.fresh = 0, time.Time{}, time.Time{}
}

// backoff counts failures in a row.
type backoff int

// next counts a failure and returns how long to wait: a second, doubled each time up to two minutes.
func (b *backoff) next() time.Duration {
	*b++
	return b.wait()
}

func (b *backoff) wait() time.Duration {
	return min(time.Second<<min(max(*b-1, 0), 7), 2*time.Minute)
}
