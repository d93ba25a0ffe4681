package query

import (
	"encoding/binary"
	"math"

	"github.com/ringctl/ringctl/engine/trace"
)

// Protobuf wire types.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// wireReader walks the fields of one protobuf message. Groups and malformed input end the walk with bad set.
type wireReader struct {
	b     []byte
	field uint64
	wire  uint8
	num   uint64 // of varint and fixed fields
	bytes []byte // of bytes fields, aliases the input
	bad   bool
}

func (w *wireReader) next() bool {
	if len(w.b) == 0 || w.bad {
		return false
	}
	tag, ok := w.uvarint()
	if !ok || tag>>3 == 0 {
		w.bad = true
		return false
	}
	w.field, w.wire, w.bytes = tag>>3, uint8(tag&7), nil
	switch w.wire {
	case wireVarint:
		w.num, ok = w.uvarint()
	case wireFixed8:
		if ok = len(w.b) >= 8; ok {
			w.num, w.b = binary.LittleEndian.Uint64(w.b), w.b[8:]
		}
	case wireFixed4:
		if ok = len(w.b) >= 4; ok {
			w.num, w.b = uint64(binary.LittleEndian.Uint32(w.b)), w.b[4:]
		}
	case wireBytes:
		var n uint64
		if n, ok = w.uvarint(); ok {
			if ok = n <= uint64(len(w.b)); ok {
				w.bytes, w.b = w.b[:n:n], w.b[n:]
			}
		}
	default:
		ok = false
	}
	w.bad = !ok
	return ok
}

func (w *wireReader) uvarint() (uint64, bool) {
	v, n := binary.Uvarint(w.b)
	if n <= 0 {
		return 0, false
	}
	w.b = w.b[n:]
	return v, true
}

// readAttr takes a KeyValue message apart.
func readAttr(b []byte) (a trace.Attr, ok bool) {
	w := wireReader{b: b}
	for w.next() {
		switch {
		case w.field == 1 && w.wire == wireBytes:
			a.Key = w.bytes
		case w.field == 2 && w.wire == wireBytes:
			if a.Value, ok = readValue(w.bytes); !ok {
				return a, false
			}
		}
	}
	return a, !w.bad
}

// readValue takes an AnyValue message apart; arrays and maps stay encoded.
func readValue(b []byte) (v trace.Value, ok bool) {
	w := wireReader{b: b}
	for w.next() {
		switch {
		case w.field == 1 && w.wire == wireBytes:
			v = trace.StringValue(w.bytes)
		case w.field == 2 && w.wire == wireVarint:
			v = trace.BoolValue(w.num != 0)
		case w.field == 3 && w.wire == wireVarint:
			v = trace.IntValue(int64(w.num))
		case w.field == 4 && w.wire == wireFixed8:
			v = trace.DoubleValue(math.Float64frombits(w.num))
		case w.field == 5 && w.wire == wireBytes:
			v = trace.Value{Kind: trace.KindArray, Bytes: w.bytes}
		case w.field == 6 && w.wire == wireBytes:
			v = trace.Value{Kind: trace.KindMap, Bytes: w.bytes}
		case w.field == 7 && w.wire == wireBytes:
			v = trace.BytesValue(w.bytes)
		}
	}
	return v, !w.bad
}
