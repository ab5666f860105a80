package etcd_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

const (
	chaosClients  = 8
	chaosWatchers = 3
	chaosStreams  = 3
	// chaosProgress is how many writes must be acknowledged while a fault lasts, and after it.
	chaosProgress = 30
)

// op is a get or an update of a stream, by the marks of its states: each update leaves its own.
type op struct {
	stream   int
	update   bool
	from, to string
}

// outcome is how an op ended.
type outcome struct {
	mark     string // what a get saw
	done     bool   // an update that was acknowledged
	conflict bool   // an update that was refused
}

// swapModel is a register for each stream that is read, and compared and swapped. An update without an answer may have been done.
var swapModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, chaosStreams)
		for _, o := range history {
			i := o.Input.(op).stream
			parts[i] = append(parts[i], o)
		}
		return parts
	},
	Init: func() any { return "start" },
	Step: func(state, input, output any) (bool, any) {
		in, out, at := input.(op), output.(outcome), state.(string)
		switch {
		case !in.update:
			return out.mark == at, at
		case out.done:
			return in.from == at, in.to
		case out.conflict:
			return in.from != at, at
		case in.from == at:
			return true, in.to
		}
		return true, at
	},
}

// chaos is a run of clients and watchers on a cluster that suffers.
type chaos struct {
	t            *testing.T
	cluster      *etcdserver.Cluster
	acknowledged atomic.Int64

	mu      sync.Mutex
	history []porcupine.Operation
	from    map[string]string // what each update was made from, acknowledged or not
	acked   []string
}

func (c *chaos) key(stream int) imagestream.Key {
	return imagestream.Key{Namespace: "shop", Name: fmt.Sprint("s", stream)}
}

// store returns the store through a client of its own, which prefers another member than the next one's.
func (c *chaos) store(n int) *etcd.Store {
	endpoints := c.cluster.Endpoints()
	return etcd.New(connect(c.t, slices.Concat(endpoints[n%3:], endpoints[:n%3])...), etcd.Options{})
}

func (c *chaos) record(client int, in op, out outcome, call int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: out, Return: time.Since(begun).Nanoseconds()})
}

var begun = time.Now()

// client reads and updates streams until ctx ends.
func (c *chaos) client(ctx context.Context, n int) {
	s := c.store(n)
	for i := 0; ctx.Err() == nil; i++ {
		stream := rand.N(chaosStreams)
		call := time.Since(begun).Nanoseconds()
		old, err := c.get(ctx, s, stream)
		if err != nil {
			continue
		}
		at := old.Metadata.Annotations["n"]
		c.record(n, op{stream: stream}, outcome{mark: at}, call)
		in := op{stream: stream, update: true, from: at, to: fmt.Sprintf("%d-%d", n, i)}
		c.mu.Lock()
		c.from[in.to] = at
		c.mu.Unlock()
		call = time.Since(begun).Nanoseconds()
		old.Metadata.Annotations["from"] = at
		opCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
		_, err = bump(opCtx, s, old, in.to)
		cancel()
		out := outcome{done: err == nil, conflict: errors.Is(err, imagestream.ErrConflict)}
		if out.done || out.conflict {
			c.record(n, in, out, call)
		} else {
			c.unknown(n, in, call)
		}
		if out.done {
			c.acknowledged.Add(1)
			c.mu.Lock()
			c.acked = append(c.acked, in.to)
			c.mu.Unlock()
		}
	}
}

func (c *chaos) get(ctx context.Context, s *etcd.Store, stream int) (*imagestream.ImageStream, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.GetImageStream(ctx, c.key(stream))
}

// unknown records an update that may take effect at any time from its call on.
func (c *chaos) unknown(client int, in op, call int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.history = append(c.history, porcupine.Operation{ClientId: client, Input: in, Call: call, Output: outcome{}, Return: 1 << 62})
}

// watcher follows all streams, lists again when it is told to, and checks that each change it sees follows the one before. It ends
// when it has seen the last mark of each stream, which finish leaves.
func (c *chaos) watcher(ctx context.Context, n int) (changes, lists int, err error) {
	s := c.store(n)
	seen := make([]string, chaosStreams)
	for {
		list, err := s.ListImageStreams(ctx, imagestream.ListOptions{})
		if ctx.Err() != nil {
			return changes, lists, ctx.Err()
		}
		if err != nil {
			continue
		}
		for i := range list.Items {
			seen[i] = list.Items[i].Metadata.Annotations["n"]
		}
		lists++
		for change, err := range s.WatchImageStreams(ctx, imagestream.WatchOptions{ResourceVersion: list.Metadata.ResourceVersion}) {
			if errors.Is(err, imagestream.ErrGone) {
				break
			}
			if err != nil {
				return changes, lists, err
			}
			if change.Type != imagestream.Bookmark {
				m := change.Object.Metadata
				i, _ := strconv.Atoi(m.Name[1:])
				if m.Annotations["from"] != seen[i] {
					return changes, lists, fmt.Errorf("watcher %d: %s went from %s to %s, and %s was seen last", n, m.Name, m.Annotations["from"], m.Annotations["n"], seen[i])
				}
				seen[i] = m.Annotations["n"]
				changes++
			}
			if slices.IndexFunc(seen, func(mark string) bool { return !strings.HasPrefix(mark, "last") }) < 0 {
				return changes, lists, nil
			}
		}
	}
}

