package ring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
)

// Limits on what is read from the wire. They are far above any real ring and
// keep a hostile value from taking all memory.
const (
	// MaxEncodedSize is the largest plain protobuf value, in bytes.
	MaxEncodedSize = 64 << 20
	// MaxEntries is the largest number of entries in one map.
	MaxEntries = 1 << 17
)

// Protobuf wire types.
const (
	WireVarint  = 0
	wireFixed64 = 1
	WireBytes   = 2
	wireStart   = 3
	wireFixed32 = 5
)

var (
	errTruncated = errors.New("truncated")
	errOverflow  = errors.New("varint longer than ten bytes")
	errField     = errors.New("field number zero or below")
	errWire      = errors.New("unexpected wire type")
)

// Reader walks over the fields of one protobuf message. It is liberal where
// the format is (over-long varints, any field order) and never reads outside
// its buffer. The first error sticks; check Err when Next returned false.
//
// It exists for this package and engine/partition, whose messages are small and
// hot enough to be decoded by hand.
type Reader struct {
	buf   []byte
	pos   int
	start int
	num   int32
	typ   uint8
	err   error
}

// NewReader starts a walk over b.
func NewReader(b []byte) Reader { return Reader{buf: b} }

// Next reads the next tag. It is false at the end and after an error.
func (r *Reader) Next() bool {
	if r.err != nil || r.pos >= len(r.buf) {
		return false
	}
	r.start = r.pos
	tag := r.varint()
	if r.err != nil {
		return false
	}
	r.num, r.typ = int32(tag>>3), uint8(tag&7)
	if r.num <= 0 {
		r.err = errField
		return false
	}
	return true
}

// Num is the field number of the current field.
func (r *Reader) Num() int32 { return r.num }

// Type is the wire type of the current field.
func (r *Reader) Type() uint8 { return r.typ }

// Err is the first error, naming the field it happened in.
func (r *Reader) Err() error {
	if r.err == nil {
		return nil
	}
	return fmt.Errorf("protobuf field %d at byte %d: %w", r.num, r.start, r.err)
}

// Fail records err unless an earlier one is known.
func (r *Reader) Fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

func (r *Reader) varint() uint64 {
	if r.pos < len(r.buf) && r.buf[r.pos] < 0x80 {
		r.pos++
		return uint64(r.buf[r.pos-1])
	}
	v, n := uvarint(r.buf[r.pos:])
	if n <= 0 {
		r.err = errTruncated
		if n < 0 {
			r.err = errOverflow
		}
		return 0
	}
	r.pos += n
	return v
}

// uvarint reads a varint of at most ten bytes; bits over 64 are dropped. n is 0
// for a truncated and -1 for an over-long varint.
func uvarint(b []byte) (v uint64, n int) {
	for i, c := range b {
		if i == 10 {
			return 0, -1
		}
		v |= uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1
		}
	}
	if len(b) >= 10 {
		return 0, -1
	}
	return 0, 0
}

// Varint reads the current field as a varint.
func (r *Reader) Varint() uint64 {
	if r.typ != WireVarint {
		r.Fail(errWire)
		return 0
	}
	return r.varint()
}

// Bytes reads the current field as length-delimited bytes, aliasing the buffer.
func (r *Reader) Bytes() []byte {
	if r.typ != WireBytes {
		r.Fail(errWire)
		return nil
	}
	n := r.varint()
	if r.err != nil {
		return nil
	}
	if n > uint64(len(r.buf)-r.pos) {
		r.err = errTruncated
		return nil
	}
	b := r.buf[r.pos : r.pos+int(n)]
	r.pos += int(n)
	return b
}

// Tokens appends the current field, a packed or a single uint32, to dst.
// Values wider than 32 bits are cut.
func (r *Reader) Tokens(dst []uint32) []uint32 {
	if r.typ == WireVarint {
		return append(dst, uint32(r.varint()))
	}
	b := r.Bytes()
	if r.err != nil {
		return dst
	}
	out, err := appendTokens(dst, b)
	if err != nil {
		r.err = err
	}
	return out
}

// Skip passes over the current field and appends its bytes, tag included, to
// unknown.
func (r *Reader) Skip(unknown []byte) []byte {
	r.skip(r.typ, 0)
	if r.err != nil {
		return unknown
	}
	return append(unknown, r.buf[r.start:r.pos]...)
}

// pass leaves the current field out.
func (r *Reader) pass() { r.skip(r.typ, 0) }

func (r *Reader) skip(typ uint8, depth int) {
	switch typ {
	case WireVarint:
		r.varint()
	case wireFixed64:
		r.advance(8)
	case WireBytes:
		if n := r.varint(); r.err == nil {
			r.advance(n)
		}
	case wireStart:
		r.skipGroup(depth)
	case wireFixed32:
		r.advance(4)
	default:
		r.Fail(errWire)
	}
}

