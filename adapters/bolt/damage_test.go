package bolt_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
)

// sample is a file, what it holds, and the same file somewhat earlier.
type sample struct {
	file, older []byte
	streams     map[imagestream.Key]*imagestream.ImageStream
	images      map[string]*imagestream.Image
}

const pageSize = 4096

// makeSample fills a file with streams and images of many sizes, some of which were replaced or removed.
func makeSample(t testing.TB) *sample {
	t.Helper()
	path := temporary(t)
	s, err := bolt.Open(t.Context(), path, bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	m := &sample{streams: map[imagestream.Key]*imagestream.ImageStream{}, images: map[string]*imagestream.Image{}}
	for i := range 120 {
		stream := newStream(fmt.Sprintf("s%03d", i))
		switch {
		case i%7 == 0:
			stream = largeStream(stream.Metadata.Name)
		case i%3 == 0:
			stream.Metadata.Annotations["text"] = strings.Repeat(strconv.Itoa(i), 400)
		}
		created, err := s.CreateImageStream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		m.streams[created.Key()] = created
		image, err := s.CreateImage(t.Context(), &imagestream.Image{Metadata: imagestream.ObjectMeta{Name: fmt.Sprintf("sha256:%03d", i)}, DockerImageReference: "quay.io/org/app"})
		if err != nil {
			t.Fatal(err)
		}
		m.images[image.Metadata.Name] = image
	}
	for i := range 120 {
		key := imagestream.Key{Namespace: "shop", Name: fmt.Sprintf("s%03d", i)}
		switch {
		case i == 90:
			if m.older, err = os.ReadFile(path); err != nil {
				t.Fatal(err)
			}
		case i%5 == 0:
			if err := s.DeleteImageStream(t.Context(), key, imagestream.Preconditions{}); err != nil {
				t.Fatal(err)
			}
			delete(m.streams, key)
		case i%5 < 3:
			if m.streams[key], err = bump(s, m.streams[key], i); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if m.file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return m
}

// pages is how many pages of the file are in use.
func (m *sample) pages() int {
	used := uint64(0)
	for _, meta := range [][]byte{m.file[16:], m.file[pageSize+16:]} {
		used = max(used, binary.NativeEndian.Uint64(meta[40:]))
	}
	return int(used)
}

// damages are the kinds of damage; each returns another file.
var damages = []struct {
	name string
	do   func(r *rand.Rand, m *sample, f []byte) []byte
}{
	{"truncated", func(r *rand.Rand, m *sample, f []byte) []byte { return f[:1+r.IntN(m.pages()*pageSize-1)] }},
	{"truncated at a page", func(r *rand.Rand, m *sample, f []byte) []byte { return f[:pageSize*(1+r.IntN(m.pages()-1))] }},
	{"a bit", func(r *rand.Rand, m *sample, f []byte) []byte { return flip(r, f, 0, m.pages()*pageSize) }},
	{"a bit of a record", func(r *rand.Rand, m *sample, f []byte) []byte {
		at := 0
		for range 1 + r.IntN(60) {
			if next := bytes.Index(f[at+1:], []byte(`{"metadata`)); next >= 0 {
				at += 1 + next
			}
		}
		return flip(r, f, at-60, 300)
	}},
	{"a page's head", func(r *rand.Rand, m *sample, f []byte) []byte {
		at := pageSize*r.IntN(m.pages()) + r.IntN(16)
		f[at] ^= byte(1 + r.IntN(255))
		return f
	}},
	{"a page's table", func(r *rand.Rand, m *sample, f []byte) []byte { return flip(r, f, pageSize*r.IntN(m.pages())+16, 64) }},
	{"a head of the file", func(r *rand.Rand, m *sample, f []byte) []byte { return flip(r, f, pageSize*r.IntN(2), 80) }},
	{"a sector of zeros", func(r *rand.Rand, m *sample, f []byte) []byte {
		at := 512 * r.IntN(m.pages()*pageSize/512)
		clear(f[at : at+512])
		return f
	}},
	{"a page of zeros", func(r *rand.Rand, m *sample, f []byte) []byte {
		at := pageSize * r.IntN(m.pages())
		clear(f[at : at+pageSize])
		return f
	}},
	{"a page of noise", func(r *rand.Rand, m *sample, f []byte) []byte {
		at := pageSize * r.IntN(m.pages())
		for i := range pageSize {
			f[at+i] = byte(r.Uint32())
		}
		return f
	}},
	{"a page of another", func(r *rand.Rand, m *sample, f []byte) []byte {
		from, to := pageSize*r.IntN(m.pages()), pageSize*r.IntN(m.pages())
		copy(f[to:to+pageSize], bytes.Clone(f[from:from+pageSize]))
		return f
	}},
	{"a page from before", func(r *rand.Rand, m *sample, f []byte) []byte {
		for range 1000 {
			at := pageSize * r.IntN(min(m.pages(), len(m.older)/pageSize))
			if !bytes.Equal(f[at:at+pageSize], m.older[at:at+pageSize]) {
				copy(f[at:at+pageSize], m.older[at:])
				break
			}
		}
		return f
	}},
}

func flip(r *rand.Rand, f []byte, from, n int) []byte {
	at := min(max(from, 0)+r.IntN(n), len(f)-1)
	f[at] ^= 1 << r.IntN(8)
	return f
}

func (m *sample) damaged(kind, i int) []byte {
	r := rand.New(rand.NewPCG(uint64(kind), uint64(i)))
	return damages[kind].do(r, m, bytes.Clone(m.file))
}

// TestDamagedFiles damages a file in many ways, and asks for everything in it: each answer is right or an error.
// Other processes do that, so that one that crashes or hangs is a result. BOLT_DAMAGED is how many files of each
// kind there are.
func TestDamagedFiles(t *testing.T) {
	if work := os.Getenv("BOLT_SURGEON"); work != "" {
		surgeon(t, work)
		return
	}
	files := number(t, "BOLT_DAMAGED", 8)
	dir := t.TempDir()
	m := makeSample(t)
	for name, file := range map[string][]byte{"now": m.file, "before": m.older} {
		if err := os.WriteFile(filepath.Join(dir, name), file, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for kind, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			got := map[string]int{}
			for next := 0; next < files; {
				var last string
				next, last = operate(t, dir, kind, next, files, got)
				if next < files {
					got["crashed"]++
					t.Errorf("file %d: the process ended: %s", next, last)
					next++
				}
			}
			t.Logf("%d files: %v", files, got)
		})
	}
}

// number is what an environment variable says.
func number(t *testing.T, variable string, otherwise int) int {
	text := os.Getenv(variable)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", variable, text, err)
	}
	return n
}

// operate runs a process for the files from next on, and returns the one that it did not come to an end with.
func operate(t *testing.T, dir string, kind, next, files int, got map[string]int) (int, string) {
	const patience = time.Minute
	cmd := exec.Command(os.Args[0], "-test.run", "^TestDamagedFiles$", "-test.v")
	cmd.Env = append(os.Environ(), fmt.Sprintf("BOLT_SURGEON=%d %d %d %s", kind, next, files, dir))
	var failure bytes.Buffer
	cmd.Stderr = &failure
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	hangs := time.AfterFunc(patience, func() { cmd.Process.Kill() })
	defer hangs.Stop()
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		number, result, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "file "), ": ")
		if !strings.HasPrefix(lines.Text(), "file ") || !ok {
			continue
		}
		hangs.Reset(patience)
		if _, err := fmt.Sscan(number, &next); err != nil {
			t.Fatalf("the process says %q", lines.Text())
		}
		next++
		word, _, _ := strings.Cut(result, " ")
		if got[word]++; word == "WRONG:" {
			t.Errorf("file %s: %s", number, result)
		}
	}
	err = cmd.Wait()
	first, _, _ := strings.Cut(failure.String(), "\n")
	return next, fmt.Sprint(err, " ", first)
}

