package pq

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// DELTA_BINARY_PACKED with blocks of 128 values in 4 miniblocks.
const (
	deltaBlock = 128
	deltaMini  = 32
)

// appendDelta appends vals in DELTA_BINARY_PACKED.
func appendDelta(dst []byte, vals []int64) []byte {
	dst = binary.AppendUvarint(dst, deltaBlock)
	dst = binary.AppendUvarint(dst, deltaBlock/deltaMini)
	dst = binary.AppendUvarint(dst, uint64(len(vals)))
	if len(vals) == 0 {
		return binary.AppendVarint(dst, 0)
	}
	dst = binary.AppendVarint(dst, vals[0])
	prev := vals[0]
	vals = vals[1:]
	var d [deltaBlock]uint64
	for len(vals) > 0 {
		n := min(len(vals), deltaBlock)
		low := int64(0)
		for i, v := range vals[:n] {
			x := v - prev
			prev = v
			d[i] = uint64(x)
			if i == 0 || x < low {
				low = x
			}
		}
		dst = appendDeltaBlock(dst, d[:n], low)
		vals = vals[n:]
	}
	return dst
}

func appendDeltaBlock(dst []byte, d []uint64, low int64) []byte {
	dst = binary.AppendVarint(dst, low)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for m := 0; m*deltaMini < len(d); m++ {
		mini := d[m*deltaMini : min((m+1)*deltaMini, len(d))]
		var or uint64
		for i := range mini {
			mini[i] -= uint64(low)
			or |= mini[i]
		}
		w := bits.Len64(or)
		dst[at+m] = byte(w)
		dst = appendBits64(dst, mini, w)
	}
	return dst
}

// appendBits64 packs up to 32 values of w bits each, padded to 32 values.
func appendBits64(dst []byte, vals []uint64, w int) []byte {
	end := len(dst) + deltaMini*w/8
	var acc uint64
	have := 0
	for _, v := range vals {
		acc |= v << have
		if have+w < 64 {
			have += w
			continue
		}
		dst = binary.LittleEndian.AppendUint64(dst, acc)
		acc = 0
		if have > 0 {
			acc = v >> (64 - have)
		}
		have += w - 64
	}
	for ; have > 0; have -= 8 {
		dst = append(dst, byte(acc))
		acc >>= 8
	}
	for len(dst) < end {
		dst = append(dst, 0)
	}
	return dst
}

var errDelta = errors.New("damaged delta data")

// decodeDelta fills out, which must have exactly as many values as src holds.
func decodeDelta(out []int64, src []byte) error {
	var head [3]uint64
	for i := range head {
		v, n := binary.Uvarint(src)
		if n <= 0 {
			return errDelta
		}
		head[i], src = v, src[n:]
	}
	if head[0] != deltaBlock || head[1] != deltaBlock/deltaMini || head[2] != uint64(len(out)) {
		return errDelta
	}
	prev, n := binary.Varint(src)
	if n <= 0 {
		return errDelta
	}
	src = src[n:]
	if len(out) == 0 {
		return nil
	}
	out[0] = prev
	for out = out[1:]; len(out) > 0; {
		k := min(len(out), deltaBlock)
		rest, err := decodeDeltaBlock(out[:k], src, prev)
		if err != nil {
			return err
		}
		prev, src, out = out[k-1], rest, out[k:]
	}
	return nil
}

func decodeDeltaBlock(out []int64, src []byte, prev int64) ([]byte, error) {
	low, n := binary.Varint(src)
	if n <= 0 || len(src) < n+4 {
		return nil, errDelta
	}
	widths := src[n : n+4]
	src = src[n+4:]
	for m := 0; m*deltaMini < len(out); m++ {
		w := int(widths[m])
		nb := deltaMini * w / 8
		if w > 64 || len(src) < nb {
			return nil, errDelta
		}
		mini := out[m*deltaMini : min((m+1)*deltaMini, len(out))]
		if w == 0 {
			for i := range mini {
				prev += low
				mini[i] = prev
			}
			continue
		}
		prev = unpackDelta(mini, src[:nb], w, low, prev)
		src = src[nb:]
	}
	return src, nil
}

// unpackDelta adds up one miniblock of w-bit deltas.
func unpackDelta(out []int64, src []byte, w int, low, prev int64) int64 {
	mask := uint64(1)<<w - 1
	if w == 64 {
		mask = ^uint64(0)
	}
	bit := 0
	for i := range out {
		p, s := bit>>3, bit&7
		var v uint64
		if p+8 <= len(src) {
			v = binary.LittleEndian.Uint64(src[p:]) >> s
		} else {
			for k, b := range src[p:] {
				v |= uint64(b) << (8 * k)
			}
			v >>= s
		}
		if s+w > 64 {
			v |= uint64(src[p+8]) << (64 - s)
		}
		prev += low + int64(v&mask)
		out[i] = prev
		bit += w
	}
	return prev
}
