package bolt

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// TestMigration brings a file to a format that only this test has, or leaves it as it was.
func TestMigration(t *testing.T) {
	path := filepath.Join(t.TempDir(), "streams.db")
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	stream, err := s.CreateImageStream(t.Context(), &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	formats := migrations
	defer func() { migrations = formats }()
	broken := errors.New("broken")
	added := []byte("added")
	step := func(result error) func(*bbolt.Tx) error {
		return func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucket(added)
			return errors.Join(err, result)
		}
	}

	migrations = append(formats[:2:2], step(broken))
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, broken) {
		t.Fatalf("a migration that fails: %v", err)
	}
	migrations = append(formats[:2:2], step(nil))
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, ErrFormat) {
		t.Errorf("an old file was opened for reading: %v", err)
	}
	if s, err = Open(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetImageStream(t.Context(), stream.Key()); err != nil || !got.Same(stream) {
		t.Errorf("after the migration: %+v, %v", got, err)
	}
	err = s.view(context.Background(), func(tx *bbolt.Tx) error {
		if tx.Bucket(added) == nil {
			t.Error("the migration was not run")
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	migrations = formats
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "use a newer program") {
		t.Errorf("a file of a newer format was opened: %v", err)
	}
}

// format1 unpacks a file that the program of format 1 wrote. It has records that are damaged, and one with a member
// that this program does not know.
func format1(t *testing.T) (path string) {
	t.Helper()
	packed, err := os.Open("testdata/format1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "streams.db")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFormat1 reads a file of format 1: what was sound is there, under its version and uid, and what was not is refused
// by name.
func TestFormat1(t *testing.T) {
	path := format1(t)
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "open it for writing once") {
		t.Errorf("opened for reading: %v", err)
	}
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	app, err := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: "app"})
	if err != nil || app.Metadata.ResourceVersion != "82" || app.Metadata.UID == "" || app.Metadata.Annotations["n"] != "7" {
		t.Fatalf("app is %+v, %v", app, err)
	}
	if image, err := s.GetImage(t.Context(), "sha256:1"); err != nil || image.DockerImageReference != "quay.io/org/app@sha256:1" {
		t.Errorf("the image is %+v, %v", image, err)
	}
	bad := map[string]string{"newer": "futurePolicy", "text": "damaged", "short": "damaged", "elsewhere": "damaged"}
	list, err := s.ListImageStreams(t.Context(), imagestream.ListOptions{})
	if err == nil || list == nil || len(list.Items) != 2 {
		t.Errorf("the list has %+v, %v", list, err)
	}
	check := s.Check(t.Context())
	for name, why := range bad {
		_, getErr := s.GetImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: name})
		for what, err := range map[string]error{"get": getErr, "list": err, "check": check} {
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "shop/"+name) || !strings.Contains(err.Error(), why) {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
		if name == "newer" {
			continue
		}
		if err := s.DeleteImageStream(t.Context(), imagestream.Key{Namespace: "shop", Name: name}, imagestream.Preconditions{}); err != nil {
			t.Errorf("delete %s: %v", name, err)
		}
	}
	next := app.Clone()
	next.Metadata.Annotations["n"] = "8"
	if next, err = s.UpdateImageStream(t.Context(), next); err != nil || next.Metadata.ResourceVersion != "92" {
		t.Errorf("updated to %+v, %v", next, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetImageStream(t.Context(), app.Key()); err != nil || !got.Same(next) {
		t.Errorf("app is %+v, %v", got, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestNewerRecord has a stream that a newer program wrote: it is refused with words, by a read and by an update, and
// stays as it is.
func TestNewerRecord(t *testing.T) {
	path := format1(t)
	s, err := Open(t.Context(), path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	key := imagestream.Key{Namespace: "shop", Name: "newer"}
	name := []byte("shop\x00newer")
	record := func() (record []byte) {
		err := s.view(t.Context(), func(tx *bbolt.Tx) error {
			record = bytes.Clone(tx.Bucket(streamBucket).Get(name))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return record
	}
	before := record()
	_, get := s.GetImageStream(t.Context(), key)
	next := &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{
		Namespace: "shop", Name: "newer", ResourceVersion: formatVersion(binary.BigEndian.Uint64(before)), Annotations: map[string]string{"n": "1"},
	}}
	_, update := s.UpdateImageStream(t.Context(), next)
	for what, err := range map[string]error{"get": get, "update": update} {
		if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), `unknown field "futurePolicy"`) || !strings.Contains(err.Error(), "newer program") {
			t.Errorf("%s: %v", what, err)
		}
	}
	if !bytes.Equal(record(), before) || !bytes.Contains(before, []byte("futurePolicy")) {
		t.Errorf("the record was changed: %s", record())
	}
}

// TestShape tells types with other members apart.
func TestShape(t *testing.T) {
	type a struct {
		X []struct{ Y string } `json:"x"`
	}
	type b struct {
		X []struct {
			Y string
			Z int `json:"z"`
		} `json:"x"`
	}
	first, again := shapeOf[a](), shapeOf[a]()
	if first == shapeOf[b]() || first != again {
		t.Error("the shapes of types with other members are the same, or that of one type changes")
	}
}
