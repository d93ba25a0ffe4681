package pq

import (
	"hash/maphash"
	"math"
)

// MaxArena bounds the bytes of a dictionary; its offsets are 32-bit numbers.
const MaxArena = math.MaxUint32

// Interner numbers distinct byte strings from 1 in order of arrival. Codes and
// entries never change until Reset, so readers may keep a copy of Dict while
// more is added. The zero value is ready. Not for concurrent use.
type Interner struct {
	Dict
	slots []uint64 // tag<<32 | code, 0 = free
	seed  maphash.Seed
	ready bool
}

// Code returns the code of v, adding it when it is new.
func (t *Interner) Code(v []byte) uint32 {
	if !t.ready {
		t.seed, t.ready = maphash.MakeSeed(), true
	}
	if len(t.Offsets) >= len(t.slots)/2 {
		t.grow()
	}
	h := maphash.Bytes(t.seed, v)
	tag, mask := h>>32, uint64(len(t.slots)-1)
	at := h & mask
	for {
		s := t.slots[at]
		if s == 0 {
			t.Append(v)
			code := uint32(t.Len())
			t.slots[at] = tag<<32 | uint64(code)
			return code
		}
		if s>>32 == tag && string(t.Entry(int(uint32(s))-1)) == string(v) {
			return uint32(s)
		}
		at = (at + 1) & mask
	}
}

// Find returns the code of v, or 0.
func (t *Interner) Find(v []byte) uint32 {
	if len(t.slots) == 0 {
		return 0
	}
	h := maphash.Bytes(t.seed, v)
	tag, mask := h>>32, uint64(len(t.slots)-1)
	for at := h & mask; t.slots[at] != 0; at = (at + 1) & mask {
		s := t.slots[at]
		if s>>32 == tag && string(t.Entry(int(uint32(s))-1)) == string(v) {
			return uint32(s)
		}
	}
	return 0
}

// Add appends v without looking for it; mixed with Code only before Reset.
func (t *Interner) Add(v []byte) uint32 {
	t.Append(v)
	return uint32(t.Len())
}

func (t *Interner) grow() {
	n := max(2*len(t.slots), 64)
	for n/2 <= len(t.Offsets) {
		n *= 2
	}
	if cap(t.slots) >= n {
		t.slots = t.slots[:n]
		clear(t.slots)
	} else {
		t.slots = make([]uint64, n)
	}
	mask := uint64(n - 1)
	for i := range t.Len() {
		h := maphash.Bytes(t.seed, t.Entry(i))
		at := h & mask
		for t.slots[at] != 0 {
			at = (at + 1) & mask
		}
		t.slots[at] = h>>32<<32 | uint64(i+1)
	}
}

// Reset empties the interner and keeps its memory, which invalidates every copy
// of Dict.
func (t *Interner) Reset() {
	t.Dict.Reset()
	clear(t.slots)
}
