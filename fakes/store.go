package fakes

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/imagestreams/imagestreams/imagestream"
)

// Store is an [imagestream.Store] in memory. Its zero value is empty and ready. It is safe for concurrent
// use; its fields are not to be changed once it is used.
type Store struct {
	// Fail is called before every operation, with the name of the method and what it is about; lists and
	// watches have a key without a name. An error it returns is the operation's, and nothing is done. It may
	// wait, to delay an operation.
	Fail func(op string, key imagestream.Key) error
	// Delay is how long an operation takes before it is done, by the name of the method and what it is about;
	// nil is no time. An operation whose context ends meanwhile is not done.
	Delay func(op string, key imagestream.Key) time.Duration
	// After is the clock that delays go by; nil is time.After. A test that owns the clock sends when it
	// likes.
	After func(time.Duration) <-chan time.Time
	// History is how many changes are kept for watches; 0 is 1,000. A watch that is further behind ends with
	// [imagestream.ErrGone].
	History int
	// HistoryBytes is about how many bytes they take at most; 0 is 64 MB. The newest change is kept, whatever its
	// size.
	HistoryBytes int

	mu      sync.Mutex
	version uint64
	uids    uint64
	streams table[imagestream.ImageStream]
	images  table[imagestream.Image]
}

const (
	defaultHistory      = 1000
	defaultHistoryBytes = 64 << 20
	// maxSnapshots is how many continue tokens are good, the newest ones of all lists: each page that is not the last of
	// its list has one.
	maxSnapshots = 64
)

// table is the objects of one kind. Objects in it are never written to again.
type table[T any] struct {
	byNamespace map[string]map[string]*T
	log         []logged[T]
	sizes       map[*T]int // of every object that the log has
	bytes       int        // the sum of sizes
	dropped     uint64     // the version of the newest change that the log has lost
	changed     chan struct{}

	snapshots map[uint64]snapshot[T]
	lists     uint64
}

type logged[T any] struct {
	version  uint64
	old, new *T // nil if it was not there before, or after
}

type snapshot[T any] struct {
	version string
	rest    []*T
}

// kind is what the Store has to know of a type.
type kind[T any] struct {
	resource string
	table    *table[T]
	meta     func(*T) *imagestream.ObjectMeta
	clone    func(*T) *T
	same     func(a, b *T) bool
}

func (s *Store) streamKind() kind[imagestream.ImageStream] {
	return kind[imagestream.ImageStream]{
		imagestream.ResourceImageStreams, &s.streams,
		func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata },
		(*imagestream.ImageStream).Clone, (*imagestream.ImageStream).Same,
	}
}

func (s *Store) imageKind() kind[imagestream.Image] {
	return kind[imagestream.Image]{
		imagestream.ResourceImages, &s.images,
		func(o *imagestream.Image) *imagestream.ObjectMeta { return &o.Metadata },
		(*imagestream.Image).Clone, func(_, _ *imagestream.Image) bool { return false },
	}
}

func (k kind[T]) key(o *T) imagestream.Key {
	m := k.meta(o)
	if k.resource == imagestream.ResourceImages { // which belong to no namespace
		return imagestream.Key{Name: m.Name}
	}
	return imagestream.Key{Namespace: m.Namespace, Name: m.Name}
}

func (k kind[T]) fail(reason imagestream.StatusReason, key imagestream.Key, message string) error {
	return imagestream.NewError(reason, k.resource, key, message)
}

func (s *Store) begin(ctx context.Context, op string, key imagestream.Key) error {
	if s.Fail != nil {
		if err := s.Fail(op, key); err != nil {
			return err
		}
	}
	if s.Delay != nil {
		after := time.After
		if s.After != nil {
			after = s.After
		}
		if d := s.Delay(op, key); d > 0 {
			select {
			case <-after(d):
			case <-ctx.Done():
			}
		}
	}
	return ctx.Err()
}

// Snapshot is what a Store held at a time.
type Snapshot struct {
	streams map[string]map[string]*imagestream.ImageStream
	images  map[string]map[string]*imagestream.Image
}

// Snapshot returns what s holds now. It shares memory with s and costs little; nothing changes it.
func (s *Store) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{s.streams.objects(), s.images.objects()}
}

// Restore makes s hold what it held at a snapshot, of this Store or another one. Versions go on: what comes
// back has its old version, and watches that are further behind than this end with [imagestream.ErrGone].
func (s *Store) Restore(snap Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version++
	restored := Snapshot{
		(&table[imagestream.ImageStream]{byNamespace: snap.streams}).objects(),
		(&table[imagestream.Image]{byNamespace: snap.images}).objects(),
	}
	s.streams.restore(restored.streams, s.version)
	s.images.restore(restored.images, s.version)
}