func (r *Reader) skipGroup(depth int) {
	const endGroup, maxDepth = 4, 100
	if depth > maxDepth {
		r.Fail(errWire)
	}
	for r.err == nil {
		if r.pos >= len(r.buf) {
			r.err = errTruncated
			return
		}
		tag := r.varint()
		if tag&7 == endGroup {
			return
		}
		r.skip(uint8(tag&7), depth+1)
	}
}

func (r *Reader) advance(n uint64) {
	if n > uint64(len(r.buf)-r.pos) {
		r.err = errTruncated
		return
	}
	r.pos += int(n)
}

// appendTokens decodes packed varints. The varints are counted first, eight
// bytes at a time, so that a list in one run gets exactly its size.
func appendTokens(dst []uint32, b []byte) ([]uint32, error) {
	n := countVarints(b)
	if len(dst) == 0 {
		dst = make([]uint32, 0, n)
	} else {
		dst = slices.Grow(dst, n) // doubles, so many short runs stay cheap
	}
	pos := 0
	for pos+8 <= len(b) {
		w := binary.LittleEndian.Uint64(b[pos:])
		if w&0x8080808080 == 0x80808080 { // five bytes, as nearly always
			dst = append(dst, uint32(w&0x7f|w>>1&0x3f80|w>>2&0x1fc000|w>>3&0xfe00000|w>>4&0xf0000000))
			pos += 5
			continue
		}
		size := (bits.TrailingZeros64(^w&0x8080808080808080) + 1) / 8
		if size > 5 || size == 0 {
			break
		}
		w &= 1<<(8*size) - 1
		w = w&0x7f | w>>1&0x3f80 | w>>2&0x1fc000 | w>>3&0xfe00000 | w>>4&0x7f0000000
		dst = append(dst, uint32(w))
		pos += size
	}
	for pos < len(b) {
		v, size := uvarint(b[pos:])
		if size == 0 {
			return dst, errTruncated
		}
		if size < 0 {
			return dst, errOverflow
		}
		dst = append(dst, uint32(v))
		pos += size
	}
	return dst, nil
}

func countVarints(b []byte) int {
	n := 0
	for ; len(b) >= 8; b = b[8:] {
		n += bits.OnesCount64(^binary.LittleEndian.Uint64(b) & 0x8080808080808080)
	}
	for _, c := range b {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// AppendTag appends a field tag.
func AppendTag(b []byte, num int32, typ uint8) []byte {
	return binary.AppendUvarint(b, uint64(num)<<3|uint64(typ))
}

// AppendVarintField appends a varint field; nothing for zero.
func AppendVarintField(b []byte, num int32, v uint64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendUvarint(AppendTag(b, num, WireVarint), v)
}

// AppendStringField appends a string field; nothing for the empty string.
func AppendStringField(b []byte, num int32, s string) []byte {
	if s == "" {
		return b
	}
	b = binary.AppendUvarint(AppendTag(b, num, WireBytes), uint64(len(s)))
	return append(b, s...)
}

// AppendTokensField appends a packed uint32 field; nothing for an empty list.
func AppendTokensField(b []byte, num int32, tokens []uint32) []byte {
	if len(tokens) == 0 {
		return b
	}
	b = slices.Grow(b, binary.MaxVarintLen32+5*len(tokens)+2*binary.MaxVarintLen64)
	return AppendMessageField(b, num, func(b []byte) []byte {
		out := b[len(b):cap(b)] // has room to write eight bytes for the last token too
		n := 0
		for _, t := range tokens {
			w := uint64(t)
			w = w&0x7f | w&0x3f80<<1 | w&0x1fc000<<2 | w&0xfe00000<<3 | w&0xf0000000<<4
			if t >= 1<<28 { // fifteen of sixteen random tokens
				binary.LittleEndian.PutUint64(out[n:], w|0x80808080)
				n += 5
				continue
			}
			size := (bits.Len32(t|1)*9 + 64) >> 6
			binary.LittleEndian.PutUint64(out[n:], w|0x80808080&(1<<(8*size-8)-1))
			n += size
		}
		return b[:len(b)+n]
	})
}

// AppendMessageField appends body as a length-delimited field, empty or not.
// body writes the message to the slice it is given and returns the result; the
// length is put in front afterwards, so no size has to be computed twice.
func AppendMessageField(b []byte, num int32, body func([]byte) []byte) []byte {
	b = AppendTag(b, num, WireBytes)
	mark := len(b)
	const room = 3 // bytes kept free for the length, right for 16 KiB to 2 MiB
	b = append(b, 0, 0, 0)
	b = body(b)
	size := len(b) - mark - room
	var head [binary.MaxVarintLen64]byte
	n := binary.PutUvarint(head[:], uint64(size))
	if n > room {
		b = append(b, head[:n-room]...)
	}
	copy(b[mark+n:], b[mark+room:mark+room+size])
	copy(b[mark:], head[:n])
	return b[:mark+n+size]
}
