package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/importer/schedule"
)

// place is what one record is about: the tags of a stream at a registry.
type place struct {
	stream imagestream.Key
	host   string
	// revision is that of the record, for who compares it: etcd's, or how often this process has written it.
	revision int64
}

func placeOf(turn schedule.Turn) place { return place{stream: turn.Stream, host: turn.Host} }

// key returns the place as a part of a key. No part of it has a zero byte.
func (p place) key() string {
	return p.stream.Namespace + "\x00" + p.stream.Name + "\x00" + p.host
}

func parsePlace(key string) (place, error) {
	parts := strings.Split(key, "\x00")
	if len(parts) != 3 {
		return place{}, fmt.Errorf("%q is not the key of a record", key)
	}
	return place{stream: imagestream.Key{Namespace: parts[0], Name: parts[1]}, host: parts[2]}, nil
}

// known is a record as this process knows it.
type known struct {
	schedule.Record
	revision int64 // 0 if there is none in etcd
}

// records are all records as this process knows them. Those of etcd may be older than what is there.
type records struct {
	mu  sync.Mutex
	all map[imagestream.Key]map[string]known
}

func (r *records) get(p place) known {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all[p.stream][p.host]
}

func (r *records) set(p place, k known) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.all == nil {
		r.all = map[imagestream.Key]map[string]known{}
	}
	if r.all[p.stream] == nil {
		r.all[p.stream] = map[string]known{}
	}
	r.all[p.stream][p.host] = k
}

func (r *records) remove(p place) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.all[p.stream], p.host)
	if len(r.all[p.stream]) == 0 {
		delete(r.all, p.stream)
	}
}

// Recall implements [schedule.Ledger]. A tag that came from several registries has the state of its last import.
func (r *records) Recall(stream *imagestream.ImageStream, tag string) (last schedule.TagState, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, k := range r.all[stream.Key()] {
		if state, has := k.Recall(stream, tag); has && (!ok || state.Generation > last.Generation) {
			last, ok = state, true
		}
	}
	return last, ok
}

// read adds a record from where it is kept.
func (r *records) read(key string, value []byte, revision int64) error {
	p, err := parsePlace(key)
	if err != nil {
		return err
	}
	k := known{revision: revision}
	if err := json.Unmarshal(value, &k.Record); err != nil {
		return fmt.Errorf("the record of image stream %s at %s: %w", p.stream, p.host, err)
	}
	r.set(p, k)
	return nil
}
