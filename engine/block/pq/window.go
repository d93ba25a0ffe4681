package pq

import (
	"encoding/binary"
	"math/bits"

	"github.com/parquet-go/parquet-go/format"
)

// DecodeRows is Decode for the rows in [from, to) of the group alone, for those
// who want the few rows of one trace: all values of a page are only passed over
// as far as their encoding asks for it. Lists are decoded whole.
func (d *Decoder) DecodeRows(v *Values, l *Leaf, c *ChunkInfo, p PageInfo, b *Body, entries, from, to int) error {
	from, to = max(from-p.First, 0), min(to-p.First, p.Rows)
	if l.List != "" || from >= to || to-from == p.Rows {
		return d.Decode(v, l, c, p, b, entries)
	}
	if b.values != p.Rows {
		return damaged("page of %d rows instead of %d", b.values, p.Rows)
	}
	body, n, before, count := b.data, p.Rows, from, to-from
	if l.Optional {
		levels, rest, err := prefixed(body)
		if err != nil {
			return err
		}
		if body = rest; c.Nulls > 0 {
			at := len(v.Rows)
			if v.Rows, before, n, err = presenceIn(v.Rows, levels, p, from, to); err != nil {
				return damaged("levels: %v", err)
			}
			count = len(v.Rows) - at
		}
	}
	v.Count += count
	return d.some(v, l.Kind, b.encoding, body, n, before, count, entries)
}

// presenceIn appends the absolute rows of a page with from <= row-p.First < to
// that have a value, and counts the values before them and of the whole page.
func presenceIn(rows []uint32, src []byte, p PageInfo, from, to int) (out []uint32, before, n int, err error) {
	for at := 0; at < p.Rows; {
		h, k := binary.Uvarint(src)
		if k <= 0 || h>>1 == 0 || h>>1 > 1<<31 {
			return rows, 0, 0, errHybrid
		}
		src = src[k:]
		run := int(h >> 1)
		if h&1 == 0 {
			if len(src) < 1 || src[0] > 1 {
				return rows, 0, 0, errHybrid
			}
			run = min(run, p.Rows-at)
			if src[0] == 1 {
				n += run
				before += max(min(from, at+run)-at, 0)
				for r := max(at, from); r < min(at+run, to); r++ {
					rows = append(rows, uint32(p.First+r))
				}
			}
			src, at = src[1:], at+run
			continue
		}
		if len(src) < run {
			return rows, 0, 0, errHybrid
		}
		packed := src[:run]
		run = min(run*8, p.Rows-at)
		n += ones(packed, run)
		before += ones(packed, min(max(from-at, 0), run))
		for r := max(at, from); r < min(at+run, to); r++ {
			if packed[(r-at)>>3]>>((r-at)&7)&1 != 0 {
				rows = append(rows, uint32(p.First+r))
			}
		}
		src, at = src[len(packed):], at+run
	}
	return rows, before, n, nil
}

// ones counts the bits that are set among the first n.
func ones(b []byte, n int) int {
	sum := 0
	for ; n >= 64; n -= 64 {
		sum += bits.OnesCount64(binary.LittleEndian.Uint64(b))
		b = b[8:]
	}
	for ; n >= 8; n -= 8 {
		sum += bits.OnesCount8(b[0])
		b = b[1:]
	}
	if n > 0 {
		sum += bits.OnesCount8(b[0] & (1<<n - 1))
	}
	return sum
}

// some appends count of the n values of body, behind the first ones.
func (d *Decoder) some(v *Values, k Kind, enc format.Encoding, body []byte, n, before, count, entries int) error {
	size := intSize(k)
	switch {
	case enc == format.RLEDictionary:
		return someIndices(v, body, before, count, entries)
	case enc == format.Plain && k.IsInt() && k != Bool:
		if len(body) != n*size {
			return damaged("%d integers in %d bytes", n, len(body))
		}
		return d.values(v, k, enc, body[before*size:(before+count)*size], count, entries)
	case enc == format.Plain && (k == String || k == Blob):
		for range before {
			if len(body) < 4 || int64(binary.LittleEndian.Uint32(body)) > int64(len(body)-4) {
				return damaged("strings are cut off")
			}
			body = body[4+binary.LittleEndian.Uint32(body):]
		}
		return plainStrings(v, k, body, count)
	}
	at := len(v.Ints)
	strings := v.Plain.Len()
	if err := d.values(v, k, enc, body, n, entries); err != nil {
		return err
	}
	if v.Plain.Len() > strings { // of fixed length: rare enough
		return keepStrings(v, strings, before, count)
	}
	if len(v.Ints) < at+before+count {
		return damaged("%d values", len(v.Ints)-at)
	}
	copy(v.Ints[at:], v.Ints[at+before:at+before+count])
	v.Ints = v.Ints[:at+count]
	return nil
}

// keepStrings drops all strings from entry at on but count, behind the first ones.
func keepStrings(v *Values, at, before, count int) error {
	var kept Dict
	kept.Offsets = append(kept.Offsets, 0)
	for i := range v.Plain.Len() {
		if i < at || i >= at+before && i < at+before+count {
			kept.Append(v.Plain.Entry(i))
		}
	}
	v.Plain = kept
	return nil
}

// someIndices appends count indices of a page, behind the first ones.
func someIndices(v *Values, body []byte, before, count, entries int) error {
	if count == 0 {
		return nil
	}
	if len(body) == 0 {
		return damaged("indices are cut off")
	}
	at := len(v.Codes)
	v.Codes = extend(v.Codes, count)
	out := v.Codes[at:]
	if err := hybridFrom(out, body[1:], int(body[0]), before); err != nil {
		return damaged("indices: %v", err)
	}
	for i, c := range out {
		if c >= uint32(entries) {
			return damaged("index %d of %d entries", c, entries)
		}
		out[i] = c + 1
	}
	return nil
}

// hybridFrom is decodeHybrid behind the first skip values.
func hybridFrom(out []uint32, src []byte, width, skip int) error {
	if width > 32 {
		return errHybrid
	}
	for len(out) > 0 {
		h, n := binary.Uvarint(src)
		if n <= 0 || h>>1 == 0 || h>>1 > 1<<31 {
			return errHybrid
		}
		values, size := int(h>>1), (width+7)/8
		if h&1 == 1 {
			values, size = 8*values, values*width
		}
		if len(src)-n < size {
			return errHybrid
		}
		switch {
		case skip >= values:
			skip -= values
		case h&1 == 0:
			_, err := decodeHybrid(out[:min(values-skip, len(out))], src, width)
			if err != nil {
				return err
			}
			out, skip = out[min(values-skip, len(out)):], 0
		default:
			packed := src[n+skip/8*width : n+size]
			values, skip = values-skip/8*8, skip%8
			if skip > 0 {
				var group [8]uint32
				unpack(group[:], packed[:width], width)
				k := copy(out, group[skip:])
				out, packed, values, skip = out[k:], packed[width:], values-8, 0
			}
			k := min(values, len(out))
			unpack(out[:k], packed, width)
			out = out[k:]
		}
		src = src[n+size:]
	}
	return nil
}
