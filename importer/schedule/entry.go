package schedule

import (
	"cmp"
	"errors"
	"hash/fnv"
	"slices"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/tagevent"
)

// entry is a tag.
type entry struct {
	stream   imagestream.Key
	uid      string
	tag      string
	source   string
	host     *host
	interval time.Duration
	// scheduled tags are due again and again; others only until they are imported.
	scheduled bool
	// behind reports whether the stream waits for the import of generation. asked is the generation that was handed
	// out last; the stream shows its outcome only later.
	behind            bool
	generation, asked int64
	due               time.Time
	turns             uint64 // that it had
	failures          int    // in a row
	stalls            backoff
	place             int // in the heap of its host, or out or parked
}

// Places of a tag that does not wait.
const (
	out    = -1 // it is being imported
	parked = -2 // it is not due until it changes
)

// whole is the tag that stands for all that a stream needs.
const whole = ""

// noGeneration is the generation of a tag that has none, and neverAsked that of one that was never handed out.
const (
	noGeneration = -1
	neverAsked   = -2
)

// isNew reports whether the stream waits for a generation of the tag that was not handed out yet.
func (e *entry) isNew() bool { return e.behind && e.generation > e.asked }

// wanted returns the tags of a stream that must be imported, now or later.
func (s *Scheduler) wanted(stream *imagestream.ImageStream) []entry {
	var all []entry
	var behindNow map[string]bool
	if s.opts.Needs {
		behindNow = behind(stream)
	}
	if behindNow[whole] {
		all = append(all, entry{tag: whole, source: stream.Spec.DockerImageRepository, interval: s.opts.Interval,
			behind: true, generation: noGeneration})
	}
	histories := map[string]tagevent.History{}
	for _, h := range stream.Status.Tags {
		histories[h.Tag] = h
	}
	for _, tag := range stream.Spec.Tags {
		if !importer.IsImportable(tag) {
			continue
		}
		h := histories[tag.Name]
		latest, _ := h.Latest()
		scheduled := importer.IsScheduled(tag, latest)
		if !scheduled && !behindNow[tag.Name] && !(s.opts.Needs && !s.opts.NoRetry && hasFailed(h)) {
			continue
		}
		e := entry{tag: tag.Name, source: tag.From.Name, interval: s.opts.Interval, scheduled: scheduled,
			behind: behindNow[tag.Name], generation: noGeneration}
		if s.opts.TagInterval != nil {
			e.interval = cmp.Or(s.opts.TagInterval(stream.Key(), tag), e.interval)
		}
		if tag.Generation != nil {
			e.generation = *tag.Generation
		}
		all = append(all, e)
	}
	for i := range all {
		all[i].stream, all[i].uid, all[i].asked = stream.Key(), stream.Metadata.UID, neverAsked
	}
	return all
}

// hasFailed reports whether the last import of a tag may have failed for a time only. The API calls all such failures
// internal errors; their class is not in the stream.
func hasFailed(h tagevent.History) bool {
	return slices.ContainsFunc(h.Conditions, func(c tagevent.Condition) bool {
		return c.Type == tagevent.ImportSuccess && c.Status == tagevent.ConditionFalse &&
			c.Reason == string(imagestream.ReasonInternalError)
	})
}

// isTemporary reports whether an import that failed may succeed without a change of the stream.
func isTemporary(err error) bool {
	var failure *importer.RegistryError
	if errors.As(err, &failure) {
		return failure.IsTemporary()
	}
	for _, final := range []error{imagestream.ErrInvalid, imagestream.ErrTooLarge, importer.ErrFailed} {
		if errors.Is(err, final) {
			return false
		}
	}
	var tag *importer.TagError
	return !errors.As(err, &tag)
}

// backoff counts a failure, and returns how long the tag must wait.
func (s *Scheduler) backoff(e *entry, err error, now time.Time) time.Duration {
	first := 2 * e.interval
	var failure *importer.RegistryError
	if errors.As(err, &failure) && failure.RetryAfter > 0 {
		if until := now.Add(failure.RetryAfter); until.After(e.host.quiet) {
			e.host.quiet = until
			s.settle(e.host)
		}
	}
	if failure != nil && failure.IsTemporary() || !e.scheduled {
		first = min(firstRetry, e.interval)
	}
	wait := first
	for range e.failures {
		if wait *= 2; wait > s.opts.MaxBackoff {
			break
		}
	}
	e.failures++
	return min(wait, max(s.opts.MaxBackoff, e.interval))
}

func before(a, b *entry) bool {
	return cmp.Or(a.due.Compare(b.due), a.stream.Compare(b.stream), cmp.Compare(a.tag, b.tag)) < 0
}

// chance is a number from 0 to 1 for this turn of the tag.
func (e *entry) chance() float64 {
	h := fnv.New64a()
	for _, part := range []string{e.stream.Namespace, e.stream.Name, e.tag, string(rune(e.turns))} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	x := h.Sum64()
	x ^= x >> 33 // the upper bits of similar names hardly differ
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return float64(x>>11) / (1 << 53)
}