// readSample reads what makeSample made.
func readSample(t *testing.T, dir string) *sample {
	t.Helper()
	m := &sample{streams: map[imagestream.Key]*imagestream.ImageStream{}, images: map[string]*imagestream.Image{}}
	for name, file := range map[string]*[]byte{"now": &m.file, "before": &m.older} {
		var err error
		if *file, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, filepath.Join(dir, "now"), bolt.Options{ReadOnly: true})
	streams, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	images, err := s.ListImages(t.Context(), imagestream.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for i := range streams.Items {
		m.streams[streams.Items[i].Key()] = &streams.Items[i]
	}
	for i := range images.Items {
		m.images[images.Items[i].Metadata.Name] = &images.Items[i]
	}
	return m
}

func surgeon(t *testing.T, work string) {
	var kind, next, files int
	var dir string
	if _, err := fmt.Sscan(work, &kind, &next, &files, &dir); err != nil {
		t.Fatal(err)
	}
	m := readSample(t, dir)
	path := temporary(t)
	for ; next < files; next++ {
		file := m.damaged(kind, next)
		result := ""
		for _, readOnly := range []bool{true, false} {
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			if one := m.judge(path, readOnly); strings.HasPrefix(one, "WRONG") {
				result = one
				break
			} else if !strings.HasPrefix(result, "named") { // by reading, then: writing refuses the whole file
				result = one
			}
		}
		fmt.Printf("file %d: %s\n", next, result)
	}
}

// judge asks for everything in a file. The answer begins with "right", "named" if objects were refused by name,
// "refused" if the file was, and "WRONG".
func (m *sample) judge(path string, readOnly bool) string {
	s, err := bolt.Open(context.Background(), path, bolt.Options{ReadOnly: readOnly, NoSync: true})
	if err != nil {
		if !strings.Contains(err.Error(), path) || !errors.Is(err, bolt.ErrFormat) {
			return wrong("open says %v", err)
		}
		return "refused"
	}
	defer s.Close()
	ctx := context.Background()
	damaged := 0
	for key, want := range m.streams {
		got, err := s.GetImageStream(ctx, key)
		if err != nil && errors.Is(err, bolt.ErrFormat) && strings.Contains(err.Error(), key.Name) {
			damaged++
		} else if err != nil || !got.Same(want) {
			return wrong("get %s: %+v, %v", key, got, err)
		}
	}
	for name, want := range m.images {
		got, err := s.GetImage(ctx, name)
		if err != nil && errors.Is(err, bolt.ErrFormat) && strings.Contains(err.Error(), name) {
			damaged++
		} else if err != nil || !reflect.DeepEqual(got, want) {
			return wrong("get image %s: %+v, %v", name, got, err)
		}
	}
	streams, err := s.ListImageStreams(ctx, imagestream.ListOptions{})
	if err == nil && !m.sameStreams(streams.Items) {
		return wrong("list has %d streams", len(streams.Items))
	}
	images, imagesErr := s.ListImages(ctx, imagestream.ListOptions{})
	if imagesErr == nil && len(images.Items) != len(m.images) {
		return wrong("list has %d images", len(images.Items))
	}
	check := s.Check(ctx)
	if lists := err != nil || imagesErr != nil; lists != (damaged > 0) || damaged > 0 && check == nil {
		return wrong("%d damaged objects; lists say %v, %v, Check says %v", damaged, err, imagesErr, check)
	}
	if _, err := s.Backup(ctx, io.Discard); err != nil && check == nil {
		return wrong("backup says %v", err)
	}
	if !readOnly {
		if result := m.write(s, path); result != "" {
			return result
		}
	}
	if damaged > 0 {
		return fmt.Sprintf("named %d", damaged)
	}
	return "right"
}

func wrong(format string, args ...any) string {
	text := fmt.Sprintf("WRONG: "+format, args...)
	return strings.ReplaceAll(text[:min(len(text), 400)], "\n", " ")
}

func (m *sample) sameStreams(items []imagestream.ImageStream) bool {
	for i := range items {
		if want := m.streams[items[i].Key()]; want == nil || !want.Same(&items[i]) {
			return false
		}
	}
	return len(items) == len(m.streams)
}

// write updates each stream and makes the file small: what is written is there, what fails leaves what there was.
func (m *sample) write(s *bolt.Store, path string) string {
	ctx := context.Background()
	written := map[imagestream.Key]*imagestream.ImageStream{}
	for key, old := range m.streams {
		if next, err := bump(s, old, 77); err == nil {
			written[key] = next
		}
	}
	_, _, compact := s.Compact(ctx, nil)
	if err := s.Close(); err != nil {
		return wrong("close says %v", err)
	}
	s, err := bolt.Open(ctx, path, bolt.Options{NoSync: true})
	if err != nil {
		return wrong("open after updates and a compaction (%v) says %v", compact, err)
	}
	defer s.Close()
	for key, want := range written {
		if got, err := s.GetImageStream(ctx, key); err != nil || !got.Same(want) {
			return wrong("get %s after an update: %+v, %v", key, got, err)
		}
	}
	return ""
}

// TestStrangeFiles are refused, and stay as they are.
func TestStrangeFiles(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, bytes.Repeat([]byte("no database\n"), 2000), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other")
	makeBolt(t, other, func(tx *bbolt.Tx) error { return second(tx.CreateBucket([]byte("mine"))) })
	unnumbered := filepath.Join(dir, "unnumbered")
	makeBolt(t, unnumbered, func(tx *bbolt.Tx) error { return second(tx.CreateBucket([]byte("meta"))) })
	newer := filepath.Join(dir, "newer")
	makeBolt(t, newer, func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte("meta"))
		if err != nil {
			return err
		}
		return meta.Put([]byte("format"), []byte{0, 0, 0, 0, 0, 0, 0, 99})
	})
	for _, path := range []string{text, other, unnumbered, newer} {
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, readOnly := range []bool{true, false} {
			if _, err := bolt.Open(t.Context(), path, bolt.Options{ReadOnly: readOnly}); !errors.Is(err, bolt.ErrFormat) || !strings.Contains(err.Error(), path) {
				t.Errorf("%s, read-only %t: %v", filepath.Base(path), readOnly, err)
			}
		}
		after, err := os.ReadFile(path)
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s was changed (%v)", filepath.Base(path), err)
		}
	}
}

func makeBolt(t *testing.T, path string, fill func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(fill), db.Close()); err != nil {
		t.Fatal(err)
	}
}
