package schedule_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/fakes"
	"github.com/imagestreams/imagestreams/importer/polite"
)

// number returns a number of the environment, by which "make torture" makes a test long.
func number(t *testing.T, name string, otherwise int) int {
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestGoodStreamsKeepTheirSchedule runs a loop for hours over streams of which half are at hosts that hang, ask to be
// left alone, fail, refuse, and change between these and good days. No stream of a good host waits longer for its
// turn than its interval and a minute.
func TestGoodStreamsKeepTheirSchedule(t *testing.T) {
	streams, hours := number(t, "LOOP_STREAMS", 200), number(t, "LOOP_HOURS", 6)
	rng := rand.New(rand.NewPCG(uint64(number(t, "SEED", 1)), 7))
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.loop.Importer.Registry = &polite.Limit{Registry: &u.registry}
		const hosts = 20
		for i := range hosts {
			kind := "good"
			if i%2 == 1 {
				kind = "bad"
			}
			host := fmt.Sprintf("%s-%d.example.com", kind, i)
			u.push(host, "v1")
			u.registry.EditHost(host, func(h *fakes.Host) { h.Latency = 20 * time.Millisecond })
			for n := range streams / hosts {
				u.create(fmt.Sprintf("%s-%d-%d", kind, i, n), host, n%5 > 0 || kind == "good")
			}
		}
		u.run()
		defer u.stop()
		for begin := time.Now(); time.Since(begin) < time.Duration(hours)*time.Hour; time.Sleep(7 * time.Minute) {
			var faults []fakes.Fault
			for i := 1; i < hosts; i += 2 {
				host, latency := fmt.Sprintf("bad-%d.example.com", i), 20*time.Millisecond
				switch rng.IntN(6) {
				case 0:
					latency = time.Duration(1+rng.IntN(60)) * time.Minute
				case 1:
					faults = append(faults, busy(host, fmt.Sprint(1+rng.IntN(7200)), 0))
				case 2:
					faults = append(faults, fakes.Fault{Host: host, Kind: "manifest", Status: 503,
						Body: "out of order"})
				case 3:
					faults = append(faults, fakes.Fault{Host: host, Refuse: true})
				case 4:
					faults = append(faults, fakes.Fault{Host: host, Kind: "manifest", Status: 403, Code: "DENIED"})
				}
				u.registry.EditHost(host, func(h *fakes.Host) { h.Latency = latency })
			}
			u.registry.SetFaults(faults...)
			u.registry.Requests()
		}
		synctest.Wait()
		u.mu.Lock()
		defer u.mu.Unlock()
		good, imports := 0, 0
		var longest time.Duration
		for name, times := range u.imported {
			if !strings.HasPrefix(name, "good") {
				continue
			}
			good++
			imports += len(times)
			last := time.Duration(0)
			for _, at := range append(times, time.Since(u.begin)) {
				longest = max(longest, at-last)
				last = at
			}
		}
		if good != streams/2 || longest > 16*time.Minute || len(u.errs)+len(u.failed) > 0 {
			t.Errorf("%d of %d good streams are imported, the longest wait is %v, failures %q %q", good, streams/2,
				longest, u.errs, u.failed)
		}
		t.Logf("%d streams in %d hours: %d imports of good ones, the longest wait %v", streams, hours, imports, longest)
	})
}
