package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/adapters/bolt"
	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// lockWait is how long another process may have the files.
const lockWait = 5 * time.Second

var turnsBucket = []byte("turns")

// file is a store in a file, and the records of its only worker in another one.
type file struct {
	records
	streams   *bolt.Store
	turns     *bbolt.DB
	namespace string // the only one, or ""
	writing   sync.Mutex
}

func openFile(ctx context.Context, path, namespace string) (backend, error) {
	streams, err := bolt.Open(ctx, path, bolt.Options{Wait: lockWait})
	if err != nil {
		return nil, err
	}
	f := &file{streams: streams, namespace: namespace}
	if err := f.open(path + ".turns"); err != nil {
		return nil, errors.Join(err, streams.Close())
	}
	return f, nil
}

// open opens the file of records, and reads them all.
func (f *file) open(path string) (err error) {
	if f.turns, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait}); err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	err = f.turns.Update(func(tx *bbolt.Tx) error {
		bucket, err := tx.CreateBucketIfNotExists(turnsBucket)
		if err != nil {
			return err
		}
		return bucket.ForEach(func(key, value []byte) error {
			return f.records.read(string(key), value, 0)
		})
	})
	if err != nil {
		return errors.Join(fmt.Errorf("read %s: %w", path, err), f.turns.Close())
	}
	return nil
}

func (f *file) store() imagestream.Store { return f.streams }
func (f *file) keep(context.Context)     {}
func (f *file) ready() error             { return nil }
func (f *file) close() error             { return errors.Join(f.turns.Close(), f.streams.Close()) }

// Claim implements [schedule.Ledger]. There is nobody else.
func (f *file) Claim(
	ctx context.Context, stream *imagestream.ImageStream, turn schedule.Turn,
) (*schedule.Claim, error) {
	p := placeOf(turn)
	due, others := f.get(p).Divide(stream, turn, time.Now())
	return &schedule.Claim{Tags: due, Others: others, Context: ctx,
		Finish: func(states map[string]schedule.TagState) error { return f.finish(p, stream, states) }}, nil
}

func (f *file) finish(p place, stream *imagestream.ImageStream, states map[string]schedule.TagState) error {
	if len(states) == 0 {
		return nil
	}
	f.writing.Lock()
	defer f.writing.Unlock()
	before := f.get(p)
	next := before.With(stream, states)
	value, err := json.Marshal(next)
	if err != nil {
		return err
	}
	err = f.turns.Update(func(tx *bbolt.Tx) error { return tx.Bucket(turnsBucket).Put([]byte(p.key()), value) })
	if err == nil {
		f.set(p, known{next, before.revision + 1})
	}
	return err
}

func (f *file) places(context.Context) (all []place, err error) {
	err = f.turns.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(turnsBucket).ForEach(func(key, _ []byte) error {
			p, err := parsePlace(string(key))
			p.revision = f.get(p).revision
			if f.namespace == "" || p.stream.Namespace == f.namespace {
				all = append(all, p)
			}
			return err
		})
	})
	return all, err
}

func (f *file) forget(_ context.Context, p place) error {
	f.writing.Lock()
	defer f.writing.Unlock()
	if f.get(p).revision != p.revision {
		return nil
	}
	f.remove(p)
	return f.turns.Update(func(tx *bbolt.Tx) error { return tx.Bucket(turnsBucket).Delete([]byte(p.key())) })
}
