package etcd

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"go.etcd.io/etcd/api/v3/mvccpb"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/utf8path"
)

// kind is what the store has to know of a type.
type kind[T any] struct {
	resource string
	prefix   string // of its keys
	spaced   bool   // whether keys have a namespace
	types    func(*T) *imagestream.TypeMeta
	meta     func(*T) *imagestream.ObjectMeta
	clone    func(*T) *T
	// value returns what is encoded of an object: its own members, with other metadata before them.
	value func(metadata stored, o *T) any
}

func streamKind(prefix string) kind[imagestream.ImageStream] {
	return kind[imagestream.ImageStream]{
		resource: imagestream.ResourceImageStreams, prefix: prefix + "imagestreams/", spaced: true,
		types: func(o *imagestream.ImageStream) *imagestream.TypeMeta { return &o.TypeMeta },
		meta:  func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata },
		clone: (*imagestream.ImageStream).Clone,
		value: func(m stored, o *imagestream.ImageStream) any {
			return struct {
				Metadata stored `json:"metadata"`
				*imagestream.ImageStream
			}{m, o}
		},
	}
}

func imageKind(prefix string) kind[imagestream.Image] {
	return kind[imagestream.Image]{
		resource: imagestream.ResourceImages, prefix: prefix + "images/",
		types: func(o *imagestream.Image) *imagestream.TypeMeta { return &o.TypeMeta },
		meta:  func(o *imagestream.Image) *imagestream.ObjectMeta { return &o.Metadata },
		clone: (*imagestream.Image).Clone,
		value: func(m stored, o *imagestream.Image) any {
			return struct {
				Metadata stored `json:"metadata"`
				*imagestream.Image
			}{m, o}
		},
	}
}

// stored is metadata as it is stored: the uid first, no resource version.
type stored struct {
	uid  string
	meta *imagestream.ObjectMeta
}

// MarshalJSON writes the uid before everything else.
func (s stored) MarshalJSON() ([]byte, error) {
	m := *s.meta
	m.UID, m.ResourceVersion = "", ""
	rest, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	uid, err := json.Marshal(s.uid)
	if err != nil {
		return nil, err
	}
	b := append(append(make([]byte, 0, len(rest)+len(uid)+8), `{"uid":`...), uid...)
	if len(rest) > len("{}") {
		b = append(b, ',')
	}
	return append(b, rest[1:]...), nil
}

// uidRange returns between which values those lie that the store has written for an object of that uid.
func uidRange(uid string) (after, before string) {
	text, _ := json.Marshal(uid) // no string fails
	begin := `{"metadata":{"uid":` + string(text)
	return begin, begin + "~" // a comma or a brace follows
}

