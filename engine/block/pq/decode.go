package pq

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
	"github.com/parquet-go/parquet-go/format"
)

// Values is a decoded chunk, or some pages of one: like Chunk, but integers of
// a dictionary stay codes.
type Values struct {
	// Rows lists the rows that have a value; nil: every row of the pages.
	Rows []uint32
	// Lens is the number of elements of each of Rows, for a LIST.
	Lens []uint32
	// Ints holds plain integers.
	Ints []int64
	// Codes refer to a dictionary: entry code-1.
	Codes []uint32
	// Plain holds plain strings, one entry for each value.
	Plain Dict
	// Count is the number of values so far.
	Count int
}

// Reset empties v and keeps its memory.
func (v *Values) Reset() {
	v.Plain.Reset()
	*v = Values{Rows: v.Rows[:0], Lens: v.Lens[:0], Ints: v.Ints[:0], Codes: v.Codes[:0], Plain: v.Plain}
}

// Decoder decodes pages. It is for one goroutine at a time and keeps its buffers.
type Decoder struct {
	z    *zstd.Decoder
	buf  []byte
	lent Body
}

// NewDecoder makes a decoder.
func NewDecoder() (*Decoder, error) {
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxPageSize))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &Decoder{z: z}, nil
}

// header is the part of a page header that matters.
type header struct {
	typ                      format.PageType
	uncompressed, compressed int64
	crc                      uint32
	hasCRC                   bool
	values                   int64
	encoding                 format.Encoding
}

func (r *compact) header() (h header) {
	sub := func(id int, typ byte) bool {
		switch {
		case id == 1 && typ == tI32:
			h.values = r.int()
		case id == 2 && typ == tI32:
			h.encoding = format.Encoding(r.int())
		default:
			return false
		}
		return true
	}
	r.each(func(id int, typ byte) bool {
		switch {
		case id == 1 && typ == tI32:
			h.typ = format.PageType(r.int())
		case id == 2 && typ == tI32:
			h.uncompressed = r.int()
		case id == 3 && typ == tI32:
			h.compressed = r.int()
		case id == 4 && typ == tI32:
			h.crc, h.hasCRC = uint32(r.int()), true
		case (id == 5 || id == 7) && typ == tStruct:
			r.each(sub)
		default:
			return false
		}
		return true
	})
	return h
}

// spare bytes follow a dictionary's arena, so that the last offset lies in it too.
const spare = 4

// page reads the header of the page at the start of b and returns its body,
// decompressed into *buf if it was compressed, and the bytes behind the page.
func (d *Decoder) page(b []byte, want format.PageType, compressed bool, buf *[]byte) (h header, body, rest []byte, err error) {
	r := compact{b: b}
	h = r.header()
	switch {
	case r.bad || h.typ != want:
		return h, nil, nil, damaged("page header")
	case h.compressed < 0 || h.compressed > int64(len(r.b)) || h.uncompressed < 0 || h.uncompressed > maxPageSize || h.values < 0 || h.values > maxGroupRows*16:
		return h, nil, nil, damaged("page of %d bytes, %d of them there", h.compressed, len(r.b))
	}
	body, rest = r.b[:h.compressed], r.b[h.compressed:]
	if h.hasCRC && crc32.ChecksumIEEE(body) != h.crc {
		return h, nil, nil, damaged("page checksum")
	}
	if !compressed {
		if h.uncompressed != h.compressed {
			return h, nil, nil, damaged("page of %d bytes in %d", h.uncompressed, h.compressed)
		}
		return h, body, rest, nil
	}
	if n := int(h.uncompressed) + spare; cap(*buf) < n && n <= maxDict+spare {
		*buf = make([]byte, 0, n)
	}
	out, err := d.z.DecodeAll(body, (*buf)[:0])
	if err != nil {
		return h, nil, nil, damaged("page: %v", err)
	}
	*buf = out
	if int64(len(out)) != h.uncompressed {
		return h, nil, nil, damaged("page of %d bytes instead of %d", len(out), h.uncompressed)
	}
	return h, out, rest, nil
}

