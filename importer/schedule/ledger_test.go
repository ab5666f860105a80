package schedule_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// book is a ledger in memory that several processes share.
type book struct {
	lease time.Duration

	mu      sync.Mutex
	records map[string]schedule.Record
	held    map[string]*process
	granted map[string][]time.Time // when a tag was claimed
	done    map[string][]time.Time // when it was claimed by who finished it
	ended   map[string][]time.Time // when that was recorded
	lost    int
	errs    []string
}

// process is a program with a loop. It dies without a word.
type process struct {
	*book
	life context.Context
	kill func()
	died time.Time
	stop func() // lets the loop end, politely
	run  chan error
	lose func() // ends the claim that was granted last
}

var errDead = errors.New("the process is dead")

func newBook() *book {
	return &book{lease: 15 * time.Second, records: map[string]schedule.Record{}, held: map[string]*process{},
		granted: map[string][]time.Time{}, done: map[string][]time.Time{}, ended: map[string][]time.Time{}}
}

func (p *process) dead() bool { return p.life.Err() != nil }

func placeOf(stream imagestream.Key, host string) string { return stream.String() + " " + host }

func (p *process) Recall(stream *imagestream.ImageStream, tag string) (schedule.TagState, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, host := range []string{"quay.io", "ghcr.io"} {
		if state, ok := p.records[placeOf(stream.Key(), host)].Recall(stream, tag); ok {
			return state, ok
		}
	}
	return schedule.TagState{}, false
}

func (p *process) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead() {
		return nil, errDead
	}
	place, now := placeOf(turn.Stream, turn.Host), time.Now()
	due, others := p.records[place].Divide(stream, turn, now)
	if holder := p.held[place]; holder != nil && len(due) > 0 {
		if !holder.dead() || now.Sub(holder.died) < p.lease {
			maps.Copy(others, p.records[place].Hold(stream, due, now.Add(p.lease/3)))
			return &schedule.Claim{Others: others}, nil
		}
		p.lost++
	}
	if len(due) == 0 {
		return &schedule.Claim{Others: others}, nil
	}
	p.held[place] = p
	for _, tag := range due {
		p.granted[turn.Stream.Name+":"+tag] = append(p.granted[turn.Stream.Name+":"+tag], now)
	}
	finish := func(states map[string]schedule.TagState) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.dead() {
			return nil
		}
		if p.held[place] != p {
			return errors.New("the claim is somebody else's")
		}
		delete(p.held, place)
		if states == nil {
			return nil
		}
		p.records[place] = p.records[place].With(stream, states)
		for tag := range states {
			name := turn.Stream.Name + ":" + tag
			p.done[name], p.ended[name] = append(p.done[name], now), append(p.ended[name], time.Now())
		}
		return nil
	}
	ctx, lose := context.WithCancelCause(ctx)
	p.lose = func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.held, place)
		lose(errors.New("the lease ended"))
	}
	return &schedule.Claim{Tags: due, Others: others, Context: ctx, Finish: finish}, nil
}

// mortal is a store of a process: it takes nothing from the dead.
type mortal struct {
	imagestream.Store
	p *process
}

func (m mortal) UpdateImageStream(
	ctx context.Context, stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if m.p.dead() {
		return nil, errDead
	}
	return m.Store.UpdateImageStream(ctx, stream)
}

// start starts a process of which the loop is as change says.
func (b *book) start(
	t *testing.T, store imagestream.Store, registry importer.Registry, change func(*schedule.Loop),
) *process {
	p := &process{book: b, run: make(chan error, 1)}
	p.life, p.kill = context.WithCancel(t.Context())
	loop := &schedule.Loop{
		Importer: &importer.Importer{Registry: registry, Engine: &write.Engine{Store: mortal{store, p}}},
		Ledger:   p,
		Imported: func(stream imagestream.Key, done *imagestream.ImageStreamImport, err error) {
			if err == nil {
				err = importer.Failure(done)
			}
			b.note(p, err)
		},
		Failed: func(err error) { b.note(p, err) },
	}
	if change != nil {
		change(loop)
	}
	ctx, stop := context.WithCancel(p.life)
	p.stop = stop
	go func() { p.run <- loop.Run(ctx) }()
	return p
}