// progress waits until more writes were acknowledged.
func (c *chaos) progress() {
	c.t.Helper()
	until := c.acknowledged.Load() + chaosProgress
	for begin := time.Now(); c.acknowledged.Load() < until; time.Sleep(time.Millisecond) {
		if time.Since(begin) > 2*time.Minute {
			c.t.Fatal("nothing goes on any more")
		}
	}
}

// leader returns the member that leads.
func (c *chaos) leader(client *clientv3.Client) *etcdserver.Member {
	c.t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		for i, m := range c.cluster.Members {
			ctx, cancel := context.WithTimeout(c.t.Context(), time.Second)
			status, err := client.Status(ctx, m.Endpoint)
			cancel()
			if err == nil && status.Leader == status.Header.MemberId {
				return c.cluster.Members[i]
			}
		}
	}
	c.t.Fatal("no member leads")
	return nil
}

// suffer does one thing to the cluster, and undoes it after some progress.
func (c *chaos) suffer(fault string, client *clientv3.Client) {
	c.t.Helper()
	victim := c.cluster.Members[rand.N(len(c.cluster.Members))]
	must := func(err error) {
		c.t.Helper()
		if err != nil {
			c.t.Fatal(err)
		}
	}
	switch fault {
	case "leader killed":
		victim = c.leader(client)
		victim.Kill()
		c.progress()
		must(victim.Restart())
	case "network cut":
		victim.Cut()
		c.progress()
		victim.Mend()
	case "slow member":
		must(victim.Pause())
		c.progress()
		must(victim.Resume())
	case "slow leader":
		victim = c.leader(client)
		must(victim.Pause())
		c.progress()
		must(victim.Resume())
	case "compaction behind a cut":
		victim.Cut()
		c.progress()
		c.compact(client)
		victim.Mend()
	case "compaction":
		c.compact(client)
	}
	c.progress()
}

// compact makes etcd forget all but the newest revision, through whichever member answers.
func (c *chaos) compact(client *clientv3.Client) {
	c.t.Helper()
	for begin := time.Now(); time.Since(begin) < time.Minute; {
		ctx, cancel := context.WithTimeout(c.t.Context(), 2*time.Second)
		resp, err := client.Get(ctx, "x")
		if err == nil {
			_, err = client.Compact(ctx, resp.Header.Revision)
		}
		cancel()
		if err == nil {
			return
		}
	}
	c.t.Fatal("etcd cannot be compacted")
}

// TestChaos has eight clients and three watchers on three members, of which leaders are killed, stopped and cut off. Every acknowledged
// write must stand in the chain of writes that leads to what is stored at last; the histories must be linearizable; every watcher must see
// each link of the chain, or be told to list again. CHAOS is how many faults there are, 6 by default.
func TestChaos(t *testing.T) {
	faults := []string{"leader killed", "network cut", "slow member", "compaction", "slow leader", "compaction behind a cut"}
	rounds := len(faults)
	if n, err := strconv.Atoi(os.Getenv("CHAOS")); err == nil {
		rounds = n
	}
	c := &chaos{t: t, cluster: etcdserver.Start(t, 3), from: map[string]string{}}
	s := c.store(0)
	for i := range chaosStreams {
		stream := newStream("shop", c.key(i).Name)
		stream.Metadata.Annotations["n"] = "start"
		if _, err := s.CreateImageStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients, watchers sync.WaitGroup
	for n := range chaosClients {
		clients.Go(func() { c.client(ctx, n) })
	}
	watched, cancel := context.WithCancel(t.Context())
	defer cancel()
	for n := range chaosWatchers {
		watchers.Go(func() {
			changes, lists, err := c.watcher(watched, n)
			if err != nil {
				t.Error(err)
			}
			t.Logf("watcher %d saw %d changes and listed %d times", n, changes, lists)
		})
	}
	c.progress()
	client := connect(t, c.cluster.Endpoints()...)
	for i := range rounds {
		c.suffer(faults[i%len(faults)], client)
	}
	stop()
	clients.Wait()
	c.finish(s)
	patience := time.AfterFunc(time.Minute, cancel)
	defer patience.Stop()
	watchers.Wait()
}

// finish writes each stream once more, at which watchers end, and checks what was recorded.
func (c *chaos) finish(s *etcd.Store) {
	marks := make([]string, chaosStreams)
	chain := map[string]bool{}
	for i := range chaosStreams {
		for marks[i] == "" {
			stream, err := s.GetImageStream(c.t.Context(), c.key(i))
			if err != nil {
				c.t.Fatal(err)
			}
			at, to := stream.Metadata.Annotations["n"], fmt.Sprint("last-", i)
			stream.Metadata.Annotations["from"] = at
			switch _, err = bump(c.t.Context(), s, stream, to); {
			case err == nil:
				marks[i], c.from[to] = to, at
			case !errors.Is(err, imagestream.ErrConflict): // an update that was not answered comes this late
				c.t.Fatal(err)
			}
		}
		for at := marks[i]; at != "start"; at = c.from[at] {
			if at == "" || chain[at] {
				c.t.Fatalf("the chain of %s breaks or bites itself", c.key(i))
			}
			chain[at] = true
		}
	}
	for _, mark := range c.acked {
		if !chain[mark] {
			c.t.Errorf("the acknowledged write %s is lost", mark)
		}
	}
	result, _ := porcupine.CheckOperationsVerbose(swapModel, c.history, time.Minute)
	c.t.Logf("%d operations of %d clients, %d writes acknowledged, %d in the chain: linearizable %s", len(c.history), chaosClients, len(c.acked), len(chain), result)
	if result != porcupine.Ok {
		c.t.Error("the histories are not linearizable")
	}
}