// Dict decodes the dictionary page of a chunk of strings at the start of b. The
// result owns its memory; text is checked to have the announced lengths only.
func (d *Decoder) Dict(k Kind, c *ChunkInfo, b []byte) (*Dict, error) {
	h, body, err := d.dictBody(c, b)
	if err != nil {
		return nil, err
	}
	if k == Fixed16 {
		if int64(len(body)) != 16*h.values {
			return nil, damaged("dictionary of %d ids in %d bytes", h.values, len(body))
		}
		out := &Dict{Arena: body, Offsets: make([]uint32, h.values+1)}
		for i := range out.Offsets {
			out.Offsets[i] = uint32(16 * i)
		}
		return out, nil
	}
	out := &Dict{Arena: body, Gap: 4, Offsets: make([]uint32, 0, min(h.values, int64(len(body)/4))+1)}
	rest, ok := splitPlain(out, body, 0, int(h.values))
	if !ok || rest != len(body) {
		return nil, damaged("dictionary of %d entries", h.values)
	}
	out.Arena = append(out.Arena, make([]byte, spare)...)
	return out, nil
}

func (d *Decoder) dictBody(c *ChunkInfo, b []byte) (header, []byte, error) {
	if !c.HasDict() || int64(len(b)) < c.Data-c.Start {
		return header{}, nil, damaged("no dictionary page")
	}
	var own []byte
	h, body, _, err := d.page(b[:c.Data-c.Start], format.DictionaryPage, c.compressed, &own)
	if err != nil {
		return h, nil, fmt.Errorf("dictionary: %w", err)
	}
	if !c.compressed {
		body = append([]byte(nil), body...)
	}
	return h, body, nil
}

// splitPlain notes where n length-prefixed strings of body start, from offset
// at on; the dictionary's gap of 4 makes the lengths disappear.
func splitPlain(d *Dict, body []byte, at, n int) (end int, ok bool) {
	for range n {
		if at+4 > len(body) {
			return 0, false
		}
		size := int64(binary.LittleEndian.Uint32(body[at:]))
		at += 4
		if size > int64(len(body)-at) {
			return 0, false
		}
		d.Offsets = append(d.Offsets, uint32(at))
		at += int(size)
	}
	d.Offsets = append(d.Offsets, uint32(at)+4)
	return at, true
}

// IntDict decodes the dictionary page of a chunk of integers.
func (d *Decoder) IntDict(k Kind, c *ChunkInfo, b []byte) ([]int64, error) {
	h, body, err := d.dictBody(c, b)
	if err != nil {
		return nil, err
	}
	n := intSize(k)
	if k == Bool || int64(len(body)) != int64(n)*h.values {
		return nil, damaged("dictionary of %d integers in %d bytes", h.values, len(body))
	}
	out := make([]int64, h.values)
	for i := range out {
		out[i] = intAt(k, body[n*i:])
	}
	return out, nil
}

// Body is a data page after decompression. It is immutable.
type Body struct {
	encoding format.Encoding
	values   int
	data     []byte
}

// Size is the number of bytes that the body holds.
func (b *Body) Size() int { return len(b.data) }

// Body decompresses the data page at the start of b into memory of its own.
func (d *Decoder) Body(c *ChunkInfo, p PageInfo, b []byte) (Body, error) {
	var own []byte
	body, err := d.body(c, p, b, &own)
	if err == nil && !c.compressed {
		body.data = append([]byte(nil), body.data...)
	}
	return body, err
}

// Lend is Body in the decoder's memory: valid until the decoder's next page.
func (d *Decoder) Lend(c *ChunkInfo, p PageInfo, b []byte) (*Body, error) {
	body, err := d.body(c, p, b, &d.buf)
	d.lent = body
	return &d.lent, err
}

func (d *Decoder) body(c *ChunkInfo, p PageInfo, b []byte, buf *[]byte) (Body, error) {
	if len(b) < p.Size {
		return Body{}, damaged("page is cut off")
	}
	h, data, _, err := d.page(b[:p.Size], format.DataPage, c.compressed, buf)
	return Body{h.encoding, int(h.values), data}, err
}

// Page decodes the data page at the start of b and appends its values to v.
// entries is the size of the chunk's dictionary. The rows of v are numbered
// within the group.
func (d *Decoder) Page(v *Values, l *Leaf, c *ChunkInfo, p PageInfo, b []byte, entries int) error {
	body, err := d.body(c, p, b, &d.buf)
	if err != nil {
		return err
	}
	return d.Decode(v, l, c, p, &body, entries)
}

