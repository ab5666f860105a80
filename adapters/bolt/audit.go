package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"os"
	"slices"
)

// bbolt trusts its pages: one that is damaged makes it panic, read outside of the file, or never end. So the
// structure of a file is read here first, from the file and not from its mapping, and bbolt sees none that is
// not sound. What a page must be is what bbolt writes, to the byte: its own number and kind, a table that says
// where keys and values are, which stand there one after the other without a gap, keys in order, and each page of
// the file in exactly one place: in the tree, or in the list of free pages.

// The parts of bbolt's file format; numbers have the byte order of the machine.
const (
	pageHead    = 16
	elementSize = 16
	bucketHead  = 16

	branchFlag = 0x01
	leafFlag   = 0x02
	metaFlag   = 0x04
	freeFlag   = 0x10

	magic         = 0xED0CDAED
	bboltVersion  = 2
	metaSize      = 64
	newPages      = 4 // pages of a file that was just created
	bucketElement = 1
)

var native = binary.NativeEndian

// head is one of the two heads of a file; the newer one counts.
type head struct {
	pageSize          int64
	root, free, pages uint64
	transaction       uint64
}

// audit reads a file.
type audit struct {
	ctx     context.Context
	file    io.ReaderAt
	head    head
	claimed []uint64 // a bit for each page
	buckets map[string]*tally
	meta    map[string][]byte
}

// tally is what the records of a bucket come to.
type tally struct {
	sum uint64
	bad []error // records whose key or head is damaged
}

func damage(format string, args ...any) error { return fmt.Errorf("it is damaged: "+format, args...) }

// auditFile reads a file as it is, and returns the records whose key or head is damaged. An error says that bbolt
// must not see the file; both it and they are of class [ErrFormat]. Unfinished reports that the file's creation
// never came to an end.
func auditFile(ctx context.Context, file *os.File) (bad []error, unfinished bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, false, err
	}
	if info.Size() == 0 {
		return nil, true, nil
	}
	first, err := readHead(file, 0, 0)
	if err != nil {
		return nil, false, inFormat(err)
	}
	if info.Size() < newPages*first.pageSize && first.transaction == 0 {
		return nil, true, nil
	}
	if err := first.fits(info.Size()); err != nil {
		return nil, false, err
	}
	second, err := readHead(file, 1, first.pageSize)
	if err != nil {
		return nil, false, inFormat(err)
	}
	newer, older := first, second
	if second.transaction > first.transaction {
		newer, older = second, first
	}
	if newer.transaction != older.transaction+1 {
		return nil, false, inFormat(damage("its heads are of transactions %d and %d, which do not follow each other",
			older.transaction, newer.transaction))
	}
	bad, err = auditHead(ctx, file, info.Size(), newer)
	return bad, false, err
}

// auditHead reads a file as one of its heads has it.
func auditHead(ctx context.Context, file io.ReaderAt, size int64, h head) (bad []error, err error) {
	if err := h.fits(size); err != nil {
		return nil, err
	}
	a := &audit{
		ctx: ctx, file: file, head: h, claimed: make([]uint64, h.pages/64+1),
		buckets: map[string]*tally{}, meta: map[string][]byte{},
	}
	a.claimed[0] = 3 // the heads
	if err := a.run(); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, inFormat(err)
	}
	return a.records()
}

// fits says whether a file has the pages that its head says it has.
func (h head) fits(size int64) error {
	if h.pages < newPages || h.pages > uint64(size/h.pageSize) {
		return inFormat(damage("it has %d bytes, and should have %d pages of %d: its end is cut off",
			size, h.pages, h.pageSize))
	}
	return nil
}

// readHead reads page 0 or 1. Both must be sound: a crash leaves none that is not, since a disk writes a sector
// whole or not at all. If one is damaged, the other one may be older than what was acknowledged.
func readHead(file io.ReaderAt, number uint64, at int64) (head, error) {
	b := make([]byte, pageHead+metaSize)
	if _, err := file.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return head{}, err
	}
	m := b[pageHead:]
	h := head{
		pageSize: int64(native.Uint32(m[8:])), root: native.Uint64(m[16:]), free: native.Uint64(m[32:]),
		pages: native.Uint64(m[40:]), transaction: native.Uint64(m[48:]),
	}
	sum := fnv.New64a()
	sum.Write(m[:metaSize-8])
	switch {
	case native.Uint32(m) != magic && number == 0:
		return h, errors.New("it is not a bbolt file, or its first page is damaged")
	case native.Uint64(m[metaSize-8:]) != sum.Sum64(), native.Uint64(b) != number, native.Uint16(b[8:]) != metaFlag:
		return h, damage("page %d, one of its two heads, is not what was written", number)
	case native.Uint32(m[4:]) != bboltVersion:
		return h, fmt.Errorf("it is a bbolt file of version %d, and this program knows version %d",
			native.Uint32(m[4:]), bboltVersion)
	case h.pageSize < 1024 || bits.OnesCount64(uint64(h.pageSize)) != 1:
		return h, damage("its pages have %d bytes", h.pageSize)
	}
	return h, nil
}

