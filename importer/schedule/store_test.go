package schedule_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// TestOnlyGoneListsAtOnce has watches that fail for an hour: each is reported and costs no list, and a version that
// is too old costs one.
func TestOnlyGoneListsAtOnce(t *testing.T) {
	for name, tc := range map[string]struct {
		err                error
		lists, watches     int64 // at most
		reports, recovered bool
	}{
		"broken": {err: errors.New("broken"), lists: 1, watches: 40, reports: true},
		"gone":   {err: imagestream.ErrGone, lists: 40, watches: 40},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUnlucky(t)
				u.push("quay.io", "v1")
				u.watchFails.Store(&tc.err)
				u.run()
				defer u.stop()
				u.create("app", "quay.io", false)
				time.Sleep(time.Hour)
				synctest.Wait()
				if l, w := u.lists.Load(), u.watches.Load(); l > tc.lists || w > tc.watches {
					t.Errorf("%d lists and %d watches in an hour, want at most %d and %d", l, w, tc.lists, tc.watches)
				}
				reports := u.reports()
				if tc.reports != (len(reports) > 0) || tc.reports &&
					!strings.Contains(reports[0], "watch image streams: broken") {
					t.Errorf("reported %q", reports)
				}
				u.watchFails.Store(nil)
				time.Sleep(2 * time.Minute)
				if n := len(u.times("app")); n != 1 {
					t.Errorf("what was created meanwhile is imported %d times", n)
				}
			})
		})
	}
}

// TestAListThatFailsIsTriedAgain lets a watch be too slow and then the store unable to list for a while: Run goes on.
func TestAListThatFailsIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := newUnlucky(t)
		u.push("quay.io", "v1")
		gone := imagestream.ErrGone
		u.watchFails.Store(&gone)
		u.run()
		defer u.stop()
		u.fail(func(op string, _ imagestream.Key) error {
			if op == "ListImageStreams" {
				return errors.New("no list today")
			}
			return nil
		})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if reports := u.reports(); len(reports) < 5 || len(reports) > 15 ||
			!strings.Contains(reports[0], "list image streams: no list today") {
			t.Errorf("reported %q", reports)
		}
		u.watchFails.Store(nil)
		u.fail(nil)
		u.create("app", "quay.io", false)
		time.Sleep(2 * time.Minute)
		if n := len(u.times("app")); n != 1 {
			t.Errorf("imported %d times", n)
		}
	})
}

// TestAStoreThatFailsCostsNoRegistry lets writes or reads of the store fail for ten hours: registries are asked less
// than usual, the store is asked ever more seldom, and each failure is reported. Afterwards all is imported soon.
func TestAStoreThatFailsCostsNoRegistry(t *testing.T) {
	const streams, hours = 10, 10
	for name, fail := range map[string]func(op string, key imagestream.Key) error{
		"writes": failWrites,
		"reads": func(op string, _ imagestream.Key) error {
			if op == "GetImageStream" {
				return errors.New("the disk is gone")
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := newUnlucky(t)
				u.push("quay.io", "v1")
				for n := range streams {
					u.create(fmt.Sprint("app-", n), "quay.io", true)
				}
				u.fail(fail)
				u.run()
				defer u.stop()
				time.Sleep(hours * time.Hour)
				asked, reports := u.asked("quay.io"), len(u.reports())
				if usual := streams * hours * 4; asked > usual/2 {
					t.Errorf("%d requests in %d hours, want at most half of the usual %d", asked, hours, usual)
				}
				if reports < hours || reports > hours*60 {
					t.Errorf("%d failures reported in %d hours", reports, hours)
				}
				t.Logf("%d requests, %d failures reported in %d hours", asked, reports, hours)
				u.fail(nil)
				time.Sleep(3 * time.Minute)
				for n := range streams {
					if len(u.times(fmt.Sprint("app-", n))) != 1 {
						t.Errorf("app-%d is not imported after three minutes", n)
					}
				}
			})
		})
	}
}

// TestAStreamThatCannotBeWrittenStopsNoOther has a store that fails for two streams alone, as one with damaged
// records does.
func TestAStreamThatCannotBeWrittenStopsNoOther(t *testing.T) {
	for _, damaged := range []string{"GetImageStream", "UpdateImageStream"} {
		synctest.Test(t, func(t *testing.T) {
			u := newUnlucky(t)
			u.push("quay.io", "v1")
			for _, name := range []string{"bad-1", "bad-2", "good"} {
				u.create(name, "quay.io", true)
			}
			u.fail(func(op string, key imagestream.Key) error {
				if op == damaged && strings.HasPrefix(key.Name, "bad") {
					return errors.New("the record is damaged")
				}
				return nil
			})
			u.run()
			defer u.stop()
			time.Sleep(3 * time.Hour)
			u.times("good")
			u.asked("quay.io")
			time.Sleep(10 * time.Hour)
			u.create("new", "quay.io", true)
			time.Sleep(time.Minute)
			if n := len(u.times("good")); n < 39 {
				t.Errorf("%s: the good stream is imported %d times in 10 hours, want 40", damaged, n)
			}
			if n := len(u.times("new")); n != 1 {
				t.Errorf("%s: a new stream is imported %d times in a minute", damaged, n)
			}
			if n := u.asked("quay.io"); n > 40*(1+2*2)+10 { // the bad ones are fetched whole
				t.Errorf("%s: %d requests in 10 hours", damaged, n)
			}
		})
	}
}