// Decode is Page for a page that is decompressed already.
func (d *Decoder) Decode(v *Values, l *Leaf, c *ChunkInfo, p PageInfo, b *Body, entries int) error {
	body, n := b.data, b.values
	var err error
	if l.List != "" {
		body, n, err = listLevels(v, l, c, body, n, p)
	} else if n != p.Rows {
		return damaged("page of %d rows instead of %d", n, p.Rows)
	} else if l.Optional {
		body, n, err = d.presence(v, c, body, p)
	}
	if err != nil {
		return err
	}
	v.Count += n
	return d.values(v, l.Kind, b.encoding, body, n, entries)
}

// presence reads the definition levels of an optional column.
func (d *Decoder) presence(v *Values, c *ChunkInfo, body []byte, p PageInfo) ([]byte, int, error) {
	levels, body, err := prefixed(body)
	if err != nil {
		return nil, 0, err
	}
	if c.Nulls == 0 {
		return body, p.Rows, nil
	}
	before := len(v.Rows)
	if v.Rows, err = decodePresence(v.Rows, levels, p.First, p.Rows); err != nil {
		return nil, 0, damaged("levels: %v", err)
	}
	return body, len(v.Rows) - before, nil
}

// prefixed cuts the levels with a length of 4 bytes off a page's body.
func prefixed(body []byte) (levels, rest []byte, err error) {
	if len(body) < 4 {
		return nil, nil, damaged("levels are cut off")
	}
	n := int64(binary.LittleEndian.Uint32(body))
	if n > int64(len(body)-4) {
		return nil, nil, damaged("levels are cut off")
	}
	return body[4 : 4+n], body[4+n:], nil
}

// extend lengthens s by n entries of any value.
func extend[T any](s []T, n int) []T {
	if cap(s)-len(s) >= n {
		return s[:len(s)+n]
	}
	return append(s, make([]T, n)...)
}

// values appends n values of body.
func (d *Decoder) values(v *Values, k Kind, enc format.Encoding, body []byte, n, entries int) error {
	switch {
	case enc == format.RLEDictionary:
		return d.indices(v, body, n, entries)
	case enc == format.DeltaBinaryPacked && k.IsInt() && k != Bool:
		at := len(v.Ints)
		if n > (len(body)+1)*deltaBlock {
			return damaged("%d deltas in %d bytes", n, len(body))
		}
		v.Ints = extend(v.Ints, n)
		if err := decodeDelta(v.Ints[at:], body); err != nil {
			return damaged("%v", err)
		}
		return nil
	case enc != format.Plain:
		return damaged("encoding %s", enc)
	case k == Bool:
		if len(body) < (n+7)/8 {
			return damaged("%d booleans in %d bytes", n, len(body))
		}
		for i := range n {
			v.Ints = append(v.Ints, int64(body[i/8]>>(i%8)&1))
		}
		return nil
	case k.IsInt():
		size := intSize(k)
		if len(body) != n*size {
			return damaged("%d integers in %d bytes", n, len(body))
		}
		at := len(v.Ints)
		v.Ints = extend(v.Ints, n)
		for i := range v.Ints[at:] {
			v.Ints[at+i] = intAt(k, body[size*i:])
		}
		return nil
	}
	return plainStrings(v, k, body, n)
}

func (d *Decoder) indices(v *Values, body []byte, n, entries int) error {
	if n == 0 {
		return nil
	}
	if len(body) == 0 {
		return damaged("indices are cut off")
	}
	at := len(v.Codes)
	v.Codes = extend(v.Codes, n)
	out := v.Codes[at:]
	if _, err := decodeHybrid(out, body[1:], int(body[0])); err != nil {
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

// plainStrings appends strings to v.Plain without their lengths between them.
func plainStrings(v *Values, k Kind, body []byte, n int) error {
	if len(v.Plain.Offsets) == 0 {
		v.Plain.Offsets = append(v.Plain.Offsets, 0)
	}
	for range n {
		size := int64(16)
		if k != Fixed16 {
			if len(body) < 4 {
				return damaged("strings are cut off")
			}
			size = int64(binary.LittleEndian.Uint32(body))
			body = body[4:]
		}
		if size > int64(len(body)) {
			return damaged("strings are cut off")
		}
		v.Plain.Append(body[:size])
		body = body[size:]
	}
	return nil
}
