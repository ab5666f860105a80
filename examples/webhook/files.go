package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/imagestreams/imagestreams/examples/internal/streamfiles"
	"github.com/imagestreams/imagestreams/lookup"
)

// stamp tells whether files are still the same.
type stamp []fs.FileInfo

// stampOf returns the stamp of files. Links are followed, so a directory that is swapped is seen.
func stampOf(names ...string) (stamp, error) {
	var s stamp
	for _, name := range names {
		info, err := os.Stat(name)
		if err != nil {
			return nil, err
		}
		s = append(s, info)
	}
	return s, nil
}

func (s stamp) equal(o stamp) bool {
	return slices.EqualFunc(s, o, func(a, b fs.FileInfo) bool {
		return os.SameFile(a, b) && a.Name() == b.Name() && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
	})
}

// streams are the image streams of a directory, as it is now.
type streams struct {
	dir     string
	current atomic.Pointer[lookup.Streams]

	mu    sync.Mutex
	stamp stamp
}

// readStreams reads a directory.
func readStreams(dir string) (*streams, error) {
	s := &streams{dir: dir}
	_, err := s.reload()
	return s, err
}

// now returns the image streams.
func (s *streams) now() lookup.Streams { return *s.current.Load() }

// reload reads the directory again if a file there has changed, and reports whether one had. What was read before
// stays if it cannot be read.
func (s *streams) reload() (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	files, skipped, err := streamfiles.Find(s.dir)
	if err != nil {
		return false, err
	}
	before, err := stampOf(append(files, skipped...)...)
	if err != nil || s.stamp != nil && before.equal(s.stamp) {
		return false, err
	}
	read, err := streamfiles.Read(s.dir, "default")
	if err != nil {
		return false, err
	}
	s.stamp = before // a file that changed meanwhile is another the next time
	s.current.Store(&read)
	return true, nil
}

// watch reloads again and again until ctx ends, and tells of what it did.
func (s *streams) watch(ctx context.Context, every time.Duration, tell func(string)) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for told := ""; ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		changed, err := s.reload()
		switch text := fmt.Sprint(err); {
		case changed:
			told = ""
			tell(fmt.Sprintf("%d image streams read again", len(s.now())))
		case err == nil:
			told = ""
		case text != told:
			told = text
			tell("the image streams stay as they were: " + text)
		}
	}
}

// certificate is that of the server, as its files have it now.
type certificate struct {
	cert, key string

	mu    sync.Mutex
	pair  *tls.Certificate
	stamp stamp
	told  string // the failure that was told last
}

func readCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	_, err := c.load()
	return c, err
}

// load returns the certificate, read again if a file has changed. If that cannot be read it is the one before, with
// the error.
func (c *certificate) load() (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now, err := stampOf(c.cert, c.key)
	if err != nil || c.pair != nil && now.equal(c.stamp) {
		return c.pair, err
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return c.pair, err
	}
	c.pair, c.stamp = &pair, now
	return c.pair, nil
}

// forHandshake returns the certificate for a handshake: the one before if its files cannot be read, such as between the
// writing of one and the other.
func (c *certificate) forHandshake(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	pair, err := c.load()
	if pair == nil {
		return nil, err
	}
	c.tell(fmt.Sprint(err), err != nil)
	return pair, nil
}

// tell tells of a failure, once.
func (c *certificate) tell(text string, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if failed && text != c.told {
		log.Printf("webhook: the certificate stays as it was: %s", text)
	}
	c.told = text
}

// expired returns an error if the certificate does not hold at a time.
func (c *certificate) expired(now time.Time) error {
	pair, _ := c.load()
	if now.After(pair.Leaf.NotAfter) {
		return errors.New("the certificate has expired")
	}
	return nil
}