// objects returns a copy of the maps of t, with the same objects.
func (t *table[T]) objects() map[string]map[string]*T {
	c := make(map[string]map[string]*T, len(t.byNamespace))
	for namespace, objects := range t.byNamespace {
		c[namespace] = maps.Clone(objects)
	}
	return c
}

// restore replaces everything, and ends all watches.
func (t *table[T]) restore(objects map[string]map[string]*T, version uint64) {
	t.byNamespace, t.log, t.dropped, t.snapshots = objects, nil, version, nil
	t.sizes, t.bytes = nil, 0
	t.wake()
}

// wake tells the watchers that something happened.
func (t *table[T]) wake() {
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// GetImageStream implements [imagestream.Reader].
func (s *Store) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	return get(ctx, s, s.streamKind(), "GetImageStream", key)
}

// GetImage implements [imagestream.Reader].
func (s *Store) GetImage(ctx context.Context, name string) (*imagestream.Image, error) {
	return get(ctx, s, s.imageKind(), "GetImage", imagestream.Key{Name: name})
}

func get[T any](ctx context.Context, s *Store, k kind[T], op string, key imagestream.Key) (*T, error) {
	if err := s.begin(ctx, op, key); err != nil {
		return nil, err
	}
	s.mu.Lock()
	o := k.table.byNamespace[key.Namespace][key.Name]
	s.mu.Unlock()
	if o == nil {
		return nil, k.fail(imagestream.ReasonNotFound, key, "")
	}
	return k.clone(o), nil
}

// CreateImageStream implements [imagestream.Store].
func (s *Store) CreateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	if err := stream.CheckUnversioned(); err != nil {
		return nil, err
	}
	return create(ctx, s, s.streamKind(), "CreateImageStream", stream)
}

// CreateImage implements [imagestream.Store].
func (s *Store) CreateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return create(ctx, s, s.imageKind(), "CreateImage", image)
}

func create[T any](ctx context.Context, s *Store, k kind[T], op string, object *T) (*T, error) {
	key := k.key(object)
	if err := s.begin(ctx, op, key); err != nil {
		return nil, err
	}
	stored := k.clone(object)
	s.mu.Lock()
	defer s.mu.Unlock()
	if k.table.byNamespace[key.Namespace][key.Name] != nil {
		return nil, k.fail(imagestream.ReasonAlreadyExists, key, "")
	}
	s.uids++
	k.meta(stored).UID = fmt.Sprintf("00000000-0000-4000-8000-%012x", s.uids)
	s.write(k.meta(stored))
	k.table.put(key, nil, stored, s)
	return k.clone(stored), nil
}

// write gives the object of m the next version.
func (s *Store) write(m *imagestream.ObjectMeta) {
	s.version++
	m.ResourceVersion = strconv.FormatUint(s.version, 10)
}

// UpdateImageStream implements [imagestream.Store].
func (s *Store) UpdateImageStream(
	ctx context.Context,
	stream *imagestream.ImageStream,
) (*imagestream.ImageStream, error) {
	return update(ctx, s, s.streamKind(), "UpdateImageStream", stream)
}

// UpdateImage implements [imagestream.Store].
func (s *Store) UpdateImage(ctx context.Context, image *imagestream.Image) (*imagestream.Image, error) {
	return update(ctx, s, s.imageKind(), "UpdateImage", image)
}

func update[T any](ctx context.Context, s *Store, k kind[T], op string, object *T) (*T, error) {
	key := k.key(object)
	if err := s.begin(ctx, op, key); err != nil {
		return nil, err
	}
	stored := k.clone(object)
	m := k.meta(stored)
	s.mu.Lock()
	defer s.mu.Unlock()
	old := k.table.byNamespace[key.Namespace][key.Name]
	if old == nil {
		return nil, k.fail(imagestream.ReasonNotFound, key, "")
	}
	o := k.meta(old)
	if err := m.Preconditions().Check(k.resource, key, o.UID, o.ResourceVersion); err != nil {
		return nil, err
	}
	m.UID = o.UID
	if k.same(old, stored) {
		return stored, nil
	}
	s.write(m)
	k.table.put(key, old, stored, s)
	return k.clone(stored), nil
}

// DeleteImageStream implements [imagestream.Store].
func (s *Store) DeleteImageStream(ctx context.Context, key imagestream.Key, only imagestream.Preconditions) error {
	return remove(ctx, s, s.streamKind(), "DeleteImageStream", key, only)
}

// DeleteImage implements [imagestream.Store].
func (s *Store) DeleteImage(ctx context.Context, name string, only imagestream.Preconditions) error {
	return remove(ctx, s, s.imageKind(), "DeleteImage", imagestream.Key{Name: name}, only)
}

func remove[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	op string,
	key imagestream.Key,
	only imagestream.Preconditions,
) error {
	if err := s.begin(ctx, op, key); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	old := k.table.byNamespace[key.Namespace][key.Name]
	if old == nil {
		return k.fail(imagestream.ReasonNotFound, key, "")
	}
	m := k.meta(old)
	if err := only.Check(k.resource, key, m.UID, m.ResourceVersion); err != nil {
		return err
	}
	s.version++
	k.table.put(key, old, nil, s)
	return nil
}

