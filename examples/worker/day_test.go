package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/imagestreams/imagestreams/adapters/etcd"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
	"github.com/imagestreams/imagestreams/internal/etcdserver"
)

// number returns a number of the environment, by which "make torture" makes a test long.
func number(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// journal follows what workers write into etcd.
type journal struct {
	watch   clientv3.WatchChan
	holders map[string]string          // the worker that has claimed a place
	records map[string]schedule.Record // by place
	// done has who imported a tag, "app-1:v0", in the order in which that was recorded, and at how many records before.
	done  map[string][]recorded
	total int
}

type recorded struct {
	worker string
	after  int
	at     time.Time // when the test heard of it
}

func newJournal(ctx context.Context, client *clientv3.Client) *journal {
	return &journal{holders: map[string]string{}, records: map[string]schedule.Record{}, done: map[string][]recorded{},
		watch: client.Watch(ctx, "/imagestreams-worker/", clientv3.WithPrefix(), clientv3.WithRev(1))}
}

// read reads what happened since, at least one event.
func (j *journal) read(t *testing.T) {
	t.Helper()
	select {
	case resp, ok := <-j.watch:
		if !ok || resp.Err() != nil {
			t.Fatalf("the watch ended: %v", resp.Err())
		}
		for _, e := range resp.Events {
			j.event(t, e)
		}
	case <-time.After(patience):
		t.Fatalf("nothing happens any more; claimed are %v", j.holders)
	}
}

func (j *journal) event(t *testing.T, e *clientv3.Event) {
	key := string(e.Kv.Key)
	if place, ok := strings.CutPrefix(key, claimsPrefix); ok {
		if holder := j.holders[place]; e.Type == clientv3.EventTypePut && holder != "" {
			t.Errorf("%s claims %q, which %s has", e.Kv.Value, place, holder)
		}
		delete(j.holders, place)
		if e.Type == clientv3.EventTypePut {
			j.holders[place] = string(e.Kv.Value)
		}
		return
	}
	place := strings.TrimPrefix(key, turnsPrefix)
	var next schedule.Record
	if err := json.Unmarshal(e.Kv.Value, &next); err != nil {
		t.Fatal(err)
	}
	stream := strings.Split(place, "\x00")[1]
	for tag, state := range next.Tags {
		if before, ok := j.records[place].Tags[tag]; ok && before.Turns == state.Turns {
			continue
		}
		name := stream + ":" + tag
		j.done[name] = append(j.done[name], recorded{j.holders[place], j.total, time.Now()})
		j.total++
	}
	j.records[place] = next
}

// fewest and most return how often the tag was imported that was imported least and most often.
func (j *journal) fewest() int {
	n := j.total
	for _, done := range j.done {
		n = min(n, len(done))
	}
	return n
}

func (j *journal) most() (n int) {
	for _, done := range j.done {
		n = max(n, len(done))
	}
	return n
}

// TestThreeWorkers runs three workers on one etcd, and kills one of them again and again, as a rule while it imports.
// Each third time it also stops the process of another one until the next is killed: its lease may end meanwhile.
// An interval of 3 seconds stands for 15 minutes, so that a day is 96 times as long; leases of 2 seconds then stand for
// 10 minutes, which is much harder than the default. WORKER_ROUNDS is how often every tag must be imported.
//
// Each request of a registry for a tag is paired with the record of its outcome. Every tag is imported again and again;
// no import that was recorded came before the interval had passed since the one before; a request without a record
// is the last one that a killed worker made for the tag, or one of a worker that says that it lost its lease, because it
// was stopped or the machine is too busy; and tags that move are seen, in order.
func TestThreeWorkers(t *testing.T) {
	t.Parallel()
	const interval, latency, streams, perKill, perMove = 3 * time.Second, 150 * time.Millisecond, 12, 16, 5
	rounds, seed := number(t, "WORKER_ROUNDS", 5), uint64(number(t, "SEED", 1))
	rng := rand.New(rand.NewPCG(seed, 5))
	w, server := newWorld(t), etcdserver.Start(t, 1)
	client, err := clientv3.New(clientv3.Config{Endpoints: server.Endpoints()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	store := etcd.New(client, etcd.Options{})
	tags := []string{"v0", "v1"}
	pushed := map[string][]string{}
	var names []string
	push := func(name string) {
		stream, tag, _ := strings.Cut(name, ":")
		pushed[name] = append(pushed[name], w.push("org/"+stream, tag, fmt.Sprint(name, len(pushed[name]))))
	}
	for i := range streams {
		stream := fmt.Sprint("app-", i)
		for _, tag := range tags {
			names = append(names, stream+":"+tag)
			push(stream + ":" + tag)
		}
		w.create(store, stream, tags...)
	}
	w.slow(latency)

	lives, killed := map[string]*process{}, map[string]bool{}
	start := func() *process {
		p := w.start(fmt.Sprint("life-", len(lives)), "-store=etcd:"+strings.Join(server.Endpoints(), ","),
			"-interval="+interval.String(), "-lease=2s", "-drain=1m")
		lives[p.name] = p
		return p
	}
	j := newJournal(t.Context(), client)
	workers := []*process{start(), start(), start()}
	begin, stops := time.Now(), 0
	var stopped *process
	for kill, move := perKill, perMove; len(j.done) < len(names) || j.fewest() < rounds; {
		j.read(t)
		if j.total >= move {
			push(names[rng.IntN(len(names))])
			move = j.total + perMove
		}
		if j.total < kill {
			continue
		}
		kill = j.total + perKill
		if stopped != nil {
			stopped.signal(t, syscall.SIGCONT)
			stopped = nil
		}
		victim := rng.IntN(len(workers))
		for _, holder := range j.holders {
			if at := slices.IndexFunc(workers, func(p *process) bool { return p.name == holder }); at >= 0 {
				victim = at
			}
		}
		if other := workers[(victim+1)%len(workers)]; rng.IntN(3) == 0 {
			stopped = other
			stopped.signal(t, syscall.SIGSTOP)
			stops++
		}
		killed[workers[victim].name] = true
		workers[victim].kill()
		_ = workers[victim].wait(t)
		workers[victim] = start()
	}
	took := time.Since(begin)
	if stopped != nil {
		stopped.signal(t, syscall.SIGCONT)
	}

	until(t, "all images that were pushed are imported", func() bool {
		for _, name := range names {
			if latest(t, store, name) != pushed[name][len(pushed[name])-1] {
				return false
			}
		}
		return true
	})
	for _, p := range workers {
		p.term(t)
		if err := p.wait(t); err != nil {
			t.Errorf("%s ended with %v\n%s", p.name, err, &p.log)
		}
	}
	if _, err := client.Put(t.Context(), "/imagestreams-worker/claims/shop\x00end\x00", ""); err != nil {
		t.Fatal(err)
	}
	for ended := false; !ended || len(j.holders) > 1; _, ended = j.holders["shop\x00end\x00"] {
		j.read(t) // claims of workers that were killed end with their leases
	}

	var all paired
	longest := 0
	for _, name := range names {
		done := all.pair(t, name, w.requests("org/"+name), j.done[name], lives, killed)
		for i := 1; i < len(done); i++ {
			if gap := done[i].at.Sub(done[i-1].at); gap < interval*95/100 {
				t.Errorf("%s is imported by %s, and by %s after %v", name, done[i-1].worker, done[i].worker, gap)
			}
			longest = max(longest, j.done[name][i].after-j.done[name][i-1].after)
		}
		checkHistory(t, store, name, pushed[name])
	}
	if longest > 6*len(names) {
		t.Errorf("%d imports of %d tags came between two of one", longest, len(names))
	}
	t.Logf("%d workers killed and %d stopped for a while in %v (%.1f hours at 15 minutes an interval): %d imports of %d tags, from %d to %d each, "+
		"%d requests that a killed worker did not live to record, %d of workers that lost their lease, at most %d imports "+
		"between two of one tag", len(killed), stops, took.Round(time.Second), took.Seconds()/interval.Seconds()/4, j.total,
		len(names), j.fewest(), j.most(), all.killed, all.lost, longest)
}

// paired counts requests that have no record.
type paired struct{ killed, lost int }

// pair returns the requests for a tag whose outcomes are recorded. Each record belongs to the last request that its
// worker had made.
func (all *paired) pair(
	t *testing.T, name string, requests []asked, records []recorded, lives map[string]*process, killed map[string]bool,
) (done []asked) {
	t.Helper()
	used := map[int]bool{}
	for _, r := range records {
		at := -1
		for i, ask := range requests {
			if ask.worker == r.worker && !used[i] && !ask.at.After(r.at) {
				at = i
			}
		}
		if at < 0 {
			t.Errorf("%s: %s recorded an import for which nothing was asked", name, r.worker)
			continue
		}
		used[at] = true
	}
	for i, ask := range requests {
		more := slices.ContainsFunc(requests[i+1:], func(next asked) bool { return next.worker == ask.worker })
		switch {
		case used[i]:
			done = append(done, ask)
		case killed[ask.worker] && !more:
			all.killed++
		case strings.Contains(lives[ask.worker].log.String(), errLost.Error()):
			all.lost++
		default:
			t.Errorf("%s: %s asked, and did not record it; killed %v\n%s", name, ask.worker, killed[ask.worker],
				&lives[ask.worker].log)
		}
	}
	return done
}

func streamTag(t *testing.T, store imagestream.Store, name string) (*imagestream.ImageStream, string) {
	t.Helper()
	stream, tag, _ := strings.Cut(name, ":")
	s, err := store.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: stream})
	if err != nil {
		t.Fatal(err)
	}
	return s, tag
}

func latest(t *testing.T, store imagestream.Store, name string) string {
	t.Helper()
	s, tag := streamTag(t, store, name)
	e, _ := s.LatestEvent(tag)
	return e.Image
}

// checkHistory checks that a tag had images in the order in which they were pushed. Some may have been missed.
func checkHistory(t *testing.T, store imagestream.Store, name string, pushed []string) {
	t.Helper()
	s, tag := streamTag(t, store, name)
	h, _ := s.History(tag)
	next := 0
	for _, e := range slices.Backward(h.Items) {
		at := slices.Index(pushed[next:], e.Image)
		if at < 0 {
			t.Errorf("%s: the history is not in the order of pushes: %v, pushed %v", name, h.Items, pushed)
			return
		}
		next += at + 1
	}
}
