package yaml

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/imagestream/pullspec"
	"github.com/imagestreams/imagestreams/lookup"
	"github.com/imagestreams/imagestreams/tagevent"
)

// Lock is what decided the changes of a [Rewriter]: write it beside the files, and they can be rewritten later exactly
// as they were, whatever the streams have become: with a resolver on its Source. That knows nothing else, so references
// that stayed stay again.
//
// What images are is not in it, so a policy that asks for their labels judges otherwise.
type Lock struct {
	Images []Locked
	// Stays are the tags that were looked up and decided nothing.
	Stays []Stayed
}

// Stayed is an image stream's tag that was looked up in vain.
type Stayed struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	Tag       string `json:"tag"`
}

// Locked is an image stream's tag, as it was.
type Locked struct {
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	Tag       string `json:"tag,omitempty"`
	// Local tells that the stream was for local lookup.
	Local bool `json:"local,omitempty"`
	// Reference is what the tag stood for: a repository with a digest, or with the tag if it had no image.
	Reference string `json:"reference"`
	// Event is the newest event of the tag; it has no image if the tag had none.
	Event tagevent.Event `json:"event"`
}

// lockVersion is the version of the format.
const lockVersion = 1

type lockFile struct {
	Version int      `json:"version"`
	Images  []Locked `json:"images"`
	Stays   []Stayed `json:"stays,omitempty"`
}

// ParseLock reads a lock file.
func ParseLock(raw []byte) (*Lock, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	var f lockFile
	if err := decoder.Decode(&f); err != nil {
		return nil, fmt.Errorf("read lock: %w", err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read lock: there is more after it")
	}
	if f.Version != lockVersion {
		return nil, fmt.Errorf("read lock: version is %d, this program knows %d", f.Version, lockVersion)
	}
	for i, l := range f.Images {
		if _, err := pullspec.Parse(l.Reference); err != nil {
			return nil, fmt.Errorf("read lock: images[%d].reference: %w", i, err)
		}
	}
	return &Lock{f.Images, f.Stays}, nil
}

// With returns what both locks have; of what is in both, what newer says.
func (l *Lock) With(newer *Lock) *Lock {
	images, stays := map[lockKey]Locked{}, map[Stayed]bool{}
	for _, lock := range [...]*Lock{l, newer} {
		for _, stayed := range lock.Stays {
			delete(images, stayed.key())
			stays[stayed] = true
		}
		for _, locked := range lock.Images {
			delete(stays, locked.stayed())
			images[locked.key()] = locked
		}
	}
	return &Lock{slices.Collect(maps.Values(images)), slices.Collect(maps.Keys(stays))}
}

// Lacking returns the decisions that looked up a tag of which the lock says nothing.
func (l *Lock) Lacking(decisions []Decision) []Decision {
	has := map[Stayed]bool{}
	for _, stayed := range l.Stays {
		has[stayed] = true
	}
	for _, locked := range l.Images {
		has[locked.stayed()] = true
	}
	var lacking []Decision
	for _, d := range decisions {
		lacks := func(t lookup.Tried) bool { return !has[Stayed{t.Stream.Namespace, t.Stream.Name, t.Tag}] }
		if slices.ContainsFunc(d.Tried, lacks) {
			lacking = append(lacking, d)
		}
	}
	return lacking
}

// Bytes writes a lock file: JSON, in the order of namespaces, names and tags, so that it can be compared.
func (l *Lock) Bytes() []byte {
	f := lockFile{lockVersion, slices.Clone(l.Images), slices.Clone(l.Stays)}
	if f.Images == nil {
		f.Images = []Locked{}
	}
	slices.SortFunc(f.Images, func(a, b Locked) int {
		return cmp.Or(compareStayed(a.stayed(), b.stayed()), cmp.Compare(a.Reference, b.Reference))
	})
	slices.SortFunc(f.Stays, compareStayed)
	raw, _ := json.MarshalIndent(f, "", "  ")
	return append(raw, '\n')
}

func compareStayed(a, b Stayed) int {
	return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Tag, b.Tag))
}

// Source returns a source that has what is locked, and nothing else.
func (l *Lock) Source() lookup.Source {
	src := lockSource{map[imagestream.Key]*imagestream.ImageStream{}, map[string]*imagestream.Image{}}
	for _, locked := range l.Images {
		src.add(locked)
	}
	return src
}

type lockSource struct {
	streams map[imagestream.Key]*imagestream.ImageStream
	images  map[string]*imagestream.Image
}

