package main

import (
	"context"
	"encoding/json"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/lookup/trigger"
)

// Memory keeps objects in memory. The builds that are asked for are recorded as an API server does.
type Memory struct {
	// Streams are what builds are made of.
	Streams imagestream.Reader
	// Built, if it is not nil, is called for each build.
	Built func(ctx context.Context, request *trigger.BuildRequest) error

	mu      sync.Mutex
	version int
	log     []imagestream.Change[Object] // all that ever happened
	changed chan struct{}
}

// now returns an object as it is now; nil if it is not there.
func (m *Memory) now(id trigger.ID) Object {
	for _, change := range slices.Backward(m.log) {
		if trigger.IDOf(*change.Object) == id {
			if change.Type == imagestream.Deleted {
				return nil
			}
			return *change.Object
		}
	}
	return nil
}

// Put stores an object, whatever was there.
func (m *Memory) Put(object Object) Object {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.put(object)
}

func (m *Memory) put(object Object) Object {
	m.version++
	object = lookup.Apply(object, []lookup.Change{{Path: "/metadata/resourceVersion", To: strconv.Itoa(m.version)}})
	kind := imagestream.Modified
	if m.now(trigger.IDOf(object)) == nil {
		kind = imagestream.Added
	}
	m.happened(kind, object)
	return object
}

// Remove removes an object.
func (m *Memory) Remove(id trigger.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if object := m.now(id); object != nil {
		m.happened(imagestream.Deleted, object)
	}
}

// happened notes a change, and tells those who watch.
func (m *Memory) happened(kind imagestream.ChangeType, object Object) {
	m.log = append(m.log, imagestream.Change[Object]{Type: kind, Object: &object})
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Get implements [Objects].
func (m *Memory) Get(_ context.Context, id trigger.ID) (Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if object := m.now(id); object != nil {
		return object, nil
	}
	return nil, imagestream.ErrNotFound
}

// Update implements [Objects].
func (m *Memory) Update(_ context.Context, object Object) (Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now(trigger.IDOf(object))
	if now == nil {
		return nil, imagestream.ErrNotFound
	}
	if version(now) != version(object) {
		return nil, imagestream.ErrConflict
	}
	return m.put(object), nil
}

func version(object Object) any {
	metadata, _ := object["metadata"].(map[string]any)
	return metadata["resourceVersion"]
}

// Instantiate implements [Objects].
func (m *Memory) Instantiate(ctx context.Context, request *trigger.BuildRequest) error {
	id := trigger.ID{
		Group:     "build.openshift.io",
		Kind:      "BuildConfig",
		Namespace: request.Metadata.Namespace,
		Name:      request.Metadata.Name,
	}
	env := imagestream.Env{Now: time.Now(), Streams: map[imagestream.Key]*imagestream.ImageStream{}}
	for s, err := range imagestream.All(ctx, m.Streams.ListImageStreams, imagestream.ListOptions{}) {
		if err != nil {
			return err
		}
		env.Streams[s.Key()] = s
	}
	if err := m.record(id, request, env); err != nil || m.Built == nil {
		return err
	}
	return m.Built(ctx, request)
}

// record writes what the build is made of into the build configuration.
func (m *Memory) record(id trigger.ID, request *trigger.BuildRequest, env imagestream.Env) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.now(id)
	if now == nil {
		return imagestream.ErrNotFound
	}
	entries, err := trigger.Instantiate(now, request.From, request.TriggeredByImage, env)
	if err != nil {
		return err
	}
	text, err := json.Marshal(map[string]any{"imageChangeTriggers": entries})
	if err != nil {
		return err
	}
	var status Object
	if err := json.Unmarshal(text, &status); err != nil {
		return err
	}
	next := Object{}
	for name, value := range now {
		next[name] = value
	}
	next["status"] = status
	m.put(next)
	return nil
}

// Watch implements [Objects].
func (m *Memory) Watch(ctx context.Context) iter.Seq2[imagestream.Change[Object], error] {
	return func(yield func(imagestream.Change[Object], error) bool) {
		for seen := 0; ; {
			m.mu.Lock()
			news := m.log[seen:]
			if m.changed == nil {
				m.changed = make(chan struct{})
			}
			changed := m.changed
			m.mu.Unlock()
			for _, change := range news {
				if !yield(change, nil) {
					return
				}
			}
			seen += len(news)
			if len(news) > 0 {
				continue
			}
			select {
			case <-changed:
			case <-ctx.Done():
				yield(imagestream.Change[Object]{}, ctx.Err())
				return
			}
		}
	}
}
