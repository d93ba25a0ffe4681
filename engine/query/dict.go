package query

import (
	"bytes"
	"sort"

	"github.com/ringctl/ringctl/engine/columnar"
	"github.com/ringctl/ringctl/engine/traceql"
)

// codeSet is a set of dictionary codes. Bit 0 is null.
type codeSet struct {
	bits columnar.Bitmap
	n    int    // codes in the set
	one  uint32 // the only code, when n is 1
	size int    // codes there are, null included
	lut  []byte // 1 for the codes in the set, of small sets
}

// maxLUT bounds the codes of a set for which one byte per code is kept: it has to stay in the fast cache.
const maxLUT = 1 << 14

func newCodeSet(size int) *codeSet { return &codeSet{bits: columnar.NewBitmap(size), size: size} }

func (s *codeSet) add(code uint32) {
	if !s.bits.Has(code) {
		s.bits.Set(code)
		s.n++
		s.one = code
	}
}

// matchDict tests every entry of a dictionary once. step is called now and then; its error ends the work.
func matchDict(d *columnar.Dict, m *matcher, step func() error) (*codeSet, error) {
	n := d.Len()
	set := newCodeSet(n + 1)
	switch {
	case d.Ints != nil:
		for i, x := range d.Ints {
			if m.int(x) {
				set.add(uint32(i) + 1)
			}
		}
	case d.Floats != nil:
		for i, x := range d.Floats {
			if m.float(x) {
				set.add(uint32(i) + 1)
			}
		}
	case m.op == traceql.OpEq:
		if i := findEntry(d, m.lit.s); i >= 0 {
			set.add(uint32(i) + 1)
		}
	case m.op == traceql.OpMatch && len(m.literal) > 1:
		return set, matchLiteral(d, m, set, step)
	default:
		for i := range n {
			if i&63 == 0 {
				if err := step(); err != nil {
					return nil, err
				}
			}
			if m.str(d.Bytes(i)) {
				set.add(uint32(i) + 1)
			}
		}
	}
	return set, nil
}

// findEntry is the entry equal to s, or -1. Entries differ most often in length or in the last byte.
func findEntry(d *columnar.Dict, s []byte) int {
	n := d.Len()
	if d.Sorted {
		i := sort.Search(n, func(i int) bool { return bytes.Compare(d.Bytes(i), s) >= 0 })
		if i < n && bytes.Equal(d.Bytes(i), s) {
			return i
		}
		return -1
	}
	size := uint32(len(s)) + d.Gap
	if size == d.Gap {
		for i := range n {
			if len(d.Bytes(i)) == 0 {
				return i
			}
		}
		return -1
	}
	last := s[len(s)-1]
	from := d.Offsets[0]
	for i, to := range d.Offsets[1:] {
		if to-from == size && d.Arena[to-d.Gap-1] == last && bytes.Equal(d.Arena[from:to-d.Gap], s) {
			return i
		}
		from = to
	}
	return -1
}

// matchLiteral looks for the required literal in the whole arena and runs the expression only where it is.
func matchLiteral(d *columnar.Dict, m *matcher, set *codeSet, step func() error) error {
	n := d.Len()
	if n == 0 {
		return nil
	}
	look := newRareSearch(m.literal, d.Arena)
	at, tried := int(d.Offsets[0]), 0
	for {
		i := look.index(d.Arena[at:])
		if i < 0 {
			return nil
		}
		at += i
		// The entry that the hit lies in: the last that starts at or before it.
		e := sort.Search(n, func(k int) bool { return int(d.Offsets[k+1]) > at })
		if e >= n {
			return nil
		}
		if at+len(m.literal) > int(d.Offsets[e+1]-d.Gap) { // across the edge of an entry
			at++
			continue
		}
		if m.re.match(d.Bytes(e)) {
			set.add(uint32(e) + 1)
		}
		if tried++; tried&63 == 0 {
			if err := step(); err != nil {
				return err
			}
		}
		at = int(d.Offsets[e+1])
	}
}

