package pq

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// minRun is the shortest repetition written as a run. Shorter ones stay
// bit-packed: a run costs a header and a value, and zstd sees through repeated
// bytes anyway.
const minRun = 16

// indexWidth rounds the bits needed for codes below n up to 1, 2, 4, 8, 16, 24
// or 32. zstd compresses bytes; indices that straddle them cost 1.7 bytes a
// span more than indices that do not.
func indexWidth(n int) int {
	b := bits.Len32(uint32(max(n, 2) - 1))
	switch {
	case b <= 2:
		return b
	case b <= 4:
		return 4
	}
	return (b + 7) &^ 7
}

// appendHybrid appends vals in Parquet's RLE/bit-packing hybrid. width must be
// one that indexWidth returns.
func appendHybrid(dst []byte, vals []uint32, width int) []byte {
	start, i := 0, 0
	for i < len(vals) {
		r := runLength(vals[i:])
		pad := -(i - start) & 7
		if r-pad < minRun {
			i += r
			continue
		}
		i += pad
		dst = appendPacked(dst, vals[start:i], width)
		dst = appendRun(dst, vals[i], r-pad, width)
		i += r - pad
		start = i
	}
	return appendPacked(dst, vals[start:], width)
}

func runLength(v []uint32) int {
	first := v[0]
	for i := 1; i < len(v); i++ {
		if v[i] != first {
			return i
		}
	}
	return len(v)
}

// appendRun appends n times v.
func appendRun(dst []byte, v uint32, n, width int) []byte {
	if n == 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(n)<<1)
	for w := 0; w < width; w += 8 {
		dst = append(dst, byte(v>>w))
	}
	return dst
}

