//go:build unix

package bolt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
)

// edit changes bytes of a file that no store has open.
func edit(t *testing.T, path string, do func(file []byte) []byte) {
	t.Helper()
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, do(file), 0o600); err != nil {
		t.Fatal(err)
	}
}

// threeStreams makes a file with the streams one, two and three, each with its name as a label.
func threeStreams(t *testing.T) (path string) {
	t.Helper()
	path = temporary(t)
	s, err := bolt.Open(t.Context(), path, bolt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"one", "two", "three"} {
		stream := newStream(name)
		stream.Metadata.Labels = map[string]string{"app": name}
		if _, err := s.CreateImageStream(t.Context(), stream); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestDamagedObject damages one object: it is refused by name, the others can be read and written, and it can be
// deleted and created again.
func TestDamagedObject(t *testing.T) {
	path := threeStreams(t)
	edit(t, path, func(file []byte) []byte {
		return bytes.ReplaceAll(file, []byte(`"labels":{"app":"two"}`), []byte(`"labels":{"app":"twi"}`))
	})
	s := open(t, path, bolt.Options{})
	two := imagestream.Key{Namespace: "shop", Name: "two"}
	_, get := s.GetImageStream(t.Context(), two)
	list, listErr := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if list == nil || len(list.Items) != 2 {
		t.Fatalf("the list has %+v", list)
	}
	labelled, err := imagestream.ParseSelector("app=two")
	if err != nil {
		t.Fatal(err)
	}
	_, selected := s.ListImageStreams(t.Context(), imagestream.ListOptions{Labels: labelled})
	for what, err := range map[string]error{"get": get, "list": listErr, "selected list": selected, "check": s.Check(t.Context())} {
		if !errors.Is(err, bolt.ErrFormat) || !strings.Contains(err.Error(), `imagestreams "shop/two"`) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := bump(s, &list.Items[0], 1); err != nil {
		t.Errorf("an update of another object: %v", err)
	}
	if _, _, err := s.Compact(t.Context(), nil); err != nil {
		t.Error(err)
	}
	from := list.Metadata.ResourceVersion
	if err := s.DeleteImageStream(t.Context(), two, imagestream.Preconditions{}); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, s, "two")
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	var seen []imagestream.ChangeType
	for change, err := range s.WatchImageStreams(t.Context(), imagestream.WatchOptions{ResourceVersion: from, Name: "two"}) {
		if err != nil || change.Object.Key() != two || change.Object.Metadata.UID == "" {
			t.Fatalf("watched %+v, %v", change, err)
		}
		if seen = append(seen, change.Type); len(seen) == 2 {
			break
		}
	}
	if seen[0] != imagestream.Deleted || seen[1] != imagestream.Added {
		t.Errorf("watched %v", seen)
	}
}

// TestDamagedName damages the name of one object: nobody knows what is missing. The others can be read.
func TestDamagedName(t *testing.T) {
	path := threeStreams(t)
	edit(t, path, func(file []byte) []byte { return bytes.ReplaceAll(file, []byte("shop\x00two"), []byte("shop\x00twq")) })
	if _, err := bolt.Open(t.Context(), path, bolt.Options{}); !errors.Is(err, bolt.ErrFormat) || !strings.Contains(err.Error(), "shop/twq") {
		t.Errorf("opened for writing: %v", err)
	}
	s := open(t, path, bolt.Options{ReadOnly: true})
	if _, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "two"}); !errors.Is(err, bolt.ErrFormat) || errors.Is(err, imagestream.ErrNotFound) {
		t.Errorf("get what may have been there: %v", err)
	}
	if list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{}); !errors.Is(err, bolt.ErrFormat) || len(list.Items) != 2 {
		t.Errorf("the list has %+v, %v", list, err)
	}
	if err := s.Check(t.Context()); !errors.Is(err, bolt.ErrFormat) || !strings.Contains(err.Error(), "shop/twq") {
		t.Errorf("check: %v", err)
	}
}

// TestUnfinishedCreation has a file whose creation was killed: nothing was ever in it.
func TestUnfinishedCreation(t *testing.T) {
	path := temporary(t)
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	edit(t, path, func(file []byte) []byte { return file[:2*pageSize] })
	if _, err := bolt.Open(t.Context(), path, bolt.Options{ReadOnly: true}); !errors.Is(err, bolt.ErrFormat) {
		t.Errorf("opened for reading: %v", err)
	}
	mustCreate(t, open(t, path, bolt.Options{}), "a")
}

// TestNotAFile refuses what can be opened and is no file.
func TestNotAFile(t *testing.T) {
	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	within(t, "open", func() {
		for _, path := range []string{dir, fifo} {
			for _, readOnly := range []bool{true, false} {
				if _, err := bolt.Open(t.Context(), path, bolt.Options{ReadOnly: readOnly}); !errors.Is(err, bolt.ErrFormat) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: %v", path, err)
				}
			}
		}
	})
}

// TestOwnerFile has others write what they like into the owner's file: it is not followed, and not believed.
func TestOwnerFile(t *testing.T) {
	path := temporary(t)
	target := filepath.Join(filepath.Dir(path), "target")
	if err := os.WriteFile(target, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path+".owner"); err != nil {
		t.Fatal(err)
	}
	open(t, path, bolt.Options{})
	if text, err := os.ReadFile(target); err != nil || string(text) != "precious" {
		t.Errorf("the target of a link is %q, %v", text, err)
	}
	for text, want := range map[string]string{
		`{"pid":1,"host":"h\u001b[2J","program":"` + strings.Repeat("p", 1000) + `"}`: "process 1 on h[2J",
		`{"pid":999999999,"host":"` + hostname(t) + `","program":"gone"}`:             "is open in another process",
		`{"pid":1,"program":"` + strings.Repeat("p", 10000) + `"}`:                    "is open in another process",
	} {
		if err := os.WriteFile(path+".owner", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := bolt.Open(t.Context(), path, bolt.Options{})
		var locked *bolt.LockedError
		if !errors.As(err, &locked) || !strings.Contains(err.Error(), want) || len(err.Error()) > 400 {
			t.Errorf("%.40s: %v, want %q in it", text, err, want)
		}
	}
}

func hostname(t *testing.T) string {
	t.Helper()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	return name
}

// TestCompactKeeps the file's mode and the links to it.
func TestCompactKeeps(t *testing.T) {
	path := temporary(t)
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	s := open(t, link, bolt.Options{})
	a := mustCreate(t, s, "a")
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link became %v, %v", info.Mode(), err)
	}
	other := filepath.Join(filepath.Dir(path), "other.db")
	if err := os.Link(path, other); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Compact(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "hard links") {
		t.Errorf("a file with two names: %v", err)
	}
	if _, err := os.Stat(path + ".compact"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file is left: %v", err)
	}
	if got, err := s.GetImageStream(t.Context(), a.Key()); err != nil || !got.Same(a) {
		t.Errorf("%+v, %v", got, err)
	}
}