// rareSearch looks for a text by its rarest byte: a search for one byte is many times faster than one for several, as long
// as there are few false hits.
type rareSearch struct {
	text []byte
	rare int // place in text of the byte to look for; -1 = none is rare
}

// sampled is how many bytes decide which byte of a text is rare; one in rareEnough of them may be false hits.
const (
	sampled    = 1024
	rareEnough = 24
)

// newRareSearch makes a rareSearch for texts like the one given.
func newRareSearch(text, like []byte) *rareSearch {
	var counts [256]int
	step := max(1, len(like)/sampled)
	total := 0
	for i := 0; i < len(like); i += step {
		counts[like[i]]++
		total++
	}
	f := &rareSearch{text: text}
	for i, c := range text {
		if counts[c] < counts[text[f.rare]] {
			f.rare = i
		}
	}
	if counts[text[f.rare]]*rareEnough > total {
		f.rare = -1
	}
	return f
}

// index is the place of the first text in b, or -1.
func (f *rareSearch) index(b []byte) int {
	if f.rare < 0 {
		return bytes.Index(b, f.text)
	}
	for at := f.rare; at < len(b); at++ {
		i := bytes.IndexByte(b[at:], f.text[f.rare])
		if i < 0 {
			return -1
		}
		at += i
		first := at - f.rare
		if first+len(f.text) > len(b) {
			return -1
		}
		if bytes.Equal(b[first:first+len(f.text)], f.text) {
			return first
		}
	}
	return -1
}

// selectCodes sets in out the rows of within whose code is in the set. Codes of other rows may be anything, also beyond
// the dictionary: they may not have been read.
func selectCodes(codes []uint32, set *codeSet, within, out columnar.Bitmap) {
	if set.n == 1 {
		selectCode(codes, set.one, within, out)
		return
	}
	if set.size <= maxLUT {
		selectByLUT(codes, set.table(), within, out)
		return
	}
	in := set.bits
	for w, word := range within {
		if word == 0 {
			continue
		}
		block := codes[w<<6 : min(w<<6+64, len(codes))]
		var hit uint64
		for j, c := range block {
			if k := int(c >> 6); k < len(in) {
				hit |= in[k] >> (c & 63) & 1 << (j & 63)
			}
		}
		out[w] |= hit & word
	}
}

// table is one byte per code.
func (s *codeSet) table() []byte {
	if len(s.lut) != s.size {
		s.lut = make([]byte, s.size)
		for c, ok := s.bits.Next(0); ok; c, ok = s.bits.Next(c + 1) {
			s.lut[c] = 1
		}
	}
	return s.lut
}

func selectByLUT(codes []uint32, lut []byte, within, out columnar.Bitmap) {
	for w, word := range within {
		if word == 0 {
			continue
		}
		block := codes[w<<6 : min(w<<6+64, len(codes))]
		var hit uint64
		for j, c := range block {
			if int(c) < len(lut) {
				hit |= uint64(lut[c]) << (j & 63)
			}
		}
		out[w] |= hit & word
	}
}

func selectCode(codes []uint32, code uint32, within, out columnar.Bitmap) {
	for w, word := range within {
		if word == 0 {
			continue
		}
		block := codes[w<<6 : min(w<<6+64, len(codes))]
		var hit uint64
		for j, c := range block {
			if c == code {
				hit |= 1 << (j & 63)
			}
		}
		out[w] |= hit & word
	}
}

// selectInts sets in out the rows of within whose number matches.
func selectInts(ints []int64, m *matcher, within, out columnar.Bitmap) {
	lo, width := uint64(m.lo), uint64(m.hi)-uint64(m.lo)
	none := m.lo > m.hi
	for w, word := range within {
		if word == 0 {
			continue
		}
		var hit uint64
		if !none {
			for j, x := range ints[w<<6 : min(w<<6+64, len(ints))] {
				if uint64(x)-lo <= width {
					hit |= 1 << (j & 63)
				}
			}
		}
		if m.invert {
			hit = ^hit
		}
		out[w] |= hit & word
	}
}
