package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/tagevent"
)

// events is how long the history of a victim's tag gets.
const events = 30

// move moves a stream's tag once more: its history has the numbers of the newest moves, without a gap.
func move(s imagestream.Store, name string) (int, error) {
	ctx := context.Background()
	old, err := s.GetImageStream(ctx, imagestream.Key{Namespace: "shop", Name: name})
	if errors.Is(err, imagestream.ErrNotFound) {
		old, err = s.CreateImageStream(ctx, newStream(name))
	}
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(old.Metadata.Annotations["n"])
	if err != nil {
		return 0, err
	}
	n++
	old.Metadata.Annotations["n"] = strconv.Itoa(n)
	if len(old.Status.Tags) == 0 {
		old.Status.Tags = []tagevent.History{{Tag: "latest"}}
	}
	items := append([]tagevent.Event{{Created: 1, Image: strings.Repeat("a", n%400), Generation: int64(n)}}, old.Status.Tags[0].Items...)
	old.Status.Tags[0].Items = items[:min(len(items), events)]
	_, err = s.UpdateImageStream(ctx, old)
	return n, err
}

// moves returns how often a stream's tag was moved, if its history is that of so many moves.
func moves(s imagestream.Store, name string) (int, error) {
	stream, err := s.GetImageStream(context.Background(), imagestream.Key{Namespace: "shop", Name: name})
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(stream.Metadata.Annotations["n"])
	if err != nil || n == 0 {
		return n, err
	}
	items := stream.Status.Tags[0].Items
	if len(items) != min(n, events) {
		return 0, fmt.Errorf("%s has %d events after %d moves", name, len(items), n)
	}
	for i, item := range items {
		if item.Generation != int64(n-i) || len(item.Image) != (n-i)%400 {
			return 0, fmt.Errorf("%s has event %d in the place of %d", name, item.Generation, n-i)
		}
	}
	return n, nil
}

// victim is the process that is killed. It says what it did.
func victim(role, path string) {
	ctx := context.Background()
	var mu sync.Mutex
	say := func(name string, n int) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println("did", name, n)
	}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	if role == "second" {
		for {
			s, err := bolt.Open(ctx, path, bolt.Options{Wait: time.Hour})
			must(err)
			n, err := move(s, "second")
			must(errors.Join(err, s.Close()))
			say("second", n)
		}
	}
	s, err := bolt.Open(ctx, path, bolt.Options{Wait: time.Hour})
	must(err)
	go func() {
		for {
			_, _, err := s.Compact(ctx, nil)
			must(err)
			say("compacted", 0)
		}
	}()
	go func() {
		for {
			n, err := move(s, "w0")
			must(err)
			say("w0", n)
			must(backup(s, path+".backup"))
			say("backup", n)
		}
	}()
	for _, name := range []string{"w1", "w2", "w3"} {
		go func() {
			for {
				n, err := move(s, name)
				must(err)
				say(name, n)
			}
		}()
	}
	select {}
}

// backup is how a file gets a name only once it is whole.
func backup(s *bolt.Store, path string) error {
	file, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	_, err = s.Backup(context.Background(), file)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// start starts a victim, and returns what it says, line by line.
func start(t *testing.T, role, path string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run", "^TestKilled$")
	cmd.Env = append(os.Environ(), "BOLT_VICTIM="+role+" "+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, bufio.NewScanner(out)
}

// note keeps what a victim says that it did.
func note(t *testing.T, line string, did map[string]int) {
	t.Helper()
	var name string
	var value int
	if _, err := fmt.Sscanf(line, "did %s %d", &name, &value); err != nil {
		t.Fatalf("the victim says %q", line)
	}
	did[name] = max(did[name], value)
}

// killed reads what a victim says, kills it at some time after so many lines, and notes what it did.
func killed(t *testing.T, r *rand.Rand, cmd *exec.Cmd, lines *bufio.Scanner, after int, did map[string]int) {
	t.Helper()
	for n := 0; lines.Scan(); n++ {
		note(t, lines.Text(), did)
		if n == after {
			time.AfterFunc(time.Duration(r.IntN(3000))*time.Microsecond, func() { cmd.Process.Kill() })
		}
	}
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("the victim was not killed: %v", err)
	}
}

// TestKilled kills a process that writes, compacts and makes backups, and then a second one that waited for its
// file, again and again. Each write that they said was done is there, no half of one is, and each backup that was
// done can be opened. BOLT_KILLED is how often.
func TestKilled(t *testing.T) {
	if role, path, ok := strings.Cut(os.Getenv("BOLT_VICTIM"), " "); ok {
		victim(role, path)
		return
	}
	rounds := number(t, "BOLT_KILLED", 12)
	path := temporary(t)
	r := rand.New(rand.NewPCG(13, 16))
	did := map[string]int{}
	lost := 0
	for round := range rounds {
		first, lines := start(t, "first", path)
		if !lines.Scan() {
			t.Fatal("the first process says nothing")
		}
		note(t, lines.Text(), did)
		var locked *bolt.LockedError
		if _, err := bolt.Open(t.Context(), path, bolt.Options{}); !errors.As(err, &locked) || locked.Owner == nil || locked.Owner.PID != first.Process.Pid {
			t.Errorf("while the first process lives: %v", err)
		}
		second, more := start(t, "second", path)
		killed(t, r, first, lines, r.IntN(60), did)
		killed(t, r, second, more, r.IntN(4), did)

		s, err := bolt.Open(t.Context(), path, bolt.Options{})
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Errorf("round %d: %v", round, err)
		}
		for _, name := range []string{"w0", "w1", "w2", "w3", "second"} {
			n, err := moves(s, name)
			if err != nil && !(errors.Is(err, imagestream.ErrNotFound) && did[name] == 0) {
				t.Errorf("round %d: %v", round, err)
			}
			if n < did[name] || n > did[name]+1 {
				t.Errorf("round %d: %s is at %d, and was said to be at %d", round, name, n, did[name])
				lost++
			}
			did[name] = n
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("round %d: a file of the compaction is left: %v", round, err)
		}
		if n, ok := did["backup"]; ok {
			checkBackup(t, path+".backup", n)
		}
	}
	total := 0
	for _, name := range []string{"w0", "w1", "w2", "w3", "second"} {
		total += did[name]
	}
	t.Logf("%d rounds, %d processes killed, %d writes (%d by the second process), %d lost", rounds, 2*rounds, total, did["second"], lost)
}

func checkBackup(t *testing.T, path string, atLeast int) {
	t.Helper()
	s, err := bolt.Open(t.Context(), path, bolt.Options{ReadOnly: true})
	if err != nil {
		t.Errorf("the backup: %v", err)
		return
	}
	defer s.Close()
	if n, err := moves(s, "w0"); err != nil || n < atLeast {
		t.Errorf("the backup has w0 at %d, %v, and was made at %d", n, err, atLeast)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("the backup: %v", err)
	}
}
