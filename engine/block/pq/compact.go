package pq

import "encoding/binary"

// Types of Thrift's compact protocol.
const (
	tTrue   = 1
	tFalse  = 2
	tByte   = 3
	tI16    = 4
	tI32    = 5
	tI64    = 6
	tDouble = 7
	tBinary = 8
	tList   = 9
	tSet    = 10
	tMap    = 11
	tStruct = 12
)

// maxThriftDepth bounds nested structs in fields that are skipped.
const maxThriftDepth = 16

// compact reads Thrift's compact protocol from memory. It never allocates by a
// size that it read before the bytes are there, which is why metadata of
// unknown origin goes through it. After the first fault bad is set and every
// read yields zero.
type compact struct {
	b   []byte
	bad bool
}

func (r *compact) fail() {
	r.bad = true
	r.b = nil
}

func (r *compact) byte() byte {
	if len(r.b) == 0 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *compact) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// int reads an integer field of any size.
func (r *compact) int() int64 {
	u := r.uvarint()
	return int64(u>>1) ^ -int64(u&1)
}

// bytes reads a binary or string; it aliases the input.
func (r *compact) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// list reads a list header; each element takes at least a byte.
func (r *compact) list() (n int, typ byte) {
	h := r.byte()
	n = int(h >> 4)
	if n == 15 {
		u := r.uvarint()
		if u > uint64(len(r.b)) {
			r.fail()
			return 0, 0
		}
		n = int(u)
	}
	if n > len(r.b) {
		r.fail()
		return 0, 0
	}
	return n, h & 15
}

// each calls visit for each field of a struct. visit consumes the value and
// returns true, or returns false to have it skipped. Booleans have no value:
// their type tells.
func (r *compact) each(visit func(id int, typ byte) bool) {
	id := 0
	for !r.bad {
		h := r.byte()
		if h == 0 {
			return
		}
		if d := int(h >> 4); d > 0 {
			id += d
		} else {
			id = int(r.int())
		}
		if !visit(id, h&15) {
			r.skip(h&15, 0)
		}
	}
}

func (r *compact) skip(typ byte, depth int) {
	if depth > maxThriftDepth {
		r.fail()
		return
	}
	switch typ {
	case tTrue, tFalse:
	case tByte:
		r.byte()
	case tI16, tI32, tI64:
		r.uvarint()
	case tDouble:
		if len(r.b) < 8 {
			r.fail()
			return
		}
		r.b = r.b[8:]
	case tBinary:
		r.bytes()
	case tList, tSet:
		n, t := r.list()
		for ; n > 0 && !r.bad; n-- {
			if t == tTrue || t == tFalse {
				r.byte()
				continue
			}
			r.skip(t, depth+1)
		}
	case tStruct:
		r.each(func(_ int, t byte) bool { r.skip(t, depth+1); return true })
	default: // maps do not occur in Parquet's metadata
		r.fail()
	}
}
