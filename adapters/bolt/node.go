package bolt

import (
	"bytes"
	"errors"
	"io"
)

// node is a page of the tree, or the list of free pages.
type node struct {
	audit  *audit
	page   uint64
	flags  uint16
	count  int
	length int64  // with the pages that follow it as one
	buffer []byte // how it begins
}

// element is an entry of a node: a record or a bucket of a leaf, a child of a branch.
type element struct {
	flags       uint32
	key         []byte
	value, size int64 // where the value is in the node
	child       uint64
}

// eager is how much of a page, and of those that follow it, is read at once.
const eager = 16 << 10

// load reads a page and claims it.
func (a *audit) load(page uint64, flags ...uint16) (*node, error) {
	if err := a.ctx.Err(); err != nil {
		return nil, err
	}
	if page >= a.head.pages {
		return nil, damage("page %d is not one of its %d pages", page, a.head.pages)
	}
	n := &node{audit: a, page: page, length: a.head.pageSize}
	var err error
	if n.buffer, err = n.bytes(0, a.head.pageSize); err != nil {
		return nil, err
	}
	following := uint64(native.Uint32(n.buffer[12:]))
	if err := a.claim(page, 1+following); err != nil {
		return nil, err
	}
	n.length += int64(following) * a.head.pageSize
	if following > 0 && n.length <= eager {
		n.buffer = nil
		if n.buffer, err = n.bytes(0, n.length); err != nil {
			return nil, err
		}
	}
	for _, f := range flags {
		if err = n.parse(page, f, following); err == nil {
			return n, nil
		}
	}
	return nil, err
}

// parse reads how a page begins.
func (n *node) parse(number uint64, flags uint16, following uint64) error {
	if len(n.buffer) < pageHead {
		return damage("page %d has %d bytes", n.page, len(n.buffer))
	}
	n.flags, n.count = native.Uint16(n.buffer[8:]), int(native.Uint16(n.buffer[10:]))
	if native.Uint64(n.buffer) != number || n.flags != flags || uint64(native.Uint32(n.buffer[12:])) != following {
		return damage("page %d begins as page %d of kind %d", n.page, native.Uint64(n.buffer), n.flags)
	}
	return nil
}

// bytes returns a part of a node.
func (n *node) bytes(at, size int64) ([]byte, error) {
	if at < 0 || size < 0 || at > n.length || size > n.length-at {
		return nil, damage("page %d has something outside of it", n.page)
	}
	if at+size <= int64(len(n.buffer)) {
		return n.buffer[at : at+size], nil
	}
	b := make([]byte, size)
	if _, err := n.audit.file.ReadAt(b, int64(n.page)*n.audit.head.pageSize+at); errors.Is(err, io.EOF) {
		return nil, damage("page %d is cut off", n.page)
	} else if err != nil {
		return nil, err
	}
	return b, nil
}

// walk visits the entries of the leaves below a page, in order. Their keys are not below low, and below high, if
// there is one.
func (a *audit) walk(page uint64, low, high []byte, visit func(n *node, e element) error) error {
	n, err := a.load(page, leafFlag, branchFlag)
	if err != nil {
		return err
	}
	if n.flags == leafFlag {
		return n.each(low, high, visit)
	}
	var children []element
	err = n.each(low, high, func(_ *node, e element) error {
		children = append(children, e)
		return nil
	})
	if err == nil && len(children) == 0 {
		err = damage("page %d has no children", page)
	}
	for i, child := range children {
		end := high
		if i+1 < len(children) {
			end = children[i+1].key
		}
		if err == nil {
			err = a.walk(child.child, child.key, end, visit)
		}
	}
	return err
}

// each visits the entries of one node. Its table must say what bbolt writes: keys and values one after the other.
func (n *node) each(low, high []byte, visit func(n *node, e element) error) error {
	table, err := n.bytes(pageHead, elementSize*int64(n.count))
	if err != nil {
		return err
	}
	next := pageHead + int64(len(table))
	last := low
	for i := range n.count {
		raw := table[elementSize*i:]
		var e element
		var at, key int64
		if n.flags == leafFlag {
			e.flags = native.Uint32(raw)
			at, key, e.size = int64(native.Uint32(raw[4:])), int64(native.Uint32(raw[8:])), int64(native.Uint32(raw[12:]))
		} else {
			at, key, e.child = int64(native.Uint32(raw)), int64(native.Uint32(raw[4:])), native.Uint64(raw[8:])
		}
		if pageHead+elementSize*int64(i)+at != next || key == 0 {
			return damage("entry %d of page %d is not where it should be", i, n.page)
		}
		if e.key, err = n.bytes(next, key); err != nil {
			return err
		}
		e.value = next + key
		if next = e.value + e.size; next > n.length {
			return damage("entry %d of page %d is larger than that", i, n.page)
		}
		order := bytes.Compare(last, e.key)
		if order > 0 || order == 0 && i > 0 || high != nil && bytes.Compare(e.key, high) >= 0 {
			return damage("entry %d of page %d is out of order", i, n.page)
		}
		last = e.key
		if err := visit(n, e); err != nil {
			return err
		}
	}
	return nil
}
