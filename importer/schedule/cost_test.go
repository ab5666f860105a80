package schedule

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer"
)

// crowd returns a scheduler with so many scheduled tags, each of a stream of its own, at so many hosts.
func crowd(tags, hosts int) *Scheduler {
	s := New(Options{Needs: true})
	s.share = defaultPerHost
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	generation := int64(1)
	for i := range tags {
		stream := &imagestream.ImageStream{}
		stream.Metadata.Namespace, stream.Metadata.Name = "shop", fmt.Sprint("app-", i)
		stream.Spec.Tags = []imagestream.TagReference{{
			Name: "v1", From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
				Name: fmt.Sprintf("registry-%d.io/org/app:%d", i%hosts, i)},
			ImportPolicy: imagestream.TagImportPolicy{Scheduled: true}, Generation: &generation,
		}}
		s.Set(stream, now)
	}
	return s
}

// step does what a Loop does for one import that is due.
func step(s *Scheduler, err error) bool {
	now, _ := s.Next()
	turn, ok := s.turn(now)
	if !ok {
		return false
	}
	s.Done(turn.Stream, turn.Tags[0], err, now)
	s.giveBack(turn)
	return true
}

// TestATurnCostsTheLogarithm counts the comparisons of a turn, of which one in ten fails and makes its host wait.
func TestATurnCostsTheLogarithm(t *testing.T) {
	busy := &importer.RegistryError{Class: importer.ClassTooManyRequests, RetryAfter: time.Minute}
	for _, size := range []struct{ tags, hosts int }{{1000, 1}, {1000, 100}, {16_000, 1}, {16_000, 16},
		{16_000, 16_000}} {
		s := crowd(size.tags, size.hosts)
		s.compared = 0
		const turns = 5000
		for i := range turns {
			err := error(nil)
			if i%10 == 0 {
				err = busy
			}
			if !step(s, err) {
				t.Fatal("nothing is due")
			}
		}
		most := 12 * math.Log2(float64(size.tags))
		if each := float64(s.compared) / turns; each > most {
			t.Errorf("%d tags at %d hosts: %.0f comparisons a turn, want at most %.0f", size.tags, size.hosts, each,
				most)
		}
	}
}

// TestAHostThatIsGoneIsForgotten lets hosts come and go: one that asked to be left alone is remembered for that time,
// and none longer.
func TestAHostThatIsGoneIsForgotten(t *testing.T) {
	s := crowd(100, 100)
	for range 100 {
		step(s, &importer.RegistryError{Class: importer.ClassTooManyRequests, RetryAfter: time.Hour})
	}
	for i := range 100 {
		s.Remove(imagestream.Key{Namespace: "shop", Name: fmt.Sprint("app-", i)})
	}
	if len(s.hosts) != 100 {
		t.Errorf("%d hosts are remembered", len(s.hosts))
	}
	now, ok := s.Next()
	for range 200 {
		if _, due := s.turn(now.Add(2 * time.Hour)); due {
			t.Fatal("something is due")
		}
	}
	if !ok || len(s.hosts) != 0 || len(s.waiting) != 0 || len(s.streams) != 0 {
		t.Errorf("%d hosts, %d streams are left", len(s.hosts), len(s.streams))
	}
}

// BenchmarkTurn is what a Loop adds to an import.
func BenchmarkTurn(b *testing.B) {
	for _, n := range []int{1000, 16_000, 256_000} {
		b.Run(fmt.Sprintf("tags=%d", n), func(b *testing.B) {
			s := crowd(n, n/10)
			b.ReportAllocs()
			for b.Loop() {
				step(s, nil)
			}
		})
	}
}
