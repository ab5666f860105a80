package kube_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/imagestreams/imagestreams/adapters/kube"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/kubeserver"
)

// count updates a stream to the numbers up to last, one after the other, whatever happens to the cluster. It tells of
// each that was done, and fails if one of them is lost or done twice.
func count(ctx context.Context, s *kube.Store, stream *imagestream.ImageStream, last int, done func()) error {
	for n := 1; n <= last; {
		next, err := bump(ctx, s, stream, n)
		if errors.Is(err, imagestream.ErrConflict) {
			return fmt.Errorf("%s: %d conflicts with a write of nobody: %w", stream.Key(), n, err)
		}
		if err != nil { // it was done or not
			if next, err = read(ctx, s, stream.Key()); err != nil {
				return err
			}
		}
		switch mark := next.Metadata.Annotations["n"]; mark {
		case fmt.Sprint(n):
			n++
			done()
		case fmt.Sprint(n - 1):
		default:
			return fmt.Errorf("%s is at %s after %d was sent", stream.Key(), mark, n)
		}
		stream = next
	}
	return nil
}

// read gets a stream, as soon as the cluster answers.
func read(ctx context.Context, s *kube.Store, key imagestream.Key) (*imagestream.ImageStream, error) {
	for {
		stream, err := s.GetImageStream(ctx, key)
		if err == nil || errors.Is(err, imagestream.ErrNotFound) || ctx.Err() != nil {
			return stream, err
		}
	}
}

// TestKilledUnderWriters kills the server while streams are written and watched: no acknowledged write is lost, none is
// done twice, and the watch reports every one, or says that it cannot. KUBE_KILLED is how often; 3 by default.
func TestKilledUnderWriters(t *testing.T) {
	const writers = 4
	kills := 3
	if text := os.Getenv("KUBE_KILLED"); text != "" {
		var err error
		if kills, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	t.Parallel()
	each := 15 * (kills + 1)
	server := kubeserver.Start(t)
	if err := server.Define(kube.Definitions()); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	watching := connect(t, configOf(server))
	var written atomic.Int64
	kill := make(chan bool, kills)
	var all sync.WaitGroup
	for w := range writers {
		s := connect(t, configOf(server))
		stream := mustCreate(t, s, fmt.Sprint("s", w))
		all.Go(func() {
			err := count(ctx, s, stream, each, func() {
				if n := written.Add(1); n%(writers*15) == 0 && n < int64(writers*each) {
					kill <- true
				}
			})
			if err != nil {
				t.Error(err)
				stop()
			}
		})
	}
	all.Go(func() {
		for range kills {
			select {
			case <-kill:
			case <-ctx.Done():
				return
			}
			server.Kill()
			if err := server.Restart(); err != nil {
				t.Error(err)
				stop()
			}
		}
	})
	gone := follow(ctx, t, watching, writers, each)
	all.Wait()
	if gone > kills {
		t.Errorf("the watch was to list again %d times after %d kills", gone, kills)
	}
	t.Logf("%d writes by %d writers, %d kills of the server, %d times the watch was to list again",
		writers*each, writers, kills, gone)
}

// follow watches until each stream is at last, and holds that no stream leaves out a number, but where the watch says
// so. It returns how often it did.
func follow(ctx context.Context, t *testing.T, s *kube.Store, streams, last int) (gone int) {
	t.Helper()
	at := map[string]int{}
	done := func() bool {
		n := 0
		for _, mark := range at {
			if mark == last {
				n++
			}
		}
		return n == streams
	}
	for !done() && ctx.Err() == nil {
		first := map[string]bool{} // what the watch has shown since it was begun
		for change, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{}) {
			if errors.Is(err, imagestream.ErrGone) {
				gone++
				break
			}
			if err != nil && (len(first) == 0 || ctx.Err() != nil) { // the cluster is away while the watch begins
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if change.Type == imagestream.Bookmark {
				continue
			}
			name := change.Object.Metadata.Name
			mark, _ := strconv.Atoi(change.Object.Metadata.Annotations["n"])
			if first[name] && mark != at[name]+1 || mark < at[name] {
				t.Errorf("%s is at %d after %d", name, mark, at[name])
			}
			at[name], first[name] = mark, true
			if done() {
				break
			}
		}
	}
	return gone
}
