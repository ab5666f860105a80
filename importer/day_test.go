package importer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	"pgregory.net/rapid"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
	"github.com/imagestreams/imagestreams/importer"
	"github.com/imagestreams/imagestreams/importer/keyring"
	"github.com/imagestreams/imagestreams/importer/polite"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// day is a day in the life of some registries, and of streams that are imported from them again and again, by a clock
// of its own.
type day struct {
	t        testing.TB
	rng      *rand.Rand
	now      time.Time
	registry *fakes.Registry
	meter    *polite.Meter
	importer *importer.Importer
	schedule *schedule.Scheduler
	tags     []*dayTag
	troubles []trouble
	lies     map[string]bool // the hosts that lie about digests
	pushed   int
	failures map[importer.Class]int
	budget   int
	peace    time.Duration // until all that waited has had its turn
}

// dayTag is a tag of a stream, with what its registry has for it, and what was imported into it so far.
type dayTag struct {
	stream   imagestream.Key
	name     string
	host     string
	digest   digest.Digest // "" is gone
	imported []string
}

// trouble is what goes wrong with a host for a time.
type trouble struct {
	host  string
	kind  int
	until time.Time
}

// The kinds of trouble.
const (
	outage = iota
	storm
	revoked
	lying
	troubleKinds
)

var dayHosts = []string{"a.example.com", "b.example.com", "c.example.com"}

func newDay(t testing.TB, seed uint64, streams, tags int, interval time.Duration, budget int) *day {
	d := &day{t: t, rng: rand.New(rand.NewPCG(seed, 1)), now: start, registry: &fakes.Registry{},
		failures: map[importer.Class]int{}, budget: budget, peace: interval*5/4 + 3*time.Hour}
	clock := func() time.Time { return d.now }
	d.meter = &polite.Meter{Registry: &polite.Limit{Registry: d.registry, Now: clock,
		Wait: func(_ context.Context, pause time.Duration) error {
			d.now = d.now.Add(pause) // nobody else is there to whom the time could be given
			return nil
		}}, Budget: budget}
	ring := keyring.New(keyring.Config{Auths: map[string]keyring.Entry{"*.example.com": {Username: "bob",
		Password: "secret"}}})
	d.importer = &importer.Importer{
		Registry: d.meter, Engine: &write.Engine{Store: &fakes.Store{}, Now: clock}, Concurrency: 1,
		Secrets: func(context.Context, string) (importer.CredentialFinder, error) { return ring, nil },
	}
	d.schedule = schedule.New(schedule.Options{Interval: interval, MaxBackoff: 2 * time.Hour})
	for _, host := range dayHosts {
		d.registry.EditHost(host, func(h *fakes.Host) {
			h.Auth = &fakes.Auth{Type: "bearer", Users: map[string]string{"bob": "secret"}, Anonymous: new(bool)}
		})
	}
	for i := range streams {
		stream := &imagestream.ImageStream{}
		stream.Metadata.Namespace, stream.Metadata.Name = "shop", fmt.Sprintf("app-%03d", i)
		for j := range tags {
			tag := &dayTag{stream: stream.Key(), name: fmt.Sprint("t", j), host: dayHosts[d.rng.IntN(len(dayHosts))]}
			d.tags = append(d.tags, tag)
			stream.Spec.Tags = append(stream.Spec.Tags, imagestream.TagReference{
				Name: tag.name, From: &imagestream.ObjectReference{Kind: imagestream.KindDockerImage,
					Name: tag.host + "/" + tag.path() + ":" + tag.name},
				ImportPolicy: imagestream.TagImportPolicy{Scheduled: true},
			})
			d.push(tag)
		}
		created, err := d.importer.Engine.Create(context.Background(), stream)
		if err != nil {
			t.Fatal(err)
		}
		d.schedule.Set(created, d.now)
	}
	return d
}

func (t *dayTag) path() string { return "org/" + t.stream.Name }

