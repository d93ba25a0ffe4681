package pq

import (
	"encoding/binary"
	"math"

	"github.com/parquet-go/parquet-go/format"
)

// Integers become a dictionary when their range fits a table of tableRange
// entries (kinds, codes, ports, nested sets), or when a quarter of them or
// fewer are distinct; otherwise they are packed as deltas. Two-peaked values
// such as ports lose half a byte as deltas.
const tableRange = 65536

// intTable numbers distinct integers in order of first use.
type intTable struct {
	direct []uint32
	slots  []uint32 // place in order + 1
	order  []int64
}

// small numbers values in [low, low+tableRange); codes are 0-based.
func (t *intTable) small(codes []uint32, vals []int64, low, high int64) []uint32 {
	n := int(high-low) + 1
	if cap(t.direct) < n {
		t.direct = make([]uint32, tableRange)
	}
	d := t.direct[:n]
	clear(d)
	t.order = t.order[:0]
	for _, v := range vals {
		k := d[v-low]
		if k == 0 {
			t.order = append(t.order, v)
			k = uint32(len(t.order))
			d[v-low] = k
		}
		codes = append(codes, k-1)
	}
	return codes
}

// any numbers arbitrary values; it gives up (nil) beyond limit distinct ones.
func (t *intTable) any(codes []uint32, vals []int64, limit int) []uint32 {
	size := 1024
	for size < 2*limit {
		size *= 2
	}
	if cap(t.slots) < size {
		t.slots = make([]uint32, size)
	}
	s := t.slots[:size]
	clear(s)
	t.order = t.order[:0]
	for _, v := range vals {
		h := uint64(v) * 0x9E3779B97F4A7C15 >> 20
		for {
			k := s[h&uint64(size-1)]
			if k == 0 {
				if len(t.order) == limit {
					return nil
				}
				t.order = append(t.order, v)
				s[h&uint64(size-1)] = uint32(len(t.order))
				codes = append(codes, uint32(len(t.order)-1))
				break
			}
			if t.order[k-1] == v {
				codes = append(codes, k-1)
				break
			}
			h++
		}
	}
	return codes
}

// ints64 encodes a chunk of integers.
func (e *Encoder) ints64(g *Group, ch *encoded, leaf *Leaf, c Chunk) error {
	low, high := bounds(c.Ints)
	e.intStats(ch, leaf, low, high, len(c.Ints))
	all := e.intDict(leaf, c.Ints, low, high)
	if all != nil {
		e.page = e.page[:0]
		for _, v := range e.table.order {
			e.page = appendInt(e.page, leaf.Kind, v)
		}
		if err := e.dictPage(g, ch, len(e.table.order)); err != nil {
			return err
		}
		ch.distinct = int64(len(e.table.order))
	} else {
		ch.encodings = []format.Encoding{format.Plain, format.RLE}
		if e.delta(leaf) {
			ch.encodings[0] = format.DeltaBinaryPacked
		}
		ch.data = len(g.buf)
	}
	width := indexWidth(len(e.table.order))
	return e.pages(g, ch, leaf, c, c.Rows, len(c.Ints), func(from, to int) format.Encoding {
		e.pageStats(ch, leaf, c.Ints[from:to])
		switch {
		case all != nil:
			e.page = appendHybrid(append(e.page, byte(width)), all[from:to], width)
			return format.RLEDictionary
		case e.delta(leaf):
			e.page = appendDelta(e.page, c.Ints[from:to])
			return format.DeltaBinaryPacked
		}
		e.page = appendInts(e.page, leaf.Kind, c.Ints[from:to])
		return format.Plain
	})
}

// delta tells whether integers that are no dictionary are packed as deltas.
func (e *Encoder) delta(l *Leaf) bool {
	return l.Hint == Delta || l.Hint == Auto && (l.Kind == Int64 || l.Kind == Timestamp)
}

// intDict returns the codes of the values when a dictionary suits them.
func (e *Encoder) intDict(leaf *Leaf, vals []int64, low, high int64) []uint32 {
	e.table.order = e.table.order[:0]
	if leaf.Hint != Auto || leaf.Kind == Bool || leaf.Kind == Fixed8 || len(vals) == 0 {
		return nil
	}
	if leaf.Kind != Double && uint64(high-low) < tableRange {
		e.codes = e.table.small(e.codes[:0], vals, low, high)
		return e.codes
	}
	// A sample decides first: hashing a unique column costs more than packing it.
	if n := min(len(vals), 2048); n >= 256 && e.table.any(e.codes[:0], vals[:n], n/2) == nil {
		e.table.order = e.table.order[:0]
		return nil
	}
	codes := e.table.any(e.codes[:0], vals, max(len(vals)/4, 16))
	if codes == nil {
		e.table.order = e.table.order[:0]
		return nil
	}
	e.codes = codes
	return codes
}

func bounds(vals []int64) (low, high int64) {
	if len(vals) == 0 {
		return 0, 0
	}
	low, high = vals[0], vals[0]
	for _, v := range vals {
		low, high = min(low, v), max(high, v)
	}
	return low, high
}

// intStats sets the chunk's bounds. Doubles and ids have none: their order is
// not that of their bits.
func (e *Encoder) intStats(ch *encoded, leaf *Leaf, low, high int64, n int) {
	if n == 0 || leaf.Kind == Double || leaf.Kind == Fixed8 {
		return
	}
	ch.bounded, ch.pageBounded = true, true
	ch.minV, ch.maxV = appendInt(nil, leaf.Kind, low), appendInt(nil, leaf.Kind, high)
}

func (e *Encoder) pageStats(ch *encoded, leaf *Leaf, vals []int64) {
	if !ch.pageBounded {
		return
	}
	low, high := bounds(vals)
	ch.pageMin = append(ch.pageMin, appendInt(nil, leaf.Kind, low))
	ch.pageMax = append(ch.pageMax, appendInt(nil, leaf.Kind, high))
}

// appendInt appends one value in PLAIN (a Bool as one byte, for statistics).
func appendInt(dst []byte, k Kind, v int64) []byte {
	switch k {
	case Bool:
		return append(dst, byte(v&1))
	case Int32:
		return binary.LittleEndian.AppendUint32(dst, uint32(v))
	case Fixed8:
		return binary.BigEndian.AppendUint64(dst, uint64(v))
	}
	return binary.LittleEndian.AppendUint64(dst, uint64(v))
}

func appendInts(dst []byte, k Kind, vals []int64) []byte {
	if k != Bool {
		for _, v := range vals {
			dst = appendInt(dst, k, v)
		}
		return dst
	}
	at := len(dst)
	dst = append(dst, make([]byte, (len(vals)+7)/8)...)
	for i, v := range vals {
		dst[at+i/8] |= byte(v&1) << (i % 8)
	}
	return dst
}

// intAt reads one PLAIN value of a kind that is not Bool.
func intAt(k Kind, b []byte) int64 {
	switch k {
	case Bool:
		return int64(b[0] & 1)
	case Int32:
		return int64(int32(binary.LittleEndian.Uint32(b)))
	case Fixed8:
		return int64(binary.BigEndian.Uint64(b))
	}
	return int64(binary.LittleEndian.Uint64(b))
}

// intSize is the size of a PLAIN value of a kind that is not Bool.
func intSize(k Kind) int {
	if k == Int32 {
		return 4
	}
	return 8
}

// Float is the number whose bits an Int of a Double column holds.
func Float(bits int64) float64 { return math.Float64frombits(uint64(bits)) }
