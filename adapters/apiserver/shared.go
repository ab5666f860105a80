package apiserver

import (
	"bytes"
	"io"
	"sync"
	"time"

	imagev1 "github.com/openshift/api/image/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/imagestreams/imagestreams/adapters/openshift"
	"github.com/imagestreams/imagestreams/imagestream"
)

const (
	// maxShared is how many changes are kept that watches have in common.
	maxShared = 32
	// sharedFor is how long a change is kept: the ages in a table are no older.
	sharedFor = time.Second
)

// shared has the newest changes, so that what many watches report is converted and encoded once.
type shared[T openshift.Theirs, O openshift.Ours] struct {
	mu     sync.Mutex
	newest [maxShared]*encoded[T, O]
	next   int
}

// of returns the object of a change for the handlers.
func (s *shared[T, O]) of(change imagestream.Change[O], now time.Time) runtime.Object {
	m := metaOf(change.Object)
	e := &encoded[T, O]{
		uid: m.UID, version: m.ResourceVersion, gone: change.Type == imagestream.Deleted, at: now, object: change.Object,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, known := range s.newest {
		if known != nil && known.uid == e.uid && known.version == e.version && known.gone == e.gone &&
			now.Sub(known.at) < sharedFor {
			return known
		}
	}
	s.newest[s.next] = e
	s.next = (s.next + 1) % maxShared
	return e
}

// encoded is an object that knows how it is encoded. The object does not change.
type encoded[T openshift.Theirs, O openshift.Ours] struct {
	uid, version string
	gone         bool
	at           time.Time
	object       *O

	mu    sync.Mutex
	bytes map[runtime.Identifier]func() ([]byte, error)
}

var _ runtime.CacheableObject = (*encoded[imagev1.Image, imagestream.Image])(nil)

// CacheEncode writes what encode writes, which is called once for each encoding.
func (e *encoded[T, O]) CacheEncode(
	id runtime.Identifier, encode func(runtime.Object, io.Writer) error, w io.Writer,
) error {
	e.mu.Lock()
	once := e.bytes[id]
	if once == nil {
		once = sync.OnceValues(func() ([]byte, error) {
			var b bytes.Buffer
			err := encode(e.GetObject(), &b)
			return b.Bytes(), err
		})
		if e.bytes == nil {
			e.bytes = map[runtime.Identifier]func() ([]byte, error){}
		}
		e.bytes[id] = once
	}
	e.mu.Unlock()
	data, err := once()
	if err != nil {
		return err
	}
	_, err = w.Write(data)
	return err
}

// GetObject returns a copy.
func (e *encoded[T, O]) GetObject() runtime.Object { return objectOf(openshift.ToAPI[T](e.object)) }

func (e *encoded[T, O]) GetObjectKind() schema.ObjectKind { return e.GetObject().GetObjectKind() }
func (e *encoded[T, O]) DeepCopyObject() runtime.Object   { return e.GetObject() }
