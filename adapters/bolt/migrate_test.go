package bolt

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// TestMigration brings a file of format 1 to a format 2 that only this test has, or leaves it as it was.
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

	migrations = append(formats[:1:1], step(broken))
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, broken) {
		t.Fatalf("a migration that fails: %v", err)
	}
	migrations = append(formats[:1:1], step(nil))
	if _, err := Open(t.Context(), path, Options{ReadOnly: true}); !errors.Is(err, ErrFormat) {
		t.Errorf("an old file was opened for reading: %v", err)
	}
	if s, err = Open(t.Context(), path, Options{}); err != nil {
		t.Fatal(err)
	}
	if got, err := s.GetImageStream(t.Context(), stream.Key()); err != nil || !imagestream.Equal(got, stream) {
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
	if _, err := Open(t.Context(), path, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("a file of a newer format was opened: %v", err)
	}
}
