package bolt

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
)

// kind is what the store has to know of a type.
type kind[T any] struct {
	resource string
	bucket   []byte
	meta     func(*T) *imagestream.ObjectMeta
	clone    func(*T) *T
}

var (
	streamKind = kind[imagestream.ImageStream]{
		imagestream.ResourceImageStreams, streamBucket,
		func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata }, (*imagestream.ImageStream).Clone,
	}
	imageKind = kind[imagestream.Image]{
		imagestream.ResourceImages, imageBucket,
		func(o *imagestream.Image) *imagestream.ObjectMeta { return &o.Metadata }, (*imagestream.Image).Clone,
	}
)

// key returns under which key o is stored; images belong to no namespace.
func (k kind[T]) key(o *T) imagestream.Key {
	m := k.meta(o)
	if k.resource == imagestream.ResourceImages {
		return imagestream.Key{Name: m.Name}
	}
	return imagestream.Key{Namespace: m.Namespace, Name: m.Name}
}

func (k kind[T]) fail(reason imagestream.StatusReason, key imagestream.Key, message string) error {
	return imagestream.NewError(reason, k.resource, key, message)
}

// recordKey is the key of an object in its bucket; keys sort as [imagestream.Key] does.
func (k kind[T]) recordKey(key imagestream.Key) ([]byte, error) {
	switch {
	case strings.ContainsRune(key.Namespace, 0) || strings.ContainsRune(key.Name, 0):
		return nil, k.fail(imagestream.ReasonBadRequest, key, "a name must not have a zero byte in it")
	case len(key.Namespace)+1+len(key.Name) > bbolt.MaxKeySize:
		return nil, k.fail(imagestream.ReasonTooLarge, imagestream.Key{}, fmt.Sprintf("namespace and name have more than %d bytes", bbolt.MaxKeySize-1))
	}
	return []byte(key.Namespace + "\x00" + key.Name), nil
}

// A record is version, uid and JSON.
const (
	versionSize = 8
	uidSize     = 16
	headerSize  = versionSize + uidSize
)

type uid [uidSize]byte

func newUID() (u uid) {
	rand.Read(u[:])
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // a random UUID, RFC 9562
	return u
}

func (u uid) String() string {
	h := hex.EncodeToString(u[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func recordVersion(record []byte) uint64 { return binary.BigEndian.Uint64(record) }

func recordUID(record []byte) uid { return uid(record[versionSize:headerSize]) }

// encode returns the record of o with room for the version, which is set when it is written.
func (k kind[T]) encode(o *T, u uid) ([]byte, error) {
	stored := *o
	m := k.meta(&stored)
	m.ResourceVersion, m.UID = "", ""
	record := bytes.NewBuffer(make([]byte, versionSize, 4096))
	record.Write(u[:])
	if err := json.NewEncoder(record).Encode(&stored); err != nil {
		return nil, err
	}
	if record.Len() > bbolt.MaxValueSize {
		return nil, k.fail(imagestream.ReasonTooLarge, k.key(o), fmt.Sprintf("it has %d bytes, the store holds %d", record.Len(), bbolt.MaxValueSize))
	}
	return record.Bytes(), nil
}

// decode returns the object of a record.
func (k kind[T]) decode(key, record []byte) (*T, error) {
	if len(record) < headerSize {
		return nil, fmt.Errorf("%s: the record of %q is damaged: it has %d bytes", k.resource, key, len(record))
	}
	o := new(T)
	if err := json.Unmarshal(record[headerSize:], o); err != nil {
		return nil, fmt.Errorf("%s: the record of %q is damaged: %w", k.resource, key, err)
	}
	k.stamp(o, recordVersion(record), recordUID(record))
	return o, nil
}

// stamp gives o what stands beside its JSON.
func (k kind[T]) stamp(o *T, version uint64, u uid) {
	m := k.meta(o)
	m.ResourceVersion, m.UID = formatVersion(version), u.String()
}

func formatVersion(version uint64) string { return strconv.FormatUint(version, 10) }

// matches reports whether the object of a record has the labels.
func matches(record []byte, labels imagestream.Selector) bool {
	if labels.IsEmpty() {
		return true
	}
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	return len(record) > headerSize && json.Unmarshal(record[headerSize:], &o) == nil && labels.Matches(o.Metadata.Labels)
}

// check compares preconditions with a record.
func (k kind[T]) check(key imagestream.Key, record []byte, only imagestream.Preconditions) error {
	if len(record) < headerSize {
		return fmt.Errorf("%s: the record of %s is damaged: it has %d bytes", k.resource, key, len(record))
	}
	version, u := formatVersion(recordVersion(record)), recordUID(record).String()
	switch {
	case only.UID != "" && only.UID != u:
		return k.fail(imagestream.ReasonConflict, key, fmt.Sprintf("its uid is %s, not %s: it was deleted and created again", u, only.UID))
	case only.ResourceVersion != "" && only.ResourceVersion != version:
		return k.fail(imagestream.ReasonConflict, key, fmt.Sprintf("its resourceVersion is %s, not %s: get it and apply the change again", version, only.ResourceVersion))
	}
	return nil
}

// preconditions are those of an update: an object without a version is one that was never read.
func preconditions(m *imagestream.ObjectMeta) imagestream.Preconditions {
	return imagestream.Preconditions{UID: m.UID, ResourceVersion: cmp.Or(m.ResourceVersion, "none")}
}
