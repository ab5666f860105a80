package bolt

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.etcd.io/bbolt"

	"github.com/imagestreams/imagestreams/imagestream"
	"github.com/imagestreams/imagestreams/internal/utf8path"
)

// kind is what the store has to know of a type.
type kind[T any] struct {
	resource string
	bucket   []byte
	shape    uint64
	meta     func(*T) *imagestream.ObjectMeta
	clone    func(*T) *T
}

var (
	streamKind = kind[imagestream.ImageStream]{
		imagestream.ResourceImageStreams, streamBucket, shapeOf[imagestream.ImageStream](),
		func(o *imagestream.ImageStream) *imagestream.ObjectMeta { return &o.Metadata }, (*imagestream.ImageStream).Clone,
	}
	imageKind = kind[imagestream.Image]{
		imagestream.ResourceImages, imageBucket, shapeOf[imagestream.Image](),
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
	case !utf8.ValidString(key.Namespace) || !utf8.ValidString(key.Name):
		return nil, k.fail(imagestream.ReasonBadRequest, key, "a name must be valid UTF-8")
	case len(key.Namespace)+1+len(key.Name) > bbolt.MaxKeySize:
		return nil, k.fail(imagestream.ReasonTooLarge, imagestream.Key{},
			fmt.Sprintf("namespace and name have more than %d bytes", bbolt.MaxKeySize-1))
	}
	return []byte(key.Namespace + "\x00" + key.Name), nil
}

// isAt reports whether a key is that of o.
func (k kind[T]) isAt(key []byte, o *T) bool {
	name, err := k.recordKey(k.key(o))
	return err == nil && bytes.Equal(name, key)
}

// A record is a head and JSON. The head is version, uid, the shape of the type that was written, the checksum of
// the JSON, and one of all that and the key.
const (
	versionSize = 8
	uidSize     = 16
	uidAt       = versionSize
	shapeAt     = uidAt + uidSize
	jsonSumAt   = shapeAt + 8
	headSumAt   = jsonSumAt + 4
	headerSize  = headSumAt + 4
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

func recordUID(record []byte) uid { return uid(record[uidAt:shapeAt]) }

// sumJSON writes the checksum of a record's JSON.
func sumJSON(record []byte) {
	binary.BigEndian.PutUint32(record[jsonSumAt:], crc32.Checksum(record[headerSize:], castagnoli))
}

// spoil makes a record one that does not match its checksum.
func spoil(record []byte) {
	binary.BigEndian.PutUint32(record[jsonSumAt:], ^crc32.Checksum(record[headerSize:], castagnoli))
}

func jsonSound(record []byte) bool {
	return binary.BigEndian.Uint32(record[jsonSumAt:]) == crc32.Checksum(record[headerSize:], castagnoli)
}

// seal writes the checksum of a record's head and key.
func seal(bucket, key, record []byte) {
	binary.BigEndian.PutUint32(record[headSumAt:], headSum(bucket, key, record))
}

func headSum(bucket, key, record []byte) uint32 {
	sum := crc32.Checksum(bucket, castagnoli)
	sum = crc32.Update(sum, castagnoli, key)
	return crc32.Update(sum, castagnoli, record[:headSumAt])
}

func headSound(bucket, key, record []byte) bool {
	return len(record) >= headerSize && binary.BigEndian.Uint32(record[headSumAt:]) == headSum(bucket, key, record)
}

// weigh returns what a record adds to the sum of the state, from its key and head.
func weigh(bucket, key, record []byte) uint64 {
	if record == nil {
		return 0
	}
	h := fnv.New64a()
	h.Write(bucket)
	h.Write(key)
	h.Write(record[:headerSize])
	return h.Sum64()
}

// objectError is about one object, by its name. It is of class [ErrFormat].
type objectError struct{ resource, name, why string }

func (e *objectError) Error() string        { return fmt.Sprintf("%s %q: %s", e.resource, e.name, e.why) }
func (e *objectError) Is(target error) bool { return target == ErrFormat }

// damaged is the error of a record that is not what was written.
func damaged(bucket, key []byte, what string) error {
	return refused(bucket, key, "its record is damaged: "+what)
}

func refused(bucket, key []byte, why string) error {
	resource, name := imagestream.ResourceImageStreams, strings.Replace(string(key), "\x00", "/", 1)
	if bytes.Equal(bucket, imageBucket) {
		resource, name = imagestream.ResourceImages, strings.TrimPrefix(name, "/")
	}
	return &objectError{resource, name, why}
}

// encode returns the record of o with room for the version, which is set when it is written.
func (k kind[T]) encode(o *T, u uid) ([]byte, error) {
	stored := *o
	m := k.meta(&stored)
	m.ResourceVersion, m.UID = "", ""
	record := bytes.NewBuffer(make([]byte, headerSize, 4096))
	if err := json.NewEncoder(record).Encode(&stored); err != nil {
		return nil, err
	}
	b := record.Bytes()
	if len(b) > bbolt.MaxValueSize {
		return nil, k.fail(imagestream.ReasonTooLarge, k.key(o),
			fmt.Sprintf("it has %d bytes, the store holds %d", len(b), bbolt.MaxValueSize))
	}
	if mayHaveReplaced(b[headerSize:]) {
		if field := utf8path.Of(o); field != "" {
			return nil, k.fail(imagestream.ReasonBadRequest, k.key(o), field+" is not valid UTF-8")
		}
	}
	copy(b[uidAt:], u[:])
	binary.BigEndian.PutUint64(b[shapeAt:], k.shape)
	sumJSON(b)
	return b, nil
}

// decode returns the object of a record.
func (k kind[T]) decode(key, record []byte) (*T, error) {
	switch {
	case !headSound(k.bucket, key, record):
		return nil, damaged(k.bucket, key, "its head does not match its checksum")
	case !jsonSound(record):
		return nil, damaged(k.bucket, key, "it does not match its checksum")
	}
	o, err := k.parse(record)
	if err != nil {
		return nil, refused(k.bucket, key, err.Error())
	}
	k.stamp(o, recordVersion(record), recordUID(record))
	return o, nil
}

// parse reads the JSON of a record. One that a program with other types wrote must not have members that this
// one does not know: it would drop them.
func (k kind[T]) parse(record []byte) (*T, error) {
	o := new(T)
	if binary.BigEndian.Uint64(record[shapeAt:]) == k.shape {
		return o, json.Unmarshal(record[headerSize:], o)
	}
	d := json.NewDecoder(bytes.NewReader(record[headerSize:]))
	d.DisallowUnknownFields()
	err := d.Decode(o)
	if err != nil && json.Unmarshal(record[headerSize:], new(T)) == nil {
		err = fmt.Errorf("a newer program wrote it (%w): use that one", err)
	}
	return o, err
}

// stamp gives o what stands beside its JSON.
func (k kind[T]) stamp(o *T, version uint64, u uid) {
	m := k.meta(o)
	m.ResourceVersion, m.UID = formatVersion(version), u.String()
}

func formatVersion(version uint64) string { return strconv.FormatUint(version, 10) }

// matches reports whether the object of a record has the labels. One that is damaged may have them.
func (k kind[T]) matches(key, record []byte, labels imagestream.Selector) bool {
	if labels.IsEmpty() {
		return true
	}
	if !headSound(k.bucket, key, record) || !jsonSound(record) {
		return true
	}
	var o struct {
		Metadata struct {
			Labels map[string]string `json:"labels"`
		} `json:"metadata"`
	}
	return json.Unmarshal(record[headerSize:], &o) != nil || labels.Matches(o.Metadata.Labels)
}
