package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/write"
)

var ctx = context.Background()

// openExample opens a store in a directory that remove removes.
func openExample() (s *bolt.Store, path string, remove func()) {
	dir, err := os.MkdirTemp("", "bolt")
	if err != nil {
		panic(err)
	}
	path = filepath.Join(dir, "streams.db")
	if s, err = bolt.Open(ctx, path, bolt.Options{}); err != nil {
		panic(err)
	}
	return s, path, func() {
		s.Close()
		os.RemoveAll(dir)
	}
}

func ExampleOpen() {
	s, path, remove := openExample()
	defer remove()
	writer := write.Engine{Store: s}
	created, err := writer.Create(ctx, &imagestream.ImageStream{Metadata: imagestream.ObjectMeta{Namespace: "shop", Name: "app"}})
	fmt.Println(created.Metadata.ResourceVersion, err)

	var locked *bolt.LockedError
	_, err = bolt.Open(ctx, path, bolt.Options{})
	fmt.Println(errors.As(err, &locked), locked.Owner.PID == os.Getpid())
	// Output:
	// 1 <nil>
	// true true
}

func ExampleStore_Backup() {
	s, _, remove := openExample()
	defer remove()
	var file bytes.Buffer // a file of its own, as a rule
	n, err := s.Backup(ctx, &file)
	fmt.Println(n == int64(file.Len()), err)
	// Output: true <nil>
}

func ExampleStore_Compact() {
	s, _, remove := openExample()
	defer remove()
	before, after, err := s.Compact(ctx, nil)
	fmt.Println(before >= after, err)
	// Output: true <nil>
}

func ExampleStore_Check() {
	s, _, remove := openExample()
	defer remove()
	fmt.Println(s.Check(ctx))
	// Output: <nil>
}