// run reads the tree and the list of free pages.
func (a *audit) run() error {
	type bucket struct {
		name string
		node *node
		root uint64
	}
	var buckets []bucket
	err := a.walk(a.head.root, nil, nil, func(n *node, e element) error {
		value, err := n.bytes(e.value, e.size)
		if err == nil && (e.flags != bucketElement || len(value) < bucketHead) {
			err = damage("page %d has something that is not a bucket", n.page)
		}
		if err != nil {
			return err
		}
		b := bucket{name: string(e.key), root: native.Uint64(value)}
		if b.root == 0 {
			inside := slices.Clone(value[bucketHead:])
			b.node = &node{audit: a, page: n.page, buffer: inside, length: int64(len(inside))}
		}
		buckets = append(buckets, b)
		return nil
	})
	for _, b := range buckets {
		visit := a.visitor(b.name)
		if err == nil && b.node == nil {
			err = a.walk(b.root, nil, nil, visit)
		} else if err == nil {
			err = b.node.parse(0, leafFlag, 0)
			if err == nil {
				err = b.node.each(nil, nil, visit)
			}
		}
	}
	if err == nil {
		err = a.freePages()
	}
	if err != nil {
		return err
	}
	for page := range a.head.pages {
		if a.claimed[page/64]&(1<<(page%64)) == 0 {
			return damage("page %d is in no place", page)
		}
	}
	return nil
}

// visitor returns what looks at the records of a bucket. Buckets that are none of ours are left alone, and refused
// later on.
func (a *audit) visitor(bucket string) func(n *node, e element) error {
	switch bucket {
	case string(metaBucket):
		return func(n *node, e element) error {
			value, err := n.bytes(e.value, e.size)
			a.meta[string(e.key)] = slices.Clone(value)
			return err
		}
	case string(streamBucket), string(imageBucket):
		t := &tally{}
		a.buckets[bucket] = t
		return func(n *node, e element) error {
			record, err := n.bytes(e.value, min(e.size, headerSize))
			switch {
			case err != nil:
				return err
			case e.flags != 0:
				return damage("page %d has a bucket among records", n.page)
			case headSound([]byte(bucket), e.key, record):
				t.sum += weigh([]byte(bucket), e.key, record)
			default:
				t.bad = append(t.bad, damaged([]byte(bucket), e.key, "its name or its head does not match its checksum"))
			}
			return nil
		}
	}
	return func(*node, element) error { return nil }
}

// records compares what was found with the state of the file. Files of format 1 have none, and those of a newer format
// than this program knows are refused later on.
func (a *audit) records() (bad []error, err error) {
	number := a.meta[string(formatKey)]
	var format uint64
	if len(number) == 8 {
		format = binary.BigEndian.Uint64(number)
	}
	_, stated := a.meta[string(stateKey)]
	switch {
	case format > newestFormat(), format < checkedFormat && !stated:
		return nil, nil
	case format < checkedFormat:
		return nil, inFormat(damage("its format is %x, which has no checksums, and it has some", number))
	}
	now, err := decodeState(a.meta[string(stateKey)])
	if err != nil {
		return nil, err
	}
	for _, name := range [][]byte{streamBucket, imageBucket} {
		t := a.buckets[string(name)]
		if t == nil {
			return nil, inFormat(damage("it has no bucket %s", name))
		}
		now.sum -= t.sum
		bad = append(bad, t.bad...)
	}
	if len(bad) == 0 && now.sum != 0 {
		return nil, inFormat(damage("records are missing, or are older ones"))
	}
	return bad, nil
}

// claim says that a page, and those that follow it as one, are in use.
func (a *audit) claim(page, n uint64) error {
	if page < 2 || page >= a.head.pages || n > a.head.pages-page {
		return damage("page %d is not one of its %d pages", page, a.head.pages)
	}
	for p := page; p < page+n; p++ {
		if a.claimed[p/64]&(1<<(p%64)) != 0 {
			return damage("page %d is in two places", p)
		}
		a.claimed[p/64] |= 1 << (p % 64)
	}
	return nil
}

// freePages reads the list of free pages, a page of its own.
func (a *audit) freePages() error {
	n, err := a.load(a.head.free, freeFlag)
	if err != nil {
		return err
	}
	count, at := int64(n.count), int64(pageHead)
	if count == 0xFFFF {
		first, err := n.bytes(at, 8)
		if err != nil {
			return err
		}
		count, at = int64(native.Uint64(first)), at+8
	}
	if count < 0 || count > (n.length-at)/8 {
		return damage("page %d lists %d free pages", n.page, count)
	}
	list, err := n.bytes(at, count*8)
	for ; err == nil && len(list) > 0; list = list[8:] {
		err = a.claim(native.Uint64(list), 1)
	}
	return err
}