// put makes object, nil for none, what is stored under key, and tells the watchers.
func (t *table[T]) put(key imagestream.Key, old, object *T, s *Store) {
	if object == nil {
		delete(t.byNamespace[key.Namespace], key.Name)
	} else {
		if t.byNamespace == nil {
			t.byNamespace = map[string]map[string]*T{}
		}
		if t.byNamespace[key.Namespace] == nil {
			t.byNamespace[key.Namespace] = map[string]*T{}
		}
		t.byNamespace[key.Namespace][key.Name] = object
	}
	history, most := cmp.Or(max(s.History, 0), defaultHistory), cmp.Or(max(s.HistoryBytes, 0), defaultHistoryBytes)
	t.record(logged[T]{s.version, old, object}, history, most)
	t.wake()
}

// ListImageStreams implements [imagestream.Reader].
func (s *Store) ListImageStreams(
	ctx context.Context,
	opts imagestream.ListOptions,
) (*imagestream.ImageStreamList, error) {
	items, meta, err := list(ctx, s, s.streamKind(), "ListImageStreams", opts)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageStreamList{
		TypeMeta: imagestream.TypeMeta{
			Kind:       "ImageStreamList",
			APIVersion: imagestream.APIVersion,
		},
		Metadata: meta,
		Items:    items,
	}, nil
}

// ListImages implements [imagestream.Reader].
func (s *Store) ListImages(ctx context.Context, opts imagestream.ListOptions) (*imagestream.ImageList, error) {
	opts.Namespace = ""
	items, meta, err := list(ctx, s, s.imageKind(), "ListImages", opts)
	if err != nil {
		return nil, err
	}
	return &imagestream.ImageList{
		TypeMeta: imagestream.TypeMeta{Kind: "ImageList", APIVersion: imagestream.APIVersion}, Metadata: meta, Items: items,
	}, nil
}

func list[T any](
	ctx context.Context,
	s *Store,
	k kind[T],
	op string,
	opts imagestream.ListOptions,
) ([]T, imagestream.ListMeta, error) {
	var meta imagestream.ListMeta
	if err := s.begin(ctx, op, imagestream.Key{Namespace: opts.Namespace}); err != nil {
		return nil, meta, err
	}
	s.mu.Lock()
	snap, err := takeSnapshot(s, k, opts)
	if err != nil {
		s.mu.Unlock()
		return nil, meta, err
	}
	page := snap.rest
	meta.ResourceVersion = snap.version
	if opts.Limit > 0 && len(page) > opts.Limit {
		page, snap.rest = page[:opts.Limit], page[opts.Limit:]
		meta.Continue = k.table.keep(snap)
		remaining := int64(len(snap.rest))
		meta.RemainingItemCount = &remaining
	}
	s.mu.Unlock()
	items := make([]T, len(page))
	for i, o := range page {
		items[i] = *k.clone(o)
	}
	return items, meta, nil
}

// keep holds what is left of a list after a page, and returns the token for it. The oldest token is given up.
func (t *table[T]) keep(snap snapshot[T]) string {
	if t.snapshots == nil {
		t.snapshots = map[uint64]snapshot[T]{}
	}
	t.lists++
	t.snapshots[t.lists] = snap
	delete(t.snapshots, t.lists-maxSnapshots)
	return strconv.FormatUint(t.lists, 10)
}

// takeSnapshot returns what is left of the list that opts goes on with, or all of a new one.
func takeSnapshot[T any](s *Store, k kind[T], opts imagestream.ListOptions) (snapshot[T], error) {
	if opts.Continue != "" {
		id, err := strconv.ParseUint(opts.Continue, 10, 64)
		snap, ok := k.table.snapshots[id]
		if err != nil || !ok {
			return snap, k.fail(
				imagestream.ReasonExpired,
				imagestream.Key{},
				"the list cannot be continued any more: begin it again",
			)
		}
		return snap, nil
	}
	snap := snapshot[T]{version: strconv.FormatUint(s.version, 10)}
	for o := range k.table.in(opts.Namespace) {
		if opts.Labels.Matches(k.meta(o).Labels) {
			snap.rest = append(snap.rest, o)
		}
	}
	slices.SortFunc(snap.rest, func(a, b *T) int { return k.key(a).Compare(k.key(b)) })
	return snap, nil
}

// in yields the objects of a namespace, or all of them, in no order.
func (t *table[T]) in(namespace string) iter.Seq[*T] {
	if namespace != "" {
		return maps.Values(t.byNamespace[namespace])
	}
	return func(yield func(*T) bool) {
		for _, objects := range t.byNamespace {
			for _, o := range objects {
				if !yield(o) {
					return
				}
			}
		}
	}
}