func (d *day) push(tag *dayTag) {
	d.pushed++
	d.registry.Edit(tag.host, func(c fakes.Contents) {
		tag.digest = c.Push(tag.path(), fakes.Image{Layer: fmt.Sprint("layer ", d.pushed%97, tag.stream)}, tag.name)
	})
}

// happens lets something happen.
func (d *day) happens() {
	for range d.rng.IntN(len(d.tags)/20 + 2) {
		tag := d.tags[d.rng.IntN(len(d.tags))]
		if d.rng.IntN(10) == 0 {
			tag.digest = ""
			d.registry.Edit(tag.host, func(c fakes.Contents) { delete(c[tag.path()].Tags, tag.name) })
		} else {
			d.push(tag)
		}
	}
	if d.rng.IntN(3) == 0 {
		d.troubles = append(d.troubles, trouble{dayHosts[d.rng.IntN(len(dayHosts))], d.rng.IntN(troubleKinds),
			d.now.Add(time.Duration(d.rng.IntN(90)) * time.Minute)})
	}
	d.trouble()
}

// trouble makes the troubles that last, and ends the others.
func (d *day) trouble() {
	var faults []fakes.Fault
	passwords, lies := map[string]string{}, map[string]bool{}
	d.troubles = slices.DeleteFunc(d.troubles, func(tr trouble) bool { return !tr.until.After(d.now) })
	for _, tr := range d.troubles {
		switch tr.kind {
		case outage:
			faults = append(faults, fakes.Fault{Host: tr.host, Refuse: true})
		case storm:
			faults = append(faults, fakes.Fault{Host: tr.host, Kind: "manifest", Status: 429, Body: "slow down",
				Header: http.Header{"Retry-After": {"600"}}})
		case revoked:
			passwords[tr.host] = "another"
		case lying:
			lies[tr.host] = true
		}
	}
	d.registry.SetFaults(faults...)
	for _, host := range dayHosts {
		d.registry.EditHost(host, func(h *fakes.Host) {
			h.Auth.Users["bob"] = "secret"
			if other, ok := passwords[host]; ok {
				h.Auth.Users["bob"] = other
			}
			if d.lies[host] == lies[host] {
				return
			}
			for _, repository := range h.Repositories {
				for of, m := range repository.Manifests {
					m.Raw = strings.TrimSuffix(m.Raw, "\n")
					if lies[host] {
						m.Raw += "\n" // another digest than it is filed under
					}
					repository.Manifests[of] = m
				}
			}
		})
	}
	d.lies = lies
}

// tick imports what is due, some at a time.
func (d *day) tick() {
	for turns := d.schedule.Due(d.now, 50); len(turns) > 0; turns = d.schedule.Due(d.now, 50) {
		d.turns(turns)
		d.trouble()
	}
}

func (d *day) turns(turns []schedule.Turn) {
	for _, turn := range turns {
		stream, err := d.importer.Engine.Store.GetImageStream(context.Background(), turn.Stream)
		if err != nil {
			d.t.Fatal(err)
		}
		failed := map[string]error{}
		d.importer.Trace = &importer.Trace{Answered: func(q importer.Question,
			a importer.Answer) {
			failed[q.Ref.Tag] = a.Err
		}}
		done, err := d.importer.Import(context.Background(), turn.Import(stream))
		if err != nil {
			d.t.Fatalf("import %s: %v", turn.Stream, err)
		}
		for _, s := range done.Status.Images {
			err := failed[s.Tag]
			var failure *importer.RegistryError
			if err != nil && (!errors.As(err, &failure) || failure.Class == "") {
				d.t.Fatalf("%s:%s: an error without a class: %v", turn.Stream, s.Tag, err)
			}
			if (err == nil) != (s.Image != nil) {
				d.t.Fatalf("%s:%s: %v, and %+v", turn.Stream, s.Tag, err, s.Status)
			}
			if err != nil {
				d.failures[failure.Class]++
			}
			d.schedule.Done(turn.Stream, s.Tag, err, d.now)
			if s.Image != nil {
				tag := d.find(turn.Stream, s.Tag)
				if n := len(tag.imported); n == 0 || tag.imported[n-1] != s.Image.Metadata.Name {
					tag.imported = append(tag.imported, s.Image.Metadata.Name)
				}
			}
		}
	}
}

