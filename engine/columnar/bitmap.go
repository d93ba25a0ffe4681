package columnar

import "math/bits"

// Bitmap is a set of row numbers, one bit each. A nil Bitmap means all rows where the documentation says so.
type Bitmap []uint64

// NewBitmap is an empty set for rows 0 to n-1.
func NewBitmap(n int) Bitmap { return make(Bitmap, (n+63)/64) }

// Has reports whether row i is in the set.
func (b Bitmap) Has(i uint32) bool { return b[i>>6]&(1<<(i&63)) != 0 }

// Set puts row i into the set.
func (b Bitmap) Set(i uint32) { b[i>>6] |= 1 << (i & 63) }

// Unset takes row i out of the set.
func (b Bitmap) Unset(i uint32) { b[i>>6] &^= 1 << (i & 63) }

// SetRange puts the rows lo to hi-1 into the set.
func (b Bitmap) SetRange(lo, hi uint32) {
	if lo >= hi {
		return
	}
	first, last := lo>>6, (hi-1)>>6
	head, tail := ^uint64(0)<<(lo&63), ^uint64(0)>>(63-(hi-1)&63)
	if first == last {
		b[first] |= head & tail
		return
	}
	b[first] |= head
	for i := first + 1; i < last; i++ {
		b[i] = ^uint64(0)
	}
	b[last] |= tail
}

// AnyIn reports whether one of the rows lo to hi-1 is in the set: a column asks it for each page.
func (b Bitmap) AnyIn(lo, hi uint32) bool {
	if lo >= hi {
		return false
	}
	first, last := lo>>6, (hi-1)>>6
	head, tail := ^uint64(0)<<(lo&63), ^uint64(0)>>(63-(hi-1)&63)
	if first == last {
		return b[first]&head&tail != 0
	}
	if b[first]&head != 0 || b[last]&tail != 0 {
		return true
	}
	for i := first + 1; i < last; i++ {
		if b[i] != 0 {
			return true
		}
	}
	return false
}

// Next is the smallest row of the set that is not below i; ok is false when there is none.
func (b Bitmap) Next(i uint32) (row uint32, ok bool) {
	w := int(i >> 6)
	if w >= len(b) {
		return 0, false
	}
	word := b[w] & (^uint64(0) << (i & 63))
	for word == 0 {
		w++
		if w >= len(b) {
			return 0, false
		}
		word = b[w]
	}
	return uint32(w)<<6 + uint32(bits.TrailingZeros64(word)), true
}

// Count is the number of rows in the set.
func (b Bitmap) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Empty reports that no row is in the set.
func (b Bitmap) Empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// And keeps only the rows that are in o as well.
func (b Bitmap) And(o Bitmap) {
	for i := range b {
		b[i] &= o[i]
	}
}

// AndNot removes the rows of o.
func (b Bitmap) AndNot(o Bitmap) {
	for i := range b {
		b[i] &^= o[i]
	}
}

// Or adds the rows of o.
func (b Bitmap) Or(o Bitmap) {
	for i := range b {
		b[i] |= o[i]
	}
}

// Append appends the rows of the set to dst, ascending.
func (b Bitmap) Append(dst []uint32) []uint32 {
	for i, w := range b {
		for base := uint32(i) << 6; w != 0; w &= w - 1 {
			dst = append(dst, base+uint32(bits.TrailingZeros64(w)))
		}
	}
	return dst
}

// CountRange is the number of rows of the set in [lo, hi).
func (b Bitmap) CountRange(lo, hi uint32) int64 {
	if lo >= hi {
		return 0
	}
	first, last := lo>>6, (hi-1)>>6
	head, tail := ^uint64(0)<<(lo&63), ^uint64(0)>>(63-(hi-1)&63)
	if first == last {
		return int64(bits.OnesCount64(b[first] & head & tail))
	}
	n := bits.OnesCount64(b[first]&head) + bits.OnesCount64(b[last]&tail)
	for i := first + 1; i < last; i++ {
		n += bits.OnesCount64(b[i])
	}
	return int64(n)
}

// Clone is a copy of the set.
func (b Bitmap) Clone() Bitmap { return append(Bitmap(nil), b...) }

// Fill puts the rows 0 to n-1 into the set.
func (b Bitmap) Fill(n int) {
	clear(b)
	b.SetRange(0, uint32(n))
}
