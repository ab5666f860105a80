package bolt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"go.etcd.io/bbolt"
)

// The buckets of the file, and the keys in meta.
var (
	metaBucket   = []byte("meta")
	streamBucket = []byte("streams")
	imageBucket  = []byte("images")

	formatKey = []byte("format")
	stateKey  = []byte("state")
)

// migrations bring a file from a format to the next one: the first from 0, which is an empty file, to 1.
var migrations = []func(tx *bbolt.Tx) error{
	func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{metaBucket, streamBucket, imageBucket} {
			if _, err := tx.CreateBucket(name); err != nil {
				return err
			}
		}
		return nil
	},
	addChecksums,
}

// checkedFormat is the first one with checksums.
const checkedFormat = 2

var errMigrate = errors.New("an older format")

func newestFormat() uint64 { return uint64(len(migrations)) }

// formatOf returns the format of a file; 0 if it is empty.
func formatOf(tx *bbolt.Tx) (uint64, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		if name, _ := tx.Cursor().First(); name != nil {
			return 0, fmt.Errorf("%w: it is a bbolt file of some other program", ErrFormat)
		}
		return 0, nil
	}
	number := meta.Get(formatKey)
	if len(number) != 8 {
		return 0, fmt.Errorf("%w: it has no format", ErrFormat)
	}
	format := binary.BigEndian.Uint64(number)
	if format > newestFormat() {
		return 0, fmt.Errorf("%w: it has format %d, this program knows %d: use a newer program",
			ErrFormat, format, newestFormat())
	}
	return format, nil
}

// migrate brings a file to the newest format.
func migrate(tx *bbolt.Tx) error {
	format, err := formatOf(tx)
	if err != nil {
		return err
	}
	for ; format < newestFormat(); format++ {
		if err := migrations[format](tx); err != nil {
			return fmt.Errorf("from format %d to %d: %w", format, format+1, err)
		}
	}
	return tx.Bucket(metaBucket).Put(formatKey, binary.BigEndian.AppendUint64(nil, format))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// state is what stands in meta, under a checksum that covers the format too.
type state struct {
	version uint64 // the newest
	sum     uint64 // the weights of all records, so that none can be lost or be an old one
}

const stateSize = 8 + 8 + 4

func (s state) encode() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, stateSize), s.version)
	b = binary.BigEndian.AppendUint64(b, s.sum)
	return binary.BigEndian.AppendUint32(b, crc32.Update(crc32.Checksum(stateKey, castagnoli), castagnoli, b))
}

func decodeState(b []byte) (s state, err error) {
	if len(b) == stateSize {
		s = state{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
	}
	if len(b) != stateSize || string(s.encode()) != string(b) {
		return state{}, fmt.Errorf("%w: it is damaged: the newest version does not match its checksum", ErrFormat)
	}
	return s, nil
}

func readState(tx *bbolt.Tx) (state, error) {
	meta := tx.Bucket(metaBucket)
	if meta == nil {
		return state{}, fmt.Errorf("%w: it is damaged: it has no bucket meta", ErrFormat)
	}
	return decodeState(meta.Get(stateKey))
}

func (s state) write(tx *bbolt.Tx) error { return tx.Bucket(metaBucket).Put(stateKey, s.encode()) }

// addChecksums brings a file from format 1, whose records are version, uid and JSON, and whose newest version is the
// sequence of meta. A record that cannot be read gets a checksum that it does not match, and is refused by name
// from then on.
func addChecksums(tx *bbolt.Tx) error {
	now := state{version: tx.Bucket(metaBucket).Sequence()}
	if err := addChecksumsTo(tx, streamKind, &now); err != nil {
		return err
	}
	if err := addChecksumsTo(tx, imageKind, &now); err != nil {
		return err
	}
	return now.write(tx)
}

func addChecksumsTo[T any](tx *bbolt.Tx, k kind[T], now *state) error {
	bucket := tx.Bucket(k.bucket)
	if bucket == nil {
		return fmt.Errorf("%w: it is damaged: it has no bucket %s", ErrFormat, k.bucket)
	}
	var keys [][]byte // in which nothing is written while the cursor goes over them
	cursor := bucket.Cursor()
	for key, _ := cursor.First(); key != nil; key, _ = cursor.Next() {
		keys = append(keys, append([]byte(nil), key...))
	}
	for _, key := range keys {
		const oldHeader = versionSize + uidSize
		old := bucket.Get(key)
		var head, text []byte
		if len(old) >= oldHeader {
			head, text = old[:oldHeader], old[oldHeader:]
		}
		record := make([]byte, headerSize, headerSize+len(text))
		copy(record, head)
		record = append(record, text...)
		sumJSON(record)
		o := new(T)
		if json.Unmarshal(text, o) != nil || !k.isAt(key, o) || recordVersion(record) > now.version {
			spoil(record)
		}
		seal(k.bucket, key, record)
		if err := bucket.Put(key, record); err != nil {
			return err
		}
		now.sum += weigh(k.bucket, key, record)
	}
	return nil
}