func (d *day) find(key imagestream.Key, name string) *dayTag {
	i, _ := slices.BinarySearchFunc(d.tags, key, func(t *dayTag,
		key imagestream.Key) int {
		return t.stream.Compare(key)
	})
	for ; d.tags[i].name != name; i++ {
	}
	return d.tags[i]
}

// live lives the day, step by step, and then in peace until all that waited has had its turn. It returns all streams.
func (d *day) live(step time.Duration) string {
	end := d.now.Add(24 * time.Hour)
	hour := d.now
	for peaceful := time.Duration(0); peaceful < d.peace; {
		if d.now.Sub(hour) >= time.Hour {
			for host, operations := range d.meter.Counts() {
				total := 0
				for _, n := range operations {
					total += n
				}
				if total > d.budget {
					d.t.Fatalf("%s was asked %d times in an hour, %d are allowed", host, total, d.budget)
				}
			}
			d.meter.Reset()
			hour = d.now
		}
		if d.now.Before(end) {
			d.happens()
		} else {
			d.troubles = nil
			d.trouble()
			peaceful += step
		}
		d.tick()
		d.now = d.now.Add(step)
	}
	d.settled()
	list, err := d.importer.Engine.Store.ListImageStreams(context.Background(), imagestream.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	for i := range list.Items {
		list.Items[i].Metadata.UID = "" // by chance
	}
	text, err := json.Marshal(list.Items)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// settled checks that every tag is what its registry says, and that its history has all that was imported.
func (d *day) settled() {
	for _, tag := range d.tags {
		stream, err := d.importer.Engine.Store.GetImageStream(context.Background(), tag.stream)
		if err != nil {
			d.t.Fatal(err)
		}
		h, _ := stream.History(tag.name)
		var images []string
		for _, e := range slices.Backward(h.Items) {
			images = append(images, e.Image)
		}
		if !slices.Equal(images, tag.imported) {
			d.t.Fatalf("%s:%s has the history %v, imported were %v", tag.stream, tag.name, images, tag.imported)
		}
		switch {
		case tag.digest == "" && (len(h.Conditions) != 1 || h.Conditions[0].Reason != "NotFound"):
			d.t.Fatalf("%s:%s is gone, and says %+v", tag.stream, tag.name, h.Conditions)
		case tag.digest != "" && (len(h.Conditions) > 0 || len(h.Items) == 0 ||
			h.Items[0].Image != tag.digest.String()):
			d.t.Fatalf("%s:%s should be %s, and is %+v", tag.stream, tag.name, tag.digest, h)
		}
	}
}

// TestADay lives days by their seeds, and each twice: the second is the same to the byte.
func TestADay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64().Draw(rt, "seed")
		streams, tags := rapid.IntRange(1, 3).Draw(rt, "streams"), rapid.IntRange(1, 4).Draw(rt, "tags")
		first := newDay(t, seed, streams, tags, time.Hour, 1000)
		once := first.live(30 * time.Minute)
		if again := newDay(t, seed, streams, tags, time.Hour, 1000).live(30 * time.Minute); once != again {
			rt.Fatalf("a day that is lived again is another one:\n%s\n%s", once, again)
		}
	})
}

// TestALargeDay has 10,000 tags.
func TestALargeDay(t *testing.T) {
	d := newDay(t, 8, 500, 20, 8*time.Hour, 20_000)
	d.live(time.Hour)
	t.Logf("failures: %v", d.failures)
	for _, class := range []importer.Class{importer.ClassNotFound, importer.ClassUnauthorized,
		importer.ClassTooManyRequests, importer.ClassUnavailable} {
		if d.failures[class] == 0 {
			t.Errorf("no failure of class %q all day", class)
		}
	}
}