func (b *book) note(p *process, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && !p.dead() {
		b.errs = append(b.errs, err.Error())
	}
}

// counts returns how often the tag app:v1 was claimed and done, and how many claims are held.
func (b *book) counts() (granted, done, held int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.granted["app:v1"]), len(b.done["app:v1"]), len(b.held)
}

// told returns the failures.
func (b *book) told() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.errs)
}

// die ends a process; what it claimed stays claimed until the lease ends.
func (p *process) die() {
	p.mu.Lock()
	p.died = time.Now()
	p.kill()
	p.mu.Unlock()
	<-p.run
}

// TestADayOfThreeProcesses kills one of three processes every few minutes of a day. Each tag is imported in time, and
// none twice within its interval, but for imports that a process began and did not live to finish.
func TestADayOfThreeProcesses(t *testing.T) {
	const interval, latency, tags = 15 * time.Minute, 20 * time.Second, 3
	streams := number(t, "DAY_STREAMS", 8)
	synctest.Test(t, func(t *testing.T) {
		rng := rand.New(rand.NewPCG(uint64(number(t, "SEED", 1)), 3))
		store, registry, b := &fakes.Store{}, &fakes.Registry{}, newBook()
		names := map[string]string{}
		for i := range tags {
			name := fmt.Sprint("v", i)
			host := []string{"quay.io", "ghcr.io"}[i%2]
			names[name] = host + "/org/app:" + name
			registry.Edit(host, func(c fakes.Contents) { c.Push("org/app", fakes.Image{Layer: name}, name) })
			registry.EditHost(host, func(h *fakes.Host) { h.Latency = latency })
		}
		for i := range streams {
			if _, err := (&write.Engine{Store: store}).Create(t.Context(), streamOf(fmt.Sprint("app-", i), names)); err != nil {
				t.Fatal(err)
			}
		}
		var processes []*process
		for range 3 {
			processes = append(processes, b.start(t, store, registry, nil))
		}
		begin := time.Now()
		for time.Since(begin) < 24*time.Hour {
			time.Sleep(time.Duration(1+rng.IntN(300)) * time.Second)
			i := rng.IntN(len(processes))
			processes[i].die()
			registry.Requests()
			time.Sleep(time.Duration(rng.IntN(60)) * time.Second)
			processes[i] = b.start(t, store, registry, nil)
		}
		for _, p := range processes {
			p.die()
		}
		imports, granted, longest := 0, 0, time.Duration(0)
		for name := range b.granted {
			granted += len(b.granted[name])
			imports += len(b.done[name])
			last := begin
			for i, at := range b.done[name] {
				if i > 0 && at.Sub(b.done[name][i-1]) < interval*95/100 {
					t.Errorf("%s is imported at %v and %v", name, b.done[name][i-1].Sub(begin), at.Sub(begin))
				}
				longest, last = max(longest, b.ended[name][i].Sub(last)), b.ended[name][i]
			}
			longest = max(longest, time.Since(last))
		}
		if len(b.granted) != streams*tags || longest > interval*105/100+4*time.Minute || len(b.errs) > 0 {
			t.Errorf("%d of %d tags, the longest wait is %v, failures %q", len(b.granted), streams*tags, longest, b.errs)
		}
		if unfinished := granted - imports; b.lost == 0 || unfinished < b.lost {
			t.Errorf("%d imports are unfinished, %d claims of the dead were taken", unfinished, b.lost)
		}
		t.Logf("%d imports, %d more that a process did not live to finish, the longest wait %v", imports,
			granted-imports, longest)
	})
}