func (src lockSource) add(l Locked) {
	event := l.Event
	if event.Image != "" {
		image := &imagestream.Image{DockerImageReference: l.Reference}
		image.Metadata.Name = event.Image
		if _, known := src.images[event.Image]; !known || l.Tag == "" {
			src.images[event.Image] = image // where an image says it is counts for those that are asked for by digest
		}
	}
	if l.Name == "" {
		return
	}
	key := imagestream.Key{Namespace: l.Namespace, Name: l.Name}
	s := src.streams[key]
	if s == nil {
		s = &imagestream.ImageStream{}
		s.Metadata.Namespace, s.Metadata.Name = key.Namespace, key.Name
		src.streams[key] = s
	}
	s.Spec.LookupPolicy.Local = s.Spec.LookupPolicy.Local || l.Local
	if event.Image == "" && event.DockerImageReference == "" {
		s.Spec.DockerImageRepository = l.Reference
		return
	}
	tag := l.Tag
	if tag == "" {
		tag = event.Image // one that is asked for by its digest
	}
	event.DockerImageReference = l.Reference
	s.Status.Tags = append(s.Status.Tags, tagevent.History{Tag: tag, Items: []tagevent.Event{event}})
}

func (src lockSource) GetImageStream(_ context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	if s, ok := src.streams[key]; ok {
		return s, nil
	}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, "imagestreams", key, "it is not in the lock")
}

func (src lockSource) GetImage(_ context.Context, name string) (*imagestream.Image, error) {
	if image, ok := src.images[name]; ok {
		return image, nil
	}
	key := imagestream.Key{Name: name}
	return nil, imagestream.NewError(imagestream.ReasonNotFound, "images", key, "it is not in the lock")
}

// recorder is a source that remembers what decided.
type recorder struct {
	lookup.Source
	mu      sync.Mutex
	streams map[imagestream.Key]*imagestream.ImageStream // that were read
	local   map[imagestream.Key]bool
	locked  map[lockKey]Locked
	stays   map[Stayed]bool
}

func newRecorder(source lookup.Source) *recorder {
	return &recorder{
		Source:  source,
		streams: map[imagestream.Key]*imagestream.ImageStream{},
		local:   map[imagestream.Key]bool{},
		locked:  map[lockKey]Locked{},
		stays:   map[Stayed]bool{},
	}
}

type lockKey struct {
	stream imagestream.Key
	tag    string
	image  string // of what has no tag
}

func (l Locked) stayed() Stayed { return Stayed{l.Namespace, l.Name, l.Tag} }

func (s Stayed) key() lockKey {
	return lockKey{imagestream.Key{Namespace: s.Namespace, Name: s.Name}, s.Tag, ""}
}

func (l Locked) key() lockKey {
	key := lockKey{imagestream.Key{Namespace: l.Namespace, Name: l.Name}, l.Tag, ""}
	if l.Tag == "" {
		key.image = l.Event.Image
	}
	return key
}

// GetImageStream reads a stream once: who asks again, or at the same time, gets the same.
func (r *recorder) GetImageStream(ctx context.Context, key imagestream.Key) (*imagestream.ImageStream, error) {
	r.mu.Lock()
	s := r.streams[key]
	r.mu.Unlock()
	if s != nil {
		return s, nil
	}
	s, err := r.Source.GetImageStream(ctx, key)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.streams[key] == nil {
		r.streams[key], r.local[key] = s, s.Spec.LookupPolicy.Local
	}
	return r.streams[key], nil
}

// decided remembers the tags that were looked up in vain for a decision.
func (r *recorder) decided(d lookup.Decision) {
	vain := d.Tried
	if d.To != "" && len(vain) > 0 {
		vain = vain[:len(vain)-1]
	}
	if len(vain) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, tried := range vain {
		r.stays[Stayed{tried.Stream.Namespace, tried.Stream.Name, tried.Tag}] = true
	}
}

// note remembers what decided a change.
func (r *recorder) note(c lookup.Change) {
	l := Locked{Namespace: c.Stream.Namespace, Name: c.Stream.Name, Tag: c.Tag, Reference: c.To, Event: c.Event}
	ref, err := pullspec.Parse(c.To)
	if err != nil {
		return // a lone host has no name, and nothing can be changed to it
	}
	if l.Event.Image == "" {
		l.Event.Image = ref.ID
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l.Local = r.local[c.Stream]
	r.locked[l.key()] = l
}

func (r *recorder) lock() *Lock {
	r.mu.Lock()
	defer r.mu.Unlock()
	stays := &Lock{Stays: slices.Collect(maps.Keys(r.stays))}
	return stays.With(&Lock{Images: slices.Collect(maps.Values(r.locked))})
}
