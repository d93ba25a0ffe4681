package trace

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Protobuf wire types.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2
	wireGroup   = 3
	wireEnd     = 4
	wireFixed32 = 5
)

const (
	// MaxDepth is how deep attribute values may nest (an array in a map in an
	// array …), and how deep unknown protobuf groups may nest.
	MaxDepth = 64
	// MaxAttributes is how many attributes one span, event, link, resource or
	// scope may have. A decoded attribute is 64 bytes and can come from 2 bytes
	// of input, so this bounds what a hostile span costs.
	MaxAttributes = 1 << 14
	// MaxBatchBytes is the largest export that a [Batch] indexes.
	MaxBatchBytes = 1 << 30
)

// MalformedError says that bytes are not the protobuf message that they should
// be. Offset counts from the start of the bytes given to the failing call, Path
// names the field, such as "resource_spans[0].scope_spans[2].spans[7].name".
type MalformedError struct {
	Offset  int
	Path    string
	Problem string
}

// Error implements error.
func (e *MalformedError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("malformed OTLP at byte %d: %s", e.Offset, e.Problem)
	}
	return fmt.Sprintf("malformed OTLP at byte %d, %s: %s", e.Offset, e.Path, e.Problem)
}

// within prefixes the path and moves the offset when an error of a sub-message
// is reported by the message around it.
func (e *MalformedError) within(path string, base int) *MalformedError {
	if path != "" && e.Path != "" {
		path += "."
	}
	return &MalformedError{Offset: e.Offset + base, Path: path + e.Path, Problem: e.Problem}
}

const (
	problemVarint = "varint is longer than 10 bytes or cut off"
	problemCutOff = "length runs past the end"
	problemTag    = "field number 0 or unknown wire type"
	problemDepth  = "nested deeper than the limit"
	problemCount  = "more attributes than the limit"
)

// varint reads a varint at b[i:]; next is -1 when it is malformed.
func varint(b []byte, i int) (v uint64, next int) {
	if i < len(b) && b[i] < 0x80 {
		return uint64(b[i]), i + 1
	}
	return varintSlow(b, i)
}

func varintSlow(b []byte, i int) (uint64, int) {
	v, n := binary.Uvarint(b[min(i, len(b)):])
	if n <= 0 {
		return 0, -1
	}
	return v, i + n
}

// payload reads a length at b[i:] and returns the bounds of the bytes that
// follow it; to is -1 when they do not fit.
func payload(b []byte, i int) (from, to int) {
	if i < len(b) && b[i] < 0x80 {
		from = i + 1
		to = from + int(b[i])
		if to <= len(b) {
			return from, to
		}
	}
	return payloadSlow(b, i)
}

func payloadSlow(b []byte, i int) (from, to int) {
	if i+1 < len(b) && b[i] >= 0x80 && b[i+1] < 0x80 {
		from = i + 2
		to = from + int(b[i]&0x7f) + int(b[i+1])<<7
		if to <= len(b) {
			return from, to
		}
	}
	n, next := varintSlow(b, i)
	if next < 0 || n > uint64(len(b)-next) {
		return i, -1
	}
	return next, next + int(n)
}

// skip passes over the value of a field whose tag ended at i; next is -1 when
// it is malformed.
func skip(b []byte, i int, tag uint64, depth int) (next int) {
	if tag>>3 == 0 || tag > 0xffffffff {
		return -1
	}
	switch tag & 7 {
	case wireVarint:
		_, next = varint(b, i)
		return next
	case wireFixed64:
		next = i + 8
	case wireFixed32:
		next = i + 4
	case wireBytes:
		_, next = payload(b, i)
		return next
	case wireGroup:
		return skipGroup(b, i, tag>>3, depth)
	default:
		return -1
	}
	if next > len(b) {
		return -1
	}
	return next
}

func skipGroup(b []byte, i int, num uint64, depth int) int {
	if depth >= MaxDepth {
		return -1
	}
	for i < len(b) {
		tag, next := varint(b, i)
		if next < 0 {
			return -1
		}
		if tag == num<<3|wireEnd {
			return next
		}
		if i = skip(b, next, tag, depth+1); i < 0 {
			return -1
		}
	}
	return -1
}

// field is one field of a message. For length-delimited fields b holds the
// payload, for numbers v does. [start, end) are its bounds with the tag.
type field struct {
	tag        uint64
	v          uint64
	b          []byte
	from       int
	start, end int
}

func (f *field) num() int { return int(f.tag >> 3) }

// next reads the field at b[i:] into f. It is the comfortable reader for
// messages that are not on the hot path.
func (f *field) next(b []byte, i int) (int, *MalformedError) {
	tag, at := varint(b, i)
	if at < 0 {
		return 0, &MalformedError{Offset: i, Problem: problemVarint}
	}
	f.tag, f.start, f.from, f.b, f.v = tag, i, at, nil, 0
	end := skip(b, at, tag, 0)
	if end < 0 {
		return 0, malformed(b, i)
	}
	f.end = end
	switch tag & 7 {
	case wireVarint:
		f.v, _ = varint(b, at)
	case wireFixed64:
		f.v = binary.LittleEndian.Uint64(b[at:])
	case wireFixed32:
		f.v = uint64(binary.LittleEndian.Uint32(b[at:]))
	case wireBytes:
		f.from, _ = payload(b, at)
		f.b = b[f.from:end]
	}
	return end, nil
}

// malformed finds out what is wrong with the field at b[i:], for the message.
func malformed(b []byte, i int) *MalformedError {
	tag, at := varint(b, i)
	switch {
	case at < 0:
		return &MalformedError{Offset: i, Problem: problemVarint}
	case tag>>3 == 0 || tag>>32 != 0 || tag&7 > wireFixed32 || tag&7 == wireEnd:
		return &MalformedError{Offset: i, Problem: problemTag}
	case tag&7 == wireVarint:
		return &MalformedError{Offset: at, Problem: problemVarint}
	case tag&7 == wireGroup:
		return &MalformedError{Offset: at, Problem: "group is cut off or nested too deep"}
	}
	return &MalformedError{Offset: at, Problem: problemCutOff}
}

// sizeVarint is the encoded length of v.
func sizeVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func appendTag(dst []byte, num, typ int) []byte {
	return binary.AppendUvarint(dst, uint64(num)<<3|uint64(typ))
}

// appendBytes appends a length-delimited field, also when b is empty.
func appendBytes(dst []byte, num int, b []byte) []byte {
	dst = appendTag(dst, num, wireBytes)
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// appendText appends a length-delimited field, nothing when b is empty.
func appendText(dst []byte, num int, b []byte) []byte {
	if len(b) == 0 {
		return dst
	}
	return appendBytes(dst, num, b)
}

func appendVarint(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(appendTag(dst, num, wireVarint), v)
}

func appendFixed64(dst []byte, num int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint64(appendTag(dst, num, wireFixed64), v)
}

func appendFixed32(dst []byte, num int, v uint32) []byte {
	if v == 0 {
		return dst
	}
	return binary.LittleEndian.AppendUint32(appendTag(dst, num, wireFixed32), v)
}

// closeMessage writes the length of the message that was appended to dst from
// `body` on, in front of it. The caller has appended the tag and left no gap.
func closeMessage(dst []byte, body int) []byte {
	n := len(dst) - body
	k := sizeVarint(uint64(n))
	var pad [10]byte
	dst = append(dst, pad[:k]...)
	copy(dst[body+k:], dst[body:body+n])
	binary.PutUvarint(dst[body:], uint64(n))
	return dst
}
