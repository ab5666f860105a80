package schedule

import (
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// betweenFresh is how long a failing store is left alone by imports that are not fetched yet, so that they cost no registry a
// request in vain. Now and then one is let through, in case that only what was fetched cannot be stored.
const betweenFresh = 10 * time.Minute

// storeState is how the store fares. While it fails nothing begins before until, and then one import after the other, until one
// succeeds.
type storeState struct {
	failures backoff
	until    time.Time
	probed   bool      // a write is under way that shows how the store is
	fresh    time.Time // when an import was let through last that was not fetched
	// successes counts imports; suspects has the streams that failed.
	successes int
	suspects  map[imagestream.Key]suspect
}

// suspect is a stream that the store failed. If it does so again after others succeeded, the stream is what is wrong, and not the
// store, until it succeeds.
type suspect struct {
	successes int // of others, when it failed
	isWrong   bool
}

// failed takes in a failure for a stream, which says nothing new if it is one of many that were under way, and not a probe.
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

// next counts a failure, and returns how long to wait: a second, and twice as long each time, up to two minutes.
func (b *backoff) next() time.Duration {
	*b++
	return b.wait()
}

func (b *backoff) wait() time.Duration {
	return min(time.Second<<min(max(*b-1, 0), 7), 2*time.Minute)
}