// appendPacked appends vals bit-packed, padded with zeros to a multiple of 8.
func appendPacked(dst []byte, vals []uint32, width int) []byte {
	if len(vals) == 0 {
		return dst
	}
	groups := (len(vals) + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	n := len(dst)
	dst = append(dst, make([]byte, groups*width)...)
	out := dst[n:]
	switch width {
	case 8:
		for i, v := range vals {
			out[i] = byte(v)
		}
	case 16:
		for i, v := range vals {
			binary.LittleEndian.PutUint16(out[2*i:], uint16(v))
		}
	case 24:
		for i, v := range vals {
			out[3*i], out[3*i+1], out[3*i+2] = byte(v), byte(v>>8), byte(v>>16)
		}
	case 32:
		for i, v := range vals {
			binary.LittleEndian.PutUint32(out[4*i:], v)
		}
	default: // 1, 2 and 4 bits divide a byte
		per := 8 / width
		for i, v := range vals {
			out[i/per] |= byte(v) << (i % per * width)
		}
	}
	return dst
}

var errHybrid = errors.New("damaged run-length data")

// decodeHybrid fills out with len(out) values of the given width and returns
// the bytes that follow. Values are not checked against any limit.
func decodeHybrid(out []uint32, src []byte, width int) ([]byte, error) {
	if width > 32 {
		return nil, errHybrid
	}
	for len(out) > 0 {
		h, n := binary.Uvarint(src)
		if n <= 0 || h>>1 == 0 || h>>1 > 1<<31 {
			return nil, errHybrid
		}
		src = src[n:]
		if h&1 == 0 {
			nb := (width + 7) / 8
			if len(src) < nb {
				return nil, errHybrid
			}
			var v uint32
			for b := range nb {
				v |= uint32(src[b]) << (8 * b)
			}
			src = src[nb:]
			c := min(int(h>>1), len(out))
			for i := range out[:c] {
				out[i] = v
			}
			out = out[c:]
			continue
		}
		c := min(int(h>>1)*8, len(out))
		nb := int(h>>1) * width
		if len(src) < nb {
			return nil, errHybrid
		}
		unpack(out[:c], src[:nb], width)
		src, out = src[nb:], out[c:]
	}
	return src, nil
}

// unpack reads len(out) bit-packed values; src is long enough.
func unpack(out []uint32, src []byte, width int) {
	switch width {
	case 0:
		clear(out)
	case 8:
		src = src[:len(out)]
		for i := range out {
			out[i] = uint32(src[i])
		}
	case 16:
		for i := range out {
			out[i] = uint32(binary.LittleEndian.Uint16(src[2*i:]))
		}
	case 24:
		for i := range out {
			out[i] = uint32(src[3*i]) | uint32(src[3*i+1])<<8 | uint32(src[3*i+2])<<16
		}
	case 32:
		for i := range out {
			out[i] = binary.LittleEndian.Uint32(src[4*i:])
		}
	case 1, 2, 4:
		per, mask := 8/width, uint32(1)<<width-1
		for i := range out {
			out[i] = uint32(src[i/per]) >> (i % per * width) & mask
		}
	default:
		var acc uint64
		var have, p int
		mask := uint64(1)<<width - 1
		for i := range out {
			for have < width {
				acc |= uint64(src[p]) << have
				have, p = have+8, p+1
			}
			out[i] = uint32(acc & mask)
			acc, have = acc>>width, have-width
		}
	}
}

// appendPresence appends the definition levels (width 1) of rows [from, to),
// of which present (ascending, absolute) have a value.
func appendPresence(dst []byte, present []uint32, from, to int) []byte {
	n := to - from
	switch {
	case len(present) == n:
		return appendRun(dst, 1, n, 1)
	case len(present) == 0:
		return appendRun(dst, 0, n, 1)
	case len(present)*32 < n:
		return appendSparsePresence(dst, present, from, to)
	}
	groups := (n + 7) / 8
	dst = binary.AppendUvarint(dst, uint64(groups)<<1|1)
	at := len(dst)
	dst = append(dst, make([]byte, groups)...)
	out := dst[at:]
	for _, r := range present {
		r -= uint32(from)
		out[r>>3] |= 1 << (r & 7)
	}
	return dst
}

// appendSparsePresence writes presence as runs, so that its cost follows the values.
func appendSparsePresence(dst []byte, present []uint32, from, to int) []byte {
	next := from
	for i := 0; i < len(present); {
		j := i + 1
		for j < len(present) && present[j] == present[j-1]+1 {
			j++
		}
		dst = appendRun(dst, 0, int(present[i])-next, 1)
		dst = appendRun(dst, 1, j-i, 1)
		next = int(present[j-1]) + 1
		i = j
	}
	return appendRun(dst, 0, to-next, 1)
}

// decodePresence appends the absolute rows in [from, from+n) that have a value.
func decodePresence(rows []uint32, src []byte, from, n int) ([]uint32, error) {
	for n > 0 {
		h, k := binary.Uvarint(src)
		if k <= 0 || h>>1 == 0 || h>>1 > 1<<31 {
			return rows, errHybrid
		}
		src = src[k:]
		if h&1 == 0 {
			if len(src) < 1 || src[0] > 1 {
				return rows, errHybrid
			}
			c := min(int(h>>1), n)
			if src[0] == 1 {
				for i := range c {
					rows = append(rows, uint32(from+i))
				}
			}
			src, from, n = src[1:], from+c, n-c
			continue
		}
		nb := int(h >> 1)
		if len(src) < nb {
			return rows, errHybrid
		}
		c := min(nb*8, n)
		rows = appendBits(rows, src[:(c+7)/8], from, c)
		src, from, n = src[nb:], from+c, n-c
	}
	return rows, nil
}

func appendBits(rows []uint32, src []byte, from, n int) []uint32 {
	for i, b := range src {
		if left := n - 8*i; left < 8 {
			b &= 1<<left - 1
		}
		for b != 0 {
			rows = append(rows, uint32(from+8*i+bits.TrailingZeros8(b)))
			b &= b - 1
		}
	}
	return rows
}