func newUID() string {
	var u [16]byte
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // a random UUID, RFC 9562
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// key returns under which key o is stored; images belong to no namespace.
func (k kind[T]) key(o *T) imagestream.Key {
	m := k.meta(o)
	if !k.spaced {
		return imagestream.Key{Name: m.Name}
	}
	return imagestream.Key{Namespace: m.Namespace, Name: m.Name}
}

// name is what messages call an object; nothing for requests about all of them.
func (k kind[T]) name(key imagestream.Key) string {
	if !k.spaced || key == (imagestream.Key{}) {
		return key.Name
	}
	return key.String()
}

// about is what the errors of a request begin with.
func (k kind[T]) about(key imagestream.Key) string {
	if name := k.name(key); name != "" {
		return fmt.Sprintf("%s %q", k.resource, name)
	}
	return k.resource
}

func (k kind[T]) fail(reason imagestream.StatusReason, key imagestream.Key, message string) error {
	return imagestream.NewError(reason, k.resource, key, message)
}

// etcdKey is the key of an object in etcd; keys sort as [imagestream.Key] does.
func (k kind[T]) etcdKey(key imagestream.Key) (string, error) {
	if strings.ContainsRune(key.Namespace, 0) || strings.ContainsRune(key.Name, 0) {
		return "", k.fail(imagestream.ReasonBadRequest, key, "a name must not have a zero byte in it")
	}
	if !k.spaced {
		return k.prefix + key.Name, nil
	}
	return k.prefix + key.Namespace + "\x00" + key.Name, nil
}

// query says which objects are meant.
type query struct {
	namespace, name string // "" is any
	labels          imagestream.Selector
}

// all reports whether every object in the range of q is meant.
func (q query) all() bool { return q.name == "" && q.labels.IsEmpty() }

func (k kind[T]) matches(o *T, q query) bool {
	m := k.meta(o)
	return (q.name == "" || q.name == m.Name) && q.labels.Matches(m.Labels)
}

// keyRange returns the first key that can be meant, and the first one after them all.
func (k kind[T]) keyRange(q query) (begin, end string) {
	switch {
	case k.spaced && q.namespace == "", !k.spaced && q.name == "":
		return k.prefix, k.prefix[:len(k.prefix)-1] + "0" // what follows the slash
	case q.name == "":
		return k.prefix + q.namespace + "\x00", k.prefix + q.namespace + "\x01"
	case k.spaced:
		begin = k.prefix + q.namespace + "\x00" + q.name
	default:
		begin = k.prefix + q.name
	}
	return begin, begin + "\x00"
}

// knows reports whether this program knows an API version. The one before API groups is called v1.
func knows(apiVersion string) bool {
	return apiVersion == "" || apiVersion == "v1" || apiVersion == imagestream.APIVersion
}

// encode returns the value of o.
func (k kind[T]) encode(o *T, uid string) (string, error) {
	if version := k.types(o).APIVersion; !knows(version) {
		return "", k.fail(
			imagestream.ReasonBadRequest,
			k.key(o),
			fmt.Sprintf("its apiVersion is %q: the store holds objects of %s", version, imagestream.APIVersion),
		)
	}
	if path := utf8path.Of(o); path != "" {
		return "", k.fail(imagestream.ReasonBadRequest, k.key(o), path+" is not valid UTF-8: JSON cannot hold it")
	}
	b, err := json.Marshal(k.value(stored{uid, k.meta(o)}, o))
	return string(b), err
}

// decode returns the object of a value, or an error of class [ErrFormat].
func (k kind[T]) decode(kv *mvccpb.KeyValue) (*T, error) {
	o := new(T)
	if err := decodeStrictly(kv.Value, o); err != nil || !knows(k.types(o).APIVersion) {
		return nil, unusable(kv, err)
	}
	if name, err := k.etcdKey(k.key(o)); err != nil || name != string(kv.Key) {
		return nil, fmt.Errorf("%w: the value of key %q is that of %q", ErrFormat, kv.Key, k.name(k.key(o)))
	}
	k.meta(o).ResourceVersion = formatVersion(kv.ModRevision)
	return o, nil
}

// unusable says why a value cannot be used; err is that of reading it strictly.
func unusable(kv *mvccpb.KeyValue, err error) error {
	var named imagestream.TypeMeta
	if damaged := json.Unmarshal(kv.Value, &named); damaged != nil {
		return fmt.Errorf("%w: the value of key %q is damaged: %w", ErrFormat, kv.Key, damaged)
	}
	if !knows(named.APIVersion) {
		return fmt.Errorf(
			"%w: the value of key %q is of %s, this program knows %s: use a newer program",
			ErrFormat,
			kv.Key,
			named.APIVersion,
			imagestream.APIVersion,
		)
	}
	return fmt.Errorf(
		"%w: the value of key %q has what this program does not know: use a newer program: %w",
		ErrFormat,
		kv.Key,
		err,
	)
}

// decoder reads values, one after the other, into the same buffer.
type decoder struct {
	json  *json.Decoder
	value bytes.Reader
}

var decoders = sync.Pool{New: func() any {
	d := new(decoder)
	d.json = json.NewDecoder(&d.value)
	d.json.DisallowUnknownFields()
	return d
}}

// decodeStrictly reads JSON of which every member must be known, and nothing may follow.
func decodeStrictly(value []byte, into any) error {
	d := decoders.Get().(*decoder)
	d.value.Reset(value)
	begin := d.json.InputOffset()
	if err := d.json.Decode(into); err != nil {
		return err
	}
	rest := value[d.json.InputOffset()-begin:]
	switch {
	case len(rest) == 0:
		decoders.Put(d)
	case len(bytes.TrimSpace(rest)) > 0:
		return errors.New("more follows the JSON")
	}
	return nil
}

func formatVersion(revision int64) string { return strconv.FormatInt(revision, 10) }

// parseVersion returns the revision of a resource version; false if it is none that etcd gives.
func parseVersion(version string) (int64, bool) {
	revision, err := strconv.ParseInt(version, 10, 64)
	return revision, err == nil && revision >= 0
}
